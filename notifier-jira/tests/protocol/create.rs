//! A new issue, both flavours.

use notifier_core::{Next, Report, Reporter, Scope, jiff::Timestamp};
use notifier_testkit::{
    http::{Action, Reply},
    jira::{Endpoint, FakeJira, JiraProject, JiraType},
};
use serde_json::json;

use crate::rig::{Rig, failure, id, report, with_logs};

#[tokio::test]
async fn data_center_gets_the_templates_text() {
    let rig = Rig::data_center(&[]).await;
    let receipt = rig.send(&report(1), &id(1)).await.unwrap();
    assert_eq!(receipt.next(), Next::Done);
    assert_eq!(receipt.warnings.len(), 0, "{:?}", receipt.warnings);
    let delivered = receipt.targets[0].verdict.as_ref().unwrap();
    assert_eq!(receipt.targets[0].target, "OPS");
    assert_eq!(delivered.id.as_deref(), Some("OPS-1"));
    assert_eq!(
        delivered.url.as_deref(),
        Some(format!("{}/browse/OPS-1", rig.jira.url()).as_str())
    );
    let issue = &rig.jira.issues()[0];
    assert_eq!(issue.summary, "Task web died with status TASK_FAILED");
    assert_eq!(
        issue.description(),
        "[stdout|http://agent.example/stdout], [stderr|http://agent.example/stderr], ID=web.1"
    );
    assert_eq!(issue.fields["project"], json!({ "key": "OPS" }));
    assert_eq!(issue.fields["issuetype"], json!({ "id": "1" }));
    assert_eq!(issue.labels.len(), 2);
    assert!(
        issue.labels[0].starts_with("notifier-"),
        "{:?}",
        issue.labels
    );
    assert_eq!(issue.labels[1], format!("notifier-delivery-{}", id(1)));
}

#[tokio::test]
async fn cloud_gets_a_document() {
    let rig = Rig::cloud(&[]).await;
    let receipt = rig.send(&report(1), &id(1)).await.unwrap();
    assert_eq!(receipt.next(), Next::Done);
    let content = rig.jira.issues()[0].description()["content"][0]["content"].clone();
    assert_eq!(
        content,
        json!([
            { "type": "text", "text": "stdout", "marks": [{ "type": "link", "attrs": { "href": "http://agent.example/stdout" } }] },
            { "type": "text", "text": ", " },
            { "type": "text", "text": "stderr", "marks": [{ "type": "link", "attrs": { "href": "http://agent.example/stderr" } }] },
            { "type": "text", "text": ", ID=web.1" },
        ])
    );
}

#[tokio::test]
async fn without_a_user_the_password_is_a_token() {
    let rig = Rig::data_center(&[("username", "")]).await;
    assert_eq!(
        rig.send(&report(1), &id(1)).await.unwrap().next(),
        Next::Done
    );
    let sent = rig.jira.server().requests();
    for r in &sent {
        assert!(r.header("authorization").unwrap().starts_with("Bearer "));
    }
}

#[tokio::test]
async fn what_is_asked_about_the_project_is_asked_once() {
    let rig = Rig::cloud(&[]).await;
    let _ = rig.send(&report(1), &id(1)).await.unwrap();
    let (meta, info) = (
        rig.jira.count(Endpoint::Meta),
        rig.jira.count(Endpoint::ServerInfo),
    );
    for n in 2..5 {
        let mut f = failure(n);
        f.name = format!("other-{n}");
        let _ = rig.send(&Report::failure(f), &id(n)).await.unwrap();
    }
    assert_eq!(rig.jira.issues().len(), 4);
    assert_eq!(rig.jira.count(Endpoint::Meta), meta);
    assert_eq!((info, rig.jira.count(Endpoint::ServerInfo)), (1, 1));
    rig.advance(601);
    let _ = rig.send(&report(9), &id(9)).await.unwrap();
    assert_eq!(rig.jira.count(Endpoint::ServerInfo), 2);
}

