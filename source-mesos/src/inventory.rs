//! The tasks that live. Updates in the stream of events name a task by its id only: its
//! name, labels and image are known from the snapshot, or from when it was added.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::state::{Seconds, Status, Task, UNREACHABLE, event::Update, is_alive};

/// The last word on a task may come this much later than that it ended: a scheduler has
/// to acknowledge earlier ones first.
const LINGER: Duration = Duration::from_secs(10 * 60);
/// How often those that ended are looked for.
const CLEAN: Duration = Duration::from_secs(60);

/// All tasks of a cluster that live, or ended a short time ago. There may be a hundred
/// thousand: each is one packed block of memory.
#[derive(Debug)]
pub(crate) struct Inventory {
    frameworks: HashMap<Arc<str>, HashMap<Box<str>, Entry>>,
    labels: Pool,
    /// Which snapshot is the last one.
    generation: u32,
    begun: Instant,
    cleaned: Instant,
}

#[derive(Debug)]
struct Entry {
    packed: Packed,
    labels: Box<[Arc<Label>]>,
    /// The time of the first status.
    started: Option<Seconds>,
    /// Since when its agent cannot be reached.
    unreachable: Option<Seconds>,
    generation: u32,
    /// In seconds since the inventory began.
    ended: Option<u32>,
}

