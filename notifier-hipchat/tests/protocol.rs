//! What goes to HipChat, and what follows from what it answers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use notifier_core::{
    BackendSettings, Clock, Delivery, DeliveryId, Digest, ErrorKind, FailureRecord, LabelGrammar,
    Links, ManualClock, Next, Notice, Origin, Receipt, Report, ReportOptions, Reporter, Result,
    Retry, Scope, Settings, Subject, SystemClock, jiff::Timestamp,
};
use notifier_hipchat::{HipchatReporter, HipchatReporterBuilder, MAX_MESSAGE, OPTIONS};
use notifier_http::{GuestPolicy, HttpClient};
use notifier_testkit::hipchat::{FakeHipchat, HipchatReply, RateLimit};
use serde_json::{Value, json};

fn failure() -> FailureRecord {
    FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH)
}

fn report(f: FailureRecord) -> Report {
    Report::failure(f).with_links(Links::new("http://a/stdout", "http://a/stderr"))
}

async fn fake() -> FakeHipchat {
    FakeHipchat::start().await.unwrap()
}

fn to(fake: &FakeHipchat, room: &str) -> HipchatReporterBuilder {
    HipchatReporter::builder()
        .base_url(&fake.base_url())
        .token(&fake.room(room))
        .room(room)
}

/// What arrives of one report.
async fn sent(
    fake: &FakeHipchat,
    reporter: HipchatReporterBuilder,
    report: &Report,
) -> (Value, usize) {
    let receipt = reporter.build().unwrap().send(report).await.unwrap();
    assert_eq!(receipt.next(), Next::Done);
    (
        fake.received().pop().unwrap().payload,
        receipt.warnings.len(),
    )
}

#[tokio::test]
async fn posts_json_to_the_room_with_the_token_in_the_header_only() {
    let fake = fake().await;
    let (body, warnings) = sent(&fake, to(&fake, "room two/a"), &report(failure())).await;
    assert_eq!(warnings, 0);
    assert_eq!(
        body,
        json!({
            "message_format": "html",
            "color": "red",
            "notify": true,
            "message": "Task web (web.1) died with status TASK_FAILED [<a href=\"http://a/stdout\">stdout</a>, <a href=\"http://a/stderr\">stderr</a>]",
        })
    );
    let request = &fake.server().requests()[0];
    assert_eq!(request.target, "/v2/room/room%20two%2Fa/notification");
    let token = fake.room("room two/a");
    assert_eq!(
        request.header("authorization"),
        Some(&*format!("Bearer {token}"))
    );
    assert!(!request.target.contains(&token) && !request.text().contains(&token));
}

#[tokio::test]
async fn data_is_escaped_for_its_place() {
    let fake = fake().await;
    let mut f = failure();
    f.name = "<b>\"x\"</b> & 'y' 日本\0\u{7}".to_owned();
    let links = Links::new("http://a/?x=1&y=\"><script>'", "javascript:alert(1)");
    let (body, _) = sent(
        &fake,
        to(&fake, "a"),
        &Report::failure(f.clone()).with_links(links),
    )
    .await;
    assert_eq!(
        body["message"],
        "Task &lt;b&gt;\"x\"&lt;/b&gt; &amp; 'y' 日本 (web.1) died with status TASK_FAILED [<a href=\"http://a/?x=1&amp;y=%22%3E%3Cscript%3E%27\">stdout</a>, stderr]"
    );
    // Inside an attribute, quotes too.
    let format = r#"<img alt="{{ .failure.Name }}"> {{ raw .failure.ID }}"#;
    let (body, _) = sent(&fake, to(&fake, "a").format(format), &report(f)).await;
    assert_eq!(
        body["message"],
        "<img alt=\"&lt;b&gt;&#34;x&#34;&lt;/b&gt; &amp; &#39;y&#39; 日本\"> web.1"
    );
}

