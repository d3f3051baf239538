//! Servers that mean harm, or are so broken that it looks like it.

use std::{fs::OpenOptions, path::PathBuf, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use notifier_testkit::smtp::{Action, FakeSmtp, Script, Verb};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use smtp_probe::{Login, Prober, Report, Target, Tls};
use smtp_wire::Password;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

use crate::row::{
    C, Crit, Fine, P, PASSWORD, Row, TO, USER, Unknown, certificates, payload, table,
};

/// What a server says back that was told the password: as it is, and in base64.
fn echo(code: u16) -> String {
    let framed = BASE64_STANDARD.encode(format!("you said {PASSWORD}, thank you"));
    let alone = BASE64_STANDARD.encode(PASSWORD);
    format!(
        "{code}-{PASSWORD}\n{code}-<{}>\n{code}-{alone}\n{code} {framed} end",
        payload()
    )
}

/// That no password is shown is looked at in each row of each table.
#[tokio::test]
async fn a_password_that_is_said_back_is_shown_nowhere() {
    let server = || {
        Script::new()
            .certificate(certificates().valid())
            .login(USER, PASSWORD)
    };
    let row = |name: &str, verb, code, id, state, phase, class| {
        let script = server().on(verb, Action::Reply(echo(code)));
        Row::new(name, script, id, state, phase, class)
            .login()
            .from(&["a@own.example"])
            .to(&[TO])
            .says("***")
    };
    let five = Some(C::Reply5);
    table(
        "Passwords said back",
        vec![
            row(
                "at a refused login",
                Verb::Auth,
                535,
                "auth",
                Crit,
                P::Auth,
                five,
            ),
            row("at MAIL", Verb::Mail, 550, "mail_from", Crit, P::Mail, five),
            row("at RCPT", Verb::Rcpt, 250, "rcpt_own", Fine, P::Rcpt, None),
            row("at RSET", Verb::Rset, 550, "mail_from", Crit, P::Mail, five),
            row(
                "at the dot",
                Verb::Body,
                250,
                "data_end",
                Fine,
                P::Eod,
                None,
            )
            .with(|t| t.send = true),
            row("at QUIT", Verb::Quit, 221, "quit", Fine, P::Quit, None),
            // On a connection where nobody has logged in: it may remember.
            row(
                "as a banner",
                Verb::Connect,
                220,
                "banner",
                Fine,
                P::Banner,
                None,
            ),
            row(
                "at EHLO",
                Verb::Ehlo,
                451,
                "helo",
                Crit,
                P::Ehlo,
                Some(C::Reply4),
            ),
            row(
                "as an offer",
                Verb::Ehlo,
                250,
                "capabilities",
                Fine,
                P::Ehlo,
                None,
            )
            .tls(Tls::None)
            .with(|t| t.allow_clear = true),
            Row::new(
                "as no SMTP",
                Script::new().on(Verb::Connect, Action::Bytes(PASSWORD.into())),
                "banner",
                Crit,
                P::Banner,
                Some(C::Proto),
            )
            .login()
            .says("***"),
        ],
    )
    .await;
}

/// Neither memory nor time without end.
#[tokio::test]
async fn what_comes_without_end_is_not_waited_for() {
    let line = b"220 "
        .iter()
        .copied()
        .chain(std::iter::repeat_n(b'x', 8 << 20));
    let line: Vec<u8> = line.collect();
    let mut rows = Vec::new();
    for (verb, id, phase) in [
        (Verb::Connect, "banner", P::Banner),
        (Verb::Ehlo, "helo", P::Ehlo),
        (Verb::Mail, "mail_from", P::Mail),
        (Verb::Rcpt, "rcpt_own", P::Rcpt),
    ] {
        let row = |what: &str, action, class| {
            let script = Script::new().on(verb, action);
            Row::new(
                format!("{what} at {verb:?}"),
                script,
                id,
                Crit,
                phase,
                Some(class),
            )
            .from(&["a@own.example"])
            .to(&[TO])
        };
        let lines = "220-still\r\n".repeat(10_000);
        // Each byte by itself, a millisecond after the last one: a minute for what may be in a reply.
        let slow = format!("220-{}\n", "x".repeat(3990)).repeat(15);
        rows.push(
            row("a line of 8 MiB", Action::Bytes(line.clone()), C::Proto).says("without end"),
        );
        rows.push(row("10 000 lines", Action::Bytes(lines.into()), C::Proto).says("without end"));
        rows.push(row("a byte now and then", Action::Split(slow), C::Timeout).stalls());
    }
    table("Without end", rows).await;
}

#[tokio::test]
async fn what_comes_too_early_is_no_answer() {
    let script = Script::new().on(
        Verb::Data,
        Action::Bytes(b"354 go on\r\n250 2.0.0 Ok: queued as 4Xk2vB1GZ8z1L\r\n".to_vec()),
    );
    table(
        "Too early",
        vec![
            Row::new(
                "takes a message before it is sent",
                script,
                "data_end",
                Crit,
                P::Eod,
                Some(C::Proto),
            )
            .from(&["a@own.example"])
            .to(&[TO])
            .with(|t| t.send = true)
            .says("before the message is whole")
            .look(|_, seen| assert!(seen.mails.is_empty())),
            Row::new(
                "an unusual code",
                Script::new().on(Verb::Rcpt, "571 5.7.1 not wanted"),
                "rcpt_own",
                Crit,
                P::Rcpt,
                Some(C::Reply5),
            )
            .to(&[TO])
            .says("571 5.7.1"),
        ],
    )
    .await;
}

/// A pipe in a folder. At its end it lets who waits there go, which the runtime waits for.
struct Pipe(PathBuf);

impl Pipe {
    fn new(path: PathBuf) -> Self {
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        Self(path)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = OpenOptions::new().read(true).write(true).open(&self.0);
    }
}

/// Runs with more and more time until it is so, since a slow machine may need all of it for what
/// comes before.
async fn until(mut target: Target, is_so: impl Fn(&Report) -> bool) {
    let mut last = None;
    for seconds in [1, 10, 60] {
        target.limits.total = Duration::from_secs(seconds);
        let report = Prober::new(target.clone()).run().await;
        if is_so(&report) {
            return;
        }
        last = Some(report);
    }
    panic!("{last:#?}");
}

#[tokio::test]
async fn a_file_that_is_never_read_to_its_end_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = FakeSmtp::start(
        Script::new()
            .certificate(certificates().valid())
            .login(USER, PASSWORD),
    )
    .await;
    let mut target = Target::new("127.0.0.1", server.port());
    target.helo = Some("probe.example".to_owned());
    target.thresholds.connect = smtp_probe::Bounds::new(1e9, 1e9);
    let (ca, password) = (folder.path().join("ca.pem"), folder.path().join("password"));
    let pipe = Pipe::new(password);
    std::fs::write(&ca, certificates().ca_pem()).unwrap();
    let mut logs_in = target.clone();
    logs_in.ca = Some(ca);
    logs_in.login = Some(Login {
        user: USER.to_owned(),
        password: Password::File(pipe.0.clone()),
    });
    until(logs_in, |report| {
        let check = report.check("auth").unwrap();
        (check.state, check.class) == (Unknown, Some(C::Local)) && check.text.contains("in time")
    })
    .await;

    let authorities = Pipe::new(folder.path().join("authorities.pem"));
    target.ca = Some(authorities.0.clone());
    until(target, |report| {
        let check = report.check("cert_chain").unwrap();
        (check.state, check.class) == (Unknown, Some(C::Local)) && check.text.contains("in time")
    })
    .await;
}

