//! One entry as `journalctl --output=json` prints it.

use notifier_core::jiff::Timestamp;
use serde_json::{Map, Value};

/// The fields that are asked for. Those that begin with two underscores always come.
pub(crate) const FIELDS: &str = "MESSAGE,MESSAGE_ID,CODE_FUNC,UNIT,USER_UNIT,INVOCATION_ID,USER_INVOCATION_ID,\
    UNIT_RESULT,EXIT_CODE,EXIT_STATUS,JOB_ID,JOB_RESULT,_SYSTEMD_INVOCATION_ID,_SYSTEMD_UNIT,_SYSTEMD_USER_UNIT";

/// The most that is kept of a message, in bytes.
const MAX_MESSAGE: usize = 16 << 10;
/// That a unit failed.
pub(crate) const FAILURE: &str = "d9b373ed55a64feb8242e02dbe79a49c";
/// That a process of a unit ended.
pub(crate) const EXIT: &str = "98e322203f7a4ed290d09fe03c09fe15";
/// That a unit could not be started.
pub(crate) const START_FAILED: &str = "be02cf6855d2428ba40df7e9d022f03d";

/// What is used of an entry. What it does not have is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) cursor: String,
    pub(crate) at: Timestamp,
    pub(crate) message: String,
    pub(crate) message_id: String,
    pub(crate) function: String,
    /// The unit that the entry is about, where systemd wrote it.
    pub(crate) unit: String,
    /// The run that it is of, or that systemd wrote it about. Empty for what a process wrote that was gone when
    /// journald looked who that was.
    pub(crate) invocation_id: String,
    pub(crate) result: String,
    pub(crate) exit_code: String,
    pub(crate) exit_status: String,
    /// The number and the result of the job that it is about.
    pub(crate) job: String,
    pub(crate) job_result: String,
    /// 32 hexadecimal digits.
    pub(crate) boot_id: String,
    /// The unit's own process wrote it.
    pub(crate) own: bool,
}

impl Entry {
    /// Reads a line. `None` if it is no object.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let fields: Map<String, Value> = serde_json::from_slice(line).ok()?;
        let text = |name: &str| fields.get(name).map(text).unwrap_or_default();
        let either = |a: &str, b: &str| {
            let first = text(a);
            if first.is_empty() { text(b) } else { first }
        };
        let unit = either("UNIT", "USER_UNIT");
        // A unit may write these fields too, but not in systemd's name.
        let own = unit.is_empty() || unit == either("_SYSTEMD_USER_UNIT", "_SYSTEMD_UNIT");
        Some(Self {
            cursor: text("__CURSOR"),
            at: text("__REALTIME_TIMESTAMP")
                .parse()
                .ok()
                .and_then(|t| Timestamp::from_microsecond(t).ok())
                .unwrap_or_default(),
            message: end_of(text("MESSAGE")),
            message_id: text("MESSAGE_ID"),
            function: text("CODE_FUNC"),
            invocation_id: if own {
                text("_SYSTEMD_INVOCATION_ID")
            } else {
                either("INVOCATION_ID", "USER_INVOCATION_ID")
            },
            own,
            unit,
            result: text("UNIT_RESULT"),
            exit_code: text("EXIT_CODE"),
            exit_status: text("EXIT_STATUS"),
            job: text("JOB_ID"),
            job_result: text("JOB_RESULT"),
            boot_id: text("_BOOT_ID"),
        })
    }

    /// Stands for one that is too long to be read.
    pub(crate) fn too_long() -> Self {
        Self {
            message: "(an entry of more than 1 MiB)".to_owned(),
            own: true,
            ..Self::default()
        }
    }

    /// Whether systemd says by it that the unit failed.
    pub(crate) fn is_failure(&self) -> bool {
        self.message_id == FAILURE && !self.own
    }
}

/// The end of a message, which may be as long as an entry.
fn end_of(mut message: String) -> String {
    let mut from = message.len().saturating_sub(MAX_MESSAGE);
    while !message.is_char_boundary(from) {
        from += 1;
    }
    message.split_off(from)
}

/// A field's value: a string; a list of its bytes, where it is no text; a list of all of them, where there
/// are several, of which the first counts; null, where it was left out.
fn text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Array(list) => {
            let bytes: Option<Vec<u8>> = list
                .iter()
                .map(|v| v.as_u64().and_then(|n| u8::try_from(n).ok()))
                .collect();
            match bytes {
                Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                None => list
                    .iter()
                    .find(|v| v.is_string() || v.is_array())
                    .map(|v| match v {
                        // No list of lists of lists.
                        Value::Array(inner) if inner.iter().any(Value::is_array) => String::new(),
                        v => text(v),
                    })
                    .unwrap_or_default(),
            }
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_come_in_every_form() {
        let entry = |message: &str| {
            let line = format!("{{\"__CURSOR\":\"c\",\"MESSAGE\":{message}}}");
            Entry::parse(line.as_bytes()).unwrap().message
        };
        assert_eq!(entry("\"wörld\""), "wörld");
        assert_eq!(entry("[104,105,255]"), "hi\u{fffd}");
        assert_eq!(entry("null"), "");
        assert_eq!(entry("[\"first\",\"second\"]"), "first");
        assert_eq!(entry("[null,[104,105]]"), "hi");
        assert_eq!(entry("[300]"), "");
        assert_eq!(entry("[[[104]]]"), "");
        assert_eq!(entry("[]"), "");
    }

    /// As systemd 252 wrote it.
    #[test]
    fn an_entry_of_systemd_is_read() {
        let line = br#"{"UNIT":"bad.service","CODE_FUNC":"unit_log_failure","INVOCATION_ID":"06d8446e10c24a62b9082df66f66183f",
            "UNIT_RESULT":"exit-code","MESSAGE_ID":"d9b373ed55a64feb8242e02dbe79a49c","__CURSOR":"s=1;i=2",
            "__REALTIME_TIMESTAMP":"1795333654386547","MESSAGE":"bad.service: Failed with result 'exit-code'."}"#;
        let entry = Entry::parse(line).unwrap();
        assert!(entry.is_failure() && !entry.own);
        assert_eq!(
            (entry.unit.as_str(), entry.result.as_str()),
            ("bad.service", "exit-code")
        );
        assert_eq!(entry.at.as_microsecond(), 1_795_333_654_386_547);
        assert_eq!(Entry::parse(b"no"), None);
        assert_eq!(Entry::parse(b"[]"), None);
    }

    #[test]
    fn a_unit_does_not_speak_for_systemd() {
        let line = br#"{"UNIT":"a.service","MESSAGE_ID":"d9b373ed55a64feb8242e02dbe79a49c","INVOCATION_ID":"1",
            "_SYSTEMD_UNIT":"a.service","_SYSTEMD_INVOCATION_ID":"2"}"#;
        let entry = Entry::parse(line).unwrap();
        assert!(entry.own && !entry.is_failure());
        assert_eq!(entry.invocation_id, "2");
    }

    #[test]
    fn of_a_long_message_the_end_is_kept() {
        let long = format!("é{}é", "x".repeat(MAX_MESSAGE - 3));
        assert_eq!(end_of(long.clone()), long[2..]);
        assert_eq!(end_of("short".to_owned()), "short");
    }

    proptest! {
        #[test]
        fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\":,0-9A-Z_n]{0,80}") {
            let _ = Entry::parse(&line);
            let _ = Entry::parse(format!("{{\"MESSAGE\":{text}}}").as_bytes());
        }
    }
}
