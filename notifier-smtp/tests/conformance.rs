//! The suite of `notifier-testkit`, against the fake relay over STARTTLS and a login.

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use notifier_core::{BackendSettings, Origin, Reporter};
use notifier_smtp::{OPTIONS, SmtpReporter};
use notifier_testkit::{
    conformance::{Harness, Row, RowVerdict, Scenario, Setup, suite},
    smtp::{Action, Certificates, FakeSmtp, Identity, Script, Verb},
};
use tempfile::NamedTempFile;

const PASSWORD: &str = "s3cr3t-pass-word";

struct Relays {
    reporter: Arc<SmtpReporter>,
    certificates: Certificates,
    ca: NamedTempFile,
    /// Kept so that they live as long as the suite.
    relays: Mutex<Vec<Arc<FakeSmtp>>>,
}

/// One row: how the relay behaves, and how we are set.
struct Case {
    script: Script,
    options: Vec<(&'static str, &'static str)>,
    /// Nobody listens.
    is_down: bool,
}

impl Case {
    fn of(script: Script) -> Self {
        Self {
            script,
            options: Vec::new(),
            is_down: false,
        }
    }

    fn set(mut self, key: &'static str, value: &'static str) -> Self {
        self.options.push((key, value));
        self
    }
}

impl Relays {
    fn new() -> Self {
        let certificates = Certificates::new();
        let mut ca = NamedTempFile::new().unwrap();
        ca.write_all(certificates.ca_pem().as_bytes()).unwrap();
        Self {
            reporter: Arc::new(SmtpReporter::new(&BackendSettings::new(OPTIONS)).unwrap()),
            certificates,
            ca,
            relays: Mutex::default(),
        }
    }

    /// A relay that behaves.
    fn script(&self) -> Script {
        self.with(self.certificates.valid())
    }

    fn with(&self, identity: Identity) -> Script {
        Script::new().certificate(identity).login("user", PASSWORD)
    }

    async fn setup(&self, case: Case) -> Setup {
        let relay = Arc::new(FakeSmtp::start(case.script).await);
        if case.is_down {
            relay.refuse().await;
        }
        self.relays.lock().unwrap().push(Arc::clone(&relay));
        let mut s = BackendSettings::new(OPTIONS);
        let ca = self.ca.path().display().to_string();
        let server = format!("127.0.0.1:{}", relay.port());
        let mut options = vec![
            ("server", server.as_str()),
            ("user", "user"),
            ("password", PASSWORD),
            ("ca", ca.as_str()),
            ("from", "alerts@example.com"),
            ("to", "ops@example.com"),
            ("fallback", ""),
            ("timeout", "20s"),
            ("final_timeout", "20s"),
        ];
        options.extend(case.options);
        for (key, value) in options {
            s.set(Origin::Flag, key, value).unwrap();
        }
        let tries = Arc::clone(&relay);
        let setup = Setup::new(s.instance("default")).with_received(move || {
            assert_eq!(relay.faults(), Vec::<String>::new());
            relay.mails().iter().map(|m| m.text()).collect()
        });
        match case.is_down {
            true => setup,
            false => setup.with_attempts(move || tries.connections()),
        }
    }

