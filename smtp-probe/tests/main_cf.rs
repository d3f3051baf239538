//! The review of main.cf, over files and over the configurations of real servers.

use std::{fs, path::Path};

use notifier_testkit::{peer, postfix::Postfix, smtp::Certificates};
use smtp_probe::{Check, Prober, State, Target};

/// Reviews a file; nobody listens at the target.
async fn review(path: &Path) -> Vec<Check> {
    let mut target = Target::parse("127.0.0.1:1").unwrap();
    target.main_cf = Some(path.to_owned());
    let report = Prober::new(target).run().await;
    let checks = report.checks.into_iter();
    checks.filter(|c| c.id == "main_cf").collect()
}

/// Rule, state and line of each finding.
fn found(checks: &[Check]) -> Vec<(String, State, u64)> {
    let of = |c: &Check| {
        let data = c.data.as_ref()?;
        Some((
            data["rule"].as_str()?.to_owned(),
            c.state,
            data["line"].as_u64().unwrap_or(0),
        ))
    };
    checks.iter().filter_map(of).collect()
}

#[track_caller]
fn expect(checks: &[Check], expected: &[(&str, State, u64)]) {
    let found = found(checks);
    let texts: Vec<&str> = checks.iter().map(|c| c.text.as_str()).collect();
    for (rule, state, line) in expected {
        let is_there = found
            .iter()
            .any(|(r, s, l)| (r.as_str(), s, l) == (rule, state, line));
        assert!(
            is_there,
            "{rule} {state} in line {line} is missing:\n{}",
            texts.join("\n")
        );
    }
}

/// An application node's relay, as one finds them: its lines are what the expectations name.
const FOUND_IN_THE_WILD: &str = "\
# An application node's relay
soft_bounce = no
queue_directory = /var/spool/postfix
mynetworks = 127.0.0.0/8, 192.0.0.0/8
myhostname = relay.yourdomain
mydomain = yourdomain
relay_domains = $mydomain,
    outlook.com
mydestination = $myhostname, localhost
mynetworks_style = host

virtual_alias_maps = hash:/etc/postfix/aliases-of-alerts
mime_header_checks = pcre:/etc/postfix/body_checks
smtpd_banner = $myhostname
sample_directory = /usr/share/doc/postfix-2.6.6/samples
readme_directory = /usr/share/doc/postfix-2.6.6/README_FILES
smtpd_sasl_auth_enable = yes
smtpd_sasl_application_name = smtpd
smtpd_recipient_restrictions = permit_sasl_authenticated,
    reject_invalid_hostname,
    permit_mynetworks,
    reject_unauth_destination,
    reject_rbl_client zen.spamhaus.org,
    reject_rbl_client combined.njabl.org,
    reject_rbl_client dnsbl.sorbs.net,
    permit
replay_domains = outlook.com
soft_bounce = yes
";

#[tokio::test]
async fn each_mistake_is_found_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("main.cf");
    fs::write(&main, FOUND_IN_THE_WILD).unwrap();
    let aliases = folder.path().join("aliases-of-alerts");
    fs::write(
        &aliases,
        "# to people\nalerts@yourdomain oncall\\@yourdoamin\n",
    )
    .unwrap();
    let checks = review(&main).await;
    expect(
        &checks,
        &[
            ("duplicate", State::Warn, 2),
            ("mynetworks-public", State::Crit, 4),
            ("hostname", State::Warn, 5),
            ("hostname", State::Warn, 6),
            ("relay-domains-provider", State::Crit, 7),
            ("mynetworks-style", State::Ok, 10),
            ("table-syntax", State::Warn, 12),
            ("table-type", State::Warn, 13),
            ("table-missing", State::Warn, 13),
            ("table-misnamed", State::Warn, 13),
            ("banner", State::Ok, 14),
            ("obsolete", State::Ok, 15),
            ("other-version", State::Warn, 15),
            ("other-version", State::Warn, 16),
            ("sasl-without-tls", State::Crit, 17),
            ("obsolete", State::Ok, 18),
            ("helo-before-mynetworks", State::Warn, 19),
            ("dnsbl-dead", State::Warn, 19),
            ("unknown-parameter", State::Warn, 27),
            ("soft-bounce", State::Warn, 28),
            ("tls-missing", State::Warn, 0),
        ],
    );
    let of = |rule: &str| {
        checks
            .iter()
            .find(|c| c.data.as_ref().is_some_and(|d| d["rule"] == rule))
            .unwrap()
    };
    let networks = of("mynetworks-public");
    assert_eq!(networks.subject.as_deref(), Some("mynetworks"));
    assert!(
        networks
            .text
            .starts_with("line 4: mynetworks = 127.0.0.0/8, 192.0.0.0/8: "),
        "{}",
        networks.text
    );
    assert!(
        networks
            .text
            .contains("16,711,680 of its 16,777,216 addresses"),
        "{}",
        networks.text
    );
    assert!(networks.hint.as_ref().unwrap().contains("192.168.0.0/16"));
    let dead: Vec<&str> = checks
        .iter()
        .map(|c| c.text.as_str())
        .filter(|t| t.contains("is gone since"))
        .collect();
    assert_eq!(dead.len(), 2, "{dead:?}");
    assert!(dead[0].contains("line 24: combined.njabl.org"), "{dead:?}");
    // The lines are those of the file.
    for check in &checks {
        let data = check.data.as_ref().unwrap();
        if let Some(line) = data["line"].as_u64() {
            let text = FOUND_IN_THE_WILD
                .lines()
                .nth(usize::try_from(line).unwrap() - 1)
                .unwrap();
            let subject = check.subject.as_deref().unwrap();
            assert!(text.starts_with(subject), "{subject} is not in {text:?}");
        }
    }
}

