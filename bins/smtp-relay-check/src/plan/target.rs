//! From values to a target.

use std::path::Path;

use smtp_probe::{Battery, Bounds, Expect, Level, Login, Password, Queue, Target, Tls, place};

use super::Plan;
use crate::{check, values::Values};

impl Plan {
    /// The target of an address and these values.
    pub(super) fn target(&self, values: &Values, address: &str) -> Result<Target, Vec<String>> {
        let mut wrong = Vec::new();
        let mut target = match Target::parse(address) {
            _ if address.is_empty() && is_local(values) => Target::local("localhost"),
            Ok(target) => target,
            Err(e) => return Err(vec![e.report().to_string()]),
        };
        let lists = [
            ("from", &mut target.from),
            ("rcpt", &mut target.rcpt),
            ("require", &mut target.require),
            ("forbid", &mut target.forbid),
            ("domain", &mut target.dns.domains),
            ("dkim-selector", &mut target.dns.dkim),
            ("dnsbl", &mut target.dns.dnsbl),
        ];
        for (key, list) in lists {
            if let Some(said) = values.list(key) {
                *list = said.to_vec();
            }
        }
        for sender in &mut target.from {
            if sender == "<>" {
                sender.clear();
            }
        }
        match values.text("level") {
            Some("live") => target.level = Level::Live,
            Some("deep") => target.level = Level::Deep,
            _ => {}
        }
        match values.text("tls") {
            Some("implicit") => target.tls = Tls::Implicit,
            Some("starttls") => target.tls = Tls::Starttls,
            Some("opportunistic") => target.tls = Tls::Opportunistic,
            Some("none") => target.tls = Tls::None,
            // The scheme of the address has said it.
            _ => {}
        }
        match values.text("expect") {
            Some("trusted") => target.expect = Expect::Trusted,
            Some("auth") => target.expect = Expect::Auth,
            _ => {}
        }
        target.ca = values.path("ca");
        target.tls_name = values.text("tls-name").map(str::to_owned);
        target.helo = values.text("helo").and_then(place::helo);
        target.helo_short = values.text("helo-short").map(str::to_owned);
        target.source = values.text("source").and_then(|t| check::address(t).ok());
        target.tls13 = values.bool("tls13");
        target.allow_clear = values.bool("allow-clear");
        target.auth_negative = values.bool("auth-negative");
        target.rcpt_unknown = values.bool("rcpt-unknown");
        target.min_size = values.size("min-size").unwrap_or(0);
        target.send = values.bool("send");
        target.main_cf = values.path("main-cf");
        target.queue = values.path("queue").map(|path| queue(&path));
        if values.bool("open-relay") {
            target.open_relay = Some(battery(values));
        }
        if let Some(resolver) = values.text("dns") {
            target.dns.wanted = true;
            target.dns.server = check::resolver(resolver).ok().flatten();
        }
        target.dns.egress = values.text("egress").and_then(|t| check::address(t).ok());
        self.login(values, &mut target, &mut wrong);
        if let Some(text) = values.text("canary") {
            let ca = values.path("canary-ca");
            let made = check::destination(text)
                .and_then(|d| d.canary(values.path("canary-password-file"), ca));
            match made {
                Ok(canary) => target.canary = Some(canary),
                Err(why) => wrong.push(why),
            }
        }
        times(values, &mut target);
        thresholds(values, &mut target);
        consistent(&target, &mut wrong);
        match wrong.is_empty() {
            true => Ok(target),
            false => Err(wrong),
        }
    }

    fn login(&self, values: &Values, target: &mut Target, wrong: &mut Vec<String>) {
        let file = values.text("password-file");
        match (values.text("user"), file.or(self.password_file.as_deref())) {
            (None, _) if file.is_some() => wrong.push("password-file: set --user too".to_owned()),
            (None, _) => {}
            (Some(_), None) => {
                wrong.push("user: set --password-file or SMTP_PASSWORD_FILE too".to_owned())
            }
            (Some(user), Some(file)) => {
                target.login = Some(Login {
                    user: user.to_owned(),
                    password: Password::File(file.into()),
                });
            }
        }
    }
}

