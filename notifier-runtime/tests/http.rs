//! The HTTP interface over real connections.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use notifier_runtime::{
    Cli, Env, Exit, Invocation, Masker, WatcherSettings,
    http::{HttpServer, Interface},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn interface(
    args: &[&str],
    health: impl Fn() -> Result<(), String> + Send + Sync + 'static,
) -> Interface {
    let cli = Cli::watcher("test-watcher", "1.2.3", "Tests.");
    let least = [
        "-uploader=noop",
        "-reporters=file",
        "-slack.hook_url",
        "https://h.example/s3cret",
    ];
    let all = least.iter().chain(args).map(Into::into);
    let Ok(Invocation::Run(parsed)) = cli.parse(all, &Env::default()) else {
        panic!("settings")
    };
    let settings = WatcherSettings::read(&parsed.program).unwrap();
    let masker = Masker::new(["s3cret-reason"]);
    Interface::new(&cli, &parsed, &settings, &masker, health)
}

async fn server(args: &[&str]) -> HttpServer {
    HttpServer::start("127.0.0.1:0", interface(args, || Ok(())))
        .await
        .unwrap()
}

/// Status and body, whole.
async fn raw(address: SocketAddr, request: &str) -> (u16, Vec<u8>) {
    let mut s = TcpStream::connect(address).await.unwrap();
    s.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    s.read_to_end(&mut all).await.unwrap();
    let end = all
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .unwrap_or(all.len());
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or(0);
    (status, all.get(end + 4..).unwrap_or_default().to_vec())
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let (status, body) = raw(address, &request).await;
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn health_and_version_answer_as_the_original() {
    let bad = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&bad);
    let i = interface(&["-name=dogfood"], move || {
        if flag.load(Ordering::SeqCst) {
            Err("no master, s3cret-reason".to_owned())
        } else {
            Ok(())
        }
    });
    let server = HttpServer::start("127.0.0.1:0", i).await.unwrap();
    let at = server.address();
    assert_eq!(
        get(at, "/health").await,
        (200, "I am mostly okay, thanks.\n".to_owned())
    );
    bad.store(true, Ordering::SeqCst);
    assert_eq!(
        get(at, "/health").await,
        (500, "Something is fishy: no master, ***\n".to_owned())
    );
    assert_eq!(
        get(at, "/version").await,
        (200, "test-watcher (dogfood) v1.2.3\n".to_owned())
    );
    assert_eq!(get(at, "/").await.0, 404);
    let post = "POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    // Any method, as the original.
    assert_eq!(raw(at, post).await.0, 500);
    server.stop().await;
    assert!(TcpStream::connect(at).await.is_err());
}

#[tokio::test]
async fn routes_of_ones_own_are_served_too() {
    use axum::{Router, extract::ConnectInfo, routing::get as on};

    let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() };
    let routes = Router::new().route("/peer", on(peer));
    let server = HttpServer::start("127.0.0.1:0", routes).await.unwrap();
    let at = server.address();
    assert_eq!(get(at, "/peer").await, (200, "127.0.0.1".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn a_profile_is_gzipped_protobuf_and_taken_one_at_a_time() {
    let server = server(&[]).await;
    let at = server.address();
    let (status, page) = get(at, "/debug/pprof/").await;
    assert_eq!(status, 200);
    assert!(page.contains("profile?seconds"));
    assert_eq!(get(at, "/debug/pprof").await.0, 308);
    assert_eq!(get(at, "/debug/pprof/heap").await.0, 404);
    assert_eq!(get(at, "/debug/pprof/profile?seconds=0").await.0, 400);
    assert_eq!(get(at, "/debug/pprof/profile?seconds=301").await.0, 400);
    let (status, line) = get(at, "/debug/pprof/cmdline").await;
    assert_eq!(status, 200);
    assert!(!line.contains("s3cret"), "{line:?}");
    assert_eq!(
        line,
        "test-watcher\0-uploader=noop\0-reporters=file\0-slack.hook_url\0***"
    );

    let stop = Arc::new(AtomicBool::new(false));
    let busy = Arc::clone(&stop);
    let worker = std::thread::spawn(move || {
        let mut n = 1u64;
        while !busy.load(Ordering::Relaxed) {
            n = std::hint::black_box(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
        n
    });
    let request =
        "GET /debug/pprof/profile?seconds=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let first = tokio::spawn(raw(at, request));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(raw(at, request).await.0, 503);
    let (status, body) = first.await.unwrap();
    stop.store(true, Ordering::Relaxed);
    worker.join().unwrap();
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let mut profile = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::GzDecoder::new(body.as_slice()),
        &mut profile,
    )
    .unwrap();
    // Names of the two sample types and of the busy test stand in the string table.
    for name in ["samples", "nanoseconds", "a_profile_is_gzipped"] {
        assert!(
            profile.windows(name.len()).any(|w| w == name.as_bytes()),
            "{name}"
        );
    }
    // What takes the samples is not in them.
    let own = b"backtrace::backtrace::trace_unsynchronized";
    assert!(!profile.windows(own.len()).any(|w| w == own));
    // A request that is given up ends its profile.
    let mut s = TcpStream::connect(at).await.unwrap();
    s.write_all(request.replace("=1 ", "=300 ").as_bytes())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(s);
    let begin = Instant::now();
    while raw(at, request).await.0 == 503 {
        assert!(begin.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn profiles_are_switched_off_and_on() {
    let off = server(&["-pprof=off"]).await;
    let (status, why) = get(off.address(), "/debug/pprof/cmdline").await;
    assert_eq!(
        (status, why.as_str()),
        (403, "Profiles are switched off (see -pprof).\n")
    );
    assert_eq!(get(off.address(), "/health").await.0, 200);
    off.stop().await;
    let on = server(&["-pprof=on"]).await;
    assert_eq!(get(on.address(), "/debug/pprof/cmdline").await.0, 200);
    on.stop().await;
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_told() {
    let first = server(&[]).await;
    let taken = first.address().to_string();
    let e = HttpServer::start(&taken, interface(&[], || Ok(())))
        .await
        .unwrap_err();
    assert_eq!(e.exit, Exit::Unavailable);
    assert!(
        e.message
            .starts_with(&format!("listen: cannot listen on {taken:?}: ")),
        "{e}"
    );
    let e = HttpServer::start("192.0.2.1:80", interface(&[], || Ok(())))
        .await
        .unwrap_err();
    assert_eq!(e.exit, Exit::Usage);
    let all = HttpServer::start(":0", interface(&[], || Ok(())))
        .await
        .unwrap();
    let port = all.address().port();
    assert_eq!(
        get(SocketAddr::from(([127, 0, 0, 1], port)), "/health")
            .await
            .0,
        200
    );
    // An IPv4 peer on an IPv6 socket is on loopback all the same.
    assert_eq!(
        get(SocketAddr::from(([127, 0, 0, 1], port)), "/debug/pprof/")
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off_and_does_not_hold_up_the_end() {
    let server = server(&[]).await;
    let at = server.address();
    let huge = format!(
        "GET /health HTTP/1.1\r\nX: {}\r\n\r\n",
        "x".repeat(64 * 1024)
    );
    assert_eq!(raw(at, &huge).await.0, 431);
    let mut slow = TcpStream::connect(at).await.unwrap();
    slow.write_all(b"GET /health HTTP/1.1\r\nHost:")
        .await
        .unwrap();
    assert_eq!(get(at, "/health").await.0, 200);
    let begin = Instant::now();
    server.stop().await;
    assert!(begin.elapsed() < Duration::from_secs(4));
}
