//! One mail to several recipients: MAIL, RCPT, DATA (RFC 5321 §3.3).

use std::time::Duration;

use lettre::transport::smtp::commands::{Data, Rset};
use notifier_core::{ErrorKind, Scope};
use smtp_wire::{Fault, Link, Reply, Sent};

use crate::{
    address::Address,
    envelope::{Envelope, mail, rcpt},
    error::{Failure, Step, is_ours},
    session::Session,
};

/// The most commands that go out before an answer is read: the relay must be able to answer
/// all of them while we do not read yet (RFC 2920 §3.1).
const BATCH: usize = 50;

/// How it stands with one recipient.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The relay has it, and says under which id.
    Delivered(Option<String>),
    Failed(Failure),
    /// The relay takes no more recipients in this transaction.
    TooMany,
}

/// How a transaction ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// In the order of the recipients.
    pub(crate) verdicts: Vec<Verdict>,
    /// The connection may be used again.
    pub(crate) is_open: bool,
    /// The connection was gone before MAIL was answered.
    pub(crate) is_stale: bool,
    /// What holds for the whole mail, so that further transactions are of no use.
    pub(crate) whole: Option<Failure>,
}

/// Sends to these recipients, of which there is at least one.
pub(crate) async fn send(
    session: &mut Session,
    envelope: &Envelope<'_>,
    to: &[Address],
) -> Outcome {
    let mut course = Course::new(session, envelope, to);
    course.run().await;
    course.end()
}

/// An answer that is none to what was asked.
pub(crate) fn strange(reply: &Reply) -> Fault {
    Fault::Malformed(format!("{}, which is no answer to that,", reply.codes()))
}

/// How it stands with a recipient on the way.
#[derive(Clone, Debug)]
enum Stand {
    /// RCPT has no answer yet.
    Open,
    /// RCPT was taken; the message is still to come.
    Taken,
    Settled(Verdict),
}

struct Course<'a> {
    session: &'a mut Session,
    envelope: &'a Envelope<'a>,
    to: &'a [Address],
    stands: Vec<Stand>,
    is_open: bool,
    is_stale: bool,
    whole: Option<Failure>,
}

/// A command that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Mail,
    Rcpt(usize),
    Data,
}

impl<'a> Course<'a> {
    fn new(session: &'a mut Session, envelope: &'a Envelope<'a>, to: &'a [Address]) -> Self {
        Self {
            stands: vec![Stand::Open; to.len()],
            session,
            envelope,
            to,
            is_open: true,
            is_stale: false,
            whole: None,
        }
    }

    fn link(&mut self) -> &mut Link {
        &mut self.session.link
    }

    fn within(&self) -> Duration {
        self.session.reply
    }

    fn step(&self, asked: Asked) -> Step {
        match asked {
            Asked::Mail => Step::Mail(self.envelope.sender.to_string()),
            Asked::Rcpt(n) => Step::Rcpt(self.to[n].to_string()),
            Asked::Data => Step::Data,
        }
    }

    /// Settles all that are not settled yet.
    fn settle(&mut self, failure: &Failure) {
        for stand in &mut self.stands {
            if !matches!(stand, Stand::Settled(_)) {
                *stand = Stand::Settled(Verdict::Failed(failure.clone()));
            }
        }
    }

    /// The whole mail failed.
    fn fail(&mut self, failure: Failure) {
        self.settle(&failure);
        self.whole = Some(failure);
    }

    /// The connection is of no use any more.
    fn drop_link(&mut self, failure: Failure) {
        self.is_open = false;
        self.fail(failure);
    }

    fn taken(&self) -> usize {
        let is_taken = |s: &&Stand| matches!(s, Stand::Taken);
        self.stands.iter().filter(is_taken).count()
    }

    /// The refusal of a step, with the dialogue in a log where it is our own fault.
    fn refused(&self, step: &Step, reply: &Reply) -> Failure {
        let failure = self.session.who.refused(step, reply);
        if is_ours(reply) {
            tracing::debug!(
                dialogue = %self.session.link.dialogue(),
                "a command was not understood: {}",
                failure.text
            );
        }
        failure
    }

    /// What is to be said; who cannot be named in a command is settled.
    fn commands(&mut self) -> Result<Vec<(Asked, String)>, Failure> {
        let parameters = self.envelope.parameters(&self.session.offers, self.to);
        let mut all = vec![(Asked::Mail, mail(self.envelope.sender, parameters)?)];
        for (n, one) in self.to.iter().enumerate() {
            match rcpt(one) {
                Ok(line) => all.push((Asked::Rcpt(n), line)),
                Err(failure) => {
                    let failure = failure.at(Scope::Target);
                    self.stands[n] = Stand::Settled(Verdict::Failed(failure));
                }
            }
        }
        all.push((Asked::Data, Data.to_string()));
        Ok(all)
    }

