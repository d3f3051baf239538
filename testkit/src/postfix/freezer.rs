//! Stops single daemons of a Postfix, as a hung one would.

use std::{
    fs,
    io::{self, Read as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    thread::sleep,
    time::{Duration, Instant},
};

use super::instance::{Instance, LOOK, PATIENCE, signal};

/// How often a daemon must be seen asleep, one look after the other, to be idle.
const LOOKS: usize = 3;
/// How long a daemon may take to say its first word; some say none.
const FIRST_WORD: Duration = Duration::from_millis(500);

impl Instance {
    /// Stops all processes of this daemon; one is started first if none runs.
    pub(super) fn freeze(&self, daemon: &str) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        let mut asleep = 0;
        while asleep < LOOKS {
            let found = self.daemons(daemon)?;
            if Instant::now() >= until {
                return Err(self.failed(&format!("{daemon} does not come to rest")));
            }
            match found.is_empty() {
                true => self.wake(daemon)?,
                // The master must think it idle: it would start another one else.
                false if found.iter().all(|pid| is_asleep(*pid)) => asleep += 1,
                false => asleep = 0,
            }
            sleep(LOOK);
        }
        signal("-STOP", &self.daemons(daemon)?);
        Ok(())
    }

    fn daemons(&self, name: &str) -> io::Result<Vec<u32>> {
        let mut pids = self.processes()?;
        pids.retain(|pid| {
            let program = fs::read_to_string(format!("/proc/{pid}/comm"));
            program.is_ok_and(|p| p.trim_end() == name)
        });
        Ok(pids)
    }

    /// Calls a daemon, so that the master starts it, and hangs up.
    fn wake(&self, daemon: &str) -> io::Result<()> {
        let service = match daemon {
            "trivial-rewrite" => "rewrite",
            name => name,
        };
        let queue = self.folder().join("queue");
        let sockets = ["public", "private"].map(|folder| queue.join(folder).join(service));
        let Some(socket) = sockets.iter().find(|s| s.exists()) else {
            return Err(io::Error::other(format!("there is no daemon {daemon}")));
        };
        let mut link = UnixStream::connect(socket)?;
        link.set_read_timeout(Some(FIRST_WORD))?;
        // Some say nothing before they are asked.
        let _ = link.read(&mut [0; 256]);
        link.shutdown(Shutdown::Both)
    }
}

/// Waits, and is neither at work nor stopped; proc(5).
fn is_asleep(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().map(str::trim_start);
    state.is_some_and(|s| s.starts_with(['S', 'T']))
}
