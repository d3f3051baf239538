//! A table for people.

use super::{MOST_NAME, MOST_TEXT, counts, overall, plain, title};
use crate::report::{Check, Report, State};

/// Of so many checks of one id that are fine, one line is enough.
const MOST_ALIKE: usize = 3;
/// So many checks that were not run are named; of more the number is enough.
const MOST_NAMED: usize = 6;

/// A table for people: a line for each check, what to do below those that are not fine, and the
/// overall state in the last line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Table {
    /// Whether states have colours (ANSI).
    pub colour: bool,
    /// Whether nothing is folded: each of many alike, and each check that was not run with the reason.
    pub all: bool,
    /// Whether only what is not fine is shown, and the overall state.
    pub quiet: bool,
}

impl Table {
    /// The lines of these reports.
    #[must_use]
    pub fn render(self, reports: &[Report]) -> String {
        let mut out = String::new();
        for report in reports {
            self.report(&mut out, report);
        }
        if reports.len() != 1 {
            let worst = overall(reports);
            let mut states: Vec<String> = Vec::new();
            for state in [State::Crit, State::Unknown, State::Warn, State::Ok] {
                match reports.iter().filter(|r| r.overall == state).count() {
                    0 => {}
                    n => states.push(format!("{n} {state}")),
                }
            }
            let of = match states.is_empty() {
                true => "no target".to_owned(),
                false => format!("{} targets: {}", reports.len(), states.join(", ")),
            };
            out.push_str(&format!("{}  {of}\n", self.mark(worst)));
        }
        out
    }

    fn report(self, out: &mut String, report: &Report) {
        let wanted = |c: &&Check| match c.state {
            State::Skip => self.all && !self.quiet,
            State::Ok => !self.quiet,
            _ => true,
        };
        let shown: Vec<&Check> = report.checks.iter().filter(wanted).collect();
        let name = plain(&report.target, MOST_NAME);
        if !shown.is_empty() {
            out.push_str(&format!("{}\n", self.bold(&name)));
        }
        let is_folded = |check: &Check| {
            let alike = |c: &&Check| c.id == check.id && c.state == State::Ok;
            check.state == State::Ok
                && !self.all
                && report.checks.iter().filter(alike).count() > MOST_ALIKE
        };
        let width = shown
            .iter()
            .map(|c| match is_folded(c) {
                true => c.id.len(),
                false => title(c).chars().count(),
            })
            .max()
            .unwrap_or(0)
            .min(40);
        let mut folded: Vec<&str> = Vec::new();
        for check in shown {
            if !is_folded(check) {
                self.row(out, check, &title(check), &check.text, width);
            } else if !folded.contains(&check.id) {
                folded.push(check.id);
                let alike = report
                    .checks
                    .iter()
                    .filter(|c| c.id == check.id && c.state == State::Ok);
                let names: Vec<&str> = alike.filter_map(|c| c.subject.as_deref()).collect();
                let text = format!("{}: {}", names.len(), names.join(", "));
                // The advice of one is not that of all.
                let alike = Check {
                    hint: None,
                    ..check.clone()
                };
                self.row(out, &alike, check.id, &text, width);
            }
        }
        let mut skipped: Vec<&str> = Vec::new();
        for check in report.checks.iter().filter(|c| c.state == State::Skip) {
            if !skipped.contains(&check.id) {
                skipped.push(check.id);
            }
        }
        if !skipped.is_empty() && !self.all && !self.quiet {
            let list = match skipped.len() {
                0..=MOST_NAMED => skipped.join(", "),
                n => format!("{n} checks"),
            };
            out.push_str(&format!("  not run: {list} (--all says why)\n"));
        }
        let took = match report.timings.get("total") {
            Some(ms) => format!(", {}", milliseconds(*ms)),
            None => String::new(),
        };
        let mut last = format!(
            "{}  {name}: {}{took}",
            self.mark(report.overall),
            counts(report)
        );
        if let Some(check) = report
            .decisive()
            .filter(|c| c.state > State::Ok && !self.quiet)
        {
            last.push_str(&format!("; {}", title(check)));
        }
        out.push_str(&last);
        out.push('\n');
    }

    fn row(self, out: &mut String, check: &Check, name: &str, text: &str, width: usize) {
        let time = match check.elapsed_ms > 0.0 {
            true => milliseconds(check.elapsed_ms),
            false => String::new(),
        };
        let fill = width.saturating_sub(name.chars().count());
        out.push_str(&format!(
            "  {}  {name}{:fill$}  {time:>9}  {}",
            self.mark(check.state),
            "",
            plain(text, MOST_TEXT),
        ));
        out.push('\n');
        let hint = check.hint.as_ref().filter(|_| check.state != State::Skip);
        if let Some(hint) = hint {
            let hint = plain(hint, MOST_TEXT);
            out.push_str(&format!(
                "{:16}{}\n",
                "",
                self.paint("36", &format!("→ {hint}"))
            ));
        }
    }

