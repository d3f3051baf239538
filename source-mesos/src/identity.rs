//! What makes a death unique, and deaths that are seen before their status is told.

use std::collections::{HashMap, HashSet};

use notifier_core::{FailureKey, jiff::Timestamp};
use serde::{Deserialize, Serialize};

use crate::state::{Seconds, Task};

/// By how much the status of a death that was seen without one may be later than that:
/// the clocks of agents differ. A status later than this is of another death.
const SKEW_MS: i64 = 5 * 60 * 1000;
/// For how long a death is remembered under its first key after it left the listing. A
/// new leader may take long to learn of all its tasks again.
const KEEP_MS: i64 = 24 * 60 * 60 * 1000;
/// How many deaths are remembered. Those beyond have a key without a time.
const MAX: usize = 10_000;

/// In place of a time in the key of a death that found no room.
const BEYOND: &str = "seen";

/// What a death has in common with those of the same task id, on the same agent, of the
/// same kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Victim {
    framework: String,
    task: String,
    agent: String,
    state: String,
}

impl Victim {
    pub(crate) fn of(task: &Task) -> Self {
        Self {
            framework: task.framework.as_ref().to_owned(),
            task: task.id.clone(),
            agent: task.agent.clone(),
            state: task.state.clone(),
        }
    }

    fn key(&self, cluster: &str, time: &str) -> FailureKey {
        FailureKey::of_parts([
            cluster,
            &self.framework,
            &self.task,
            &self.agent,
            &self.state,
            time,
        ])
    }
}

/// The identity of a listed death.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Identity {
    pub(crate) key: FailureKey,
    /// Of the status, in milliseconds; `None` if no status told it.
    pub(crate) status_ms: Option<i64>,
    /// When it was seen first, in milliseconds, if no status told it.
    pub(crate) seen_ms: Option<i64>,
    /// For people: the time of the status in whole seconds, or when it was seen first.
    pub(crate) finished: Timestamp,
}

/// A death that was seen without a status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sighting {
    #[serde(flatten)]
    victim: Victim,
    key: FailureKey,
    /// When it was seen first, in milliseconds.
    seen: i64,
    /// The time of the status that came later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<i64>,
    /// The newest status of another death of this victim: the right one is newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<i64>,
    /// Since when it is not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone: Option<i64>,
}

/// All deaths that were seen without a status, and the statuses they got.
///
/// Such a death is keyed by the time it was seen. When its entry leaves the listing and a
/// new status of the same victim appears, that is its status: it keeps the first key,
/// for as long as it is listed.
///
/// The memory is bounded: a death without a status that finds no room in it has a key
/// without a time. It is told once, but maybe again when its status comes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sightings(
    Vec<Sighting>,
    /// Those listed now that found no room: they keep their keys when there is some.
    #[serde(skip)]
    HashSet<FailureKey>,
);

impl Sightings {
    /// The identities of all listed deaths, in their order. `now` is in milliseconds.
    pub(crate) fn identify<'a>(
        &mut self,
        cluster: &str,
        now: i64,
        deaths: impl IntoIterator<Item = &'a Task>,
    ) -> Vec<Identity> {
        let deaths: Vec<(&Task, Option<Seconds>)> = deaths
            .into_iter()
            .map(|task| (task, task.death_time()))
            .collect();
        // Most victims need no memory: those with a status, of which none was seen without.
        let mut groups: HashMap<Victim, Vec<usize>> = self
            .0
            .iter()
            .map(|s| (s.victim.clone(), Vec::new()))
            .collect();
        for (task, time) in &deaths {
            if time.is_none() {
                groups.entry(Victim::of(task)).or_default();
            }
        }
        let mut out: Vec<Option<Identity>> = vec![None; deaths.len()];
        for (at, (task, time)) in deaths.iter().enumerate() {
            let victim = Victim::of(task);
            if let Some(group) = groups.get_mut(&victim) {
                group.push(at);
            } else if let Some(time) = time {
                out[at] = Some(plain(cluster, &victim, *time));
            }
        }
        let known = self.0.len();
        let mut room = Room {
            left: MAX.saturating_sub(known),
            before: std::mem::take(&mut self.1),
            beyond: HashSet::new(),
        };
        let mut memory: HashMap<Victim, Vec<Sighting>> = HashMap::new();
        for sighting in self.0.drain(..) {
            memory
                .entry(sighting.victim.clone())
                .or_default()
                .push(sighting);
        }
        for (victim, group) in groups {
            let known = memory.remove(&victim).unwrap_or_default();
            let times: Vec<Option<Seconds>> = group.iter().map(|at| deaths[*at].1).collect();
            let (identities, kept) =
                identify_group(cluster, now, &victim, known, &times, &mut room);
            for (at, identity) in group.into_iter().zip(identities) {
                out[at] = Some(identity);
            }
            self.0.extend(kept);
        }
        if !room.beyond.is_empty() && room.before.is_empty() {
            tracing::warn!(
                remembered = MAX,
                beyond = room.beyond.len(),
                "too many failures without a status; some may be told again when theirs comes"
            );
        }
        self.1 = room.beyond;
        // A stable order, so that an unchanged memory makes an unchanged cursor.
        self.0
            .sort_by(|a, b| (a.seen, &a.key).cmp(&(b.seen, &b.key)));
        out.into_iter().flatten().collect()
    }
}

