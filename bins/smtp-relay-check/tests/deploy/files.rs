//! Dockerfiles, units, scripts, and YAML as such.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Output},
};

use notifier_testkit::peer;

use crate::support::{CHECK, deploy, file, judge, pip, system, told};

#[test]
fn hadolint_finds_no_fault() {
    if pip("hadolint").is_none() {
        return;
    }
    let lint = |path: &Path| {
        let mut hadolint = pip("hadolint").unwrap();
        // A style is a fault here as well.
        hadolint.args(["--no-color", "--failure-threshold", "style"]);
        hadolint.arg(path).output().unwrap()
    };
    let latest = ("rust:1.95-alpine", "rust:latest");
    judge(lint, "smtp-relay-check/Dockerfile", latest);
    let latest = ("debian:12-slim", "debian:latest");
    judge(lint, "postfix-relay/Dockerfile", latest);
    peer::ran("hadolint");
}

#[test]
fn shellcheck_finds_no_fault() {
    if system("shellcheck").is_none() {
        return;
    }
    let check = |path: &Path| {
        let mut shellcheck = system("shellcheck").unwrap();
        shellcheck.arg(path).output().unwrap()
    };
    let unquoted = ("cp \"/etc/$1\"", "cp /etc/$1");
    judge(check, "postfix-relay/entrypoint.sh", unquoted);
    let unquoted = ("\"$1\" -failure", "$1 -failure");
    judge(check, "smtp-relay-check/failed.sh", unquoted);
    peer::ran("shellcheck");
}

#[test]
fn yamllint_finds_no_fault() {
    if system("yamllint").is_none() {
        return;
    }
    let settings = deploy().join(".yamllint.yaml");
    let lint = |path: &Path| {
        let mut yamllint = system("yamllint").unwrap();
        yamllint.arg("-s").arg("-c").arg(&settings);
        yamllint.current_dir(deploy()).arg(path).output().unwrap()
    };
    let all = lint(Path::new("."));
    assert!(all.status.success(), "{}", told(&all));
    let twice = ("healthcheck:", "volumes:");
    judge(lint, "swarm/stack.yml", twice);
    peer::ran("yamllint");
}

/// Units, and what is run by each.
const UNITS: [&str; 3] = [
    "smtp-relay-check.service",
    "smtp-relay-check-failed.service",
    "smtp-relay-check-watch.service",
];

