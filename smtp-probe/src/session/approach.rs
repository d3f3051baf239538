//! From the look-up of the host to a server that takes commands.

use std::{net::SocketAddr, time::Duration};

use notifier_core::jiff::Timestamp;
use smtp_wire::{Fault, Link, Offers, Reply, Stream, hello};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{
    advice,
    dial::{Dialed, dial},
    encrypt::{judge, secure, start_tls},
    offered,
    record::Record,
};
use crate::{
    connection::{Connection, Stop},
    report::{Check, Class, Measure, Phase, State},
    secrets,
    target::{Target, Tls},
    tls::Session,
};

/// It has greeted.
struct Reached {
    link: Link,
    banner: Reply,
    local: SocketAddr,
    peer: SocketAddr,
    /// Of TLS from the first byte on.
    session: Option<Session>,
}

/// The longest wait for a reply.
fn patience(target: &Target) -> Duration {
    target.limits.reply.unwrap_or(target.limits.total)
}

/// Connects, waits for the banner and leaves. Whether it was one.
pub(crate) async fn greet_only(target: &Target, until: Instant, record: &mut Record) -> bool {
    match reach(target, until, record).await {
        Ok(reached) => {
            record.leave(reached.link, None).await;
            true
        }
        Err(_) => false,
    }
}

/// Goes up to where mail can be given, greeting by this name. The certificate is judged as of
/// `now`. Nobody has logged in yet.
pub(crate) async fn approach(
    target: &Target,
    helo: Option<&str>,
    until: Instant,
    now: Timestamp,
    record: &mut Record,
) -> Result<Connection, Stop> {
    let within = patience(target);
    let mut reached = reach(target, until, record).await?;
    let mut is_verified = false;
    if let Some(session) = &reached.session {
        is_verified = judge(target, session, (now, until), record).await;
    }
    let hello = hello(helo, Some(reached.local.ip().to_canonical())).to_string();
    if !advice::is_word(&hello) {
        let text = format!("{:?} is no name to greet with", hello);
        let stop = Stop::new(Phase::Ehlo, Class::Local, text).with_hint("mend --helo");
        return Err(give_up(reached.link, "helo", stop, Duration::ZERO, record).await);
    }
    let begun = Instant::now();
    let greeted = greet(&mut reached.link, Phase::Ehlo, &hello, within).await;
    let took = begun.elapsed();
    record.spent(Phase::Ehlo, took);
    let (ehlo, is_extended) = match greeted {
        Ok(greeted) => greeted,
        Err(stop) => return Err(give_up(reached.link, "helo", stop, took, record).await),
    };
    record.push(helo_check(&ehlo, &hello, is_extended).took(took));
    let is_implicit = target.tls() == Tls::Implicit;
    let offers = Offers::read(&ehlo);
    let clear = match is_implicit {
        true => Offers::default(),
        false => offers.clone(),
    };
    let mut connection = Connection {
        link: reached.link,
        banner: reached.banner,
        offers,
        ehlo: ehlo.clone(),
        helo: hello,
        local: reached.local,
        peer: reached.peer,
        is_private: reached.session.is_some(),
        is_verified,
        is_logged_in: false,
        within,
    };
    if matches!(target.tls(), Tls::Starttls | Tls::Opportunistic) {
        connection = start_tls(connection, target, until, now, record).await?;
    }
    let private = connection.is_private.then_some(&connection.ehlo);
    let in_clear = (!is_implicit).then_some(&ehlo);
    for check in offered::capabilities(in_clear, private, target) {
        record.push(check);
    }
    record.push(offered::mechanisms(&connection.offers, &clear, target));
    Ok(connection)
}

/// Ends a dialogue that goes no further, with QUIT where the server still listens.
pub(super) async fn give_up(
    link: Link,
    id: &'static str,
    stop: Stop,
    took: Duration,
    record: &mut Record,
) -> Stop {
    let stop = record.stop(id, stop, took);
    record.leave(link, Some(&stop)).await;
    stop
}

async fn reach(target: &Target, until: Instant, record: &mut Record) -> Result<Reached, Stop> {
    let Dialed {
        stream,
        local,
        peer,
        since,
    } = dial(target, until, record).await?;
    let within = patience(target);
    if target.tls() != Tls::Implicit {
        let spoken = first_words(&stream, until.min(since + within)).await;
        if let Err(stop) = spoken {
            let took = since.elapsed();
            record.spent(Phase::Banner, took);
            let stop = advice::on(stop, target);
            return Err(record.stop("banner", stop, took));
        }
    }
    let mut stream: Box<dyn Stream> = Box::new(stream);
    let mut session = None;
    if target.tls() == Tls::Implicit {
        let (link, agreed) = secure(target, stream, "implicit_tls", None, until, record).await?;
        (stream, session) = (link, Some(agreed));
    }
    let mut link = Link::of(stream, until);
    link.hide(secrets::of(target));
    let left = match session {
        Some(_) => within,
        None => (since + within).saturating_duration_since(Instant::now()),
    };
    let begun = Instant::now();
    let reply = link.reply(left).await;
    let since = if session.is_some() { begun } else { since };
    let took = since.elapsed();
    record.spent(Phase::Banner, took);
    let banner = match reply {
        Ok(reply) if reply.code() == 220 => reply,
        Ok(reply) => {
            let stop = advice::on(Stop::refused(Phase::Banner, reply), target);
            return Err(give_up(link, "banner", stop, took, record).await);
        }
        Err(fault) => {
            let stop = advice::on(Stop::broken(Phase::Banner, &fault), target);
            return Err(record.stop("banner", stop, took));
        }
    };
    record.greeted(&banner);
    record.push(banner_check(&banner).took(took));
    record.push(delay_check(took, target));
    Ok(Reached {
        link,
        banner,
        local,
        peer,
        session,
    })
}

