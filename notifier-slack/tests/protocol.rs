//! What Slack answers and what follows from it.

use std::time::Duration;

use notifier_core::{
    BackendSettings, Delivery, DeliveryId, Error, ErrorKind, FailureRecord, LabelGrammar, Links,
    Next, Origin, Report, ReportOptions, Reporter, Retry, Scope, jiff::Timestamp,
};
use notifier_http::{GuestPolicy, HttpClient};
use notifier_slack::{OPTIONS, PLAIN_TEXT, SlackReporter};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

fn report() -> Report {
    let f = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH);
    Report::failure(f).with_links(Links::new("http://a/stdout", "http://a/stderr"))
}

async fn server(answer: ResponseTemplate) -> MockServer {
    let s = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&s).await;
    s
}

async fn send(s: &MockServer) -> Result<notifier_core::Receipt, Error> {
    let url = format!("{}/services/T0/B0/s3cretpath", s.uri());
    SlackReporter::builder()
        .hook_url(&url)
        .channel("#a")
        .build()
        .unwrap()
        .send(&report())
        .await
}

async fn bodies(s: &MockServer) -> Vec<serde_json::Value> {
    s.received_requests()
        .await
        .unwrap()
        .iter()
        .map(|r| r.body_json().unwrap())
        .collect()
}

#[tokio::test]
async fn posts_json_with_the_members_that_are_set() {
    let s = server(ResponseTemplate::new(200).set_body_string("ok\n")).await;
    assert_eq!(send(&s).await.unwrap().next(), Next::Done);
    let requests = s.received_requests().await.unwrap();
    assert_eq!(requests[0].method.as_str(), "POST");
    assert_eq!(requests[0].headers["content-type"], "application/json");
    let body = &bodies(&s).await[0];
    assert_eq!(body["channel"], "#a");
    assert!(
        body["text"]
            .as_str()
            .unwrap()
            .starts_with("Task web (web.1) died with status TASK_FAILED")
    );
    let mut members: Vec<_> = body.as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(members, ["channel", "text", "unfurl_links", "unfurl_media"]);
}

