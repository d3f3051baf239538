//! What is sent, what a store answers, and what follows from it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::common::{ACCESS_KEY, Log, SECRET_KEY, failure, key, stdout, v2, v4};
use notifier_core::{Error, ErrorKind, Retry, Uploader};
use notifier_testkit::{
    http::{Action, End, Reply, Request, ScriptedServer},
    s3::FakeS3,
};

/// More than one part.
const BIG: u64 = 6 * 1024 * 1024;

async fn put(uploader: &Arc<dyn Uploader>, size: u64) -> Result<String, Error> {
    let object = uploader
        .upload(&failure("web"), &stdout(), &Log::of(size))
        .await?;
    Ok(key(&object).to_owned())
}

fn xml(status: u16, code: &str) -> Reply {
    Reply::new(status).body(format!(
        "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>so it is</Message><Region>eu-west-3</Region></Error>"
    ))
}

/// A store that takes all parts.
fn takes(request: &Request) -> Action {
    let query = request.query();
    match request.method.as_str() {
        "POST" if query == "uploads" => Reply::new(200)
            .body("<InitiateMultipartUploadResult><UploadId>id/+=&amp;</UploadId></InitiateMultipartUploadResult>")
            .into(),
        "POST" => Reply::new(200)
            .body("\n \n<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
            .into(),
        "DELETE" => Action::status(204),
        _ => Reply::new(200).header("ETag", "\"<a>\"").into(),
    }
}

async fn server() -> ScriptedServer {
    ScriptedServer::with_service(takes).await.unwrap()
}

fn both(url: &str) -> [Arc<dyn Uploader>; 2] {
    [v4(url, &[]), v2(url, &[])]
}

#[tokio::test]
async fn a_small_log_is_one_request() {
    let s = server().await;
    for (nth, uploader) in both(&s.url("")).into_iter().enumerate() {
        for size in [0, 1000, 300_000] {
            s.clear_requests();
            let key = put(&uploader, size).await.unwrap();
            assert_eq!(
                key,
                "complainer/2026-11-21/web/2026-11-21T10:20:30.456-web.1/stdout"
            );
            let requests = s.requests();
            assert_eq!(requests.len(), 1);
            let r = &requests[0];
            let time = if nth == 0 {
                "T10%3A20%3A30.456"
            } else {
                "T10:20:30.456"
            };
            assert_eq!(
                r.target,
                format!("/logs/complainer/2026-11-21/web/2026-11-21{time}-web.1/stdout")
            );
            assert_eq!(r.method, "PUT");
            assert_eq!(r.header("content-type"), Some("text/plain"));
            assert_eq!(r.header("x-amz-acl"), Some("private"));
            assert_eq!(r.header("content-length"), Some(size.to_string().as_str()));
            assert_eq!(r.header("content-encoding"), None);
            assert_eq!(r.body, Log::of(size).bytes());
            let signed = r.header("authorization").unwrap();
            if nth == 0 {
                assert!(
                    signed.starts_with(&format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/")),
                    "{signed}"
                );
                assert!(
                    signed.contains(
                        "SignedHeaders=content-type;host;x-amz-acl;x-amz-content-sha256;x-amz-date,"
                    ),
                    "{signed}"
                );
            } else {
                assert!(
                    signed.starts_with(&format!("AWS {ACCESS_KEY}:")),
                    "{signed}"
                );
                assert!(r.header("content-md5").is_some() && r.header("date").is_some());
            }
        }
    }
}

#[tokio::test]
async fn options_are_sent_along() {
    let s = server().await;
    let uploader = v4(
        &s.url(""),
        &[
            ("sse", "aws:kms"),
            ("sse_kms_key_id", "arn:aws:kms:x"),
            ("storage_class", "STANDARD_IA"),
            ("session_token", "t0ken"),
            ("gzip", "true"),
            ("prefix", "a//{{ .failure.Name }}/../b c"),
        ],
    );
    let key = put(&uploader, 100_000).await.unwrap();
    assert_eq!(key, "a/b c/stdout");
    let r = &s.requests()[0];
    assert_eq!(r.target, "/logs/a/b%20c/stdout");
    assert_eq!(r.header("content-encoding"), Some("gzip"));
    let mut plain = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::GzDecoder::new(r.body.as_slice()),
        &mut plain,
    )
    .unwrap();
    assert_eq!(plain, Log::of(100_000).bytes());
    let signed = r.header("authorization").unwrap();
    for (name, value) in [
        ("x-amz-server-side-encryption", "aws:kms"),
        (
            "x-amz-server-side-encryption-aws-kms-key-id",
            "arn:aws:kms:x",
        ),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-security-token", "t0ken"),
    ] {
        assert_eq!(r.header(name), Some(value));
        assert!(signed.contains(name), "{signed}");
    }
}

#[tokio::test]
async fn a_big_log_comes_in_parts() {
    let s = FakeS3::start().await.unwrap();
    for uploader in both(&s.url()) {
        let uploader = &uploader;
        let key = put(uploader, 2 * BIG).await.unwrap();
        let object = s.object(&format!("/logs/{key}")).unwrap();
        assert_eq!(object.parts, 3);
        assert_eq!(object.size, 2 * BIG);
        assert_eq!(object.header("content-type"), Some("text/plain"));
        assert_eq!(object.header("x-amz-acl"), Some("private"));
        let whole = sha256(&Log::of(2 * BIG).bytes());
        assert_eq!(object.sha256, whole);
    }
    assert_eq!((s.started_uploads(), s.open_uploads()), (2, 0));
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

#[tokio::test]
async fn many_at_once_take_turns() {
    let s = FakeS3::start().await.unwrap();
    let uploader = v2(&s.url(), &[("prefix", "{{ .failure.Name }}")]);
    let uploads = (0..40).map(|n| {
        let uploader = Arc::clone(&uploader);
        tokio::spawn(async move {
            let size = if n % 2 == 0 { 6 * 1024 * 1024 } else { 300_000 };
            let log = Log::of(size);
            uploader
                .upload(&failure(&format!("t{n}")), &stdout(), &log)
                .await
                .map(drop)
        })
    });
    for upload in uploads.collect::<Vec<_>>() {
        upload.await.unwrap().unwrap();
    }
    assert_eq!(s.objects().len(), 40);
    assert_eq!(s.open_uploads(), 0);
}

#[tokio::test]
async fn faults_that_pass_are_waited_for() {
    for fault in [
        Action::from(xml(503, "SlowDown")),
        Action::from(xml(500, "InternalError")),
        Action::from(xml(400, "RequestTimeout")),
        Action::status(502),
        Action::ResetAfterBody,
        Action::CloseAfterBody,
    ] {
        let s = server().await;
        for uploader in both(&s.url("")) {
            s.clear_requests();
            s.next_n(2, fault.clone());
            put(&uploader, 10).await.unwrap();
            assert_eq!(s.requests().len(), 3, "{fault:?}");
            // In the middle of a big one too: the part is sent again, not the log.
            s.clear_requests();
            s.next(Action::Normal(Default::default()));
            s.next(Action::Normal(Default::default()));
            s.next(fault.clone());
            put(&uploader, BIG).await.unwrap();
            let parts: Vec<_> = s
                .requests()
                .iter()
                .filter_map(|r| r.param("partNumber"))
                .collect();
            assert_eq!(parts, ["1", "2", "2"], "{fault:?}");
            assert_eq!(s.count_requests(|r| r.method == "DELETE"), 0);
        }
    }
}

#[tokio::test]
async fn a_store_that_stays_down_is_an_error() {
    let s = server().await;
    s.always(xml(503, "SlowDown"));
    let e = put(&v4(&s.url(""), &[]), 10).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::RateLimited);
    assert_eq!(s.requests().len(), 4);
    assert_eq!(
        e.to_string(),
        format!("{} answered 503 SlowDown: so it is", s.url(""))
    );
    s.refuse();
    let e = put(&v4(&s.url(""), &[]), 10).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unavailable);
    assert!(matches!(e.retry(), Retry::Later { .. }));
}

