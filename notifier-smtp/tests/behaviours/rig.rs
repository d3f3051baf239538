//! How a row is run and judged.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc, time::Duration};

use async_trait::async_trait;
use notifier_core::{
    BackendSettings, DeliveryId, FailureRecord, LogReader, LogTail, Origin, Report, ReportOptions,
    Reporter, ReporterFactory, Result, Settings, jiff::Timestamp,
};
use notifier_smtp::{OPTIONS, SmtpFactory};
use notifier_testkit::smtp::{FakeSmtp, ReceivedMail};

use crate::outcome::{Outcome, Want, dialogue, shorten};
use crate::row::{Again, Between, PASSWORD, Row};

/// What no test reaches unless something hangs; several times as long where a mail is large.
const HANGS: Duration = Duration::from_secs(120);

/// The delivery that is judged.
const ID: &str = "0123456789abcdef0123456789abcdef";

impl Row {
    fn settings(&self, relay: &FakeSmtp) -> BackendSettings {
        let mut all = BackendSettings::new(OPTIONS);
        let port = relay.port();
        let server = format!("127.0.0.1:{port}");
        let to = self.to.join(",");
        for (key, value) in [
            ("server", server.as_str()),
            ("tls", "none"),
            ("helo", "watcher.example"),
            ("from", "Watcher <alerts@watcher.example>"),
            ("to", &to),
        ] {
            all.set(Origin::Flag, key, value).unwrap();
        }
        for (key, value) in &self.settings {
            let value = value.replace("PORT", &port.to_string());
            all.set(Origin::Flag, key, &value).unwrap();
        }
        all
    }

    /// Runs it; its line of the table, and what was wrong.
    async fn run(self) -> (String, Vec<String>) {
        let bound = if self.logs > 1 << 20 {
            HANGS * 5
        } else {
            HANGS
        };
        let name = self.name.clone();
        let run = tokio::time::timeout(bound, self.go()).await;
        run.unwrap_or_else(|_| (name, vec!["it hangs".to_owned()]))
    }

