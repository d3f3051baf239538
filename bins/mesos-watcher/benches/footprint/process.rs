//! What Linux tells about a process.

use std::{fs, time::Duration};

/// The unit of times in `/proc/PID/stat`: `USER_HZ`, 100 on all but two old machines.
const TICK: Duration = Duration::from_millis(10);

/// Whether processes are told of, in `/proc` as Linux has it.
pub(crate) fn are_told() -> bool {
    let own = Process(std::process::id());
    own.cpu().is_some() && own.memory().is_some()
}

/// A process by its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    fn read(self, file: &str) -> Option<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.0)).ok()
    }

    /// The memory it holds, in bytes.
    pub(crate) fn memory(self) -> Option<u64> {
        self.status("VmRSS:")
    }

    /// The most memory it held since its start or the last [reset](Self::reset_peak).
    pub(crate) fn peak(self) -> Option<u64> {
        self.status("VmHWM:")
    }

    /// Lets the peak begin anew. Returns whether that is allowed here.
    pub(crate) fn reset_peak(self) -> bool {
        fs::write(format!("/proc/{}/clear_refs", self.0), "5").is_ok()
    }

    fn status(self, name: &str) -> Option<u64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes * 1024)
    }

    /// The processor time it used, in itself and in the system.
    pub(crate) fn cpu(self) -> Option<Duration> {
        let stat = self.read("stat")?;
        // The name of the program may hold anything, brackets too.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut times = fields.split_whitespace().skip(11);
        let user: u32 = times.next()?.parse().ok()?;
        let system: u32 = times.next()?.parse().ok()?;
        Some(TICK * user.checked_add(system)?)
    }
}
