use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::spec::UnitSpec;

/// What an agent published of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The unit's name.
    pub name: String,
    /// The machine.
    pub machine: String,
    /// The hash of the unit's file, empty where the agent does not know it.
    pub hash: String,
    /// `loaded`, `not-found`, …
    pub load: String,
    /// `active`, `failed`, …
    pub active: String,
    /// `running`, `auto-restart`, `failed`, …
    pub sub: String,
}

#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) ip: String,
    pub(crate) metadata: BTreeMap<String, String>,
    /// Since when its agent says nothing.
    pub(crate) silent: Option<Instant>,
}

/// A unit on a machine: as it is there, and as it was published.
#[derive(Debug)]
struct Loaded {
    now: Row,
    published: Row,
    is_hidden: bool,
}

type Hook = Box<dyn FnMut(&FleetModel, usize) + Send>;

#[derive(Default)]
pub(crate) struct State {
    pub(crate) machines: BTreeMap<String, Machine>,
    pub(crate) units: BTreeMap<String, UnitSpec>,
    /// By unit and machine, in which order fleet lists them.
    rows: BTreeMap<(String, String), Loaded>,
    pub(crate) ttl: Duration,
    pub(crate) page: usize,
    pub(crate) is_strict: bool,
    pub(crate) is_old: bool,
    hook: Option<Hook>,
    pub(crate) pages: usize,
}

impl State {
    fn is_heard(&self, machine: &str) -> bool {
        self.machines.get(machine).is_some_and(|m| self.is_known(m))
    }

    /// Its agent speaks, or has not been silent for longer than the TTL.
    pub(crate) fn is_known(&self, machine: &Machine) -> bool {
        machine
            .silent
            .is_none_or(|since| since.elapsed() < self.ttl)
    }

    /// What the API shows, in its order.
    pub(crate) fn shown(&self) -> impl Iterator<Item = &Row> {
        self.rows
            .values()
            .filter(|row| !row.is_hidden && self.is_heard(&row.published.machine))
            .map(|row| &row.published)
    }

    fn speaks(&self, machine: &str) -> bool {
        self.machines
            .get(machine)
            .is_some_and(|m| m.silent.is_none())
    }
}

/// The machines, the units and what is published of them. Clones are of the same one.
#[derive(Clone)]
pub struct FleetModel(Arc<Mutex<State>>);

impl Default for FleetModel {
    fn default() -> Self {
        Self::new()
    }
}

