//! What a damaged file does: it is found at open, and what can be read is saved.

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use common::*;
use notifier_core::{
    DeliveryState, ErrorKind, FoldRequest, Grouping, LeaseRequest, Logs, Outbox, Silence, Verdict,
};
use outbox_sqlite::{Repaired, SqliteOptions, SqliteOutbox, check, repair};

/// A file with something in every table.
async fn filled(place: &Place, n: u64) {
    let o = place.open();
    o.claim("w", at(0)).await.unwrap();
    let like = || Grouping::new("alike", Duration::from_secs(60));
    for i in 0..n {
        let to = ["ops", "dev", "qa"][usize::try_from(i % 3).unwrap()];
        let mut r = report(i, to);
        match i % 10 {
            0 => r = r.with_silence("quiet"),
            1..4 => r = r.with_group(like()),
            _ => {}
        }
        let mut b = batch(i64::try_from(i).unwrap(), [r]);
        b.cursor = Some(serde_json::json!({ "at": i }));
        o.enqueue(b).await.unwrap();
        if i == n / 2 {
            o.fold(FoldRequest::new("w", at(100_000))).await.unwrap();
        }
    }
    deliver(&o, "dev", 1).await;
    settle_logs(&o, 1).await;
    for l in lease(&o, "qa", 10, 1).await {
        o.settle(&l, verdict(Verdict::Dead, 2)).await.unwrap();
    }
    for l in lease(&o, "ops", 5, 1).await {
        o.settle(&l, verdict(Verdict::RetryAt(at(500)), 2))
            .await
            .unwrap();
    }
    lease(&o, "ops", 3, 1).await;
    let silence = Silence::new("s", vec!["name=x".parse().unwrap()], at(0), at(9));
    o.put_silence(silence).await.unwrap();
}

fn dump(path: &Path) -> BTreeMap<&'static str, Vec<String>> {
    let conn = rusqlite::Connection::open(path).unwrap();
    let mut out = BTreeMap::new();
    for (table, columns) in [
        ("subjects", "id, key, body, logs, checksum"),
        (
            "deliveries",
            "sequence, id, subject, reporter, instance, destination, why, state, due, attempts,
             unknown, finished, generation, progress, digest, checksum",
        ),
        ("attempts", "delivery, number, at, outcome, detail"),
        ("destinations", "id, name, rate_at, state"),
        ("seen", "key, source, at"),
        ("sources", "name, cursor"),
        ("groups", "id, fingerprint, destination, ends"),
        ("silences", "id, body"),
    ] {
        let mut all = conn
            .prepare(&format!("SELECT {columns} FROM {table} ORDER BY 1, 2"))
            .unwrap();
        let width = all.column_count();
        let rows = all.query_map([], |r| {
            let row: Result<Vec<String>, _> = (0..width)
                .map(|n| {
                    r.get::<_, rusqlite::types::Value>(n)
                        .map(|v| format!("{v:?}"))
                })
                .collect();
            row.map(|r| r.join(" | "))
        });
        out.insert(table, rows.unwrap().collect::<Result<_, _>>().unwrap());
    }
    out
}

fn total(r: &Repaired) -> u64 {
    r.tables.iter().map(|t| t.saved).sum()
}

#[tokio::test]
async fn a_sound_file_is_saved_as_it_is() {
    let place = Place::new();
    filled(&place, 200).await;
    let found = check(&place.path).unwrap();
    assert_eq!(found.problems, [""; 0]);
    // As it is after the leases are taken back.
    place.open().claim("w", at(3)).await.unwrap();
    let to = place.dir.path().join("new.sqlite");
    let r = repair(&place.path, &to).unwrap();
    assert_eq!((r.lost(), r.unknown, r.bad_pages), (0, 0, 0), "{r:?}");
    let new = dump(&to);
    for (table, rows) in dump(&place.path) {
        assert_eq!(rows.len(), new[table].len(), "{table}");
        for (a, b) in rows.iter().zip(&new[table]) {
            assert_eq!(a, b, "{table}");
        }
    }
    assert_eq!(check(&to).unwrap(), check(&place.path).unwrap());
    let (old, new) = (
        place.open(),
        SqliteOutbox::open(&to, SqliteOptions::default()).unwrap(),
    );
    assert_eq!(old.stats().await.unwrap(), new.stats().await.unwrap());
}

fn key(path: &Path) -> PathBuf {
    format!("{}.key", path.display()).into()
}

