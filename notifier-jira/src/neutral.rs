//! Data that must not be taken for markup.
//!
//! Templates render to one text in which the template's own markup and the failure's data
//! look alike. So the characters that markup is made of are replaced by private ones in the
//! data before a template sees it, and put back, escaped where that is needed, when the
//! text is turned into a document.

use std::{borrow::Cow, sync::Arc};

use notifier_core::{FailureRecord, Links, Report, Subject};

/// What markup is made of, and what stands for it in data.
const STAND_INS: [(char, char); 7] = [
    ('{', '\u{f8a0}'),
    ('}', '\u{f8a1}'),
    ('[', '\u{f8a2}'),
    (']', '\u{f8a3}'),
    ('|', '\u{f8a4}'),
    ('!', '\u{f8a5}'),
    ('\\', '\u{f8a6}'),
];

/// The character that a stand-in stands for.
pub(crate) fn original(c: char) -> Option<char> {
    STAND_INS.iter().find(|(_, s)| *s == c).map(|(o, _)| *o)
}

/// Whether a text has characters that markup is made of.
fn is_plain(text: &str) -> bool {
    !text.contains(|c| STAND_INS.iter().any(|(o, s)| *o == c || *s == c))
}

/// A text that no markup is found in.
pub(crate) fn neutral(text: &str) -> String {
    text.chars()
        .map(|c| {
            STAND_INS
                .iter()
                .find(|(o, _)| *o == c)
                .map_or(c, |(_, s)| *s)
        })
        .collect()
}

/// The text as it was.
pub(crate) fn restore(text: &str) -> String {
    text.chars().map(|c| original(c).unwrap_or(c)).collect()
}

/// Puts back what functions of a template have encoded meanwhile.
fn decode(text: String) -> String {
    let mut out = text;
    for (original, stand_in) in STAND_INS {
        let code = u32::from(stand_in);
        let mut utf8 = [0; 4];
        let encoded: String = stand_in
            .encode_utf8(&mut utf8)
            .bytes()
            .map(|b| format!("%{b:02X}"))
            .collect();
        if out.contains(&encoded) {
            out = out.replace(&encoded, &format!("%{:02X}", u32::from(original)));
        }
        for escape in [format!("\\u{code:04x}"), format!("\\u{code:04X}")] {
            if out.contains(&escape) {
                out = out.replace(&escape, &stand_in.to_string());
            }
        }
    }
    out
}

/// A report about a failure whose data cannot be taken for markup, and how its text is
/// put right.
pub(crate) struct Neutral {
    report: Report,
    is_changed: bool,
}

impl Neutral {
    /// Of this failure, which the report is about or has as an example.
    pub(crate) fn new(report: &Report, failure: &FailureRecord) -> Self {
        let is_its_own = matches!(report.subject(), Subject::Failure(_));
        if is_its_own && is_ordinary(failure, report.links()) {
            return Self {
                report: report.clone(),
                is_changed: false,
            };
        }
        let redactor = report.redactor();
        // Masked first: a secret with a replaced character in it would not be found.
        let clean = |text: &str| neutral(&redactor.redact(text));
        let mut f = failure.clone();
        for text in [
            &mut f.id,
            &mut f.name,
            &mut f.host,
            &mut f.framework,
            &mut f.image,
            &mut f.state,
            &mut f.source,
        ] {
            *text = clean(text);
        }
        for text in [&mut f.message, &mut f.reason].into_iter().flatten() {
            *text = clean(text);
        }
        for text in &mut f.owners {
            *text = clean(text);
        }
        f.labels = f
            .labels
            .iter()
            .map(|(k, v)| {
                let v = notifier_core::redact::label(k, v);
                (clean(k), clean(v))
            })
            .collect();
        let links = report.links();
        let mut safe = Links::new(link(&links.stdout), link(&links.stderr));
        safe.missing = clean(&links.missing);
        Self {
            report: as_failure(report, f).with_links(safe),
            is_changed: true,
        }
    }

    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    /// The text that a template made of the report, with stand-ins for data.
    pub(crate) fn text(&self, text: String) -> String {
        if self.is_changed { decode(text) } else { text }
    }
}