    async fn go(self) -> (String, Vec<String>) {
        let mut wrong = Vec::new();
        let first = self
            .before
            .as_ref()
            .map_or(&self.script, |(first, _)| first);
        let relay = FakeSmtp::start(first.clone()).await;
        if self.is_refused {
            relay.refuse().await;
        }
        let base = self.settings(&relay);
        let reporter = SmtpFactory.build(&base).unwrap();
        let settings = base.instance("default");
        let report = report(self.logs);
        let mut before = 0;
        if let Some((_, between)) = &self.before {
            let first = send(&*reporter, &report, &settings, "other", &self.to).await;
            if first.wants().iter().any(|(_, w)| *w != Want::Delivered) {
                wrong.push(format!("the first mail: {first:?}"));
            }
            before = relay.mails().len();
            relay.set(self.script.clone());
            match between {
                Between::Nothing => {}
                Between::HangUp(text) => relay.hang_up(text),
                Between::Dropped => relay.drop_connections(),
                Between::Refused => relay.refuse().await,
            }
            if !matches!(between, Between::Nothing) {
                relay.wait(|state| state.open == 0).await;
            }
        }
        let bound = if self.logs > 1 << 20 {
            HANGS * 5
        } else {
            HANGS
        };
        let sending = send(&*reporter, &report, &settings, ID, &self.to);
        let Ok(outcome) = tokio::time::timeout(bound, sending).await else {
            wrong.push("it hangs".to_owned());
            return (self.name, wrong);
        };
        self.judge(&relay, before, &outcome, &mut wrong).await;
        let outcome = match &self.again {
            None => outcome,
            Some(again) => {
                let reporter = SmtpFactory.build(&base).unwrap();
                self.repeat(again, &relay, &*reporter, &settings, outcome, &mut wrong)
                    .await
            }
        };
        if let Some(got) = self.got {
            // A command may still be on its way when an attempt was given up.
            let waited = tokio::time::timeout(HANGS / 4, async {
                while dialogue(&relay.state()) != got {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            if waited.await.is_err() {
                let is = dialogue(&relay.state());
                wrong.push(format!("wanted the dialogue [{got}], and it is [{is}]"));
            }
        }
        let faults = relay.faults();
        if !faults.is_empty() && !self.is_unruly {
            wrong.push(format!("against the standards: {faults:?}"));
        }
        let got = dialogue(&relay.state());
        let mut line = format!("{:<58} ", self.name);
        for (n, (_, want)) in outcome.wants().iter().enumerate() {
            let comma = if n > 0 { ", " } else { "" };
            let _ = write!(line, "{comma}{want:?}");
        }
        let _ = write!(line, "  [{}]", shorten(&got));
        for text in outcome.texts().into_iter().take(1) {
            let _ = write!(line, "\n    {text}");
        }
        (line, wrong)
    }

    /// How many of these mails each recipient has.
    fn has(&self, mails: &[ReceivedMail]) -> Vec<(&'static str, usize)> {
        let count = |to| mails.iter().filter(|m| m.to().contains(&to)).count();
        self.want.iter().map(|(to, _)| (*to, count(*to))).collect()
    }

    /// How many mails each recipient is to have.
    fn wanted(&self, ambiguous: usize) -> Vec<(&'static str, usize)> {
        let count = |want| match want {
            Want::Delivered => 1,
            Want::Ambiguous => ambiguous,
            _ => 0,
        };
        self.want
            .iter()
            .map(|(to, want)| (*to, count(*want)))
            .collect()
    }

    async fn repeat(
        &self,
        again: &Again,
        relay: &FakeSmtp,
        reporter: &dyn Reporter,
        settings: &Settings,
        first: Outcome,
        wrong: &mut Vec<String>,
    ) -> Outcome {
        relay.set(again.script.clone());
        let id = DeliveryId::new(ID);
        let mut options = ReportOptions::new(&id, settings);
        options.attempt = 2;
        options.progress = first.progress.as_ref();
        let report = report(self.logs);
        let outcome = Outcome::of(reporter.report(&report, &options).await, &self.to);
        if outcome.wants() != again.want {
            wrong.push(format!("the second attempt: {outcome:?}"));
        }
        let mails = relay.mails();
        let has: Vec<(&str, usize)> = self.has(&mails);
        if has != again.mails {
            let wanted = &again.mails;
            wrong.push(format!("after both attempts {has:?}, wanted {wanted:?}"));
        }
        let ids: BTreeSet<_> = mails.iter().map(|m| m.header("Message-ID")).collect();
        if ids.len() > 1 {
            wrong.push(format!("the ids of both attempts: {ids:?}"));
        }
        outcome
    }

    async fn judge(
        &self,
        relay: &FakeSmtp,
        before: usize,
        outcome: &Outcome,
        wrong: &mut Vec<String>,
    ) {
        let (mut want, mut is) = (self.want.clone(), outcome.wants());
        want.sort_by_key(|(to, _)| *to);
        is.sort_by_key(|(to, _)| *to);
        if is != want {
            wrong.push(format!("wanted {want:?}, and it is {is:?}: {outcome:?}"));
        }
        // Where an attempt was given up the relay may not have read all of it yet.
        let kept = self.wanted(self.ambiguous);
        let _ = tokio::time::timeout(HANGS / 4, async {
            while self.has(&relay.mails()[before..]) != kept {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        let mails = relay.mails().split_off(before);
        let has = self.has(&mails);
        if has != kept {
            wrong.push(format!("mails by recipient: {has:?}, wanted {kept:?}"));
        }
        for (to, id) in outcome
            .verdicts
            .iter()
            .filter_map(|(to, v)| Some((to, v.as_ref().ok()?)))
        {
            let is_there = mails
                .iter()
                .any(|m| m.id == *id && m.to().contains(&to.as_str()));
            if !id.is_empty() && !is_there {
                wrong.push(format!("{to}: no mail of the id {id}"));
            }
        }
        let ids: BTreeSet<_> = mails.iter().map(|m| m.header("Message-ID")).collect();
        if ids.len() > 1 || ids.contains(&None) {
            wrong.push(format!("the mails' ids: {ids:?}"));
        }
        for text in outcome.texts() {
            if text.contains(PASSWORD) || text.contains('\n') || text.len() > 1000 {
                wrong.push(format!("what an error says: {text}"));
            }
        }
        for says in &self.says {
            if !outcome.texts().iter().any(|text| text.contains(says)) {
                wrong.push(format!("no error says {says:?}: {:?}", outcome.texts()));
            }
        }
        for check in &self.checks {
            if let Err(what) = check(&mails, outcome) {
                wrong.push(what);
            }
        }
    }
}

/// One attempt.
async fn send(
    reporter: &dyn Reporter,
    report: &Report,
    settings: &Settings,
    id: &str,
    to: &[&str],
) -> Outcome {
    let id = DeliveryId::new(id);
    let options = ReportOptions::new(&id, settings);
    Outcome::of(reporter.report(report, &options).await, to)
}

fn report(logs: usize) -> Report {
    let failure = FailureRecord::new("web.1", "web", "TASK_FAILED", Timestamp::UNIX_EPOCH);
    let report = Report::failure(failure.with_default_key());
    if logs == 0 {
        report
    } else {
        report.with_logs(Arc::new(Logs(logs)))
    }
}

/// A log of so many octets.
#[derive(Debug)]
struct Logs(usize);

#[async_trait]
impl LogReader for Logs {
    async fn tail(&self, name: &str, most: usize) -> Result<Option<LogTail>> {
        let bytes: Vec<u8> = b"a line of a log\n"
            .iter()
            .copied()
            .cycle()
            .take(self.0.min(most))
            .collect();
        Ok((name == "stderr").then(|| LogTail::new(bytes, self.0 > most)))
    }
}

/// Runs the rows side by side, prints the table, and fails with all that was wrong.
#[expect(
    clippy::print_stdout,
    reason = "the table is read by who runs the tests"
)]
pub(crate) async fn table(title: &str, rows: Vec<Row>) {
    let running: Vec<_> = rows
        .into_iter()
        .map(|row| tokio::spawn(row.run()))
        .collect();
    let mut lines = vec![format!("\n{title}")];
    let mut all = Vec::new();
    for row in running {
        let (line, wrong) = row.await.unwrap();
        for what in wrong {
            let name = line.lines().next().unwrap_or_default().trim_end();
            all.push(format!("{name}\n    {what}"));
        }
        lines.push(line);
    }
    println!("{}", lines.join("\n"));
    assert!(all.is_empty(), "\n{}", all.join("\n"));
}
