//! What must not be seen in what a relay says.

use std::borrow::Cow;

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use notifier_core::{
    Secret,
    redact::{MASK, Redactor},
};

/// In shorter ones any word has them by chance.
const SHORTEST: usize = 4;

const ANY_PADDING: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const ALPHABETS: [GeneralPurpose; 2] = [
    GeneralPurpose::new(&STANDARD, ANY_PADDING),
    GeneralPurpose::new(&URL_SAFE, ANY_PADDING),
];

/// Passwords that a relay was told, to be masked where it says them back: as they are, in base64
/// with whatever else, percent-encoded.
///
/// ```
/// use smtp_wire::Hidden;
/// let hidden = Hidden::new([&"s3cr3t-word".into()]);
/// assert_eq!(hidden.cover("535 s3cr3t-word is wrong"), "535 *** is wrong");
/// assert_eq!(hidden.cover("535 AHVzZXIAczNjcjN0LXdvcmQ="), "535 ***");
/// assert_eq!(hidden.cover("535 no"), "535 no");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Hidden {
    passwords: Vec<Secret>,
    redactor: Redactor,
}

impl Hidden {
    /// One of these.
    pub fn new<'a>(passwords: impl IntoIterator<Item = &'a Secret>) -> Self {
        let passwords = passwords.into_iter().filter(|p| !p.is_empty());
        let passwords: Vec<Secret> = passwords.cloned().collect();
        let redactor = Redactor::new(passwords.iter().map(Secret::expose));
        Self {
            passwords,
            redactor,
        }
    }

    /// Whether there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.passwords.is_empty()
    }

    /// The text with `***` where a password stands.
    pub fn cover<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut out = Cow::Borrowed(text);
        for password in &self.passwords {
            let password = password.expose();
            let words = out.split(|c: char| !is_of_word(c));
            let mut found: Vec<String> = words
                .filter(|w| shows(w, password))
                .map(str::to_owned)
                .collect();
            if password.len() >= SHORTEST && out.contains(password) {
                found.push(password.to_owned());
            }
            for word in found {
                out = Cow::Owned(replaced(&out, &word));
            }
        }
        match out {
            Cow::Borrowed(text) => self.redactor.redact(text),
            Cow::Owned(text) => Cow::Owned(self.redactor.redact(&text).into_owned()),
        }
    }
}

/// Of base64, and so of most passwords.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || "+/=_-".contains(c)
}

/// Whether the word is the password, or has it in base64.
fn shows(word: &str, password: &str) -> bool {
    word == password
        || ALPHABETS.iter().any(|alphabet| {
            let decoded = alphabet.decode(word).unwrap_or_default();
            decoded == password.as_bytes()
                || (password.len() >= SHORTEST
                    && decoded
                        .windows(password.len())
                        .any(|w| w == password.as_bytes()))
        })
}

/// A long one wherever it stands, a short one only as a word of its own.
fn replaced(text: &str, word: &str) -> String {
    if word.len() >= SHORTEST {
        return text.replace(word, MASK);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let is_alone = !before.ends_with(is_of_word) && !after.starts_with(is_of_word);
        out.push_str(before);
        out.push_str(if is_alone { MASK } else { word });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

    fn cover(password: &str, text: &str) -> String {
        Hidden::new([&Secret::from(password)])
            .cover(text)
            .into_owned()
    }

    #[test]
    fn a_password_is_found_in_each_form() {
        for password in [
            "hunter2!x",
            "a b c d",
            "ünïcödé",
            "pass",
            "p/+=s?w",
            "\"quo\\te\"",
        ] {
            let all = format!("\0user\0{password}");
            let framed = format!("you said {password}, and that is wrong");
            for said in [
                password.to_owned(),
                BASE64_STANDARD.encode(password),
                BASE64_STANDARD.encode(&all),
                BASE64_STANDARD.encode(&framed),
                BASE64_URL_SAFE_NO_PAD.encode(&framed),
                BASE64_STANDARD.encode(format!("x{framed}")),
            ] {
                let shown = cover(password, &format!("535 5.7.8 <{said}>: no"));
                assert_eq!(shown, "535 5.7.8 <***>: no", "{password}: {said}");
            }
        }
    }

    #[test]
    fn a_short_password_is_found_as_a_word() {
        assert_eq!(cover("no", "535 no, not now: no"), "535 ***, not now: ***");
        assert_eq!(cover("a", "a banana a"), "*** banana ***");
        let said = BASE64_STANDARD.encode("ab");
        assert_eq!(cover("ab", &format!("535 {said}")), "535 ***");
    }

    #[test]
    fn what_is_not_hidden_stays() {
        let text = "250-SIZE 10240000 AUTH PLAIN LOGIN queued as 4Xk2vB1GZ8z1L";
        for password in ["hunter2!x", "x", ""] {
            assert_eq!(cover(password, text), text);
        }
        assert!(Hidden::default().is_empty());
        let hidden = Hidden::new([&Secret::from("hunter2!x")]);
        assert!(!format!("{hidden:?}").contains("hunter2"));
    }
}
