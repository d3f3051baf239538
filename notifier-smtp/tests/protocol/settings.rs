//! What is wrong with settings is found when the reporter is built.

use std::{fs, sync::Arc};

use notifier_core::{BackendSettings, ErrorKind, Origin, Reporter, ReporterFactory as _, Result};
use notifier_smtp::{OPTIONS, SmtpFactory};

fn build(values: &[(&str, &str)]) -> Result<Arc<dyn Reporter>> {
    let mut s = BackendSettings::new(OPTIONS);
    for (key, value) in values {
        s.set(Origin::Flag, key, value)?;
    }
    SmtpFactory.build(&s)
}

#[test]
fn the_option_is_named() {
    let none = tempfile::NamedTempFile::new().unwrap();
    let none = none.path().display().to_string();
    let garbage = tempfile::NamedTempFile::new().unwrap();
    fs::write(
        garbage.path(),
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let garbage = garbage.path().display().to_string();
    let relay = ("server", "relay.example");
    let from = ("from", "alerts@example.com");
    let user = ("user", "user");
    let rows: Vec<(Vec<(&str, &str)>, &str)> = vec![
        (vec![from], "-smtp.server"),
        (vec![relay], "-smtp.from"),
        (vec![relay, ("from", "nobody")], "smtp.from"),
        (vec![relay, from, user], "smtp.password"),
        (vec![relay, from, ("password", "s3cr3t-word")], "smtp.user"),
        (vec![relay, from, ("tls", "maybe")], "smtp.tls"),
        (
            vec![relay, from, ("tls", "required"), ("ca", "/nowhere/ca.pem")],
            "smtp.ca",
        ),
        (
            vec![relay, from, ("tls", "required"), ("ca", &none)],
            "smtp.ca",
        ),
        (
            vec![relay, from, ("tls", "required"), ("ca", &garbage)],
            "smtp.ca",
        ),
        (
            vec![relay, from, user, ("password", "file:/nowhere/s3cr3t")],
            "smtp.password",
        ),
        (
            vec![("server", "smtp://u:s3cr3t-word@relay.example"), from],
            "smtp.server",
        ),
        (
            vec![("server", "smtps://relay.example"), from, ("tls", "none")],
            "smtp.tls",
        ),
        (vec![relay, from, ("ca", &none)], "smtp.ca"),
        (
            vec![relay, from, ("tls", "opportunistic"), ("ca", &none)],
            "smtp.ca",
        ),
        (
            vec![relay, from, ("tls", "none"), ("ca", "/nowhere/ca.pem")],
            "smtp.ca",
        ),
        (vec![relay, from, ("pool", "0")], "smtp.pool"),
        (vec![relay, from, ("pool", "65")], "smtp.pool"),
        (vec![relay, from, ("timeout", "0")], "smtp.timeout"),
        (
            vec![relay, from, ("final_timeout", "0s")],
            "smtp.final_timeout",
        ),
        (
            vec![relay, from, ("attach_size", "26MiB")],
            "smtp.attach_size",
        ),
        (vec![relay, from, ("tls_name", "a b")], "smtp.tls_name"),
        (
            vec![relay, from, ("tls_name", "a b"), ("tls", "none")],
            "smtp.tls_name",
        ),
        (vec![relay, from, ("helo", "a b")], "smtp.helo"),
        (
            vec![("host_ip", "10.0.0.1"), ("host_port", "x"), from],
            "smtp.host_port",
        ),
        (vec![relay, from, ("format", "{{ .failure")], "format"),
    ];
    for (values, name) in rows {
        let e = build(&values).unwrap_err();
        let shown = format!("{e} {e:?} {}", e.report());
        assert!(shown.contains(name), "{values:?}: {e}");
        assert!(
            !shown.contains("s3cr3t-word") && !e.to_string().contains('\n'),
            "{e}"
        );
    }
}

#[test]
fn what_is_within_the_bounds_is_taken() {
    let base = [("server", "relay.example"), ("from", "alerts@example.com")];
    for more in [
        &[("pool", "1"), ("attach_size", "25MiB")][..],
        &[("pool", "64"), ("idle", "0"), ("timeout", "10000h")],
        &[
            ("connect_timeout", "100000h"),
            ("idle", "100000h"),
            ("final_timeout", "100000h"),
        ],
        &[("tls", "none"), ("user", "u"), ("password", "s3cr3t-word")],
    ] {
        let r = build(&[&base[..], more].concat()).unwrap();
        assert!(r.capability().patience <= std::time::Duration::from_secs(30 * 60));
    }
}

#[test]
fn a_relay_may_be_named_by_the_nodes_address_or_by_an_instance_alone() {
    let from = ("from", "alerts@example.com");
    let r = build(&[
        from,
        ("host_ip", "10.0.0.1"),
        ("host_port", "tcp://10.0.0.1:26"),
    ])
    .unwrap();
    let mut s = BackendSettings::new(OPTIONS);
    for (key, value) in [from, ("host_ip", "10.0.0.1"), ("host_port", "26")] {
        s.set(Origin::Env, key, value).unwrap();
    }
    let d = r.destination(&s.instance("default")).unwrap().unwrap();
    assert!(d.as_str().starts_with("smtp:10.0.0.1:26:"), "{d}");

    let mut s = BackendSettings::new(OPTIONS);
    s.set(Origin::Flag, "from", "alerts@example.com").unwrap();
    s.set_instance("team", "server", "relay.example:2525")
        .unwrap();
    s.set_instance("team", "pool", "7").unwrap();
    let r = SmtpFactory.build(&s).unwrap();
    assert_eq!(r.destination(&s.instance("default")).unwrap(), None);
    let d = r.destination(&s.instance("team")).unwrap().unwrap();
    assert!(d.as_str().starts_with("smtp:relay.example:2525:"), "{d}");
    assert_eq!(r.capability().concurrency, 7);
}

#[test]
fn destinations_differ_by_relay_and_user_and_show_no_password() {
    let of = |server: &str, user: &str, password: &str| {
        let mut s = BackendSettings::new(OPTIONS);
        for (key, value) in [
            ("server", server),
            ("user", user),
            ("password", password),
            ("tls", "none"),
            ("from", "alerts@example.com"),
        ] {
            s.set(Origin::Flag, key, value).unwrap();
        }
        let r = SmtpFactory.build(&s).unwrap();
        let d = r.destination(&s.instance("default")).unwrap().unwrap();
        assert!(!format!("{r:?} {d}").contains("s3cr3t"));
        d
    };
    let a = of("relay.example:25", "u", "s3cr3t-1");
    // A password that changes is the same destination.
    assert_eq!(a, of("relay.example:25", "u", "s3cr3t-2"));
    assert_ne!(a, of("relay.example:25", "v", "s3cr3t-1"));
    assert_ne!(a, of("relay.example:26", "u", "s3cr3t-1"));
}

#[test]
fn without_any_relay_it_is_a_mistake_of_configuration() {
    assert_eq!(build(&[]).unwrap_err().kind(), ErrorKind::Config);
}
