//! `notifierctl outbox replay` and `drop`.

use std::time::Duration;

use notifiers::{DeliveryId, DeliveryState, FoldRequest, Outbox, Verdict};

use crate::support::{Store, ago, failure, id_of, now, ops, refused, report};

#[test]
fn replay_sends_again() {
    let store = Store::new();
    let (a, b) = (store.dead("web.1"), store.dead("web.2"));
    let ran = store.ctl(&["outbox", "replay", "--state=dead", "--dry-run"]);
    assert_eq!(ran.ok().out.lines().last(), Some("2 would be replayed"));
    assert_eq!(
        store.json(&["outbox", "list"])["deliveries"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    let ran = store.ctl(&["outbox", "replay", &a.as_str()[..12]]);
    let lines: Vec<&str> = ran.ok().out.lines().collect();
    let new = lines[0].strip_prefix(&format!("{a} → ")).unwrap();
    let key = failure("web.1").key;
    assert_eq!(
        new,
        DeliveryId::derive("default", &key, "slack", "default", 1).as_str()
    );
    assert_eq!(lines[1], "1 replayed");
    let show = store.json(&["outbox", "show", new]);
    assert_eq!(show["delivery"]["state"], "pending");
    assert_eq!(show["delivery"]["generation"], 1);
    assert_eq!(show["generations"][0]["id"], a.as_str());

    // The first was replayed already, so the options select the second alone.
    let to = ops();
    let json = store.json(&["outbox", "replay", "--destination", to.as_str()]);
    assert_eq!(json["count"], 1);
    assert_eq!(json["replayed"][0]["id"], b.as_str());
    assert!(json["replayed"][0]["new"].is_string());
    let ran = store.ctl(&["outbox", "replay", "--state=dead"]);
    assert_eq!(ran.ok().out, "0 replayed, 2 left out\n");

    // What waits cannot be replayed; the rest is.
    let ran = store.ctl(&["outbox", "replay", new, b.as_str()]);
    assert_eq!(ran.code, 65, "{ran:?}");
    assert!(
        ran.out.ends_with("1 replayed, 1 cannot be\n"),
        "{}",
        ran.out
    );
    store.ctl(&["outbox", "replay"]).fails(64, "which?");
    store
        .ctl(&["outbox", "replay", "--state=pending"])
        .fails(64, "what can be replayed is done, dead, silenced, dropped");
    store
        .ctl(&["outbox", "replay", b.as_str(), "--state=dead"])
        .fails(64, "");
}

#[test]
fn a_digest_is_replayed_in_place_of_what_it_tells() {
    let store = Store::new();
    let ids = store.storm(4, ago(60), Duration::from_secs(30));
    let folded = store.wait(store.open().fold(FoldRequest::new("default", now())));
    assert_eq!(folded.unwrap().deliveries, 3);
    store.work(Verdict::Dead, refused("no"));
    let json = store.json(&["outbox", "replay", "--state=dead"]);
    assert_eq!((&json["count"], &json["left_out"]), (&2.into(), &3.into()));
    let old: Vec<&str> = json["replayed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["id"].as_str().unwrap())
        .collect();
    assert!(
        old.contains(&ids[0].as_str()) && !old.contains(&ids[1].as_str()),
        "{old:?}"
    );
    // By its id, one of them is sent by itself.
    store.ctl(&["outbox", "replay", ids[1].as_str()]).ok();
}

#[test]
fn replay_is_bounded_by_time() {
    let store = Store::new();
    let old = failure("old.1");
    store.enqueue(vec![report(&old, id_of(&old))], ago(7_200));
    store.work(Verdict::Dead, refused("no"));
    store.dead("new.1");
    let ran = store.ctl(&["outbox", "replay", "--since=3h", "--before=1h"]);
    let out = &ran.ok().out;
    assert!(
        out.starts_with(id_of(&old).as_str()) && out.ends_with("\n1 replayed\n"),
        "{out}"
    );
}

#[test]
fn drop_gives_up() {
    let store = Store::new();
    let (waits, dead) = (
        store.waits(&failure("web.1")),
        store.waits(&failure("web.2")),
    );
    store
        .ctl(&["outbox", "drop", "--state=pending"])
        .fails(64, "--yes");
    assert_eq!(store.state(&waits), DeliveryState::Pending);
    let ran = store.ctl(&["outbox", "drop", "--state=pending", "--dry-run"]);
    assert!(
        ran.ok().out.ends_with("2 would be dropped\n"),
        "{}",
        ran.out
    );
    let ran = store.ctl(&["outbox", "drop", &waits.as_str()[..12]]);
    assert_eq!(ran.ok().out, format!("{waits}\n1 dropped\n"));
    assert_eq!(store.state(&waits), DeliveryState::Dropped);
    store.work(Verdict::Dead, refused("no"));
    let json = store.json(&["outbox", "drop", "--since=1h", "--yes"]);
    assert_eq!(json["count"], 1);
    assert_eq!(store.state(&dead), DeliveryState::Dropped);
    let ran = store.ctl(&["outbox", "drop", waits.as_str()]);
    assert_eq!(ran.code, 65, "{ran:?}");
    // What was dropped can come back.
    let ran = store.ctl(&["outbox", "replay", waits.as_str()]);
    assert!(ran.ok().out.ends_with("\n1 replayed\n"));
    store
        .ctl(&["outbox", "drop", "--state=done", "--yes"])
        .fails(64, "what can be dropped is pending, held, dead");
}
