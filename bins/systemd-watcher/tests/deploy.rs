//! Every unit under `deploy/`: systemd takes it, and trusts those that are sandboxed.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use notifier_testkit::{peer, program::command};

const WATCHER: &str = env!("CARGO_BIN_EXE_systemd-watcher");

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// The files below a folder whose names end so.
fn find(folder: &Path, ends: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(find(&path, ends));
        } else if ends.iter().any(|e| name.ends_with(e)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn units() -> Vec<PathBuf> {
    find(&deploy(), &[".service", ".timer", ".socket", ".path"])
}

/// A unit as it can be checked here: with a program that there is, and a template with an instance. What it starts
/// by its timer, or lets start on its failure, lies beside it.
fn here(path: &Path, folder: &Path, fault: Option<(&str, &str)>) -> PathBuf {
    let mut asked = PathBuf::new();
    for beside in fs::read_dir(path.parent().unwrap()).unwrap() {
        let beside = beside.unwrap().path();
        let Ok(mut text) = fs::read_to_string(&beside) else {
            continue;
        };
        if beside == path
            && let Some((from, to)) = fault
        {
            assert!(text.contains(from), "{}: no {from:?}", path.display());
            text = text.replace(from, to);
        }
        let lines = text.lines().map(|line| match line.split_once('=') {
            Some((key, value)) if key.starts_with("Exec") && !value.is_empty() => {
                let first = value.split(' ').next().unwrap();
                let (prefix, program) = first.split_at(first.find('/').unwrap_or(0));
                // One that is wrong on purpose stays.
                if program.starts_with("/no/") {
                    return line.to_owned();
                }
                format!("{key}={prefix}{WATCHER}{}", &value[first.len()..])
            }
            _ => line.to_owned(),
        });
        let text: Vec<String> = lines.collect();
        let name = beside
            .file_name()
            .unwrap()
            .to_string_lossy()
            .replace("@.", "@1.");
        let target = folder.join(name);
        fs::write(&target, text.join("\n") + "\n").unwrap();
        if beside == path {
            asked = target;
        }
    }
    asked
}

/// What `systemd-analyze` says of a unit, and whether it is content.
fn analyze(args: &[&str], unit: &Path) -> std::io::Result<(bool, String)> {
    let out = Command::new("systemd-analyze")
        .env("SYSTEMD_COLORS", "0")
        // Units beside it are found before those of this machine.
        .env("SYSTEMD_UNIT_PATH", format!("{}:", unit.parent().unwrap_or(unit).display()))
        .args(args)
        .arg(unit)
        .output()?;
    let said = [out.stdout, out.stderr].concat();
    Ok((
        out.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

fn is_installed() -> bool {
    let there = analyze(&["--version"], Path::new("")).is_ok();
    if !there {
        peer::skipped("systemd-analyze", "it is not installed");
    }
    there
}

/// Faults of the unit itself: those of what this machine has not installed are none.
fn faults(unit: &Path) -> Vec<String> {
    let (good, said) = analyze(&["verify"], unit).unwrap();
    let name = unit.file_name().unwrap().to_string_lossy().into_owned();
    let of_unit = |line: &&str| {
        line.contains(&name) && !line.contains("not found") && !line.contains("Failed to load")
    };
    let mut faults: Vec<String> = said.lines().filter(of_unit).map(str::to_owned).collect();
    if !good && faults.is_empty() && !said.contains("not found") {
        faults.push(said);
    }
    faults
}

#[test]
fn systemd_takes_every_unit() {
    if !is_installed() {
        return;
    }
    let units = units();
    assert!(units.len() >= 6, "{units:?}");
    for unit in &units {
        let folder = tempfile::tempdir().unwrap();
        let good = here(unit, folder.path(), None);
        assert_eq!(faults(&good), Vec::<String>::new(), "{}", unit.display());
        let text = fs::read_to_string(unit).unwrap();
        let fault = if text.contains("ExecStart=") {
            ("ExecStart=", "ExecStrat=")
        } else {
            ("[Timer]", "[Timer]\nOnBotSec=1")
        };
        let folder = tempfile::tempdir().unwrap();
        let bad = here(unit, folder.path(), Some(fault));
        assert!(
            !faults(&bad).is_empty(),
            "{}: {fault:?} was not found",
            unit.display()
        );
    }
    peer::ran("systemd-analyze");
}

/// From 0 for a unit that may do nothing to 100 for one that may do all.
#[test]
fn sandboxed_units_may_do_little() {
    if !is_installed() {
        return;
    }
    let mut checked = 0;
    for unit in units() {
        let text = fs::read_to_string(&unit).unwrap();
        // What runs a container may do what its daemon may.
        if !text.contains("NoNewPrivileges=") {
            continue;
        }
        let security = |fault| {
            let folder = tempfile::tempdir().unwrap();
            let unit = here(&unit, folder.path(), fault);
            analyze(&["security", "--offline=true", "--threshold=20"], &unit).unwrap()
        };
        let (good, said) = security(None);
        assert!(good, "{}: {said}", unit.display());
        let (good, said) = security(Some(("CapabilityBoundingSet=", "X-CapabilityBoundingSet=")));
        assert!(!good, "{}: {said}", unit.display());
        checked += 1;
    }
    assert!(checked >= 5, "{checked}");
    peer::ran("systemd-analyze");
}

/// The units of this program agree on what they share.
#[test]
fn they_share_user_folder_and_settings() {
    let folder = deploy().join("systemd");
    let of = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let names = [
        "systemd-watcher.service",
        "notify@.service",
        "systemd-watcher-drain.service",
    ];
    let shared = [
        "User=",
        "StateDirectory=",
        "StateDirectoryMode=",
        "LoadCredential=",
        "Environment=NOTIFIER_CONFIG=",
        "EnvironmentFile=",
        "SystemCallFilter=",
    ];
    let lines = |name: &str| -> BTreeSet<String> {
        let text = of(name);
        let of_all = text
            .lines()
            .filter(|l| shared.iter().any(|s| l.starts_with(s)));
        of_all.map(str::to_owned).collect()
    };
    let first = lines(names[0]);
    assert!(first.len() > shared.len(), "{first:?}");
    for name in names {
        assert_eq!(lines(name), first, "{name}");
    }
    assert!(of("sysusers.conf").contains("u systemd-watcher "));
    // It is ended by its own time before systemd ends it: it tries, and what is under way has as long again.
    let seconds = |text: &str, key: &str| -> u64 {
        let value = text.lines().find_map(|l| l.strip_prefix(key)).unwrap();
        match value.strip_suffix("min") {
            Some(minutes) => minutes.parse::<u64>().unwrap() * 60,
            None => value.trim_end_matches('s').parse().unwrap(),
        }
    };
    for name in &names[1..] {
        let text = of(name);
        let own = seconds(&text, "Environment=NOTIFIER_SHUTDOWN_TIMEOUT=");
        assert!(seconds(&text, "TimeoutStartSec=") > 2 * own + 30, "{name}");
    }
    // A drop-in of the same name takes the place of the one for all services.
    for exempt in ["notify@.service.d", "systemd-watcher-drain.service.d"] {
        assert!(!of(&format!("{exempt}/10-notify.conf")).contains("OnFailure=notify"));
    }
    assert!(of("service.d/10-notify.conf").contains("\nOnFailure=notify@%n.service\n"));
}

#[test]
fn the_example_is_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    fs::copy(deploy().join("systemd/config.toml"), &config).unwrap();
    fs::write(
        folder.path().join("slack-hook-url"),
        "http://127.0.0.1:1/hook\n",
    )
    .unwrap();
    let out = command(WATCHER)
        .args(["drain", "-shutdown-timeout=1s"])
        .arg(format!("-config={}", config.display()))
        .arg(format!(
            "-state-dir={}",
            folder.path().join("state").display()
        ))
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[test]
fn no_file_holds_a_secret() {
    let mut files = 0;
    for path in find(&deploy().join("systemd"), &[""]) {
        let text = fs::read_to_string(&path).unwrap();
        for word in ["hooks.slack.com/services/", "xoxb-", "BEGIN ", "password"] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
        files += 1;
    }
    assert!(files >= 10, "{files}");
}
