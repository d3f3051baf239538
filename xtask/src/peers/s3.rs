//! S3: `s3s-fs`, which checks both versions of signatures. Ceph's gateway is Debian's.

use std::path::PathBuf;

use super::{Peers, folder};
use crate::run::{Result, cargo, loud};

/// Pinned: later ones need a newer Rust.
const VERSION: &str = "0.14.1";

pub(super) fn install(may_install: bool, peers: &mut Peers) {
    let found = s3s(may_install);
    peers.note("NOTIFIER_TEST_S3S_FS", "the S3 server s3s-fs", found);
}

fn s3s(may_install: bool) -> Result<PathBuf> {
    // Another version is another folder, and is installed beside.
    let folder = folder(&format!("s3s-fs-{VERSION}"));
    let program = folder.join("bin/s3s-fs");
    if !program.exists() {
        if !may_install {
            return Err(format!("s3s-fs {VERSION} is not installed (cargo)"));
        }
        // Built in a folder that cargo removes: a third of a gigabyte.
        let mut install = cargo();
        install
            .env_remove("CARGO_TARGET_DIR")
            .args(["install", "s3s-fs", "--version", VERSION, "--locked"])
            .args(["--features", "binary", "--quiet", "--root"])
            .arg(&folder);
        loud(install)?;
    }
    Ok(program)
}
