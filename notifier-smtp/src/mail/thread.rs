//! What a mail is called, and what it belongs to.

use notifier_core::{DeliveryId, FailureKey, Subject};

/// The ids of a mail.
#[derive(Debug)]
pub(crate) struct Ids {
    /// Its `Message-ID`, the same on every attempt.
    pub(crate) message: String,
    /// What it is an answer to. An incident is a name at a source: no mail bears its id, but mail
    /// software shows all that refer to it as one conversation.
    pub(crate) incident: String,
    /// What boundaries are made of.
    pub(crate) seed: String,
}

impl Ids {
    /// The ids of a delivery, in the sender's domain.
    pub(crate) fn of(subject: &Subject, id: &DeliveryId, domain: &str) -> Self {
        let seed = seed(id);
        let incident = match subject {
            // The bad news and the good.
            Subject::Notice(n) | Subject::Recovery(n) => {
                FailureKey::of_parts(["incident", "notifier", &n.destination])
            }
            _ => match subject.failure() {
                Some(f) => FailureKey::of_parts(["incident", &f.source, &f.name]),
                None => subject.key(),
            },
        };
        Self {
            message: format!("<{seed}@{domain}>"),
            incident: format!("<incident.{incident}@{domain}>"),
            seed,
        }
    }
}

/// The id as a part of an address and of a boundary: itself if it is like those that are derived.
fn seed(id: &DeliveryId) -> String {
    let id = id.as_str();
    let fits = (1..=40).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    if fits {
        id.to_owned()
    } else {
        FailureKey::of_parts(["delivery", id]).to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use notifier_core::{FailureRecord, Notice, jiff::Timestamp};

    use super::*;

    fn failure(id: &str, name: &str) -> Subject {
        Subject::Failure(Arc::new(FailureRecord::new(
            id,
            name,
            "TASK_FAILED",
            Timestamp::UNIX_EPOCH,
        )))
    }

    fn ids(subject: &Subject, id: &str) -> Ids {
        Ids::of(subject, &DeliveryId::new(id), "x.example")
    }

    #[test]
    fn the_message_is_its_delivery() {
        let a = ids(&failure("a", "job"), "0123456789abcdef");
        assert_eq!(a.message, "<0123456789abcdef@x.example>");
        for strange in ["", "a b", "a>\r\nBcc: b", &"a".repeat(41)] {
            let a = ids(&failure("a", "job"), strange);
            assert_eq!(a.message.len(), "<@x.example>".len() + 32, "{}", a.message);
        }
    }

    #[test]
    fn failures_of_one_job_belong_together() {
        let of = |id, name| ids(&failure(id, name), "d").incident;
        assert_eq!(of("a", "job"), of("b", "job"));
        assert_ne!(of("a", "job"), of("a", "other"));
        let notice = Arc::new(Notice::new("slack:#a", "x", Timestamp::UNIX_EPOCH));
        assert_eq!(
            ids(&Subject::Notice(Arc::clone(&notice)), "d").incident,
            ids(&Subject::Recovery(notice), "e").incident
        );
    }
}
