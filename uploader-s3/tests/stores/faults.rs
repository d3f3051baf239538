//! What a store answers when it does not do what it should, and what follows from it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use notifier_core::{
    BackendSettings, ErrorKind, LogContent, LogPart, OpenLog, Origin, Result, Retry, Uploader,
    UploaderFactory as _,
};
use notifier_http::HttpClient;
use notifier_testkit::http::{Action, Body, End, Reply, Request, ScriptedServer};
use uploader_s3::{S3GOAMZ_OPTIONS, S3GoamzFactory};

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
async fn logs_that_are_refused_together_both_go_without_access_lists() {
    let held = Arc::new(Mutex::new(Vec::new()));
    let holds = Arc::clone(&held);
    let s = ScriptedServer::with_service(move |r: &Request| {
        if r.header("x-amz-acl").is_none() {
            return Action::status(200);
        }
        let (sender, body) = Body::channel();
        holds.lock().unwrap().push(sender);
        Reply::new(400).body(body).into()
    })
    .await
    .unwrap();
    let uploader = v4(&s.url(""), &[]);
    let refuse = async {
        while held.lock().unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for sender in held.lock().unwrap().drain(..) {
            sender.send("<Error><Code>AccessControlListNotSupported</Code></Error>");
        }
    };
    let (one, other, ()) = tokio::join!(put(&uploader, 10), put(&uploader, 10), refuse);
    one.unwrap();
    other.unwrap();
    assert_eq!(s.requests().len(), 4);
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
async fn an_upload_that_is_gone_is_done_only_if_it_may_be() {
    for (first, is_done) in [
        (xml(500, "InternalError"), true),
        (xml(503, "ServiceUnavailable"), true),
        (xml(400, "RequestTimeout"), false),
        (xml(409, "OperationAborted"), false),
    ] {
        let first = Mutex::new(Some(first));
        let s = ScriptedServer::with_service(move |r: &Request| {
            if r.method != "POST" || r.query() == "uploads" {
                return takes(r);
            }
            let first = first.lock().unwrap().take();
            first.unwrap_or_else(|| xml(404, "NoSuchUpload")).into()
        })
        .await
        .unwrap();
        let end = put(&v4(&s.url(""), &[]), BIG).await;
        assert_eq!(end.is_ok(), is_done, "{end:?}");
    }
}

/// A store whose completions end so, and which says that the object has this size.
async fn completes(with: Action, size: u64) -> ScriptedServer {
    ScriptedServer::with_service(move |r: &Request| match r.method.as_str() {
        "POST" if r.query() != "uploads" => with.clone(),
        "HEAD" => Reply::new(200).body(Body::repeated("a", size)).into(),
        _ => takes(r),
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_completion_may_take_its_time() {
    let done = "<CompleteMultipartUploadResult/>";
    let late = Reply::new(200).body(done).delay(Duration::from_millis(600));
    let s = completes(late.into(), 0).await;
    let uploader = hasty(&s, Duration::from_millis(300));
    put(&uploader, BIG).await.unwrap();
}

#[tokio::test]
async fn a_completion_without_an_answer_is_looked_for() {
    let short = Duration::from_millis(150);
    let s = completes(Action::Hang, BIG).await;
    put(&hasty(&s, short), BIG).await.unwrap();
    assert_eq!(s.count_requests(|r| r.method == "HEAD"), 1);
    assert_eq!(s.count_requests(|r| r.method == "DELETE"), 0);

    let s = completes(Action::Hang, BIG - 1).await;
    let uploader = hasty(&s, short);
    let e = put(&uploader, BIG).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Timeout);
    taken_back(&s).await;
    // One that is slow at this is not silent.
    put(&uploader, 10).await.unwrap();

    // Refused: there is nothing to look for.
    let s = completes(xml(400, "InvalidPart").into(), BIG).await;
    put(&v4(&s.url(""), &[]), BIG).await.unwrap_err();
    assert_eq!(s.count_requests(|r| r.method == "HEAD"), 0);
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

/// An uploader that waits so long for an answer.
fn hasty(s: &ScriptedServer, timeout: Duration) -> Arc<dyn Uploader> {
    let factory = S3GoamzFactory::new(HttpClient::new().unwrap()).request_timeout(timeout);
    let mut settings = BackendSettings::new(S3GOAMZ_OPTIONS);
    for (key, value) in [
        ("access_key", ACCESS_KEY),
        ("secret_key", SECRET_KEY),
        ("bucket", "logs"),
        ("endpoint", &s.url("")),
    ] {
        settings.set(Origin::Flag, key, value).unwrap();
    }
    factory.build(&settings).unwrap()
}

const ALONE: &str = "the store does not answer; left alone for 30s";

#[tokio::test]
async fn a_store_that_does_not_answer_is_left_alone() {
    let s = server().await;
    let uploader = hasty(&s, Duration::from_millis(50));
    s.always(Action::Hang);
    let e = put(&uploader, 10).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Timeout);
    // Sent again once, not more.
    assert_eq!(s.requests().len(), 2);
    for size in [10, BIG] {
        let log = Log::of(size);
        let e = uploader.upload(&failure("web"), &stdout(), &log).await;
        let e = e.unwrap_err();
        assert_eq!(
            (e.to_string().as_str(), e.kind()),
            (ALONE, ErrorKind::Timeout)
        );
        // The agent has no work with it.
        assert_eq!(log.opened.load(Ordering::Relaxed), 0);
    }
    assert_eq!(uploader.check().await.unwrap_err().to_string(), ALONE);
    assert_eq!(s.requests().len(), 2);

    s.refuse();
    let uploader = hasty(&s, Duration::from_millis(50));
    let e = put(&uploader, 10).await.unwrap_err();
    assert!(e.to_string().contains("cannot connect"), "{e}");
    let e = put(&uploader, 10).await.unwrap_err();
    assert_eq!(
        (e.to_string().as_str(), e.kind()),
        (ALONE, ErrorKind::Unavailable)
    );

    // An answer is one, whatever it says.
    let s = server().await;
    s.always(xml(503, "SlowDown"));
    let uploader = hasty(&s, Duration::from_secs(10));
    for _ in 0..2 {
        let e = put(&uploader, 10).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::RateLimited);
    }
}

#[tokio::test]
async fn logs_that_wait_do_not_ask_a_silent_store_too() {
    let s = server().await;
    s.always(Action::Hang);
    let uploader = hasty(&s, Duration::from_millis(50));
    let uploads = (0..40).map(|_| put(&uploader, 10));
    let ends = futures_util::future::join_all(uploads).await;
    let left_alone = ends
        .iter()
        .filter(|e| e.as_ref().unwrap_err().to_string() == ALONE);
    assert!(left_alone.count() >= 24);
    // Sixteen at once, twice.
    assert!(s.requests().len() <= 32, "{}", s.requests().len());
}

#[tokio::test]
async fn a_store_that_babbles_does_not_hold_us() {
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
async fn a_web_page_stores_nothing() {
    let s = ScriptedServer::start().await.unwrap();
    s.always(Reply::html(200));
    for size in [10, BIG] {
        let e = put(&v4(&s.url(""), &[]), size).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidResponse);
        assert!(e.to_string().contains("answered 200 with "), "{e}");
    }
    // Whoever says nothing takes it.
    for quiet in [
        Reply::new(200).header("Content-Type", "text/html"),
        Reply::new(204),
        Reply::json(200, &serde_json::json!({})),
    ] {
        s.clear();
        s.always(quiet);
        put(&v4(&s.url(""), &[]), 10).await.unwrap();
    }
}

/// A log that stops: before its first byte, or after a part.
#[derive(Debug)]
struct Stops {
    after: u64,
    opened: Arc<AtomicUsize>,
}

#[async_trait]
impl LogContent for Stops {
    async fn open(&self, part: LogPart) -> Result<OpenLog> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        if self.after == 0 {
            std::future::pending::<()>().await;
        }
        let first = Log::of(self.after).open(part).await?;
        let bytes = first.bytes.chain(futures_util::stream::pending());
        Ok(OpenLog::new(Some(self.after + 1), bytes.boxed()))
    }
}

#[tokio::test]
async fn an_agent_that_gives_nothing_takes_no_room_from_others() {
    // More than run at once; more than there is room for.
    for (after, many) in [(0, 20), (5 * 1024 * 1024, 5)] {
        let s = server().await;
        let uploader = v2(&s.url(""), &[]);
        let opened = Arc::new(AtomicUsize::new(0));
        let stopped: Vec<_> = (0..many)
            .map(|_| {
                let uploader = Arc::clone(&uploader);
                let log = Stops {
                    after,
                    opened: Arc::clone(&opened),
                };
                tokio::spawn(async move {
                    let _ = uploader.upload(&failure("slow"), &stdout(), &log).await;
                })
            })
            .collect();
        let parts = if after > 0 { many } else { 0 };
        while opened.load(Ordering::Relaxed) < 16.min(many)
            || s.count_requests(|r| r.param("partNumber").is_some()) < 4.min(parts)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let stored = put(&uploader, BIG);
        let stored = tokio::time::timeout(Duration::from_secs(60), stored).await;
        stored.unwrap().unwrap();
        // They did not have to be given up for it.
        assert!(stopped.iter().all(|s| !s.is_finished()), "{after}");
        stopped.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
