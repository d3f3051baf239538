use smtp_probe::{Battery, Bounds, Expect, Login, Password, Queue, Tls};

use super::*;
use crate::{
    check,
    options::{RUN, TARGET, all, find},
};

fn values(pairs: &[(&str, &str)]) -> Values {
    let mut out = Values::default();
    for (key, value) in pairs {
        let spec = find(TARGET, key).or_else(|| find(RUN, key)).unwrap();
        check::value(spec, value).unwrap();
        out.set(spec, [(*value).to_owned()]);
    }
    out
}

fn target(pairs: &[(&str, &str)]) -> Result<Target, Vec<String>> {
    Plan::default().target(&values(pairs), "relay.example:25")
}

fn make(
    addresses: &[&str],
    flags: &[(&str, &str)],
    run: &[(&str, &str)],
    env: &[(&str, &str)],
) -> Result<Plan, String> {
    let given = Given {
        addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
        target: values(flags),
        run: values(run),
    };
    Plan::make(given, &Env::from_pairs(env.iter().copied())).map_err(|p| p.to_string())
}

#[test]
fn the_defaults_that_are_told_are_the_librarys() {
    let said: Vec<(&str, &str)> = all(TARGET)
        .filter_map(|o| Some((o.key, o.default?)))
        .collect();
    assert!(said.len() > 15);
    assert_eq!(target(&said).unwrap(), target(&[]).unwrap());
    let with_battery = target(&[&said[..], &[("open-relay", "true")]].concat()).unwrap();
    assert_eq!(with_battery.open_relay, Some(Battery::default()));
    assert_eq!(damping(&values(&said)), Damping::default());
}

