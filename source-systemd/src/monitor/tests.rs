use proptest::prelude::*;

use super::*;
use crate::unit::Observation;

const RUN: &str = "06d8446e10c24a62b9082df66f66183f";
const OTHER: &str = "b8b4c8a4f04243d99e04b6c348c08be8";

fn variables(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
}

/// As systemd 252 sets them.
fn monitor() -> BTreeMap<String, String> {
    variables(&[
        ("MONITOR_EXIT_CODE", "killed"),
        ("MONITOR_EXIT_STATUS", "KILL"),
        ("MONITOR_INVOCATION_ID", RUN),
        ("MONITOR_SERVICE_RESULT", "signal"),
        ("MONITOR_UNIT", "web.service"),
    ])
}

fn with_place<T>(f: impl FnOnce(Place<'_>) -> T) -> T {
    f(Place {
        host: "node-1",
        machine_id: "0123456789abcdef0123456789abcdef",
        platform: "prod",
        source: "systemd",
        user: false,
        journal: &Journal::new(None, false),
        lines: 20,
        prefixes: &[],
        environment_files: &[],
        labels: None,
        now: Timestamp::UNIX_EPOCH,
    })
}

fn shown(invocation_id: &str, state: &str) -> Shown {
    Shown {
        now: Observation {
            active_state: state.to_owned(),
            sub_state: state.to_owned(),
            invocation_id: invocation_id.to_owned(),
            result: "exit-code".to_owned(),
            restarts: 4,
            exit: Some(Exit::Exited(5)),
            changed: Some(Timestamp::from_second(9).unwrap()),
            ..Observation::default()
        },
        description: "Web".to_owned(),
        restart: "always".to_owned(),
        burst: 4,
        ..Shown::default()
    }
}

#[test]
fn the_environment_alone_is_enough() {
    let told = Told::of("web.service", &monitor());
    let record = with_place(|p| facts(p, "web.service", &told, None)).record();
    assert_eq!((record.state.as_str(), record.exit_code), ("SIGNAL", None));
    assert_eq!(record.details["signal"], "SIGKILL");
    assert_eq!(record.details["platform"], "prod");
    assert_eq!(
        record.key,
        crate::record::key("0123456789abcdef0123456789abcdef", "web.service", RUN, "")
    );
    assert!(!record.details.contains_key("will_restart"));
}

#[test]
fn what_systemd_shows_counts_for_its_own_run() {
    let told = Told::of("web.service", &monitor());
    let of =
        |shown: &Shown, told: &Told| with_place(|p| facts(p, "web.service", told, Some(shown)));
    let same = of(&shown(RUN, "failed"), &told);
    assert_eq!(
        (same.result.as_str(), same.exit),
        ("signal", Some(Exit::Killed(9)))
    );
    assert_eq!((same.restarts, same.finished.as_second()), (Some(4), 9));
    assert_eq!(same.will_restart, Some(false));
    // It runs again by now.
    let next = of(&shown(OTHER, "active"), &told);
    assert_eq!((next.invocation_id.as_str(), next.restarts), (RUN, None));
    assert_eq!(
        (next.description.as_str(), next.will_restart),
        ("Web", None)
    );
    // systemd before 251.
    let old = of(&shown(OTHER, "failed"), &Told::default());
    assert_eq!(
        (old.invocation_id.as_str(), old.result.as_str()),
        (OTHER, "exit-code")
    );
    assert_eq!(old.exit, Some(Exit::Exited(5)));
}

#[test]
fn variables_of_another_unit_do_not_count() {
    assert_eq!(Told::of("db.service", &monitor()), Told::default());
    let odd = variables(&[
        ("MONITOR_INVOCATION_ID", "no id"),
        ("MONITOR_EXIT_CODE", "odd"),
        ("MONITOR_EXIT_STATUS", "1"),
        ("MONITOR_SERVICE_RESULT", ""),
    ]);
    assert_eq!(Told::of("web.service", &odd), Told::default());
}

#[test]
fn without_a_run_each_call_is_told() {
    let at = |s| Timestamp::from_second(s).unwrap();
    let key = |call: &BTreeMap<String, String>, now| key_of_call("m", "web.service", call, now);
    let call = variables(&[("INVOCATION_ID", RUN)]);
    assert_eq!(key(&call, at(1)), key(&call, at(2)));
    assert_ne!(
        key(&call, at(1)),
        key(&variables(&[("INVOCATION_ID", OTHER)]), at(1))
    );
    assert_ne!(key(&BTreeMap::new(), at(1)), key(&BTreeMap::new(), at(2)));
    let facts = with_place(|p| facts(p, "web.service", &Told::default(), None));
    assert_eq!(
        (facts.result.as_str(), facts.invocation_id.as_str()),
        ("failed", "")
    );
}

#[test]
fn names_are_those_that_systemd_has() {
    for (text, name) in [
        ("web", "web.service"),
        ("web.service", "web.service"),
        ("-.mount", "-.mount"),
        ("a\\x2db@c:d_e.timer", "a\\x2db@c:d_e.timer"),
        ("web.example", "web.example.service"),
        ("notify@web.service", "notify@web.service"),
    ] {
        assert_eq!(unit_name(text).unwrap(), name);
    }
    let long = "a".repeat(248);
    assert!(unit_name(&format!("{}.service", &long[1..])).is_ok());
    for wrong in [
        "",
        ".service",
        "@.service",
        "a b.service",
        "a/b",
        "a\nb",
        "é.service",
        "-config=x",
        "-help",
        &format!("{long}.service"),
    ] {
        let e = unit_name(wrong).unwrap_err().to_string();
        assert!(
            e.contains("no name of a unit") && !e.contains('\n'),
            "{wrong}: {e}"
        );
    }
}

proptest! {
    #[test]
    fn no_environment_panics(
        result in ".{0,20}", code in "(exited|killed|dumped|.{0,5})", status in ".{0,8}", id in ".{0,40}", unit in ".{0,20}"
    ) {
        let variables = variables(&[
            ("MONITOR_SERVICE_RESULT", &result),
            ("MONITOR_EXIT_CODE", &code),
            ("MONITOR_EXIT_STATUS", &status),
            ("MONITOR_INVOCATION_ID", &id),
            ("INVOCATION_ID", &id),
        ]);
        let told = Told::of(&unit, &variables);
        with_place(|p| facts(p, &unit, &told, None)).record();
        key_of_call("m", &unit, &variables, Timestamp::UNIX_EPOCH);
        let _ = unit_name(&unit);
    }
}
