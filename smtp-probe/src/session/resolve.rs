//! From a name to its addresses.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::lookup_host,
    time::{Instant, timeout_at},
};

use super::record::Record;
use crate::{
    connection::Stop,
    dns,
    report::{Check, Class, Measure, Phase, State},
    target::Target,
};

/// From here on a look-up is slow.
const SLOW_LOOKUP: Duration = Duration::from_secs(1);

/// The addresses of the host, at least one: from the resolver that the target names, and from the
/// system's if that one knows none or gives no answer.
pub(super) async fn resolve(
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
    let mut named = None;
    // What is this machine, no resolver is asked (RFC 6761 section 6.3).
    let is_here = target.host.eq_ignore_ascii_case("localhost");
    if let Some(server) = target.dns.server.filter(|_| !is_here) {
        // What is left of the time is the system's.
        let within = target.limits.dns.min((until - begun) / 2);
        match dns::addresses(server, within, &target.host).await {
            Ok(found) => {
                let took = begun.elapsed();
                record.spent(Phase::Resolve, took);
                let port = target.port;
                let found = found.into_iter().map(|ip| SocketAddr::new(ip, port));
                let addresses: Vec<SocketAddr> = found.collect();
                record.push(resolved(&addresses, took, Some(server)));
                return Ok(addresses);
            }
            Err(why) => named = Some(format!("{server}: {why}")),
        }
    }
    let end = until.min(Instant::now() + target.limits.connect);
    let found = timeout_at(end, lookup_host((target.host.as_str(), target.port))).await;
    let took = begun.elapsed();
    record.spent(Phase::Resolve, took);
    let host = &target.host;
    let mut stop = match found {
        Ok(Ok(found)) => {
            let addresses: Vec<SocketAddr> = found.collect();
            if !addresses.is_empty() {
                record.push(resolved(&addresses, took, None));
                return Ok(addresses);
            }
            absent(host, "no address")
        }
        Ok(Err(e)) if e.raw_os_error().is_some() => {
            Stop::new(Phase::Resolve, Class::Local, format!("{host}: {e}"))
                .with_hint("this machine could not ask: look at its limits (open files, memory)")
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
    if let Some(named) = named {
        stop.text = format!("{}; {named}", stop.text);
    }
    Err(record.stop(ID, stop, took))
}

/// `by` is the resolver that was asked, if not the system's.
fn resolved(addresses: &[SocketAddr], took: Duration, by: Option<SocketAddr>) -> Check {
    let all: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
    let (text, slow) = match by {
        Some(by) => (
            format!("{} by {by}", all.join(", ")),
            "the look-up is slow: look at the resolver that --dns names",
        ),
        None => (
            all.join(", "),
            "the look-up is slow: look at the name servers of this machine (/etc/resolv.conf)",
        ),
    };
    let measure = Measure::seconds(took);
    let check = match took >= SLOW_LOOKUP {
        false => Check::ok("resolve", Phase::Resolve, text),
        true => Check::warn("resolve", Phase::Resolve, Class::Dns, text).hint(slow),
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
        let state = |ms| resolved(&one, Duration::from_millis(ms), None).state;
        assert_eq!((state(999), state(1000)), (State::Ok, State::Warn));
    }
}
