//! Makes what was saved fit together.

use notifier_core::{Clock, DestinationState, Logs, Silence, SystemClock};
use rusqlite::Connection;

use crate::{error::Fault, lease::take_back, row::ms};

/// The most failures without deliveries that are named.
const NAMED: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Finished {
    /// Deliveries that were being sent.
    pub(super) unknown: u64,
    /// Failures without deliveries.
    pub(super) untold: Vec<String>,
}

pub(super) fn finish(conn: &Connection) -> Result<Finished, Fault> {
    let now = SystemClock.now();
    forget_unreadable::<serde_json::Value>(conn, "sources", "cursor")?;
    forget_unreadable::<DestinationState>(conn, "destinations", "state")?;
    forget_unreadable::<Logs>(conn, "subjects", "logs")?;
    forget_unreadable::<serde_json::Value>(conn, "deliveries", "progress")?;
    drop_silences(conn)?;
    let untold = untold(conn)?;
    conn.execute_batch(
        "DELETE FROM sources WHERE cursor IS NULL AND listed_at IS NULL;
         DELETE FROM subjects WHERE NOT EXISTS (SELECT 1 FROM deliveries WHERE subject = subjects.id);
         UPDATE subjects SET logs_lease = NULL, logs_until = NULL;

         -- A state says whether it is finished.
         UPDATE deliveries SET finished = ifnull(finished, due)
             WHERE state IN ('done', 'dead', 'silenced', 'dropped');
         UPDATE deliveries SET finished = NULL
             WHERE state IN ('pending', 'leased', 'held', 'folded') AND finished IS NOT NULL;
         UPDATE deliveries SET lease = NULL, lease_until = NULL WHERE state <> 'leased' AND lease IS NOT NULL;
         UPDATE deliveries SET lease_until = 0 WHERE state = 'leased' AND lease_until IS NULL;

         -- What a lost group held or a lost digest would have told is told by itself.
         UPDATE deliveries SET state = 'pending', held_in = NULL
             WHERE state = 'held' AND NOT EXISTS (SELECT 1 FROM groups WHERE id = held_in);
         UPDATE deliveries SET (state, finished) =
                 (SELECT g.state, g.finished FROM deliveries AS g WHERE g.sequence = deliveries.digest)
             WHERE state = 'folded' AND digest IN (SELECT sequence FROM deliveries WHERE finished IS NOT NULL);
         UPDATE deliveries SET state = 'pending', digest = NULL, held_in = NULL
             WHERE state = 'folded'
                 AND (digest IS NULL OR digest NOT IN (SELECT sequence FROM deliveries WHERE finished IS NULL));",
    )?;
    let unknown = take_back(conn, i64::MAX, now)?;
    conn.execute_batch(
        "-- Logs are looked for where something waits for them.
         UPDATE subjects SET wants_logs = EXISTS
             (SELECT 1 FROM deliveries WHERE subject = subjects.id AND state = 'pending')
             WHERE logs IS NULL;
         UPDATE deliveries SET ready = 0 WHERE state = 'pending' AND ready <> 0
             AND subject IN (SELECT id FROM subjects WHERE logs IS NULL);
         UPDATE deliveries SET ready = 1 WHERE state = 'pending' AND ready = 0
             AND subject IN (SELECT id FROM subjects WHERE logs IS NOT NULL);

         -- Numbers of leases are never given twice.
         UPDATE counts SET n = n + 4294967296 WHERE what = 'leases';
         UPDATE counts SET n = max(n, (SELECT ifnull(sum(unknown), 0) FROM deliveries)) WHERE what = 'unknown';",
    )?;
    conn.execute(
        "INSERT INTO seen (key, source, at) SELECT key, source, ?1 FROM subjects WHERE kind <> 'digest'
         ON CONFLICT DO NOTHING",
        [ms(now)],
    )?;
    Ok(Finished {
        unknown: unknown as u64,
        untold,
    })
}

fn untold(conn: &Connection) -> Result<Vec<String>, Fault> {
    let mut all = conn.prepare(&format!(
        "SELECT about FROM subjects AS s
         WHERE NOT EXISTS (SELECT 1 FROM deliveries WHERE subject = s.id) ORDER BY id LIMIT {NAMED}"
    ))?;
    let rows = all.query_map([], |r| r.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Forgets values that should be JSON and cannot be read as such.
fn forget_unreadable<T: serde::de::DeserializeOwned>(
    conn: &Connection,
    table: &str,
    column: &str,
) -> Result<(), Fault> {
    // The table of sources has no numbers; the name serves as well.
    let id = match table {
        "sources" => "name",
        "deliveries" => "sequence",
        _ => "id",
    };
    let mut bad = Vec::new();
    {
        let mut all = conn.prepare(&format!(
            "SELECT {id}, {column} FROM {table} WHERE {column} IS NOT NULL"
        ))?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            let reads = row
                .get_ref(1)?
                .as_str()
                .is_ok_and(|t| serde_json::from_str::<T>(t).is_ok());
            if !reads {
                bad.push(row.get::<_, rusqlite::types::Value>(0)?);
            }
        }
    }
    for one in bad {
        conn.execute(
            &format!("UPDATE {table} SET {column} = NULL WHERE {id} = ?1"),
            [one],
        )?;
    }
    Ok(())
}

fn drop_silences(conn: &Connection) -> Result<(), Fault> {
    let mut all = conn.prepare("SELECT id, body FROM silences")?;
    let rows = all.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
    let silences: Vec<(String, String)> = rows.collect::<Result<_, _>>()?;
    for (id, body) in silences {
        if serde_json::from_str::<Silence>(&body).is_err() {
            conn.execute("DELETE FROM silences WHERE id = ?1", [id])?;
        }
    }
    Ok(())
}
