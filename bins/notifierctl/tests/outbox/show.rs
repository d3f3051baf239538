//! `notifierctl outbox show` and `stats`.

use std::time::Duration;

use notifiers::{
    Attempt, DestinationState, FoldRequest, LeaseRequest, Logs, Outbox, Outcome, Settlement,
    Verdict,
};

use crate::support::{Store, ago, failure, now, ops, refused};

#[test]
fn show_tells_the_whole_story() {
    let store = Store::new();
    let mut f = failure("web.1").with_label("team", "ops");
    f.reason = Some("REASON_COMMAND_EXECUTOR_FAILED".to_owned());
    f.exit_code = Some(3);
    let id = store.waits(&f);
    let out = store.ctl(&["outbox", "show", id.as_str()]).ok().out.clone();
    for part in [
        "not settled yet",
        "the failure's logs are looked for",
        "attempts: 0",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let mut attempt = Attempt::new(now(), Outcome::Unknown);
    attempt.code = Some("timeout".to_owned());
    attempt.detail = "no answer within 10s".to_owned();
    attempt.latency_ms = 10_000;
    let later = now().checked_add(Duration::from_secs(3_600)).unwrap();
    store.work(Verdict::RetryAt(later), attempt);
    let out = store
        .ctl(&["outbox", "show", &id.as_str()[..12]])
        .ok()
        .out
        .clone();
    for part in [
        &format!("delivery {id}"),
        "why         implicit default",
        "by          slack, instance default",
        "state       pending",
        "id          web.1",
        "framework   marathon",
        "exit code   3",
        "label       team=ops",
        "missing     the agent does not answer",
        "attempts: 1, 1 of them unknown",
        "after 10000 ms: it may have arrived: timeout: no answer within 10s",
        "it is due at",
        "(in 59m)",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let json = store.json(&["outbox", "show", id.as_str()]);
    assert_eq!(json["delivery"]["state"], "pending");
    assert_eq!(json["kind"], "failure");
    assert_eq!(json["subject"]["labels"]["team"], "ops");
    assert_eq!(json["logs"]["missing"], "the agent does not answer");
    assert_eq!(json["attempts"][0]["outcome"], "unknown");
    assert_eq!(json["attempts"][0]["latency_ms"], 10_000);
}

#[test]
fn show_and_stats_say_how_the_destination_stands() {
    let store = Store::new();
    let id = store.waits(&failure("web.1"));
    store.waits(&failure("web.2"));
    let later = now().checked_add(Duration::from_secs(1_800)).unwrap();
    store.wait(async {
        let outbox = store.open();
        outbox.claim("default", now()).await.unwrap();
        let until = now().checked_add(Duration::from_secs(60)).unwrap();
        let request = LeaseRequest::new(10, now(), until);
        for lease in outbox.lease_logs(request).await.unwrap() {
            outbox.settle_logs(&lease, Logs::default()).await.unwrap();
        }
        let request = LeaseRequest::new(1, now(), until);
        let lease = outbox.lease(&ops(), request).await.unwrap().remove(0);
        let mut settlement =
            Settlement::new(Verdict::RetryAt(now()), Attempt::new(now(), Outcome::Retry));
        let mut state = DestinationState::default();
        state.not_before = Some(later);
        state.strikes = 4;
        state.failing_since = Some(ago(120));
        settlement.destination = Some(state);
        outbox.settle(&lease, settlement).await.unwrap();
    });
    let out = store.ctl(&["outbox", "show", id.as_str()]).ok().out.clone();
    for part in [
        "its destination is left alone until",
        "4 attempts in a row failed",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let stats = store.ctl(&["outbox", "stats"]).ok().out.clone();
    for part in [
        "pending         2",
        "open            2, 0% of 100000",
        "oldest pending  ",
        "left alone until",
        "(in 29m)",
    ] {
        assert!(stats.contains(part), "{part}: {stats}");
    }
    let json = store.json(&["outbox", "stats"]);
    assert_eq!(json["stats"]["pending"], 2);
    assert_eq!(json["destinations"][0]["waiting"], 2);
    assert_eq!(json["destinations"][0]["state"]["strikes"], 4);
    assert_eq!(json["oldest_pending"]["id"], id.as_str());
    assert!(json["file_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn a_digest_is_shown_with_what_it_tells() {
    let store = Store::new();
    let ids = store.storm(5, ago(60), Duration::from_secs(30));
    let held = store
        .ctl(&["outbox", "show", ids[1].as_str()])
        .ok()
        .out
        .clone();
    assert!(held.contains("it is held for a digest"), "{held}");
    store.wait(async {
        let folded = store.open().fold(FoldRequest::new("default", now())).await;
        assert_eq!(folded.unwrap().digests, 1);
    });
    let folded = store.json(&["outbox", "show", ids[1].as_str()]);
    assert_eq!(folded["delivery"]["state"], "folded");
    let digest = folded["delivery"]["digest"].as_str().unwrap().to_owned();
    let out = store.ctl(&["outbox", "show", &digest]).ok().out.clone();
    for part in [
        "digest of 4 failures",
        "agents      1: agent-1 (4)",
        ids[4].as_str(),
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let json = store.json(&["outbox", "show", &digest]);
    assert_eq!(json["folds"], 4);
    assert_eq!(json["members"].as_array().unwrap().len(), 4);
    assert_eq!(json["subject"]["count"], 4);
}

#[test]
fn hostile_text_is_cut_and_made_visible() {
    let store = Store::new();
    let mut f = failure("evil").with_label("big", "x".repeat(1 << 20));
    f.name = "a\nb\u{1b}[31m\u{202e}\u{9b}m".to_owned();
    f.message = Some("y".repeat(1 << 20));
    f.labels
        .insert("k\n\u{1b}]0;t\u{7}".to_owned(), "\r\n".to_owned());
    let id = store.tried(&f, Verdict::Dead, refused("\u{1b}[2J\nline two"));
    let list = store.ctl(&["outbox", "list"]);
    list.ok().tame();
    assert_eq!(list.out.lines().count(), 2, "{}", list.out);
    assert!(
        list.out.contains("a\\nb\\u{1b}[31m\\u{202e}\\u{9b}m"),
        "{}",
        list.out
    );
    let show = store.ctl(&["outbox", "show", id.as_str()]);
    show.ok().tame();
    assert!(show.out.len() < 8_000, "{}", show.out.len());
    assert!(show.out.contains("… (1048576 bytes)"), "{}", show.out);
    for command in ["list", "show", "stats"] {
        let ids: &[&str] = if command == "show" {
            &[id.as_str()]
        } else {
            &[]
        };
        let ran = store.ctl(&[&["outbox", command], ids, &["--json"]].concat());
        ran.ok().tame().json();
    }
    let json = store.json(&["outbox", "show", id.as_str()]);
    assert_eq!(json["subject"]["name"], f.name);
    assert_eq!(
        json["subject"]["labels"]["big"].as_str().unwrap().len(),
        1 << 20
    );
}

#[test]
fn secrets_are_masked() {
    let store = Store::new();
    let f = failure("web.1")
        .with_label("api_token", "hush-hush-1")
        .with_label(
            "complainer_slack_hook_url",
            "https://hooks.slack.com/services/T0/B0/abcdef123456",
        )
        .with_label("DB_PASSWORD", "\",\"state\":\"");
    let id = store.tried(&f, Verdict::Dead, refused("401 for hush-hush-1"));
    for args in [
        vec!["outbox", "show", id.as_str()],
        vec!["outbox", "show", id.as_str(), "--json"],
    ] {
        let ran = store.ctl(&args);
        ran.ok();
        for secret in ["hush-hush", "abcdef123456", "\\\",\\\"state"] {
            assert!(!ran.out.contains(secret), "{secret}: {}", ran.out);
        }
        assert!(ran.out.contains("401 for ***"), "{}", ran.out);
    }
    let json = store.json(&["outbox", "show", id.as_str()]);
    assert_eq!(json["subject"]["labels"]["api_token"], "***");
    assert_eq!(json["delivery"]["state"], "dead");
}
