//! Mail: Postfix and the users of its login, and Dovecot.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use super::Peer;
use crate::run::{Result, has};

pub(super) const DEBIAN: &[Peer] = &[
    Peer {
        program: "/usr/sbin/postfix",
        packages: &["postfix"],
        used_for: "Postfix",
    },
    Peer {
        program: "/usr/sbin/saslpasswd2",
        packages: &["sasl2-bin"],
        used_for: "Postfix with a login",
    },
    Peer {
        program: "/usr/lib/*/sasl2/libplain.so",
        packages: &["libsasl2-modules"],
        used_for: "Postfix with a login",
    },
    Peer {
        program: "/usr/lib/*/sasl2/libsasldb.so",
        packages: &["libsasl2-modules-db"],
        used_for: "Postfix with a login",
    },
    Peer {
        program: "/usr/sbin/dovecot",
        packages: &["dovecot-core"],
        used_for: "Dovecot",
    },
    Peer {
        program: "/usr/lib/dovecot/imap",
        packages: &["dovecot-imapd"],
        used_for: "Dovecot",
    },
    Peer {
        program: "/usr/lib/dovecot/lmtp",
        packages: &["dovecot-lmtpd"],
        used_for: "Dovecot",
    },
];

/// What the package asks when it is installed. Tests start their own servers; the system's, if the package
/// starts it, is to listen on loopback only.
const ANSWERS: &str = "postfix postfix/main_mailer_type select Local only\n\
                       postfix postfix/mailname string localhost\n";

/// Answers the package's questions before they are asked, if it is to be installed.
pub(super) fn answer(wanted: &[&Peer]) -> Result {
    let asks = wanted.iter().any(|p| p.packages.contains(&"postfix"));
    if !asks || !has("debconf-set-selections") {
        return Ok(());
    }
    let said = |e| format!("cannot answer what postfix asks: {e}");
    let mut set = Command::new("debconf-set-selections")
        .stdin(Stdio::piped())
        .spawn()
        .map_err(said)?;
    if let Some(mut input) = set.stdin.take() {
        input.write_all(ANSWERS.as_bytes()).map_err(said)?;
    }
    match set.wait().map_err(said)?.success() {
        true => Ok(()),
        false => Err("debconf-set-selections failed".to_owned()),
    }
}
