use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    DeliveryId, Destination, DestinationState, Error, ErrorKind, Scope, clock::add, clock::until,
    lock, policy::Backoff,
};

/// The longest that a destination is left alone because it does not answer, if it
/// did not ask for longer itself.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// After so long without any attempt, what failed before is no part of what fails now.
const IDLE: Duration = Duration::from_secs(900);

/// After so many deliveries in a row that were given up, or so long without one that
/// arrived, others are told.
const GIVEN_UP: u32 = 3;
const DEAD_FOR: Duration = Duration::from_secs(300);

/// Which sources can be read, and how destinations stand.
#[derive(Debug, Default)]
pub(super) struct Health {
    sources: Mutex<BTreeMap<String, String>>,
    destinations: Mutex<HashMap<Destination, Standing>>,
}

#[derive(Debug, Default)]
struct Standing {
    state: DestinationState,
    /// The delivery that failed since the destination was left alone last. When a second
    /// one fails too, it is not the message's fault.
    suspect: Option<DeliveryId>,
    /// When an attempt failed last.
    failed: Option<Timestamp>,
    /// Messages were put off in an outage, and some may be still.
    put_off: bool,
}

/// What an attempt showed of its destination.
#[derive(Debug)]
pub(super) enum Sign<'a> {
    /// It took a message, one that had failed before or not.
    Works {
        /// It had: what kept it from arriving was no fault of its own.
        again: bool,
    },
    /// It asks for time: so much, or does not say how much.
    Asks(Duration),
    /// It did not take a message that is to be tried again after `wait`.
    Fails {
        /// The delivery.
        id: &'a DeliveryId,
        /// How long it would wait by itself.
        wait: Duration,
    },
    /// It refuses a message for good.
    Refuses(Scope),
}

impl Sign<'_> {
    /// How long the message itself would wait.
    pub(super) fn wait(&self) -> Duration {
        match self {
            Sign::Asks(wait) | Sign::Fails { wait, .. } => *wait,
            Sign::Works { .. } | Sign::Refuses(_) => Duration::ZERO,
        }
    }
}

/// What follows from a sign.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Course {
    /// How the destination stands now, if that changed.
    pub(super) state: Option<DestinationState>,
    /// How long the message itself waits, beside what its destination does.
    pub(super) wait: Duration,
    /// The message is not given up, since its destination refuses everything.
    pub(super) kept: bool,
    /// An outage is over: all that waits for it is due, in order.
    pub(super) wake: bool,
    /// Others are to be told.
    pub(super) news: Option<News>,
}

impl Course {
    /// The message waits; its destination stands as it did.
    pub(super) fn waiting(wait: Duration) -> Self {
        Self {
            wait,
            ..Self::default()
        }
    }
}

/// What others are to be told of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It is dead since then.
    Dead(Timestamp),
    /// It works again; it did not since then.
    Works(Timestamp),
}

impl Health {
    pub(super) fn readable(&self, source: &str) {
        if lock(&self.sources).remove(source).is_some() {
            tracing::info!(source, "it can be used again");
        }
    }

    /// Notes an error; true if the source could be read until now or fails in another way.
    pub(super) fn unreadable(&self, source: &str, error: &Error) -> bool {
        let text = error.report().to_string();
        lock(&self.sources)
            .insert(source.to_owned(), text.clone())
            .is_none_or(|old| old != text)
    }

    pub(super) fn sources(&self) -> Result<(), String> {
        let bad = lock(&self.sources);
        if bad.is_empty() {
            return Ok(());
        }
        Err(bad
            .iter()
            .map(|(name, why)| format!("{name}: {why}"))
            .collect::<Vec<_>>()
            .join("; "))
    }

    /// Begins with what was kept.
    pub(super) fn restore(&self, kept: Vec<(Destination, DestinationState)>) {
        *lock(&self.destinations) = kept
            .into_iter()
            .map(|(destination, state)| {
                let standing = Standing {
                    put_off: state.strikes > 1,
                    failed: None,
                    state,
                    suspect: None,
                };
                (destination, standing)
            })
            .collect();
    }

    /// Whether messages to it arrived last.
    pub(super) fn is_well(&self, destination: &Destination) -> bool {
        lock(&self.destinations)
            .get(destination)
            .is_none_or(|s| s.state.failing_since.is_none())
    }

