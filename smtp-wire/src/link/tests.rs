use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

/// The longest wait for a reply.
const REPLY: Duration = Duration::from_secs(300);

/// Both ends of a pipe; ours as a link with a day of time.
fn pipe() -> (Link, DuplexStream) {
    let (ours, theirs) = duplex(1 << 20);
    let until = Instant::now() + Duration::from_secs(86_400);
    (Link::of(Box::new(ours), until), theirs)
}

/// What a link makes of these bytes, and of the end after them.
async fn read(bytes: &[u8]) -> Result<String, Fault> {
    let (mut link, mut theirs) = pipe();
    theirs.write_all(bytes).await.unwrap();
    drop(theirs);
    let reply = link.reply(REPLY).await?;
    Ok(format!("{} {}", reply.code(), reply.text()))
}

fn malformed(what: &str) -> Result<String, Fault> {
    Err(Fault::Malformed(what.to_owned()))
}

#[tokio::test(start_paused = true)]
async fn replies_are_read_and_bounded() {
    assert_eq!(read(b"250 ok\r\n").await.unwrap(), "250 ok");
    assert_eq!(
        read(b"250-a\r\n250-b\n250 c\r\n").await.unwrap(),
        "250 a b c"
    );
    assert_eq!(
        read(b"250 caf\xc3\xa9 \xff\r\n").await.unwrap(),
        "250 café \u{fffd}"
    );
    assert_eq!(read(b"").await, Err(Fault::Closed));
    assert_eq!(read(b"250 half").await, Err(Fault::Closed));
    assert_eq!(read(b"250-a\r\n").await, Err(Fault::Closed));
    assert_eq!(
        read(b"\x16\x03\x01\r\n").await,
        malformed("a reply without a code")
    );
    let longest = format!("250 {}\r\n", "x".repeat(LONGEST_LINE - 4));
    assert!(read(longest.as_bytes()).await.is_ok());
    let longer = format!("250 {}\r\n", "x".repeat(LONGEST_LINE - 3));
    assert_eq!(
        read(longer.as_bytes()).await,
        malformed("a reply line without end")
    );
    // Also without a line end.
    assert_eq!(
        read(&[b'2'; 1 << 19]).await,
        malformed("a reply line without end")
    );
    assert_eq!(
        read(&b"250-x\r\n".repeat(5000)).await,
        malformed("a reply without end")
    );
}

