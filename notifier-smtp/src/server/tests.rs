use notifier_core::SettingsBuilder;

use super::*;
use crate::OPTIONS;

fn read(values: &[(&str, &str)]) -> Result<Option<Server>> {
    let mut s = SettingsBuilder::new(OPTIONS);
    for (k, v) in values {
        s = s.set(k, v);
    }
    Server::read(&s.build()?.instance("default"))
}

fn at(values: &[(&str, &str)]) -> (String, Tls) {
    let s = read(values).unwrap().unwrap();
    (s.to_string(), s.tls)
}

fn refused(values: &[(&str, &str)]) -> String {
    let e = read(values).unwrap_err();
    assert_eq!(e.kind(), notifier_core::ErrorKind::Config);
    e.to_string()
}

const USER: [(&str, &str); 2] = [("user", "u"), ("password", "s3cr3t")];

#[test]
fn ports_and_tls_follow_from_the_form_of_the_server_and_from_a_user() {
    use Tls::{Implicit, None as Plain, Opportunistic, Required};
    let rows: [(&str, &str, bool, &str, Tls); 16] = [
        ("relay", "", false, "relay:25", Opportunistic),
        (
            "Relay.Example",
            "",
            false,
            "relay.example:25",
            Opportunistic,
        ),
        ("relay", "", true, "relay:587", Required),
        ("relay:2525", "", true, "relay:2525", Required),
        ("smtp://relay", "", false, "relay:25", Opportunistic),
        ("smtp://relay/", "", true, "relay:587", Required),
        ("SMTPS://relay", "", false, "relay:465", Implicit),
        (
            "smtps://relay:4465",
            "implicit",
            true,
            "relay:4465",
            Implicit,
        ),
        ("relay", "implicit", false, "relay:465", Implicit),
        ("relay", "none", true, "relay:587", Plain),
        ("relay", "opportunistic", true, "relay:587", Opportunistic),
        ("relay", "required", false, "relay:25", Required),
        ("[::1]:26", "", false, "[::1]:26", Opportunistic),
        ("::1", "", false, "[::1]:25", Opportunistic),
        ("10.0.0.1:26", "", false, "10.0.0.1:26", Opportunistic),
        (
            "bücher.example",
            "",
            false,
            "xn--bcher-kva.example:25",
            Opportunistic,
        ),
    ];
    for (server, tls, user, want, mode) in rows {
        let mut values = vec![("server", server)];
        if !tls.is_empty() {
            values.push(("tls", tls));
        }
        if user {
            values.extend(USER);
        }
        assert_eq!(at(&values), (want.to_owned(), mode), "{server}");
    }
}

#[test]
fn who_names_an_authority_or_a_name_wants_it_checked() {
    let relay = ("server", "relay");
    for named in [("ca", "/ca.pem"), ("tls_name", "mail.example")] {
        let want = ("relay:25".to_owned(), Tls::Required);
        assert_eq!(at(&[relay, named]), want);
        let ip = at(&[("host_ip", "10.1.2.3"), named]);
        assert_eq!(ip, ("10.1.2.3:25".to_owned(), Tls::Required));
        assert_eq!(at(&[("server", "smtps://relay"), named]).1, Tls::Implicit);
        // Said outright, it holds.
        let said = at(&[relay, named, ("tls", "opportunistic")]);
        assert_eq!(said.1, Tls::Opportunistic);
        assert_eq!(at(&[relay, named, ("tls", "none")]).1, Tls::None);
    }
}

#[test]
fn what_is_seldom_meant_is_told() {
    let told = |more: &[(&str, &str)]| {
        let all = [&[("server", "relay")], more].concat();
        read(&all).unwrap().unwrap().warnings()
    };
    let none = ("tls", "none");
    assert!(told(&[none]).is_empty() && told(&USER).is_empty());
    let said = told(&[&USER[..], &[none]].concat());
    assert!(
        said.len() == 1 && said[0].starts_with("the password goes out without TLS"),
        "{said:?}"
    );
    for mode in ["opportunistic", "none"] {
        let said = told(&[("ca", "/ca.pem"), ("tls", mode)]);
        assert!(said.len() == 1 && said[0].contains("-smtp.ca"), "{said:?}");
    }
    assert!(told(&[("ca", "/ca.pem")]).is_empty());
}

