//! Against the npm package `emulate`, a stateful Slack emulator that is not ours.
//!
//! An emulator proves what we send, not how Slack behaves.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use notifier_core::{FailureRecord, Links, Next, Report, jiff::Timestamp};
use notifier_slack::SlackReporter;
use notifier_testkit::peer;

/// Its name in what a run of the tests says.
const NAME: &str = "slack emulator";

struct Emulator {
    child: Child,
    port: u16,
}

impl Emulator {
    /// `None`, said aloud, where it is not installed.
    fn start() -> Option<Self> {
        let path = peer::path(NAME, "NOTIFIER_TEST_EMULATE")?;
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = Command::new(path)
            .args(["start", "-s", "slack", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the emulator starts");
        let emulator = Self { child, port };
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "the emulator does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(emulator)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_taken_by_a_server_that_is_not_ours() {
    let Some(emulator) = Emulator::start() else {
        return;
    };
    let hook = format!(
        "http://127.0.0.1:{}/services/T00000001/B00000001/XXXXXXXX",
        emulator.port
    );
    let hostile = FailureRecord::new(
        "web.1",
        "<!channel> & \"quotes\" 日本 \u{202e}\u{7}",
        "TASK_FAILED",
        Timestamp::UNIX_EPOCH,
    );
    let long = FailureRecord::new(
        "long.1",
        "x".repeat(60_000),
        "TASK_FAILED",
        Timestamp::UNIX_EPOCH,
    );
    for channel in ["", "#general"] {
        let mut builder = SlackReporter::builder()
            .hook_url(&hook)
            .username("notifier");
        if !channel.is_empty() {
            builder = builder.channel(channel);
        }
        let reporter = builder.build().unwrap();
        for failure in [&hostile, &long] {
            let report = Report::failure(failure.clone())
                .with_links(Links::new("http://agent/stdout", "http://agent/stderr"));
            let receipt = reporter.send(&report).await.unwrap();
            assert_eq!(receipt.next(), Next::Done, "{receipt:?}");
        }
    }
    peer::ran(NAME);
}
