//! What came of an attempt, and everything that follows from it.

use notifier_core::{
    Attempt, DestinationState, Enqueued, Error, Lease, LogLease, Logs, Outcome, Settlement,
    Verdict, jiff::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    enqueue::{add_report, json},
    error::{Fault, rejected},
    lease::add,
    row::ms,
    work::Work,
};

/// Attempts of one delivery that are remembered.
const ATTEMPTS: i64 = 1_000;

/// What is noted of what cannot be read.
pub(crate) const DAMAGED: &str = "the stored record is damaged; see `notifierctl outbox check`";

/// The source that notices are of.
const OWN: &str = "notifier";

fn lost() -> Fault {
    rejected("the lease has run out")
}

/// A token as it is stored.
fn number(token: u64) -> i64 {
    token.cast_signed()
}

/// What tells whether a lease still holds.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    id: String,
    lease: i64,
}

impl Held {
    pub(crate) fn of(lease: &Lease) -> Self {
        Self {
            id: lease.delivery.id.as_str().to_owned(),
            lease: number(lease.token),
        }
    }
}

/// A delivery that is leased.
struct Taken {
    sequence: i64,
    attempts: i64,
    destination: i64,
}

fn taken(conn: &Connection, held: &Held) -> Result<Taken, Fault> {
    conn.prepare_cached(
        "SELECT sequence, attempts, destination FROM deliveries
         WHERE id = ?1 AND lease = ?2 AND state = 'leased'",
    )?
    .query_row(params![held.id, held.lease], |r| {
        Ok(Taken {
            sequence: r.get(0)?,
            attempts: r.get(1)?,
            destination: r.get(2)?,
        })
    })
    .optional()?
    .ok_or_else(lost)
}

pub(crate) fn settle(
    work: &mut Work<'_>,
    held: &Held,
    settlement: Settlement,
) -> Result<(), Fault> {
    let conn = work.conn;
    let it = taken(conn, held)?;
    let attempt = &settlement.attempt;
    let now = attempt.at;
    work.at(now);
    note(conn, it.sequence, it.attempts + 1, attempt)?;
    let is_unknown = attempt.outcome == Outcome::Unknown;
    if is_unknown {
        add(conn, "unknown", 1)?;
    }
    let progress = settlement.progress.as_ref().map(json).transpose()?;
    let (state, due, finished) = match settlement.verdict {
        Verdict::Done => ("done", None, Some(ms(now))),
        Verdict::Dead => ("dead", None, Some(ms(now))),
        Verdict::RetryAt(at) => ("pending", Some(ms(at)), None),
        _ => {
            return Err(Fault::Refused(Error::internal(
                "this outbox does not know the verdict on a delivery",
            )));
        }
    };
    conn.prepare_cached(
        "UPDATE deliveries SET state = ?2, ready = CASE WHEN ?3 IS NULL THEN ready ELSE 2 END,
             due = ifnull(?3, due), finished = ?4, progress = ifnull(?5, progress),
             attempts = attempts + 1, unknown = unknown + ?6, uncertain = ?6,
             lease = NULL, lease_until = NULL
         WHERE sequence = ?1",
    )?
    .execute(params![
        it.sequence,
        state,
        due,
        finished,
        progress,
        is_unknown
    ])?;
    if finished.is_some() {
        end_members(conn, it.sequence, state, now)?;
    }
    if let Some(state) = &settlement.destination {
        let state = if *state == DestinationState::default() {
            None
        } else {
            Some(json(state)?)
        };
        conn.prepare_cached(
            "UPDATE destinations SET state = ?2 WHERE id = ?1 AND state IS NOT ?2",
        )?
        .execute(params![it.destination, state])?;
    }
    if settlement.wake {
        conn.prepare_cached(
            "UPDATE deliveries INDEXED BY deliveries_later SET ready = 1, due = ?2
             WHERE destination = ?1 AND state = 'pending' AND ready = 2",
        )?
        .execute(params![it.destination, ms(now)])?;
    }
    for notice in settlement.notices {
        add_report(work, notice, OWN, now, &mut Enqueued::default())?;
    }
    work.changed = true;
    Ok(())
}

