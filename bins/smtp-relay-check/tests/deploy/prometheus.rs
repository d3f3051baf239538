//! What Prometheus scrapes, and its alerts.

use std::{collections::BTreeSet, path::Path};

use notifier_testkit::peer;

use crate::support::{file, judge, system};

#[test]
fn promtool_takes_the_files_and_the_alerts_pass_their_tests() {
    if system("promtool").is_none() {
        return;
    }
    let promtool = |words: &'static [&'static str]| {
        move |path: &Path| {
            let mut promtool = system("promtool").unwrap();
            promtool.args(words).arg(path).output().unwrap()
        }
    };
    judge(
        promtool(&["check", "config"]),
        "prometheus/prometheus.yml",
        ("smtp-relay-check.rules.yml", "another.rules.yml"),
    );
    judge(
        promtool(&["check", "rules"]),
        "prometheus/smtp-relay-check.rules.yml",
        ("smtp_probe_state == 2", "smtp_probe_state = 2"),
    );
    // The tests fail with each rule that is not as it is now.
    let tests = "prometheus/smtp-relay-check.test.yml";
    for fault in [
        ("severity: critical", "severity: warning"),
        ("values: 0x5 2x10", "values: 0x5 1x10"),
        ("values: 110x30", "values: 130x30"),
    ] {
        judge(promtool(&["test", "rules"]), tests, fault);
    }
    peer::ran("promtool");
}

/// Metrics as they are called in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_ours = |w: &&str| {
        ["smtp_", "probe_", "postfix_"]
            .iter()
            .any(|p| w.starts_with(p))
    };
    words.filter(is_ours).map(str::to_owned).collect()
}

#[test]
fn every_metric_of_the_alerts_is_one_that_is_served() {
    let found = include_str!("../../../../smtp-probe/src/format/prometheus.rs");
    let own = include_str!("../../src/service/routes.rs");
    let served = format!("{found}{own}");
    let rules = metrics(&file("prometheus/smtp-relay-check.rules.yml"));
    assert!(rules.len() >= 9, "{rules:?}");
    for name in &rules {
        assert!(served.contains(&format!("\"{name}\"")), "{name}");
    }
}

#[test]
fn every_alert_has_a_test_in_which_it_fires() {
    let rules = file("prometheus/smtp-relay-check.rules.yml");
    let tests = file("prometheus/smtp-relay-check.test.yml");
    let mut count = 0;
    for alert in rules
        .lines()
        .filter_map(|l| l.trim().strip_prefix("- alert: "))
    {
        let fires = format!("alertname: {alert}\n        exp_alerts:\n          - exp_labels:");
        assert!(tests.contains(&fires), "{alert}");
        count += 1;
    }
    assert_eq!(count, 13);
}
