//! SIGTERM and SIGINT end a program in good order; a second one ends it at once.

use std::{fmt, future::Future, io};

use tokio::signal::unix::{SignalKind, signal};

/// A signal that ends a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// SIGTERM, from a supervisor.
    Terminate,
    /// SIGINT, from a terminal.
    Interrupt,
}

impl Signal {
    /// What a shell says of a program that died of the signal: 128 and its number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Terminate => 143,
            Self::Interrupt => 130,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        })
    }
}

/// A future that resolves at the first SIGTERM or SIGINT.
///
/// The handlers are set when this function is called, not when the future is first
/// polled. After it has resolved, a second signal ends the process at once with the
/// code 143 or 130. SIGHUP is taken no notice of: files are reopened without it.
///
/// Must be called in a tokio runtime. The future is not to be dropped before the
/// program ends: signals would then be lost.
///
/// # Errors
/// If a handler cannot be set.
pub fn shutdown() -> io::Result<impl Future<Output = Signal> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!(
                "SIGHUP changes nothing: files are reopened without it, settings need a restart"
            );
        }
    });
    let next = async move |t: &mut tokio::signal::unix::Signal,
                           i: &mut tokio::signal::unix::Signal| {
        tokio::select! {
            _ = t.recv() => Signal::Terminate,
            _ = i.recv() => Signal::Interrupt,
        }
    };
    Ok(async move {
        let first = next(&mut terminate, &mut interrupt).await;
        tracing::info!(signal = %first, "finishing what is in flight; a second signal ends at once");
        tokio::spawn(async move {
            let second = next(&mut terminate, &mut interrupt).await;
            tracing::warn!(signal = %second, "ended at once");
            quit(second.code());
        });
        first
    })
}

#[expect(clippy::exit, reason = "a second signal asks for just this")]
fn quit(code: u8) -> ! {
    std::process::exit(i32::from(code))
}
