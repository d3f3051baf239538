//! Where keys are looked for, and when they are asked for again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::common::{Log, failure, stdout};
use futures_util::FutureExt as _;
use notifier_core::{
    BackendSettings, ErrorKind, ManualClock, ObjectRef, Origin, Uploader, UploaderFactory,
    jiff::Timestamp,
};
use notifier_http::HttpClient;
use notifier_testkit::http::{Action, Body, Reply, Request, ScriptedServer};
use uploader_s3::{Environment, S3AWS_OPTIONS, S3AwsFactory};

const NOW: &str = "2026-11-21T10:00:00Z";

struct Set {
    clock: Arc<ManualClock>,
    uploader: Arc<dyn Uploader>,
    _home: tempfile::TempDir,
}

impl Set {
    /// An uploader without keys, of which AWS's variables and files are these.
    fn new(endpoint: &str, variables: &[(&str, &str)], files: &[(&str, &str)]) -> Self {
        let clock = Arc::new(ManualClock::new(NOW.parse::<Timestamp>().unwrap()));
        let http = HttpClient::builder()
            .clock(Arc::clone(&clock) as _)
            .build()
            .unwrap();
        Self {
            clock,
            ..Self::with(http, endpoint, variables, files)
        }
    }

    /// The same with a client of its own clock.
    fn with(
        http: HttpClient,
        endpoint: &str,
        variables: &[(&str, &str)],
        files: &[(&str, &str)],
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        let mut all = BTreeMap::from([
            ("HOME".to_owned(), home.path().to_str().unwrap().to_owned()),
            ("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()),
        ]);
        for (name, value) in variables {
            let value = value.replace("@HOME@", home.path().to_str().unwrap());
            all.insert((*name).to_owned(), value);
        }
        for (name, text) in files {
            std::fs::write(home.path().join(".aws").join(name), text).unwrap();
        }
        let factory = S3AwsFactory::new(http)
            .environment(Environment::new(move |name| all.get(name).cloned()));
        let mut settings = BackendSettings::new(S3AWS_OPTIONS);
        for (key, value) in [
            ("bucket", "logs"),
            ("region", "eu-west-1"),
            ("endpoint", endpoint),
        ] {
            settings.set(Origin::Flag, key, value).unwrap();
        }
        let uploader = factory.build(&settings).unwrap();
        Self {
            clock: Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH)),
            uploader,
            _home: home,
        }
    }

    /// The id of the key that links are signed with, or what is wrong.
    async fn id(&self) -> Result<String, notifier_core::Error> {
        let note = serde_json::json!({"uploader": "s3aws", "bucket": "logs", "key": "k"});
        let link = self.uploader.link(&ObjectRef(note)).await?;
        let (_, rest) = link.split_once("X-Amz-Credential=").unwrap();
        Ok(rest.split('%').next().unwrap().to_owned())
    }

    /// Waits until links are signed with this key.
    async fn until(&self, id: &str) {
        let is_it = async {
            while self.id().await.unwrap() != id {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), is_it)
            .await
            .unwrap_or_else(|_| panic!("{id} never came"));
    }
}

const STORE: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn the_first_place_that_has_keys_decides() {
    let file = (
        "credentials",
        "[default]\naws_access_key_id = AKFILE\naws_secret_access_key = s\n[team]\naws_access_key_id = AKTEAM\naws_secret_access_key = s\n",
    );
    let both = [
        ("AWS_ACCESS_KEY_ID", "AKENV"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
    ];
    assert_eq!(Set::new(STORE, &both, &[file]).id().await.unwrap(), "AKENV");
    assert_eq!(Set::new(STORE, &[], &[file]).id().await.unwrap(), "AKFILE");
    let team = [("AWS_PROFILE", "team")];
    assert_eq!(
        Set::new(STORE, &team, &[file]).id().await.unwrap(),
        "AKTEAM"
    );
    let e = Set::new(STORE, &both[..1], &[file]).id().await.unwrap_err();
    assert!(e.to_string().contains("only one is set"), "{e}");
    let e = Set::new(STORE, &[], &[]).id().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unauthenticated);
    assert!(
        e.to_string().contains("profile default")
            && e.to_string().contains("set -s3aws.access_key"),
        "{e}"
    );
}

