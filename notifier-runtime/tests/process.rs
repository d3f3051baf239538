//! Signals, in a process of their own: this test program starts itself again.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use notifier_runtime::{Cli, Fatal, signal};

/// Among the names of tests on the command line: this process is the child.
const CHILD: &str = "as-the-child-that-waits-for-signals";

/// Not a test but in a process that the test below started: the program it sends signals to.
#[test]
#[expect(clippy::print_stdout, reason = "it talks to the test that started it")]
fn child() {
    if std::env::args().all(|a| a != CHILD) {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let shutdown = signal::shutdown().unwrap();
        println!("ready");
        println!("got {}", shutdown.await);
        tokio::time::sleep(Duration::from_secs(30)).await;
    });
}

fn kill(pid: u32, signal: &str) {
    assert!(
        Command::new("kill")
            .args([signal, &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn the_first_signal_asks_and_the_second_ends() {
    for (signal, name, code) in [("-TERM", "got SIGTERM", 143), ("-INT", "got SIGINT", 130)] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", CHILD, "--nocapture"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        assert!(lines.any(|l| l.contains("ready")));
        kill(child.id(), "-HUP");
        kill(child.id(), signal);
        assert!(lines.any(|l| l.contains(name)));
        // The handler of the second one is a task of its own.
        std::thread::sleep(Duration::from_millis(100));
        kill(child.id(), signal);
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}

/// `run` is for a `main`: its signature is what a watcher's needs.
#[test]
fn run_takes_a_watchers_body() {
    fn main() -> std::process::ExitCode {
        let cli = Cli::watcher("test-watcher", "1.0.0", "Tests.");
        notifier_runtime::run(&cli, |context| async move {
            tracing::info!(name = context.settings.name, "started");
            Ok::<(), Fatal>(())
        })
    }
    let _ = main;
}
