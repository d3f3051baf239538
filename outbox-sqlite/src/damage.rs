//! Whether a file is what was written.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode};

use crate::{
    connection::{beside, connect},
    error::{Fault, files},
    log::Log,
    row::{Fixed, subject_checksum},
    schema,
    shared::{Shared, lock},
};

/// How long the checks at open may take; what is left is checked afterwards.
pub(crate) const AT_OPEN: Duration = Duration::from_millis(400);

/// Steps of SQLite's machine between looks at the clock.
const STEPS: i32 = 1_000;

/// Checks the log, which SQLite reads only up to where it is not right: what comes behind
/// that would be lost without a word.
pub(crate) fn log(conn: &Connection, path: &Path) -> Result<(), Fault> {
    // Nobody writes meanwhile.
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let read = Log::read(&beside(path, "-wal"));
    conn.execute_batch("ROLLBACK")?;
    let log = read.map_err(|e| Fault::Files(files(path, "read the log of", &e)))?;
    if log.is_damaged {
        return Err(Fault::Damaged(format!(
            "{} pieces of its log are not what was written",
            log.wrong
        )));
    }
    Ok(())
}

/// Empties the log if nobody reads it, and checks that the file is as long as it says.
pub(crate) fn length(conn: &Connection, path: &Path) -> Result<(), Fault> {
    // What a power cut left at its end must not be taken for something of ours later.
    conn.busy_timeout(Duration::ZERO)?;
    let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0))?;
    if busy != 0 {
        return Ok(());
    }
    let size = |name| conn.pragma_query_value(None, name, |r| r.get::<_, i64>(0));
    let should = (size("page_count")? * size("page_size")?).cast_unsigned();
    let is = std::fs::metadata(path).map_or(should, |m| m.len());
    if is < should {
        return Err(Fault::Damaged(format!(
            "it was cut off: {is} bytes are left of {should}"
        )));
    }
    Ok(())
}

/// Checks that the tables are what they should be.
pub(crate) fn tables(conn: &Connection, version: usize) -> Result<(), Fault> {
    let differences = schema::differences(conn, version)?;
    if differences.is_empty() {
        Ok(())
    } else {
        Err(Fault::Damaged(differences.join("; ")))
    }
}

/// Checks the tables, and as much of the rest as the time allows. True if that is all.
pub(crate) fn at_open(conn: &Connection, version: usize, time: Duration) -> Result<bool, Fault> {
    tables(conn, version)?;
    let rows = within(conn, time / 2, open_rows)?;
    let pages = within(conn, time / 2, |c| pages(c, "PRAGMA quick_check(1)"))?;
    Ok(rows && pages)
}

/// Does a check for so long. True if it came to its end.
fn within(
    conn: &Connection,
    time: Duration,
    check: impl FnOnce(&Connection) -> Result<(), Fault>,
) -> Result<bool, Fault> {
    let end = Instant::now() + time;
    conn.progress_handler(STEPS, Some(move || Instant::now() >= end))?;
    let checked = check(conn);
    conn.progress_handler(0, None::<fn() -> bool>)?;
    finished(checked)
}

/// Whether a check came to its end; what it found.
fn finished(checked: Result<(), Fault>) -> Result<bool, Fault> {
    match checked {
        Ok(()) => Ok(true),
        Err(Fault::Sql(e)) if e.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            Ok(false)
        }
        Err(fault) => Err(fault),
    }
}

/// Has SQLite look at its pages.
fn pages(conn: &Connection, pragma: &str) -> Result<(), Fault> {
    let found: String = conn.query_row(pragma, [], |r| r.get(0))?;
    if found == "ok" {
        Ok(())
    } else {
        Err(Fault::Damaged(found))
    }
}

/// Looks at the checksums of what is not finished.
fn open_rows(conn: &Connection) -> Result<(), Fault> {
    let bad = bad_rows(conn, Rows::Open, 1)?;
    match bad.first() {
        None => Ok(()),
        Some(sequence) => Err(Fault::Damaged(format!(
            "what is stored of delivery number {sequence} is not what was written"
        ))),
    }
}

/// Which deliveries to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rows {
    All,
    /// Those that are not finished.
    Open,
}

