//! The real Postfix of `notifier_testkit::postfix`, spoken to by hand.

use std::time::Duration;

use notifier_testkit::{
    peer,
    postfix::{Postfix, Rig},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::{Instant, sleep},
};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(port: u16) -> Self {
        let link = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut client = Self(BufReader::new(link));
        assert!(client.reply().await.starts_with("220 "));
        client.say("EHLO client.example").await;
        client
    }

    /// The last line of the next reply.
    async fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.unwrap();
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.trim_end().to_owned();
            }
        }
    }

    async fn say(&mut self, line: &str) -> String {
        let line = format!("{line}\r\n");
        self.0.get_mut().write_all(line.as_bytes()).await.unwrap();
        self.reply().await
    }

    async fn send(&mut self, to: &str, text: &str) -> String {
        assert!(self.say("MAIL FROM:<a@b.example>").await.starts_with("250"));
        let taken = self.say(&format!("RCPT TO:<{to}>")).await;
        if !taken.starts_with("250") {
            self.say("RSET").await;
            return taken;
        }
        assert!(self.say("DATA").await.starts_with("354"));
        self.say(&format!("{text}\r\n.")).await
    }
}

/// The end of the log.
fn last(server: &Postfix) -> String {
    let log = server.log();
    let lines: Vec<&str> = log.lines().rev().take(10).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// Looks until it is so.
async fn until(server: &Postfix, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < end, "not {what}: {}", last(server));
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_delivers_and_refuses_and_can_be_stopped_and_killed() {
    let server = Postfix::builder("closed")
        .mailboxes(&["ann", "bob"])
        .most_bytes(2000);
    let Some(server) = server.start_or_skip().await else {
        return;
    };

    let mut client = Client::connect(server.port()).await;
    for n in ["1", "2", "3"] {
        let said = client
            .send(
                "ann@closed.example",
                &format!("Subject: {n}\r\nMessage-ID: <{n}@b>\r\n\r\n{n}  "),
            )
            .await;
        assert!(said.starts_with("250 2.0.0 Ok: queued as "), "{said}");
        let id = said.rsplit(' ').next().unwrap();
        // Postfix writes its log as it comes to it.
        let mails = server.wait_for("ann", n.parse().unwrap(), PATIENCE).await;
        assert!(server.log().contains(id));
        let last = mails.last().unwrap();
        // Byte by byte, with the blanks at the end.
        let body = format!("\n\n{n}  \n");
        assert!(last.ends_with(body.as_bytes()), "{}", last.escape_ascii());
    }
    assert!(server.mailbox("bob").is_empty());
    for (to, answer) in [
        ("nobody@closed.example", "550 5.1.1 "),
        ("ann@far.example", "554 5.7.1 "),
    ] {
        let said = client.send(to, "Subject: x\r\n\r\nx").await;
        assert!(said.starts_with(answer), "{to}: {said}");
    }
    let long = "x\r\n".repeat(1000);
    let said = client.send("bob@closed.example", &long).await;
    assert!(said.starts_with("552 5.3.4 "), "{said}");

    // A paused one takes connections, and greets when it goes on.
    server.pause().await.unwrap();
    let link = TcpStream::connect(("127.0.0.1", server.port()))
        .await
        .unwrap();
    let mut paused = Client(BufReader::new(link));
    let early = tokio::time::timeout(Duration::from_millis(300), paused.reply()).await;
    assert!(early.is_err(), "{early:?}");
    server.resume().await.unwrap();
    assert!(paused.reply().await.starts_with("220 "));
    server.pause().await.unwrap();

    server.kill().await.unwrap();
    assert!(
        TcpStream::connect(("127.0.0.1", server.port()))
            .await
            .is_err()
    );
    server.start_again().await.unwrap();
    server.pause().await.unwrap();
    server.stop().await.unwrap();
    assert!(
        TcpStream::connect(("127.0.0.1", server.port()))
            .await
            .is_err()
    );
    server.start_again().await.unwrap();
    let mut client = Client::connect(server.port()).await;
    client
        .send("bob@closed.example", "Subject: x\r\n\r\nx")
        .await;
    assert_eq!(server.wait_for("bob", 1, PATIENCE).await.len(), 1);
    assert_eq!(server.mailbox("ann").len(), 3);

    let folder = server.folder().to_owned();
    drop(server);
    assert!(!folder.exists());
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_hands_on_or_keeps() {
    let Some(rig) = Rig::start(&["owner1"]).await else {
        return;
    };
    // Without login and TLS neither takes anything.
    for (port, mail, rcpt) in [
        (rig.relay.port(), "250 2.1.0 ", "554 5.7.1 "),
        (
            rig.relay.submission_port().unwrap(),
            "530 5.7.0 ",
            "530 5.7.0 ",
        ),
        (rig.upstream.port(), "530 5.7.0 ", "530 5.7.0 "),
    ] {
        let mut client = Client::connect(port).await;
        let said = client.say("MAIL FROM:<a@b.example>").await;
        assert!(said.starts_with(mail), "{said}");
        let said = client.say("RCPT TO:<owner1@mail.example>").await;
        assert!(said.starts_with(rcpt), "{said}");
    }

    // An open one in front, which hands on as the relay does.
    let open = Postfix::builder("open").open().hands_on_to(
        &rig.upstream,
        "relay",
        "upstream-password",
        &rig.certificates.ca_pem(),
    );
    let Some(open) = open.start_or_skip().await else {
        return;
    };
    let mut client = Client::connect(open.port()).await;
    let said = client
        .send("owner1@mail.example", "Subject: 1\r\n\r\n1")
        .await;
    assert!(said.starts_with("250 2.0.0 "), "{said}");
    let mails = rig.upstream.wait_for("owner1", 1, PATIENCE).await;
    assert_eq!(mails.len(), 1, "{}", last(&open));
    // Verified by the name and the authority, or not sent at all.
    assert!(open.log().contains("Verified TLS connection established"));
    assert!(rig.upstream.log().contains("sasl_username=relay"));

    rig.upstream.stop().await.unwrap();
    client
        .send("owner1@mail.example", "Subject: 2\r\n\r\n2")
        .await;
    until(&open, "kept", async || {
        let waiting = open.queue().await.unwrap();
        waiting.iter().any(|m| m["queue_name"] == "deferred")
    })
    .await;
    rig.upstream.start_again().await.unwrap();
    open.flush().await.unwrap();
    let mails = rig.upstream.wait_for("owner1", 2, PATIENCE).await;
    assert_eq!(mails.len(), 2, "{}", last(&open));

    // A certificate that it does not trust: it keeps the mail.
    let other = rig.certificates.other_ca();
    rig.upstream.change_identity(&other).await.unwrap();
    client
        .send("owner1@mail.example", "Subject: 3\r\n\r\n3")
        .await;
    until(&open, "refused", async || {
        open.log().contains("untrusted issuer")
    })
    .await;
    assert_eq!(rig.upstream.mailbox("owner1").len(), 2);
    peer::ran("Postfix");
}
