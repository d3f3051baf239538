use std::time::Duration;

use notifier_core::{Clock as _, SystemClock};
use notifier_testkit::smtp::{Certificates, Identity};
use rustls::pki_types::pem::PemObject as _;

use super::*;

const DAYS: Duration = Duration::from_secs(86_400);

fn ders(pem: &str) -> Vec<CertificateDer<'static>> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes());
    all.map(|c| c.unwrap()).collect()
}

fn roots(certificates: &Certificates) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(ders(&certificates.ca_pem()).remove(0)).unwrap();
    roots
}

fn judged(identity: &Identity, roots: &RootCertStore, name: &str, now: Timestamp) -> Judged {
    let mut target = Target::new("192.0.2.1", 25);
    target.tls_name = Some(name.to_owned());
    judge(&ders(&identity.chain_pem()), Ok(roots), &target, now)
}

fn states(judged: &Judged) -> [State; 3] {
    let all: Vec<State> = judged.checks.iter().map(|c| c.state).collect();
    all.try_into().unwrap()
}

#[test]
fn each_fault_of_a_certificate_is_told_by_its_own_check() {
    let made = Certificates::new();
    let roots = roots(&made);
    let now = SystemClock.now();
    let (ok, warn, crit) = (State::Ok, State::Warn, State::Crit);
    let name = "relay.example";
    for (identity, name, want, says) in [
        (made.valid(), name, [ok, ok, ok], ""),
        (made.valid(), "127.0.0.1", [ok, ok, ok], ""),
        (made.through_another(), name, [ok, ok, ok], ""),
        (made.expired(), name, [ok, ok, crit], "expired on"),
        (
            made.expired_before_another(),
            name,
            [ok, ok, crit],
            "expired on",
        ),
        (
            made.not_yet_valid(),
            name,
            [ok, ok, crit],
            "not valid before",
        ),
        (
            made.expiring_in(10 * DAYS),
            name,
            [ok, ok, warn],
            "10.0 days left",
        ),
        (
            made.expiring_in(3 * DAYS),
            name,
            [ok, ok, crit],
            "3.0 days left",
        ),
        (
            made.wrong_name(),
            name,
            [ok, crit, ok],
            "for elsewhere.example, not for relay.example",
        ),
        (
            made.valid(),
            "192.0.2.7",
            [ok, crit, ok],
            "not for 192.0.2.7",
        ),
        (made.self_signed(), name, [crit, ok, ok], "self-signed"),
        (
            made.missing_another(),
            name,
            [crit, ok, ok],
            "sends only its own certificate; its issuer an authority between is missing",
        ),
        (
            made.other_ca(),
            name,
            [crit, ok, ok],
            "not by the certificates for tests that is trusted here",
        ),
    ] {
        let found = judged(&identity, &roots, name, now);
        assert_eq!(states(&found), want, "{found:#?}");
        // A password may go out to the first of these, and where only days run out.
        let is_good = !want.contains(&crit) || says.contains("days left");
        assert_eq!(found.is_trusted, is_good, "{found:#?}");
        let texts: Vec<&str> = found.checks.iter().map(|c| c.text.as_str()).collect();
        assert!(texts.join("\n").contains(says), "{texts:#?}");
        for check in &found.checks {
            assert_eq!(check.hint.is_some(), check.state != ok, "{check:#?}");
            let class = (check.state != ok).then_some(Class::Cert);
            assert_eq!(check.class, class, "{check:#?}");
        }
    }
}

#[test]
fn the_clock_of_the_prober_decides() {
    let made = Certificates::new();
    let roots = roots(&made);
    let identity = made.valid();
    let at = |days: i64| {
        let seconds = days * i64::try_from(DAYS.as_secs()).unwrap();
        let now = Timestamp::from_second(SystemClock.now().as_second() + seconds).unwrap();
        let found = judged(&identity, &roots, "relay.example", now);
        (states(&found)[2], found.is_trusted)
    };
    assert_eq!(at(0), (State::Ok, true));
    assert_eq!(at(60), (State::Ok, true));
    assert_eq!(at(70), (State::Warn, true));
    assert_eq!(at(84), (State::Crit, true));
    assert_eq!(at(91), (State::Crit, false));
    assert_eq!(at(-2), (State::Crit, false));
}

#[test]
fn without_authorities_nothing_is_known_of_the_chain() {
    let made = Certificates::new();
    let target = Target::new("relay.example", 25);
    let der = ders(&made.valid().chain_pem());
    let found = judge(
        &der,
        Err("--ca: cannot read ca.pem"),
        &target,
        SystemClock.now(),
    );
    assert_eq!(states(&found), [State::Unknown, State::Ok, State::Ok]);
    assert_eq!(found.checks[0].class, Some(Class::Local));
    assert!(!found.is_trusted);
}

