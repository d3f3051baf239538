//! What goes out and comes in without TLS, and whether a password is among it.

use super::super::finding::Review;
use crate::report::State;

/// Levels at which nothing crosses in clear.
const STRICT: &[&str] = &["encrypt", "dane-only", "fingerprint", "verify", "secure"];

pub(super) fn look(review: &mut Review<'_>) {
    server(review);
    client(review);
    for name in [
        "smtpd_tls_mandatory_protocols",
        "smtpd_tls_protocols",
        "smtp_tls_mandatory_protocols",
        "smtp_tls_protocols",
    ] {
        protocols(review, name);
    }
}

/// The level, also by the names that it had before Postfix 2.3.
fn level(review: &Review<'_>, side: &str) -> Option<String> {
    let level = review.config.value(&format!("{side}_tls_security_level"));
    if !level.is_empty() {
        return Some(level.to_ascii_lowercase());
    }
    if review.config.is_yes(&format!("{side}_enforce_tls"))
        || review.config.is_yes(&format!("{side}_tls_wrappermode"))
    {
        return Some("encrypt".to_owned());
    }
    let is_used = review.config.is_yes(&format!("{side}_use_tls"));
    is_used.then(|| "may".to_owned())
}

fn server(review: &mut Review<'_>) {
    // Nothing that crosses a network.
    if review.is_local() {
        return;
    }
    let level = level(review, "smtpd");
    let is_wrapped = review.config.is_yes("smtpd_tls_wrappermode");
    let has_identity = ["chain_files", "cert_file", "eccert_file", "dcert_file"]
        .iter()
        .any(|n| !review.config.value(&format!("smtpd_tls_{n}")).is_empty());
    let name = "smtpd_tls_security_level";
    match level.as_deref() {
        None => review.find(
            "tls-missing",
            State::Warn,
            name,
            "it offers no TLS, and all mail comes in clear",
            "set smtpd_tls_security_level = may and smtpd_tls_chain_files",
        ),
        Some("may" | "encrypt") if !has_identity => {
            let (state, what) = match level.as_deref() {
                Some("may") => (
                    State::Warn,
                    "there is no certificate, so TLS is not offered",
                ),
                _ => (
                    State::Crit,
                    "there is no certificate, so no mail can come in",
                ),
            };
            let hint = "set smtpd_tls_chain_files to the key and its certificates";
            review.find("tls-identity", state, name, what, hint);
        }
        Some(_) => {}
    }
    if !review.config.is_yes("smtpd_sasl_auth_enable") || is_wrapped {
        return;
    }
    let is_tls_only = review.config.is_yes("smtpd_tls_auth_only");
    let hint = "set smtpd_tls_auth_only = yes, smtpd_tls_security_level = may (encrypt on the port for users) and a certificate";
    let (state, what) = match level.as_deref().unwrap_or("none") {
        "none" if is_tls_only => (
            State::Warn,
            "logins are for TLS only, which is not offered: nobody can log in",
        ),
        "none" => (
            State::Crit,
            "logins are offered without TLS: passwords cross in clear",
        ),
        "may" if !is_tls_only => (
            State::Warn,
            "logins are offered before STARTTLS too: a client may send its password in clear",
        ),
        _ => return,
    };
    review.find(
        "sasl-without-tls",
        state,
        "smtpd_sasl_auth_enable",
        what,
        hint,
    );
}

fn client(review: &mut Review<'_>) {
    let level = level(review, "smtp");
    let is_strict = level.as_deref().is_some_and(|l| STRICT.contains(&l));
    if review.config.is_yes("smtp_sasl_auth_enable") {
        if !is_strict {
            let options = review.config.value("smtp_sasl_security_options");
            let has_policy = !review.config.value("smtp_tls_policy_maps").is_empty();
            let is_less = has_policy || options.contains("noplaintext");
            let state = if is_less { State::Warn } else { State::Crit };
            let what = match has_policy {
                true => {
                    "the password may cross in clear where smtp_tls_policy_maps does not forbid it"
                }
                false => {
                    "the password for the next server may cross in clear: smtp_tls_security_level does not demand TLS"
                }
            };
            let hint = "set smtp_tls_security_level = encrypt, or better secure, which checks the certificate";
            review.find(
                "sasl-password-in-clear",
                state,
                "smtp_sasl_auth_enable",
                what,
                hint,
            );
        } else if level.as_deref() == Some("encrypt") {
            review.find(
                "tls-unverified",
                State::Ok,
                "smtp_tls_security_level",
                "encrypt does not look at who the next server is, and the password goes to whoever answers",
                "set smtp_tls_security_level = secure and smtp_tls_CAfile",
            );
        }
        if review.config.value("smtp_sasl_password_maps").is_empty() {
            review.find(
                "sasl-no-password",
                State::Crit,
                "smtp_sasl_auth_enable",
                "smtp_sasl_password_maps is not set, so it never logs in",
                "set smtp_sasl_password_maps",
            );
        }
        return;
    }
    let transport = review.config.value("default_transport");
    let sends = transport == "smtp" || transport.starts_with("smtp:");
    if sends && level.is_none() && !is_loopback(&review.config.value("relayhost")) {
        review.find(
            "tls-missing",
            State::Warn,
            "smtp_tls_security_level",
            "all mail goes out in clear",
            "set smtp_tls_security_level = may, or dane where the resolver validates",
        );
    }
}

fn is_loopback(relayhost: &str) -> bool {
    let host = relayhost.trim_start_matches('[');
    host.starts_with("127.") || host.starts_with("::1]") || host.starts_with("localhost")
}

/// Old versions that a list of protocols lets in.
fn protocols(review: &mut Review<'_>, name: &str) {
    if !review.config.has(name) {
        return;
    }
    let words = review.config.list(name);
    const OLD: &[&str] = &["SSLv2", "SSLv3", "TLSv1", "TLSv1.1"];
    let is = |word: &str, version: &str| word.eq_ignore_ascii_case(version);
    let least = words.iter().find_map(|w| w.strip_prefix(">="));
    let admits = |version: &&&str| {
        if words
            .iter()
            .any(|w| w.strip_prefix('!').is_some_and(|w| is(w, version)))
        {
            return false;
        }
        if let Some(least) = least {
            let rank = OLD.iter().position(|o| is(o, least));
            return rank.is_some_and(|r| OLD.iter().position(|o| o == *version) >= Some(r));
        }
        words.iter().any(|w| is(w, version)) || words.iter().all(|w| w.starts_with('!'))
    };
    // Libraries of today have no SSLv2 at all.
    let old: Vec<&str> = OLD.iter().skip(1).filter(admits).copied().collect();
    // Without any more, the two oldest of TLS are what Postfix before 3.6 lets in by default.
    if old.contains(&"SSLv3") || (!old.is_empty() && !name.starts_with("smtp_tls_protocols")) {
        let state = if old.contains(&"SSLv3") {
            State::Warn
        } else {
            State::Ok
        };
        let what = format!("{} may be spoken, which are broken", old.join(", "));
        let hint = format!("set {name} = >=TLSv1.2");
        review.find("tls-old", state, name, what, hint);
    }
}
