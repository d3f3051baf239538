//! What others do to the file while it is in use: nothing acknowledged is lost.

mod common;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    time::Duration,
};

use common::*;
use notifier_core::{DeliveryState, ErrorKind, NewReport, Outbox, Verdict};
use outbox_sqlite::{SqliteOptions, SqliteOutbox, check};

fn beside(place: &Place, suffix: &str) -> PathBuf {
    format!("{}{suffix}", place.path.display()).into()
}

/// Whether these failures are there after the end of a process.
async fn survive(place: &Place, numbers: std::ops::Range<u64>) {
    // As a process that was killed would leave it.
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy.sqlite");
    fs::copy(&place.path, &copy).unwrap();
    let log = beside(place, "-wal");
    if log.exists() {
        fs::copy(log, format!("{}-wal", copy.display())).unwrap();
    }
    let o = SqliteOutbox::open(&copy, SqliteOptions::default()).unwrap();
    for n in numbers {
        assert!(state(&o, &id_of(&report(n, "ops"))).await.is_some(), "{n}");
    }
    drop(o);
    assert_eq!(check(&copy).unwrap().problems, [""; 0]);
}

#[tokio::test]
async fn the_files_are_for_the_owner_alone() {
    let place = Place::new();
    let o = place.open();
    o.claim("w", at(0)).await.unwrap();
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let mode = fs::metadata(beside(&place, suffix)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
    drop(o);
    let mut names: Vec<_> = fs::read_dir(place.dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["outbox.sqlite", "outbox.sqlite.lock"]);
}

#[test]
fn what_cannot_be_opened_says_why() {
    let place = Place::new();
    let open = |path: PathBuf, existing: bool| {
        let options = SqliteOptions::default();
        let e = if existing {
            SqliteOutbox::open_existing(path, options)
        } else {
            SqliteOutbox::open(path, options)
        };
        e.unwrap_err()
    };
    let e = open(place.path.clone(), true);
    assert!(e.to_string().starts_with("there is no outbox "), "{e}");
    assert_eq!(e.kind(), ErrorKind::Config);
    let e = open(place.dir.path().join("no/such/x"), false);
    assert!(e.to_string().contains("its folder does not exist"), "{e}");
    assert_eq!(e.kind(), ErrorKind::Io);
    let e = open(place.dir.path().to_owned(), false);
    assert!(e.to_string().contains("is a folder"), "{e}");
    assert!(!place.path.exists());
}

#[tokio::test]
async fn a_second_watcher_is_told_who_the_first_one_is() {
    let place = Place::new();
    let (a, b) = (place.open(), place.open());
    a.claim("prod", at(0)).await.unwrap();
    let e = b.claim("prod", at(0)).await.unwrap_err();
    assert_eq!((e.kind(), e.is_retryable()), (ErrorKind::Config, false));
    let pid = std::process::id();
    assert_eq!(
        e.to_string(),
        format!(
            "the outbox {} is in use by the watcher prod (process {pid}): stop that one, or give this one another -outbox or -state-dir",
            place.path.display()
        )
    );
    assert!(
        b.lease(
            &to("ops"),
            notifier_core::LeaseRequest::new(1, at(0), at(1))
        )
        .await
        .is_err()
    );
    // Everything else needs no claim.
    b.enqueue(batch(0, [report(1, "ops")])).await.unwrap();
    b.discard(&id_of(&report(1, "ops")), at(1)).await.unwrap();
    assert_eq!(a.stats().await.unwrap().dropped, 1);
    // One claims it again for itself.
    assert_eq!(a.claim("prod", at(0)).await.unwrap(), 0);
    drop(a);
    b.claim("b", at(0)).await.unwrap();
}

#[tokio::test]
async fn one_whose_lock_was_removed_leases_no_more_after_the_next_claim() {
    let place = Place::new();
    let (a, b) = (place.open(), place.open());
    a.claim("a", at(0)).await.unwrap();
    a.enqueue(batch(0, [report(1, "ops")])).await.unwrap();
    settle_logs(&a, 0).await;
    fs::remove_file(beside(&place, ".lock")).unwrap();
    b.claim("b", at(0)).await.unwrap();
    let request = notifier_core::LeaseRequest::new(1, at(0), at(1));
    let e = a.lease(&to("ops"), request).await.unwrap_err();
    assert!(
        e.to_string().starts_with("another watcher has claimed"),
        "{e}"
    );
    assert_eq!(b.lease(&to("ops"), request).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_that_is_removed_is_put_back_with_everything_in_it() {
    for others_too in [false, true] {
        let place = Place::new();
        let o = place.open();
        o.enqueue(batch(0, (0..50).map(|n| report(n, "ops"))))
            .await
            .unwrap();
        fs::remove_file(&place.path).unwrap();
        if others_too {
            fs::remove_file(beside(&place, "-wal")).unwrap();
            fs::remove_file(beside(&place, "-shm")).unwrap();
        }
        o.enqueue(batch(0, [report(50, "ops")])).await.unwrap();
        survive(&place, 0..51).await;
        assert_eq!(fs::metadata(&place.path).unwrap().mode() & 0o777, 0o600);
        o.enqueue(batch(0, [report(51, "ops")])).await.unwrap();
        survive(&place, 0..52).await;
        assert_eq!(deliver(&o, "ops", 1).await.len(), 52);
        assert_eq!(o.stats().await.unwrap().done, 52);
        // Others can use it, too.
        let other = SqliteOutbox::open_existing(&place.path, SqliteOptions::default()).unwrap();
        other.enqueue(batch(0, [report(52, "ops")])).await.unwrap();
        assert_eq!(o.stats().await.unwrap().pending, 1);
    }
}

#[tokio::test]
async fn a_file_that_is_removed_while_nothing_happens_is_put_back_too() {
    let place = Place::new();
    let o = place.open();
    o.enqueue(batch(0, [report(1, "ops")])).await.unwrap();
    fs::remove_file(&place.path).unwrap();
    while !place.path.exists() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    survive(&place, 1..2).await;
    drop(o);
}

#[tokio::test]
async fn a_folder_that_is_removed_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state").join("o.sqlite");
    fs::create_dir(dir.path().join("state")).unwrap();
    let o = SqliteOutbox::open(&path, SqliteOptions::default()).unwrap();
    o.enqueue(batch(0, [report(1, "ops")])).await.unwrap();
    fs::remove_dir_all(dir.path().join("state")).unwrap();
    o.enqueue(batch(0, [report(2, "ops")])).await.unwrap();
    drop(o);
    let o = SqliteOutbox::open_existing(&path, SqliteOptions::default()).unwrap();
    assert_eq!(deliver(&o, "ops", 1).await.len(), 2);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_again_is_an_error_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("o.sqlite");
    let o = SqliteOutbox::open(&path, SqliteOptions::default()).unwrap();
    o.enqueue(batch(0, [report(1, "ops")])).await.unwrap();
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "in its way").unwrap();
    let e = o.enqueue(batch(0, [report(2, "ops")])).await.unwrap_err();
    assert!(e.is_retryable() && e.kind() == ErrorKind::Io, "{e:?}");
    assert!(
        e.to_string()
            .ends_with("was removed, and cannot be put back yet"),
        "{e}"
    );
    fs::remove_file(&folder).unwrap();
    // What came of the one that was refused is not known: wholly or not at all.
    o.enqueue(batch(0, [report(2, "ops"), report(3, "ops")]))
        .await
        .unwrap();
    drop(o);
    let o = SqliteOutbox::open_existing(&path, SqliteOptions::default()).unwrap();
    assert_eq!(deliver(&o, "ops", 1).await.len(), 3);
}

#[tokio::test]
async fn a_log_that_is_removed_loses_nothing() {
    for suffixes in [&["-wal"][..], &["-shm"], &["-wal", "-shm"]] {
        let place = Place::new();
        let o = place.open();
        o.enqueue(batch(0, (0..20).map(|n| report(n, "ops"))))
            .await
            .unwrap();
        for suffix in suffixes {
            fs::remove_file(beside(&place, suffix)).unwrap();
        }
        o.enqueue(batch(0, [report(20, "ops")])).await.unwrap();
        survive(&place, 0..21).await;
        o.enqueue(batch(0, [report(21, "ops")])).await.unwrap();
        survive(&place, 0..22).await;
        let other = SqliteOutbox::open_existing(&place.path, SqliteOptions::default()).unwrap();
        other.enqueue(batch(0, [report(22, "ops")])).await.unwrap();
        assert_eq!(deliver(&o, "ops", 1).await.len(), 23);
    }
}

#[tokio::test]
async fn a_file_that_is_replaced_ends_it_and_what_was_kept_is_saved() {
    let place = Place::new();
    let o = place.open();
    o.enqueue(batch(0, [report(1, "ops")])).await.unwrap();
    let new = place.dir.path().join("other.sqlite");
    drop(SqliteOutbox::open(&new, SqliteOptions::default()).unwrap());
    let bytes = fs::read(&new).unwrap();
    fs::rename(&new, &place.path).unwrap();
    let e = o.enqueue(batch(0, [report(2, "ops")])).await.unwrap_err();
    assert_eq!(
        (e.kind(), e.is_retryable()),
        (ErrorKind::Config, false),
        "{e}"
    );
    assert!(
        e.to_string()
            .contains("was replaced by another file while it was in use"),
        "{e}"
    );
    let again = o.stats().await.unwrap_err();
    assert_eq!(again.to_string(), e.to_string());
    assert_eq!(fs::read(&place.path).unwrap(), bytes);
    let saved = beside(&place, &format!(".saved-{}", std::process::id()));
    assert!(e.to_string().contains(&saved.display().to_string()), "{e}");
    let kept = SqliteOutbox::open_existing(&saved, SqliteOptions::default()).unwrap();
    assert!(state(&kept, &id_of(&report(1, "ops"))).await.is_some());
}

/// A secret label and its value.
const SECRET: (&str, &str) = ("complainer_slack_hook_url", "https://h.example/s3cret");

fn secret(n: u64) -> NewReport {
    labelled(n, "ops", SECRET.0, SECRET.1)
}

async fn hook(o: &SqliteOutbox) -> Option<String> {
    let leases = lease(o, "ops", 1, 1).await;
    o.release(&leases[0]).await.unwrap();
    label(&leases[0].subject, SECRET.0).map(str::to_owned)
}

#[tokio::test]
async fn what_is_saved_of_a_replaced_file_has_its_own_key() {
    let place = Place::new();
    place.open().enqueue(batch(0, [secret(1)])).await.unwrap();
    let o = place.open();
    let new = place.dir.path().join("other.sqlite");
    let other = SqliteOutbox::open(&new, SqliteOptions::default()).unwrap();
    other.enqueue(batch(0, [secret(1)])).await.unwrap();
    drop(other);
    let new_key = format!("{}.key", new.display());
    fs::rename(new_key, beside(&place, ".key")).unwrap();
    fs::rename(&new, &place.path).unwrap();
    let e = o.enqueue(batch(0, [report(2, "ops")])).await.unwrap_err();
    assert!(e.to_string().contains("was replaced"), "{e}");
    let saved = beside(&place, &format!(".saved-{}", std::process::id()));
    let kept = SqliteOutbox::open(&saved, SqliteOptions::default()).unwrap();
    settle_logs(&kept, 1).await;
    assert_eq!(hook(&kept).await.as_deref(), Some(SECRET.1));
}

#[tokio::test]
async fn a_file_that_is_removed_with_its_key_is_put_back_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("o.sqlite");
    let open = || SqliteOutbox::open(&path, SqliteOptions::default()).unwrap();
    open().enqueue(batch(0, [secret(1)])).await.unwrap();
    // The key was not needed since.
    let o = open();
    fs::remove_dir_all(&folder).unwrap();
    o.enqueue(batch(0, [report(2, "dev")])).await.unwrap();
    drop(o);
    let o = open();
    settle_logs(&o, 1).await;
    assert_eq!(hook(&o).await.as_deref(), Some(SECRET.1));
}

