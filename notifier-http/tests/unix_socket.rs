//! The client over a unix socket.
#![cfg(unix)]

use std::{path::Path, time::Duration};

use notifier_core::{Delivery, ErrorKind, Origin};
use notifier_http::HttpClient;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixListener,
};

fn client(path: &Path) -> HttpClient {
    HttpClient::builder()
        .unix_socket(path)
        .timeout(Some(Duration::from_secs(60)))
        .build()
        .unwrap()
}

fn folder() -> std::path::PathBuf {
    let name = format!("notifier-http-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[tokio::test]
async fn it_is_used_whatever_host_is_named_and_never_for_guests() {
    let path = folder().join("answers.sock");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let n = stream.read(&mut head).await.unwrap();
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&head[..n]).into_owned()
    });
    let client = client(&path);
    let url = "http://127.0.0.1:1/a?b=c";
    // Nothing listens on that port.
    let guest = client.for_origin(Some(Origin::Label)).get(url);
    assert!(guest.send().await.is_err());
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.text(), "ok");
    let head = server.await.unwrap();
    assert!(head.starts_with("GET /a?b=c HTTP/1.1"), "{head}");
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn one_that_is_missing_is_a_connection_that_failed() {
    let path = folder().join("missing.sock");
    let e = client(&path)
        .get("http://localhost/")
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        (e.kind(), e.delivery()),
        (ErrorKind::Unavailable, Delivery::NotDelivered)
    );
}
