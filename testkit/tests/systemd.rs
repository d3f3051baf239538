//! The real systemd of `notifier_testkit::systemd`.

use std::{path::Path, time::Duration};

use notifier_testkit::{peer, systemd::Systemd};
use tokio::{
    io::AsyncReadExt as _,
    net::TcpListener,
    time::{Instant, sleep},
};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const FAILS: &str = "[Service]\nExecStart=/bin/sh -c 'echo last words; exit 7'\n";

/// Waits until a property is as wanted.
async fn wait_for(systemd: &Systemd, unit: &str, property: &str, value: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let is = systemd.property(unit, property).await.unwrap();
        if is == value {
            return;
        }
        assert!(
            Instant::now() < until,
            "{unit}: {property} is {is}, not {value}\n{}",
            systemd.log()
        );
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_fails_and_leaves_its_lines() {
    let Some(systemd) = Systemd::start(&[("a.service", FAILS)]).await else {
        return;
    };
    systemd.start_units(&["a.service"]).await.unwrap();
    wait_for(&systemd, "a.service", "ActiveState", "failed").await;
    let result = systemd.property("a.service", "Result").await.unwrap();
    assert_eq!(result, "exit-code");
    // From outside, without entering it.
    assert!(systemd.bus_socket().exists());
    let until = Instant::now() + PATIENCE;
    let folder = systemd.journal_directory();
    loop {
        let out = std::process::Command::new("journalctl")
            .arg("-D")
            .arg(&folder)
            .args(["-o", "cat", "--no-pager", "_SYSTEMD_UNIT=a.service"])
            .output()
            .unwrap();
        if String::from_utf8_lossy(&out.stdout).trim() == "last words" {
            break;
        }
        assert!(Instant::now() < until, "{out:?}");
        sleep(Duration::from_millis(20)).await;
    }
    peer::ran("systemd");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_run_side_by_side_and_end_when_dropped() {
    let first = Systemd::builder()
        .host_name("first.example")
        .start_or_skip();
    let second = Systemd::builder().shares_network().start_or_skip();
    let (Some(first), Some(second)) = tokio::join!(first, second) else {
        return;
    };
    let host = |systemd: Systemd| async move {
        let name = systemd.expect(&["cat", "/proc/sys/kernel/hostname"]).await;
        (name.unwrap().trim().to_owned(), systemd)
    };
    let (name, first) = host(first).await;
    assert_eq!(
        (name.as_str(), first.host_name()),
        ("first.example", "first.example")
    );
    let (name, second) = host(second).await;
    assert_eq!(name, second.host_name());
    assert_ne!(first.machine_id(), second.machine_id());

    // Units are added while it runs, and files come in by both ways.
    let unit = "[Service]\nExecStart=/bin/sleep infinity\n";
    first.add_units(&[("b.service", unit)]).await.unwrap();
    let drop_in = [("b.service.d/x.conf", "[Unit]\nDescription=other\n")];
    first.add_units(&drop_in).await.unwrap();
    let described = first.property("b.service", "Description").await.unwrap();
    assert_eq!(described, "other");
    first
        .write("/opt/tool", b"#!/bin/sh\necho $0\n", 0o755)
        .unwrap();
    assert_eq!(first.expect(&["/opt/tool"]).await.unwrap(), "/opt/tool\n");
    assert!(!Path::new("/opt/tool").exists());
    std::fs::write(first.shared().join("x"), "seen").unwrap();
    let path = first.shared().join("x").display().to_string();
    assert_eq!(first.expect(&["cat", &path]).await.unwrap(), "seen");
    assert!(first.expect(&["false"]).await.is_err());

    // One has a network of its own, the other has ours.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let call = format!("echo hello > /dev/tcp/127.0.0.1/{port}");
    assert!(first.expect(&["bash", "-c", &call]).await.is_err());
    second.expect(&["bash", "-c", &call]).await.unwrap();
    let (mut link, _) = listener.accept().await.unwrap();
    let mut said = String::new();
    link.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "hello\n");

    first.start_units(&["b.service"]).await.unwrap();
    wait_for(&first, "b.service", "ActiveState", "active").await;
    let (root, folder) = (first.root(), first.shared());
    assert!(root.join("opt/tool").exists() && folder.exists());
    let ended = tokio::task::spawn_blocking(move || drop(first));
    ended.await.unwrap();
    assert!(!folder.exists() && !root.join("opt/tool").exists());
    second
        .expect(&["systemctl", "is-system-running"])
        .await
        .unwrap();
    peer::ran("systemd, several");
}
