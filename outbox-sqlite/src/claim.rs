//! One watcher takes over from the one before it.

use std::time::Duration;

use notifier_core::jiff::Timestamp;
use rusqlite::params;

use crate::{
    enqueue::json,
    error::Fault,
    lease::{add, read_state, take_back},
    row::{after, ms},
    work::Work,
};

/// What is due further ahead than this was put off by a clock that was set since.
const TOO_FAR: Duration = Duration::from_secs(70 * 60);

/// What a claim gives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimed {
    /// Its number.
    pub(crate) number: i64,
    /// Leases that were taken back.
    pub(crate) leases: u64,
}

pub(crate) fn claim(work: &mut Work<'_>, now: Timestamp) -> Result<Claimed, Fault> {
    work.at(now);
    let conn = work.conn;
    let number = add(conn, "claims", 1)?;
    let mut leases = take_back(conn, i64::MAX, now)?;
    leases += conn
        .prepare_cached(
            "UPDATE subjects SET logs_lease = NULL, logs_until = NULL WHERE logs_lease IS NOT NULL",
        )?
        .execute([])?;
    correct_times(work, now)?;
    work.changed = true;
    Ok(Claimed {
        number,
        leases: leases as u64,
    })
}

/// Pulls to now what a clock that was set since has put far ahead.
fn correct_times(work: &Work<'_>, now: Timestamp) -> Result<(), Fault> {
    let conn = work.conn;
    let far = after(now, TOO_FAR);
    conn.prepare_cached(
        "UPDATE deliveries SET due = ?1, ready = 1
         WHERE destination IN (SELECT id FROM destinations)
             AND state = 'pending' AND ready = 2 AND due > ?2",
    )?
    .execute(params![ms(now), far])?;
    conn.prepare_cached("UPDATE groups SET ends = ?1 + interval_ms WHERE ends > ?1 + interval_ms")?
        .execute([ms(now)])?;
    conn.prepare_cached("UPDATE destinations SET rate_next = NULL WHERE rate_next > ?1")?
        .execute([far])?;
    let states: Vec<(i64, String)> = conn
        .prepare_cached("SELECT id, state FROM destinations WHERE state IS NOT NULL")?
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (id, text) in states {
        let mut state = read_state(Some(&text));
        if state.not_before.is_some_and(|at| ms(at) > far) {
            state.not_before = Some(now);
            conn.prepare_cached("UPDATE destinations SET state = ?2 WHERE id = ?1")?
                .execute(params![id, json(&state)?])?;
        }
    }
    Ok(())
}