    /// Takes in what an attempt showed.
    ///
    /// The first message that fails may be at fault itself: it waits, and the next one is
    /// tried. If that fails too, the destination is left alone, longer each time. Then the
    /// first in line is tried again, and after it another one. So after an outage everything
    /// arrives in order, and messages that are never taken hold up no other.
    pub(super) fn take_in(
        &self,
        destination: &Destination,
        sign: &Sign<'_>,
        now: Timestamp,
        backoff: &Backoff,
    ) -> Course {
        let mut all = lock(&self.destinations);
        if let Sign::Works { again } = *sign {
            let Some(old) = all.remove(destination) else {
                return Course::default();
            };
            // What others were told to wait for holds, whatever got through meanwhile.
            let mut not_before = old.state.not_before.filter(|t| *t > now);
            if old.state.strikes > 1 && !again {
                // An outage seems to be over: what failed first is tried before all else.
                not_before = not_before.max(Some(add(now, backoff.base)));
            }
            let state = DestinationState {
                not_before,
                ..DestinationState::default()
            };
            // A message that never failed says nothing of those that did.
            let put_off = old.put_off && !again;
            if state.not_before.is_some() || put_off {
                let standing = Standing {
                    state,
                    suspect: None,
                    failed: None,
                    put_off,
                };
                all.insert(destination.clone(), standing);
            }
            return Course {
                state: (state != old.state).then_some(state),
                wake: old.put_off && again,
                news: old
                    .state
                    .noticed
                    .map(|at| News::Works(old.state.failing_since.unwrap_or(at))),
                ..Course::default()
            };
        }
        let standing = all.entry(destination.clone()).or_default();
        let state = &mut standing.state;
        let waited_for = standing.failed.max(state.not_before);
        let is_new = waited_for.is_some_and(|t| until(t, now) > IDLE);
        if is_new && state.noticed.is_none() {
            // Nothing was sent in between: it is not known to have been dead all the time.
            state.failing_since = None;
        }
        standing.failed = Some(now);
        let since = *state.failing_since.get_or_insert(now);
        let mut course = Course::default();
        let mut pause = None;
        match *sign {
            Sign::Works { .. } => {}
            Sign::Asks(time) => pause = Some(time),
            Sign::Fails { id, wait } => {
                let limit = if state.strikes > 1 {
                    LONGEST_PAUSE
                } else {
                    backoff.cap
                };
                match standing.suspect.take() {
                    Some(other) if other != *id => {
                        state.strikes += 1;
                        standing.put_off = true;
                        let pausing = backoff.wait(state.strikes, None, &mut fastrand::Rng::new());
                        pause = Some(pausing.min(LONGEST_PAUSE));
                        // The longer the outage, the longer until it is its turn again: so
                        // all have theirs, however many of them are at fault themselves.
                        course.wait = wait.max(until(since, now));
                    }
                    // In an outage it is tried again, and first, when the pause is over.
                    None if state.strikes > 1 => {
                        standing.suspect = Some(id.clone());
                        course.wait = wait.min(backoff.base);
                    }
                    _ => {
                        state.strikes = state.strikes.max(1);
                        standing.suspect = Some(id.clone());
                        course.wait = wait.min(limit);
                    }
                }
            }
            Sign::Refuses(scope) => {
                state.refuses |= scope == Scope::Destination && state.given_up >= GIVEN_UP;
                if scope == Scope::Destination && state.refuses {
                    course.kept = true;
                    state.strikes += 1;
                    pause = Some(backoff.wait(state.strikes, None, &mut fastrand::Rng::new()));
                } else {
                    state.given_up += 1;
                }
            }
        }
        // Once it has been dead for long enough, the next attempt comes in time to say so.
        if state.noticed.is_none() {
            let left = until(now, add(since, DEAD_FOR));
            if !left.is_zero() && !matches!(sign, Sign::Asks(_)) {
                pause = pause.map(|p| p.min(left.max(backoff.base)));
                course.wait = course.wait.min(left);
            }
            if left.is_zero() || state.given_up >= GIVEN_UP {
                state.noticed = Some(now);
                course.news = Some(News::Dead(since));
            }
        }
        if let Some(pause) = pause {
            state.not_before = state.not_before.max(Some(add(now, pause)));
        }
        course.state = Some(*state);
        course
    }
}

