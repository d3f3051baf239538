//! Only one watcher leases from an outbox.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::{
    connection::{beside, private},
    error::{Trouble, files},
};

/// The right to lease. It ends when the value is dropped, and with the process, however
/// that ends.
#[derive(Debug)]
pub(crate) struct WatcherLock {
    file: File,
}

impl WatcherLock {
    /// Takes the lock of the outbox at `path`.
    pub(crate) fn take(path: &Path, watcher: &str) -> Result<Self, Trouble> {
        let name = beside(path, ".lock");
        let fail = |e: std::io::Error| files(&name, "lock", &e);
        loop {
            let file = private(
                OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(false),
            )
            .open(&name)
            .map_err(fail)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Err(in_use(path, file)),
                Err(e) => return Err(fail(e.into())),
            }
            // The name may stand for another file by now.
            let own = file.metadata().map_err(fail)?;
            match std::fs::metadata(&name) {
                Ok(m) if (m.dev(), m.ino()) == (own.dev(), own.ino()) => {}
                _ => continue,
            }
            let mut lock = Self { file };
            lock.rename(watcher).map_err(fail)?;
            return Ok(lock);
        }
    }

    /// Notes who holds it.
    pub(crate) fn rename(&mut self, watcher: &str) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(
            self.file,
            "watcher {}, process {}",
            visible(watcher),
            std::process::id()
        )
    }
}

fn visible(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn in_use(path: &Path, file: File) -> Trouble {
    let mut text = String::new();
    // Whoever holds it may be about to write it.
    let _ = file.take(500).read_to_string(&mut text);
    let who = text
        .trim_end()
        .strip_prefix("watcher ")
        .and_then(|t| t.rsplit_once(", process "))
        .map_or_else(
            || "another process".to_owned(),
            |(name, pid)| format!("the watcher {} (process {})", visible(name), visible(pid)),
        );
    Trouble::lasting(format!(
        "the outbox {} is in use by {who}: stop that one, or give this one another -outbox or -state-dir",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_the_second_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("o.sqlite");
        let first = WatcherLock::take(&path, "prod\nx").unwrap();
        let e = WatcherLock::take(&path, "b")
            .unwrap_err()
            .error()
            .to_string();
        let pid = std::process::id();
        assert!(
            e.ends_with(&format!(
                "in use by the watcher prodx (process {pid}): stop that one, or give this one another -outbox or -state-dir"
            )),
            "{e}"
        );
        drop(first);
        WatcherLock::take(&path, "b").unwrap();
    }

    #[test]
    fn a_lock_whose_file_was_removed_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("o.sqlite");
        let _first = WatcherLock::take(&path, "a").unwrap();
        std::fs::remove_file(beside(&path, ".lock")).unwrap();
        // Nothing better can be done here; the claims in the outbox itself tell them apart.
        WatcherLock::take(&path, "b").unwrap();
    }
}
