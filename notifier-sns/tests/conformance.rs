//! The suite of `notifier-testkit`, against its fake SNS, which checks signatures and limits.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use notifier_core::{BackendSettings, Origin, Reporter, SystemClock};
use notifier_sns::{OPTIONS, SnsReporter};
use notifier_testkit::{
    conformance::{Harness, Row, RowVerdict, Scenario, Setup, suite},
    http::{Action, End, Reply},
    sns::{FakeSns, SnsReply},
};

const KEY: &str = "AKIDCANARY0451EXAMPLE";
const SECRET: &str = "s3cr3t+canary/0451";
const TOKEN: &str = "t0ken-canary-0451==";

struct Sns {
    reporter: Arc<SnsReporter>,
    name: &'static str,
    body: &'static str,
    /// Kept so that servers live as long as the suite.
    servers: Mutex<Vec<Arc<FakeSns>>>,
}

impl Sns {
    fn new(name: &'static str, body: &'static str) -> Self {
        let settings = BackendSettings::new(OPTIONS);
        let reporter = SnsReporter::new(&settings, Arc::new(SystemClock)).unwrap();
        Self {
            reporter: Arc::new(reporter),
            name,
            body,
            servers: Mutex::default(),
        }
    }
}

/// What a case's service does.
enum Does {
    /// It takes messages.
    Take,
    /// It answers so to the first.
    Answer(SnsReply),
    /// Nobody listens.
    Nothing,
}

