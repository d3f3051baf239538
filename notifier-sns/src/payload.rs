//! The message: text, document or both, within SNS's size.

use notifier_core::{Document, DocumentSubject, FailureRecord};

use crate::{
    options::Body,
    text::{self, Cost, cut, head, taken, taken_json},
};

/// The most bytes of a message with its attributes and its subject
/// (docs.aws.amazon.com/sns/latest/api/API_Publish.html, read 2026).
pub const MAX_SIZE: usize = 262_144;

/// The most bytes of a text message, which is as many characters or fewer.
pub const MAX_SMS: usize = 1_600;

/// How much of the text is to stay where something must go.
const LEAST_TEXT: usize = 16 * 1024;

/// How much of each field stays where all else did not help, the longest form first.
const FIELDS: [usize; 2] = [4096, 256];

/// A message ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    /// What is sent.
    pub(crate) message: String,
    /// Whether it is an object with a member for each protocol.
    pub(crate) is_structured: bool,
    /// What is not in it for its size, for people.
    pub(crate) left_out: Vec<String>,
}

/// What a message is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) body: Body,
    /// The text for people.
    pub(crate) text: String,
    /// The text for telephones, if it is another.
    pub(crate) sms: Option<String>,
    /// The report, with an empty text.
    pub(crate) document: Document,
}

impl Parts {
    /// The message in at most `room` bytes, which are at least a few thousand.
    ///
    /// Left out is, in this order and as far as needed: the detail `journal`, all labels and details, all but
    /// the beginning of the document's long fields, the end of the text.
    pub(crate) fn fit(self, room: usize) -> Payload {
        let text = taken(&self.text).into_owned();
        let sms = taken(self.sms.as_deref().unwrap_or(&text)).into_owned();
        let writer = Writer {
            body: self.body,
            sms: cut(&sms, MAX_SMS, text::plain).0.into_owned(),
        };
        if self.body == Body::Text {
            let (short, missing) = cut(&text, room, text::plain);
            return Payload {
                message: short.into_owned(),
                is_structured: false,
                left_out: bytes_of_text(missing),
            };
        }
        let cost = writer.cost();
        let wanted = text::size(&text, cost);
        let least = wanted.min(LEAST_TEXT);
        let mut document = self.document;
        let mut left_out = Vec::new();
        // Whole, if it goes in whole without one part or the other; then what leaves room for a text.
        let mut chosen = None;
        for step in Step::ALL {
            let is_another = step.apply(&mut document, &mut left_out);
            // What is left after the journal may go, though there was none.
            if !is_another && step != Step::Journal {
                continue;
            }
            let Some(frame) = writer.frame(&document, room) else {
                continue;
            };
            if frame + wanted <= room {
                chosen = None;
                break;
            }
            if frame + least <= room && step != Step::Nothing && chosen.is_none() {
                chosen = Some((document.clone(), left_out.clone()));
            }
        }
        if let Some(best) = chosen {
            (document, left_out) = best;
        }
        let frame = writer.around(&document);
        let (short, missing) = cut(&text, room.saturating_sub(frame), cost);
        left_out.extend(bytes_of_text(missing));
        Payload {
            message: writer.write(&document, &short),
            is_structured: self.body == Body::Both,
            left_out,
        }
    }
}

fn bytes_of_text(missing: usize) -> Vec<String> {
    match missing {
        0 => Vec::new(),
        n => vec![format!("{n} bytes of the text")],
    }
}

/// What is taken out of a document, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Journal,
    Details,
    Fields(usize),
}

impl Step {
    const ALL: [Self; 5] = [
        Self::Nothing,
        Self::Journal,
        Self::Details,
        Self::Fields(FIELDS[0]),
        Self::Fields(FIELDS[1]),
    ];

    /// Takes it out; whether that changed anything.
    fn apply(self, document: &mut Document, left_out: &mut Vec<String>) -> bool {
        let failure = match &mut document.subject {
            DocumentSubject::Failure { failure, .. } => Some(&mut **failure),
            DocumentSubject::Digest { digest, .. } => Some(&mut digest.example),
            _ => None,
        };
        match (self, failure) {
            (Self::Nothing, _) => true,
            (Self::Journal, Some(f)) => {
                let was_there = f.details.remove("journal").is_some();
                if was_there {
                    left_out.push("the detail journal".to_owned());
                }
                was_there
            }
            (Self::Details, Some(f)) => {
                let was_there = !(f.details.is_empty() && f.labels.is_empty());
                if was_there {
                    f.details.clear();
                    f.labels.clear();
                    left_out.clear();
                    left_out.push("labels and details".to_owned());
                }
                was_there
            }
            (Self::Fields(most), _) => {
                shorten(document, most);
                let what = "the ends of long fields";
                if left_out.last().is_none_or(|last| last != what) {
                    left_out.push(what.to_owned());
                }
                true
            }
            (_, None) => false,
        }
    }
}

