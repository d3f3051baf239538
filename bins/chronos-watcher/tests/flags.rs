//! Chronos' own flags, and what is told of wrong settings before anything starts.

use std::time::Duration;

use notifier_testkit::program::{Ended, Program};

const WAIT: Duration = Duration::from_secs(60);

async fn run(args: &[&str]) -> Ended {
    let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
    Program::start(env!("CARGO_BIN_EXE_chronos-watcher"), &args, &[])
        .end(WAIT)
        .await
}

#[tokio::test]
async fn help_lists_chronos_flags_and_what_this_program_presets() {
    let ended = run(&["-help"]).await;
    assert!(ended.status.success());
    for part in [
        "-smtp.from, -mail_from",
        "-smtp.server, -mail_server",
        "-smtp.user, -mail_user",
        "-smtp.password, -mail_password",
        "-mail_ssl\n        the same as -smtp.tls=implicit",
        "-chronos.cluster_name, -cluster_name",
        "default \"chronos\"",
        "-chronos.notify",
    ] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_at_once_and_without_secrets() {
    let ended = run(&[
        "--mail_password",
        "s3cret-words",
        "--mail_ssl=perhaps",
        "--chronos.urls=ftp://chronos",
        "--chronos.credentials=me:s3cret-too",
    ])
    .await;
    assert_eq!(ended.status.code(), Some(64), "{}", ended.stderr);
    for part in ["-mail_ssl: \"perhaps\"", "chronos.urls"] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
}

#[tokio::test]
async fn without_addresses_it_says_what_to_set() {
    let ended = run(&["--mail_server=localhost:1", "--mail_from=a@b.example"]).await;
    assert_eq!(ended.status.code(), Some(64), "{}", ended.stderr);
    for part in ["-chronos.urls", "CHRONOS_URLS"] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
}
