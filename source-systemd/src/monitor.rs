//! The failure of one unit, as the unit that `OnFailure=` starts for it sees it.
//!
//! From version 251 on systemd tells that one by the variables `MONITOR_SERVICE_RESULT`, `MONITOR_EXIT_CODE`,
//! `MONITOR_EXIT_STATUS`, `MONITOR_INVOCATION_ID` and `MONITOR_UNIT` (systemd.exec(5)), where one unit alone
//! started it. They are those of the failed run, also where the unit was started again since. What
//! they do not say comes from `systemctl show`, and, where that cannot be asked, from the unit's files.
//!
//! None of them says that a unit is refused further starts: it keeps the result of its last run. systemd notes a
//! second failure of that run in the journal then, and where the journal cannot be read a unit that has used
//! up its starts, and for which `Restart=` asks for one, counts as refused.

mod search;
mod show;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use notifier_core::{Error, FailureKey, FailureRecord, Result, jiff::Timestamp};

use self::show::Shown;
use crate::{
    SystemdSource,
    journal::{Journal, is_id},
    labels::{self, Scope},
    record::{Exit, Facts, START_LIMIT, SYSTEMD},
    watch::choice::{self, LabelFile},
};

/// How long is waited for the second record of a unit that is refused further starts.
const SETTLE: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(800),
];
/// The types of units.
const TYPES: [&str; 11] = [
    "service",
    "socket",
    "device",
    "mount",
    "automount",
    "swap",
    "target",
    "path",
    "timer",
    "slice",
    "scope",
];
/// The longest name of a unit (`UNIT_NAME_MAX` of systemd, without its final zero).
const MAX_NAME: usize = 255;

/// The name of a unit as systemd has it. One without a type is that of a service.
///
/// # Errors
/// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) if systemd has no unit of such a name.
///
/// ```
/// assert_eq!(source_systemd::unit_name("web@a\\x2db")?, "web@a\\x2db.service");
/// assert!(source_systemd::unit_name("a b.service").is_err());
/// # Ok::<(), notifier_core::Error>(())
/// ```
pub fn unit_name(text: &str) -> Result<String> {
    let is_typed = |name: &str| {
        let kind = name.rsplit_once('.').map(|(_, kind)| kind);
        kind.is_some_and(|kind| TYPES.contains(&kind))
    };
    let name = if is_typed(text) {
        text.to_owned()
    } else {
        format!("{text}.service")
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let prefix = name.rsplit_once('.').map_or("", |(p, _)| p);
    let is_flag = text.starts_with('-') && !is_typed(text);
    if name.chars().all(fits)
        && !matches!(prefix.chars().next(), None | Some('@'))
        && name.len() <= MAX_NAME
        && !is_flag
    {
        return Ok(name);
    }
    let shown: String = text.chars().take(80).collect();
    Err(Error::config(format!(
        "{shown:?} is no name of a unit: in OnFailure= and ExecStart= take %n and %i, not %I"
    )))
}

impl SystemdSource {
    /// Whether the settings say that nothing is to be told of a unit.
    pub fn ignores(&self, unit: &str) -> bool {
        let ignore = &self.config.choice.ignore;
        ignore.iter().any(|pattern| choice::matches(pattern, unit))
    }

    /// The failure of one unit, for who was started by its `OnFailure=`: its key is the one that this source would
    /// give it, so that it is told once, whoever sees it.
    ///
    /// `variables` are those of the environment: `MONITOR_…`, `INVOCATION_ID` and `PLATFORM` count. What cannot be
    /// found out is left out; it takes about 30 seconds at most.
    pub async fn failure_of(
        &self,
        unit: &str,
        variables: &BTreeMap<String, String>,
    ) -> FailureRecord {
        let config = &self.config;
        let machine_id = first_line("/etc/machine-id").await;
        let host = match &config.host {
            Some(host) => host.clone(),
            None => match first_line("/proc/sys/kernel/hostname").await {
                // Hidden where /proc shows nothing but processes.
                hidden if hidden.is_empty() => first_line("/etc/hostname").await,
                host => host,
            },
        };
        let platform = match (&config.platform, variables.get("PLATFORM")) {
            (Some(platform), _) | (None, Some(platform)) => platform.clone(),
            (None, None) => {
                let mut variables = labels::variables(&config.environment_files).await;
                variables.remove("PLATFORM").unwrap_or_default()
            }
        };
        let place = Place {
            host: &host,
            machine_id: &machine_id,
            platform: &platform,
            source: &config.name,
            user: config.address.is_user(),
            journal: &config.journal,
            lines: config.lines,
            prefixes: &config.prefixes,
            environment_files: &config.environment_files,
            labels: config.choice.file.as_ref(),
            now: config.clock.now(),
        };
        failure(place, unit, variables).await
    }
}

/// Where and for whom a failure is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) host: &'a str,
    pub(crate) machine_id: &'a str,
    pub(crate) platform: &'a str,
    /// The name of the source.
    pub(crate) source: &'a str,
    /// About the user's own systemd.
    pub(crate) user: bool,
    pub(crate) journal: &'a Journal,
    /// Of the journal.
    pub(crate) lines: usize,
    pub(crate) prefixes: &'a [String],
    pub(crate) environment_files: &'a [PathBuf],
    pub(crate) labels: Option<&'a LabelFile>,
    pub(crate) now: Timestamp,
}