#[tokio::test]
async fn a_key_of_no_use_is_told_at_the_start() {
    let place = Place::new();
    place.open().enqueue(batch(0, [secret(1)])).await.unwrap();
    let key = beside(&place, ".key");
    let kept = fs::read(&key).unwrap();
    let before = fs::read(&place.path).unwrap();
    fs::write(&key, "short").unwrap();
    let e = SqliteOutbox::open(&place.path, SqliteOptions::default()).unwrap_err();
    assert_eq!((e.kind(), e.is_retryable()), (ErrorKind::Config, false));
    let words = "is not the key of an outbox: put the right one back, or remove it to do without the labels that were sealed with it";
    assert_eq!(e.to_string(), format!("{} {words}", key.display()));
    assert_eq!(fs::read(&key).unwrap(), b"short");
    assert_eq!(fs::read(&place.path).unwrap(), before);
    // Who only looks needs none.
    let o = SqliteOutbox::open_existing(&place.path, SqliteOptions::default()).unwrap();
    assert_eq!(o.stats().await.unwrap().pending, 1);
    drop(o);
    fs::write(&key, kept).unwrap();
    let o = place.open();
    settle_logs(&o, 1).await;
    assert_eq!(hook(&o).await.as_deref(), Some(SECRET.1));
}

#[test]
fn a_key_that_may_not_be_read_is_told_and_passes() {
    let place = Place::new();
    let dir = place.dir.path().to_owned();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
    as_nobody(move || {
        let key = beside(&place, ".key");
        let away = place.dir.path().join("away");
        let mode = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let o = place.open();
            o.enqueue(batch(0, [secret(1)])).await.unwrap();
            settle_logs(&o, 1).await;
            o.enqueue(batch(0, [secret(4)])).await.unwrap();
            drop(o);
            mode(0o000);
            let told = |e: notifier_core::Error| {
                assert!(e.is_retryable() && e.kind() == ErrorKind::Io, "{e:?}");
                let words = "look at the permissions of the file and of its folder";
                let text = format!(
                    "cannot read the key of the outbox {}: {words}",
                    key.display()
                );
                assert_eq!(e.to_string(), text);
            };
            told(SqliteOutbox::open(&place.path, SqliteOptions::default()).unwrap_err());
            // It goes bad while the watcher runs, which has not read it.
            fs::rename(&key, &away).unwrap();
            let o = place.open();
            fs::rename(&away, &key).unwrap();
            let request = notifier_core::LeaseRequest::new(1, at(1), at(60));
            told(o.lease(&to("ops"), request).await.unwrap_err());
            told(o.story(&id_of(&secret(1))).await.unwrap_err());
            told(o.enqueue(batch(0, [secret(2)])).await.unwrap_err());
            o.enqueue(batch(0, [report(3, "dev")])).await.unwrap();
            told(o.lease_logs(request).await.unwrap_err());
            mode(0o600);
            assert_eq!(hook(&o).await.as_deref(), Some(SECRET.1));
            assert_eq!(settle_logs(&o, 1).await, 2);
            assert_eq!(o.enqueue(batch(0, [secret(2)])).await.unwrap().new, 1);
        });
    });
}

