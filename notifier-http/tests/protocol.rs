//! The client against servers that answer as scripted, byte by byte, and against wiremock.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use notifier_core::{Delivery, ErrorKind, Origin, Retry, Secret};
use notifier_http::{GuestPolicy, HttpClient};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

/// Serves each connection with `script`; counts connections.
async fn server<F, Fut>(script: F) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            seen.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(script(stream));
        }
    });
    (addr, count)
}

/// Reads a whole request with a small body.
async fn read_request(s: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut buf = [0; 4096];
    loop {
        let n = s.read(&mut buf).await.unwrap_or(0);
        all.extend_from_slice(&buf[..n]);
        let text = String::from_utf8_lossy(&all).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let want = head
                .lines()
                .find_map(|l| {
                    l.to_ascii_lowercase()
                        .strip_prefix("content-length: ")
                        .and_then(|n| n.parse().ok())
                })
                .unwrap_or(0);
            if body.len() >= want {
                return text;
            }
        }
        if n == 0 {
            return text;
        }
    }
}

fn client() -> HttpClient {
    HttpClient::builder()
        .timeout(Some(Duration::from_millis(800)))
        .connect_timeout(Duration::from_millis(400))
        .idle_timeout(Duration::from_millis(300))
        .build()
        .unwrap()
}

fn reset(s: TcpStream) {
    // A closed socket with unread input sends a reset.
    drop(s);
}

#[tokio::test]
async fn connection_refused_is_not_delivered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let e = client()
        .post(&format!("http://{addr}/a?sig=s3cret"))
        .body("text/plain", "x")
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        (e.kind(), e.delivery()),
        (ErrorKind::Unavailable, Delivery::NotDelivered)
    );
    assert_eq!(e.retry(), Retry::Later { after: None });
    let shown = format!("{e:?} {}", e.report());
    assert!(
        shown.contains(&addr.to_string()) && !shown.contains("s3cret"),
        "{shown}"
    );
}

#[tokio::test]
async fn unknown_host_is_not_delivered() {
    let e = client()
        .get("http://nothing.invalid/")
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        (e.kind(), e.delivery()),
        (ErrorKind::Unavailable, Delivery::NotDelivered)
    );
    assert!(e.to_string().contains("http://nothing.invalid"), "{e}");
}

