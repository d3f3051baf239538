//! An instance of a function: the program, with Lambda's power over it.

use std::{
    ffi::OsStr,
    fmt, fs,
    process::Command,
    time::{Duration, Instant},
};

use super::server::Handle;
use crate::program::{Ended, Program, command};

/// How long the program may take for whatever it does, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running instance, killed when dropped.
pub struct Instance {
    lambda: Handle,
    program: Program,
}

impl Instance {
    pub(super) fn start(lambda: Handle, program: &OsStr, env: &[(&str, &str)]) -> Self {
        let mut start = command(program);
        start.envs(lambda.env.iter().cloned());
        start.envs(env.iter().copied());
        Self {
            program: Program::spawn(start),
            lambda,
        }
    }

    /// What it wrote to its standard error output so far: what CloudWatch would show.
    #[must_use]
    pub fn log(&self) -> String {
        self.program.stderr()
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.program.child.id()
    }

    /// The most memory that it held at a time, in bytes; proc(5).
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|p| p.trim().strip_suffix(" kB")?.trim().parse().ok());
        let kib: u64 = kib.unwrap_or_else(|| panic!("it has ended:\n{}", self.log()));
        kib * 1024
    }

    /// Waits until it asks for an event.
    ///
    /// # Panics
    /// If it does not within a minute.
    pub async fn wait_until_idle(&self) {
        let is_idle = self.lambda.wait_idle(PATIENCE).await;
        assert!(is_idle, "it does not ask for an event:\n{}", self.log());
    }

    /// Freezes it as Lambda does, when it asks for the next event. Events can be
    /// queued meanwhile.
    ///
    /// # Panics
    /// If it is not idle, and does not stand still, within a minute each.
    pub async fn freeze(&self) {
        self.wait_until_idle().await;
        self.signal("-STOP");
        let until = Instant::now() + PATIENCE;
        while !self.stands_still() {
            assert!(Instant::now() < until, "it does not stand still");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Kills it, as Lambda does with one that takes too long; an invocation that is under way ends as
    /// [`Exited`](super::Outcome::Exited).
    pub fn kill(self) {
        let Self { lambda, program } = self;
        program.kill();
        lambda.exited();
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// If it does not within a minute.
    pub async fn end(&mut self) -> Ended {
        let ended = self.program.end(PATIENCE).await;
        self.lambda.exited();
        ended
    }

    fn signal(&self, which: &str) {
        let status = Command::new("kill")
            .args([which, &self.pid().to_string()])
            .status();
        assert!(status.is_ok_and(|s| s.success()), "kill {which}");
    }

    /// Whether it is stopped; proc(5).
    fn stands_still(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let state = stat.rsplit(')').next().map(str::trim_start);
        state.is_some_and(|s| s.starts_with('T'))
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}
