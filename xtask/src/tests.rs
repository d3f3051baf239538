//! The whole test suite.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    net::TcpListener,
    time::{Duration, Instant},
};

use crate::{
    peers,
    run::{Result, cargo, command, filtered, has, lean, loud, root},
    tables,
};

/// Scenarios of the comparison with the original that this version is to pass.
const SCENARIOS: &[&str] = &[
    "slack-file",
    "filters",
    "dogfood",
    "sentry",
    "hipchat",
    "jira",
    "s3v2",
];

/// Runs everything. Skipped tests are named and counted at the end.
pub(crate) fn all(may_install: bool) -> Result {
    let started = Instant::now();
    let peers = peers::install(may_install);
    let mut said = Said {
        skipped: peers.missing,
        ..Said::default()
    };
    let mut passed = 0;

    tables::all(true)?;

    let mut tests = cargo();
    tests.args([
        "test",
        "--workspace",
        "--all-features",
        "--locked",
        "--no-fail-fast",
        "--",
        "--show-output",
    ]);
    tests.envs(peers.env);
    passed += libtest(tests, &mut said)?;
    passed += emulator(&mut said)?;

    // What people would write outside this workspace, with core by path only.
    let mut outsider = cargo();
    outsider
        .args(["test", "--manifest-path", "testkit/outsider/Cargo.toml"])
        .env("CARGO_TARGET_DIR", root().join("target/outsider"));
    passed += libtest(outsider, &mut said)?;

    for example in examples()? {
        let mut c = cargo();
        c.args([
            "run",
            "--quiet",
            "--locked",
            "-p",
            "notifier-examples",
            "--example",
            &example,
        ]);
        lean(&mut c);
        loud(c)?;
        passed += 1;
    }

    let mut build = cargo();
    build.args([
        "build",
        "--release",
        "--locked",
        "-p",
        "mesos-watcher",
        "-p",
        "notifierctl",
    ]);
    loud(build)?;
    passed += compare(&mut said)?;

    let Said { mut skipped, peers } = said;
    skipped.sort();
    skipped.dedup();
    println!(
        "\n{passed} passed, {} skipped, in {} s",
        skipped.len(),
        started.elapsed().as_secs()
    );
    for p in &peers {
        println!("  ran against: {p}");
    }
    for s in &skipped {
        println!("  skipped: {s}");
    }
    Ok(())
}

/// What tests say of themselves beside how they ended.
#[derive(Default)]
struct Said {
    /// What was not run, and why.
    skipped: Vec<String>,
    /// The real programs that tests ran against.
    peers: BTreeSet<String>,
}

/// Runs `cargo test`; the terminal gets what matters, `target/test.log` all of it.
fn libtest(mut c: std::process::Command, said: &mut Said) -> Result<u64> {
    lean(&mut c);
    let path = root().join("target/test.log");
    let mut log = fs::File::options()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    let mut passed = 0;
    let mut failing = false;
    filtered(c, |line| {
        let _ = writeln!(log, "{line}");
        if let Some(at) = line.find("SKIPPED ") {
            said.skipped.push(line[at + 8..].to_owned());
        }
        if let Some(peer) = line.strip_prefix("RAN ") {
            said.peers.insert(peer.to_owned());
        }
        if let Some(rest) = line.strip_prefix("test result: ") {
            passed += rest
                .split_whitespace()
                .zip(rest.split_whitespace().skip(1))
                .find(|(_, word)| word.starts_with("passed"))
                .and_then(|(n, _)| n.parse::<u64>().ok())
                .unwrap_or(0);
        }
        failing |= line == "failures:";
        failing
            || line.starts_with("test result: ")
            || line.trim_start().starts_with("Running ")
            || line.trim_start().starts_with("Doc-tests ")
            || line.contains("SKIPPED ")
            || line.contains("FAILED")
            || line.contains("panicked at")
            || line.starts_with("error")
            || line.starts_with("  -->")
    })
    .map_err(|e| format!("{e}; the whole output is in target/test.log"))?;
    Ok(passed)
}

