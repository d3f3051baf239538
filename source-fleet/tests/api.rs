//! The source against the fake API: what it asks for, and what it makes of odd answers.

mod common;

use std::time::Duration;

use common::{Audience, fleet, looks, name, quick};
use notifier_testkit::{
    fleet::UnitSpec,
    http::{Action, Body, End, Reply},
};

#[tokio::test]
async fn what_it_asks_for_row_by_row() {
    let fleet = fleet(3).await;
    let model = fleet.model();
    model.page_size(2);
    model.strict_tokens(true);
    let w = Audience::of(quick(&fleet.url()).credentials("ops:pass-w0rd"));
    w.ready().await;
    model.fail(&name(1), "m1");
    w.until("a failure", |t| t.failures.len() == 1).await;
    let requests = fleet.server().requests();
    let mut paths: Vec<&str> = requests.iter().map(|r| r.path()).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(
        paths,
        [
            "/fleet/v1/machines",
            "/fleet/v1/state",
            "/fleet/v1/units/web%40001.service"
        ]
    );
    for r in &requests {
        assert_eq!((r.method.as_str(), r.body.len()), ("GET", 0));
        assert_eq!(r.header("Accept"), Some("application/json"));
        assert_eq!(
            r.header("Authorization"),
            Some("Basic b3BzOnBhc3MtdzByZA==")
        );
    }
    let told = w.end().await;
    let f = &told.failures[0];
    assert_eq!(
        (f.id.as_str(), f.host.as_str()),
        ("web@001.service", "10.0.0.1")
    );
    assert_eq!(f.labels["notifier_team"], "web");
    assert_eq!(f.details["metadata_region"], "eu");
    assert!(told.errors.is_empty());
}

