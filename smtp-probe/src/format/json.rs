//! JSON for programs.

use super::acts;
use crate::report::Report;

/// A report as one JSON object, several as an array, with a line break at the end.
///
/// The members are those of [`Report`]: `schema`, `target`, `started`, `overall`, `checks`
/// (`id`, `state`, `phase`, `class`, `code`, `enhanced`, `text`, `value`, `warn`, `crit`, `unit`,
/// `elapsed_ms`, `hint`, and where there is one `subject`, `sent`, `data`) and `timings`.
#[must_use]
pub fn json(reports: &[Report]) -> String {
    let text = match reports {
        [one] => serde_json::to_string_pretty(one),
        all => serde_json::to_string_pretty(all),
    };
    // Nothing in a report fails to serialize: its keys are texts, and a number that is none is null.
    let mut out = visible(text.unwrap_or_default());
    out.push('\n');
    out
}

/// The same JSON without a character that acts on a terminal.
fn visible(json: String) -> String {
    // What acts stands in texts only, but for the line breaks of the layout.
    let escape = |c: char| acts(c) && c != '\n';
    if !json.chars().any(escape) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match escape(c) {
            true => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use notifier_core::jiff::Timestamp;

    use super::*;
    use crate::report::{Check, Class, Measure, Phase};

    #[test]
    fn one_report_is_an_object_and_several_are_an_array() {
        let checks = vec![
            Check::crit(
                "banner",
                Phase::Banner,
                Class::Reply5,
                "554 \u{9b}no\u{202e}",
            )
            .measure(Measure::new(3.0, "s").above(2.0, 8.0))
            .hint("ask why"),
            Check::skip("auth", Phase::Auth, "no login"),
        ];
        let report = Report::new("relay:25", Timestamp::UNIX_EPOCH, checks);
        let one: serde_json::Value =
            serde_json::from_str(&json(std::slice::from_ref(&report))).unwrap();
        assert_eq!(one["schema"], 1);
        assert_eq!(one["target"], "relay:25");
        assert_eq!(one["started"], "1970-01-01T00:00:00Z");
        assert_eq!(one["overall"], "crit");
        let check = &one["checks"][0];
        assert_eq!(check["id"], "banner");
        assert_eq!(check["phase"], "banner");
        assert_eq!(check["class"], "reply5");
        assert_eq!(check["text"], "554 \u{9b}no\u{202e}");
        assert_eq!(check["value"], 3.0);
        assert_eq!(check["warn"], 2.0);
        assert_eq!(check["crit"], 8.0);
        assert_eq!(check["unit"], "s");
        assert_eq!(check["hint"], "ask why");
        assert_eq!(one["checks"][1]["state"], "skip");
        let text = json(&[report.clone(), report]);
        assert!(!text.chars().any(|c| acts(c) && c != '\n'), "{text}");
        let both: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(both.as_array().unwrap().len(), 2);
        assert_eq!(json(&[]), "[]\n");
    }
}