#[test]
fn what_is_no_certificate_is_no_proof() {
    let target = Target::new("relay.example", 25);
    let roots = roots(&Certificates::new());
    for der in [
        vec![],
        vec![CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])],
    ] {
        let found = judge(&der, Ok(&roots), &target, SystemClock.now());
        assert_eq!(states(&found), [State::Crit; 3]);
        assert!(!found.is_trusted);
    }
}

#[test]
fn a_chain_that_is_sent_whole_with_a_root_of_its_own_names_that_root() {
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    let mut der = ders(&theirs.through_another().chain_pem());
    der.extend(ders(&theirs.ca_pem()));
    let target = Target::new("relay.example", 25);
    // Ours has the same name and another key, so that none of its name is trusted.
    let found = judge(
        &der,
        Ok(&RootCertStore::empty()),
        &target,
        SystemClock.now(),
    );
    assert!(
        found.checks[0]
            .text
            .contains("ends in certificates for tests"),
        "{found:#?}"
    );
    let der = &der[..2];
    let found = judge(der, Ok(&RootCertStore::empty()), &target, SystemClock.now());
    assert!(
        found.checks[0]
            .text
            .contains("its authority certificates for tests is not trusted here"),
        "{found:#?}"
    );
    let found = judge(der, Ok(&roots(&ours)), &target, SystemClock.now());
    assert_eq!(states(&found)[0], State::Crit, "{found:#?}");
}

#[test]
fn dates_and_the_chain_are_each_told_by_their_own_check() {
    let (made, others) = (Certificates::new(), Certificates::new());
    let now = SystemClock.now();
    let (ok, crit) = (State::Ok, State::Crit);
    // Nobody of these is trusted.
    let identity = made.expired_before_another();
    let found = judged(&identity, &RootCertStore::empty(), "relay.example", now);
    assert_eq!(states(&found), [crit, ok, crit], "{found:#?}");
    assert!(
        found.checks[0]
            .text
            .contains("its authority certificates for tests is not trusted here"),
        "{found:#?}"
    );
    // One of the same name is, whose signature it is not.
    let found = judged(&identity, &roots(&others), "relay.example", now);
    assert_eq!(states(&found), [crit, ok, crit], "{found:#?}");
    assert!(!found.is_trusted);
    // A server's own that none of those sent has signed.
    let mut der = ders(&identity.chain_pem());
    der[1] = ders(&others.expired_before_another().chain_pem()).remove(1);
    let target = Target::new("127.0.0.1", 25);
    let found = judge(&der, Ok(&roots(&made)), &target, now);
    assert_eq!(states(&found), [crit, ok, crit], "{found:#?}");
    // Times are told as people write them.
    for check in &found.checks {
        assert!(!check.text.contains("UNIX"), "{check:#?}");
    }
}

#[test]
fn an_old_certificate_that_is_sent_along_and_not_needed_is_a_warning() {
    let made = Certificates::new();
    let identity = made.through_another_twice();
    let found = judged(&identity, &roots(&made), "relay.example", SystemClock.now());
    assert_eq!(
        states(&found),
        [State::Ok, State::Ok, State::Warn],
        "{found:#?}"
    );
    assert!(found.is_trusted);
    let hint = found.checks[2].hint.as_deref().unwrap();
    assert!(hint.contains("an authority between"), "{hint}");
}

/// `openssl req -x509` makes a certificate that signs itself and calls itself an authority.
#[test]
fn a_certificate_that_signed_itself_is_good_if_it_was_given() {
    let made = Certificates::new();
    let now = SystemClock.now();
    for pem in [made.self_signed().chain_pem(), made.ca_pem()] {
        let der = ders(&pem);
        let mut roots = RootCertStore::empty();
        roots.add(der[0].clone()).unwrap();
        let mut target = Target::new("127.0.0.1", 25);
        let found = judge(&der, Ok(&roots), &target, now);
        assert_eq!(found.checks[0].state, State::Ok, "{found:#?}");
        assert_eq!(found.is_trusted, found.checks[1].state == State::Ok);
        // Its dates count all the same.
        target.thresholds.cert_days = Bounds::new(0.0, 0.0);
        let later = Timestamp::from_second(now.as_second() + 40 * 365 * 86_400).unwrap();
        let found = judge(&der, Ok(&roots), &target, later);
        assert_eq!(
            (found.checks[0].state, found.checks[2].state),
            (State::Ok, State::Crit),
            "{found:#?}"
        );
        assert!(!found.is_trusted);
        let others = judge(&der, Ok(&self::roots(&Certificates::new())), &target, now);
        assert_eq!(others.checks[0].state, State::Crit, "{others:#?}");
    }
}
