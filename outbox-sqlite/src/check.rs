//! Looks at a whole file: [`check`].

use std::path::Path;

use notifier_core::{DeliveryState, DestinationState, Logs, Result, Silence};
use rusqlite::Connection;

use crate::{
    SqliteOptions,
    connection::{connect, locate},
    damage::{self, Rows, bad_rows},
    error::{Fault, Trouble},
    schema,
};

/// The most problems of one kind that are named.
const MOST: usize = 20;

/// What was found in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// What is wrong, a line each. Nothing is if there are none.
    pub problems: Vec<String>,
    /// Failures, digests and notices.
    pub subjects: u64,
    /// Deliveries in all states.
    pub deliveries: u64,
    /// Deliveries that are not finished.
    pub open: u64,
    /// Attempts that are remembered.
    pub attempts: u64,
    /// Keys that are not told again.
    pub seen: u64,
}

/// Reads a whole outbox and says what is wrong with it. A watcher may run meanwhile.
///
/// # Errors
/// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) if there is no such file or it is no outbox,
/// [`ErrorKind::Io`](notifier_core::ErrorKind::Io) if it cannot be read now.
pub fn check(path: impl AsRef<Path>) -> Result<Checked> {
    let path = path.as_ref();
    let mut out = Checked::default();
    match look(path, &mut out) {
        Ok(()) => Ok(out),
        Err(fault) => match problem(fault, path) {
            Ok(text) => {
                out.problems.push(text);
                Ok(out)
            }
            Err(trouble) => Err(trouble.error()),
        },
    }
}

/// What makes a fault a finding.
fn problem(fault: Fault, path: &Path) -> Result<String, Trouble> {
    match fault {
        Fault::Damaged(what) => Ok(what),
        Fault::Sql(e) => {
            let text = e.to_string();
            let trouble = Fault::Sql(e).trouble(path);
            if trouble.is_final {
                Ok(text)
            } else {
                Err(trouble)
            }
        }
        other => Err(other.trouble(path)),
    }
}

fn look(path: &Path, out: &mut Checked) -> Result<(), Fault> {
    let path = locate(path, false)?;
    let conn = connect(&path, &SqliteOptions::default())?;
    let version = schema::version(&conn, &path)?;
    damage::log(&conn, &path)?;
    // One state of everything, whatever is written meanwhile.
    conn.execute_batch("BEGIN")?;
    let mut found = Vec::new();
    let mut note = |done: Result<Vec<String>, Fault>| match done {
        Ok(lines) => {
            found.extend(lines);
            Ok(())
        }
        Err(fault) => problem(fault, &path)
            .map(|line| found.push(line))
            .map_err(Fault::Files),
    };
    note(pages(&conn))?;
    let differences = schema::differences(&conn, version)?;
    let is_whole = differences.is_empty();
    note(Ok(differences))?;
    if is_whole {
        note(rows(&conn))?;
        if version == schema::newest() {
            note(texts(&conn))?;
            for (sql, what) in LOOSE {
                note(loose(&conn, sql, what))?;
            }
        }
        note(counts(&conn))?;
        note(sizes(&conn, out))?;
    }
    out.problems = found;
    out.problems.dedup();
    Ok(())
}

fn pages(conn: &Connection) -> Result<Vec<String>, Fault> {
    let mut all = conn.prepare(&format!("PRAGMA integrity_check({MOST})"))?;
    let lines = all.query_map([], |r| r.get::<_, String>(0))?;
    let mut out = Vec::new();
    for line in lines {
        let line = line?;
        if line != "ok" {
            out.push(line.replace('\n', "; "));
        }
    }
    Ok(out)
}

fn rows(conn: &Connection) -> Result<Vec<String>, Fault> {
    let bad = bad_rows(conn, Rows::All, MOST)?;
    Ok(bad
        .iter()
        .map(|n| format!("what is stored of delivery number {n} is not what was written"))
        .collect())
}

