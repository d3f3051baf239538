//! What makes a death unique, and deaths that are seen before their status is told.

use std::collections::HashMap;

use notifier_core::{FailureKey, jiff::Timestamp};
use serde::{Deserialize, Serialize};

use crate::state::{Seconds, Task};

/// For how long a death without a status may be missing from the listing and still be
/// the same when it comes back: a new leader learns of its tasks within ten minutes.
const RETURN_MS: i64 = 15 * 60 * 1000;
/// By how much the status of such a death may be later than its last listing.
const SKEW_MS: i64 = 5 * 60 * 1000;
/// For how long a death is remembered under its first key after it left the listing.
const KEEP_MS: i64 = 24 * 60 * 60 * 1000;

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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sightings(Vec<Sighting>);

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
            let (identities, kept) = identify_group(cluster, now, &victim, known, &times);
            for (at, identity) in group.into_iter().zip(identities) {
                out[at] = Some(identity);
            }
            self.0.extend(kept);
        }
        // A stable order, so that an unchanged memory makes an unchanged cursor.
        self.0
            .sort_by(|a, b| (a.seen, &a.key).cmp(&(b.seen, &b.key)));
        out.into_iter().flatten().collect()
    }
}

fn plain(cluster: &str, victim: &Victim, time: Seconds) -> Identity {
    Identity {
        key: victim.key(cluster, &time.millis().to_string()),
        status_ms: Some(time.millis()),
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
) -> (Vec<Identity>, Vec<Sighting>) {
    let listed = |ms: i64| times.iter().flatten().any(|t| t.millis() == ms);
    let is_kept = |s: &Sighting| {
        let keep = if s.status.is_some() {
            KEEP_MS
        } else {
            RETURN_MS
        };
        s.gone.is_none_or(|gone| now.saturating_sub(gone) <= keep)
    };
    let (mut bound, mut open): (Vec<_>, Vec<_>) = known
        .into_iter()
        .filter(is_kept)
        .partition(|s| s.status.is_some());
    let without = times.iter().filter(|t| t.is_none()).count();

    // Entries that left: the oldest first, those that had left before at the very first.
    let order = |s: &Sighting| (s.seen, s.key.clone());
    open.sort_by_cached_key(|s| (s.gone.is_none(), order(s)));
    let mut free: Vec<i64> = times
        .iter()
        .flatten()
        .map(|t| t.millis())
        .filter(|ms| bound.iter().all(|s| s.status != Some(*ms)))
        .collect();
    free.sort_unstable();
    free.dedup();
    let mut leaving = open.len().saturating_sub(without);
    let mut at = 0;
    while leaving > 0 && at < open.len() {
        let fits = |ms: &i64| {
            let s = &open[at];
            s.after.is_none_or(|a| *ms > a)
                && s.gone.is_none_or(|g| *ms <= g.saturating_add(SKEW_MS))
        };
        if let Some(found) = free.iter().position(fits) {
            let mut s = open.remove(at);
            s.status = Some(free.remove(found));
            bound.push(s);
            leaving -= 1;
        } else {
            at += 1;
        }
    }
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
        let time = if n == 0 {
            format!("seen {now}")
        } else {
            format!("seen {now} {n}")
        };
        open.push(Sighting {
            victim: victim.clone(),
            key: victim.key(cluster, &time),
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
        s.gone = if s.status.is_some_and(listed) {
            None
        } else {
            s.gone.or(Some(now))
        };
    }

    let mut unnamed = open.iter();
    let identities = times
        .iter()
        .map(|time| match time {
            Some(time) => {
                let mut identity = plain(cluster, victim, *time);
                if let Some(s) = bound.iter().find(|s| s.status == Some(time.millis())) {
                    identity.key = s.key.clone();
                }
                identity
            }
            // There are as many open ones as deaths without a status.
            None => {
                let (key, seen) = unnamed.next().map_or_else(
                    || (victim.key(cluster, "seen"), now),
                    |s| (s.key.clone(), s.seen),
                );
                let finished = Timestamp::from_millisecond(seen)
                    .and_then(|t| Timestamp::from_second(t.as_second()))
                    .unwrap_or(Timestamp::MAX);
                Identity {
                    key,
                    status_ms: None,
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
        }];
        if at.is_some() {
            statuses.push(Status {
                state: "TASK_FAILED".into(),
                time: at.and_then(Seconds::new),
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
        assert_ne!(keys(&mut s, NOW + RETURN_MS + 2, &[None]), first);
    }

    #[test]
    fn the_clock_of_the_agent_does_not_matter() {
        let mut s = Sightings::default();
        let first = keys(&mut s, NOW, &[None]);
        let ahead = (NOW + 3_600_000) as f64 / 1000.0;
        assert_eq!(keys(&mut s, NOW + 1, &[Some(ahead)]), first);
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
