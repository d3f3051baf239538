//! Every way in which a unit of a real systemd fails, and those in which it does not.

use notifier_core::FailureRecord;
use notifier_testkit::{peer, systemd::Systemd};

use crate::common::{Watcher, put_say, source, wait_for};

/// Units, and what is told of each: state, exit code, signal, what the sentence has.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    Option<i32>,
    &'static str,
    &'static str,
);

const FAIL: &[Row] = &[
    (
        "exit.service",
        "[Service]\nExecStart=/bin/sh -c '/opt/say last words; exit 7'\n",
        "EXIT_CODE",
        Some(7),
        "",
        "main process exited with status 7 (NOTRUNNING)",
    ),
    (
        "oneshot.service",
        "[Service]\nType=oneshot\nExecStart=/bin/sh -c '/opt/say half; exit 4'\n",
        "EXIT_CODE",
        Some(4),
        "",
        "status 4",
    ),
    (
        "killed.service",
        "[Service]\nExecStart=/bin/sh -c '/opt/say mark; kill -s USR1 $$$$'\n",
        "SIGNAL",
        None,
        "SIGUSR1",
        "killed by SIGUSR1",
    ),
    (
        "core.service",
        "[Service]\nLimitCORE=infinity\nWorkingDirectory=/tmp\nExecStart=/bin/sh -c 'kill -s ABRT $$$$'\n",
        "CORE_DUMP",
        None,
        "SIGABRT",
        "left a core",
    ),
    (
        "slow-start.service",
        "[Service]\nType=oneshot\nTimeoutStartSec=300ms\nExecStart=/bin/sleep infinity\n",
        "TIMEOUT",
        None,
        "",
        "took longer",
    ),
    (
        "deaf.service",
        "[Service]\nTimeoutStopSec=300ms\nRuntimeMaxSec=200ms\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'\n",
        "TIMEOUT",
        None,
        "",
        "took longer",
    ),
    (
        "dog.service",
        "[Service]\nType=notify\nNotifyAccess=all\nWatchdogSec=500ms\nExecStart=/bin/sh -c 'systemd-notify --ready --status=guarding; exec sleep infinity'\n",
        "WATCHDOG",
        None,
        "SIGABRT",
        "watchdog",
    ),
    (
        "mute.service",
        "[Service]\nType=notify\nExecStart=/bin/true\n",
        "PROTOCOL",
        Some(0),
        "",
        "type promises",
    ),
    (
        "no-file.service",
        "[Service]\nEnvironmentFile=/nonesuch/environment\nExecStart=/bin/true\n",
        "RESOURCES",
        None,
        "",
        "missing",
    ),
    (
        "no-user.service",
        "[Service]\nUser=nonesuch\nExecStart=/bin/true\n",
        "EXIT_CODE",
        Some(217),
        "",
        "(USER)",
    ),
    (
        "pre.service",
        "[Service]\nExecStartPre=/bin/sh -c '/opt/say not yet; exit 5'\nExecStart=/bin/true\n",
        "EXIT_CODE",
        None,
        "",
        "a process of the unit exited",
    ),
    (
        "needs.service",
        "[Unit]\nRequires=needed.service\nAfter=needed.service\n[Service]\nExecStart=/bin/true\n",
        "DEPENDENCY",
        None,
        "",
        "requires failed",
    ),
    (
        "late.mount",
        "[Mount]\nWhat=/nonesuch/device\nWhere=/late\nType=ext4\n",
        "EXIT_CODE",
        None,
        "",
        "exited",
    ),
];

