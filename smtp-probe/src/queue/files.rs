//! The queue as the files that it is: one for each message, in a folder for each queue.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use notifier_core::jiff::Timestamp;
use tokio::time::Instant;

use super::{
    long_id,
    record::{Record, Sink},
};

/// The folders of queues, postconf(5) `hash_queue_names` and qmgr(8).
const QUEUES: [&str; 6] = [
    "active", "incoming", "deferred", "hold", "maildrop", "corrupt",
];
/// The deepest that Postfix spreads a queue's files (`hash_queue_depth`) has one; three fit.
const DEEPEST: usize = 3;
/// The most files that are opened for what keeps them or for when they came; the rest are counted.
const MOST_OPENED: usize = 1000;
/// How much of a file is read.
const HEAD: u64 = 4096;

/// Reads the files to a sink. Files come and go meanwhile: those that are gone are no error.
///
/// # Errors
/// No folder of a queue can be read, or not in time.
pub(super) fn read(folder: &Path, sink: &mut impl Sink, until: Instant) -> io::Result<()> {
    let mut walk = Walk {
        folder,
        sink,
        until,
        opened: 0,
    };
    let mut found = false;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for queue in QUEUES {
        match walk.queue(queue, Path::new(""), 0) {
            Ok(true) => found = true,
            Ok(false) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => last = e,
        }
    }
    // One that may not be read would be missing in the sum.
    match found && last.kind() == io::ErrorKind::NotFound {
        true => Ok(()),
        false => Err(last),
    }
}

struct Walk<'a, S> {
    folder: &'a Path,
    sink: &'a mut S,
    /// Nobody waits for it any longer from then on.
    until: Instant,
    opened: usize,
}

impl<S: Sink> Walk<'_, S> {
    /// One folder of a queue, at `below` it. Whether the sink wants more.
    fn queue(&mut self, queue: &str, below: &Path, depth: usize) -> io::Result<bool> {
        let folder = self.folder.join(queue).join(below);
        for entry in fs::read_dir(&folder)? {
            if Instant::now() >= self.until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let entry = entry?;
            let name = entry.file_name();
            let Some(id) = name.to_str() else { continue };
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let place = below.join(id);
            if kind.is_dir() && depth < DEEPEST && id.len() == 1 {
                match self.queue(queue, &place, depth + 1) {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => return Err(e),
                }
            } else if kind.is_file() && is_id(id) {
                let Ok(meta) = entry.metadata() else { continue };
                // One that is still written is not there yet (mail_queue.h, MAIL_QUEUE_STAT_READY).
                if queue == "incoming" && meta.permissions().mode() & 0o100 == 0 {
                    continue;
                }
                let record = self.record(queue, id, &place, &meta);
                if !self.sink.take(record) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn record(&mut self, queue: &str, id: &str, place: &Path, meta: &fs::Metadata) -> Record {
        let mut record = Record {
            queue: queue.to_owned(),
            id: id.to_owned(),
            arrival: long_id::arrival(id),
            reasons: Vec::new(),
        };
        let is_deferred = queue == "deferred";
        if self.opened < MOST_OPENED && (is_deferred || record.arrival.is_none()) {
            self.opened += 1;
            if record.arrival.is_none() {
                record.arrival = head(&self.folder.join(queue).join(place))
                    .ok()
                    .and_then(|bytes| time_record(&bytes));
            }
            if is_deferred {
                self.reasons(place, &mut record);
            }
        }
        // A deferred file's time is that of its next try.
        if record.arrival.is_none() && !is_deferred {
            let time = meta.modified().ok();
            record.arrival = time.and_then(|t| Timestamp::try_from(t).ok());
        }
        record
    }

    /// The log of tries has the same name, in the folder `defer`; defer(5), bounce(8).
    fn reasons(&self, place: &Path, record: &mut Record) {
        let log: PathBuf = self.folder.join("defer").join(place);
        let text = head(&log).unwrap_or_default();
        for line in String::from_utf8_lossy(&text).lines() {
            if let Some(reason) = line.strip_prefix("reason=") {
                record.add_reason(reason);
            }
        }
    }
}

/// A queue id, or else a file that somebody left.
fn is_id(name: &str) -> bool {
    (4..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The arrival in a queue file: the record `T`, whose text begins with seconds. A record is its
/// type, the length in groups of seven bits, the lowest first, and as many octets (record.h).
fn time_record(mut bytes: &[u8]) -> Option<Timestamp> {
    loop {
        let (kind, mut rest) = bytes.split_first()?;
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let (byte, after) = rest.split_first()?;
            rest = after;
            length |= usize::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            if shift > 21 {
                return None;
            }
        }
        let text = rest.get(..length)?;
        if *kind == b'T' {
            let text = std::str::from_utf8(text).ok()?;
            let seconds = text.split_ascii_whitespace().next()?.parse().ok()?;
            return Timestamp::from_second(seconds).ok();
        }
        bytes = &rest[length..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_arrival_is_found_behind_other_records() {
        let mut file = vec![b'C', 5];
        file.extend(b"  312");
        file.extend([b'A', 0x80 | 2, 1]);
        file.extend([b'x'; 130]);
        file.extend([b'T', 17]);
        file.extend(b"1795189888 123456");
        let at = time_record(&file).map(Timestamp::as_second);
        assert_eq!(at, Some(1_795_189_888));
        assert_eq!(time_record(&file[..file.len() - 1]), None);
        assert_eq!(time_record(b"T\xff\xff\xff\xff\xff\xff"), None);
    }

    #[test]
    fn names_of_messages_are_told_from_others() {
        assert!(is_id("4jWKZS0gRfz2x") && is_id("3F2A9C1D0B7E"));
        assert!(!is_id("a.swp") && !is_id("A") && !is_id("../x"));
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = time_record(&bytes);
        }
    }
}