/// Cuts every text of a document that is longer.
fn shorten(document: &mut Document, most: usize) {
    let short = |text: &mut String| text.truncate(head(text, most).len());
    let failure = |f: &mut FailureRecord| {
        for text in [
            &mut f.id,
            &mut f.name,
            &mut f.state,
            &mut f.host,
            &mut f.framework,
            &mut f.image,
            &mut f.source,
        ] {
            short(text);
        }
        for text in [&mut f.message, &mut f.reason].into_iter().flatten() {
            short(text);
        }
        f.owners.truncate(16);
        f.owners.iter_mut().for_each(short);
    };
    match &mut document.subject {
        DocumentSubject::Failure { failure: f, .. } => failure(f),
        DocumentSubject::Digest { digest, .. } => {
            failure(&mut digest.example);
            short(&mut digest.fingerprint);
            digest.hosts.iter_mut().for_each(|(host, _)| short(host));
        }
        DocumentSubject::Notice { notice, .. } | DocumentSubject::Recovery { notice, .. } => {
            short(&mut notice.destination);
            short(&mut notice.text);
        }
        _ => {}
    }
    short(&mut document.logs_missing);
    // Half an address leads nowhere.
    for url in [&mut document.stdout_url, &mut document.stderr_url] {
        if url.len() > most {
            url.clear();
        }
    }
}

/// Less than what a document takes, and sooner known.
fn least_size(document: &Document) -> usize {
    let failure = |f: &FailureRecord| {
        let fields = [&f.id, &f.name, &f.state, &f.host, &f.framework, &f.image];
        let pairs = f.labels.iter().chain(&f.details);
        fields.iter().map(|text| text.len()).sum::<usize>()
            + pairs.map(|(k, v)| k.len() + v.len()).sum::<usize>()
            + f.owners.iter().map(String::len).sum::<usize>()
            + f.message.as_deref().map_or(0, str::len)
    };
    match &document.subject {
        DocumentSubject::Failure { failure: f, .. } => failure(f),
        DocumentSubject::Digest { digest, .. } => failure(&digest.example),
        _ => 0,
    }
}

/// Writes a document and a text.
struct Writer {
    body: Body,
    sms: String,
}

impl Writer {
    fn write(&self, document: &Document, text: &str) -> String {
        let mut document = document.clone();
        text.clone_into(&mut document.text);
        let json = taken_json(document.to_json());
        match self.body {
            Body::Both => serde_json::json!({
                "default": json,
                "email": text,
                "sms": self.sms,
            })
            .to_string(),
            _ => json,
        }
    }

    /// What a message takes without its text. An empty one would be left out, with its name.
    fn around(&self, document: &Document) -> usize {
        self.write(document, "x").len() - self.cost()('x')
    }

    /// The same; `None` if that is more than `room`.
    fn frame(&self, document: &Document, room: usize) -> Option<usize> {
        if least_size(document) > room {
            return None;
        }
        Some(self.around(document)).filter(|frame| *frame <= room)
    }

