//! The text exposition format of Prometheus, version 0.0.4.

use std::collections::BTreeMap;

use notifier_core::jiff::{Timestamp, ToSpan};
use serde_json::Value;

use super::{MOST_NAME, plain};
use crate::report::{Check, Report, State};

/// Whether the samples bear the label `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labelled {
    /// No: what scrapes one target by `/probe` labels it by itself.
    No,
    /// Yes: for several targets in one answer.
    Target,
}

/// The reports as Prometheus reads them. Each family's `HELP` and `TYPE` stand once, and families
/// without a sample are left out.
///
/// | name | labels | what |
/// |---|---|---|
/// | `probe_success` | | 1 if mail can be taken: overall ok or warn |
/// | `probe_duration_seconds` | | the whole |
/// | `probe_ssl_earliest_cert_expiry` | | when the first certificate of the chain ends, Unix time |
/// | `smtp_probe_state` | | overall: 0 ok, 1 warn, 2 crit, 3 unknown |
/// | `smtp_probe_timestamp_seconds` | | when it was begun, Unix time |
/// | `smtp_probe_phase_seconds` | `phase` | how long each phase took |
/// | `smtp_probe_failed` | `phase`, `class` | 1 where a check is crit or unknown |
/// | `smtp_check_state` | `check` | the worst of each check, numbered as above; none for one that was not run |
/// | `smtp_check_value` | `check`, `subject`, `unit` | what checks measured |
/// | `smtp_reply_code` | `phase` | the code of the last reply that decided a check there |
/// | `smtp_tls_info` | `version`, `cipher` | 1 |
/// | `smtp_open_relay` | `form` | 1 where a form was accepted, else 0 |
/// | `smtp_canary_seconds` | | how long the canary was on its way |
/// | `postfix_showq_queue_depth` | `queue` | messages |
/// | `postfix_queue_oldest_seconds` | `queue` | the age of the oldest message: of `deferred`, and of `active` with all that is to go out now |
/// | `smtp_dnsbl_listed` | `zone` | 1 if listed, 0 if not; none if nobody can tell |
#[must_use]
pub fn prometheus(reports: &[Report], labelled: Labelled) -> String {
    let mut out = Exposition::default();
    for report in reports {
        let target = plain(&report.target, MOST_NAME);
        out.common = match labelled {
            Labelled::No => Vec::new(),
            Labelled::Target => vec![("target", target.into_owned())],
        };
        out.report(report);
    }
    out.render()
}

/// The families, by name: what they are, and their samples by their labels.
#[derive(Default)]
struct Exposition {
    common: Vec<(&'static str, String)>,
    families: BTreeMap<&'static str, (&'static str, BTreeMap<String, f64>)>,
}

