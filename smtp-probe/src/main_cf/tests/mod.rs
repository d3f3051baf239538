//! The rules, over texts and made-up files.

use proptest::prelude::*;

use super::{files::Fake, *};

mod files;
mod smtpd;
mod stock;
mod values;

fn checks(main: &str) -> Vec<Check> {
    checks_of(Fake::default().file("/etc/postfix/main.cf", main, 1))
}

fn checks_of(files: Fake) -> Vec<Check> {
    review(Path::new("/etc/postfix/main.cf"), &files, 0)
}

/// Rule, state, subject and line of all that was found.
fn found(checks: &[Check]) -> Vec<(String, State, String, u64)> {
    let of = |c: &Check| {
        let data = c.data.as_ref()?;
        Some((
            data["rule"].as_str()?.to_owned(),
            c.state,
            c.subject.clone()?,
            data["line"].as_u64().unwrap_or(0),
        ))
    };
    checks.iter().filter_map(of).collect()
}

/// Asserts that a rule found just this.
#[track_caller]
fn expect(main: &str, rule: &str, expected: &[(State, &str, u64)]) {
    let checks = checks(main);
    let all = found(&checks);
    let of_rule: Vec<(State, &str, u64)> = all
        .iter()
        .filter(|(r, ..)| r == rule)
        .map(|(_, state, subject, line)| (*state, subject.as_str(), *line))
        .collect();
    assert_eq!(of_rule, expected, "{main}\n{all:#?}");
}

/// The text of the first finding of a rule.
#[track_caller]
fn text(main: &str, rule: &str) -> String {
    let checks = checks(main);
    let is = |c: &&Check| c.data.as_ref().is_some_and(|d| d["rule"] == rule);
    checks.iter().find(is).unwrap().text.clone()
}

const CLEAN: &str = "\
compatibility_level = 3.6
myhostname = mail.corp.example
mydestination =
mynetworks = 127.0.0.0/8 [::1]/128 172.17.0.0/16
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
relayhost = [smtp.next.example]:587
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = static:user:word
smtp_tls_security_level = secure
smtpd_tls_security_level = may
smtpd_tls_chain_files = /etc/ssl/mail.pem
smtpd_banner = $myhostname ESMTP
";

#[test]
fn a_good_file_has_one_check() {
    let checks = checks(CLEAN);
    let [check] = checks.as_slice() else {
        panic!("{checks:#?}");
    };
    assert_eq!((check.id, check.state), ("main_cf", State::Ok));
    assert!(check.text.contains("12 settings"), "{}", check.text);
}

#[test]
fn no_file_is_unknown() {
    let checks = checks_of(Fake::default());
    assert_eq!(checks[0].state, State::Unknown);
    assert!(checks[0].text.ends_with(": no such file"), "{checks:?}");
    assert_eq!(checks[0].class, Some(Class::Local));
}

#[test]
fn networks_that_are_too_wide() {
    let rule = "mynetworks-public";
    expect(
        "mynetworks = 127.0.0.0/8,172.0.0.0/8\n",
        rule,
        &[(State::Crit, "mynetworks", 1)],
    );
    assert_eq!(
        text("a=1\nmynetworks = 127.0.0.0/8,172.0.0.0/8\n", rule),
        "line 2: mynetworks = 127.0.0.0/8,172.0.0.0/8: contains 172.0.0.0/8: 15,728,640 of its \
         16,777,216 addresses are public, and whoever has one may send to anywhere"
    );
    expect(
        "mynetworks = 10.0.0.0/8, 192.168.0.0/16, [fc00::]/7, [::ffff:127.0.0.0]/104\n",
        rule,
        &[],
    );
    expect(
        "mynetworks = 203.0.113.9\n",
        rule,
        &[(State::Warn, "mynetworks", 1)],
    );
    expect(
        "mynetworks = !172.0.0.0/12, !172.32.0.0/11, !172.64.0.0/10, !172.128.0.0/9, 172.0.0.0/8\n",
        rule,
        &[],
    );
    expect(
        "net = 11.0.0.0/8\nmynetworks = $net\n",
        rule,
        &[(State::Crit, "mynetworks", 2)],
    );
    let everyone = "mynetworks-everyone";
    for all in ["0.0.0.0/0", "[::]/0", "static:all"] {
        expect(
            &format!("mynetworks = {all}\n"),
            everyone,
            &[(State::Crit, "mynetworks", 1)],
        );
    }
    let syntax = "mynetworks-syntax";
    for wrong in ["10.0.0.5/8", "2001:db8::/32", "10.0.0.0/33"] {
        expect(
            &format!("mynetworks = {wrong}\n"),
            syntax,
            &[(State::Crit, "mynetworks", 1)],
        );
    }
}

