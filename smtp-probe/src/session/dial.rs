//! From a name to a connection.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout_at},
};

use super::{advice, record::Record, resolve::resolve};
use crate::{
    connection::Stop,
    report::{Check, Class, Measure, Phase, State},
    target::{Limits, Target},
};

/// A connection that nothing was said on.
#[derive(Debug)]
pub(crate) struct Dialed {
    pub(crate) stream: TcpStream,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    /// When it stood.
    pub(crate) since: Instant,
}

pub(crate) async fn dial(
    target: &Target,
    until: Instant,
    record: &mut Record,
) -> Result<Dialed, Stop> {
    let addresses = resolve(target, until, record).await?;
    let begun = Instant::now();
    let (dialed, failed) = connect(target, &addresses, until).await;
    let took = begun.elapsed();
    record.spent(Phase::Connect, took);
    let Some((dialed, last)) = dialed else {
        return Err(record.stop("connect", refused(&failed, target), took));
    };
    let bounds = target.thresholds.connect;
    let measure = Measure::seconds(last).above(bounds.warn, bounds.crit);
    let from = dialed.local.ip().to_canonical();
    let text = format!("{} from {from}", dialed.peer);
    record.push(connected(text, measure, &failed).took(took));
    Ok(dialed)
}

/// An address that took no connection.
#[derive(Debug)]
struct Failed {
    address: SocketAddr,
    class: Class,
    /// What happened, for people.
    said: String,
    hint: Option<&'static str>,
}

impl Failed {
    fn new(address: SocketAddr, class: Class, said: impl Into<String>) -> Self {
        Self {
            address,
            class,
            said: said.into(),
            hint: None,
        }
    }

    /// Whether it says something of the server: not if it cannot be reached from here, and not if a
    /// name of this machine has both addresses and the server listens at one.
    fn counts(&self) -> bool {
        self.class != Class::Local && !self.address.ip().is_loopback()
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.address, self.said)
    }
}

fn all(failed: &[Failed]) -> String {
    let all: Vec<String> = failed.iter().map(ToString::to_string).collect();
    all.join("; ")
}

/// No address took one. What the server's side does counts for more than what cannot be tried here.
fn refused(failed: &[Failed], target: &Target) -> Stop {
    let is_theirs = |f: &&Failed| f.class != Class::Local;
    let Some(told) = failed.iter().rfind(is_theirs).or(failed.last()) else {
        let stop = Stop::new(Phase::Connect, Class::Local, "no address was tried");
        return stop.with_hint("look at the host and at --timeout");
    };
    let stop = Stop::new(Phase::Connect, told.class, all(failed));
    match told.hint {
        Some(hint) => stop.with_hint(hint),
        None => stop.with_hint(advice::connect(told.class, target)),
    }
}

/// One address took it, after those that did not.
fn connected(text: String, measure: Measure, failed: &[Failed]) -> Check {
    let text = match failed {
        [] => text,
        failed => format!("{text}; {}", all(failed)),
    };
    let state = measure.state();
    let check = Check::ok("connect", Phase::Connect, text).state(state);
    let check = match (state, failed.iter().find(|f| f.counts())) {
        (State::Ok, None) => check,
        (State::Ok, Some(dead)) => check.state(State::Warn).class(dead.class).hint(format!(
            "{} takes no connections: mend it, or take it out of the DNS; clients that try it first come late",
            dead.address
        )),
        _ => check.class(Class::Timeout).hint(
            "connections take long: look at the load and the network, and at addresses that do not answer",
        ),
    };
    check.measure(measure)
}

/// How long one address may take: each that is left, and the dialogue, get a share of the time.
fn share(left: Duration, addresses: usize, most: Duration) -> Duration {
    match u32::try_from(addresses) {
        Ok(0 | 1) => most,
        Ok(n) => most.min(left / n.saturating_add(1)),
        Err(_) => Duration::ZERO,
    }
}

/// The first address that takes a connection, with the time that it took, and those before it.
async fn connect(
    target: &Target,
    addresses: &[SocketAddr],
    until: Instant,
) -> (Option<(Dialed, Duration)>, Vec<Failed>) {
    let mut failed = Vec::new();
    let Limits { connect: most, .. } = target.limits;
    for (n, &address) in addresses.iter().enumerate() {
        if let Some(source) = target.source
            && source.is_ipv4() != address.is_ipv4()
        {
            let said = format!("not to be reached from {source}");
            failed.push(Failed {
                hint: Some("set --source to an address of this machine, of the server's family"),
                ..Failed::new(address, Class::Local, said)
            });
            continue;
        }
        let begun = Instant::now();
        let left = until.saturating_duration_since(begun);
        let end = until.min(begun + share(left, addresses.len() - n, most));
        match timeout_at(end, open(target.source, address)).await {
            Ok(Ok(dialed)) => return (Some((dialed, begun.elapsed())), failed),
            Ok(Err(e)) => failed.push(e),
            Err(_) => failed.push(Failed::new(address, Class::Timeout, "no answer in time")),
        }
    }
    (None, failed)
}

