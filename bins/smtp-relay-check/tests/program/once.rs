//! One check of all targets.

use notifier_testkit::{
    program::Ended,
    smtp::{Action, Script, Verb},
};
use serde_json::Value;

use crate::support::{WELL, relay, run};

/// That it ended with 0; else what it said.
#[track_caller]
fn assert_well(ended: &Ended) {
    let (said, complained) = (&ended.stdout, &ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{said}{complained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_well_is_0_in_every_form() {
    let (relay, address) = relay().await;
    for format in ["table", "json", "nagios", "prometheus"] {
        for exit in ["plugin", "probe"] {
            let args = [
                &[address.as_str(), "--format", format, "--exit", exit],
                &WELL[..],
            ]
            .concat();
            let ended = run(&args, &[]).await;
            assert_eq!(
                ended.status.code(),
                Some(0),
                "{format} {exit}: {}{}",
                ended.stdout,
                ended.stderr
            );
            assert_eq!(ended.stderr, "");
            let starts = match format {
                "json" => "{\n  \"schema\": 1,".to_owned(),
                "nagios" => format!("SMTP OK - {address}: "),
                "prometheus" => "# HELP ".to_owned(),
                _ if exit == "probe" => "✓ ok       ".to_owned(),
                _ => format!("{address}\n  "),
            };
            assert!(
                ended.stdout.starts_with(&starts),
                "{format} {exit}: {}",
                ended.stdout
            );
            assert!(!ended.stdout.contains('\u{1b}'), "no colour into a pipe");
        }
    }
    assert!(relay.faults().is_empty(), "{:?}", relay.faults());
    assert!(relay.mails().is_empty());
    let sessions = relay.sessions();
    assert!(
        sessions
            .iter()
            .all(|s| s.last().is_some_and(|l| l == "QUIT")),
        "{sessions:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_and_the_exit_code_say_the_same() {
    let (relay, address) = relay().await;
    relay.set(
        Script::new()
            .banner("relay.example ESMTP")
            .refuse("bad@x.example", "550 5.1.1 no|such \u{1b}[31muser")
            .refuse("grey@x.example", "450 4.7.1 greylisted"),
    );
    // Recipient, state, codes as a plugin and as a probe, Nagios' word.
    for (rcpt, state, plugin, probe, word) in [
        ("good@x.example", "ok", 0, 0, "OK"),
        ("grey@x.example", "warn", 1, 0, "WARNING"),
        ("bad@x.example", "crit", 2, 1, "CRITICAL"),
    ] {
        let base = [&[address.as_str(), "--rcpt", rcpt], &WELL[..]].concat();
        let json = run(&[&base[..], &["--format", "json"]].concat(), &[]).await;
        let report: Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(report["overall"], state, "{}", json.stdout);
        assert_eq!(json.status.code(), Some(plugin));
        let check = report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|c| c["id"] == "rcpt_own")
            .unwrap();
        assert_eq!(
            (check["state"].as_str(), check["subject"].as_str()),
            (Some(state), Some(rcpt))
        );
        let nagios = run(&[&base[..], &["--format=nagios"]].concat(), &[]).await;
        assert_eq!(nagios.status.code(), Some(plugin));
        assert!(
            nagios.stdout.starts_with(&format!("SMTP {word} - ")),
            "{}",
            nagios.stdout
        );
        assert_eq!(nagios.stdout.matches('|').count(), 1, "{}", nagios.stdout);
        let short = run(&[&base[..], &["--exit=probe"]].concat(), &[]).await;
        assert_eq!(short.status.code(), Some(probe), "{}", short.stdout);
        let last = short.stdout.lines().last().unwrap();
        assert!(last.contains(&format!(" {state} ")), "{last}");
        for ended in [json, nagios, short] {
            assert!(!ended.stdout.contains('\u{1b}'), "{}", ended.stdout);
        }
    }
    let all = [&[address.as_str(), "--all", "--color=always"], &WELL[..]].concat();
    assert!(run(&all, &[]).await.stdout.contains("\u{1b}[32m✓ ok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn words_behind_rcpt_are_recipients_and_targets_may_stand_anywhere() {
    let (relay, address) = relay().await;
    let args = [
        "--rcpt",
        "a@x.example",
        "b@x.example",
        &address,
        "--rcpt=c@x.example,d@x.example",
        "--from",
        "<>",
    ];
    let ended = run(&[&args[..], &WELL].concat(), &[]).await;
    assert_well(&ended);
    let lines: Vec<String> = relay.sessions().into_iter().flatten().collect();
    for one in ["a", "b", "c", "d"] {
        let rcpt = format!("RCPT TO:<{one}@x.example>");
        assert!(lines.iter().any(|l| l.starts_with(&rcpt)), "{lines:?}");
    }
    assert!(
        lines.iter().any(|l| l.starts_with("MAIL FROM:<>")),
        "{lines:?}"
    );
    assert!(lines.iter().any(|l| l == "EHLO probe.example"), "{lines:?}");
    assert!(relay.mails().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_targets_keep_their_order_and_the_worst_decides() {
    let mut relays = Vec::new();
    for _ in 0..12 {
        relays.push(relay().await);
    }
    // The first is the last to answer, and one is down.
    relays[0].0.set(Script::new().on(
        Verb::Connect,
        Action::Delay(
            std::time::Duration::from_millis(300),
            "220 relay.example ESMTP".to_owned(),
        ),
    ));
    relays[7].0.refuse().await;
    let addresses: Vec<&str> = relays.iter().map(|(_, a)| a.as_str()).collect();
    let ended = run(&[&addresses[..], &["--format=json"], &WELL].concat(), &[]).await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    let reports: Value = serde_json::from_str(&ended.stdout).unwrap();
    let names: Vec<&str> = reports
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["target"].as_str().unwrap())
        .collect();
    assert_eq!(names, addresses);
    assert_eq!(reports[7]["overall"], "crit");
    assert_eq!(reports[1]["overall"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_names_the_nodes_relay() {
    let (relay, _) = relay().await;
    let port = relay.port().to_string();
    let tcp = format!("tcp://127.0.0.1:{port}");
    for port in [port.as_str(), tcp.as_str()] {
        let env = [("SMTP_HOST_IP", "127.0.0.1"), ("SMTP_HOST_PORT", port)];
        let ended = run(&WELL, &env).await;
        assert_well(&ended);
    }
    assert!(relay.connections() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_leaves_its_file_for_the_next() {
    let (_relay, address) = relay().await;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.json");
    let flag = format!("--state={}", state.display());
    let args = [&[address.as_str(), &flag], &WELL[..]].concat();
    assert_eq!(run(&args, &[]).await.status.code(), Some(0));
    let left: Value = serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
    assert!(left["targets"][&address].is_object(), "{left}");
    // One that is broken is told, and does not stop the check.
    std::fs::write(&state, "{ not json").unwrap();
    let ended = run(&args, &[]).await;
    assert_eq!(ended.status.code(), Some(0));
    assert!(
        ended.stderr.contains("state: ") && ended.stderr.contains("is not used"),
        "{}",
        ended.stderr
    );
    assert_eq!(run(&args, &[]).await.stderr, "");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_holds_where_nobody_reads() {
    let (good, at_good) = relay().await;
    let (bad, at_bad) = relay().await;
    bad.refuse().await;
    for (address, exit, whole, unseen) in [
        (&at_good, "plugin", 0, 3),
        (&at_bad, "plugin", 2, 2),
        (&at_good, "probe", 0, 1),
        (&at_bad, "probe", 1, 1),
    ] {
        let code = async |out: std::process::Stdio| {
            let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_smtp-relay-check"))
                .args([&[address.as_str(), "--exit", exit], &WELL[..]].concat())
                .stdin(std::process::Stdio::null())
                .stdout(out)
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap();
            let ended = tokio::task::spawn_blocking(move || child.wait());
            ended.await.unwrap().unwrap().code()
        };
        // Nobody reads on.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(code(writer.into()).await, Some(whole), "{address} {exit}");
        // There is no room.
        let full = std::fs::File::options().write(true).open("/dev/full");
        assert_eq!(
            code(full.unwrap().into()).await,
            Some(unseen),
            "{address} {exit}"
        );
    }
    assert!(good.faults().is_empty(), "{:?}", good.faults());
}