/// The tests against the Slack emulator. It listens on all interfaces, so it gets a
/// network of its own.
fn emulator(said: &mut Said) -> Result<u64> {
    // Said by the test itself in the run without it.
    said.skipped.retain(|s| !s.starts_with("slack emulator"));
    if !peers::emulate().exists() {
        return Ok(0);
    }
    if !(peers::is_root() && has("unshare") && has("ip")) {
        said.skipped
            .push("slack emulator: it needs a network namespace (root, unshare, ip)".into());
        return Ok(0);
    }
    let mut c = command("unshare");
    c.args(["-n", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"])
        .arg(cargo().get_program())
        .args([
            "test",
            "--offline",
            "--locked",
            "-p",
            "notifier-slack",
            "--all-features",
        ])
        .args(["--test", "emulate", "--", "--show-output"])
        .env("NOTIFIER_TEST_EMULATE", peers::emulate());
    libtest(c, said)
}

fn examples() -> Result<Vec<String>> {
    let folder = root().join("examples/examples");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .map_err(|e| format!("cannot read {}: {e}", folder.display()))?
        .filter_map(|f| {
            f.ok()?
                .file_name()
                .to_str()?
                .strip_suffix(".rs")
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    Ok(names)
}

/// Compares the watcher with recordings of the original, where those are.
fn compare(said: &mut Said) -> Result<u64> {
    let shared = root().join("../shared/rig");
    if !shared.join("diffrun.py").exists() {
        said.skipped
            .push("comparison with recordings of the original: ../shared/rig is not here".into());
        return Ok(0);
    }
    if !has("python3") {
        said.skipped
            .push("comparison with recordings of the original: python3 is not installed".into());
        return Ok(0);
    }
    // The original's port for agents is written into it, and so into its recordings.
    let until = Instant::now() + Duration::from_secs(60);
    while let Err(e) = TcpListener::bind("127.0.0.1:5051") {
        if Instant::now() > until {
            said.skipped.push(format!(
                "comparison with recordings of the original: port 5051: {e}"
            ));
            return Ok(0);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    for name in SCENARIOS {
        let mut c = command("python3");
        c.arg(shared.join("diffrun.py"))
            .arg("--bin")
            .arg(root().join("target/release/mesos-watcher"))
            .arg("--scenario")
            .arg(shared.join(format!("scenarios/{name}.json")))
            .arg("--golden")
            .arg(shared.join(format!("golden/{name}.json")));
        loud(c)?;
    }
    said.peers.insert("recordings of the original".to_owned());
    Ok(SCENARIOS.len() as u64)
}

/// What is fuzzed: its name, its crate with the features it takes, and the example that does.
const FUZZERS: [(&str, &str, &str, &str); 2] = [
    ("template", "notifier-template", "", "fuzz"),
    ("mesos", "source-mesos", "unstable-internals", "fuzz-mesos"),
];

/// Fuzzes everything, or one thing by its name, each for so many seconds.
pub(crate) fn fuzz(seconds: &str, which: Option<&str>) -> Result {
    let is_asked = |name: &str| which.is_none_or(|which| which == name);
    if seconds.parse::<u64>().is_err() || !FUZZERS.iter().any(|(name, ..)| is_asked(name)) {
        return Err("usage: cargo xtask fuzz [SECONDS] [template | mesos]".into());
    }
    for (_, package, features, example) in FUZZERS.iter().filter(|(name, ..)| is_asked(name)) {
        let mut c = cargo();
        // What overflows is a finding too.
        for checks in ["overflow-checks", "debug-assertions"] {
            c.args(["--config", &format!("profile.release.{checks}=true")]);
        }
        c.args(["run", "--release", "--locked", "-p", package])
            .args(["--features", features, "--example", example])
            .args(["--", "1", seconds]);
        loud(c)?;
    }
    Ok(())
}

/// Kills the watcher so many times while tasks fail. `NOTIFIER_KILLS_SEED` repeats a run.
pub(crate) fn kills(times: &str) -> Result {
    if times.parse::<u64>().is_err() {
        return Err("usage: cargo xtask kills [N]".into());
    }
    let mut c = cargo();
    c.args(["test", "--locked", "-p", "mesos-watcher", "--test", "kills"])
        .args(["--", "--nocapture"])
        .env("NOTIFIER_KILLS", times);
    loud(c)
}
