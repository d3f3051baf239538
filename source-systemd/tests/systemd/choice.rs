//! Which units are told, and with which labels.

use std::collections::BTreeMap;

use notifier_testkit::{peer, systemd::Systemd};

use crate::common::{Watcher, put_say, source};

const FAILS: &str = "[Service]\nExecStart=/bin/sh -c 'exit 1'\n";

#[tokio::test(flavor = "multi_thread")]
async fn by_name_property_and_file() {
    let apart = format!("{FAILS}Slice=apart.slice\n");
    let units = [
        ("web-1.service", FAILS),
        ("web-2.service", apart.as_str()),
        ("web-test.service", FAILS),
        ("db.service", FAILS),
        ("other.service", FAILS),
        ("web-9.service", FAILS),
    ];
    let Some(systemd) = Systemd::start(&units).await else {
        return;
    };
    let file = systemd.shared().join("units");
    let lines = "# who cares\nweb-*.service = team=web complainer_slack_channel=\"#web ops\"\n\
                 db.service = team=db\nflush*.service\n";
    std::fs::write(&file, lines).unwrap();
    let builder = source(&systemd)
        .ignore(["*-test.service"])
        .property("Slice=system.slice")
        .labels(&file);
    let mut watcher = Watcher::start(builder, None).await;
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    systemd.start_units(&names).await.unwrap();
    watcher.wait_for(3, &systemd).await;
    watcher.flush(&systemd).await;
    let told: BTreeMap<&str, &BTreeMap<String, String>> = watcher
        .seen
        .iter()
        .map(|f| (f.id.as_str(), &f.labels))
        .collect();
    let names: Vec<&str> = told.keys().copied().collect();
    assert_eq!(names, ["db.service", "web-1.service", "web-9.service"]);
    assert_eq!(told["db.service"]["team"], "db");
    assert_eq!(
        told["web-1.service"]["complainer_slack_channel"],
        "#web ops"
    );
    peer::ran("systemd, choice of units");
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_and_the_platform_of_environment_files() {
    let unit = format!("[Unit]\nDescription=The web\n{FAILS}");
    let Some(systemd) = Systemd::start(&[("web.service", &unit)]).await else {
        return;
    };
    let environment = systemd.shared().join("environment");
    std::fs::write(
        &environment,
        "PLATFORM=staging\nCOMPLAINER_HIPCHAT_ROOM=\"7\"\n",
    )
    .unwrap();
    let builder = source(&systemd).environment_file(&environment);
    let mut watcher = Watcher::start(builder, None).await;
    systemd.start_units(&["web.service"]).await.unwrap();
    let f = watcher.next(&systemd).await;
    assert_eq!(f.id, "web.service");
    assert_eq!(f.labels["complainer_hipchat_room"], "7");
    assert_eq!(f.details["platform"], "staging");
    assert_eq!(f.details["description"], "The web");
    // That of the unit itself comes first.
    let own = [
        "systemd-run",
        "--no-block",
        "--unit=own",
        "-p",
        "Environment=PLATFORM=own",
        "/bin/false",
    ];
    systemd.expect(&own).await.unwrap();
    let f = watcher.next(&systemd).await;
    assert_eq!(
        (f.id.as_str(), f.details["platform"].as_str()),
        ("own.service", "own")
    );
    peer::ran("systemd, environment of a unit");
}

#[tokio::test(flavor = "multi_thread")]
async fn units_that_vanish_with_their_failure() {
    let Some(systemd) = Systemd::start(&[]).await else {
        return;
    };
    put_say(&systemd);
    let mut watcher = Watcher::start(source(&systemd), None).await;
    for n in 0..10 {
        let unit = format!("--unit=gone-{n}");
        let run = [
            "systemd-run",
            "-p",
            "CollectMode=inactive-or-failed",
            &unit,
            "/bin/sh",
            "-c",
            "/opt/say bye; exit 6",
        ];
        systemd.expect(&run).await.unwrap();
    }
    watcher.wait_for(10, &systemd).await;
    watcher.flush(&systemd).await;
    for n in 0..10 {
        let told = watcher.of(&format!("gone-{n}.service"));
        assert_eq!((told.len(), told[0].exit_code), (1, Some(6)));
        assert!(told[0].details["journal"].contains("bye"));
    }
    peer::ran("systemd, units that vanish");
}
