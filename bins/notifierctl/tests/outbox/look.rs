//! `notifierctl outbox list`, and which outbox and which deliveries are meant.

use notifiers::{DeliveryId, DeliveryState, FailureRecord};

use crate::support::{Store, ago, ctl, failure, id_of, now, ops, report};

#[test]
fn list_shows_what_there_is() {
    let store = Store::new();
    store.ctl(&["outbox", "list"]).ok();
    let dead = store.dead("web.1");
    let mut f = failure("db.1");
    f.name = "db".to_owned();
    let waits = store.waits(&f);
    let ran = store.ctl(&["outbox", "list"]);
    let lines: Vec<&str> = ran.ok().out.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let columns: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(
        columns.join(" "),
        "ID STATE AGE ATTEMPTS UNKNOWN DESTINATION ABOUT LAST ERROR"
    );
    // The newest first, and 12 digits of an id.
    assert!(lines[1].starts_with(&format!("{}  pending", &waits.as_str()[..12])));
    assert!(lines[1].ends_with("db TASK_FAILED"), "{lines:?}");
    assert!(lines[2].starts_with(&format!("{}  dead ", &dead.as_str()[..12])));
    assert!(
        lines[2].ends_with("rejected: channel_not_found"),
        "{lines:?}"
    );
    let oldest = store.ctl(&["outbox", "list", "--oldest-first", "--limit=1"]);
    assert!(oldest.ok().out.contains(&dead.as_str()[..12]));
    assert!(oldest.out.contains("… and more"), "{}", oldest.out);

    let json = store.json(&["outbox", "list"]);
    assert_eq!(json["more"], false);
    let one = &json["deliveries"][1];
    assert_eq!(one["id"], dead.as_str());
    assert_eq!(one["state"], "dead");
    assert_eq!(one["destination"], ops().as_str());
    assert_eq!((&one["attempts"], &one["unknown"]), (&1.into(), &0.into()));
    assert_eq!(one["why"], "implicit default");
    assert_eq!(one["last"]["code"], "rejected");
    let one = store.json(&["outbox", "list", "--limit=1"]);
    assert_eq!(one["deliveries"].as_array().unwrap().len(), 1);
    assert_eq!(one["more"], true);
}

#[test]
fn list_is_filtered() {
    let store = Store::new();
    store.dead("new.1");
    let old = failure("old.1");
    store.enqueue(vec![report(&old, id_of(&old))], ago(7_200));
    let count = |args: &[&str]| {
        let json = store.json(&[&["outbox", "list"], args].concat());
        json["deliveries"].as_array().unwrap().len()
    };
    let key = failure("new.1").key;
    let to = ops();
    for (args, n) in [
        (vec![], 2),
        (vec!["--state=dead"], 1),
        (vec!["--state", "done"], 0),
        (vec!["--reporter=slack"], 2),
        (vec!["--reporter=file"], 0),
        (vec!["--destination", to.as_str()], 2),
        (vec!["--destination=slack:#ops"], 0),
        (vec!["--key", key.as_str()], 1),
        (vec!["--since=1h"], 1),
        (vec!["--before=1h"], 1),
        (vec!["--since=3h", "--before=90m"], 1),
        (vec!["--since=2020-01-01T00:00:00Z"], 2),
        (vec!["--limit=0"], 2),
    ] {
        assert_eq!(count(&args), n, "{args:?}");
    }
    for (args, why) in [
        (
            ["--since=soon", "--limit=1"],
            "--since: \"soon\" is neither a time",
        ),
        (
            ["--before=-1h", "--limit=1"],
            "--before: \"-1h\" is neither a time",
        ),
        (["--since=1h", "--before=2h"], "is not before --before"),
        (["--state=lost", "--limit=1"], "invalid value 'lost'"),
        (
            ["--limit=some", "--oldest-first"],
            "--limit: \"some\" is not a whole number",
        ),
    ] {
        store
            .ctl(&[&["outbox", "list"], args.as_slice()].concat())
            .fails(64, why);
    }
}

