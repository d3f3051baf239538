//! One dialogue with the server, step by step.

mod advice;
mod approach;
mod dial;
mod encrypt;
mod login;
mod message;
mod offered;
mod record;
mod refusal;
mod resolve;
mod second;
mod sending;
mod transaction;
mod wanted;

use std::collections::BTreeMap;

use notifier_core::Clock;
use smtp_wire::Reply;
use tokio::time::Instant;

use crate::{
    report::Check,
    target::{Level, Target},
};

pub(crate) use self::{approach::approach, login::log_in, record::Record, refusal::Standing};

/// What a dialogue found.
pub(crate) struct Seen {
    pub(crate) checks: Vec<Check>,
    /// Milliseconds by phase.
    pub(crate) timings: BTreeMap<String, f64>,
    /// What the server greeted with, if it did.
    pub(crate) banner: Option<Reply>,
    /// Whether the server takes commands, so that more can be asked.
    pub(crate) is_through: bool,
}

/// Goes from the look-up of the host to QUIT. Each dialogue is over within `limits.total`.
///
/// At [`Level::Live`] it ends after the banner; with a queue to look at it does not begin.
pub(crate) async fn run(target: &Target, clock: &dyn Clock) -> Seen {
    let mut record = Record::default();
    if target.is_local() {
        return record.finish(true);
    }
    let until = Instant::now() + target.limits.total;
    let is_through = match target.level {
        Level::Live if target.queue.is_some() => true,
        Level::Live => approach::greet_only(target, until, &mut record).await,
        _ => whole(target, until, clock, &mut record).await,
    };
    wanted::skip_the_rest(target, &mut record);
    record.finish(is_through)
}

/// Whether it came as far as a dialogue in which more can be asked.
async fn whole(target: &Target, until: Instant, clock: &dyn Clock, record: &mut Record) -> bool {
    let helo = target.helo.as_deref();
    let Ok(mut connection) = approach(target, helo, until, clock.now(), record).await else {
        return false;
    };
    let done = match log_in(&mut connection, target, record).await {
        Ok(()) => transaction::run(&mut connection, target, clock, record).await,
        Err(stop) => Err(stop),
    };
    let stop = done.err();
    record.leave(connection.link, stop.as_ref()).await;
    if !stop.is_some_and(|s| s.is_rate_limit()) {
        second::run(target, clock.now(), record).await;
    }
    true
}
