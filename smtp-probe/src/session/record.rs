//! What a dialogue leaves behind.

use std::{collections::BTreeMap, time::Duration};

use smtp_wire::{Fault, Link, Reply};
use tokio::time::Instant;

use super::Seen;
use crate::{
    connection::Stop,
    report::{Check, Class, Phase, milliseconds},
};

/// How long the server may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Checks in the order of the dialogue, and where the time went.
#[derive(Debug, Default)]
pub(crate) struct Record {
    checks: Vec<Check>,
    timings: BTreeMap<String, f64>,
    /// What the server greeted with.
    banner: Option<Reply>,
    /// It comes last, after what was skipped.
    quit: Option<Check>,
    /// Why nothing more can be asked.
    ended: Option<String>,
}

impl Record {
    pub(crate) fn push(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// Notes what the server greeted with.
    pub(crate) fn greeted(&mut self, banner: &Reply) {
        self.banner = Some(banner.clone());
    }

    /// Time of a phase, which may come several times.
    pub(crate) fn spent(&mut self, phase: Phase, time: Duration) {
        *self.timings.entry(phase.word().to_owned()).or_default() += milliseconds(time);
    }

    /// Notes what ends the dialogue, as the verdict of a check.
    pub(crate) fn stop(&mut self, id: &'static str, stop: Stop, took: Duration) -> Stop {
        self.checks.push(stop.clone().check(id).took(took));
        self.end(&stop);
        stop
    }

    /// Says why nothing more is asked, unless that is said already.
    pub(crate) fn end(&mut self, stop: &Stop) {
        let why = format!("the dialogue ended at {} ({})", stop.phase, stop.class);
        self.ended.get_or_insert(why);
    }

    pub(crate) fn end_reason(&self) -> &str {
        self.ended
            .as_deref()
            .unwrap_or("the dialogue did not come so far")
    }

    pub(crate) fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The checks so far, to be corrected by what was learnt later.
    pub(crate) fn checks_mut(&mut self) -> &mut [Check] {
        &mut self.checks
    }

    pub(crate) fn has_quit(&self) -> bool {
        self.quit.is_some()
    }

    pub(crate) fn set_quit(&mut self, check: Check) {
        self.quit = Some(check);
    }

    /// Says goodbye, where the server still listens.
    pub(crate) async fn leave(&mut self, mut link: Link, stop: Option<&Stop>) {
        if stop.is_some_and(Stop::is_over) {
            return;
        }
        let begun = Instant::now();
        let left = link.until().saturating_duration_since(begun);
        let reply = link.ask("QUIT\r\n", GOODBYE).await;
        let took = begun.elapsed();
        self.spent(Phase::Quit, took);
        let check = match reply {
            Ok(reply) if reply.code() == 221 => {
                Check::ok("quit", Phase::Quit, format!("221 {}", reply.text())).reply(&reply)
            }
            Ok(reply) => {
                let class = Stop::refused(Phase::Quit, reply.clone()).class;
                let text = format!("{} {}, where 221 was due", reply.codes(), reply.text());
                Check::warn("quit", Phase::Quit, class, text).reply(&reply)
            }
            // That it got less time is no fault of the server.
            Err(Fault::Stalled(_)) if left < GOODBYE => Check::skip(
                "quit",
                Phase::Quit,
                "the time of the dialogue was over before the answer",
            ),
            Err(fault) => {
                let stop = Stop::broken(Phase::Quit, &fault);
                let text = format!("{}; 221 was due", stop.text);
                Check::warn("quit", Phase::Quit, stop.class, text)
            }
        };
        let check = match check.class {
            None => check,
            Some(Class::Timeout) => check.hint(
                "the server does not end its dialogues: look at its load, and at what filters its connections",
            ),
            Some(_) => check.hint(
                "mail is not lost by it, and no mail server does so: look at what stands between",
            ),
        };
        self.quit.get_or_insert(check.sent("QUIT").took(took));
    }

    pub(crate) fn finish(mut self, is_through: bool) -> Seen {
        self.checks.extend(self.quit);
        Seen {
            checks: self.checks,
            timings: self.timings,
            banner: self.banner,
            is_through,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::State;

    /// What is said of a server that is silent at QUIT, with so much time left for the dialogue.
    async fn left_with(left: Duration) -> Check {
        let (ours, _theirs) = tokio::io::duplex(1024);
        let mut record = Record::default();
        let link = Link::of(Box::new(ours), Instant::now() + left);
        record.leave(link, None).await;
        record.finish(true).checks.pop().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_goodbye_takes_no_longer_than_the_dialogue_may() {
        let check = left_with(Duration::from_secs(60)).await;
        assert_eq!((check.id, check.state), ("quit", State::Warn), "{check:?}");
        assert_eq!(check.elapsed_ms, 2000.0);
        let check = left_with(Duration::from_secs(1)).await;
        assert_eq!((check.id, check.state), ("quit", State::Skip), "{check:?}");
        assert_eq!(check.elapsed_ms, 1000.0);
    }
}
