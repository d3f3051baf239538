//! What can be looked at.

use notifier_core::{
    Attempt, DeliveryFilter, DeliveryId, DeliveryState, DeliveryView, Destination,
    DestinationState, Error, ErrorKind, FailureKey, NewDelivery, OutboxStats, Outcome, Retry,
    Silence, Story, Subject, jiff::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row, params, types::Value};

use crate::{
    error::Fault,
    lease::read_state,
    row::{Fixed, ms, subject_checksum, time},
    seal::Seals,
};

pub(crate) fn cursor(conn: &Connection, source: &str) -> Result<Option<serde_json::Value>, Fault> {
    let stored: Option<Option<String>> = conn
        .prepare_cached("SELECT cursor FROM sources WHERE name = ?1")?
        .query_row([source], |r| r.get(0))
        .optional()?;
    stored
        .flatten()
        .map(|text| read_json(&text, "the cursor of a source"))
        .transpose()
}

fn read_json<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|e| Fault::Damaged(format!("{what} cannot be read: {e}")))
}

pub(crate) fn pending(conn: &Connection) -> Result<Vec<(Destination, Timestamp)>, Fault> {
    let mut all = conn.prepare_cached(
        "SELECT name, rate_next, state,
             (SELECT 0 FROM deliveries INDEXED BY deliveries_line
                 WHERE destination = n.id AND state = 'pending' AND ready = 1
                 ORDER BY sequence LIMIT 1),
             (SELECT due FROM deliveries INDEXED BY deliveries_later
                 WHERE destination = n.id AND state = 'pending' AND ready = 2
                 ORDER BY due LIMIT 1)
         FROM destinations AS n ORDER BY name",
    )?;
    let mut rows = all.query([])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let (now, later): (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
        let Some(due) = [now, later].into_iter().flatten().min() else {
            continue;
        };
        let next: Option<i64> = row.get(1)?;
        let state = read_state(row.get_ref(2)?.as_str_or_null()?);
        let at = time(due.max(next.unwrap_or(due)));
        let at = state.not_before.map_or(at, |not| not.max(at));
        out.push((Destination::from_stored(row.get::<_, String>(0)?), at));
    }
    Ok(out)
}

