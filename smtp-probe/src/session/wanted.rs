//! What was asked for, to say of each what was not come to.

use super::{record::Record, second, transaction};
use crate::{
    report::{Check, Phase},
    target::{Level, Target, Tls},
};

/// Adds a check for each that was asked for and not run, with the reason.
pub(crate) fn skip_the_rest(target: &Target, record: &mut Record) {
    let mut missing = Vec::new();
    let has_no_tls = target.tls() == Tls::Opportunistic
        && record.checks().iter().any(|c| c.id == "starttls")
        && !record.checks().iter().any(|c| c.phase == Phase::Tls);
    for (id, phase, subject) in wanted(target) {
        let is_there = |c: &Check| c.id == id && (subject.is_none() || c.subject == subject);
        if record.checks().iter().any(is_there) || (id == "quit" && record.has_quit()) {
            continue;
        }
        let why = match has_no_tls && phase == Phase::Tls {
            true => "the connection has no TLS",
            false => record.end_reason(),
        };
        let check = Check::skip(id, phase, why);
        missing.push(match subject {
            Some(subject) => check.subject(subject),
            None => check,
        });
    }
    for check in missing {
        match check.id {
            "quit" => record.set_quit(check),
            _ => record.push(check),
        }
    }
}

type Wanted = (&'static str, Phase, Option<String>);

/// All that was asked for, in the order of the dialogue.
fn wanted(target: &Target) -> Vec<Wanted> {
    if target.level == Level::Live && target.queue.is_some() {
        return Vec::new();
    }
    let mut all: Vec<Wanted> = Vec::new();
    let mut add = |id, phase| all.push((id, phase, None));
    let tls = target.tls();
    add("resolve", Phase::Resolve);
    add("connect", Phase::Connect);
    if tls == Tls::Implicit {
        add("implicit_tls", Phase::Tls);
        add("tls_version", Phase::Tls);
    }
    if target.level == Level::Live {
        add("banner", Phase::Banner);
        add("greeting_delay", Phase::Banner);
        add("quit", Phase::Quit);
        return all;
    }
    let certificate = ["cert_chain", "cert_name", "cert_expiry"];
    if tls == Tls::Implicit {
        certificate.iter().for_each(|id| add(id, Phase::Tls));
    }
    add("banner", Phase::Banner);
    add("greeting_delay", Phase::Banner);
    add("helo", Phase::Ehlo);
    if matches!(tls, Tls::Starttls | Tls::Opportunistic) {
        add("starttls", Phase::Starttls);
        add("tls_version", Phase::Tls);
        certificate.iter().for_each(|id| add(id, Phase::Tls));
    }
    add("capabilities", Phase::Ehlo);
    add("auth_mechs", Phase::Auth);
    if target.login.is_some() {
        add("auth", Phase::Auth);
    }
    for from in &target.from {
        let from = match from.as_str() {
            "" => "<>",
            from => from,
        };
        all.push(("mail_from", Phase::Mail, Some(from.to_owned())));
    }
    for to in &target.rcpt {
        all.push(("rcpt_own", Phase::Rcpt, Some(to.clone())));
    }
    if target.rcpt_unknown {
        all.push(("rcpt_unknown", Phase::Rcpt, None));
    }
    if transaction::sends(target) {
        all.push(("data_end", Phase::Eod, None));
    }
    if let Some(name) = second::short_name(target) {
        all.push(("helo", Phase::Ehlo, Some(name.to_owned())));
    }
    if target.auth_negative {
        all.push(("auth_negative", Phase::Auth, None));
    }
    all.push(("quit", Phase::Quit, None));
    all
}
