//! A task in its JSON, and which tasks are read whole.

use std::{collections::BTreeMap, sync::Arc};

use super::{Filter, Task, image, is_alive, lenient, status};
use crate::json::{glance, pick};

/// A list a task can be in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shelf {
    Current,
    Unreachable,
    Completed,
}

/// Keeps the tasks that may be wanted.
#[derive(Debug)]
pub(super) struct Sieve<F> {
    filter: F,
    /// The key of a task's id.
    id: &'static str,
    /// The tasks that are alive, if they are wanted.
    pub(super) live: Option<Vec<Task>>,
    kept: [Vec<Task>; 3],
    /// Tasks that could not be read.
    pub(super) skipped: usize,
    /// Most tasks that follow one another are of one framework.
    framework: Arc<str>,
}

impl<F: Filter> Sieve<F> {
    pub(super) fn new(filter: F, id: &'static str) -> Self {
        Self {
            filter,
            id,
            live: None,
            kept: Default::default(),
            skipped: 0,
            framework: Arc::default(),
        }
    }

    /// A task in a list. Those that are alive are the bulk of a state: at first only a look.
    pub(super) fn pass(&mut self, shelf: Shelf, raw: &[u8]) {
        let wanted = match glance(raw, [self.id, "state"]) {
            Some([id, state]) if !is_blank(id) && !is_blank(state) => self.wants(state),
            _ => None,
        };
        let Some((is_wanted, is_live)) = wanted else {
            self.skipped += 1;
            return;
        };
        if !is_wanted {
            return;
        }
        let Some(mut task) = Task::read(raw) else {
            self.skipped += 1;
            return;
        };
        if self.framework == task.framework {
            task.framework = Arc::clone(&self.framework);
        } else {
            self.framework = Arc::clone(&task.framework);
        }
        match &mut self.live {
            Some(live) if is_live => live.push(task),
            _ => self.kept[shelf as usize].push(task),
        }
    }

    /// Whether a task in this state is wanted, and is alive; nothing if that is no state.
    fn wants(&self, state: &[u8]) -> Option<(bool, bool)> {
        let read;
        let state = match lenient::plain(state) {
            Some(state) => state,
            None => {
                read = lenient::string(state);
                &read
            }
        };
        if state.is_empty() {
            None
        } else if is_alive(state) {
            Some((self.live.is_some(), true))
        } else {
            Some((self.filter.may_want(state), false))
        }
    }

    /// The tasks kept so far, the current ones first.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Task> {
        self.kept.iter_mut().flat_map(std::mem::take)
    }
}

/// True for an id or a state that says nothing.
fn is_blank(raw: &[u8]) -> bool {
    match raw {
        [b'"', inner @ .., b'"'] => inner.is_empty(),
        _ => lenient::id(raw).is_empty(),
    }
}

impl Task {
    /// The task of this JSON, with the framework it names itself; nothing if it cannot be read.
    /// In the older form the ids are text and some have other names.
    pub(super) fn read(raw: &[u8]) -> Option<Self> {
        let [id, task_id, slave_id, agent_id, rest @ ..] = pick(
            raw,
            [
                "id",
                "task_id",
                "slave_id",
                "agent_id",
                "executor_id",
                "framework_id",
                "name",
                "state",
                "labels",
                "container",
                "statuses",
            ],
        )?;
        let [
            executor,
            framework,
            name,
            state,
            labels,
            container,
            statuses,
        ] = rest;
        let id_of = |raw: Option<&[u8]>| raw.map(lenient::id).unwrap_or_default();
        let either = |ids: [Option<&[u8]>; 2]| {
            let mut ids = ids.into_iter().map(id_of);
            ids.find(|id| !id.is_empty()).unwrap_or_default()
        };
        let text_of = |raw: Option<&[u8]>| raw.map(lenient::string).unwrap_or_default();
        let image = container.map_or_else(|| Some(String::new()), image::read)?;
        let (statuses, containers) =
            statuses.map_or_else(|| Some(Default::default()), status::read)?;
        Some(Self {
            framework: id_of(framework).into(),
            framework_name: Arc::default(),
            id: either([id, task_id]),
            name: text_of(name),
            agent: either([slave_id, agent_id]),
            executor: id_of(executor),
            state: text_of(state),
            labels: labels.map_or_else(|| Some(BTreeMap::new()), lenient::labels)?,
            image,
            statuses,
            containers,
        })
    }
}