#[test]
fn networks_of_files_and_tables() {
    let main = "mynetworks = /etc/postfix/nets, hash:/etc/postfix/clients\n";
    let files = Fake::default()
        .file("/etc/postfix/main.cf", main, 1)
        .file("/etc/postfix/nets", "# ours\n10.0.0.0/16\n8.0.0.0/8\n", 1)
        .file("/etc/postfix/clients", "10.1 OK\n198 OK\n", 1)
        .file("/etc/postfix/clients.db", "", 1);
    let checks = checks_of(files);
    let texts: Vec<&str> = checks
        .iter()
        .filter(|c| c.state == State::Crit)
        .map(|c| c.text.as_str())
        .collect();
    assert_eq!(texts.len(), 2, "{checks:#?}");
    assert!(texts[0].contains("8.0.0.0/8 in /etc/postfix/nets: 16,777,216 of its"));
    assert!(texts[1].contains("198 in hash:/etc/postfix/clients"));
}

#[test]
fn networks_behind_docker() {
    let rule = "mynetworks-ingress";
    for net in [
        "10.255.0.0/16",
        "10.0.0.0/24",
        "10.255.0.3",
        "172.17.0.1",
        "172.18.0.1/32",
    ] {
        expect(
            &format!("mynetworks = {net}\n"),
            rule,
            &[(State::Crit, "mynetworks", 1)],
        );
    }
    expect(
        "mynetworks = 10.0.0.0/8\n",
        rule,
        &[(State::Ok, "mynetworks", 1)],
    );
    expect("mynetworks = 172.17.0.0/16, 10.1.0.0/16\n", rule, &[]);
    // What is as likely a machine or a router of one's own.
    for host in ["10.0.0.9", "192.168.0.1", "10.1.0.1/32"] {
        expect(
            &format!("mynetworks = {host}\n"),
            rule,
            &[(State::Warn, "mynetworks", 1)],
        );
    }
    for name in ["localhost", "mail/24", ".corp.example", "10.2"] {
        expect(
            &format!("mynetworks = {name} 10.1.0.0/16\n"),
            "mynetworks-name",
            &[(State::Warn, "mynetworks", 1)],
        );
    }
}

#[test]
fn whose_network_a_style_trusts() {
    let rule = "mynetworks-style";
    expect(
        "mynetworks_style = class\n",
        rule,
        &[(State::Crit, "mynetworks_style", 1)],
    );
    expect(
        "mynetworks_style = subnet\n",
        rule,
        &[(State::Warn, "mynetworks_style", 1)],
    );
    expect("mynetworks_style = host\n", rule, &[]);
    expect("compatibility_level = 2\n", rule, &[]);
    expect("inet_interfaces = loopback-only\n", rule, &[]);
    for old in ["a = b\n", "compatibility_level = 1\n"] {
        expect(old, rule, &[(State::Warn, "mynetworks", 0)]);
    }
    expect(
        "mynetworks =\nmynetworks_style = class\n",
        rule,
        &[(State::Ok, "mynetworks_style", 2)],
    );
}

