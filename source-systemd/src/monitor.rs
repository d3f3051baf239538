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
    journal::{Ended, Journal, is_id},
    labels::{self, Scope},
    record::{DEPENDENCY, Exit, Facts, JOB_TIMEOUT, START_LIMIT, SYSTEMD},
    watch::choice::{self, LabelFile},
};

/// How long is waited for the second record of a unit that is refused further starts.
const SETTLE: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(800),
];
/// A job that failed longer ago is not what this is about.
const RECENT: Duration = Duration::from_secs(600);
/// A run that ended longer ago may not be what this is about.
const FRESH: Duration = Duration::from_secs(2);
/// The result where nobody says which.
const FAILED: &str = "failed";
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

    /// The failure of a unit that came after one that was told, if there is one by now: systemd does not start again
    /// for it what still tells of the one before.
    pub async fn failed_again(
        &self,
        unit: &str,
        variables: &BTreeMap<String, String>,
        told: &FailureRecord,
    ) -> Option<FailureRecord> {
        // What the environment says is about the one that was told.
        let mut variables = variables.clone();
        variables.retain(|name, _| name == "PLATFORM");
        let now = self.failure_of(unit, &variables).await;
        let is_known = now.reason.as_deref() != Some(FAILED) && !now.details.is_empty();
        (is_known && now.key != told.key && now.details.contains_key("invocation_id"))
            .then_some(now)
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
    if let Some(job) = failed_job(place, &facts).await {
        facts = of_job(facts, job);
    } else if is_refused(place.journal, &facts, shown.as_ref()).await {
        facts.last = START_LIMIT;
        // The refused one is counted by systemd, too.
        facts.restarts = facts.restarts.map(|n| n.saturating_sub(1));
    }
    if !matches!(facts.last, DEPENDENCY | JOB_TIMEOUT) {
        facts.journal = place
            .journal
            .tail(unit, &facts.invocation_id, place.lines)
            .await;
    }
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
            .unwrap_or(FAILED),
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

/// The job whose failure it is about: a unit that it could not start keeps the run and the result that it had,
/// and nothing but the journal tells the two apart.
async fn failed_job(place: Place<'_>, facts: &Facts) -> Option<Ended> {
    let run = &facts.invocation_id;
    let has_failed = facts.result != FAILED && !run.is_empty();
    let age = |at: Timestamp| place.now.duration_since(at).unsigned_abs();
    let mut waits = SETTLE.into_iter();
    loop {
        match place.journal.newest(&facts.unit).await.ok()? {
            Some(newest) if newest.is_of_job() => {
                // Where the run failed, that has to be noted too: else it is about to be.
                let is_about_job =
                    !has_failed || place.journal.failures(run).await.is_ok_and(|n| n > 0);
                if is_about_job && age(newest.at) < RECENT {
                    return Some(newest);
                }
            }
            Some(newest)
                if has_failed && newest.invocation_id == *run && age(facts.finished) < FRESH =>
            {
                return None;
            }
            _ => {}
        }
        tokio::time::sleep(waits.next()?).await;
    }
}

/// What is told of a job, as the watcher tells it.
fn of_job(facts: Facts, job: Ended) -> Facts {
    Facts {
        last: job.last(),
        invocation_id: job.invocation_id,
        description: facts.description,
        platform: facts.platform,
        host: facts.host,
        machine_id: facts.machine_id,
        source: facts.source,
        ..Facts::new(&facts.unit, &job.result, job.at)
    }
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
mod tests;
