//! The built program against real Postfix servers, healthy and broken, with all checks at once:
//! what it says, and its exit code. Prints a table of checks and servers.

mod servers;
mod table;

use notifier_testkit::peer;

use crate::{
    servers::Servers,
    table::{Column, print},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_check_says_what_is_so() {
    let Some(servers) = Servers::start().await else {
        return;
    };
    let mut columns = Vec::new();

    columns.push(Column::of(
        "relay",
        servers.relay("deep", &[]).await,
        0,
        &[],
    ));
    columns.push(Column::of("upstream", servers.upstream().await, 0, &[]));
    columns.push(Column::of(
        "open",
        servers.open().await,
        2,
        &[
            (
                "open_relay",
                "crit",
                "open (unconfirmed): it takes <victim@example.net>",
            ),
            ("main_cf", "crit", "0.0.0.0/0 is every address"),
        ],
    ));
    columns.push(Column::of("closed", servers.closed().await, 0, &[]));
    columns.push(Column::of(
        "expired",
        servers.expired().await,
        2,
        &[("cert_expiry", "crit", "the certificate expired on ")],
    ));
    columns.push(Column::of(
        "stranger",
        servers.stranger().await,
        2,
        &[("rcpt_own", "crit", "5.7.1")],
    ));

    let relay = &servers.rig.relay;
    relay.freeze("qmgr").await.unwrap();
    let frozen = servers
        .relay("ready", &["--canary-timeout", "2s", "--canary-warn", "1s"])
        .await;
    relay.thaw().await.unwrap();
    columns.push(Column::of(
        "qmgr frozen",
        frozen,
        2,
        &[("canary", "crit", "the queue manager does not move it")],
    ));

    servers.rig.upstream.stop().await.unwrap();
    servers.until_refused().await;
    let down = servers
        .relay("deep", &["--canary-timeout", "3s", "--canary-warn", "1s"])
        .await;
    columns.push(Column::of(
        "upstream down",
        down,
        2,
        &[
            ("canary", "crit", "onnection refused"),
            ("queue_reasons", "warn", "refused"),
            ("queue_upstream", "crit", "onnection refused"),
        ],
    ));

    relay.stop().await.unwrap();
    columns.push(Column::of(
        "relay down",
        servers.relay("ready", &[]).await,
        2,
        &[
            ("connect", "crit", "onnection refused"),
            ("canary", "crit", "onnection refused"),
            ("queue_depth", "crit", "Postfix"),
            ("queue_reasons", "warn", "refused"),
        ],
    ));

    print(&columns);
    let wrong: Vec<&String> = columns.iter().flat_map(|c| &c.wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    peer::ran("Postfix");
}
