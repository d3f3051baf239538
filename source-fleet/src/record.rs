//! A failure as it is told.

use std::collections::BTreeMap;

use notifier_core::FailureRecord;

use crate::{
    fall::{Fall, Sign},
    labels,
    tracker::Said,
    wire::{Machine, Unit},
};

/// The framework's name.
const FRAMEWORK: &str = "fleet";

/// The failure of a unit. `prefix` is what routing labels begin with.
pub(crate) fn of(
    fall: &Fall,
    said: &Said,
    machine: Option<&Machine>,
    source: &str,
    prefix: &str,
) -> FailureRecord {
    let name = &fall.place.unit;
    let id = &fall.place.machine;
    let ip = machine.map_or("", |m| m.ip.as_str());
    let host = if ip.is_empty() { id.as_str() } else { ip };
    let is_lost = fall.sign == Sign::Lost;
    let state = if is_lost { "LOST" } else { "FAILED" };
    let mut record = FailureRecord::new(name, name, state, fall.seen());
    host.clone_into(&mut record.host);
    FRAMEWORK.clone_into(&mut record.framework);
    source.clone_into(&mut record.source);
    record.key = fall.key(source);
    record.reason = Some(if is_lost { "no-machine" } else { "failed" }.to_owned());
    record.message = Some(if is_lost {
        "it is to be launched, and no machine has it".to_owned()
    } else {
        format!("systemd says failed; on that machine, systemctl status {name} says why")
    });
    if let Said::There(unit) = said {
        record.labels = labels::of(unit, name, host, prefix);
    }
    record.details = details(fall, said, machine);
    record
}

fn details(fall: &Fall, said: &Said, machine: Option<&Machine>) -> BTreeMap<String, String> {
    let mut details = BTreeMap::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            details.insert(name.to_owned(), value.to_owned());
        }
    };
    if let Some(machine) = machine {
        let pairs: Vec<String> = machine
            .metadata
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        put("metadata", &pairs.join(", "));
        for (key, value) in &machine.metadata {
            let key: String = key
                .chars()
                .map(|c| if c.is_alphanumeric() { c } else { '_' })
                .collect();
            put(&format!("metadata_{key}"), value);
            if key == "platform" {
                put("platform", value);
            }
        }
        put("machine_ip", &machine.ip);
    }
    if let Said::There(unit) = said {
        put("description", description(unit));
        put("desired_state", &unit.desired);
        put("current_state", &unit.current);
    }
    put("unit", &fall.place.unit);
    put("machine_id", &fall.place.machine);
    put("hash", &fall.hash);
    put("load_state", &fall.load);
    put("active_state", &fall.active);
    put("sub_state", &fall.sub);
    details
}

fn description(unit: &Unit) -> &str {
    unit.option("Unit", "Description")
        .unwrap_or_default()
        .trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fall::fall;

    fn machine() -> Machine {
        Machine {
            id: "m1".to_owned(),
            ip: "10.0.0.1".to_owned(),
            metadata: [("region", "eu"), ("disk-type", "ssd"), ("platform", "prod")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        }
    }

    #[test]
    fn a_failed_unit_with_all_that_is_known() {
        let line = |s: &str, n: &str, v: &str| (s.to_owned(), n.to_owned(), v.to_owned());
        let unit = Unit {
            options: vec![
                line("Unit", "Description", " Web "),
                line("Unit", "X-Complainer-Slack-Channel", "#ops"),
            ],
            desired: "launched".to_owned(),
            ..Unit::default()
        };
        let one = fall("web@1.service", "m1", Sign::Fell, 1_452_337_200_000);
        let r = of(
            &one,
            &Said::There(unit),
            Some(&machine()),
            "fleet",
            "complainer",
        );
        assert_eq!(r.to_string(), "web@1.service (web@1.service) from 10.0.0.1");
        assert_eq!(
            (r.framework.as_str(), r.state.as_str()),
            ("fleet", "FAILED")
        );
        assert_eq!(r.finished.to_string(), "2016-01-09T11:00:00Z");
        assert_eq!(r.labels["complainer_slack_channel"], "#ops");
        assert_eq!(r.exit_code, None);
        let expected = [
            ("active_state", "failed"),
            ("description", "Web"),
            ("desired_state", "launched"),
            ("hash", "h"),
            ("load_state", "loaded"),
            ("machine_id", "m1"),
            ("machine_ip", "10.0.0.1"),
            ("metadata", "disk-type=ssd, platform=prod, region=eu"),
            ("metadata_disk_type", "ssd"),
            ("metadata_platform", "prod"),
            ("metadata_region", "eu"),
            ("platform", "prod"),
            ("sub_state", "failed"),
            ("unit", "web@1.service"),
        ];
        let details: Vec<(&str, &str)> = r
            .details
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(details, expected);
    }

    #[test]
    fn with_nothing_but_the_row() {
        let one = fall("web@1.service", "m1", Sign::Fell, 0);
        let r = of(&one, &Said::Unknown, None, "fleet", "complainer");
        assert_eq!((r.host.as_str(), r.labels.len()), ("m1", 0));
        let lost = fall("web@1.service", "", Sign::Lost, 0);
        let r = of(&lost, &Said::Gone, None, "fleet", "complainer");
        assert_eq!((r.state.as_str(), r.host.as_str()), ("LOST", ""));
        assert!(r.message.unwrap().contains("no machine"));
    }
}
