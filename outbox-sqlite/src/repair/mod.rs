//! Saves what can be read of a damaged file: [`repair`].
//!
//! The file is read page by page, without SQLite: it would stop at what it cannot read.

mod finish;
mod pages;
mod record;
mod save;
mod trees;

use std::{collections::HashMap, path::Path};

use notifier_core::Result;
use rusqlite::Connection;

use self::{pages::Pages, save::Saver, trees::Trees};
use crate::{
    connection::{build, locate, put, unfinished},
    error::{Fault, Trouble, files},
    lock::WatcherLock,
    seal,
};

/// What was saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repaired {
    /// For each table, how much was saved and how much was not.
    pub tables: Vec<Salvaged>,
    /// Deliveries that were being sent: whether they arrived is unknown.
    pub unknown: u64,
    /// Parts of the file that could not be read: pages, and pieces of its log.
    pub bad_pages: u64,
    /// Failures that were saved without anything that says whom to tell, in a few words
    /// each; the first hundred.
    pub untold: Vec<String>,
}

/// How much of a table was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvaged {
    /// The table's name.
    pub table: &'static str,
    /// Rows that are in the new file.
    pub saved: u64,
    /// Rows that were there, as far as that is known, and are not.
    pub lost: u64,
}

impl Repaired {
    /// Rows that were there, as far as that is known, and could not be saved.
    pub fn lost(&self) -> u64 {
        self.tables.iter().map(|t| t.lost).sum()
    }
}

/// Writes what can be read of an outbox into a new file, and leaves the old one as it is.
///
/// Rows that are not what was written are left out. What was being sent is to be sent
/// again, as after the end of a watcher. Let no other process use the old file meanwhile.
///
/// # Errors
/// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) if there is no such file, if nothing of an outbox is in it, if a watcher
/// uses it, if its key file holds no key, or if the new file, or another key beside that, exists;
/// [`ErrorKind::Io`](notifier_core::ErrorKind::Io) if one cannot be read or the other not be written.
pub fn repair(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<Repaired> {
    let (from, to) = (from.as_ref(), to.as_ref());
    salvage(from, to).map_err(|fault| fault.error(to))
}

fn salvage(from: &Path, to: &Path) -> Result<Repaired, Fault> {
    let from = locate(from, false)?;
    let _lock = WatcherLock::take(&from, "repair").map_err(Fault::Files)?;
    if to.symlink_metadata().is_ok() {
        return Err(exists(to));
    }
    let pages =
        Pages::open(&from).map_err(|e| Fault::Files(files(&from, "read the outbox", &e)))?;
    // Before the file: without it, some of what is in there is of no use.
    let key = seal::copy(&from, to)?;
    let new = unfinished(to);
    let done = build(&new, to, |conn| fill(&pages, conn)).and_then(|repaired| {
        let put = put(&new, to).map_err(|e| Fault::Files(files(to, "make the outbox", &e)))?;
        if !put {
            return Err(exists(to));
        }
        Ok(repaired)
    });
    // It has the right name by now, or is of no use.
    let _ = std::fs::remove_file(&new);
    if let (Err(_), Some(key)) = (&done, &key) {
        let _ = std::fs::remove_file(key);
    }
    done
}

fn exists(to: &Path) -> Fault {
    Fault::Files(Trouble::lasting(format!(
        "{} exists: name a file that does not, to save the outbox in",
        to.display()
    )))
}

/// Fills a new outbox with what is in the pages of another.
fn fill(pages: &Pages, conn: &Connection) -> Result<Repaired, Fault> {
    let trees = Trees::find(pages, roots(conn)?);
    conn.execute_batch("BEGIN")?;
    let mut saver = Saver::new(pages, &trees, conn);
    saver.save()?;
    if saver.found_nothing() {
        return Err(Fault::Files(Trouble::lasting(
            "nothing of an outbox could be found in the file: name another",
        )));
    }
    let finished = finish::finish(conn)?;
    let out = Repaired {
        tables: saver.counts()?,
        unknown: finished.unknown,
        bad_pages: trees.bad + pages.bad_frames,
        untold: finished.untold,
    };
    conn.execute_batch("COMMIT")?;
    Ok(out)
}

/// Where a new file has its tables, which is where every file has them.
fn roots(conn: &Connection) -> Result<HashMap<u32, String>, Fault> {
    let mut all = conn.prepare("SELECT rootpage, name FROM sqlite_master WHERE rootpage > 1")?;
    let rows = all.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
