//! The HTTP interface.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use notifier_testkit::{
    peer,
    smtp::{Action, Script, Verb},
};
use serde_json::Value;

use crate::support::{WELL, address, get, relay, sample, start, until};

/// The sample of a target.
fn of(text: &str, name: &str, target: &str) -> Option<f64> {
    sample(text, &format!("{name}{{target=\"{target}\"}}"))
}

/// Serves on a free port.
const SERVE: [&str; 2] = ["--listen", "127.0.0.1:0"];

#[tokio::test(flavor = "multi_thread")]
async fn targets_are_checked_on_and_on_and_all_can_be_asked() {
    let (good, at_good) = relay().await;
    let (bad, at_bad) = relay().await;
    let args = [
        &[at_good.as_str(), &at_bad, "--interval", "50ms"],
        &SERVE[..],
        &WELL,
    ]
    .concat();
    let program = start(&args, &[]);
    let at = address(&program).await;
    assert_eq!(get(at, "/livez", "").await, (200, "ok\n".to_owned()));
    until("both are well", async || {
        (get(at, "/health", "").await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(get(at, "/readyz", "").await.0, 200);
    bad.refuse().await;
    let (_, body) = until("one is down", async || {
        let (status, body) = get(at, "/health", "").await;
        (status == 503).then_some((status, body))
    })
    .await;
    let health: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(health["ok"], false);
    assert_eq!(health["targets"][0]["overall"], "ok");
    assert_eq!(health["targets"][1]["target"], at_bad);
    assert_eq!(health["targets"][1]["check"], "connect");
    // It is checked in time, whatever comes of it.
    assert_eq!(get(at, "/readyz", "").await.0, 200);
    let (status, metrics) = get(at, "/metrics", "").await;
    assert_eq!(status, 200);
    assert_eq!(
        of(&metrics, "probe_success", &at_good),
        Some(1.0),
        "{metrics}"
    );
    assert_eq!(
        of(&metrics, "probe_success", &at_bad),
        Some(0.0),
        "{metrics}"
    );
    let failed =
        format!("smtp_probe_failed{{target=\"{at_bad}\",phase=\"connect\",class=\"refused\"}}");
    assert_eq!(sample(&metrics, &failed), Some(1.0), "{metrics}");
    assert!(of(&metrics, "smtp_relay_check_probes_total", &at_good).is_some_and(|n| n >= 1.0));
    assert_eq!(
        of(&metrics, "smtp_relay_check_up_to_date", &at_good),
        Some(1.0)
    );
    let before = good.connections();
    until("it goes on", async || {
        (good.connections() > before + 2).then_some(())
    })
    .await;
    bad.restore().unwrap();
    until("both are well again", async || {
        (get(at, "/health", "").await.0 == 200).then_some(())
    })
    .await;
    let ended = program.stop().await;
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(good.faults().is_empty(), "{:?}", good.faults());
}

#[tokio::test(flavor = "multi_thread")]
async fn probe_answers_for_what_it_may_be_asked() {
    let (relay, at_relay) = relay().await;
    let port = relay.port();
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("inbox");
    for part in ["new", "cur", "tmp"] {
        std::fs::create_dir_all(inbox.join(part)).unwrap();
    }
    let file = folder.path().join("c.toml");
    let text = format!(
        "probe_targets = ['127.0.0.0/8']\n[defaults]\ntls = 'none'\ntimeout = '100s'\nconnect_timeout = '100s'\nconnect_time = [100, 200]\ngreeting_time = [100, 200]\nhelo = 'probe.example'\n\
         [[target]]\nname = 'main'\naddress = '{at_relay}'\ninterval = '1h'\nrcpt = 'me@x.example'\n\
         [[target]]\nname = 'other-helo'\nhelo = 'other.example'\n\
         [[target]]\nname = 'canary'\nrcpt = 'me@x.example'\ncanary = 'maildir:{}'\ncanary_timeout = '200ms'\n",
        inbox.display()
    );
    std::fs::write(&file, text).unwrap();
    let config = format!("--config={}", file.display());
    let program = start(&[&config, "--listen=127.0.0.1:0"], &[]);
    let at = address(&program).await;
    let probe = async |query: &str| get(at, &format!("/probe?{query}"), "").await;
    let (status, text) = probe("target=main").await;
    assert_eq!(
        (status, sample(&text, "probe_success")),
        (200, Some(1.0)),
        "{text}"
    );
    assert_eq!(
        sample(&text, "smtp_reply_code{phase=\"rcpt\"}"),
        Some(250.0),
        "{text}"
    );
    let (_, text) = probe(&format!("target={at_relay}&module=other-helo")).await;
    assert_eq!(sample(&text, "probe_success"), Some(1.0), "{text}");
    assert!(
        relay
            .sessions()
            .concat()
            .iter()
            .any(|l| l == "EHLO other.example")
    );
    // Another address of this machine, since the network is allowed.
    assert_eq!(probe(&format!("target=127.0.0.2:{port}")).await.0, 200);
    assert_eq!(
        probe("target=main&debug=true").await.1.lines().next(),
        Some("main")
    );
    let (_, json) = probe("target=main&format=json").await;
    assert_eq!(
        serde_json::from_str::<Value>(&json).unwrap()["overall"],
        "ok"
    );
    for (query, status, word) in [
        ("", 400, "target is missing"),
        (
            "target=main&module=nonsense",
            400,
            "there is canary, main, other-helo",
        ),
        ("target=192.0.2.1:25", 403, "--probe-targets"),
        ("target=evil.example", 403, "--probe-targets"),
        ("target=localhost:25", 403, "--probe-targets"),
        ("target=u:s3cret@127.0.0.1", 400, "target: "),
    ] {
        let (found, body) = probe(query).await;
        assert_eq!(found, status, "{query}: {body}");
        assert!(
            body.contains(word) && !body.contains("s3cret"),
            "{query}: {body}"
        );
    }
    // A message is sent only where the module is named.
    assert!(relay.mails().is_empty());
    let (_, text) = probe(&format!("target={at_relay}&module=canary")).await;
    assert_eq!(sample(&text, "probe_success"), Some(0.0), "{text}");
    assert_eq!(relay.mails().len(), 1, "{text}");
    assert!(program.stop().await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_takes_no_longer_than_prometheus_waits() {
    let (relay, at_relay) = relay().await;
    relay.set(Script::new().on(Verb::Connect, Action::Stall));
    let args = [&["--probe-targets=127.0.0.1"][..], &SERVE, &WELL].concat();
    let program = start(&args, &[]);
    let at = address(&program).await;
    // Without the header it would take more than a minute.
    let (status, text) = get(
        at,
        &format!("/probe?target={at_relay}"),
        "X-Prometheus-Scrape-Timeout-Seconds: 1\r\n",
    )
    .await;
    assert_eq!(
        (status, sample(&text, "probe_success")),
        (200, Some(0.0)),
        "{text}"
    );
    assert!(text.contains("class=\"timeout\""), "{text}");
    assert!(program.stop().await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_probed_by_one_at_a_time() {
    let (relay, at_relay) = relay().await;
    relay.set(
        Script::new()
            .banner("relay.example ESMTP")
            .on(Verb::Ehlo, Action::Stall),
    );
    let args = [&["--probe-targets=127.0.0.1"][..], &SERVE, &WELL].concat();
    let program = start(&args, &[]);
    let at = address(&program).await;
    let path = format!("/probe?target={at_relay}");
    let first = tokio::spawn({
        let path = path.clone();
        async move { get(at, &path, "").await }
    });
    relay.wait(|s| s.connections == 1).await;
    let (status, why) = get(at, &path, "X-Prometheus-Scrape-Timeout-Seconds: 0.4\r\n").await;
    assert_eq!(status, 503, "{why}");
    assert!(why.contains("other probes are under way"), "{why}");
    assert_eq!(relay.connections(), 1);
    relay.hang_up("");
    relay.drop_connections();
    let (status, text) = first.await.unwrap();
    assert_eq!(
        (status, sample(&text, "probe_success")),
        (200, Some(0.0)),
        "{text}"
    );
    assert!(program.stop().await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_nothing_wrong_in_any_exposition() {
    let (_good, at_good) = relay().await;
    let (bad, at_bad) = relay().await;
    bad.refuse().await;
    let args = [
        &[
            at_good.as_str(),
            &at_bad,
            "--rcpt",
            "me@x.example",
            "--open-relay",
        ],
        &SERVE[..],
        &WELL,
    ]
    .concat();
    let program = start(&args, &[]);
    let at = address(&program).await;
    let metrics = until("both were checked", async || {
        let (_, text) = get(at, "/metrics", "").await;
        (of(&text, "probe_success", &at_good).is_some()
            && of(&text, "probe_success", &at_bad).is_some())
        .then_some(text)
    })
    .await;
    let (_, probed) = get(at, &format!("/probe?target={at_good}"), "").await;
    assert!(program.stop().await.status.success());
    let expositions = [metrics, probed];
    for text in &expositions {
        let mut families = std::collections::BTreeSet::new();
        for line in text.lines().filter(|l| l.starts_with("# TYPE ")) {
            assert!(families.insert(line), "{line} twice");
        }
        assert!(families.len() > 5, "{text}");
    }
    let Some(promtool) = promtool() else {
        return peer::skipped("promtool", "it is not on the path");
    };
    for text in expositions {
        let mut child = Command::new(promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let out = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned()
            + &String::from_utf8_lossy(&out.stdout);
        assert!(
            out.status.success() && said.trim().is_empty(),
            "{said}\n{text}"
        );
    }
    peer::ran("promtool");
}

fn promtool() -> Option<&'static str> {
    ["promtool", "/usr/bin/promtool"].into_iter().find(|p| {
        let asked = Command::new(p).arg("--version").output();
        asked.is_ok_and(|o| o.status.success())
    })
}
