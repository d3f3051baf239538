//! What the ready templates make, letter by letter.

use std::path::Path;

use notifier_core::{FailureRecord, Matcher, Report};

use super::support::{compose, nightly, text};

const CHRONOS: &[(&str, &str)] = &[("format", "chronos")];

/// The `Subject` as it is in the message, and the text as a parser reads it.
fn mail(failure: FailureRecord, values: &[(&str, &str)]) -> (String, String) {
    let mail = compose(&Report::failure(failure), values).unwrap();
    assert_eq!(mail.warnings, [""; 0]);
    let data = String::from_utf8(mail.data.clone()).unwrap();
    let subject = data.split("\r\nSubject: ").nth(1).unwrap();
    let subject = subject.split("\r\nMessage-ID:").next().unwrap();
    (subject.replace("\r\n ", " "), text(&mail))
}

/// A failure that Chronos told of in this case.
fn case(case: &str, cluster: bool, message: bool) -> FailureRecord {
    let mut failure = nightly()
        .with_detail("case", case)
        .with_detail("retries", "2")
        .with_detail("attempts", "3")
        .with_detail("failures", "4");
    if cluster {
        failure = failure.with_detail("cluster", "prod");
    }
    failure.message = message.then(|| "Container exited with status 1".to_owned());
    failure
}

const WORDS: &str = "The scheduler provided this message:\n\nContainer exited with status 1";
const ID: &str = "Task id: ct:1767323040000:0:nightly-report:\n";
const AT: &str = "'2026-01-02T03:04:05.678Z'";

#[test]
fn chronos_mails_are_as_chronos_wrote_them() {
    let exhausted = format!(
        "JobSchedule 'nightly-report' has exhausted all of its recurrences and has been disabled.\n\
         Please consider either removing your job, or updating its schedule and re-enabling it.\n{}",
        " ".repeat(54)
    );
    let table = [
        (
            "failed",
            "job 'nightly-report' failed!",
            format!("\n{AT}. Retries attempted: 2.\n{ID}"),
            true,
        ),
        (
            "disabled",
            "job 'nightly-report' disabled",
            format!("\nFailed at {AT}, 4 failures since last success\n{ID}"),
            true,
        ),
        (
            "exhausted",
            "job 'nightly-report' disabled",
            exhausted,
            false,
        ),
        (
            "deleted",
            "Your job 'nightly-report' was deleted!",
            String::new(),
            false,
        ),
        (
            "attempt",
            "job 'nightly-report' failed, to be retried",
            format!(
                "Attempt 1 of 3 failed, Chronos will run it again.\n{AT}. Retries allowed: 2.\n{ID}"
            ),
            true,
        ),
    ];
    for (name, words, body, has_message) in table {
        for cluster in [true, false] {
            for message in [true, false] {
                let mut failure = case(name, cluster, message);
                failure.attempt = Some(1);
                let (subject, text) = mail(failure, CHRONOS);
                let start = if cluster { "[prod]" } else { "" };
                assert_eq!(subject, format!("{start} [Chronos] {words}"));
                let m = if has_message && message { WORDS } else { "" };
                assert_eq!(text, format!("{body}{m}"), "{name} {cluster} {message}");
            }
        }
    }
}

#[test]
fn chronos_own_time_is_told_if_it_is_known() {
    let failure = case("failed", false, false).with_detail("at", "2026-01-02T03:04:07.001Z");
    let (_, text) = mail(failure, CHRONOS);
    assert!(
        text.starts_with("\n'2026-01-02T03:04:07.001Z'. Retries"),
        "{text}"
    );
}

#[test]
fn a_failure_that_is_not_chronos_reads_like_failed() {
    let (subject, text) = mail(nightly(), CHRONOS);
    assert_eq!(subject, " [Chronos] job 'nightly-report' failed!");
    assert_eq!(text, format!("\n{AT}.\n{ID}"));
}

