//! Restrictions, block lists, logins and TLS.

use super::*;

#[test]
fn lists_that_let_all_through() {
    let rule = "relay-restrictions";
    let relay = "smtpd_relay_restrictions";
    for open in [
        "",
        "permit",
        "permit, reject_unauth_destination",
        "permit_mynetworks",
        "warn_if_reject, reject_unauth_destination",
    ] {
        expect(
            &format!("{relay} = {open}\n"),
            rule,
            &[(State::Crit, relay, 1)],
        );
    }
    for closed in [
        "permit_mynetworks, defer_unauth_destination",
        "permit_sasl_authenticated, reject",
    ] {
        expect(&format!("{relay} = {closed}\n"), rule, &[]);
    }
    expect(
        &format!(
            "{relay} =\nsmtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination\n"
        ),
        rule,
        &[],
    );
    expect(
        &format!(
            "smtpd_restriction_classes = ours\nours = reject_unauth_destination\n{relay} = permit_mynetworks, ours\n"
        ),
        rule,
        &[],
    );
    // What is not set has the default of the level.
    expect("myhostname = a.corp.example\n", rule, &[]);
    expect("compatibility_level = 3.6\n", rule, &[]);
    let recipient = "smtpd_recipient_restrictions";
    let lacking = format!("{recipient} = permit_mynetworks, reject_unknown_client_hostname\n");
    expect(&lacking, rule, &[(State::Crit, recipient, 1)]);
    expect(&format!("{lacking}compatibility_level = 2\n"), rule, &[]);
    expect(
        "compatibility_level = 0\n",
        rule,
        &[(State::Crit, relay, 0)],
    );
    let rule = "relay-restrictions-leak";
    for leak in [
        "check_recipient_access inline:{gmail.com=OK}",
        "check_sender_access inline:{corp.example=OK}",
        "check_helo_access static:OK",
    ] {
        expect(
            &format!("mydestination = corp.example\n{relay} = {leak}, reject_unauth_destination\n"),
            rule,
            &[(State::Crit, relay, 2)],
        );
    }
    for none in [
        "check_recipient_access inline:{corp.example=OK}",
        "check_sender_access inline:{x.example=REJECT}",
        "check_client_access inline:{10.1=OK}",
    ] {
        expect(
            &format!("mydestination = corp.example\n{relay} = {none}, reject_unauth_destination\n"),
            rule,
            &[],
        );
    }
    expect(
        &format!("{relay} = reject_unauth_destinaton\n"),
        "restriction-unknown",
        &[(State::Crit, relay, 1)],
    );
}

#[test]
fn containers_and_their_names() {
    let rule = "helo-before-mynetworks";
    let list = "smtpd_recipient_restrictions";
    expect(
        &format!("{list} = reject_invalid_hostname, permit_mynetworks, reject_non_fqdn_hostname\n"),
        rule,
        &[(State::Warn, list, 1)],
    );
    expect(
        "smtpd_helo_restrictions = reject_non_fqdn_helo_hostname\n",
        rule,
        &[(State::Warn, "smtpd_helo_restrictions", 1)],
    );
    expect(
        &format!("{list} = permit_mynetworks, reject_invalid_helo_hostname\n"),
        rule,
        &[],
    );
}

#[test]
fn lists_of_the_dead() {
    let rule = "dnsbl-dead";
    let list = "smtpd_client_restrictions";
    expect(
        &format!(
            "{list} = reject_rbl_client zen.spamhaus.org,\n reject_rbl_client dnsbl.njabl.org,\n reject_rbl_client spam.dnsbl.sorbs.net=127.0.0.6\n"
        ),
        rule,
        &[(State::Warn, list, 1), (State::Warn, list, 1)],
    );
    expect(
        "postscreen_dnsbl_sites = dnsbl.sorbs.net*2\n",
        rule,
        &[(State::Warn, "postscreen_dnsbl_sites", 1)],
    );
    // This one takes no word of its own.
    expect(
        &format!("{list} = reject_maps_rbl, reject_rbl_client bl.njabl.org\n"),
        rule,
        &[(State::Warn, list, 1)],
    );
    let main = "smtpd_restriction_classes = ours\nours = reject_rbl_client A.example=127.0.0.2\n\
        smtpd_helo_restrictions = ours, reject_rhsbl_helo names.example\n\
        postscreen_dnsbl_sites = b.example*2, c.example=127.0.0.[2..11]*3\n";
    let config = Config::parse(main, "main.cf", "/x");
    let zones = rules::zones(&Review::new(&config, &Fake::default(), Path::new("/x")));
    assert_eq!(zones, ["a.example", "b.example", "c.example"]);
    let main = format!("{list} = reject_rbl_client zen.spamhaus.org\n");
    let files = Fake::default().file("/etc/postfix/main.cf", &main, 1).file(
        "/var/spool/postfix/etc/resolv.conf",
        "nameserver 8.8.8.8\n",
        1,
    );
    let all = found(&checks_of(files));
    assert!(
        all.iter()
            .any(|(r, s, ..)| r == "dnsbl-resolver" && *s == State::Warn),
        "{all:?}"
    );
}

#[test]
fn passwords_in_clear() {
    let rule = "sasl-without-tls";
    let on = "smtpd_sasl_auth_enable = yes\n";
    let at = |state| [(state, "smtpd_sasl_auth_enable", 1)];
    expect(on, rule, &at(State::Crit));
    expect(
        &format!("{on}smtpd_tls_security_level = may\n"),
        rule,
        &at(State::Warn),
    );
    expect(
        &format!("{on}smtpd_use_tls = yes\nsmtpd_tls_auth_only = yes\n"),
        rule,
        &[],
    );
    expect(
        &format!("{on}smtpd_tls_security_level = encrypt\n"),
        rule,
        &[],
    );
    // Nothing crosses a network.
    expect(&format!("{on}inet_interfaces = loopback-only\n"), rule, &[]);
    let rule = "sasl-password-in-clear";
    let on = "smtp_sasl_auth_enable = yes\n";
    let at = |state| [(state, "smtp_sasl_auth_enable", 1)];
    expect(on, rule, &at(State::Crit));
    expect(
        &format!("{on}smtp_tls_security_level = may\n"),
        rule,
        &at(State::Crit),
    );
    expect(
        &format!("{on}smtp_tls_security_level = encrypt\n"),
        rule,
        &[],
    );
    expect(
        &format!("{on}smtp_tls_security_level = encrypt\n"),
        "tls-unverified",
        &[(State::Ok, "smtp_tls_security_level", 2)],
    );
    expect(
        "a = b\n",
        "tls-missing",
        &[
            (State::Warn, "smtp_tls_security_level", 0),
            (State::Warn, "smtpd_tls_security_level", 0),
        ],
    );
    expect(
        "smtpd_tls_security_level = none\nsmtp_tls_security_level = none\n",
        "tls-missing",
        &[],
    );
    expect(
        "smtpd_tls_protocols = !SSLv2\n",
        "tls-old",
        &[(State::Warn, "smtpd_tls_protocols", 1)],
    );
    expect("smtpd_tls_protocols = >=TLSv1.2\n", "tls-old", &[]);
}
