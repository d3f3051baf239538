//! The command lines in the files: the program takes each.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use notifier_testkit::{
    peer,
    program::{Program, command},
    smtp::Certificates,
};

use crate::{
    chart,
    support::{CHECK, deploy, file, system, told, words},
};

/// Files that hold a command line.
const FILES: [&str; 10] = [
    "ansible/roles/postfix_relay/tasks/main.yml",
    "helm/postfix-relay/templates/NOTES.txt",
    "helm/postfix-relay/templates/daemonset.yaml",
    "helm/postfix-relay/templates/example.yaml",
    "helm/postfix-relay/templates/tests/relay.yaml",
    "postfix-relay/Dockerfile",
    "smtp-relay-check/Dockerfile",
    "smtp-relay-check/smtp-relay-check.service",
    "smtp-relay-check/smtp-relay-check-watch.service",
    "swarm/stack.yml",
];

/// Flags of other programs in them.
const OTHERS: [&str; 13] = [
    "--from",
    "--system",
    "--gid",
    "--uid",
    "--home-dir",
    "--no-create-home",
    "--shell",
    "--no-install-recommends",
    "--chmod",
    "--locked",
    "--release",
    "--rm",
    "--namespace",
];
/// And those of Dockerfiles' HEALTHCHECK.
const HEALTHCHECK: [&str; 4] = ["--interval", "--timeout", "--start-period", "--retries"];

/// Words of a text that are flags, up to their `=`.
fn flags(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let is_flag = |w: &&str| {
        w.strip_prefix("--")
            .is_some_and(|w| w.starts_with(|c: char| c.is_ascii_lowercase()))
    };
    words.filter(is_flag).map(str::to_owned).collect()
}

fn help() -> BTreeSet<String> {
    let out = command(CHECK).arg("--help").output().unwrap();
    assert!(out.status.success());
    flags(&String::from_utf8(out.stdout).unwrap())
}

/// The check of the relay's image, as Docker runs it.
pub(crate) fn healthcheck() -> Vec<String> {
    let text = file("postfix-relay/Dockerfile");
    let (_, after) = text.split_once("HEALTHCHECK ").unwrap();
    let (_, list) = after.split_once("CMD ").unwrap();
    serde_json::from_str(list.lines().next().unwrap()).unwrap()
}

#[test]
fn every_flag_is_one_of_the_programs() {
    let help = help();
    assert!(help.contains("--level") && help.contains("--open-relay"));
    let mut count = 0;
    for name in FILES {
        let found = flags(&file(name));
        for flag in &found {
            let is_other = OTHERS.contains(&flag.as_str())
                || (name.ends_with("Dockerfile") && HEALTHCHECK.contains(&flag.as_str()));
            assert!(help.contains(flag) || is_other, "{name}: {flag}");
            count += 1;
        }
        assert!(!found.is_empty(), "{name}");
    }
    assert!(count > 40, "{count}");
    for word in healthcheck().iter().filter(|w| w.starts_with("--")) {
        assert!(help.contains(word), "{word}");
    }
}

/// A new command line in a file that is not looked at above would go unseen.
#[test]
fn the_files_that_hold_command_lines_are_all_looked_at() {
    let mut grep = Command::new("grep");
    grep.args(["-rl", "-e", "smtp-relay-check", "."]);
    let out = grep.current_dir(deploy()).output().unwrap();
    let paths = String::from_utf8(out.stdout).unwrap();
    assert!(paths.lines().count() > FILES.len());
    for name in paths.lines().map(|p| p.trim_start_matches("./")) {
        let has_flag = file(name).lines().any(|line| {
            let code = !line.trim_start().starts_with('#');
            code && flags(line).iter().any(|f| f == "--exit" || f == "--listen")
        });
        let is_known = FILES.contains(&name) || name.ends_with(".md");
        assert!(!has_flag || is_known, "{name}");
    }
}

/// The program with the settings that the documentation shows.
#[test]
fn the_settings_of_the_documentation_are_taken() {
    let text = file("smtp-relay-check/README.md");
    let (_, rest) = text.split_once("```toml\n").unwrap();
    let toml = rest.split_once("```").unwrap().0;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    let word = folder.path().join("password");
    fs::write(&config, toml).unwrap();
    fs::write(&word, "secret\n").unwrap();
    let mut check = command(CHECK);
    check.arg("--config").arg(&config).arg("--check-config");
    // As the units set it.
    let out = check.env("SMTP_PASSWORD_FILE", &word).output().unwrap();
    assert!(out.status.success(), "{}", told(&out));
    for name in ["node", "provider"] {
        assert!(told(&out).contains(name), "{}", told(&out));
    }
}

/// What runs beside the relay answers as its probes and Prometheus ask it.
#[tokio::test(flavor = "multi_thread")]
async fn the_container_beside_the_relay_serves() {
    let Some(values) = chart::provider() else {
        return;
    };
    let container = chart::container(&values, "check").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.crt");
    fs::write(&ca, Certificates::new().ca_pem()).unwrap();
    let args: Vec<String> = words(&container["args"])
        .iter()
        .map(|a| a.replace("0.0.0.0:9925", "127.0.0.1:0"))
        .map(|a| a.replace("/run/ca/ca.crt", ca.to_str().unwrap()))
        .map(|a| a.replace("/var/spool/postfix", folder.path().to_str().unwrap()))
        // Nobody listens there.
        .map(|a| a.replace("127.0.0.1:2525", "127.0.0.1:1"))
        .collect();
    let check = Program::start(CHECK, &args, &[]);
    let until = Instant::now() + Duration::from_secs(60);
    let wait = |is: &dyn Fn() -> Option<String>| loop {
        if let Some(text) = is() {
            return text;
        }
        assert!(Instant::now() < until, "{}", check.stderr());
        std::thread::sleep(Duration::from_millis(20));
    };
    let address = wait(&|| {
        let told = check.stderr();
        let (_, rest) = told.split_once("serving HTTP address=")?;
        rest.split_once('\n').map(|(a, _)| a.trim().to_owned())
    });
    let live = container["livenessProbe"]["httpGet"]["path"].as_str();
    assert!(get(&address, live.unwrap()).starts_with("HTTP/1.1 200"));
    let metrics = wait(&|| {
        let text = get(&address, "/metrics");
        text.contains("smtp_probe_state").then_some(text)
    });
    assert!(
        metrics.contains("smtp_probe_state{target=\"127.0.0.1:1\"} 2"),
        "{metrics}"
    );
    assert!(check.stop().await.status.success());
    if let Some(mut promtool) = system("promtool") {
        let body = folder.path().join("metrics");
        fs::write(&body, metrics.split_once("\r\n\r\n").unwrap().1).unwrap();
        promtool.args(["check", "metrics"]);
        let out = promtool.stdin(fs::File::open(body).unwrap()).output();
        let out = out.unwrap();
        assert!(out.status.success(), "{}\n{metrics}", told(&out));
        peer::ran("promtool");
    }
}

fn get(address: &str, path: &str) -> String {
    let mut link = TcpStream::connect(address).unwrap();
    write!(
        link,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    link.read_to_string(&mut answer).unwrap();
    answer
}