#[tokio::test]
async fn answers_have_their_verdicts() {
    use ErrorKind as K;
    let text = |status, body: &str| ResponseTemplate::new(status).set_body_string(body);
    let later = Retry::Later { after: None };
    let after = |s| Retry::Later {
        after: Some(Duration::from_secs(s)),
    };
    let (no, unknown) = (Delivery::NotDelivered, Delivery::Unknown);
    let (one, all) = (Scope::Message, Scope::Destination);
    for (answer, kind, retry, delivery, scope) in [
        (
            text(404, "no_service"),
            K::Unauthenticated,
            Retry::Never,
            no,
            all,
        ),
        (
            text(403, "action_prohibited"),
            K::PermissionDenied,
            Retry::Never,
            no,
            all,
        ),
        (
            text(404, "channel_not_found"),
            K::Rejected,
            Retry::Never,
            no,
            all,
        ),
        (
            text(410, "channel_is_archived"),
            K::Rejected,
            Retry::Never,
            no,
            all,
        ),
        (text(500, "rollup_error"), K::Unavailable, later, no, one),
        (
            text(500, "<html>oops</html>"),
            K::Unavailable,
            later,
            unknown,
            one,
        ),
        (
            text(500, "internal_error"),
            K::Unavailable,
            later,
            unknown,
            one,
        ),
        (text(502, ""), K::Unavailable, later, unknown, one),
        (text(503, ""), K::Unavailable, later, no, one),
        (
            text(429, "no_service").insert_header("retry-after", "9"),
            K::RateLimited,
            after(9),
            no,
            one,
        ),
        (
            text(
                429,
                r#"{"ok":false,"error":"rate_limited","retry_after":3}"#,
            ),
            K::RateLimited,
            after(3),
            no,
            one,
        ),
        (
            text(200, r#"{"ok":false,"error":"ratelimited"}"#),
            K::RateLimited,
            later,
            no,
            one,
        ),
        (
            text(200, r#"{"ok":false,"error":"token_revoked"}"#),
            K::Unauthenticated,
            Retry::Never,
            no,
            all,
        ),
        (
            text(200, "no_service"),
            K::Unauthenticated,
            Retry::Never,
            no,
            all,
        ),
        // A proxy's page, and a word like Slack's for a refusal.
        (
            text(200, "<html>please log in</html>"),
            K::InvalidResponse,
            later,
            unknown,
            one,
        ),
        (
            text(200, "some_new_word"),
            K::Rejected,
            Retry::Never,
            no,
            one,
        ),
        (
            text(200, r#"{"ok":false,"error":"some_new_word"}"#),
            K::Rejected,
            Retry::Never,
            no,
            one,
        ),
        (
            text(200, r#"{"ok":false,"error":"Some text with spaces"}"#),
            K::Rejected,
            Retry::Never,
            no,
            one,
        ),
        (
            text(200, r#"{"ok":false}"#),
            K::Rejected,
            Retry::Never,
            no,
            one,
        ),
        (
            text(200, r#"{"success":false,"retry_after":"x"}"#),
            K::Rejected,
            Retry::Never,
            no,
            one,
        ),
        (
            text(
                200,
                r#"{"ok":false,"error":"ratelimited","retry_after":"30"}"#,
            ),
            K::RateLimited,
            after(30),
            no,
            one,
        ),
        (
            text(
                429,
                r#"{"ok":false,"error":"rate_limited","retry_after":1e300}"#,
            ),
            K::RateLimited,
            after(3600),
            no,
            one,
        ),
        (text(404, "<html>"), K::Rejected, Retry::Never, no, all),
        (text(400, "no_text"), K::Rejected, Retry::Never, no, one),
        (
            text(302, "").insert_header("location", "http://b.example/x"),
            K::Rejected,
            Retry::Never,
            no,
            one,
        ),
    ] {
        let s = server(answer.clone()).await;
        let e = send(&s).await.unwrap_err();
        assert_eq!(
            (e.kind(), e.retry(), e.delivery(), e.scope()),
            (kind, retry, delivery, scope),
            "{answer:?}: {e:?}"
        );
        assert!(
            !format!("{e:?} {}", e.report()).contains("s3cretpath"),
            "{e:?}"
        );
        assert_eq!(bodies(&s).await.len(), 1, "{e}");
    }
}

#[tokio::test]
async fn look_alikes_say_it_in_their_own_way() {
    for (body, warnings) in [
        ("OK", 0),
        (r#"{"ok":true}"#, 0),
        (r#"{"ok":true,"retry_after":"5"}"#, 0),
        (r#"{"ok":true,"error":{"a":1}}"#, 0),
        (r#"{"success":true}"#, 0),
        // Nothing that Slack would say: it has the message, and would get it again for ever.
        ("", 1),
        ("\u{feff}ok", 1),
        ("1", 1),
        ("success", 1),
        ("Message sent", 1),
        (r#"{"result":"success"}"#, 1),
    ] {
        let s = server(ResponseTemplate::new(200).set_body_string(body)).await;
        let receipt = send(&s).await.unwrap();
        assert_eq!(
            (receipt.next(), receipt.warnings.len()),
            (Next::Done, warnings),
            "{body:?}"
        );
        assert_eq!(bodies(&s).await.len(), 1, "{body:?}");
        if let Some(e) = receipt.warnings.first() {
            assert!(
                e.to_string()
                    .ends_with("did not say ok: taken as delivered")
            );
            assert!(!e.report().to_string().contains("s3cretpath"), "{e:?}");
        }
    }
}

#[tokio::test]
async fn what_is_too_large_goes_out_plain_and_short_once() {
    let s = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(413).set_body_string("<html>too large</html>"))
        .up_to_n_times(1)
        .mount(&s)
        .await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_string("ok"))
        .mount(&s)
        .await;
    let receipt = send(&s).await.unwrap();
    assert_eq!((receipt.next(), receipt.warnings.len()), (Next::Done, 1));
    assert_eq!(bodies(&s).await.len(), 2);

    let s = server(ResponseTemplate::new(413)).await;
    let e = send(&s).await.unwrap_err();
    assert_eq!((e.kind(), e.retry()), (ErrorKind::TooLarge, Retry::Never));
    assert_eq!(bodies(&s).await.len(), 2);
}

#[tokio::test]
async fn a_form_that_is_refused_goes_out_plain_and_short_once() {
    let s = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(400).set_body_string("invalid_payload"))
        .up_to_n_times(1)
        .mount(&s)
        .await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_string("ok"))
        .mount(&s)
        .await;
    let r = SlackReporter::builder().hook_url(&s.uri()).build().unwrap();
    let long = FailureRecord::new(
        "🦀".repeat(9000),
        "web",
        "TASK_FAILED",
        Timestamp::UNIX_EPOCH,
    );
    let receipt = r.send(&Report::failure(long)).await.unwrap();
    assert_eq!((receipt.next(), receipt.warnings.len()), (Next::Done, 1));
    let sizes: Vec<usize> = bodies(&s)
        .await
        .iter()
        .map(|b| b["text"].as_str().unwrap().encode_utf16().count())
        .collect();
    assert!(
        sizes.len() == 2 && sizes[0] > 18_000 && sizes[1] <= PLAIN_TEXT,
        "{sizes:?}"
    );

    // Refused again: that is the end of it.
    let s = server(ResponseTemplate::new(400).set_body_string("invalid_payload")).await;
    let e = send(&s).await.unwrap_err();
    assert_eq!(
        (e.kind(), e.retry(), e.scope()),
        (ErrorKind::Rejected, Retry::Never, Scope::Message)
    );
    assert_eq!(bodies(&s).await.len(), 2);
}

#[tokio::test]
async fn a_long_text_is_cut_and_said_so() {
    let s = server(ResponseTemplate::new(200).set_body_string("ok")).await;
    let r = SlackReporter::builder().hook_url(&s.uri()).build().unwrap();
    let long = FailureRecord::new(
        "é".repeat(50_000),
        "web",
        "TASK_FAILED",
        Timestamp::UNIX_EPOCH,
    );
    let receipt = r.send(&Report::failure(long)).await.unwrap();
    assert!(
        receipt.warnings[0]
            .to_string()
            .starts_with("the message was cut by ")
    );
    let text = bodies(&s).await[0]["text"].as_str().unwrap().to_owned();
    assert!(text.ends_with(" more characters)") && text.chars().count() <= 40_000);
}

#[tokio::test]
async fn a_webhook_from_a_label_is_a_guest() {
    let s = server(ResponseTemplate::new(200).set_body_string("ok")).await;
    let labels = [("complainer_slack_hook_url".to_owned(), s.uri())].into();
    let grammar = LabelGrammar::default();
    let settings = BackendSettings::new(OPTIONS).resolve(&grammar.scope(&labels), "default");
    assert_eq!(settings.origin("hook_url"), Some(Origin::Label));
    let id = DeliveryId::new("x");
    let opts = ReportOptions::new(&id, &settings);

    let closed = SlackReporter::builder().build().unwrap();
    let e = closed.report(&report(), &opts).await.unwrap_err();
    assert_eq!(
        (e.kind(), e.retry(), e.delivery()),
        (ErrorKind::Config, Retry::Never, Delivery::NotDelivered)
    );
    assert_eq!(
        closed.check(&settings).await.unwrap_err().kind(),
        ErrorKind::Config
    );
    assert!(bodies(&s).await.is_empty());

    let http = HttpClient::builder()
        .guests(GuestPolicy::parse("", ["127.0.0.0/8"]).unwrap())
        .build()
        .unwrap();
    let open = SlackReporter::builder().http(http).build().unwrap();
    assert_eq!(
        open.report(&report(), &opts).await.unwrap().next(),
        Next::Done
    );
    open.check(&settings).await.unwrap();
    assert_eq!(bodies(&s).await.len(), 1);
}