    /// The table of verdicts: of each verb, and of what is no answer.
    fn table(&self) -> Vec<(String, RowVerdict, Case)> {
        use RowVerdict as V;
        let later = V::Retry { after: None };
        let after = |s| V::Retry {
            after: Some(Duration::from_secs(s)),
        };
        let on = |verb, action: Action| Case::of(self.script().on(verb, action));
        let mut rows = vec![
            ("a mail".to_owned(), V::Delivered, Case::of(self.script())),
            (
                "no connection".to_owned(),
                later,
                Case {
                    is_down: true,
                    ..Case::of(self.script())
                },
            ),
        ];
        let answers: [(Verb, &str, RowVerdict); 42] = [
            (Verb::Connect, "421 4.7.0 too many connections", later),
            (Verb::Connect, "450 not now", later),
            (Verb::Connect, "554 5.7.1 not you", later),
            (Verb::Connect, "hello", later),
            (Verb::Ehlo, "421 4.3.2 bye", later),
            (Verb::Ehlo, "451 4.3.0 later", later),
            (Verb::Ehlo, "554 5.3.2 no service", later),
            (Verb::Ehlo, "501 5.5.4 what name", later),
            (Verb::StartTls, "454 4.7.0 no TLS now", later),
            (Verb::StartTls, "502 5.5.1 no", later),
            (Verb::Auth, "421 4.3.0 bye", later),
            (Verb::Auth, "454 4.7.0 later", later),
            (Verb::Auth, "535 5.7.8 no", V::DeadDestination),
            (Verb::Auth, "530 5.7.0 TLS first", V::DeadDestination),
            (Verb::Auth, "534 5.7.9 weak", V::DeadDestination),
            (Verb::Auth, "538 5.7.11 TLS first", V::DeadDestination),
            (Verb::Auth, "504 5.5.4 unknown", V::DeadDestination),
            (Verb::Auth, "250 what", later),
            (Verb::Mail, "421 4.3.0 bye", later),
            (Verb::Mail, "450 4.7.1 too much mail", later),
            (Verb::Mail, "450 4.7.1 try again in 5 minutes", after(300)),
            (Verb::Mail, "530 5.7.0 log in", V::DeadDestination),
            (Verb::Mail, "550 5.7.1 not from there", V::Dead),
            (Verb::Mail, "552 5.3.4 too large", V::Dead),
            (Verb::Mail, "503 5.5.1 nested", V::Dead),
            (Verb::Mail, "354 what", later),
            (Verb::Rcpt, "421 4.3.0 bye", later),
            (
                Verb::Rcpt,
                "450 4.2.0 Greylisted, try again in 300 seconds",
                after(300),
            ),
            (Verb::Rcpt, "451 4.7.1 Greylisted", after(60)),
            (Verb::Rcpt, "452 4.5.3 too many", after(60)),
            (Verb::Rcpt, "552 5.5.3 too many", after(60)),
            (Verb::Rcpt, "550 5.1.1 nobody", V::Dead),
            (Verb::Rcpt, "554 5.7.1 relay access denied", V::Dead),
            (
                Verb::Rcpt,
                "504 5.5.2 Helo command rejected",
                V::DeadDestination,
            ),
            (Verb::Data, "421 4.3.0 bye", later),
            (Verb::Data, "451 4.3.0 later", later),
            (Verb::Data, "554 5.5.1 no", V::Dead),
            (Verb::Data, "250 what", later),
            (Verb::Body, "421 4.3.0 bye", later),
            (Verb::Body, "451 4.3.0 later", later),
            (Verb::Body, "554 5.6.0 no", V::Dead),
            (Verb::Body, "what", V::Ambiguous),
        ];
        for (verb, answer, verdict) in answers {
            let case = match (verb, answer) {
                // A relay that takes neither form of greeting.
                (Verb::Ehlo, "501 5.5.4 what name") => {
                    rows.push((
                        "501 to EHLO and HELO".to_owned(),
                        V::DeadDestination,
                        Case::of(self.script().on(verb, answer).on(Verb::Helo, answer)),
                    ));
                    continue;
                }
                _ => on(verb, Action::reply(answer)),
            };
            rows.push((format!("{answer} to {verb:?}"), verdict, case));
        }
        rows.push((
            "no EHLO, so no STARTTLS".to_owned(),
            later,
            on(Verb::Ehlo, Action::reply("502 5.5.1 no")),
        ));
        for verb in [
            Verb::Connect,
            Verb::Ehlo,
            Verb::StartTls,
            Verb::Auth,
            Verb::Mail,
            Verb::Rcpt,
            Verb::Data,
        ] {
            for action in [Action::Cut, Action::Reset, Action::HalfClose] {
                rows.push((format!("{action:?} at {verb:?}"), later, on(verb, action)));
            }
            let silent = on(verb, Action::Stall).set("timeout", "1s");
            rows.push((format!("silence at {verb:?}"), later, silent));
        }
        for action in [
            Action::Cut,
            Action::Reset,
            Action::HalfClose,
            Action::TakeThenCut,
        ] {
            let name = format!("{action:?} after the dot");
            rows.push((name, V::Ambiguous, on(Verb::Body, action)));
        }
        let silent = on(Verb::Body, Action::TakeThenStall).set("final_timeout", "1s");
        rows.push(("silence after the dot".to_owned(), V::Ambiguous, silent));
        for (name, identity) in [
            ("an expired certificate", self.certificates.expired()),
            (
                "a certificate of tomorrow",
                self.certificates.not_yet_valid(),
            ),
            (
                "a certificate of another name",
                self.certificates.wrong_name(),
            ),
            ("a certificate of its own", self.certificates.self_signed()),
            (
                "a certificate of another authority",
                self.certificates.other_ca(),
            ),
        ] {
            rows.push((name.to_owned(), later, Case::of(self.with(identity))));
        }
        let other = self.certificates.expired();
        rows.push((
            "any certificate, where none is asked for".to_owned(),
            V::Delivered,
            Case::of(self.with(other)).set("tls", "opportunistic"),
        ));
        for action in [
            Action::GarbageTls,
            Action::TlsAlert,
            Action::InjectBeforeTls,
        ] {
            rows.push((format!("{action:?}"), later, on(Verb::StartTls, action)));
        }
        rows.push((
            "no STARTTLS where it is required".to_owned(),
            later,
            Case::of(self.script().without("STARTTLS")),
        ));
        rows.push((
            "no login that we know".to_owned(),
            V::DeadDestination,
            Case::of(self.script().mechanisms(&["GSSAPI"])),
        ));
        for known in ["PLAIN", "LOGIN", "XOAUTH2"] {
            let script = self.script().mechanisms(&[known]);
            rows.push((format!("only {known}"), V::Delivered, Case::of(script)));
        }
        for missing in ["PIPELINING", "8BITMIME", "SIZE", "DSN", "SMTPUTF8"] {
            let script = self.script().without(missing);
            rows.push((format!("no {missing}"), V::Delivered, Case::of(script)));
        }
        rows.push((
            "an address that needs SMTPUTF8, which is not offered".to_owned(),
            V::Dead,
            Case::of(self.script().without("SMTPUTF8")).set("to", "bücher@example.com"),
        ));
        rows.push((
            "an address that needs SMTPUTF8".to_owned(),
            V::Delivered,
            Case::of(self.script()).set("to", "bücher@example.com"),
        ));
        rows.push((
            "too small a SIZE".to_owned(),
            V::Dead,
            Case::of(self.script().size(100)),
        ));
        rows
    }
}