/// Units that end, and do not fail; how they are ended.
const WELL: &[(&str, &str, &str)] = &[
    (
        "stopped.service",
        "[Service]\nExecStart=/bin/sleep infinity\n",
        "stop",
    ),
    (
        "done.service",
        "[Service]\nType=oneshot\nExecStart=/bin/true\n",
        "",
    ),
    (
        "remains.service",
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n",
        "stop",
    ),
    (
        "accepted.service",
        "[Service]\nSuccessExitStatus=75\nExecStart=/bin/sh -c 'exit 75'\n",
        "",
    ),
    (
        "unmet.service",
        "[Unit]\nConditionPathExists=/nonesuch\n[Service]\nExecStart=/bin/false\n",
        "",
    ),
    (
        "skipped.service",
        "[Service]\nExecCondition=/bin/false\nExecStart=/bin/false\n",
        "",
    ),
    (
        "reloads.service",
        "[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/false\n",
        "reload",
    ),
];

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "the table is for people")]
async fn each_is_told_with_its_result_and_lines() {
    let needed = "[Service]\nType=oneshot\nExecStart=/bin/false\n";
    let mut builder = Systemd::builder().unit("needed.service", needed);
    for (name, text, ..) in FAIL {
        builder = builder.unit(name, text);
    }
    for (name, text, _) in WELL {
        builder = builder.unit(name, text);
    }
    let Some(systemd) = builder.start_or_skip().await else {
        return;
    };
    put_say(&systemd);
    let units = source(&systemd).units(["*.service", "*.mount"]);
    let mut watcher = Watcher::start(units, None).await;

    for (unit, _, end) in WELL {
        let _ = systemd.run(&["systemctl", "start", unit]).await.unwrap();
        if !end.is_empty() {
            let _ = systemd.run(&["systemctl", end, unit]).await.unwrap();
        }
    }
    let names: Vec<&str> = FAIL.iter().map(|row| row.0).collect();
    systemd.start_units(&names).await.unwrap();
    let is_here = |watcher: &Watcher| FAIL.iter().all(|row| !watcher.of(row.0).is_empty());
    while !is_here(&watcher) {
        watcher.next(&systemd).await;
    }
    watcher.flush(&systemd).await;
    for (unit, ..) in WELL {
        assert!(
            watcher.of(unit).is_empty(),
            "{unit}: {:?}",
            watcher.of(unit)
        );
    }

    eprintln!(
        "{:<20} {:<12} {:<10} {:<5} journal",
        "unit", "state", "exit", "lines"
    );
    for (unit, _, state, exit_code, signal, message) in FAIL {
        let told = watcher.of(unit);
        assert_eq!(told.len(), 1, "{told:?}");
        let f = &told[0];
        let detail = |name: &str| f.details.get(name).map_or("", String::as_str);
        let lines = detail("journal").lines().count();
        let exit = format!("{}{}", detail("exit_status"), detail("signal"));
        let last = detail("journal").lines().last().unwrap_or_default();
        eprintln!("{unit:<20} {:<12} {exit:<10} {lines:<5} {last}", f.state);
        assert_eq!(f.state, *state, "{unit}: {f:?} {:?}", f.details);
        assert_eq!(f.exit_code, *exit_code, "{unit}");
        let is = f.message.as_deref().unwrap_or_default();
        assert!(is.contains(message), "{unit}: {is}");
        if !signal.is_empty() {
            assert_eq!(detail("signal"), *signal, "{unit}");
        }
        common_parts(f, &systemd);
        if *state != "DEPENDENCY" {
            assert!(
                detail("journal").contains("Failed with result"),
                "{unit}: {}",
                detail("journal")
            );
            assert_eq!(detail("result"), f.reason.as_deref().unwrap(), "{unit}");
        }
    }
    for (unit, line) in [
        ("exit.service", "last words"),
        ("oneshot.service", "half"),
        ("killed.service", "mark"),
        ("pre.service", "not yet"),
    ] {
        let journal = &watcher.of(unit)[0].details["journal"];
        assert!(journal.contains(line), "{unit}: {journal}");
    }
    assert_eq!(
        watcher.of("dog.service")[0].details["status_text"],
        "guarding"
    );
    peer::ran("systemd, every kind of failure");
}

/// What all failures have.
fn common_parts(f: &FailureRecord, systemd: &Systemd) {
    assert_eq!(f.name, f.id);
    assert_eq!(
        (f.framework.as_str(), f.source.as_str()),
        ("systemd", "systemd")
    );
    assert_eq!(f.host, systemd.host_name());
    assert_eq!(f.details["machine_id"], systemd.machine_id());
    assert_eq!(f.details["unit"], f.id);
    assert!(!f.details["invocation_id"].is_empty());
    let now = notifier_core::Clock::now(&notifier_core::SystemClock);
    assert!(f.finished <= now && f.finished.as_second() > now.as_second() - 600);
    assert!(
        f.started.is_none_or(|started| started <= f.finished),
        "{f:?}"
    );
}

/// As systemd-oomd does it: it notes on the control group that it kills, and does. The kernel's own way is not to
/// be had everywhere: it takes a memory controller of version 2.
#[tokio::test(flavor = "multi_thread")]
async fn memory_runs_out() {
    let unit = "[Service]\nOOMPolicy=stop\nExecStart=/bin/sleep infinity\n";
    let Some(systemd) = Systemd::start(&[("fat.service", unit)]).await else {
        return;
    };
    let mut watcher = Watcher::start(source(&systemd), None).await;
    systemd.start_units(&["fat.service"]).await.unwrap();
    wait_for(&systemd, "fat.service", "SubState", &["running"]).await;
    let group = systemd
        .property("fat.service", "ControlGroup")
        .await
        .unwrap();
    let folder = systemd
        .root()
        .join("sys/fs/cgroup")
        .join(group.trim_start_matches('/'));
    for name in ["user.oomd_ooms", "user.oomd_kill"] {
        let set = rustix::fs::setxattr(&folder, name, b"1", rustix::fs::XattrFlags::empty());
        if let Err(e) = set {
            peer::skipped(
                "systemd, out of memory",
                &format!("{}: {e}", folder.display()),
            );
            return;
        }
    }
    systemd
        .expect(&["systemctl", "kill", "-s", "KILL", "fat.service"])
        .await
        .unwrap();
    let f = watcher.next(&systemd).await;
    assert_eq!(
        (f.id.as_str(), f.state.as_str()),
        ("fat.service", "OOM_KILL")
    );
    assert_eq!(f.details["signal"], "SIGKILL");
    assert!(f.message.unwrap().contains("memory ran out"));
    peer::ran("systemd, out of memory");
}