#[test]
fn the_mail_of_the_situation_is_the_same_but_for_two_empty_lines() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/situations/chronos-postfix.txt");
    let Ok(situation) = std::fs::read_to_string(&path) else {
        notifier_testkit::peer::skipped("chronos-postfix.txt", "../shared is not here");
        return;
    };
    let start = situation.find("'2016-06-17T04:41:19.171Z'").unwrap();
    let quoted = situation[start..].split("\n```").next().unwrap();
    let mut failure = FailureRecord::new(
        "ct:1466138472279:0:taskname:",
        "taskname",
        "TASK_FAILED",
        "2016-06-17T04:41:19.171Z".parse().unwrap(),
    )
    .with_detail("case", "failed")
    .with_detail("retries", "2");
    failure.owners = vec!["another_user@yourdomain,user@gmail.com".to_owned()];
    failure.message = Some(
        "Docker container run error: Container exited on error: exited with status 1".to_owned(),
    );
    let (_, text) = mail(failure, CHRONOS);
    assert_ne!(text, quoted);
    let quoted = quoted.replacen(":taskname:\n\n\n", ":taskname:\n", 1);
    // A file does not show the line feed at the beginning.
    assert_eq!(text, format!("\n{quoted}"));
}

#[test]
fn the_default_text_tells_what_is_known() {
    let mut failure = case("attempt", true, true).with_detail("will_retry", "true");
    failure.host = "agent-1".to_owned();
    failure.framework = "chronos".to_owned();
    failure.image = "busybox".to_owned();
    failure.reason = Some("REASON_COMMAND_EXECUTOR_FAILED".to_owned());
    failure.exit_code = Some(0);
    failure.attempt = Some(1);
    failure.started = Some("2026-01-02T03:00:00Z".parse().unwrap());
    failure.name = "it's".to_owned();
    let report =
        Report::failure(failure).with_links(notifier_core::Links::new("http://a/1", "http://a/2"));
    let mail = compose(&report, &[]).unwrap();
    assert_eq!(mail.warnings, [""; 0]);
    let data = String::from_utf8_lossy(&mail.data);
    assert!(
        data.contains("\r\nSubject: [TASK_FAILED] it's on agent-1, attempt 1 of 3\r\n"),
        "{data}"
    );
    assert_eq!(
        text(&mail),
        "it's failed: Container exited with status 1

Task:      ct:1767323040000:0:nightly-report:
State:     TASK_FAILED
Reason:    REASON_COMMAND_EXECUTOR_FAILED
Exit code: 0
Attempt:   1 of 3, will be retried
Failures:  4 since the last success
Host:      agent-1
Framework: chronos
Cluster:   prod
Image:     busybox
Started:   2026-01-02 03:00:00 UTC
Ended:     2026-01-02 03:04:05 UTC, after 4m 5s
Owners:    owner@example.com
stdout:    http://a/1
stderr:    http://a/2

To hear nothing of it for two hours, where the watcher runs:

notifierctl silence add 'name=it'\\''s' --for 2h
"
    );
}

#[test]
fn the_default_text_has_no_lines_for_what_is_not_known() {
    let mut failure = nightly();
    failure.owners.clear();
    let (subject, text) = mail(failure, &[("to", "a@b")]);
    assert_eq!(subject, "[TASK_FAILED] nightly-report");
    assert_eq!(
        text,
        "nightly-report failed

Task:      ct:1767323040000:0:nightly-report:
State:     TASK_FAILED
Ended:     2026-01-02 03:04:05 UTC

To hear nothing of it for two hours, where the watcher runs:

notifierctl silence add 'name=nightly-report' --for 2h
"
    );
}

#[test]
fn what_is_large_or_odd_leaves_the_default_text_whole() {
    let mut failure = nightly();
    failure.name = "'".repeat(100_000);
    failure.owners = vec!["owner@example.com".to_owned(); 20_000];
    failure.message = Some("it is out of memory".to_owned());
    // A clock that is wrong.
    failure.started = Some("2026-01-02T04:00:00Z".parse().unwrap());
    let (_, text) = mail(failure, &[("subject", "x")]);
    assert!(text.contains(" failed: it is out of memory\n"));
    assert!(text.contains("\nOwners:    20000\n"));
    assert!(text.ends_with("\nOwners:    20000\n"), "no command");
    assert!(text.contains("\nEnded:     2026-01-02 03:04:05 UTC\n"));
}

