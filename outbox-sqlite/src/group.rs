//! What is held, and the digests that come of it.

use std::sync::Arc;

use notifier_core::{
    DeliveryId, Destination, Digest, FailureRecord, FoldRequest, Folded, Grouping, NewDelivery,
    Subject, jiff::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    enqueue::{Place, add_delivery, add_subject},
    error::Fault,
    lease,
    row::{after, ms, subject_checksum, time},
    settle::{DAMAGED, bury},
    work::Work,
};

/// The group that holds a delivery that comes now; `None` if it is to be sent, and opens
/// the group.
pub(crate) fn enter(
    conn: &Connection,
    grouping: &Grouping,
    delivery: &NewDelivery,
    destination: i64,
    now: Timestamp,
) -> Result<Option<i64>, Fault> {
    let found: Option<(i64, i64)> = conn
        .prepare_cached(
            "SELECT id, ends FROM groups
             WHERE fingerprint = ?1 AND reporter = ?2 AND instance = ?3 AND destination = ?4",
        )?
        .query_row(
            params![
                grouping.fingerprint,
                delivery.reporter,
                delivery.instance,
                destination
            ],
            |r| Ok((r.get(0)?, r.get(1)?)),
        )
        .optional()?;
    let interval = i64::try_from(grouping.interval.as_millis()).unwrap_or(i64::MAX);
    let ends = after(now, grouping.interval);
    let Some((id, until)) = found else {
        conn.prepare_cached(
            "INSERT INTO groups (fingerprint, reporter, instance, destination, opened, ends, interval_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            grouping.fingerprint,
            delivery.reporter,
            delivery.instance,
            destination,
            ms(now),
            ends,
            interval,
        ])?;
        return Ok(None);
    };
    if until > ms(now) || holds(conn, id)? {
        conn.prepare_cached(
            "UPDATE groups SET interval_ms = ?2 WHERE id = ?1 AND interval_ms <> ?2",
        )?
        .execute(params![id, interval])?;
        return Ok(Some(id));
    }
    conn.prepare_cached(
        "UPDATE groups SET opened = ?2, ends = ?3, interval_ms = ?4 WHERE id = ?1",
    )?
    .execute(params![id, ms(now), ends, interval])?;
    Ok(None)
}

fn holds(conn: &Connection, group: i64) -> Result<bool, Fault> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM deliveries WHERE held_in = ?1 AND state = 'held' LIMIT 1")?
        .exists([group])?)
}

/// A group that has ended.
#[derive(Debug)]
struct Ended {
    id: i64,
    fingerprint: String,
    reporter: String,
    instance: String,
    destination: i64,
    interval_ms: i64,
}

