//! Senders, recipients, a message, QUIT.

use notifier_testkit::smtp::{Action, Script, Verb};

use crate::row::{C, Crit, Fine, P, Row, Skip, TO, Unknown, Warn, certificates, table};

const FROM: &str = "alerts@own.example";

#[tokio::test]
async fn senders() {
    let row = |name: &str, action: Action, state, class| {
        let script = Script::new().on(Verb::Mail, action);
        Row::new(name, script, "mail_from", state, P::Mail, Some(class))
            .from(&[FROM])
            .to(&[TO])
            .also("rcpt_own", Skip)
    };
    table(
        "Senders",
        vec![
            Row::new(
                "takes the sender",
                Script::new(),
                "mail_from",
                Fine,
                P::Mail,
                None,
            )
            .from(&[FROM, ""])
            .to(&[TO])
            .also("rcpt_own", Fine)
            .look(|report, seen| {
                let subjects: Vec<_> = report
                    .checks
                    .iter()
                    .filter(|c| c.id == "mail_from")
                    .map(|c| c.subject.as_deref().unwrap())
                    .collect();
                assert_eq!(subjects, [FROM, "<>"]);
                assert_eq!(
                    seen.sessions[0][1..],
                    [
                        "MAIL FROM:<alerts@own.example>",
                        "RCPT TO:<oncall@dest.example>",
                        "RSET",
                        "MAIL FROM:<>",
                        "RSET",
                        "QUIT",
                    ]
                );
                assert!(seen.mails.is_empty());
            }),
            Row::new(
                "nobody asked for a sender",
                Script::new(),
                "rcpt_own",
                Fine,
                P::Rcpt,
                None,
            )
            .to(&[TO])
            .look(|_, seen| {
                assert_eq!(
                    seen.sessions[0][1..],
                    [
                        "MAIL FROM:<>",
                        "RCPT TO:<oncall@dest.example>",
                        "RSET",
                        "QUIT"
                    ]
                );
            }),
            Row::new(
                "nobody asked for anything",
                Script::new(),
                "quit",
                Fine,
                P::Quit,
                None,
            )
            .look(|_, seen| assert_eq!(seen.sessions, [["EHLO probe.example", "QUIT"]])),
            Row::new(
                "says how large it is",
                Script::new(),
                "mail_from",
                Fine,
                P::Mail,
                None,
            )
            .from(&[FROM])
            .with(|t| t.min_size = 5000)
            .look(|_, seen| {
                assert_eq!(
                    seen.sessions[0][1],
                    "MAIL FROM:<alerts@own.example> SIZE=5000"
                )
            }),
            row(
                "wants TLS",
                "530 5.7.0 Must issue a STARTTLS command first".into(),
                Crit,
                C::Reply5,
            )
            .says("--tls starttls"),
            row(
                "wants a login",
                "530 5.7.0 Authentication required".into(),
                Crit,
                C::Reply5,
            )
            .says("--user"),
            row(
                "refuses the sender",
                "553 5.7.1 not yours".into(),
                Crit,
                C::Reply5,
            )
            .says("sender")
            .also("quit", Fine),
            row(
                "puts the sender off",
                "451 4.3.0 Temporary lookup failure".into(),
                Warn,
                C::Reply4,
            ),
            row(
                "421 at MAIL",
                "421 4.7.0 too many errors".into(),
                Unknown,
                C::Reply4,
            )
            .also("quit", Skip),
            row("silent at MAIL", Action::Stall, Crit, C::Timeout)
                .stalls()
                .says("trivial-rewrite"),
            row("hangs up at MAIL", Action::Cut, Crit, C::Eof),
            Row::new(
                "takes the second sender only",
                Script::new().once(Verb::Mail, "553 5.7.1 no"),
                "mail_from",
                Crit,
                P::Mail,
                Some(C::Reply5),
            )
            .from(&[FROM, "other@own.example"])
            .to(&[TO])
            .also("mail_from", Fine)
            .also("rcpt_own", Fine),
            Row::new(
                "refuses the null sender",
                Script::new().on(Verb::Mail, "550 5.7.1 no"),
                "rcpt_own",
                Crit,
                P::Mail,
                Some(C::Reply5),
            )
            .to(&[TO])
            .says("null sender"),
            Row::new(
                "a sender that ends the command",
                Script::new(),
                "mail_from",
                Unknown,
                P::Mail,
                Some(C::Local),
            )
            .from(&["a@b>\r\nRCPT TO:<c@d"])
            .look(|_, seen| assert_eq!(seen.sessions, [["EHLO probe.example", "QUIT"]])),
        ],
    )
    .await;
}

