//! One attempt to deliver one report.

use std::{sync::Arc, time::Duration};

use notifier_core::{
    Delivered, Delivery, Error, ErrorKind, Receipt, Report, ReportOptions, Result, Scope,
};
use smtp_wire::stuff;
use tokio::time::Instant;

use crate::{
    address::Address,
    envelope::Envelope,
    error::{Failure, Who},
    mail::{Composer, Mail},
    pool::{Pool, Ticket},
    progress::Progress,
    session::Session,
    transaction::{self, Verdict},
};

/// What a relay adds to a message before it measures it again: a field `Received`, and more.
const ADDED: usize = 1024;

/// The least time that must be left for a mail to be begun, unless `final_timeout` is shorter.
const ENOUGH: Duration = Duration::from_secs(60);

/// What is needed throughout.
pub(crate) struct Attempt<'a> {
    composer: &'a Composer,
    report: &'a Report,
    opts: &'a ReportOptions<'a>,
    pool: Arc<Pool>,
    until: Instant,
    mail: Mail,
    /// The message with its dots doubled.
    wire: Vec<u8>,
    progress: Progress,
}

/// Those who are to get it, with what is known of each.
type Targets = Vec<(Address, Option<Verdict>)>;

/// Those of whom nothing is known yet.
fn open(targets: &Targets) -> Vec<usize> {
    let is_open = |(n, (_, v)): (usize, &(Address, Option<Verdict>))| v.is_none().then_some(n);
    targets.iter().enumerate().filter_map(is_open).collect()
}

fn fail_open(targets: &mut Targets, failure: &Failure) {
    for (_, verdict) in targets.iter_mut().filter(|(_, v)| v.is_none()) {
        *verdict = Some(Verdict::Failed(failure.clone()));
    }
}

/// Refused for good, for what each of them is.
fn all_refused(targets: &Targets) -> bool {
    let is_refused = |v: &Option<Verdict>| match v {
        Some(Verdict::Failed(f)) => f.is_dead() && f.scope == Scope::Target,
        _ => false,
    };
    targets.iter().all(|(_, v)| is_refused(v))
}

impl<'a> Attempt<'a> {
    /// Makes the whole mail, before any connection.
    ///
    /// # Errors
    /// If there is no mail to be made of it, or nobody to send it to.
    pub(crate) async fn new(
        composer: &'a Composer,
        report: &'a Report,
        opts: &'a ReportOptions<'a>,
        pool: Arc<Pool>,
    ) -> Result<Self> {
        let until = Instant::now() + pool.limits().attempt();
        let mail = composer.compose(report, opts, None).await?;
        if mail.recipients.is_empty() && mail.fallback.is_empty() {
            return Err(Error::config(
                "nobody to write to: set -smtp.to or -smtp.fallback, or give the task an owner",
            )
            .with_scope(Scope::Target));
        }
        let wire = wire(&mail).map_err(|f| f.error())?;
        Ok(Self {
            composer,
            report,
            opts,
            pool,
            until,
            mail,
            wire,
            progress: Progress::read(opts.progress),
        })
    }

    /// Sends it, to its fallback if nobody else takes it.
    pub(crate) async fn run(mut self) -> Receipt {
        let mut targets = self.targets(&self.mail.recipients);
        self.round(&mut targets).await;
        let fallback = match all_refused(&targets) {
            true => self.fallback(&targets).await,
            false => Vec::new(),
        };
        self.receipt(targets, fallback)
    }

    /// Those addresses with what earlier attempts found out.
    fn targets(&self, to: &[Address]) -> Targets {
        to.iter()
            .map(|a| (a.clone(), self.progress.of(a)))
            .collect()
    }

    async fn fallback(&mut self, refused: &Targets) -> Targets {
        let is_new = |a: &&Address| !refused.iter().any(|(r, _)| r.is_same_mailbox(a));
        let others: Vec<Address> = self.mail.fallback.iter().filter(is_new).cloned().collect();
        let mut targets = self.targets(&others);
        if open(&targets).is_empty() {
            return targets;
        }
        match self.save().await {
            Ok(()) => self.round(&mut targets).await,
            Err(failure) => fail_open(&mut targets, &failure),
        }
        targets
    }

    /// Keeps what was done so far: what follows must not be done twice.
    async fn save(&self) -> Result<(), Failure> {
        self.opts.save(self.progress.to_json()).await.map_err(|e| {
            Failure::later(
                ErrorKind::Unavailable,
                "what was sent so far cannot be noted",
            )
            .because(e.report().to_string())
        })
    }

