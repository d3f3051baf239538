//! The server beneath the fakes, through a plain client.

mod common;

use std::time::{Duration, Instant};

use common::client;
use notifier_testkit::http::{
    Action, Body, Delivery, End, Framing, Reply, Request, ScriptedServer,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn requests_are_recorded_and_connections_reused() {
    let server = ScriptedServer::with_service(|request: &Request| {
        Action::from(Reply::text(200, request.param("q").unwrap_or_default()))
    })
    .await
    .unwrap();
    let client = client();
    let url = server.url("/a%20b?q=1%2B1&x");
    for _ in 0..3 {
        let text = client
            .post(&url)
            .body("hello")
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert_eq!(text, "1+1");
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    let request = &requests[2];
    assert_eq!(
        (
            request.method.as_str(),
            request.path(),
            request.text().as_str()
        ),
        ("POST", "/a%20b", "hello")
    );
    assert_eq!((request.serial, request.connection), (2, 0));
    assert!(request.body_complete && request.header("HOST").is_some());
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn chunked_bodies_are_read_and_written() {
    let server = ScriptedServer::with_service(|request: &Request| {
        let delivery = Delivery::new()
            .framing(Framing::Chunked)
            .drip(3, Duration::from_millis(1));
        Action::from(
            Reply::new(200)
                .body(request.body.clone())
                .delivery(delivery),
        )
    })
    .await
    .unwrap();
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
              5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: 1\r\n\r\n",
        )
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(
        answer.ends_with("3\r\nhel\r\n3\r\nlo \r\n3\r\nwor\r\n2\r\nld\r\n0\r\n\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn the_script_goes_before_the_service_and_is_used_up() {
    let server = ScriptedServer::start().await.unwrap();
    server.next_n(2, Action::status(503));
    server.next_on("/b", Reply::text(404, "no"));
    let client = client();
    let status = async |path: &str| {
        client
            .get(server.url(path))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let mut seen = Vec::new();
    for path in ["/a", "/b", "/a", "/b", "/b"] {
        seen.push(status(path).await);
    }
    assert_eq!(seen, [503, 503, 200, 404, 200]);
    server.always(Action::html(502));
    assert_eq!(status("/").await, 502);
    server.clear();
    assert_eq!(status("/").await, 200);
}

#[tokio::test]
async fn connections_break_where_they_are_told_to() {
    let server = ScriptedServer::with_service(|_: &Request| {
        Action::from(Reply::new(200).body(Body::repeated("0123456789", 1000)))
    })
    .await
    .unwrap();
    let client = client();
    for action in [
        Action::ResetBeforeBody,
        Action::CloseBeforeBody,
        Action::ResetAfterBody,
        Action::CloseAfterBody,
    ] {
        server.next(action.clone());
        // A fresh client: one from the pool would be tried again.
        let sent = common::client()
            .post(server.url("/"))
            .body("x")
            .send()
            .await;
        assert!(sent.is_err(), "{action:?}");
        let last = server.requests().pop().unwrap();
        let read = matches!(action, Action::ResetAfterBody | Action::CloseAfterBody);
        assert_eq!(last.body_complete, read, "{action:?}");
    }
    for end in [End::Close, End::Reset] {
        server.next(Action::truncated(300, end));
        let mut answer = client.get(server.url("/")).send().await.unwrap();
        let mut got = 0;
        let error = loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => got += chunk.len(),
                Ok(None) => panic!("a cut body looks whole"),
                Err(error) => break error,
            }
        };
        assert_eq!(got, 300, "{end:?}: {error}");
    }
    let whole = client
        .get(server.url("/"))
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(whole.len(), 1000);
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let server = ScriptedServer::start().await.unwrap();
    server.next(Action::ResetAfterBody);
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let error = stream.read(&mut [0; 16]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn slow_hanging_and_refusing_servers_come_back() {
    let server = ScriptedServer::start().await.unwrap();
    let url = server.url("/");
    let quick = reqwest::Client::builder()
        .timeout(Duration::from_millis(300))
        .pool_max_idle_per_host(0)
        .no_proxy();
    let _ = client();
    let quick = quick.build().unwrap();

    server.hang();
    assert!(quick.get(&url).send().await.unwrap_err().is_timeout());
    server.slow(Duration::from_millis(120));
    let start = Instant::now();
    assert!(quick.get(&url).send().await.is_ok());
    assert!(start.elapsed() >= Duration::from_millis(120));
    server.refuse();
    for _ in 0..3 {
        assert!(quick.get(&url).send().await.unwrap_err().is_connect());
    }
    server.restore().unwrap();
    assert!(quick.get(&url).send().await.is_ok());
    server.refuse();
    server.refuse();
    server.restore().unwrap();
    server.restore().unwrap();
    assert!(quick.get(&url).send().await.is_ok());
}

#[tokio::test]
async fn bad_requests_are_refused_and_harm_nobody() {
    let server = ScriptedServer::start().await.unwrap();
    for bytes in [
        &b"\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nnonsense\r\n\r\n",
        b"\x16\x03\x01\x00\xff\xfe\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let start = String::from_utf8_lossy(&answer);
        assert!(
            start.starts_with("HTTP/1.1 400 "),
            "{:?}: {start}",
            String::from_utf8_lossy(bytes)
        );
    }
    // Cut short: dropped without a word.
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab")
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    assert!(!server.requests().pop().unwrap().body_complete);
    assert!(client().get(server.url("/")).send().await.is_ok());
}

#[tokio::test]
async fn a_body_can_be_written_step_by_step() {
    let server = ScriptedServer::start().await.unwrap();
    let (sender, body) = Body::channel();
    server.next(Reply::new(200).body(body));
    let mut answer = client().get(server.url("/")).send().await.unwrap();
    assert!(sender.send("one"));
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "one");
    assert!(sender.send("two"));
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "two");
    drop(answer);
    let start = Instant::now();
    while !sender.is_closed() && start.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!sender.send("three"));

    let (sender, body) = Body::channel();
    server.next(Reply::new(200).body(body));
    let mut answer = client().get(server.url("/")).send().await.unwrap();
    sender.send("half");
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "half");
    sender.cut(End::Reset);
    assert!(answer.chunk().await.is_err());
}

#[tokio::test]
async fn endless_and_raw_answers() {
    let server = ScriptedServer::start().await.unwrap();
    server.next(Reply::new(200).body(Body::endless("abc")));
    let mut answer = client().get(server.url("/")).send().await.unwrap();
    let mut got = 0;
    while got < 3_000_000 {
        got += answer.chunk().await.unwrap().unwrap().len();
    }
    drop(answer);
    server.next(Action::Raw(b"SSH-2.0-none\r\n".to_vec()));
    assert!(client().get(server.url("/")).send().await.is_err());
    server.next(Action::Raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec(),
    ));
    let text = client()
        .get(server.url("/"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(text, "hi");
}

#[tokio::test]
async fn waiting_for_requests_ends_in_time() {
    let server = ScriptedServer::start().await.unwrap();
    assert!(
        server
            .wait_for_requests(1, Duration::from_millis(20))
            .await
            .is_empty()
    );
    let url = server.url("/");
    let sending = tokio::spawn(async move { client().get(url).send().await.is_ok() });
    assert_eq!(
        server
            .wait_for_requests(1, Duration::from_secs(10))
            .await
            .len(),
        1
    );
    assert!(sending.await.unwrap());
}

#[tokio::test]
async fn a_dropped_server_is_gone() {
    let server = ScriptedServer::start().await.unwrap();
    let addr = server.addr();
    let idle = TcpStream::connect(addr).await.unwrap();
    let mut hanging = TcpStream::connect(addr).await.unwrap();
    server.next(Action::Hang);
    hanging.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    server.wait_for_requests(1, Duration::from_secs(5)).await;
    assert_eq!(server.open_connections(), 2);
    drop(server);
    assert!(TcpStream::connect(addr).await.is_err());
    assert!(matches!(hanging.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    drop(idle);
}