#[test]
fn many_deliveries_come_page_by_page() {
    let store = Store::new();
    let failures: Vec<FailureRecord> = (0..450).map(|n| failure(&format!("t.{n}"))).collect();
    store.enqueue(
        failures.iter().map(|f| report(f, id_of(f))).collect(),
        now(),
    );
    let json = store.json(&["outbox", "list", "--limit=0"]);
    let mut ids: Vec<&str> = json["deliveries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 450);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 450);
    assert_eq!(store.ctl(&["outbox", "list"]).ok().out.lines().count(), 102);
    let ran = store.ctl(&["outbox", "list", "--limit=300"]);
    assert_eq!(ran.ok().out.lines().count(), 302);
    // One of the first pages is found by its digits as well.
    let id = id_of(&failures[3]);
    store.ctl(&["outbox", "show", &id.as_str()[..12]]).ok();
}

#[test]
fn ids_are_named_by_their_first_digits() {
    let store = Store::new();
    let ids = ["aaaaaaaaaaaa0", "aaaaaaaaaaaa1", "aaaabbbbbbbb2"];
    for id in ids {
        let f = failure(id);
        let long = DeliveryId::new(format!("{id:0<32}"));
        store.enqueue(vec![report(&f, long)], now());
    }
    let show = |id: &str| store.ctl(&["outbox", "show", id]);
    show("aaaab").ok();
    show("AAAABBBB").ok();
    show(&format!("{:0<32}", ids[0])).ok();
    show("aaaaaaaaaaaa1").ok();
    show("aaaaaaaaaaaa").fails(65, "\"aaaaaaaaaaaa\" is ambiguous: ");
    show("aaaa").fails(65, "give more digits");
    show("dddddd").fails(65, "there is no delivery \"dddddd\"");
    show("aaa").fails(64, "too short for an id");
    // One wrong id among several: nothing is done.
    store
        .ctl(&["outbox", "drop", "aaaab", "dddddd"])
        .fails(65, "there is no delivery");
    assert_eq!(
        store.state(&DeliveryId::new(format!("{:0<32}", ids[2]))),
        DeliveryState::Pending
    );
}

#[test]
fn what_is_no_outbox_is_told() {
    let store = Store::new();
    let none = store.file("none.sqlite");
    let text = store.file("text");
    std::fs::write(&text, "hello, this is no outbox at all\n".repeat(200)).unwrap();
    let at = |path: &std::path::Path| format!("--outbox=sqlite:{}", path.display());
    for command in ["list", "stats", "check", "vacuum"] {
        ctl(&["outbox", command, &at(&none)], &[]).fails(74, "there is no such file");
        assert!(!none.exists());
        ctl(&["outbox", command, &at(store.folder())], &[]).fails(74, "it is a folder");
    }
    for command in ["list", "stats", "vacuum"] {
        ctl(&["outbox", command, &at(&text)], &[]).fails(65, "text");
    }
    ctl(&["outbox", "list"], &[]).fails(64, "which outbox?");
    ctl(&["outbox", "list", "--outbox=memory"], &[]).fails(64, "in memory");
    ctl(&["outbox", "list"], &[("NOTIFIER_OUTBOX", "memory")]).fails(64, "in memory");
    ctl(&["outbox", "list", "--outbox=x"], &[]).fails(64, "neither memory nor sqlite:PATH");
    ctl(&["outbox"], &[]).fails(64, "");
    ctl(&["outbox", "nope"], &[]).fails(64, "nope");
}

#[test]
fn the_outbox_is_named_by_folder_and_environment() {
    let store = Store::new();
    store.dead("web.1");
    let folder = store.folder().to_str().unwrap();
    let has = |args: &[&str], env: &[(&str, &str)]| {
        let ran = ctl(&[&["outbox", "list"], args].concat(), env);
        ran.ok();
        assert!(ran.out.contains("web TASK_FAILED"), "{ran:?}");
    };
    let file = format!("sqlite:{folder}/outbox.sqlite");
    has(&["--state-dir", folder], &[]);
    has(&[], &[("NOTIFIER_STATE_DIR", folder)]);
    has(&[], &[("STATE_DIRECTORY", &format!("{folder}:/nowhere"))]);
    has(
        &[],
        &[
            ("NOTIFIER_OUTBOX", &file),
            ("NOTIFIER_STATE_DIR", "/nowhere"),
        ],
    );
    has(
        &["--state-dir", folder],
        &[("NOTIFIER_OUTBOX", "sqlite:/nowhere")],
    );
    let dog = "outbox-big_dog.sqlite";
    ctl(
        &["outbox", "list", "--state-dir", folder, "--name=big dog"],
        &[],
    )
    .fails(74, dog);
    std::fs::copy(store.path(), store.file(dog)).unwrap();
    has(&["--state-dir", folder, "--name=big dog"], &[]);
    has(&["--state-dir", folder], &[("COMPLAINER_NAME", "big dog")]);
}