#[tokio::test]
async fn refusals_have_their_kinds_and_are_final() {
    use ErrorKind as K;
    for (reply, kind, told) in [
        (
            xml(403, "AccessDenied"),
            K::PermissionDenied,
            "403 AccessDenied: so it is (the policy has to allow s3:PutObject",
        ),
        (
            xml(403, "SignatureDoesNotMatch"),
            K::Unauthenticated,
            "check -s3aws.secret_key",
        ),
        (
            xml(403, "InvalidAccessKeyId"),
            K::Unauthenticated,
            "check -s3aws.access_key",
        ),
        (xml(404, "NoSuchBucket"), K::Config, "check -s3aws.bucket"),
        (
            xml(301, "PermanentRedirect"),
            K::Config,
            "the bucket is in eu-west-3: set -s3aws.region",
        ),
        (
            xml(400, "AuthorizationHeaderMalformed"),
            K::Config,
            "the bucket is in eu-west-3",
        ),
        (
            xml(400, "ExpiredToken"),
            K::Unauthenticated,
            "400 ExpiredToken",
        ),
        (xml(400, "EntityTooLarge"), K::TooLarge, "EntityTooLarge"),
        (xml(418, "Odd"), K::Rejected, "418 Odd"),
        (
            Reply::new(301).header("Location", "http://other.example/x?s3cret=1"),
            K::Config,
            "the bucket is at http://other.example: set -s3aws.endpoint",
        ),
        (
            Reply::new(301).header("x-amz-bucket-region", "ap-south-1"),
            K::Config,
            "the bucket is in ap-south-1",
        ),
        (Reply::html(403), K::PermissionDenied, "answered 403"),
        (
            Reply::new(400)
                .body("<Error><Code>A B</Code><Message>x\u{1b}[31m\ny</Message></Error>"),
            K::Rejected,
            "answered 400: x [31m y",
        ),
    ] {
        let s = server().await;
        s.always(reply);
        let e = put(&v4(&s.url(""), &[]), 10).await.unwrap_err();
        assert_eq!(e.kind(), kind, "{e}");
        assert!(e.to_string().contains(told), "{told}: {e}");
        assert_eq!(e.retry(), Retry::Never, "{e}");
        assert_eq!(s.requests().len(), 1, "{e}");
        assert!(!e.to_string().contains("s3cret"), "{e}");
    }
}

