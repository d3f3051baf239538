//! Keeps what is to be told.

use std::collections::HashSet;

use notifier_core::{
    EnqueueBatch, Enqueued, Error, ErrorKind, Logs, NewDelivery, NewReport, Subject,
    jiff::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    chores::touch,
    error::Fault,
    group,
    row::{Fixed, ms, subject_checksum},
    work::Work,
};

/// States that count against the limit.
const OPEN: &str = "('pending', 'leased', 'held', 'folded')";

pub(crate) fn enqueue(work: &mut Work<'_>, batch: EnqueueBatch) -> Result<Enqueued, Fault> {
    work.at(batch.now);
    make_room(work, &batch)?;
    let mut out = Enqueued::default();
    for report in batch.reports {
        add_report(work, report, &batch.source, batch.now, &mut out)?;
    }
    for key in &batch.seen {
        see(work.conn, key.as_str(), &batch.source, batch.now)?;
    }
    if let Some(listed) = batch.listed {
        work.memory.chores.list(&batch.source, listed, batch.now);
    }
    if let Some(cursor) = batch.cursor {
        work.conn
            .prepare_cached(
                "INSERT INTO sources (name, cursor) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor",
            )?
            .execute(params![batch.source, json(&cursor)?])?;
    }
    Ok(out)
}

/// Refuses a batch for which there is no room.
fn make_room(work: &Work<'_>, batch: &EnqueueBatch) -> Result<(), Fault> {
    // Notices and digests are never refused, and what is silenced does not wait.
    let counted = || {
        batch
            .reports
            .iter()
            .filter(|r| matches!(r.subject, Subject::Failure(_)) && r.silenced.is_none())
    };
    let most: usize = counted().map(|r| r.deliveries.len()).sum();
    if most == 0 {
        return Ok(());
    }
    let open: i64 = work
        .conn
        .prepare_cached(&format!("SELECT sum(n) FROM counts WHERE what IN {OPEN}"))?
        .query_one([], |r| r.get(0))?;
    let open = u64::try_from(open).unwrap_or(0);
    let room = work.options.capacity.saturating_sub(open);
    // What is larger than the whole outbox would never fit: an empty one takes it.
    if open == 0 || most as u64 <= room {
        return Ok(());
    }
    let mut known = work
        .conn
        .prepare_cached("SELECT 1 FROM seen WHERE key = ?1")?;
    let (mut keys, mut wanted) = (HashSet::new(), 0);
    for report in counted() {
        let key = report.subject.key();
        if !known.exists([key.as_str()])? && keys.insert(key) {
            wanted += report.deliveries.len() as u64;
        }
    }
    if wanted > room {
        return Err(Fault::Refused(Error::new(
            ErrorKind::Full,
            format!(
                "the outbox holds {open} deliveries and takes {}",
                work.options.capacity
            ),
        )));
    }
    Ok(())
}

/// Marks a key as seen. False if it was.
fn see(conn: &Connection, key: &str, source: &str, now: Timestamp) -> Result<bool, Fault> {
    let new = conn
        .prepare_cached(
            "INSERT INTO seen (key, source, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?
        .execute(params![key, source, ms(now)])?
        > 0;
    if !new {
        touch(conn, key, now)?;
    }
    Ok(new)
}

pub(crate) fn add_report(
    work: &mut Work<'_>,
    report: NewReport,
    source: &str,
    now: Timestamp,
    out: &mut Enqueued,
) -> Result<(), Fault> {
    let conn = work.conn;
    let key = report.subject.key();
    if !see(conn, key.as_str(), source, now)? {
        out.repeated += 1;
        return Ok(());
    }
    out.new += 1;
    if report.deliveries.is_empty() {
        return Ok(());
    }
    let grouping = report
        .group
        .filter(|_| matches!(report.subject, Subject::Failure(_)));
    let mut ready = Vec::with_capacity(report.deliveries.len());
    for mut delivery in report.deliveries {
        let destination = destination(conn, delivery.destination.as_str())?;
        let mut held = None;
        if let Some(silence) = &report.silenced {
            if !delivery.why.is_empty() {
                delivery.why += "; ";
            }
            delivery.why += silence;
        } else if let Some(grouping) = &grouping {
            held = group::enter(conn, grouping, &delivery, destination, now)?;
        }
        ready.push((delivery, destination, held));
    }
    let silenced = report.silenced.is_some();
    let is_sent = !silenced && ready.iter().any(|(_, _, held)| held.is_none());
    let sealed = work.seals.seal(&report.subject)?;
    let subject = sealed.as_ref().unwrap_or(&report.subject);
    let subject = add_subject(conn, subject, is_sent, now)?;
    let mut added = 0;
    for (delivery, destination, held) in ready {
        let place = Place {
            subject: subject.id,
            key: key.as_str(),
            destination,
            generation: 0,
            ready: subject.settled,
            held,
            silenced,
        };
        if add_delivery(conn, &delivery, &place, now)?.is_some() {
            added += 1;
            out.held += u64::from(held.is_some());
        }
    }
    if added == 0 {
        // Their ids are known: the key was forgotten too early. Nothing is told twice.
        conn.prepare_cached("DELETE FROM subjects WHERE id = ?1")?
            .execute([subject.id])?;
    }
    out.deliveries += added;
    out.silenced += if silenced { added } else { 0 };
    work.changed |= added > 0;
    Ok(())
}

/// A subject that was added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Added {
    pub(crate) id: i64,
    /// It has no logs to wait for.
    pub(crate) settled: bool,
}

