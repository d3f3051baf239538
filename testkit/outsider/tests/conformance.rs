//! The conformance suites, as an outsider runs them.

use notifier_core::{BackendSettings, Engine, Origin, jiff::Timestamp};
use notifier_testkit::conformance;
use outsider::{Job, OPTIONS, Printer};

fn settings(queue: &str) -> BackendSettings {
    let mut s = BackendSettings::new(OPTIONS);
    s.set(Origin::Flag, "queue", queue).unwrap();
    s
}

#[tokio::test]
async fn the_reporter_passes() {
    conformance::reporter(Printer, &settings("first floor").instance("default")).await.assert();
}

#[test]
fn the_failure_passes() {
    conformance::failure(&Job { name: "nightly".into(), ended: Timestamp::UNIX_EPOCH }).assert();
}

#[tokio::test]
async fn both_work_with_the_engine() {
    let engine =
        Engine::builder("default").reporter_with(settings("first floor"), Printer).build().unwrap();
    engine.submit(&Job { name: "nightly".into(), ended: Timestamp::UNIX_EPOCH }).await.unwrap();
    assert_eq!(engine.run_until_idle().await.unwrap().delivered, 1);
}

/// Lines of code between two marks of the source.
fn lines(what: &str) -> usize {
    let source = include_str!("../src/lib.rs");
    let (begin, end) = (format!("// {what}: begin\n"), format!("// {what}: end"));
    let from = source.find(&begin).unwrap() + begin.len();
    let to = source.find(&end).unwrap();
    source[from..to].lines().filter(|l| !l.trim().is_empty()).count()
}

#[test]
fn it_takes_few_lines() {
    assert!(lines("reporter") <= 40, "{}", lines("reporter"));
    assert!(lines("failure") <= 20, "{}", lines("failure"));
}