#[tokio::test]
async fn the_stores_clock_is_used_if_it_is_another() {
    let s = server().await;
    let late = || xml(403, "RequestTimeTooSkewed").header("Date", "Tue, 24 Nov 2099 10:00:00 GMT");
    s.next(late());
    let uploader = v4(&s.url(""), &[]);
    put(&uploader, 10).await.unwrap();
    let requests = s.requests();
    assert_eq!(requests.len(), 2);
    let stamp = requests[1].header("x-amz-date").unwrap();
    assert!(stamp.starts_with("20991124T"), "{stamp}");
    // Links too.
    let object = uploader
        .upload(&failure("web"), &stdout(), &Log::of(1))
        .await
        .unwrap();
    let link = uploader.link(&object).await.unwrap();
    assert!(link.contains("&X-Amz-Date=20991124T"), "{link}");
    // Once, not for ever.
    s.always(late());
    let e = put(&v4(&s.url(""), &[]), 10).await.unwrap_err();
    assert!(e.to_string().contains("set the clock"), "{e}");
}

#[tokio::test]
async fn a_bucket_without_access_lists_is_written_to_without() {
    let s = ScriptedServer::with_service(|r: &Request| match r.header("x-amz-acl") {
        Some(_) => xml(400, "AccessControlListNotSupported").into(),
        None => Action::status(200),
    })
    .await
    .unwrap();
    let uploader = v4(&s.url(""), &[]);
    put(&uploader, 10).await.unwrap();
    put(&uploader, 10).await.unwrap();
    assert_eq!(s.requests().len(), 3);
}

