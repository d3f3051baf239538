//! A canary that is delivered to us.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU32, Ordering},
};

use notifier_testkit::{peer, postfix::Postfix};
use smtp_probe::{Canary, Past, State, Target};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use crate::rig::{PATIENCE, assert_delivered, canary, patient, with_past};

/// An address of loopback that no other test has: there are enough for each process and each call.
fn own_address() -> SocketAddr {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let number = std::process::id().wrapping_mul(16).wrapping_add(count);
    let [_, a, b, c] = number.to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(127, 64 + a % 64, b, c), 2424))
}

fn target(relay: &Postfix, end: Canary) -> Target {
    let mut target = Target::new("127.0.0.1", relay.port());
    patient(&mut target);
    target.from = vec!["watch@relay.example".to_owned()];
    target.rcpt = vec!["canary@elsewhere.example".to_owned()];
    target.canary = Some(end);
    target
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_delivers_to_our_own_servers() {
    for is_lmtp in [false, true] {
        let address = own_address();
        let transport = match is_lmtp {
            true => format!(
                "default_transport = lmtp:inet:{}:{}",
                address.ip(),
                address.port()
            ),
            false => format!(
                "default_transport = smtp:[{}]:{}",
                address.ip(),
                address.port()
            ),
        };
        let relay = Postfix::builder("relay")
            .trusts("127.0.0.0/8")
            .service("lmtp unix - - n - - lmtp")
            .setting(&transport)
            .start_or_skip();
        let Some(relay) = relay.await else {
            return;
        };
        let end = match is_lmtp {
            true => Canary::LmtpListen(address),
            false => Canary::SmtpListen(address),
        };
        let target = target(&relay, end);
        for _ in 0..2 {
            assert_delivered(&canary(&target).await, &["relay.example"]);
        }
        // The relay was answered, and has nothing left to send again.
        assert!(relay.queue().await.unwrap().is_empty(), "{}", relay.log());
        peer::ran("Postfix");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_our_own_fault() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut target = Target::new("127.0.0.1", 1);
    target.rcpt = vec!["canary@elsewhere.example".to_owned()];
    target.canary = Some(Canary::SmtpListen(taken.local_addr().unwrap()));
    let check = canary(&target).await;
    assert_eq!(check.state, State::Unknown);
    assert_eq!(check.class.unwrap().word(), "local");
    assert!(check.text.contains("nothing was sent"), "{}", check.text);
}

/// A relay that never answers keeps the listener open while a client misbehaves.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_canary_is_put_off_and_too_much_is_refused() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = own_address();
    let mut target = Target::new("127.0.0.1", silent.local_addr().unwrap().port());
    target.rcpt = vec!["canary@elsewhere.example".to_owned()];
    target.canary = Some(Canary::SmtpListen(address));
    patient(&mut target);
    let asking = tokio::spawn(async move {
        // Whoever accepts and is silent: the session first, then the canary.
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = silent.accept().await.unwrap();
            // A session that is refused is over at once; the canary's is held.
            if kept.is_empty() {
                stream.write_all(b"554 no\r\n").await.unwrap();
            }
            kept.push(stream);
        }
    });
    let run = tokio::spawn(async move { with_past(&target, &mut Past::default()).await });
    let begun = Instant::now();
    let mut client = loop {
        match TcpStream::connect(address).await {
            Ok(client) => break client,
            Err(e) => assert!(begun.elapsed() < 2 * PATIENCE, "{e}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    let mut seen = String::new();
    let mut ask = async |text: &[u8], wanted: &str| {
        client.write_all(text).await.unwrap();
        while !seen.contains(wanted) {
            let mut bytes = [0; 1024];
            let n = client.read(&mut bytes).await.unwrap();
            assert_ne!(n, 0, "closed before {wanted}: {seen}");
            seen.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
        seen.clear();
    };
    ask(b"", "220 ").await;
    ask(b"LHLO x\r\n", "502 ").await;
    ask(b"EHLO x\r\n", "250 ENHANCEDSTATUSCODES").await;
    ask(b"RCPT TO:<a@b>\r\n", "503 ").await;
    ask(b"MAIL FROM:<a@b>\r\n", "250 ").await;
    ask(b"DATA\r\n", "503 ").await;
    ask(b"RCPT TO:<a@b>\r\n", "250 ").await;
    ask(b"DATA\r\n", "354 ").await;
    ask(b"Subject: a real mail\r\n\r\n..\r\n.\r\n", "450 ").await;
    ask(b"MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\n", "354 ").await;
    let large = b"x\r\n".repeat(400_000);
    client.write_all(&large).await.ok();
    let mut rest = Vec::new();
    // It may be reset, since more was sent than was read.
    let _ = client.read_to_end(&mut rest).await;
    asking.abort();
    run.abort();
}
