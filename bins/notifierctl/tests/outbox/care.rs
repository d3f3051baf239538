//! `notifierctl outbox check`, `repair` and `vacuum`, and all of it beside a watcher.

use notifiers::{DeliveryId, DeliveryState, Outbox};

use crate::support::{Store, ctl, failure, now};

#[test]
fn the_file_is_cared_for() {
    let store = Store::new();
    let id = store.dead("web.1");
    store.waits(&failure("web.2"));
    let ran = store.ctl(&["outbox", "check"]);
    assert!(
        ran.ok()
            .out
            .contains("is sound: 2 deliveries, 1 of them open"),
        "{}",
        ran.out
    );
    let json = store.json(&["outbox", "check"]);
    assert_eq!(
        (&json["ok"], &json["deliveries"]),
        (&true.into(), &2.into())
    );
    store.ctl(&["outbox", "vacuum"]).ok();
    let json = store.json(&["outbox", "vacuum"]);
    assert!(json["after_bytes"].as_u64().unwrap() <= json["before_bytes"].as_u64().unwrap());

    let new = store.file("new.sqlite");
    let to = format!("--to={}", new.display());
    store.ctl(&["outbox", "repair"]).fails(64, "--to");
    let ran = store.ctl(&["outbox", "repair", &to]);
    ran.ok();
    let there = format!("--outbox=sqlite:{}", new.display());
    let ran = ctl(&["outbox", "show", &there, id.as_str()], &[]);
    assert!(ran.ok().out.contains("state       dead"), "{}", ran.out);
    let ran = store.ctl(&["outbox", "repair", &to]);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("new.sqlite"), "{ran:?}");

    // A damaged file is told, and what can be saved is.
    let mut bytes = std::fs::read(&new).unwrap();
    let page = 4096;
    let at = bytes.len() - page;
    bytes[at..].fill(0xa5);
    let bad = store.file("bad.sqlite");
    std::fs::write(&bad, bytes).unwrap();
    let there = format!("--outbox=sqlite:{}", bad.display());
    let ran = ctl(&["outbox", "check", &there], &[]);
    assert_eq!(ran.code, 65, "{ran:?}");
    let ran = ctl(&["outbox", "check", &there, "--json"], &[]);
    assert_eq!(ran.code, 65, "{ran:?}");
    let saved = format!("--to={}", store.file("saved.sqlite").display());
    let ran = ctl(&["outbox", "repair", &there, &saved, "--json"], &[]);
    assert!(store.file("saved.sqlite").exists(), "{ran:?}");
    ran.json();
}

#[test]
fn all_of_it_works_beside_a_watcher() {
    let store = Store::new();
    let dead = store.dead("web.1");
    let watcher = store.open();
    store.wait(watcher.claim("default", now())).unwrap();
    for command in ["list", "stats", "check", "vacuum"] {
        store.ctl(&["outbox", command]).ok();
    }
    store.ctl(&["outbox", "show", dead.as_str()]).ok();
    let new = store.json(&["outbox", "replay", dead.as_str()]);
    let new = DeliveryId::new(new["replayed"][0]["new"].as_str().unwrap());
    let story = store.wait(watcher.story(&new)).unwrap().unwrap();
    assert_eq!(story.view.state, DeliveryState::Pending);
    store.ctl(&["outbox", "drop", new.as_str()]).ok();
    let silence = store.json(&["silence", "add", "name=web", "--for=1h"]);
    let silences = store.wait(watcher.silences()).unwrap();
    assert_eq!(silence["id"], silences[0].id);
    // A repair would race with it.
    let to = format!("--to={}", store.file("new.sqlite").display());
    let ran = store.ctl(&["outbox", "repair", &to]);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(!store.file("new.sqlite").exists());
}
