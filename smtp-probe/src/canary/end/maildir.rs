//! A Maildir: each mail is a file in `new`, and in `cur` once somebody has seen it.

use std::{
    collections::HashSet,
    fs,
    hash::{BuildHasher as _, RandomState},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use notifier_core::jiff::{SignedDuration, Timestamp};

use super::{
    super::{
        find::{Mail, Place},
        head::MOST_OCTETS,
    },
    Reads, blocking, trouble,
};
use crate::{connection::Stop, report::Class};

/// The most files that are opened at one look; the others are at the next one.
const MOST: usize = 1000;

/// A Maildir, and which of its mails need no look.
#[derive(Debug)]
pub(crate) struct Maildir {
    folder: PathBuf,
    /// Hashes of names, since there may be very many.
    known: HashSet<u64>,
    hasher: RandomState,
}

impl Maildir {
    /// Takes what is there for known, unless it came since then. The first delivery may be what makes
    /// the folder.
    pub(crate) async fn open(folder: &Path, since: Option<Timestamp>) -> Result<Self, Stop> {
        let mut maildir = Self {
            folder: folder.to_owned(),
            known: HashSet::new(),
            hasher: RandomState::new(),
        };
        blocking(move || {
            // Another machine's clock may be behind.
            let since = since.map(|t| t.checked_sub(SignedDuration::from_secs(60)).unwrap_or(t));
            let mut known = HashSet::new();
            folder_of(&maildir.folder)?;
            let is_there = maildir.folder.try_exists();
            let is_there = is_there.map_err(|e| unreadable(&maildir.folder, &e))?;
            let listed = maildir.each(|path, hash| {
                let is_old = match since {
                    None => true,
                    Some(since) => modified(path).is_none_or(|at| at < since),
                };
                if is_old {
                    known.insert(hash);
                }
                true
            });
            if is_there {
                listed?;
            }
            maildir.known = known;
            Ok(maildir)
        })
        .await
    }

    /// Calls for each name that is not known, until `false`.
    fn each(&self, mut then: impl FnMut(&Path, u64) -> bool) -> Result<(), Stop> {
        for name in ["new", "cur"] {
            let folder = self.folder.join(name);
            let entries = fs::read_dir(&folder).map_err(|e| unreadable(&folder, &e))?;
            for entry in entries {
                let entry = entry.map_err(|e| unreadable(&folder, &e))?;
                let name = entry.file_name();
                // Flags follow a colon, and change.
                let bytes = name.as_encoded_bytes();
                let base = bytes.split(|b| *b == b':').next().unwrap_or(bytes);
                let hash = self.hasher.hash_one(base);
                if !base.starts_with(b".")
                    && !self.known.contains(&hash)
                    && !then(&entry.path(), hash)
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Reads for Maildir {
    fn read(&mut self) -> Result<Vec<Mail>, Stop> {
        let mut files = Vec::new();
        self.each(|path, hash| {
            files.push((path.to_owned(), hash));
            files.len() < MOST
        })?;
        let mut mails = Vec::new();
        for (path, hash) in files {
            match start(&path) {
                Ok(start) => mails.push(Mail {
                    start,
                    at: modified(&path),
                    place: Place::File(path),
                }),
                // It was moved from `new` to `cur` meanwhile: the next look finds it there.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(unreadable(&path, &e));
                }
                Err(_) => {}
            }
            self.known.insert(hash);
        }
        Ok(mails)
    }
}

/// The start of a plain file; anything else may never be read to an end.
fn start(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    file.take(MOST_OCTETS as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn modified(path: &Path) -> Option<Timestamp> {
    let at = fs::symlink_metadata(path).ok()?.modified().ok()?;
    Timestamp::try_from(at).ok()
}

/// Sees that the folder that a mailbox is in is there: only the mailbox itself may still be made.
pub(super) fn folder_of(mailbox: &Path) -> Result<(), Stop> {
    let Some(parent) = mailbox.parent().filter(|p| !p.as_os_str().is_empty()) else {
        return Ok(());
    };
    let meta = fs::metadata(parent).map_err(|e| unreadable(parent, &e))?;
    match meta.is_dir() {
        true => Ok(()),
        false => Err(unreadable(parent, &io::ErrorKind::NotADirectory.into())),
    }
}

pub(super) fn unreadable(path: &Path, e: &io::Error) -> Stop {
    let stop = trouble(Class::Local, format!("cannot read {}: {e}", path.display()));
    let hint = match e.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("let this user read {}", path.display())
        }
        _ => "name the mailbox that the canary's recipient has, with --canary".to_owned(),
    };
    Stop {
        hint: Some(hint),
        ..stop
    }
}

/// Removes files, where that is allowed.
pub(super) async fn remove(found: &[Place]) {
    for place in found {
        if let Place::File(path) = place {
            let _ = tokio::fs::remove_file(path).await;
        }
    }
}