#[tokio::test]
async fn a_label_that_cannot_be_sealed_fails_its_own_call_alone() {
    let place = Place::new();
    let o = place.open();
    fs::write(beside(&place, ".key"), "short").unwrap();
    // What comes while the file is locked goes into one commit.
    let sql = place.sql();
    sql.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let unlock = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        sql.execute_batch("ROLLBACK").unwrap();
    });
    let calls = (0..9).map(|n| {
        let r = if n == 5 { secret(n) } else { report(n, "ops") };
        o.enqueue(batch(0, [r]))
    });
    let all = futures_util::future::join_all(calls).await;
    unlock.join().unwrap();
    for (n, done) in all.into_iter().enumerate() {
        match done {
            Ok(done) => assert!(n != 5 && done.new == 1, "{n}"),
            Err(e) => assert!(n == 5 && e.is_retryable(), "{n}: {e:?}"),
        }
    }
    fs::remove_file(beside(&place, ".key")).unwrap();
    assert_eq!(o.enqueue(batch(0, [secret(5)])).await.unwrap().new, 1);
    assert_eq!(o.stats().await.unwrap().pending, 9);
}

#[tokio::test]
async fn a_lock_of_another_process_is_waited_for_and_then_told() {
    let place = Place::new();
    let options = SqliteOptions::default().with_busy_timeout(Duration::from_millis(50));
    let o = SqliteOutbox::open(&place.path, options).unwrap();
    o.enqueue(batch(0, [report(1, "ops")])).await.unwrap();
    let sql = place.sql();
    sql.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let e = o.enqueue(batch(0, [report(2, "ops")])).await.unwrap_err();
    assert!(e.is_retryable() && e.kind() == ErrorKind::Io, "{e:?}");
    assert!(
        e.to_string().contains("is locked by another process"),
        "{e}"
    );
    // It can be looked at all the while.
    assert_eq!(o.stats().await.unwrap().pending, 1);
    sql.execute_batch("ROLLBACK").unwrap();
    assert_eq!(
        o.enqueue(batch(0, [report(2, "ops")])).await.unwrap().new,
        1
    );
}