    /// A sign and the word, ten columns wide.
    fn mark(self, state: State) -> String {
        let (sign, colour) = match state {
            State::Ok => ("✓", "32"),
            State::Warn => ("!", "33"),
            State::Crit => ("✗", "1;31"),
            State::Unknown => ("?", "35"),
            State::Skip => ("·", "2"),
        };
        self.paint(colour, &format!("{sign} {:<7}", state.word()))
    }

    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self.colour {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms >= 10_000.0 => format!("{:.1} s", ms / 1e3),
        ms if ms >= 100.0 => format!("{ms:.0} ms"),
        ms => format!("{ms:.1} ms"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use notifier_core::jiff::Timestamp;

    use super::*;
    use crate::report::{Class, Phase};

    fn report(extra: Vec<Check>) -> Report {
        let mut checks = vec![
            Check::ok("connect", Phase::Connect, "192.0.2.1:25").took(Duration::from_micros(1240)),
            Check::warn("cert_expiry", Phase::Tls, Class::Cert, "12 days left").hint("renew it"),
            Check::skip("auth", Phase::Auth, "no login is set"),
        ];
        checks.extend(extra);
        let mut report = Report::new("relay:25", Timestamp::UNIX_EPOCH, checks);
        report.timings.insert("total".to_owned(), 12.5);
        report
    }

    #[test]
    fn each_check_has_its_line_and_the_last_says_how_all_is() {
        let text = Table::default().render(&[report(vec![])]);
        assert_eq!(
            text,
            "relay:25\n\
             \x20 ✓ ok       connect         1.2 ms  192.0.2.1:25\n\
             \x20 ! warn     cert_expiry             12 days left\n\
             \x20               → renew it\n\
             \x20 not run: auth (--all says why)\n\
             ! warn     relay:25: 1 warn, 1 ok, 1 skip, 12.5 ms; cert_expiry\n"
        );
    }

    #[test]
    fn quiet_shows_what_is_not_fine() {
        let quiet = Table {
            quiet: true,
            ..Table::default()
        };
        let text = quiet.render(&[report(vec![])]);
        assert!(
            !text.contains("192.0.2.1") && !text.contains("not run"),
            "{text}"
        );
        assert!(
            text.contains("12 days left") && text.contains("renew it"),
            "{text}"
        );
        let fine = Report::new("r:25", Timestamp::UNIX_EPOCH, vec![]);
        assert_eq!(
            quiet.render(&[fine]),
            "✓ ok       r:25: nothing was checked\n"
        );
    }

    #[test]
    fn many_alike_are_folded_unless_all_is_asked_for() {
        let zones = (0..5)
            .map(|i| Check::ok("dnsbl", Phase::Dns, "not listed").subject(format!("z{i}.example")));
        let report = report(zones.collect());
        let text = Table::default().render(std::slice::from_ref(&report));
        assert!(
            text.contains("dnsbl                   5: z0.example, z1.example"),
            "{text}"
        );
        assert_eq!(text.matches("dnsbl").count(), 1, "{text}");
        let all = Table {
            all: true,
            ..Table::default()
        };
        let text = all.render(&[report]);
        assert_eq!(text.matches("dnsbl z").count(), 5, "{text}");
        assert!(text.contains("no login is set"), "{text}");
    }

    #[test]
    fn no_text_of_a_server_reaches_the_terminal_as_it_is() {
        let bad = Check::crit(
            "banner",
            Phase::Banner,
            Class::Proto,
            "\u{1b}]0;x\u{7}\n\u{9b}2J",
        )
        .hint("\u{1b}[1m")
        .subject("\u{1b}[0m");
        let coloured = Table {
            colour: true,
            ..Table::default()
        };
        for table in [Table::default(), coloured] {
            let text = table.render(&[report(vec![bad.clone()])]);
            let ours = text.replace("\u{1b}[0m", "");
            let rest = ["1", "36", "32", "33", "1;31", "35", "2"]
                .iter()
                .fold(ours, |t, code| t.replace(&format!("\u{1b}[{code}m"), ""));
            assert!(
                !rest.chars().any(|c| c.is_control() && c != '\n'),
                "{rest:?}"
            );
        }
        assert!(
            !Table::default()
                .render(&[report(vec![bad])])
                .contains('\u{1b}')
        );
    }

    #[test]
    fn several_targets_have_a_last_line_of_their_own() {
        let fine = Report::new("b:25", Timestamp::UNIX_EPOCH, vec![]);
        let text = Table::default().render(&[report(vec![]), fine]);
        let last = text.lines().last().unwrap();
        assert_eq!(last, "! warn     2 targets: 1 warn, 1 ok");
        let none = Table::default().render(&[]);
        assert_eq!(none, "? unknown  no target\n");
    }
}
