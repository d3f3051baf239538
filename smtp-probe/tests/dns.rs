//! The checks of the DNS, over a server that says what it is told to.

use std::time::Duration;

use notifier_testkit::dns::{FakeDns, Zone};
use smtp_probe::{Check, Class, Level, Prober, State, Target};
use tokio::net::UdpSocket;

const ED25519: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const IDS: &[&str] = &[
    "egress_ip",
    "dnsbl",
    "ptr",
    "spf",
    "dkim",
    "dmarc",
    "mx",
    "helo_dns",
];

/// A target at which nobody listens.
fn target(domain: &str) -> Target {
    let mut target = Target::parse("127.0.0.1:1").unwrap();
    target.dns.wanted = true;
    target.from = vec![format!("alerts@{domain}")];
    target.dns.egress = Some("203.0.113.25".parse().unwrap());
    target.dns.dkim = vec!["s1".to_owned()];
    target.dns.dnsbl = vec!["bl.example".to_owned()];
    // Only what is never answered waits so long.
    target.limits.dns = Duration::from_secs(60);
    target
}

async fn ask(target: Target) -> Vec<Check> {
    let report = Prober::new(target).run().await;
    let checks = report.checks.into_iter();
    checks.filter(|c| IDS.contains(&c.id)).collect()
}

#[track_caller]
fn state(checks: &[Check], id: &str, expected: State) -> String {
    let check = checks.iter().find(|c| c.id == id);
    let check = check.unwrap_or_else(|| panic!("{id} is missing: {checks:#?}"));
    assert_eq!(check.state, expected, "{id}: {}", check.text);
    if expected > State::Ok {
        assert!(check.hint.is_some(), "{id} says nothing to do");
    }
    check.text.clone()
}

fn good() -> Zone {
    Zone::new()
        .text("corp.example", "v=spf1 mx -all")
        .text("corp.example", "another word")
        .mx("corp.example", 10, "mail.corp.example")
        .address("mail.corp.example", "203.0.113.25")
        .pointer("203.0.113.25", "mail.corp.example")
        .text("s1._domainkey.corp.example", ED25519)
        .text(
            "_dmarc.corp.example",
            "v=DMARC1; p=reject; rua=mailto:dmarc@corp.example",
        )
        .address("2.0.0.127.bl.example", "127.0.0.2")
}

#[tokio::test]
async fn all_is_well() {
    let dns = FakeDns::start(good()).await;
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("main.cf");
    std::fs::write(&main, "myhostname = mail.corp.example\n").unwrap();
    let mut target = target("corp.example");
    target.dns.server = Some(dns.address());
    target.main_cf = Some(main);
    let checks = ask(target).await;
    for id in IDS {
        state(&checks, id, State::Ok);
    }
    assert_eq!(checks.len(), IDS.len(), "{checks:#?}");
    assert!(dns.questions().iter().all(|q| !q.is_tcp));
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    let zone = Zone::new()
        .text("corp.example", "v=spf1 ip4:198.51.100.0/24 -all")
        .mx("corp.example", 0, ".")
        .pointer("203.0.113.25", "ec2-203-0-113-25.compute.example")
        .address("ec2-203-0-113-25.compute.example", "203.0.113.25")
        .text("s1._domainkey.corp.example", "v=DKIM1; p=")
        .text("_dmarc.corp.example", "v=DMARC1; p=none")
        .address("2.0.0.127.bl.example", "127.0.0.2")
        .address("25.113.0.203.bl.example", "127.0.0.3")
        .text(
            "25.113.0.203.bl.example",
            "spam, see\u{7} https://bl.example",
        );
    let dns = FakeDns::start(zone).await;
    let mut target = target("corp.example");
    target.dns.server = Some(dns.address());
    let checks = ask(target).await;
    assert!(state(&checks, "spf", State::Crit).contains("may not send"));
    assert!(state(&checks, "mx", State::Crit).contains("null MX"));
    assert!(state(&checks, "ptr", State::Warn).contains("providers give"));
    assert!(state(&checks, "dkim", State::Crit).contains("revoked"));
    assert!(state(&checks, "dmarc", State::Warn).contains("none"));
    assert!(
        state(&checks, "dnsbl", State::Crit).contains("(127.0.0.3): spam, see  https://bl.example")
    );
    state(&checks, "helo_dns", State::Skip);
}

