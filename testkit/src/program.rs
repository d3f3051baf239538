//! A built program under test: started with nothing of ours in its environment, its output
//! kept, ended when dropped.
//!
//! ```no_run
//! # async fn test() {
//! use notifier_testkit::program::Program;
//! let watcher = Program::start("target/debug/mesos-watcher", &["-help".to_owned()], &[]);
//! let ended = watcher.stop().await;
//! assert!(ended.stdout.starts_with("Usage"));
//! # }
//! ```

use std::{
    ffi::OsStr,
    io::Read,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How the names of variables begin that our programs listen to.
const OURS: [&str; 18] = [
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
    "CHRONOS_",
    "SMTP_",
    "SYSTEMD_",
    "FLEET_",
    "SNS_",
    "RELAY_",
    "LAMBDA_",
    "WEBHOOK_",
];

/// A running program, killed when dropped.
#[derive(Debug)]
pub struct Program {
    /// Its process.
    pub child: Child,
    stderr: Arc<Mutex<Vec<u8>>>,
    stdout: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

/// What a program left behind.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// All that it wrote to its standard output.
    pub stdout: String,
    /// All that it wrote to its standard error output.
    pub stderr: String,
}

impl Program {
    /// Starts it with these arguments and this environment, and nothing else of ours.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(program: impl AsRef<OsStr>, args: &[String], env: &[(&str, &str)]) -> Self {
        let mut command = command(program);
        command.args(args).envs(env.iter().copied());
        Self::spawn(command)
    }

    /// Starts it by a command that ends in running it; see [`command`].
    ///
    /// # Panics
    /// If it cannot be started, or the command does not pipe its output.
    #[must_use]
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = vec![
            read(child.stdout.take().expect("piped"), Arc::clone(&stdout)),
            read(child.stderr.take().expect("piped"), Arc::clone(&stderr)),
        ];
        Self {
            child,
            stderr,
            stdout,
            readers,
        }
    }

    /// What it wrote to its standard error output so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// The end of the program by SIGKILL, as after a power cut.
    pub fn kill(mut self) {
        self.kill_now();
    }

    fn kill_now(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends SIGTERM and waits for the end, for 20 seconds at most.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn stop(mut self) -> Ended {
        let pid = self.child.id().to_string();
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill");
        self.end(Duration::from_secs(20)).await
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// If it does not within that time.
    pub async fn end(&mut self, timeout: Duration) -> Ended {
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
        Ended {
            status,
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill_now();
    }
}

/// A program without any setting of ours in its environment, its output kept.
pub fn command(program: impl AsRef<OsStr>) -> Command {
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
            lock(&to).extend_from_slice(&buffer[..n]);
        }
    })
}

fn lock(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(bytes: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&lock(bytes)).into_owned()
}
