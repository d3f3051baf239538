//! A report as JSON, for programs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    DeliveryId, Digest, Error, ErrorKind, FailureKey, FailureRecord, LogStream, Notice, Report,
    Result, Subject,
    redact::{self, Redactor},
};

/// The version of [`Document`]s that this crate writes and reads.
const VERSION: u32 = 1;

/// A report as JSON: what notifiers send to programs, and to each other.
///
/// ```json
/// {
///   "notifier": 1,
///   "id": "2b9…",
///   "kind": "failure",
///   "text": "Task web (web.1) died with status TASK_FAILED",
///   "failure": {"id": "web.1", "name": "web", "state": "TASK_FAILED", "finished": "…", "…": "…"},
///   "stdout_url": "https://…",
///   "stderr_url": "https://…",
///   "logs_missing": "…"
/// }
/// ```
///
/// `notifier` is the version of this form. `id` is the delivery's: the same on every attempt,
/// so who gets a document twice can tell. `kind` is `failure`, `digest`, `notice` or
/// `recovery`, and the member of that name (for a recovery: `notice`) has the whole, in the
/// forms of [`FailureRecord`], [`Digest`] and [`Notice`]. `text` is the message for people. Empty
/// members are left out.
///
/// Labels that [are secret](redact::is_secret_label) are left out, known secrets in
/// everything else are masked, and a source's own notes stay with the source.
///
/// ```
/// use notifier_core::{DeliveryId, Document, FailureRecord, Links, Report, jiff::Timestamp};
///
/// let failure = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH)
///     .with_label("team", "shop")
///     .with_label("db_password", "hunter2");
/// let report = Report::failure(failure).with_links(Links::new("https://logs/1", ""));
/// let sent = Document::of(&report, &DeliveryId::new("2b9"), "web died").to_json();
/// assert!(!sent.contains("hunter2"));
///
/// let got = Document::parse(&sent)?.into_failure();
/// assert_eq!((got.name.as_str(), got.labels["team"].as_str()), ("web", "shop"));
/// assert_eq!(got.log_streams[0].url, "https://logs/1");
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Document {
    /// The version of the form, 1.
    notifier: u32,
    /// The delivery's id.
    pub id: DeliveryId,
    /// What is told.
    #[serde(flatten)]
    pub subject: DocumentSubject,
    /// The message for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Where the log `stdout` can be read, empty if nowhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdout_url: String,
    /// Where the log `stderr` can be read, empty if nowhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr_url: String,
    /// Which logs are missing and why, for people; empty if none are.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub logs_missing: String,
}

/// What a [`Document`] tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum DocumentSubject {
    /// One failure.
    #[non_exhaustive]
    Failure {
        /// What died.
        failure: Box<FailureRecord>,
    },
    /// Several failures told together.
    #[non_exhaustive]
    Digest {
        /// What they have in common, and an example.
        digest: Box<Digest>,
    },
    /// A destination does not work, or an outbox fills up.
    #[non_exhaustive]
    Notice {
        /// What is wrong.
        notice: Notice,
    },
    /// What a notice told of works again.
    #[non_exhaustive]
    Recovery {
        /// What was wrong.
        notice: Notice,
    },
}

impl Document {
    /// A report with the text that people are to read.
    pub fn of(report: &Report, id: &DeliveryId, text: impl Into<String>) -> Self {
        let mask = |text: &str| report.redactor().redact(text).into_owned();
        let links = report.links();
        Self {
            notifier: VERSION,
            id: id.clone(),
            subject: match report.subject() {
                Subject::Failure(f) => DocumentSubject::Failure {
                    failure: Box::new(open(f, report.redactor())),
                },
                Subject::Digest(d) => DocumentSubject::Digest {
                    digest: Box::new(Digest {
                        fingerprint: mask(&d.fingerprint),
                        example: open(&d.example, report.redactor()),
                        ..(**d).clone()
                    }),
                },
                Subject::Notice(n) => DocumentSubject::Notice {
                    notice: masked_notice(n, report.redactor()),
                },
                Subject::Recovery(n) => DocumentSubject::Recovery {
                    notice: masked_notice(n, report.redactor()),
                },
            },
            text: text.into(),
            stdout_url: links.stdout.clone(),
            stderr_url: links.stderr.clone(),
            logs_missing: mask(&links.missing),
        }
    }

