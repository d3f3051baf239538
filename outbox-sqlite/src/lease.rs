//! What is taken, by one worker at a time.

use std::sync::Arc;

use notifier_core::{
    DeliveryId, Destination, DestinationState, Error, Lease, LeaseRequest, LogLease, Logs,
    NewDelivery, Subject, jiff::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    error::Fault,
    row::{Fixed, ms, ns, subject_checksum, time, time_ns},
    settle::{DAMAGED, bury},
    work::Work,
};

/// What is noted of a lease that nobody ended.
const LOST: &str = "the watcher ended during this attempt";

/// Refuses one that another watcher has taken the outbox from.
pub(crate) fn still_mine(conn: &Connection, claim: i64) -> Result<(), Fault> {
    if claim != 0 && count(conn, "claims")? != claim {
        return Err(Fault::Refused(Error::config(
            "another watcher has claimed this outbox: stop one of the two",
        )));
    }
    Ok(())
}

pub(crate) fn count(conn: &Connection, what: &str) -> Result<i64, Fault> {
    Ok(conn
        .prepare_cached("SELECT n FROM counts WHERE what = ?1")?
        .query_one([what], |r| r.get(0))?)
}

/// Adds to a count: what it is then.
pub(crate) fn add(conn: &Connection, what: &str, by: usize) -> Result<i64, Fault> {
    Ok(conn
        .prepare_cached("UPDATE counts SET n = n + ?2 WHERE what = ?1 RETURNING n")?
        .query_one(params![what, by as i64], |r| r.get(0))?)
}

/// Gives back leases that have run out by then: how many.
pub(crate) fn take_back(conn: &Connection, until: i64, now: Timestamp) -> Result<usize, Fault> {
    let any = conn
        .prepare_cached(
            "SELECT 1 FROM deliveries INDEXED BY deliveries_leased
             WHERE state = 'leased' AND lease_until <= ?1 LIMIT 1",
        )?
        .exists([until])?;
    if !any {
        return Ok(0);
    }
    conn.prepare_cached(
        "INSERT OR REPLACE INTO attempts (delivery, number, at, latency_ms, outcome, detail)
         SELECT sequence, attempts + 1, ?2, 0, 'unknown', ?3
         FROM deliveries WHERE state = 'leased' AND lease_until <= ?1",
    )?
    .execute(params![until, ms(now), LOST])?;
    let given = conn
        .prepare_cached(
            "UPDATE deliveries SET state = 'pending', ready = 1, attempts = attempts + 1,
                 unknown = unknown + 1, uncertain = 1, lease = NULL, lease_until = NULL
             WHERE state = 'leased' AND lease_until <= ?1",
        )?
        .execute([until])?;
    add(conn, "unknown", given)?;
    Ok(given)
}

/// Gives back what is leased longer than allowed.
pub(crate) fn expire(work: &mut Work<'_>, now: Timestamp) -> Result<(), Fault> {
    work.changed |= take_back(work.conn, ms(now), now)? > 0;
    Ok(())
}

/// How a destination stands, to a worker.
#[derive(Debug)]
struct Line {
    id: i64,
    rate_at: Option<i64>,
    rate_next: Option<i64>,
    state: DestinationState,
}

impl Line {
    fn of(conn: &Connection, name: &str) -> Result<Option<Self>, Fault> {
        Ok(conn
            .prepare_cached(
                "SELECT id, rate_at, rate_next, state FROM destinations WHERE name = ?1",
            )?
            .query_row([name], |r| {
                let state: Option<String> = r.get(3)?;
                Ok(Self {
                    id: r.get(0)?,
                    rate_at: r.get(1)?,
                    rate_next: r.get(2)?,
                    state: read_state(state.as_deref()),
                })
            })
            .optional()?)
    }
}

/// A destination's state as it is stored. One that cannot be read is as good as none.
pub(crate) fn read_state(json: Option<&str>) -> DestinationState {
    json.and_then(|j| serde_json::from_str(j).ok())
        .unwrap_or_default()
}