    async fn run(&mut self) {
        let commands = match self.commands() {
            Ok(commands) => commands,
            Err(failure) => return self.fail(failure),
        };
        let batch = if self.session.offers.pipelining {
            BATCH
        } else {
            1
        };
        let mut data = None;
        for group in commands.chunks(batch) {
            if group[0].0 == Asked::Data && self.taken() == 0 {
                break;
            }
            if !self.ask(group, &mut data).await {
                return;
            }
            // Refused as a whole, or full: what is left is not asked for.
            let is_full = self
                .stands
                .iter()
                .any(|s| matches!(s, Stand::Settled(Verdict::TooMany)));
            if self.whole.is_some() {
                break;
            }
            if is_full && data.is_none() {
                self.leave_rest();
                let last = &commands[commands.len() - 1..];
                if self.taken() > 0 && !self.ask(last, &mut data).await {
                    return;
                }
                break;
            }
        }
        self.finish(data).await;
    }

    /// Those that were not asked for yet wait for the next transaction.
    fn leave_rest(&mut self) {
        for stand in &mut self.stands {
            if matches!(stand, Stand::Open) {
                *stand = Stand::Settled(Verdict::TooMany);
            }
        }
    }

    /// Sends commands and reads all of their answers; false if the connection is gone.
    async fn ask(&mut self, group: &[(Asked, String)], data: &mut Option<Reply>) -> bool {
        let within = self.within();
        let first = group[0].0;
        let unasked = self.link().unasked(within).await;
        let sent = match unasked {
            // What comes now would be taken for the answers to what is not asked.
            Err(fault) => {
                self.is_stale = first == Asked::Mail;
                let failure = self.session.who.broken(&self.step(first), &fault);
                self.drop_link(failure);
                return false;
            }
            Ok(Some(reply)) => {
                self.is_stale = first == Asked::Mail;
                let failure = self.refused(&self.step(first), &reply);
                self.drop_link(failure);
                return false;
            }
            Ok(None) => {
                let lines: Vec<String> = group.iter().map(|(_, line)| line.clone()).collect();
                self.link().write_all(&lines, within).await
            }
        };
        // What it said before it closed may still be there to read.
        let mut broken = sent.err();
        if let Some(fault @ Fault::Stalled(_)) = &broken {
            self.is_stale = first == Asked::Mail;
            let failure = self.session.who.broken(&self.step(first), fault);
            self.drop_link(failure);
            return false;
        }
        for (asked, _) in group {
            let reply = match self.link().reply(within).await {
                Ok(reply) => reply,
                Err(fault) => {
                    self.is_stale = *asked == Asked::Mail;
                    let step = self.step(*asked);
                    let failure = self
                        .session
                        .who
                        .broken(&step, &broken.take().unwrap_or(fault));
                    self.drop_link(failure);
                    return false;
                }
            };
            if reply.is_closing() {
                self.is_stale = *asked == Asked::Mail;
                let failure = self.refused(&self.step(*asked), &reply);
                self.drop_link(failure);
                return false;
            }
            if let Err(fault) = self.judge(*asked, reply, data) {
                let failure = self.session.who.broken(&self.step(*asked), &fault);
                self.drop_link(failure);
                return false;
            }
        }
        true
    }

    fn judge(&mut self, asked: Asked, reply: Reply, data: &mut Option<Reply>) -> Result<(), Fault> {
        let is_refusal = reply.is_transient() || reply.is_permanent();
        match asked {
            Asked::Data => *data = Some(reply),
            // The rest of the group is answered by 503, which says nothing.
            _ if self.whole.is_some() => {}
            Asked::Mail | Asked::Rcpt(_) if !is_refusal && !reply.is_done() => {
                return Err(strange(&reply));
            }
            Asked::Mail if is_refusal => {
                let failure = self.refused(&self.step(asked), &reply);
                self.fail(failure);
            }
            Asked::Mail => {}
            Asked::Rcpt(n) if is_refusal => {
                let verdict = if self.taken() > 0 && is_too_many(&reply) {
                    Verdict::TooMany
                } else {
                    Verdict::Failed(self.refused(&self.step(asked), &reply))
                };
                self.stands[n] = Stand::Settled(verdict);
            }
            Asked::Rcpt(n) => self.stands[n] = Stand::Taken,
        }
        Ok(())
    }