#[tokio::test]
async fn block_lists_that_do_not_answer_are_unknown() {
    let zone = good()
        .address("2.0.0.127.refused.example", "127.0.0.2")
        .address("25.113.0.203.refused.example", "127.255.255.254")
        .address("2.0.0.127.wild.example", "192.0.2.80")
        .address("1.0.0.127.wild.example", "192.0.2.80")
        .address("25.113.0.203.wild.example", "192.0.2.80");
    let dns = FakeDns::start(zone).await;
    let mut target = target("corp.example");
    target.dns.server = Some(dns.address());
    let zones = [
        "bl.example",
        "refused.example",
        "wild.example",
        "dead.example",
    ];
    target.dns.dnsbl = zones.map(str::to_owned).to_vec();
    let checks = ask(target).await;
    for zone in zones {
        let check = checks
            .iter()
            .find(|c| c.id == "dnsbl" && c.subject.as_deref() == Some(zone))
            .unwrap();
        let expected = if zone == "bl.example" {
            State::Ok
        } else {
            State::Unknown
        };
        assert_eq!(check.state, expected, "{}", check.text);
    }
}

#[tokio::test]
async fn records_of_the_rigs_kind() {
    let zone = Zone::new()
        .text("two.example", "v=spf1 -all")
        .text("two.example", "v=spf1 +all")
        .text("open.example", "v=spf1 +all")
        .text(
            "many.example",
            &format!("v=spf1 {}-all", "include:many.example ".repeat(11)),
        )
        .alias("alias.example", "real.example")
        .address("real.example", "203.0.113.25")
        .mx("cname.example", 10, "alias.example");
    let dns = FakeDns::start(zone).await;
    let mut target = target("two.example");
    target.dns.server = Some(dns.address());
    let domains = [
        "two.example",
        "open.example",
        "many.example",
        "cname.example",
    ];
    target.dns.domains = domains.map(str::to_owned).to_vec();
    let checks = ask(target).await;
    let of = |id: &str, domain: &str| {
        checks
            .iter()
            .find(|c| c.id == id && c.subject.as_deref() == Some(domain))
            .unwrap()
    };
    for (domain, words) in [
        ("two.example", "2 v=spf1 records"),
        ("open.example", "lets every address"),
        ("many.example", "more than 10 lookups"),
    ] {
        let spf = of("spf", domain);
        assert_eq!(spf.state, State::Crit);
        assert!(spf.text.contains(words), "{}", spf.text);
    }
    assert_eq!(of("spf", "cname.example").state, State::Warn);
    let mx = of("mx", "cname.example");
    assert_eq!(mx.state, State::Crit);
    assert!(mx.text.contains("CNAME"), "{}", mx.text);
}

#[tokio::test]
async fn what_does_not_fit_is_asked_for_by_tcp() {
    let long = format!(
        "v=spf1 {}ip4:203.0.113.25 -all",
        "ip4:198.51.100.0/24 ".repeat(80)
    );
    let zone = good().text("long.example", &long).truncated("long.example");
    let dns = FakeDns::start(zone).await;
    let mut target = target("long.example");
    target.dns.server = Some(dns.address());
    let checks = ask(target).await;
    state(&checks, "spf", State::Ok);
    let by_tcp = |tcp: bool| {
        dns.questions()
            .iter()
            .any(|q| q.name == "long.example" && q.is_tcp == tcp)
    };
    assert!(by_tcp(false) && by_tcp(true));
}

