use notifier_core::SettingsBuilder;

use super::*;

fn refused(pairs: &[(&str, &str)]) -> String {
    let mut settings = SettingsBuilder::new(OPTIONS);
    for (key, value) in pairs {
        settings = settings.set(key, value);
    }
    let settings = settings.build().unwrap();
    let http = HttpClient::new().unwrap();
    let built = ChronosBuilder::from_settings(&settings.instance(""), http, Arc::new(SystemClock))
        .and_then(ChronosBuilder::build);
    built.map_or_else(|e| e.to_string(), |_| "built".to_owned())
}

#[test]
fn what_is_wrong_is_named() {
    let url = ("urls", "http://a:4400, https://b/v1/scheduler/");
    assert_eq!(refused(&[url]), "built");
    for (pairs, option) in [
        (vec![], "chronos.urls"),
        (vec![("urls", "a:4400")], "chronos.urls"),
        (vec![("urls", "ftp://a")], "chronos.urls"),
        (vec![("urls", "http://a?x=1")], "chronos.urls"),
        (vec![url, ("notify", "never")], "chronos.notify"),
        (vec![url, ("notify", "0")], "chronos.notify"),
        (vec![url, ("interval", "0s")], "chronos.interval"),
        (vec![url, ("timeout", "0s")], "chronos.timeout"),
        (vec![url, ("name", " ")], "chronos.name"),
        (
            vec![url, ("credentials", "file:/does/not/exist")],
            "chronos.credentials",
        ),
        (vec![url, ("credentials", "s3cret")], "chronos.credentials"),
        (vec![("urls", "http://u:s3cret@a")], "chronos.credentials"),
    ] {
        let why = refused(&pairs);
        assert!(why.contains(option), "{pairs:?}: {why}");
        assert!(!why.contains("s3cret"), "{why}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let why = refused(&[
        ("urls", "ftp://a,http://b?x=1"),
        ("notify", "never"),
        ("interval", "0s"),
        ("timeout", "0s"),
        ("credentials", "file:/does/not/exist"),
    ]);
    for part in [
        "ftp://a",
        "http://b",
        "(-chronos.urls or CHRONOS_URLS)",
        "(-chronos.notify or CHRONOS_NOTIFY)",
        "(-chronos.interval or CHRONOS_INTERVAL)",
        "(-chronos.timeout or CHRONOS_TIMEOUT)",
        "(-chronos.credentials or CHRONOS_CREDENTIALS)",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert!(
        !why.contains('\n') && why.matches("chronos.credentials: ").count() == 1,
        "{why}"
    );
    assert_eq!(
        refused(&[]),
        "chronos.urls: set an address of Chronos, such as http://chronos.example:4400 (-chronos.urls or CHRONOS_URLS)"
    );
}

#[test]
fn addresses_lose_what_is_added() {
    let urls = [
        "http://a:4400/,http://a:4400".to_owned(),
        "https://h/x/scheduler".to_owned(),
    ];
    let mut all = Vec::new();
    assert_eq!(addresses(&urls, &mut all), ["http://a:4400", "https://h/x"]);
    assert!(all.is_empty(), "{all:?}");
}