/// A pipe gives what it has once, which is enough for a run of several dialogues.
#[tokio::test]
async fn a_password_from_a_pipe_is_good_for_the_whole_run() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, password) = (folder.path().join("ca.pem"), folder.path().join("password"));
    let pipe = Pipe::new(password);
    std::fs::write(&ca, certificates().ca_pem()).unwrap();
    let server = FakeSmtp::start(
        Script::new()
            .certificate(certificates().valid())
            .login(USER, PASSWORD),
    )
    .await;
    let writer = {
        let path = pipe.0.clone();
        tokio::task::spawn_blocking(move || std::fs::write(path, PASSWORD))
    };
    let mut target = Target::new("127.0.0.1", server.port());
    target.helo = Some("probe.example".to_owned());
    target.helo_short = Some("3f2a9c1d0b7e".to_owned());
    target.rcpt = vec![TO.to_owned()];
    target.ca = Some(ca);
    target.login = Some(Login {
        user: USER.to_owned(),
        password: Password::File(pipe.0.clone()),
    });
    target.limits.total = Duration::from_secs(60);
    let report = Prober::new(target).run().await;
    writer.await.unwrap().unwrap();
    assert_eq!(report.check("auth").unwrap().state, Fine, "{report:#?}");
    let logins = server.sessions().concat();
    let logins = logins.iter().filter(|l| l.starts_with("AUTH ")).count();
    assert_eq!(logins, 2, "{report:#?}");
}

/// An address of IPv6 in all places where it is written.
#[tokio::test]
async fn an_ipv6_literal_is_an_address() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        // This machine has no IPv6.
        return;
    };
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut said = Vec::new();
        stream
            .write_all(b"220 relay.example ESMTP\r\n")
            .await
            .unwrap();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            let is_last = line.starts_with("QUIT");
            said.push(line.trim_end().to_owned());
            let code = if is_last { "221" } else { "250" };
            let reply = format!("{code} relay.example\r\n");
            stream.write_all(reply.as_bytes()).await.unwrap();
            if is_last {
                return said;
            }
        }
    });
    let mut target = Target::parse(&format!("smtp://[::1]:{port}")).unwrap();
    assert_eq!((target.host.as_str(), target.tls_name()), ("::1", "::1"));
    target.source = Some("::1".parse().unwrap());
    target.helo = Some("probe.example".to_owned());
    target.limits.total = Duration::from_secs(60);
    let report = Prober::new(target).run().await;
    assert_eq!(report.target, format!("[::1]:{port}"));
    let check = report.check("connect").unwrap();
    assert!(
        check.text.starts_with(&format!("[::1]:{port} from ::1")),
        "{check:?}"
    );
    assert_eq!(server.await.unwrap(), ["EHLO probe.example", "QUIT"]);
}
