//! From plain text to TLS, and what its certificate proves.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use notifier_core::jiff::Timestamp;
use rustls::RootCertStore;
use smtp_wire::{Link, Offers, Reply, Stream, roots};
use tokio::time::{Instant, timeout_at};

use super::{
    advice,
    approach::{give_up, greet},
    record::Record,
};
use crate::{
    connection::{Connection, Stop},
    report::{Check, Class, Phase, State},
    secrets,
    target::{Target, Tls},
    tls::{self, Session, shake},
};

/// STARTTLS where it is offered, then EHLO again (RFC 3207 §4.2).
pub(super) async fn start_tls(
    mut connection: Connection,
    target: &Target,
    until: Instant,
    now: Timestamp,
    record: &mut Record,
) -> Result<Connection, Stop> {
    const ID: &str = "starttls";
    let is_demanded = target.tls() == Tls::Starttls;
    let begun = Instant::now();
    if !connection.offers.starttls {
        let stop = Stop::new(Phase::Starttls, Class::Proto, "STARTTLS is not offered").with_hint(
            "give the server a certificate and smtpd_tls_security_level = may; if it has both, something between hides the offer",
        );
        if is_demanded {
            return Err(give_up(connection.link, ID, stop, Duration::ZERO, record).await);
        }
        record.push(stop.with_state(State::Warn).check(ID));
        return Ok(connection);
    }
    let reply = connection.link.ask("STARTTLS\r\n", connection.within).await;
    let took = begun.elapsed();
    record.spent(Phase::Starttls, took);
    let reply = match reply {
        Ok(reply) if reply.code() == 220 => reply,
        Ok(reply) => {
            let stop = Stop::refused(Phase::Starttls, reply).with_hint(
                "the server offers TLS and cannot do it: its log says why (key, certificate, tlsmgr)",
            );
            if is_demanded
                || !matches!(stop.class, Class::Reply4 | Class::Reply5)
                || stop.is_rate_limit()
            {
                return Err(give_up(connection.link, ID, stop, took, record).await);
            }
            record.push(
                stop.with_state(State::Warn)
                    .check(ID)
                    .sent("STARTTLS")
                    .took(took),
            );
            return Ok(connection);
        }
        Err(fault) => {
            let stop = advice::silent(Stop::broken(Phase::Starttls, &fault));
            return Err(record.stop(ID, stop, took));
        }
    };
    let (bare, dialogue) = match connection.link.into_stream().await {
        Ok(parts) => parts,
        Err(fault) => {
            let stop = Stop::broken(Phase::Starttls, &fault);
            let stop = match stop.class {
                Class::Proto => Stop {
                    text: "plain text follows the answer to STARTTLS (command injection)".to_owned(),
                    ..stop
                }
                .with_hint("who is between can slip in commands (CVE-2011-0411): update the server, or what filters its connections"),
                _ => stop,
            };
            return Err(record.stop(ID, stop, took));
        }
    };
    let (stream, session) = secure(target, bare, ID, Some(&reply), until, record).await?;
    let is_verified = judge(target, &session, (now, until), record).await;
    let mut link = Link::of(stream, until).with_dialogue(dialogue);
    link.hide(secrets::of(target));
    let begun = Instant::now();
    let greeted = greet(&mut link, Phase::Ehlo2, &connection.helo, connection.within).await;
    let took = begun.elapsed();
    record.spent(Phase::Ehlo2, took);
    match greeted {
        Ok((ehlo, _)) => Ok(Connection {
            link,
            offers: Offers::read(&ehlo),
            ehlo,
            is_private: true,
            is_verified,
            ..connection
        }),
        Err(stop) => Err(give_up(link, "helo", stop, took, record).await),
    }
}

/// Shakes hands and says so under `id`; `reply` is that to STARTTLS.
pub(super) async fn secure(
    target: &Target,
    stream: Box<dyn Stream>,
    id: &'static str,
    reply: Option<&Reply>,
    until: Instant,
    record: &mut Record,
) -> Result<(Box<dyn Stream>, Session), Stop> {
    let begun = Instant::now();
    let end = match target.limits.reply {
        Some(most) => until.min(begun + most),
        None => until,
    };
    let shaken = shake(target, stream, end).await;
    let took = begun.elapsed();
    record.spent(Phase::Tls, took);
    let phase = match reply {
        Some(_) => Phase::Starttls,
        None => Phase::Tls,
    };
    let done = |text: String| {
        let check = Check::ok(id, phase, text).took(took);
        match reply {
            Some(reply) => check.reply(reply).sent("STARTTLS"),
            None => check,
        }
    };
    match shaken {
        Ok((stream, session)) => {
            record.push(done(format!("TLS with {}", session.version)));
            record.push(tls::version(&session, target.tls13).took(took));
            Ok((stream, session))
        }
        Err(failed) if failed.is_mismatch => {
            record.push(done("the server speaks TLS".to_owned()));
            Err(record.stop("tls_version", failed.stop, took))
        }
        Err(failed) => Err(record.stop(id, advice::silent(failed.stop), took)),
    }
}

/// The three verdicts on the certificate. Whether it proves who the server is.
pub(super) async fn judge(
    target: &Target,
    session: &Session,
    (now, until): (Timestamp, Instant),
    record: &mut Record,
) -> bool {
    let roots = match &target.ca {
        Some(path) => read(path.clone(), until).await,
        None => system(until).await,
    };
    let judged = tls::judge(
        &session.chain,
        roots.as_deref().map_err(String::as_str),
        target,
        now,
    );
    for check in judged.checks {
        record.push(check);
    }
    judged.is_trusted
}

/// The authorities of a file, which may change between two runs.
async fn read(path: PathBuf, until: Instant) -> Result<Arc<RootCertStore>, String> {
    aside(move || roots::from_file("--ca", &path), until).await
}

/// Those of the system: read once, since there are many and a watch asks often.
async fn system(until: Instant) -> Result<Arc<RootCertStore>, String> {
    static FOUND: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(Arc::clone(found));
    }
    let found = aside(|| roots::system("--ca"), until).await?;
    Ok(Arc::clone(FOUND.get_or_init(|| found)))
}

/// Reads off the runtime's threads.
async fn aside(
    load: impl FnOnce() -> notifier_core::Result<RootCertStore> + Send + 'static,
    until: Instant,
) -> Result<Arc<RootCertStore>, String> {
    match timeout_at(until, tokio::task::spawn_blocking(load)).await {
        Ok(Ok(Ok(roots))) => Ok(Arc::new(roots)),
        Ok(Ok(Err(e))) => Err(e.to_string()),
        Ok(Err(_)) => Err("--ca: the authorities were not read".to_owned()),
        Err(_) => Err("--ca: the authorities were not read in time".to_owned()),
    }
}