impl Inventory {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            frameworks: HashMap::new(),
            labels: Pool::default(),
            generation: 0,
            begun: now,
            cleaned: now,
        }
    }

    /// A snapshot begins: tasks that it does not tell of are forgotten at its end.
    pub(crate) fn begin(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// The snapshot is whole.
    pub(crate) fn end(&mut self) {
        let (generation, now) = (self.generation, self.seconds());
        self.retain(|e| e.generation == generation || e.lingers(now));
    }

    fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        self.frameworks.retain(|_, tasks| {
            tasks.retain(|_, entry| keep(entry));
            if tasks.len() < tasks.capacity() / 4 {
                tasks.shrink_to_fit();
            }
            !tasks.is_empty()
        });
        self.labels.clean();
    }

    fn seconds(&self) -> u32 {
        u32::try_from(self.begun.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    /// Forgets what ended long ago, if it is time for that.
    pub(crate) fn clean(&mut self) {
        if self.cleaned.elapsed() >= CLEAN {
            self.cleaned = Instant::now();
            let now = self.seconds();
            self.retain(|e| e.ended.is_none() || e.lingers(now));
        }
    }

    /// A task as it was told whole.
    pub(crate) fn add(&mut self, task: &Task, has_ended: bool) {
        let generation = self.generation;
        let ended = has_ended.then(|| self.seconds());
        let packed = Packed::of(task);
        let labels = self.labels.of(task);
        if !self.frameworks.contains_key(&task.framework) {
            self.frameworks
                .insert(Arc::clone(&task.framework), HashMap::new());
        }
        let Some(tasks) = self.frameworks.get_mut(&task.framework) else {
            return;
        };
        let started = task.start_time();
        match tasks.get_mut(task.id.as_str()) {
            Some(entry) => {
                // What has not changed keeps its place in memory.
                if entry.packed != packed {
                    entry.packed = packed;
                }
                if entry.labels != labels {
                    entry.labels = labels;
                }
                entry.started = started;
                entry.unreachable = None;
                entry.generation = generation;
                entry.ended = ended;
            }
            None => {
                let entry = Entry {
                    packed,
                    labels,
                    started,
                    unreachable: None,
                    generation,
                    ended,
                };
                tasks.insert(task.id.as_str().into(), entry);
            }
        }
    }

    /// A task in the light of an update, or only what the update tells if it is not known.
    /// The second is true if it is known.
    pub(crate) fn update(&mut self, update: Update, has_ended: bool) -> (Task, bool) {
        let now = self.seconds();
        let entry = self
            .frameworks
            .get_mut(&*update.framework)
            .and_then(|tasks| tasks.get_mut(update.task.as_str()));
        let is_known = entry.is_some();
        let mut task = match entry {
            Some(entry) => {
                if has_ended {
                    entry.ended = Some(now);
                }
                let mut task = entry.packed.unpack();
                task.labels = entry.labels.iter().map(|l| l.unpack()).collect();
                if !update.containers.is_empty() && task.containers != update.containers {
                    task.containers.clone_from(&update.containers);
                    entry.packed = Packed::of(&task);
                }
                match (entry.started, &update.status) {
                    (Some(started), _) => task.statuses.push(bare("TASK_RUNNING", started)),
                    (None, Some(status)) if !has_ended => entry.started = status.time,
                    _ => {}
                }
                if let Some(since) = entry.unreachable {
                    task.statuses.push(bare(UNREACHABLE, since));
                }
                match &update.status {
                    Some(s) if is_alive(&s.state) => entry.unreachable = None,
                    Some(s) if s.state == UNREACHABLE => entry.unreachable = s.time,
                    _ => {}
                }
                task
            }
            None => Task {
                name: update.task.clone(),
                containers: update.containers,
                ..Task::default()
            },
        };
        task.framework = update.framework.as_str().into();
        task.id = update.task;
        if !update.agent.is_empty() {
            task.agent = update.agent;
        }
        // The agent calls the executor of a command task like the task.
        if !update.executor.is_empty() && update.executor != task.id {
            task.executor = update.executor;
        }
        task.state = update.state;
        if let Some(status) = update.status {
            task.state.clone_from(&status.state);
            task.statuses.push(status);
        }
        (task, is_known)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.frameworks.values().map(HashMap::len).sum()
    }
}

impl Entry {
    fn lingers(&self, now: u32) -> bool {
        self.ended
            .is_some_and(|at| u64::from(now.saturating_sub(at)) <= LINGER.as_secs())
    }
}

/// Of an earlier status only the time is of use.
fn bare(state: &str, time: Seconds) -> Status {
    Status {
        state: state.to_owned(),
        time: Some(time),
        ..Status::default()
    }
}

/// A label. Most are those of many tasks, and kept once for all of them.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Label(Box<[u8]>);

impl Label {
    fn of(key: &str, value: &str) -> Self {
        let mut out = Vec::with_capacity(key.len() + value.len() + 4);
        put(&mut out, key);
        put(&mut out, value);
        Self(out.into_boxed_slice())
    }

    fn unpack(&self) -> (String, String) {
        let mut rest = &*self.0;
        let key = take(&mut rest);
        (key, take(&mut rest))
    }
}

/// All labels that are in use.
#[derive(Debug, Default)]
struct Pool(HashSet<Arc<Label>>);

impl Pool {
    fn of(&mut self, task: &Task) -> Box<[Arc<Label>]> {
        let labels = task.labels.iter().map(|(key, value)| {
            let label = Label::of(key, value);
            if let Some(known) = self.0.get(&label) {
                return Arc::clone(known);
            }
            let label = Arc::new(label);
            self.0.insert(Arc::clone(&label));
            label
        });
        labels.collect()
    }

    fn clean(&mut self) {
        self.0.retain(|label| Arc::strong_count(label) > 1);
        if self.0.len() < self.0.capacity() / 4 {
            self.0.shrink_to_fit();
        }
    }
}

/// What is to be known of a task beside its labels, in one piece: texts, each after its length.
#[derive(Debug, PartialEq, Eq)]
struct Packed(Box<[u8]>);

impl Packed {
    fn of(task: &Task) -> Self {
        let mut out = Vec::with_capacity(256);
        for text in [&task.name, &task.agent, &task.executor, &task.image] {
            put(&mut out, text);
        }
        put_length(&mut out, task.containers.len());
        for id in &task.containers {
            put(&mut out, id);
        }
        Self(out.into_boxed_slice())
    }

    fn unpack(&self) -> Task {
        let mut rest = &*self.0;
        let mut text = || take(&mut rest);
        let mut task = Task {
            name: text(),
            agent: text(),
            executor: text(),
            image: text(),
            ..Task::default()
        };
        let containers = take_length(&mut rest);
        task.containers = (0..containers).map(|_| take(&mut rest)).collect();
        task
    }
}

/// Seven bits a byte, the lowest first; the eighth says that there are more.
fn put_length(out: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn put(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn take_length(rest: &mut &[u8]) -> usize {
    let (mut n, mut shift) = (0, 0);
    while let Some((byte, left)) = rest.split_first() {
        *rest = left;
        n |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    n
}

fn take(rest: &mut &[u8]) -> String {
    let n = take_length(rest).min(rest.len());
    let (text, left) = rest.split_at(n);
    *rest = left;
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::collections::BTreeMap;

    use super::*;

    fn task(id: &str) -> Task {
        Task {
            framework: "F".into(),
            id: id.into(),
            name: "web".into(),
            agent: "S1".into(),
            image: "nginx".into(),
            labels: BTreeMap::from([("team".into(), "a".repeat(300))]),
            statuses: vec![bare("TASK_RUNNING", Seconds::new(5.0).unwrap())],
            ..Task::default()
        }
    }

    fn update(id: &str, state: &str) -> Update {
        let status = Status {
            state: state.into(),
            time: Seconds::new(7.0),
            ..Status::default()
        };
        Update {
            framework: "F".into(),
            task: id.into(),
            state: state.into(),
            status: Some(status),
            executor: id.into(),
            containers: vec!["root".into()],
            ..Update::default()
        }
    }

    #[test]
    fn an_update_is_completed_by_what_is_known() {
        let mut all = Inventory::new();
        all.add(&task("a"), false);
        let (died, is_known) = all.update(update("a", "TASK_FAILED"), true);
        assert!(is_known);
        assert_eq!((died.name.as_str(), died.image.as_str()), ("web", "nginx"));
        assert_eq!(died.labels["team"].len(), 300);
        assert_eq!(died.executor, "");
        assert_eq!(died.containers, ["root"]);
        assert_eq!(died.start_time().unwrap().millis(), 5000);
        assert_eq!(died.death_time().unwrap().millis(), 7000);
        // The last word may come twice.
        assert!(all.update(update("a", "TASK_FAILED"), true).1);
    }

    #[test]
    fn of_an_unknown_task_only_the_update_is_told() {
        let (died, is_known) = Inventory::new().update(update("b", "TASK_LOST"), true);
        assert!(!is_known);
        assert_eq!((&*died.framework, died.id.as_str()), ("F", "b"));
        assert_eq!(died.state, "TASK_LOST");
    }

    #[tokio::test(start_paused = true)]
    async fn what_ended_lingers_and_what_is_not_listed_goes() {
        let mut all = Inventory::new();
        all.begin();
        for id in ["a", "b", "c"] {
            all.add(&task(id), false);
        }
        all.end();
        all.update(update("a", "TASK_FAILED"), true);
        all.begin();
        all.add(&task("b"), false);
        all.end();
        assert_eq!(all.len(), 2);
        tokio::time::advance(LINGER + CLEAN).await;
        all.clean();
        assert_eq!(all.len(), 1);
        assert!(all.update(update("b", "TASK_FAILED"), true).1);
    }

    proptest! {
        #[test]
        fn labels_are_kept_once_and_lost_never(
            sets in prop::collection::vec(prop::collection::btree_map("[ab]", ".{0,3}", 0..3), 1..6),
        ) {
            let mut all = Inventory::new();
            for (n, labels) in sets.iter().enumerate() {
                all.add(&Task { labels: labels.clone(), ..task(&n.to_string()) }, false);
            }
            let distinct: HashSet<_> = sets.iter().flatten().collect();
            prop_assert_eq!(all.labels.0.len(), distinct.len());
            for (n, labels) in sets.into_iter().enumerate() {
                let (task, _) = all.update(update(&n.to_string(), "TASK_RUNNING"), false);
                prop_assert_eq!(task.labels, labels);
            }
            all.begin();
            all.end();
            prop_assert!(all.labels.0.is_empty());
        }

        #[test]
        fn packing_loses_nothing(
            name in ".*", agent in ".*", executor in ".*", image in ".*",
            containers in prop::collection::vec(".*", 0..4),
        ) {
            let task = Task { name, agent, executor, image, containers, ..Task::default() };
            prop_assert_eq!(Packed::of(&task).unpack(), task);
        }
    }
}