impl Sightings {
    /// The identity of one death that a status tells, apart from any listing: if it was
    /// seen without one before, it is that death. Updates come in order, so that another death
    /// cannot be told before, whatever the clock of its agent says.
    pub(crate) fn bind(&mut self, cluster: &str, task: &Task, time: Seconds) -> Identity {
        let victim = Victim::of(task);
        let mut identity = plain(cluster, &victim, time);
        let ms = time.millis();
        let is_it = |s: &&mut Sighting| s.victim == victim && s.status == Some(ms);
        let fits = |s: &&mut Sighting| {
            s.victim == victim && s.status.is_none() && s.after.is_none_or(|after| ms > after)
        };
        if let Some(known) = self.0.iter_mut().find(is_it) {
            identity.key = known.key.clone();
        } else if let Some(open) = self.0.iter_mut().filter(fits).min_by_key(|s| s.seen) {
            open.status = Some(ms);
            open.gone = None;
            identity.key = open.key.clone();
        }
        identity
    }
}

/// The room for deaths not seen before.
struct Room {
    left: usize,
    /// Keys of the last listing that found none.
    before: HashSet<FailureKey>,
    /// And of this one.
    beyond: HashSet<FailureKey>,
}

fn plain(cluster: &str, victim: &Victim, time: Seconds) -> Identity {
    Identity {
        key: victim.key(cluster, &time.millis().to_string()),
        status_ms: Some(time.millis()),
        seen_ms: None,
        finished: Timestamp::from_second(time.whole()).unwrap_or(Timestamp::MAX),
    }
}

