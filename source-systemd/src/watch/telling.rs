//! From what was seen of a failure to what is told of it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use notifier_core::{FailureRecord, jiff::Timestamp};
use tokio::time::Instant;

use crate::{
    bus::{Bus, Description},
    journal::Ended,
    labels::{self, Scope},
    record::{Facts, START_LIMIT, UNSEEN},
    source::Config,
    unit::Observation,
};

/// What failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    /// A run, as the bus shows it.
    Run,
    /// A further start, which systemd refuses.
    Limit,
    /// A job of this number, before there was a run: its result.
    Job(u32, &'static str),
    /// A run or a job, as the journal has it.
    Noted(Box<Ended>),
    /// So many runs, of which nobody knows more. Those that are started again whatever happens may have ended
    /// well: then it is told only if `is_certain`.
    Unseen { runs: u32, is_certain: bool },
}

/// A failure that was seen.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) unit: String,
    pub(crate) what: What,
    /// The run, or that before it.
    pub(crate) invocation_id: String,
    /// What the bus showed.
    pub(crate) seen: Observation,
    pub(crate) finished: Timestamp,
    pub(crate) will_restart: Option<bool>,
    /// When it is complete: what systemd does next comes right behind.
    pub(crate) due: Instant,
    /// When it was seen, by the clock.
    pub(crate) noticed: Timestamp,
}

impl Pending {
    /// Which failure of the run it is: the last part of its key.
    pub(crate) fn last(&self) -> &'static str {
        match &self.what {
            What::Run => "",
            What::Limit => START_LIMIT,
            What::Job(_, result) => result,
            What::Noted(ended) => ended.last(),
            What::Unseen { .. } => UNSEEN,
        }
    }
}

/// The machine that is watched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    /// 32 hexadecimal digits.
    pub(crate) id: String,
    /// The same for this boot.
    pub(crate) boot_id: String,
    pub(crate) host: String,
}

/// All that is needed to tell.
#[derive(Clone, Debug)]
pub(crate) struct Teller {
    pub(crate) config: Arc<Config>,
    pub(crate) machine: Arc<Machine>,
    /// None while there is no link.
    pub(crate) bus: Option<Arc<Bus>>,
}

impl Teller {
    /// What is told, or nothing if the unit is not one that is watched. `known`: how the unit was described
    /// while it was there.
    pub(crate) async fn tell(
        self,
        pending: Pending,
        known: Option<Arc<Description>>,
    ) -> Option<FailureRecord> {
        let about = self.describe(&pending.unit, known).await;
        if let What::Unseen { is_certain, .. } = pending.what {
            let restart = about.properties.get("Restart").map_or("", String::as_str);
            if !is_certain && !restart.starts_with("on-") {
                return None;
            }
        }
        // What cannot be known any more counts as chosen: a failure that is lost is worse than one too many.
        if about.is_loaded && !self.config.choice.takes_properties(&about.properties) {
            return None;
        }
        let mut facts = self.facts(&pending);
        facts.description.clone_from(&about.description);
        facts.platform = self.platform(&about).await;
        facts.labels = self.labels(&pending.unit, &about).await;
        let has_run = match &pending.what {
            What::Run | What::Limit => true,
            What::Noted(ended) => !ended.is_of_job(),
            What::Job(..) | What::Unseen { .. } => false,
        };
        if has_run {
            let journal = &self.config.journal;
            facts.journal = journal
                .tail(&pending.unit, &pending.invocation_id, self.config.lines)
                .await;
        }
        Some(facts.record())
    }

    async fn describe(&self, unit: &str, known: Option<Arc<Description>>) -> Description {
        let now = match &self.bus {
            Some(bus) => bus.describe(unit, &self.names()).await,
            None => Ok(Description::default()),
        };
        let now = now.unwrap_or_else(|e| {
            tracing::info!(
                unit,
                "a unit that failed cannot be described: {}",
                e.report()
            );
            Description::default()
        });
        match known {
            Some(known) if !now.is_loaded => Description::clone(&known),
            _ => now,
        }
    }

    /// The properties that are asked for.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = self.config.choice.names();
        names.push("Restart".to_owned());
        names
    }

    fn facts(&self, pending: &Pending) -> Facts {
        let seen = &pending.seen;
        let result = match &pending.what {
            What::Run | What::Limit => seen.result.as_str(),
            What::Job(_, result) => result,
            What::Noted(ended) => ended.result.as_str(),
            What::Unseen { .. } => UNSEEN,
        };
        let mut f = Facts::new(&pending.unit, result, pending.finished);
        f.invocation_id.clone_from(&pending.invocation_id);
        f.last = pending.last();
        f.machine_id.clone_from(&self.machine.id);
        f.host.clone_from(&self.machine.host);
        f.source.clone_from(&self.config.name);
        f.will_restart = pending.will_restart;
        match &pending.what {
            What::Run | What::Limit => {
                f.exit = seen.exit;
                f.restarts = Some(match pending.what {
                    // The refused one is counted by systemd, too.
                    What::Limit => seen.restarts.saturating_sub(1),
                    _ => seen.restarts,
                });
                f.started = seen.started;
                f.main_pid = seen.main_pid;
                f.status_text.clone_from(&seen.status_text);
            }
            What::Noted(ended) => {
                f.exit = ended.exit;
            }
            What::Unseen { runs, .. } => f.unseen = *runs,
            What::Job(..) => {}
        }
        f
    }

    async fn platform(&self, about: &Description) -> String {
        if let Some(platform) = &self.config.platform {
            return platform.clone();
        }
        let own = about.environment.iter().rev();
        if let Some(platform) = own.filter_map(|v| v.strip_prefix("PLATFORM=")).next() {
            return platform.to_owned();
        }
        let mut files = self.config.environment_files.clone();
        files.extend(about.environment_files.iter().map(PathBuf::from));
        let mut variables = labels::variables(&files).await;
        variables.remove("PLATFORM").unwrap_or_default()
    }

    async fn labels(
        &self,
        unit: &str,
        about: &Description,
    ) -> std::collections::BTreeMap<String, String> {
        let drop_ins: Vec<PathBuf> = about.drop_ins.iter().map(PathBuf::from).collect();
        let files = labels::Files {
            fragment: about.fragment.as_deref().map(Path::new),
            drop_ins: &drop_ins,
            environment_files: &self.config.environment_files,
        };
        let scope = Scope::new(unit, &self.machine.host);
        let mut labels = labels::of(scope, files, &self.config.prefixes).await;
        if let Some(file) = &self.config.choice.file {
            file.add(unit, &mut labels);
        }
        labels
    }
}

/// How units were described while they were there.
pub(crate) type Described = HashMap<String, Arc<Description>>;