    /// What a character of the text takes.
    fn cost(&self) -> Cost {
        match self.body {
            Body::Text => text::plain,
            Body::Document => text::json,
            Body::Both => |c| text::json_in_json(c) + text::json(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use notifier_core::{DeliveryId, Digest, Notice, Report, Subject, jiff::Timestamp};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn failure() -> FailureRecord {
        FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH)
    }

    fn parts(body: Body, report: &Report, text: &str) -> Parts {
        Parts {
            body,
            text: text.to_owned(),
            sms: None,
            document: Document::of(report, &DeliveryId::new("d1"), ""),
        }
    }

    fn of(body: Body, f: FailureRecord, text: &str) -> Payload {
        parts(body, &Report::failure(f), text).fit(MAX_SIZE)
    }

    #[test]
    fn each_body_has_what_it_says() {
        let told = of(Body::Text, failure(), "web\0 died");
        assert_eq!(
            told,
            Payload {
                message: "web died".to_owned(),
                is_structured: false,
                left_out: Vec::new()
            }
        );
        let told = of(Body::Document, failure(), "web died");
        assert!(!told.is_structured);
        assert_eq!(Document::parse(&told.message).unwrap().text, "web died");
        let told = of(Body::Both, failure(), "web \"died\"");
        assert!(told.is_structured && told.left_out.is_empty());
        let each: Value = serde_json::from_str(&told.message).unwrap();
        assert_eq!(each["email"], "web \"died\"");
        assert_eq!(each["sms"], "web \"died\"");
        let document = Document::parse(each["default"].as_str().unwrap()).unwrap();
        assert_eq!(document.into_failure().name, "web");
    }

    #[test]
    fn telephones_have_their_own_limit_and_text() {
        let told = of(Body::Both, failure(), &"é".repeat(5000));
        let each: Value = serde_json::from_str(&told.message).unwrap();
        let sms = each["sms"].as_str().unwrap();
        assert!(sms.len() <= MAX_SMS && sms.ends_with("bytes more"), "{sms}");
        assert_eq!(each["email"].as_str().unwrap().len(), 10_000);
        assert!(told.left_out.is_empty(), "{:?}", told.left_out);
        let report = Report::failure(failure());
        let told = Parts {
            sms: Some("short".to_owned()),
            ..parts(Body::Both, &report, "long")
        }
        .fit(MAX_SIZE);
        let each: Value = serde_json::from_str(&told.message).unwrap();
        assert_eq!(
            (&each["sms"], &each["email"]),
            (&"short".into(), &"long".into())
        );
    }

    #[test]
    fn what_is_too_large_loses_the_journal_then_labels_then_the_end() {
        let big = "x".repeat(300_000);
        let document = |told: &Payload| Document::parse(&told.message).unwrap().into_failure();

        let f = failure()
            .with_detail("journal", &big)
            .with_detail("unit", "web.service")
            .with_label("team", "shop");
        let told = of(Body::Document, f, "web died");
        assert_eq!(told.left_out, ["the detail journal"]);
        let got = document(&told);
        assert_eq!(got.details["unit"], "web.service");
        assert_eq!(got.labels["team"], "shop");

        let f = failure()
            .with_detail("journal", "j")
            .with_label("big", &big);
        let told = of(Body::Document, f, "web died");
        assert_eq!(told.left_out, ["labels and details"]);
        assert!(document(&told).labels.is_empty());

        let mut f = failure().with_label("team", "shop");
        f.name.clone_from(&big);
        let told = of(Body::Document, f, "web died");
        assert_eq!(
            told.left_out,
            ["labels and details", "the ends of long fields"]
        );
        assert_eq!(document(&told).name, big[..4096]);

        // A text that is too large for any form costs the labels nothing.
        let f = failure()
            .with_detail("journal", "j")
            .with_label("team", "shop");
        let told = of(Body::Both, f, &big);
        assert_eq!(told.left_out[0], "the detail journal");
        assert!(
            told.left_out[1].ends_with("bytes of the text"),
            "{:?}",
            told.left_out
        );
        assert_eq!(told.left_out.len(), 2);
        let unused = MAX_SIZE - told.message.len();
        assert!(unused < 200, "{unused}");
    }

    fn subjects(text: &str) -> Vec<Subject> {
        let mut f = failure()
            .with_label(text, text)
            .with_detail("journal", text);
        for field in [
            &mut f.id,
            &mut f.name,
            &mut f.state,
            &mut f.host,
            &mut f.framework,
        ] {
            text.clone_into(field);
        }
        f.message = Some(text.to_owned());
        f.owners = vec![text.to_owned(); 40];
        let notice = std::sync::Arc::new(Notice::new(text, text, Timestamp::UNIX_EPOCH));
        let mut digest = Digest::new("1", text, 3, f.clone());
        digest.hosts = vec![(text.to_owned(), 1); Digest::MOST_HOSTS];
        vec![
            Subject::Failure(f.into()),
            Subject::Digest(digest.into()),
            Subject::Notice(std::sync::Arc::clone(&notice)),
            Subject::Recovery(notice),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10))]

        #[test]
        fn every_message_fits_and_can_be_read(
            pattern in "[a-z\"\\\\\\n\\x00-\\x1f\u{7f}é漢🦀\u{fffe}]{1,8}",
            times in 0_usize..60_000,
            room in 100_000_usize..MAX_SIZE,
        ) {
            let field = pattern.repeat(times / 8);
            let text = pattern.repeat(times);
            for subject in subjects(&field) {
                let report = Report::new(subject);
                for body in [Body::Text, Body::Document, Body::Both] {
                    let told = parts(body, &report, &text).fit(room);
                    prop_assert!(told.message.len() <= room, "{} > {room}", told.message.len());
                    let has_none_of = |c: [char; 3]| !told.message.contains(c);
                    prop_assert!(has_none_of(['\0', '\u{fffe}', '\u{7f}']), "a control");
                    let json = match body {
                        Body::Text => continue,
                        Body::Document => told.message,
                        Body::Both => {
                            let each: Value = serde_json::from_str(&told.message).unwrap();
                            prop_assert!(each["sms"].as_str().unwrap().len() <= MAX_SMS);
                            each["default"].as_str().unwrap().to_owned()
                        }
                    };
                    let document = Document::parse(&json).unwrap();
                    prop_assert_eq!(document.id.as_str(), "d1");
                }
            }
        }
    }
}
