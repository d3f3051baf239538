//! Masking of everything that leaves the program as text for people.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use notifiers::redact::{MIN_SECRET, Redactor};

/// How many values learned while running are kept, the youngest.
pub const MAX_LEARNED: usize = 512;

/// A redactor that also knows forms in which libraries print a secret.
pub(crate) fn redactor<S: AsRef<str>>(secrets: &[S]) -> Redactor {
    Redactor::new(secrets.iter().flat_map(|s| forms(s.as_ref())))
}

/// A secret and what else gives it away: base64 of it inside a longer text (a
/// `Basic` header's user comes before the password), and the last, unguessable
/// segments of a URL's path.
pub(crate) fn forms(secret: &str) -> Vec<String> {
    let mut out = vec![secret.to_owned()];
    if secret.len() < MIN_SECRET {
        return out;
    }
    // As `{:?}` prints it; the redactor adds what JSON makes of each of these.
    let debug = format!("{secret:?}");
    out.push(debug[1..debug.len() - 1].to_owned());
    for shift in 1..3usize {
        // Base64 of the secret behind `shift` bytes of something else: only the
        // characters that those bytes, and whatever follows, have no part in.
        let mut bytes = vec![0; shift];
        bytes.extend_from_slice(secret.as_bytes());
        let text = STANDARD_NO_PAD.encode(&bytes);
        let end = bytes.len() * 8 / 6;
        if let Some(inner) = text.get(shift + 1..end).filter(|t| t.len() >= MIN_SECRET) {
            out.push(inner.to_owned());
        }
    }
    let whole = STANDARD_NO_PAD.encode(secret);
    if let Some(inner) = whole
        .get(..secret.len() * 8 / 6)
        .filter(|t| t.len() >= MIN_SECRET)
    {
        out.push(inner.to_owned());
    }
    if let Ok(u) = url::Url::parse(secret)
        && u.has_host()
    {
        out.push(u.as_str().to_owned());
        out.extend(
            u.path_segments()
                .into_iter()
                .flatten()
                .filter(|s| s.len() >= 16)
                .map(str::to_owned),
        );
    }
    out
}

/// What masks logs, errors and answers: the secrets of all settings, and those
/// learned later from labels, the youngest [`MAX_LEARNED`] of them.
///
/// A clone is another handle to the same one.
///
/// ```
/// use notifier_runtime::Masker;
/// let masker = Masker::new(["hunter2!"]);
/// masker.learn(["xoxb-1234"]);
/// assert_eq!(masker.mask("hunter2! and xoxb-1234"), "*** and ***");
/// ```
#[derive(Clone, Default)]
pub struct Masker(Arc<Inner>);

#[derive(Default)]
struct Inner {
    fixed: Redactor,
    current: RwLock<Redactor>,
    learned: Mutex<VecDeque<String>>,
}

impl Masker {
    /// A masker of these values.
    pub fn new<I>(secrets: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let list: Vec<I::Item> = secrets.into_iter().collect();
        let fixed = redactor(&list);
        Self(Arc::new(Inner {
            current: RwLock::new(fixed.clone()),
            fixed,
            learned: Mutex::default(),
        }))
    }

    /// Adds values met while running, such as those of
    /// [`FailureRecord::secret_labels`](notifiers::FailureRecord::secret_labels).
    pub fn learn<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) {
        let mut learned = self.learned();
        let before = learned.len();
        let mut news = false;
        for s in secrets {
            if s.len() >= MIN_SECRET && !learned.iter().any(|l| l == s) {
                learned.push_back(s.to_owned());
                news = true;
            }
        }
        if !news {
            return;
        }
        let over = learned.len().saturating_sub(MAX_LEARNED);
        learned.drain(..over);
        let next = if over == 0 {
            let new: Vec<String> = learned.iter().skip(before).flat_map(|s| forms(s)).collect();
            self.redactor().with(new)
        } else {
            self.0.fixed.with(learned.iter().flat_map(|s| forms(s)))
        };
        *self
            .0
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner) = next;
    }

    fn learned(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0
            .learned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The text with every known secret replaced by `***`.
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.0
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .redact(text)
    }

    /// What it masks now, as a value to hand on.
    pub fn redactor(&self) -> Redactor {
        self.0
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Masker({:?}, {} learned)",
            self.0.fixed,
            self.learned().len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basic_header_is_masked_whatever_the_user() {
        let m = Masker::new(["correct horse battery"]);
        for user in ["", "a", "ab", "abc", "abcd"] {
            for tail in ["", "x", "xy"] {
                let header = STANDARD_NO_PAD.encode(format!("{user}:correct horse battery{tail}"));
                let shown = m.mask(&header).into_owned();
                assert!(shown.contains("***"), "{user} {header}");
                assert!(shown.len() < 20, "{user}: {shown}");
            }
        }
    }

    #[test]
    fn learned_values_are_bounded() {
        let m = Masker::new(["fixed-secret"]);
        for i in 0..MAX_LEARNED + 10 {
            let s = format!("learned-{i:06}");
            m.learn([s.as_str()]);
        }
        assert_eq!(m.mask("fixed-secret learned-000521"), "*** ***");
        assert_eq!(m.mask("learned-000003"), "learned-000003");
        assert_eq!(m.learned().len(), MAX_LEARNED);
    }

    #[test]
    fn a_part_of_a_webhook_is_masked() {
        let m = Masker::new(["https://hooks.slack.example/services/T1/B2/abcdefghijklmnop"]);
        assert_eq!(m.mask("segment abcdefghijklmnop"), "segment ***");
        assert!(!format!("{m:?}").contains("abcdefgh"));
    }
}
