//! From the connection to EHLO.

use std::time::Duration;

use notifier_testkit::smtp::{Action, FakeSmtp, Script, Verb};
use smtp_probe::{Bounds, Level, Prober, Queue, Target};

use crate::row::{C, Crit, Fine, P, Row, Skip, TO, Unknown, Warn, table};

fn banner(name: &str, action: impl Into<Action>) -> (String, Script) {
    (name.to_owned(), Script::new().on(Verb::Connect, action))
}

fn is_crit((name, script): (String, Script), class: C) -> Row {
    Row::new(name, script, "banner", Crit, P::Banner, Some(class)).to(&[TO])
}

#[tokio::test]
async fn before_anything_is_said() {
    let bytes = |b: &[u8]| Action::Bytes(b.to_vec());
    let endless = "220-still\r\n".repeat(150);
    let long = format!("220 {}\r\n", "x".repeat(5000));
    table(
        "Connection and banner",
        vec![
            Row::new(
                "refuses connections",
                Script::new(),
                "connect",
                Crit,
                P::Connect,
                Some(C::Refused),
            )
            .refused()
            .to(&[TO])
            .says("is the server started")
            .also("rcpt_own", Skip)
            .also("quit", Skip),
            is_crit(
                banner("554 at once", "554 5.3.2 no service here"),
                C::Reply5,
            )
            .says("postscreen")
            .also("quit", Fine)
            .also("helo", Skip),
            Row::new(
                "421 too many connections",
                Script::new().on(Verb::Connect, "421 4.7.0 too many connections"),
                "banner",
                Unknown,
                P::Banner,
                Some(C::Reply4),
            )
            .says("too many")
            .also("starttls", Skip),
            Row::new(
                "450 later",
                Script::new().on(Verb::Connect, "450 4.3.2 later"),
                "banner",
                Warn,
                P::Banner,
                Some(C::Reply4),
            ),
            is_crit(banner("hangs up", Action::Cut), C::Eof).says("hangs up"),
            is_crit(banner("resets", Action::Reset), C::Eof),
            is_crit(banner("says nothing", Action::Stall), C::Timeout)
                .stalls()
                .says("--tls implicit"),
            is_crit(banner("says nothing to users", Action::Stall), C::Timeout)
                .stalls()
                .login()
                .says("Dovecot"),
            is_crit(banner("is frozen", Action::Freeze), C::Timeout).stalls(),
            is_crit(
                banner("speaks TLS at once", bytes(&[0x15, 3, 1, 0, 2, 2, 70])),
                C::Proto,
            )
            .says("--tls implicit"),
            is_crit(
                banner("is SSH", bytes(b"SSH-2.0-OpenSSH_9.2\r\n")),
                C::Proto,
            )
            .says("that is SSH"),
            is_crit(
                banner("is IMAP", bytes(b"* OK Dovecot ready.\r\n")),
                C::Proto,
            )
            .says("that is IMAP"),
            is_crit(banner("is POP3", bytes(b"+OK ready\r\n")), C::Proto).says("that is POP3"),
            is_crit(
                banner("bytes without a line", bytes(&[0xff, 0, 7, 9])),
                C::Proto,
            )
            .says("no mail server"),
            is_crit(
                banner("a banner without end", bytes(endless.as_bytes())),
                C::Proto,
            )
            .says("without end"),
            is_crit(
                banner("a line without end", bytes(long.as_bytes())),
                C::Proto,
            )
            .says("without end"),
            is_crit(
                banner("two codes in one banner", bytes(b"220-a\r\n554 b\r\n")),
                C::Proto,
            )
            .says("two codes"),
            is_crit(
                banner("half a banner", bytes(b"220-relay.example\r\n")),
                C::Timeout,
            )
            .stalls(),
            is_crit(banner("250 in place of 220", "250 relay.example"), C::Proto),
            Row::new(
                "greets in three lines",
                Script::new().banner("relay.example ESMTP\nhold\nthe line"),
                "banner",
                Fine,
                P::Banner,
                None,
            )
            .says("220 relay.example ESMTP hold the line")
            .to(&[TO])
            .also("rcpt_own", Fine),
            Row::new(
                "greets byte by byte",
                Script::new().on(Verb::Connect, Action::Split(String::new())),
                "banner",
                Fine,
                P::Banner,
                None,
            )
            .to(&[TO])
            .also("rcpt_own", Fine),
            Row::new(
                "greets with a bare name",
                Script::new().banner("relay ESMTP"),
                "banner",
                Fine,
                P::Banner,
                None,
            )
            .says("myhostname"),
            Row::new(
                "greets with its version",
                Script::new().banner("relay.example ESMTP Postfix (3.7.11)"),
                "banner",
                Fine,
                P::Banner,
                None,
            )
            .says("version"),
            Row::new(
                "greets late",
                Script::new().on(Verb::Connect, Action::delay(Duration::from_millis(50))),
                "greeting_delay",
                Warn,
                P::Banner,
                Some(C::Timeout),
            )
            .with(|t| t.thresholds.greeting = Bounds::new(0.0, 1e9))
            .says("load"),
            Row::new(
                "greets far too late",
                Script::new().on(Verb::Connect, Action::delay(Duration::from_millis(50))),
                "greeting_delay",
                Crit,
                P::Banner,
                Some(C::Timeout),
            )
            .with(|t| t.thresholds.greeting = Bounds::new(0.0, 0.0)),
            Row::new(
                "is slow to connect",
                Script::new(),
                "connect",
                Crit,
                P::Connect,
                Some(C::Timeout),
            )
            .with(|t| t.thresholds.connect = Bounds::new(0.0, 0.0)),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_answer_to_ehlo() {
    let on = |action: Action| Script::new().on(Verb::Ehlo, action);
    let row = |name: &str, action: Action, state, class| {
        Row::new(name, on(action), "helo", state, P::Ehlo, Some(class)).to(&[TO])
    };
    table(
        "EHLO",
        vec![
            Row::new(
                "refuses EHLO and HELO",
                on("504 5.5.2 need fully-qualified hostname".into())
                    .on(Verb::Helo, "504 5.5.2 need fully-qualified hostname"),
                "helo",
                Crit,
                P::Ehlo,
                Some(C::Reply5),
            )
            .says("--helo")
            .also("quit", Fine),
            row("knows HELO only", "502 5.5.1 what".into(), Warn, C::Reply5)
                .says("HELO only")
                .to(&[TO])
                .also("rcpt_own", Fine),
            row(
                "421 at EHLO",
                "421 4.3.2 closing".into(),
                Unknown,
                C::Reply4,
            )
            .also("quit", Skip),
            row("451 at EHLO", "451 4.3.0 later".into(), Crit, C::Reply4).also("quit", Fine),
            row("silent at EHLO", Action::Stall, Crit, C::Timeout)
                .stalls()
                .says("milter"),
            row("hangs up at EHLO", Action::Cut, Crit, C::Eof),
            row("no reply at EHLO", "hello there".into(), Crit, C::Proto).says("proper answer"),
            row(
                "half an answer to EHLO",
                Action::Bytes(b"250-relay.example\r\n250-SIZE".to_vec()),
                Crit,
                C::Timeout,
            )
            .stalls(),
            Row::new(
                "two answers to EHLO",
                on(Action::Bytes(b"250 relay.example\r\n250 more\r\n".to_vec())),
                "rcpt_own",
                Crit,
                P::Mail,
                Some(C::Proto),
            )
            .to(&[TO])
            .says("nothing had asked for"),
            Row::new(
                "answers byte by byte",
                on(Action::Split(String::new())),
                "helo",
                Fine,
                P::Ehlo,
                None,
            )
            .says("probe.example is taken by relay.example"),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_is_offered() {
    let row = |name: &str, script, state| {
        Row::new(name, script, "capabilities", state, P::Ehlo, Some(C::Proto))
    };
    let open_auth = Script::new()
        .login(crate::row::USER, crate::row::PASSWORD)
        .auth_before_tls(true);
    table(
        "Capabilities",
        vec![
            Row::new(
                "all that is asked for",
                Script::new(),
                "capabilities",
                Fine,
                P::Ehlo,
                None,
            )
            .with(|t| t.require = vec!["pipelining".to_owned(), "SIZE".to_owned()])
            .says("PIPELINING"),
            row("no DSN", Script::new().without("DSN"), Crit)
                .with(|t| t.require = vec!["DSN".to_owned()])
                .says("DSN is not offered"),
            row("AUTH without TLS", open_auth.clone(), Warn)
                .says("smtpd_tls_auth_only")
                .also("auth_mechs", Warn),
            row(
                "XCLIENT",
                Script::new().extensions(&["XCLIENT NAME ADDR"]),
                Warn,
            )
            .says("XCLIENT"),
            row("small messages only", Script::new().size(1000), Warn)
                .with(|t| t.min_size = 10_000)
                .says("message_size_limit"),
        ],
    )
    .await;
}

/// At level live nothing is asked.
#[tokio::test]
async fn live_is_connect_banner_and_quit() {
    let live = |name: &str, script, state, class| {
        Row::new(name, script, "banner", state, P::Banner, class)
            .to(&[TO])
            .with(|t| t.level = Level::Live)
            .look(move |report, seen| {
                let ids: Vec<&str> = report.checks.iter().map(|c| c.id).collect();
                assert_eq!(
                    ids,
                    ["resolve", "connect", "banner", "greeting_delay", "quit"]
                );
                if state == Fine {
                    assert_eq!(seen.sessions, [["QUIT"]]);
                }
            })
    };
    table(
        "Level live",
        vec![
            live("greets", Script::new(), Fine, None),
            live(
                "refuses",
                Script::new().on(Verb::Connect, "554 5.3.2 no"),
                Crit,
                Some(C::Reply5),
            ),
        ],
    )
    .await;
}

/// What the queue's socket tells needs no connection, which the server would log.
#[tokio::test]
async fn live_with_a_queue_makes_no_connection() {
    let server = FakeSmtp::start(Script::new()).await;
    let mut target = Target::new("127.0.0.1", server.port());
    target.level = Level::Live;
    target.queue = Some(Queue::Folder("/nonexistent".into()));
    let report = Prober::new(target).run().await;
    assert!(report.check("connect").is_none(), "{report:#?}");
    assert_eq!(server.connections(), 0);
}

/// Which of the two it is depends on the resolver of the machine.
#[tokio::test]
async fn a_name_that_nobody_has_is_told_by_the_look_up() {
    let mut target = Target::new("relay.invalid", 25);
    target.limits.connect = Duration::from_secs(30);
    target.limits.total = Duration::from_secs(60);
    let report = Prober::new(target).run().await;
    let check = report.decisive().unwrap();
    assert_eq!(
        (check.id, check.phase),
        ("resolve", P::Resolve),
        "{report:#?}"
    );
    assert!(matches!(check.state, Crit | Unknown), "{check:?}");
    assert!(
        check.text.contains("relay.invalid") && check.hint.is_some(),
        "{check:?}"
    );
    assert!(
        report
            .checks
            .iter()
            .all(|c| c.id == "resolve" || c.state == Skip)
    );
}

/// Some addresses of a name may be dead: those are named, and the next one is tried.
#[tokio::test]
async fn each_address_is_tried_and_a_source_must_fit() {
    let server = FakeSmtp::start(Script::new()).await;
    let mut target = Target::new("127.0.0.1", server.port());
    target.source = Some("127.0.0.9".parse().unwrap());
    let report = Prober::new(target.clone()).run().await;
    let check = report.check("connect").unwrap();
    assert!(check.text.ends_with("from 127.0.0.9"), "{check:?}");

    // What the name has is the machine's affair; nobody listens at any other address.
    let report = Prober::new(Target::new("localhost", server.port()))
        .run()
        .await;
    let (found, check) = (
        report.check("resolve").unwrap(),
        report.check("connect").unwrap(),
    );
    assert!(check.text.starts_with("127.0.0.1:"), "{report:#?}");
    let is_named = check.text.contains("; [::1]:");
    assert_eq!(is_named, found.text.starts_with("::1"), "{report:#?}");

    target.source = Some("::1".parse().unwrap());
    let report = Prober::new(target.clone()).run().await;
    let check = report.check("connect").unwrap();
    assert_eq!(
        (check.state, check.class),
        (Unknown, Some(C::Local)),
        "{check:?}"
    );
    assert!(check.hint.as_deref().unwrap().contains("--source"));

    // RFC 5737: an address of documentation, which no machine has.
    target.source = Some("192.0.2.1".parse().unwrap());
    let report = Prober::new(target).run().await;
    let check = report.check("connect").unwrap();
    assert_eq!(
        (check.state, check.class),
        (Unknown, Some(C::Local)),
        "{check:?}"
    );
}

/// All of it, whatever the server does and however long a single reply may take.
#[tokio::test]
async fn a_dialogue_ends_when_its_time_is_over() {
    for action in [
        Action::Stall,
        Action::Bytes(b"220-more to come\r\n".to_vec()),
    ] {
        let server = FakeSmtp::start(Script::new().on(Verb::Connect, action)).await;
        let mut target = Target::new("127.0.0.1", server.port());
        target.limits.total = Duration::from_millis(600);
        target.limits.reply = Some(Duration::from_secs(3600));
        let report = Prober::new(target).run().await;
        let check = report.decisive().unwrap();
        assert_eq!(
            (check.state, check.class),
            (Crit, Some(C::Timeout)),
            "{report:#?}"
        );
    }
}
