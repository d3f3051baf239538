//! What HipChat says about its limits, and the times before which nothing is sent.
//!
//! Two limits, told by headers of each answer: `X-Ratelimit-*` for the token (500 requests
//! in 5 minutes), `X-FloodControl-*` for the room (30 messages a minute). `-Remaining` is a
//! number of requests, `-Reset` a time in seconds since 1970
//! (developer.atlassian.com/server/hipchat/hipchat-rest-api-rate-limits, read 2026).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{Timestamp, fmt::rfc2822};
use notifier_core::Clock;
use notifier_http::{MAX_RETRY_AFTER, retry_after};

/// How many windows are remembered; no more rooms than that are full at once.
const MOST: usize = 4096;

/// What one answer says about both limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    token: Limit,
    room: Limit,
    retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Limit {
    /// Nothing is left.
    spent: bool,
    /// The time until it is filled again, at most an hour.
    rest: Option<Duration>,
}

impl Limits {
    /// Reads the headers of an answer that came `now`.
    pub(crate) fn read<'a>(header: impl Fn(&str) -> Option<&'a str>, now: Timestamp) -> Self {
        // The other side's own clock, if it shows one: both times are then wrong by the same.
        let now = header("date")
            .and_then(|date| rfc2822::parse(date).ok())
            .map_or(now, |date| date.timestamp());
        let limit = |name: &str| Limit {
            spent: header(&format!("x-{name}-remaining"))
                .is_some_and(|left| left.trim().parse() == Ok(0u64)),
            rest: header(&format!("x-{name}-reset")).and_then(|reset| until(reset, now)),
        };
        Self {
            token: limit("ratelimit"),
            room: limit("floodcontrol"),
            retry_after: header("retry-after").and_then(|value| retry_after(value, now)),
        }
    }

    /// How long to wait after a refusal: until what is spent is filled again, or until
    /// whatever the answer names if it does not say which.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let both = [self.token, self.room];
        let spent = both.iter().filter(|l| l.spent).filter_map(|l| l.rest).max();
        let named = both.iter().filter_map(|l| l.rest).max();
        spent.or(named).max(self.retry_after)
    }
}

/// The time from `now` until a `-Reset`; `None` if it is past or no time.
fn until(reset: &str, now: Timestamp) -> Option<Duration> {
    let reset = Timestamp::from_second(reset.trim().parse().ok()?).ok()?;
    let rest = Duration::try_from(reset.duration_since(now)).ok()?;
    (!rest.is_zero()).then_some(rest.min(MAX_RETRY_AFTER))
}

/// The times before which a token, or a room of it, takes nothing.
#[derive(Debug)]
pub(crate) struct Windows {
    clock: Arc<dyn Clock>,
    closed: Mutex<BTreeMap<String, Timestamp>>,
}

impl Windows {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            closed: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Remembers what is spent after a message that was taken.
    pub(crate) fn note(&self, token: &str, room: &str, limits: &Limits) {
        for (key, limit) in [(token, limits.token), (room, limits.room)] {
            if let (true, Some(rest)) = (limit.spent, limit.rest) {
                self.close(key, rest);
            }
        }
    }

    fn close(&self, key: &str, rest: Duration) {
        let now = self.now();
        let Ok(end) = now.checked_add(rest) else {
            return;
        };
        let mut closed = self.lock();
        closed.retain(|_, end| *end > now);
        if closed.len() < MOST {
            let known = closed.entry(key.to_owned()).or_insert(end);
            *known = end.max(*known);
        }
    }

    /// How long until both of these take something again; `None` if they do now.
    pub(crate) fn wait(&self, token: &str, room: &str) -> Option<Duration> {
        let now = self.now();
        let closed = self.lock();
        let end = [token, room].iter().filter_map(|k| closed.get(*k)).max()?;
        let rest = Duration::try_from(end.duration_since(now)).ok()?;
        // A longer one was made by a clock that was set back since.
        (!rest.is_zero()).then_some(rest.min(MAX_RETRY_AFTER))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Timestamp>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use notifier_core::ManualClock;
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    fn limits(headers: &[(&str, &str)]) -> Limits {
        Limits::read(
            |name| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v),
            now(),
        )
    }