#[tokio::test]
async fn missing_logs_are_text_and_said() {
    let fake = fake().await;
    let r = Report::failure(failure()).with_links(Links::missing("agent <a> does not answer"));
    let (body, _) = sent(&fake, to(&fake, "a"), &r).await;
    assert_eq!(
        body["message"],
        "Task web (web.1) died with status TASK_FAILED [stdout, stderr] (no logs: agent &lt;a&gt; does not answer)"
    );
}

#[tokio::test]
async fn plain_text_has_a_template_of_its_own_unless_one_is_set() {
    let fake = fake().await;
    let mut f = failure();
    f.name = "<web>".to_owned();
    let (body, _) = sent(&fake, to(&fake, "a").plain_text(true), &report(f.clone())).await;
    assert_eq!(
        (&body["message_format"], &body["message"]),
        (
            &json!("text"),
            &json!(
                "Task <web> (web.1) died with status TASK_FAILED [stdout: http://a/stdout, stderr: http://a/stderr]"
            )
        )
    );
    let b = to(&fake, "a")
        .plain_text(true)
        .format("@all {{ .failure.Name }}");
    let (body, _) = sent(&fake, b, &report(f)).await;
    assert_eq!(body["message"], "@all <web>");
}

#[tokio::test]
async fn colour_sender_card_and_sound_are_as_set() {
    let fake = fake().await;
    let color =
        r#"{{ if eq .failure.State "TASK_LOST" }} Yellow {{ else }}{{ config "color" }}{{ end }}"#;
    let card = r#"{"style":"application","title":{{ toJson .failure.Name }},"url":{{ toJson .stdoutURL }}}"#;
    let b = || {
        to(&fake, "a")
            .color(color)
            .from("{{ .failure.Framework }}-{{ .failure.Name }}")
            .notify(false)
            .card(card)
    };
    let mut f = failure();
    f.framework = "marathon".to_owned();
    f.name = "a \"b\" {}\n".to_owned();
    f.state = "TASK_LOST".to_owned();
    let r = report(f.clone());
    let (body, warnings) = sent(&fake, b(), &r).await;
    assert_eq!(warnings, 0);
    assert_eq!(
        (&body["color"], &body["from"], &body["notify"]),
        (
            &json!("yellow"),
            &json!("marathon-a \"b\" {}"),
            &json!(false)
        )
    );
    assert_eq!(body["card"]["title"], "a \"b\" {}\n");
    assert_eq!(body["card"]["url"], "http://a/stdout");
    let id = DeliveryId::derive("default", &r.subject().key(), "hipchat", "default", 0);
    assert_eq!(body["card"]["id"], id.as_str());

    // The colour of a label, and none: red without a word.
    f.state = "TASK_FAILED".to_owned();
    let purple = report(f.clone()).with_config(|_| "purple".to_owned());
    assert_eq!(sent(&fake, b(), &purple).await.0["color"], "purple");
    let (body, warnings) = sent(&fake, b(), &report(f.clone())).await;
    assert_eq!((&body["color"], warnings), (&json!("red"), 0));
    let blue = report(f.clone()).with_config(|_| "blue".to_owned());
    let (body, warnings) = sent(&fake, b(), &blue).await;
    assert_eq!((&body["color"], warnings), (&json!("red"), 1));

    // A card is whole although logs are missing.
    let r = Report::failure(f.clone()).with_links(Links::missing("no agent"));
    let (body, warnings) = sent(&fake, b(), &r).await;
    assert_eq!((&body["card"]["url"], warnings), (&json!(""), 0));

    // Wrong ones do not lose the message.
    let wrong = to(&fake, "a")
        .from("{{ .failure.Nope }}")
        .color("{{ .failure.Nope }}")
        .card("{");
    let (body, warnings) = sent(&fake, wrong, &report(f)).await;
    assert_eq!(warnings, 3);
    assert_eq!(body["color"], "red");
    assert!(body.get("from").is_none() && body.get("card").is_none());
}