/// A service's user has a home that is no folder, or not its own.
#[tokio::test]
async fn a_home_that_cannot_be_read_does_not_end_the_search() {
    let asked = Arc::new(AtomicUsize::new(0));
    let s = hourly(asked).await;
    let url = s.url("/");
    let container = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str());
    let home = ("HOME", "/dev/null");
    let set = Set::new(STORE, &[home, container], &[]);
    assert_eq!(set.id().await.unwrap(), "AK0");
    let named = ("AWS_CONFIG_FILE", "/dev/null/config");
    let set = Set::new(STORE, &[home, container, named], &[]);
    let e = set.id().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Io);
    assert!(e.to_string().contains("/dev/null/config"), "{e}");
}

fn json(id: &str, expires: &str) -> String {
    serde_json::json!({
        "Code": "Success", "AccessKeyId": id, "SecretAccessKey": "s3cret-key",
        "Token": "t0ken-value", "Expiration": expires,
    })
    .to_string()
}

#[tokio::test]
async fn the_container_is_asked_with_its_token() {
    let s = ScriptedServer::with_service(|r: &Request| match r.header("authorization") {
        Some("Bearer abc") => Reply::new(200)
            .body(json("AKCONTAINER", "2026-11-21T16:00:00Z"))
            .into(),
        _ => Action::status(401),
    })
    .await
    .unwrap();
    let url = s.url("/keys");
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "@HOME@/.aws/token",
        ),
    ];
    let set = Set::new(STORE, &variables, &[("token", "Bearer abc\n")]);
    assert_eq!(set.id().await.unwrap(), "AKCONTAINER");
    let set = Set::new(STORE, &variables, &[("token", "Bearer wr0ng-secret\n")]);
    let e = set.id().await.unwrap_err();
    assert!(
        e.to_string()
            .contains("answered 401 for the container's keys"),
        "{e}"
    );
    assert!(!format!("{e:?}").contains("wr0ng-secret"), "{e:?}");
}

#[tokio::test]
async fn the_instance_is_asked_in_its_second_version() {
    let s = ScriptedServer::with_service(|r: &Request| {
        let has_token = r.header("x-aws-ec2-metadata-token") == Some("TOKEN");
        match (r.method.as_str(), r.path()) {
            ("PUT", "/latest/api/token") => Reply::new(200).body("TOKEN").into(),
            ("GET", "/latest/meta-data/iam/security-credentials/") if has_token => {
                Reply::new(200).body("my-role\n").into()
            }
            ("GET", "/latest/meta-data/iam/security-credentials/my-role") if has_token => {
                Reply::new(200)
                    .body(json("AKINSTANCE", "2026-11-21T16:00:00Z"))
                    .into()
            }
            _ => Action::status(401),
        }
    })
    .await
    .unwrap();
    let url = s.url("/");
    let variables = [
        ("AWS_EC2_METADATA_DISABLED", ""),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str()),
    ];
    let set = Set::new(STORE, &variables, &[]);
    assert_eq!(set.id().await.unwrap(), "AKINSTANCE");
    s.refuse();
    let e = Set::new(STORE, &variables, &[]).id().await.unwrap_err();
    assert!(e.to_string().contains("(no metadata service)"), "{e}");
}

