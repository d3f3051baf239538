//! Reports as text: for people, programs, monitoring plugins and Prometheus.
//!
//! Whatever a server said stands in all of them in one line, without a character that acts on a
//! terminal, and bounded.

mod json;
mod nagios;
mod prometheus;
mod table;

use std::borrow::Cow;

pub use self::{
    json::json,
    nagios::{MOST_NAGIOS, nagios},
    prometheus::{Labelled, prometheus},
    table::Table,
};
use crate::report::{Check, Report, State};

/// The longest text of a check in a table or a plugin's output, in characters.
const MOST_TEXT: usize = 400;
/// The longest name: of a target, a subject.
const MOST_NAME: usize = 120;

/// The worst state of several reports; `unknown` if there are none.
#[must_use]
pub fn overall(reports: &[Report]) -> State {
    let worst = reports.iter().map(|r| r.overall).max();
    worst.unwrap_or(State::Unknown)
}

/// Control characters, and those that turn the direction of text, break lines or are not seen.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A text of others in one line of at most `most` characters: line breaks and tabs are blanks, and
/// what would act on a terminal is shown escaped.
fn plain(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most && !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut chars = text.trim_end().chars();
    for c in chars.by_ref().take(most) {
        match c {
            '\r' => {}
            '\n' | '\t' => out.push(' '),
            c if acts(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    if chars.next().is_some() {
        out.push('…');
    }
    Cow::Owned(out)
}

/// What a check is called: its id, and its subject behind it.
fn title(check: &Check) -> String {
    match &check.subject {
        None => check.id.to_owned(),
        Some(subject) => format!("{} {}", check.id, plain(subject, MOST_NAME)),
    }
}

/// The whole of a check in one line: what, found what, do what.
fn sentence(check: &Check) -> String {
    let mut out = format!("{}: {}", title(check), plain(&check.text, MOST_TEXT));
    if let Some(hint) = &check.hint {
        out.push_str(" -> ");
        out.push_str(&plain(hint, MOST_TEXT));
    }
    out
}

/// How many checks came out how: `12 ok, 1 warn`.
fn counts(report: &Report) -> String {
    let order = [
        State::Crit,
        State::Unknown,
        State::Warn,
        State::Ok,
        State::Skip,
    ];
    let parts = order.into_iter().filter_map(|state| {
        let n = report.checks.iter().filter(|c| c.state == state).count();
        (n > 0).then(|| format!("{n} {state}"))
    });
    let parts: Vec<String> = parts.collect();
    match parts.is_empty() {
        true => "nothing was checked".to_owned(),
        false => parts.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Phase;

    #[test]
    fn texts_of_others_stay_in_their_line() {
        assert_eq!(plain("250 fine", 80), "250 fine");
        assert_eq!(plain("a\r\nb\tc", 80), "a b c");
        assert_eq!(
            plain("\u{1b}[2Jx\u{9b}\u{202e}", 80),
            "\\u{1b}[2Jx\\u{9b}\\u{202e}"
        );
        assert_eq!(plain("abcdef", 3), "abc…");
        assert_eq!(plain("äöü", 3), "äöü");
        assert_eq!(plain("end\r\n", 80), "end");
    }

    #[test]
    fn the_worst_counts_and_nothing_is_unknown() {
        let at = notifier_core::jiff::Timestamp::UNIX_EPOCH;
        let of = |state: State| {
            let check = Check::ok("banner", Phase::Banner, "x").state(state);
            Report::new("t", at, vec![check])
        };
        assert_eq!(overall(&[]), State::Unknown);
        assert_eq!(overall(&[of(State::Ok), of(State::Warn)]), State::Warn);
        assert_eq!(overall(&[of(State::Crit), of(State::Unknown)]), State::Crit);
        assert_eq!(overall(&[of(State::Skip)]), State::Ok);
    }
}
