//! The scripted SMTP server, through a client that only writes and reads lines.
#![cfg(feature = "smtp")]

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use notifier_testkit::smtp::{Action, Certificates, FakeSmtp, Identity, Script, Verb};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

struct Client<S> {
    stream: S,
    seen: Vec<u8>,
}

impl Client<TcpStream> {
    /// Connects and reads the banner.
    async fn open(relay: &FakeSmtp) -> (Self, String) {
        let mut client = Self::connect(relay).await;
        let banner = client.reply().await.unwrap();
        (client, banner)
    }

    async fn connect(relay: &FakeSmtp) -> Self {
        let stream = TcpStream::connect(relay.address()).await.unwrap();
        Self {
            stream,
            seen: Vec::new(),
        }
    }

    /// Connects and greets.
    async fn ready(relay: &FakeSmtp) -> Self {
        let (mut client, _) = Self::open(relay).await;
        assert!(client.say("EHLO me.example").await.starts_with("250"));
        client
    }

    async fn secure(self, certificates: &Certificates) -> io::Result<Client<TlsStream<TcpStream>>> {
        let stream = handshake(self.stream, certificates, "localhost").await?;
        Ok(Client {
            stream,
            seen: Vec::new(),
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// A whole reply, its lines parted by a line feed; an error when the link ends before.
    async fn reply(&mut self) -> io::Result<String> {
        let mut lines: Vec<String> = Vec::new();
        loop {
            let line = self.line().await?;
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                return Ok(lines.join("\n"));
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.seen.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.seen.drain(..at + 2).take(at).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            if self.stream.read_buf(&mut self.seen).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn say(&mut self, line: &str) -> String {
        self.write(format!("{line}\r\n")).await;
        self.reply().await.unwrap()
    }

    /// MAIL, one recipient, DATA.
    async fn begin(&mut self, recipient: &str) {
        assert!(self.say("MAIL FROM:<a@x>").await.starts_with("250"));
        let rcpt = format!("RCPT TO:<{recipient}>");
        assert!(self.say(&rcpt).await.starts_with("250"));
        assert!(self.say("DATA").await.starts_with("354"));
    }

    /// Whether nothing comes but the end of the link, or its reset.
    async fn end(&mut self) -> io::Result<usize> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await
    }
}

async fn handshake(
    stream: TcpStream,
    trusted: &Certificates,
    name: &'static str,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(trusted.ca_pem().as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

#[tokio::test]
async fn a_mail_is_taken_and_kept_as_it_came() {
    let relay = FakeSmtp::start(Script::new()).await;
    let (mut client, banner) = Client::open(&relay).await;
    assert_eq!(banner, "220 relay.example ESMTP");
    let offered = client.say("EHLO me.example").await;
    let lines: Vec<&str> = offered.lines().map(|line| &line[4..]).collect();
    assert_eq!(
        lines,
        [
            "relay.example",
            "PIPELINING",
            "ENHANCEDSTATUSCODES",
            "8BITMIME",
            "DSN",
            "SMTPUTF8",
            "SIZE 10240000"
        ]
    );
    let group = "MAIL FROM:<a@x> SIZE=9 BODY=8BITMIME\r\nRCPT TO:<b@y> NOTIFY=NEVER\r\nRCPT TO:<c@z>\r\nDATA\r\n";
    client.write(group).await;
    for code in ["250 2.1.0", "250 2.1.5", "250 2.1.5", "354"] {
        assert!(client.reply().await.unwrap().starts_with(code));
    }
    client.write("A: b\r\n\r\n..\u{e9}\r\n.\r\n").await;
    let taken = client.reply().await.unwrap();
    assert_eq!(client.say("QUIT").await, "221 2.0.0 Bye");
    assert_eq!(client.end().await.unwrap(), 0);

    let mails = relay.mails();
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    assert_eq!(taken, format!("250 2.0.0 Ok: queued as {}", mail.id));
    assert_eq!(
        (mail.from.as_str(), mail.from_parameters.as_str()),
        ("a@x", "SIZE=9 BODY=8BITMIME")
    );
    assert_eq!(mail.to(), ["b@y", "c@z"]);
    assert_eq!(mail.recipients[0].1, "NOTIFY=NEVER");
    assert_eq!(mail.data, "A: b\r\n\r\n.\u{e9}\r\n".as_bytes());
    assert_eq!(
        (mail.tls, mail.login.clone(), mail.helo.as_str()),
        (false, None, "me.example")
    );
    assert_eq!(relay.faults(), [""; 0]);
    let session = relay.sessions().remove(0);
    assert_eq!(session[0], "EHLO me.example");
    assert_eq!(session[4..], ["DATA", ".", "QUIT"]);
    relay.wait(|state| state.open == 0).await;
    assert_eq!((relay.connections(), relay.open()), (1, 0));
}

#[tokio::test]
async fn what_is_out_of_order_is_refused() {
    let relay = FakeSmtp::start(Script::new().size(100).most_recipients(1).known(&["b@y"])).await;
    let (mut client, _) = Client::open(&relay).await;
    for (said, answer) in [
        ("MAIL FROM:<a@x>", "503 5.5.1 Error: send HELO/EHLO first"),
        ("EHLO", "501 5.5.4"),
        ("VRFY a", "502 5.5.2 Error: command not recognized"),
        ("STARTTLS", "502 5.5.1"),
        ("AUTH PLAIN", "503 5.5.1"),
        ("HELO me.example", "250 relay.example"),
        ("MAIL FROM:<a@x> SIZE=1", "555 5.5.4"),
        ("EHLO me.example", "250-relay.example"),
        ("RCPT TO:<b@y>", "503 5.5.1 Error: need MAIL command"),
        ("DATA", "503 5.5.1"),
        ("MAIL FROM:a@x", "501 5.5.4"),
        ("MAIL FROM:<a@x> SIZE=101", "552 5.3.4"),
        ("MAIL FROM:<> SIZE=100", "250 2.1.0"),
        ("MAIL FROM:<a@x>", "503 5.5.1 Error: nested MAIL command"),
        ("RCPT TO:<nobody@y>", "550 5.1.1"),
        ("DATA", "554 5.5.1 Error: no valid recipients"),
        ("RCPT TO:<B@y>", "250 2.1.5"),
        ("RCPT TO:<b@y>", "452 4.5.3"),
        ("RSET", "250 2.0.0"),
        ("RCPT TO:<b@y>", "503 5.5.1"),
        ("MAIL FROM:<a@x>", "250 2.1.0"),
        ("RCPT TO:<b@y>", "250 2.1.5"),
        ("NOOP", "250 2.0.0"),
        ("DATA", "354 "),
    ] {
        let said_back = client.say(said).await;
        assert!(said_back.starts_with(answer), "{said}: {said_back}");
    }
    client.write("x".repeat(120)).await;
    assert!(client.say("\r\n.").await.starts_with("552 5.3.4"));
    // The transaction is over with its dot.
    assert!(client.say("MAIL FROM:<a@x>").await.starts_with("250"));
    assert!(relay.mails().is_empty());
    assert_eq!(relay.faults(), [""; 0]);
}

#[tokio::test]
async fn what_a_client_must_not_do_is_noted() {
    let relay = FakeSmtp::start(Script::new()).await;
    let mut client = Client::ready(&relay).await;
    client.write("NOOP\r\nRSET\r\n").await;
    client.reply().await.unwrap();
    client.reply().await.unwrap();
    client.say(&format!("NOOP {}", "x".repeat(510))).await;
    client.say("MAIL FROM:<\u{e9}@x>").await;
    client.say("RCPT TO:<b@y>").await;
    client.say("DATA").await;
    let long = "y".repeat(999);
    client
        .write(format!(
            "A: \u{e9}\r\nB: lone\nfeed\r\n\r\n{long}\r\nreturn\r\r\n.\r\n"
        ))
        .await;
    client.reply().await.unwrap();
    relay.set(Script::new().without("pipelining"));
    client.say("EHLO me.example").await;
    client.write("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n").await;
    client.reply().await.unwrap();
    client.reply().await.unwrap();
    assert_eq!(
        relay.faults(),
        [
            "more was sent before the answer to NOOP",
            "NOOP of 517 octets",
            "an address that is not ASCII without SMTPUTF8: \u{e9}@x",
            "a line of a message with a CR or LF alone",
            "a line of a message of 1001 octets",
            "a line of a message with a CR or LF alone",
            "8-bit octets in a message without BODY=8BITMIME",
            "8-bit octets in a header without SMTPUTF8",
            "more was sent before the answer to MAIL without PIPELINING",
        ]
    );
    assert_eq!(
        relay.mails()[0].data.iter().filter(|b| **b == b'y').count(),
        999
    );
}

#[tokio::test]
async fn who_talks_first_is_noted() {
    let late = Action::delay(Duration::from_millis(20));
    let relay = FakeSmtp::start(Script::new().on(Verb::Connect, late)).await;
    Client::ready(&relay).await;
    assert_eq!(relay.faults(), [""; 0]);
    // Nothing is awaited in between: the server has the line before it looks.
    let mut early = std::net::TcpStream::connect(relay.address()).unwrap();
    early.write_all(b"EHLO me.example\r\n").unwrap();
    early.set_nonblocking(true).unwrap();
    let mut early = Client {
        stream: TcpStream::from_std(early).unwrap(),
        seen: Vec::new(),
    };
    assert!(early.reply().await.unwrap().starts_with("220"));
    assert!(early.reply().await.unwrap().starts_with("250"));
    assert_eq!(relay.faults(), ["the client talked before the greeting"]);
}

#[tokio::test]
async fn logins_are_asked_for_and_judged() {
    let certificates = Certificates::new();
    let script = || {
        Script::new()
            .certificate(certificates.valid())
            .login("user", "pass word")
    };
    let relay = FakeSmtp::start(script()).await;
    let mut client = Client::ready(&relay).await;
    let mail = client.say("MAIL FROM:<a@x>").await;
    assert!(
        mail.starts_with("530 5.7.0 Must issue a STARTTLS"),
        "{mail}"
    );
    assert!(
        client
            .say("AUTH PLAIN AHVzZXIAcGFzcyB3b3Jk")
            .await
            .starts_with("538 5.7.11")
    );
    assert!(client.say("STARTTLS").await.starts_with("220"));
    let mut client = client.secure(&certificates).await.unwrap();
    assert!(client.say("MAIL FROM:<a@x>").await.starts_with("503"));
    let offered = client.say("EHLO me.example").await;
    assert!(offered.contains("AUTH PLAIN LOGIN XOAUTH2"), "{offered}");
    assert!(!offered.contains("STARTTLS"), "{offered}");
    assert!(
        client
            .say("MAIL FROM:<a@x>")
            .await
            .starts_with("530 5.7.0 Auth")
    );
    for (said, answers) in [
        ("AUTH CRAM-MD5", &["504 5.5.4"][..]),
        ("AUTH PLAIN AHVzZXIAd3Jvbmc=", &["535 5.7.8"]),
        ("AUTH PLAIN !", &["501 5.5.2"]),
        ("AUTH PLAIN\r\n*", &["334 ", "501 5.7.0"]),
        ("AUTH PLAIN\r\nAHVzZXIAd3Jvbmc=", &["334 ", "535 5.7.8"]),
        (
            "AUTH XOAUTH2 dXNlcj11c2VyAWF1dGg9QmVhcmVyIG5vAQE=\r\n",
            &["334 eyJzdGF0dXMi", "535 5.7.8"],
        ),
        (
            "AUTH LOGIN\r\ndXNlcg==\r\ncGFzcyB3b3Jk",
            &["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 2.7.0"],
        ),
        ("AUTH PLAIN AHVzZXIAcGFzcyB3b3Jk", &["503 5.5.1"]),
    ] {
        for (line, answer) in said.split("\r\n").zip(answers) {
            let back = client.say(line).await;
            assert!(back.starts_with(answer), "{said}: {back}");
        }
    }
    client.begin("b@y").await;
    client.say("A: b\r\n\r\n.").await;
    let mail = relay.mails().remove(0);
    let login = ("user".to_owned(), "pass word".to_owned());
    assert_eq!((mail.tls, mail.login), (true, Some(login)));
    assert_eq!(relay.faults(), [""; 0]);

    relay.set(
        Script::new()
            .login("user", "t")
            .mechanisms(&["XOAUTH2"])
            .auth_before_tls(true),
    );
    let mut client = Client::ready(&relay).await;
    assert!(
        client
            .say("AUTH PLAIN AHVzZXIAdA==")
            .await
            .starts_with("504")
    );
    let token = "AUTH XOAUTH2 dXNlcj11c2VyAWF1dGg9QmVhcmVyIHQBAQ==";
    assert!(client.say(token).await.starts_with("235"));
}

#[tokio::test]
async fn certificates_are_what_they_are_called() {
    let certificates = Certificates::new();
    let minute = Duration::from_secs(60);
    let ok = |identity: Identity, name| (identity, name, None);
    let bad = |identity, why| (identity, "localhost", Some(why));
    for (identity, name, why) in [
        ok(certificates.valid(), "localhost"),
        ok(certificates.valid(), "127.0.0.1"),
        ok(certificates.valid(), "relay.example"),
        ok(certificates.named(&["other.example"]), "other.example"),
        ok(certificates.wrong_name(), "elsewhere.example"),
        ok(certificates.expiring_in(5 * minute), "localhost"),
        bad(certificates.wrong_name(), "not valid for name"),
        bad(certificates.expired(), "expired"),
        bad(certificates.not_yet_valid(), "not valid yet"),
        bad(certificates.self_signed(), "UnknownIssuer"),
        bad(certificates.other_ca(), "BadSignature"),
    ] {
        assert!(
            identity
                .chain_pem()
                .starts_with("-----BEGIN CERTIFICATE-----")
        );
        assert!(
            identity
                .key_pem()
                .starts_with("-----BEGIN PRIVATE KEY-----")
        );
        assert!(!format!("{identity:?}").contains("PRIVATE"));
        let relay = FakeSmtp::start(Script::new().implicit_tls(identity)).await;
        let client = Client::connect(&relay).await;
        match handshake(client.stream, &certificates, name).await {
            Ok(stream) => {
                assert_eq!(why, None);
                let mut client = Client {
                    stream,
                    seen: Vec::new(),
                };
                assert!(client.reply().await.unwrap().starts_with("220"));
            }
            Err(error) => {
                let why = why.unwrap_or_else(|| panic!("{name}: {error}"));
                assert!(error.to_string().contains(why), "{why}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn actions_at_commands() {
    let relay = FakeSmtp::start(
        Script::new()
            .banner("relay.example ready\nand patient")
            .on_nth(Verb::Noop, 2, "250-first\n250 second")
            .once(Verb::Noop, Action::Split(String::new()))
            .on_nth(Verb::Noop, 3, Action::Bytes(b"what?\r\n".to_vec()))
            .on_nth(Verb::Noop, 4, Action::delay(Duration::from_millis(5)))
            .on_nth(Verb::Noop, 5, Action::reply_then_cut("421 4.3.2 bye"))
            .on_recipient("slow@y", "450 4.2.0 greylisted"),
    )
    .await;
    let (mut client, banner) = Client::open(&relay).await;
    assert_eq!(banner, "220-relay.example ready\n220 and patient");
    client.say("EHLO me.example").await;
    client.say("MAIL FROM:<a@x>").await;
    assert_eq!(client.say("RCPT TO:<Slow@y>").await, "450 4.2.0 greylisted");
    assert_eq!(client.say("NOOP").await, "250 2.0.0 Ok");
    assert_eq!(client.say("NOOP").await, "250-first\n250 second");
    assert_eq!(client.say("NOOP").await, "what?");
    assert_eq!(client.say("NOOP").await, "250 2.0.0 Ok");
    assert_eq!(client.say("NOOP").await, "421 4.3.2 bye");
    assert_eq!(client.end().await.unwrap(), 0);

    for (action, reset) in [(Action::Cut, false), (Action::Reset, true)] {
        relay.set(Script::new().on(Verb::Mail, action));
        let mut client = Client::ready(&relay).await;
        client.write("MAIL FROM:<a@x>\r\n").await;
        assert_eq!(client.end().await.is_err(), reset);
    }
    relay.set(Script::new().on(Verb::Mail, Action::HalfClose));
    let mut client = Client::ready(&relay).await;
    client.write("MAIL FROM:<a@x>\r\n").await;
    assert_eq!(client.end().await.unwrap(), 0);
    client.write("still read\r\n").await;

    relay.set(Script::new().on(Verb::Mail, Action::Stall));
    let mut silent = Client::ready(&relay).await;
    silent.write("MAIL FROM:<a@x>\r\n").await;
    relay.wait(|s| s.sessions.last().unwrap().len() == 2).await;
    relay.set(Script::new());
    // Another connection goes on meanwhile.
    let mut other = Client::ready(&relay).await;
    other.say("QUIT").await;
    let mut byte = [0];
    let quiet = silent.stream.try_read(&mut byte).unwrap_err();
    assert_eq!(quiet.kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn actions_around_the_dot() {
    let relay = FakeSmtp::start(Script::new()).await;
    for (action, kept, answer) in [
        (Action::TakeThenCut, true, None),
        (Action::Cut, false, None),
        (
            Action::reply("451 4.3.0 later"),
            false,
            Some("451 4.3.0 later"),
        ),
        (
            Action::reply("250-2.0.0 yes\n250 2.0.0 Ok: queued as X"),
            true,
            Some("250-2.0.0 yes\n250 2.0.0 Ok: queued as X"),
        ),
    ] {
        let before = relay.mails().len();
        relay.set(Script::new().on(Verb::Body, action));
        let mut client = Client::ready(&relay).await;
        client.begin("b@y").await;
        client.write("A: b\r\n\r\n.\r\n").await;
        assert_eq!(client.reply().await.ok().as_deref(), answer);
        assert_eq!(relay.mails().len() - before, usize::from(kept));
    }
    relay.set(Script::new().on(Verb::Body, Action::TakeThenStall));
    let mut client = Client::ready(&relay).await;
    client.begin("b@y").await;
    client.write("A: b\r\n\r\n.\r\n").await;
    relay.wait(|state| state.mails.len() == 3).await;

    relay.set(Script::new().on(
        Verb::Data,
        Action::in_body(5, Action::reply_then_cut("421 no")),
    ));
    let mut client = Client::ready(&relay).await;
    client.begin("b@y").await;
    client.write("A: b\r\n").await;
    assert_eq!(client.reply().await.unwrap(), "421 no");
    let _ = client.end().await;
    assert_eq!(relay.mails().len(), 3);

    // A go-ahead without recipients, and no go-ahead with one.
    relay.set(
        Script::new()
            .once(Verb::Data, "354 go on")
            .once(Verb::Body, "250 2.0.0 sent to nobody")
            .on(Verb::Data, "250 2.0.0 what for?")
            .refuse("b@y", "550 5.1.1 no"),
    );
    let mut client = Client::ready(&relay).await;
    client.say("MAIL FROM:<a@x>").await;
    client.say("RCPT TO:<b@y>").await;
    assert_eq!(client.say("DATA").await, "354 go on");
    assert_eq!(client.say(".").await, "250 2.0.0 sent to nobody");
    client.say("MAIL FROM:<a@x>").await;
    client.say("RCPT TO:<c@y>").await;
    assert_eq!(client.say("DATA").await, "250 2.0.0 what for?");
    assert_eq!(client.say("NOOP").await, "250 2.0.0 Ok");
    assert_eq!(relay.mails().len(), 3);
}

#[tokio::test]
async fn actions_in_the_place_of_tls() {
    let certificates = Certificates::new();
    let valid = || Script::new().certificate(certificates.valid());
    let relay = FakeSmtp::start(valid().on(Verb::StartTls, Action::InjectBeforeTls)).await;
    let mut client = Client::ready(&relay).await;
    let starts = client.say("STARTTLS").await;
    assert_eq!(starts, "220 2.0.0 Ready to start TLS");
    assert_eq!(client.reply().await.unwrap(), "250 2.0.0 injected");
    assert!(client.seen.is_empty());
    let mut client = client.secure(&certificates).await.unwrap();
    assert!(client.say("EHLO me.example").await.starts_with("250-"));

    for (action, why) in [
        (Action::GarbageTls, "corrupt message"),
        (Action::TlsAlert, "HandshakeFailure"),
    ] {
        relay.set(valid().on(Verb::StartTls, action.clone()));
        let mut client = Client::ready(&relay).await;
        client.say("STARTTLS").await;
        let error = client.secure(&certificates).await.err().unwrap();
        assert!(error.to_string().contains(why), "{error}");

        relay.set(
            Script::new()
                .implicit_tls(certificates.valid())
                .on(Verb::Connect, action),
        );
        let client = Client::connect(&relay).await;
        let error = client.secure(&certificates).await.err().unwrap();
        assert!(error.to_string().contains(why), "{error}");
    }

    relay.set(valid().on(Verb::StartTls, "454 4.7.0 no TLS now"));
    let mut client = Client::ready(&relay).await;
    assert_eq!(client.say("STARTTLS").await, "454 4.7.0 no TLS now");
    assert_eq!(client.say("NOOP").await, "250 2.0.0 Ok");
    relay.set(valid().without("STARTTLS"));
    assert!(!client.say("EHLO me.example").await.contains("STARTTLS"));
    // What comes before the handshake is noted, and never obeyed.
    relay.set(valid());
    client.say("EHLO me.example").await;
    client.write("STARTTLS\r\nMAIL FROM:<evil@x>\r\n").await;
    client.reply().await.unwrap();
    let seen = relay.faults();
    assert_eq!(seen, ["more was sent before the answer to STARTTLS"]);
    assert_eq!(relay.sessions().last().unwrap().last().unwrap(), "STARTTLS");
}

#[tokio::test]
async fn a_relay_that_hangs_up_is_gone_and_comes_back() {
    let relay = FakeSmtp::start(Script::new()).await;
    let mut first = Client::ready(&relay).await;
    relay.hang_up("421 4.4.2 relay.example Error: timeout exceeded");
    assert!(first.reply().await.unwrap().starts_with("421 4.4.2"));
    assert_eq!(first.end().await.unwrap(), 0);
    let mut second = Client::ready(&relay).await;
    relay.hang_up("");
    assert_eq!(second.end().await.unwrap(), 0);

    let mut third = Client::ready(&relay).await;
    relay.refuse().await;
    let _ = third.end().await;
    let refused = TcpStream::connect(relay.address()).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    relay.wait(|state| state.open == 0).await;
    relay.restore().unwrap();
    Client::ready(&relay).await;

    let mut last = Client::ready(&relay).await;
    let address = relay.address();
    drop(relay);
    let _ = last.end().await;
    // The listener goes when its task is next looked at.
    let gone = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(60), gone).await;
    assert!(gone.is_ok(), "{address} still listens");
}
