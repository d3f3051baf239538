//! Labels that hold secrets are kept sealed.
//!
//! A failure's labels say where its message goes, so they are needed as long as it is not
//! delivered: the address of a hook, too. In the tables, and so in every copy of the file,
//! such values are encrypted (ChaCha20-Poly1305, RFC 8439); the key is in a file beside it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use notifier_core::{Digest, Error, FailureRecord, Subject, redact::names_secret};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom as _, SystemRandom},
};

use crate::{
    connection::{beside, private, put, unfinished},
    error::{Fault, files},
    shared::lock,
};

/// What a sealed value begins with.
const MARK: &str = "sealed:1:";

/// Bytes of a key.
const KEY: usize = 32;

/// Where the key of an outbox is.
fn key_file(path: &Path) -> PathBuf {
    beside(path, ".key")
}

/// What seals the labels of one outbox. Its key is read, or made, when it is first needed.
#[derive(Debug)]
pub(crate) struct Seals {
    path: PathBuf,
    key: Mutex<Option<Key>>,
    warned: AtomicBool,
}

struct Key {
    bytes: [u8; KEY],
    cipher: LessSafeKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    fn new(bytes: [u8; KEY]) -> Result<Self, Fault> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| broken("its key"))?;
        Ok(Self {
            bytes,
            cipher: LessSafeKey::new(key),
        })
    }

    fn random() -> Result<Self, Fault> {
        let mut bytes = [0; KEY];
        let random = SystemRandom::new().fill(&mut bytes);
        random.map_err(|_| broken("random numbers"))?;
        Self::new(bytes)
    }

    fn seal(&self, label: &str, value: &str) -> Result<String, Fault> {
        let mut nonce = [0; NONCE_LEN];
        let random = SystemRandom::new().fill(&mut nonce);
        random.map_err(|_| broken("random numbers"))?;
        let mut sealed = value.as_bytes().to_vec();
        self.cipher
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(label),
                &mut sealed,
            )
            .map_err(|_| broken("the cipher"))?;
        let whole = [nonce.as_slice(), &sealed].concat();
        Ok(format!("{MARK}{}", STANDARD_NO_PAD.encode(whole)))
    }

    fn open(&self, label: &str, sealed: &str) -> Option<String> {
        let mut whole = STANDARD_NO_PAD.decode(sealed.strip_prefix(MARK)?).ok()?;
        let (nonce, sealed) = whole.split_first_chunk_mut::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let value = self.cipher.open_in_place(nonce, Aad::from(label), sealed);
        String::from_utf8(value.ok()?.to_vec()).ok()
    }
}

fn broken(what: &str) -> Fault {
    Fault::Refused(Error::internal(format!(
        "cannot seal labels: {what} failed"
    )))
}

fn is_sealed(key: &str, value: &str) -> bool {
    value.starts_with(MARK) && names_secret(key)
}

fn is_open(key: &str, value: &str) -> bool {
    !value.is_empty() && !value.starts_with(MARK) && names_secret(key)
}

impl Seals {
    /// What seals the labels of the outbox of this path.
    pub(crate) fn of(path: &Path) -> Self {
        Self {
            path: key_file(path),
            key: Mutex::default(),
            warned: AtomicBool::new(false),
        }
    }

    /// The subject with its secret labels sealed; `None` if it has none.
    pub(crate) fn seal(&self, subject: &Subject) -> Result<Option<Subject>, Fault> {
        let has = |f: &FailureRecord| f.labels.iter().any(|(k, v)| is_open(k, v));
        if !subject.failure().is_some_and(has) {
            return Ok(None);
        }
        self.with_key(|key| {
            let mut fault = None;
            let sealed = with_labels(subject, |name, value| {
                if !is_open(name, value) {
                    return Some(value.to_owned());
                }
                key.seal(name, value).map_err(|e| fault = Some(e)).ok()
            });
            fault.map_or(Ok(Some(sealed)), Err)
        })
    }

    /// The subject with its labels as they were. Those that the key does not fit are left out.
    pub(crate) fn open(&self, subject: &Subject) -> Option<Subject> {
        let has = |f: &FailureRecord| f.labels.iter().any(|(k, v)| is_sealed(k, v));
        if !subject.failure().is_some_and(has) {
            return None;
        }
        let mut left_out = 0;
        let opened = self.with_key(|key| {
            Ok(with_labels(subject, |name, value| {
                if !is_sealed(name, value) {
                    return Some(value.to_owned());
                }
                let value = key.open(name, value);
                left_out += usize::from(value.is_none());
                value
            }))
        });
        let opened = opened.unwrap_or_else(|_| {
            with_labels(subject, |name, value| {
                let is_sealed = is_sealed(name, value);
                left_out += usize::from(is_sealed);
                (!is_sealed).then(|| value.to_owned())
            })
        });
        if left_out > 0 && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                file = %self.path.display(),
                "labels that hold secrets cannot be read: the key that they were sealed with is gone, and their failures are told as if they had none"
            );
        }
        Some(opened)
    }

    /// Puts the key back where it was, if it was needed so far.
    pub(crate) fn put_back(&self) -> Result<(), Fault> {
        match lock(&self.key).as_ref() {
            Some(key) if !self.path.exists() => self.write(key).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Gives the outbox of another path the same key.
    pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Fault> {
        let (from, to) = (key_file(from), key_file(to));
        match read(&from)? {
            Some(bytes) => Self {
                path: to,
                key: Mutex::default(),
                warned: AtomicBool::new(false),
            }
            .write(&Key::new(bytes)?)
            .map(|_| ()),
            None => Ok(()),
        }
    }

    fn with_key<T>(&self, f: impl FnOnce(&Key) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut held = lock(&self.key);
        if held.is_none() {
            let known = read(&self.path)?.map(Key::new).transpose()?;
            *held = Some(match known {
                Some(key) => key,
                None => {
                    let new = Key::random()?;
                    // Another process may have been faster: then its key is the one.
                    match self.write(&new)? {
                        true => new,
                        false => Key::new(read(&self.path)?.ok_or_else(|| broken("its key"))?)?,
                    }
                }
            });
        }
        match held.as_ref() {
            Some(key) => f(key),
            None => Err(broken("its key")),
        }
    }

    /// Writes the key, whole and durably. False if there is one.
    fn write(&self, key: &Key) -> Result<bool, Fault> {
        let new = unfinished(&self.path);
        let done = private(OpenOptions::new().write(true).create_new(true))
            .open(&new)
            .and_then(|mut file| file.write_all(&key.bytes))
            .and_then(|()| put(&new, &self.path));
        let _ = fs::remove_file(&new);
        done.map_err(|e| Fault::Files(files(&self.path, "make the key of the outbox", &e)))
    }
}

fn read(path: &Path) -> Result<Option<[u8; KEY]>, Fault> {
    match fs::read(path) {
        Ok(bytes) => match <[u8; KEY]>::try_from(bytes) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(_) => {
                let what = io::Error::other(
                    "it is not the key of an outbox: put the right one back, or remove it to do without the labels that were sealed with it",
                );
                Err(Fault::Files(files(
                    path,
                    "read the key of the outbox",
                    &what,
                )))
            }
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Fault::Files(files(path, "read the key of the outbox", &e))),
    }
}

