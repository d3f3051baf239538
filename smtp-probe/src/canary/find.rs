//! Which of the canaries a mail is, or is about.

use notifier_core::jiff::Timestamp;

use super::{
    bounce::{self, Bounce},
    head::{Head, MOST_OCTETS},
    hop::{self, Hop},
    mark::{FIELD, Mark},
};

/// A mail at the end of the way.
#[derive(Debug)]
pub(crate) struct Mail {
    /// Its start, at most 64 KiB.
    pub(crate) start: Vec<u8>,
    /// When it came there, if that is known.
    pub(crate) at: Option<Timestamp>,
    /// Where it lies, so that it can be removed.
    pub(crate) place: Place,
}

/// Where a mail lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file of its own.
    File(std::path::PathBuf),
    /// A number in a mailbox of IMAP.
    Uid(u32),
    /// Nowhere that it could be removed from.
    Gone,
}

/// What a mail says of a canary.
#[derive(Debug)]
pub(crate) struct Found {
    /// The canary's id.
    pub(crate) id: String,
    pub(crate) what: What,
    pub(crate) at: Option<Timestamp>,
    pub(crate) place: Place,
}

#[derive(Debug)]
pub(crate) enum What {
    /// It is the canary.
    Arrived {
        hops: Vec<Hop>,
        /// Whether its mark was changed or taken out on the way.
        is_altered: bool,
    },
    /// It says that the canary could not be delivered.
    Bounced(Bounce),
}

/// Which of these canaries a mail is about; nothing if about none. A mark counts only as a whole:
/// who has seen an id cannot make another mail of that name.
pub(crate) fn find(mail: Mail, marks: &[Mark]) -> Option<Found> {
    let what = |mark: &Mark, head: &Head<'_>| {
        let has_mark = head
            .all("x-canary")
            .any(|v| Mark::read(v).as_ref() == Some(mark));
        let named = format!("<{}@", mark.message());
        let has_name = head
            .get("message-id")
            .is_some_and(|v| v.starts_with(&named));
        if has_mark || has_name {
            return Some(What::Arrived {
                hops: hop::way(head),
                is_altered: !(has_mark && has_name),
            });
        }
        let text = String::from_utf8_lossy(head.body);
        let is_about =
            text.contains(&named) || text.contains(&format!("{FIELD}: {}", mark.value()));
        let bounce = is_about.then(|| bounce::read(head)).flatten()?;
        Some(What::Bounced(bounce))
    };
    debug_assert!(mail.start.len() <= MOST_OCTETS);
    let head = Head::read(&mail.start);
    let (id, what) = marks
        .iter()
        .find_map(|mark| Some((mark.id.clone(), what(mark, &head)?)))?;
    Some(Found {
        id,
        what,
        at: mail.at,
        place: mail.place,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(text: &str) -> Mail {
        Mail {
            start: text.as_bytes().to_vec(),
            at: None,
            place: Place::Gone,
        }
    }

    fn marks() -> [Mark; 2] {
        let at = "2026-11-22T10:00:00Z".parse().unwrap();
        [Mark::new(at).unwrap(), Mark::new(at).unwrap()]
    }

    #[test]
    fn each_canary_is_told_from_the_other() {
        let marks = marks();
        for mark in &marks {
            let text = format!(
                "Message-Id: <{}@x>\r\nx-canary: {}\r\n\r\nhello",
                mark.message(),
                mark.value()
            );
            let found = find(mail(&text), &marks).unwrap();
            assert_eq!(found.id, mark.id);
            assert!(matches!(
                found.what,
                What::Arrived {
                    is_altered: false,
                    ..
                }
            ));
        }
    }

    #[test]
    fn a_forged_mark_does_not_count_and_a_changed_one_is_told() {
        let marks = marks();
        let forged = marks[0].value().replace(
            marks[0].value().rsplit(' ').next().unwrap(),
            &"0".repeat(32),
        );
        for text in [
            format!("X-Canary: {forged}\n\n"),
            format!("X-Canary: {}\n\n", marks[0].id),
            format!("Subject: x\n\nX-Canary: {}\n", marks[0].value()),
            format!("X-Canary: \0{}\n\n", marks[0].value()),
            "X-Canary: ".to_owned(),
            String::new(),
        ] {
            assert!(find(mail(&text), &marks).is_none(), "{text:?}");
        }
        for text in [
            format!(
                "X-Canary: {forged}\nMessage-ID: <{}@x>\n\n",
                marks[0].message()
            ),
            format!("Message-ID: <{}@x>\n\n", marks[0].message()),
            format!(
                "X-Canary: x\nX-Canary: {}\nMessage-ID: <new@x>\n\n",
                marks[0].value()
            ),
        ] {
            let found = find(mail(&text), &marks).unwrap();
            assert!(
                matches!(
                    found.what,
                    What::Arrived {
                        is_altered: true,
                        ..
                    }
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn a_report_of_it_is_a_bounce() {
        let marks = marks();
        let report = |about: &str| {
            format!(
                "Content-Type: multipart/report; boundary=x\n\nAction: failed\nStatus: 5.7.1\n\n{about}\n"
            )
        };
        let of = |about: &str| find(mail(&report(about)), &marks);
        let found = of(&format!("X-Canary: {}", marks[1].value())).unwrap();
        assert_eq!(found.id, marks[1].id);
        assert!(matches!(found.what, What::Bounced(_)));
        assert!(of(&format!("Message-ID: <{}@x>", marks[0].message())).is_some());
        assert!(of("X-Canary: none of ours").is_none());
    }
}