#[tokio::test]
async fn completing_may_fail_with_status_200() {
    let fails = |code: &'static str, times: usize| {
        let left = Mutex::new(times);
        move |r: &Request| {
            let mut left = left.lock().unwrap();
            if r.method == "POST" && r.query() != "uploads" && *left > 0 {
                *left -= 1;
                return Action::from(xml(200, code));
            }
            takes(r)
        }
    };
    let s = ScriptedServer::with_service(fails("InternalError", 2))
        .await
        .unwrap();
    put(&v4(&s.url(""), &[]), BIG).await.unwrap();
    let s = ScriptedServer::with_service(fails("InvalidPart", 9))
        .await
        .unwrap();
    let e = put(&v4(&s.url(""), &[]), BIG).await.unwrap_err();
    assert!(e.to_string().contains("200 InvalidPart"), "{e}");
    taken_back(&s).await;
}

async fn taken_back(s: &ScriptedServer) {
    for _ in 0..500 {
        if s.count_requests(|r| r.method == "DELETE" && r.param("uploadId").is_some()) > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the parts are not taken back");
}

#[tokio::test]
async fn a_completion_whose_answer_was_lost_is_one() {
    let left = Mutex::new(1);
    let s = ScriptedServer::with_service(move |r: &Request| {
        if r.method != "POST" || r.query() == "uploads" {
            return takes(r);
        }
        let mut left = left.lock().unwrap();
        if *left == 1 {
            *left = 0;
            return Action::CloseAfterBody;
        }
        xml(404, "NoSuchUpload").into()
    })
    .await
    .unwrap();
    put(&v4(&s.url(""), &[]), BIG).await.unwrap();
}

#[tokio::test]
async fn parts_are_taken_back_when_one_is_refused_and_when_nobody_waits() {
    let s = ScriptedServer::with_service(|r: &Request| match r.param("partNumber").as_deref() {
        Some("2") => xml(403, "AccessDenied").into(),
        _ => takes(r),
    })
    .await
    .unwrap();
    let e = put(&v2(&s.url(""), &[]), BIG).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::PermissionDenied);
    taken_back(&s).await;

    let s = ScriptedServer::with_service(|r: &Request| match r.param("partNumber").as_deref() {
        Some("2") => Action::Hang,
        _ => takes(r),
    })
    .await
    .unwrap();
    let uploader = v4(&s.url(""), &[]);
    let upload = tokio::spawn(async move { put(&uploader, BIG).await });
    while s.count_requests(|r| r.param("partNumber").as_deref() == Some("2")) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    upload.abort();
    taken_back(&s).await;
}

#[tokio::test]
async fn a_store_that_hangs_or_babbles_does_not_hold_us() {
    use uploader_s3::{S3GOAMZ_OPTIONS, S3GoamzFactory};
    let s = server().await;
    let factory = S3GoamzFactory::new(notifier_http::HttpClient::new().unwrap())
        .request_timeout(Duration::from_millis(50));
    let mut settings = notifier_core::BackendSettings::new(S3GOAMZ_OPTIONS);
    for (key, value) in [
        ("access_key", ACCESS_KEY),
        ("secret_key", SECRET_KEY),
        ("bucket", "logs"),
        ("endpoint", &s.url("")),
    ] {
        settings
            .set(notifier_core::Origin::Flag, key, value)
            .unwrap();
    }
    let uploader = notifier_core::UploaderFactory::build(&factory, &settings).unwrap();
    s.always(Action::Hang);
    let e = put(&uploader, 10).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Timeout);

    let s = server().await;
    s.always(Reply::new(403).body(vec![b'<'; 10_000_000]));
    let e = put(&v4(&s.url(""), &[]), 10).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::PermissionDenied);
    s.clear();
    s.always(Action::truncated(5, End::Reset));
    // The answer to a stored log has no body that matters.
    put(&v4(&s.url(""), &[]), 10).await.unwrap();
}

#[tokio::test]
async fn what_is_not_s3_is_said() {
    let s = ScriptedServer::start().await.unwrap();
    let e = put(&v4(&s.url(""), &[]), BIG).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidResponse);
    assert!(
        e.to_string()
            .ends_with("answered 200 with nothing that is S3's"),
        "{e}"
    );
}

