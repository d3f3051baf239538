//! SQLite without anything around it, with the same durability: what a call can cost at least.

use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use crate::PRODUCERS;

/// As many commits of one statement become one, at most.
const GROUP: usize = 256;

/// One table, with a state for each row.
pub(crate) struct Bare {
    connection: Connection,
}

impl Bare {
    pub(crate) fn new(path: &Path) -> Self {
        let connection = Connection::open(path).expect("a file");
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL;
                 PRAGMA synchronous = FULL;
                 CREATE TABLE queue (id INTEGER PRIMARY KEY, body TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'pending') STRICT;",
            )
            .expect("a table");
        Self { connection }
    }

    fn insert(&self, body: &str) {
        self.connection
            .prepare_cached("INSERT INTO queue (body) VALUES (?1)")
            .and_then(|mut s| s.execute([body]))
            .expect("an insert");
    }

    /// Takes the next 64 rows behind this one, in a commit of its own.
    fn lease(&self, behind: i64) -> i64 {
        let taken = self
            .connection
            .prepare_cached("UPDATE queue SET state = 'leased' WHERE id > ?1 AND id <= ?1 + ?2")
            .and_then(|mut s| s.execute([behind, PRODUCERS]))
            .expect("an update");
        behind + i64::try_from(taken).expect("64")
    }

    fn finish(&self, id: i64) {
        self.connection
            .prepare_cached("UPDATE queue SET state = 'done' WHERE id = ?1")
            .and_then(|mut s| s.execute([id]))
            .expect("an update");
    }

    fn together(&self, what: impl FnOnce()) {
        self.connection
            .execute_batch("BEGIN IMMEDIATE")
            .expect("a transaction");
        what();
        self.connection.execute_batch("COMMIT").expect("a commit");
    }

    /// So many rows, by 64 threads that each commit their own, one after another.
    pub(crate) fn enqueue_each(self, body: &str, count: u64) -> (Self, Duration) {
        let left = AtomicU64::new(count);
        let bare = Mutex::new(self);
        let begun = Instant::now();
        thread::scope(|scope| {
            for _ in 0..PRODUCERS {
                scope.spawn(|| {
                    while take(&left) {
                        bare.lock().expect("no panic").insert(body);
                    }
                });
            }
        });
        let took = begun.elapsed();
        (bare.into_inner().expect("no panic"), took)
    }

    /// So many rows, by 64 threads that wait for one which commits what has come together.
    pub(crate) fn enqueue_grouped(self, body: &str, count: u64) -> (Self, Duration) {
        let left = AtomicU64::new(count);
        let (to_writer, asked) = mpsc::sync_channel::<mpsc::SyncSender<()>>(GROUP);
        let bare = self;
        let begun = Instant::now();
        let bare = thread::scope(|scope| {
            let writer = scope.spawn(move || {
                while let Ok(first) = asked.recv() {
                    let group: Vec<_> = std::iter::once(first)
                        .chain(asked.try_iter().take(GROUP - 1))
                        .collect();
                    bare.together(|| group.iter().for_each(|_| bare.insert(body)));
                    for one in group {
                        one.send(()).expect("somebody waits");
                    }
                }
                bare
            });
            let left = &left;
            for _ in 0..PRODUCERS {
                let to_writer = to_writer.clone();
                scope.spawn(move || {
                    let (sender, answer) = mpsc::sync_channel(1);
                    while take(left) {
                        to_writer.send(sender.clone()).expect("the writer listens");
                        answer.recv().expect("an answer");
                    }
                });
            }
            drop(to_writer);
            writer.join().expect("no panic")
        });
        let took = begun.elapsed();
        (bare, took)
    }

    /// Adds rows in one commit, takes them 64 at a time, and finishes them: each in a commit of
    /// its own, or those 64 in one. Answers how long all but the adding took.
    pub(crate) fn send(&self, body: &str, count: u64, grouped: bool) -> Duration {
        let mut at = self
            .connection
            .query_row("SELECT coalesce(max(id), 0) FROM queue", [], |r| r.get(0))
            .expect("a number");
        self.together(|| (0..count).for_each(|_| self.insert(body)));
        let begun = Instant::now();
        loop {
            let until = self.lease(at);
            if until == at {
                return begun.elapsed();
            }
            let finish = || (at + 1..=until).for_each(|id| self.finish(id));
            if grouped {
                self.together(finish);
            } else {
                finish();
            }
            at = until;
        }
    }
}

fn take(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
        .is_ok()
}