    /// Sends to all of whom nothing is known yet, in as many transactions as it takes.
    async fn round(&mut self, targets: &mut Targets) {
        if open(targets).is_empty() {
            return;
        }
        let ticket = match self.pool.ticket(self.opts.attempt, self.until).await {
            Ok(ticket) => ticket,
            Err(failure) => return fail_open(targets, &failure),
        };
        match self.transactions(&ticket, targets).await {
            Ok(Some(session)) => ticket.keep(session),
            Ok(None) => {}
            Err(failure) => fail_open(targets, &failure),
        }
        for (to, verdict) in targets.iter() {
            if let Some(verdict) = verdict {
                self.progress.note(to, verdict);
            }
        }
    }

    async fn transactions(
        &mut self,
        ticket: &Ticket,
        targets: &mut Targets,
    ) -> Result<Option<Session>, Failure> {
        let mut session = ticket.session().await?;
        let mut is_first = true;
        loop {
            if let Err(failure) = self.suit(&session, targets).await {
                fail_open(targets, &failure);
            }
            let turn = open(targets);
            if turn.is_empty() {
                return Ok(Some(session));
            }
            let left = self.until.saturating_duration_since(Instant::now());
            if left < ENOUGH.min(session.last) {
                // The answer to the dot would be given up too early, and the outcome unknown.
                return Err(Failure::later(
                    ErrorKind::Timeout,
                    format!(
                        "{} was too slow for another mail in this attempt",
                        self.pool.server()
                    ),
                ));
            }
            if !is_first {
                self.save().await?;
            }
            let to: Vec<Address> = turn.iter().map(|n| targets[*n].0.clone()).collect();
            tracing::debug!(
                relay = %self.pool.server(),
                message_id = self.mail.message_id,
                recipients = to.len(),
                "a mail goes out"
            );
            let outcome = transaction::send(&mut session, &self.envelope(), &to).await;
            // A kept connection that was closed meanwhile is no failure: nothing was sent on it.
            if outcome.is_stale && session.used > 0 {
                drop(session);
                session = ticket.fresh().await?;
                continue;
            }
            for (n, verdict) in turn.into_iter().zip(outcome.verdicts) {
                let to = &targets[n].0;
                let verdict = match verdict {
                    Verdict::TooMany => continue,
                    Verdict::Failed(f) if f.delivery == Delivery::Unknown => {
                        Verdict::Failed(self.progress.doubt(to, f))
                    }
                    verdict => verdict,
                };
                self.progress.note(to, &verdict);
                targets[n].1 = Some(verdict);
            }
            let is_put_off = outcome.whole.as_ref().is_some_and(|f| !f.is_dead());
            match outcome.whole {
                // Who was no part of that transaction certainly has nothing of it.
                Some(f) if f.delivery == Delivery::Unknown => fail_open(targets, &not_its_turn()),
                Some(failure) => fail_open(targets, &failure),
                None => {}
            }
            let is_done = open(targets).is_empty();
            match (outcome.is_open, is_done) {
                // It may have had enough of this connection: the next mail gets another.
                (true, true) if is_put_off => {
                    tokio::spawn(session.quit());
                    return Ok(None);
                }
                (true, true) => return Ok(Some(session)),
                (false, true) => return Ok(None),
                (true, false) => {}
                (false, false) => {
                    drop(session);
                    session = ticket.fresh().await?;
                }
            }
            is_first = false;
        }
    }

