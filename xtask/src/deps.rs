//! Dependencies: their direction, features, licences, versions, and packaging.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::run::{Result, cargo, command, has, loud, output, root};

/// What each crate of ours may depend on, of ours. ARCHITECTURE.md says why.
const MAY_USE: &[(&str, &[&str])] = &[
    ("notifier-template", &[]),
    ("notifier-core", &["notifier-template"]),
    ("notifier-http", &["notifier-core"]),
    ("notifier-slack", &["notifier-core", "notifier-http"]),
    ("notifier-file", &["notifier-core"]),
    ("notifier-hipchat", &["notifier-core", "notifier-http"]),
    ("notifier-jira", &["notifier-core", "notifier-http"]),
    ("notifier-sentry", &["notifier-core", "notifier-http"]),
    ("smtp-wire", &["notifier-core"]),
    ("smtp-probe", &["notifier-core", "smtp-wire"]),
    ("notifier-smtp", &["notifier-core", "smtp-wire"]),
    ("notifier-sns", &["notifier-core"]),
    ("notifier-webhook", &["notifier-core", "notifier-http"]),
    ("uploader-s3", &["notifier-core", "notifier-http"]),
    ("outbox-sqlite", &["notifier-core"]),
    ("source-chronos", &["notifier-core", "notifier-http"]),
    ("source-mesos", &["notifier-core", "notifier-http"]),
    ("source-fleet", &["notifier-core", "notifier-http"]),
    ("source-sns", &["notifier-core", "notifier-http"]),
    ("source-systemd", &["notifier-core"]),
    ("notifier-testkit", &["notifier-core"]),
    (
        "notifiers",
        &[
            "notifier-core",
            "notifier-http",
            "notifier-slack",
            "notifier-file",
            "notifier-hipchat",
            "notifier-jira",
            "notifier-sentry",
            "notifier-smtp",
            "notifier-sns",
            "notifier-webhook",
            "uploader-s3",
            "source-chronos",
            "source-fleet",
            "source-mesos",
            "source-sns",
            "source-systemd",
            "outbox-sqlite",
            "notifier-template",
        ],
    ),
    ("notifier-runtime", &["notifiers"]),
    ("chronos-watcher", &["notifiers", "notifier-runtime"]),
    (
        "mesos-watcher",
        &["notifiers", "notifier-runtime", "notifier-testkit"],
    ),
    ("notifierctl", &["notifiers", "notifier-runtime"]),
    (
        "smtp-relay-check",
        &["notifiers", "notifier-runtime", "smtp-probe"],
    ),
    ("sns-relay", &["notifiers", "notifier-runtime"]),
    ("systemd-watcher", &["notifiers", "notifier-runtime"]),
    ("notifier-examples", &["notifiers"]),
    ("xtask", &[]),
];

/// What notifier-core must not hold, not even through others.
const NOT_IN_CORE: &[&str] = &[
    "hyper",
    "reqwest",
    "rustls",
    "native-tls",
    "openssl",
    "openssl-sys",
    "ring",
    "axum",
    "h2",
    "http",
    "clap",
    "lettre",
    "tracing-subscriber",
    "aws-sdk-sns",
    "rusqlite",
    "zookeeper-client",
];

/// The most crates that notifier-core may bring, itself not counted.
const MOST_IN_CORE: usize = 60;

