//! How long to wait before a recipient is tried again.

use std::time::Duration;

/// The longest wait that a relay may ask for.
const LONGEST: Duration = Duration::from_secs(3600);

/// The wait that a refusal names: `try again in 300 seconds`, `greylisted for 5 minutes`,
/// `come back in 00:04:59`. At most an hour.
pub(crate) fn named(text: &str) -> Option<Duration> {
    let text = text.to_ascii_lowercase();
    let mark = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ';' | '"' | '\'' | '=');
    let words: Vec<&str> = text.split(mark).filter(|w| !w.is_empty()).collect();
    let time = words.windows(2).enumerate().find_map(|(at, pair)| {
        let leads = matches!(
            pair[0],
            "in" | "for" | "after" | "wait" | "least" | "within" | "another" | "about" | "retry"
        );
        leads.then(|| read(pair[1], words.get(at + 2).copied()))?
    })?;
    Some(time.min(LONGEST))
}

fn read(word: &str, next: Option<&str>) -> Option<Duration> {
    let word = word.trim_end_matches(['.', '!']);
    if word.contains(':') {
        return clock(word);
    }
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = word.split_at(digits);
    let number: u64 = number.parse().ok().filter(|n| *n > 0)?;
    let unit = if unit.is_empty() { next? } else { unit };
    let seconds = match unit.trim_end_matches(['.', '!', ':']) {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
        _ => return None,
    };
    Some(Duration::from_secs(number.saturating_mul(seconds)))
}

/// Reads `mm:ss` or `hh:mm:ss`.
fn clock(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let parts: Vec<&str> = text.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    for part in parts {
        if part.is_empty() || part.len() > 2 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        seconds = seconds * 60 + part.parse::<u64>().ok()?;
    }
    (seconds > 0).then_some(Duration::from_secs(seconds))
}

/// The wait before the next attempt where none is named, by how many there were: 1, 2, 5, 15, 30
/// minutes. A relay of one's own may be asked sooner than RFC 5321 §4.5.4.1 has it among relays.
pub(crate) fn usual(attempt: u32) -> Duration {
    let minutes = match attempt {
        0 | 1 => 1,
        2 => 2,
        3 => 5,
        4 => 15,
        _ => 30,
    };
    Duration::from_secs(minutes * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_relays_write_them() {
        for (text, want) in [
            ("Greylisted, try again in 300 seconds", Some(300)),
            ("please try again in 5 minutes.", Some(300)),
            ("You are greylisted for 5 minutes", Some(300)),
            (
                "Greylisting in action, please come back in 00:04:59",
                Some(299),
            ),
            ("try again in 05:00", Some(300)),
            ("retry in 60s", Some(60)),
            ("Retry after 90 sec", Some(90)),
            ("deferred (retry=120 seconds)", Some(120)),
            ("wait at least 1 hour!", Some(3600)),
            ("try again in 99999999999 hours", Some(3600)),
            ("try again in 18446744073709551615 hours", Some(3600)),
            ("try again in 0 seconds", None),
            ("try again in a while", None),
            ("try again later", None),
            ("limit is 5 minutes", None),
            ("come back in 1:2:3:4", None),
            ("in 10.0.0.1 seconds", None),
            ("in 300", None),
            ("in", None),
            ("", None),
        ] {
            assert_eq!(named(text), want.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn waits_grow_to_half_an_hour() {
        let minutes: Vec<u64> = (0..8).map(|n| usual(n).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 1, 2, 5, 15, 30, 30, 30]);
    }
}
