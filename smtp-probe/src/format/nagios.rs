//! The output of a monitoring plugin.

use super::{MOST_NAME, counts, overall, plain, sentence, title};
use crate::report::{Check, Measure, Report, State};

/// The most octets of a plugin's output: what Nagios reads.
pub const MOST_NAGIOS: usize = 8 * 1024;
/// The most octets of its performance data.
const MOST_DATA: usize = 4 * 1024;
/// The most octets of its first line, without the performance data.
const MOST_FIRST: usize = 1024;

/// What a monitoring plugin prints: `SMTP OK - …`, performance data behind a bar, and a line for each
/// check that is not fine. At most [`MOST_NAGIOS`] octets. The exit code that goes with it is
/// [`State::plugin_code`] of [`overall`].
///
/// `time` is the whole in seconds, `banner` the greeting's, `tls_days` the days that the certificate
/// is good for, `queue` messages, `oldest` the seconds of the oldest deferred one; other measures bear their
/// check's id. With several targets a name leads each.
#[must_use]
pub fn nagios(reports: &[Report]) -> String {
    let worst = overall(reports);
    let word = match worst {
        State::Skip | State::Ok => "OK",
        State::Warn => "WARNING",
        State::Crit => "CRITICAL",
        State::Unknown => "UNKNOWN",
    };
    let deciding = reports.iter().find(|r| r.overall == worst);
    let first = match deciding {
        None => "no target".to_owned(),
        Some(report) => {
            let name = plain(&report.target, MOST_NAME);
            let rest = match reports.len() {
                1 => String::new(),
                n => {
                    let bad = reports.iter().filter(|r| r.overall > State::Ok).count();
                    format!(" ({bad} of {n} targets not ok)")
                }
            };
            match report.decisive().filter(|c| c.state > State::Ok) {
                Some(check) => format!("{name} {}{rest}", sentence(check)),
                None if reports.len() > 1 => format!("{} targets ok", reports.len()),
                None => format!("{name}: {}", counts(report)),
            }
        }
    };
    let mut out = format!("SMTP {word} - {}", cut(&bare(&first), MOST_FIRST));
    let data = performance(reports);
    if !data.is_empty() {
        out.push_str(" | ");
        out.push_str(&data);
    }
    out.push('\n');
    details(&mut out, reports);
    out
}

/// The lines below the first, as many as there is room for.
fn details(out: &mut String, reports: &[Report]) {
    let mut left: usize = reports
        .iter()
        .map(|r| r.checks.iter().filter(|c| c.state > State::Ok).count())
        .sum();
    for report in reports {
        let name = match reports.len() {
            1 => String::new(),
            _ => format!("{} ", plain(&report.target, MOST_NAME)),
        };
        for check in report.checks.iter().filter(|c| c.state > State::Ok) {
            let line = format!("{name}{} {}", check.state, sentence(check));
            let line = bare(&line);
            if out.len() + line.len() + 64 > MOST_NAGIOS {
                out.push_str(&format!("and {left} more\n"));
                return;
            }
            out.push_str(&line);
            out.push('\n');
            left -= 1;
        }
    }
}

/// Nagios knows no escape for the bar that parts text and performance data.
fn bare(text: &str) -> String {
    text.replace('|', "¦")
}

/// The text up to so many octets.
fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn performance(reports: &[Report]) -> String {
    let mut out = String::new();
    let mut known: Vec<String> = Vec::new();
    let mut add = |report: &Report, label: &str, value: &Measure| {
        let label = match reports.len() {
            1 => label.to_owned(),
            _ => format!("{} {label}", report.target),
        };
        let label = quoted(&label);
        let entry = format!("{label}={}", amount(value));
        // Without room for all of it, whole entries are left out.
        if known.contains(&label) || out.len() + entry.len() + 1 > MOST_DATA {
            return;
        }
        known.push(label);
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&entry);
    };
    for report in reports {
        if let Some(ms) = report.timings.get("total") {
            add(report, "time", &Measure::new(ms / 1e3, "s"));
        }
        for check in &report.checks {
            if let Some(measure) = &check.measure {
                add(report, &label(check), measure);
            }
        }
    }
    out
}

/// The short name of what a check measures.
fn label(check: &Check) -> String {
    match (check.id, &check.subject) {
        ("greeting_delay", None) => "banner".to_owned(),
        ("cert_expiry", None) => "tls_days".to_owned(),
        ("queue_depth", None) => "queue".to_owned(),
        ("queue_age", Some(queue)) if queue != "deferred" => format!("oldest_{queue}"),
        ("queue_age", _) => "oldest".to_owned(),
        _ => title(check),
    }
}

/// A label as performance data takes it: in quotes where it has blanks, without `=` and quotes.
fn quoted(label: &str) -> String {
    let fit = |c: char| match c {
        '\'' | '=' | '|' => '_',
        c => c,
    };
    let label: String = plain(label, MOST_NAME).chars().map(fit).collect();
    match label.contains(char::is_whitespace) {
        true => format!("'{label}'"),
        false => label,
    }
}

/// `value unit;warn;crit;min`. A bound that is a least value is written `21:`.
fn amount(measure: &Measure) -> String {
    let bound = |bound: Option<f64>| match (bound, measure.less_is_worse) {
        (None, _) => String::new(),
        (Some(b), false) => number(b),
        (Some(b), true) => format!("{}:", number(b)),
    };
    format!(
        "{}{};{};{};0",
        number(measure.value),
        measure.unit,
        bound(measure.warn),
        bound(measure.crit)
    )
}

