//! Whether the server relays for strangers.

mod battery;
mod form;
mod judge;
mod message;
mod names;
mod vantage;
mod verdict;
mod words;

use notifier_core::Clock;
use tokio::time::Instant;

use crate::{
    connection::Connection,
    report::{Check, Class, Phase},
    target::{Expect, Target, Tls},
};

use battery::{Battery, Halt, Way, halt};
use judge::{AfterLogin, Findings};
use names::Names;
use vantage::Vantage;

pub(crate) use names::own_name;

const ID: &str = "open_relay";

/// How many times `limits.total` the whole battery may take; a connection may take it once.
const MOST_TOTALS: u32 = 6;

/// Addresses that a server is told we have, where it lets us (XCLIENT): one of nobody, a public
/// one that 172.0.0.0/8 has, one of Docker Swarm's ingress network.
const PRETENDED: [&str; 3] = ["203.0.113.9", "172.217.0.1", "10.255.0.2"];

/// Tries all forms, without a login. One check: whether they came out as `expect` says.
pub(crate) async fn run(target: &Target, clock: &dyn Clock) -> Vec<Check> {
    let begun = Instant::now();
    let until = begun + target.limits.total * MOST_TOTALS;
    let looked = look(target, clock, until).await;
    let check = looked.unwrap_or_else(|check| *check);
    vec![check.took(begun.elapsed())]
}

async fn look(target: &Target, clock: &dyn Clock, until: Instant) -> Result<Check, Box<Check>> {
    let Some(settings) = &target.open_relay else {
        return Ok(Check::skip(ID, Phase::Rcpt, "not asked for"));
    };
    let mut bare = target.clone();
    bare.login = None;
    let end = until.min(Instant::now() + target.limits.total);
    let connection = Connection::open(&bare, end).await;
    let connection = connection.map_err(|stop| Box::new(judge::halted(&halt(stop), None)))?;
    let vantage = Vantage::new(connection.local, connection.peer);
    let Connection { banner, ehlo, .. } = &connection;
    let names = Names::find(target, settings, banner, ehlo, vantage.peer.ip());
    let names = names.map_err(|text| {
        let check = Check::unknown(ID, Phase::Rcpt, Class::Local, text);
        Box::new(
            check.hint("set --victim, --own-domain, --relay-domain and --well-known to plain ones"),
        )
    })?;
    let is_private = connection.is_private;
    let has_starttls = connection.offers.starttls;
    let has_xclient = ehlo.lines().skip(1).any(offers_addresses);
    connection.quit().await;

    let mut battery = Battery::new(&bare, &names, clock, until);
    let mut notes = Vec::new();
    let halted = async {
        if target.expect == Expect::Trusted {
            let forms = [form::plain(&names)];
            battery.ask_all(&forms, &Way::default()).await?;
        } else {
            let mut forms = form::usual(&names);
            forms.extend(form::greetings(&names));
            battery.ask_all(&forms, &Way::default()).await?;
            if let Some(tls) = other_transport(bare.tls(), is_private, has_starttls) {
                let way = Way {
                    tls: Some(tls),
                    ..Way::default()
                };
                match battery.ask_all(&[form::transport(&names)], &way).await {
                    Err(Halt::Broken(stop)) => {
                        notes.push(format!("form 38 was not tried: {}", stop.text));
                    }
                    other => other?,
                }
            }
        }
        if has_xclient {
            for address in PRETENDED {
                let way = Way {
                    pretended: Some(address),
                    ..Way::default()
                };
                battery.ask_all(&[form::plain(&names)], &way).await?;
            }
        }
        Ok::<_, Halt>(())
    };
    let halted = halted.await.err();
    let login = match target.expect {
        Expect::Auth => Some(after_login(target, &names, clock, until).await),
        _ => None,
    };
    Ok(Findings {
        expect: target.expect,
        may_send: target.send,
        vantage,
        domain: &names.domain,
        tried: &battery.tried,
        is_catch_all: &|ending| battery.is_catch_all(ending),
        halted,
        login,
        has_login: target.login.is_some(),
        notes,
    }
    .judge())
}

/// `XCLIENT NAME ADDR …`: ADDR may be set.
fn offers_addresses(line: &str) -> bool {
    let line = line.to_ascii_uppercase();
    let mut words = line.split_ascii_whitespace();
    words.next() == Some("XCLIENT") && words.any(|w| w == "ADDR")
}

/// How else the same port can be spoken to.
fn other_transport(tls: Tls, is_private: bool, has_starttls: bool) -> Option<Tls> {
    match (tls, is_private, has_starttls) {
        (Tls::Implicit, ..) => None,
        (_, true, _) => Some(Tls::None),
        (_, false, true) => Some(Tls::Opportunistic),
        _ => None,
    }
}

/// Whether a login opens what is closed without it: the first form, once more.
async fn after_login(
    target: &Target,
    names: &Names,
    clock: &dyn Clock,
    until: Instant,
) -> AfterLogin {
    let Some(login) = &target.login else {
        return AfterLogin::NoneGiven;
    };
    let mut names = names.clone();
    let is_address = |a: &&String| a.contains('@');
    let sender = target.from.iter().find(is_address);
    // Servers tie senders to logins.
    if let Some(sender) = sender.or(Some(&login.user).filter(is_address)) {
        names.stranger.clone_from(sender);
    }
    let mut battery = Battery::new(target, &names, clock, until);
    let asked = battery
        .ask_all(&[form::plain(&names)], &Way::default())
        .await;
    match (asked, battery.tried.pop()) {
        (Ok(()), Some(tried)) => AfterLogin::Asked(tried),
        (Err(halt), _) => AfterLogin::Halted(halt),
        (Ok(()), None) => AfterLogin::Halted(Halt::OutOfTime),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xclient_counts_where_it_has_addresses() {
        assert!(offers_addresses("XCLIENT NAME ADDR PROTO HELO"));
        assert!(offers_addresses("xclient addr"));
        assert!(!offers_addresses("XCLIENT LOGIN"));
        assert!(!offers_addresses("8BITMIME ADDR"));
    }

    #[test]
    fn the_other_transport_is_what_the_port_has_too() {
        for (tls, is_private, has_starttls, want) in [
            (Tls::Implicit, true, false, None),
            (Tls::Starttls, true, false, Some(Tls::None)),
            (Tls::Opportunistic, true, false, Some(Tls::None)),
            (Tls::Opportunistic, false, false, None),
            (Tls::None, false, true, Some(Tls::Opportunistic)),
        ] {
            assert_eq!(
                other_transport(tls, is_private, has_starttls),
                want,
                "{tls:?}"
            );
        }
    }
}
