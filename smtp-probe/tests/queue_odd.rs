//! Queues that no Postfix is needed for: sockets and folders made by hand.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use notifier_core::{ManualClock, jiff::Timestamp};
use smtp_probe::{Check, Level, Prober, Queue, Report, State, Target};
use tokio::{
    io::{AsyncWriteExt as _, BufWriter},
    net::UnixListener,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// The second of `4jWKZS`.
const LONG: i64 = 1_795_189_888;

/// A socket that writes this to whoever calls.
fn serve(folder: &Path, write: fn(&mut Vec<u8>, usize) -> bool) -> PathBuf {
    let path = folder.join("showq");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufWriter::new(stream);
            let mut n = 0;
            let mut bytes = Vec::new();
            while write(&mut bytes, n) && stream.write_all(&bytes).await.is_ok() {
                bytes.clear();
                n += 1;
            }
            let _ = stream.flush().await;
        }
    });
    path
}

async fn probe(queue: Queue, level: Level) -> Report {
    // Nothing but the queue is of interest: nobody listens there.
    let mut target = Target::new("127.0.0.1", 1);
    target.queue = Some(queue);
    target.level = level;
    target.limits.total = PATIENCE;
    let clock = ManualClock::new(Timestamp::from_second(LONG + 1000).unwrap());
    Prober::new(target).clock(clock).run().await
}

fn check<'a>(report: &'a Report, id: &str) -> &'a Check {
    report
        .check(id)
        .unwrap_or_else(|| panic!("no {id}: {report:#?}"))
}

fn message(bytes: &mut Vec<u8>, n: usize) {
    let id = format!("{:X}", 0xA_0000 + n);
    let time = (LONG + 900).to_string();
    let reason = format!("connect to mx{n}.example[192.0.2.1]:25: Connection timed out");
    let pairs = [
        ("queue_name", "deferred"),
        ("queue_id", &id),
        ("time", &time),
        ("recipient", "a@b.example"),
        ("reason", &reason),
    ];
    for (name, value) in pairs {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
    }
    bytes.push(0);
}

#[tokio::test]
async fn a_hundred_thousand_messages_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let socket = serve(folder.path(), |bytes, n| {
        match n {
            0 => bytes.extend_from_slice(b"protocol\0mail_queue_list_protocol\0\0"),
            1..=100_000 => message(bytes, n),
            100_001 => bytes.push(0),
            _ => return false,
        }
        true
    });
    let report = probe(Queue::Showq(socket), Level::Ready).await;
    let depth = check(&report, "queue_depth");
    assert_eq!(
        (depth.state, depth.measure.as_ref().unwrap().value),
        (State::Crit, 100_000.0)
    );
    let reasons = check(&report, "queue_reasons");
    assert_eq!(
        (reasons.state, reasons.class.unwrap().word()),
        (State::Warn, "timeout")
    );
    let data = reasons.data.as_ref().unwrap();
    assert_eq!(data["groups"]["timeout"], 100_000);
    assert!(data["reasons"].as_array().unwrap().len() <= 10);
    // The folder around this socket is not known.
    assert_eq!(check(&report, "spool").state, State::Skip);
}

