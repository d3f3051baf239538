//! Units that systemd starts again and again, and many at once.

use std::collections::BTreeSet;

use notifier_testkit::{peer, systemd::Systemd};

use crate::common::{Watcher, put_say, source, wait_for};

const UNDER: &str = "[Unit]\nStartLimitIntervalSec=30\nStartLimitBurst=10\n[Service]\n\
    ExecStart=/bin/sh -c 'echo x >> /run/under; test $(wc -l < /run/under) -gt 3 && exec sleep infinity; exit 3'\n\
    Restart=on-failure\nRestartSec=0\n";
const OVER: &str = "[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=3\n[Service]\n\
    ExecStart=/bin/sh -c '/opt/say again; exit 3'\nRestart=on-failure\nRestartSec=20ms\n";
/// Started again also after it ended well.
const ALWAYS: &str = "[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=3\n[Service]\n\
    ExecStart=/bin/true\nRestart=always\nRestartSec=0\n";

#[tokio::test(flavor = "multi_thread")]
async fn each_run_is_told_and_the_limit_once_more() {
    let units = [
        ("under.service", UNDER),
        ("over.service", OVER),
        ("always.service", ALWAYS),
    ];
    let Some(systemd) = Systemd::start(&units).await else {
        return;
    };
    put_say(&systemd);
    let mut watcher = Watcher::start(source(&systemd), None).await;
    systemd
        .start_units(&["under.service", "over.service", "always.service"])
        .await
        .unwrap();
    while watcher.of("under.service").len() < 3
        || watcher.of("over.service").len() < 4
        || watcher.of("always.service").is_empty()
    {
        watcher.next(&systemd).await;
    }
    wait_for(&systemd, "under.service", "SubState", &["running"]).await;
    watcher.flush(&systemd).await;

    let under = watcher.of("under.service");
    let attempts: Vec<Option<u32>> = under.iter().map(|f| f.attempt).collect();
    assert_eq!(
        attempts.iter().collect::<BTreeSet<_>>().len(),
        3,
        "{attempts:?}"
    );
    assert!(
        under
            .iter()
            .all(|f| f.state == "EXIT_CODE" && f.exit_code == Some(3)),
        "{under:?}"
    );
    assert!(under.iter().all(|f| f.details["will_restart"] == "true"));
    let runs: BTreeSet<&String> = under.iter().map(|f| &f.details["invocation_id"]).collect();
    assert_eq!(runs.len(), 3);

    let over = watcher.of("over.service");
    let states: Vec<&str> = over.iter().map(|f| f.state.as_str()).collect();
    let limits = states.iter().filter(|s| **s == "START_LIMIT_HIT").count();
    assert_eq!((states.len(), limits), (4, 1), "{states:?}");
    let limit = over.iter().find(|f| f.state == "START_LIMIT_HIT").unwrap();
    let journal = &limit.details["journal"];
    assert!(journal.contains("again"), "{journal}");
    assert!(limit.message.as_deref().unwrap().contains("refuses"));
    // It is of the last run, which told of its own end.
    let last = over
        .iter()
        .filter(|f| f.details["invocation_id"] == limit.details["invocation_id"]);
    assert_eq!(last.count(), 2);

    // A unit whose runs end well is told for the refused start alone.
    let always = watcher.of("always.service");
    assert_eq!(
        (always.len(), always[0].state.as_str()),
        (1, "START_LIMIT_HIT")
    );
    assert!(
        watcher.by_key().values().all(|n| *n == 1),
        "{:?}",
        watcher.by_key()
    );

    // A start by hand that is refused now is nobody's news.
    let _ = systemd
        .run(&["systemctl", "start", "over.service"])
        .await
        .unwrap();
    watcher.flush(&systemd).await;
    assert_eq!(watcher.of("over.service").len(), 4);

    // systemd forgets all units for a moment, and shows them anew.
    systemd
        .expect(&["systemctl", "daemon-reload"])
        .await
        .unwrap();
    watcher.flush(&systemd).await;
    assert!(
        watcher.by_key().values().all(|n| *n == 1),
        "{:?}",
        watcher.by_key()
    );
    peer::ran("systemd, flaps");
}

const STORM: &str = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh -c 'exit %i'\n";
const STORM_FLAP: &str = "[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=20\n[Service]\n\
    ExecStart=/bin/sh -c 'exit 9'\nRestart=on-failure\nRestartSec=0\n";

/// 200 failures: 100 units that fail once, and 5 that are started 20 times each, as fast as systemd can.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_failures_none_missed_none_doubled() {
    let mut builder = Systemd::builder().unit("storm@.service", STORM);
    for n in 0..5 {
        builder = builder.unit(&format!("flap{n}.service"), STORM_FLAP);
    }
    let Some(systemd) = builder.start_or_skip().await else {
        return;
    };
    let mut watcher = Watcher::start(source(&systemd).journal_lines(2), None).await;
    let names: Vec<String> = (1..=100)
        .map(|n| format!("storm@{n}.service"))
        .chain((0..5).map(|n| format!("flap{n}.service")))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    systemd.start_units(&names).await.unwrap();
    // Each flap has a 21st: it is refused a further start.
    watcher.wait_for(100 + 5 * 21, &systemd).await;
    watcher.flush(&systemd).await;
    for n in 1..=100 {
        let told = watcher.of(&format!("storm@{n}.service"));
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].exit_code, Some(n));
    }
    for n in 0..5 {
        let told = watcher.of(&format!("flap{n}.service"));
        let limits = told.iter().filter(|f| f.state == "START_LIMIT_HIT").count();
        assert_eq!((told.len(), limits), (21, 1));
    }
    let keys = watcher.by_key();
    assert_eq!(keys.len(), 205);
    assert!(keys.values().all(|n| *n == 1), "{keys:?}");
    peer::ran("systemd, 200 failures at once");
}

/// The signals of the bus are held up, so that systemd folds them: the journal has what was not seen.
#[tokio::test(flavor = "multi_thread")]
async fn runs_that_nobody_saw_are_in_the_journal() {
    let flap = [("flap.service", STORM_FLAP)];
    let Some(systemd) = Systemd::start(&flap).await else {
        return;
    };
    let mut watcher = Watcher::start(source(&systemd), None).await;
    let pid = systemd.property("dbus.service", "MainPID").await.unwrap();
    systemd.expect(&["kill", "-s", "STOP", &pid]).await.unwrap();
    systemd.start_units(&["flap.service"]).await.unwrap();
    wait_for(&systemd, "flap.service", "ActiveState", &["failed"]).await;
    systemd.expect(&["kill", "-s", "CONT", &pid]).await.unwrap();
    watcher.wait_for(21, &systemd).await;
    watcher.flush(&systemd).await;
    let told = watcher.of("flap.service");
    let limits = told.iter().filter(|f| f.state == "START_LIMIT_HIT").count();
    assert_eq!((told.len(), limits), (21, 1));
    peer::ran("systemd, runs that nobody saw");
}
