//! Real files, pipes and devices.

use std::{
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    time::Duration,
};

use notifier_core::{
    BackendSettings, DeliveryId, ErrorKind, FailureRecord, Next, Origin, Report, ReportOptions,
    Reporter, Scope, jiff::Timestamp,
};
use notifier_file::{FileReporter, OPTIONS};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tokio::time::timeout;

fn report(id: &str) -> Report {
    Report::failure(FailureRecord::new(
        id,
        "web",
        "TASK_FAILED",
        Timestamp::UNIX_EPOCH,
    ))
}

fn open(path: &Path) -> notifier_core::Result<FileReporter> {
    FileReporter::builder()
        .name(path.to_str().unwrap())
        .format("{{ .failure.ID }}{{ .nl }}")
        .build()
}

async fn put(r: &FileReporter, id: &str) {
    assert_eq!(r.send(&report(id)).await.unwrap().next(), Next::Done);
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

#[tokio::test]
async fn a_new_file_is_not_for_others_and_is_appended_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let r = open(&path).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o137,
        0
    );
    put(&r, "one").await;
    put(&r, "two").await;
    let text = read(&path);
    assert!(text.find("one").unwrap() < text.find("two").unwrap());
}

#[tokio::test]
async fn after_a_rotation_records_go_to_the_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("log"), dir.path().join("log.1"));
    let r = open(&path).unwrap();
    put(&r, "one").await;
    // Moved away, as logrotate does without `create`.
    std::fs::rename(&path, &old).unwrap();
    put(&r, "two").await;
    // Moved away and made anew, as with `create`.
    std::fs::rename(&path, dir.path().join("log.2")).unwrap();
    std::fs::write(&path, "").unwrap();
    put(&r, "three").await;
    // Emptied in place, as with `copytruncate`.
    std::fs::write(&path, "").unwrap();
    put(&r, "four").await;
    assert!(read(&old).contains("one") && read(&dir.path().join("log.2")).contains("two"));
    assert!(read(&path).contains("four") && !read(&path).contains('\0'));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_eight_writers_do_not_mix() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let tasks: Vec<_> = (0..8)
        .map(|w| {
            let r = open(&path).unwrap();
            tokio::spawn(async move {
                for i in 0..50 {
                    let id = format!("[{w}-{i}-{}]", "x".repeat(2000 + 37 * i));
                    assert_eq!(r.send(&report(&id)).await.unwrap().next(), Next::Done);
                }
            })
        })
        .collect();
    for t in tasks {
        t.await.unwrap();
    }
    let text = read(&path);
    assert_eq!(text.lines().count(), 400);
    for line in text.lines() {
        let inner = line.split_once('[').unwrap().1.split_once(']').unwrap().0;
        let i: usize = inner.split('-').nth(1).unwrap().parse().unwrap();
        assert_eq!(inner.rsplit('-').next().unwrap(), "x".repeat(2000 + 37 * i));
    }
}

#[tokio::test]
async fn what_cannot_be_opened_stops_the_start_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let link = dir.path().join("link");
    symlink(&file, &link).unwrap();
    for (path, says) in [
        (
            dir.path().join("no/such/log"),
            "is in a directory that does not exist",
        ),
        (dir.path().to_owned(), "is a directory"),
        (link, "is a symbolic link"),
        (file.join("log"), "no directory"),
    ] {
        let e = open(&path).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Config);
        let text = e.to_string();
        assert!(
            text.starts_with("file.name: ") && text.contains(path.to_str().unwrap()),
            "{text}"
        );
        assert!(text.contains(says), "{text}");
    }
}

#[tokio::test]
async fn a_directory_in_place_of_the_file_is_dead_until_someone_acts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let r = open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let e = r.send(&report("one")).await.unwrap_err();
    assert_eq!(
        (e.kind(), e.is_retryable(), e.scope()),
        (ErrorKind::Config, false, Scope::Destination)
    );
    std::fs::remove_dir(&path).unwrap();
    put(&r, "two").await;
    assert!(read(&path).contains("two"));
}

#[tokio::test]
async fn a_pipe_without_a_reader_holds_up_neither_the_start_nor_other_files() {
    let dir = tempfile::tempdir().unwrap();
    let (pipe, file) = (dir.path().join("pipe"), dir.path().join("log"));
    fifo(&pipe);
    let mut s = BackendSettings::new(OPTIONS);
    s.set(Origin::Flag, "name", file.to_str().unwrap()).unwrap();
    s.set_instance("pipe", "name", pipe.to_str().unwrap())
        .unwrap();
    let r = FileReporter::new(&s).unwrap();
    let id = DeliveryId::new("x");
    let to_pipe = s.instance("pipe");
    let opts = ReportOptions::new(&id, &to_pipe);

    let e = timeout(Duration::from_secs(5), r.report(&report("lost"), &opts))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!((e.kind(), e.is_retryable()), (ErrorKind::Unavailable, true));
    put(&r, "one").await;

    // Someone reads: the same pipe works, and nothing is repaired or moved in it.
    let reader = {
        let pipe = pipe.clone();
        tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            std::fs::File::open(pipe)
                .unwrap()
                .read_to_string(&mut text)
                .unwrap();
            text
        })
    };
    let mut tries = 0;
    while r.report(&report("heard"), &opts).await.is_err() {
        tries += 1;
        assert!(tries < 500);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(r);
    let text = timeout(Duration::from_secs(5), reader)
        .await
        .unwrap()
        .unwrap();
    assert!(
        text.contains("heard") && !text.starts_with('\n'),
        "{text:?}"
    );
}