#[tokio::test(start_paused = true)]
async fn a_reply_may_come_in_pieces_but_not_for_ever() {
    let (mut link, mut theirs) = pipe();
    let slow = tokio::spawn(async move {
        for b in b"250-one\r\n250 two\r\n" {
            tokio::time::sleep(Duration::from_secs(2)).await;
            theirs.write_all(&[*b]).await.unwrap();
        }
        // A drop every few seconds keeps no one waiting beyond the time for the whole.
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            if theirs.write_all(b"2").await.is_err() {
                return;
            }
        }
    });
    assert_eq!(link.reply(REPLY).await.unwrap().text(), "one two");
    assert_eq!(
        link.reply(Duration::from_secs(60)).await,
        Err(Fault::Stalled(Duration::from_secs(60)))
    );
    drop(link);
    slow.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_attempt_bounds_each_wait() {
    let (mut link, _theirs) = pipe();
    link.set_until(Instant::now() + Duration::from_secs(7));
    assert_eq!(
        link.reply(REPLY).await,
        Err(Fault::Stalled(Duration::from_secs(7)))
    );
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asked_for_is_no_answer() {
    let (mut link, mut theirs) = pipe();
    theirs
        .write_all(b"250 first\r\n250 second\r\n")
        .await
        .unwrap();
    assert_eq!(link.reply(REPLY).await.unwrap().text(), "first");
    let e = link.ask("RSET\r\n", REPLY).await.unwrap_err();
    assert_eq!(
        e.to_string(),
        "sent an answer that nothing had asked for (250 second)"
    );
    // But for the end, which a relay may say at any time.
    let (mut link, mut theirs) = pipe();
    theirs.write_all(b"421 4.3.2 bye\r\n").await.unwrap();
    assert!(!link.is_quiet().await);
    assert!(link.ask("RSET\r\n", REPLY).await.unwrap().is_closing());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_link_is_open_and_has_nothing_to_read() {
    let (mut link, theirs) = pipe();
    assert!(link.is_quiet().await);
    drop(theirs);
    assert!(!link.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn nothing_may_come_before_the_handshake() {
    let (mut link, mut theirs) = pipe();
    theirs
        .write_all(b"220 go\r\n250 injected\r\n")
        .await
        .unwrap();
    assert_eq!(link.reply(REPLY).await.unwrap().code(), 220);
    let e = link.into_stream().await.err().unwrap();
    assert!(e.to_string().contains("possible injection"), "{e}");
    let (mut link, mut theirs) = pipe();
    theirs.write_all(b"220 go\r\n").await.unwrap();
    assert_eq!(link.reply(REPLY).await.unwrap().code(), 220);
    theirs.write_all(b"\x16").await.unwrap();
    assert!(link.into_stream().await.is_err());
    let (link, _theirs) = pipe();
    assert!(link.into_stream().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_message_goes_out_in_the_blocks_that_are_taken() {
    let (ours, mut theirs) = duplex(16);
    let mut link = Link::of(Box::new(ours), Instant::now() + REPLY * 100);
    let wire = b"0123456789".repeat(100);
    let copy = wire.clone();
    let reader = tokio::spawn(async move {
        let mut got = vec![0; copy.len()];
        theirs.read_exact(&mut got).await.unwrap();
        assert_eq!(got, copy);
        theirs
    });
    assert_eq!(link.send(&wire, REPLY).await, Sent::Whole);
    // Nobody reads any more: it stalls, short of its end.
    let theirs = reader.await.unwrap();
    match link.send(&wire, REPLY).await {
        Sent::Broken(n, Fault::Stalled(time)) => assert!(n < wire.len() && time == REPLY, "{n}"),
        other => panic!("{other:?}"),
    }
    drop(theirs);
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_speaks_stops_the_message() {
    let (ours, mut theirs) = duplex(64);
    let mut link = Link::of(Box::new(ours), Instant::now() + REPLY * 100);
    theirs.write_all(b"552 large\r\n").await.unwrap();
    assert_eq!(link.send(&[b'x'; 1000], REPLY).await, Sent::Interrupted);
    assert_eq!(link.reply(REPLY).await.unwrap().code(), 552);
    // And in the middle of it.
    let (ours, mut theirs) = duplex(64);
    let mut link = Link::of(Box::new(ours), Instant::now() + REPLY * 100);
    let relay = tokio::spawn(async move {
        let mut got = [0; 100];
        theirs.read_exact(&mut got).await.unwrap();
        theirs.write_all(b"552 large\r\n").await.unwrap();
        theirs
    });
    assert_eq!(link.send(&[b'x'; 1000], REPLY).await, Sent::Interrupted);
    drop(relay.await.unwrap());
    match link.send(&[b'x'; 1000], REPLY).await {
        Sent::Interrupted => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_are_not_in_the_dialogue() {
    let (mut link, mut theirs) = pipe();
    theirs.write_all(b"235 in\r\n").await.unwrap();
    let relay = tokio::spawn(async move {
        let mut got = [0; 64];
        let n = theirs.read(&mut got).await.unwrap();
        String::from_utf8_lossy(&got[..n]).into_owned()
    });
    // It is there before anything is asked.
    assert!(
        link.ask_secret("AUTH PLAIN czNjcjN0\r\n", "AUTH PLAIN ***", REPLY)
            .await
            .is_err()
    );
    let shown = format!("{} {link:?}", link.dialogue());
    assert!(
        shown.contains("AUTH PLAIN ***") && !shown.contains("czNjcjN0"),
        "{shown}"
    );
    drop(link);
    assert_eq!(relay.await.unwrap(), "");
}

#[tokio::test(start_paused = true)]
async fn a_password_that_is_said_back_is_masked() {
    let (mut link, mut theirs) = pipe();
    let relay = tokio::spawn(async move {
        let mut got = vec![0; 512];
        let n = theirs.read(&mut got).await.unwrap();
        let line = String::from_utf8_lossy(&got[..n]).into_owned();
        let payload = line.trim_end().rsplit(' ').next().unwrap();
        let said = format!("535-5.7.8 {payload}\r\n535 5.7.8 s3cr3t-word is wrong\r\n");
        theirs.write_all(said.as_bytes()).await.unwrap();
        let n = theirs.read(&mut got).await.unwrap();
        assert_eq!(&got[..n], b"RSET\r\n");
        theirs.write_all(b"550 s3cr3t-word\r\n").await.unwrap();
        theirs
    });
    let plain = crate::auth::Mechanism::Plain;
    let password = "s3cr3t-word".into();
    let reply = crate::auth::log_in(&mut link, plain, "user", &password, REPLY).await;
    let reply = reply.unwrap();
    assert_eq!(reply.text(), "*** *** is wrong");
    assert_eq!(link.ask("RSET\r\n", REPLY).await.unwrap().text(), "***");
    assert_eq!(
        link.dialogue().to_string(),
        "C: AUTH PLAIN *** | S: 535 5.7.8 *** *** is wrong | C: RSET | S: 550 ***"
    );
    drop(relay.await.unwrap());
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_a_reply_or_a_fault(bytes in "(250|354|550|[0-9]{2,4})?[- ]?[ -~]{0,9}(\r\n|\n|\r)?([0-9]{3}[- ]x\r\n){0,3}") {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        if let Ok(text) = runtime.block_on(read(bytes.as_bytes())) {
            // What is read as a reply begins as one, and its last line is whole.
            proptest::prop_assert!(bytes.starts_with(&text[..3]), "{bytes:?}: {text:?}");
            proptest::prop_assert!(bytes.contains('\n'), "{bytes:?}");
        }
    }
}
