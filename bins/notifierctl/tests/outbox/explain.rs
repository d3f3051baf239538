//! `notifierctl explain`.

use std::time::Duration;

use crate::support::{Ran, Store, ago, ctl, failure, id_of, now};
use notifiers::{FailureRecord, Outbox, Silence};

const HOOK: &str = "-slack.hook_url=https://hooks.slack.com/services/T0/B0/abcdef123456";

/// Explains a failure to a watcher with this outbox.
fn explain(store: &Store, f: &FailureRecord, args: &[&str]) -> Ran {
    let path = store.file("failure.json");
    std::fs::write(&path, serde_json::to_string(f).unwrap()).unwrap();
    let file = format!("--failure={}", path.display());
    let args = [&["explain", &file, "-reporters=slack,file", HOOK], args].concat();
    ctl(&args, &[])
}

fn beside(store: &Store) -> String {
    format!("-outbox=sqlite:{}", store.path().display())
}

#[test]
fn each_decision_is_told() {
    let store = Store::new();
    let sink = store.file("sink");
    let name = format!("-file.name={}", sink.display());
    let f = failure("web.1").with_label("complainer_slack_instances", "default,team");
    let more = ["-slack.channel=#ops", "-slack.rate=2/s:7", name.as_str()];
    let ran = explain(&store, &f, &more);
    for part in [
        "\"marathon\" is reported",
        "no outbox is named",
        "alike in     nothing",
        "slack, instance default: label complainer_slack_instances",
        "slack, instance team: label complainer_slack_instances",
        "rate       2/s:7, at most 7 at once",
        "file, instance default: implicit default",
        "rate       unlimited",
        "it is sent at once",
    ] {
        assert!(ran.ok().out.contains(part), "{part}: {}", ran.out);
    }
    assert!(!ran.out.contains("abcdef123456"), "{}", ran.out);
    // A look creates nothing.
    assert!(!sink.exists());

    let json = explain(&store, &f, &[&more[..], &["-json"]].concat())
        .ok()
        .json();
    assert_eq!(json["allowed"], true);
    assert_eq!(json["key"], f.key.as_str());
    let routes = json["routes"].as_array().unwrap();
    assert_eq!(routes.len(), 3);
    assert_eq!(routes[0]["rate"], "2/s:7");
    assert_eq!(routes[0]["outcome"], "sent");
    assert!(
        routes[0]["destination"]
            .as_str()
            .unwrap()
            .starts_with("slack:")
    );

    let out = explain(&store, &f, &["-framework-deny=^mara"])
        .ok()
        .out
        .clone();
    assert!(
        out.contains("is not reported") && !out.contains("reporter "),
        "{out}"
    );
    let out = explain(&store, &f, &["-slack.hook_url="]).ok().out.clone();
    assert!(out.contains("nothing is sent: not configured"), "{out}");
}

#[test]
fn the_outbox_is_asked() {
    let store = Store::new();
    let there = beside(&store);
    let f = failure("web.1");
    let fate = |f: &FailureRecord, more: &[&str]| {
        let args = [&[there.as_str(), "-slack.channel=#ops", "-json"], more].concat();
        let json = explain(&store, f, &args).ok().json();
        (json["routes"][0]["outcome"].clone(), json)
    };
    assert_eq!(fate(&f, &[]).0, "sent");
    let mut silence = Silence::new(
        "5117ce00",
        vec!["name=web".parse().unwrap()],
        ago(60),
        now().checked_add(Duration::from_secs(60)).unwrap(),
    );
    silence.note = "moving".to_owned();
    store
        .wait(store.open().put_silence(silence.clone()))
        .unwrap();
    let (outcome, json) = fate(&f, &[]);
    assert_eq!(
        (outcome, &json["silence"]["id"]),
        ("silenced".into(), &"5117ce00".into())
    );
    let out = explain(&store, &f, &[there.as_str()]).ok().out.clone();
    assert!(
        out.contains("silence 5117ce00 until") && out.contains("moving"),
        "{out}"
    );
    silence.ends = ago(1);
    store.wait(store.open().put_silence(silence)).unwrap();

    store.waits(&f);
    let (outcome, json) = fate(&f, &[]);
    assert_eq!(
        (outcome, &json["seen"]),
        ("seen".into(), &id_of(&f).as_str().into())
    );
}

#[test]
fn what_would_be_held_is_told() {
    let store = Store::new();
    let f = failure("web.9");
    let there = beside(&store);
    let settings = [
        there.as_str(),
        "-slack.channel=#ops",
        "-json",
        "-group.interval=5m",
    ];
    let json = explain(&store, &f, &settings).ok().json();
    assert_eq!(json["fingerprint"], "marathon web TASK_FAILED");
    assert_eq!(json["routes"][0]["outcome"], "sent");
    // One like it, to where this one goes.
    let to = json["routes"][0]["destination"].as_str().unwrap();
    let first = failure("web.1");
    let mut report = crate::support::report(&first, id_of(&first));
    report.deliveries[0].destination = notifiers::Destination::from_stored(to);
    store.enqueue(vec![report], ago(120));
    let json = explain(&store, &f, &settings).ok().json();
    assert_eq!(json["routes"][0]["outcome"], "held");
    assert_eq!(json["routes"][0]["alike"], id_of(&first).as_str());
    assert_eq!(json["routes"][1]["outcome"], "sent");
    let shorter = [&settings[..3], &["-group.interval=1m"]].concat();
    let json = explain(&store, &f, &shorter).ok().json();
    assert_eq!(json["routes"][0]["outcome"], "sent");
    let other = [&settings[..], &["-group.by={{ .failure.ID }}"]].concat();
    let json = explain(&store, &f, &other).ok().json();
    assert_eq!(json["routes"][0]["outcome"], "sent");
}

#[test]
fn mistakes_are_told() {
    let store = Store::new();
    let f = failure("web.1");
    ctl(&["explain", "-reporters=file"], &[]).fails(64, "failure is missing");
    ctl(&["explain", "--failure=/none", "-reporters=file"], &[]).fails(74, "cannot read /none");
    explain(&store, &f, &["-group.by={{"]).fails(64, "group.by");
    explain(&store, &f, &["-nope"]).fails(64, "-nope");
    explain(&store, &f, &["-outbox=nats"]).fails(64, "neither memory nor sqlite:PATH");
    let out = explain(&store, &f, &["-outbox=sqlite:/none/x"])
        .ok()
        .out
        .clone();
    assert!(out.contains("/none/x is not there yet"), "{out}");
    std::fs::write(store.file("text"), "no outbox\n".repeat(100)).unwrap();
    let text = format!("-outbox=sqlite:{}", store.file("text").display());
    explain(&store, &f, &[&text]).fails(65, "text");
    let help = ctl(&["explain", "-help"], &[]);
    assert!(help.ok().out.contains("-group.interval"), "{help:?}");
    let secret = failure("web.1").with_label("api_token", "hush-hush-1");
    let ran = explain(
        &store,
        &secret,
        &[
            "-group.by={{ .failure.Labels.api_token }}",
            "-group.interval=1m",
        ],
    );
    assert!(!ran.out.contains("hush"), "{ran:?}");
}