#[test]
fn domains_that_are_not_ours() {
    let rule = "relay-domains-provider";
    expect(
        "relay_domains = corp.example, gmail.com\n",
        rule,
        &[(State::Crit, "relay_domains", 1)],
    );
    expect(
        "relay_domains = corp.example,\n  yahoo.co.uk,\n  hotmail.de\n",
        rule,
        &[
            (State::Crit, "relay_domains", 1),
            (State::Crit, "relay_domains", 1),
        ],
    );
    assert!(
        text("relay_domains = a.example,\n  gmail.com\n", rule).contains(": line 2: gmail.com is")
    );
    expect(
        "relay_domains = com .net\n",
        "relay-domains-tld",
        &[
            (State::Crit, "relay_domains", 1),
            (State::Crit, "relay_domains", 1),
        ],
    );
    expect(
        "relay_domains = static:all\n",
        "relay-domains-all",
        &[(State::Crit, "relay_domains", 1)],
    );
    expect("relay_domains = corp.example\n", rule, &[]);
    expect(
        "mydestination = gmail.com\n",
        "destination-provider",
        &[(State::Warn, "mydestination", 1)],
    );
    let rule = "virtual-static";
    expect(
        "virtual_mailbox_maps = static:x/\n",
        rule,
        &[(State::Crit, "virtual_mailbox_maps", 1)],
    );
    expect(
        "virtual_mailbox_maps = static:x/\nvirtual_mailbox_domains =\n",
        rule,
        &[],
    );
    expect(
        "allow_untrusted_routing = yes\n",
        "untrusted-routing",
        &[(State::Crit, "allow_untrusted_routing", 1)],
    );
    expect(
        "smtpd_authorized_xclient_hosts = 203.0.113.0/24\n",
        "proxies-public",
        &[(State::Crit, "smtpd_authorized_xclient_hosts", 1)],
    );
    expect(
        "smtpd_authorized_xclient_hosts = 10.0.0.0/8\n",
        "proxies-public",
        &[],
    );
}

#[test]
fn the_next_server() {
    expect(
        "relayhost = smtp.next.example:587\n",
        "relayhost-unbracketed",
        &[(State::Warn, "relayhost", 1)],
    );
    expect(
        "relayhost = [smtp.next.example]:587\n",
        "relayhost-unbracketed",
        &[],
    );
    expect(
        "relayhost = [smtp.sendgrid.net]\n",
        "relayhost-port",
        &[(State::Warn, "relayhost", 1)],
    );
    expect(
        "relayhost = [smtp.next.example]:25\n",
        "relayhost-port",
        &[(State::Ok, "relayhost", 1)],
    );
    expect("relayhost = [10.0.0.9]:25\n", "relayhost-port", &[]);
    assert!(
        text("relayhost = 2001:db8::9\n", "relayhost-unbracketed").contains("2001:db8::9 without")
    );
    // The MX of the domain are others.
    expect(
        "myhostname = a.corp.example\nmydomain = corp.example\nrelayhost = $mydomain\n",
        "relayhost-loop",
        &[],
    );
    let rule = "relayhost-loop";
    expect(
        "myhostname = a.corp.example\nrelayhost = [a.corp.example]\n",
        rule,
        &[(State::Warn, "relayhost", 2)],
    );
    expect("relayhost = [127.0.0.1]:2587\n", rule, &[]);
    expect(
        "mynetworks = 10.0.0.0/8\nrelayhost = [10.0.0.9]:2525\n",
        "relayhost-trusted",
        &[(State::Warn, "relayhost", 2)],
    );
}

#[test]
fn names_of_the_relay() {
    let rule = "hostname";
    for name in [
        "mail.yourdomain",
        "localhost.localdomain",
        "mail",
        "mail.example.com",
    ] {
        expect(
            &format!("myhostname = {name}\n"),
            rule,
            &[(State::Warn, "myhostname", 1)],
        );
    }
    expect(
        "myhostname = mail.corp.example\nmydomain = corp.example\n",
        rule,
        &[],
    );
    expect(
        "relay_domains = yourdomain\n",
        "sample-name",
        &[(State::Warn, "relay_domains", 1)],
    );
    expect(
        "smtpd_banner = $myhostname\n",
        "banner",
        &[(State::Ok, "smtpd_banner", 1)],
    );
    expect(
        "smtpd_banner = $myhostname ESMTP $mail_name (Debian)\n",
        "banner",
        &[],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_file_is_reviewed(main in r"((mynetworks|relay_domains|relayhost|smtpd_recipient_restrictions|virtual_alias_maps|smtpd_banner|myhostname|inet_interfaces|[a-z_]{3,9}) ?= ?([!$a-z0-9./:{}\[\], -]|hash:|check_sender_access |permit|reject|/0){0,8}\r?\n( x)?){0,12}", master in r"((smtp|[::1]:25) inet n - y - - smtpd\n( -o [a-z_=0-9./{}]{0,20}\n){0,3}){0,4}") {
        let files = Fake::default()
            .file("/etc/postfix/main.cf", &main, 1)
            .file("/etc/postfix/master.cf", &master, 1);
        let checks = checks_of(files);
        prop_assert!(!checks.is_empty());
    }
}
