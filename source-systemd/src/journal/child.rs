//! A running `journalctl`.

use std::{path::Path, process::Stdio};

use notifier_core::{Error, ErrorKind, Result};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{ChildStderr, ChildStdout, Command},
};

use super::entry::Entry;

/// The longest line that is kept; what is longer is passed over.
const MAX_LINE: usize = 1 << 20;
/// How much of the standard error output is kept.
const MAX_ERRORS: u64 = 4 << 10;

/// It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    child: tokio::process::Child,
    stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
}

impl Child {
    pub(crate) fn start(program: &Path, arguments: &[String]) -> Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .env("SYSTEMD_COLORS", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| {
                let what = format!("cannot run {}: install it", program.display());
                Error::new(ErrorKind::Unavailable, what).with_source(e)
            })?;
        match (child.stdout.take(), child.stderr.take()) {
            (Some(stdout), Some(stderr)) => Ok(Self {
                child,
                stdout: BufReader::with_capacity(64 << 10, stdout),
                stderr,
            }),
            _ => Err(Error::internal("journalctl was started without pipes")),
        }
    }

    /// Hands each entry over, until `take` says that it is enough or there are no more.
    pub(crate) async fn read(&mut self, mut take: impl FnMut(Entry) -> bool) -> Result<()> {
        let Self {
            child,
            stdout,
            stderr,
        } = self;
        let lines = async {
            let more = entries(stdout, &mut take).await;
            if !matches!(more, Ok(true)) {
                // What it still has to say is not waited for. It may have ended by itself.
                let _ = child.start_kill();
            }
            more
        };
        let errors = async {
            let mut kept = Vec::new();
            let _ = (&mut *stderr).take(MAX_ERRORS).read_to_end(&mut kept).await;
            // The rest is read too, so that it is never held up.
            let _ = tokio::io::copy(stderr, &mut tokio::io::sink()).await;
            kept
        };
        let (more, errors) = tokio::join!(lines, errors);
        let more = more.map_err(|e| {
            Error::new(ErrorKind::Io, "cannot read what journalctl prints").with_source(e)
        })?;
        if !more {
            return Ok(());
        }
        let status =
            self.child.wait().await.map_err(|e| {
                Error::new(ErrorKind::Io, "cannot wait for journalctl").with_source(e)
            })?;
        if status.success() {
            return Ok(());
        }
        Err(failed(
            &String::from_utf8_lossy(&errors),
            &status.to_string(),
        ))
    }
}

/// Reads entries to the end, or until it is enough: whether the end was reached.
async fn entries(
    stdout: &mut BufReader<ChildStdout>,
    take: &mut impl FnMut(Entry) -> bool,
) -> std::io::Result<bool> {
    let mut line = Vec::new();
    let mut skipping = false;
    loop {
        let buffer = stdout.fill_buf().await?;
        if buffer.is_empty() {
            return Ok(true);
        }
        let end = buffer.iter().position(|b| *b == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        if line.len() + part.len() > MAX_LINE {
            skipping = true;
            line.clear();
        } else if !skipping {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        stdout.consume(used);
        if end.is_none() {
            continue;
        }
        let entry = if skipping {
            Some(Entry::too_long())
        } else {
            Entry::parse(&line)
        };
        if let Some(entry) = entry
            && !take(entry)
        {
            return Ok(false);
        }
        line.clear();
        skipping = false;
    }
}

fn failed(said: &str, status: &str) -> Error {
    let said = said.lines().map(str::trim).find(|l| !l.is_empty());
    let said: String = said.unwrap_or_default().chars().take(300).collect();
    if said.contains("ermission") {
        return Error::new(
            ErrorKind::PermissionDenied,
            "this user may not read the journal: add it to the group systemd-journal",
        );
    }
    let said = if said.is_empty() { status } else { &said };
    Error::new(ErrorKind::Unavailable, format!("journalctl failed: {said}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_is_told_with_what_to_do() {
        let e = failed(
            "\nNo journal files were opened due to insufficient permissions.\n",
            "exit status: 1",
        );
        assert_eq!(e.kind(), ErrorKind::PermissionDenied);
        assert!(e.to_string().contains("systemd-journal"), "{e}");
        let e = failed(
            "Failed to seek to cursor: Invalid argument\n",
            "exit status: 1",
        );
        assert_eq!(
            e.to_string(),
            "journalctl failed: Failed to seek to cursor: Invalid argument"
        );
        assert_eq!(
            failed("", "signal: 9 (SIGKILL)").to_string(),
            "journalctl failed: signal: 9 (SIGKILL)"
        );
    }
}
