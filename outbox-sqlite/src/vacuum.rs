//! Gives room back to the file system.

use notifier_core::Result;
use rusqlite::Connection;

use crate::{SqliteOutbox, error::Fault};

/// Pages that are given back in one commit.
const PIECE: u32 = 500;

/// How large the file was and is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Vacuumed {
    /// Before.
    pub before: u64,
    /// Now.
    pub after: u64,
}

impl SqliteOutbox {
    /// Gives the room of what was forgotten back to the file system, in short steps
    /// between which everything else goes on.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](notifier_core::ErrorKind::Io) if the file cannot be written.
    pub async fn vacuum(&self) -> Result<Vacuumed> {
        self.alone(empty_log).await?;
        let before = self.size();
        let mut left = u32::MAX;
        loop {
            let now = self.write(|work| piece(work.conn)).await?;
            if now == 0 || now >= left {
                break;
            }
            left = now;
        }
        self.alone(empty_log).await?;
        Ok(Vacuumed {
            before,
            after: self.size(),
        })
    }

    fn size(&self) -> u64 {
        std::fs::metadata(self.path()).map_or(0, |m| m.len())
    }
}

/// Gives some pages back: how many are left.
fn piece(conn: &Connection) -> Result<u32, Fault> {
    // One row for each page: it is not done before the last one is read.
    let mut some = conn.prepare(&format!("PRAGMA incremental_vacuum({PIECE})"))?;
    let mut rows = some.query([])?;
    while rows.next()?.is_some() {}
    Ok(conn.pragma_query_value(None, "freelist_count", |r| r.get(0))?)
}

/// Moves what is in the log into the file, unless another process reads.
fn empty_log(conn: &Connection) -> Result<(), Fault> {
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}
