//! Real programs that tests compare with or talk to.

mod deploy;
mod jira;
mod localstack;
mod mail;
mod moto;
mod rivals;
mod s3;
mod sentry;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::run::{Result, command, has, loud, root};

/// Something of Debian's that some tests need.
struct Peer {
    /// A program, or a file by its whole path, where one folder may be `*`.
    program: &'static str,
    packages: &'static [&'static str],
    used_for: &'static str,
}

impl Peer {
    fn is_here(&self) -> bool {
        if let Some((folder, file)) = self.program.split_once("/*/") {
            let mut folders = fs::read_dir(folder).into_iter().flatten().flatten();
            folders.any(|f| f.path().join(file).exists())
        } else if self.program.starts_with('/') {
            Path::new(self.program).exists()
        } else {
            has(self.program)
        }
    }
}

const DEBIAN: &[Peer] = &[
    Peer {
        program: "go",
        packages: &["golang-go"],
        used_for: "Go's own text/template, and pprof",
    },
    Peer {
        program: "python3",
        packages: &["python3"],
        used_for: "the comparison with recordings of the original",
    },
    Peer {
        program: "/usr/share/python-wheels",
        packages: &["python3-venv"],
        used_for: "what pip installs",
    },
    Peer {
        program: "ip",
        packages: &["iproute2"],
        used_for: "servers that need a network of their own",
    },
    Peer {
        program: "npm",
        packages: &["nodejs", "npm"],
        used_for: "the Slack emulator, and what holds the fake Jira against its documents",
    },
    Peer {
        program: "systemd-analyze",
        packages: &["systemd"],
        used_for: "the unit under deploy/",
    },
    Peer {
        program: "/lib/systemd/system/dbus.socket",
        packages: &["systemd", "dbus"],
        used_for: "a systemd of its own",
    },
    Peer {
        program: "unshare",
        packages: &["util-linux"],
        used_for: "a systemd of its own",
    },
    Peer {
        program: "java",
        packages: &["default-jre-headless"],
        used_for: "ZooKeeper",
    },
    // The package `zookeeper` has scripts besides, and wants a Java with windows.
    Peer {
        program: "/usr/share/java/zookeeper.jar",
        packages: &["libzookeeper-java"],
        used_for: "ZooKeeper",
    },
    Peer {
        program: "radosgw",
        packages: &["radosgw"],
        used_for: "Ceph's S3 gateway",
    },
    Peer {
        program: "ceph-mon",
        packages: &["ceph-mon"],
        used_for: "Ceph's S3 gateway",
    },
    Peer {
        program: "ceph-osd",
        packages: &["ceph-osd"],
        used_for: "Ceph's S3 gateway",
    },
];

/// The Slack emulator, pinned: later ones need a newer Node.js or are another package.
const EMULATE: &str = "emulate@0.11.2";

/// What checks webhooks as receivers do, pinned.
const WEBHOOKS: &[&str] = &[
    "standardwebhooks==1.1.0",
    "cloudevents==1.12.0",
    "deprecation==2.1.0",
    "packaging==26.3",
];

/// What is here, and what is not.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    /// What is missing, one line each.
    pub(crate) missing: Vec<String>,
    /// Where tests find what is here: an environment variable each.
    pub(crate) env: Vec<(&'static str, PathBuf)>,
}

impl Peers {
    /// Notes where something is, or why it is not.
    fn note(&mut self, variable: &'static str, what: &str, found: Result<PathBuf>) {
        match found {
            Ok(path) => self.env.push((variable, path)),
            Err(why) => self.missing.push(format!("{what}: {why}")),
        }
    }
}

