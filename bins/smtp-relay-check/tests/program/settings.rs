//! Settings: what is wrong with them, and those of a file.

use notifier_testkit::smtp::{Script, Verb};
use serde_json::Value;

use crate::support::{relay, run};

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_are_3_or_1_and_one_line_each() {
    for (args, line) in [
        (&[][..], "no target: give HOST:PORT"),
        (&["--nonsense"], "unexpected argument '--nonsense'"),
        (
            &["a:25", "--level", "high"],
            "--level: \"high\" is not one of live, ready, deep",
        ),
        (
            &["a:25", "--timeout", "5"],
            "--timeout: \"5\" is not a duration",
        ),
        (
            &["a:25", "--timeout", "0s"],
            "--timeout: it must be longer than 0",
        ),
        (
            &["a:25", "--dns", "here"],
            "--dns: \"here\" is neither IP:PORT nor system",
        ),
        (
            &["a:25", "--source", "lo"],
            "--source: \"lo\" is no IP address",
        ),
        (
            &["a:25", "--user", "u"],
            "user: set --password-file or SMTP_PASSWORD_FILE too",
        ),
        (&["a:25", "--rcpt", "a@b>\r\nDATA"], "--rcpt: "),
        (
            &["a:25", "--canary", "imap://u:s3cret@"],
            "--canary: a mailbox is imap://USER@HOST",
        ),
        (
            &["a:25", "--canary", "imap://u:s3cret@h/INBOX"],
            "canary: set --rcpt",
        ),
        (
            &["a:25", "--listen", ":0", "--format", "json"],
            "--format does nothing with --listen or --watch",
        ),
        (
            &["a:25", "--level", "live", "--rcpt", "a@x"],
            "--rcpt does nothing without --level ready or deep",
        ),
        (
            &["smtp://u:s3cret@h"],
            "target: a name or a password does not belong in an address",
        ),
        (
            &["a:25", "--well-known", "x.org"],
            "--well-known does nothing without --open-relay",
        ),
        (
            &["a:25", "--config", "/no/such/file.toml"],
            "config: cannot read /no/such/file.toml",
        ),
        (
            &["a:25", "--listen", "9925"],
            "--listen: \"9925\" has no port",
        ),
        (&["a:25", "--watch"], "reporters is missing"),
        (
            &["--main-cf", "/etc/postfix/main.cf", "--level", "live"],
            "level: live looks at nothing",
        ),
        (
            &["a:0"],
            "target \"a:0\": its port is no number from 1 to 65535",
        ),
    ] {
        for (exit, code) in [("plugin", 3), ("probe", 1)] {
            let ended = run(&[args, &["--exit", exit]].concat(), &[]).await;
            assert_eq!(
                ended.status.code(),
                Some(code),
                "{args:?}: {}",
                ended.stderr
            );
            assert!(ended.stderr.contains(line), "{args:?}: {}", ended.stderr);
            assert!(
                ended
                    .stderr
                    .lines()
                    .all(|l| l.starts_with("smtp-relay-check: ")),
                "{}",
                ended.stderr
            );
            assert!(ended.stderr.lines().count() <= 3, "{}", ended.stderr);
            assert!(!ended.stderr.contains("s3cret") && ended.stdout.is_empty());
        }
    }
    // That a name is not known is no fault of the settings.
    let ended = run(&["nobody.invalid:25"], &[]).await;
    assert!(
        matches!(ended.status.code(), Some(2 | 3)) && ended.stderr.is_empty(),
        "{}",
        ended.stderr
    );
    assert!(ended.stdout.contains("resolve"), "{}", ended.stdout);
    for (flag, text) in [
        ("--help", "--open-relay"),
        ("--version", env!("CARGO_PKG_VERSION")),
    ] {
        let ended = run(&[flag], &[]).await;
        assert!(
            ended.status.success() && ended.stdout.contains(text),
            "{}",
            ended.stdout
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_targets_with_settings_of_their_own() {
    let (open, at_open) = relay().await;
    let (strict, at_strict) = relay().await;
    strict.set(
        Script::new()
            .banner("relay.example ESMTP")
            .on(Verb::Mail, "530 5.7.0 log in first"),
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relays.toml");
    let text = format!(
        "[defaults]\ntls = 'none'\ntimeout = '100s'\nconnect_timeout = '100s'\nconnect_time = [100, 200]\ngreeting_time = [100, 200]\nhelo = 'probe.example'\nrcpt = 'me@x.example'\n\
         [[target]]\nname = 'open'\naddress = '{at_open}'\n\
         [[target]]\nname = 'strict'\naddress = '{at_strict}'\n\
         [reporters.file]\nname = '/dev/null'\n"
    );
    std::fs::write(&file, &text).unwrap();
    let config = format!("--config={}", file.display());
    let ended = run(&[&config, "--format=json"], &[]).await;
    assert_eq!(
        ended.status.code(),
        Some(2),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    let reports: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (&reports[0]["target"], &reports[0]["overall"]),
        (&"open".into(), &"ok".into())
    );
    assert_eq!(
        (&reports[1]["target"], &reports[1]["overall"]),
        (&"strict".into(), &"crit".into())
    );
    // One of them by its name; a flag beats the file.
    let ended = run(&[&config, "open", "--helo", "other.example"], &[]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    assert!(
        open.sessions()
            .concat()
            .iter()
            .any(|l| l == "EHLO other.example")
    );
    let ended = run(&[&config, "--check-config"], &[]).await;
    assert_eq!(
        ended.stdout,
        format!(
            "open: {at_open}, ready, every 60 s\nstrict: {at_strict}, ready, every 60 s\nmodules of /probe: open, strict\n"
        )
    );
    std::fs::write(&file, text.replace("rcpt =", "rctp =")).unwrap();
    let ended = run(&[&config], &[]).await;
    assert_eq!(ended.status.code(), Some(3));
    assert_eq!(
        ended.stderr,
        format!(
            "smtp-relay-check: {}:8:1: unknown key \"rctp\" in [defaults]; did you mean \"rcpt\"?\n",
            file.display()
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_on_the_command_line_is_warned_of_and_never_shown() {
    let canary = "imap://u:s3cret@127.0.0.1/INBOX";
    let args = [
        "127.0.0.1:1",
        "--rcpt",
        "a@x.example",
        "--canary",
        canary,
        "--check-config",
    ];
    let ended = run(&args, &[]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("--canary: others on this machine can see the password"),
        "{}",
        ended.stderr
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    let text =
        format!("[[target]]\naddress = '127.0.0.1:1'\nrcpt = 'a@x.example'\ncanary = '{canary}'\n");
    std::fs::write(&file, text).unwrap();
    let config = format!("--config={}", file.display());
    // In a file it may stand.
    let quiet = run(&[&config, "--check-config"], &[]).await;
    assert_eq!((quiet.status.code(), quiet.stderr.as_str()), (Some(0), ""));
    let found = run(&[&config, "--format=json"], &[]).await;
    assert_eq!(found.status.code(), Some(2), "{}", found.stderr);
    for ended in [ended, quiet, found] {
        assert!(!ended.stdout.contains("s3cret") && !ended.stderr.contains("s3cret"));
    }
}
