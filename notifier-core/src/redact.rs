//! Secrets: a type that cannot print itself, and masking for everything else.

use std::{borrow::Cow, collections::BTreeSet, fmt, sync::Arc};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands where a secret was.
pub const MASK: &str = "***";

/// A string that must not be seen: it prints as `***` and serializes not at all.
///
/// ```
/// use notifier_core::Secret;
/// let token = Secret::new("xoxb-1234");
/// assert_eq!(format!("{token:?} {token}"), "*** ***");
/// assert_eq!(token.expose(), "xoxb-1234");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self(value.into())
    }

    /// The value itself. Every call of this is a place to review.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True for the empty string.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::new(value)
    }
}

/// Words, or several in a row, that make a key name a secret wherever they stand in it.
const SECRET_WORDS: &[&str] = &[
    "accesskey",
    "access_key",
    "apikey",
    "api_key",
    "auth",
    "auth_key",
    "authorization",
    "bearer",
    "cookie",
    "credential",
    "credentials",
    "database_url",
    "dsn",
    "encryption_key",
    "hook_url",
    "hookurl",
    "jwt",
    "pass",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "private_key",
    "pwd",
    "routing_key",
    "secret",
    "secrets",
    "service_key",
    "signing_key",
    "ssh_key",
    "token",
    "webhook",
    "webhook_url",
];

/// True if a key (of a label, an option, a header) names a secret, such as
/// `complainer_slack_hook_url`, `DB_PASSWORD`, `apiToken` or `api-key`.
///
/// ```
/// use notifier_core::redact::names_secret;
/// assert!(names_secret("complainer_sentry_dsn"));
/// assert!(names_secret("DB-Password"));
/// assert!(names_secret("githubToken"));
/// assert!(!names_secret("team"));
/// assert!(!names_secret("max_tokens"));
/// ```
pub fn names_secret(key: &str) -> bool {
    let mut words = String::with_capacity(key.len() + 8);
    words.push('_');
    let mut lower = false;
    for c in key.chars() {
        if c.is_alphanumeric() {
            if c.is_uppercase() && lower {
                words.push('_');
            }
            lower = c.is_lowercase() || c.is_ascii_digit();
            words.extend(c.to_lowercase());
        } else {
            words.push('_');
            lower = false;
        }
    }
    words.push('_');
    SECRET_WORDS.iter().any(|w| {
        words
            .match_indices(w)
            .any(|(at, _)| words[..at].ends_with('_') && words[at + w.len()..].starts_with('_'))
    })
}

/// True if a label is secret: its key [names one](names_secret), or its value is an
/// address with a password in it.
pub fn is_secret_label(key: &str, value: &str) -> bool {
    names_secret(key) || Parts::of(value).is_some_and(|u| !u.password.is_empty())
}

/// A label's value as it may be shown: `***` if it [is secret](is_secret_label), the
/// value itself otherwise.
pub fn label<'a>(key: &str, value: &'a str) -> &'a str {
    if is_secret_label(key, value) && !value.is_empty() {
        MASK
    } else {
        value
    }
}

/// A URL as it may be shown in logs and errors: without user, password, query,
/// fragment and, for addresses whose path is the secret (chat webhooks), without
/// the path behind the word that says so.
///
/// A text that is no URL comes back as `<not a URL>`: it may be a secret put in
/// the wrong place.
///
/// ```
/// use notifier_core::redact::url;
/// assert_eq!(url("https://u:p@a.example/x?sig=1"), "https://a.example/x");
/// assert_eq!(url("https://hooks.slack.com/services/T1/B2/abc"), "https://hooks.slack.com/services/***");
/// assert_eq!(url("hunter2"), "<not a URL>");
/// assert_eq!(url("https://a.example"), "https://a.example");
/// ```
pub fn url(text: &str) -> String {
    let Some(u) = Parts::of(text) else {
        return "<not a URL>".to_owned();
    };
    let mut out = u.origin();
    for segment in u.path.split('/').skip(1) {
        out.push('/');
        if segment.starts_with("bot") && segment.contains(':') {
            out.push_str(MASK);
            return out;
        }
        out.push_str(segment);
        let word = segment.to_ascii_lowercase();
        if matches!(
            word.as_str(),
            "services" | "workflows" | "triggers" | "hooks" | "webhook" | "webhooks" | "webhookb2"
        ) {
            if !u.path.ends_with(segment) {
                out.push('/');
                out.push_str(MASK);
            }
            return out;
        }
    }
    if out.ends_with('/') && u.path == "/" {
        out.pop();
    }
    out
}

/// The scheme, host and port of a URL, for errors about URLs that are secrets as a whole.
pub fn origin(text: &str) -> String {
    Parts::of(text).map_or_else(|| "<not a URL>".to_owned(), |u| u.origin())
}

/// A URL taken apart just as far as masking needs. Requests are made with a real parser.
pub(crate) struct Parts<'a> {
    pub(crate) scheme: &'a str,
    user: &'a str,
    password: &'a str,
    /// Host and port.
    pub(crate) host: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    /// `None` unless it is `scheme://host` with whatever else. No blanks, no controls.
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://")?;
        let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        if !scheme_ok || text.chars().any(|c| c.is_control() || c == ' ') {
            return None;
        }
        let rest = rest.split('#').next().unwrap_or(rest);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match rest.find(['/', '\\']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (userinfo, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        (!host.is_empty()).then_some(Self {
            scheme,
            user,
            password,
            host,
            path,
            query,
        })
    }

    fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }
}