#[test]
fn kubernetes_names_the_relay_by_address_and_port() {
    let ip = ("host_ip", "10.1.2.3");
    assert_eq!(at(&[ip]).0, "10.1.2.3:25");
    assert_eq!(at(&[ip, ("host_port", "2525")]).0, "10.1.2.3:2525");
    assert_eq!(
        at(&[ip, ("host_port", "tcp://10.9.9.9:26")]).0,
        "10.1.2.3:26"
    );
    assert_eq!(at(&[ip, ("host_port", "tcp://[::1]:26")]).0, "10.1.2.3:26");
    assert_eq!(at(&[("host_ip", "fd00::1")]).0, "[fd00::1]:25");
    assert_eq!(at(&[ip, ("server", "relay")]).0, "relay:25");
    for wrong in ["tcp://10.0.0.1", "0", "x", "65536", "+25"] {
        assert!(refused(&[ip, ("host_port", wrong)]).starts_with("smtp.host_port: "));
    }
    assert!(refused(&[("host_ip", "a b")]).starts_with("smtp.host_ip: "));
    assert!(read(&[]).unwrap().is_none());
}

#[test]
fn what_is_wrong_is_refused_without_showing_a_password() {
    for server in [
        "smtp://me:s3cr3t@relay",
        "me:s3cr3t@relay",
        "http://relay",
        "relay:x",
        "relay:0",
        "",
        "smtp://",
        "relay:25/path",
        "a b",
        "[relay]",
        "relay\r\nQUIT",
        "-relay",
        ":25",
    ] {
        if server.is_empty() {
            continue;
        }
        let e = refused(&[("server", server)]);
        assert!(
            e.starts_with("smtp.server: ") && !e.contains("s3cr3t"),
            "{server}: {e}"
        );
    }
    let relay = ("server", "relay");
    for (server, tls) in [
        ("smtps://relay", "none"),
        ("smtps://relay", "required"),
        ("smtp://relay", "implicit"),
    ] {
        assert!(refused(&[("server", server), ("tls", tls)]).starts_with("smtp.tls: "));
    }
    for helo in ["a b", "x\r\nMAIL", "10.0.0.1", "[relay]", "[]"] {
        assert!(
            refused(&[relay, ("helo", helo)]).starts_with("smtp.helo: "),
            "{helo}"
        );
    }
    for helo in ["host.example", "[10.0.0.1]", "[IPv6:::1]"] {
        let server = read(&[relay, ("helo", helo)]).unwrap().unwrap();
        assert_eq!(server.helo.as_deref(), Some(helo));
    }
    assert!(refused(&[relay, USER[0]]).contains("smtp.password"));
}

#[test]
fn an_attempt_is_bounded_whatever_is_set() {
    let s = read(&[("server", "relay"), ("timeout", "20h"), ("pool", "64")])
        .unwrap()
        .unwrap();
    assert_eq!(s.limits.attempt(), LONGEST_ATTEMPT);
    assert_eq!(s.limits.pool, 64);
    let s = read(&[
        ("server", "relay"),
        ("timeout", "1s"),
        ("final_timeout", "2s"),
        ("connect_timeout", "1s"),
    ]);
    assert_eq!(s.unwrap().unwrap().limits.attempt(), Duration::from_secs(7));
}

#[test]
fn debug_shows_no_password() {
    let mut values = vec![("server", "relay")];
    values.extend(USER);
    let shown = format!("{:?}", read(&values).unwrap());
    assert!(
        shown.contains("relay:587") && !shown.contains("s3cr3t"),
        "{shown}"
    );
}
