//! What nobody waits for: keys that are still listed, and forgetting.
//!
//! It goes along with the commits of others, a small piece at a time.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use notifier_core::{FailureKey, jiff::Timestamp};
use rusqlite::{Connection, params};

use crate::{
    error::Fault,
    row::{before, ms, time},
    work::Work,
};

/// How often listings are noted and what is old is forgotten.
const EVERY: Duration = Duration::from_secs(600);
/// A key that was noted more recently than this is not noted again: to write all of them
/// each time would be much for a large cluster.
const FRESH: Duration = Duration::from_secs(1800);
/// Rows that are forgotten in one commit.
const PIECE: usize = 500;
/// Keys that are looked at in one commit.
const KEYS: usize = 2_000;
/// How long a silence is remembered after its end.
const SILENCE_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is left to do.
#[derive(Debug, Default)]
pub(crate) struct Chores {
    /// When each source's listing was last noted.
    listed: HashMap<String, Timestamp>,
    listings: VecDeque<Listing>,
    swept: Option<Timestamp>,
    sweep: Option<Sweep>,
}

/// Keys that a source lists.
#[derive(Debug)]
struct Listing {
    source: String,
    keys: Vec<FailureKey>,
    at: Timestamp,
}

/// Where the forgetting is.
#[derive(Debug)]
enum Sweep {
    /// Finished deliveries, by the number of their state in [`FINISHED`].
    Deliveries(usize),
    /// Seen keys behind this one.
    Seen(String),
}

/// States whose deliveries are forgotten; `true` if they are kept as long as dead ones.
const FINISHED: [(&str, bool); 4] = [
    ("done", false),
    ("silenced", false),
    ("dropped", false),
    ("dead", true),
];

impl Chores {
    /// Whether something is left to do.
    pub(crate) fn wait(&self) -> bool {
        !self.listings.is_empty() || self.sweep.is_some()
    }

    /// Takes a source's listing, if it is time for one.
    pub(crate) fn list(&mut self, source: &str, keys: Vec<FailureKey>, now: Timestamp) {
        if self
            .listed
            .get(source)
            .is_some_and(|at| is_recent(*at, now))
        {
            return;
        }
        self.listed.insert(source.to_owned(), now);
        self.listings.push_back(Listing {
            source: source.to_owned(),
            keys,
            at: now,
        });
    }
}

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    at <= now && before(now, EVERY) < ms(at)
}

/// How old a key may be that is not noted again yet, though it is listed.
const LAG: Duration = FRESH.saturating_add(EVERY);

/// Notes that a key is known still. A recent note stays.
pub(crate) fn touch(conn: &Connection, key: &str, now: Timestamp) -> Result<(), Fault> {
    conn.prepare_cached("UPDATE seen SET at = ?2 WHERE key = ?1 AND (at < ?3 OR at > ?2)")?
        .execute(params![key, ms(now), before(now, FRESH)])?;
    Ok(())
}

/// Does a piece.
pub(crate) fn piece(work: &mut Work<'_>) -> Result<(), Fault> {
    let Some(now) = work.memory.now else {
        return Ok(());
    };
    let chores = &mut work.memory.chores;
    if let Some(listing) = chores.listings.front_mut() {
        let rest = listing.keys.len().saturating_sub(KEYS);
        for key in listing.keys.drain(rest..) {
            touch(work.conn, key.as_str(), listing.at)?;
        }
        if listing.keys.is_empty() {
            // Only now may a key that was not among them grow old.
            work.conn
                .prepare_cached(
                    "INSERT INTO sources (name, listed_at) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET listed_at = excluded.listed_at",
                )?
                .execute(params![listing.source, ms(listing.at)])?;
            chores.listings.pop_front();
        }
    }
    if chores.sweep.is_none() && chores.swept.is_none_or(|at| !is_recent(at, now)) {
        chores.swept = Some(now);
        chores.sweep = Some(Sweep::Deliveries(0));
    }
    if !work.memory.chores.listings.is_empty() {
        // What is listed is noted before anything is forgotten.
        return Ok(());
    }
    let mut room = PIECE;
    while room > 0
        && let Some(sweep) = work.memory.chores.sweep.take()
    {
        let (next, took) = step(work, sweep, room, now)?;
        work.memory.chores.sweep = next;
        room = room.saturating_sub(took);
    }
    Ok(())
}