    fn envelope(&self) -> Envelope<'_> {
        Envelope {
            sender: &self.mail.sender,
            size: self.mail.data.len(),
            wire: &self.wire,
            is_ascii: self.mail.data.is_ascii(),
            needs_utf8: self.mail.needs_utf8 || self.mail.sender.needs_utf8(),
            id: self.opts.id.as_str(),
        }
    }

    /// Makes the mail one that this relay takes, and leaves out those whom it cannot reach.
    async fn suit(&mut self, session: &Session, targets: &mut Targets) -> Result<(), Failure> {
        self.fit(session).await?;
        match session.offers.utf8 {
            true => Ok(()),
            false => self.leave_out(session, targets),
        }
    }

    /// Makes a smaller mail where the relay takes none of this size.
    async fn fit(&mut self, session: &Session) -> Result<(), Failure> {
        let Some(most) = session
            .offers
            .size
            .filter(|most| self.mail.data.len() > *most)
        else {
            return Ok(());
        };
        let room = if most > 4 * ADDED { most - ADDED } else { most };
        let smaller = self
            .composer
            .compose(self.report, self.opts, Some(room))
            .await;
        let smaller = smaller.map_err(|e| Failure::never(e.kind(), e.report().to_string()))?;
        if smaller.data.len() > most {
            return Err(Failure::never(
                ErrorKind::TooLarge,
                format!(
                    "{} takes mails of {most} octets, and this one has {} at least",
                    self.pool.server(),
                    smaller.data.len()
                ),
            ));
        }
        self.wire = wire(&smaller)?;
        self.mail.data = smaller.data;
        self.mail.needs_utf8 = smaller.needs_utf8;
        self.mail.warnings = smaller.warnings;
        Ok(())
    }

    /// Refuses those whom this relay cannot reach: their names are not ASCII (RFC 6531).
    fn leave_out(&self, session: &Session, targets: &mut Targets) -> Result<(), Failure> {
        let who: &Who = &session.who;
        let lacks = |what: &str| {
            let text = format!("does not offer SMTPUTF8, which {what} needs");
            Failure {
                scope: Scope::Message,
                kind: ErrorKind::Rejected,
                ..who.misconfigured(&text)
            }
        };
        // The headers name those who need it only where there is nobody else: then it is theirs.
        let mut everybody = self.mail.recipients.iter().chain(&self.mail.fallback);
        let is_theirs = everybody.all(Address::needs_utf8);
        if self.mail.sender.needs_utf8() || (self.mail.needs_utf8 && !is_theirs) {
            return Err(lacks("an address in the mail's headers"));
        }
        for (to, verdict) in targets
            .iter_mut()
            .filter(|(to, v)| v.is_none() && to.needs_utf8())
        {
            let failure = lacks(&who.tidy(&to.to_string())).at(Scope::Target);
            *verdict = Some(Verdict::Failed(failure));
        }
        Ok(())
    }

    fn receipt(self, mut targets: Targets, mut fallback: Targets) -> Receipt {
        // Whatever became of this attempt, an earlier mail may have arrived.
        for (to, verdict) in targets.iter_mut().chain(&mut fallback) {
            if let Some(Verdict::Failed(failure)) = verdict
                && self.progress.is_in_doubt(to)
            {
                failure.delivery = Delivery::Unknown;
            }
        }
        let mut receipt = Receipt::default().with_progress(self.progress.to_json());
        for warning in self.mail.warnings {
            receipt = receipt.with_warning(Error::new(warning_kind(&warning), warning));
        }
        let is_taken = fallback
            .iter()
            .any(|(_, v)| matches!(v, Some(Verdict::Delivered(_))));
        for (to, verdict) in targets {
            match verdict {
                // The fallback has it in their place.
                Some(Verdict::Failed(failure)) if is_taken => {
                    receipt = receipt.with_warning(failure.error());
                }
                verdict => receipt = answer(receipt, &to, verdict),
            }
        }
        for (to, verdict) in fallback {
            match verdict {
                Some(Verdict::Failed(failure)) if is_taken && failure.is_dead() => {
                    receipt = receipt.with_warning(failure.error());
                }
                verdict => receipt = answer(receipt, &to, verdict),
            }
        }
        receipt
    }
}

/// Faults of templates are counted apart; their texts begin with the option.
fn warning_kind(warning: &str) -> ErrorKind {
    let options = ["smtp.subject", "smtp.format", "smtp.html_format"];
    match options.iter().any(|o| warning.starts_with(o)) {
        true => ErrorKind::Template,
        false => ErrorKind::Config,
    }
}

fn answer(receipt: Receipt, to: &Address, verdict: Option<Verdict>) -> Receipt {
    let verdict = match verdict {
        Some(Verdict::Delivered(Some(id))) => Ok(Delivered::with_id(id)),
        Some(Verdict::Delivered(None)) => Ok(Delivered::default()),
        Some(Verdict::Failed(failure)) => Err(failure.error()),
        Some(Verdict::TooMany) | None => Err(not_its_turn().error()),
    };
    receipt.and(to.to_string(), verdict)
}

/// Of a recipient whom nothing was sent to, since the connection failed before.
fn not_its_turn() -> Failure {
    Failure::later(
        ErrorKind::Unavailable,
        "its turn did not come in this attempt",
    )
}

fn wire(mail: &Mail) -> Result<Vec<u8>, Failure> {
    stuff(&mail.data).ok_or_else(|| {
        Failure::never(
            ErrorKind::Internal,
            "the mail has a line end that is none on the wire, and was not sent",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_templates_are_told_from_other_warnings() {
        for (warning, want) in [
            (
                "smtp.format: execute: 1:4: no such field",
                ErrorKind::Template,
            ),
            (
                "smtp.html_format gave nothing; the text was sent alone",
                ErrorKind::Template,
            ),
            ("smtp.reply_to: there is no @ in it", ErrorKind::Config),
            ("the attached stdout is cut", ErrorKind::Config),
        ] {
            assert_eq!(warning_kind(warning), want, "{warning}");
        }
    }
}
