//! From a name to a connection.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::{TcpSocket, TcpStream, lookup_host},
    time::{Instant, timeout_at},
};

use super::{advice, record::Record};
use crate::{
    connection::Stop,
    report::{Check, Class, Measure, Phase, State},
    target::Target,
};

/// From here on a look-up is slow.
const SLOW_LOOKUP: Duration = Duration::from_secs(1);

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
    let dialed = connect(target, &addresses, until).await;
    let took = begun.elapsed();
    record.spent(Phase::Connect, took);
    let bounds = target.thresholds.connect;
    let measure = Measure::seconds(took).above(bounds.warn, bounds.crit);
    let (dialed, failed) = match dialed {
        Ok(found) => found,
        Err(stop) => {
            let stop = advised(stop, target);
            return Err(record.stop("connect", stop, took));
        }
    };
    let mut text = format!("{} from {}", dialed.peer, dialed.local.ip().to_canonical());
    for one in &failed {
        text = format!("{text}; {one}");
    }
    let state = measure.state();
    let mut check = Check::ok("connect", Phase::Connect, text).state(state);
    if state > State::Ok {
        check = check.class(Class::Timeout).hint(
            "connections take long: look at the load and the network, and at addresses that do not answer",
        );
    }
    record.push(check.measure(measure).took(took));
    Ok(dialed)
}

fn advised(stop: Stop, target: &Target) -> Stop {
    let hint = advice::connect(stop.class, target);
    match stop.hint {
        None => stop.with_hint(hint),
        Some(_) => stop,
    }
}

async fn resolve(
    target: &Target,
    until: Instant,
    record: &mut Record,
) -> Result<Vec<SocketAddr>, Stop> {
    const ID: &str = "resolve";
    if let Ok(ip) = target.host.parse::<IpAddr>() {
        record.push(Check::skip(
            ID,
            Phase::Resolve,
            format!("{ip} is an address"),
        ));
        return Ok(vec![SocketAddr::new(ip, target.port)]);
    }
    let begun = Instant::now();
    let end = until.min(begun + target.limits.connect);
    let found = timeout_at(end, lookup_host((target.host.as_str(), target.port))).await;
    let took = begun.elapsed();
    record.spent(Phase::Resolve, took);
    let host = &target.host;
    let stop = match found {
        Ok(Ok(found)) => {
            let addresses: Vec<SocketAddr> = found.collect();
            if !addresses.is_empty() {
                record.push(resolved(&addresses, took));
                return Ok(addresses);
            }
            absent(host, "no address")
        }
        Ok(Err(e)) => look_up_error(host, &e.to_string()),
        Err(_) => Stop::new(
            Phase::Resolve,
            Class::Timeout,
            format!("{host}: the resolver gave no answer in time"),
        )
        .with_state(State::Unknown)
        .with_hint("look at the name servers of this machine (/etc/resolv.conf)"),
    };
    Err(record.stop(ID, stop, took))
}

fn resolved(addresses: &[SocketAddr], took: Duration) -> Check {
    let all: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
    let text = all.join(", ");
    let measure = Measure::seconds(took);
    let check = match took >= SLOW_LOOKUP {
        false => Check::ok("resolve", Phase::Resolve, text),
        true => Check::warn("resolve", Phase::Resolve, Class::Dns, text).hint(
            "the look-up is slow: look at the name servers of this machine (/etc/resolv.conf)",
        ),
    };
    check.measure(measure).took(took)
}

fn absent(host: &str, said: &str) -> Stop {
    Stop::new(Phase::Resolve, Class::Dns, format!("{host}: {said}")).with_hint(
        "the name has no address: mend the host or its record in the DNS (a container sees other names than its host)",
    )
}

