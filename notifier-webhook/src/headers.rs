//! Headers of the user's own.

use notifier_core::{Error, Result, Secret};

/// Those that belong to the connection (RFC 9110 §7.6.1), to the message itself, or to us.
const REFUSED: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "idempotency-key",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// Reads `Name: value`, one on each line. Values are shown in no error: some are secrets.
pub(crate) fn read(text: &str) -> Result<Vec<(String, Secret)>> {
    let mut headers: Vec<(String, Secret)> = Vec::new();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    for (n, line) in lines.enumerate() {
        let nth = n + 1;
        let Some((name, value)) = line.split_once(':') else {
            return Err(Error::config(format!(
                "webhook.headers: header {nth} has no colon; write Name: value"
            )));
        };
        let (name, value) = (name.trim_end(), value.trim());
        if !is_name(name) {
            return Err(Error::config(format!(
                "webhook.headers: what stands before the colon of header {nth} is no name of a header"
            )));
        }
        let wrong = |why: &str| Error::config(format!("webhook.headers: {name} {why}"));
        let lower = name.to_ascii_lowercase();
        if lower == "content-type" {
            return Err(wrong("is set by webhook.content_type"));
        }
        if REFUSED.contains(&lower.as_str()) || lower.starts_with("ce-") {
            return Err(wrong("is set by the notifier itself"));
        }
        if !is_value(value) {
            return Err(wrong(
                "has a value with other characters than visible ASCII",
            ));
        }
        if headers
            .iter()
            .any(|(old, _)| old.eq_ignore_ascii_case(name))
        {
            return Err(wrong("is set twice"));
        }
        headers.push((name.to_owned(), Secret::from(value)));
    }
    Ok(headers)
}

/// A token as of RFC 9110 §5.6.2.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// What can be sent as a header's value.
pub(crate) fn is_value(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
}

/// Checks an option that names a header.
pub(crate) fn check_name(option: &str, name: &str) -> Result<()> {
    let lower = name.to_ascii_lowercase();
    match is_name(name) && (!REFUSED.contains(&lower.as_str()) || lower == "webhook-timestamp") {
        true => Ok(()),
        false => Err(Error::config(format!(
            "{option}: {name:?} cannot be the name of this header"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_values() {
        let headers = read("X-Api-Key: a: b \n\n Authorization:Basic eA==\nX-Empty:").unwrap();
        let plain: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose()))
            .collect();
        assert_eq!(
            plain,
            [
                ("X-Api-Key", "a: b"),
                ("Authorization", "Basic eA=="),
                ("X-Empty", "")
            ]
        );
    }

    #[test]
    fn what_cannot_be_sent_is_refused_without_its_value() {
        for (text, why) in [
            ("s3cret", "header 1 has no colon"),
            ("A: b\ns3cret key: x", "of header 2 is no name"),
            (": s3cret", "of header 1 is no name"),
            ("Host: s3cret", "Host is set by the notifier itself"),
            ("content-length: 3", "content-length is set by the notifier"),
            (
                "Transfer-Encoding: chunked",
                "is set by the notifier itself",
            ),
            ("Webhook-Id: s3cret", "is set by the notifier itself"),
            ("Idempotency-Key: s3cret", "is set by the notifier itself"),
            ("CE-Id: s3cret", "is set by the notifier itself"),
            ("Content-Type: a/b", "is set by webhook.content_type"),
            ("X-A: s3cret\u{e9}", "other characters than visible ASCII"),
            ("X-A: s3cret\u{1}a", "other characters than visible ASCII"),
            ("X-A: 1\nx-a: s3cret", "x-a is set twice"),
        ] {
            let e = read(text).unwrap_err().to_string();
            assert!(e.starts_with("webhook.headers: "), "{e}");
            assert!(e.contains(why), "{text:?}: {e}");
            assert!(!e.contains("s3cret"), "{e}");
        }
    }

    #[test]
    fn names_of_headers_that_options_give() {
        for (name, is_good) in [
            ("X-Grafana-Alerting-Signature", true),
            ("webhook-timestamp", true),
            ("Host", false),
            ("webhook-id", false),
            ("a b", false),
        ] {
            assert_eq!(
                check_name("webhook.timestamp_header", name).is_ok(),
                is_good,
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_can_be_sent(text in any::<String>()) {
            for (name, value) in read(&text).unwrap_or_default() {
                prop_assert!(is_name(&name) && is_value(value.expose()));
            }
        }
    }
}
