//! Servers that do as they should.

use notifier_testkit::{peer, postfix::Postfix, smtp::Certificates};
use smtp_probe::{Level, Phase, Tls};

use crate::rig::{
    ANN, Asker, Fine, PASSWORD, PATIENCE, USER, Warn, ask, says, state, to, with_login,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_relay_is_well_on_each_of_its_ports() {
    let certificates = Certificates::new();
    let relay = Postfix::builder("relay")
        .mailboxes(&["ann"])
        .identity(&certificates.through_another())
        .login(USER, PASSWORD)
        .submission()
        .implicit_tls()
        .postscreen(
            "screen",
            &[
                "postscreen_greet_wait = 1s",
                "postscreen_greet_banner = wait for it",
                "postscreen_greet_action = drop",
                "postscreen_access_list =",
                "postscreen_cache_map =",
            ],
        )
        .listener("clear", &["smtpd_tls_auth_only = no"]);
    let Some(relay) = relay.start_or_skip().await else {
        return;
    };
    let asker = Asker::new(&certificates);
    let submission = relay.submission_port().unwrap();
    let implicit = relay.implicit_tls_port().unwrap();

    // Nobody logs in: up to its own recipient, and nothing is sent.
    let mut target = to(asker.target(relay.port(), Tls::Auto), ANN);
    target.from = vec!["alerts@probe.example".to_owned(), String::new()];
    target.rcpt_unknown = true;
    let report = ask("relay", target).await;
    assert_eq!(report.overall, Fine, "{report:#?}");
    for id in [
        "connect",
        "banner",
        "greeting_delay",
        "helo",
        "starttls",
        "tls_version",
        "cert_chain",
        "cert_name",
        "cert_expiry",
        "capabilities",
        "auth_mechs",
        "mail_from",
        "rcpt_own",
        "rcpt_unknown",
        "quit",
    ] {
        assert_eq!(state(&report, id), Some(Fine), "{id}: {report:#?}");
    }
    says(
        &report,
        ("rcpt_unknown", Fine, Phase::Rcpt, None),
        "refuses names",
    );
    for phase in [
        "connect", "banner", "ehlo", "starttls", "tls", "ehlo2", "mail", "rcpt", "quit", "total",
    ] {
        assert!(
            report.timings.contains_key(phase),
            "{phase}: {:?}",
            report.timings
        );
    }
    // What its log has of it: one pair of lines, no rejected command but the unknown name.
    let line = "disconnect from unknown[127.0.0.1] ehlo=2 starttls=1 mail=2 rcpt=1/2 rset=2 quit=1 commands=9/10";
    let end = tokio::time::Instant::now() + PATIENCE;
    while !relay.log().contains(line) {
        assert!(tokio::time::Instant::now() < end, "{}", relay.log());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(relay.mailbox("ann").is_empty());

    for (name, port, tls) in [
        ("submission", submission, Tls::Starttls),
        ("implicit TLS", implicit, Tls::Implicit),
    ] {
        let target = with_login(
            to(asker.target(port, tls), "somebody@far.example"),
            PASSWORD,
        );
        let mut target = target;
        target.auth_negative = true;
        let report = ask(name, target).await;
        assert_eq!(report.overall, Fine, "{report:#?}");
        assert_eq!(state(&report, "auth"), Some(Fine), "{report:#?}");
        assert_eq!(state(&report, "auth_negative"), Some(Fine), "{report:#?}");
    }

    // postscreen greets in two parts and drops who talks before the second.
    let target = to(asker.target(relay.listener("screen"), Tls::None), ANN);
    let report = ask("postscreen", target).await;
    says(
        &report,
        ("banner", Fine, Phase::Banner, None),
        "wait for it",
    );

    let report = ask(
        "login in clear",
        asker.target(relay.listener("clear"), Tls::Auto),
    )
    .await;
    let class = Some(smtp_probe::Class::Proto);
    says(
        &report,
        ("capabilities", Warn, Phase::Ehlo2, class),
        "smtpd_tls_auth_only",
    );
    says(
        &report,
        ("auth_mechs", Warn, Phase::Auth, class),
        "smtpd_tls_auth_only",
    );

    // A message, since it may be sent.
    let mut target = to(asker.target(relay.port(), Tls::Auto), ANN);
    target.send = true;
    let report = ask("a message", target).await;
    assert_eq!(report.overall, Fine, "{report:#?}");
    says(&report, ("data_end", Fine, Phase::Eod, None), "queued as");
    let mails = relay.wait_for("ann", 1, PATIENCE).await;
    assert_eq!(mails.len(), 1, "{}", relay.log());
    let id = report.check("data_end").unwrap().data.as_ref().unwrap()["queue_id"].clone();
    assert!(relay.log().contains(id.as_str().unwrap()));

    // At level live it says nothing but QUIT.
    let mut target = to(asker.target(relay.port(), Tls::Auto), ANN);
    target.level = Level::Live;
    let report = ask("live", target).await;
    assert_eq!(report.overall, Fine);
    assert!(report.check("helo").is_none());
    peer::ran("Postfix");
}

/// Cyrus' library knows what each mechanism says.
#[tokio::test(flavor = "multi_thread")]
async fn logins_by_each_mechanism() {
    let certificates = Certificates::new();
    let relay = Postfix::builder("relay")
        .identity(&certificates.valid())
        .login(USER, PASSWORD);
    let Some(relay) = relay.start_or_skip().await else {
        return;
    };
    let asker = Asker::new(&certificates);
    let usual = std::fs::read_to_string(relay.folder().join("etc/sasl/smtpd.conf")).unwrap();
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"] {
        let text = usual.replace("PLAIN LOGIN", mechanism);
        relay.stop().await.unwrap();
        relay.rewrite("sasl/smtpd.conf", &text).await.unwrap();
        relay.start_again().await.unwrap();
        let target = to(
            asker.target(relay.port(), Tls::Starttls),
            "somebody@far.example",
        );
        let report = ask(mechanism, with_login(target.clone(), PASSWORD)).await;
        assert_eq!(report.overall, Fine, "{report:#?}");
        says(&report, ("auth", Fine, Phase::Auth, None), mechanism);
        let report = ask("wrong password", with_login(target, "another-password")).await;
        let class = Some(smtp_probe::Class::Reply5);
        says(
            &report,
            ("auth", crate::rig::Crit, Phase::Auth, class),
            "--password-file",
        );
    }
    peer::ran("Postfix");
}
