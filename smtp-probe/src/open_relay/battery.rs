//! Asks in one form after the other, gently.

use notifier_core::Clock;
use smtp_wire::{Reply, Sent, stuff};
use tokio::time::Instant;

use crate::{
    connection::{Connection, Stop},
    report::{Class, Phase},
    target::{Target, Tls},
};

use super::{
    form::{Ending, Form, Greeting},
    message,
    names::Names,
    verdict::{Tried, Verdict},
};

/// Refused commands on one connection. Postfix slows down after ten and hangs up after twenty
/// (`smtpd_soft_error_limit`, `smtpd_hard_error_limit`).
const MOST_REFUSALS: usize = 8;
/// Transactions on one connection, whatever came of them.
const MOST_FORMS: usize = 40;
/// Forms that the server may answer by hanging up.
const MOST_HANG_UPS: usize = 3;

/// Why the battery went no further.
#[derive(Debug)]
pub(super) enum Halt {
    /// The server says that we come too often (421).
    RateLimited(Reply),
    /// The connection.
    Broken(Stop),
    /// All the time was used.
    OutOfTime,
}

/// How connections are made.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    /// Another use of TLS than the target's.
    pub(super) tls: Option<Tls>,
    /// The address to pretend by XCLIENT.
    pub(super) pretended: Option<&'static str>,
}

/// One run of it, with the target's login if it has one.
pub(super) struct Battery<'a> {
    target: &'a Target,
    pub(super) names: &'a Names,
    clock: &'a dyn Clock,
    /// When all must be over.
    until: Instant,
    pub(super) tried: Vec<Tried>,
    /// Endings at which any user is taken, of those that were looked at.
    catch_all: Vec<(Ending, bool)>,
    /// One message that was taken is proof enough.
    is_proven: bool,
    /// A catch-all takes the message too; that says no more the second time.
    takes_own_data: bool,
    hung_up: usize,
}

impl<'a> Battery<'a> {
    pub(super) fn new(
        target: &'a Target,
        names: &'a Names,
        clock: &'a dyn Clock,
        until: Instant,
    ) -> Self {
        Self {
            target,
            names,
            clock,
            until,
            tried: Vec::new(),
            catch_all: Vec::new(),
            is_proven: false,
            takes_own_data: false,
            hung_up: 0,
        }
    }

    /// Whether any user is taken at this ending, as far as it was found out.
    pub(super) fn is_catch_all(&self, ending: Ending) -> bool {
        self.catch_all.contains(&(ending, true))
    }

    /// Asks in all these forms, over as many connections as it takes.
    pub(super) async fn ask_all(&mut self, forms: &[Form], way: &Way) -> Result<(), Halt> {
        let mut left = forms.iter().peekable();
        while let Some(first) = left.peek() {
            let greeting = first.greeting.clone();
            let Some(mut connection) = self.connect_for(first, way).await? else {
                left.next();
                continue;
            };
            let (mut refusals, mut count) = (0, 0);
            let mut is_over = false;
            // A form may cost two refusals.
            while !is_over && refusals + 2 <= MOST_REFUSALS && count < MOST_FORMS {
                let Some(form) = left.next_if(|f| f.greeting == greeting) else {
                    break;
                };
                count += 1;
                match self.ask(&mut connection, form, way).await {
                    Ok(asked) => {
                        refusals += asked.refused;
                        is_over = asked.gone;
                    }
                    Err(Halt::Broken(stop)) if stop.class == Class::Eof => {
                        self.ask_alone(form, way, stop).await?;
                        is_over = true;
                    }
                    Err(halt) => return Err(halt),
                }
            }
            if !is_over {
                connection.quit().await;
            }
        }
        Ok(())
    }

    /// Once more, where the server hung up: it may have been for what came before.
    async fn ask_alone(&mut self, form: &Form, way: &Way, stop: Stop) -> Result<(), Halt> {
        tracing::debug!(form = form.number, reason = %stop.text, "asking again");
        let Some(mut connection) = self.connect_for(form, way).await? else {
            return Ok(());
        };
        match self.ask(&mut connection, form, way).await {
            Ok(asked) => {
                if !asked.gone {
                    connection.quit().await;
                }
                Ok(())
            }
            // That is an answer too, unless it is the only one that it has.
            Err(Halt::Broken(stop)) if stop.class == Class::Eof && self.hung_up < MOST_HANG_UPS => {
                self.hung_up += 1;
                self.note(&connection, form, way, Verdict::HungUp, None);
                Ok(())
            }
            Err(halt) => Err(halt),
        }
    }

