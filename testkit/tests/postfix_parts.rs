//! Single daemons, further ports and files of the real Postfix.

use std::time::Duration;

use notifier_testkit::{peer, postfix::Postfix};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpStream, UnixStream},
    time::timeout,
};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Shorter than a frozen daemon is silent.
const SOON: Duration = Duration::from_secs(2);

struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(port: u16) -> Self {
        let link = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut client = Self(BufReader::new(link));
        let greeting = client.reply(PATIENCE).await.unwrap();
        assert!(greeting.starts_with("220 "), "{greeting}");
        assert!(client.say("HELO client.example").await.starts_with("250"));
        client
    }

    async fn reply(&mut self, within: Duration) -> Option<String> {
        let mut line = String::new();
        let read = timeout(within, self.0.read_line(&mut line)).await;
        read.ok().map(|n| {
            n.unwrap();
            line.trim_end().to_owned()
        })
    }

    async fn write(&mut self, line: &str) {
        let line = format!("{line}\r\n");
        self.0.get_mut().write_all(line.as_bytes()).await.unwrap();
    }

    async fn say(&mut self, line: &str) -> String {
        self.write(line).await;
        self.reply(PATIENCE).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_daemon_is_silent_and_the_others_go_on() {
    let server = Postfix::builder("parts").mailboxes(&["ann"]);
    let Some(server) = server.start_or_skip().await else {
        return;
    };
    // One that did not run yet: an answer to RCPT does not come, and what is before it does.
    server.freeze("trivial-rewrite").await.unwrap();
    let mut client = Client::connect(server.port()).await;
    client.write("MAIL FROM:<a@b.example>").await;
    let mail = client.reply(SOON).await;
    if mail.is_some() {
        client.write("RCPT TO:<ann@parts.example>").await;
        assert_eq!(client.reply(SOON).await, None);
    }
    server.thaw().await.unwrap();
    let reply = client.reply(PATIENCE).await.unwrap();
    assert!(reply.starts_with("250 2.1."), "{reply}");
    drop(client);

    server.freeze("qmgr").await.unwrap();
    let mut client = Client::connect(server.port()).await;
    for (line, code) in [
        ("MAIL FROM:<a@b.example>", "250"),
        ("RCPT TO:<ann@parts.example>", "250"),
        ("DATA", "354"),
        ("Subject: x\r\n\r\nx\r\n.", "250"),
    ] {
        let reply = client.say(line).await;
        assert!(reply.starts_with(code), "{line}: {reply}");
    }
    // Nothing takes it up: it is where cleanup put it.
    let queue = server.queue().await.unwrap();
    assert_eq!(queue.len(), 1, "{queue:?}");
    assert!(server.mailbox("ann").is_empty());

    server.freeze("showq").await.unwrap();
    let mut list = UnixStream::connect(server.showq()).await.unwrap();
    let mut bytes = [0; 16];
    assert!(timeout(SOON, list.read(&mut bytes)).await.is_err());
    server.thaw().await.unwrap();
    assert!(list.read(&mut bytes).await.unwrap() > 0);
    assert_eq!(server.wait_for("ann", 1, PATIENCE).await.len(), 1);

    assert!(server.freeze("nosuch").await.is_err());
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn further_ports_have_their_own_settings_and_files_are_read_again() {
    let server = Postfix::builder("parts")
        .mailboxes(&["ann"])
        .file("access", "ann@parts.example 550 5.7.9 not here\n")
        .listener(
            "guarded",
            &["smtpd_recipient_restrictions = check_recipient_access texthash:{etc}/access"],
        )
        .listener("open", &["mynetworks = 127.0.0.0/8"]);
    let Some(server) = server.start_or_skip().await else {
        return;
    };
    assert_eq!(server.listener("none"), 0);
    assert!(server.main_cf().is_file() && server.queue_folder().is_dir());
    for (port, to, code) in [
        (server.port(), "x@far.example", "554 5.7.1"),
        (server.listener("open"), "x@far.example", "250"),
        (server.port(), "ann@parts.example", "250"),
        (server.listener("guarded"), "ann@parts.example", "550 5.7.9"),
    ] {
        let mut client = Client::connect(port).await;
        let mail = client.say("MAIL FROM:<a@b.example>").await;
        assert!(mail.starts_with("250"), "{mail}");
        let reply = client.say(&format!("RCPT TO:<{to}>")).await;
        assert!(reply.starts_with(code), "{to}: {reply}");
    }

    let main_cf = std::fs::read_to_string(server.main_cf()).unwrap();
    server
        .rewrite(
            "main.cf",
            &format!("{main_cf}smtpd_banner = changed ESMTP\n"),
        )
        .await
        .unwrap();
    server.reload().await.unwrap();
    // Processes from before may still greet as they did.
    let changed = async {
        loop {
            let link = TcpStream::connect(("127.0.0.1", server.port())).await;
            let mut line = String::new();
            BufReader::new(link.unwrap())
                .read_line(&mut line)
                .await
                .unwrap();
            if line.starts_with("220 changed") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, changed).await.unwrap();
    peer::ran("Postfix");
}
