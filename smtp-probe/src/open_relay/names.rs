//! The names that the forms are made of.

use std::net::IpAddr;

use smtp_wire::{Reply, place};

use crate::target::{Battery, Target};

use super::form::literal;

/// A sender whom no server has to do with (RFC 2606).
const STRANGER: &str = "relay-test@example.org";

/// Whose names the forms use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// A sender whom the server has nothing to do with.
    pub(super) stranger: String,
    /// The victim's local part and domain.
    pub(super) user: String,
    pub(super) foreign: String,
    /// The server's domain, its name, and its address in brackets.
    pub(super) domain: String,
    pub(super) host: String,
    pub(super) address: String,
    pub(super) relay_domains: Vec<String>,
    pub(super) well_known: Vec<String>,
    /// Of these names, those whom no message may name: nobody said that they are the server's, or
    /// they are a provider's.
    pub(super) unsure: Vec<String>,
}

impl Names {
    /// Finds them out: what is set counts, then the addresses that the server must take, then
    /// what it calls itself.
    ///
    /// # Errors
    /// Which of them cannot be part of a command.
    pub(super) fn find(
        target: &Target,
        battery: &Battery,
        banner: &Reply,
        ehlo: &Reply,
        server: IpAddr,
    ) -> Result<Self, String> {
        let host = [banner, ehlo]
            .into_iter()
            .find_map(own_name)
            .or_else(|| place::host(&target.host))
            .unwrap_or_else(|| literal(server));
        let addresses = target.rcpt.iter().chain(&target.from);
        let known = || {
            let mut domains = addresses.filter_map(|a| Some(a.rsplit_once('@')?.1));
            // One at a provider is not the server's for that.
            let found = domains.find(|d| !d.is_empty() && !is_provider(battery, d));
            found.map(str::to_owned)
        };
        let domain = battery.own_domain.clone().or_else(known);
        let (user, foreign) = battery
            .victim
            .rsplit_once('@')
            .ok_or("the victim's address has no domain")?;
        let mut names = Self {
            stranger: STRANGER.to_owned(),
            user: user.to_owned(),
            foreign: foreign.to_owned(),
            domain: domain.unwrap_or_else(|| parent(&host).to_owned()),
            host,
            address: literal(server),
            relay_domains: battery.relay_domains.clone(),
            well_known: Vec::new(),
            unsure: Vec::new(),
        };
        // A provider's own server takes what is for it.
        let is_other = |d: &&String| !d.eq_ignore_ascii_case(&names.domain);
        let others = battery.well_known.iter().filter(is_other);
        names.well_known = others.cloned().collect();
        let is_set = |name: &str| {
            let own = battery.own_domain.as_deref();
            name.eq_ignore_ascii_case(&target.host) || own.is_some_and(|own| is_within(name, own))
        };
        let guessed = [&names.domain, &names.host].into_iter();
        let guessed = guessed.filter(|n| !n.starts_with('[') && !is_reserved(n) && !is_set(n));
        let all = [&names.domain, &names.host].into_iter();
        let providers = all.chain(&names.relay_domains);
        let providers = providers.filter(|n| is_provider(battery, n));
        names.unsure = guessed.chain(providers).cloned().collect();
        match names.wrong() {
            Some(name) => Err(format!("{name:?} cannot be part of an address")),
            None => Ok(names),
        }
    }

    /// A name that would change what a command says.
    fn wrong(&self) -> Option<&String> {
        let all = [&self.user, &self.foreign, &self.domain].into_iter();
        let mut all = all.chain(&self.relay_domains).chain(&self.well_known);
        all.find(|n| !is_plain(n))
    }

    /// Whether a message may go that names these: to nobody but the victim, and to domains that are
    /// reserved or were set.
    pub(super) fn may_name(&self, from: &str, to: &str) -> bool {
        let (from, to) = (from.to_ascii_lowercase(), to.to_ascii_lowercase());
        let unsure = self.unsure.iter().map(|n| n.to_ascii_lowercase());
        !unsure
            .into_iter()
            .any(|n| from.contains(&n) || to.contains(&n))
    }

    pub(super) fn victim(&self) -> String {
        format!("{}@{}", self.user, self.foreign)
    }

    /// The victim as a local part.
    pub(super) fn percent(&self) -> String {
        format!("{}%{}", self.user, self.foreign)
    }

    /// A sender at the server's address.
    pub(super) fn at_server(&self) -> String {
        format!("relay-test@{}", self.address)
    }

    #[cfg(test)]
    pub(super) fn example() -> Self {
        let battery = Battery {
            relay_domains: vec!["backup.test".to_owned()],
            ..Battery::default()
        };
        let target = Target::new("mx.own.test", 25);
        let banner = "220 mx.own.test ESMTP".parse().unwrap();
        let ehlo = "250 mx.own.test".parse().unwrap();
        let server = "192.0.2.1".parse().unwrap();
        Self::find(&target, &battery, &banner, &ehlo, server).unwrap()
    }
}

/// The full name that leads a banner, or an answer to EHLO.
pub(crate) fn own_name(reply: &Reply) -> Option<String> {
    let word = reply.lines().next()?.split_ascii_whitespace().next()?;
    let name = place::host(word)?;
    (name.contains('.') && name.parse::<IpAddr>().is_err()).then_some(name)
}

