//! The files under `deploy/`: each is checked by its own tool, and the watcher takes what
//! they say.

mod support;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use notifier_testkit::peer;
use notifier_testkit::program::command;
use serde_json::Value;

const WATCHER: &str = env!("CARGO_BIN_EXE_mesos-watcher");

/// The configuration that `deploy/README.md` shows.
const CONFIG: &str = "config.toml";

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn file(name: &str) -> String {
    fs::read_to_string(deploy().join(name)).unwrap()
}

/// What one file starts the watcher with.
#[derive(Debug, Default)]
struct Start {
    args: Vec<String>,
    env: Vec<(String, String)>,
}

fn marathon() -> Start {
    let app: Value = serde_json::from_str(&file("marathon.json")).unwrap();
    let args = app["args"].as_array().unwrap();
    Start {
        args: args
            .iter()
            .map(|a| a.as_str().unwrap().to_owned())
            .collect(),
        // Marathon says so itself.
        env: vec![("PORT".to_owned(), "0".to_owned())],
    }
}

fn kubernetes() -> Start {
    let text = file("kubernetes.yaml");
    let lines = text
        .lines()
        .map(str::trim)
        .filter_map(|l| l.strip_prefix("- "));
    let mut start = Start::default();
    for line in lines {
        if line.starts_with('-') {
            start.args.push(line.to_owned());
        } else if let Some(name) = line.strip_prefix("name: ")
            && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        {
            // From a secret, which is not in the file.
            start
                .env
                .push((name.to_owned(), "http://127.0.0.1:1/hook".to_owned()));
        }
    }
    start
}

fn systemd() -> Start {
    let mut start = Start::default();
    for line in file("mesos-watcher.service").lines() {
        if let Some((name, value)) = line
            .strip_prefix("Environment=")
            .and_then(|set| set.split_once('='))
        {
            start.env.push((name.to_owned(), value.to_owned()));
        }
        if let Some(exec) = line.strip_prefix("ExecStart=") {
            let args = exec.split_whitespace().skip(1);
            start.args = args
                .filter(|a| *a != "$OPTIONS")
                .map(str::to_owned)
                .collect();
        }
    }
    // As StateDirectory= sets it.
    start.env.push((
        "STATE_DIRECTORY".to_owned(),
        "/var/lib/mesos-watcher".to_owned(),
    ));
    start
}

fn docker() -> Start {
    let mut start = Start::default();
    for line in file("Dockerfile").lines() {
        if let Some((name, value)) = line.strip_prefix("ENV ").and_then(|s| s.split_once('=')) {
            start.env.push((name.to_owned(), value.to_owned()));
        }
    }
    start
}

