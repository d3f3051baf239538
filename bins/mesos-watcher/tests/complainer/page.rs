//! `docs/complainer.md` names all that the original has, each with a test that exists.

use std::{collections::BTreeSet, fs, path::Path};

use notifier_runtime::{Cli, table};

/// Every flag of the original 1.7.0 with its variable and label; `-` where it has none.
const ORIGINAL: &[(&str, &str, &str)] = &[
    ("name", "COMPLAINER_NAME", "-"),
    ("default", "COMPLAINER_DEFAULT", "-"),
    ("masters", "COMPLAINER_MASTERS", "-"),
    ("listen", "COMPLAINER_LISTEN", "-"),
    ("uploader", "COMPLAINER_UPLOADER", "-"),
    ("reporters", "COMPLAINER_REPORTERS", "-"),
    ("framework-whitelist", "-", "-"),
    ("framework-blacklist", "-", "-"),
    ("sentry.dsn", "SENTRY_DSN", "dsn"),
    ("hipchat.base_url", "HIPCHAT_BASE_URL", "base_url"),
    ("hipchat.room", "HIPCHAT_ROOM", "room"),
    ("hipchat.token", "HIPCHAT_TOKEN", "token"),
    ("hipchat.format", "HIPCHAT_FORMAT", "-"),
    ("slack.hook_url", "SLACK_HOOK_URL", "hook_url"),
    ("slack.channel", "SLACK_CHANNEL", "channel"),
    ("slack.username", "SLACK_USERNAME", "username"),
    ("slack.icon_emoji", "SLACK_ICON_EMOJI", "icon_emoji"),
    ("slack.icon_url", "SLACK_ICON_URL", "icon_url"),
    ("slack.format", "SLACK_FORMAT", "-"),
    ("jira.url", "JIRA_URL", "-"),
    ("jira.username", "JIRA_USERNAME", "-"),
    ("jira.password", "JIRA_PASSWORD", "-"),
    ("jira.issue_closed_status", "JIRA_ISSUE_CLOSED_STATUS", "-"),
    ("jira.fields", "JIRA_FIELDS", "-"),
    ("file.name", "FILE_NAME", "-"),
    ("file.format", "FILE_FORMAT", "-"),
    ("s3aws.access_key", "S3_ACCESS_KEY", "-"),
    ("s3aws.secret_key", "S3_SECRET_KEY", "-"),
    ("s3aws.region", "S3_REGION", "-"),
    ("s3aws.bucket", "S3_BUCKET", "-"),
    ("s3aws.prefix", "S3_PREFIX", "-"),
    ("s3aws.timeout", "S3_TIMEOUT", "-"),
    ("s3goamz.access_key", "S3_ACCESS_KEY", "-"),
    ("s3goamz.secret_key", "S3_SECRET_KEY", "-"),
    ("s3goamz.endpoint", "S3_ENDPOINT", "-"),
    ("s3goamz.bucket", "S3_BUCKET", "-"),
    ("s3goamz.prefix", "S3_PREFIX", "-"),
    ("s3goamz.timeout", "S3_TIMEOUT", "-"),
];

/// The rows of the page: flag, variable, label, tests.
fn rows() -> Vec<(String, String, String, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/complainer.md")).unwrap();
    let word = |cell: &str| match cell.trim() {
        "–" => "-".to_owned(),
        cell => cell.trim_matches('`').trim_start_matches('-').to_owned(),
    };
    page.lines()
        .filter(|l| l.starts_with("| `-"))
        .map(|l| {
            let cells: Vec<&str> = l.trim_matches('|').split('|').collect();
            let tests = cells[3].split(',').map(word).collect();
            (word(cells[0]), word(cells[1]), word(cells[2]), tests)
        })
        .collect()
}

#[test]
fn the_page_has_all_and_nothing_else() {
    let page: BTreeSet<_> = rows().into_iter().map(|(f, e, l, _)| (f, e, l)).collect();
    let original: BTreeSet<_> = ORIGINAL
        .iter()
        .map(|(f, e, l)| (f.to_string(), e.to_string(), l.to_string()))
        .collect();
    assert_eq!(page, original);
}

#[test]
fn each_is_declared_as_the_page_says() {
    let tables = table::tables(&Cli::mesos_watcher("0"));
    for (flag, variable, label, _) in rows() {
        let found = tables.iter().find_map(|t| {
            let is_it = |o: &&notifiers::OptionSpec| {
                t.group.flag(o) == flag || o.aliases.contains(&flag.as_str())
            };
            t.group.options.iter().find(is_it).map(|o| (t.group, o))
        });
        let (group, option) = found.unwrap_or_else(|| panic!("-{flag} is not declared"));
        if variable != "-" {
            assert_eq!(group.env(option), Some(variable), "-{flag}");
        }
        if label != "-" {
            let name = format!("x_{}_{label}", group.name);
            assert_eq!(group.label(option, "x"), Some(name), "-{flag}");
        }
    }
}

#[test]
fn each_has_a_test() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/complainer");
    for (flag, _, label, tests) in rows() {
        assert!(!tests.is_empty(), "-{flag}");
        for test in &tests {
            let (file, function) = test
                .split_once("::")
                .unwrap_or_else(|| panic!("{flag}: {test}"));
            let source = fs::read_to_string(here.join(format!("{file}.rs"))).unwrap();
            assert!(
                source.contains(&format!("fn {function}(")),
                "-{flag}: {test}"
            );
        }
        let by_label = tests.iter().any(|t| t.contains("::by_label"));
        assert!(label == "-" || by_label, "-{flag}: no test of its label");
    }
}
