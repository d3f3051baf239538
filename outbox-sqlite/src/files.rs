//! Whether the files that are open are still the ones that have the names.

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use crate::{
    connection::{beside, folder, private, put},
    error::{Fault, files},
};

/// A file's device and number.
type Id = (u64, u64);

/// The files of an open outbox.
#[derive(Debug)]
pub(crate) struct Files {
    path: PathBuf,
    main: Id,
    /// The log of what is not in the main file yet, and its index.
    others: Vec<(PathBuf, Id)>,
}

/// What became of the files' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// They stand for the open files.
    Same,
    /// The main file has no name any more.
    Removed,
    /// Another file has its name.
    Replaced,
    /// The log or its index has lost its name, and what other processes write goes elsewhere.
    LogGone,
}

fn id(path: &Path) -> io::Result<Id> {
    std::fs::metadata(path).map(|m| (m.dev(), m.ino()))
}

impl Files {
    /// The files that were opened just now.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let others = ["-wal", "-shm"]
            .iter()
            .map(|suffix| beside(path, suffix))
            .filter_map(|p| id(&p).ok().map(|i| (p, i)))
            .collect();
        Ok(Self {
            path: path.to_owned(),
            main: id(path)?,
            others,
        })
    }

    /// Looks at the names. One that cannot be looked at counts as the same.
    pub(crate) fn look(&self) -> Names {
        match id(&self.path) {
            Ok(i) if i != self.main => return Names::Replaced,
            Err(e) if is_gone(&e) => return Names::Removed,
            _ => {}
        }
        let lost = |(path, was): &(PathBuf, Id)| match id(path) {
            Ok(i) => i != *was,
            Err(e) => is_gone(&e),
        };
        if self.others.iter().any(lost) {
            Names::LogGone
        } else {
            Names::Same
        }
    }
}

fn is_gone(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Writes everything that a connection sees into a new, whole and durable file.
pub(crate) fn copy_out(conn: &Connection, to: &Path) -> Result<(), Fault> {
    let fail = |e: io::Error| Fault::Files(files(to, "write", &e));
    match std::fs::remove_file(to) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(fail(e)),
        _ => {}
    }
    // Empty, so that it is for the owner alone from the start.
    let file = private(OpenOptions::new().write(true).create_new(true))
        .open(to)
        .map_err(fail)?;
    let name = to.to_string_lossy();
    conn.execute("VACUUM INTO ?1", [name.as_ref()])?;
    file.sync_all().map_err(fail)
}

/// Makes the folder of a file again.
pub(crate) fn make_folder(path: &Path) -> Result<(), Fault> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder(path))
        .map_err(|e| Fault::Files(files(path, "put back the outbox", &e)))
}

/// Gives the outbox its name back: everything that a connection to the removed file sees.
/// False if another file has got the name meanwhile.
pub(crate) fn restore(conn: &Connection, path: &Path) -> Result<bool, Fault> {
    // The folder may be gone with it.
    make_folder(path)?;
    let copy = beside(path, &format!(".restored-{}", std::process::id()));
    let done = copy_out(conn, &copy).and_then(|()| {
        // What is left of the removed file's log must not be taken for the new one's.
        for suffix in ["-wal", "-shm"] {
            match std::fs::remove_file(beside(path, suffix)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(Fault::Files(files(path, "put back the outbox", &e)));
                }
                _ => {}
            }
        }
        put(&copy, path).map_err(|e| Fault::Files(files(path, "put back the outbox", &e)))
    });
    // It has the right name by now, or is made again the next time.
    let _ = std::fs::remove_file(&copy);
    done
}