/// The deaths of one victim, `None` for those without a status.
fn identify_group(
    cluster: &str,
    now: i64,
    victim: &Victim,
    known: Vec<Sighting>,
    times: &[Option<Seconds>],
    room: &mut Room,
) -> (Vec<Identity>, Vec<Sighting>) {
    let listed: HashSet<i64> = times.iter().flatten().map(|t| t.millis()).collect();
    let (mut bound, mut open): (Vec<_>, Vec<_>) = known
        .into_iter()
        .filter(|s| {
            s.gone
                .is_none_or(|gone| now.saturating_sub(gone) <= KEEP_MS)
        })
        .partition(|s| s.status.is_some());
    let without = times.iter().filter(|t| t.is_none()).count();

    // Entries that left: the oldest first, those that had left before at the very first.
    let order = |s: &Sighting| (s.seen, s.key.clone());
    open.sort_by_cached_key(|s| (s.gone.is_none(), order(s)));
    let mut free: Vec<i64> = listed.iter().copied().collect();
    let taken: HashSet<i64> = bound.iter().filter_map(|s| s.status).collect();
    free.retain(|ms| !taken.contains(ms));
    free.sort_unstable();
    let mut leaving = open.len().saturating_sub(without);
    let mut still = Vec::with_capacity(open.len());
    for mut s in open {
        // Of the statuses that are new the oldest one.
        let first = s.after.map_or(0, |a| free.partition_point(|ms| *ms <= a));
        let fits = free
            .get(first)
            .is_some_and(|ms| *ms <= s.seen.saturating_add(SKEW_MS));
        if leaving > 0 && fits {
            s.status = Some(free.remove(first));
            bound.push(s);
            leaving -= 1;
        } else {
            still.push(s);
        }
    }
    let mut open = still;
    // Those still open and not listed are missing; they may come back for a while.
    let missing = open.len().saturating_sub(without);
    for s in &mut open[..missing] {
        s.gone.get_or_insert(now);
    }
    for s in &mut open[missing..] {
        s.gone = None;
    }
    let lost: Vec<Sighting> = open.drain(..missing).collect();
    // What stands beside a death without a status is not its status.
    let newest = times.iter().flatten().map(|t| t.millis()).max();
    for n in open.len()..without {
        let nth = |time: String| match n {
            0 => victim.key(cluster, &time),
            n => victim.key(cluster, &format!("{time} {n}")),
        };
        // Whoever found no room keeps the key of that.
        if room.left == 0 || (!room.before.is_empty() && room.before.contains(&nth(BEYOND.into())))
        {
            break;
        }
        room.left -= 1;
        open.push(Sighting {
            victim: victim.clone(),
            key: nth(format!("seen {now}")),
            seen: now,
            status: None,
            after: None,
            gone: None,
        });
    }
    open.sort_by_cached_key(order);
    for s in &mut open {
        s.after = s.after.max(newest);
    }
    for s in &mut bound {
        s.gone = if s.status.is_some_and(|ms| listed.contains(&ms)) {
            None
        } else {
            s.gone.or(Some(now))
        };
    }

    let names: HashMap<i64, &FailureKey> = bound
        .iter()
        .filter_map(|s| Some((s.status?, &s.key)))
        .collect();
    let mut unnamed = open.iter().map(|s| (s.key.clone(), s.seen));
    let mut beyond = 0;
    let identities = times
        .iter()
        .map(|time| match time {
            Some(time) => {
                let mut identity = plain(cluster, victim, *time);
                if let Some(key) = names.get(&time.millis()) {
                    identity.key = FailureKey::clone(key);
                }
                identity
            }
            None => {
                let (key, seen) = unnamed.next().unwrap_or_else(|| {
                    let nth = open.len() + beyond;
                    beyond += 1;
                    let key = match nth {
                        0 => victim.key(cluster, BEYOND),
                        n => victim.key(cluster, &format!("{BEYOND} {n}")),
                    };
                    room.beyond.insert(key.clone());
                    (key, now)
                });
                let finished = Timestamp::from_millisecond(seen)
                    .and_then(|t| Timestamp::from_second(t.as_second()))
                    .unwrap_or(Timestamp::MAX);
                Identity {
                    key,
                    status_ms: None,
                    seen_ms: Some(seen),
                    finished,
                }
            }
        })
        .collect();

    (
        identities,
        lost.into_iter().chain(open).chain(bound).collect(),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::Status;

    const NOW: i64 = 1_466_138_480_000;

    /// A task that died at so many seconds, or of which no status tells that.
    fn dead(id: &str, at: Option<f64>) -> Task {
        let mut statuses = vec![Status {
            state: "TASK_RUNNING".into(),
            time: Seconds::new(1.0),
            ..Status::default()
        }];
        if at.is_some() {
            statuses.push(Status {
                state: "TASK_FAILED".into(),
                time: at.and_then(Seconds::new),
                ..Status::default()
            });
        }
        Task {
            framework: "F".into(),
            id: id.into(),
            agent: "S".into(),
            state: "TASK_FAILED".into(),
            statuses,
            ..Task::default()
        }
    }

    fn keys(s: &mut Sightings, now: i64, deaths: &[Option<f64>]) -> Vec<FailureKey> {
        let tasks: Vec<Task> = deaths.iter().map(|at| dead("a", *at)).collect();
        s.identify("c", now, &tasks)
            .into_iter()
            .map(|i| i.key)
            .collect()
    }

    #[test]
    fn every_part_counts() {
        let base = dead("a", Some(7.25));
        let key = |cluster: &str, task: &Task| {
            Sightings::default()
                .identify(cluster, NOW, [task])
                .remove(0)
                .key
        };
        let first = key("c", &base);
        assert_eq!(
            first,
            FailureKey::of_parts(["c", "F", "a", "S", "TASK_FAILED", "7250"])
        );
        let others = [
            key("d", &base),
            key(
                "c",
                &Task {
                    framework: "G".into(),
                    ..base.clone()
                },
            ),
            key(
                "c",
                &Task {
                    id: "b".into(),
                    ..base.clone()
                },
            ),
            key(
                "c",
                &Task {
                    agent: "T".into(),
                    ..base.clone()
                },
            ),
            key("c", &dead("a", Some(7.251))),
            key("c", &dead("a", None)),
        ];
        for other in &others {
            assert_ne!(other, &first);
        }
        // What does not count: name, labels, list, status before the last.
        assert_eq!(
            key(
                "c",
                &Task {
                    name: "x".into(),
                    executor: "e".into(),
                    ..base
                }
            ),
            first
        );
    }

    #[test]
    fn a_status_apart_from_a_listing_binds_to_what_was_seen() {
        let mut s = Sightings::default();
        let seen = keys(&mut s, NOW, &[None]);
        let at = NOW as f64 / 1000.0;
        let bound = |s: &mut Sightings, at: f64| {
            let task = dead("a", Some(at));
            s.bind("c", &task, Seconds::new(at).unwrap()).key
        };
        assert_eq!(bound(&mut s, at - 3.0), seen[0]);
        assert_eq!(bound(&mut s, at - 3.0), seen[0]);
        // The listing that follows agrees, and another death is another one.
        assert_eq!(keys(&mut s, NOW + 1000, &[Some(at - 3.0)]), seen);
        assert_ne!(bound(&mut s, at + 9.0), seen[0]);
        // The clock of the agent is far ahead.
        let mut s = Sightings::default();
        let seen = keys(&mut s, NOW, &[None]);
        assert_eq!(bound(&mut s, at + 86_400.0), seen[0]);
    }

    #[test]
    fn times_are_told_in_whole_seconds() {
        let i = Sightings::default()
            .identify("c", NOW, [&dead("a", Some(7.75))])
            .remove(0);
        assert_eq!(
            (i.finished.as_millisecond(), i.status_ms),
            (7000, Some(7750))
        );
        let i = Sightings::default()
            .identify("c", NOW + 600, [&dead("a", None)])
            .remove(0);
        assert_eq!((i.finished.as_millisecond(), i.status_ms), (NOW, None));
    }

    #[test]
    fn a_later_status_is_the_same_death() {
        let mut s = Sightings::default();
        let first = keys(&mut s, NOW, &[None]);
        assert_eq!(keys(&mut s, NOW + 5000, &[None]), first);
        assert_eq!(keys(&mut s, NOW + 10_000, &[Some(9.0)]), first);
        // And stays so.
        assert_eq!(keys(&mut s, NOW + 15_000, &[Some(9.0)]), first);
        // The next death of the same id is another one.
        let both = keys(&mut s, NOW + 20_000, &[Some(9.0), Some(20.0)]);
        assert_eq!(both[0], first[0]);
        assert_eq!(
            both[1],
            FailureKey::of_parts(["c", "F", "a", "S", "TASK_FAILED", "20000"])
        );
    }

    #[test]
    fn an_older_death_is_not_taken_for_the_status() {
        let mut s = Sightings::default();
        let old = keys(&mut s, NOW, &[Some(3.0)]).remove(0);
        let two = keys(&mut s, NOW + 1, &[Some(3.0), None]);
        assert_eq!(two[0], old);
        // The status comes while the old death is still listed.
        assert_eq!(
            keys(&mut s, NOW + 2, &[Some(8.0), Some(3.0)]),
            [two[1].clone(), old]
        );
    }

    #[test]
    fn a_death_beside_one_without_status_is_another_one() {
        let mut s = Sightings::default();
        let first = keys(&mut s, NOW, &[None]).remove(0);
        let two = keys(&mut s, NOW + 1, &[None, Some(8.0)]);
        assert_eq!(two[0], first);
        assert_ne!(two[1], first);
        // The one without leaves: the other does not become it.
        assert_eq!(keys(&mut s, NOW + 2, &[Some(8.0)]), two[1..]);
    }

    #[test]
    fn two_deaths_without_status_are_two() {
        let mut s = Sightings::default();
        let two = keys(&mut s, NOW, &[None, None]);
        assert_ne!(two[0], two[1]);
        assert_eq!(keys(&mut s, NOW + 1, &[None, None]), two);
        let later = keys(&mut s, NOW + 2, &[None, None, None]);
        assert_eq!(later[..2], two);
        assert!(!two.contains(&later[2]));
        // The oldest get their statuses first.
        assert_eq!(keys(&mut s, NOW + 3, &[Some(8.0), Some(9.0), None]), later);
    }

    #[test]
    fn a_listing_that_is_empty_for_a_while_changes_nothing() {
        let mut s = Sightings::default();
        let first = keys(&mut s, NOW, &[None]);
        assert!(keys(&mut s, NOW + 1, &[]).is_empty());
        assert_eq!(keys(&mut s, NOW + 600_000, &[None]), first);
        assert!(keys(&mut s, NOW + 600_001, &[]).is_empty());
        // Back with its status, which is older than its leaving.
        let at = NOW as f64 / 1000.0 - 3.0;
        assert_eq!(keys(&mut s, NOW + 700_000, &[Some(at)]), first);
        // And away and back again.
        assert!(keys(&mut s, NOW + 800_000, &[]).is_empty());
        assert_eq!(keys(&mut s, NOW + 900_000, &[Some(at)]), first);
    }

    #[test]
    fn a_death_long_after_the_leaving_is_another_one() {
        let mut s = Sightings::default();
        let first = keys(&mut s, NOW, &[None]);
        keys(&mut s, NOW + 1, &[]);
        let at = (NOW + SKEW_MS + 60_000) as f64 / 1000.0;
        assert_ne!(keys(&mut s, NOW + SKEW_MS + 61_000, &[Some(at)]), first);
        assert_ne!(keys(&mut s, NOW + KEEP_MS + 2, &[None]), first);
    }

    #[test]
    fn the_clock_of_the_agent_may_differ_a_little() {
        for (ahead, is_same) in [
            (SKEW_MS, true),
            (-3_600_000, true),
            (SKEW_MS + 1000, false),
            (3_600_000, false),
        ] {
            let mut s = Sightings::default();
            let first = keys(&mut s, NOW, &[None]);
            let status = (NOW + ahead) as f64 / 1000.0;
            let then = keys(&mut s, NOW + 1, &[Some(status)]);
            assert_eq!(then == first, is_same, "{ahead}");
        }
    }

    #[test]
    fn a_task_that_ran_again_died_another_death() {
        // Its entry was pushed out of the listing, or was there until the last moment.
        for left in [true, false] {
            let mut s = Sightings::default();
            let first = keys(&mut s, NOW, &[None]);
            if left {
                keys(&mut s, NOW + 5000, &[]);
            }
            let at = (NOW + SKEW_MS + 60_000) as f64 / 1000.0;
            let now = NOW + SKEW_MS + 65_000;
            assert_ne!(keys(&mut s, now, &[Some(at)]), first);
            // It had been listed all the time.
            let mut s = Sightings::default();
            let first = keys(&mut s, NOW, &[None]);
            keys(&mut s, NOW + 3_595_000, &[None]);
            let at = (NOW + 3_590_000) as f64 / 1000.0;
            assert_ne!(keys(&mut s, NOW + 3_600_000, &[Some(at)]), first);
        }
    }

    #[test]
    fn a_long_change_of_leaders_changes_nothing() {
        let mut s = Sightings::default();
        let first = keys(&mut s, NOW, &[None]);
        keys(&mut s, NOW + 5000, &[]);
        keys(&mut s, NOW + 16 * 60_000, &[]);
        assert_eq!(keys(&mut s, NOW + 17 * 60_000, &[None]), first);
        keys(&mut s, NOW + 18 * 60_000, &[]);
        let at = (NOW - 3000) as f64 / 1000.0;
        assert_eq!(keys(&mut s, NOW + KEEP_MS, &[Some(at)]), first);
    }

    #[test]
    fn the_memory_is_bounded() {
        let tasks: Vec<Task> = (0..MAX + 50)
            .map(|n| dead(&format!("t{}", n.min(MAX + 40)), None))
            .collect();
        let all = |s: &mut Sightings, now, tasks: &[Task]| -> Vec<FailureKey> {
            s.identify("c", now, tasks)
                .into_iter()
                .map(|i| i.key)
                .collect()
        };
        let mut s = Sightings::default();
        let first = all(&mut s, NOW, &tasks);
        assert_eq!((s.0.len(), s.1.len()), (MAX, 50));
        assert_eq!(first.iter().collect::<HashSet<_>>().len(), tasks.len());
        assert_eq!(all(&mut s, NOW + 1, &tasks), first);
        // Room comes when some have been away for long: nobody else's key changes.
        let half = MAX / 2;
        assert_eq!(all(&mut s, NOW + 2, &tasks[half..]), first[half..]);
        let late = NOW + KEEP_MS + 10;
        assert_eq!(all(&mut s, late, &tasks[half..]), first[half..]);
        assert!(s.0.len() < MAX);
        assert_eq!(all(&mut s, late + 1, &tasks[half..]), first[half..]);
    }

    #[test]
    fn many_deaths_of_one_task_take_no_long() {
        let tasks: Vec<Task> = (0..20_000)
            .map(|n| dead("a", (n % 2 == 0).then_some(1_466_138_479.5 + f64::from(n))))
            .collect();
        let mut s = Sightings::default();
        let start = std::time::Instant::now();
        let first = s.identify("c", NOW, &tasks);
        assert_eq!(s.identify("c", NOW + 1, &tasks), first);
        assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    }

    #[test]
    fn memory_survives_as_json_and_ends() {
        let mut s = Sightings::default();
        let first = keys(&mut s, NOW, &[None]);
        let json = serde_json::to_value(&s).unwrap();
        let mut s: Sightings = serde_json::from_value(json).unwrap();
        assert_eq!(keys(&mut s, NOW + 1, &[Some(9.0)]), first);
        let again: Sightings = serde_json::from_value(serde_json::to_value(&s).unwrap()).unwrap();
        assert_eq!(again, s);
        keys(&mut s, NOW + 2, &[]);
        assert_eq!(s.0.len(), 1);
        keys(&mut s, NOW + 3 + KEEP_MS, &[]);
        assert_eq!(s, Sightings::default());
    }

    #[test]
    fn an_unchanged_listing_leaves_the_memory_unchanged() {
        let mut s = Sightings::default();
        keys(&mut s, NOW, &[None, Some(4.0), None]);
        let before = s.clone();
        keys(&mut s, NOW + 1, &[None, Some(4.0), None]);
        assert_eq!(s, before);
    }

    proptest! {
        /// Whatever comes in whatever order: one identity for each death, and distinct
        /// deaths of one listing have distinct keys.
        #[test]
        fn one_key_for_each(listings in prop::collection::vec(
            prop::collection::vec(prop::option::of(1..9u8), 0..5), 1..8))
        {
            let mut s = Sightings::default();
            for (n, listing) in listings.iter().enumerate() {
                let deaths: Vec<Option<f64>> = listing.iter().map(|t| t.map(f64::from)).collect();
                let now = NOW + n as i64 * 5000;
                let got = keys(&mut s, now, &deaths);
                prop_assert_eq!(got.len(), deaths.len());
                for (i, a) in got.iter().enumerate() {
                    for (j, b) in got.iter().enumerate().skip(i + 1) {
                        let same = deaths[i].is_some() && deaths[i] == deaths[j];
                        prop_assert_eq!(a == b, same);
                    }
                }
                prop_assert_eq!(&keys(&mut s, now + 1, &deaths), &got);
            }
        }
    }
}
