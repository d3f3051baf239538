//! What FIFO topics want besides: a group, and an id by which second messages are dropped.

use notifier_core::{DeliveryId, FailureKey, Subject};

/// The longest of either (docs.aws.amazon.com/sns/latest/api/API_Publish.html, read 2026).
const MAX_ID: usize = 128;

/// The group of messages that are about no task.
const OWN: &str = "notifier";

/// Letters, digits and punctuation of ASCII.
fn id(text: &str) -> String {
    let fit = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    let mut out: String = text.trim().chars().take(MAX_ID + 1).map(fit).collect();
    if out.len() > MAX_ID {
        // What begins alike stays apart.
        let rest = FailureKey::of_parts([text]);
        out.truncate(MAX_ID - rest.as_str().len());
        out.push_str(rest.as_str());
    }
    out
}

/// The group of a message, of what the template gave.
pub(crate) fn group(text: &str) -> String {
    let group = id(text);
    match group.is_empty() {
        true => OWN.to_owned(),
        false => group,
    }
}

/// What the topic tells messages apart by, for five minutes: the delivery, the kind of message,
/// and what may change from one to the next, the state or the number. So an attempt again is
/// dropped, while a replay, a recovery or a grown digest is not.
pub(crate) fn dedup(delivery: &DeliveryId, subject: &Subject) -> String {
    let kind = subject.kind();
    id(&match subject {
        Subject::Failure(f) => format!("{delivery}-{kind}-{}", f.state),
        Subject::Digest(d) => format!("{delivery}-{kind}-{}", d.count),
        _ => format!("{delivery}-{kind}"),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use notifier_core::{Digest, FailureRecord, Notice, jiff::Timestamp};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_tell_apart_what_is_not_the_same() {
        let failure =
            |state: &str| FailureRecord::new("web.1", "web", state, Timestamp::UNIX_EPOCH);
        let notice = Arc::new(Notice::new("slack", "403", Timestamp::UNIX_EPOCH));
        let digest = |n| Subject::Digest(Arc::new(Digest::new("1", "web", n, failure("X"))));
        let told = |f| Subject::Failure(Arc::new(f));
        let ids: std::collections::BTreeSet<String> = [
            dedup(&DeliveryId::new("a"), &told(failure("X"))),
            dedup(&DeliveryId::new("b"), &told(failure("X"))),
            dedup(&DeliveryId::new("a"), &told(failure("Y"))),
            dedup(&DeliveryId::new("a"), &digest(1)),
            dedup(&DeliveryId::new("a"), &digest(2)),
            dedup(&DeliveryId::new("a"), &Subject::Notice(Arc::clone(&notice))),
            dedup(&DeliveryId::new("a"), &Subject::Recovery(notice)),
        ]
        .into();
        assert_eq!(ids.len(), 7, "{ids:?}");
        assert_eq!(
            dedup(&DeliveryId::new("a"), &told(failure("TASK FAILED"))),
            "a-failure-TASK_FAILED"
        );
    }

    #[test]
    fn long_groups_stay_apart() {
        let long = "x".repeat(300);
        assert_ne!(group(&format!("{long}a")), group(&format!("{long}b")));
        assert_eq!(group(" web 1 "), "web_1");
        assert_eq!(group(" \n"), "notifier");
    }

    proptest! {
        #[test]
        fn every_group_keeps_the_rules(text in "\\PC{0,300}|[\\x00-\\x7f]{0,300}") {
            let group = group(&text);
            prop_assert!((1..=MAX_ID).contains(&group.len()));
            prop_assert!(group.bytes().all(|b| b.is_ascii_graphic()));
        }
    }
}