    /// Goes on after the answer to DATA, if it was sent.
    async fn finish(&mut self, data: Option<Reply>) {
        let is_started = data.as_ref().is_some_and(|r| r.code() == 354);
        if self.taken() == 0 {
            if is_started {
                // The relay reads a message that has no recipient. Ended at once, it goes nowhere;
                // RSET cannot be said here (RFC 2920 §3.1).
                let within = self.within();
                let _ = self.link().write_all(&[".\r\n".to_owned()], within).await;
                self.is_open = false;
            } else {
                self.reset().await;
            }
            return;
        }
        match data {
            Some(_) if is_started => self.body().await,
            Some(reply) if reply.is_transient() || reply.is_permanent() => {
                let failure = self.refused(&Step::Data, &reply);
                self.fail(failure);
                self.reset().await;
            }
            Some(reply) => {
                let failure = self.session.who.broken(&Step::Data, &strange(&reply));
                self.drop_link(failure);
            }
            None => {
                let fault = Fault::Malformed("no answer".to_owned());
                let failure = self.session.who.broken(&Step::Data, &fault);
                self.drop_link(failure);
            }
        }
    }

    async fn body(&mut self) {
        let (within, last) = (self.within(), self.session.last);
        let wire = self.envelope.wire;
        let sent = self.link().send(wire, within).await;
        let fault = match sent {
            Sent::Whole => {
                let reply = self.link().reply(last).await;
                return self.answered(reply);
            }
            // All of it left us, so it may be there.
            Sent::Broken(n, fault) if n >= wire.len() => return self.answered(Err(fault)),
            Sent::Broken(_, fault) => fault,
            Sent::Interrupted => {
                Fault::Malformed("an answer before the message was whole".to_owned())
            }
        };
        // The dot did not go: whatever it says now, it does not have the message.
        let said = match &fault {
            Fault::Stalled(_) => None,
            _ => self.link().reply(within).await.ok(),
        };
        let failure = match said {
            Some(reply) if reply.is_transient() || reply.is_permanent() => {
                self.refused(&Step::Body, &reply)
            }
            _ => self.session.who.broken(&Step::Body, &fault),
        };
        self.drop_link(failure);
    }

    /// The answer to the whole message, or its lack.
    fn answered(&mut self, reply: Result<Reply, Fault>) {
        match reply {
            Ok(reply) if reply.is_done() => {
                let id = reply.queue_id();
                for stand in &mut self.stands {
                    if matches!(stand, Stand::Taken) {
                        *stand = Stand::Settled(Verdict::Delivered(id.clone()));
                    }
                }
                self.session.used += 1;
            }
            Ok(reply) if reply.is_transient() || reply.is_permanent() => {
                let failure = self.refused(&Step::Body, &reply);
                self.is_open = !reply.is_closing();
                self.fail(failure);
                self.session.used += 1;
            }
            Ok(reply) => {
                let failure = self.session.who.lost(&strange(&reply));
                self.drop_link(failure);
            }
            Err(fault) => {
                let failure = self.session.who.lost(&fault);
                self.drop_link(failure);
            }
        }
    }

    /// Ends a transaction that was refused, so that the next MAIL is not a nested one.
    async fn reset(&mut self) {
        self.session.used += 1;
        let within = self.within();
        let reply = self.link().ask(&Rset.to_string(), within).await;
        self.is_open = reply.is_ok_and(|r| r.is_done());
    }

    fn end(mut self) -> Outcome {
        // Every way out has settled all; one that is not would otherwise count as sent.
        self.settle(
            &Failure::later(ErrorKind::Internal, "a recipient was left out").at(Scope::Target),
        );
        let verdicts = self.stands.into_iter().map(|s| match s {
            Stand::Settled(v) => v,
            Stand::Open | Stand::Taken => Verdict::TooMany,
        });
        Outcome {
            verdicts: verdicts.collect(),
            is_open: self.is_open,
            is_stale: self.is_stale,
            whole: self.whole,
        }
    }
}

/// Whether a refusal at RCPT is of the number of recipients, not of this one (RFC 5321
/// §4.5.3.1.10): 452 or 552, unless it speaks of the mailbox or of the message's size.
fn is_too_many(reply: &Reply) -> bool {
    let is_other = |e: &str| e.starts_with("4.2.") || e.starts_with("5.2.") || e == "5.3.4";
    matches!(reply.code(), 452 | 552) && !reply.enhanced().is_some_and(is_other)
}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