#[tokio::test]
async fn a_full_disk_is_told_and_passes() {
    let place = Place::new();
    drop(place.open());
    let pages: u32 = place
        .sql()
        .pragma_query_value(None, "page_count", |r| r.get(0))
        .unwrap();
    let options = SqliteOptions::default().with_max_pages(pages + 10);
    let o = SqliteOutbox::open(&place.path, options).unwrap();
    let mut kept = Vec::new();
    let mut n = 0;
    let e = loop {
        match o.enqueue(batch(0, [report(n, "ops")])).await {
            Ok(_) => kept.push(n),
            Err(e) => break e,
        }
        n += 1;
    };
    assert!(e.is_retryable() && e.kind() == ErrorKind::Io, "{e:?}");
    assert!(
        e.to_string().contains("no space is left for the outbox"),
        "{e}"
    );
    assert!(kept.len() > 5);
    for n in &kept {
        assert!(state(&o, &id_of(&report(*n, "ops"))).await.is_some());
    }
    assert_eq!(state(&o, &id_of(&report(n, "ops"))).await, None);
    // What makes no new pages goes on.
    let first = id_of(&report(kept[0], "ops"));
    o.discard(&first, at(1)).await.unwrap();
    assert_eq!(state(&o, &first).await, Some(DeliveryState::Dropped));
    drop(o);
    let o = place.open();
    o.enqueue(batch(0, [report(n, "ops")])).await.unwrap();
    survive(&place, 0..n + 1).await;
}