#[test]
fn each_value_gets_where_it_belongs() {
    let t = target(&[
        ("level", "deep"),
        ("from", "a@x,<>"),
        ("rcpt", "b@x"),
        ("rcpt-unknown", "true"),
        ("require", "SIZE"),
        ("forbid", "VRFY"),
        ("min-size", "1MiB"),
        ("helo", "Me.Example"),
        ("helo-short", "3f2a"),
        ("source", "192.0.2.9"),
        ("timeout", "20s"),
        ("connect-timeout", "2s"),
        ("reply-timeout", "4s"),
        ("tls", "implicit"),
        ("tls13", "true"),
        ("ca", "/ca.pem"),
        ("tls-name", "n.example"),
        ("user", "u"),
        ("password-file", "/p"),
        ("allow-clear", "true"),
        ("auth-negative", "true"),
        ("open-relay", "true"),
        ("expect", "auth"),
        ("relay-domain", "r.example"),
        ("well-known", "w.example"),
        ("own-domain", "o.example"),
        ("victim", "v@example.org"),
        ("send", "true"),
        ("canary", "imaps://c@m.example/INBOX"),
        ("canary-password-file", "/cp"),
        ("canary-ca", "/cca"),
        ("canary-warn", "3s"),
        ("canary-timeout", "9s"),
        ("queue", "/q/public/showq"),
        ("main-cf", "/m.cf"),
        ("dns", "192.0.2.53:5353"),
        ("domain", "d.example"),
        ("dkim-selector", "s1"),
        ("dnsbl", "zen.example"),
        ("egress", "203.0.113.9"),
        ("dns-timeout", "1s"),
        ("connect-time", "1,2"),
        ("greeting-time", "3,4"),
        ("cert-days", "6,5"),
        ("queue-depth", "7,8"),
        ("deferred-age", "9,10"),
        ("active-age", "11,12"),
        ("queue-growth", "13,14"),
        ("spool-free", "16,15"),
    ])
    .unwrap();
    assert_eq!(
        (t.level, t.tls, t.expect),
        (Level::Deep, Tls::Implicit, Expect::Auth)
    );
    assert_eq!(
        (t.from, t.rcpt),
        (
            vec!["a@x".to_owned(), String::new()],
            vec!["b@x".to_owned()]
        )
    );
    assert!(
        t.rcpt_unknown && t.tls13 && t.allow_clear && t.auth_negative && t.send && t.dns.wanted
    );
    assert_eq!(
        (t.require, t.forbid, t.min_size),
        (vec!["SIZE".to_owned()], vec!["VRFY".to_owned()], 1 << 20)
    );
    assert_eq!(
        (t.helo.as_deref(), t.helo_short.as_deref()),
        (Some("me.example"), Some("3f2a"))
    );
    assert_eq!(t.source, Some("192.0.2.9".parse().unwrap()));
    assert_eq!(
        (t.ca, t.tls_name.as_deref()),
        (Some("/ca.pem".into()), Some("n.example"))
    );
    let login = Login {
        user: "u".to_owned(),
        password: Password::File("/p".into()),
    };
    assert_eq!(t.login, Some(login));
    let battery = t.open_relay.unwrap();
    assert_eq!(battery.relay_domains, ["r.example"]);
    assert_eq!(battery.well_known, ["w.example"]);
    assert_eq!(
        (battery.own_domain.as_deref(), battery.victim.as_str()),
        (Some("o.example"), "v@example.org")
    );
    let Some(smtp_probe::Canary::Imap(imap)) = t.canary else {
        panic!("a mailbox")
    };
    assert_eq!(
        (imap.ca, imap.login.user.as_str()),
        (Some("/cca".into()), "c")
    );
    assert_eq!(imap.login.password, Password::File("/cp".into()));
    assert_eq!(t.queue, Some(Queue::Showq("/q/public/showq".into())));
    assert_eq!(t.main_cf, Some("/m.cf".into()));
    assert_eq!(t.dns.server, Some("192.0.2.53:5353".parse().unwrap()));
    assert_eq!(
        (t.dns.domains, t.dns.dkim, t.dns.dnsbl),
        (
            vec!["d.example".to_owned()],
            vec!["s1".to_owned()],
            vec!["zen.example".to_owned()]
        )
    );
    assert_eq!(t.dns.egress, Some("203.0.113.9".parse().unwrap()));
    let seconds = Duration::from_secs;
    assert_eq!(
        (t.limits.total, t.limits.connect, t.limits.reply),
        (seconds(20), seconds(2), Some(seconds(4)))
    );
    assert_eq!(
        (t.limits.canary_warn, t.limits.canary, t.limits.dns),
        (seconds(3), seconds(9), seconds(1))
    );
    let h = &t.thresholds;
    assert_eq!(
        (h.connect, h.greeting, h.cert_days),
        (
            Bounds::new(1.0, 2.0),
            Bounds::new(3.0, 4.0),
            Bounds::new(6.0, 5.0)
        )
    );
    assert_eq!(
        (h.queue_depth, h.deferred_age),
        (Bounds::new(7.0, 8.0), Bounds::new(9.0, 10.0))
    );
    assert_eq!(
        (h.active_age, h.queue_growth, h.spool_free),
        (
            Bounds::new(11.0, 12.0),
            Bounds::new(13.0, 14.0),
            Bounds::new(16.0, 15.0)
        )
    );
}

#[test]
fn what_cannot_be_together_is_told() {
    for (pairs, expected) in [
        (
            &[("user", "u")][..],
            "user: set --password-file or SMTP_PASSWORD_FILE too",
        ),
        (&[("password-file", "/p")], "password-file: set --user too"),
        (
            &[("user", "u"), ("password-file", "/p"), ("tls", "none")],
            "tls: none would send the password in clear; set --allow-clear if that is meant",
        ),
        (
            &[("canary", "/m/")],
            "canary: set --rcpt to the address that it is sent to",
        ),
        (
            &[("canary", "queue-gone"), ("rcpt", "a@x")],
            "canary: queue-gone needs --queue",
        ),
        (
            &[("canary", "imap://a@h"), ("rcpt", "a@x")],
            "canary: a mailbox needs --canary-password-file",
        ),
        (
            &[("send", "true")],
            "send: set --rcpt to the address that a message may be sent to, or --open-relay",
        ),
    ] {
        assert_eq!(target(pairs).unwrap_err(), [expected]);
    }
}

