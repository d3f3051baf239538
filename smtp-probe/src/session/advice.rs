//! What to do about what a server says, or does not say.

use smtp_wire::Reply;

use crate::{
    connection::Stop,
    report::{Class, Phase},
    target::{Target, Tls},
};

/// Whether it may be a word of a command: nothing that ends or divides one.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// About a connection that did not come about.
pub(crate) fn connect(class: Class, target: &Target) -> String {
    let port = target.port;
    match class {
        Class::Refused => format!(
            "nothing takes connections there: is the server started, and does it listen on port {port} of that address (master.cf, inet_interfaces)?"
        ),
        Class::Timeout => format!(
            "what is sent there is lost: look at firewalls and routes (providers of clouds block port 25), and whether {port} is the right port"
        ),
        _ => "look at the address, the route and --source".to_owned(),
    }
}

/// About a banner that is none, by the kind of port.
pub(crate) fn on(stop: Stop, target: &Target) -> Stop {
    let is_for_users = matches!(target.port, 465 | 587) || target.login.is_some();
    let hint = match (stop.class, target.tls()) {
        (Class::Timeout, Tls::Implicit) => {
            "the handshake is done and no greeting comes: look at the server's log and load"
        }
        (Class::Timeout, _) if target.port == 465 => {
            "this port may want TLS from the first byte on: set --tls implicit, or smtps://"
        }
        (Class::Timeout | Class::Eof, _) if is_for_users => {
            "a server whose login backend (Dovecot, saslauthd) is down stays silent or hangs up: look at its log; or the port wants TLS at once (--tls implicit)"
        }
        (Class::Timeout, _) => {
            "the server takes connections and does not speak: it is overloaded, stopped or cannot start its processes (see its log); or the port wants TLS at once (--tls implicit)"
        }
        (Class::Eof, _) => {
            "the server hangs up on this address: look at its log, at its limits of connections and at what filters them; or a proxy in front (Docker's, a load balancer) has no server behind it"
        }
        (Class::Proto, _) => "what answers there is no mail server: look at host and port",
        (Class::Reply4 | Class::Reply5, _) => {
            "the server refuses this address before anything was asked: its log says which list or limit (postscreen, smtpd_client_restrictions)"
        }
        _ => return stop,
    };
    stop.with_hint(hint)
}

/// About what a server of another protocol says first.
pub(crate) fn other_protocol(said: &str) -> String {
    let name = [
        ("SSH-", "SSH"),
        ("* ", "IMAP"),
        ("+OK", "POP3"),
        ("-ERR", "POP3"),
        ("HTTP/", "HTTP"),
        ("<", "HTTP"),
    ]
    .iter()
    .find(|(first, _)| said.starts_with(first));
    match name {
        Some((_, name)) => format!("that is {name}: look at host and port"),
        None => "what answers there is no mail server: look at host and port".to_owned(),
    }
}

/// About what greets.
pub(crate) fn banner(banner: &Reply) -> Option<&'static str> {
    let name = banner.lines().next().unwrap_or_default();
    let name = name.split_whitespace().next().unwrap_or_default();
    let is_full = name.trim_end_matches('.').contains('.')
        && name.split('.').all(|l| {
            l.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
    let has_version = banner
        .lines()
        .flat_map(str::split_whitespace)
        .skip(1)
        .any(|w| {
            let w = w.trim_matches(['(', ')', ',', ';', 'v']);
            let mut parts = w.split('.');
            let is_number = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit());
            w.contains('.') && parts.all(is_number) && w.split('.').count() < 4
        });
    if !is_full {
        Some(
            "the name that greets is no full one (RFC 5321 §4.2): set myhostname, and let smtpd_banner begin with it",
        )
    } else if has_version {
        Some("the greeting tells the version to everybody: leave it out of smtpd_banner")
    } else {
        None
    }
}