/// What an error says of the destination, if it is one that may pass.
pub(super) fn asks_for_time(error: &Error) -> bool {
    error.kind() == ErrorKind::RateLimited
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_second(s).unwrap()
    }

    fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    const WORKS: Sign<'_> = Sign::Works { again: true };

    struct Place(Health, Destination);

    impl Place {
        fn new() -> Self {
            Self(Health::default(), Destination::from_stored("d"))
        }
        fn see(&self, now: i64, sign: &Sign<'_>) -> Course {
            self.0.take_in(&self.1, sign, at(now), &Backoff::default())
        }
        fn fails(&self, now: i64, id: &str, wait: u64) -> Course {
            let id = DeliveryId::new(id);
            let wait = seconds(wait);
            self.see(now, &Sign::Fails { id: &id, wait })
        }
    }

    fn pause(course: &Course, now: i64) -> Option<Duration> {
        let until = course.state?.not_before?;
        Some(super::until(at(now), until))
    }

    #[test]
    fn one_that_fails_alone_waits_alone() {
        let p = Place::new();
        for n in 0..4 {
            let c = p.fails(n, "a", 7);
            assert_eq!((c.wait, pause(&c, n)), (seconds(7), None));
        }
        let c = p.see(5, &WORKS);
        assert_eq!(c.state, Some(DestinationState::default()));
        assert_eq!(p.see(6, &WORKS), Course::default());
    }

    #[test]
    fn a_second_one_that_fails_is_an_outage() {
        let p = Place::new();
        assert_eq!(p.fails(0, "a", 1).wait, seconds(1));
        let c = p.fails(0, "b", 1);
        assert_eq!(c.wait, seconds(1));
        assert!(pause(&c, 0).unwrap() >= seconds(1));
        // And so after each pause: the first is there again when the next one is over.
        assert_eq!(p.fails(10, "a", 250).wait, seconds(1));
        let c = p.fails(10, "b", 2);
        assert_eq!(c.wait, seconds(10));
        assert!((seconds(1)..=LONGEST_PAUSE).contains(&pause(&c, 10).unwrap()));
        // If nothing else is there to try, it waits longer.
        assert_eq!(p.fails(100, "a", 250).wait, seconds(1));
        assert_eq!(p.fails(101, "a", 250).wait, LONGEST_PAUSE);
        // One that did not fail before is no proof that the others would not fail again.
        // But the first in line is tried before others.
        let c = p.see(200, &Sign::Works { again: false });
        assert_eq!((c.wake, pause(&c, 200)), (false, Some(seconds(1))));
        assert!(p.see(201, &WORKS).wake);
        assert!(!p.see(202, &WORKS).wake);
    }

    #[test]
    fn what_it_asks_for_is_kept() {
        let p = Place::new();
        let c = p.see(0, &Sign::Asks(seconds(30)));
        assert_eq!(pause(&c, 0), Some(seconds(30)));
        let c = p.see(1, &Sign::Asks(seconds(5)));
        assert_eq!(pause(&c, 0), Some(seconds(30)));
        assert_eq!(pause(&p.see(2, &WORKS), 0), Some(seconds(30)));
    }

    #[test]
    fn others_are_told_once_and_again_when_it_works() {
        let p = Place::new();
        let refuse = Sign::Refuses(Scope::Message);
        assert_eq!(p.see(0, &refuse).news, None);
        assert_eq!(p.see(1, &refuse).news, None);
        assert_eq!(p.see(2, &refuse).news, Some(News::Dead(at(0))));
        assert_eq!(p.see(3, &refuse).news, None);
        assert_eq!(p.see(9, &WORKS).news, Some(News::Works(at(0))));
        assert_eq!(p.see(10, &WORKS).news, None);
    }

    #[test]
    fn others_are_told_after_five_minutes_to_the_second() {
        let p = Place::new();
        assert_eq!(p.fails(0, "a", 1).news, None);
        assert_eq!(p.fails(290, "a", 200).wait, seconds(10));
        assert_eq!(p.fails(300, "a", 200).news, Some(News::Dead(at(0))));
        assert_eq!(p.fails(301, "a", 200).news, None);
    }

    #[test]
    fn one_that_refuses_everything_is_given_no_more_than_three() {
        let p = Place::new();
        let refuse = Sign::Refuses(Scope::Destination);
        for n in 0..3 {
            assert!(!p.see(n, &refuse).kept);
        }
        let c = p.see(3, &refuse);
        assert!(c.kept && pause(&c, 3).unwrap() >= seconds(1));
        // A message that is at fault itself still is.
        assert!(!p.see(4, &Sign::Refuses(Scope::Message)).kept);
    }

    #[test]
    fn two_errors_with_a_day_between_are_no_dead_destination() {
        let p = Place::new();
        p.see(0, &Sign::Refuses(Scope::Message));
        assert_eq!(p.fails(86_400, "a", 1).news, None);
        assert_eq!(p.fails(86_700, "a", 1).news, Some(News::Dead(at(86_400))));
    }

    #[test]
    fn what_was_kept_goes_on() {
        let p = Place::new();
        let mut state = DestinationState::default();
        (state.noticed, state.failing_since) = (Some(at(1)), Some(at(0)));
        p.0.restore(vec![(p.1.clone(), state)]);
        assert!(!p.0.is_well(&p.1));
        assert_eq!(p.fails(900, "a", 1).news, None);
        assert_eq!(p.see(901, &WORKS).news, Some(News::Works(at(0))));
    }
}
