//! What failed while nobody watched.

use notifier_core::FailureKey;
use notifier_testkit::{peer, systemd::Systemd};
use source_systemd::Backlog;

use crate::common::{Watcher, source, wait_for};

const FAILS: &str = "[Service]\nExecStart=/bin/sh -c 'echo %i; exit 1'\n";
const TWICE: &str = "[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=2\n[Service]\n\
    ExecStart=/bin/sh -c 'exit 3'\nRestart=on-failure\nRestartSec=10ms\n";

async fn fail(systemd: &Systemd, unit: &str) {
    systemd.start_units(&[unit]).await.unwrap();
    wait_for(systemd, unit, "ActiveState", &["failed"]).await;
}

/// The key that both the watcher and the one-shot give to the last run of a unit.
async fn key(systemd: &Systemd, unit: &str) -> FailureKey {
    let run = systemd.property(unit, "InvocationID").await.unwrap();
    FailureKey::of_parts(["systemd", systemd.machine_id(), unit, &run, ""])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_nothing_and_repeats_nothing() {
    let units = [("a@.service", FAILS), ("twice.service", TWICE)];
    let Some(systemd) = Systemd::start(&units).await else {
        return;
    };
    // Before the first start.
    fail(&systemd, "a@old.service").await;
    let mut watcher = Watcher::start(source(&systemd), None).await;
    let old = key(&systemd, "a@old.service").await;
    assert!(
        watcher.baseline().contains(&old),
        "{:?}",
        watcher.baseline()
    );
    fail(&systemd, "a@1.service").await;
    let told = watcher.next(&systemd).await;
    assert_eq!(
        (told.id.as_str(), &told.key),
        ("a@1.service", &key(&systemd, "a@1.service").await)
    );
    let mut keys = watcher.by_key();

    // One that is still failed afterwards, one that was started again and failed twice more, one that is gone,
    // and one that is failed and was told.
    let cursor = watcher.kill().await;
    assert!(cursor.is_some());
    fail(&systemd, "a@2.service").await;
    fail(&systemd, "twice.service").await;
    systemd
        .expect(&["systemctl", "reset-failed", "twice.service"])
        .await
        .unwrap();
    let gone = [
        "systemd-run",
        "-p",
        "CollectMode=inactive-or-failed",
        "--unit=gone",
        "/bin/false",
    ];
    systemd.expect(&gone).await.unwrap();
    wait_for(&systemd, "gone.service", "LoadState", &["not-found"]).await;

    let mut watcher = Watcher::start(source(&systemd), cursor).await;
    assert!(watcher.baseline().is_empty());
    // twice.service: two runs, and a refused start.
    let count = |w: &Watcher, unit: &str| w.of(unit).len();
    while count(&watcher, "a@2.service") < 1
        || count(&watcher, "twice.service") < 3
        || count(&watcher, "gone.service") < 1
    {
        watcher.next(&systemd).await;
    }
    watcher.flush(&systemd).await;
    assert_eq!(count(&watcher, "a@old.service"), 0);
    for (key, n) in watcher.by_key() {
        *keys.entry(key).or_default() += n;
    }
    // a@1 may come again: the outbox has its key.
    assert_eq!(keys.len(), 1 + 1 + 3 + 1, "{:?}", watcher.seen);
    let limits = watcher.of("twice.service");
    let limits: Vec<_> = limits
        .iter()
        .filter(|f| f.state == "START_LIMIT_HIT")
        .collect();
    assert_eq!(limits.len(), 1);
    let gone = &watcher.of("gone.service")[0];
    assert_eq!(
        (gone.state.as_str(), gone.exit_code),
        ("EXIT_CODE", Some(1))
    );

    // Nothing more: what is failed is not told again.
    let cursor = watcher.kill().await;
    let mut watcher = Watcher::start(source(&systemd), cursor).await;
    watcher.flush(&systemd).await;
    for f in &watcher.seen {
        assert!(keys.contains_key(&f.key), "{f:?}");
    }
    peer::ran("systemd, restarts of the watcher");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backlog_is_told_if_wanted() {
    let Some(systemd) = Systemd::start(&[("a@.service", FAILS)]).await else {
        return;
    };
    fail(&systemd, "a@1.service").await;
    let mut watcher = Watcher::start(source(&systemd).backlog(Backlog::Report), None).await;
    let told = match watcher.seen.pop() {
        Some(told) => told,
        None => watcher.next(&systemd).await,
    };
    assert_eq!((told.id.as_str(), told.exit_code), ("a@1.service", Some(1)));
    assert!(watcher.baseline().is_empty());
    peer::ran("systemd, backlog");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bus_dies_and_comes_back() {
    let Some(systemd) = Systemd::start(&[("a@.service", FAILS)]).await else {
        return;
    };
    let mut watcher = Watcher::start(source(&systemd), None).await;
    fail(&systemd, "a@1.service").await;
    watcher.next(&systemd).await;
    // Its socket goes with it, so that it does not come back at once.
    let stop = ["systemctl", "stop", "dbus.socket", "dbus.service"];
    systemd.expect(&stop).await.unwrap();
    watcher.wait_for_items(|(_, errors)| *errors > 0).await;
    fail(&systemd, "a@2.service").await;
    let (batches, _) = *watcher.items.borrow();
    systemd
        .expect(&["systemctl", "start", "dbus.socket"])
        .await
        .unwrap();
    // It is well again, and what failed meanwhile is told.
    watcher.wait_for_items(|(now, _)| *now > batches).await;
    watcher.wait_for(2, &systemd).await;
    fail(&systemd, "a@3.service").await;
    watcher.wait_for(3, &systemd).await;
    watcher.flush(&systemd).await;
    for unit in ["a@1.service", "a@2.service", "a@3.service"] {
        assert_eq!(watcher.of(unit).len(), 1, "{unit}");
    }
    assert_eq!(watcher.by_key().len(), 3);
    peer::ran("systemd, bus away");
}