impl Exposition {
    /// Adds a sample. Of several with the same labels the greatest counts.
    fn add(&mut self, name: &'static str, help: &'static str, labels: &[(&str, &str)], value: f64) {
        let common = self.common.iter().map(|(k, v)| (*k, v.as_str()));
        let all: Vec<String> = common
            .chain(labels.iter().copied())
            .map(|(k, v)| format!("{k}=\"{}\"", escaped(v)))
            .collect();
        let labels = match all.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", all.join(",")),
        };
        let (_, samples) = self
            .families
            .entry(name)
            .or_insert_with(|| (help, BTreeMap::new()));
        let entry = samples.entry(labels).or_insert(value);
        *entry = entry.max(value);
    }

    fn report(&mut self, report: &Report) {
        self.add(
            "probe_success",
            "Whether mail can be taken: the overall state is ok or warn.",
            &[],
            f64::from(1 - report.overall.probe_code()),
        );
        self.add(
            "smtp_probe_state",
            "The overall state: 0 ok, 1 warn, 2 crit, 3 unknown.",
            &[],
            f64::from(report.overall.plugin_code()),
        );
        self.add(
            "smtp_probe_timestamp_seconds",
            "When the probe was begun, in Unix time.",
            &[],
            seconds(report.started),
        );
        for (phase, ms) in &report.timings {
            match phase.as_str() {
                "total" => self.add(
                    "probe_duration_seconds",
                    "How long the whole probe took.",
                    &[],
                    ms / 1e3,
                ),
                phase => self.add(
                    "smtp_probe_phase_seconds",
                    "How long a phase of the probe took.",
                    &[("phase", phase)],
                    ms / 1e3,
                ),
            }
        }
        let mut codes: BTreeMap<&str, u16> = BTreeMap::new();
        for check in &report.checks {
            self.check(report, check);
            if let Some(code) = check.code {
                codes.insert(check.phase.word(), code);
            }
        }
        for (phase, code) in codes {
            self.add(
                "smtp_reply_code",
                "The code of the last reply that decided a check of a phase.",
                &[("phase", phase)],
                f64::from(code),
            );
        }
        self.states(report);
    }

    /// The worst state of each check that was run.
    fn states(&mut self, report: &Report) {
        let mut worst: BTreeMap<&str, State> = BTreeMap::new();
        for check in report.checks.iter().filter(|c| c.state != State::Skip) {
            let state = worst.entry(check.id).or_insert(check.state);
            *state = (*state).max(check.state);
        }
        for (check, state) in worst {
            self.add(
                "smtp_check_state",
                "The worst state of a check: 0 ok, 1 warn, 2 crit, 3 unknown.",
                &[("check", check)],
                f64::from(state.plugin_code()),
            );
        }
    }

    fn check(&mut self, report: &Report, check: &Check) {
        if check.state > State::Warn {
            let class = check.class.map_or("none", |c| c.word());
            self.add(
                "smtp_probe_failed",
                "Where the probe failed, and by what.",
                &[("phase", check.phase.word()), ("class", class)],
                1.0,
            );
        }
        if let Some(measure) = &check.measure {
            let subject = check.subject.as_deref().unwrap_or_default();
            self.add(
                "smtp_check_value",
                "What a check measured, in the unit of its label.",
                &[
                    ("check", check.id),
                    ("subject", subject),
                    ("unit", measure.unit),
                ],
                measure.value,
            );
        }
        match check.id {
            "cert_expiry" => self.expiry(report, check),
            "tls_version" => self.tls(check),
            "open_relay" => self.forms(check),
            "canary" => {
                if let Some(measure) = &check.measure {
                    self.add(
                        "smtp_canary_seconds",
                        "How long the canary was on its way.",
                        &[],
                        measure.value,
                    );
                }
            }
            "queue_depth" => self.depths(check),
            "queue_age" => self.oldest(check),
            "dnsbl" => self.zone(check),
            _ => {}
        }
    }

    fn expiry(&mut self, report: &Report, check: &Check) {
        let told = field(check, "not_after").and_then(Value::as_str);
        let told = told.and_then(|t| t.parse::<Timestamp>().ok());
        let counted = check.measure.as_ref().and_then(|m| {
            // Whole seconds of days that a certificate can have.
            let seconds = (m.value * 86_400.0).round().clamp(-1e11, 1e11);
            report.started.checked_add((seconds as i64).seconds()).ok()
        });
        if let Some(end) = told.or(counted) {
            self.add(
                "probe_ssl_earliest_cert_expiry",
                "When the first certificate of the chain ends, in Unix time.",
                &[],
                seconds(end),
            );
        }
    }

    fn tls(&mut self, check: &Check) {
        let word = |name| field(check, name).and_then(Value::as_str);
        if let Some(version) = word("version") {
            let cipher = word("cipher").unwrap_or_default();
            self.add(
                "smtp_tls_info",
                "The protocol and the cipher that were agreed on.",
                &[("version", version), ("cipher", cipher)],
                1.0,
            );
        }
    }

    fn forms(&mut self, check: &Check) {
        let forms = field(check, "forms").and_then(Value::as_array);
        for form in forms.into_iter().flatten() {
            let name = match &form["form"] {
                Value::String(name) => name.clone(),
                other => other.to_string(),
            };
            let verdict = form["verdict"].as_str().unwrap_or_default();
            let is_open = matches!(verdict, "accepted-rcpt" | "accepted-data" | "relayed");
            self.add(
                "smtp_open_relay",
                "Whether a form of an address of strangers was accepted.",
                &[("form", &name)],
                f64::from(u8::from(is_open)),
            );
        }
    }

    fn depths(&mut self, check: &Check) {
        let queues = field(check, "queues").and_then(Value::as_object);
        for (queue, messages) in queues.into_iter().flatten() {
            if let Some(messages) = messages.as_f64() {
                self.add(
                    "postfix_showq_queue_depth",
                    "Messages in a queue.",
                    &[("queue", queue)],
                    messages,
                );
            }
        }
    }

    fn oldest(&mut self, check: &Check) {
        if let (Some(queue), Some(measure)) = (&check.subject, &check.measure) {
            self.add(
                "postfix_queue_oldest_seconds",
                "The age of the oldest message of a queue.",
                &[("queue", queue)],
                measure.value,
            );
        }
    }

    fn zone(&mut self, check: &Check) {
        let told = field(check, "listed").and_then(Value::as_bool);
        let listed = told.or(match check.state {
            State::Ok => Some(false),
            State::Warn | State::Crit => Some(true),
            State::Unknown | State::Skip => None,
        });
        if let (Some(listed), Some(zone)) = (listed, &check.subject) {
            self.add(
                "smtp_dnsbl_listed",
                "Whether the address is on a block list.",
                &[("zone", zone)],
                f64::from(u8::from(listed)),
            );
        }
    }

    fn render(&self) -> String {
        let mut out = String::new();
        for (name, (help, samples)) in &self.families {
            out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
            for (labels, value) in samples {
                out.push_str(&format!("{name}{labels} {}\n", number(*value)));
            }
        }
        out
    }
}

fn field<'a>(check: &'a Check, name: &str) -> Option<&'a Value> {
    check.data.as_ref()?.get(name)
}

fn seconds(at: Timestamp) -> f64 {
    // Exact to the millisecond for all times that there are.
    at.as_millisecond() as f64 / 1e3
}