async fn open(source: Option<IpAddr>, address: SocketAddr) -> Result<Dialed, Failed> {
    let local = |e: io::Error| Failed::new(address, Class::Local, e.to_string());
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }
    .map_err(local)?;
    if let Some(source) = source {
        socket
            .bind(SocketAddr::new(source, 0))
            .map_err(|e| Failed {
                hint: Some("set --source to an address of this machine"),
                ..Failed::new(
                    address,
                    Class::Local,
                    format!("cannot be asked from {source}: {e}"),
                )
            })?;
    }
    let stream = socket
        .connect(address)
        .await
        .map_err(|e| unconnected(address, &e))?;
    // Replies are waited for one by one; failing costs only time.
    let _ = stream.set_nodelay(true);
    Ok(Dialed {
        local: stream.local_addr().map_err(local)?,
        peer: address,
        since: Instant::now(),
        stream,
    })
}

/// What connect(2) says.
fn unconnected(address: SocketAddr, e: &io::Error) -> Failed {
    let (class, hint) = match e.kind() {
        io::ErrorKind::TimedOut => (Class::Timeout, None),
        io::ErrorKind::PermissionDenied => (
            Class::Local,
            Some("this machine forbids it: look at its firewall and at network policies"),
        ),
        io::ErrorKind::AddrNotAvailable => (
            Class::Local,
            Some(
                "this machine has no address or port to ask from: look at its IPv6 and at how many connections it holds",
            ),
        ),
        io::ErrorKind::NetworkUnreachable => (
            Class::Local,
            Some("no way leads there from this machine: look at its routes and its IPv6"),
        ),
        io::ErrorKind::HostUnreachable => (
            Class::Refused,
            Some(
                "nothing is reached there: look whether the server's machine is up, and at routes and firewalls",
            ),
        ),
        _ => (Class::Refused, None),
    };
    Failed {
        hint,
        ..Failed::new(address, class, e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(address: &str, class: Class) -> Failed {
        Failed::new(address.parse().unwrap(), class, "no")
    }

    #[test]
    fn a_dead_address_among_others_is_a_warning() {
        let fast = || Measure::new(0.01, "s").above(1.0, 3.0);
        let of = |failed: &[Failed]| connected("there".to_owned(), fast(), failed);
        assert_eq!(of(&[]).state, State::Ok);
        for (address, class, state) in [
            ("192.0.2.1:25", Class::Timeout, State::Warn),
            ("192.0.2.1:25", Class::Refused, State::Warn),
            ("[2001:db8::1]:25", Class::Local, State::Ok),
            // `localhost` has two, and a server may listen at one of them.
            ("[::1]:25", Class::Refused, State::Ok),
        ] {
            let check = of(&[failed(address, class)]);
            assert_eq!(check.state, state, "{check:#?}");
            assert!(check.text.contains(address), "{check:#?}");
            assert_eq!(check.hint.is_some(), state != State::Ok, "{check:#?}");
        }
        let slow = Measure::new(4.0, "s").above(1.0, 3.0);
        let check = connected("there".to_owned(), slow, &[]);
        assert_eq!(
            (check.state, check.class),
            (State::Crit, Some(Class::Timeout))
        );
    }

    #[test]
    fn a_refusal_counts_for_more_than_what_cannot_be_tried() {
        let target = Target::new("relay.example", 25);
        let of = |failed: &[Failed]| {
            let check = refused(failed, &target).check("connect");
            (check.state, check.class.unwrap(), check.hint.is_some())
        };
        let (theirs, ours) = (
            || failed("192.0.2.1:25", Class::Refused),
            || failed("[::1]:25", Class::Local),
        );
        for all in [vec![theirs(), ours()], vec![ours(), theirs()]] {
            assert_eq!(of(&all), (State::Crit, Class::Refused, true));
        }
        assert_eq!(of(&[ours()]), (State::Unknown, Class::Local, true));
        assert_eq!(of(&[]), (State::Unknown, Class::Local, true));
    }

    #[test]
    fn what_connect_says_is_told_apart() {
        use io::ErrorKind as K;
        for (kind, class, says) in [
            (K::ConnectionRefused, Class::Refused, None),
            (K::TimedOut, Class::Timeout, None),
            (K::NetworkUnreachable, Class::Local, Some("routes")),
            (K::HostUnreachable, Class::Refused, Some("is up")),
            (K::AddrNotAvailable, Class::Local, Some("IPv6")),
            (K::PermissionDenied, Class::Local, Some("firewall")),
        ] {
            let found = unconnected("192.0.2.1:25".parse().unwrap(), &kind.into());
            assert_eq!(found.class, class, "{found:?}");
            assert_eq!(found.hint.is_some(), says.is_some(), "{found:?}");
            let hint = found.hint.unwrap_or_default();
            assert!(hint.contains(says.unwrap_or_default()), "{hint}");
        }
    }

    #[test]
    fn no_address_takes_the_time_of_the_others() {
        let s = Duration::from_secs;
        for (left, addresses, want) in [
            (s(10), 1, s(5)),
            (s(2), 1, s(5)),
            (s(10), 2, s(10) / 3),
            (s(30), 2, s(5)),
            (s(6), 3, s(3) / 2),
            (s(0), 2, s(0)),
        ] {
            assert_eq!(share(left, addresses, s(5)), want, "{addresses}");
        }
    }
}