#[tokio::test]
async fn a_role_is_taken_by_a_web_identity() {
    let s = ScriptedServer::with_service(|r: &Request| {
        let form: BTreeMap<String, String> = r.form().into_iter().collect();
        if form.get("WebIdentityToken").map(String::as_str) != Some("ey.J+/=") {
            return Reply::new(400).body("<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>ey.J+/=</Message></Error></ErrorResponse>").into();
        }
        assert_eq!(form["Action"], "AssumeRoleWithWebIdentity");
        assert_eq!(form["RoleArn"], "arn:aws:iam::1:role/x");
        Reply::new(200)
            .body("<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AKROLE</AccessKeyId><SecretAccessKey>a/b+c</SecretAccessKey><SessionToken>t0ken</SessionToken><Expiration>2026-11-21T11:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>")
            .into()
    })
    .await
    .unwrap();
    let url = s.url("/");
    let variables = [
        ("AWS_ENDPOINT_URL_STS", url.as_str()),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/x"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "@HOME@/.aws/token"),
    ];
    let set = Set::new(STORE, &variables, &[("token", "ey.J+/=")]);
    assert_eq!(set.id().await.unwrap(), "AKROLE");
    // The same out of a profile.
    let config = format!(
        "[profile k8s]\nrole_arn = arn:aws:iam::1:role/x\nweb_identity_token_file = {}\n",
        set._home.path().join(".aws/token").display()
    );
    let set = Set::new(
        STORE,
        &[variables[0], ("AWS_PROFILE", "k8s")],
        &[("config", &config)],
    );
    assert_eq!(set.id().await.unwrap(), "AKROLE");
    let set = Set::new(STORE, &variables, &[("token", "0ther-token")]);
    let e = set.id().await.unwrap_err();
    assert!(
        e.to_string().contains("answered 400 InvalidIdentityToken"),
        "{e}"
    );
    assert!(!format!("{e:?}").contains("0ther"), "{e:?}");
}

/// A container that gives a new key each time, which dies after an hour.
async fn hourly(asked: Arc<AtomicUsize>) -> ScriptedServer {
    ScriptedServer::with_service(move |_: &Request| {
        let n = asked.fetch_add(1, Ordering::Relaxed);
        let expires =
            NOW.parse::<Timestamp>().unwrap() + Duration::from_secs(3600 * (n as u64 + 1));
        Reply::new(200)
            .body(json(&format!("AK{n}"), &expires.to_string()))
            .into()
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn keys_are_renewed_before_they_die_and_one_asks_for_all() {
    let asked = Arc::new(AtomicUsize::new(0));
    let s = hourly(Arc::clone(&asked)).await;
    let url = s.url("/");
    let set = Set::new(STORE, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)], &[]);
    let ids = futures_util::future::join_all((0..50).map(|_| set.id())).await;
    assert!(ids.into_iter().all(|id| id.unwrap() == "AK0"));
    set.clock.advance(Duration::from_secs(54 * 60));
    assert_eq!(set.id().await.unwrap(), "AK0");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    set.clock.advance(Duration::from_secs(2 * 60));
    set.until("AK1").await;
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    // Where nobody answers, the old one is used while it lives.
    set.clock.advance(Duration::from_secs(60 * 60 - 2 * 60));
    s.refuse();
    assert_eq!(set.id().await.unwrap(), "AK1");
    set.clock.advance(Duration::from_secs(10 * 60));
    set.id().await.unwrap_err();
    s.restore().unwrap();
    // A failure stands for a moment: a storm does not ask for each.
    set.id().await.unwrap_err();
    set.clock.advance(Duration::from_secs(6));
    assert_eq!(set.id().await.unwrap(), "AK2");
}

/// Links have a time of their own: a source of keys that hangs must not take it.
#[tokio::test]
async fn a_key_that_lives_is_given_at_once_while_another_is_asked_for() {
    let asked = Arc::new(AtomicUsize::new(0));
    let s = hourly(Arc::clone(&asked)).await;
    let url = s.url("/");
    let set = Set::new(STORE, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)], &[]);
    assert_eq!(set.id().await.unwrap(), "AK0");
    s.hang();
    set.clock.advance(Duration::from_secs(56 * 60));
    for _ in 0..20 {
        let id = set.id().now_or_never().expect("at once");
        assert_eq!(id.unwrap(), "AK0");
    }
    let requests = s.wait_for_requests(2, Duration::from_secs(60)).await;
    assert_eq!(requests.len(), 2, "one asks for all");
}