/// Installs what is missing, as root on Debian. Elsewhere the tests are skipped.
pub(crate) fn install(may_install: bool) -> Peers {
    let may_install = may_install && is_root();
    let mut peers = Peers::default();
    let debian = || {
        let parts = [DEBIAN, mail::DEBIAN, deploy::DEBIAN, rivals::DEBIAN];
        parts.into_iter().flatten()
    };
    let wanted: Vec<&Peer> = debian().filter(|p| !p.is_here()).collect();
    if !wanted.is_empty() && may_install && has("apt-get") {
        let mut update = command("apt-get");
        update.args(["update", "-qq"]);
        let mut install = command("apt-get");
        install
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(wanted.iter().flat_map(|p| p.packages));
        let installed = loud(update)
            .and_then(|()| mail::answer(&wanted))
            .and_then(|()| Quiet::ask())
            .and_then(|_quiet| loud(install));
        if let Err(e) = installed {
            eprintln!("{e}");
        }
    }
    for p in debian() {
        if !p.is_here() {
            peers.missing.push(format!(
                "{} is not installed (Debian: {}): no test against {}",
                p.program,
                p.packages.join(", "),
                p.used_for
            ));
        }
    }
    if let Err(why) = npm(may_install, "", &[EMULATE], "node_modules/.bin/emulate") {
        peers.missing.push(format!("the Slack emulator: {why}"));
    }
    sentry::install(may_install, &mut peers);
    jira::install(may_install, &mut peers);
    localstack::install(may_install, &mut peers);
    s3::install(may_install, &mut peers);
    moto::install(may_install, &mut peers);
    deploy::install(may_install, &mut peers);
    let webhooks = pip(may_install, "webhooks", WEBHOOKS);
    peers.note(
        "NOTIFIER_TEST_STANDARD_WEBHOOKS",
        "the libraries of Standard Webhooks and CloudEvents",
        webhooks,
    );
    peers
}

/// Where Debian asks whether a service may be started when its package is installed.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// What it says while packages are installed here.
const REFUSAL: &[u8] =
    b"#!/bin/sh\n# Written by cargo xtask test, and taken away at its end.\nexit 101\n";

/// While it lives, no package starts a service: tests start what they need by themselves.
struct Quiet {
    /// Whether the file is ours.
    is_ours: bool,
}

impl Quiet {
    fn ask() -> Result<Self> {
        // One of a run that was cut off is ours as well.
        let is_ours = match fs::read(POLICY) {
            Ok(text) => text == REFUSAL,
            Err(_) => !Path::new(POLICY).exists(),
        };
        // From here on it is taken away again, even if it can be written only in part.
        let quiet = Self { is_ours };
        if is_ours {
            let said = |e| format!("cannot write {POLICY}: {e}");
            fs::write(POLICY, REFUSAL).map_err(said)?;
            fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755)).map_err(said)?;
        }
        Ok(quiet)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}

/// A folder of our own for what is installed.
fn folder(name: &str) -> PathBuf {
    root().join("target/peers").join(name)
}

/// Packages of npm in a folder of their own; where the file of them that is used lies.
fn npm(may_install: bool, name: &str, packages: &[&str], file: &str) -> Result<PathBuf> {
    let folder = folder(name);
    let path = folder.join(file);
    if !path.exists() {
        if !may_install || !has("npm") {
            return Err(format!("{} is not installed (npm)", packages.join(", ")));
        }
        fs::create_dir_all(&folder)
            .map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
        let mut npm = Command::new("npm");
        npm.current_dir(&folder)
            .args(["install", "--silent", "--no-audit", "--no-fund"])
            .args(["--ignore-scripts", "--prefix", "."])
            .args(packages);
        loud(npm)?;
    }
    match path.exists() {
        true => Ok(path),
        false => Err(format!("{} has no {file}", packages.join(", "))),
    }
}

/// Python packages in an environment of their own; where its programs lie.
fn pip(may_install: bool, name: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = folder(name);
    // Written at the end: half an installation counts as none.
    let done = folder.join("installed");
    let wanted = packages.join(" ");
    if !fs::read_to_string(&done).is_ok_and(|is| is == wanted) {
        if !may_install || !has("python3") {
            return Err(format!("{wanted} is not installed (pip)"));
        }
        let mut venv = command("python3");
        venv.args(["-m", "venv", "--clear"]).arg(&folder);
        let mut pip = command(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check"])
            .args(packages);
        loud(venv).and_then(|()| loud(pip))?;
        fs::write(&done, &wanted).map_err(|e| format!("cannot write {}: {e}", done.display()))?;
    }
    Ok(folder.join("bin"))
}

/// Where the Slack emulator is, once installed.
pub(crate) fn emulate() -> PathBuf {
    folder("node_modules/.bin/emulate")
}

pub(crate) fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|o| o.stdout.starts_with(b"0"))
}