#[tokio::test]
async fn links_are_signed_each_time_and_notes_hold_no_secret() {
    let s = server().await;
    for (uploader, other) in [
        (
            v4(&s.url(""), &[("session_token", "t0ken-value")]),
            v2(&s.url(""), &[]),
        ),
        (v2(&s.url(""), &[("timeout", "72h")]), v4(&s.url(""), &[])),
    ] {
        let object = uploader
            .upload(&failure("a b+ü%2f'"), &stdout(), &Log::of(1))
            .await
            .unwrap();
        let note = serde_json::to_string(&object).unwrap();
        for secret in [ACCESS_KEY, SECRET_KEY, "ignature", "t0ken"] {
            assert!(!note.contains(secret), "{note}");
        }
        let link = uploader.link(&object).await.unwrap();
        assert!(
            link.starts_with(&s.url("/logs/complainer/2026-11-21/a%20b%2B%C3%BC%252f%27/")),
            "{link}"
        );
        assert!(!link.contains(SECRET_KEY));
        assert!(link.contains("/stdout?"), "{link}");
        // Notes of the other uploader, and none at all.
        assert!(other.link(&object).await.is_err());
        let e = uploader
            .link(&notifier_core::ObjectRef("http://a/stdout".into()))
            .await
            .unwrap_err();
        assert!(e.to_string().contains("another uploader"), "{e}");
    }
    let v2 = v2(&s.url(""), &[("timeout", "72h")]);
    let object = v2
        .upload(&failure("web"), &stdout(), &Log::of(1))
        .await
        .unwrap();
    let link = v2.link(&object).await.unwrap();
    let (path, query) = link.split_once('?').unwrap();
    assert_eq!(
        path,
        s.url("/logs/complainer/2026-11-21/web/2026-11-21T10:20:30.456-web.1/stdout")
    );
    let names: Vec<_> = query
        .split('&')
        .filter_map(|p| p.split('=').next())
        .collect();
    assert_eq!(names, ["AWSAccessKeyId", "Expires", "Signature"]);
}

#[tokio::test]
async fn the_bucket_is_in_the_host_where_the_endpoint_has_it_there() {
    let uploader = v4("http://s3.example:9000", &[("path_style", "false")]);
    let object = notifier_core::ObjectRef(
        serde_json::json!({"uploader": "s3aws", "bucket": "logs", "key": "a/stdout"}),
    );
    let link = uploader.link(&object).await.unwrap();
    assert!(
        link.starts_with("http://logs.s3.example:9000/a/stdout?X-Amz-Algorithm="),
        "{link}"
    );
}

#[tokio::test]
async fn a_long_log_is_cut_and_says_so() {
    let s = server().await;
    let uploader = v4(&s.url(""), &[("max_size", "1000")]);
    put(&uploader, 5000).await.unwrap();
    let body = s.requests()[0].body.clone();
    let mark = b"\n[... 4000 bytes are left out here ...]\n";
    let expected = [&Log::slice(0, 500)[..], mark, &Log::slice(4500, 5000)].concat();
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_wrong_template_and_a_long_key_are_told() {
    let s = server().await;
    let uploader = v4(&s.url(""), &[("prefix", "{{ .failure.Nope }}")]);
    let e = put(&uploader, 1).await.unwrap_err();
    assert!(e.to_string().contains("s3aws.prefix"), "{e}");
    let uploader = v4(&s.url(""), &[("prefix", "{{ .failure.Name }}")]);
    let long = failure(&"x".repeat(2000));
    let e = uploader
        .upload(&long, &stdout(), &Log::of(1))
        .await
        .unwrap_err();
    assert!(e.to_string().contains("1024 are allowed"), "{e}");
    assert!(s.requests().is_empty());
}

#[tokio::test]
async fn check_asks_for_nothing_that_who_stores_need_not_have() {
    let s = server().await;
    for uploader in both(&s.url("")) {
        s.clear_requests();
        uploader.check().await.unwrap();
        assert_eq!(s.requests()[0].target, "/logs/?location");
        s.next(xml(403, "AccessDenied"));
        uploader.check().await.unwrap();
        s.next(xml(403, "SignatureDoesNotMatch"));
        uploader.check().await.unwrap_err();
        s.next(xml(404, "NoSuchBucket"));
        uploader.check().await.unwrap_err();
    }
}