/// At most six digits behind the point.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return "U".to_owned();
    }
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "-0" => "0".to_owned(),
        text => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use notifier_core::jiff::Timestamp;

    use super::*;
    use crate::report::{Class, Phase};

    fn report(name: &str, checks: Vec<Check>) -> Report {
        let mut report = Report::new(name, Timestamp::UNIX_EPOCH, checks);
        report.timings.insert("total".to_owned(), 12.0);
        report
    }

    #[test]
    fn a_healthy_relay_is_one_line_with_its_numbers() {
        let checks = vec![
            Check::ok("connect", Phase::Connect, "x")
                .measure(Measure::new(0.0012, "s").above(1.0, 3.0)),
            Check::ok("cert_expiry", Phase::Tls, "x")
                .measure(Measure::new(364.0, "d").below(21.0, 7.0)),
            Check::ok("queue_depth", Phase::Queue, "x")
                .measure(Measure::new(2.0, "").above(50.0, 500.0)),
            Check::ok("queue_age", Phase::Queue, "x")
                .subject("deferred")
                .measure(Measure::new(31.0, "s").above(900.0, 3600.0)),
            Check::ok("queue_age", Phase::Queue, "x")
                .subject("active")
                .measure(Measure::new(0.0, "s").above(60.0, 300.0)),
        ];
        assert_eq!(
            nagios(&[report("relay:25", checks)]),
            "SMTP OK - relay:25: 5 ok | time=0.012s;;;0 connect=0.0012s;1;3;0 tls_days=364d;21:;7:;0 queue=2;50;500;0 oldest=31s;900;3600;0 oldest_active=0s;60;300;0\n"
        );
    }

    #[test]
    fn the_worst_leads_and_the_rest_follows() {
        let checks = vec![
            Check::warn("helo", Phase::Ehlo, Class::Reply5, "504 a|b").hint("set helo"),
            Check::crit(
                "rcpt_own",
                Phase::Rcpt,
                Class::Reply5,
                "550 no\r\nsuch user",
            )
            .subject("a=b'c@x.example")
            .measure(Measure::new(1.0, "s")),
        ];
        assert_eq!(
            nagios(&[report("relay:25", checks.clone())]),
            "SMTP CRITICAL - relay:25 rcpt_own a=b'c@x.example: 550 no such user | time=0.012s;;;0 'rcpt_own a_b_c@x.example'=1s;;;0\n\
             warn helo: 504 a¦b -> set helo\n\
             crit rcpt_own a=b'c@x.example: 550 no such user\n"
        );
        let both = [report("a:25", vec![]), report("b:25", checks)];
        let text = nagios(&both);
        assert!(
            text.starts_with("SMTP CRITICAL - b:25 rcpt_own a=b'c@x.example: 550 no such user (1 of 2 targets not ok) | 'a:25 time'=0.012s"),
            "{text}"
        );
        assert!(nagios(&[]).starts_with("SMTP UNKNOWN - no target\n"));
        let fine = [report("a:25", vec![]), report("b:25", vec![])];
        assert!(nagios(&fine).starts_with("SMTP OK - 2 targets ok | "));
    }

    #[test]
    fn it_is_never_longer_than_nagios_reads() {
        let check = |i: usize| {
            Check::crit("main_cf", Phase::Lint, Class::Local, "ü|".repeat(5000))
                .subject(format!("parameter_{i}"))
                .measure(Measure::new(1.0, ""))
                .hint("x".repeat(9000))
        };
        let text = nagios(&[report("relay:25", (0..500).map(check).collect())]);
        assert!(text.len() <= MOST_NAGIOS, "{}", text.len());
        assert!(text.lines().last().unwrap().ends_with(" more"), "{text}");
        assert_eq!(text.matches('|').count(), 1);
    }

    #[test]
    fn many_targets_with_odd_names_stay_within_it_too() {
        let one = |i: usize| {
            let checks = (0..20).map(|n| {
                Check::crit(
                    "rcpt_own",
                    Phase::Rcpt,
                    Class::Reply5,
                    "550 'no'|\n\u{1b}[2Jx=1",
                )
                .subject(format!("{n}' |=\n@x.example"))
                .measure(Measure::new(1.5, "s").above(1.0, 2.0))
            });
            report(&format!("it's |a=\r\n{i}"), checks.collect())
        };
        let text = nagios(&(0..100).map(one).collect::<Vec<_>>());
        assert!(text.len() <= MOST_NAGIOS, "{}", text.len());
        assert_eq!(text.matches('|').count(), 1, "{text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
        let (_, data) = text.lines().next().unwrap().split_once(" | ").unwrap();
        // Each entry is whole: a label in quotes, one equals sign, a number.
        for entry in data.strip_prefix('\'').unwrap().split(" '") {
            let (label, amount) = entry.split_once("'=").unwrap();
            assert!(!label.contains(['\'', '=']), "{entry}");
            assert!(amount.starts_with(|c: char| c.is_ascii_digit()), "{entry}");
            assert_eq!(amount.split(';').count(), 4, "{entry}");
        }
    }

    #[test]
    fn numbers_are_short_and_never_words() {
        assert_eq!(number(0.1 + 0.2), "0.3");
        assert_eq!(number(-0.000_000_1), "0");
        assert_eq!(number(f64::NAN), "U");
        assert_eq!(number(100.0), "100");
    }
}
