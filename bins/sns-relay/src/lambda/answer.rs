//! What a function answers.

use std::fmt;

use lambda_runtime::Diagnostic;
use serde_json::{Value, json};

use super::{
    courier::Fate,
    event::{Event, EventOrigin},
};

/// How many messages that failed are told of by name.
const MOST_NAMED: usize = 10;

/// Why an invocation failed: what Lambda shows, counts and tries again.
pub(crate) struct Failed {
    kind: &'static str,
    message: String,
}

impl Failed {
    /// An event that is none of ours.
    pub(crate) fn unknown_event(message: String) -> Self {
        Self {
            kind: "UnknownEvent",
            message,
        }
    }
}

/// One line, as the runtime logs it.
impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invocation failed: {}: {}", self.kind, self.message)
    }
}

impl From<Failed> for Diagnostic {
    fn from(failed: Failed) -> Self {
        Self {
            error_type: failed.kind.to_owned(),
            error_message: failed.message,
        }
    }
}

/// The answer to an event out of what came of its items.
///
/// To SQS it names the messages that failed, as `ReportBatchItemFailures` takes them. Where all of
/// them did the invocation fails as a whole: that comes to the same, also for a queue
/// that is not set up for partial answers. To all others it fails if anything failed.
///
/// # Errors
/// What failed, and why.
pub(crate) fn answer(event: &Event, fates: &[Fate]) -> Result<Value, Failed> {
    let all = event.items.iter().zip(fates);
    let failed: Vec<(&str, &str)> = all
        .filter_map(|(item, fate)| Some((item.id.as_str(), fate.as_ref().err()?.as_str())))
        .collect();
    let is_partial = event.origin == EventOrigin::Sqs && failed.len() < fates.len();
    if !failed.is_empty() && !is_partial {
        return Err(Failed {
            kind: "Undelivered",
            message: told(&failed, fates.len()),
        });
    }
    let deliveries: usize = fates.iter().filter_map(|f| f.as_ref().ok()).sum();
    if failed.is_empty() {
        tracing::info!(messages = fates.len(), deliveries, "invocation done");
    } else {
        tracing::error!(
            messages = fates.len(),
            deliveries,
            "invocation done in part: {}",
            told(&failed, fates.len())
        );
    }
    if event.origin == EventOrigin::Sqs {
        let failed = failed.iter().map(|(id, _)| json!({"itemIdentifier": id}));
        return Ok(json!({"batchItemFailures": failed.collect::<Vec<_>>()}));
    }
    Ok(json!({"messages": fates.len(), "deliveries": deliveries}))
}

/// Which messages failed and why, in one line.
fn told(failed: &[(&str, &str)], of: usize) -> String {
    let named: Vec<String> = failed
        .iter()
        .take(MOST_NAMED)
        .map(|(id, why)| format!("{}: {why}", notifier_runtime::visible(id, 80)))
        .collect();
    let more = match failed.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        n => format!("; and {n} more"),
    };
    format!(
        "{} of {of} not told: {}{more}",
        failed.len(),
        named.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lambda::event::Item;

    fn event(origin: EventOrigin, n: usize) -> Event {
        let item = |n| Item {
            id: format!("m-{n}"),
            group: None,
            letter: Err("x".to_owned()),
        };
        Event {
            origin,
            items: (0..n).map(item).collect(),
        }
    }

    fn fates(good: &[bool]) -> Vec<Fate> {
        let fate = |good: &bool| match good {
            true => Ok(2),
            false => Err("slack default: 404".to_owned()),
        };
        good.iter().map(fate).collect()
    }

    #[test]
    fn sqs_is_told_which_messages_failed() {
        let got = answer(&event(EventOrigin::Sqs, 3), &fates(&[true, false, true])).unwrap();
        assert_eq!(
            got,
            json!({"batchItemFailures": [{"itemIdentifier": "m-1"}]})
        );
        let got = answer(&event(EventOrigin::Sqs, 1), &fates(&[true])).unwrap();
        assert_eq!(got, json!({"batchItemFailures": []}));
    }

    #[test]
    fn where_all_failed_the_invocation_does() {
        for origin in [EventOrigin::Sqs, EventOrigin::Sns, EventOrigin::Caller] {
            let failed = answer(&event(origin, 1), &fates(&[false])).unwrap_err();
            let d = Diagnostic::from(failed);
            assert_eq!(d.error_type, "Undelivered");
            assert_eq!(d.error_message, "1 of 1 not told: m-0: slack default: 404");
        }
    }

    #[test]
    fn one_that_failed_fails_an_event_of_sns() {
        let failed = answer(&event(EventOrigin::Sns, 2), &fates(&[true, false])).unwrap_err();
        assert!(format!("{failed:?}").contains("1 of 2 not told: m-1"));
        let got = answer(&event(EventOrigin::Sns, 2), &fates(&[true, true])).unwrap();
        assert_eq!(got, json!({"messages": 2, "deliveries": 4}));
        let got = answer(&event(EventOrigin::Nobody, 0), &[]).unwrap();
        assert_eq!(got, json!({"messages": 0, "deliveries": 0}));
    }

    #[test]
    fn many_failures_make_a_short_line() {
        let failed = answer(&event(EventOrigin::Sns, 5_000), &fates(&[false; 5_000])).unwrap_err();
        assert!(failed.message.contains("and 4990 more"), "{failed:?}");
        assert!(failed.message.len() < 1_000 && failed.message.lines().count() == 1);
    }
}