    /// A connection to ask a form on. None if the server refused what the form greets with, or
    /// the address it pretends: then that is its verdict.
    async fn connect_for(&mut self, form: &Form, way: &Way) -> Result<Option<Connection>, Halt> {
        match self.connect(&form.greeting, way).await {
            Ok(connection) => Ok(Some(connection)),
            Err(Halt::Broken(Stop {
                phase: Phase::Ehlo | Phase::Ehlo2,
                reply: Some(reply),
                ..
            })) if form.greeting != Greeting::Usual || way.pretended.is_some() => {
                let helo = match &form.greeting {
                    Greeting::As(name) => name.clone(),
                    Greeting::Usual => self.target.helo.clone().unwrap_or_default(),
                };
                self.tried.push(Tried {
                    form: form.clone(),
                    helo,
                    tls: false,
                    pretended: way.pretended,
                    verdict: Verdict::of(&reply).max(Verdict::Refused),
                    at: Phase::Rcpt,
                    reply: Some(reply),
                });
                Ok(None)
            }
            Err(halt) => Err(halt),
        }
    }

    fn is_in_time(&self) -> bool {
        Instant::now() < self.until
    }

    async fn connect(&self, greeting: &Greeting, way: &Way) -> Result<Connection, Halt> {
        if !self.is_in_time() {
            return Err(Halt::OutOfTime);
        }
        let until = self.until.min(Instant::now() + self.target.limits.total);
        let helo = match greeting {
            Greeting::Usual => self.target.helo.as_deref(),
            Greeting::As(name) => Some(name.as_str()),
        };
        let opened = match way.tls {
            None => Connection::greeting_as(self.target, helo, until).await,
            Some(tls) => {
                let target = Target {
                    tls,
                    ..self.target.clone()
                };
                Connection::greeting_as(&target, helo, until).await
            }
        };
        let mut connection = opened.map_err(halt)?;
        if let Some(address) = way.pretended {
            pretend(&mut connection, address).await?;
        }
        Ok(connection)
    }

    /// One transaction, which ends in RSET unless the connection is gone.
    async fn ask(
        &mut self,
        connection: &mut Connection,
        form: &Form,
        way: &Way,
    ) -> Result<Asked, Halt> {
        let mut refused = 0;
        if form.is_own() {
            refused += self.look_for_catch_all(connection, form.ending).await?;
        }
        let mail = say(
            connection,
            Phase::Mail,
            &format!("MAIL FROM:<{}>", form.from),
        )
        .await?;
        if !mail.is_done() {
            self.note(connection, form, way, Verdict::of(&mail), Some(mail));
            if let Some(tried) = self.tried.last_mut() {
                tried.at = Phase::Mail;
            }
            return Ok(Asked::going_on(refused + 1));
        }
        let rcpt = say(connection, Phase::Rcpt, &format!("RCPT TO:{}", form.to)).await?;
        let verdict = Verdict::of(&rcpt);
        if !verdict.is_open() || !self.may_ask_data(form) {
            refused += usize::from(!verdict.is_open());
            self.note(connection, form, way, verdict, Some(rcpt));
            reset(connection).await?;
            return Ok(Asked::going_on(refused));
        }
        let (verdict, reply) = self.ask_data(connection, form, rcpt).await?;
        let gone = verdict == Verdict::AcceptedRcpt;
        refused += usize::from(verdict == Verdict::RefusedData);
        self.note(connection, form, way, verdict, Some(reply));
        if !gone {
            reset(connection).await?;
        }
        Ok(Asked { refused, gone })
    }

    /// Whether the message itself may be tried with this form, and could tell more.
    fn may_ask_data(&self, form: &Form) -> bool {
        let is_local = form.is_own() && self.is_catch_all(form.ending);
        self.target.send && !self.is_proven && !(is_local && self.takes_own_data)
    }