pub(crate) fn lease(
    work: &mut Work<'_>,
    destination: &Destination,
    request: LeaseRequest,
    claim: i64,
) -> Result<Vec<Lease>, Fault> {
    still_mine(work.conn, claim)?;
    let now = request.now;
    work.at(now);
    expire(work, now)?;
    let conn = work.conn;
    let Some(line) = Line::of(conn, destination.as_str())? else {
        return Ok(Vec::new());
    };
    if line.state.not_before.is_some_and(|at| at > now) {
        return Ok(Vec::new());
    }
    conn.prepare_cached(
        "UPDATE deliveries SET ready = 1
         WHERE destination = ?1 AND state = 'pending' AND ready = 2 AND due <= ?2",
    )?
    .execute(params![line.id, ms(now)])?;

    let mut rate_at = line.rate_at.map(time_ns);
    let most = match request.rate {
        Some(rate) => rate.take(&mut rate_at.clone(), now, request.max),
        None => request.max,
    };
    let mut out = front(conn, &line, destination, most, now)?;
    let mut rate_next = None;
    if let Some(rate) = request.rate {
        out.truncate(rate.take(&mut rate_at, now, out.len()));
        rate_next = Some(rate.next(rate_at, now)).filter(|at| *at > now);
    }
    // A whole millisecond later at most, and never too early.
    let rate_next = rate_next.map(|at| ms(at) + i64::from(time(ms(at)) < at));
    let rate_at = rate_at.map(ns);
    if (rate_at, rate_next) != (line.rate_at, line.rate_next) {
        conn.prepare_cached("UPDATE destinations SET rate_at = ?2, rate_next = ?3 WHERE id = ?1")?
            .execute(params![line.id, rate_at, rate_next])?;
    }
    if out.is_empty() {
        return Ok(Vec::new());
    }
    let mut take = conn.prepare_cached(
        "UPDATE deliveries SET state = 'leased', lease = ?2, lease_until = ?3 WHERE sequence = ?1",
    )?;
    let first = add(conn, "leases", out.len())? - out.len() as i64;
    let mut leases = Vec::with_capacity(out.len());
    for (number, (sequence, mut lease)) in (first + 1..).zip(out) {
        take.execute(params![sequence, number, ms(request.until)])?;
        lease.token = number.cast_unsigned();
        if let Some(open) = work.seals.open(&lease.subject)? {
            lease.subject = open;
        }
        leases.push(lease);
    }
    Ok(leases)
}

/// The first deliveries of a line, at most so many. Those that cannot be read are buried.
fn front(
    conn: &Connection,
    line: &Line,
    destination: &Destination,
    most: usize,
    now: Timestamp,
) -> Result<Vec<(i64, Lease)>, Fault> {
    let mut out = Vec::new();
    let mut behind = i64::MIN;
    while out.len() < most {
        let wanted = most - out.len();
        let mut damaged = Vec::new();
        let mut looked = 0;
        {
            let mut first = conn.prepare_cached(
                "SELECT d.sequence, d.id, d.reporter, d.instance, d.why, d.attempts, d.uncertain,
                     d.enqueued, d.generation, d.progress, d.checksum,
                     s.key, s.kind, s.body, s.logs, s.checksum
                 FROM deliveries AS d INDEXED BY deliveries_line
                 LEFT JOIN subjects AS s ON s.id = d.subject
                 WHERE d.destination = ?1 AND d.state = 'pending' AND d.ready = 1
                     AND d.sequence > ?2
                 ORDER BY d.sequence LIMIT ?3",
            )?;
            let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
            let mut rows = first.query(params![line.id, behind, limit])?;
            while let Some(row) = rows.next()? {
                behind = row.get(0)?;
                looked += 1;
                match read_lease(row, destination) {
                    Some(lease) => out.push((behind, lease)),
                    None => damaged.push(behind),
                }
            }
        }
        for sequence in damaged {
            bury(conn, sequence, now, DAMAGED)?;
        }
        if looked < wanted {
            break;
        }
    }
    Ok(out)
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Option<&'a [u8]> {
    row.get_ref(column).ok()?.as_bytes().ok()
}

