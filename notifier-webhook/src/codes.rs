//! Sets of status codes.

use std::ops::RangeInclusive;

use notifier_core::{Error, Result};

/// Status codes as an option names them: `200`, `502-504`, `5xx`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Codes(Vec<RangeInclusive<u16>>);

impl Codes {
    /// Reads an option's list. `option` is what errors call it.
    pub(crate) fn read<'a>(option: &str, list: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let wrong = |entry: &str| {
            Error::config(format!(
                "{option}: {entry:?} is no status code (such as 503, 502-504 or 5xx)"
            ))
        };
        let code = |text: &str| {
            let code: Option<u16> = text.parse().ok();
            code.filter(|c| (100..=999).contains(c) && text.len() == 3)
        };
        list.into_iter()
            .map(|entry| {
                let range = match entry.split_once('-') {
                    Some((from, to)) => code(from.trim()).zip(code(to.trim())),
                    None => match entry.to_ascii_lowercase().strip_suffix("xx") {
                        Some(class) => code(&format!("{class}00")).map(|first| (first, first + 99)),
                        None => code(entry).map(|c| (c, c)),
                    },
                };
                range
                    .filter(|(from, to)| from <= to)
                    .map(|(from, to)| from..=to)
                    .ok_or_else(|| wrong(entry))
            })
            .collect::<Result<_>>()
            .map(Self)
    }

    pub(crate) fn has(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

#[cfg(test)]
mod tests {
    use notifier_core::BackendSettings;
    use proptest::prelude::*;

    use super::*;
    use crate::OPTIONS;

    fn read(text: &str) -> Result<Codes> {
        Codes::read("webhook.retry", text.split(','))
    }

    #[test]
    fn codes_ranges_and_classes() {
        let codes = read("408,502-504,2XX").unwrap();
        for (status, is_in) in [
            (408, true),
            (409, false),
            (501, false),
            (502, true),
            (504, true),
            (505, false),
            (199, false),
            (200, true),
            (299, true),
            (300, false),
        ] {
            assert_eq!(codes.has(status), is_in, "{status}");
        }
        for wrong in [
            "", "2", "xx", "20xx", "99", "1000", "504-502", "5xx-6xx", "+20", "a",
        ] {
            let e = read(wrong).unwrap_err().to_string();
            assert!(e.starts_with("webhook.retry: "), "{wrong}: {e}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_documents() {
        let settings = BackendSettings::new(OPTIONS).instance("default");
        let codes = |key| Codes::read(key, settings.list(key)).unwrap();
        let (success, retry) = (codes("success"), codes("retry"));
        for status in 100..=599 {
            assert_eq!(
                success.has(status),
                (200..300).contains(&status),
                "{status}"
            );
        }
        for status in [408, 425, 429, 500, 502, 503, 504, 507, 522] {
            assert!(retry.has(status), "{status}");
        }
        for status in [200, 301, 400, 401, 404, 410, 413, 422, 501, 505] {
            assert!(!retry.has(status), "{status}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,12}") {
            let _ = read(&text);
        }

        #[test]
        fn a_range_has_just_what_lies_in_it(a in 100u16..1000, b in 100u16..1000, status in 0u16..1100) {
            let (from, to) = (a.min(b), a.max(b));
            let codes = read(&format!("{from}-{to}")).unwrap();
            prop_assert_eq!(codes.has(status), from <= status && status <= to);
        }
    }
}