#[tokio::test]
async fn an_old_server_is_asked_in_the_old_way() {
    let rig = Rig::data_center(&[]).await;
    rig.jira.set_version(8, 3);
    assert_eq!(
        rig.send(&report(1), &id(1)).await.unwrap().next(),
        Next::Done
    );
    assert_eq!(rig.jira.issues()[0].labels.len(), 2);
}

#[tokio::test]
async fn hostile_data_makes_no_markup() {
    let mut f = failure(1);
    f.id = "[x|http://evil] {code} !http://evil/x.png!".to_owned();
    let rig = Rig::data_center(&[]).await;
    let _ = rig.send(&Report::failure(f.clone()), &id(1)).await.unwrap();
    assert_eq!(
        rig.jira.issues()[0].description(),
        "stdout, stderr, ID=\\[x|http://evil] \\{code} \\!http://evil/x.png!"
    );
    let rig = Rig::cloud(&[]).await;
    let _ = rig.send(&Report::failure(f.clone()), &id(1)).await.unwrap();
    let doc = rig.jira.issues()[0].description().to_string();
    assert!(
        !doc.contains("marks") && !doc.contains("codeBlock"),
        "{doc}"
    );
    assert!(doc.contains(&f.id), "{doc}");
}

#[tokio::test]
async fn a_text_that_is_too_long_is_cut() {
    for is_cloud in [true, false] {
        let fields = "Project:OPS;Issue Type:Bug;Summary:{{ .failure.Message }};Description:{{ .failure.Message }}";
        let rig = match is_cloud {
            true => Rig::cloud(&[("fields", fields)]).await,
            false => Rig::data_center(&[("fields", fields)]).await,
        };
        let mut f = failure(1);
        f.message = Some("\u{1f980} long".repeat(20_000));
        let receipt = rig.send(&Report::failure(f), &id(1)).await.unwrap();
        assert_eq!(receipt.next(), Next::Done);
        assert!(receipt.warnings[0].to_string().contains("was cut by"));
        assert_eq!(rig.jira.count(Endpoint::Create), 1);
    }
}

#[tokio::test]
async fn a_project_without_labels_has_a_property() {
    let rig = Rig::data_center(&[]).await;
    let types = [JiraType::new("1", "Bug")
        .without_field("labels")
        .without_field("description")];
    rig.jira.project(JiraProject::new("OPS").types(types));
    let receipt = rig.send(&report(1), &id(1)).await.unwrap();
    assert_eq!(receipt.next(), Next::Done);
    assert!(
        receipt.warnings[0]
            .to_string()
            .contains("has no field \"Description\"")
    );
    let issue = &rig.jira.issues()[0];
    assert_eq!(
        issue.properties["notifier.delivery"]["delivery"],
        json!(id(1))
    );
    assert_eq!(
        rig.send(&report(2), &id(2)).await.unwrap().next(),
        Next::Done
    );
    assert_eq!(rig.jira.issues().len(), 1);
}

#[tokio::test]
async fn what_jira_does_not_take_is_left_out() {
    let rig = Rig::data_center(&[(
        "fields",
        "Project:OPS;Issue Type:Bug;Summary:x;Priority:Nope;Labels:a b,c",
    )])
    .await;
    let why = json!({ "errorMessages": [], "errors": { "priority": "The priority selected is invalid." } });
    rig.jira.next(Endpoint::Create, Reply::json(400, &why));
    let receipt = rig.send(&report(1), &id(1)).await.unwrap();
    assert_eq!(receipt.next(), Next::Done);
    let warning = receipt.warnings[0].report().to_string();
    assert!(
        warning.contains("priority: The priority selected is invalid."),
        "{warning}"
    );
    let issue = &rig.jira.issues()[0];
    assert!(issue.fields.get("priority").is_none());
    assert_eq!(&issue.labels[..2], ["a_b", "c"]);
}

#[tokio::test]
async fn the_ends_of_logs_are_attached() {
    let rig = Rig::cloud(&[("attach_logs", "28B")]).await;
    let receipt = rig.send(&with_logs(1), &id(1)).await.unwrap();
    assert_eq!((receipt.next(), receipt.warnings.len()), (Next::Done, 0));
    let issue = &rig.jira.issues()[0];
    assert_eq!(issue.attachments.len(), 1);
    assert_eq!(issue.attachments[0].name, "stderr-00000001.txt");
    assert_eq!(issue.attachments[0].bytes, b"--notifier-0000000000000000");
}