#[tokio::test]
async fn many_that_fail_together_fail_alone_where_they_can() {
    let place = Place::new();
    let o = SqliteOutbox::open(&place.path, SqliteOptions::default().with_capacity(2)).unwrap();
    o.enqueue(batch(0, [report(0, "ops")])).await.unwrap();
    let calls = (1..20).map(|n| {
        let o = &o;
        async move { o.enqueue(batch(0, [report(n, "ops")])).await }
    });
    let all = futures_util::future::join_all(calls).await;
    assert_eq!(all.iter().filter(|r| r.is_ok()).count(), 1);
    for e in all.into_iter().filter_map(Result::err) {
        assert_eq!(e.kind(), ErrorKind::Full);
    }
    let s = o.stats().await.unwrap();
    assert_eq!((s.pending, s.seen), (2, 2));
}

#[tokio::test]
async fn a_file_that_goes_bad_while_it_is_open_is_given_up() {
    let place = Place::new();
    let o = place.open();
    o.enqueue(batch(0, (0..2_000).map(|n| report(n, "ops"))))
        .await
        .unwrap();
    settle_logs(&o, 0).await;
    // The log must not hide what is done to the file.
    place
        .sql()
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&place.path)
        .unwrap();
    let length = file.metadata().unwrap().len();
    std::os::unix::fs::FileExt::write_all_at(
        &file,
        &vec![0x5a; usize::try_from(length).unwrap() - 4096],
        4096,
    )
    .unwrap();
    // What is in memory may be right still, but not all of it is.
    let mut last = None;
    for n in 0..2_000 {
        match o.story(&id_of(&report(n, "ops"))).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("what is damaged counts as absent"),
            Err(e) => {
                last = Some(e);
                break;
            }
        }
    }
    let e = last.unwrap();
    assert_eq!(
        (e.kind(), e.is_retryable()),
        (ErrorKind::Config, false),
        "{e:?}"
    );
    assert!(e.to_string().contains("is damaged"), "{e}");
    let e = o
        .enqueue(batch(0, [report(5_000, "ops")]))
        .await
        .unwrap_err();
    assert!(e.to_string().contains("is damaged"), "{e}");
}