/// SNS's table of verdicts.
fn table() -> Vec<(String, RowVerdict, Does)> {
    use RowVerdict as V;
    let later = V::Retry { after: None };
    let other = |action| Does::Answer(SnsReply::Other(action));
    let mut rows = vec![
        ("200 with an id".to_owned(), V::Delivered, Does::Take),
        (
            "429 with Retry-After".to_owned(),
            V::Retry {
                after: Some(std::time::Duration::from_secs(30)),
            },
            Does::Answer(SnsReply::ErrorAfter(429, "Throttled", 30)),
        ),
        ("no connection".to_owned(), later, Does::Nothing),
        (
            "a page with 429".to_owned(),
            later,
            other(Action::html(429)),
        ),
        (
            "a page with 503".to_owned(),
            later,
            other(Action::html(503)),
        ),
        (
            "a page with 502".to_owned(),
            V::Ambiguous,
            other(Action::html(502)),
        ),
        (
            "a page with 504".to_owned(),
            V::Ambiguous,
            Does::Answer(SnsReply::Taken(Action::html(504))),
        ),
        (
            "200 with noise".to_owned(),
            V::Ambiguous,
            other(Action::garbage()),
        ),
        (
            "200 without an id".to_owned(),
            V::Ambiguous,
            Does::Answer(SnsReply::Taken(
                Reply::new(200)
                    .header("Content-Type", "text/xml")
                    .body("<PublishResponse><PublishResult></PublishResult></PublishResponse>")
                    .into(),
            )),
        ),
        (
            "200 cut short".to_owned(),
            V::Ambiguous,
            Does::Answer(SnsReply::Taken(Action::truncated(20, End::Close))),
        ),
        (
            "a reset after the body".to_owned(),
            V::Ambiguous,
            Does::Answer(SnsReply::Taken(Action::ResetAfterBody)),
        ),
        (
            "no answer in time".to_owned(),
            V::Ambiguous,
            Does::Answer(SnsReply::Taken(Action::Hang)),
        ),
        (
            "302".to_owned(),
            V::Dead,
            other(Reply::redirect(302, "http://127.0.0.1:1/").into()),
        ),
        (
            "a page with 400".to_owned(),
            V::Dead,
            other(Action::html(400)),
        ),
        (
            "a page with 413".to_owned(),
            V::Dead,
            other(Action::html(413)),
        ),
        (
            "a page with 403".to_owned(),
            V::DeadDestination,
            other(Action::html(403)),
        ),
    ];
    let codes: [(V, &[(u16, &'static str)]); 3] = [
        (
            later,
            &[
                (429, "Throttled"),
                (400, "Throttling"),
                (400, "ThrottlingException"),
                (400, "RequestLimitExceeded"),
                (400, "KMSThrottling"),
                (500, "InternalError"),
                (500, "InternalFailure"),
                (503, "ServiceUnavailable"),
                (500, "SomethingNew"),
            ],
        ),
        (
            V::Dead,
            &[
                (400, "InvalidParameter"),
                (400, "InvalidParameterValue"),
                (400, "ParameterValueInvalid"),
                (400, "ValidationError"),
                (400, "SomethingNew"),
            ],
        ),
        (
            V::DeadDestination,
            &[
                (403, "AuthorizationError"),
                (403, "AccessDenied"),
                (403, "OptInRequired"),
                (403, "InvalidSecurity"),
                (404, "NotFound"),
                (400, "EndpointDisabled"),
                (400, "PlatformApplicationDisabled"),
                (400, "KMSDisabled"),
                (400, "KMSInvalidState"),
                (400, "KMSNotFound"),
                (403, "KMSOptInRequired"),
                (400, "KMSAccessDenied"),
                (403, "InvalidClientTokenId"),
                (403, "SignatureDoesNotMatch"),
                (400, "IncompleteSignature"),
                (403, "MissingAuthenticationToken"),
                // The keys are those of the settings, so there are no others.
                (403, "ExpiredToken"),
            ],
        ),
    ];
    for (verdict, codes) in codes {
        for &(status, code) in codes {
            let does = Does::Answer(SnsReply::Error(status, code));
            rows.push((format!("{status} {code}"), verdict, does));
        }
    }
    rows
}

#[async_trait]
impl Harness for Sns {
    fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::<SnsReporter>::clone(&self.reporter)
    }

    async fn prepare(&self, scenario: Scenario) -> Option<Setup> {
        let error = |status, code| Does::Answer(SnsReply::Error(status, code));
        let does = match scenario {
            Scenario::Deliver => Does::Take,
            Scenario::RateLimited { after: None } => error(429, "Throttled"),
            Scenario::RateLimited { after: Some(d) } => {
                Does::Answer(SnsReply::ErrorAfter(429, "Throttled", d.as_secs()))
            }
            Scenario::Unavailable => error(503, "ServiceUnavailable"),
            Scenario::Refuse => error(400, "InvalidParameter"),
            Scenario::RefuseDestination => error(404, "NotFound"),
            Scenario::Hang => Does::Answer(SnsReply::Taken(Action::Hang)),
            Scenario::CutAfterBody => Does::Answer(SnsReply::Taken(Action::CloseAfterBody)),
            Scenario::Row(n) => table().into_iter().nth(n)?.2,
            _ => return None,
        };
        let is_silent = matches!(does, Does::Answer(SnsReply::Taken(Action::Hang)));
        let sns = Arc::new(FakeSns::start().await.unwrap());
        sns.temporary_key(KEY, SECRET, TOKEN);
        let topic = sns.topic(self.name);
        let mut s = BackendSettings::new(OPTIONS);
        for (key, value) in [
            ("topic", topic.as_str()),
            ("endpoint", &sns.url()),
            ("access_key", KEY),
            ("secret_key", SECRET),
            ("session_token", TOKEN),
            ("body", self.body),
            // Short only where nobody answers: a slow machine is to fail nothing.
            ("timeout", if is_silent { "1s" } else { "25s" }),
            (
                "attributes",
                "state={{ .failure.State }};name={{ .failure.Name }}",
            ),
        ] {
            s.set(Origin::Flag, key, value).unwrap();
        }
        let mut is_there = true;
        match does {
            Does::Take => {}
            Does::Answer(reply) => sns.script(reply),
            Does::Nothing => {
                sns.server().refuse();
                is_there = false;
            }
        }
        self.servers.lock().unwrap().push(Arc::clone(&sns));
        let setup = Setup::new(s.instance("default"));
        if !is_there {
            // There is nobody to count attempts.
            return Some(setup);
        }
        let tried = Arc::clone(&sns);
        Some(
            setup
                .with_received(move || sns.received().into_iter().map(|m| m.message).collect())
                .with_attempts(move || tried.attempts().len()),
        )
    }

    fn rows(&self) -> Vec<Row> {
        table()
            .into_iter()
            .map(|(answer, verdict, _)| Row::new(answer, verdict))
            .collect()
    }

    fn secrets(&self) -> Vec<String> {
        [KEY, SECRET, TOKEN].map(str::to_owned).into()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sns_conforms() {
    suite(&Sns::new("alerts", "both")).await.assert_complete();
}

#[tokio::test(flavor = "multi_thread")]
async fn sns_conforms_with_documents_in_a_fifo_topic() {
    suite(&Sns::new("alerts.fifo", "document"))
        .await
        .assert_complete();
}

#[tokio::test(flavor = "multi_thread")]
async fn sns_conforms_with_texts() {
    suite(&Sns::new("alerts", "text")).await.assert_complete();
}
