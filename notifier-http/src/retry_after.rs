//! `Retry-After`, RFC 9110 §10.2.3: whole seconds or an HTTP-date.

use std::time::Duration;

use jiff::{Timestamp, civil::DateTime, fmt::strtime, tz::TimeZone};

/// The longest wait that another side can ask for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Reads the value of a `Retry-After` header, at most [`MAX_RETRY_AFTER`].
///
/// A date in the past means "now". What is neither whole seconds nor a date is
/// ignored, as RFC 9110 asks.
///
/// ```
/// use std::time::Duration;
/// use notifier_core::jiff::Timestamp;
/// use notifier_http::retry_after;
///
/// let now: Timestamp = "1994-11-06T08:49:00Z".parse()?;
/// assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
/// assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(37)));
/// assert_eq!(retry_after("soon", now), None);
/// # Ok::<(), notifier_core::jiff::Error>(())
/// ```
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // Too many digits for a number is a long wait too.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    }
    let at = http_date(value)?;
    let wait = Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO);
    Some(wait.min(MAX_RETRY_AFTER))
}

/// Reads an HTTP-date, RFC 9110 §5.6.7: the usual form and the two old ones.
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    // The day's name is not looked at: what counts is the date.
    const FORMS: [&str; 3] = [
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %e %H:%M:%S %Y",
    ];
    if text.len() > 64 {
        return None;
    }
    FORMS.iter().find_map(|form| {
        let mut parts = strtime::parse(form, text).ok()?;
        parts.set_weekday(None);
        let at: DateTime = parts.to_datetime().ok()?;
        at.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        "1994-11-06T08:49:00Z".parse().unwrap()
    }

    #[test]
    fn reads_seconds_and_all_three_date_forms() {
        let s = |n| Some(Duration::from_secs(n));
        for (value, wait) in [
            ("0", s(0)),
            ("120", s(120)),
            (" 7 ", s(7)),
            ("3600", s(3600)),
            ("3601", s(3600)),
            ("99999999999999999999999999999999", s(3600)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", s(37)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", s(37)),
            ("Sun Nov  6 08:49:37 1994", s(37)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", s(0)),
            ("Mon, 06 Nov 2095 08:49:37 GMT", s(3600)),
            ("Sun, 31 Nov 1994 08:49:37 GMT", None),
            ("", None),
            ("-5", None),
            ("+5", None),
            ("1.5", None),
            ("5s", None),
            ("soon", None),
            ("٣", None),
        ] {
            assert_eq!(retry_after(value, now()), wait, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_never_waits_longer_than_an_hour(value in "\\PC*") {
            if let Some(d) = retry_after(&value, now()) {
                prop_assert!(d <= MAX_RETRY_AFTER);
            }
        }

        #[test]
        fn near_misses_of_a_date_do_not_panic(
            value in "(Sun|Sunday|Foo),? [0-9]{1,3}[ -](Nov|Feb|Xxx)[ -][0-9]{1,5} [0-9]{1,3}:[0-9]{2}:[0-9]{2} ?(GMT|UTC)?"
        ) {
            let _ = retry_after(&value, now());
        }

        #[test]
        fn seconds_come_back_capped(n in any::<u64>()) {
            prop_assert_eq!(
                retry_after(&n.to_string(), now()),
                Some(Duration::from_secs(n.min(3600)))
            );
        }

        #[test]
        fn a_date_and_its_distance_agree(n in 0i64..4000) {
            let at = now().checked_add(jiff::SignedDuration::from_secs(n)).unwrap();
            let text = strtime::format("%a, %d %b %Y %H:%M:%S GMT", &at.to_zoned(TimeZone::UTC)).unwrap();
            prop_assert_eq!(
                retry_after(&text, now()),
                Some(Duration::from_secs(n.unsigned_abs().min(3600)))
            );
        }
    }
}
