//! Runs the built program.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use notifier_testkit::{
    program::{Ended, Program},
    smtp::{FakeSmtp, Script},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Only a test that fails takes so long.
pub(crate) const WAIT: Duration = Duration::from_secs(60);

/// As few bounds as may be, for a machine that is busy.
pub(crate) const WELL: [&str; 12] = [
    "--tls",
    "none",
    "--helo",
    "probe.example",
    "--timeout",
    "100s",
    "--connect-timeout",
    "100s",
    "--connect-time",
    "100,200",
    "--greeting-time",
    "100,200",
];

pub(crate) fn start(args: &[&str], env: &[(&str, &str)]) -> Program {
    let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
    Program::start(env!("CARGO_BIN_EXE_smtp-relay-check"), &args, env)
}

/// Runs it to its end.
pub(crate) async fn run(args: &[&str], env: &[(&str, &str)]) -> Ended {
    start(args, env).end(WAIT).await
}

/// Waits until something is so.
pub(crate) async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + WAIT;
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The address that it says it serves on.
pub(crate) async fn address(program: &Program) -> SocketAddr {
    until("it serves", async || {
        let log = program.stderr();
        let at = log.split("serving HTTP address=").nth(1)?;
        let (at, _) = at.split_once('\n')?;
        at.trim().parse().ok()
    })
    .await
}

/// Status and body.
pub(crate) async fn get(at: SocketAddr, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// The value of a sample.
pub(crate) fn sample(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|l| {
        let (sample, value) = l.rsplit_once(' ')?;
        (sample == name).then(|| value.parse().ok()).flatten()
    })
}

/// A relay that lacks nothing where TLS is not asked for.
pub(crate) async fn relay() -> (FakeSmtp, String) {
    let relay = FakeSmtp::start(Script::new().banner("relay.example ESMTP")).await;
    let address = relay.address().to_string();
    (relay, address)
}