#[tokio::test]
async fn recipients() {
    let row = |name: &str, action: Action, state, class| {
        let script = Script::new().on(Verb::Rcpt, action);
        Row::new(name, script, "rcpt_own", state, P::Rcpt, Some(class))
            .from(&[FROM])
            .to(&[TO])
            .also("mail_from", Fine)
    };
    table(
        "Recipients",
        vec![
            row(
                "nobody of that name",
                "550 5.1.1 User unknown".into(),
                Crit,
                C::Reply5,
            )
            .says("--rcpt")
            .also("quit", Fine),
            row(
                "greylisted",
                "450 4.2.0 Greylisted, see you later".into(),
                Warn,
                C::Reply4,
            )
            .says("greylisted"),
            row("451 at RCPT", "451 4.7.1 later".into(), Warn, C::Reply4).says("greylisted"),
            row(
                "refuses to relay",
                "554 5.7.1 Relay access denied".into(),
                Crit,
                C::Reply5,
            )
            .says("mynetworks"),
            row(
                "puts relaying off",
                "454 4.7.1 Relay access denied".into(),
                Warn,
                C::Reply4,
            )
            .says("mynetworks"),
            row(
                "refuses our address",
                "554 5.7.1 Client host rejected: Access denied".into(),
                Crit,
                C::Reply5,
            )
            .says("smtpd_client_restrictions"),
            row(
                "refuses our name",
                "504 5.5.2 <probe>: Helo command rejected: need fully-qualified hostname".into(),
                Crit,
                C::Reply5,
            )
            .says("--helo")
            .also("helo", Crit),
            row(
                "disk full",
                "452 4.3.1 Insufficient system storage".into(),
                Warn,
                C::Reply4,
            )
            .says("disk"),
            row(
                "421 at RCPT",
                "421 4.7.0 too many errors".into(),
                Unknown,
                C::Reply4,
            )
            .also("quit", Skip),
            row("hangs at RCPT", Action::Stall, Crit, C::Timeout)
                .stalls()
                .says("trivial-rewrite"),
            row("hangs up at RCPT", Action::Cut, Crit, C::Eof).also("quit", Skip),
            row("354 at RCPT", "354 go on".into(), Crit, C::Proto),
            row("no reply at RCPT", "okay".into(), Crit, C::Proto),
            Row::new(
                "takes one of two",
                Script::new().refuse("b@dest.example", "550 5.1.1 User unknown"),
                "rcpt_own",
                Crit,
                P::Rcpt,
                Some(C::Reply5),
            )
            .to(&["a@dest.example", "b@dest.example"])
            .also("rcpt_own", Fine)
            .look(|report, _| {
                let subjects: Vec<_> = report
                    .checks
                    .iter()
                    .filter(|c| c.id == "rcpt_own")
                    .map(|c| (c.subject.as_deref().unwrap(), c.state))
                    .collect();
                assert_eq!(
                    subjects,
                    [("a@dest.example", Fine), ("b@dest.example", Crit)]
                );
            }),
            Row::new(
                "hangs at the first of two",
                Script::new().on(Verb::Rcpt, Action::Stall),
                "rcpt_own",
                Crit,
                P::Rcpt,
                Some(C::Timeout),
            )
            .stalls()
            .to(&["a@dest.example", "b@dest.example"])
            .also("rcpt_own", Skip),
            Row::new(
                "a word that was not used before",
                Script::new(),
                "rcpt_own",
                Fine,
                P::Rcpt,
                None,
            )
            .to(&["probe-%u@dest.example"])
            .look(|report, seen| {
                assert_eq!(
                    report.check("rcpt_own").unwrap().subject.as_deref(),
                    Some("probe-%u@dest.example")
                );
                let line = seen.sessions[0]
                    .iter()
                    .find(|l| l.starts_with("RCPT"))
                    .unwrap();
                assert_eq!(line.len(), "RCPT TO:<probe-@dest.example>".len() + 12);
            }),
            Row::new(
                "takes anybody",
                Script::new(),
                "rcpt_unknown",
                Fine,
                P::Rcpt,
                None,
            )
            .to(&[TO])
            .with(|t| t.rcpt_unknown = true)
            .says("catch-all"),
            Row::new(
                "knows its users",
                Script::new().known(&[TO]),
                "rcpt_unknown",
                Fine,
                P::Rcpt,
                None,
            )
            .to(&[TO])
            .with(|t| t.rcpt_unknown = true)
            .says("refuses names"),
            Row::new(
                "refuses RSET",
                Script::new().on(Verb::Rset, "502 5.5.1 what"),
                "rcpt_own",
                Crit,
                P::Mail,
                Some(C::Reply5),
            )
            .to(&[TO])
            .also("rcpt_own", Fine),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_message_if_one_may_be_sent() {
    let sends = |row: Row| row.from(&[FROM]).to(&[TO]).with(|t| t.send = true);
    let row = |name: &str, verb, action: Action, state, phase, class| {
        let script = Script::new().on(verb, action);
        sends(Row::new(
            name,
            script,
            "data_end",
            state,
            phase,
            Some(class),
        ))
    };
    table(
        "A message",
        vec![
            sends(Row::new(
                "takes it",
                Script::new().certificate(certificates().valid()),
                "data_end",
                Fine,
                P::Eod,
                None,
            ))
            .says("queued as")
            .look(|report, seen| {
                assert_eq!(seen.mails.len(), 1);
                let mail = &seen.mails[0];
                assert_eq!((mail.from.as_str(), mail.to()), (FROM, vec![TO]));
                assert_eq!(
                    mail.header("Auto-Submitted").as_deref(),
                    Some("auto-generated")
                );
                let data = report.check("data_end").unwrap().data.as_ref().unwrap();
                assert_eq!(data["queue_id"], mail.id.as_str());
            }),
            Row::new(
                "nobody said that it may be sent",
                Script::new(),
                "quit",
                Fine,
                P::Quit,
                None,
            )
            .from(&[FROM])
            .to(&[TO])
            .look(|report, seen| {
                assert!(seen.mails.is_empty() && report.check("data_end").is_none());
            }),
            row(
                "refuses DATA",
                Verb::Data,
                "554 5.7.1 no".into(),
                Crit,
                P::Data,
                C::Reply5,
            )
            .also("quit", Fine),
            row(
                "refuses the message",
                Verb::Body,
                "554 5.7.1 spam".into(),
                Crit,
                P::Eod,
                C::Reply5,
            ),
            row(
                "puts the message off",
                Verb::Body,
                "451 4.3.0 queue file write error".into(),
                Warn,
                P::Eod,
                C::Reply4,
            ),
            row(
                "hangs at the dot",
                Verb::Body,
                Action::Stall,
                Crit,
                P::Eod,
                C::Timeout,
            )
            .stalls()
            .says("cleanup"),
            row(
                "hangs up at the dot",
                Verb::Body,
                Action::Cut,
                Crit,
                P::Eod,
                C::Eof,
            ),
            row(
                "421 at the dot",
                Verb::Body,
                "421 4.3.0 bye".into(),
                Unknown,
                P::Eod,
                C::Reply4,
            ),
            row(
                "250 in place of 354",
                Verb::Data,
                "250 2.0.0 Ok".into(),
                Crit,
                P::Data,
                C::Proto,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn goodbyes() {
    let row = |name: &str, action: Action, class| {
        let script = Script::new().on(Verb::Quit, action);
        Row::new(name, script, "quit", Warn, P::Quit, Some(class))
            .to(&[TO])
            .also("rcpt_own", Fine)
    };
    table(
        "QUIT",
        vec![
            row("silent at QUIT", Action::Stall, C::Timeout),
            row("hangs up at QUIT", Action::Cut, C::Eof),
            row("250 at QUIT", "250 2.0.0 Ok".into(), C::Proto),
            row("502 at QUIT", "502 5.5.1 what".into(), C::Reply5),
        ],
    )
    .await;
}
