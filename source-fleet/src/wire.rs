//! What the API answers (`schema/v1.json` of fleet).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Longer names of units and machines are none of systemd's (256) or of fleet's.
const LONGEST_NAME: usize = 1024;

/// The state of a unit on a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) unit: String,
    pub(crate) machine: String,
    /// Empty where the agent does not know it.
    pub(crate) hash: String,
    pub(crate) load: String,
    pub(crate) active: String,
    pub(crate) sub: String,
}

/// A unit as it was submitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) name: String,
    /// Section, name and value of each line.
    pub(crate) options: Vec<(String, String, String)>,
    pub(crate) desired: String,
    pub(crate) current: String,
    /// Where it is scheduled, or empty.
    pub(crate) machine: String,
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) id: String,
    pub(crate) ip: String,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// A page of a list.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Page {
    pub(crate) items: Vec<Value>,
    pub(crate) next: Option<String>,
}

/// Reads a page whose list is called `name`. What is empty is left out, so that `{}` is a page.
/// The error says what else it is.
pub(crate) fn page(body: &[u8], name: &str) -> Result<Page, String> {
    let no_list = || format!("no list of {name}");
    let Ok(Value::Object(mut members)) = serde_json::from_slice(body) else {
        return Err(no_list());
    };
    let next = match members.remove("nextPageToken") {
        None | Some(Value::Null) => None,
        Some(Value::String(token)) => Some(token).filter(|t| !t.is_empty()),
        Some(_) => return Err(format!("a list of {name} with an odd token")),
    };
    match members.remove(name) {
        Some(Value::Array(items)) => Ok(Page { items, next }),
        Some(Value::Null) => Ok(Page::default()),
        None if members.is_empty() => Ok(Page {
            items: Vec::new(),
            next,
        }),
        _ => Err(no_list()),
    }
}

fn text(members: &Map<String, Value>, name: &str) -> String {
    members
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

impl Row {
    /// Nothing if it has no name, or one that is none.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let m = value.as_object()?;
        let row = Self {
            unit: text(m, "name"),
            machine: text(m, "machineID"),
            hash: text(m, "hash"),
            load: text(m, "systemdLoadState"),
            active: text(m, "systemdActiveState"),
            sub: text(m, "systemdSubState"),
        };
        let all = [&row.machine, &row.hash, &row.load, &row.active, &row.sub];
        let fits = |t: &String| t.len() <= LONGEST_NAME;
        (!row.unit.is_empty() && fits(&row.unit) && all.into_iter().all(fits)).then_some(row)
    }

    /// Whether it says how the unit is at all.
    pub(crate) fn is_known(&self) -> bool {
        !self.active.is_empty()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.active == "failed"
    }
}

impl Unit {
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let m = value.as_object()?;
        let options = m.get("options").and_then(Value::as_array);
        let option = |value: &Value| {
            let m = value.as_object()?;
            Some((text(m, "section"), text(m, "name"), text(m, "value")))
        };
        Some(Self {
            name: text(m, "name"),
            options: options
                .map(|all| all.iter().filter_map(option).collect())
                .unwrap_or_default(),
            desired: text(m, "desiredState"),
            current: text(m, "currentState"),
            machine: text(m, "machineID"),
        })
    }

    /// The last value of a line.
    pub(crate) fn option(&self, section: &str, name: &str) -> Option<&str> {
        let lines = self.options.iter().rev();
        let mut fitting = lines.filter(|(s, n, _)| s == section && n == name);
        fitting.next().map(|(_, _, value)| value.as_str())
    }

    /// It runs on every machine, and is scheduled to none.
    pub(crate) fn is_global(&self) -> bool {
        let global = self.option("X-Fleet", "Global");
        global.is_some_and(|v| v.trim().eq_ignore_ascii_case("true"))
    }

    /// Fleet has it on another machine than this.
    pub(crate) fn is_elsewhere(&self, machine: &str) -> bool {
        !self.is_global() && !self.machine.is_empty() && self.machine != machine
    }
}

impl Machine {
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let m = value.as_object()?;
        let id = text(m, "id");
        let metadata = m.get("metadata").and_then(Value::as_object);
        let pairs = metadata.into_iter().flatten();
        (!id.is_empty()).then(|| Self {
            id,
            ip: text(m, "primaryIP"),
            metadata: pairs
                .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<(usize, Option<String>), String> {
        page(text.as_bytes(), "states").map(|p| (p.items.len(), p.next))
    }

    #[test]
    fn pages() {
        assert_eq!(read("{}"), Ok((0, None)));
        assert_eq!(read(r#"{"states":null}"#), Ok((0, None)));
        assert_eq!(read(r#"{"states":[{},7]}"#), Ok((2, None)));
        assert_eq!(
            read(r#"{"nextPageToken":"x"}"#),
            Ok((0, Some("x".to_owned())))
        );
        assert_eq!(read(r#"{"states":[],"nextPageToken":""}"#), Ok((0, None)));
        for odd in [
            "",
            "[]",
            "null",
            "<html>",
            r#"{"states":7}"#,
            r#"{"states":[],"nextPageToken":7}"#,
            r#"{"error":{"code":500,"message":""}}"#,
            r#"{"machines":[]}"#,
            r#"{"states":[{}"#,
        ] {
            assert!(read(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn rows() {
        let row = Row::read(&json!({"name": "a.service", "machineID": "m", "hash": 7,
            "systemdActiveState": "failed"}))
        .unwrap();
        assert!(row.has_failed() && row.is_known() && row.hash.is_empty());
        let odd = Row::read(&json!({"name": "a.service", "systemdActiveState": null})).unwrap();
        assert!(!odd.is_known());
        for none in [
            json!({"machineID": "m"}),
            json!(7),
            json!({"name": ["a"]}),
            json!({"name": "x".repeat(2000)}),
        ] {
            assert_eq!(Row::read(&none), None);
        }
    }

    #[test]
    fn units_and_machines() {
        let unit = Unit::read(
            &json!({"name": "a.service", "desiredState": "launched", "machineID": "m",
            "options": [{"section": "Unit", "name": "Description", "value": "A"}, 7,
                {"section": "X-Fleet", "name": "Global", "value": "True"}]}),
        )
        .unwrap();
        assert_eq!(unit.option("Unit", "Description"), Some("A"));
        assert!(unit.is_global() && !unit.is_elsewhere("other"));
        let placed = Unit {
            machine: "m".to_owned(),
            ..Unit::default()
        };
        assert!(placed.is_elsewhere("n") && !placed.is_elsewhere("m"));
        assert!(!Unit::default().is_elsewhere("n"));
        let machine = Machine::read(&json!({"id": "m", "primaryIP": "10.0.0.1",
            "metadata": {"region": "eu", "odd": 7}}))
        .unwrap();
        assert_eq!(
            (machine.ip.as_str(), machine.metadata.len()),
            ("10.0.0.1", 1)
        );
        assert_eq!(Machine::read(&json!({"primaryIP": "x"})), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_fault(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = page(&bytes, "states");
        }
    }
}
