//! Certificates that prove nothing, each told by its own check; the password stays here.

use std::time::Duration;

use notifier_testkit::{peer, postfix::Postfix, smtp::Certificates};
use smtp_probe::{Class, Phase, Tls};

use crate::rig::{
    ANN, Asker, Crit, Fine, PASSWORD, Skip, USER, Warn, ask, says, state, to, with_login,
};

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_certificate_is_told() {
    let made = Certificates::new();
    let relay = Postfix::builder("relay")
        .mailboxes(&["ann"])
        .identity(&made.valid())
        .login(USER, PASSWORD)
        .implicit_tls();
    let Some(relay) = relay.start_or_skip().await else {
        return;
    };
    let asker = Asker::new(&made);
    let day = Duration::from_secs(86_400);
    for (name, identity, id, what) in [
        ("expired", made.expired(), "cert_expiry", "expired on"),
        (
            "expired before its issuer was made",
            made.expired_before_another(),
            "cert_expiry",
            "expired on",
        ),
        (
            "not yet valid",
            made.not_yet_valid(),
            "cert_expiry",
            "not valid before",
        ),
        (
            "wrong name",
            made.wrong_name(),
            "cert_name",
            "for elsewhere.example, not for 127.0.0.1",
        ),
        (
            "self-signed",
            made.self_signed(),
            "cert_chain",
            "self-signed",
        ),
        (
            "missing intermediate",
            made.missing_another(),
            "cert_chain",
            "issuer an authority between is missing",
        ),
        (
            "other authority",
            made.other_ca(),
            "cert_chain",
            "another authority",
        ),
    ] {
        relay.change_identity(&identity).await.unwrap();
        for (port, tls) in [
            (relay.port(), Tls::Auto),
            (relay.implicit_tls_port().unwrap(), Tls::Implicit),
        ] {
            let target = to(asker.target(port, tls), ANN);
            let report = ask(name, with_login(target.clone(), PASSWORD)).await;
            says(&report, (id, Crit, Phase::Tls, Some(Class::Cert)), what);
            for other in ["cert_chain", "cert_name", "cert_expiry"] {
                let want = if other == id { Crit } else { Fine };
                assert_eq!(state(&report, other), Some(want), "{other}: {report:#?}");
            }
            says(&report, ("auth", Skip, Phase::Auth, None), "proves nothing");
            assert_eq!(report.overall, Crit);
        }
        // Without a login the rest is looked at all the same.
        let report = ask(name, to(asker.target(relay.port(), Tls::Auto), ANN)).await;
        assert_eq!(state(&report, "rcpt_own"), Some(Fine), "{report:#?}");
        assert_eq!(report.overall, Crit);
    }
    // Nobody came as far as a login.
    assert!(!relay.log().contains("sasl_"), "{}", relay.log());

    relay
        .change_identity(&made.expiring_in(10 * day))
        .await
        .unwrap();
    let target = with_login(to(asker.target(relay.port(), Tls::Auto), ANN), PASSWORD);
    let report = ask("ten days left", target.clone()).await;
    says(
        &report,
        ("cert_expiry", Warn, Phase::Tls, Some(Class::Cert)),
        "renew it",
    );
    assert_eq!(
        (state(&report, "auth"), report.overall),
        (Some(Fine), Warn),
        "{report:#?}"
    );

    // The name that was asked for counts, and may be another one than the host's.
    relay
        .change_identity(&made.named(&["mail.relay.example"]))
        .await
        .unwrap();
    let mut target = target;
    target.tls_name = Some("mail.relay.example".to_owned());
    let report = ask("by another name", target).await;
    assert_eq!(report.overall, Fine, "{report:#?}");
    peer::ran("Postfix");
}