#[tokio::test]
async fn a_message_that_is_refused_with_its_card_goes_out_without_it_once() {
    let fake = fake().await;
    // The fake wants a style.
    let b = || to(&fake, "a").card(r#"{"title":"x"}"#);
    let (body, warnings) = sent(&fake, b(), &report(failure())).await;
    assert_eq!((body.get("card"), warnings), (None, 1));
    assert_eq!(fake.attempts().len(), 2);

    fake.clear();
    let refused = || HipchatReply::error(400, "no");
    fake.script_all("a", [refused(), refused()]);
    let e = b()
        .build()
        .unwrap()
        .send(&report(failure()))
        .await
        .unwrap_err();
    assert_eq!((e.kind(), e.retry()), (ErrorKind::Rejected, Retry::Never));
    assert_eq!(fake.attempts().len(), 2);

    // What is refused for another reason is not tried again.
    fake.clear();
    fake.script("a", HipchatReply::error(401, "no"));
    b().build()
        .unwrap()
        .send(&report(failure()))
        .await
        .unwrap_err();
    assert_eq!(fake.attempts().len(), 1);
}

#[tokio::test]
async fn a_long_message_is_cut_between_tags() {
    let fake = fake().await;
    let mut f = failure();
    f.name = "é&".repeat(4000);
    let format = "<b><i>{{ .failure.Name }}</i></b> <a href=\"{{ .stdoutURL }}\">stdout</a>";
    let (body, warnings) = sent(&fake, to(&fake, "a").format(format), &report(f)).await;
    assert_eq!(warnings, 1);
    let text = body["message"].as_str().unwrap();
    assert!(text.chars().count() <= MAX_MESSAGE && text.len() > MAX_MESSAGE - 200);
    let (kept, mark) = text.rsplit_once("</i></b>… (").unwrap();
    assert!(
        mark.ends_with(" more characters)") && kept.ends_with([';', 'é']),
        "{mark}"
    );

    // Nothing to see would be left.
    let link = format!("http://a/{}", "x".repeat(MAX_MESSAGE));
    let r = Report::failure(failure()).with_links(Links::new(link, ""));
    let format = "<a href=\"{{ .stdoutURL }}\">{{ .failure.Name }}</a>";
    let (body, warnings) = sent(&fake, to(&fake, "a").format(format), &r).await;
    assert_eq!(
        (&body["message"], warnings),
        (&json!("Task web (web.1) died with status TASK_FAILED"), 1)
    );
}

#[tokio::test]
async fn an_empty_or_broken_template_does_not_lose_the_message() {
    let fake = fake().await;
    let b = to(&fake, "a").format("<b> </b>{{ .nl }}");
    let (body, warnings) = sent(&fake, b, &report(failure())).await;
    assert_eq!(
        body["message"],
        "Task web (web.1) died with status TASK_FAILED"
    );
    assert_eq!(warnings, 1);
    let b = to(&fake, "a").format("{{ .failure.Nope }}");
    let (body, warnings) = sent(&fake, b, &report(failure())).await;
    let text = body["message"].as_str().unwrap();
    assert!(
        text.starts_with("Task web (web.1) died with status TASK_FAILED<br><a href=\"http://a/stdout\">stdout</a><br>"),
        "{text}"
    );
    assert!(
        text.contains("(the template failed: hipchat.format: "),
        "{text}"
    );
    assert_eq!(warnings, 1);
}

#[tokio::test]
async fn digests_notices_and_recoveries_are_told() {
    let fake = fake().await;
    let b = || {
        to(&fake, "a")
            .from("mesos")
            .color(r#"{{ if eq .failure.State "TASK_FAILED" }}purple{{ end }}"#)
            .card(r#"{"style":"application","title":"x"}"#)
    };
    let digest = Digest::new("1", "web failed", 17, failure());
    let r = Report::new(Subject::Digest(Arc::new(digest)))
        .with_links(Links::new("http://a/?b&c", "javascript:x"));
    let (body, warnings) = sent(&fake, b(), &r).await;
    assert_eq!(
        (&body["color"], &body["from"], warnings),
        (&json!("purple"), &json!("mesos"), 0)
    );
    let text = body["message"].as_str().unwrap();
    assert!(text.starts_with("17 more tasks like web (web.1)"), "{text}");
    assert!(
        text.contains(" <a href=\"http://a/?b&amp;c\">stdout</a>"),
        "{text}"
    );
    assert!(!text.contains("<a href=\"javascript"), "{text}");
    assert!(body.get("card").is_none());

    let notice = Arc::new(Notice::new(
        "slack:#ops:1",
        "it answers <404>",
        Timestamp::UNIX_EPOCH,
    ));
    let (body, _) = sent(
        &fake,
        b(),
        &Report::new(Subject::Notice(Arc::clone(&notice))),
    )
    .await;
    assert_eq!(
        (&body["color"], &body["from"]),
        (&json!("red"), &json!("mesos"))
    );
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .contains("it answers &lt;404&gt;")
    );
    let (body, _) = sent(&fake, b(), &Report::new(Subject::Recovery(notice))).await;
    assert_eq!(body["color"], "green");
}

/// The settings of a task with these labels.
fn labelled(own: &BackendSettings, labels: &[(&str, &str)]) -> Settings {
    let labels: BTreeMap<String, String> = labels
        .iter()
        .map(|(k, v)| (format!("complainer_hipchat_{k}"), (*v).to_owned()))
        .collect();
    own.resolve(&LabelGrammar::default().scope(&labels), "default")
}

async fn send_as(reporter: &HipchatReporter, settings: &Settings) -> Result<Receipt> {
    let id = DeliveryId::new("x");
    reporter
        .report(&report(failure()), &ReportOptions::new(&id, settings))
        .await
}

fn done(receipt: Receipt) {
    assert_eq!(receipt.next(), Next::Done);
}

#[tokio::test]
async fn the_configured_token_is_not_sent_where_a_label_says() {
    let (ours, theirs) = (fake().await, fake().await);
    let mut own = BackendSettings::new(OPTIONS);
    for (key, value) in [
        ("base_url", ours.base_url()),
        ("token", ours.room("ops")),
        ("room", "ops".to_owned()),
    ] {
        own.set(Origin::Env, key, &value).unwrap();
    }
    let open = HttpClient::builder()
        .guests(GuestPolicy::parse("", ["127.0.0.0/8"]).unwrap())
        .build()
        .unwrap();
    let reporter = HipchatReporter::new(&own, open).unwrap();

    let stolen = labelled(&own, &[("base_url", &theirs.base_url())]);
    let e = send_as(&reporter, &stolen).await.unwrap_err();
    assert_eq!(
        (e.kind(), e.retry(), e.delivery()),
        (ErrorKind::Config, Retry::Never, Delivery::NotDelivered)
    );
    assert!(
        e.to_string()
            .contains("the configured token does not go there"),
        "{e}"
    );
    assert_eq!(
        reporter.check(&stolen).await.unwrap_err().kind(),
        ErrorKind::Config
    );
    assert!(theirs.server().requests().is_empty());

    // With a token of its own a task may go there; the operator's is not sent along.
    let token = theirs.room("theirs");
    let labels = [
        ("base_url", theirs.base_url()),
        ("token", token),
        ("room", "theirs".to_owned()),
    ];
    let labels: Vec<(&str, &str)> = labels.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let guest = labelled(&own, &labels);
    done(send_as(&reporter, &guest).await.unwrap());
    reporter.check(&guest).await.unwrap();
    assert_eq!(theirs.received().len(), 1);

    // That address is a guest's, though, and this one leads to the host itself.
    let closed = HipchatReporter::new(&own, HttpClient::new().unwrap()).unwrap();
    let e = send_as(&closed, &guest).await.unwrap_err();
    assert_eq!(
        (e.kind(), e.delivery()),
        (ErrorKind::Config, Delivery::NotDelivered)
    );
    assert_eq!(
        closed.check(&guest).await.unwrap_err().kind(),
        ErrorKind::Config
    );
    assert_eq!(theirs.received().len(), 1);

    // The configured host in another path is none.
    let same = labelled(&own, &[("base_url", &ours.server().url(""))]);
    done(send_as(&closed, &same).await.unwrap());
    let _ = ours.room("dev");
    let room = labelled(&own, &[("room", "dev"), ("token", &ours.room("dev"))]);
    done(send_as(&closed, &room).await.unwrap());
    let rooms: Vec<String> = ours.received().into_iter().map(|m| m.room).collect();
    assert_eq!(rooms, ["ops", "dev"]);
}

#[tokio::test]
async fn after_the_last_message_of_a_window_nothing_is_sent_until_its_end() {
    let fake = fake().await;
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let minute = Duration::from_secs(60);
    fake.rate_limit(Some(RateLimit::default().room(2, minute)));
    let reporter = to(&fake, "a")
        .build()
        .unwrap()
        .with_clock(Arc::<ManualClock>::clone(&clock));
    for _ in 0..2 {
        done(reporter.send(&report(failure())).await.unwrap());
    }
    let e = reporter.send(&report(failure())).await.unwrap_err();
    let Retry::Later { after: Some(after) } = e.retry() else {
        panic!("{e:?}");
    };
    assert_eq!(
        (e.kind(), e.delivery(), e.scope()),
        (
            ErrorKind::RateLimited,
            Delivery::NotDelivered,
            Scope::Message
        )
    );
    assert!(after <= minute + Duration::from_secs(2) && after > Duration::ZERO);
    assert_eq!(fake.attempts().len(), 2, "nothing was sent");
    clock.advance(after);
    fake.rate_limit(None);
    done(reporter.send(&report(failure())).await.unwrap());
    assert_eq!(fake.received().len(), 3);
}

#[tokio::test]
async fn no_error_shows_the_token() {
    let fake = fake().await;
    let token = fake.room("a");
    for reply in [
        HipchatReply::error(401, &format!("no such token {token}")),
        HipchatReply::error(400, &token),
        HipchatReply::action(notifier_testkit::http::Reply::text(
            200,
            format!(r#"{{"error":"{token}"}}"#),
        )),
    ] {
        fake.script("a", reply);
        let reporter = to(&fake, "a").build().unwrap();
        let e = reporter.send(&report(failure())).await.unwrap_err();
        let shown = format!("{e} {e:?} {} {reporter:?}", e.report());
        assert!(!shown.contains(&token), "{shown}");
    }
}

/// A token's limit holds for its other rooms as well: what a refusal tells of it is kept.
#[tokio::test]
async fn a_token_that_is_spent_in_one_room_is_not_used_in_another() {
    let fake = fake().await;
    let user = fake.user();
    let (_, _) = (fake.room("a"), fake.room("b"));
    let now = notifier_core::jiff::Timestamp::from_second(1_000).unwrap();
    let clock = Arc::new(ManualClock::new(now));
    let refusal = notifier_testkit::http::Reply::new(429)
        .header("X-Ratelimit-Remaining", "0")
        .header("X-Ratelimit-Reset", "1060");
    fake.script("a", HipchatReply::action(refusal));
    let reporter = to(&fake, "a")
        .token(&user)
        .build()
        .unwrap()
        .with_clock(Arc::<ManualClock>::clone(&clock));
    let mut settings = BackendSettings::new(OPTIONS);
    for (key, value) in [
        ("base_url", fake.base_url().as_str()),
        ("token", &user),
        ("room", "b"),
    ] {
        settings.set(Origin::Flag, key, value).unwrap();
    }
    let b = settings.instance("default");
    assert!(reporter.send(&report(failure())).await.is_err());
    assert!(send_as(&reporter, &b).await.is_err());
    assert_eq!(fake.attempts().len(), 1, "nothing was sent to the other");
    clock.advance(Duration::from_secs(61));
    done(send_as(&reporter, &b).await.unwrap());
}
