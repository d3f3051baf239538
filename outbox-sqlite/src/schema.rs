//! The tables, and how a file of an earlier version gets them.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::error::{Fault, Trouble};

/// What makes each version out of the one before it.
pub(crate) const MIGRATIONS: [&str; 2] = [
    include_str!("migrations/0001_queue.sql"),
    include_str!("migrations/0002_groups.sql"),
];

/// Says in the file's header what kind of file it is: `NTFY`.
pub(crate) const APPLICATION_ID: i32 = 0x4e54_4659;

/// The version that this program writes.
pub(crate) fn newest() -> usize {
    MIGRATIONS.len()
}

/// Creates the tables of a new file.
pub(crate) fn create(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    to_version(conn, newest())
}

/// The version of a file, if it is an outbox at all.
pub(crate) fn version(conn: &Connection, path: &std::path::Path) -> Result<usize, Fault> {
    let id: i32 = conn.pragma_query_value(None, "application_id", |r| r.get(0))?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |r| r.get(0))?;
    let shown = path.display();
    if id != APPLICATION_ID {
        let ours: i64 = conn.query_row(
            "SELECT count(*) FROM sqlite_master WHERE name IN ('counts', 'subjects', 'deliveries')",
            [],
            |r| r.get(0),
        )?;
        if ours == 3 {
            return Err(Fault::Damaged(format!("its application_id is {id}")));
        }
        return Err(Fault::Files(Trouble::lasting(format!(
            "{shown} is not an outbox: its application_id is {id}; name another file"
        ))));
    }
    match usize::try_from(version) {
        Ok(v) if v > newest() => Err(Fault::Files(Trouble::lasting(format!(
            "the outbox {shown} was written by a newer version of this program (version {v} of the tables, this one knows {}): start that one",
            newest()
        )))),
        Ok(v) if v > 0 => Ok(v),
        _ => Err(Fault::Damaged(format!(
            "its tables have the version {version}"
        ))),
    }
}

/// Brings a file to this version of the tables, one commit for each step.
pub(crate) fn to_version(conn: &Connection, to: usize) -> rusqlite::Result<()> {
    for (number, sql) in (1..).zip(MIGRATIONS).take(to) {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        let step = || {
            // Another process may have done it meanwhile.
            let at: i64 = conn.pragma_query_value(None, "user_version", |r| r.get(0))?;
            if at < number {
                conn.execute_batch(sql)?;
                conn.pragma_update(None, "user_version", number)?;
            }
            conn.execute_batch("COMMIT")
        };
        if let Err(e) = step() {
            // Nothing to be done if that fails as well: the connection is given up.
            let _ = conn.execute_batch("ROLLBACK");
            return Err(e);
        }
    }
    Ok(())
}

type Objects = BTreeMap<(String, String), String>;

/// Tables, indexes and triggers by kind and name.
fn objects(conn: &Connection) -> rusqlite::Result<Objects> {
    let mut found = conn.prepare(
        "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let rows = found.query_map([], |r| {
        let sql: Option<String> = r.get(2)?;
        Ok(((r.get(0)?, r.get(1)?), sql.unwrap_or_default()))
    })?;
    rows.collect()
}

/// What is not as this version's migrations make it. Views, tables and indexes that
/// somebody added are left alone.
pub(crate) fn differences(conn: &Connection, version: usize) -> Result<Vec<String>, Fault> {
    let fresh = Connection::open_in_memory()?;
    to_version(&fresh, version)?;
    let (should, is) = (objects(&fresh)?, objects(conn)?);
    let mut out = Vec::new();
    for ((kind, name), sql) in &should {
        match is.get(&(kind.clone(), name.clone())) {
            None => out.push(format!("the {kind} {name} is missing")),
            Some(found) if found != sql => {
                out.push(format!("the {kind} {name} is not as it should be"));
            }
            Some(_) => {}
        }
    }
    for (kind, name) in is.keys().filter(|k| !should.contains_key(k)) {
        if kind == "trigger" {
            out.push(format!("the {kind} {name} does not belong here"));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_versions_lead_to_the_same_tables() {
        for from in 1..=newest() {
            let conn = Connection::open_in_memory().unwrap();
            to_version(&conn, from).unwrap();
            to_version(&conn, newest()).unwrap();
            assert_eq!(differences(&conn, newest()).unwrap(), [""; 0]);
        }
    }

    #[test]
    fn what_was_changed_is_named() {
        let conn = Connection::open_in_memory().unwrap();
        create(&conn).unwrap();
        conn.execute_batch(
            "CREATE VIEW mine AS SELECT * FROM seen; DROP TRIGGER seen_added; DROP TABLE silences;
             CREATE TRIGGER odd AFTER DELETE ON seen BEGIN DELETE FROM sources; END;",
        )
        .unwrap();
        let found = differences(&conn, newest()).unwrap().join("; ");
        assert_eq!(
            found,
            "the table silences is missing; the trigger seen_added is missing; the trigger odd does not belong here"
        );
    }
}