#[tokio::test]
async fn reset_before_and_after_the_body_are_both_unknown_and_not_repeated() {
    for wait_for_body in [false, true] {
        let (addr, count) = server(move |mut s| async move {
            if wait_for_body {
                read_request(&mut s).await;
            }
            reset(s);
        })
        .await;
        let e = client()
            .post(&format!("http://{addr}/"))
            .body("text/plain", "hello")
            .send()
            .await
            .unwrap_err();
        assert_eq!(
            (e.kind(), e.delivery()),
            (ErrorKind::Unavailable, Delivery::Unknown),
            "{e:?}"
        );
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_not_an_error_if_nothing_was_written() {
    let (addr, count) = server(|mut s| async move {
        read_request(&mut s).await;
        let _ = s
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await;
    })
    .await;
    let client = client();
    for _ in 0..3 {
        let a = client
            .post(&format!("http://{addr}/"))
            .body("text/plain", "x")
            .send()
            .await
            .unwrap();
        assert_eq!(a.text(), "ok");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn no_answer_in_time_is_unknown() {
    let (addr, _) = server(|mut s| async move {
        read_request(&mut s).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    let start = Instant::now();
    let e = client()
        .post(&format!("http://{addr}/hooks/s3cret"))
        .secret_url()
        .body("a/b", "x")
        .send()
        .await
        .unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(
        (e.kind(), e.delivery()),
        (ErrorKind::Timeout, Delivery::Unknown)
    );
    assert_eq!(
        e.to_string(),
        format!("no answer in time from http://{addr}")
    );
}

#[tokio::test]
async fn a_slow_drip_does_not_outlast_the_time_out() {
    let (addr, _) = server(|mut s| async move {
        read_request(&mut s).await;
        let _ = s
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            .await;
        for _ in 0..1000 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if s.write_all(b"x").await.is_err() {
                return;
            }
        }
    })
    .await;
    let start = Instant::now();
    let e = client()
        .get(&format!("http://{addr}/"))
        .send()
        .await
        .unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(
        (e.kind(), e.delivery()),
        (ErrorKind::Timeout, Delivery::Unknown)
    );
}

#[tokio::test]
async fn an_answer_cut_short_is_unknown_for_success_and_still_a_refusal_otherwise() {
    for (status, kind, delivery) in [
        ("200 OK", ErrorKind::Unavailable, Delivery::Unknown),
        ("429 Slow", ErrorKind::RateLimited, Delivery::NotDelivered),
    ] {
        let head =
            format!("HTTP/1.1 {status}\r\nRetry-After: 3\r\nContent-Length: 100\r\n\r\nhalf");
        let (addr, _) = server(move |mut s| {
            let head = head.clone();
            async move {
                read_request(&mut s).await;
                let _ = s.write_all(head.as_bytes()).await;
            }
        })
        .await;
        let e = match client().get(&format!("http://{addr}/")).send().await {
            Ok(a) => a.success().unwrap_err(),
            Err(e) => e,
        };
        assert_eq!((e.kind(), e.delivery()), (kind, delivery));
    }
}

async fn endless(mut s: TcpStream) {
    read_request(&mut s).await;
    let _ = s
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
        .await;
    let piece = vec![b'x'; 65536];
    for _ in 0..1600 {
        if s.write_all(&piece).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn of_a_huge_answer_only_the_beginning_is_read() {
    let (addr, _) = server(endless).await;
    let url = format!("http://{addr}/");
    let a = client().get(&url).send().await.unwrap();
    assert!(a.truncated());
    assert_eq!(a.body().len(), 64 * 1024);
    let e = client()
        .get(&url)
        .max_answer(100)
        .strict()
        .send()
        .await
        .unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidResponse);
}

#[tokio::test]
async fn a_stream_has_a_limit_and_an_idle_time_out() {
    let (addr, _) = server(endless).await;
    let url = format!("http://{addr}/");
    let mut read = 0;
    let mut s = client()
        .get(&url)
        .stream()
        .await
        .unwrap()
        .success()
        .await
        .unwrap()
        .into_stream(200 << 20);
    while let Some(piece) = s.next().await {
        read += piece.unwrap().len();
    }
    assert_eq!(read, 104_857_600);

    let s = client()
        .get(&url)
        .stream()
        .await
        .unwrap()
        .into_stream(1 << 20);
    let last = s.collect::<Vec<_>>().await.pop().unwrap().unwrap_err();
    assert_eq!(last.kind(), ErrorKind::InvalidResponse);

    let (addr, _) = server(|mut s| async move {
        read_request(&mut s).await;
        let _ = s
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            .await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    let s = client()
        .get(&format!("http://{addr}/"))
        .stream()
        .await
        .unwrap()
        .into_stream(1 << 20);
    let items: Vec<_> = s.collect().await;
    assert_eq!(items[0].as_ref().unwrap().as_ref(), b"abc");
    assert_eq!(items[1].as_ref().unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(items.len(), 2);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_credentials_do_not_follow_it() {
    let other = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200))
        .expect(0)
        .mount(&other)
        .await;
    let first = MockServer::start().await;
    for status in [301, 302, 303, 307, 308] {
        first.reset().await;
        let to = format!("{}/elsewhere?token=s3cret", other.uri());
        Mock::given(any())
            .respond_with(ResponseTemplate::new(status).insert_header("location", to.as_str()))
            .mount(&first)
            .await;
        let a = client()
            .post(&first.uri())
            .bearer(&Secret::from("t0ken"))
            .body("a/b", "x")
            .send()
            .await
            .unwrap();
        assert_eq!(a.location().unwrap().as_str(), to);
        let e = a.success().unwrap_err();
        assert_eq!((e.kind(), e.retry()), (ErrorKind::Rejected, Retry::Never));
        let text = e.to_string();
        let end = format!(
            "{status} with a redirect to {}, which is not followed",
            other.uri()
        );
        assert!(text.ends_with(&end), "{text}");
    }
}

#[tokio::test]
async fn an_echoed_secret_is_masked() {
    let s = MockServer::start().await;
    let url = format!("{}/services/T0001/B0002/abcdefghijkl", s.uri());
    Mock::given(any())
        .respond_with(ResponseTemplate::new(404).set_body_string(
            "Cannot POST /services/T0001/B0002/abcdefghijkl\nwith t0ken-value\u{1b}[31m",
        ))
        .mount(&s)
        .await;
    let a = client()
        .post(&url)
        .secret_url()
        .bearer(&Secret::from("t0ken-value"))
        .send()
        .await
        .unwrap();
    let e = a.error();
    let shown = format!("{e:?} {} {a:?}", e.report());
    assert!(
        !shown.contains("abcdefghijkl") && !shown.contains("t0ken"),
        "{shown}"
    );
    assert!(
        e.to_string()
            .ends_with("answered 404 Not Found: Cannot POST /*** with *** [31m"),
        "{e}"
    );
}

#[tokio::test]
async fn retry_after_counts_from_the_servers_own_date() {
    let s = MockServer::start().await;
    Mock::given(any())
        .respond_with(
            ResponseTemplate::new(503)
                .insert_header("date", "Sun, 06 Nov 1994 08:49:00 GMT")
                .insert_header("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"),
        )
        .mount(&s)
        .await;
    let e = client()
        .get(&s.uri())
        .send()
        .await
        .unwrap()
        .success()
        .unwrap_err();
    assert_eq!(
        e.retry(),
        Retry::Later {
            after: Some(Duration::from_secs(37))
        }
    );
    assert_eq!(e.delivery(), Delivery::NotDelivered);
}

#[tokio::test]
async fn a_guest_does_not_get_to_loopback_by_address_or_by_name() {
    let s = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200))
        .expect(1)
        .mount(&s)
        .await;
    let port = s.address().port();
    let guest = client().for_origin(Some(Origin::Label));
    for host in [
        "127.0.0.1",
        "localhost",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "0",
    ] {
        let e = guest
            .get(&format!("http://{host}:{port}/s3cret"))
            .send()
            .await
            .unwrap_err();
        assert_eq!(
            (e.kind(), e.retry(), e.delivery()),
            (ErrorKind::Config, Retry::Never, Delivery::NotDelivered)
        );
        let shown = format!("{e:?}");
        assert!(
            shown.contains("addresses from labels") && !shown.contains("s3cret"),
            "{shown}"
        );
    }
    // Settings of the operator may lead there, and the operator may open it for labels.
    assert!(
        client()
            .for_origin(Some(Origin::Flag))
            .get(&s.uri())
            .send()
            .await
            .unwrap()
            .is_success()
    );
    let open = HttpClient::builder()
        .guests(GuestPolicy::parse("", ["127.0.0.0/8", "::1"]).unwrap())
        .build()
        .unwrap()
        .guarded();
    s.reset().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200))
        .expect(2)
        .mount(&s)
        .await;
    for host in ["127.0.0.1", "localhost"] {
        assert!(
            open.get(&format!("http://{host}:{port}/"))
                .send()
                .await
                .unwrap()
                .is_success()
        );
    }
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_not_delivered() {
    let (addr, _) = server(|mut s| async move {
        let mut b = [0; 64];
        let _ = s.read(&mut b).await;
        let _ = s.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let e = client()
        .post(&format!("https://{addr}/"))
        .body("a/b", "x")
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        (e.kind(), e.delivery()),
        (ErrorKind::Unavailable, Delivery::NotDelivered)
    );
    assert!(e.is_retryable());
}

#[tokio::test]
async fn a_request_that_was_dropped_leaves_the_client_usable() {
    let (addr, _) = server(|mut s| async move {
        let r = read_request(&mut s).await;
        if r.contains("/slow") {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let _ = s.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    })
    .await;
    let client = client();
    let slow = client.get(&format!("http://{addr}/slow")).send();
    assert!(
        tokio::time::timeout(Duration::from_millis(50), slow)
            .await
            .is_err()
    );
    assert_eq!(
        client
            .get(&format!("http://{addr}/"))
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
}
