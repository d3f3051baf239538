//! What arrives is what was sent.

use mail_parser::MessageParser;
use notifier_core::{ErrorKind, Next, Report, Retry};
use notifier_testkit::{peer, postfix::Postfix};

use crate::sender::{PATIENCE, Sender, death, only, refusal};

#[tokio::test(flavor = "multi_thread")]
async fn the_receipt_has_the_id_that_the_relay_has_in_its_log() {
    let relay = Postfix::builder("closed").mailboxes(&["ann", "bob"]);
    let Some(relay) = relay.start_or_skip().await else {
        return;
    };
    let options = [("to", "ann@closed.example,bob@closed.example")];
    let sender = Sender::to(relay.port(), None, &options);
    for (n, task) in ["first", "second"].into_iter().enumerate() {
        let receipt = sender.send(task).await.unwrap();
        assert_eq!(receipt.next(), Next::Done, "{receipt:?}");
        let mut ids: Vec<String> = receipt
            .targets
            .iter()
            .map(|t| {
                t.verdict
                    .as_ref()
                    .unwrap()
                    .id
                    .clone()
                    .expect("the relay names one")
            })
            .collect();
        ids.dedup();
        assert_eq!(ids.len(), 1, "one transaction: {ids:?}");
        // Both are delivered, so the log tells of it.
        for mailbox in ["ann", "bob"] {
            assert_eq!(relay.wait_for(mailbox, n + 1, PATIENCE).await.len(), n + 1);
        }
        let log = relay.log();
        let line = log
            .lines()
            .find(|l| l.contains("/cleanup[") && l.contains(&format!(" {}: ", ids[0])));
        let line = line.unwrap_or_else(|| panic!("no {} in {log}", ids[0]));
        // The mail has an id of its own, which is ours.
        let mail = String::from_utf8(relay.mailbox("ann").remove(n)).unwrap();
        let message_id = mail.lines().find_map(|l| l.strip_prefix("Message-ID: "));
        let message_id = message_id.expect("a mail has an id");
        assert!(line.contains(&format!("message-id={message_id}")), "{line}");
    }
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_fits_into_what_the_relay_takes_or_is_not_tried_again() {
    const MOST: usize = 20_000;
    let large = format!("begin\n{}\n", "0123456789\n".repeat(4_000));
    let options = |to| [("to", to), ("format", large.as_str())];
    let relay = Postfix::builder("small")
        .mailboxes(&["ann"])
        .most_bytes(MOST as u64);
    let Some(relay) = relay.start_or_skip().await else {
        return;
    };
    let sender = Sender::to(relay.port(), None, &options("ann@small.example"));
    let receipt = sender.send("t").await.unwrap();
    assert_eq!(receipt.next(), Next::Done, "{receipt:?}");
    assert_eq!(receipt.warnings.len(), 1, "{receipt:?}");
    let mail = only(&relay, "ann").await;
    // Postfix counts its own headers, too.
    assert!(mail.len() < MOST + 1_000, "{}", mail.len());
    let mail = MessageParser::default().parse(&mail).unwrap();
    let text = mail.body_text(0).unwrap();
    assert!(
        text.starts_with("begin\n0123456789\n") && text.len() > MOST / 2,
        "{text}"
    );

    // One that does not say how much it takes refuses what is more.
    let silent = Postfix::builder("silent")
        .mailboxes(&["ann"])
        .most_bytes(MOST as u64)
        .setting("smtpd_discard_ehlo_keywords = size");
    let Some(silent) = silent.start_or_skip().await else {
        return;
    };
    let sender = Sender::to(silent.port(), None, &options("ann@silent.example"));
    let e = refusal(sender.send("t").await);
    assert_eq!(
        (e.kind(), e.retry()),
        (ErrorKind::TooLarge, Retry::Never),
        "{e}"
    );
    assert!(e.to_string().contains("552 5.3.4"), "{e}");
    // One that fits passes after it.
    let sender = Sender::to(silent.port(), None, &[("to", "ann@silent.example")]);
    assert_eq!(sender.send("u").await.unwrap().next(), Next::Done);
    only(&silent, "ann").await;
    peer::ran("Postfix");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_arrives_byte_for_byte() {
    let relay = Postfix::builder("closed").mailboxes(&["ann"]);
    let Some(relay) = relay.start_or_skip().await else {
        return;
    };
    let long = "0123456789 ".repeat(200);
    let texts = [
        "plain\n",
        "\nbegins with an empty line\n",
        "\n\n\ttab and trailing blanks  \n   \nend\n",
        "no line feed at the end",
        "ends with empty lines\n\n\n",
        ".\n..\n.dots\n",
        "From the start\nFrom: x@y\n\nSubject: no header\n",
        "Zürich – 日本語 – 😀\n",
        "nobr\u{a0}eak, \u{202e}turned, e\u{301}, =3D =?utf-8?q?x?=\n",
        &long,
    ];
    for (n, text) in texts.iter().enumerate() {
        let options = [
            ("to", "ann@closed.example"),
            ("format", "{{ .failure.Message }}"),
            ("subject", "{{ .failure.Name }}"),
        ];
        let sender = Sender::to(relay.port(), None, &options);
        let mut failure = death(&format!("№ {n}: {}", "größer ".repeat(20).trim()));
        failure.message = Some((*text).to_owned());
        let receipt = sender.send_report(&Report::failure(failure.clone())).await;
        assert_eq!(receipt.unwrap().next(), Next::Done, "{text:?}");
        let mails = relay.wait_for("ann", n + 1, PATIENCE).await;
        let bytes = &mails[n];
        assert!(bytes.split(|b| *b == b'\n').all(|line| line.len() <= 998));
        let mail = MessageParser::default().parse(bytes).unwrap();
        assert_eq!(mail.subject(), Some(failure.name.as_str()));
        // Line ends are line feeds on this side, also in base64.
        let body = mail.body_text(0).unwrap().replace("\r\n", "\n");
        assert_eq!(body, *text, "{}", bytes.escape_ascii());
    }
    // A text of ASCII in short lines is not encoded: it stands in the file as it is.
    let first = String::from_utf8(relay.mailbox("ann").remove(1)).unwrap();
    assert!(
        first.ends_with("\n\n\nbegins with an empty line\n"),
        "{first}"
    );
    peer::ran("Postfix");
}
