//! The suite for [`Failure`].

use notifier_core::{Failure, FailureRecord, redact};

use super::Results;

/// Checks one value of a type that implements [`Failure`].
///
/// ```
/// use notifier_core::{FailureRecord, jiff::Timestamp};
/// let failure = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH);
/// notifier_testkit::conformance::failure(&failure).assert();
/// ```
pub fn failure(failure: &dyn Failure) -> Results {
    let mut r = Results::default();
    let record = FailureRecord::from_failure(failure);
    r.judge("the key is the same each time and not empty", {
        let keys = [
            failure.key(),
            failure.key(),
            record.key.clone(),
            Failure::key(&record),
        ];
        if keys[0].as_str().is_empty() {
            Err("it is empty".to_owned())
        } else if keys.iter().any(|k| *k != keys[0]) {
            Err(format!("{keys:?}"))
        } else {
            Ok(())
        }
    });
    r.judge("the views are the same each time", {
        let again = FailureRecord::from_failure(failure);
        differences(&record, &again)
    });
    r.judge(
        "the record says what the failure says",
        same(failure, &record),
    );
    r.judge("a record of the record is equal", {
        differences(&record, &FailureRecord::from_failure(&record))
    });
    r.judge("JSON and back is equal", {
        serde_json::to_string(&record)
            .and_then(|json| serde_json::from_str::<FailureRecord>(&json))
            .map_err(|e| e.to_string())
            .and_then(|back| differences(&record, &back))
    });
    r.judge(
        "Debug of the record hides labels whose names are secrets",
        {
            let shown = format!("{record:?}");
            let leaked = record
                .labels
                .iter()
                .filter(|(k, v)| redact::names_secret(k) && v.len() >= redact::MIN_SECRET)
                .find(|(_, v)| shown.contains(v.as_str()));
            leaked.map_or(Ok(()), |(k, _)| Err(format!("the label {k} is shown")))
        },
    );
    r
}

fn differences(a: &FailureRecord, b: &FailureRecord) -> Result<(), String> {
    if a == b {
        Ok(())
    } else {
        Err(format!("{a:?} is not {b:?}"))
    }
}

fn same(f: &dyn Failure, r: &FailureRecord) -> Result<(), String> {
    let fields = [
        ("id", f.id() == r.id),
        ("name", f.name() == r.name),
        ("state", f.state() == r.state),
        ("finished", f.finished() == r.finished),
        ("host", f.host() == r.host),
        ("framework", f.framework() == r.framework),
        ("image", f.image() == r.image),
        ("started", f.started() == r.started),
        (
            "labels",
            f.labels()
                .all(|(k, v)| r.labels.get(k).is_some_and(|x| x == v)),
        ),
        ("message", f.message() == r.message.as_deref()),
        ("reason", f.reason() == r.reason.as_deref()),
        ("exit_code", f.exit_code() == r.exit_code),
        ("healthy", f.healthy() == r.healthy),
        ("attempt", f.attempt() == r.attempt),
        ("owners", f.owners() == r.owners),
        ("source", f.source() == r.source),
        ("log_streams", f.log_streams() == r.log_streams),
        ("locator", f.locator() == r.locator.as_ref()),
    ];
    let wrong: Vec<&str> = fields
        .iter()
        .filter(|(_, ok)| !ok)
        .map(|(n, _)| *n)
        .collect();
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("not in {}", wrong.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use notifier_core::{Failure, jiff::Timestamp};

    use super::failure;
    use crate::conformance::hostile_failures;

    #[test]
    fn hostile_records_conform() {
        for (_, f) in hostile_failures() {
            failure(&f).assert();
        }
    }

    #[test]
    fn a_time_of_observation_is_found() {
        #[derive(Debug)]
        struct Moving(AtomicI64);
        impl Failure for Moving {
            fn id(&self) -> &str {
                "x"
            }
            fn name(&self) -> &str {
                "x"
            }
            fn state(&self) -> &str {
                "x"
            }
            fn finished(&self) -> Timestamp {
                Timestamp::from_second(self.0.fetch_add(1, Ordering::SeqCst)).unwrap()
            }
        }
        let r = failure(&Moving(AtomicI64::new(0)));
        assert!(!r.is_ok());
        assert!(
            r.to_string()
                .contains("FAIL  the key is the same each time"),
            "{r}"
        );
    }
}
