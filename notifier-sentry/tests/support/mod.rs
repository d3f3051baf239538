//! A program that is told something line by line, and answers each with a line of JSON.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::NamedTempFile;

/// How long an answer may take: one that hangs is not to hold the whole run.
const WAIT: Duration = Duration::from_secs(60);

/// The program, ended when dropped.
pub(crate) struct Talk {
    child: Child,
    ask: Sender<String>,
    answers: Receiver<String>,
    /// What it says while it runs, which may be long.
    said: NamedTempFile,
}

impl Talk {
    pub(crate) fn start(command: &mut Command) -> Self {
        let said = NamedTempFile::new().unwrap();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said.reopen().unwrap())
            .spawn()
            .expect("the program starts");
        let mut input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (ask, asked) = channel::<String>();
        let (answer, answers) = channel();
        // Both end with the program.
        thread::spawn(move || asked.iter().try_for_each(|line| writeln!(input, "{line}")));
        thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| answer.send(line))
        });
        Self {
            child,
            ask,
            answers,
            said,
        }
    }

    pub(crate) fn ask(&self, line: impl Into<String>) -> Value {
        let _ = self.ask.send(line.into());
        self.answer()
    }

    /// What it says next.
    pub(crate) fn answer(&self) -> Value {
        let line = self
            .answers
            .recv_timeout(WAIT)
            .unwrap_or_else(|e| panic!("no answer: {e}; it said: {}", self.said()));
        serde_json::from_str(&line)
            .unwrap_or_else(|e| panic!("it answered {line:?}: {e}; it said: {}", self.said()))
    }

    /// What it said while it ran.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.said.path()).unwrap_or_default()
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
