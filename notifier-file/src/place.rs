//! Where a record was to be written, so that it can be looked for after a crash.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::Path,
};

use notifier_core::Reconciled;
use rustix::fs::{CWD, Mode, OFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The end of a file before a record is written there, and what the record is.
///
/// Kept before the record is written. If the program ends before it could note that it
/// was, the file says so itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    dev: u64,
    ino: u64,
    /// The file's length.
    at: u64,
    /// The record's length, and the first half of its SHA-256.
    length: u64,
    hash: String,
}

/// The end of a regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) at: u64,
}

impl Place {
    pub(crate) fn new(end: End, record: &str) -> Self {
        Self {
            dev: end.dev,
            ino: end.ino,
            at: end.at,
            length: record.len() as u64,
            hash: hash(record.as_bytes()),
        }
    }

    /// Whether the record is in the file, as far as the file can tell.
    pub(crate) fn look(&self, path: &Path) -> io::Result<Found> {
        match self.read(path) {
            // It was there: somebody has taken it away.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Found::CannotTell),
            other => other,
        }
    }

    fn read(&self, path: &Path) -> io::Result<Found> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut file = File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?);
        let meta = file.metadata()?;
        if (meta.dev(), meta.ino()) != (self.dev, self.ino) || meta.len() < self.at {
            // Rotated or cut since.
            return Ok(Found::CannotTell);
        }
        if meta.len() == self.at {
            return Ok(Found::No);
        }
        // What was torn before it was ended with a line feed first.
        for skip in [0, 1] {
            file.seek(SeekFrom::Start(self.at + skip))?;
            let mut bytes = Vec::new();
            Read::by_ref(&mut file)
                .take(self.length)
                .read_to_end(&mut bytes)?;
            if bytes.len() as u64 == self.length && hash(&bytes) == self.hash {
                return Ok(Found::Yes);
            }
        }
        // Another program wrote there too, or ours was cut short.
        Ok(Found::CannotTell)
    }
}

/// Whether a record is in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Yes,
    No,
    CannotTell,
}

impl Found {
    pub(crate) fn answer(self, receipt: notifier_core::Receipt) -> Reconciled {
        match self {
            Self::Yes => Reconciled::Delivered(receipt),
            Self::No => Reconciled::NotDelivered,
            Self::CannotTell => Reconciled::CannotTell,
        }
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)[..16]
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn end(path: &Path) -> End {
        let meta = std::fs::metadata(path).unwrap();
        End {
            dev: meta.dev(),
            ino: meta.ino(),
            at: meta.len(),
        }
    }

    #[test]
    fn the_file_tells_whether_a_record_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "first\n").unwrap();
        let place = Place::new(end(&path), "record\n");
        let kept = serde_json::to_value(&place).unwrap();
        let place: Place = serde_json::from_value(kept).unwrap();
        assert_eq!(place.look(&path).unwrap(), Found::No);
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"rec").unwrap();
        assert_eq!(place.look(&path).unwrap(), Found::CannotTell);
        file.write_all(b"ord\nnext\n").unwrap();
        assert_eq!(place.look(&path).unwrap(), Found::Yes);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(place.look(&path).unwrap(), Found::CannotTell);
        std::fs::write(&path, "first\nrecord\n").unwrap();
        assert_eq!(
            place.look(&path).unwrap(),
            Found::CannotTell,
            "another file"
        );
    }

    #[test]
    fn a_record_behind_a_torn_one_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "to").unwrap();
        let place = Place::new(end(&path), "record\n");
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"\nrecord\n").unwrap();
        assert_eq!(place.look(&path).unwrap(), Found::Yes);
    }
}
