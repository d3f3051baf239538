//! What the bus says of a unit at one moment, and what it is called.

use std::{borrow::Cow, collections::HashMap};

use notifier_core::jiff::Timestamp;
use zbus::zvariant::Value;

use crate::record::Exit;

/// Properties as the bus sends them, by name.
pub(crate) type Properties<'a> = HashMap<Cow<'a, str>, Value<'a>>;

/// A unit at one moment: what a signal said, or what was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observation {
    /// `active`, `activating`, `failed`, …
    pub(crate) active_state: String,
    /// `running`, `auto-restart`, …
    pub(crate) sub_state: String,
    /// 32 hexadecimal digits, or empty.
    pub(crate) invocation_id: String,
    /// `success`, `exit-code`, …; empty where the type of unit has none.
    pub(crate) result: String,
    /// `NRestarts`; 0 where the type of unit has none.
    pub(crate) restarts: u32,
    pub(crate) exit: Option<Exit>,
    pub(crate) main_pid: Option<u32>,
    pub(crate) status_text: String,
    pub(crate) started: Option<Timestamp>,
    /// When it came into this state.
    pub(crate) changed: Option<Timestamp>,
    /// When it came to rest last, failed or not.
    pub(crate) rested: Option<Timestamp>,
    /// When the main process of this run ended.
    pub(crate) exited: Option<Timestamp>,
}

impl Observation {
    /// Out of the properties of the unit's interface and that of its type.
    pub(crate) fn new(unit: &Properties<'_>, own: Option<&Properties<'_>>) -> Self {
        let empty = HashMap::new();
        let own = own.unwrap_or(&empty);
        let begun = number(unit, "InactiveExitTimestamp").unwrap_or(0);
        let main_begun = number(own, "ExecMainStartTimestamp").unwrap_or(0);
        let main_ended = number(own, "ExecMainExitTimestamp").unwrap_or(0);
        let (active_state, sub_state) = (text(unit, "ActiveState"), text(unit, "SubState"));
        let result = text(own, "Result");
        let code = integer(own, "ExecMainCode").zip(integer(own, "ExecMainStatus"));
        let exit = code.and_then(|(code, status)| Exit::of_code(code, status));
        // What is left of the main process of an earlier run does not count. Waiting for a restart begins after
        // the end of the run.
        let is_waiting = active_state == "activating"
            && match result.as_str() {
                "exit-code" => matches!(exit, Some(Exit::Exited(_))),
                "signal" => matches!(exit, Some(Exit::Killed(_))),
                "core-dump" => matches!(exit, Some(Exit::Dumped(_))),
                _ => false,
            };
        let is_current =
            main_ended > 0 && main_ended >= main_begun && (main_ended >= begun || is_waiting);
        let has_begun = main_begun > 0 && (main_begun >= begun || is_current);
        Self {
            active_state,
            sub_state,
            invocation_id: id(unit, "InvocationID"),
            result,
            restarts: number(own, "NRestarts")
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(0),
            exit: exit.filter(|_| is_current),
            main_pid: number(own, "ExecMainPID")
                .and_then(|n| u32::try_from(n).ok())
                .filter(|n| *n > 0 && has_begun),
            status_text: text(own, "StatusText"),
            started: at(if has_begun { main_begun } else { begun }),
            changed: at(number(unit, "StateChangeTimestamp").unwrap_or(0)),
            rested: at(number(unit, "InactiveEnterTimestamp").unwrap_or(0)),
            exited: at(main_ended).filter(|_| is_current),
        }
    }

    /// Whether the unit is in a state that only a failed run leads to.
    pub(crate) fn is_failure(&self) -> bool {
        let is_over = self.active_state == "failed" || self.is_waiting_for_restart();
        is_over && !matches!(self.result.as_str(), "" | "success")
    }

    /// Whether systemd is about to start it again by itself.
    pub(crate) fn is_waiting_for_restart(&self) -> bool {
        self.active_state == "activating" && self.sub_state.starts_with("auto-restart")
    }

    /// When the run ended.
    pub(crate) fn ended(&self) -> Option<Timestamp> {
        self.exited.or(self.changed)
    }
}

