//! Dialogues of their own: a bare name to greet with, a wrong password.

use notifier_core::jiff::Timestamp;
use smtp_wire::auth::{self, Mechanism};
use tokio::time::Instant;

use super::{
    advice,
    approach::approach,
    login::log_in,
    record::Record,
    transaction::{ask, mail, random_word, unique},
};
use crate::{
    connection::{Connection, Stop},
    report::{Check, Class, Phase, State},
    target::{Level, Target},
};

/// A name as a container has it.
const CONTAINER: &str = "3f2a9c1d0b7e";

/// The bare name to try, if one is.
pub(crate) fn short_name(target: &Target) -> Option<&str> {
    let given = target.helo_short.as_deref();
    let own = (target.level == Level::Deep && !target.rcpt.is_empty()).then_some(CONTAINER);
    given.or(own)
}

/// Runs those that were asked for, each within `limits.total`.
pub(crate) async fn run(target: &Target, now: Timestamp, record: &mut Record) {
    if let Some(name) = short_name(target) {
        let begun = Instant::now();
        let check = short(target, name, now, record).await;
        record.push(check.subject(name).took(begun.elapsed()));
    }
    if target.auth_negative {
        let begun = Instant::now();
        let check = wrong_password(target, now).await;
        record.push(check.took(begun.elapsed()));
    }
}

/// The verdict of the full name on the first recipient.
fn is_taken_by_full_name(record: &Record) -> Option<bool> {
    let mut all = record.checks().iter();
    all.find(|c| c.id == "rcpt_own")
        .map(|c| c.state == State::Ok)
}

/// What becomes of a bare name, up to RCPT if there is a recipient.
async fn short(target: &Target, name: &str, now: Timestamp, record: &Record) -> Check {
    const ID: &str = "helo";
    if !advice::is_word(name) {
        let text = format!("{name:?} is no name to greet with");
        return Check::unknown(ID, Phase::Ehlo, Class::Local, text).hint("mend --helo-short");
    }
    let by_full_name = is_taken_by_full_name(record);
    let until = Instant::now() + target.limits.total;
    match go(target, name, until, now).await {
        Ok(sent) => {
            let text = format!("{name} is taken too, up to {sent}");
            Check::ok(ID, Phase::Ehlo, text).sent(format!("EHLO {name}"))
        }
        Err(stop) if stop.is_rate_limit() || stop.state == State::Unknown => stop.check(ID),
        Err(stop) => {
            let is_about_it = stop.phase == Phase::Ehlo || by_full_name == Some(true);
            let text = format!("{name} is refused: {}", stop.text);
            if !is_about_it {
                let text = format!("{name} fares no better: {}", stop.text);
                return Check::skip(ID, stop.phase, text);
            }
            Stop {
                text,
                hint: Some("containers that greet with their id will be refused: set the application's HELO, or its host name".to_owned()),
                ..stop
            }
            .with_state(State::Warn)
            .check(ID)
            .sent(format!("EHLO {name}"))
        }
    }
}

/// The last command that was taken.
async fn go(
    target: &Target,
    name: &str,
    until: Instant,
    now: Timestamp,
) -> Result<&'static str, Stop> {
    // What it finds besides is told already.
    let mut aside = Record::default();
    let mut connection = approach(target, Some(name), until, now, &mut aside).await?;
    let done = up_to_recipient(&mut connection, target, &mut aside).await;
    aside.leave(connection.link, done.as_ref().err()).await;
    done
}

async fn up_to_recipient(
    connection: &mut Connection,
    target: &Target,
    aside: &mut Record,
) -> Result<&'static str, Stop> {
    log_in(connection, target, aside).await?;
    let Some(to) = target.rcpt.first() else {
        return Ok("EHLO");
    };
    let from = target.from.first().map_or("", String::as_str);
    let to = unique(to);
    if !advice::is_word(&to) || (!from.is_empty() && !advice::is_word(from)) {
        return Ok("EHLO");
    }
    for (phase, command) in [
        (Phase::Mail, mail(connection, from, [&to], 0)),
        (Phase::Rcpt, format!("RCPT TO:<{to}>")),
    ] {
        let asked = ask(connection, phase, command, aside).await;
        let asked = asked.map_err(|(stop, _)| stop)?;
        if !asked.reply.is_done() {
            return Err(Stop::refused(phase, asked.reply));
        }
    }
    Ok("RCPT")
}

/// A name that nobody has, with a wrong password, must be refused.
async fn wrong_password(target: &Target, now: Timestamp) -> Check {
    const ID: &str = "auth_negative";
    let until = Instant::now() + target.limits.total;
    let mut aside = Record::default();
    let helo = target.helo.as_deref();
    let mut connection = match approach(target, helo, until, now, &mut aside).await {
        Ok(connection) => connection,
        Err(stop) => {
            let text = format!("the second dialogue ended at {}: {}", stop.phase, stop.text);
            return match stop.is_rate_limit() {
                true => stop.check(ID),
                false => Check::skip(ID, Phase::Auth, text),
            };
        }
    };
    // Nothing secret is in it, so it may go out on any connection.
    let all = [
        Mechanism::Plain,
        Mechanism::Login,
        Mechanism::CramMd5,
        Mechanism::ScramSha256,
    ];
    let Some(mechanism) = connection.offers.common(&all).first().copied() else {
        aside.leave(connection.link, None).await;
        return Check::skip(ID, Phase::Auth, "no login is offered that takes a password");
    };
    let user = format!("nosuch-{}", random_word());
    let (link, within) = (&mut connection.link, connection.within);
    let reply = auth::log_in(link, mechanism, &user, &random_word().into(), within).await;
    let sent = format!("AUTH {mechanism} ***");
    let (check, stop) = match reply {
        Err(fault) => {
            let stop = advice::silent(Stop::broken(Phase::Auth, &fault));
            (stop.clone().check(ID), Some(stop))
        }
        Ok(reply) if reply.code() == 235 => {
            let text = "a name that nobody has is logged in with a wrong password";
            let check = Check::crit(ID, Phase::Auth, Class::Proto, text).reply(&reply);
            let hint =
                "anybody can send through it: turn the port off until its login backend is mended";
            (check.hint(hint), None)
        }
        Ok(reply) if reply.code() == 535 || reply.code() == 534 => {
            let text = format!("{} {}", reply.codes(), reply.text());
            (Check::ok(ID, Phase::Auth, text).reply(&reply), None)
        }
        Ok(reply) => {
            let hint = advice::login(&reply);
            let stop = Stop::refused(Phase::Auth, reply).with_hint(hint);
            let state = match stop.class {
                Class::Reply5 => State::Warn,
                _ => stop.state,
            };
            (stop.clone().with_state(state).check(ID), Some(stop))
        }
    };
    aside.leave(connection.link, stop.as_ref()).await;
    check.sent(sent)
}