#[test]
fn systemd_takes_the_units_and_trusts_them() {
    if system("systemd-analyze").is_none() {
        return;
    }
    let analyze = |args: &[&str], path: &Path| -> Output {
        let mut analyze = system("systemd-analyze").unwrap();
        let analyze = analyze.env("SYSTEMD_COLORS", "0").args(args);
        analyze.arg(path).output().unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    // It looks for programs and for the units that are named, too.
    for entry in fs::read_dir(deploy().join("smtp-relay-check")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path
            .extension()
            .is_some_and(|e| e == "service" || e == "timer")
        {
            fs::write(folder.path().join(name), here(&path)).unwrap();
        }
    }
    let verify = |path: &Path| {
        let name = path.file_name().unwrap();
        let unit = folder.path().join(name);
        let good = fs::read_to_string(&unit).unwrap();
        fs::write(&unit, here(path)).unwrap();
        let mut out = analyze(&["verify"], &unit);
        // A directive that it does not know is a warning only.
        if told(&out).contains(name.to_str().unwrap()) {
            out.status = Command::new("false").status().unwrap();
        }
        fs::write(&unit, good).unwrap();
        out
    };
    for name in UNITS {
        let name = format!("smtp-relay-check/{name}");
        judge(verify, &name, ("ProtectSystem=", "ProtectTheSystem="));
        judge(verify, &name, ("ExecStart=/", "ExecStart=/no/"));
    }
    let timer = "smtp-relay-check/smtp-relay-check.timer";
    judge(verify, timer, ("OnBootSec=2min", "OnBootSec=soon"));
    // From 0 for a unit that can do nothing to 100 for one that can do all.
    let security = |path: &Path| {
        let unit = folder.path().join(path.file_name().unwrap());
        fs::write(&unit, here(path)).unwrap();
        analyze(&["security", "--offline=true", "--threshold=20"], &unit)
    };
    for name in UNITS {
        let fault = ("CapabilityBoundingSet=", "X-CapabilityBoundingSet=");
        judge(security, &format!("smtp-relay-check/{name}"), fault);
    }
    peer::ran("systemd-analyze");
}

/// A unit with programs that are on this machine.
fn here(unit: &Path) -> String {
    let text = fs::read_to_string(unit).unwrap();
    text.replace("/usr/bin/smtp-relay-check", CHECK)
        .replace("/usr/libexec/smtp-relay-check/failed.sh", CHECK)
}

#[test]
fn what_fails_is_told_by_the_unit_for_it() {
    let failed = UNITS[1];
    let checks = file("smtp-relay-check/smtp-relay-check.service");
    assert!(checks.contains(&format!("OnFailure={failed}\n")));
    let unit = file(&format!("smtp-relay-check/{failed}"));
    assert!(unit.contains("ExecStart=/usr/libexec/smtp-relay-check/failed.sh %d/notify.toml\n"));
    // In the place of what sends, one that prints what it is to send.
    let folder = tempfile::tempdir().unwrap();
    let taker = folder.path().join("notifierctl");
    fs::write(&taker, "#!/bin/sh\necho \"$*\" >&2\nexec cat\n").unwrap();
    fs::set_permissions(&taker, fs::Permissions::from_mode(0o755)).unwrap();
    let mut script = Command::new("sh");
    script
        .arg("-c")
        .arg("PATH=\"$1:$PATH\" exec \"$2\" notify.toml")
        .arg("sh")
        .arg(folder.path())
        .arg(deploy().join("smtp-relay-check/failed.sh"))
        .env("MONITOR_INVOCATION_ID", "0123456789abcdef0123456789abcdef")
        .env("MONITOR_UNIT", "smtp-relay-check.service")
        .env("MONITOR_EXIT_STATUS", "1");
    let out = script.output().unwrap();
    assert!(out.status.success(), "{}", told(&out));
    let words = String::from_utf8(out.stderr).unwrap();
    assert_eq!(words, "send slack -config notify.toml -failure -\n");
    let failure: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(failure["id"], "0123456789abcdef0123456789abcdef");
    assert!(!failure["slave"].as_str().unwrap().is_empty());
    let finished = failure["finished"].as_str().unwrap();
    assert!(
        finished.ends_with('Z') && finished.len() == 20,
        "{finished}"
    );
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("journalctl -u smtp-relay-check.service"));
}

/// What `.dockerignore` lets through is what cargo needs: each member of the workspace.
#[test]
fn the_image_is_built_from_all_that_cargo_needs() {
    let top = deploy().join("..").canonicalize().unwrap();
    let texts = [
        "Dockerfile.dockerignore",
        "smtp-relay-check/Dockerfile.dockerignore",
    ]
    .map(file);
    assert_eq!(texts[0], texts[1]);
    let folder = tempfile::tempdir().unwrap();
    for pattern in texts[0].lines().filter_map(|l| l.strip_prefix('!')) {
        let mut found = 0;
        for entry in fs::read_dir(&top).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let fits = match pattern.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == pattern,
            };
            if fits {
                symlink(top.join(&name), folder.path().join(&name)).unwrap();
                found += 1;
            }
        }
        assert!(found > 0, "nothing is called {pattern}");
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version=1", "--offline", "--locked"]);
    let out = cargo.current_dir(folder.path()).output().unwrap();
    assert!(out.status.success(), "{}", told(&out));
}

#[test]
fn no_file_holds_a_secret() {
    fn look(folder: &Path, count: &mut usize) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, count);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for word in ["hooks.slack.com/services/T", "xoxb-", "PRIVATE KEY", "SG."] {
                assert!(!text.contains(word), "{}: {word}", path.display());
            }
            *count += 1;
        }
    }
    let mut count = 0;
    look(&deploy(), &mut count);
    assert!(count > 40, "{count}");
}
