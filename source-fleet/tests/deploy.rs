//! The units in `deploy/fleet`, held against systemd's own tool.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use notifier_testkit::peer;

/// Each file, and the unit it is for.
const UNITS: [(&str, &str); 5] = [
    ("my_app-notify@.service", "my_app-notify@1.service"),
    ("docker/my_app-notify@.service", "my_app-notify@2.service"),
    ("notify-drain.service", "notify-drain.service"),
    ("notify-drain.timer", "notify-drain.timer"),
    ("fleet-watcher.service", "fleet-watcher.service"),
];

fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/fleet")
        .join(file);
    fs::read_to_string(path).unwrap()
}

fn lines(file: &str) -> Vec<String> {
    text(file).lines().map(str::to_owned).collect()
}

/// Where the programs of the units stand for themselves.
fn put(folder: &Path, name: &str, text: &str) -> PathBuf {
    let text = ["/opt/bin/systemd-watcher", "/usr/bin/docker"]
        .iter()
        .fold(text.to_owned(), |t, program| {
            t.replace(program, "/bin/true")
        });
    // docker's own unit may be missing here.
    let text = text.replace("Requires=docker.service\n", "");
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn verify(path: &Path) -> Option<Output> {
    let mut analyze = Command::new("systemd-analyze");
    analyze.env("SYSTEMD_COLORS", "0").arg("verify").arg(path);
    analyze.output().ok()
}

fn complaints(out: &Output, name: &str) -> Vec<String> {
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    // Other units of this machine are none of ours.
    let stem = name.split(['@', '.']).next().unwrap_or(name);
    told.lines()
        .filter(|l| l.contains(stem))
        .map(str::to_owned)
        .collect()
}

#[test]
fn systemd_takes_them_and_overlooks_fleets_section() {
    let folder = tempfile::tempdir().unwrap();
    for (_, name) in UNITS {
        put(folder.path(), name, "[Service]\nExecStart=/bin/true\n");
    }
    for (file, name) in UNITS {
        let path = put(folder.path(), name, &text(file));
        let Some(out) = verify(&path) else {
            peer::skipped("systemd-analyze", "it is not installed");
            return;
        };
        assert_eq!(complaints(&out, name), [""; 0], "{file}");
        assert!(out.status.success(), "{file}: {out:?}");
    }
    peer::ran("systemd-analyze");
    // What is spoilt is found.
    for (good, bad) in [
        ("Type=oneshot", "Type=oneshoot"),
        ("[X-Fleet]", "[Fleet]"),
        ("RefuseManualStart=", "RefuseAllStart="),
        ("ExecStart=/opt/bin/", "ExecStart=opt/bin/"),
    ] {
        let text = text(UNITS[0].0);
        assert!(text.contains(good), "{good}");
        let path = put(folder.path(), UNITS[0].1, &text.replace(good, bad));
        let out = verify(&path).unwrap();
        assert_ne!(complaints(&out, UNITS[0].1), [""; 0], "{bad}");
    }
}

/// What the unit of the chain had, both of ours have.
#[test]
fn the_units_are_like_that_of_the_chain() {
    for (file, _) in &UNITS[..2] {
        let lines = lines(file);
        for line in [
            "RefuseManualStart=yes",
            "EnvironmentFile=/etc/environment",
            "Type=oneshot",
            "[X-Fleet]",
            "MachineOf=my_app@%i.service",
            "Conflicts=my_app-notify@*.service",
        ] {
            assert!(lines.iter().any(|l| l == line), "{file}: {line}");
        }
        let text = text(file);
        assert!(
            text.contains("unit my_app@%i.service -message=coreos"),
            "{file}"
        );
    }
    assert!(text("docker/my_app-notify@.service").contains("--hostname %H"));
}

/// It can be no longer under way than systemd lets it be.
#[test]
fn systemd_waits_longer_than_it_takes() {
    for file in ["my_app-notify@.service", "notify-drain.service"] {
        let lines = lines(file);
        let number = |prefix: &str| {
            let line = lines.iter().find_map(|l| l.strip_prefix(prefix));
            line.and_then(|l| l.trim_end_matches('s').parse::<u64>().ok())
                .unwrap()
        };
        let tries = number("Environment=NOTIFIER_SHUTDOWN_TIMEOUT=");
        assert!(number("TimeoutStartSec=") > 2 * tries, "{file}");
    }
}