/// A delivery with what it is about, if the row is what was written.
fn read_lease(row: &Row<'_>, destination: &Destination) -> Option<Lease> {
    let fixed = Fixed {
        id: text(row, 1)?,
        key: text(row, 11)?,
        reporter: text(row, 2)?,
        instance: text(row, 3)?,
        destination: destination.as_str().as_bytes(),
        why: text(row, 4)?,
        enqueued: row.get(7).ok()?,
        generation: row.get(8).ok()?,
    };
    let (kind, body) = (text(row, 12)?, text(row, 13)?);
    if row.get::<_, i64>(10).ok()? != fixed.checksum()
        || row.get::<_, i64>(15).ok()? != subject_checksum(fixed.key, kind, body)
    {
        return None;
    }
    let subject = Subject::from_json(
        row.get_ref(12).ok()?.as_str().ok()?,
        row.get_ref(13).ok()?.as_str().ok()?,
    )
    .ok()?;
    let mut delivery = NewDelivery::new(
        DeliveryId::new(row.get::<_, String>(1).ok()?),
        row.get::<_, String>(2).ok()?,
        row.get::<_, String>(3).ok()?,
        destination.clone(),
    );
    delivery.why = row.get(4).ok()?;
    let mut lease = Lease::new(delivery, subject, time(fixed.enqueued), 0);
    lease.attempts = row.get(5).ok()?;
    lease.unknown = row.get(6).ok()?;
    lease.progress = match row.get_ref(9).ok()?.as_str_or_null().ok()? {
        Some(json) => Some(serde_json::from_str(json).ok()?),
        None => None,
    };
    // The report goes without its logs rather than not at all.
    lease.logs = row
        .get_ref(14)
        .ok()
        .and_then(|v| serde_json::from_str(v.as_str().ok()?).ok())
        .unwrap_or_else(|| Logs::missing("what was noted of them is damaged"));
    Some(lease)
}

pub(crate) fn lease_logs(
    work: &mut Work<'_>,
    request: LeaseRequest,
    claim: i64,
) -> Result<Vec<LogLease>, Fault> {
    still_mine(work.conn, claim)?;
    work.at(request.now);
    expire(work, request.now)?;
    let conn = work.conn;
    let mut found = Vec::new();
    let mut damaged = Vec::new();
    {
        let mut oldest = conn.prepare_cached(
            "SELECT id, key, kind, body, checksum FROM subjects INDEXED BY subjects_unsettled
             WHERE logs IS NULL AND wants_logs = 1 AND (logs_until IS NULL OR logs_until <= ?1)
             ORDER BY id LIMIT ?2",
        )?;
        let limit = i64::try_from(request.max).unwrap_or(i64::MAX);
        let mut rows = oldest.query(params![ms(request.now), limit])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            match read_record(row) {
                Some(record) => {
                    let open = work.seals.open(&Subject::Failure(Arc::clone(&record)))?;
                    match open {
                        Some(Subject::Failure(open)) => found.push((id, open)),
                        _ => found.push((id, record)),
                    }
                }
                None => damaged.push(id),
            }
        }
    }
    for subject in damaged {
        bury_subject(conn, subject, request.now)?;
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut take =
        conn.prepare_cached("UPDATE subjects SET logs_lease = ?2, logs_until = ?3 WHERE id = ?1")?;
    let first = add(conn, "leases", found.len())? - found.len() as i64;
    let mut out = Vec::with_capacity(found.len());
    for (number, (id, record)) in (first + 1..).zip(found) {
        take.execute(params![id, number, ms(request.until)])?;
        out.push(LogLease::new(record, number.cast_unsigned()));
    }
    Ok(out)
}

/// The failure that a subject is, or is an example of.
fn read_record(row: &Row<'_>) -> Option<Arc<notifier_core::FailureRecord>> {
    let (key, kind, body) = (text(row, 1)?, text(row, 2)?, text(row, 3)?);
    if row.get::<_, i64>(4).ok()? != subject_checksum(key, kind, body) {
        return None;
    }
    match Subject::from_json(str::from_utf8(kind).ok()?, str::from_utf8(body).ok()?).ok()? {
        Subject::Failure(record) => Some(record),
        subject => subject.failure().cloned().map(Arc::new),
    }
}

/// Buries everything that is to be sent for a subject that cannot be read.
fn bury_subject(conn: &Connection, subject: i64, now: Timestamp) -> Result<(), Fault> {
    conn.prepare_cached("UPDATE subjects SET wants_logs = 0 WHERE id = ?1")?
        .execute([subject])?;
    let open: Vec<i64> = conn
        .prepare_cached("SELECT sequence FROM deliveries WHERE subject = ?1 AND finished IS NULL")?
        .query_map([subject], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    for sequence in open {
        bury(conn, sequence, now, DAMAGED)?;
    }
    Ok(())
}