/// What belongs to nothing, or waits for what does not come.
const LOOSE: [(&str, &str); 6] = [
    (
        "SELECT count(*) FROM subjects AS s WHERE NOT EXISTS (SELECT 1 FROM deliveries WHERE subject = s.id)",
        "reports without deliveries",
    ),
    (
        "SELECT count(*) FROM attempts AS a WHERE NOT EXISTS (SELECT 1 FROM deliveries WHERE sequence = a.delivery)",
        "attempts without a delivery",
    ),
    (
        "SELECT count(*) FROM deliveries AS d WHERE state = 'held' AND NOT EXISTS (SELECT 1 FROM groups WHERE id = d.held_in)",
        "deliveries that are held by no group",
    ),
    (
        "SELECT count(*) FROM deliveries AS d WHERE state = 'folded'
             AND NOT EXISTS (SELECT 1 FROM deliveries WHERE sequence = d.digest AND finished IS NULL)",
        "deliveries that wait for a digest that is not there",
    ),
    (
        "SELECT count(*) FROM deliveries AS d JOIN subjects AS s ON s.id = d.subject
         WHERE d.state = 'pending' AND d.ready = 0 AND (s.logs IS NOT NULL OR s.wants_logs = 0)",
        "deliveries that wait for logs that nobody looks for",
    ),
    (
        "SELECT count(*) FROM deliveries WHERE (finished IS NULL)
             <> (state IN ('pending', 'leased', 'held', 'folded')) OR (state = 'leased') <> (lease IS NOT NULL)",
        "deliveries whose state makes no sense",
    ),
];

fn loose(conn: &Connection, sql: &str, what: &str) -> Result<Vec<String>, Fault> {
    let n: i64 = conn.query_row(sql, [], |r| r.get(0))?;
    Ok((n > 0).then(|| format!("{n} {what}")).into_iter().collect())
}

/// Values that are JSON, and cannot be read as such.
fn texts(conn: &Connection) -> Result<Vec<String>, Fault> {
    type Reads = fn(&str) -> bool;
    fn reads<T: serde::de::DeserializeOwned>(text: &str) -> bool {
        serde_json::from_str::<T>(text).is_ok()
    }
    let all: [(&str, &str, Reads); 5] = [
        ("sources", "cursor", reads::<serde_json::Value>),
        ("destinations", "state", reads::<DestinationState>),
        ("subjects", "logs", reads::<Logs>),
        ("deliveries", "progress", reads::<serde_json::Value>),
        ("silences", "body", reads::<Silence>),
    ];
    let mut out = Vec::new();
    for (table, column, reads) in all {
        let mut values = conn.prepare(&format!(
            "SELECT {column} FROM {table} WHERE {column} IS NOT NULL"
        ))?;
        let mut rows = values.query([])?;
        let mut bad = 0;
        while let Some(row) = rows.next()? {
            if !row.get_ref(0)?.as_str().is_ok_and(reads) {
                bad += 1;
            }
        }
        if bad > 0 {
            out.push(format!(
                "{bad} values of {column} in {table} cannot be read"
            ));
        }
    }
    Ok(out)
}

/// Counts that are kept, against what there is.
fn counts(conn: &Connection) -> Result<Vec<String>, Fault> {
    let mut out = Vec::new();
    let mut compare = |what: &str, sql: &str| -> Result<(), Fault> {
        let kept: i64 =
            conn.query_row("SELECT n FROM counts WHERE what = ?1", [what], |r| r.get(0))?;
        let found: i64 = conn.query_row(sql, [], |r| r.get(0))?;
        if kept != found {
            out.push(format!(
                "{kept} are counted as {what}, and there are {found}"
            ));
        }
        Ok(())
    };
    for state in DeliveryState::ALL {
        compare(
            state.as_str(),
            &format!("SELECT count(*) FROM deliveries WHERE state = '{state}'"),
        )?;
    }
    compare("seen", "SELECT count(*) FROM seen")?;
    compare(
        "unsettled",
        "SELECT count(*) FROM subjects WHERE logs IS NULL AND wants_logs = 1",
    )?;
    Ok(out)
}

fn sizes(conn: &Connection, out: &mut Checked) -> Result<Vec<String>, Fault> {
    let count = |sql: &str| -> Result<u64, Fault> {
        let n: i64 = conn.query_row(sql, [], |r| r.get(0))?;
        Ok(n.cast_unsigned())
    };
    out.subjects = count("SELECT count(*) FROM subjects")?;
    out.deliveries = count("SELECT count(*) FROM deliveries")?;
    out.open = count("SELECT count(*) FROM deliveries WHERE finished IS NULL")?;
    out.attempts = count("SELECT count(*) FROM attempts")?;
    out.seen = count("SELECT count(*) FROM seen")?;
    Ok(Vec::new())
}