#[tokio::test]
async fn what_is_saved_can_read_its_secret_labels() {
    let place = Place::new();
    let secret = labelled(1, "ops", "api_token", "s3cret");
    let o = place.open();
    o.enqueue(batch(0, [secret.clone()])).await.unwrap();
    drop(o);
    let to = place.dir.path().join("new.sqlite");
    // Another's key is in the way.
    for there in [&b"short"[..], &[7; 32]] {
        fs::write(key(&to), there).unwrap();
        let e = repair(&place.path, &to).unwrap_err();
        let words = "exists and is not the key of the outbox: remove it, or name another file to save the outbox in";
        assert_eq!(e.to_string(), format!("{} {words}", key(&to).display()));
        assert_eq!(e.kind(), ErrorKind::Config);
        assert_eq!(fs::read(key(&to)).unwrap(), there);
        assert!(!to.exists());
    }
    fs::remove_file(key(&to)).unwrap();
    // The own one is none.
    let kept = fs::read(key(&place.path)).unwrap();
    fs::write(key(&place.path), "short").unwrap();
    let e = repair(&place.path, &to).unwrap_err();
    assert!(e.to_string().contains("put the right one back"), "{e}");
    assert!(!to.exists() && !key(&to).exists());
    fs::write(key(&place.path), &kept).unwrap();

    assert_eq!(repair(&place.path, &to).unwrap().lost(), 0);
    let new = SqliteOutbox::open(&to, SqliteOptions::default()).unwrap();
    let story = new.story(&id_of(&secret)).await.unwrap().unwrap();
    assert_eq!(story.subject, secret.subject);
    drop(new);

    // It is there already, as after a repair that was cut short.
    fs::remove_file(&to).unwrap();
    repair(&place.path, &to).unwrap();
    // Without one, one that is there would be another's.
    fs::remove_file(&to).unwrap();
    fs::remove_file(key(&place.path)).unwrap();
    let e = repair(&place.path, &to).unwrap_err();
    assert!(e.to_string().contains("exists and is not the key"), "{e}");
    fs::remove_file(key(&to)).unwrap();
    repair(&place.path, &to).unwrap();
    assert!(!key(&to).exists());
}

#[tokio::test]
async fn a_repair_that_fails_leaves_no_key() {
    let place = Place::new();
    let secret = labelled(1, "ops", "api_token", "s3cret");
    place.open().enqueue(batch(0, [secret])).await.unwrap();
    let length = usize::try_from(fs::metadata(&place.path).unwrap().len()).unwrap();
    fs::write(&place.path, vec![0x5a; length]).unwrap();
    let to = place.dir.path().join("new.sqlite");
    repair(&place.path, &to).unwrap_err();
    assert!(!to.exists() && !key(&to).exists());
    assert!(key(&place.path).exists());
}

#[tokio::test]
async fn what_was_being_sent_may_have_arrived() {
    let place = Place::new();
    filled(&place, 60).await;
    let to = place.dir.path().join("new.sqlite");
    let r = repair(&place.path, &to).unwrap();
    assert_eq!((r.lost(), r.unknown), (0, 3));
    let new = SqliteOutbox::open(&to, SqliteOptions::default()).unwrap();
    assert_eq!(new.claim("w", at(10)).await.unwrap(), 0);
    let l = lease(&new, "ops", 100, 10).await;
    assert_eq!(l.iter().filter(|l| l.unknown).count(), 3);
}