    /// As JSON, in one line.
    pub fn to_json(&self) -> String {
        // Strings, numbers and maps with string keys: nothing that JSON cannot hold.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads one. Unknown members are ignored.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`] with what is wrong: no JSON, none of ours, a version
    /// that is newer than this crate. [`Document::looks_like`] tells one of ours that is broken
    /// from what never was one.
    pub fn parse(json: &str) -> Result<Self> {
        let wrong = |what: String| Error::new(ErrorKind::InvalidResponse, what);
        #[derive(Deserialize)]
        struct Head {
            notifier: u32,
        }
        let head: Head = serde_json::from_str(json)
            .map_err(|e| wrong("this is no document of a notifier".to_owned()).with_source(e))?;
        if head.notifier != VERSION {
            return Err(wrong(format!(
                "a document of version {}, and this program reads version {VERSION}: one of both is too old",
                head.notifier
            )));
        }
        serde_json::from_str(json)
            .map_err(|e| wrong("a document of a notifier cannot be read".to_owned()).with_source(e))
    }

    /// Whether a text is a JSON object with the member `notifier`: one of ours, of whatever version.
    pub fn looks_like(text: &str) -> bool {
        #[derive(Deserialize)]
        struct Head {
            #[serde(rename = "notifier")]
            _notifier: serde::de::IgnoredAny,
        }
        text.trim_start().starts_with('{') && serde_json::from_str::<Head>(text).is_ok()
    }

    /// What it tells, as a failure that can be told on. Its key comes from the document's id, so
    /// one that arrives twice is told once, and one that a person sent again is told again.
    ///
    /// A digest becomes its example with the whole text as message, and a notice a failure in the state `NOTICE`
    /// (a recovery: `RECOVERY`); of those, `.failure.Details.text` has the text as it was sent.
    pub fn into_failure(self) -> FailureRecord {
        let key = FailureKey::of_parts(["document", self.id.as_str()]);
        let told = |mut f: FailureRecord, text: &str| {
            f.message = Some(text.to_owned());
            f.with_detail("text", text)
        };
        let mut failure = match self.subject {
            DocumentSubject::Failure { failure } => *failure,
            DocumentSubject::Digest { digest } => told(digest.example, &self.text),
            DocumentSubject::Notice { notice } => told(of_notice(notice, "NOTICE"), &self.text),
            DocumentSubject::Recovery { notice } => told(of_notice(notice, "RECOVERY"), &self.text),
        };
        failure.key = key;
        failure.locator = None;
        failure.log_streams = [("stdout", self.stdout_url), ("stderr", self.stderr_url)]
            .into_iter()
            .filter(|(_, url)| !url.is_empty())
            .map(|(name, url)| LogStream::new(name, url))
            .collect();
        failure
    }
}

fn of_notice(notice: Notice, state: &str) -> FailureRecord {
    FailureRecord::new(
        notice.destination.clone(),
        notice.destination,
        state,
        notice.since,
    )
}

fn masked_notice(notice: &Arc<Notice>, redactor: &Redactor) -> Notice {
    Notice {
        text: redactor.redact(&notice.text).into_owned(),
        ..(**notice).clone()
    }
}

/// A failure as others may see it.
fn open(failure: &FailureRecord, redactor: &Redactor) -> FailureRecord {
    let mask = |text: &str| redactor.redact(text).into_owned();
    let some = |text: &Option<String>| text.as_deref().map(mask);
    let mut out = FailureRecord::new(
        mask(&failure.id),
        mask(&failure.name),
        mask(&failure.state),
        failure.finished,
    );
    out.key = failure.key.clone();
    out.host = mask(&failure.host);
    out.framework = mask(&failure.framework);
    out.image = mask(&failure.image);
    out.started = failure.started;
    out.message = some(&failure.message);
    out.reason = some(&failure.reason);
    out.exit_code = failure.exit_code;
    out.healthy = failure.healthy;
    out.attempt = failure.attempt;
    out.owners = failure.owners.iter().map(|o| mask(o)).collect();
    out.source = failure.source.clone();
    let pairs = |from: &std::collections::BTreeMap<String, String>| {
        from.iter()
            .filter(|(k, v)| !redact::is_secret_label(k, v))
            .map(|(k, v)| (k.clone(), mask(v)))
            .collect()
    };
    out.labels = pairs(&failure.labels);
    out.details = pairs(&failure.details);
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::Links;

    fn failure() -> FailureRecord {
        let mut f = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH)
            .with_label("team", "shop")
            .with_label("api_token", "s3cr3t")
            .with_detail("unit", "web.service")
            .with_detail("text", "Bearer AKEYnine9");
        f.message = Some("it said AKEYnine9".to_owned());
        f.locator = Some(serde_json::json!({"agent": "http://10.0.0.1:5051"}));
        f.exit_code = Some(3);
        f
    }

