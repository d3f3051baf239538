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
use notifier_core::{
    Digest, Error, FailureRecord, Subject,
    redact::{is_secret_label, names_secret},
};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom as _, SystemRandom},
};

use crate::{
    connection::{beside, private, put, unfinished},
    error::{Fault, Trouble, files},
    files::make_folder,
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

/// What seals the labels of one outbox.
///
/// Its key is read at the start of a watcher, or when it is first needed; it is made when the
/// first label is sealed. That there is none is not remembered: it may be put back.
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

/// A key that cannot be used fails those who need it, and not everything in their commit.
fn refused(trouble: Trouble) -> Fault {
    Fault::Refused(trouble.error())
}

/// True if a label is to be sealed.
fn is_open(key: &str, value: &str) -> bool {
    !value.is_empty() && !value.starts_with(MARK) && is_secret_label(key, value)
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

    /// Reads the key, if there is one, so that one that is of no use is told at the start.
    pub(crate) fn load(&self) -> Result<(), Fault> {
        let bytes = read(&self.path, Trouble::lasting).map_err(Fault::Files)?;
        *lock(&self.key) = bytes.map(Key::new).transpose()?;
        Ok(())
    }

    /// The subject with its secret labels sealed; `None` if it has none.
    pub(crate) fn seal(&self, subject: &Subject) -> Result<Option<Subject>, Fault> {
        if !has_label(subject, is_open) {
            return Ok(None);
        }
        let mut held = lock(&self.key);
        let key = match held.take() {
            Some(key) => key,
            None => self.find_or_make()?,
        };
        let key = held.insert(key);
        with_labels(subject, |name, value| {
            if is_open(name, value) {
                key.seal(name, value).map(Some)
            } else {
                Ok(Some(value.to_owned()))
            }
        })
        .map(Some)
    }

    /// The subject with its labels as they were; `None` if none is sealed. Makes no key. A label
    /// that no key fits is left out if its name is that of a secret, else it stays as it is.
    ///
    /// Fails if there is a key that cannot be read: to be tried again.
    pub(crate) fn open(&self, subject: &Subject) -> Result<Option<Subject>, Fault> {
        if !has_label(subject, |_, v| v.starts_with(MARK)) {
            return Ok(None);
        }
        let mut held = lock(&self.key);
        let mut is_read = held.is_none();
        if is_read {
            *held = self.find()?;
        }
        // The one in the file, where it is not the one in use: it was put back since.
        let mut other = None;
        let mut left_out = 0;
        let opened = with_labels(subject, |name, value| {
            if !value.starts_with(MARK) {
                return Ok(Some(value.to_owned()));
            }
            let fits = |key: &Option<Key>| key.as_ref().and_then(|key| key.open(name, value));
            if let Some(open) = fits(&held) {
                return Ok(Some(open));
            }
            if !is_read {
                other = self.find()?;
                is_read = true;
            }
            let open = fits(&other);
            if open.is_none() && names_secret(name) {
                left_out += 1;
                return Ok(None);
            }
            Ok(Some(open.unwrap_or_else(|| value.to_owned())))
        })?;
        if left_out > 0 && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                file = %self.path.display(),
                "labels that hold secrets cannot be read: the key that they were sealed with is gone, and their failures are told as if they had none"
            );
        }
        Ok(Some(opened))
    }

    /// Puts the key back where it was, if there was one.
    pub(crate) fn put_back(&self) -> Result<(), Fault> {
        match lock(&self.key).as_ref() {
            Some(key) if !self.path.exists() => {
                // The folder may be gone with it.
                make_folder(&self.path)?;
                write(key, &self.path).map(|_| ()).map_err(Fault::Files)
            }
            _ => Ok(()),
        }
    }

    /// Gives the key to a file that was saved of this outbox. The file may be another's by now.
    pub(crate) fn save(&self, to: &Path) -> Result<(), Fault> {
        let to = key_file(to);
        // One that was saved before by a process of this number.
        let _ = fs::remove_file(&to);
        let held = lock(&self.key);
        let filed = match held.as_ref() {
            Some(_) => None,
            None => self.find()?,
        };
        match held.as_ref().or(filed.as_ref()) {
            Some(key) => write(key, &to).map(|_| ()).map_err(Fault::Files),
            None => Ok(()),
        }
    }

    /// The key in the file, if there is one. What is wrong with it fails the one who needs it.
    fn find(&self) -> Result<Option<Key>, Fault> {
        let bytes = read(&self.path, Trouble::passing).map_err(refused)?;
        bytes.map(Key::new).transpose()
    }

    fn find_or_make(&self) -> Result<Key, Fault> {
        if let Some(key) = self.find()? {
            return Ok(key);
        }
        let new = Key::random()?;
        // Another process may have been faster: then its key is the one.
        if write(&new, &self.path).map_err(refused)? {
            return Ok(new);
        }
        self.find()?.ok_or_else(|| broken("its key"))
    }
}

