//! The last lines of a run, for people.

use super::entry::Entry;

/// The most that is kept of them, in bytes.
const MAX_BYTES: usize = 8 << 10;
/// The most of one line, in bytes.
const MAX_LINE: usize = 1 << 10;

/// The entries of one run among those of its unit, which are in order.
///
/// What a process wrote just before its end has no run, since journald looks who wrote it when that one is gone: it belongs to the
/// run of the entry before it.
pub(crate) fn of_run(entries: Vec<Entry>, invocation_id: &str) -> Vec<Entry> {
    let mut is_in = false;
    let mut of_run = entries;
    of_run.retain(|entry| {
        if !entry.invocation_id.is_empty() {
            is_in = entry.invocation_id == invocation_id;
        }
        is_in
    });
    of_run
}

/// The last lines of entries, oldest first: the run's own as they are, systemd's as `systemd: …`.
pub(crate) fn lines(entries: &[Entry], count: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut bytes = 0;
    'all: for entry in entries.iter().rev() {
        let by = if entry.own { "" } else { "systemd: " };
        for line in entry.message.trim_end().rsplit('\n') {
            let line = format!("{by}{}", shown(line.trim_end_matches('\r')));
            bytes += line.len() + 1;
            if lines.len() == count || bytes > MAX_BYTES {
                break 'all;
            }
            lines.push(line);
        }
    }
    lines.reverse();
    lines
}

/// A line whose control characters can be seen, cut where it is too long.
fn shown(line: &str) -> String {
    let mut out = String::with_capacity(line.len().min(MAX_LINE));
    for c in line.chars() {
        if out.len() >= MAX_LINE {
            out.push('…');
            break;
        }
        match c {
            '\t' => out.push(c),
            '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'
            | '\u{2029}' => {
                out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
            }
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(message: &str, own: bool) -> Entry {
        Entry {
            message: message.to_owned(),
            own,
            ..Entry::default()
        }
    }

    #[test]
    fn the_last_ones_are_kept_in_order() {
        let entries = [
            entry("one\ntwo\n", true),
            entry("\x1b[31mthree\u{202e}\r\n", true),
            entry("a.service: Failed.", false),
        ];
        assert_eq!(
            lines(&entries, 3),
            [
                "two",
                "\\x1b[31mthree\\u{202e}",
                "systemd: a.service: Failed."
            ]
        );
        assert_eq!(lines(&entries, 9).len(), 4);
        assert_eq!(lines(&entries, 0), Vec::<String>::new());
    }

    #[test]
    fn last_words_without_a_run_belong_to_the_one_before_them() {
        let of = |message: &str, run: &str| Entry {
            invocation_id: run.to_owned(),
            ..entry(message, true)
        };
        let all = vec![
            of("stray", ""),
            of("first", "1"),
            of("first's last", ""),
            of("start", "2"),
            of("last words", ""),
            of("failed", "2"),
            of("late", ""),
            of("next", "3"),
            of("next's", ""),
        ];
        let messages = |run| {
            let found = of_run(all.clone(), run).into_iter();
            found.map(|e| e.message).collect::<Vec<_>>()
        };
        assert_eq!(messages("2"), ["start", "last words", "failed", "late"]);
        assert_eq!(messages("1"), ["first", "first's last"]);
        assert!(messages("4").is_empty());
    }

    proptest! {
        #[test]
        fn they_are_bounded(messages in proptest::collection::vec(".{0,3000}", 0..20), count in 0_usize..30) {
            let entries: Vec<Entry> = messages.iter().map(|m| entry(m, true)).collect();
            let lines = lines(&entries, count);
            prop_assert!(lines.len() <= count);
            prop_assert!(lines.iter().map(|l| l.len() + 1).sum::<usize>() <= MAX_BYTES);
            prop_assert!(lines.iter().all(|l| !l.chars().any(|c| c.is_control() && c != '\t')));
        }
    }
}