#[tokio::test]
async fn servers_that_fail_are_unknown() {
    let names = [
        "corp.example",
        "s1._domainkey.corp.example",
        "_dmarc.corp.example",
        "25.113.0.203.bl.example",
        "25.113.0.203.in-addr.arpa",
    ];
    let zone = names.iter().fold(good(), |zone, name| zone.fails(name));
    let dns = FakeDns::start(zone).await;
    let mut target = target("corp.example");
    target.dns.server = Some(dns.address());
    let checks = ask(target).await;
    for id in ["spf", "dkim", "dmarc", "mx", "dnsbl", "ptr"] {
        state(&checks, id, State::Unknown);
        let check = checks.iter().find(|c| c.id == id).unwrap();
        assert_eq!(check.class, Some(Class::Dns));
    }
}

#[tokio::test]
async fn silence_is_unknown_and_ends() {
    let names = ["corp.example", "_dmarc.corp.example"];
    let zone = names
        .iter()
        .fold(Zone::new(), |zone, name| zone.silent(name));
    let dns = FakeDns::start(zone).await;
    let mut target = target("corp.example");
    target.dns.server = Some(dns.address());
    target.limits.dns = Duration::from_millis(200);
    let checks = ask(target).await;
    for id in ["spf", "dmarc", "mx"] {
        state(&checks, id, State::Unknown);
    }
    dns.wait(|asked| asked.iter().any(|q| q.name == "corp.example"))
        .await;
}

/// At the deepest level, on a machine without a DNS.
#[tokio::test]
async fn no_resolver_is_no_verdict() {
    let mute = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut target = target("corp.example");
    target.dns.wanted = false;
    target.level = Level::Deep;
    target.dns.server = Some(mute.local_addr().unwrap());
    target.limits.dns = Duration::from_millis(200);
    let checks = ask(target).await;
    let worst = checks
        .iter()
        .filter(|c| c.id != "egress_ip")
        .map(|c| c.state);
    let worst: Vec<State> = worst.collect();
    assert!(
        worst
            .iter()
            .all(|s| matches!(s, State::Unknown | State::Skip)),
        "{checks:#?}"
    );
    assert!(worst.contains(&State::Unknown));
}

#[tokio::test]
async fn what_is_not_known_is_not_asked() {
    let dns = FakeDns::start(Zone::new()).await;
    let mut target = Target::parse("127.0.0.1:1").unwrap();
    target.dns.server = Some(dns.address());
    target.dns.wanted = true;
    let checks = ask(target).await;
    state(&checks, "egress_ip", State::Unknown);
    for id in ["dnsbl", "ptr", "spf", "dkim", "dmarc", "mx", "helo_dns"] {
        state(&checks, id, State::Skip);
    }
    assert!(dns.questions().is_empty());
}

#[tokio::test]
async fn the_host_itself_is_asked_of_the_given_resolver_first() {
    let zone = Zone::new().address("relay.rig.test", "127.0.0.1");
    let dns = FakeDns::start(zone).await;
    for (host, by) in [
        ("relay.rig.test", format!("127.0.0.1 by {}", dns.address())),
        // No name of the DNS, and the system knows it (inet_aton(3)).
        ("127.1", String::new()),
        ("localhost", String::new()),
    ] {
        let mut target = Target::new(host, 1);
        target.level = Level::Live;
        target.limits.total = Duration::from_secs(120);
        target.limits.dns = Duration::from_secs(60);
        target.limits.connect = Duration::from_secs(60);
        target.dns.server = Some(dns.address());
        let report = Prober::new(target).run().await;
        let check = report.check("resolve").unwrap();
        assert_ne!(check.state, State::Crit, "{check:?}");
        assert!(check.text.starts_with(&by), "{check:?}");
        assert_eq!(check.text.contains(" by "), !by.is_empty(), "{check:?}");
    }
    assert!(dns.questions().iter().any(|q| !q.is_tcp));
}
