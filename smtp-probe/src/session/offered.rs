//! What the answer to EHLO offers, before TLS and in it.

use smtp_wire::{Offers, Reply, auth::Mechanism};

use crate::{
    report::{Check, Class, Phase},
    target::Target,
};

/// What the setting calls AUTH without TLS.
const AUTH_IN_CLEAR: &str = "AUTH-in-clear";

/// The mechanisms that send the password as it is.
const BARE: [&str; 2] = ["PLAIN", "LOGIN"];

/// The lines of an answer that name an extension.
fn extensions(ehlo: Option<&Reply>) -> Vec<String> {
    let lines = ehlo.into_iter().flat_map(|r| r.lines().skip(1));
    // `AUTH=PLAIN` is an old form that some relays still have.
    lines
        .map(|l| l.trim().to_ascii_uppercase().replacen("AUTH=", "AUTH ", 1))
        .filter(|l| !l.is_empty())
        .collect()
}

/// Whether a line is the extension, with all the parameters that are asked for.
fn is_there(lines: &[String], wanted: &str) -> bool {
    let wanted = wanted.to_ascii_uppercase();
    let mut wanted = wanted.split_ascii_whitespace();
    let Some(keyword) = wanted.next() else {
        return true;
    };
    let wanted: Vec<&str> = wanted.collect();
    lines.iter().any(|line| {
        let mut words = line.split_ascii_whitespace();
        let is_it = words.next() == Some(keyword);
        let words: Vec<&str> = words.collect();
        is_it && wanted.iter().all(|w| words.contains(w))
    })
}

/// Compares the answers, without TLS and within, with what must and must not be offered. One
/// check for each that is wrong; if none is, one for all.
pub(crate) fn capabilities(
    clear: Option<&Reply>,
    private: Option<&Reply>,
    target: &Target,
) -> Vec<Check> {
    const ID: &str = "capabilities";
    let phase = match private.is_some() && clear.is_some() {
        true => Phase::Ehlo2,
        false => Phase::Ehlo,
    };
    let last = extensions(private.or(clear));
    let clear = extensions(clear);
    let mut wrong = Vec::new();
    for one in &target.require {
        // STARTTLS is gone where TLS is there.
        let is_starttls = one.eq_ignore_ascii_case("STARTTLS");
        let is_offered = is_there(&last, one) || (is_starttls && is_there(&clear, one));
        if !is_offered {
            let text = format!("{one} is not offered");
            let check = Check::crit(ID, phase, Class::Proto, text).subject(one);
            wrong.push(check.hint(format!("mail needs {one} here: turn it on at the server (smtpd_discard_ehlo_keywords hides some)")));
        }
    }
    for one in &target.forbid {
        let in_clear = one.eq_ignore_ascii_case(AUTH_IN_CLEAR);
        let (is_wrong, hint) = if in_clear {
            let is_wrong = is_there(&clear, "AUTH") && !target.allow_clear;
            (
                is_wrong,
                "set smtpd_tls_auth_only = yes: who logs in there sends the password in clear"
                    .to_owned(),
            )
        } else {
            let is_wrong = is_there(&clear, one) || is_there(&last, one);
            (
                is_wrong,
                format!("{one} is for few clients: turn it off at the server for this address"),
            )
        };
        if is_wrong {
            let text = match in_clear {
                true => "AUTH is offered without TLS".to_owned(),
                false => format!("{one} is offered"),
            };
            let check = Check::warn(ID, phase, Class::Proto, text).subject(one);
            wrong.push(check.hint(hint));
        }
    }
    if let Some(check) = size(&last, target.min_size) {
        wrong.push(check);
    }
    if wrong.is_empty() {
        let text = match last.is_empty() {
            true => "nothing is offered".to_owned(),
            false => last.join(", "),
        };
        wrong.push(Check::ok(ID, phase, text));
    }
    wrong
}

/// SIZE without a number, or with 0, names no limit (RFC 1870 §4).
fn size(lines: &[String], least: u64) -> Option<Check> {
    let most = lines
        .iter()
        .find_map(|l| l.strip_prefix("SIZE "))
        .and_then(|n| n.trim().parse::<u64>().ok())
        .filter(|n| *n > 0 && *n < least)?;
    let text = format!("messages of at most {most} octets are taken, and {least} are needed");
    let check = Check::warn("capabilities", Phase::Ehlo, Class::Proto, text).subject("SIZE");
    Some(check.hint("raise message_size_limit at the server"))
}

/// The mechanisms that we know, in the order in which they are tried.
pub(crate) const KNOWN: [Mechanism; 5] = [
    Mechanism::ScramSha256,
    Mechanism::CramMd5,
    Mechanism::Plain,
    Mechanism::Login,
    Mechanism::Xoauth2,
];