pub(crate) fn fold(work: &mut Work<'_>, request: &FoldRequest) -> Result<Folded, Fault> {
    work.at(request.now);
    lease::expire(work, request.now)?;
    let conn = work.conn;
    let ended: Vec<Ended> = conn
        .prepare_cached(
            "SELECT id, fingerprint, reporter, instance, destination, interval_ms
             FROM groups WHERE ends <= ?1 ORDER BY id",
        )?
        .query_map([ms(request.now)], |r| {
            Ok(Ended {
                id: r.get(0)?,
                fingerprint: r.get(1)?,
                reporter: r.get(2)?,
                instance: r.get(3)?,
                destination: r.get(4)?,
                interval_ms: r.get(5)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    let mut out = Folded::default();
    for group in ended {
        let count = tell_together(conn, &group, request)?;
        if count == 0 {
            conn.prepare_cached("DELETE FROM groups WHERE id = ?1")?
                .execute([group.id])?;
            continue;
        }
        out.digests += 1;
        out.deliveries += count;
        work.changed = true;
        conn.prepare_cached("UPDATE groups SET ends = ?2 WHERE id = ?1")?
            .execute(params![
                group.id,
                ms(request.now).saturating_add(group.interval_ms)
            ])?;
    }
    let next: Option<i64> = conn
        .prepare_cached("SELECT min(ends) FROM groups")?
        .query_one([], |r| r.get(0))?;
    out.next = next.map(time);
    Ok(out)
}

/// Makes a digest of what a group holds: of how many.
fn tell_together(conn: &Connection, group: &Ended, request: &FoldRequest) -> Result<u64, Fault> {
    let (first, last) = loop {
        let Some(last) = outermost(conn, group.id, "DESC", request.now)? else {
            return Ok(0);
        };
        if let Some(first) = outermost(conn, group.id, "ASC", request.now)? {
            break (first.finished, last);
        }
    };
    let mut digest = Digest::new(first_id(conn, group.id)?, &group.fingerprint, 0, last);
    digest.first = first;
    count_hosts(conn, group.id, &mut digest)?;
    let count = digest.count;
    let subject = Subject::Digest(Arc::new(digest));
    let key = subject.key();
    let destination: String = conn
        .prepare_cached("SELECT name FROM destinations WHERE id = ?1")?
        .query_one([group.destination], |r| r.get(0))?;
    let id = DeliveryId::derive(&request.watcher, &key, &group.reporter, &group.instance, 0);
    let delivery = NewDelivery::new(
        id,
        &group.reporter,
        &group.instance,
        Destination::from_stored(destination),
    )
    .because(format!("digest of {count}"));
    let added = add_subject(conn, &subject, true, request.now)?;
    let place = Place {
        subject: added.id,
        key: key.as_str(),
        destination: group.destination,
        generation: 0,
        ready: added.settled,
        held: None,
        silenced: false,
    };
    let sequence = add_delivery(conn, &delivery, &place, request.now)?;
    conn.prepare_cached(
        "UPDATE deliveries SET state = 'folded', digest = ?2 WHERE held_in = ?1 AND state = 'held'",
    )?
    .execute(params![group.id, sequence])?;
    Ok(count)
}

/// The failure that died first or last of those that a group holds. Deliveries of one that
/// cannot be read are buried.
fn outermost(
    conn: &Connection,
    group: i64,
    order: &str,
    now: Timestamp,
) -> Result<Option<FailureRecord>, Fault> {
    loop {
        let found = conn
            .prepare_cached(&format!(
                "SELECT d.sequence, s.key, s.kind, s.body, s.checksum
                 FROM deliveries AS d LEFT JOIN subjects AS s ON s.id = d.subject
                 WHERE d.held_in = ?1 AND d.state = 'held'
                 ORDER BY s.finished {order}, d.sequence {order} LIMIT 1"
            ))?
            .query_row([group], |r| {
                let text = |n| r.get_ref(n).map(|v| v.as_bytes().unwrap_or(b"").to_vec());
                let (key, kind, body) = (text(1)?, text(2)?, text(3)?);
                let sound = r.get::<_, i64>(4).ok() == Some(subject_checksum(&key, &kind, &body));
                Ok((r.get::<_, i64>(0)?, sound.then_some((kind, body))))
            })
            .optional()?;
        let Some((sequence, stored)) = found else {
            return Ok(None);
        };
        let read = stored.and_then(|(kind, body)| {
            let (kind, body) = (str::from_utf8(&kind).ok()?, str::from_utf8(&body).ok()?);
            Subject::from_json(kind, body).ok()?.failure().cloned()
        });
        match read {
            Some(failure) => return Ok(Some(failure)),
            None => bury(conn, sequence, now, DAMAGED)?,
        }
    }
}

fn first_id(conn: &Connection, group: i64) -> Result<String, Fault> {
    Ok(conn
        .prepare_cached(
            "SELECT id FROM deliveries WHERE held_in = ?1 AND state = 'held'
             ORDER BY sequence LIMIT 1",
        )?
        .query_one([group], |r| r.get(0))?)
}

/// Counts how many there are, and on which agents.
fn count_hosts(conn: &Connection, group: i64, digest: &mut Digest) -> Result<(), Fault> {
    let mut all = conn.prepare_cached(
        "SELECT s.host, count(*) FROM deliveries AS d JOIN subjects AS s ON s.id = d.subject
         WHERE d.held_in = ?1 AND d.state = 'held' GROUP BY s.host ORDER BY count(*) DESC, s.host",
    )?;
    let mut rows = all.query([group])?;
    (digest.count, digest.host_count) = (0, 0);
    digest.hosts.clear();
    while let Some(row) = rows.next()? {
        let n: i64 = row.get(1)?;
        let n = u64::try_from(n).unwrap_or(0);
        digest.count += n;
        digest.host_count += 1;
        if digest.hosts.len() < Digest::MOST_HOSTS {
            digest.hosts.push((row.get(0)?, n));
        }
    }
    Ok(())
}