/// The numbers of deliveries that are not what was written, at most so many.
pub(crate) fn bad_rows(conn: &Connection, which: Rows, most: usize) -> Result<Vec<i64>, Fault> {
    let (index, condition) = match which {
        Rows::All => ("NOT INDEXED", ""),
        Rows::Open => ("INDEXED BY deliveries_open", "WHERE d.finished IS NULL"),
    };
    let mut all = conn.prepare(&format!(
        "SELECT d.sequence, d.id, s.key, d.reporter, d.instance, n.name, d.why, d.enqueued,
             d.generation, d.checksum, s.kind, s.body, s.checksum
         FROM deliveries AS d {index}
         LEFT JOIN subjects AS s ON s.id = d.subject
         LEFT JOIN destinations AS n ON n.id = d.destination {condition} ORDER BY d.sequence"
    ))?;
    let mut rows = all.query([])?;
    let mut out = Vec::new();
    while out.len() < most
        && let Some(row) = rows.next()?
    {
        let text = |n: usize| row.get_ref(n).ok()?.as_bytes().ok();
        let sound = || {
            let fixed = Fixed {
                id: text(1)?,
                key: text(2)?,
                reporter: text(3)?,
                instance: text(4)?,
                destination: text(5)?,
                why: text(6)?,
                enqueued: row.get(7).ok()?,
                generation: row.get(8).ok()?,
            };
            Some(
                row.get::<_, i64>(9).ok()? == fixed.checksum()
                    && row.get::<_, i64>(12).ok()?
                        == subject_checksum(fixed.key, text(10)?, text(11)?),
            )
        };
        if sound() != Some(true) {
            out.push(row.get(0)?);
        }
    }
    Ok(out)
}

/// Checks, beside everything else, what there was no time for.
pub(crate) fn go_on(shared: &Arc<Shared>) -> Result<(), Fault> {
    let own = Arc::clone(shared);
    let stop = Arc::clone(&shared.checker.stop);
    let thread = std::thread::Builder::new()
        .name("outbox-checker".to_owned())
        .spawn(move || match whole(&own, stop) {
            Ok(true) => tracing::debug!("the whole outbox was checked"),
            Ok(false) => {}
            Err(fault) => match fault.judge(&own.path) {
                Ok(trouble) if trouble.is_final => own.break_with(&trouble),
                Ok(trouble) => {
                    tracing::warn!(error = %trouble.error().report(), "the outbox was not checked to its end");
                }
                Err(e) => {
                    tracing::warn!(error = %e.report(), "the outbox was not checked to its end");
                }
            },
        })
        .map_err(|e| Fault::Files(files(&shared.path, "start the check of", &e)))?;
    *lock(&shared.checker.thread) = Some(thread);
    Ok(())
}

/// Checks everything, unless it is told to stop. One table at a time, so that the log can
/// be emptied in between.
fn whole(shared: &Shared, stop: Arc<AtomicBool>) -> Result<bool, Fault> {
    let conn = connect(&shared.path, &shared.options)?;
    let told = Arc::clone(&stop);
    conn.progress_handler(STEPS, Some(move || told.load(Ordering::Relaxed)))?;
    let tables: Vec<String> = conn
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")?
        .query_map([], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    let checked = tables
        .iter()
        .try_for_each(|t| {
            pages(
                &conn,
                &format!("PRAGMA quick_check('{}')", t.replace('\'', "''")),
            )
        })
        .and_then(|()| open_rows(&conn));
    finished(checked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SqliteOptions, connection::locate};

    fn whole_of(shared: &Shared, stop: bool) -> Result<bool, Fault> {
        whole(shared, Arc::new(AtomicBool::new(stop)))
    }

    #[test]
    fn what_there_is_no_time_for_is_checked_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let path = locate(&dir.path().join("o.sqlite"), true).unwrap();
        let conn = connect(&path, &SqliteOptions::default()).unwrap();
        // Enough that it takes some steps.
        conn.execute_batch(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
             INSERT INTO seen SELECT 'key ' || i, 's', i FROM n",
        )
        .unwrap();
        assert!(!at_open(&conn, schema::newest(), Duration::ZERO).unwrap());
        assert!(at_open(&conn, schema::newest(), Duration::from_secs(60)).unwrap());
        let shared = Shared::new(path, SqliteOptions::default());
        assert!(whole_of(&shared, false).unwrap());
        assert!(!whole_of(&shared, true).unwrap());
        conn.execute_batch(
            "INSERT INTO deliveries (id, subject, reporter, instance, destination, why, state, ready,
                 due, enqueued, generation, checksum)
             VALUES ('x', 1, '', '', 1, '', 'pending', 0, 0, 0, 0, 0)",
        )
        .unwrap();
        assert!(matches!(whole_of(&shared, false), Err(Fault::Damaged(_))));
        let shared = Arc::new(shared);
        go_on(&shared).unwrap();
        let thread = lock(&shared.checker.thread).take();
        thread.unwrap().join().unwrap();
        let told = shared.broken().unwrap().error();
        assert!(
            told.to_string()
                .contains("delivery number 1 is not what was written"),
            "{told}"
        );
    }
}