/// The failure of a unit, with the environment of the unit that was started for it. Whatever cannot be
/// found out is left out.
pub(crate) async fn failure(
    place: Place<'_>,
    unit: &str,
    variables: &BTreeMap<String, String>,
) -> FailureRecord {
    let shown = match show::show(Path::new("systemctl"), place.user, unit).await {
        Ok(shown) => Some(shown),
        Err(e) => {
            tracing::info!(
                unit,
                "only the environment says what happened: {}",
                e.report()
            );
            None
        }
    };
    let told = Told::of(unit, variables);
    let mut facts = facts(place, unit, &told, shown.as_ref());
    if is_refused(place.journal, &facts, shown.as_ref()).await {
        facts.last = START_LIMIT;
        // The refused one is counted by systemd, too.
        facts.restarts = facts.restarts.map(|n| n.saturating_sub(1));
    }
    facts.journal = place
        .journal
        .tail(unit, &facts.invocation_id, place.lines)
        .await;
    let shown = shown.unwrap_or_default();
    let (fragment, drop_ins) = match shown.fragment {
        Some(path) => (Some(path), shown.drop_ins),
        None => search::files(unit.to_owned(), place.user).await,
    };
    let files = labels::Files {
        fragment: fragment.as_deref(),
        drop_ins: &drop_ins,
        environment_files: place.environment_files,
    };
    facts.labels = labels::of(Scope::new(unit, place.host), files, place.prefixes).await;
    if let Some(file) = place.labels {
        file.add(unit, &mut facts.labels);
    }
    let has_run = !facts.invocation_id.is_empty();
    let mut record = facts.record();
    if !has_run {
        // Without a run it is the call itself that is told once.
        record.key = key_of_call(place.machine_id, unit, variables, place.now);
    }
    record
}

/// The first line of a file, empty if it cannot be read.
async fn first_line(path: &str) -> String {
    let text = tokio::fs::read_to_string(path).await.unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// The identity of a failure of which no run is known.
fn key_of_call(
    machine_id: &str,
    unit: &str,
    variables: &BTreeMap<String, String>,
    now: Timestamp,
) -> FailureKey {
    // The id of the unit that was started for it.
    let call = variables.get("INVOCATION_ID").filter(|id| is_id(id));
    let call = call.cloned().unwrap_or_else(|| now.to_string());
    FailureKey::of_parts([SYSTEMD, machine_id, unit, &call, "call"])
}

/// What the environment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    result: Option<String>,
    exit: Option<Exit>,
    invocation_id: Option<String>,
}

impl Told {
    /// Nothing, where it is about another unit.
    fn of(unit: &str, variables: &BTreeMap<String, String>) -> Self {
        let get = |name: &str| {
            let value = variables.get(name).map(String::as_str);
            value.filter(|v| !v.is_empty() && v.len() <= MAX_NAME)
        };
        if get("MONITOR_UNIT").is_some_and(|of| of != unit) {
            return Self::default();
        }
        let exit = get("MONITOR_EXIT_CODE").zip(get("MONITOR_EXIT_STATUS"));
        Self {
            result: get("MONITOR_SERVICE_RESULT").map(str::to_owned),
            exit: exit.and_then(|(code, status)| Exit::of_word(code, status)),
            invocation_id: get("MONITOR_INVOCATION_ID")
                .filter(|id| is_id(id))
                .map(str::to_owned),
        }
    }
}

/// Joins both. What systemd shows counts for its own run alone.
fn facts(place: Place<'_>, unit: &str, told: &Told, shown: Option<&Shown>) -> Facts {
    let none = Shown::default();
    let shown = shown.unwrap_or(&none);
    let same = match &told.invocation_id {
        Some(id) => *id == shown.now.invocation_id,
        None => true,
    };
    let seen = same.then_some(&shown.now);
    let seen_result = seen.map(|s| s.result.as_str());
    let result = told.result.as_deref().or(seen_result);
    let finished = seen.filter(|s| s.is_failure()).and_then(|s| s.ended());
    let mut facts = Facts::new(
        unit,
        // Somebody says that it failed, whatever it looks like by now.
        result
            .filter(|r| !matches!(*r, "" | "success"))
            .unwrap_or("failed"),
        finished.unwrap_or(place.now),
    );
    facts.invocation_id = match &told.invocation_id {
        Some(id) => id.clone(),
        None => shown.now.invocation_id.clone(),
    };
    facts.description.clone_from(&shown.description);
    facts.exit = told.exit;
    if let Some(seen) = seen {
        facts.exit = facts.exit.or(seen.exit);
        facts.restarts = (!seen.active_state.is_empty()).then_some(seen.restarts);
        facts.started = seen.started;
        facts.main_pid = seen.main_pid;
        facts.status_text.clone_from(&seen.status_text);
        facts.will_restart = (!seen.active_state.is_empty()).then(|| seen.is_waiting_for_restart());
    }
    place.platform.clone_into(&mut facts.platform);
    place.host.clone_into(&mut facts.host);
    place.machine_id.clone_into(&mut facts.machine_id);
    place.source.clone_into(&mut facts.source);
    facts
}

/// Whether systemd refuses to start the unit again.
async fn is_refused(journal: &Journal, facts: &Facts, shown: Option<&Shown>) -> bool {
    if facts.result == START_LIMIT {
        return true;
    }
    let same = shown.filter(|s| s.now.invocation_id == facts.invocation_id);
    // A unit that Restart= does not start again is not refused a start by its own doing.
    let Some(shown) = same.filter(|s| s.lacks_a_restart(&facts.result, facts.exit)) else {
        return false;
    };
    let mut waits = SETTLE.into_iter();
    loop {
        match journal.failures(&facts.invocation_id).await {
            Ok(0) => {}
            Ok(1) if !shown.used_up_its_starts() => return false,
            Ok(1) => {}
            Ok(_) => return true,
            Err(_) => return shown.used_up_its_starts(),
        }
        match waits.next() {
            Some(wait) => tokio::time::sleep(wait).await,
            None => return shown.used_up_its_starts(),
        }
    }
}

#[cfg(test)]
mod tests {
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
}
