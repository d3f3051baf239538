use super::*;

fn read(text: &str) -> Result<Content, String> {
    let mut problems = Problems::new();
    let content = parse("f.toml", text, &crate::watch::cli(), &mut problems);
    match problems.is_empty() {
        true => Ok(content),
        false => Err(problems.to_string()),
    }
}

#[test]
fn targets_have_their_own_keys_and_a_watchers_are_left_to_it() {
    let content = read(
        "listen = ':9925'\nstate-dir = '/s'\nlog-level = 'warn'\n[log]\nformat = 'json'\n\
         [reporters.slack]\nchannel = '#x'\n[defaults]\nlevel = 'deep'\ninterval = '30s'\n\
         [[target]]\naddress = 'relay:25'\nrcpt = ['a@x', 'b@x']\ncert_days = [30, 10]\nopen-relay = true\n\
         labels = { complainer_slack_channel = '#mail' }\n\
         [[target]]\nname = 'submission'\ntls = 'starttls'\n",
    )
    .unwrap();
    assert_eq!(content.top.text("listen"), Some(":9925"));
    assert_eq!(content.defaults.text("interval"), Some("30s"));
    let [relay, module] = content.targets.as_slice() else {
        panic!("two")
    };
    assert_eq!(
        (relay.name.as_str(), relay.address.as_deref()),
        ("relay:25", Some("relay:25"))
    );
    assert_eq!(relay.values.list("rcpt").unwrap(), ["a@x", "b@x"]);
    assert_eq!(relay.values.text("cert-days"), Some("30,10"));
    assert!(relay.values.bool("open-relay"));
    assert_eq!(relay.labels["complainer_slack_channel"], "#mail");
    assert_eq!(
        (module.name.as_str(), module.address.as_deref()),
        ("submission", None)
    );
}

#[test]
fn mistakes_are_told_with_their_place_and_the_nearest_name() {
    for (text, expected) in [
        (
            "[[tagret]]\naddress = 'x'",
            "f.toml:1:3: unknown key \"tagret\"; did you mean \"target\"?",
        ),
        (
            "[[target]]\naddress = 'x'\nrctp = 'a@x'",
            "f.toml:3:1: unknown key \"rctp\" in [target]; did you mean \"rcpt\"?",
        ),
        (
            "[defaults]\nopen_realy = true",
            "f.toml:2:1: unknown key \"open-realy\" in [defaults]; did you mean \"open_relay\"?",
        ),
        (
            "[[target]]\naddress = 'x'\nlevel = 'high'",
            "f.toml:3:1: level: \"high\" is not one of live, ready, deep",
        ),
        (
            "[[target]]\naddress = 'x'\ntimeout = 5",
            "f.toml:3:1: timeout: \"5\" is not a duration (such as 5s, 1m30s or 250ms)",
        ),
        (
            "[[target]]\naddress = 'x'\nopen_relay = 'yes'",
            "f.toml:3:1: open_relay: it is true or false, without quotes",
        ),
        (
            "[[target]]\naddress = 'x'\nallow_clear = 1",
            "f.toml:3:1: allow_clear: it is true or false, without quotes",
        ),
        (
            "[[target]]\naddress = 'x'\nrcpt = ['a@b.example', 5]",
            "f.toml:3:1: rcpt: it is a text",
        ),
        (
            "[[target]]\naddress = 'x'\nhelo = ['a', 'b']",
            "f.toml:3:1: helo: it takes one value, not a list",
        ),
        (
            "[[target]]\naddress = 'x'\nformat = 'json'",
            "f.toml:3:1: \"format\" is said on the command line, not for a target",
        ),
        (
            "[[target]]\ntls = 'none'",
            "f.toml:2:7: a target needs an address, or a name for /probe?module=NAME",
        ),
        (
            "[target]\naddress = 'x'",
            "f.toml:1:2: target is a list of tables: [[target]]",
        ),
        (
            "[[target]]\naddress = 'x'\ncert_days = [1, 2]",
            "f.toml:3:1: cert_days: \"1,2\": WARN comes before CRIT",
        ),
        (
            "[[target]]\naddress = 'x'\nlabels = 3",
            "f.toml:3:1: labels is a table of texts",
        ),
        (
            "listen = '9925'",
            "f.toml:1:1: listen: \"9925\" has no port; write HOST:PORT or :PORT",
        ),
    ] {
        assert_eq!(read(text).unwrap_err(), expected, "{text}");
    }
    let twice = read("[[target]]\naddress = 'x'\n[[target]]\naddress = 'x'").unwrap_err();
    assert!(
        twice.ends_with("target: there are two called \"x\"; give them a name each"),
        "{twice}"
    );
    let broken = read("[[target]]\naddress = 's3cret").unwrap_err();
    assert!(
        broken.starts_with("f.toml:2:") && !broken.contains("s3cret"),
        "{broken}"
    );
}

#[test]
fn near_words_are_found_and_far_ones_are_not() {
    assert_eq!(nearest("lvel", ["level", "tls"].into_iter()), Some("level"));
    assert_eq!(
        nearest("levle", ["level", "tls"].into_iter()),
        Some("level")
    );
    assert_eq!(nearest("something", ["level", "tls"].into_iter()), None);
}