impl FleetModel {
    /// An empty cluster: a TTL of 30 s, 100 rows on a page.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            ttl: Duration::from_secs(30),
            page: 100,
            ..State::default()
        })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long what an agent published is shown after it fell silent. Default 30 s.
    pub fn ttl(&self, ttl: Duration) {
        self.state().ttl = ttl;
    }

    /// How many rows a page has. Default 100, which is fleet's only one.
    pub fn page_size(&self, rows: usize) {
        self.state().page = rows.max(1);
    }

    /// Tokens are of odd characters, and refused with other filters than those they were made
    /// for. Default: fleet's own tokens, which hold page and size only.
    pub fn strict_tokens(&self, yes: bool) {
        self.state().is_strict = yes;
    }

    /// Answers below `/v1-alpha` only, as old releases do.
    pub fn old_api(&self, yes: bool) {
        self.state().is_old = yes;
    }

    /// Calls this before each page of the rows is cut, with its number from 1.
    pub fn before_page(&self, hook: impl FnMut(&Self, usize) + Send + 'static) {
        self.state().hook = Some(Box::new(hook));
    }

    /// Calls nothing any more.
    pub fn no_hook(&self) {
        self.state().hook = None;
    }

    pub(crate) fn run_hook(&self, page: usize) {
        let hook = self.state().hook.take();
        if let Some(mut hook) = hook {
            hook(self, page);
            self.state().hook.get_or_insert(hook);
        }
        self.state().pages += 1;
    }

    /// How many pages of rows were asked for.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.state().pages
    }

    /// Adds a machine, or sets its address and metadata.
    pub fn machine<'a>(
        &self,
        id: &str,
        ip: &str,
        metadata: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        let metadata = metadata
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        let machine = Machine {
            ip: ip.to_owned(),
            metadata,
            silent: None,
        };
        self.state().machines.insert(id.to_owned(), machine);
    }

    /// Submits a unit, or replaces it. What is published of it stays as it is.
    pub fn unit(&self, spec: UnitSpec) {
        self.state().units.insert(spec.name.clone(), spec);
    }

    /// Schedules it to a machine, or to none.
    pub fn schedule(&self, unit: &str, machine: Option<&str>) {
        if let Some(unit) = self.state().units.get_mut(unit) {
            unit.machine = machine.map(str::to_owned);
        }
    }

    /// Sets what is wanted of it: `launched`, `loaded` or `inactive`.
    pub fn desire(&self, unit: &str, desired: &str) {
        if let Some(unit) = self.state().units.get_mut(unit) {
            desired.clone_into(&mut unit.desired);
        }
    }

    /// Replaces its file; what happens from now on has the new hash.
    pub fn redeploy(&self, unit: &str, hash: &str) {
        if let Some(unit) = self.state().units.get_mut(unit) {
            hash.clone_into(&mut unit.hash);
        }
    }

    /// Sets how a unit is on a machine. Its agent publishes that at once, or when it speaks
    /// again.
    pub fn set(&self, unit: &str, machine: &str, active: &str, sub: &str) {
        let mut state = self.state();
        let hash = state
            .units
            .get(unit)
            .map_or_else(String::new, |u| u.hash.clone());
        let now = Row {
            name: unit.to_owned(),
            machine: machine.to_owned(),
            hash,
            load: "loaded".to_owned(),
            active: active.to_owned(),
            sub: sub.to_owned(),
        };
        let speaks = state.speaks(machine);
        let key = (unit.to_owned(), machine.to_owned());
        let hidden = Loaded {
            published: now.clone(),
            now: now.clone(),
            is_hidden: true,
        };
        let row = state.rows.entry(key).or_insert(hidden);
        row.now = now;
        if speaks {
            row.published = row.now.clone();
            row.is_hidden = false;
        }
    }

    /// It runs.
    pub fn run(&self, unit: &str, machine: &str) {
        self.set(unit, machine, "active", "running");
    }

    /// It has failed.
    pub fn fail(&self, unit: &str, machine: &str) {
        self.set(unit, machine, "failed", "failed");
    }

    /// It has failed, and systemd starts it again soon.
    pub fn restart(&self, unit: &str, machine: &str) {
        self.set(unit, machine, "activating", "auto-restart");
    }

    /// It was stopped.
    pub fn stop(&self, unit: &str, machine: &str) {
        self.set(unit, machine, "inactive", "dead");
    }

    /// The agent does not know the hash of its file (coreos/fleet issue 720).
    pub fn lose_hash(&self, unit: &str, machine: &str) {
        let key = (unit.to_owned(), machine.to_owned());
        if let Some(row) = self.state().rows.get_mut(&key) {
            row.now.hash.clear();
            row.published.hash.clear();
        }
    }

    /// It is no longer loaded on a machine.
    pub fn unload(&self, unit: &str, machine: &str) {
        let key = (unit.to_owned(), machine.to_owned());
        self.state().rows.remove(&key);
    }

    /// Nobody shows a unit's rows until they are published again.
    pub fn hide(&self, unit: &str) {
        for (key, row) in &mut self.state().rows {
            row.is_hidden |= key.0 == unit;
        }
    }

    /// The agents publish what was [hidden](Self::hide).
    pub fn publish(&self, unit: &str) {
        let mut state = self.state();
        let silent: Vec<String> = state
            .machines
            .iter()
            .filter(|(_, m)| m.silent.is_some())
            .map(|(id, _)| id.clone())
            .collect();
        for (key, row) in &mut state.rows {
            if key.0 == unit && !silent.contains(&key.1) {
                row.is_hidden = false;
                row.published = row.now.clone();
            }
        }
    }

    /// Removes a unit, and all that is published of it.
    pub fn destroy(&self, unit: &str) {
        let mut state = self.state();
        state.units.remove(unit);
        state.rows.retain(|key, _| key.0 != unit);
    }

    /// A machine's agent falls silent: what it published is shown until the TTL is over.
    pub fn agent_down(&self, machine: &str) {
        if let Some(machine) = self.state().machines.get_mut(machine) {
            machine.silent.get_or_insert_with(Instant::now);
        }
    }

    /// The agent speaks again, and publishes how its units are now.
    pub fn agent_up(&self, machine: &str) {
        let mut state = self.state();
        if let Some(machine) = state.machines.get_mut(machine) {
            machine.silent = None;
        }
        for (key, row) in &mut state.rows {
            if key.1 == machine {
                row.published = row.now.clone();
                row.is_hidden = false;
            }
        }
    }

    /// A machine is gone with all that ran on it, and nothing of it is shown.
    pub fn lose_machine(&self, machine: &str) {
        let mut state = self.state();
        state.machines.remove(machine);
        state.rows.retain(|key, _| key.1 != machine);
    }

    /// What the API shows now, in its order.
    #[must_use]
    pub fn visible(&self) -> Vec<Row> {
        self.state().shown().cloned().collect()
    }
}

impl fmt::Debug for FleetModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("FleetModel")
            .field("machines", &state.machines.len())
            .field("units", &state.units.len())
            .field("rows", &state.rows.len())
            .finish_non_exhaustive()
    }
}