pub(crate) fn all() -> Result {
    let metadata: Value = serde_json::from_str(&output({
        let mut c = cargo();
        c.args(["metadata", "--format-version", "1", "--locked"]);
        c
    })?)
    .map_err(|e| format!("cannot read cargo metadata: {e}"))?;
    let members: Vec<&Value> = packages(&metadata).filter(|p| is_ours(p)).collect();

    direction(&members)?;
    lints(&members)?;
    core_tree()?;
    rust_version(&metadata)?;
    features(&members)?;
    deny()?;
    package(&members)
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

fn is_ours(p: &Value) -> bool {
    p["source"].is_null()
}

fn name(p: &Value) -> &str {
    p["name"].as_str().unwrap_or_default()
}

/// No arrow points back.
fn direction(members: &[&Value]) -> Result {
    println!("--- which crate uses which");
    let may: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let ours: BTreeSet<&str> = members.iter().map(|p| name(p)).collect();
    for p in members {
        let allowed = may.get(name(p)).ok_or_else(|| {
            format!(
                "{} is not in the table of xtask/src/deps.rs: add what it may use",
                name(p)
            )
        })?;
        for d in p["dependencies"].as_array().into_iter().flatten() {
            let on = name(d);
            if d["kind"] != "dev" && ours.contains(on) && !allowed.contains(&on) {
                return Err(format!("{} must not depend on {on}", name(p)));
            }
        }
    }
    println!("as it should be, for {} crates", members.len());
    Ok(())
}

/// Every crate takes the workspace's lints.
fn lints(members: &[&Value]) -> Result {
    for p in members {
        let path = p["manifest_path"].as_str().unwrap_or_default();
        let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {path}: {e}"))?;
        if !text.contains("[lints]\nworkspace = true") {
            return Err(format!("{} does not take the workspace's lints", name(p)));
        }
    }
    Ok(())
}

fn core_tree() -> Result {
    println!("--- what notifier-core brings");
    let mut c = cargo();
    c.args([
        "tree",
        "-p",
        "notifier-core",
        "-e",
        "normal",
        "--prefix",
        "none",
        "--all-features",
        "--locked",
    ]);
    let crates: BTreeSet<String> = output(c)?
        .lines()
        .filter_map(|l| l.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    if let Some(bad) = NOT_IN_CORE.iter().find(|b| crates.contains(**b)) {
        return Err(format!("notifier-core brings {bad}"));
    }
    let count = crates.len() - 1;
    if count > MOST_IN_CORE {
        return Err(format!(
            "notifier-core brings {count} crates, at most {MOST_IN_CORE} are allowed"
        ));
    }
    println!("{count} crates, no HTTP, TLS or command line");
    Ok(())
}

/// Nothing that our crates use asks for a newer Rust than we say we need.
fn rust_version(metadata: &Value) -> Result {
    println!("--- the Rust version");
    let parse = |v: &str| -> Vec<u64> {
        let parts = v.split('.').map(|n| n.parse().unwrap_or(0));
        parts.chain(std::iter::repeat(0)).take(3).collect()
    };
    let own = packages(metadata)
        .find(|p| name(p) == "notifier-core")
        .and_then(|p| p["rust_version"].as_str())
        .ok_or("notifier-core has no rust-version")?;
    // Only what libraries and programs bring: not test tools.
    let mut c = cargo();
    c.args([
        "tree",
        "--workspace",
        "--exclude",
        "xtask",
        "-e",
        "normal,build",
        "--prefix",
        "none",
        "--all-features",
        "--locked",
    ]);
    let used: BTreeSet<String> = output(c)?
        .lines()
        .filter_map(|l| {
            let mut w = l.split_whitespace();
            Some(format!(
                "{} {}",
                w.next()?,
                w.next()?.trim_start_matches('v')
            ))
        })
        .collect();
    for p in packages(metadata) {
        let id = format!("{} {}", name(p), p["version"].as_str().unwrap_or_default());
        if let Some(needs) = p["rust_version"].as_str()
            && used.contains(&id)
            && parse(needs) > parse(own)
        {
            return Err(format!("{id} needs Rust {needs}, and we say {own}"));
        }
    }
    println!("{own} is enough for all {} crates", used.len());
    Ok(())
}

/// Each crate builds without features, and with each feature alone.
fn features(members: &[&Value]) -> Result {
    for p in members {
        let mut sets = vec![String::new()];
        if let Some(f) = p["features"].as_object() {
            sets.extend(f.keys().filter(|k| *k != "default").cloned());
            if f.is_empty() {
                // Built in the tests already.
                continue;
            }
        }
        for set in sets {
            let mut c = cargo();
            c.args([
                "check",
                "--quiet",
                "--locked",
                "-p",
                name(p),
                "--no-default-features",
                "--features",
                &set,
            ]);
            loud(c)?;
        }
    }
    Ok(())
}

/// Licences, bans and sources; advisories where their database is.
fn deny() -> Result {
    if !has("cargo-deny") && !local_deny().exists() {
        let mut c = cargo();
        c.args([
            "install",
            "cargo-deny",
            "--version",
            DENY,
            "--locked",
            "--no-default-features",
            "--root",
        ])
        .arg(root().join("target/tools"))
        .env("CARGO_TARGET_DIR", root().join("target/tools/build"))
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        loud(c)?;
    }
    let program = if local_deny().exists() {
        local_deny()
    } else {
        "cargo-deny".into()
    };
    let mut c = command(&program);
    c.args(["--offline", "check", "licenses", "bans", "sources"]);
    loud(c)?;
    if cargo_home()?.join("advisory-dbs").exists() {
        let mut c = command(&program);
        c.args(["--offline", "check", "advisories"]);
        // Told, and no reason to fail: an advisory of today is no fault of this change.
        if let Err(e) = loud(c) {
            eprintln!("{e}");
        }
    } else {
        println!("skipped: advisories (their database is not on this machine)");
    }
    Ok(())
}

/// The version of cargo-deny that is installed where there is none.
const DENY: &str = "0.20.2";

fn local_deny() -> std::path::PathBuf {
    root().join("target/tools/bin/cargo-deny")
}

/// Every crate that can be published can be packaged, and builds from its package.
///
/// In a target folder of its own each time: cargo keeps what it unpacks and builds of
/// our crates by folder and version, and would check today's crates against yesterday's.
fn package(members: &[&Value]) -> Result {
    let unpacked = cargo_home()?.join("registry/src");
    let before = folders(&unpacked);
    let target = root().join(format!("target/package-{}", std::process::id()));
    let mut c = cargo();
    c.args([
        "package",
        "--locked",
        "--allow-dirty",
        "--quiet",
        "--target-dir",
    ])
    .arg(&target)
    .env("CARGO_PROFILE_DEV_DEBUG", "0");
    let mut count = 0;
    for p in members.iter().filter(|p| p["publish"].is_null()) {
        c.args(["-p", name(p)]);
        count += 1;
    }
    let result = loud(c);
    let _ = std::fs::remove_dir_all(&target);
    // What was unpacked of the packages stands beside what registries gave, under a
    // name that begins with a dash since it comes from no host.
    for new in folders(&unpacked)
        .difference(&before)
        .filter(|n| n.starts_with('-'))
    {
        let _ = std::fs::remove_dir_all(unpacked.join(new));
    }
    result?;
    println!("{count} crates can be packaged");
    Ok(())
}

fn folders(path: &std::path::Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter_map(|e| e.file_name().into_string().ok())
        .collect()
}

fn cargo_home() -> Result<std::path::PathBuf> {
    let mut c = command("sh");
    c.args(["-c", "echo \"${CARGO_HOME:-$HOME/.cargo}\""]);
    Ok(output(c)?.trim().into())
}