    fn sent(report: &Report) -> String {
        Document::of(report, &DeliveryId::new("d1"), "text").to_json()
    }

    #[test]
    fn a_failure_comes_back_without_what_is_not_for_others() {
        let report = Report::failure(failure())
            .with_links(Links::new("https://a/out", ""))
            .with_redactor(Redactor::new(["AKEYnine9"]));
        let json = sent(&report);
        for not in ["s3cr3t", "api_token", "AKEYnine9", "5051", "stderr_url"] {
            assert!(!json.contains(not), "{not} in {json}");
        }
        let got = Document::parse(&json).unwrap();
        assert_eq!(got.text, "text");
        let got = got.into_failure();
        assert_eq!(got.exit_code, Some(3));
        assert_eq!(got.labels, BTreeMap::from([("team".into(), "shop".into())]));
        assert_eq!(got.details["unit"], "web.service");
        assert_eq!(got.log_streams, [LogStream::new("stdout", "https://a/out")]);
        assert_ne!(got.key, failure().key);
    }

    #[test]
    fn the_key_is_of_the_delivery() {
        let of = |id: &str| {
            Document::of(&Report::failure(failure()), &DeliveryId::new(id), "")
                .into_failure()
                .key
        };
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
    }

    #[test]
    fn every_kind_comes_back() {
        let notice = Arc::new(Notice::new("slack", "403", Timestamp::UNIX_EPOCH));
        for (subject, state) in [
            (
                Subject::Digest(Arc::new(Digest::new("d", "web", 7, failure()))),
                "TASK_FAILED",
            ),
            (Subject::Notice(Arc::clone(&notice)), "NOTICE"),
            (Subject::Recovery(notice), "RECOVERY"),
        ] {
            let kind = subject.kind();
            let json = sent(&Report::new(subject));
            let as_json: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(as_json["kind"], kind);
            assert_eq!(as_json["notifier"], 1);
            let got = Document::parse(&json).unwrap().into_failure();
            assert_eq!(
                (got.state.as_str(), got.message.as_deref()),
                (state, Some("text"))
            );
            assert_eq!(got.details["text"], "text");
        }
    }

    #[test]
    fn what_is_none_is_told_from_what_is_broken() {
        for (text, is_ours) in [
            ("disk full", false),
            ("[1]", false),
            ("{\"a\": 1}", false),
            ("{\"notifier\": 1}", true),
            (" {\"notifier\": 2, \"kind\": \"failure\"}", true),
            (
                "{\"notifier\": 1, \"kind\": \"other\", \"id\": \"1\"}",
                true,
            ),
        ] {
            assert!(Document::parse(text).is_err(), "{text}");
            assert_eq!(Document::looks_like(text), is_ours, "{text}");
        }
        let newer = Document::parse("{\"notifier\": 2}")
            .unwrap_err()
            .to_string();
        assert!(newer.contains("version 2"), "{newer}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = Document::parse(&text);
            let _ = Document::looks_like(&text);
        }

        #[test]
        fn all_text_survives(id in ".*", name in ".*", text in ".*", message in ".*") {
            let mut f = FailureRecord::new(id, name, "X", Timestamp::UNIX_EPOCH);
            f.message = Some(message);
            let got = Document::of(&Report::failure(f.clone()), &DeliveryId::new("1"), text.clone());
            let got = Document::parse(&got.to_json()).unwrap();
            prop_assert_eq!(&got.text, &text);
            let got = got.into_failure();
            prop_assert_eq!((got.id, got.name, got.message), (f.id, f.name, f.message));
        }
    }
}