/// Gives the outbox of another path the same key. Where that is, if it was made.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<Option<PathBuf>, Fault> {
    let (from, to) = (key_file(from), key_file(to));
    let another = || {
        Trouble::lasting(format!(
            "{} exists and is not the key of the outbox: remove it, or name another file to save the outbox in",
            to.display()
        ))
    };
    let key = read(&from, Trouble::lasting).map_err(Fault::Files)?;
    let there = read(&to, |_| another()).map_err(Fault::Files)?;
    match (key, there) {
        (None, None) => Ok(None),
        (Some(key), None) => match write(&Key::new(key)?, &to) {
            Ok(true) => Ok(Some(to)),
            Ok(false) => Err(Fault::Files(another())),
            Err(trouble) => Err(Fault::Files(trouble)),
        },
        (key, there) if key == there => Ok(None),
        _ => Err(Fault::Files(another())),
    }
}

/// Reads a key, if there is one. `wrong` says what kind of trouble it is that it is none.
fn read(path: &Path, wrong: impl FnOnce(String) -> Trouble) -> Result<Option<[u8; KEY]>, Trouble> {
    let bytes = match fs::metadata(path) {
        Ok(m) if m.is_file() && m.len() == KEY as u64 => fs::read(path),
        Ok(_) => Ok(Vec::new()),
        Err(e) => Err(e),
    };
    match bytes {
        Ok(bytes) => match <[u8; KEY]>::try_from(bytes) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(_) => Err(wrong(format!(
                "{} is not the key of an outbox: put the right one back, or remove it to do without the labels that were sealed with it",
                path.display()
            ))),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(files(path, "read the key of the outbox", &e)),
    }
}

/// Writes a key, whole and durably. False if there is one.
fn write(key: &Key, path: &Path) -> Result<bool, Trouble> {
    let new = unfinished(path);
    // One that an earlier process of this number left behind.
    let _ = fs::remove_file(&new);
    let done = private(OpenOptions::new().write(true).create_new(true))
        .open(&new)
        .and_then(|mut file| file.write_all(&key.bytes))
        .and_then(|()| put(&new, path));
    let _ = fs::remove_file(&new);
    done.map_err(|e| files(path, "make the key of the outbox", &e))
}

fn has_label(subject: &Subject, is: impl Fn(&str, &str) -> bool) -> bool {
    let labels = subject.failure().map(|f| &f.labels);
    labels.is_some_and(|labels| labels.iter().any(|(k, v)| is(k, v)))
}

