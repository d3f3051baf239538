//! The documented limits of an event.

use notifier_core::jiff::Timestamp;
use serde_json::{Map, Value};

const MAX_MESSAGE: usize = 8192;
const MAX_TAG: usize = 200;
const MAX_NAME: usize = 64;
const MAX_RELEASE: usize = 200;
const MAX_EXTRA: usize = 16 << 10;
const MAX_EXTRAS: usize = 256 << 10;
const MAX_CONTEXT: usize = 8 << 10;
const MAX_FINGERPRINT: usize = 32;

/// What is wrong with an event, one line each; empty if nothing is.
pub(crate) fn faults(event: &Value) -> Vec<String> {
    let mut f = Faults(Vec::new());
    f.text(event, "platform", MAX_NAME, |_| true);
    f.text(event, "server_name", MAX_NAME, |t| !t.contains('\n'));
    f.text(event, "logger", MAX_NAME, |t| !t.contains('\n'));
    f.text(event, "level", MAX_NAME, |t| {
        matches!(t, "fatal" | "error" | "warning" | "info" | "debug")
    });
    f.text(event, "environment", MAX_NAME, |t| {
        !t.is_empty()
            && t.len() <= MAX_NAME
            && !t.eq_ignore_ascii_case("none")
            && !t.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control())
    });
    f.text(event, "release", MAX_RELEASE, |t| {
        !t.trim().is_empty()
            && t.len() <= MAX_RELEASE
            && !matches!(t, "." | "..")
            && !t.eq_ignore_ascii_case("latest")
            && !t.contains(|c: char| matches!(c, '/' | '\\') || c.is_control())
    });
    let time = event.get("timestamp");
    let is_time = match time {
        Some(Value::String(t)) => t.parse::<Timestamp>().is_ok(),
        Some(Value::Number(n)) => n.as_f64().is_some_and(|n| n >= 0.0),
        _ => false,
    };
    f.check(is_time, || format!("timestamp: {time:?}"));
    f.message(event);
    f.tags(event);
    f.extra(event);
    for (key, context) in members(event, "contexts") {
        f.check(context.is_object() && json(context) <= MAX_CONTEXT, || {
            format!("contexts.{key}: {} bytes", json(context))
        });
    }
    if let Some(print) = event.get("fingerprint") {
        let parts = print.as_array();
        let ok = parts.is_some_and(|parts| {
            (1..=MAX_FINGERPRINT).contains(&parts.len()) && parts.iter().all(Value::is_string)
        });
        f.check(ok, || "fingerprint: not a list of texts".to_owned());
    }
    f.check(!has_nul(event), || "there is a NUL".to_owned());
    f.0
}

struct Faults(Vec<String>);

impl Faults {
    fn check(&mut self, ok: bool, what: impl FnOnce() -> String) {
        if !ok && self.0.len() < 20 {
            self.0.push(what());
        }
    }

    fn text(&mut self, event: &Value, key: &str, most: usize, fits: impl Fn(&str) -> bool) {
        let ok = match event.get(key) {
            None | Some(Value::Null) => true,
            Some(Value::String(t)) => t.chars().count() <= most && fits(t),
            Some(_) => false,
        };
        self.check(ok, || format!("{key}: {:?}", event.get(key)));
    }

    fn message(&mut self, event: &Value) {
        let text = event
            .pointer("/logentry/formatted")
            .or_else(|| event.get("message"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        let length = text.chars().count();
        self.check((1..=MAX_MESSAGE).contains(&length), || {
            format!("message: {length} characters")
        });
    }

    fn tags(&mut self, event: &Value) {
        for (key, value) in members(event, "tags") {
            let is_key = (1..=MAX_TAG).contains(&key.len())
                && key
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b));
            let is_value = value.as_str().is_some_and(|v| {
                (1..=MAX_TAG).contains(&v.chars().count()) && !v.contains('\n') && v.trim() == v
            });
            self.check(is_key && is_value, || format!("tags.{key}: {value}"));
        }
    }

    fn extra(&mut self, event: &Value) {
        let mut sum = 2;
        for (key, value) in members(event, "extra") {
            let size = json(value);
            sum += key.len() + size + 4;
            self.check(size <= MAX_EXTRA, || format!("extra.{key}: {size} bytes"));
            self.check(key.chars().count() <= MAX_TAG + "labels.".len(), || {
                "extra: a key is too long".to_owned()
            });
        }
        self.check(sum <= MAX_EXTRAS, || format!("extra: {sum} bytes"));
    }
}

fn members<'a>(event: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    event
        .get(key)
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter)
}

fn json(value: &Value) -> usize {
    value.to_string().len()
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(t) => t.contains('\0'),
        Value::Array(list) => list.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(k, v)| k.contains('\0') || has_nul(v)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(key: &str, value: Value) -> Value {
        let mut event = json!({
            "timestamp": "2026-01-01T00:00:00Z", "platform": "other", "level": "error",
            "logentry": { "formatted": "a" }, "tags": { "a": "b" }, "extra": { "x": "y" },
            "contexts": { "c": { "d": 1 } }, "fingerprint": ["a"],
        });
        assert_eq!(faults(&event), Vec::<String>::new());
        event[key] = value;
        event
    }

    #[test]
    fn events_are_judged_by_the_documented_limits() {
        for (key, good, bad) in [
            ("timestamp", json!(1.5), json!("yesterday")),
            ("platform", json!("python"), json!(5)),
            ("level", json!("fatal"), json!("bogus")),
            ("logger", json!("x".repeat(64)), json!("x".repeat(65))),
            ("environment", json!("prod"), json!("a b")),
            ("environment", json!("a"), json!("None")),
            // These two are counted in bytes.
            ("environment", json!("é".repeat(32)), json!("é".repeat(33))),
            ("release", json!("é".repeat(100)), json!("é".repeat(101))),
            ("release", json!("a@1"), json!("a/b")),
            ("release", json!("a"), json!("..")),
            (
                "logentry",
                json!({"formatted": "é".repeat(8192)}),
                json!({"formatted": "é".repeat(8193)}),
            ),
            ("tags", json!({"a.b": "x"}), json!({"a b": "x"})),
            ("tags", json!({"a": "x".repeat(200)}), json!({"a": "x\ny"})),
            ("tags", json!({}), json!({"a": ""})),
            (
                "extra",
                json!({"a": "x".repeat(16_000)}),
                json!({"a": "x".repeat(17_000)}),
            ),
            (
                "contexts",
                json!({"a": {"b": "x".repeat(8000)}}),
                json!({"a": {"b": "x".repeat(8192)}}),
            ),
            ("fingerprint", json!(["{{ default }}"]), json!("a")),
            ("server_name", json!("a"), json!("a\0")),
        ] {
            assert_eq!(faults(&with(key, good)), Vec::<String>::new(), "{key}");
            assert_ne!(faults(&with(key, bad)), Vec::<String>::new(), "{key}");
        }
        let many: Map<String, Value> = (0..20)
            .map(|n| (n.to_string(), "x".repeat(16_000).into()))
            .collect();
        assert_eq!(faults(&with("extra", Value::Object(many))).len(), 1);
    }
}