/// Waits for the server to speak, and looks whether that may be SMTP: a server of another protocol
/// would be waited for to the end of a line that never comes.
async fn first_words(stream: &TcpStream, end: Instant) -> Result<(), Stop> {
    let begun = Instant::now();
    let mut bytes = [0; 48];
    let stop = |class, text: String| Stop::new(Phase::Banner, class, text);
    let seen = match timeout_at(end, stream.peek(&mut bytes)).await {
        Err(_) => {
            let fault = Fault::Stalled(begun.elapsed());
            return Err(Stop {
                text: format!(
                    "the server said nothing for {:.1}s",
                    begun.elapsed().as_secs_f64()
                ),
                ..Stop::broken(Phase::Banner, &fault)
            });
        }
        Ok(Err(e)) => {
            return Err(stop(
                Class::Eof,
                format!("the server lost the connection ({e})"),
            ));
        }
        // Its end is met again by who reads.
        Ok(Ok(n)) => &bytes[..n],
    };
    match seen.first() {
        None => Ok(()),
        Some(first) if first.is_ascii_digit() => Ok(()),
        // Records of TLS (RFC 8446 §5.1): alert, handshake.
        Some(0x15 | 0x16) => Err(
            stop(Class::Proto, "the server speaks TLS at once".to_owned()).with_hint(
                "this port wants TLS from the first byte on: set --tls implicit, or smtps://",
            ),
        ),
        Some(_) => {
            let line = seen.split(|b| matches!(b, b'\r' | b'\n')).next();
            let said = String::from_utf8_lossy(line.unwrap_or_default());
            let text = format!("what the server says is no SMTP: {}", said.escape_debug());
            Err(stop(Class::Proto, text).with_hint(advice::other_protocol(&said)))
        }
    }
}

/// What greets is told in whole; its name should be a full one.
fn banner_check(banner: &Reply) -> Check {
    let check = Check::ok("banner", Phase::Banner, format!("220 {}", banner.text())).reply(banner);
    match advice::banner(banner) {
        Some(hint) => check.hint(hint),
        None => check,
    }
}

fn delay_check(took: Duration, target: &Target) -> Check {
    let bounds = target.thresholds.greeting;
    let measure = Measure::seconds(took).above(bounds.warn, bounds.crit);
    let state = measure.state();
    let text = format!("{:.3}s until the greeting", took.as_secs_f64());
    let check = Check::ok("greeting_delay", Phase::Banner, text).state(state);
    let check = match state {
        State::Ok => check,
        _ => check.class(Class::Timeout).hint(
            "look at the server's load, at its look-ups of our address, and at postscreen's greet delay: clients may give up",
        ),
    };
    check.measure(measure).took(took)
}

/// EHLO; where that is not known, HELO. Whether it was EHLO.
pub(super) async fn greet(
    link: &mut Link,
    phase: Phase,
    hello: &str,
    within: Duration,
) -> Result<(Reply, bool), Stop> {
    let mut ask = async |verb: &str| {
        let reply = link.ask(&format!("{verb} {hello}\r\n"), within).await;
        reply.map_err(|fault| advice::silent(Stop::broken(phase, &fault)))
    };
    let first = ask("EHLO").await?;
    if first.code() == 250 {
        return Ok((first, true));
    }
    if first.is_permanent() {
        let second = ask("HELO").await?;
        if second.code() == 250 {
            return Ok((second, false));
        }
        if second.is_closing() {
            return Err(Stop::refused(phase, second));
        }
    }
    let stop = Stop::refused(phase, first);
    Err(match stop.class {
        Class::Reply5 => stop.with_hint(format!(
            "the server refuses {hello:?} as a greeting: set --helo to a full name that the DNS knows, and so in the applications"
        )),
        Class::Reply4 => stop.with_hint("the server puts greetings off: its log says what it waits for"),
        _ => stop,
    })
}

fn helo_check(reply: &Reply, hello: &str, is_extended: bool) -> Check {
    let name = reply.lines().next().unwrap_or_default().trim();
    let text = format!("{hello} is taken by {name}");
    let check = match is_extended {
        true => Check::ok("helo", Phase::Ehlo, text).sent(format!("EHLO {hello}")),
        false => Check::warn("helo", Phase::Ehlo, Class::Reply5, format!("{text}, by HELO only"))
            .sent(format!("HELO {hello}"))
            .hint("EHLO is refused, so there is no TLS, no login and no size: look for a filter between that speaks an old SMTP"),
    };
    check.reply(reply)
}