/// Adds what is told, its secret labels sealed. Its logs are looked for if something `is_sent` now.
pub(crate) fn add_subject(
    conn: &Connection,
    subject: &Subject,
    is_sent: bool,
    now: Timestamp,
) -> Result<Added, Fault> {
    let (key, kind, body) = (subject.key(), subject.kind(), subject.to_json()?);
    let failure = subject.failure();
    let finished = match subject {
        Subject::Digest(d) => d.last,
        Subject::Notice(n) | Subject::Recovery(n) => n.since,
        _ => failure.map_or(now, |f| f.finished),
    };
    let name = match subject {
        Subject::Digest(d) => d.fingerprint.as_str(),
        Subject::Notice(n) | Subject::Recovery(n) => n.destination.as_str(),
        _ => failure.map_or("", |f| f.name.as_str()),
    };
    // A word about the notifier itself has no logs.
    let logs = match failure {
        Some(_) => None,
        None => Some(json(&Logs::default())?),
    };
    conn.prepare_cached(
        "INSERT INTO subjects (key, kind, about, source, name, host, framework, state, reason,
             finished, enqueued, body, logs, wants_logs, checksum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?
    .execute(params![
        key.as_str(),
        kind,
        subject.about(),
        failure.map_or("", |f| &f.source),
        name,
        failure.map_or("", |f| &f.host),
        failure.map_or("", |f| &f.framework),
        failure.map_or("", |f| &f.state),
        failure.and_then(|f| f.reason.as_deref()).unwrap_or(""),
        ms(finished),
        ms(now),
        body,
        logs,
        is_sent && logs.is_none(),
        subject_checksum(key.as_str().as_bytes(), kind.as_bytes(), body.as_bytes()),
    ])?;
    Ok(Added {
        id: conn.last_insert_rowid(),
        settled: logs.is_some(),
    })
}

/// Where a new delivery belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) subject: i64,
    pub(crate) key: &'a str,
    pub(crate) destination: i64,
    pub(crate) generation: u32,
    /// Its subject's logs are settled.
    pub(crate) ready: bool,
    /// The group that holds it.
    pub(crate) held: Option<i64>,
    pub(crate) silenced: bool,
}

/// Adds a delivery: its sequence, unless its id is known.
pub(crate) fn add_delivery(
    conn: &Connection,
    delivery: &NewDelivery,
    place: &Place<'_>,
    now: Timestamp,
) -> Result<Option<i64>, Fault> {
    let state = match (place.silenced, place.held) {
        (true, _) => "silenced",
        (false, Some(_)) => "held",
        (false, None) => "pending",
    };
    let fixed = Fixed {
        id: delivery.id.as_str().as_bytes(),
        key: place.key.as_bytes(),
        reporter: delivery.reporter.as_bytes(),
        instance: delivery.instance.as_bytes(),
        destination: delivery.destination.as_str().as_bytes(),
        why: delivery.why.as_bytes(),
        enqueued: ms(now),
        generation: i64::from(place.generation),
    };
    let added = conn
        .prepare_cached(
            "INSERT INTO deliveries (id, subject, reporter, instance, destination, why, state,
                 ready, due, enqueued, finished, generation, held_in, checksum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            delivery.id.as_str(),
            place.subject,
            delivery.reporter,
            delivery.instance,
            place.destination,
            delivery.why,
            state,
            place.ready,
            ms(now),
            place.silenced.then(|| ms(now)),
            place.generation,
            place.held,
            fixed.checksum(),
        ])?;
    Ok((added > 0).then(|| conn.last_insert_rowid()))
}

/// The number of a destination, which it gets if it has none.
pub(crate) fn destination(conn: &Connection, name: &str) -> Result<i64, Fault> {
    if let Some(id) = find_destination(conn, name)? {
        return Ok(id);
    }
    conn.prepare_cached("INSERT INTO destinations (name) VALUES (?1)")?
        .execute([name])?;
    Ok(conn.last_insert_rowid())
}

pub(crate) fn find_destination(conn: &Connection, name: &str) -> Result<Option<i64>, Fault> {
    Ok(conn
        .prepare_cached("SELECT id FROM destinations WHERE name = ?1")?
        .query_row([name], |r| r.get(0))
        .optional()?)
}

/// A value as JSON text.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|e| {
        Fault::Refused(Error::internal("a value cannot be written as JSON").with_source(e))
    })
}