/// The subject with each label's value changed, or left out.
fn with_labels(
    subject: &Subject,
    mut f: impl FnMut(&str, &str) -> Result<Option<String>, Fault>,
) -> Result<Subject, Fault> {
    let mut change = |record: &FailureRecord| -> Result<FailureRecord, Fault> {
        let mut record = record.clone();
        for (k, v) in std::mem::take(&mut record.labels) {
            if let Some(v) = f(&k, &v)? {
                record.labels.insert(k, v);
            }
        }
        Ok(record)
    };
    Ok(match subject {
        Subject::Failure(record) => Subject::Failure(Arc::new(change(record)?)),
        Subject::Digest(digest) => {
            let mut changed = Digest::clone(digest);
            changed.example = change(&digest.example)?;
            Subject::Digest(Arc::new(changed))
        }
        other => other.clone(),
    })
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

    const HOOK: &str = "complainer_slack_hook_url";

    fn opened(seals: &Seals, sealed: &Subject) -> Subject {
        seals.open(sealed).unwrap().unwrap()
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
        assert_eq!(opened(&Seals::of(&path), &sealed), plain);
        // Twice the same is sealed in two ways.
        let again = Seals::of(&path).seal(&plain).unwrap().unwrap();
        assert_ne!(again, sealed);
        // One's value does not fit another's name.
        let value = label(&sealed, "complainer_sentry_dsn").unwrap();
        let moved = subject(&[("complainer_slack_hook_url", value)]);
        let opened = opened(&Seals::of(&path), &moved);
        assert_eq!(label(&opened, "complainer_slack_hook_url"), None);
    }

    #[test]
    fn a_password_in_an_address_is_sealed_whatever_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        let plain = subject(&[
            ("DB_URL2", "postgres://u:pl4inpassw0rd@h/db"),
            ("home", "https://a.example/x"),
            ("note", "sealed:1:no"),
        ]);
        let sealed = Seals::of(&path).seal(&plain).unwrap().unwrap();
        let text = sealed.to_json().unwrap();
        assert!(!text.contains("pl4inpassw0rd"), "{text}");
        assert_eq!(label(&sealed, "home"), Some("https://a.example/x"));
        assert_eq!(label(&sealed, "note"), Some("sealed:1:no"));
        assert_eq!(opened(&Seals::of(&path), &sealed), plain);
        // Nobody can tell it from a text that looks like one.
        fs::remove_file(key_file(&path)).unwrap();
        assert_eq!(opened(&Seals::of(&path), &sealed), sealed);
    }

    #[test]
    fn what_has_no_secret_needs_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        let plain = subject(&[("team", "core"), ("note", "sealed:1:no")]);
        assert!(Seals::of(&path).seal(&plain).unwrap().is_none());
        assert_eq!(opened(&Seals::of(&path), &plain), plain);
        let none = subject(&[("team", "core")]);
        assert!(Seals::of(&path).open(&none).unwrap().is_none());
        assert!(!key_file(&path).exists());
    }

    #[test]
    fn without_its_key_a_label_is_left_out_until_it_is_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        let plain = subject(&[(HOOK, "https://h/1"), ("team", "core")]);
        let seals = Seals::of(&path);
        let sealed = seals.seal(&plain).unwrap().unwrap();
        let kept = fs::read(key_file(&path)).unwrap();
        fs::remove_file(key_file(&path)).unwrap();
        // Who has it needs no file.
        assert_eq!(opened(&seals, &sealed), plain);
        let other = Seals::of(&path);
        for _ in 0..2 {
            let opened = opened(&other, &sealed);
            assert_eq!(label(&opened, HOOK), None);
            assert_eq!(label(&opened, "team"), Some("core"));
        }
        // To look makes none.
        assert!(!key_file(&path).exists());
        fs::write(key_file(&path), &kept).unwrap();
        assert_eq!(opened(&other, &sealed), plain);

        // Also where another was made meanwhile.
        fs::remove_file(key_file(&path)).unwrap();
        let other = Seals::of(&path);
        let since = other.seal(&plain).unwrap().unwrap();
        assert_eq!(label(&opened(&other, &sealed), HOOK), None);
        fs::write(key_file(&path), &kept).unwrap();
        assert_eq!(opened(&other, &sealed), plain);
        assert_eq!(opened(&other, &since), plain);
    }

    #[test]
    fn what_is_no_key_is_told_and_passes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        let plain = subject(&[(HOOK, "https://h/1")]);
        let sealed = Seals::of(&path).seal(&plain).unwrap().unwrap();
        let kept = fs::read(key_file(&path)).unwrap();
        let seals = Seals::of(&path);
        for wrong in [&b""[..], b"short", &[7; KEY + 1]] {
            fs::write(key_file(&path), wrong).unwrap();
            for fault in [
                seals.open(&sealed).unwrap_err(),
                seals.seal(&plain).unwrap_err(),
            ] {
                // Only who needs it fails.
                let Fault::Refused(e) = fault else {
                    panic!("{fault:?}")
                };
                assert!(e.is_retryable(), "{e:?}");
                assert!(e.to_string().contains("put the right one back"), "{e}");
            }
            assert!(matches!(seals.load(), Err(Fault::Files(t)) if t.is_final));
            assert_eq!(fs::read(key_file(&path)).unwrap(), wrong);
        }
        fs::write(key_file(&path), kept).unwrap();
        assert_eq!(opened(&seals, &sealed), plain);
    }

    #[test]
    fn who_has_the_key_puts_it_back_and_saves_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state").join("outbox.db");
        fs::create_dir(folder.path().join("state")).unwrap();
        let plain = subject(&[(HOOK, "https://h/1")]);
        let sealed = Seals::of(&path).seal(&plain).unwrap().unwrap();
        let seals = Seals::of(&path);
        seals.load().unwrap();
        fs::remove_dir_all(folder.path().join("state")).unwrap();
        seals.put_back().unwrap();
        assert_eq!(opened(&Seals::of(&path), &sealed), plain);

        // Not the one that came with the file in its place.
        fs::write(key_file(&path), [7; KEY]).unwrap();
        let saved = folder.path().join("saved.db");
        for _ in 0..2 {
            seals.save(&saved).unwrap();
            assert_eq!(opened(&Seals::of(&saved), &sealed), plain);
            fs::write(key_file(&saved), [8; KEY]).unwrap();
        }
        // Who has none takes the one that is there.
        Seals::of(&path).save(&saved).unwrap();
        assert_eq!(fs::read(key_file(&saved)).unwrap(), [7; KEY]);
    }

    #[test]
    fn what_an_ended_process_left_is_not_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        let key = Key::random().unwrap();
        // Some names that the next ones may have.
        let name = unfinished(&key_file(&path));
        let name = name.to_str().unwrap();
        let (stem, n) = name.rsplit_once('-').unwrap();
        for n in (n.parse::<u64>().unwrap()..).take(50) {
            fs::write(format!("{stem}-{n}"), "left").unwrap();
        }
        assert!(write(&key, &key_file(&path)).unwrap());
        assert_eq!(fs::read(key_file(&path)).unwrap(), key.bytes);
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
