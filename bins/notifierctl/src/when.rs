//! Times: as people write them, and as they are shown.

use std::time::Duration;

use notifier_runtime::{Exit, Fatal};
use notifiers::{jiff::Timestamp, parse_duration};

fn wrong(message: String) -> Fatal {
    Fatal::new(Exit::Usage, message)
}

/// A time of the past: RFC 3339, or an age such as `2h` or `7d`.
pub(crate) fn past(option: &str, text: &str, now: Timestamp) -> Result<Timestamp, Fatal> {
    if let Ok(t) = text.trim().parse() {
        return Ok(t);
    }
    let age = parse_duration(text.trim()).ok_or_else(|| {
        wrong(format!(
            "{option}: {text:?} is neither a time (such as 2026-11-21T10:00:00Z) nor an age (such as 90m, 2h or 7d)"
        ))
    })?;
    now.checked_sub(age)
        .map_err(|_| wrong(format!("{option}: {text:?} is too long ago")))
}

/// A time to come: RFC 3339.
pub(crate) fn future(option: &str, text: &str, now: Timestamp) -> Result<Timestamp, Fatal> {
    let t: Timestamp = text.trim().parse().map_err(|_| {
        wrong(format!(
            "{option}: {text:?} is not a time, such as 2026-11-21T10:00:00Z; --for takes a duration"
        ))
    })?;
    if t <= now {
        return Err(wrong(format!("{option}: {t} has passed")));
    }
    Ok(t)
}

/// The end of a duration that begins now.
pub(crate) fn after(option: &str, text: &str, now: Timestamp) -> Result<Timestamp, Fatal> {
    let d = parse_duration(text.trim())
        .filter(|d| !d.is_zero())
        .ok_or_else(|| {
            wrong(format!(
                "{option}: {text:?} is not a duration (such as 90m, 2h or 7d)"
            ))
        })?;
    now.checked_add(d)
        .map_err(|_| wrong(format!("{option}: {text:?} is too long")))
}

/// A span in its largest unit: `5s`, `12m`, `3h`, `4d`.
pub(crate) fn short(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0..120 => format!("{s}s"),
        120..7_200 => format!("{}m", s / 60),
        7_200..172_800 => format!("{}h", s / 3_600),
        _ => format!("{}d", s / 86_400),
    }
}

/// How long ago, `0s` for what is to come.
pub(crate) fn age(t: Timestamp, now: Timestamp) -> String {
    short(Duration::try_from(now.duration_since(t)).unwrap_or_default())
}

/// A time and how far away it is: `2026-11-21T10:00:00Z (in 3m)`.
pub(crate) fn near(t: Timestamp, now: Timestamp) -> String {
    if t > now {
        format!("{t} (in {})", age(now, t))
    } else {
        format!("{t} ({} ago)", age(t, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn times_and_ages_are_read() {
        let now = at("2026-11-21T10:00:00Z");
        for (text, is) in [
            ("2026-11-21T08:00:00+01:00", "2026-11-21T07:00:00Z"),
            ("2h", "2026-11-21T08:00:00Z"),
            ("1h30m", "2026-11-21T08:30:00Z"),
            (" 7d ", "2026-11-14T10:00:00Z"),
            ("0", "2026-11-21T10:00:00Z"),
        ] {
            assert_eq!(past("--since", text, now).unwrap(), at(is), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "-2h",
            "2 hours",
            "2026-11-21",
            "9e9h",
            "40000d",
        ] {
            let e = past("--since", text, now).unwrap_err();
            assert_eq!(e.exit, Exit::Usage, "{text}");
            assert!(e.message.starts_with("--since: "), "{e}");
        }
    }

    #[test]
    fn what_ends_a_silence_is_to_come() {
        let now = at("2026-11-21T10:00:00Z");
        assert_eq!(
            after("--for", "2h", now).unwrap(),
            at("2026-11-21T12:00:00Z")
        );
        assert!(after("--for", "0", now).is_err());
        assert!(after("--for", "x", now).is_err());
        assert!(future("--until", "2026-11-21T10:00:00Z", now).is_err());
        assert!(future("--until", "2h", now).is_err());
        assert!(future("--until", "2026-11-21T10:00:01Z", now).is_ok());
    }

    #[test]
    fn spans_are_short() {
        let now = at("2026-11-21T10:00:00Z");
        for (text, is) in [
            ("2026-11-21T09:59:00Z", "60s"),
            ("2026-11-21T09:00:00Z", "60m"),
            ("2026-11-20T10:00:00Z", "24h"),
            ("2026-11-01T10:00:00Z", "20d"),
            ("2026-11-22T10:00:00Z", "0s"),
        ] {
            assert_eq!(age(at(text), now), is, "{text}");
        }
        assert_eq!(
            near(at("2026-11-21T10:05:00Z"), now),
            "2026-11-21T10:05:00Z (in 5m)"
        );
    }
}
