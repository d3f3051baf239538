//! What a store answers when it does not do what it should, and what follows from it.

use std::{sync::Mutex, time::Duration};

use notifier_core::{ErrorKind, Retry};
use notifier_testkit::http::{Action, End, Reply, Request, ScriptedServer};

use crate::{
    common::{ACCESS_KEY, Log, SECRET_KEY, failure, stdout, v2, v4},
    protocol::{BIG, both, put, server, takes, xml},
};

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