/// As root nothing is forbidden, so that such a test needs a thread of another user.
fn as_nobody(f: impl FnOnce() + Send + 'static) {
    let run = move || {
        if rustix::process::geteuid().is_root() {
            let nobody = rustix::process::Uid::from_raw(65_534);
            rustix::thread::set_thread_uid(nobody).unwrap();
        }
        f();
    };
    std::thread::spawn(run).join().unwrap();
}

#[test]
fn a_folder_that_may_not_be_written_is_told_and_passes() {
    let place = Place::new();
    drop(place.open());
    let (dir, path) = (place.dir.path().to_owned(), place.path.clone());
    let allow = |file: u32, folder: u32| {
        fs::set_permissions(&path, fs::Permissions::from_mode(file)).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(folder)).unwrap();
    };
    let open = |name: PathBuf, file: u32, folder: u32| {
        as_nobody(move || {
            let opened = SqliteOutbox::open(&name, SqliteOptions::default());
            let e = opened.expect_err(&format!("{file:o} in {folder:o}"));
            assert!(e.is_retryable() && e.kind() == ErrorKind::Io, "{e:?}");
            let text = e.to_string();
            assert!(
                text.contains("look at the permissions of the file and of its folder"),
                "{text}"
            );
        });
    };
    for (file, folder) in [(0o666, 0o555), (0o444, 0o777), (0o000, 0o777)] {
        allow(file, folder);
        open(path.clone(), file, folder);
    }
    allow(0o666, 0o555);
    open(dir.join("new.sqlite"), 0o666, 0o555);
    allow(0o666, 0o777);
    let path = path.clone();
    as_nobody(move || {
        let o = SqliteOutbox::open(&path, SqliteOptions::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime
            .block_on(o.enqueue(batch(0, [report(1, "ops")])))
            .unwrap();
    });
}

#[tokio::test]
async fn room_is_given_back_beside_a_running_watcher() {
    let place = Place::new();
    let o = place.open();
    o.claim("w", at(0)).await.unwrap();
    o.enqueue(batch(0, (0..2_000).map(|n| report(n, "ops"))))
        .await
        .unwrap();
    deliver(&o, "ops", 1).await;
    for d in 8..12 {
        o.enqueue(batch(d * 24 * 3600, [])).await.unwrap();
    }
    while o.stats().await.unwrap().done > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let admin = SqliteOutbox::open_existing(&place.path, SqliteOptions::default()).unwrap();
    o.enqueue(batch(0, [report(5_000, "ops")])).await.unwrap();
    let v = admin.vacuum().await.unwrap();
    assert!(v.before > 1_000_000 && v.after < 300_000, "{v:?}");
    settle_logs(&o, 0).await;
    let l = lease(&o, "ops", 1, 0).await.remove(0);
    o.settle(&l, verdict(Verdict::Done, 1)).await.unwrap();
    drop((o, admin));
    assert_eq!(check(&place.path).unwrap().problems, [""; 0]);
}