/// What logins are offered; `clear` is the offer without TLS, empty where there is none.
pub(crate) fn mechanisms(offers: &Offers, clear: &Offers, target: &Target) -> Check {
    const ID: &str = "auth_mechs";
    let phase = Phase::Auth;
    let list = |o: &Offers| o.mechanisms.join(", ");
    let is_bare = clear.mechanisms.iter().any(|m| BARE.contains(&m.as_str()));
    if target.login.is_some() && offers.common(&KNOWN).is_empty() {
        let offered = match offers.mechanisms.is_empty() {
            true => "no login is offered".to_owned(),
            false => format!("only {} is offered", list(offers)),
        };
        return Check::crit(ID, phase, Class::Proto, offered).hint(
            "allow PLAIN and LOGIN within TLS at the server; if none is offered at all its login backend (Dovecot, saslauthd) may be down",
        );
    }
    if offers.mechanisms.is_empty() {
        return match matches!(target.port, 465 | 587) {
            true => Check::warn(ID, phase, Class::Proto, "no login is offered on a port for users")
                .hint("set smtpd_sasl_auth_enable = yes for this port; if it is set, its login backend (Dovecot, saslauthd) may be down"),
            false => Check::ok(ID, phase, "no login is offered"),
        };
    }
    if is_bare && !target.allow_clear {
        let text = format!("{} without TLS", list(clear));
        return Check::warn(ID, phase, Class::Proto, text)
            .hint("set smtpd_tls_auth_only = yes: a password sent by PLAIN or LOGIN can be read on the way");
    }
    Check::ok(ID, phase, list(offers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::State;

    fn ehlo(lines: &[&str]) -> Reply {
        let last = lines.len();
        let all = std::iter::once(&"relay.example").chain(lines);
        let all: Vec<String> = all
            .enumerate()
            .map(|(n, l)| format!("250{}{l}", if n == last { ' ' } else { '-' }))
            .collect();
        all.join("\r\n").parse().unwrap()
    }

    fn judged(clear: &[&str], private: Option<&[&str]>, target: &Target) -> Vec<(State, String)> {
        let private = private.map(ehlo);
        capabilities(Some(&ehlo(clear)), private.as_ref(), target)
            .into_iter()
            .map(|c| (c.state, c.subject.unwrap_or_default()))
            .collect()
    }

    #[test]
    fn what_must_be_there_is_and_what_must_not_is_not() {
        let mut target = Target::new("relay.example", 25);
        let one = |state, subject: &str| vec![(state, subject.to_owned())];
        assert_eq!(judged(&["SIZE 10"], None, &target), one(State::Ok, ""));
        assert_eq!(
            judged(&["auth=plain"], None, &target),
            one(State::Warn, AUTH_IN_CLEAR)
        );
        let within: &[&str] = &["AUTH PLAIN", "8BITMIME"];
        assert_eq!(
            judged(&["STARTTLS"], Some(within), &target),
            one(State::Ok, "")
        );
        // A word of the name or of a parameter is no offer.
        assert_eq!(judged(&["X XCLIENT"], None, &target), one(State::Ok, ""));
        assert_eq!(
            judged(&["Xclient NAME"], None, &target),
            one(State::Warn, "XCLIENT")
        );
        target.require = vec!["starttls".into(), "AUTH PLAIN".into(), "DSN".into()];
        assert_eq!(
            judged(&["STARTTLS"], Some(within), &target),
            one(State::Crit, "DSN")
        );
        target.require = vec!["AUTH LOGIN".into()];
        assert_eq!(
            judged(&["STARTTLS"], Some(within), &target),
            one(State::Crit, "AUTH LOGIN")
        );
    }

    #[test]
    fn a_size_is_compared_unless_it_is_no_limit() {
        let mut target = Target::new("relay.example", 25);
        target.min_size = 1000;
        for (line, state) in [
            ("SIZE 999", State::Warn),
            ("SIZE 1000", State::Ok),
            ("SIZE 0", State::Ok),
            ("SIZE", State::Ok),
        ] {
            assert_eq!(judged(&[line], None, &target)[0].0, state, "{line}");
        }
    }

    #[test]
    fn logins_are_judged_by_port_and_need() {
        let offers = |words: &str| Offers {
            mechanisms: words.split_whitespace().map(str::to_owned).collect(),
            ..Offers::default()
        };
        let (none, plain, odd) = (offers(""), offers("PLAIN"), offers("GSSAPI"));
        let with = |port, login: bool| {
            let mut target = Target::new("relay.example", port);
            target.login = login.then(|| crate::Login {
                user: "u".to_owned(),
                password: smtp_wire::Password::Value("p".into()),
            });
            target
        };
        for (name, now, clear, target, state) in [
            ("none on 25", &none, &none, with(25, false), State::Ok),
            ("none on 587", &none, &none, with(587, false), State::Warn),
            ("in clear", &plain, &plain, with(25, false), State::Warn),
            ("within TLS", &plain, &none, with(587, true), State::Ok),
            ("odd", &odd, &none, with(587, false), State::Ok),
            ("odd, needed", &odd, &none, with(587, true), State::Crit),
            ("none, needed", &none, &none, with(25, true), State::Crit),
        ] {
            let check = mechanisms(now, clear, &target);
            assert_eq!(check.state, state, "{name}: {check:?}");
            assert_eq!(check.hint.is_some(), state != State::Ok, "{name}");
        }
    }
}
