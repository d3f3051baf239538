//! The way of a canary to the relay.

use std::time::Duration;

use notifier_core::{Clock, jiff::Timestamp};
use smtp_wire::{Link, Sent, stuff};
use tokio::time::Instant;

use super::{
    mark::Mark,
    message::{Envelope, is_address, render},
};
use crate::{
    connection::{Connection, Stop},
    report::{Class, Phase},
    target::Target,
};

/// What the relay took.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// The relay's id of it, if it said one.
    pub(crate) queue_id: Option<String>,
    /// Our end of the connection.
    pub(crate) local: std::net::SocketAddr,
    /// From the connection to the answer to the last dot.
    pub(crate) took: Duration,
    /// When that answer came.
    pub(crate) at: Instant,
    /// The same by the clock.
    pub(crate) taken: Timestamp,
}

/// Who the message is from and for, checked before anything is sent.
pub(crate) fn addresses(target: &Target, mark: &Mark) -> Result<(String, String), Stop> {
    let local = |text: String| Stop::new(Phase::Delivery, Class::Local, text);
    let fill = |text: &String| text.replace("%u", &mark.id);
    let from = target.from.first().map(fill).unwrap_or_default();
    let Some(to) = target.rcpt.first().map(fill) else {
        return Err(local("there is no recipient to send it to".to_owned())
            .with_hint("set --rcpt to the address of the mailbox where the canary is awaited"));
    };
    // Only the sender may be the empty one.
    for address in [&from, &to].iter().skip(usize::from(from.is_empty())) {
        if !is_address(address) {
            return Err(local(format!("{address:?} is no address")));
        }
    }
    Ok((from, to))
}

/// Sends it. What came in between is the phase of the error.
pub(crate) async fn send(
    target: &Target,
    mark: &Mark,
    clock: &dyn Clock,
) -> Result<Accepted, Stop> {
    let (from, to) = addresses(target, mark)?;
    let begun = Instant::now();
    let mut connection = Connection::open(target, begun + target.limits.total).await?;
    let sent = transaction(&mut connection, mark, (&from, &to), clock).await;
    match sent {
        Ok(queue_id) => {
            let (at, taken) = (Instant::now(), clock.now());
            let local = connection.local;
            connection.quit().await;
            Ok(Accepted {
                queue_id,
                local,
                took: at - begun,
                at,
                taken,
            })
        }
        Err(stop) => {
            // Where it gave no answer it hears no goodbye.
            if stop.reply.is_some() && !stop.is_rate_limit() {
                connection.quit().await;
            }
            Err(stop)
        }
    }
}

async fn transaction(
    connection: &mut Connection,
    mark: &Mark,
    (from, to): (&str, &str),
    clock: &dyn Clock,
) -> Result<Option<String>, Stop> {
    let envelope = Envelope {
        from,
        to,
        helo: &connection.helo,
    };
    let text = render(mark, &envelope, clock.now());
    let Some(wire) = stuff(text.as_bytes()) else {
        return Err(Stop::new(
            Phase::Delivery,
            Class::Local,
            "an address would break the message",
        ));
    };
    let mut parameters = String::new();
    if connection.offers.size.is_some() {
        parameters.push_str(&format!(" SIZE={}", text.len()));
    }
    if !text.is_ascii() {
        if !connection.offers.utf8 {
            let stop = Stop::new(
                Phase::Mail,
                Class::Local,
                "an address is not in ASCII, and the relay does not offer SMTPUTF8",
            );
            return Err(stop.with_hint("set --from and --rcpt to addresses in ASCII"));
        }
        parameters.push_str(" SMTPUTF8");
    }
    for (phase, command, code) in [
        (
            Phase::Mail,
            format!("MAIL FROM:<{from}>{parameters}\r\n"),
            250,
        ),
        (Phase::Rcpt, format!("RCPT TO:<{to}>\r\n"), 250),
        (Phase::Data, "DATA\r\n".to_owned(), 354),
    ] {
        let reply = connection.ask(phase, &command).await?;
        let is_taken = match phase {
            Phase::Data => reply.code() == code,
            _ => reply.is_done(),
        };
        if !is_taken {
            return Err(Stop::refused(phase, reply));
        }
    }
    end(&mut connection.link, &wire, connection.within).await
}

/// The message and the answer to its last dot.
async fn end(link: &mut Link, wire: &[u8], within: Duration) -> Result<Option<String>, Stop> {
    match link.send(wire, within).await {
        Sent::Whole | Sent::Interrupted => {}
        Sent::Broken(_, fault) => return Err(Stop::broken(Phase::Eod, &fault)),
    }
    let reply = link
        .reply(within)
        .await
        .map_err(|fault| Stop::broken(Phase::Eod, &fault))?;
    match reply.is_done() {
        true => Ok(reply.queue_id()),
        false => Err(Stop::refused(Phase::Eod, reply)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_needs_a_recipient_and_whole_addresses() {
        let mark = Mark::new("2026-11-22T10:00:00Z".parse().unwrap()).unwrap();
        let mut target = Target::new("relay.example", 25);
        let stop = addresses(&target, &mark).unwrap_err();
        assert!(stop.hint.unwrap().contains("--rcpt"));
        target.rcpt = vec!["canary+%u@mail.example".to_owned(), "b@c".to_owned()];
        let (from, to) = addresses(&target, &mark).unwrap();
        assert_eq!(from, "");
        assert_eq!(to, format!("canary+{}@mail.example", mark.id));
        target.from = vec![String::new()];
        assert!(addresses(&target, &mark).is_ok());
        for bad in ["a@b>\r\nDATA", "a b@c", "nobody"] {
            target.from = vec![bad.to_owned()];
            let stop = addresses(&target, &mark).unwrap_err();
            assert_eq!(stop.class, Class::Local);
            assert!(!stop.text.contains('\n'), "{}", stop.text);
        }
        target.from.clear();
        target.rcpt = vec![String::new()];
        assert!(addresses(&target, &mark).is_err());
    }
}