/// A text, empty if there is none.
pub(crate) fn text(of: &Properties<'_>, name: &str) -> String {
    match of.get(name) {
        Some(Value::Str(s)) => s.to_string(),
        Some(Value::ObjectPath(p)) => p.to_string(),
        Some(Value::Bool(b)) => (if *b { "yes" } else { "no" }).to_owned(),
        _ => String::new(),
    }
}

/// Any value as `systemctl show` would have it, where it is a plain one or a list of those.
pub(crate) fn shown(value: &Value<'_>) -> Option<String> {
    Some(match value {
        Value::Str(s) => s.to_string(),
        Value::Bool(b) => (if *b { "yes" } else { "no" }).to_owned(),
        Value::U8(n) => n.to_string(),
        Value::I16(n) => n.to_string(),
        Value::U16(n) => n.to_string(),
        Value::I32(n) => n.to_string(),
        Value::U32(n) => n.to_string(),
        Value::I64(n) => n.to_string(),
        Value::U64(n) => n.to_string(),
        Value::F64(n) => n.to_string(),
        Value::ObjectPath(p) => p.to_string(),
        Value::Value(v) => shown(v)?,
        Value::Array(all) => {
            let all: Option<Vec<String>> = all.iter().map(shown).collect();
            all?.join(" ")
        }
        _ => return None,
    })
}

