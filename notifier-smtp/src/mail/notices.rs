//! Subjects of what is no failure: a digest, a notice, a recovery.

use notifier_core::{Concern, Report, Subject};

/// The subject, in one line.
pub(crate) fn subject(report: &Report) -> String {
    let subject = match report.subject() {
        Subject::Digest(d) => {
            format!("[{} more] {} {}", d.count, d.example.name, d.example.state)
        }
        Subject::Notice(n) => match n.concern {
            Concern::Outbox => format!("[notifier] the outbox of {} fills up", n.destination),
            _ => format!("[notifier] messages to {} do not arrive", n.destination),
        },
        Subject::Recovery(n) => match n.concern {
            Concern::Outbox => format!("[notifier] the outbox of {} has room again", n.destination),
            _ => format!("[notifier] messages to {} arrive again", n.destination),
        },
        _ => report.summary(),
    };
    let masked = report.redactor().redact(&subject);
    let line = masked.replace(char::is_control, " ");
    line.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use notifier_core::{Digest, FailureRecord, Notice, jiff::Timestamp};

    use super::*;

    #[test]
    fn each_kind_has_a_subject() {
        let failure = FailureRecord::new("web.1", "we\nb", "TASK_LOST", Timestamp::UNIX_EPOCH);
        let digest = Digest::new("d", "f", 7, failure);
        let of = |subject| super::subject(&Report::new(subject));
        assert_eq!(
            of(Subject::Digest(Arc::new(digest))),
            "[7 more] we b TASK_LOST"
        );
        let notice = Arc::new(Notice::new("slack:#a", "dead", Timestamp::UNIX_EPOCH));
        assert_eq!(
            of(Subject::Notice(Arc::clone(&notice))),
            "[notifier] messages to slack:#a do not arrive"
        );
        assert_eq!(
            of(Subject::Recovery(notice)),
            "[notifier] messages to slack:#a arrive again"
        );
    }
}
