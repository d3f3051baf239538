//! What kind of thing keeps messages waiting.

use serde::Serialize;

use crate::report::Class;

/// Reasons of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Group {
    Auth,
    Tls,
    Refused,
    Timeout,
    Dns,
    Quota,
    Greylist,
    Other,
}

/// What a reason has in it, in lower case, and which kind it is of then. The first one counts.
const MARKS: &[(Group, &[&str])] = &[
    (
        Group::Auth,
        &[
            "sasl authentication",
            "authentication failed",
            "authentication failure",
            "authentication required",
            "authentication credentials invalid",
            "said: 535",
            "no worthy mechs",
        ],
    ),
    (
        Group::Tls,
        &["certificate", "tls", "ssl_connect", "handshake"],
    ),
    (Group::Greylist, &["greylist", "graylist", "greyed"]),
    (
        Group::Quota,
        &[
            "quota",
            "mailbox full",
            "mailbox is full",
            "4.2.2",
            "insufficient system storage",
        ],
    ),
    (
        Group::Dns,
        &[
            "host or domain name not found",
            "name service error",
            "host not found",
            "malformed dns",
        ],
    ),
    (
        Group::Refused,
        &[
            "connection refused",
            "no route to host",
            "network is unreachable",
            "host is down",
        ],
    ),
    (Group::Timeout, &["timed out", "timeout"]),
    // What greylisting servers say that do not name it (RFC 6647 §2.3).
    (
        Group::Greylist,
        &["450 4.7.1", "451 4.7.1", "try again later"],
    ),
];

/// Mechanisms whose answer is a login as it is, or nearly.
const MECHANISMS: [&str; 5] = ["plain", "login", "xoauth2", "oauthbearer", "cram-md5"];

/// The head of a reason as it may be shown: without control characters, and without a login that a
/// server repeats (`AUTH PLAIN …`).
pub(super) fn shown(reason: &str, most: usize) -> String {
    let head = reason.chars().take(most);
    let head: String = head.map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut words: Vec<&str> = head.split(' ').collect();
    for at in 2..words.len() {
        let is_auth = words[at - 2].to_ascii_lowercase().ends_with("auth");
        let is_mechanism = |m: &&str| m.eq_ignore_ascii_case(words[at - 1]);
        if is_auth && MECHANISMS.iter().any(is_mechanism) {
            words[at] = "***";
        }
    }
    words.join(" ")
}

impl Group {
    /// Of what a reason is.
    pub(super) fn of(reason: &str) -> Self {
        let reason = reason.to_ascii_lowercase();
        let has = |(_, marks): &&(Self, &[&str])| marks.iter().any(|m| reason.contains(m));
        MARKS
            .iter()
            .find(has)
            .map_or(Self::Other, |(group, _)| *group)
    }

    /// The word for it: `auth`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Tls => "tls",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::Quota => "quota",
            Self::Greylist => "greylist",
            Self::Other => "other",
        }
    }

    /// Whether one such message is enough: they all will wait.
    pub(super) fn is_grave(self) -> bool {
        matches!(self, Self::Auth | Self::Tls)
    }

    pub(super) fn class(self) -> Class {
        match self {
            Self::Auth => Class::Reply5,
            Self::Tls => Class::Tls,
            Self::Refused => Class::Refused,
            Self::Timeout => Class::Timeout,
            Self::Dns => Class::Dns,
            Self::Quota | Self::Greylist | Self::Other => Class::Reply4,
        }
    }

    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::Auth => {
                "mend the login in smtp_sasl_password_maps: the password may have changed; then postqueue -f"
            }
            Self::Tls => {
                "look at the next server's certificate, and at smtp_tls_CAfile and smtp_tls_security_level"
            }
            Self::Refused => {
                "look whether the next server runs, and whether relayhost has its right port"
            }
            Self::Timeout => {
                "look whether a firewall lets this host out to the next server; many clouds close port 25"
            }
            Self::Dns => "look at relayhost's name, and at the name servers that the relay uses",
            Self::Quota => "the recipients' mailboxes are full: ask who owns them",
            Self::Greylist => "wait: the next server wants to see the mail again later",
            Self::Other => "look at the reason in the queue, and in the relay's log",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_control_characters_nor_logins_are_shown() {
        let said = "host mx said: 535\u{1b}[2J no: \"AUTH PLAIN AGEAc2VjcmV0\"\r\nauth failed";
        let text = shown(said, 200);
        assert_eq!(
            text,
            "host mx said: 535 [2J no: \"AUTH PLAIN ***  auth failed"
        );
        assert_eq!(
            shown("535 AUTH failed for now", 200),
            "535 AUTH failed for now"
        );
        assert_eq!(shown("äöü", 2), "äö");
    }

    #[test]
    fn reasons_of_real_queues_are_told_apart() {
        for (reason, group) in [
            (
                "SASL authentication failed; server 127.0.0.1[127.0.0.1] said: 535 5.7.8 Error: authentication failed",
                Group::Auth,
            ),
            (
                "SASL authentication failed; cannot authenticate to server mx[10.0.0.1]: no mechanism available",
                Group::Auth,
            ),
            ("Server certificate not verified", Group::Tls),
            ("Cannot start TLS: handshake failure", Group::Tls),
            (
                "TLS is required, but was not offered by host mx[10.0.0.1]",
                Group::Tls,
            ),
            (
                "connect to 127.0.0.1[127.0.0.1]:2587: Connection refused",
                Group::Refused,
            ),
            (
                "connect to mx.example[192.0.2.1]:25: Connection timed out",
                Group::Timeout,
            ),
            (
                "conversation with mx.example[192.0.2.1] timed out while receiving the initial server greeting",
                Group::Timeout,
            ),
            (
                "Host or domain name not found. Name service error for name=mx.example type=MX: Host not found, try again",
                Group::Dns,
            ),
            (
                "host mx[192.0.2.1] said: 450 4.7.1 <a@b>: Recipient address rejected: Greylisted (in reply to RCPT TO command)",
                Group::Greylist,
            ),
            (
                "host mx[192.0.2.1] said: 451 4.7.1 Please try again later",
                Group::Greylist,
            ),
            (
                "host mx[192.0.2.1] said: 452 4.2.2 The email account is over quota",
                Group::Quota,
            ),
            (
                "lost connection with mx[192.0.2.1] while receiving the initial server greeting",
                Group::Other,
            ),
            ("", Group::Other),
        ] {
            assert_eq!(Group::of(reason), group, "{reason}");
        }
    }
}