    /// DATA; and the message, if it may be sent there. Where it may not, the connection is left
    /// before its end, which sends nothing (RFC 5321 §4.1.1.4).
    async fn ask_data(
        &mut self,
        connection: &mut Connection,
        form: &Form,
        rcpt: Reply,
    ) -> Result<(Verdict, Reply), Halt> {
        let data = say(connection, Phase::Data, "DATA").await?;
        if data.code() != 354 {
            return Ok((Verdict::RefusedData, data));
        }
        // Taken as a user of its own: a message would say nothing of relaying.
        let is_local = form.is_own() && self.is_catch_all(form.ending);
        self.takes_own_data |= is_local;
        if is_local || !form.may_send {
            return Ok((Verdict::AcceptedRcpt, rcpt));
        }
        let message = message::text(self.names, form, self.clock);
        let wire = stuff(message.as_bytes()).unwrap_or_else(|| b".\r\n".to_vec());
        let within = connection.within;
        if let Sent::Broken(_, fault) = connection.link.send(&wire, within).await {
            return Err(Halt::Broken(Stop::broken(Phase::Data, &fault)));
        }
        let end = connection.link.reply(within).await;
        let end = end.map_err(|fault| Halt::Broken(Stop::broken(Phase::Eod, &fault)))?;
        if end.is_closing() {
            return Err(Halt::RateLimited(end));
        }
        self.is_proven = end.is_done();
        let verdict = match end.is_done() {
            true => Verdict::AcceptedData,
            false => Verdict::RefusedData,
        };
        Ok((verdict, end))
    }

    /// Whether any user is taken at this ending, asked once. How many refusals it cost.
    async fn look_for_catch_all(
        &mut self,
        connection: &mut Connection,
        ending: Ending,
    ) -> Result<usize, Halt> {
        if self.catch_all.iter().any(|(known, _)| *known == ending) {
            return Ok(0);
        }
        let user = format!("no-such-user-{:08x}", fastrand::u32(..));
        let address = match ending {
            Ending::Domain => format!("{user}@{}", self.names.domain),
            Ending::Host => format!("{user}@{}", self.names.host),
            Ending::Address => format!("{user}@{}", self.names.address),
            Ending::Bare | Ending::Foreign => user,
        };
        let mail = format!("MAIL FROM:<{}>", self.names.stranger);
        let mut reply = say(connection, Phase::Mail, &mail).await?;
        if reply.is_done() {
            reply = say(connection, Phase::Rcpt, &format!("RCPT TO:<{address}>")).await?;
            reset(connection).await?;
        }
        self.catch_all.push((ending, reply.is_done()));
        Ok(usize::from(!reply.is_done()))
    }

    fn note(
        &mut self,
        connection: &Connection,
        form: &Form,
        way: &Way,
        verdict: Verdict,
        reply: Option<Reply>,
    ) {
        self.tried.push(Tried {
            form: form.clone(),
            helo: connection.helo.clone(),
            tls: connection.is_private,
            pretended: way.pretended,
            verdict,
            at: Phase::Rcpt,
            reply,
        });
    }
}

/// How a transaction went.
struct Asked {
    /// Commands that were refused.
    refused: usize,
    /// Whether the connection is of no more use.
    gone: bool,
}

impl Asked {
    fn going_on(refused: usize) -> Self {
        Self {
            refused,
            gone: false,
        }
    }
}

/// Asks; 421 ends it all.
async fn say(connection: &mut Connection, phase: Phase, command: &str) -> Result<Reply, Halt> {
    let asked = connection.ask(phase, &format!("{command}\r\n")).await;
    match asked {
        Ok(reply) if reply.is_closing() => Err(Halt::RateLimited(reply)),
        Ok(reply) => Ok(reply),
        Err(stop) => Err(Halt::Broken(stop)),
    }
}

async fn reset(connection: &mut Connection) -> Result<(), Halt> {
    say(connection, Phase::Rcpt, "RSET").await.map(drop)
}

/// Tells the server another address for ours; it greets anew then.
async fn pretend(connection: &mut Connection, address: &str) -> Result<(), Halt> {
    let command = format!("XCLIENT NAME=[UNAVAILABLE] ADDR={address}");
    let reply = say(connection, Phase::Ehlo, &command).await?;
    if reply.code() != 220 {
        return Err(Halt::Broken(Stop::refused(Phase::Ehlo, reply)));
    }
    let hello = format!("EHLO {}", connection.helo);
    let reply = say(connection, Phase::Ehlo, &hello).await?;
    match reply.is_done() {
        true => Ok(()),
        false => Err(Halt::Broken(Stop::refused(Phase::Ehlo, reply))),
    }
}

pub(super) fn halt(stop: Stop) -> Halt {
    match (stop.is_rate_limit(), stop.reply) {
        (true, Some(reply)) => Halt::RateLimited(reply),
        (_, reply) => Halt::Broken(Stop { reply, ..stop }),
    }
}
