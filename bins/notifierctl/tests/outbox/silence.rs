//! `notifierctl silence`.

use crate::support::{Store, ctl, failure, now};
use notifiers::{Outbox, Silence};

fn silences(store: &Store) -> Vec<Silence> {
    store.wait(store.open().silences()).unwrap()
}

#[test]
fn a_silence_comes_and_goes() {
    let store = Store::new();
    let ran = store.ctl(&["silence", "list"]);
    assert_eq!(ran.ok().out.lines().count(), 1, "{}", ran.out);
    let ran = store.ctl(&[
        "silence",
        "add",
        "framework=~^mara",
        "name=web",
        "--for=2h",
        "--note",
        "moving\nhouse",
    ]);
    let id = ran.ok().out.trim_end().to_owned();
    assert!(
        id.len() == 8 && id.chars().all(|c| c.is_ascii_hexdigit()),
        "{id}"
    );
    let there = silences(&store);
    assert!(there[0].covers(&failure("web.1"), now()));
    assert_eq!(
        (there[0].author.as_str(), there[0].id.as_str()),
        ("", id.as_str())
    );

    let list = store.ctl(&["silence", "list"]);
    let line = list.ok().tame().out.lines().nth(1).unwrap().to_owned();
    for part in [
        id.as_str(),
        "holds",
        "(in 119m)",
        "framework=~^mara name=web",
        "moving\\nhouse",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let json = store.json(&["silence", "list"]);
    assert_eq!(json["silences"][0]["matchers"][1], "name=web");

    let ran = store.ctl(&["silence", "expire", &id[..4]]);
    assert_eq!(ran.ok().out, format!("{id} has ended\n"));
    assert!(!silences(&store)[0].covers(&failure("web.1"), now()));
    assert_eq!(store.ctl(&["silence", "list"]).ok().out.lines().count(), 1);
    let all = store.ctl(&["silence", "list", "--all"]);
    assert!(all.ok().out.contains("ended"), "{}", all.out);
    store.ctl(&["silence", "expire", &id]).fails(65, "ended at");
    store
        .ctl(&["silence", "expire", "zzzz"])
        .fails(65, "there is no silence \"zzzz\"");
}

#[test]
fn who_and_until_when_can_be_said() {
    let store = Store::new();
    let outbox = format!("--outbox=sqlite:{}", store.path().display());
    let add = |more: &[&str], env: &[(&str, &str)]| {
        let args = ["silence", "add", &outbox, "name=web", "--json"];
        ctl(&[&args, more].concat(), env).ok().json()
    };
    let env = [("USER", "ada"), ("LOGNAME", "bob")];
    assert_eq!(add(&["--for=1h"], &env)["author"], "ada");
    assert_eq!(add(&["--for=1h"], &env[1..])["author"], "bob");
    let json = add(&["--until=2999-01-01T00:00:00Z", "--author=eve"], &env);
    assert_eq!(
        (&json["author"], &json["ends"]),
        (&"eve".into(), &"2999-01-01T00:00:00Z".into())
    );
    assert_eq!(silences(&store).len(), 3);
    store
        .ctl(&["silence", "expire", ""])
        .fails(65, "there is no silence");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let store = Store::new();
    for (args, why) in [
        (vec!["--for=2h"], "MATCHER"),
        (vec!["name=web"], "--for"),
        (
            vec!["name=web", "--for=2h", "--until=2999-01-01T00:00:00Z"],
            "cannot be used with",
        ),
        (
            vec!["name=web", "--for=0"],
            "--for: \"0\" is not a duration",
        ),
        (
            vec!["name=web", "--for=soon"],
            "--for: \"soon\" is not a duration",
        ),
        (
            vec!["name=web", "--until=2h"],
            "--until: \"2h\" is not a time",
        ),
        (
            vec!["name=web", "--until=2001-01-01T00:00:00Z"],
            "has passed",
        ),
        (vec!["web", "--for=2h"], "is not a condition"),
        (vec!["task=web", "--for=2h"], "has no field \"task\""),
        (vec!["name=~(", "--for=2h"], "regular expression"),
    ] {
        store
            .ctl(&[&["silence", "add"], args.as_slice()].concat())
            .fails(64, why);
    }
    assert!(silences(&store).is_empty());
}

#[test]
fn secrets_in_matchers_are_kept_and_not_shown() {
    let store = Store::new();
    let json = store.json(&["silence", "add", "label.api_token=hush-hush", "--for=1h"]);
    assert_eq!(json["matchers"][0], "label.api_token=***");
    for args in [vec!["silence", "list"], vec!["silence", "list", "--json"]] {
        let ran = store.ctl(&args);
        assert!(ran.ok().out.contains("label.api_token=***"), "{}", ran.out);
        assert!(!ran.out.contains("hush"), "{}", ran.out);
    }
    let f = failure("web.1").with_label("api_token", "hush-hush");
    assert!(silences(&store)[0].covers(&f, now()));
}