#[tokio::test]
async fn files_never_lose_an_issue() {
    let rig = Rig::data_center(&[("attach_logs", "1KiB")]).await;
    // For good: said, and done.
    rig.jira
        .next(Endpoint::Attach, Reply::json(413, &json!({})));
    let receipt = rig.send(&with_logs(1), &id(1)).await.unwrap();
    assert_eq!(receipt.next(), Next::Done);
    assert!(
        receipt.warnings[0]
            .to_string()
            .contains("stderr was not attached to OPS-1")
    );
    // For now: only the file is tried again.
    rig.jira.set_status("OPS-1", "Closed");
    rig.jira.after(Endpoint::Attach, Action::status(503));
    let receipt = rig.send(&with_logs(2), &id(2)).await.unwrap();
    assert!(matches!(receipt.next(), Next::Retry { unknown: false, .. }));
    let delivery = notifier_core::DeliveryId::new(id(2));
    let progress = receipt.progress.unwrap();
    let opts =
        notifier_core::ReportOptions::new(&delivery, &rig.settings).after(2, Some(&progress));
    let receipt = rig.reporter.report(&with_logs(2), &opts).await.unwrap();
    assert_eq!(receipt.next(), Next::Done);
    let issues = rig.jira.issues();
    // It had arrived after all, and is there once.
    assert_eq!((issues.len(), issues[1].attachments.len()), (2, 1));
    // It fails and fails: given up, and said.
    rig.jira.set_status("OPS-2", "Closed");
    rig.jira.next_n(Endpoint::Attach, 9, Action::status(503));
    let delivery = notifier_core::DeliveryId::new(id(3));
    let mut progress = None;
    for attempt in 1..=3 {
        let opts = notifier_core::ReportOptions::new(&delivery, &rig.settings)
            .after(attempt, progress.as_ref());
        let receipt = rig.reporter.report(&with_logs(3), &opts).await.unwrap();
        assert_eq!(receipt.next() == Next::Done, attempt == 3);
        progress = receipt.progress;
    }
    assert_eq!(rig.jira.issues().len(), 3);
}

#[tokio::test]
async fn a_check_makes_nothing_and_says_what_is_wrong() {
    let rig = Rig::cloud(&[]).await;
    rig.reporter.check(&rig.settings).await.unwrap();
    assert_eq!(rig.jira.count(Endpoint::Create), 0);
    rig.jira.set_token("changed");
    let e = rig.reporter.check(&rig.settings).await.unwrap_err();
    assert_eq!(e.scope(), Scope::Destination);
    assert!(
        e.to_string()
            .contains("check -jira.username and -jira.password"),
        "{e}"
    );
}

#[tokio::test]
async fn a_captcha_is_told() {
    let rig = Rig::data_center(&[]).await;
    let page = Reply::html(401)
        .header("X-Seraph-LoginReason", "AUTHENTICATION_DENIED")
        .header(
            "X-Authentication-Denied-Reason",
            "CAPTCHA_CHALLENGE; login-url=http://x",
        );
    rig.jira.next(Endpoint::ServerInfo, page);
    let e = rig.send(&report(1), &id(1)).await.unwrap_err();
    assert!(e.to_string().contains("wants a CAPTCHA"), "{e}");
    assert!(!e.to_string().contains("<html>") && !e.is_retryable());
    assert_eq!(rig.jira.server().requests().len(), 1);
}