fn step(
    work: &Work<'_>,
    sweep: Sweep,
    room: usize,
    now: Timestamp,
) -> Result<(Option<Sweep>, usize), Fault> {
    match sweep {
        Sweep::Deliveries(n) => {
            let Some((state, is_dead)) = FINISHED.get(n) else {
                forget_silences(work, now)?;
                return Ok((Some(Sweep::Seen(String::new())), 0));
            };
            let keep = if *is_dead {
                work.options.keep_dead
            } else {
                work.options.keep_done
            };
            let took = forget_deliveries(work.conn, state, before(now, keep), room)?;
            let next = if took < room { n + 1 } else { n };
            Ok((Some(Sweep::Deliveries(next)), took))
        }
        Sweep::Seen(after) => {
            let last = forget_keys(work, &after, now)?;
            Ok((last.map(Sweep::Seen), room))
        }
    }
}

fn forget_deliveries(
    conn: &Connection,
    state: &str,
    cut: i64,
    room: usize,
) -> Result<usize, Fault> {
    let old: Vec<(i64, i64)> = conn
        .prepare_cached(
            "SELECT sequence, subject FROM deliveries INDEXED BY deliveries_finished
             WHERE finished IS NOT NULL AND state = ?1 AND finished < ?2 LIMIT ?3",
        )?
        .query_map(params![state, cut, room as i64], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut attempts = conn.prepare_cached("DELETE FROM attempts WHERE delivery = ?1")?;
    let mut delivery = conn.prepare_cached("DELETE FROM deliveries WHERE sequence = ?1")?;
    let mut subject = conn.prepare_cached(
        "DELETE FROM subjects WHERE id = ?1
         AND NOT EXISTS (SELECT 1 FROM deliveries WHERE subject = ?1)",
    )?;
    for (sequence, of) in &old {
        attempts.execute([sequence])?;
        delivery.execute([sequence])?;
        subject.execute([of])?;
    }
    Ok(old.len())
}

/// Forgets keys behind this one that nobody lists and for which nothing is kept. The last
/// one that it looked at, if there may be more.
fn forget_keys(work: &Work<'_>, after: &str, now: Timestamp) -> Result<Option<String>, Fault> {
    let age = work.options.seen_for.saturating_add(LAG);
    // A source that was not read for days may list its keys still: their time goes by
    // only while it does.
    let keys: Vec<(String, i64, Option<i64>)> = work
        .conn
        .prepare_cached(
            "SELECT seen.key, seen.at, sources.listed_at FROM seen
             LEFT JOIN sources ON sources.name = seen.source
             WHERE seen.key > ?1 ORDER BY seen.key LIMIT ?2",
        )?
        .query_map(params![after, KEYS as i64], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut forget = work.conn.prepare_cached(
        "DELETE FROM seen WHERE key = ?1 AND NOT EXISTS (SELECT 1 FROM subjects WHERE key = ?1)",
    )?;
    for (key, at, listed_at) in &keys {
        let listed_at = listed_at.map_or(now, time).min(now);
        if *at < before(listed_at, age) {
            forget.execute([key])?;
        }
    }
    Ok(keys.into_iter().nth(KEYS - 1).map(|(key, _, _)| key))
}

fn forget_silences(work: &Work<'_>, now: Timestamp) -> Result<(), Fault> {
    work.conn
        .prepare_cached("DELETE FROM silences WHERE ends < ?1")?
        .execute([before(now, SILENCE_KEPT)])?;
    Ok(())
}