#[tokio::test]
async fn a_search_goes_on_when_who_asked_is_gone() {
    let (answer, body) = Body::channel();
    let first = Mutex::new(Some(body));
    let s = ScriptedServer::with_service(move |_: &Request| match first.lock().unwrap().take() {
        Some(body) => Reply::new(200).body(body).into(),
        None => Action::status(404),
    })
    .await
    .unwrap();
    let url = s.url("/");
    let set = Set::new(STORE, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)], &[]);
    assert!(set.id().now_or_never().is_none());
    s.wait_for_requests(1, Duration::from_secs(60)).await;
    answer.send(json("AKFIRST", "2026-11-21T16:00:00Z"));
    drop(answer);
    assert_eq!(set.id().await.unwrap(), "AKFIRST");
    assert_eq!(s.requests().len(), 1);
}

#[tokio::test]
async fn a_refusal_that_passes_may_be_tried_again() {
    let next = Arc::new(Mutex::new((200, "")));
    let told = Arc::clone(&next);
    let s = ScriptedServer::with_service(move |_: &Request| {
        let (status, body) = *told.lock().unwrap();
        Reply::new(status).body(body).into()
    })
    .await
    .unwrap();
    let url = s.url("/");
    let places: [&[(&str, &str)]; 3] = [
        &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str())],
        &[
            ("AWS_ENDPOINT_URL_STS", url.as_str()),
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/x"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "@HOME@/.aws/token"),
        ],
        &[
            ("AWS_EC2_METADATA_DISABLED", ""),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str()),
        ],
    ];
    for place in places {
        let ask = async |status, body| {
            *next.lock().unwrap() = (status, body);
            let set = Set::new(STORE, place, &[("token", "t")]);
            let e = set.id().await.unwrap_err();
            (e.kind(), e.is_retryable())
        };
        for status in [408, 429, 500, 503] {
            assert_eq!(
                ask(status, "").await,
                (ErrorKind::Unavailable, true),
                "{place:?} {status}"
            );
        }
        for status in [400, 403, 404] {
            assert_eq!(
                ask(status, "").await,
                (ErrorKind::Unauthenticated, false),
                "{place:?} {status}"
            );
        }
    }
    // It says so in its own way.
    *next.lock().unwrap() = (400, "<Error><Code>Throttling</Code></Error>");
    let set = Set::new(STORE, places[1], &[("token", "t")]);
    assert!(set.id().await.unwrap_err().is_retryable());
    // It stands for half a second.
    set.clock.advance(Duration::from_secs(1));
    *next.lock().unwrap() = (
        200,
        "<R><AccessKeyId>AKROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2026-11-21T11:00:00Z</Expiration></R>",
    );
    assert_eq!(set.id().await.unwrap(), "AKROLE");
}

#[tokio::test]
async fn an_upload_waits_for_keys_that_are_not_there_yet() {
    let s = ScriptedServer::with_service(|_: &Request| {
        Reply::new(200)
            .body(json("AKLATE", "2126-11-21T16:00:00Z"))
            .into()
    })
    .await
    .unwrap();
    s.next(Action::status(503));
    let store = ScriptedServer::with_service(|_: &Request| Action::status(200))
        .await
        .unwrap();
    let url = s.url("/");
    let container = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str())];
    // With a clock that goes on, since a failure stands for half a second.
    let set = Set::with(HttpClient::new().unwrap(), &store.url(""), &container, &[]);
    set.uploader
        .upload(&failure("web"), &stdout(), &Log::of(10))
        .await
        .unwrap();
    assert_eq!(s.requests().len(), 2);
    assert_eq!(store.requests().len(), 1);
}

#[tokio::test]
async fn keys_that_the_store_calls_dead_are_asked_for_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let keys = hourly(Arc::clone(&asked)).await;
    let store = ScriptedServer::with_service(|r: &Request| match r.header("authorization") {
        Some(a) if a.contains("=AK1/") => Action::status(200),
        _ => Reply::new(400)
            .body("<Error><Code>ExpiredToken</Code></Error>")
            .into(),
    })
    .await
    .unwrap();
    let url = keys.url("/");
    let set = Set::new(
        &store.url(""),
        &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)],
        &[],
    );
    set.uploader
        .upload(&failure("web"), &stdout(), &Log::of(10))
        .await
        .unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert_eq!(
        store.requests()[1].header("x-amz-security-token"),
        Some("t0ken-value")
    );
    assert!(!format!("{:?}", set.uploader).contains("s3cret-key"));
}
