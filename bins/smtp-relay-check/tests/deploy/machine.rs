//! A machine of its own: its network, its processes, and its changes to files are seen by nobody else.

use std::{
    fs,
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use notifier_testkit::{peer, postfix::Postfix, program::Program};

use crate::support::{is_here, told};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// What makes a machine; `sh` runs the rest in it.
const NEW: [&str; 7] = [
    "--mount",
    "--pid",
    "--net",
    "--uts",
    "--fork",
    "--kill-child",
    "--mount-proc",
];

/// Whether there can be one, with Postfix in it; else says why not.
pub(crate) fn is_possible(what: &str) -> bool {
    let why = Postfix::missing().or_else(|| {
        ["unshare", "nsenter", "setpriv", "ip"]
            .into_iter()
            .find(|p| !is_here(p))
            .map(|p| format!("{p} is not installed"))
    });
    let why = why.or_else(|| {
        let out = unshare("mount -t tmpfs none /mnt && ip link set lo up").output();
        let out = out.unwrap();
        (!out.status.success()).then(|| format!("no namespaces: {}", told(&out).trim()))
    });
    match why {
        Some(why) => {
            peer::skipped(what, &why);
            false
        }
        None => true,
    }
}

/// Runs a script as the first process of a machine of its own.
pub(crate) fn unshare(script: &str) -> Command {
    unshare_below(&[], script)
}

/// Runs a script below another first process.
pub(crate) fn unshare_below(first: &[&str], script: &str) -> Command {
    let mut unshare = notifier_testkit::program::command("unshare");
    unshare.args(NEW).args(first).args(["sh", "-euc", script]);
    unshare
}

/// A machine that runs.
pub(crate) struct Machine {
    program: Program,
    /// Its first process, as it is called here.
    first: String,
}

impl Machine {
    /// Starts it by a script that ends in what is to run there.
    pub(crate) fn start(script: Command) -> Self {
        let program = Program::spawn(script);
        let outer = program.child.id();
        let until = Instant::now() + PATIENCE;
        loop {
            let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"));
            let first = children.unwrap_or_default().trim().to_owned();
            if !first.is_empty() {
                return Self { program, first };
            }
            assert!(Instant::now() < until, "{}", program.stderr());
            sleep(LOOK);
        }
    }

    /// Runs a program there.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Output {
        let mut nsenter = notifier_testkit::program::command("nsenter");
        nsenter.args(["--target", &self.first, "--all", program]);
        nsenter.args(args).stdin(Stdio::null()).output().unwrap()
    }

    /// The same again until it is as it should be.
    pub(crate) fn until(
        &self,
        program: &str,
        args: &[&str],
        is: impl Fn(&Output) -> bool,
    ) -> Output {
        let until = Instant::now() + PATIENCE;
        loop {
            let out = self.run(program, args);
            if is(&out) {
                return out;
            }
            assert!(
                Instant::now() < until,
                "{program} {args:?}: {}\n{}",
                told(&out),
                self.program.stderr()
            );
            sleep(LOOK);
        }
    }

    /// Until its first process has told this.
    pub(crate) fn until_told(&self, words: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.program.stderr().contains(words) {
            assert!(Instant::now() < until, "{}", self.program.stderr());
            sleep(LOOK);
        }
    }

    /// Asks it to end, by its first process.
    pub(crate) async fn stop(mut self) -> notifier_testkit::program::Ended {
        self.run("kill", &["-TERM", "1"]);
        self.program.end(PATIENCE).await
    }
}