/// Keeps what an attempt came to; forgets one of long ago.
fn note(conn: &Connection, sequence: i64, number: i64, attempt: &Attempt) -> Result<(), Fault> {
    let outcome = match attempt.outcome {
        Outcome::Delivered => "delivered",
        Outcome::Retry => "retry",
        Outcome::Dead => "dead",
        _ => "unknown",
    };
    conn.prepare_cached(
        "INSERT OR REPLACE INTO attempts (delivery, number, at, latency_ms, outcome, code, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        sequence,
        number,
        ms(attempt.at),
        i64::try_from(attempt.latency_ms).unwrap_or(i64::MAX),
        outcome,
        attempt.code,
        attempt.detail,
    ])?;
    if number > ATTEMPTS {
        conn.prepare_cached("DELETE FROM attempts WHERE delivery = ?1 AND number = ?2")?
            .execute([sequence, number - ATTEMPTS])?;
    }
    Ok(())
}

/// Ends what a digest tells as the digest ended.
pub(crate) fn end_members(
    conn: &Connection,
    digest: i64,
    state: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    conn.prepare_cached(
        "UPDATE deliveries SET state = ?2, finished = ?3 WHERE digest = ?1 AND state = 'folded'",
    )?
    .execute(params![digest, state, ms(now)])?;
    Ok(())
}

/// Gives up a delivery without an attempt.
pub(crate) fn bury(
    conn: &Connection,
    sequence: i64,
    now: Timestamp,
    why: &str,
) -> Result<(), Fault> {
    let attempts: i64 = conn
        .prepare_cached("SELECT attempts FROM deliveries WHERE sequence = ?1")?
        .query_one([sequence], |r| r.get(0))?;
    let mut attempt = Attempt::new(now, Outcome::Dead);
    attempt.code = Some("damaged".to_owned());
    attempt.detail = why.to_owned();
    note(conn, sequence, attempts + 1, &attempt)?;
    conn.prepare_cached(
        "UPDATE deliveries SET state = 'dead', finished = ?2, attempts = attempts + 1,
             uncertain = 0, lease = NULL, lease_until = NULL
         WHERE sequence = ?1",
    )?
    .execute(params![sequence, ms(now)])?;
    end_members(conn, sequence, "dead", now)?;
    tracing::error!(sequence, why, "a delivery was given up");
    Ok(())
}

pub(crate) fn save_progress(
    work: &Work<'_>,
    held: &Held,
    progress: &serde_json::Value,
) -> Result<(), Fault> {
    let it = taken(work.conn, held)?;
    work.conn
        .prepare_cached("UPDATE deliveries SET progress = ?2 WHERE sequence = ?1")?
        .execute(params![it.sequence, json(progress)?])?;
    Ok(())
}

pub(crate) fn release(work: &mut Work<'_>, held: &Held) -> Result<(), Fault> {
    let it = taken(work.conn, held)?;
    work.conn
        .prepare_cached(
            "UPDATE deliveries SET state = 'pending', ready = 1, lease = NULL, lease_until = NULL
             WHERE sequence = ?1",
        )?
        .execute([it.sequence])?;
    work.changed = true;
    Ok(())
}

pub(crate) fn settle_logs(work: &mut Work<'_>, lease: &LogLease, logs: &Logs) -> Result<(), Fault> {
    let conn = work.conn;
    let subject: i64 = conn
        .prepare_cached("SELECT id FROM subjects WHERE logs_lease = ?1")?
        .query_row([number(lease.token)], |r| r.get(0))
        .optional()?
        .ok_or_else(lost)?;
    conn.prepare_cached(
        "UPDATE subjects SET logs = ?2, logs_lease = NULL, logs_until = NULL WHERE id = ?1",
    )?
    .execute(params![subject, json(logs)?])?;
    conn.prepare_cached("UPDATE deliveries SET ready = 1 WHERE subject = ?1 AND ready = 0")?
        .execute([subject])?;
    work.changed = true;
    Ok(())
}