fn number(value: f64) -> String {
    match value {
        v if v.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        v => v.to_string(),
    }
}

/// A value of a label: in one line, with `\` and `"` escaped.
fn escaped(value: &str) -> String {
    plain(value, MOST_NAME)
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::{Class, Measure, Phase};

    fn report() -> Report {
        let checks = vec![
            Check::ok("tls_version", Phase::Tls, "x")
                .data(json!({ "version": "TLSv1.3", "cipher": "TLS13_AES_256_GCM_SHA384" })),
            Check::ok("cert_expiry", Phase::Tls, "x")
                .measure(Measure::new(2.0, "d").below(21.0, 7.0)),
            Check::crit("rcpt_own", Phase::Rcpt, Class::Reply5, "550").subject("a\\b\"c\n\u{1b}"),
            Check::crit("open_relay", Phase::Rcpt, Class::Reply5, "x").data(json!({ "forms": [
                { "form": "plain", "verdict": "accepted-rcpt" },
                { "form": 9, "verdict": "refused" },
            ] })),
            Check::ok("canary", Phase::Delivery, "x").measure(Measure::new(0.5, "s")),
            Check::ok("queue_depth", Phase::Queue, "x")
                .measure(Measure::new(2.0, ""))
                .data(json!({ "queues": { "deferred": 2, "hold": 0 } })),
            Check::ok("queue_age", Phase::Queue, "x")
                .subject("deferred")
                .measure(Measure::new(31.5, "s")),
            Check::crit("dnsbl", Phase::Dns, Class::Dns, "x").subject("zen.example"),
            Check::unknown("dnsbl", Phase::Dns, Class::Dns, "x").subject("silent.example"),
            Check::skip("auth", Phase::Auth, "x"),
        ];
        let mut report = Report::new("relay:25", Timestamp::UNIX_EPOCH, checks);
        report.timings.insert("total".to_owned(), 12.5);
        report.timings.insert("connect".to_owned(), 1.0);
        report
    }

    #[test]
    fn each_family_is_there_once_with_its_samples() {
        let text = prometheus(&[report()], Labelled::No);
        for line in [
            "probe_success 0",
            "smtp_probe_state 2",
            "smtp_probe_timestamp_seconds 0",
            "probe_duration_seconds 0.0125",
            "probe_ssl_earliest_cert_expiry 172800",
            "smtp_probe_phase_seconds{phase=\"connect\"} 0.001",
            "smtp_probe_failed{phase=\"rcpt\",class=\"reply5\"} 1",
            "smtp_check_state{check=\"tls_version\"} 0",
            "smtp_check_state{check=\"dnsbl\"} 2",
            "smtp_check_value{check=\"canary\",subject=\"\",unit=\"s\"} 0.5",
            "smtp_tls_info{version=\"TLSv1.3\",cipher=\"TLS13_AES_256_GCM_SHA384\"} 1",
            "smtp_open_relay{form=\"plain\"} 1",
            "smtp_open_relay{form=\"9\"} 0",
            "smtp_canary_seconds 0.5",
            "postfix_showq_queue_depth{queue=\"deferred\"} 2",
            "postfix_showq_queue_depth{queue=\"hold\"} 0",
            "postfix_queue_oldest_seconds{queue=\"deferred\"} 31.5",
            "smtp_dnsbl_listed{zone=\"zen.example\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        assert!(!text.contains("silent.example"), "{text}");
        assert!(!text.contains("check=\"auth\""), "{text}");
        sound(&text);
    }

    #[test]
    fn several_targets_are_told_apart() {
        let mut other = report();
        other.target = "b\"\\:25".to_owned();
        let text = prometheus(&[report(), other], Labelled::Target);
        assert!(
            text.contains("probe_success{target=\"relay:25\"} 0\n"),
            "{text}"
        );
        assert!(
            text.contains("probe_success{target=\"b\\\"\\\\:25\"} 0\n"),
            "{text}"
        );
        sound(&text);
        assert_eq!(prometheus(&[], Labelled::Target), "");
    }

    #[test]
    fn of_the_end_of_a_certificate_the_time_itself_counts_more_than_the_days() {
        let check = Check::ok("cert_expiry", Phase::Tls, "x")
            .measure(Measure::new(1e300, "d"))
            .data(json!({ "not_after": "1970-01-03T00:00:01Z" }));
        let report = Report::new("r", Timestamp::UNIX_EPOCH, vec![check]);
        let text = prometheus(&[report], Labelled::No);
        assert!(
            text.contains("probe_ssl_earliest_cert_expiry 172801\n"),
            "{text}"
        );
    }

    /// `HELP` and `TYPE` once for each family, right before its samples; no sample twice.
    fn sound(text: &str) {
        let mut families = std::collections::BTreeSet::new();
        let mut samples = std::collections::BTreeSet::new();
        let mut family = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                family = rest.split(' ').next().unwrap();
                assert!(families.insert(family), "{family} twice");
            } else if !line.starts_with("# TYPE ") {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                assert!(sample.starts_with(family), "{sample} in {family}");
                assert!(samples.insert(sample), "{sample} twice");
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
    }
}