#[tokio::test]
async fn what_is_in_the_log_alone_is_saved_too() {
    let place = Place::new();
    let o = place.open();
    for n in 0..50 {
        o.enqueue(batch(0, [report(n, "ops")])).await.unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("c.sqlite");
    for suffix in ["", "-wal"] {
        let with = |p: &Path| format!("{}{suffix}", p.display());
        fs::copy(with(&place.path), with(&copy)).unwrap();
    }
    let to = dir.path().join("new.sqlite");
    let r = repair(&copy, &to).unwrap();
    assert_eq!((r.lost(), r.tables[1].saved), (0, 50), "{r:?}");
    assert_eq!(check(&to).unwrap().problems, [""; 0]);
}

#[tokio::test]
async fn what_is_in_use_or_not_an_outbox_is_not_repaired() {
    let place = Place::new();
    let o = place.open();
    o.claim("prod", at(0)).await.unwrap();
    let to = place.dir.path().join("new.sqlite");
    let e = repair(&place.path, &to).unwrap_err();
    assert!(e.to_string().contains("in use by the watcher prod"), "{e}");
    drop(o);
    fs::write(&to, "x").unwrap();
    let e = repair(&place.path, &to).unwrap_err();
    assert!(e.to_string().contains("exists"), "{e}");
    assert_eq!(fs::read(&to).unwrap(), b"x");
    let other = place.dir.path().join("other");
    fs::write(&other, vec![b'x'; 20_000]).unwrap();
    let to = place.dir.path().join("newer.sqlite");
    let e = repair(&other, &to).unwrap_err();
    assert!(e.to_string().starts_with("nothing of an outbox"), "{e}");
    assert!(!to.exists());
    let e = repair(place.dir.path().join("none"), &to).unwrap_err();
    assert!(e.to_string().starts_with("there is no outbox"), "{e}");
}

/// Opens a copy of a file with changes, works with it a little, and tells whether it was
/// found to be damaged.
fn is_found(bytes: &[u8], dir: &Path) -> bool {
    let path = dir.join("damaged.sqlite");
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", path.display()));
    }
    fs::write(&path, bytes).unwrap();
    match SqliteOutbox::open(&path, SqliteOptions::default()) {
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::Config, "{e:?}");
            assert!(!e.is_retryable(), "{e:?}");
            let text = e.to_string();
            assert!(text.contains("damaged.sqlite"), "{text}");
            true
        }
        Ok(_) => false,
    }
}