#[tokio::test]
async fn nothing_is_sent_without_an_address() {
    let jira = FakeJira::cloud().await.unwrap();
    let mut settings = notifier_core::BackendSettings::new(notifier_jira::OPTIONS);
    let reporter = crate::rig::reporter(&jira, &settings);
    let none = settings.instance("default");
    assert!(reporter.destination(&none).unwrap().is_none());
    settings
        .set(
            notifier_core::Origin::Flag,
            "url",
            "http://jira.example/jira/",
        )
        .unwrap();
    let some = settings.instance("default");
    let d = reporter.destination(&some).unwrap().unwrap();
    assert!(d.as_str().starts_with("jira:jira.example:"), "{d}");
    let report = Report::failure(failure(1)).with_now(Timestamp::UNIX_EPOCH);
    let delivery = notifier_core::DeliveryId::new(id(1));
    let opts = notifier_core::ReportOptions::new(&delivery, &some);
    let e = reporter.report(&report, &opts).await.unwrap_err();
    assert!(e.to_string().contains("-jira.password"), "{e}");
    // It is kept until there is one.
    assert_eq!(e.scope(), Scope::Destination);
}

#[tokio::test]
async fn an_address_with_more_than_an_address_is_refused() {
    let jira = FakeJira::cloud().await.unwrap();
    for (url, what) in [
        ("https://u:hunter22@jira.example", "a user or a password"),
        ("https:u:hunter22@jira.example", "a user or a password"),
        ("https://hunter22@jira.example/x", "a user or a password"),
        ("https://jira.example/?token=hunter22", "a query"),
        ("https://jira.example/#hunter22", "a fragment"),
    ] {
        let mut settings = crate::rig::settings(&jira, &[]);
        if settings
            .set(notifier_core::Origin::Flag, "url", url)
            .is_err()
        {
            continue;
        }
        let settings = settings.instance("default");
        let reporter = crate::rig::reporter(&jira, &crate::rig::settings(&jira, &[]));
        let delivery = notifier_core::DeliveryId::new(id(1));
        let opts = notifier_core::ReportOptions::new(&delivery, &settings);
        let sent = reporter.report(&report(1), &opts).await.unwrap_err();
        let checked = reporter.check(&settings).await.unwrap_err();
        for e in [sent, checked] {
            assert_eq!(e.scope(), Scope::Destination);
            let text = e.report().to_string();
            assert!(text.contains(&format!("jira.url has {what}")), "{text}");
            assert!(!text.contains("hunter22"), "{text}");
        }
    }
    let settings = crate::rig::settings(&jira, &[("url", "http://jira.example/a@b/")]);
    let reporter = crate::rig::reporter(&jira, &settings);
    let settings = settings.instance("default");
    assert!(reporter.destination(&settings).unwrap().is_some());
}

#[tokio::test]
async fn issues_of_late_that_cannot_be_read_stop_nothing() {
    for answer in [
        Action::status(500),
        Action::status(503),
        Action::status(401),
        Action::status(403),
        Action::from(Reply::html(200)),
        Action::from(Reply::redirect(302, "https://elsewhere.example/login")),
        Action::ResetAfterBody,
    ] {
        for rig in [Rig::cloud(&[]).await, Rig::data_center(&[]).await] {
            let shown = format!("{answer:?}");
            rig.jira.next(Endpoint::UserProperty, answer.clone());
            let receipt = rig.send(&report(1), &id(1)).await.unwrap();
            assert_eq!(receipt.next(), Next::Done, "{shown}");
            assert_eq!(receipt.warnings.len(), 1, "{shown}");
            let warning = receipt.warnings[0].to_string();
            assert!(
                warning.contains("noted in Jira cannot be read"),
                "{warning}"
            );
            assert_eq!(rig.jira.issues().len(), 1);
        }
    }
    let rig = Rig::cloud(&[]).await;
    let slow = Reply::new(429).header("Retry-After", "7");
    rig.jira.next(Endpoint::UserProperty, slow);
    let e = rig.send(&report(1), &id(1)).await.unwrap_err();
    assert!(e.is_retryable(), "{e}");
    assert_eq!(rig.jira.issues().len(), 0);
}

#[tokio::test]
async fn a_process_that_is_old_remembers_by_itself() {
    let rig = Rig::cloud(&[]).await;
    rig.advance(1800);
    rig.jira.next(Endpoint::UserProperty, Action::status(503));
    let receipt = rig.send(&report(1), &id(1)).await.unwrap();
    assert_eq!((receipt.next(), receipt.warnings.len()), (Next::Done, 0));
}