#[test]
fn a_flag_that_does_nothing_is_a_mistake() {
    for (flags, run, expected) in [
        (
            &[("well-known", "a.org")][..],
            &[][..],
            "--well-known does nothing without --open-relay",
        ),
        (
            &[("dnsbl", "z.org")],
            &[],
            "--dnsbl does nothing without --dns or --level deep",
        ),
        (
            &[("canary-warn", "1s")],
            &[],
            "--canary-warn does nothing without --canary",
        ),
        (
            &[("queue-depth", "1,2")],
            &[],
            "--queue-depth does nothing without --queue",
        ),
        (
            &[("interval", "1s")],
            &[],
            "--interval does nothing without --listen or --watch",
        ),
        (
            &[],
            &[("probe-targets", "*.x.org")],
            "--probe-targets does nothing without --listen",
        ),
    ] {
        assert_eq!(make(&["r:25"], flags, run, &[]).unwrap_err(), expected);
    }
    assert!(
        make(
            &["r:25"],
            &[("dnsbl", "z.org"), ("level", "deep")],
            &[],
            &[]
        )
        .is_ok()
    );
}

#[test]
fn the_environment_stands_in_for_a_target() {
    let name =
        |env: &[(&str, &str)]| make(&[], &[], &[], env).map(|p| p.jobs[0].target.name.clone());
    assert_eq!(
        name(&[("SMTP_HOST_IP", "10.0.0.7")]).unwrap(),
        "10.0.0.7:25"
    );
    assert_eq!(
        name(&[("SMTP_HOST_IP", "10.0.0.7"), ("SMTP_HOST_PORT", "2525")]).unwrap(),
        "10.0.0.7:2525"
    );
    assert_eq!(
        name(&[
            ("SMTP_HOST_IP", "fd00::7"),
            ("SMTP_HOST_PORT", "tcp://10.0.0.1:587")
        ])
        .unwrap(),
        "[fd00::7]:587"
    );
    assert!(
        name(&[("SMTP_HOST_IP", "10.0.0.7"), ("SMTP_HOST_PORT", "x")])
            .unwrap_err()
            .starts_with("SMTP_HOST_PORT: ")
    );
    assert!(
        name(&[("SMTP_HOST_IP", "a b")])
            .unwrap_err()
            .starts_with("SMTP_HOST_IP: ")
    );
    let none = make(&[], &[], &[], &[]).unwrap_err();
    assert!(
        none.starts_with("no target: ") && none.lines().count() == 1,
        "{none}"
    );
    // What is on this machine needs no server.
    let local = make(&[], &[("main-cf", "/m.cf")], &[], &[]).unwrap();
    assert!(local.jobs[0].target.is_local());
    let both = [("main-cf", "/m.cf"), ("rcpt", "a@x")];
    let needs = make(&[], &both, &[], &[]).unwrap_err();
    assert_eq!(needs, "rcpt: give a TARGET, or set SMTP_HOST_IP");
    // What is named counts more.
    let named = make(&["r:25"], &[], &[], &[("SMTP_HOST_IP", "10.0.0.7")]).unwrap();
    assert_eq!(named.jobs.len(), 1);
    assert_eq!(named.jobs[0].target.name, "r:25");
    let login = make(
        &["r:25"],
        &[("user", "u")],
        &[],
        &[("SMTP_PASSWORD_FILE", "/p")],
    )
    .unwrap();
    assert!(login.jobs[0].target.login.is_some());
}

#[test]
fn a_target_named_twice_is_checked_once() {
    let plan = make(&["r:25", "s:25", "R:25"], &[], &[], &[]).unwrap();
    assert_eq!(plan.jobs.len(), 2);
}

#[test]
fn a_file_that_has_only_modules_leaves_the_target_to_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    std::fs::write(&file, "[[target]]\nname = 'm'\nlevel = 'deep'\n").unwrap();
    let run = [("config", file.to_str().unwrap())];
    let plan = make(&[], &[], &run, &[("SMTP_HOST_IP", "10.0.0.7")]).unwrap();
    assert_eq!(plan.jobs.len(), 1);
    assert_eq!(plan.jobs[0].target.name, "10.0.0.7:25");
    assert!(make(&[], &[], &run, &[]).unwrap_err().contains("no target"));
}
