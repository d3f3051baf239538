//! Real programs that tests compare with or talk to.

use std::{fs, path::Path, process::Command};

use crate::run::{Result, command, has, loud, root};

/// Something of Debian's that some tests need.
struct Peer {
    /// A program, or a file by its whole path.
    program: &'static str,
    packages: &'static [&'static str],
    used_for: &'static str,
}

impl Peer {
    fn is_here(&self) -> bool {
        if self.program.starts_with('/') {
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
        program: "ip",
        packages: &["iproute2"],
        used_for: "servers that need a network of their own",
    },
    Peer {
        program: "npm",
        packages: &["nodejs", "npm"],
        used_for: "the Slack emulator",
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
];

/// The Slack emulator, pinned: later ones need a newer Node.js or are another package.
const EMULATE: &str = "emulate@0.11.2";

/// What is missing, one line each.
pub(crate) type Missing = Vec<String>;

/// Installs what is missing, as root on Debian. Elsewhere the tests are skipped.
pub(crate) fn install(may_install: bool) -> Result<Missing> {
    let mut missing = Missing::new();
    let wanted: Vec<&Peer> = DEBIAN.iter().filter(|p| !p.is_here()).collect();
    if !wanted.is_empty() && may_install && is_root() && has("apt-get") {
        let mut update = command("apt-get");
        update.args(["update", "-qq"]);
        let mut install = command("apt-get");
        install
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(wanted.iter().flat_map(|p| p.packages));
        if let Err(e) = loud(update).and_then(|()| loud(install)) {
            eprintln!("{e}");
        }
    }
    for p in DEBIAN {
        if !p.is_here() {
            missing.push(format!(
                "{} is not installed (Debian: {}): no test against {}",
                p.program,
                p.packages.join(", "),
                p.used_for
            ));
        }
    }
    if has("npm") && !emulate().exists() && may_install && is_root() {
        let folder = root().join("target/peers");
        fs::create_dir_all(&folder)
            .map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
        let mut npm = Command::new("npm");
        npm.current_dir(&folder)
            .args([
                "install",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                "--prefix",
                ".",
            ])
            .arg(EMULATE);
        if let Err(e) = loud(npm) {
            eprintln!("{e}");
        }
    }
    if !emulate().exists() {
        missing.push(format!(
            "{EMULATE} is not installed (npm): no test against the Slack emulator"
        ));
    }
    Ok(missing)
}

/// Where the Slack emulator is, once installed.
pub(crate) fn emulate() -> std::path::PathBuf {
    root().join("target/peers/node_modules/.bin/emulate")
}

pub(crate) fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|o| o.stdout.starts_with(b"0"))
}