#[tokio::test]
async fn a_pipe_that_nobody_empties_does_not_stall_the_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    fifo(&pipe);
    // Open for both ends, so that it has a reader who never reads.
    let _keep = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
    let r = open(&pipe).unwrap();
    let big = "x".repeat(300_000);
    let wait = Duration::from_millis(200);
    assert!(timeout(wait, r.send(&report(&big))).await.is_err());
    // The queue is short: in the end there is an error and not ever more memory.
    for _ in 0..64 {
        let _ = timeout(Duration::from_millis(1), r.send(&report("y"))).await;
    }
    let e = timeout(wait, r.send(&report("z")))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!((e.kind(), e.is_retryable()), (ErrorKind::Full, true));
}

#[tokio::test]
async fn a_record_given_up_before_its_turn_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    fifo(&pipe);
    let mut keep = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
    let r = open(&pipe).unwrap();
    let big = "x".repeat(100_000);
    assert!(
        timeout(Duration::from_millis(100), r.send(&report(&big)))
            .await
            .is_err()
    );
    assert!(
        timeout(Duration::from_millis(10), r.send(&report("given-up")))
            .await
            .is_err()
    );
    // Emptied at last.
    let reader = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        let mut buf = [0; 65536];
        while !String::from_utf8_lossy(&text).contains("the-end") {
            let n = keep.read(&mut buf).unwrap();
            text.extend_from_slice(&buf[..n]);
        }
        String::from_utf8(text).unwrap()
    });
    put(&r, "the-end").await;
    let text = timeout(Duration::from_secs(5), reader)
        .await
        .unwrap()
        .unwrap();
    assert!(text.contains(&big) && !text.contains("given-up"));
}

#[tokio::test]
async fn the_check_makes_no_file_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let r = open(&path).unwrap();
    r.check(r.settings()).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().size(), 0);
    std::fs::remove_file(&path).unwrap();
    r.check(r.settings()).await.unwrap();
    assert!(!path.exists());
    std::fs::create_dir(&path).unwrap();
    assert_eq!(
        r.check(r.settings()).await.unwrap_err().kind(),
        ErrorKind::Config
    );
}

#[tokio::test]
async fn standard_streams_and_null_are_taken() {
    let own = format!("/proc/{}/fd/1", std::process::id());
    for name in [
        "/dev/stderr",
        "/dev/stdout",
        "/dev/null",
        "/proc/self/fd/2",
        "/dev/../dev/stdout",
        "/proc/thread-self/fd/1",
        "/dev/fd/1",
        &own,
    ] {
        let r = open(Path::new(name)).unwrap();
        assert_eq!(
            r.send(&report("to a stream")).await.unwrap().next(),
            Next::Done,
            "{name}"
        );
        r.check(r.settings()).await.unwrap();
    }
}

#[tokio::test]
async fn instances_named_by_labels_have_the_settings_of_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.out");
    let mut s = BackendSettings::new(OPTIONS);
    s.set(Origin::Flag, "name", path.to_str().unwrap()).unwrap();
    let r = FileReporter::new(&s).unwrap();
    for instance in ["default", "x"] {
        let settings = s.instance(instance);
        let id = DeliveryId::new(instance);
        let receipt = r
            .report(&report("d.4"), &ReportOptions::new(&id, &settings))
            .await
            .unwrap();
        assert_eq!(receipt.next(), Next::Done);
    }
    assert_eq!(
        read(&path)
            .matches("Task web (d.4) died with status TASK_FAILED")
            .count(),
        2
    );
}

#[tokio::test]
async fn an_empty_record_is_written_as_the_built_in_text() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let r = FileReporter::builder()
        .name(path.to_str().unwrap())
        .format("{{ if false }}x{{ end }}{{ .nl }}")
        .build()
        .unwrap();
    let receipt = r.send(&report("web.1")).await.unwrap();
    assert_eq!(receipt.next(), Next::Done);
    assert_eq!(receipt.warnings[0].kind(), ErrorKind::Template);
    assert_eq!(
        read(&path),
        "Task web (web.1) died with status TASK_FAILED\n"
    );
}

#[tokio::test]
async fn records_without_line_feeds_stay_so_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    for _ in 0..2 {
        let r = FileReporter::builder()
            .name(path.to_str().unwrap())
            .format("{{ .failure.ID }};")
            .build()
            .unwrap();
        put(&r, "a").await;
        put(&r, "b").await;
    }
    assert_eq!(read(&path), "a;b;a;b;");
}

#[tokio::test]
async fn a_name_of_a_task_cannot_forge_a_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let r = open(&path).unwrap();
    put(&r, "a\nweb.2\r\u{2028}\u{202e}\u{1b}[2K\t").await;
    assert_eq!(
        read(&path),
        "a\\x0aweb.2\\x0d\\u{2028}\\u{202e}\\x1b[2K\t\n"
    );
}