/// A list of texts.
pub(crate) fn list(of: &Properties<'_>, name: &str) -> Vec<String> {
    match of.get(name) {
        Some(Value::Array(all)) => all
            .iter()
            .filter_map(|v| match v {
                Value::Str(s) => Some(s.to_string()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// A number without a sign.
pub(crate) fn number(of: &Properties<'_>, name: &str) -> Option<u64> {
    match of.get(name)? {
        Value::U32(n) => Some(u64::from(*n)),
        Value::U64(n) => Some(*n),
        _ => None,
    }
}

fn integer(of: &Properties<'_>, name: &str) -> Option<i32> {
    match of.get(name)? {
        Value::I32(n) => Some(*n),
        _ => None,
    }
}

/// 16 bytes as 32 hexadecimal digits.
fn id(of: &Properties<'_>, name: &str) -> String {
    let Some(Value::Array(bytes)) = of.get(name) else {
        return String::new();
    };
    let digits: String = bytes
        .iter()
        .filter_map(|b| match b {
            Value::U8(b) => Some(format!("{b:02x}")),
            _ => None,
        })
        .collect();
    if digits.len() == 32 {
        digits
    } else {
        String::new()
    }
}

/// A time of systemd: microseconds since 1970; 0 is none.
fn at(microseconds: u64) -> Option<Timestamp> {
    let us = i64::try_from(microseconds).ok().filter(|us| *us > 0)?;
    Timestamp::from_microsecond(us).ok()
}

const UNITS: &str = "/org/freedesktop/systemd1/unit/";

/// The unit's name of a path on the bus: `web_2eservice` is `web.service`.
pub(crate) fn of_path(path: &str) -> Option<String> {
    let escaped = path.strip_prefix(UNITS)?;
    if escaped == "_" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes().iter();
    while let Some(&b) = rest.next() {
        if b != b'_' {
            bytes.push(b);
            continue;
        }
        let mut digit = || char::from(*rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// The path on the bus of a unit, as `sd_bus_path_encode(3)` makes it.
pub(crate) fn path_of(unit: &str) -> String {
    let mut path = UNITS.to_owned();
    if unit.is_empty() {
        path.push('_');
    }
    for (i, b) in unit.bytes().enumerate() {
        let plain = b.is_ascii_alphabetic() || (i > 0 && b.is_ascii_digit());
        if plain {
            path.push(char::from(b));
        } else {
            path.push_str(&format!("_{b:02x}"));
        }
    }
    path
}

/// The interface of a unit's type: `Service` for `.service`; none for types that have no result.
pub(crate) fn interface_of(unit: &str) -> Option<&'static str> {
    Some(match unit.rsplit_once('.')?.1 {
        "service" => "org.freedesktop.systemd1.Service",
        "mount" => "org.freedesktop.systemd1.Mount",
        "automount" => "org.freedesktop.systemd1.Automount",
        "socket" => "org.freedesktop.systemd1.Socket",
        "swap" => "org.freedesktop.systemd1.Swap",
        "timer" => "org.freedesktop.systemd1.Timer",
        "path" => "org.freedesktop.systemd1.Path",
        "scope" => "org.freedesktop.systemd1.Scope",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zbus::zvariant::{Array, Signature};

    use super::*;

    fn properties<'a>(of: Vec<(&'static str, Value<'a>)>) -> Properties<'a> {
        of.into_iter().map(|(k, v)| (Cow::from(k), v)).collect()
    }

    #[test]
    fn an_observation_of_both_interfaces() {
        let mut bytes = Array::new(&Signature::U8);
        for b in 0..16u8 {
            bytes.append(Value::U8(b)).unwrap();
        }
        let unit = properties(vec![
            ("ActiveState", "failed".into()),
            ("SubState", "failed".into()),
            ("InvocationID", Value::Array(bytes)),
            ("InactiveExitTimestamp", Value::U64(1_000_000)),
            ("StateChangeTimestamp", Value::U64(3_000_000)),
        ]);
        let own = |ended: u64| {
            properties(vec![
                ("Result", "exit-code".into()),
                ("NRestarts", Value::U32(2)),
                ("ExecMainCode", Value::I32(1)),
                ("ExecMainStatus", Value::I32(7)),
                ("ExecMainPID", Value::U32(4)),
                ("ExecMainStartTimestamp", Value::U64(1_000_001)),
                ("ExecMainExitTimestamp", Value::U64(ended)),
            ])
        };
        let seen = Observation::new(&unit, Some(&own(2_000_000)));
        assert_eq!(seen.invocation_id, "000102030405060708090a0b0c0d0e0f");
        assert_eq!((seen.restarts, seen.exit), (2, Some(Exit::Exited(7))));
        assert_eq!(seen.ended().unwrap().as_microsecond(), 2_000_000);
        assert!(seen.is_failure() && !seen.is_waiting_for_restart());
        // The main process of a run before it.
        let stale = Observation::new(&unit, Some(&own(900_000)));
        assert_eq!((stale.exit, stale.exited), (None, None));
        assert_eq!(stale.ended().unwrap().as_microsecond(), 3_000_000);
        let none = Observation::new(&HashMap::new(), None);
        assert_eq!(none, Observation::default());
        assert!(!none.is_failure());
    }

    #[test]
    fn values_are_shown_as_systemctl_shows_them() {
        for (value, is) in [
            (Value::from("a b"), Some("a b")),
            (Value::from(true), Some("yes")),
            (Value::from(7u32), Some("7")),
            (Value::from(vec!["a", "b"]), Some("a b")),
            (Value::from((1u32, 2u32)), None),
        ] {
            assert_eq!(shown(&value).as_deref(), is);
        }
    }

    #[test]
    fn names_and_paths() {
        for (unit, path) in [
            ("web.service", "web_2eservice"),
            ("1a-b.mount", "_31a_2db_2emount"),
            ("a\\x2db@c.service", "a_5cx2db_40c_2eservice"),
        ] {
            assert_eq!(path_of(unit), format!("{UNITS}{path}"));
            assert_eq!(of_path(&format!("{UNITS}{path}")).as_deref(), Some(unit));
        }
        for bad in [
            "/x",
            "/org/freedesktop/systemd1/unit/a_2",
            "/org/freedesktop/systemd1/unit/a_zz",
        ] {
            assert_eq!(of_path(bad), None, "{bad}");
        }
        assert_eq!(interface_of("a.target"), None);
        assert_eq!(interface_of("a"), None);
    }

    proptest! {
        #[test]
        fn every_name_has_a_path(unit in ".{0,40}") {
            prop_assert_eq!(of_path(&path_of(&unit)), Some(unit));
        }

        #[test]
        fn no_path_panics(path in ".{0,60}") {
            of_path(&path);
            of_path(&format!("{UNITS}{path}"));
            interface_of(&path);
        }
    }
}