#[async_trait]
impl Harness for Relays {
    fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::clone(&self.reporter) as _
    }

    async fn prepare(&self, scenario: Scenario) -> Option<Setup> {
        let case = match scenario {
            Scenario::Deliver => Case::of(self.script()),
            Scenario::RateLimited { after } => {
                let wait = after.map_or_else(
                    || "later".to_owned(),
                    |t| format!("in {} seconds", t.as_secs()),
                );
                let answer = format!("450 4.7.1 Error: too much mail, try again {wait}");
                Case::of(self.script().on(Verb::Mail, Action::reply(answer)))
            }
            Scenario::Unavailable => Case {
                is_down: true,
                ..Case::of(self.script())
            },
            Scenario::Refuse => Case::of(self.script().on(Verb::Body, "554 5.6.0 refused")),
            Scenario::RefuseDestination => {
                Case::of(self.script().login("user", "another password"))
            }
            Scenario::CutAfterBody => Case::of(self.script().on(Verb::Body, Action::TakeThenCut)),
            Scenario::Hang => {
                let script = self.script().on(Verb::Body, Action::TakeThenStall);
                Case::of(script).set("final_timeout", "1s")
            }
            Scenario::Row(n) => self.table().into_iter().nth(n)?.2,
            _ => return None,
        };
        Some(self.setup(case).await)
    }

    fn rows(&self) -> Vec<Row> {
        let table = self.table().into_iter();
        table
            .map(|(answer, verdict, _)| Row::new(answer, verdict))
            .collect()
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned()]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_conforms() {
    suite(&Relays::new()).await.assert_complete();
}