/// The domain that a host is in: `rig.test` of `mx.rig.test`, and a name of two parts itself.
fn parent(host: &str) -> &str {
    match host.split_once('.') {
        Some((_, rest)) if rest.contains('.') && !host.starts_with('[') => rest,
        _ => host,
    }
}

/// Whether a name is a domain, or in it.
fn is_within(name: &str, domain: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let rest = name.strip_suffix(&domain.to_ascii_lowercase());
    rest.is_some_and(|r| r.is_empty() || r.ends_with('.'))
}

/// Whether nobody has it (RFC 2606, RFC 6761).
fn is_reserved(name: &str) -> bool {
    let reserved = ["test", "example", "invalid", "localhost"];
    let examples = ["example.com", "example.net", "example.org"];
    let mut all = reserved.into_iter().chain(examples);
    all.any(|domain| is_within(name, domain))
}

/// Whether it is a well-known provider's, of those that are set and of the usual ones.
fn is_provider(battery: &Battery, name: &str) -> bool {
    let usual = Battery::default().well_known;
    let mut all = battery.well_known.iter().chain(&usual);
    all.any(|provider| is_within(name, provider))
}

/// Whether it can stand in an address without changing what the command says.
fn is_plain(text: &str) -> bool {
    let is_special = |c: char| "<>\"%!@,:\\".contains(c) || c.is_whitespace() || c.is_control();
    !text.is_empty() && !text.contains(is_special)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(target: &Target, battery: &Battery, banner: &str) -> Result<Names, String> {
        let (banner, ehlo) = (
            banner.parse().unwrap(),
            "250 inner.example".parse().unwrap(),
        );
        Names::find(
            target,
            battery,
            &banner,
            &ehlo,
            "192.0.2.1".parse().unwrap(),
        )
    }

    #[test]
    fn the_own_domain_is_what_is_set_then_what_is_taken_then_what_it_calls_itself() {
        let mut battery = Battery::default();
        let mut target = Target::new("192.0.2.1", 25);
        let domain = |t: &Target, b: &Battery, banner| find(t, b, banner).unwrap().domain;
        assert_eq!(domain(&target, &battery, "220 mx.a.test ESMTP"), "a.test");
        assert_eq!(domain(&target, &battery, "220 a.test ESMTP"), "a.test");
        // A banner without a name.
        assert_eq!(domain(&target, &battery, "220 hi"), "inner.example");
        target.from = vec![String::new(), "x@from.test".to_owned()];
        assert_eq!(domain(&target, &battery, "220 mx.a.test"), "from.test");
        target.rcpt = vec!["%u@rcpt.test".to_owned()];
        assert_eq!(domain(&target, &battery, "220 mx.a.test"), "rcpt.test");
        battery.own_domain = Some("set.test".to_owned());
        assert_eq!(domain(&target, &battery, "220 mx.a.test"), "set.test");
    }

    #[test]
    fn messages_name_nobody_who_was_only_guessed() {
        let target = Target::new("192.0.2.1", 25);
        let mut battery = Battery::default();
        let unsure = |b: &Battery, banner| find(&target, b, banner).unwrap().unsure;
        assert_eq!(unsure(&battery, "220 mx.own.test"), [""; 0]);
        // Of a machine at a hoster, that would be all the hoster's.
        let names = find(&target, &battery, "220 vps7.hoster.net").unwrap();
        assert_eq!(names.unsure, ["hoster.net", "vps7.hoster.net"]);
        assert!(!names.may_name("a@b.test", "<x%example.net@HOSTER.net>"));
        assert!(names.may_name("a@b.test", "<x@example.net>"));
        battery.own_domain = Some("hoster.net".to_owned());
        assert_eq!(unsure(&battery, "220 vps7.hoster.net"), [""; 0]);
        // Not even where it was set.
        battery.own_domain = Some("Gmail.com".to_owned());
        battery.relay_domains = vec!["mail.yahoo.com".to_owned()];
        let want = ["Gmail.com", "mail.yahoo.com"];
        assert_eq!(unsure(&battery, "220 mx.own.test"), want);
        // A recipient at a provider makes the server none.
        let mut target = Target::new("192.0.2.1", 25);
        target.rcpt = vec!["ops@gmail.com".to_owned(), "me@own.test".to_owned()];
        let names = find(&target, &Battery::default(), "220 mx.a.test").unwrap();
        assert_eq!(names.domain, "own.test");
        assert!(names.well_known.iter().any(|d| d == "gmail.com"));
    }

    #[test]
    fn what_would_change_the_command_is_refused() {
        let target = Target::new("192.0.2.1", 25);
        for victim in [
            "victim",
            "a b@example.net",
            "a@example.net>\r\nQUIT",
            "\"a\"@b.test",
            "@",
        ] {
            let battery = Battery {
                victim: victim.to_owned(),
                ..Battery::default()
            };
            assert!(
                find(&target, &battery, "220 mx.a.test").is_err(),
                "{victim}"
            );
        }
        let battery = Battery {
            relay_domains: vec!["a.test\r\n".to_owned()],
            ..Battery::default()
        };
        assert!(find(&target, &battery, "220 mx.a.test").is_err());
    }
}