/// The main.cf that a page of 2016 recommends, where the page is at hand.
#[tokio::test]
async fn the_page_that_this_began_with() {
    const NAME: &str = "main.cf of chronos-postfix.txt";
    let page =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/situations/chronos-postfix.txt");
    let Ok(page) = fs::read_to_string(page) else {
        return peer::skipped(NAME, "../shared/situations is not here");
    };
    let (_, rest) = page.split_once("```\nsoft_bounce").unwrap();
    let (inner, _) = rest.split_once("\n```").unwrap();
    let text = format!("soft_bounce{inner}\n");
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("main.cf");
    fs::write(&main, &text).unwrap();
    let (_, table) = page.split_once("```\ninfo@").unwrap();
    let (entry, _) = table.split_once("\n```").unwrap();
    fs::write(folder.path().join("virtual"), format!("info@{entry}\n")).unwrap();
    let line = |start: &str| 1 + text.lines().position(|l| l.starts_with(start)).unwrap() as u64;
    let checks = review(&main).await;
    let restrictions = line("smtpd_recipient_restrictions");
    expect(
        &checks,
        &[
            ("mynetworks-public", State::Crit, line("mynetworks ")),
            ("hostname", State::Warn, line("myhostname")),
            ("hostname", State::Warn, line("mydomain")),
            ("relay-domains-provider", State::Crit, line("relay_domains")),
            ("sample-name", State::Warn, line("relay_domains")),
            ("table-syntax", State::Warn, line("virtual_alias_maps")),
            ("table-type", State::Warn, line("mime_header_checks")),
            ("table-missing", State::Warn, line("mime_header_checks")),
            ("banner", State::Ok, line("smtpd_banner")),
            ("other-version", State::Warn, line("sample_directory")),
            ("other-version", State::Warn, line("readme_directory")),
            (
                "sasl-without-tls",
                State::Crit,
                line("smtpd_sasl_auth_enable"),
            ),
            ("dnsbl-dead", State::Warn, restrictions),
            ("tls-missing", State::Warn, 0),
        ],
    );
    let texts: Vec<&str> = checks.iter().map(|c| c.text.as_str()).collect();
    let has = |part: &str| assert!(texts.iter().any(|t| t.contains(part)), "{part}: {texts:#?}");
    has("15,728,640 of its 16,777,216 addresses are public");
    has("gmail.com is a public mailbox provider");
    has("dnsbl.njabl.org is gone");
    has("dnsbl.sorbs.net is gone");
    peer::ran(NAME);
}

/// What `postconf -n` prints is read as well.
#[tokio::test]
async fn output_of_postconf() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("printed");
    fs::write(&path, "compatibility_level = 3.6\r\nmynetworks = 0.0.0.0/0\r\nsmtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\r\n").unwrap();
    expect(
        &review(&path).await,
        &[("mynetworks-everyone", State::Crit, 2)],
    );
}

#[tokio::test]
async fn a_file_that_is_not_there_is_unknown() {
    let checks = review(Path::new("/nowhere/main.cf")).await;
    assert_eq!(checks.len(), 1);
    assert_eq!(checks[0].state, State::Unknown);
}

fn findings_of(checks: &[Check]) -> Vec<&str> {
    let bad = checks.iter().filter(|c| c.state > State::Ok);
    bad.map(|c| c.text.as_str()).collect()
}

/// Servers that are set up well have nothing to mend, and an open one has.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_real_servers() {
    const NAME: &str = "main.cf of real Postfix servers";
    let certificates = Certificates::new();
    let identity = certificates.valid();
    let upstream = Postfix::builder("upstream")
        .mailboxes(&["user"])
        .identity(&identity)
        .login("relay", "relay-secret")
        .submission()
        .implicit_tls();
    let Some(upstream) = upstream.start_or_skip().await else {
        return;
    };
    let relay = Postfix::builder("relay")
        .trusts("127.0.0.0/8")
        .identity(&identity)
        .hands_on_to(&upstream, "relay", "relay-secret", &certificates.ca_pem())
        .start_or_skip()
        .await;
    let closed = Postfix::builder("closed")
        .mailboxes(&["user"])
        .start_or_skip()
        .await;
    let open = Postfix::builder("open").open().start_or_skip().await;
    let (Some(relay), Some(closed), Some(open)) = (relay, closed, open) else {
        return;
    };
    for good in [&upstream, &relay, &closed] {
        let checks = review(&good.main_cf()).await;
        assert_eq!(
            findings_of(&checks),
            Vec::<&str>::new(),
            "{}",
            good.hostname()
        );
        assert!(!format!("{checks:?}").contains("relay-secret"));
    }
    let checks = review(&open.main_cf()).await;
    let crit: Vec<&Check> = checks.iter().filter(|c| c.state == State::Crit).collect();
    assert_eq!(crit.len(), 1, "{checks:#?}");
    assert_eq!(crit[0].subject.as_deref(), Some("mynetworks"));
    peer::ran(NAME);
}