#[tokio::test]
async fn one_unit_is_filtered_by_on_each_page_and_old_releases_are_known() {
    let fleet = fleet(2).await;
    let model = fleet.model();
    model.old_api(true);
    model.unit(UnitSpec::new("all.service").global());
    model.run("all.service", "m1");
    model.run("all.service", "m2");
    model.page_size(1);
    model.strict_tokens(true);
    let w = Audience::of(quick(&fleet.url()).units(["all.service"]));
    w.ready().await;
    model.fail("all.service", "m2");
    model.fail(&name(0), "m1");
    w.until("a failure", |t| t.failures.len() == 1).await;
    model.fail("all.service", "m1");
    w.until("the other machine's", |t| t.failures.len() == 2)
        .await;
    let told = w.end().await;
    let hosts: Vec<&str> = told.failures.iter().map(|f| f.host.as_str()).collect();
    assert_eq!(hosts, ["10.0.0.2", "10.0.0.1"]);
    let states = |r: &&notifier_testkit::http::Request| r.path() == "/v1-alpha/state";
    let requests = fleet.server().requests();
    assert!(requests.iter().filter(states).count() > 2);
    for r in requests.iter().filter(states) {
        assert_eq!(r.param("unitName").as_deref(), Some("all.service"));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn over_a_unix_socket_and_on_to_the_next_endpoint() {
    let fleet = fleet(2).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleet.sock");
    let endpoints = format!("unix://{},{}", path.display(), fleet.url());
    // Nothing there yet.
    let alone = format!("unix://{}", path.display());
    let lonely = Audience::of(quick(&alone));
    lonely.until("an error", |t| t.is_ill).await;
    assert!(
        lonely.told().errors[0].contains(&alone),
        "{:?}",
        lonely.told().errors
    );
    // The other one answers.
    let w = Audience::of(quick(&endpoints));
    w.ready().await;
    fleet.model().fail(&name(0), "m1");
    w.until("a failure", |t| t.failures.len() == 1).await;
    assert!(w.end().await.errors.is_empty());
    fleet.unix_socket(&path).await.unwrap();
    lonely
        .until("all well", |t| t.batches > 0 && !t.is_ill)
        .await;
    fleet.model().fail(&name(1), "m1");
    lonely.until("a failure", |t| t.failures.len() == 1).await;
    assert_eq!(lonely.told().errors.len(), 1);
}

/// Whatever comes in place of a list, it is one error, and nothing is invented or lost.
#[tokio::test]
async fn odd_answers_are_errors_until_they_end() {
    let endless =
        r#"{"states":[{"name":"x.service","systemdActiveState":"failed"}],"nextPageToken":"a"}"#;
    let json = |text: &str| {
        Reply::new(200)
            .header("Content-Type", "application/json")
            .body(text)
    };
    let odd: Vec<(&str, Action)> = vec![
        ("500", Action::status(500)),
        (
            "a fault of etcd",
            json(r#"{"error":{"code":500,"message":""}}"#).into(),
        ),
        ("html", Action::html(502)),
        ("html with 200", Action::html(200)),
        ("noise", Action::garbage()),
        (
            "no JSON at its end",
            json(r#"{"states":[{"name":"a""#).into(),
        ),
        ("a list", json("[]").into()),
        ("half", Action::truncated(40, End::Reset)),
        ("a token again and again", json(endless).into()),
        (
            "a token that is none",
            json(r#"{"states":[],"nextPageToken":7}"#).into(),
        ),
        ("401", Action::status(401)),
        (
            "a redirect",
            Reply::redirect(302, "http://127.0.0.1:1/").into(),
        ),
        ("cut off", Action::ResetAfterBody),
        (
            "too long",
            Reply::new(200).body(Body::repeated(" ", 3 << 20)).into(),
        ),
        (
            "without an end",
            Reply::new(200).body(Body::endless("[")).into(),
        ),
        ("deep", json(&"{\"states\":[".repeat(10_000)).into()),
        ("404 to all", Action::status(404)),
    ];
    let fleet = fleet(1).await;
    let model = fleet.model();
    let w = Audience::of(
        quick(&fleet.url())
            .ignore(["x.service"])
            .max_answer(1 << 20),
    );
    w.ready().await;
    for (n, (what, action)) in odd.into_iter().enumerate() {
        fleet.server().always_on("/", action);
        w.until(what, |t| t.is_ill).await;
        model.fail(&name(0), "m1");
        fleet.server().clear();
        w.until(what, |t| !t.is_ill && t.failures.len() == n + 1)
            .await;
        model.run(&name(0), "m1");
        looks(&fleet, 1).await;
    }
    let told = w.end().await;
    let lines: Vec<&String> = told.errors.iter().filter(|e| e.contains('\n')).collect();
    assert!(lines.is_empty(), "{lines:?}");
    assert!(told.failures.iter().all(|f| f.id == name(0)));
    assert!(told.errors.iter().any(|e| e.contains("is it fleet?")));
    assert!(
        told.errors
            .iter()
            .any(|e| e.contains("set fleet.credentials"))
    );
    assert!(told.errors.iter().any(|e| e.contains("has no end")));
}

#[tokio::test]
async fn rows_that_cannot_be_read_cost_only_themselves() {
    let fleet = fleet(1).await;
    let w = Audience::of(quick(&fleet.url()).units(["*.service"]));
    w.ready().await;
    let odd = serde_json::json!({"states": [
        7, null, {"name": 7}, {"systemdActiveState": "failed"}, [[]],
        {"name": "x".repeat(5000), "systemdActiveState": "failed"},
        {"name": "odd.service", "systemdActiveState": ["failed"]},
        {"name": "web@000.service", "machineID": "m1", "systemdActiveState": "failed", "more": {}},
    ]});
    fleet
        .server()
        .always_on("/fleet/v1/state", Reply::json(200, &odd));
    w.until("the one", |t| t.failures.len() == 1).await;
    let told = w.end().await;
    assert_eq!(told.failures[0].id, "web@000.service");
    assert!(told.errors.is_empty());
}

/// Nobody answers: the request ends by itself, and so does the trouble.
#[tokio::test]
async fn one_that_hangs_is_given_up() {
    let fleet = fleet(1).await;
    fleet.server().hang();
    let builder = quick(&fleet.url()).timeout(Duration::from_millis(50));
    let w = Audience::of(builder);
    w.until("an error", |t| t.is_ill).await;
    fleet.server().restore().unwrap();
    drop(w);
    // Whoever is slower than the time-out is not the test's concern.
    let w = Audience::of(quick(&fleet.url()));
    w.ready().await;
    fleet.model().fail(&name(0), "m1");
    w.until("a failure", |t| t.failures.len() == 1).await;
}

#[tokio::test]
async fn without_machines_a_failure_is_told_after_a_while() {
    let fleet = fleet(1).await;
    fleet
        .server()
        .always_on("/fleet/v1/machines", Action::status(500));
    let w = Audience::of(quick(&fleet.url()).settle(Duration::from_millis(300)));
    w.ready().await;
    fleet.model().fail(&name(0), "m1");
    w.until("a failure", |t| t.failures.len() == 1).await;
    let told = w.end().await;
    assert_eq!(told.failures[0].host, "m1");
    let all = [told.errors, told.troubles].concat();
    assert!(all.iter().any(|e| e.contains("/machines")), "{all:?}");
}
