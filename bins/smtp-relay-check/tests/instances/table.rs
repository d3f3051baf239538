//! A table of checks and servers.

use std::fmt::Write as _;

use serde_json::Value;

/// The room of a disk, and whether a goodbye comes within two seconds, are the machine's affair.
const NOT_JUDGED: [&str; 2] = ["spool", "quit"];

/// What the program said of one server.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) checks: Vec<Value>,
    /// What is not as it should be.
    pub(crate) wrong: Vec<String>,
}

impl Column {
    /// Compares with what is expected: these checks say this, all others are fine or were not run.
    pub(crate) fn of(
        name: &'static str,
        (code, report): (i32, Value),
        expected_code: i32,
        expected: &[(&str, &str, &str)],
    ) -> Self {
        let checks = report["checks"].as_array().cloned().unwrap_or_default();
        let mut wrong = Vec::new();
        for check in &checks {
            let text = |key: &str| check[key].as_str().unwrap_or_default();
            let (id, state) = (text("id"), text("state"));
            let is_expected = expected.iter().any(|(e, ..)| *e == id);
            if !is_expected && !NOT_JUDGED.contains(&id) && !matches!(state, "ok" | "skip") {
                wrong.push(format!("{name}: {id} is {state}: {}", text("text")));
            }
            if matches!(state, "warn" | "crit" | "unknown") && check["hint"].is_null() {
                wrong.push(format!("{name}: {id} gives no advice"));
            }
        }
        for (id, state, words) in expected {
            let is = |c: &&Value| {
                c["id"] == *id
                    && c["state"] == *state
                    && c["text"].as_str().is_some_and(|t| t.contains(words))
            };
            if checks.iter().find(is).is_none() {
                let said: Vec<&Value> = checks.iter().filter(|c| c["id"] == *id).collect();
                wrong.push(format!(
                    "{name}: {id} should be {state} with {words:?}: {said:?}"
                ));
            }
        }
        let is_slow = checks.iter().any(|c| {
            NOT_JUDGED.iter().any(|id| c["id"] == *id) && c["state"] != "ok" && c["state"] != "skip"
        });
        if code != expected_code && !(is_slow && expected_code == 0) {
            wrong.push(format!("{name}: exit code {code}, not {expected_code}"));
        }
        Self {
            name,
            checks,
            wrong,
        }
    }

    /// The worst state of an id.
    fn state(&self, id: &str) -> &str {
        let rank = ["skip", "ok", "warn", "unknown", "crit"];
        let states = self.checks.iter().filter(|c| c["id"] == id);
        let states = states.filter_map(|c| c["state"].as_str());
        states
            .max_by_key(|s| rank.iter().position(|r| r == s))
            .unwrap_or("")
    }
}

/// Prints a line for each check, in the order in which they come.
#[expect(clippy::print_stdout, reason = "read by who runs the tests")]
pub(crate) fn print(columns: &[Column]) {
    let mut ids: Vec<&str> = Vec::new();
    for check in columns.iter().flat_map(|c| &c.checks) {
        let id = check["id"].as_str().unwrap_or_default();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let mut text = format!("{:<16}", "check");
    for column in columns {
        let _ = write!(text, "{:<15}", column.name);
    }
    for id in ids {
        let _ = write!(text, "\n{id:<16}");
        for column in columns {
            let _ = write!(text, "{:<15}", column.state(id));
        }
    }
    println!("{text}");
}