/// What cannot be done together.
fn consistent(target: &Target, wrong: &mut Vec<String>) {
    if target.is_local() {
        let needs = [
            ("canary", target.canary.is_some()),
            ("open-relay", target.open_relay.is_some()),
            ("rcpt", !target.rcpt.is_empty()),
            ("user", target.login.is_some()),
        ];
        for (key, _) in needs.iter().filter(|(_, is_set)| *is_set) {
            wrong.push(format!("{key}: give a TARGET, or set SMTP_HOST_IP"));
        }
    }
    if target.is_local() && target.level == Level::Live && target.queue.is_none() {
        wrong.push("level: live looks at nothing without a TARGET or --queue".to_owned());
    }
    if target.login.is_some() && target.tls == Tls::None && !target.allow_clear {
        wrong.push(
            "tls: none would send the password in clear; set --allow-clear if that is meant"
                .to_owned(),
        );
    }
    if target.canary.is_some() && target.rcpt.is_empty() {
        wrong.push("canary: set --rcpt to the address that it is sent to".to_owned());
    }
    if target.canary == Some(smtp_probe::Canary::QueueGone) && target.queue.is_none() {
        wrong.push("canary: queue-gone needs --queue".to_owned());
    }
    if target.send && target.rcpt.is_empty() && target.open_relay.is_none() {
        wrong.push(
            "send: set --rcpt to the address that a message may be sent to, or --open-relay"
                .to_owned(),
        );
    }
}

/// Whether something is to be looked at that needs no server.
pub(super) fn is_local(values: &Values) -> bool {
    values.text("queue").is_some() || values.text("main-cf").is_some()
}

fn battery(values: &Values) -> Battery {
    let mut out = Battery::default();
    if let Some(domains) = values.list("relay-domain") {
        out.relay_domains = domains.to_vec();
    }
    if let Some(domains) = values.list("well-known") {
        out.well_known = domains.to_vec();
    }
    if let Some(victim) = values.text("victim") {
        victim.clone_into(&mut out.victim);
    }
    out.own_domain = values.text("own-domain").map(str::to_owned);
    out
}

fn times(values: &Values, target: &mut Target) {
    let limits = &mut target.limits;
    for (key, limit) in [
        ("timeout", &mut limits.total),
        ("connect-timeout", &mut limits.connect),
        ("canary-warn", &mut limits.canary_warn),
        ("canary-timeout", &mut limits.canary),
        ("dns-timeout", &mut limits.dns),
    ] {
        if let Some(said) = values.duration(key) {
            *limit = said;
        }
    }
    limits.reply = values.duration("reply-timeout");
    limits.connect = limits.connect.min(limits.total);
    limits.canary_warn = limits.canary_warn.min(limits.canary);
}

fn thresholds(values: &Values, target: &mut Target) {
    let t = &mut target.thresholds;
    let of = |key, less| {
        values
            .text(key)
            .and_then(|text| check::bounds(text, less).ok())
    };
    let set = |bounds: &mut Bounds, said: Option<Bounds>| {
        if let Some(said) = said {
            *bounds = said;
        }
    };
    set(&mut t.connect, of("connect-time", false));
    set(&mut t.greeting, of("greeting-time", false));
    set(&mut t.cert_days, of("cert-days", true));
    set(&mut t.queue_depth, of("queue-depth", false));
    set(&mut t.deferred_age, of("deferred-age", false));
    set(&mut t.active_age, of("active-age", false));
    set(&mut t.queue_growth, of("queue-growth", false));
    set(&mut t.spool_free, of("spool-free", true));
}

/// A folder is a queue's; all else is the socket.
fn queue(path: &Path) -> Queue {
    let is_socket = !path.is_dir() && (path.exists() || path.ends_with("showq"));
    match is_socket {
        true => Queue::Showq(path.to_owned()),
        false => Queue::Folder(path.to_owned()),
    }
}