/// The subject with each label's value changed, or left out.
fn with_labels(subject: &Subject, mut f: impl FnMut(&str, &str) -> Option<String>) -> Subject {
    let mut change = |record: &FailureRecord| {
        let mut record = record.clone();
        let labels = std::mem::take(&mut record.labels);
        record.labels = labels
            .into_iter()
            .filter_map(|(k, v)| f(&k, &v).map(|v| (k, v)))
            .collect();
        record
    };
    match subject {
        Subject::Failure(record) => Subject::Failure(Arc::new(change(record))),
        Subject::Digest(digest) => {
            let mut changed = Digest::clone(digest);
            changed.example = change(&digest.example);
            Subject::Digest(Arc::new(changed))
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use notifier_core::jiff::Timestamp;

    use super::*;

    fn subject(labels: &[(&str, &str)]) -> Subject {
        let mut f = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH);
        for (k, v) in labels {
            f.labels.insert((*k).to_owned(), (*v).to_owned());
        }
        Subject::Failure(Arc::new(f))
    }

    fn label<'a>(subject: &'a Subject, key: &str) -> Option<&'a str> {
        subject.failure()?.labels.get(key).map(String::as_str)
    }

    #[test]
    fn what_is_sealed_can_be_opened_and_shows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        let plain = subject(&[
            ("complainer_sentry_dsn", "https://k:s3cret@sentry.example/1"),
            ("team", "core"),
            ("empty_token", ""),
        ]);
        let sealed = Seals::of(&path).seal(&plain).unwrap().unwrap();
        let text = sealed.to_json().unwrap();
        assert!(!text.contains("s3cret") && text.contains("core"), "{text}");
        // Once more, as when a digest is made of it: it stays as it is.
        assert!(Seals::of(&path).seal(&sealed).unwrap().is_none());
        assert_eq!(Seals::of(&path).open(&sealed), Some(plain));
        // Twice the same is sealed in two ways.
        let again = Seals::of(&path).seal(&Seals::of(&path).open(&sealed).unwrap());
        assert_ne!(again.unwrap().unwrap(), sealed);
        // One's value does not fit another's name.
        let value = label(&sealed, "complainer_sentry_dsn").unwrap();
        let moved = subject(&[("complainer_slack_hook_url", value)]);
        let opened = Seals::of(&path).open(&moved).unwrap();
        assert_eq!(label(&opened, "complainer_slack_hook_url"), None);
    }

    #[test]
    fn what_has_no_secret_needs_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        let plain = subject(&[("team", "core"), ("note", "sealed:1:no")]);
        assert!(Seals::of(&path).seal(&plain).unwrap().is_none());
        assert!(Seals::of(&path).open(&plain).is_none());
        assert!(!key_file(&path).exists());
    }

    #[test]
    fn without_its_key_a_label_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        let plain = subject(&[
            ("complainer_slack_hook_url", "https://h/1"),
            ("team", "core"),
        ]);
        let seals = Seals::of(&path);
        let sealed = seals.seal(&plain).unwrap().unwrap();
        fs::remove_file(key_file(&path)).unwrap();
        let opened = Seals::of(&path).open(&sealed).unwrap();
        assert_eq!(label(&opened, "complainer_slack_hook_url"), None);
        assert_eq!(label(&opened, "team"), Some("core"));
        fs::write(key_file(&path), "short").unwrap();
        let opened = Seals::of(&path).open(&sealed).unwrap();
        assert_eq!(label(&opened, "complainer_slack_hook_url"), None);
        assert!(Seals::of(&path).seal(&plain).is_err());
        // Who had it puts it back.
        fs::remove_file(key_file(&path)).unwrap();
        seals.put_back().unwrap();
        assert_eq!(Seals::of(&path).open(&sealed), Some(plain));
    }

    #[cfg(unix)]
    #[test]
    fn the_key_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        let secret = subject(&[("complainer_hipchat_token", "x")]);
        Seals::of(&path).seal(&secret).unwrap();
        let mode = fs::metadata(key_file(&path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