/// About a server that went silent, or away, in the middle of a dialogue.
pub(crate) fn silent(stop: Stop) -> Stop {
    let hint = match (stop.class, stop.phase) {
        (Class::Timeout, Phase::Ehlo | Phase::Ehlo2) => {
            "the greeting is not answered: a milter or a policy service of the server may hang"
        }
        (Class::Timeout, Phase::Starttls | Phase::Tls) => {
            "TLS hangs: look at the server's tlsmgr and its log, and at what stands between"
        }
        (Class::Timeout, Phase::Auth) => {
            "the login hangs: is its backend (Dovecot, saslauthd) up, and what does it wait for?"
        }
        (Class::Timeout, Phase::Mail | Phase::Rcpt) => {
            "the server greets and cannot go on: trivial-rewrite, cleanup, a table, a milter or a policy service hangs (restart it, and see its log)"
        }
        (Class::Timeout, Phase::Data | Phase::Eod) => {
            "the message is not taken over: cleanup, a milter or a content filter hangs, or the disk is full"
        }
        (Class::Eof, Phase::Starttls | Phase::Tls | Phase::Ehlo2 | Phase::Auth) => {
            "the server died on it: its log says why (unreadable key, login backend such as Dovecot down)"
        }
        (Class::Eof, _) => "the server died on it or hung up: its log says why",
        (Class::Proto, _) => {
            "that is no proper answer: a broken server, or a device between that changes the dialogue"
        }
        _ => return stop,
    };
    stop.with_hint(hint)
}

/// About a login that was refused.
pub(crate) fn login(reply: &Reply) -> &'static str {
    match (reply.code(), reply.enhanced()) {
        (454, _) | (400..=499, _) => {
            "the server cannot check logins now: its backend (Dovecot, saslauthd, LDAP) is down or does not answer; the password may be right"
        }
        (534, _) => {
            "the account wants another way to log in (a token, or a password for applications)"
        }
        (530 | 538, _) => "the server wants TLS before a login: set --tls starttls or implicit",
        (503, _) => "the server knows no login here: look at smtpd_sasl_auth_enable for this port",
        (_, Some("5.7.9" | "5.7.14")) => {
            "the account wants another way to log in (a token, or a password for applications)"
        }
        (535, _) => {
            "name or password are wrong, or were changed: compare --user and --password-file with the account"
        }
        _ => "the server's log says why it refused the login",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        text.parse().unwrap()
    }

    #[test]
    fn what_greets_has_a_full_name_and_no_version() {
        for (line, says) in [
            ("220 relay.example ESMTP Postfix", None),
            ("220 relay ESMTP", Some("full one")),
            ("220 ***", Some("full one")),
            ("220 relay.example ESMTP Postfix (3.7.11)", Some("version")),
            (
                "220 relay.example ESMTP Exim 4.96 Mon, 1 Jan 2024",
                Some("version"),
            ),
            ("220 [192.0.2.1] ESMTP", Some("full one")),
        ] {
            let hint = banner(&reply(line));
            assert_eq!(hint.is_some(), says.is_some(), "{line}: {hint:?}");
            assert!(
                hint.unwrap_or_default().contains(says.unwrap_or_default()),
                "{line}: {hint:?}"
            );
        }
    }

    #[test]
    fn a_backend_that_is_down_is_no_wrong_password() {
        for (line, says) in [
            ("535 5.7.8 Error: authentication failed", "wrong"),
            ("454 4.7.0 Temporary authentication failure", "backend"),
            ("451 4.3.0 later", "backend"),
            ("534 5.7.9 too weak", "another way"),
            ("538 5.7.11 Encryption required", "TLS"),
        ] {
            assert!(login(&reply(line)).contains(says), "{line}");
        }
    }

    #[test]
    fn nothing_that_ends_a_command_is_a_word() {
        assert!(is_word("a@b") && is_word("[127.0.0.1]"));
        for bad in ["", "a b", "a\r\nQUIT", "a\0"] {
            assert!(!is_word(bad), "{bad:?}");
        }
    }
}
