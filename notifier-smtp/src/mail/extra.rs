//! Headers that a person adds.

use notifier_core::{BackendSettings, Error, Result, Settings};

use super::headers::Headers;

/// Those that are ours, and those that only a relay writes.
const TAKEN: &[&str] = &[
    "auto-submitted",
    "bcc",
    "cc",
    "date",
    "delivered-to",
    "dkim-signature",
    "from",
    "in-reply-to",
    "message-id",
    "mime-version",
    "received",
    "references",
    "reply-to",
    "return-path",
    "sender",
    "subject",
    "to",
    "x-auto-response-suppress",
];

/// The longest name.
const MOST_NAME: usize = 60;

/// Reads `NAME: VALUE`, one on each line.
fn read(text: &str) -> Result<Vec<(&str, &str)>> {
    let mut list = Vec::new();
    for (n, line) in text.split('\n').enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |why: &str| Error::config(format!("smtp.headers: number {}: {why}", n + 1));
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| wrong("it is not of the form NAME: VALUE"))?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(wrong(
                "its name has to be of printable ASCII without blanks, from the first column on",
            ));
        }
        let lower = name.to_ascii_lowercase();
        if name.len() > MOST_NAME {
            return Err(wrong("its name is longer than 60 characters"));
        }
        if TAKEN.contains(&lower.as_str())
            || lower.starts_with("content-")
            || lower.starts_with("resent-")
        {
            return Err(wrong(&format!("{name} is not to be set here")));
        }
        let value = value.trim();
        if value.is_empty() {
            return Err(wrong(&format!("{name} has no value")));
        }
        if value.chars().any(char::is_control) {
            return Err(wrong(&format!(
                "the value of {name} holds a line break or another control character"
            )));
        }
        list.push((name, value));
    }
    Ok(list)
}

/// Checks those of all instances.
///
/// # Errors
/// Config, with the option's name and the header's; never its value.
pub(crate) fn check(settings: &BackendSettings) -> Result<()> {
    for text in settings.all_values("headers") {
        read(&text)?;
    }
    Ok(())
}

/// Adds those of these settings.
///
/// # Errors
/// As [`check`].
pub(crate) fn add(settings: &Settings, headers: &mut Headers) -> Result<()> {
    for (name, value) in read(settings.text("headers"))? {
        headers.written(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::headers::MOST_WORD;

    #[test]
    fn names_and_values_are_read() {
        let read = read("X-Team: core: a\nPrecedence:bulk\n").unwrap();
        assert_eq!(read, [("X-Team", "core: a"), ("Precedence", "bulk")]);
    }

    #[test]
    fn what_would_harm_is_refused_without_its_value() {
        for text in [
            "X-A",
            ": s3cret",
            " X-A: s3cret",
            "X A: s3cret",
            "X-Ä: s3cret",
            "bCc: s3cret@x",
            "Received: s3cret",
            "Content-Type: s3cret",
            "Resent-To: s3cret",
            "X-A: s3cret\rBcc: s3cret",
            "X-A: s3cret\0",
            "X-A:",
        ] {
            let e = read(text).unwrap_err().to_string();
            assert!(e.starts_with("smtp.headers: number 1: "), "{e}");
            assert!(!e.contains("s3cret"), "{e}");
        }
        let long = format!("X-{}: a", "a".repeat(60));
        assert!(read(&long).is_err());
    }

    #[test]
    fn links_stay_whole() {
        let link = format!("<https://x.example/{}>", "a".repeat(MOST_WORD / 2));
        let mut headers = Headers::default();
        headers.written("List-Archive", &link);
        assert_eq!(headers.finish(), format!("List-Archive: {link}\r\n"));
    }
}