/// What the system's resolver says tells only by its words whether the name is not there, or
/// nobody could be asked (getaddrinfo(3): `EAI_AGAIN`, `EAI_FAIL`).
fn look_up_error(host: &str, said: &str) -> Stop {
    let said = said
        .strip_prefix("failed to lookup address information: ")
        .unwrap_or(said);
    let lower = said.to_ascii_lowercase();
    let is_open = ["temporary", "try again", "non-recoverable", "system error"]
        .iter()
        .any(|word| lower.contains(word));
    match is_open {
        false => absent(host, said),
        true => Stop::new(Phase::Resolve, Class::Dns, format!("{host}: {said}"))
            .with_state(State::Unknown)
            .with_hint("the resolver could not find out: look at the name servers of this machine (/etc/resolv.conf)"),
    }
}

/// The first address that takes a connection, and what the others said.
async fn connect(
    target: &Target,
    addresses: &[SocketAddr],
    until: Instant,
) -> Result<(Dialed, Vec<String>), Stop> {
    let mut failed = Vec::new();
    let mut last = None;
    for &address in addresses {
        if let Some(source) = target.source
            && source.is_ipv4() != address.is_ipv4()
        {
            failed.push(format!("{address}: not to be reached from {source}"));
            continue;
        }
        let end = until.min(Instant::now() + target.limits.connect);
        let (class, said) = match timeout_at(end, open(target.source, address)).await {
            Ok(Ok(dialed)) => return Ok((dialed, failed)),
            Ok(Err((class, e))) => (class, e),
            Err(_) => (Class::Timeout, "no answer in time".to_owned()),
        };
        failed.push(format!("{address}: {said}"));
        last = Some(class);
    }
    let class = last.unwrap_or(Class::Local);
    let stop = Stop::new(Phase::Connect, class, failed.join("; "));
    Err(match class {
        Class::Local => stop.with_hint("set --source to an address of this machine"),
        _ => stop,
    })
}

async fn open(source: Option<IpAddr>, address: SocketAddr) -> Result<Dialed, (Class, String)> {
    let local = |e: io::Error| (Class::Local, e.to_string());
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }
    .map_err(local)?;
    if let Some(source) = source {
        let cannot = |e| (Class::Local, format!("cannot be asked from {source}: {e}"));
        socket.bind(SocketAddr::new(source, 0)).map_err(cannot)?;
    }
    let stream = socket.connect(address).await.map_err(|e| {
        let class = match e.kind() {
            io::ErrorKind::TimedOut => Class::Timeout,
            io::ErrorKind::PermissionDenied | io::ErrorKind::AddrNotAvailable => Class::Local,
            _ => Class::Refused,
        };
        (class, e.to_string())
    })?;
    // Replies are waited for one by one; failing costs only time.
    let _ = stream.set_nodelay(true);
    Ok(Dialed {
        local: stream.local_addr().map_err(local)?,
        peer: address,
        since: Instant::now(),
        stream,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_there_is_another_thing_than_a_resolver_that_is_not() {
        for (said, state) in [
            (
                "failed to lookup address information: Name or service not known",
                State::Crit,
            ),
            (
                "failed to lookup address information: No address associated with hostname",
                State::Crit,
            ),
            ("Name does not resolve", State::Crit),
            (
                "failed to lookup address information: Temporary failure in name resolution",
                State::Unknown,
            ),
            ("Try again", State::Unknown),
            (
                "failed to lookup address information: Non-recoverable failure in name resolution",
                State::Unknown,
            ),
        ] {
            let check = look_up_error("relay.example", said).check("resolve");
            assert_eq!(
                (check.state, check.class),
                (state, Some(Class::Dns)),
                "{said}"
            );
            assert!(check.text.starts_with("relay.example: "), "{}", check.text);
            assert!(!check.text.contains("failed to lookup"), "{}", check.text);
        }
    }

    #[test]
    fn a_slow_look_up_is_told() {
        let one = ["192.0.2.1:25".parse().unwrap()];
        let state = |ms| resolved(&one, Duration::from_millis(ms)).state;
        assert_eq!((state(999), state(1000)), (State::Ok, State::Warn));
    }
}