#[tokio::test]
async fn a_page_that_is_gone_is_found_and_costs_its_own_rows_alone() {
    let place = Place::new();
    filled(&place, 150).await;
    let whole = fs::read(&place.path).unwrap();
    let pages = whole.len() / 4096;
    let all = total(&repair(&place.path, place.dir.path().join("all")).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.sqlite");
    for page in 0..pages {
        for fill in [0_u8, 0xa5, 0xff].into_iter().skip(page % 3).take(1) {
            let mut bytes = whole.clone();
            bytes[page * 4096..(page + 1) * 4096].fill(fill);
            assert!(is_found(&bytes, dir.path()), "page {page} of {pages}");
            let found = check(&path);
            assert!(
                found.as_ref().map_or(true, |f| !f.problems.is_empty()),
                "{found:?}"
            );
            let to = dir.path().join("new.sqlite");
            let _ = fs::remove_file(&to);
            let r = repair(&path, &to).unwrap();
            let kept = total(&r);
            // A page of large rows has few, one of destinations or of small rows many.
            assert!(
                kept + 120 >= all,
                "page {} of {pages}: {kept} of {all}: {r:?}",
                page + 1
            );
            assert_eq!(check(&to).unwrap().problems, [""; 0], "page {page}");
            let o = SqliteOutbox::open(&to, SqliteOptions::default()).unwrap();
            o.claim("w", at(1_000)).await.unwrap();
            for d in ["ops", "dev", "qa"] {
                deliver(&o, d, 1_000).await;
            }
        }
    }
}

#[tokio::test]
async fn a_flipped_byte_is_found_or_changes_nothing_that_is_sent() {
    let place = Place::new();
    filled(&place, 60).await;
    let whole = fs::read(&place.path).unwrap();
    let sent = {
        let o = place.open();
        o.claim("w", at(1_000)).await.unwrap();
        everything(&o).await.unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let mut rng = fastrand::Rng::with_seed(3);
    let mut found = 0;
    for page in 0..whole.len() / 4096 {
        for _ in 0..6 {
            let mut bytes = whole.clone();
            let at_byte = page * 4096 + rng.usize(0..4096);
            bytes[at_byte] ^= 1 << rng.u8(0..8);
            if is_found(&bytes, dir.path()) {
                found += 1;
                let to = dir.path().join("new.sqlite");
                let _ = fs::remove_file(&to);
                repair(dir.path().join("damaged.sqlite"), &to).unwrap();
                assert_eq!(check(&to).unwrap().problems, [""; 0], "byte {at_byte}");
                continue;
            }
            let path = dir.path().join("damaged.sqlite");
            let o = SqliteOutbox::open(&path, SqliteOptions::default()).unwrap();
            if o.claim("w", at(1_000)).await.is_err() {
                found += 1;
                continue;
            }
            match everything(&o).await {
                Ok(all) => {
                    for one in all {
                        assert!(sent.contains(&one), "byte {at_byte}: {one}");
                    }
                }
                Err(e) => {
                    assert!(!e.is_retryable(), "{e:?}");
                    found += 1;
                }
            }
        }
    }
    assert!(found > 0);
}

/// Everything that is sent from now on, each with what it says.
async fn everything(o: &SqliteOutbox) -> notifier_core::Result<Vec<String>> {
    let mut out = Vec::new();
    for now in [1_000, 100_000] {
        let request = LeaseRequest::new(10_000, at(now), at(now + 60));
        for lease in o.lease_logs(request).await? {
            o.settle_logs(&lease, Logs::default()).await?;
        }
        for d in ["ops", "dev", "qa"] {
            for l in o.lease(&to(d), request).await? {
                out.push(format!("{:?} {:?}", l.delivery, l.subject));
            }
        }
    }
    Ok(out)
}

#[tokio::test]
async fn what_is_no_outbox_is_told_from_one_that_was_cut_off() {
    let place = Place::new();
    filled(&place, 30).await;
    let whole = fs::read(&place.path).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for length in [
        1,
        99,
        100,
        4096,
        8192,
        whole.len() / 2,
        whole.len() - 1,
        whole.len() - 4096,
    ] {
        assert!(is_found(&whole[..length], dir.path()), "{length}");
    }
    for (bytes, words) in [
        (&b""[..], "is empty"),
        (&[b'x'; 5_000][..], "is damaged (file is not a database)"),
    ] {
        let path = dir.path().join("x.sqlite");
        fs::write(&path, bytes).unwrap();
        let e = SqliteOutbox::open(&path, SqliteOptions::default()).unwrap_err();
        assert!(e.to_string().contains(words), "{e}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    let path = dir.path().join("other.sqlite");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    let e = SqliteOutbox::open(&path, SqliteOptions::default()).unwrap_err();
    assert!(
        e.to_string()
            .ends_with("is not an outbox: its application_id is 0; name another file"),
        "{e}"
    );
    place
        .sql()
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    let e = SqliteOutbox::open(&place.path, SqliteOptions::default()).unwrap_err();
    assert!(
        e.to_string().contains("was written by a newer version"),
        "{e}"
    );
}

#[tokio::test]
async fn a_changed_schema_is_damage() {
    let place = Place::new();
    drop(place.open());
    place
        .sql()
        .execute_batch("DROP TRIGGER seen_added")
        .unwrap();
    let e = SqliteOutbox::open(&place.path, SqliteOptions::default()).unwrap_err();
    assert!(
        e.to_string()
            .contains("is damaged (the trigger seen_added is missing)"),
        "{e}"
    );
    assert!(e.to_string().contains("notifierctl outbox repair"), "{e}");
}

#[tokio::test]
async fn a_log_with_a_wrong_piece_in_its_middle_is_damage_and_is_saved() {
    let place = Place::new();
    let o = place.open();
    for n in 0..20 {
        o.enqueue(batch(0, [report(n, "ops")])).await.unwrap();
    }
    let with = |p: &Path, suffix: &str| format!("{}{suffix}", p.display());
    let log = fs::read(with(&place.path, "-wal")).unwrap();
    let main = fs::read(&place.path).unwrap();
    let frames = (log.len() - 32) / 4120;
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("c.sqlite");
    for (at_byte, is_damage) in [
        (32 + 4120 * 30 + 2_000, true),
        (8, true),
        (log.len() - 2_000, false),
    ] {
        let mut bytes = log.clone();
        bytes[at_byte] ^= 1;
        fs::write(&copy, &main).unwrap();
        fs::write(with(&copy, "-wal"), &bytes).unwrap();
        let _ = fs::remove_file(with(&copy, "-shm"));
        let to = dir.path().join(format!("new-{at_byte}"));
        if is_damage {
            let e = SqliteOutbox::open(&copy, SqliteOptions::default()).unwrap_err();
            assert!(e.to_string().contains("pieces of its log"), "{e}");
            // Closing it must not have emptied the log.
            if at_byte > 32 {
                assert_eq!(fs::read(with(&copy, "-wal")).unwrap().len(), bytes.len());
                let r = repair(&copy, &to).unwrap();
                assert!(r.tables[1].saved >= 19, "{frames} {r:?}");
            }
        } else {
            // The end of the last commit may be missing after a power cut.
            SqliteOutbox::open(&copy, SqliteOptions::default()).unwrap();
        }
    }
}

#[tokio::test]
async fn a_row_that_was_changed_while_it_is_in_use_is_never_sent() {
    let place = Place::new();
    let o = place.open();
    let reports: Vec<_> = (0..6).map(|n| report(n, "ops")).collect();
    o.enqueue(batch(0, reports.clone())).await.unwrap();
    settle_logs(&o, 0).await;
    let sql = place.sql();
    let change = |sql_text: &str| assert_eq!(sql.execute(sql_text, []).unwrap(), 1);
    change("UPDATE subjects SET body = replace(body, 'web.0', 'web.9') WHERE id = 1");
    change("UPDATE deliveries SET instance = 'boss' WHERE sequence = 3");
    change("DELETE FROM subjects WHERE id = 5");
    let l = lease(&o, "ops", 100, 1).await;
    let ids: Vec<_> = l.iter().map(|l| l.delivery.id.clone()).collect();
    assert_eq!(ids, [1, 3, 5].map(|n| id_of(&reports[n])));
    let s = o.stats().await.unwrap();
    assert_eq!((s.dead, s.leased), (3, 3));
    let e = o.story(&id_of(&reports[0])).await.unwrap_err();
    assert!(
        !e.is_retryable() && e.to_string().contains("notifierctl outbox check"),
        "{e}"
    );
    let detail: String = sql
        .query_row("SELECT detail FROM attempts WHERE delivery = 1", [], |r| {
            r.get(0)
        })
        .unwrap();
    assert_eq!(
        detail,
        "the stored record is damaged; see `notifierctl outbox check`"
    );
    let found = check(&place.path).unwrap().problems.join("; ");
    assert_eq!(
        found,
        "what is stored of delivery number 1 is not what was written; \
         what is stored of delivery number 3 is not what was written; \
         what is stored of delivery number 5 is not what was written; \
         1 deliveries without a report"
            .replace("; 1 deliveries without a report", "")
    );
    assert_eq!(
        state(&o, &id_of(&reports[1])).await,
        Some(DeliveryState::Leased)
    );
}

#[tokio::test]
async fn what_does_not_fit_together_is_named_and_repaired() {
    let changes = [
        (
            "UPDATE counts SET n = 99 WHERE what = 'pending'",
            "99 are counted as pending",
        ),
        ("DELETE FROM groups", "deliveries that are held by no group"),
        (
            "DELETE FROM deliveries WHERE sequence IN (SELECT digest FROM deliveries WHERE state = 'folded')",
            "deliveries that wait for a digest that is not there",
        ),
        (
            "INSERT INTO attempts VALUES (999, 1, 0, 0, 'dead', NULL, '')",
            "1 attempts without a delivery",
        ),
        (
            "DELETE FROM deliveries WHERE sequence = 1",
            "1 reports without deliveries",
        ),
        (
            "UPDATE sources SET cursor = '{'",
            "1 values of cursor in sources cannot be read",
        ),
        (
            "UPDATE deliveries SET progress = '{' WHERE sequence = 2",
            "1 values of progress in deliveries",
        ),
        (
            "UPDATE subjects SET logs = '[]' WHERE id = 2",
            "1 values of logs in subjects",
        ),
        (
            "UPDATE silences SET body = ''",
            "1 values of body in silences",
        ),
        (
            "UPDATE subjects SET wants_logs = 0 WHERE id = (SELECT subject FROM deliveries WHERE state = 'pending' AND ready = 0)",
            "1 deliveries that wait for logs that nobody looks for",
        ),
        (
            "UPDATE deliveries SET finished = 5 WHERE state = 'leased'",
            "3 deliveries whose state makes no sense",
        ),
    ];
    let place = Place::new();
    filled(&place, 100).await;
    place
        .open()
        .enqueue(batch(1, [report(500, "ops")]))
        .await
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.sqlite");
    for (n, (sql, problem)) in changes.into_iter().enumerate() {
        fs::copy(&place.path, &path).unwrap();
        let conn = rusqlite::Connection::open(&path).unwrap();
        assert!(conn.execute(sql, []).unwrap() > 0, "{sql}");
        drop(conn);
        let found = check(&path).unwrap().problems;
        assert!(
            found.iter().any(|p| p.contains(problem)),
            "{sql}: {found:?}"
        );
        let to = dir.path().join(format!("{n}.sqlite"));
        repair(&path, &to).unwrap();
        assert_eq!(check(&to).unwrap().problems, [""; 0], "{sql}");
    }
}
