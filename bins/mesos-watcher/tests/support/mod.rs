//! Runs the built watcher.

use std::{
    ffi::OsStr,
    io::Read,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How the names of variables begin that a watcher listens to.
const OURS: [&str; 10] = [
    "COMPLAINER_",
    "SLACK_",
    "FILE_",
    "SENTRY_",
    "HIPCHAT_",
    "JIRA_",
    "S3_",
    "AWS_",
    "NOTIFIER_",
    "MESOS_",
];

/// A running watcher, ended when dropped.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) child: Child,
    stderr: Arc<Mutex<Vec<u8>>>,
    stdout: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

/// What a watcher left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Watcher {
    /// Starts it with these arguments and this environment, and nothing else of ours.
    pub(crate) fn start(args: &[String], env: &[(&str, &str)]) -> Self {
        let mut command = command(env!("CARGO_BIN_EXE_mesos-watcher"));
        command.args(args).envs(env.iter().copied());
        Self::spawn(command)
    }

    /// Starts it by a command that ends in running it.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the watcher starts");
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = vec![
            read(child.stdout.take().unwrap(), Arc::clone(&stdout)),
            read(child.stderr.take().unwrap(), Arc::clone(&stderr)),
        ];
        Self {
            child,
            stderr,
            stdout,
            readers,
        }
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().unwrap()).into_owned()
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) async fn stop(mut self) -> Ended {
        let pid = self.child.id().to_string();
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill");
        self.end(Duration::from_secs(20)).await
    }

    /// Waits until it ends by itself.
    pub(crate) async fn end(&mut self, timeout: Duration) -> Ended {
        let until = Instant::now() + timeout;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                break status;
            }
            assert!(
                Instant::now() < until,
                "it does not end:\n{}",
                self.stderr()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        for r in self.readers.drain(..) {
            let _ = r.join();
        }
        let text = |b: &Mutex<Vec<u8>>| String::from_utf8_lossy(&b.lock().unwrap()).into_owned();
        Ended {
            status,
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program without any setting of ours in its environment, its output kept.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if OURS.iter().any(|p| name.starts_with(p)) {
            command.env_remove(&name);
        }
    }
    command
        .env_remove("PORT")
        .env_remove("STATE_DIRECTORY")
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn read(mut from: impl Read + Send + 'static, to: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(n) = from.read(&mut buffer) {
            if n == 0 {
                break;
            }
            to.lock().unwrap().extend_from_slice(&buffer[..n]);
        }
    })
}