    fn wait(headers: &[(&str, &str)]) -> Option<u64> {
        limits(headers).wait().map(|d| d.as_secs())
    }

    #[test]
    fn the_wait_is_that_of_the_limit_that_is_spent() {
        let token = |left| {
            [
                ("x-ratelimit-remaining", left),
                ("x-ratelimit-reset", "1700000200"),
            ]
        };
        let room = |left| {
            [
                ("x-floodcontrol-remaining", left),
                ("x-floodcontrol-reset", "1700000017"),
            ]
        };
        assert_eq!(wait(&[token("3"), room("0")].concat()), Some(17));
        assert_eq!(wait(&[token("0"), room("2")].concat()), Some(200));
        assert_eq!(wait(&[token("0"), room("0")].concat()), Some(200));
        // It does not say which: the longer one.
        assert_eq!(wait(&[token("3"), room("2")].concat()), Some(200));
        assert_eq!(wait(&[("x-floodcontrol-reset", "1700000009")]), Some(9));
        assert_eq!(wait(&[("retry-after", "5")]), Some(5));
        assert_eq!(
            wait(&[&room("0")[..], &[("retry-after", "30")]].concat()),
            Some(30)
        );
        for reset in ["1700000000", "5", "-1", "soon", "", "99999999999999999999"] {
            assert_eq!(wait(&[("x-ratelimit-reset", reset)]), None, "{reset}");
        }
        assert_eq!(wait(&[("x-ratelimit-reset", "1800000000")]), Some(3600));
    }

    #[test]
    fn the_other_sides_clock_counts_if_it_shows_one() {
        let headers = [
            ("date", "Tue, 14 Nov 2023 22:13:10 GMT"),
            ("x-floodcontrol-reset", "1700000000"),
        ];
        assert_eq!(wait(&headers), Some(10));
        let headers = [("date", "now"), ("x-floodcontrol-reset", "1700000004")];
        assert_eq!(wait(&headers), Some(4));
    }

    #[test]
    fn a_window_closes_what_is_spent_and_opens_at_its_end() {
        let clock = Arc::new(ManualClock::new(now()));
        let w = Windows::new(Arc::<ManualClock>::clone(&clock));
        w.note(
            "t",
            "t/a",
            &limits(&[
                ("x-floodcontrol-remaining", "0"),
                ("x-floodcontrol-reset", "1700000020"),
                ("x-ratelimit-remaining", "7"),
                ("x-ratelimit-reset", "1700000200"),
            ]),
        );
        let s = |n| Some(Duration::from_secs(n));
        assert_eq!((w.wait("t", "t/a"), w.wait("t", "t/b")), (s(20), None));
        clock.advance(Duration::from_secs(15));
        assert_eq!(w.wait("t", "t/a"), s(5));
        clock.advance(Duration::from_secs(5));
        assert_eq!(w.wait("t", "t/a"), None);
        // A token that is spent closes all its rooms.
        w.note(
            "t",
            "t/a",
            &limits(&[
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1700000060"),
            ]),
        );
        assert_eq!((w.wait("t", "t/b"), w.wait("u", "u/a")), (s(60), None));
        // What has some left, or does not say until when, closes nothing.
        w.note("x", "x/a", &limits(&[("x-floodcontrol-remaining", "0")]));
        assert_eq!(w.wait("x", "x/a"), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let w = Windows::new(Arc::new(ManualClock::new(now())));
        for n in 0..MOST + 10 {
            w.close(&n.to_string(), Duration::from_secs(9));
        }
        assert_eq!(w.lock().len(), MOST);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_wait_longer_than_an_hour(
            reset in "\\PC{0,24}|-?[0-9]{1,20}", left in "0|\\PC{0,8}", date in "\\PC{0,40}", after in "\\PC{0,9}",
        ) {
            let headers = [
                ("x-ratelimit-reset", reset.as_str()), ("x-ratelimit-remaining", &left),
                ("date", &date), ("retry-after", &after),
            ];
            prop_assert!(limits(&headers).wait() <= Some(MAX_RETRY_AFTER));
        }
    }
}