/// A report about this failure with everything else of another one.
pub(crate) fn as_failure(report: &Report, failure: FailureRecord) -> Report {
    let config = report.clone();
    Report::new(Subject::Failure(Arc::new(failure)))
        .with_links(report.links().clone())
        .with_config(move |key| config.config(key))
        .with_redactors(report.redactor().clone(), report.text_redactor().clone())
        .with_now(report.now())
        .with_zone(report.zone().clone())
}

fn is_ordinary(f: &FailureRecord, links: &Links) -> bool {
    let texts = [
        &f.id,
        &f.name,
        &f.host,
        &f.framework,
        &f.image,
        &f.state,
        &f.source,
        &links.missing,
    ];
    texts.into_iter().all(|t| is_plain(t))
        && [&f.message, &f.reason]
            .into_iter()
            .flatten()
            .all(|t| is_plain(t))
        && f.owners.iter().all(|t| is_plain(t))
        && f.labels.iter().all(|(k, v)| is_plain(k) && is_plain(v))
        && [&links.stdout, &links.stderr]
            .into_iter()
            .all(|u| link(u) == u.as_str())
}

/// An address that cannot end a link, nor run anything.
pub(crate) fn link(url: &str) -> Cow<'_, str> {
    let scheme = url.split(':').next().unwrap_or_default().trim();
    if ["javascript", "data", "vbscript"]
        .iter()
        .any(|s| scheme.eq_ignore_ascii_case(s))
    {
        return Cow::Borrowed("");
    }
    let is_unsafe =
        |c: char| c.is_whitespace() || c.is_control() || !is_plain(c.encode_utf8(&mut [0; 4]));
    if !url.contains(is_unsafe) {
        return Cow::Borrowed(url);
    }
    let mut out = String::with_capacity(url.len());
    for c in url.chars() {
        if is_unsafe(c) {
            for b in c.encode_utf8(&mut [0; 4]).bytes() {
                out.push_str(&format!("%{b:02X}"));
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use notifier_core::jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_failures_are_left_alone() {
        let f = FailureRecord::new("b/c:d", "it's \"a\"", "TASK_FAILED", Timestamp::UNIX_EPOCH);
        let report = Report::failure(f.clone()).with_links(Links::new("http://a/?b=c&d=/e", ""));
        assert!(!Neutral::new(&report, &f).is_changed);
    }

    #[test]
    fn a_hostile_one_is_masked_before_it_is_replaced() {
        let f = FailureRecord::new("x", "p{ss}word [a|b]", "s", Timestamp::UNIX_EPOCH);
        let redactor = notifier_core::redact::Redactor::new(["p{ss}word"]);
        let report = Report::failure(f.clone())
            .with_redactor(redactor)
            .with_links(Links::new("http://a/x y|z]", "javascript:x"));
        let n = Neutral::new(&report, &f);
        let inner = n.report().subject().failure().unwrap();
        assert_eq!(restore(&inner.name), "*** [a|b]");
        assert!(!inner.name.contains('['));
        assert_eq!(n.report().links().stdout, "http://a/x%20y%7Cz%5D");
        assert_eq!(n.report().links().stderr, "");
    }

    #[test]
    fn a_word_that_a_task_calls_a_secret_stays_in_the_text() {
        use notifier_core::redact::Redactor;
        let f = FailureRecord::new("x", "[a|b] stdout", "s", Timestamp::UNIX_EPOCH);
        let report = Report::failure(f.clone())
            .with_redactors(Redactor::new(["stdout"]), Redactor::new(["hunter22"]));
        let n = Neutral::new(&report, &f);
        assert_eq!(n.report().text_redactor().redact("[stdout|"), "[stdout|");
        assert_eq!(n.report().text_redactor().redact("hunter22"), "***");
        let inner = n.report().subject().failure().unwrap();
        assert_eq!(restore(&inner.name), "[a|b] ***");
    }

    #[test]
    fn what_functions_encode_is_put_back() {
        let n = neutral("{");
        let encoded: String = n.bytes().map(|b| format!("%{b:02X}")).collect();
        assert_eq!(decode(format!("a{encoded}b\\uf8a0")), format!("a%7Bb{n}"));
    }

    proptest! {
        #[test]
        fn there_and_back(text in any::<String>()) {
            let there = neutral(&text);
            let markup = ['{', '}', '[', ']', '|', '!', '\\'];
            prop_assert!(!there.contains(markup));
            if is_plain(&text) || !text.chars().any(|c| original(c).is_some()) {
                prop_assert_eq!(restore(&there), text);
            }
        }
    }
}