#[tokio::test]
async fn a_list_without_its_protocol_s_name_is_read_and_another_protocol_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let socket = serve(folder.path(), |bytes, n| {
        match n {
            0 => message(bytes, n),
            1 => bytes.push(0),
            _ => return false,
        }
        true
    });
    let report = probe(Queue::Showq(socket), Level::Ready).await;
    assert_eq!(check(&report, "queue_depth").text, "1 message: 1 deferred");

    for (write, class) in [
        (
            (|bytes, n| {
                bytes.extend_from_slice(b"queue_id\0A1\0\0");
                n == 0
            }) as fn(&mut Vec<u8>, usize) -> bool,
            "proto",
        ),
        (
            |bytes, n| {
                bytes.extend_from_slice(b"220 mx.example ESMTP\r\n");
                n == 0
            },
            "eof",
        ),
        (
            |bytes, n| {
                message(bytes, n);
                n == 0
            },
            "eof",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let report = probe(Queue::Showq(serve(folder.path(), write)), Level::Ready).await;
        let depth = check(&report, "queue_depth");
        assert_eq!(depth.class.unwrap().word(), class, "{depth:#?}");
        assert_ne!(depth.state, State::Ok);
        assert_eq!(check(&report, "queue_reasons").state, State::Skip);
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for queue in [
        Queue::Showq(folder.path().join("public/showq")),
        Queue::Folder(folder.path().to_path_buf()),
    ] {
        for level in [Level::Live, Level::Ready] {
            let report = probe(queue.clone(), level).await;
            let depth = check(&report, "queue_depth");
            assert_eq!(
                (depth.state, depth.class.unwrap().word()),
                (State::Unknown, "local")
            );
            assert!(depth.text.starts_with("there is no "), "{depth:#?}");
            assert!(depth.hint.is_some());
        }
    }
}

#[tokio::test]
async fn a_file_that_is_no_socket_says_nothing_of_postfix() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("showq");
    fs::write(&file, "x").unwrap();
    for level in [Level::Live, Level::Ready] {
        let report = probe(Queue::Showq(file.clone()), level).await;
        let depth = report.check("queue_depth").unwrap();
        assert_eq!(depth.state, State::Unknown, "{depth:#?}");
        assert_eq!(depth.class.unwrap().word(), "local", "{depth:#?}");
        assert!(depth.text.ends_with("is no socket"), "{depth:#?}");
    }
}

/// A file of a queue.
fn put(folder: &Path, place: &str, mode: u32, content: &[u8]) {
    let path = folder.join(place);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_folder_s_files_are_the_queue() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // By the id's time; in folders of one letter, and deeper.
    put(folder, "deferred/4/4jWKZS0gRfz2x", 0o700, b"");
    put(
        folder,
        "deferred/A/B/A1B2C3D4",
        0o700,
        format!("C\x01 T\x0a{}", LONG + 500).as_bytes(),
    );
    put(
        folder,
        "defer/4/4jWKZS0gRfz2x",
        0o600,
        b"recipient=a@b.example\nreason=connect to mx[192.0.2.1]:25: No route to host\n\n",
    );
    put(folder, "hold/B1B2C3D4", 0o700, b"");
    // One that is being written, one that is no message, one of another program.
    put(folder, "incoming/4jWKZS0gRgz2x", 0o600, b"");
    put(folder, "incoming/4jWKZS0gRhz2x", 0o700, b"");
    put(folder, "active/.hidden", 0o700, b"");
    put(folder, "corrupt/4jWKZS0gRkz2x", 0o700, b"");
    let report = probe(Queue::Folder(folder.to_path_buf()), Level::Ready).await;
    let depth = check(&report, "queue_depth");
    assert!(
        depth
            .text
            .ends_with("5 messages: 1 corrupt, 2 deferred, 1 hold, 1 incoming"),
        "{depth:#?}"
    );
    // The files say nothing of whether Postfix runs.
    assert_eq!(depth.state, State::Warn);
    let ages: Vec<f64> = report
        .checks
        .iter()
        .filter(|c| c.id == "queue_age")
        .map(|c| c.measure.as_ref().unwrap().value.floor())
        .collect();
    // The long id has microseconds.
    assert_eq!(ages, [999.0, 999.0]);
    let reasons = check(&report, "queue_reasons");
    assert!(
        reasons
            .text
            .ends_with("connect to mx[192.0.2.1]:25: No route to host"),
        "{reasons:#?}"
    );
}

#[tokio::test]
async fn a_queue_whose_socket_is_gone_is_that_of_a_postfix_that_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    put(folder, "deferred/4/4jWKZS0gRfz2x", 0o700, b"");
    fs::create_dir(folder.join("public")).unwrap();
    let report = probe(Queue::Folder(folder.to_path_buf()), Level::Ready).await;
    let depth = check(&report, "queue_depth");
    assert_eq!(depth.state, State::Crit, "{depth:#?}");
    assert!(
        depth.text.starts_with("Postfix is not running"),
        "{depth:#?}"
    );
    assert!(depth.text.ends_with("1 message: 1 deferred"), "{depth:#?}");
}
