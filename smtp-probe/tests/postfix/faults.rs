//! Servers that refuse, hang or are gone.

use notifier_testkit::{peer, postfix::Postfix, smtp::Certificates};
use smtp_probe::{Class, Phase, Tls};

use crate::rig::{
    ANN, Asker, Crit, Fine, PASSWORD, Skip, USER, Warn, ask, ask_until, find, says, state, to,
    with_login,
};

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_is_told_with_what_to_do() {
    let certificates = Certificates::new();
    let relay = Postfix::builder("relay")
        .mailboxes(&["ann"])
        .identity(&certificates.valid())
        .login(USER, PASSWORD)
        .submission()
        .implicit_tls()
        .listener(
            "fqdn",
            &[
                "smtpd_helo_required = yes",
                "smtpd_helo_restrictions = reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname",
            ],
        )
        .listener(
            "early",
            &[
                "smtpd_delay_reject = no",
                "smtpd_helo_required = yes",
                "smtpd_helo_restrictions = reject_non_fqdn_helo_hostname",
            ],
        )
        .listener("tls", &["smtpd_tls_security_level = encrypt"])
        .listener("notls", &["smtpd_tls_security_level = none"])
        .listener("old", &["smtpd_tls_protocols = TLSv1, TLSv1.1", "tls_high_cipherlist = ALL:@SECLEVEL=0"])
        .listener("grey", &["smtpd_recipient_restrictions = check_recipient_access static:{450 4.2.0 Greylisted}"])
        .listener("away", &["smtpd_delay_reject = no", "smtpd_client_restrictions = reject"])
        .listener("small", &["message_size_limit = 5000", "mailbox_size_limit = 0"]);
    let Some(relay) = relay.start_or_skip().await else {
        return;
    };
    let asker = Asker::new(&certificates);
    let at = |name: &str, tls| to(asker.target(relay.listener(name), tls), ANN);
    let (five, four, proto) = (Some(Class::Reply5), Some(Class::Reply4), Some(Class::Proto));

    let target = with_login(
        to(
            asker.target(relay.submission_port().unwrap(), Tls::Starttls),
            ANN,
        ),
        "wrong",
    );
    let report = ask("wrong password", target).await;
    says(
        &report,
        ("auth", Crit, Phase::Auth, five),
        "--password-file",
    );
    assert_eq!(state(&report, "rcpt_own"), Some(Skip));

    let report = ask(
        "no login",
        to(
            asker.target(relay.submission_port().unwrap(), Tls::Starttls),
            ANN,
        ),
    )
    .await;
    let check = report.check("rcpt_own").unwrap();
    assert_eq!(check.state, Crit, "{report:#?}");
    assert!(
        check.hint.as_deref().unwrap().contains("--user"),
        "{check:#?}"
    );

    let plain = || asker.target(relay.port(), Tls::Auto);
    let report = ask("unknown recipient", to(plain(), "nobody@relay.example")).await;
    says(&report, ("rcpt_own", Crit, Phase::Rcpt, five), "--rcpt");
    let report = ask("relaying refused", to(plain(), "somebody@far.example")).await;
    says(&report, ("rcpt_own", Crit, Phase::Rcpt, five), "mynetworks");

    // A bare name, first as the one to greet with, then as that of an application.
    let mut target = at("fqdn", Tls::None);
    target.helo = Some("3f2a9c1d0b7e".to_owned());
    let report = ask("full name demanded", target).await;
    says(&report, ("helo", Crit, Phase::Rcpt, five), "full name");
    says(&report, ("rcpt_own", Crit, Phase::Rcpt, five), "--helo");
    let mut target = at("early", Tls::None);
    target.helo = Some("3f2a9c1d0b7e".to_owned());
    let report = ask("full name demanded at EHLO", target).await;
    says(&report, ("helo", Crit, Phase::Ehlo, five), "--helo");
    for (name, phase) in [("fqdn", Phase::Rcpt), ("early", Phase::Ehlo)] {
        let mut target = at(name, Tls::None);
        target.helo_short = Some("3f2a9c1d0b7e".to_owned());
        let report = ask("full name of two", target).await;
        assert_eq!(state(&report, "rcpt_own"), Some(Fine), "{report:#?}");
        says(&report, ("helo", Warn, phase, five), "containers");
    }
    let mut target = to(plain(), ANN);
    target.helo_short = Some("3f2a9c1d0b7e".to_owned());
    let report = ask("any name will do", target).await;
    assert_eq!(report.overall, Fine, "{report:#?}");

    let mut target = at("tls", Tls::None);
    target.from = vec!["alerts@probe.example".to_owned()];
    let report = ask("TLS demanded", target).await;
    says(
        &report,
        ("mail_from", Crit, Phase::Mail, five),
        "--tls starttls",
    );
    let report = ask("no STARTTLS", at("notls", Tls::Starttls)).await;
    says(
        &report,
        ("starttls", Crit, Phase::Starttls, proto),
        "smtpd_tls_security_level",
    );
    assert_eq!(state(&report, "quit"), Some(Fine));
    let report = ask("old TLS", at("old", Tls::Starttls)).await;
    says(
        &report,
        ("tls_version", Crit, Phase::Tls, Some(Class::Tls)),
        "TLS 1.1",
    );
    let report = ask(
        "TLS at once, by mistake",
        to(asker.target(relay.port(), Tls::Implicit), ANN),
    )
    .await;
    says(
        &report,
        ("implicit_tls", Crit, Phase::Tls, Some(Class::Tls)),
        "plain SMTP",
    );

    let report = ask("greylisted", at("grey", Tls::Auto)).await;
    says(&report, ("rcpt_own", Warn, Phase::Rcpt, four), "greylisted");
    let report = ask("554 at once", at("away", Tls::Auto)).await;
    says(
        &report,
        ("banner", Crit, Phase::Banner, five),
        "refuses this address",
    );
    let mut target = at("small", Tls::Auto);
    target.min_size = 10_000;
    let report = ask("small messages", target).await;
    says(
        &report,
        ("capabilities", Warn, Phase::Ehlo, proto),
        "message_size_limit",
    );
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_or_is_gone_is_told_by_its_phase() {
    let certificates = Certificates::new();
    let relay = Postfix::builder("relay")
        .mailboxes(&["ann"])
        .identity(&certificates.valid())
        .implicit_tls();
    let Some(relay) = relay.start_or_skip().await else {
        return;
    };
    let asker = Asker::new(&certificates);
    let target = to(asker.target(relay.port(), Tls::Auto), ANN);
    let timeout = Some(Class::Timeout);

    // A port of TLS that is asked in plain text stays silent.
    let implicit = relay.implicit_tls_port().unwrap();
    let plain = to(asker.target(implicit, Tls::None), ANN);
    let report = ask_until("plain, by mistake", &plain, |r| {
        find(r, "banner", Crit, Phase::Banner, timeout).is_some()
    })
    .await;
    says(
        &report,
        ("banner", Crit, Phase::Banner, timeout),
        "--tls implicit",
    );

    // The null sender is looked up as well, unless this process of the server has done so before.
    relay.freeze("trivial-rewrite").await.unwrap();
    let fresh = to(target.clone(), "probe-%u@relay.example");
    let hangs = |r: &smtp_probe::Report| {
        let is_it = |c: &smtp_probe::Check| {
            let phase = matches!(c.phase, Phase::Mail | Phase::Rcpt);
            phase && (c.id, c.state, c.class) == ("rcpt_own", Crit, timeout)
        };
        r.checks.iter().find(|c| is_it(c)).map(|c| c.phase)
    };
    let report = ask_until("look-ups hang", &fresh, |r| hangs(r).is_some()).await;
    let phase = hangs(&report).unwrap();
    says(
        &report,
        ("rcpt_own", Crit, phase, timeout),
        "trivial-rewrite",
    );
    assert_eq!(state(&report, "banner"), Some(Fine));
    relay.thaw().await.unwrap();

    relay.freeze("cleanup").await.unwrap();
    let mut sends = target.clone();
    sends.send = true;
    let report = ask_until("cleanup hangs", &sends, |r| {
        let hangs = |c: &smtp_probe::Check| c.class == timeout && c.phase >= Phase::Rcpt;
        r.checks.iter().any(hangs)
    })
    .await;
    assert_eq!(report.overall, Crit, "{report:#?}");
    relay.thaw().await.unwrap();

    relay.pause().await.unwrap();
    let report = ask_until("paused", &target, |r| {
        find(r, "banner", Crit, Phase::Banner, timeout).is_some()
    })
    .await;
    assert_eq!(state(&report, "connect"), Some(Fine), "{report:#?}");
    relay.resume().await.unwrap();
    let report = ask("goes on", target.clone()).await;
    assert_eq!(report.overall, Fine, "{report:#?}");

    relay.stop().await.unwrap();
    let report = ask("stopped", target).await;
    says(
        &report,
        ("connect", Crit, Phase::Connect, Some(Class::Refused)),
        "is the server started",
    );
    assert_eq!(state(&report, "rcpt_own"), Some(Skip));
    peer::ran("Postfix");
}