/// Shortest value that a [`Redactor`] masks inside other text: below it, masking
/// would hit ordinary words.
pub const MIN_SECRET: usize = 6;

const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Masks a set of known secrets wherever they stand in a text, also in their
/// percent-encoded, JSON-escaped and base64 forms.
///
/// A net below everything else: code must not print secrets in the first place.
/// Values shorter than [`MIN_SECRET`] bytes are not looked for.
///
/// ```
/// use notifier_core::redact::Redactor;
/// let r = Redactor::new(["s3cr3t/value"]);
/// assert_eq!(r.redact("at s3cr3t%2Fvalue and s3cr3t/value!"), "at *** and ***!");
/// assert_eq!(r.redact("nothing"), "nothing");
/// ```
#[derive(Clone, Default)]
pub struct Redactor {
    needles: Arc<[String]>,
}

impl Redactor {
    /// A redactor of these values.
    pub fn new<I>(secrets: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut set = BTreeSet::new();
        for s in secrets {
            add_forms(&mut set, s.as_ref());
        }
        Self::from_set(set)
    }

    /// This redactor with more values.
    #[must_use]
    pub fn with<I>(&self, secrets: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut set: BTreeSet<String> = BTreeSet::new();
        for s in secrets {
            add_forms(&mut set, s.as_ref());
        }
        if set.is_empty() {
            return self.clone();
        }
        set.extend(self.needles.iter().cloned());
        Self::from_set(set)
    }

    fn from_set(set: BTreeSet<String>) -> Self {
        let mut needles: Vec<String> = set.into_iter().collect();
        // Longest first, so that a secret inside another does not break it up.
        needles.sort_by_key(|n| std::cmp::Reverse(n.len()));
        Self {
            needles: needles.into(),
        }
    }

    /// The text with every known secret replaced by `***`.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut out = Cow::Borrowed(text);
        for n in self.needles.iter().filter(|n| n.len() <= text.len()) {
            if out.contains(n.as_str()) {
                out = Cow::Owned(out.replace(n.as_str(), MASK));
            }
        }
        out
    }

    /// True if there is nothing to mask.
    pub fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} values)", self.needles.len())
    }
}

fn add_forms(set: &mut BTreeSet<String>, secret: &str) {
    if secret.len() < MIN_SECRET {
        return;
    }
    set.insert(secret.to_owned());
    let encoded = utf8_percent_encode(secret, QUERY).to_string();
    set.insert(lower_escapes(&encoded));
    set.insert(encoded);
    for markup in [
        crate::Markup::Slack,
        crate::Markup::Html,
        crate::Markup::Lines,
    ] {
        set.insert(markup.escape(secret));
    }
    set.insert(base64(secret.as_bytes()));
    let json = serde_json::Value::from(secret).to_string();
    let json = json[1..json.len() - 1].to_owned();
    // As Go's encoder writes it.
    set.insert(
        json.replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026"),
    );
    set.insert(json);
    // What is secret in a URL is its password, its path and its query.
    if let Some(u) = Parts::of(secret) {
        if u.password.len() >= MIN_SECRET {
            set.insert(u.password.to_owned());
        }
        for part in [u.user, u.path.trim_matches('/'), u.query] {
            // A word alone is none: it stands in messages for good reason.
            if part.len() >= 2 * MIN_SECRET && part.contains(|c: char| c.is_ascii_digit()) {
                set.insert(part.to_owned());
            }
        }
    }
}

/// `%2F` as `%2f`.
fn lower_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut escape = 0;
    for c in text.chars() {
        if c == '%' {
            escape = 3;
        }
        out.push(if escape > 0 {
            c.to_ascii_lowercase()
        } else {
            c
        });
        escape = u8::saturating_sub(escape, 1);
    }
    out
}

/// Base64 without padding, so that it is also found inside a padded text.
fn base64(bytes: &[u8]) -> String {
    const A: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            out.push(char::from(A[(n >> (18 - 6 * i)) as usize & 63]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        let s = Secret::new("hunter2");
        assert_eq!(format!("{s} {s:?} {:?}", Some(&s)), "*** *** Some(***)");
    }

    #[test]
    fn base64_forms_are_found() {
        assert_eq!(base64(b"user:passw"), "dXNlcjpwYXNzdw");
        let r = Redactor::new(["user:passw"]);
        assert_eq!(r.redact("Basic dXNlcjpwYXNzdw=="), "Basic ***==");
    }

    #[test]
    fn the_secret_part_of_a_url_is_masked_alone_too() {
        let r = Redactor::new(["https://hooks.example/services/T0001/B0002/abcdefgh"]);
        assert_eq!(
            r.redact("POST /services/T0001/B0002/abcdefgh failed"),
            "POST /*** failed"
        );
    }

    #[test]
    fn short_values_are_left_alone() {
        assert_eq!(Redactor::new(["abc"]).redact("abc abc"), "abc abc");
    }
}
