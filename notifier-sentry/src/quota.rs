//! What the server does not want for now.
//!
//! `X-Sentry-Rate-Limits` as of develop.sentry.dev (rate limiting), read 2026.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use notifier_core::{Destination, jiff::Timestamp};
use notifier_http::MAX_RETRY_AFTER;

/// The wait after an answer 429 that does not say how long, and of a limit that cannot be read.
pub(crate) const USUAL: Duration = Duration::from_secs(60);
/// DSNs whose limits are kept. Labels bring new ones.
const MOST: usize = 1024;

/// For how long nothing of a kind is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) event: Option<Duration>,
    pub(crate) attachment: Option<Duration>,
}

impl Quota {
    /// Reads the header. Where several limits hold for a kind, the later end wins; kinds that
    /// are never sent from here are ignored.
    pub(crate) fn parse(header: &str) -> Self {
        let mut quota = Self::default();
        for limit in header.split(',').map(str::trim).filter(|l| !l.is_empty()) {
            let mut parts = limit.split(':').map(str::trim);
            let wait = parts.next().map_or(USUAL, seconds);
            let mut categories = parts
                .next()
                .unwrap_or_default()
                .split(';')
                .map(str::trim)
                .filter(|c| !c.is_empty())
                .peekable();
            let all = categories.peek().is_none();
            let (mut event, mut attachment) = (all, all);
            for category in categories {
                event |= matches!(category, "error" | "default");
                attachment |= category == "attachment";
            }
            let later = |d: Option<Duration>, this: bool| d.max(this.then_some(wait));
            quota.event = later(quota.event, event);
            quota.attachment = later(quota.attachment, attachment);
        }
        quota
    }

    fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// Whole or broken seconds, at most an hour.
fn seconds(text: &str) -> Duration {
    match text.parse::<f64>() {
        Ok(s) if !s.is_nan() => {
            Duration::from_secs_f64(s.clamp(0.0, MAX_RETRY_AFTER.as_secs_f64()).ceil())
        }
        _ => USUAL,
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    event: Option<Timestamp>,
    attachment: Option<Timestamp>,
}

impl Ends {
    fn last(&self) -> Option<Timestamp> {
        self.event.max(self.attachment)
    }
}

/// The limits of each DSN, as far as they were told to this process.
#[derive(Debug, Default)]
pub(crate) struct Quotas(Mutex<HashMap<Destination, Ends>>);

impl Quotas {
    /// Notes what an answer said. An end is never moved forward.
    pub(crate) fn note(&self, to: &Destination, quota: Quota, now: Timestamp) {
        if quota.is_empty() {
            return;
        }
        let mut all = self.lock();
        if all.len() >= MOST && !all.contains_key(to) {
            all.retain(|_, ends| ends.last() > Some(now));
            // Still full: the one that is over first.
            if all.len() >= MOST
                && let Some(first) = all
                    .iter()
                    .min_by_key(|(_, ends)| ends.last())
                    .map(|(to, _)| to.clone())
            {
                all.remove(&first);
            }
        }
        let end =
            |wait: Option<Duration>| wait.map(|d| now.checked_add(d).unwrap_or(Timestamp::MAX));
        let ends = all.entry(to.clone()).or_default();
        ends.event = ends.event.max(end(quota.event));
        ends.attachment = ends.attachment.max(end(quota.attachment));
    }

    /// How long each kind is still to wait.
    pub(crate) fn left(&self, to: &Destination, now: Timestamp) -> Quota {
        let mut all = self.lock();
        let Some(ends) = all.get(to).copied() else {
            return Quota::default();
        };
        let left = |end: Option<Timestamp>| {
            let left = Duration::try_from(end?.duration_since(now)).ok()?;
            // A clock that was set back must not make it longer than it can be.
            (!left.is_zero()).then(|| left.min(MAX_RETRY_AFTER))
        };
        let quota = Quota {
            event: left(ends.event),
            attachment: left(ends.attachment),
        };
        if quota.is_empty() {
            all.remove(to);
        }
        quota
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Destination, Ends>> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_later_end_wins_for_each_kind() {
        let s = |n| Some(Duration::from_secs(n));
        for (header, event, attachment) in [
            ("", None, None),
            ("60:error:key", s(60), None),
            ("60::organization", s(60), s(60)),
            ("60", s(60), s(60)),
            ("60:transaction:key", None, None),
            (
                "60:transaction:key, 2700:default;error;security:organization",
                s(2700),
                None,
            ),
            ("2700:error:organization,60:error:key", s(2700), None),
            ("60:error:key, 10::organization", s(60), s(10)),
            ("5:attachment;error:key:quota_exceeded:x", s(5), s(5)),
            ("7:attachment", None, s(7)),
            ("7:new_kind", None, None),
            ("1.2:error", s(2), None),
            ("soon:error", s(60), None),
            ("-5:error", s(0), None),
            ("1e300:error", s(3600), None),
            (" 4 : error ; attachment : key ", s(4), s(4)),
            (",,", None, None),
        ] {
            assert_eq!(
                Quota::parse(header),
                Quota { event, attachment },
                "{header}"
            );
        }
    }

    #[test]
    fn limits_are_kept_for_each_dsn_until_they_end() {
        let to = |n: &str| Destination::new("sentry", [n], n);
        let at = |s| Timestamp::from_second(s).unwrap();
        let all = Quotas::default();
        all.note(&to("a"), Quota::parse("60:error, 5:attachment"), at(100));
        assert_eq!(
            all.left(&to("a"), at(110)).event,
            Some(Duration::from_secs(50))
        );
        assert_eq!(all.left(&to("a"), at(110)).attachment, None);
        // A shorter one does not take it back.
        all.note(&to("a"), Quota::parse("1:error"), at(110));
        assert_eq!(
            all.left(&to("a"), at(110)).event,
            Some(Duration::from_secs(50))
        );
        assert_eq!(all.left(&to("b"), at(110)), Quota::default());
        // A clock that jumped back.
        assert_eq!(all.left(&to("a"), at(-9999)).event, Some(MAX_RETRY_AFTER));
        assert_eq!(all.left(&to("a"), at(160)), Quota::default());
        assert!(all.lock().is_empty());
    }

    #[test]
    fn the_number_kept_is_bounded() {
        let now = Timestamp::UNIX_EPOCH;
        let all = Quotas::default();
        for n in 0..3 * MOST {
            let to = Destination::new("sentry", [n.to_string().as_str()], "x");
            all.note(&to, Quota::parse(&format!("{}:error", 10 + n % 90)), now);
        }
        assert_eq!(all.lock().len(), MOST);
    }

    proptest! {
        #[test]
        fn no_header_panics_or_waits_longer_than_an_hour(header in "\\PC*|[0-9.:;,a-z ]*") {
            let q = Quota::parse(&header);
            for d in [q.event, q.attachment].into_iter().flatten() {
                prop_assert!(d <= MAX_RETRY_AFTER);
            }
        }
    }
}
