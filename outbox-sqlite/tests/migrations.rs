//! Files of earlier versions.

mod common;

use common::*;
use notifier_core::{DeliveryState, Outbox};
use outbox_sqlite::check;

/// The tables as each version made them: never to be changed.
const VERSIONS: [&str; 2] = [
    include_str!("../src/migrations/0001_queue.sql"),
    include_str!("../src/migrations/0002_groups.sql"),
];

/// Makes a file of a version with a delivery in each state that it has.
fn old(place: &Place, version: usize) {
    let conn = rusqlite::Connection::open(&place.path).unwrap();
    conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA application_id = 1314145881;")
        .unwrap();
    for sql in &VERSIONS[..version] {
        conn.execute_batch(sql).unwrap();
    }
    conn.pragma_update(None, "user_version", i64::try_from(version).unwrap())
        .unwrap();
    // A row as the program of that version wrote it.
    let r = report(1, "ops");
    let (key, body) = (r.subject.key(), r.subject.to_json().unwrap());
    let sum = |parts: &[&[u8]]| {
        let mut h = crc32fast::Hasher::new();
        for p in parts {
            h.update(&(p.len() as u64).to_be_bytes());
            h.update(p);
        }
        i64::from(h.finalize())
    };
    conn.execute_batch(
        "INSERT INTO destinations (name, state) VALUES ('ops', '{\"strikes\":2}');
         INSERT INTO sources VALUES ('mesos', '{\"at\":7}', NULL);
         INSERT INTO seen VALUES ('gone', 'mesos', 1700000000000);",
    )
    .unwrap();
    conn.execute(
        "INSERT INTO seen VALUES (?1, 'mesos', 1700000000000)",
        [key.as_str()],
    )
    .unwrap();
    conn.execute(
        "INSERT INTO subjects (key, kind, about, source, name, host, framework, state, reason,
             finished, enqueued, body, logs, wants_logs, checksum)
         VALUES (?1, 'failure', 'web TASK_FAILED', '', 'web', 'agent-1', 'marathon', 'TASK_FAILED', '',
             1700000001000, 1700000000000, ?2, '{\"streams\":[]}', 0, ?3)",
        rusqlite::params![
            key.as_str(),
            body,
            sum(&[key.as_str().as_bytes(), b"failure", body.as_bytes()])
        ],
    )
    .unwrap();
    let now: i64 = 1_700_000_000_000;
    for (n, state) in ["pending", "leased", "done", "dead"]
        .into_iter()
        .enumerate()
    {
        let id = format!("{n:032}");
        conn.execute(
            "INSERT INTO deliveries (id, subject, reporter, instance, destination, why, state, ready,
                 due, enqueued, finished, generation, lease, lease_until, checksum)
             VALUES (?1, 1, 'slack', 'ops', 1, 'why', ?2, 1, ?3, ?3, ?4, 0, ?5, ?5, ?6)",
            rusqlite::params![
                id,
                state,
                now,
                matches!(state, "done" | "dead").then_some(now),
                (state == "leased").then_some(1),
                sum(&[
                    id.as_bytes(),
                    key.as_str().as_bytes(),
                    b"slack",
                    b"ops",
                    b"ops",
                    b"why",
                    &now.to_be_bytes(),
                    &0_i64.to_be_bytes()
                ]),
            ],
        )
        .unwrap();
    }
    conn.execute_batch(
        "INSERT INTO attempts VALUES (3, 1, 1700000000000, 12, 'delivered', NULL, '')",
    )
    .unwrap();
}

fn schema(place: &Place) -> Vec<(String, String)> {
    let sql = place.sql();
    let mut all = sql
        .prepare("SELECT name, ifnull(sql, '') FROM sqlite_master ORDER BY name")
        .unwrap();
    let rows = all.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn a_file_of_each_earlier_version_becomes_one_of_this() {
    let fresh = Place::new();
    drop(fresh.open());
    for version in 1..=VERSIONS.len() {
        let place = Place::new();
        old(&place, version);
        let o = place.open();
        assert_eq!(schema(&place), schema(&fresh), "{version}");
        assert_eq!(o.claim("w", at(1)).await.unwrap(), 1);
        let s = o.stats().await.unwrap();
        assert_eq!(
            (s.pending, s.leased, s.done, s.dead, s.seen),
            (2, 0, 1, 1, 2)
        );
        assert_eq!(
            o.cursor("mesos").await.unwrap(),
            Some(serde_json::json!({ "at": 7 }))
        );
        assert_eq!(o.destinations().await.unwrap()[0].1.strikes, 2);
        let l = lease(&o, "ops", 9, 2).await;
        assert_eq!((l.len(), &l[0].subject), (2, &report(1, "ops").subject));
        let id = notifier_core::DeliveryId::new(format!("{:032}", 2));
        let story = o.story(&id).await.unwrap().unwrap();
        assert_eq!(
            (story.view.state, story.attempts[0].latency_ms),
            (DeliveryState::Done, 12)
        );
        assert_eq!(
            o.enqueue(batch(2, [report(1, "ops")]))
                .await
                .unwrap()
                .repeated,
            1
        );
        drop(o);
        assert_eq!(check(&place.path).unwrap().problems, [""; 0], "{version}");
        let version: i64 = place
            .sql()
            .pragma_query_value(None, "user_version", |r| r.get(0))
            .unwrap();
        assert_eq!(usize::try_from(version).unwrap(), VERSIONS.len());
    }
}

#[test]
fn what_a_version_made_stays_as_it_was() {
    // If this fails, a migration that may have run somewhere was changed: add another.
    let sums = VERSIONS.map(|sql| crc32fast::hash(sql.as_bytes()));
    assert_eq!(sums, [545_291_345, 1_082_846_661]);
}

#[test]
fn the_examples_for_sqlite3_run() {
    let place = Place::new();
    drop(place.open());
    let readme = include_str!("../README.md");
    let examples: Vec<_> = readme
        .split("sqlite3 outbox.sqlite \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert_eq!(examples.len(), 3);
    for sql in examples {
        place.sql().prepare(sql).unwrap();
    }
}
