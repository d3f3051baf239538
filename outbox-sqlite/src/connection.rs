//! Opens the file, and makes it where there is none.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::{
    SqliteOptions,
    error::{Fault, Trouble, files},
    schema,
};

/// Statements that stay compiled, for each connection.
const STATEMENTS: usize = 128;

/// A connection to a file that is there.
pub(crate) fn connect(path: &Path, options: &SqliteOptions) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let conn = Connection::open_with_flags(path, flags)?;
    if conn.is_readonly(rusqlite::MAIN_DB)? {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY),
            None,
        ));
    }
    conn.busy_timeout(options.busy_timeout)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // A damaged file is not changed any more, by closing it neither.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Bounded memory: 4 MiB of pages, no map of the file, no sorting in files elsewhere.
    conn.execute_batch(
        "PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA foreign_keys = OFF;
         PRAGMA mmap_size = 0;
         PRAGMA cache_size = -4096;
         PRAGMA temp_store = MEMORY;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA journal_size_limit = 16777216;",
    )?;
    if let Some(pages) = options.max_pages {
        conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(conn)
}

/// Has a connection to a sound file leave no log behind when it is closed.
pub(crate) fn tidy_on_close(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
        .map(|_| ())
}

/// Makes an outbox, unless another process is faster: whole, or not at all.
fn create(path: &Path) -> Result<(), Fault> {
    let new = unfinished(path);
    let made = build(&new, path, |_| Ok(())).and_then(|()| {
        put(&new, path)
            .map(|_| ())
            .map_err(|e| Fault::Files(files(path, "make the outbox", &e)))
    });
    // It has the right name too by now, or is of no use.
    let _ = std::fs::remove_file(&new);
    made
}

/// A name for a file that is not whole yet, which nobody else uses.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (pid, n) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    beside(path, &format!(".new-{pid}-{n}"))
}

/// Makes a file with the tables of an outbox, and fills it. It is to be named `path`.
pub(crate) fn build<T>(
    new: &Path,
    path: &Path,
    fill: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    // One that an earlier process of this number left behind.
    let _ = std::fs::remove_file(new);
    private(OpenOptions::new().write(true).create_new(true))
        .open(new)
        .map_err(|e| Fault::Files(files(path, "make the outbox", &e)))?;
    let conn = Connection::open(new)?;
    // It counts only when it is whole, on the disk, and has its name.
    conn.execute_batch(
        "PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA journal_mode = MEMORY;
         PRAGMA synchronous = OFF;
         PRAGMA cache_size = -16384;",
    )?;
    schema::create(&conn)?;
    let out = fill(&conn)?;
    conn.execute_batch("PRAGMA journal_mode = WAL;")?;
    conn.close().map_err(|(_, e)| e)?;
    Ok(out)
}

/// Gives a whole new file its name, durably. False if another file has it already.
pub(crate) fn put(new: &Path, path: &Path) -> std::io::Result<bool> {
    File::open(new)?.sync_all()?;
    let mine = match std::fs::hard_link(new, path) {
        Ok(()) => true,
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => false,
        // A file system without links.
        Err(_) if !path.exists() => {
            std::fs::rename(new, path)?;
            true
        }
        Err(e) => return Err(e),
    };
    sync_folder(path)?;
    Ok(mine)
}

/// Makes a change of names in a file's folder durable.
pub(crate) fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// The folder that a file is in.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    }
}

/// For the owner alone.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

/// The path with something behind it.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The path of an outbox that is there, or that can be made.
pub(crate) fn locate(path: &Path, create_it: bool) -> Result<PathBuf, Fault> {
    let path =
        std::path::absolute(path).map_err(|e| Fault::Files(files(path, "find the outbox", &e)))?;
    let shown = path.display();
    // Never open the file other than through SQLite: to close it would end the locks that
    // other connections of this process have on it.
    match std::fs::metadata(&path) {
        Ok(m) if m.is_dir() => Err(Fault::Files(Trouble::lasting(format!(
            "the outbox {shown} is a folder: name a file in it"
        )))),
        Ok(m) if m.len() == 0 => Err(Fault::Files(Trouble::lasting(format!(
            "the outbox {shown} is empty, so it was cut off or never was one: remove it to begin anew"
        )))),
        Ok(_) => Ok(path),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && create_it => {
            create(&path)?;
            Ok(path)
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Err(Fault::Files(Trouble::lasting(format!(
                "there is no outbox {shown}: look at the path, or start the watcher that makes it"
            ))))
        }
        Err(e) => Err(Fault::Files(files(&path, "open the outbox", &e))),
    }
}