/// The condition in the command that silences a failure of this name, as a shell reads it.
fn silenced(name: &str) -> String {
    let mut failure = nightly();
    failure.name = name.to_owned();
    let (_, text) = mail(failure.clone(), &[("subject", "x")]);
    let command = text.lines().last().unwrap();
    let word = command.strip_prefix("notifierctl silence add '").unwrap();
    let word = word.strip_suffix("' --for 2h").unwrap();
    assert!(!word.replace(r"'\''", "").contains('\''), "{command}");
    let word = word.replace(r"'\''", "'");
    let matcher: Matcher = word.parse().unwrap();
    assert!(matcher.matches(&failure), "{name:?}: {command}");
    failure.name += "x";
    assert!(!matcher.matches(&failure), "{name:?}: {command}");
    word
}

#[test]
fn the_command_that_silences_it_holds_no_other_and_is_about_it() {
    let name = "a'; reboot; echo '$(b)`c`\\";
    assert_eq!(silenced(name), format!("name={name}"));
    assert_eq!(silenced("~a.b"), r"name=~^~a\.b$");
    for name in [
        "web 1",
        "a\u{a0}b",
        "=x",
        "~",
        "a\nb'; reboot '",
        "\0[]^$.|?*+(){}\\-]\t",
        "",
    ] {
        silenced(name);
    }
}

/// What only the API of Chronos tells has attempts that it may have, and none that it had.
#[test]
fn what_is_not_about_an_attempt_counts_none() {
    for (name, words) in [
        (
            "exhausted",
            "has run for the last time: its schedule is used up",
        ),
        ("deleted", "was deleted"),
    ] {
        let (subject, text) = mail(case(name, false, false), &[]);
        assert_eq!(subject, "[TASK_FAILED] nightly-report");
        assert!(
            text.starts_with(&format!("nightly-report {words}\n\n")),
            "{text}"
        );
        assert!(
            !text.contains("Attempt") && !text.contains("<no value>"),
            "{text}"
        );
        let mut failure = case(name, false, false);
        failure.message = Some("as the source says".to_owned());
        let (_, text) = mail(failure, &[]);
        assert!(
            text.starts_with("nightly-report: as the source says\n\n"),
            "{text}"
        );
    }
}

#[test]
fn the_whole_message_is_this() {
    let mut failure = case("failed", true, false).with_detail("owner_name", "Ann Ö");
    failure.source = "chronos".to_owned();
    let report = Report::failure(failure);
    let extra = ("headers", "X-Team: core");
    let mail = compose(
        &report,
        &[
            CHRONOS[0],
            extra,
            ("reply_to", "ops@example.com"),
            ("cc", "c@d"),
        ],
    );
    let mail = mail.unwrap();
    assert_eq!(
        String::from_utf8(mail.data).unwrap().replace("\r\n", "\n"),
        // The incident's id is 128 bits of SHA-256 over "incident", "chronos" and the job's name.
        "Date: Fri, 02 Jan 2026 03:04:05 +0000
From: Alerts <alerts@example.com>
To: =?utf-8?q?Ann_=C3=96?= <owner@example.com>
Cc: c@d
Reply-To: ops@example.com
Subject: [prod] [Chronos] job 'nightly-report' failed!
Message-ID: <0123456789abcdef0123456789abcdef@example.com>
In-Reply-To: <incident.37e7a03ccd3af3412d2604864b0d9ae9@example.com>
References: <incident.37e7a03ccd3af3412d2604864b0d9ae9@example.com>
Auto-Submitted: auto-generated
X-Auto-Response-Suppress: All
X-Team: core
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 7bit


'2026-01-02T03:04:05.678Z'. Retries attempted: 2.
Task id: ct:1767323040000:0:nightly-report:
"
    );
    let to: Vec<String> = mail.recipients.iter().map(ToString::to_string).collect();
    assert_eq!(to, ["owner@example.com", "c@d"]);
    assert_eq!(mail.sender.to_string(), "alerts@example.com");
    assert_eq!(
        mail.message_id,
        "<0123456789abcdef0123456789abcdef@example.com>"
    );
    assert!(mail.fallback.is_empty() && !mail.needs_utf8);
}
