//! What a person asks for: to send again, to give up, to silence.

use notifier_core::{
    DeliveryId, DeliveryState, Destination, NewDelivery, Silence, jiff::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    enqueue::{Place, add_delivery, json},
    error::{Fault, rejected},
    row::{Fixed, ms},
    settle::{DAMAGED, end_members},
    work::Work,
};

/// A delivery as those who change it see it.
#[derive(Debug)]
struct Known {
    sequence: i64,
    subject: i64,
    state: DeliveryState,
}

fn known(conn: &Connection, id: &DeliveryId) -> Result<Known, Fault> {
    let found: Option<(i64, i64, String)> = conn
        .prepare_cached("SELECT sequence, subject, state FROM deliveries WHERE id = ?1")?
        .query_row([id.as_str()], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
        .optional()?;
    let Some((sequence, subject, word)) = found else {
        return Err(rejected(format!("there is no delivery {id}")));
    };
    let state = DeliveryState::from_word(&word)
        .ok_or_else(|| Fault::Damaged(format!("a delivery has the state {word:?}")))?;
    Ok(Known {
        sequence,
        subject,
        state,
    })
}

pub(crate) fn replay(
    work: &mut Work<'_>,
    watcher: &str,
    id: &DeliveryId,
    now: Timestamp,
) -> Result<DeliveryId, Fault> {
    work.at(now);
    let conn = work.conn;
    let it = known(conn, id)?;
    if !it.state.is_finished() {
        return Err(rejected(format!(
            "the delivery {id} is {}, and only what is finished is sent again",
            it.state
        )));
    }
    let old = Old::of(conn, id, &it)?;
    let mut generation = old.generation;
    let new = loop {
        generation = generation.saturating_add(1);
        let next = DeliveryId::derive(
            watcher,
            &old.key,
            &old.delivery.reporter,
            &old.delivery.instance,
            generation,
        );
        let is_used = conn
            .prepare_cached("SELECT 1 FROM deliveries WHERE id = ?1")?
            .exists([next.as_str()])?;
        if !is_used {
            break next;
        }
    };
    conn.prepare_cached(
        "UPDATE subjects SET wants_logs = 1 WHERE id = ?1 AND logs IS NULL AND wants_logs = 0",
    )?
    .execute([it.subject])?;
    let mut delivery = old.delivery;
    delivery.id = new.clone();
    let place = Place {
        subject: it.subject,
        key: old.key.as_str(),
        destination: old.destination,
        generation,
        ready: old.settled,
        held: None,
        silenced: false,
    };
    add_delivery(conn, &delivery, &place, now)?;
    work.changed = true;
    Ok(new)
}

/// What a new delivery takes over from an old one.
#[derive(Debug)]
struct Old {
    delivery: NewDelivery,
    key: notifier_core::FailureKey,
    destination: i64,
    generation: u32,
    settled: bool,
}

impl Old {
    fn of(conn: &Connection, id: &DeliveryId, it: &Known) -> Result<Self, Fault> {
        let (old, enqueued, sum) = conn
            .prepare_cached(
                "SELECT d.reporter, d.instance, d.why, d.destination, d.generation, d.enqueued,
                     d.checksum, n.name, s.key, s.logs IS NOT NULL
                 FROM deliveries AS d JOIN subjects AS s ON s.id = d.subject
                 JOIN destinations AS n ON n.id = d.destination WHERE d.sequence = ?1",
            )?
            .query_row([it.sequence], |r| {
                let (reporter, instance, name): (String, String, String) =
                    (r.get(0)?, r.get(1)?, r.get(7)?);
                let mut delivery = NewDelivery::new(
                    id.clone(),
                    reporter,
                    instance,
                    Destination::from_stored(name),
                );
                delivery.why = r.get(2)?;
                let old = Self {
                    delivery,
                    destination: r.get(3)?,
                    generation: r.get(4)?,
                    key: notifier_core::FailureKey::new(r.get::<_, String>(8)?),
                    settled: r.get(9)?,
                };
                Ok((old, r.get(5)?, r.get::<_, i64>(6)?))
            })
            .optional()?
            .ok_or_else(|| rejected(DAMAGED))?;
        let d = &old.delivery;
        let fixed = Fixed {
            id: id.as_str().as_bytes(),
            key: old.key.as_str().as_bytes(),
            reporter: d.reporter.as_bytes(),
            instance: d.instance.as_bytes(),
            destination: d.destination.as_str().as_bytes(),
            why: d.why.as_bytes(),
            enqueued,
            generation: i64::from(old.generation),
        };
        if fixed.checksum() == sum {
            Ok(old)
        } else {
            Err(rejected(DAMAGED))
        }
    }
}

pub(crate) fn discard(work: &mut Work<'_>, id: &DeliveryId, now: Timestamp) -> Result<(), Fault> {
    work.at(now);
    let conn = work.conn;
    let it = known(conn, id)?;
    if !matches!(
        it.state,
        DeliveryState::Pending | DeliveryState::Held | DeliveryState::Dead
    ) {
        return Err(rejected(format!(
            "the delivery {id} is {}: only what waits or is dead can be dropped",
            it.state
        )));
    }
    conn.prepare_cached(
        "UPDATE deliveries SET state = 'dropped', finished = ?2, lease = NULL, lease_until = NULL
         WHERE sequence = ?1",
    )?
    .execute(params![it.sequence, ms(now)])?;
    end_members(conn, it.sequence, "dropped", now)?;
    // Nobody needs to look for its logs if nothing else is to be sent.
    conn.prepare_cached(
        "UPDATE subjects SET wants_logs = 0 WHERE id = ?1 AND logs IS NULL AND wants_logs = 1
         AND NOT EXISTS (SELECT 1 FROM deliveries WHERE subject = ?1 AND state IN ('pending', 'leased'))",
    )?
    .execute([it.subject])?;
    Ok(())
}

pub(crate) fn put_silence(work: &mut Work<'_>, silence: &Silence) -> Result<(), Fault> {
    work.conn
        .prepare_cached("DELETE FROM silences WHERE id = ?1")?
        .execute([&silence.id])?;
    work.conn
        .prepare_cached(
            "INSERT INTO silences (id, starts, ends, author, note, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            silence.id,
            ms(silence.starts),
            ms(silence.ends),
            silence.author,
            silence.note,
            json(silence)?,
        ])?;
    work.changed = true;
    Ok(())
}