pub(crate) fn destinations(
    conn: &Connection,
) -> Result<Vec<(Destination, DestinationState)>, Fault> {
    let mut all = conn.prepare_cached(
        "SELECT name, state FROM destinations WHERE state IS NOT NULL ORDER BY name",
    )?;
    let rows = all.query_map([], |r| {
        let name: String = r.get(0)?;
        let state: String = r.get(1)?;
        Ok((Destination::from_stored(name), read_state(Some(&state))))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The columns that [`read_view`] reads, of deliveries that are found by this index.
fn view(index: &str) -> String {
    format!(
        "SELECT d.sequence, d.id, d.reporter, d.instance, n.name, d.why, d.state,
    d.due, d.attempts, d.unknown, d.enqueued, d.finished, d.generation, d.progress,
    s.key, s.about, a.at, a.latency_ms, a.outcome, a.code, a.detail, g.id
    FROM deliveries AS d {index}
    JOIN subjects AS s ON s.id = d.subject
    JOIN destinations AS n ON n.id = d.destination
    LEFT JOIN attempts AS a ON a.delivery = d.sequence AND a.number = d.attempts
    LEFT JOIN deliveries AS g ON g.sequence = d.digest"
    )
}

fn read_view(row: &Row<'_>) -> Result<DeliveryView, Fault> {
    let text = |n: usize| row.get::<_, String>(n);
    let mut delivery = NewDelivery::new(
        DeliveryId::new(text(1)?),
        text(2)?,
        text(3)?,
        Destination::from_stored(text(4)?),
    );
    delivery.why = text(5)?;
    let mut v = DeliveryView::new(delivery, FailureKey::new(text(14)?), time(row.get(10)?));
    let word = text(6)?;
    v.state = DeliveryState::from_word(&word)
        .ok_or_else(|| Fault::Damaged(format!("a delivery has the state {word:?}")))?;
    v.sequence = row.get::<_, i64>(0)?.cast_unsigned();
    v.due = time(row.get(7)?);
    v.attempts = row.get(8)?;
    v.unknown = row.get(9)?;
    v.finished = row.get::<_, Option<i64>>(11)?.map(time);
    v.generation = row.get(12)?;
    v.progress = row
        .get_ref(13)?
        .as_str_or_null()?
        .map(|t| read_json(t, "the progress of a delivery"))
        .transpose()?;
    v.about = text(15)?;
    if row.get::<_, Option<i64>>(16)?.is_some() {
        v.last = Some(read_attempt(row, 16)?);
    }
    v.digest = row.get::<_, Option<String>>(21)?.map(DeliveryId::new);
    Ok(v)
}

/// An attempt whose columns begin there.
fn read_attempt(row: &Row<'_>, from: usize) -> Result<Attempt, Fault> {
    let word: String = row.get(from + 2)?;
    let outcome = match word.as_str() {
        "delivered" => Outcome::Delivered,
        "retry" => Outcome::Retry,
        "dead" => Outcome::Dead,
        "unknown" => Outcome::Unknown,
        _ => {
            return Err(Fault::Damaged(format!(
                "an attempt has the outcome {word:?}"
            )));
        }
    };
    let mut a = Attempt::new(time(row.get(from)?), outcome);
    a.latency_ms = row.get::<_, i64>(from + 1)?.cast_unsigned();
    a.code = row.get(from + 3)?;
    a.detail = row.get(from + 4)?;
    Ok(a)
}

pub(crate) fn inspect(
    conn: &Connection,
    filter: &DeliveryFilter,
) -> Result<Vec<DeliveryView>, Fault> {
    // What is open or dead is found without a look at the rest. The words are ours.
    let mut sql = match filter.state {
        // An index that a UNIQUE makes has this name; without it the newest are looked through.
        _ if filter.id_prefix.is_some() => {
            let state = filter
                .state
                .map_or(String::new(), |s| format!(" AND d.state = '{s}'"));
            view("INDEXED BY sqlite_autoindex_deliveries_1") + " WHERE true" + &state
        }
        None => view("") + " WHERE true",
        Some(state) if !state.is_finished() && filter.key.is_none() => {
            view("INDEXED BY deliveries_open")
                + &format!(" WHERE d.finished IS NULL AND d.state = '{state}'")
        }
        Some(DeliveryState::Dead) if filter.key.is_none() => {
            view("INDEXED BY deliveries_dead") + " WHERE d.state = 'dead'"
        }
        Some(state) => view("") + &format!(" WHERE d.state = '{state}'"),
    };
    let mut values: Vec<Value> = Vec::new();
    let mut add = |condition: &str, value: Value| {
        sql += " AND ";
        sql += condition;
        values.push(value);
    };
    if let Some(d) = &filter.destination {
        add("n.name = ?", Value::Text(d.as_str().to_owned()));
    }
    if let Some(reporter) = &filter.reporter {
        add("d.reporter = ?", Value::Text(reporter.clone()));
    }
    if let Some(key) = &filter.key {
        add("s.key = ?", Value::Text(key.as_str().to_owned()));
    }
    if let Some(prefix) = &filter.id_prefix {
        add("d.id >= ?", Value::Text(prefix.clone()));
        add("d.id < ?", Value::Text(format!("{prefix}{}", char::MAX)));
    }
    if let Some(at) = filter.since {
        add("d.enqueued >= ?", Value::Integer(ms(at)));
    }
    if let Some(at) = filter.before {
        add("d.enqueued < ?", Value::Integer(ms(at)));
    }
    if let Some(after) = filter.after {
        let sign = if filter.newest_first { '<' } else { '>' };
        add(
            &format!("d.sequence {sign} ?"),
            Value::Integer(i64::try_from(after).unwrap_or(i64::MAX)),
        );
    }
    let order = if filter.newest_first { "DESC" } else { "ASC" };
    let limit = match filter.limit {
        0 => -1,
        n => i64::try_from(n).unwrap_or(-1),
    };
    let mut found = conn.prepare(&format!("{sql} ORDER BY d.sequence {order} LIMIT {limit}"))?;
    let mut rows = found.query(rusqlite::params_from_iter(values))?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(read_view(row)?);
    }
    Ok(out)
}

pub(crate) fn story(
    conn: &Connection,
    seals: &Seals,
    id: &DeliveryId,
) -> Result<Option<Story>, Fault> {
    let found = conn
        .prepare_cached(&format!("{} WHERE d.id = ?1", view("")))?
        .query_row([id.as_str()], |r| Ok(read_view(r)))
        .optional()?
        .transpose()?;
    let Some(view) = found else {
        return Ok(None);
    };
    let damaged = || {
        Fault::Refused(
            Error::new(
                ErrorKind::Io,
                format!(
                    "what is stored of the delivery {id} is damaged; see `notifierctl outbox check`"
                ),
            )
            .with_retry(Retry::Never),
        )
    };
    let d = &view.delivery;
    let fixed = Fixed {
        id: id.as_str().as_bytes(),
        key: view.key.as_str().as_bytes(),
        reporter: d.reporter.as_bytes(),
        instance: d.instance.as_bytes(),
        destination: d.destination.as_str().as_bytes(),
        why: d.why.as_bytes(),
        enqueued: ms(view.enqueued),
        generation: i64::from(view.generation),
    };
    let (sum, kind, body, logs, of): (i64, String, String, Option<String>, i64) = conn
        .prepare_cached(
            "SELECT d.checksum, s.kind, s.body, s.logs, s.checksum
             FROM deliveries AS d JOIN subjects AS s ON s.id = d.subject WHERE d.id = ?1",
        )?
        .query_one([id.as_str()], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?))
        })?;
    if sum != fixed.checksum()
        || of != subject_checksum(fixed.key, kind.as_bytes(), body.as_bytes())
    {
        return Err(damaged());
    }
    let subject = Subject::from_json(&kind, &body).map_err(|_| damaged())?;
    let subject = seals.open(&subject)?.unwrap_or(subject);
    let mut attempts = Vec::new();
    let mut all = conn.prepare_cached(
        "SELECT at, latency_ms, outcome, code, detail FROM attempts
         WHERE delivery = ?1 ORDER BY number",
    )?;
    let mut rows = all.query(params![view.sequence.cast_signed()])?;
    while let Some(row) = rows.next()? {
        attempts.push(read_attempt(row, 0)?);
    }
    let folds = match &subject {
        Subject::Digest(d) => d.count,
        _ => 0,
    };
    let mut story = Story::new(view, subject);
    story.logs = logs
        .map(|t| read_json(&t, "what is noted of logs"))
        .transpose()?;
    story.attempts = attempts;
    story.folds = folds;
    Ok(Some(story))
}

pub(crate) fn silences(conn: &Connection) -> Result<Vec<Silence>, Fault> {
    let mut all =
        conn.prepare_cached("SELECT body FROM silences ORDER BY starts DESC, rowid DESC")?;
    let bodies = all.query_map([], |r| r.get::<_, String>(0))?;
    bodies.map(|body| read_json(&body?, "a silence")).collect()
}

pub(crate) fn stats(conn: &Connection, capacity: u64) -> Result<OutboxStats, Fault> {
    let mut out = OutboxStats::default();
    out.capacity = capacity;
    let mut all = conn.prepare_cached("SELECT what, n FROM counts")?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        let n = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
        let place = match row.get_ref(0)?.as_str()? {
            "pending" => &mut out.pending,
            "leased" => &mut out.leased,
            "held" => &mut out.held,
            "folded" => &mut out.folded,
            "done" => &mut out.done,
            "dead" => &mut out.dead,
            "silenced" => &mut out.silenced,
            "dropped" => &mut out.dropped,
            "unsettled" => &mut out.unsettled,
            "seen" => &mut out.seen,
            "unknown" => &mut out.unknown,
            _ => continue,
        };
        *place = n;
    }
    Ok(out)
}