fn all() -> [(&'static str, Start); 4] {
    [
        ("marathon.json", marathon()),
        ("kubernetes.yaml", kubernetes()),
        ("mesos-watcher.service", systemd()),
        ("Dockerfile", docker()),
    ]
}

/// The flags and variables that `-help` tells of.
fn known() -> (BTreeSet<String>, BTreeSet<String>) {
    let out = command(WATCHER).arg("-help").output().unwrap();
    let help = String::from_utf8(out.stdout).unwrap();
    let word = |w: &str| w.trim_end_matches([',', ')']).to_owned();
    let mut flags = BTreeSet::new();
    let mut variables = BTreeSet::from(["PORT".to_owned(), "STATE_DIRECTORY".to_owned()]);
    for line in help.lines() {
        if line.starts_with("  -") {
            flags.extend(
                line.split_whitespace()
                    .filter(|w| w.starts_with('-'))
                    .map(word),
            );
        }
    }
    // Notes are wrapped: the words of all lines, one behind the other.
    let words: Vec<&str> = help.split_whitespace().collect();
    for pair in words.windows(2) {
        if pair[0].trim_start_matches('(') == "env" {
            variables.insert(word(pair[1]));
        }
    }
    (flags, variables)
}

#[test]
fn every_flag_and_variable_is_one_of_the_watchers() {
    let (flags, variables) = known();
    assert!(flags.contains("-masters") && variables.contains("COMPLAINER_MASTERS"));
    let mut count = 0;
    for (name, start) in all() {
        for arg in &start.args {
            let flag = arg.split('=').next().unwrap();
            assert!(flags.contains(flag), "{name}: {flag}");
            count += 1;
        }
        for (variable, _) in &start.env {
            assert!(variables.contains(variable), "{name}: {variable}");
            count += 1;
        }
    }
    assert!(count > 15, "{count}");
    // What the documentation names, too.
    for word in file("README.md").split(['`', '\n']) {
        let flag = word.split(['=', ' ']).next().unwrap_or_default();
        if flag.starts_with('-') && flag.len() > 2 {
            assert!(flags.contains(flag), "README.md: {flag}");
        }
    }
}

/// The first block of TOML in the documentation.
fn config() -> String {
    let text = file("README.md");
    let (_, rest) = text.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watcher_starts_with_what_each_file_says() {
    for (name, start) in all() {
        let folder = tempfile::tempdir().unwrap();
        let (etc, state) = (folder.path().join("etc"), folder.path().join("state"));
        fs::create_dir(&etc).unwrap();
        fs::write(etc.join(CONFIG), config()).unwrap();
        fs::write(etc.join("slack-hook-url"), "http://127.0.0.1:1/hook\n").unwrap();
        let (etc, state) = (etc.to_str().unwrap(), state.to_str().unwrap());
        let here = |text: &str| {
            text.replace("/etc/mesos-watcher", etc)
                .replace("%d", etc)
                .replace("/var/lib/mesos-watcher", state)
                .replace("-listen=:8888", "-listen=127.0.0.1:0")
        };
        let mut args: Vec<String> = start.args.iter().map(|a| here(a)).collect();
        let env: Vec<(String, String)> = start
            .env
            .iter()
            .map(|(k, v)| (k.clone(), here(v)))
            .collect();
        if name == "Dockerfile" {
            // An image says nothing of its own about masters and reporters.
            args.push(format!("-config={etc}/{CONFIG}"));
        }
        let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let watcher = crate::support::start(&args, &env);
        let until = Instant::now() + Duration::from_secs(20);
        while !watcher.stderr().contains("watching") {
            assert!(Instant::now() < until, "{name}: {}", watcher.stderr());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let ended = watcher.stop().await;
        assert!(ended.status.success(), "{name}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{name}");
        let kept = fs::read_dir(state).unwrap().count();
        assert!(kept > 0, "{name}: nothing is kept in the state folder");
    }
}

#[test]
fn no_file_holds_a_secret() {
    for entry in fs::read_dir(deploy()).unwrap() {
        let path = entry.unwrap().path();
        // Folders are of other programs, whose tests look at them.
        if path.is_dir() {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for word in ["hooks.slack.com/services/", "xoxb-", "BEGIN ", "password"] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
    // Arguments are seen by everybody on a host.
    for (name, start) in all() {
        for arg in &start.args {
            for secret in ["hook_url", "token", "dsn", "secret"] {
                assert!(!arg.contains(secret), "{name}: {arg}");
            }
        }
    }
}

/// What Marathon's documentation says of an app: there is no tool that checks it.
#[test]
fn the_marathon_app_is_one() {
    let app: Value = serde_json::from_str(&file("marathon.json")).unwrap();
    let id = app["id"].as_str().unwrap();
    let segment = |s: &str| {
        !s.is_empty()
            && s.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !s.starts_with('-')
            && !s.ends_with('-')
    };
    assert!(
        id.starts_with('/') && id[1..].split('/').all(segment),
        "{id}"
    );
    // Two at once would tell everything twice.
    assert_eq!(app["instances"], 1);
    assert_eq!(app["upgradeStrategy"]["minimumHealthCapacity"], 0);
    assert_eq!(app["upgradeStrategy"]["maximumOverCapacity"], 0);
    assert!(app["cpus"].as_f64().unwrap() > 0.0 && app["mem"].as_f64().unwrap() >= 128.0);
    // Arguments go with an entry point, a command would replace it.
    assert!(app.get("cmd").is_none());
    let container = &app["container"];
    assert_eq!(container["type"], "DOCKER");
    assert!(container["docker"]["image"].as_str().unwrap().contains(':'));
    for volume in container["volumes"].as_array().unwrap() {
        assert!(volume["containerPath"].as_str().unwrap().starts_with('/'));
        assert!(["RO", "RW"].contains(&volume["mode"].as_str().unwrap()));
    }
    for check in app["healthChecks"].as_array().unwrap() {
        assert_eq!(check["protocol"], "MESOS_HTTP");
        let port = check["portIndex"].as_u64().unwrap();
        assert!(port < app["portDefinitions"].as_array().unwrap().len() as u64);
        let seconds = |name: &str| check[name].as_u64().unwrap();
        assert!(seconds("timeoutSeconds") < seconds("intervalSeconds"));
    }
    for rule in app["constraints"].as_array().unwrap() {
        let rule = rule.as_array().unwrap();
        assert!(rule.len() >= 2 && rule.iter().all(Value::is_string));
    }
    let labels = app["labels"].as_object().unwrap();
    assert!(labels.values().all(Value::is_string));
    // Killed after the watcher had the time that it takes.
    assert!(app["taskKillGracePeriodSeconds"].as_u64().unwrap() > 10);
}

/// A program that pip installs, or a line that says why not.
fn tool(name: &str) -> Option<Command> {
    let folder = peer::path(name, "NOTIFIER_TEST_DEPLOY_TOOLS")?;
    Some(Command::new(folder.join(name)))
}

fn told(out: &Output) -> String {
    [&out.stdout, &out.stderr]
        .map(|b| String::from_utf8_lossy(b).into_owned())
        .concat()
}

/// Runs a tool over a file, and over the same file with a fault in it.
fn judge(mut run: impl FnMut(&Path) -> Output, name: &str, fault: (&str, &str)) {
    let good = run(&deploy().join(name));
    assert!(good.status.success(), "{name}: {}", told(&good));
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join(name);
    let text = file(name);
    assert!(text.contains(fault.0), "{name} has no {:?}", fault.0);
    fs::write(&bad, text.replace(fault.0, fault.1)).unwrap();
    let found = run(&bad);
    assert!(
        !found.status.success(),
        "{name}: {fault:?} was not found: {}",
        told(&found)
    );
}

#[test]
fn hadolint_finds_no_fault() {
    if tool("hadolint").is_none() {
        return;
    }
    peer::ran("hadolint");
    let lint = |path: &Path| {
        let mut hadolint = tool("hadolint").unwrap();
        // A style is a fault here as well.
        hadolint.args(["--no-color", "--failure-threshold", "style"]);
        hadolint.arg(path).output().unwrap()
    };
    judge(lint, "Dockerfile", ("rust:1.95-alpine", "rust:latest"));
}

#[test]
fn kubernetes_takes_the_manifest() {
    if tool("kubernetes-validate").is_none() {
        return;
    }
    peer::ran("kubernetes-validate");
    let validate = |path: &Path| {
        let mut kubernetes = tool("kubernetes-validate").unwrap();
        kubernetes.arg("--strict").arg(path).output().unwrap()
    };
    judge(
        validate,
        "kubernetes.yaml",
        ("replicas: 1", "replicas: two"),
    );
    judge(
        validate,
        "kubernetes.yaml",
        ("readOnlyRootFilesystem:", "readOnlyRootFileSystem:"),
    );
}

/// The manifest for a restricted namespace, beyond what its schema asks for.
#[test]
fn the_pod_may_do_nothing() {
    let text = file("kubernetes.yaml");
    for line in [
        "runAsNonRoot: true",
        "type: RuntimeDefault",
        "allowPrivilegeEscalation: false",
        "readOnlyRootFilesystem: true",
        "automountServiceAccountToken: false",
        "path: /version",
        "path: /health",
        "memory: 256Mi",
        "- ALL",
    ] {
        assert!(text.contains(line), "{line}");
    }
}

#[test]
fn systemd_takes_the_unit_and_trusts_it() {
    let analyze = |args: &[&str], path: &Path| {
        let mut analyze = Command::new("systemd-analyze");
        analyze
            .env("SYSTEMD_COLORS", "0")
            .args(args)
            .arg(path)
            .output()
    };
    if analyze(&["--version"], Path::new("")).is_err() {
        peer::skipped("systemd-analyze", "it is not installed");
        return;
    }
    peer::ran("systemd-analyze");
    let folder = tempfile::tempdir().unwrap();
    // It looks for the program as well: where this one was built.
    let here = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let unit = folder.path().join("mesos-watcher.service");
        fs::write(&unit, text.replace("/usr/bin/mesos-watcher", WATCHER)).unwrap();
        unit
    };
    let verify = |path: &Path| {
        let mut out = analyze(&["verify"], &here(path)).unwrap();
        // A directive it does not know is a warning only.
        if told(&out).contains("mesos-watcher.service") {
            out.status = Command::new("false").status().unwrap();
        }
        out
    };
    let name = "mesos-watcher.service";
    judge(verify, name, ("Type=exec", "Type=exce"));
    judge(verify, name, ("ProtectSystem=", "ProtectTheSystem="));
    judge(verify, name, ("ExecStart=/usr", "ExecStart=/no/usr"));
    // From 0 for a unit that can do nothing to 100 for one that can do all: this one must
    // reach the network and write to its folder.
    let security = |path: &Path| {
        analyze(
            &["security", "--offline=true", "--threshold=20"],
            &here(path),
        )
        .unwrap()
    };
    judge(
        security,
        name,
        ("CapabilityBoundingSet=", "X-CapabilityBoundingSet="),
    );
}
