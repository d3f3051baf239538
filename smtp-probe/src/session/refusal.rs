//! What to do about a sender or a recipient that is refused.

use smtp_wire::Reply;

use crate::report::Phase;

/// The words of a reply, without the addresses in it: those say nothing of the reason.
fn words(reply: &Reply) -> String {
    let text = reply.text().to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        match after.split_once('>') {
            Some((_, behind)) => rest = behind,
            None => rest = after,
        }
    }
    out + rest
}

/// Whether a refusal is about the name that we greeted with.
pub(super) fn is_about_helo(reply: &Reply) -> bool {
    let text = words(reply);
    has(&text, &["helo command rejected", "ehlo command rejected"])
        || (text.contains("helo") && text.contains("hostname"))
        || (reply.code() == 504 && !text.contains("address"))
}

const LISTED: &str = "the server refuses this address: it is on a list that it asks, or in its smtpd_client_restrictions";

fn has(text: &str, words: &[&str]) -> bool {
    words.iter().any(|w| text.contains(w))
}

/// Who we are to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Anybody, and it takes no logins here.
    Anybody,
    /// Anybody, and it takes logins.
    LoggedOut,
    /// Somebody who has logged in.
    LoggedIn,
}

/// About a refusal that names no reason but who we are.
fn denied(standing: Standing) -> &'static str {
    match standing {
        Standing::Anybody => {
            "the server does not hand on mail for this address: log in, or add the address to mynetworks there"
        }
        Standing::LoggedOut => {
            "log in: --user and --password-file (the server takes logins, and not everybody's mail); or add this address to mynetworks there"
        }
        Standing::LoggedIn => {
            "the login is taken and gives no right to this: look for permit_sasl_authenticated in smtpd_relay_restrictions and smtpd_recipient_restrictions, and at what this account may send"
        }
    }
}

/// About a sender or a recipient that was refused.
pub(super) fn hint(phase: Phase, reply: &Reply, standing: Standing) -> &'static str {
    let text = words(reply);
    let enhanced = reply.enhanced().unwrap_or_default();
    let code = reply.code();
    if is_about_helo(reply) {
        return "the server refuses the name that we greet with: set --helo to a full name, and so in the applications";
    }
    if code == 530 {
        return match text.contains("starttls") {
            true => "the server wants TLS first: set --tls starttls",
            false => "the server wants a login: set --user and --password-file",
        };
    }
    if code == 504 || text.contains("need fully-qualified address") {
        return "the server wants whole addresses: give --from and --rcpt with a domain that it knows";
    }
    if has(enhanced, &["5.2.2", "4.2.2"])
        || has(&text, &["mailbox full", "mailbox is full", "over quota"])
    {
        return "the recipient's mailbox is full: make room there";
    }
    if code == 552 || code == 523 || has(enhanced, &["5.3.4", "5.2.3"]) {
        return "the message would be too large: raise message_size_limit";
    }
    if has(
        &text,
        &[
            "relay access denied",
            "relaying denied",
            "not permitted to relay",
            "unable to relay",
            "relay not permitted",
            "not logged in",
        ],
    ) {
        return denied(standing);
    }
    if has(&text, &["greylist", "graylist", "postgrey"]) {
        return "greylisted: who comes for the first time is put off; let this address pass, or probe with a steady sender";
    }
    if has(&text, &["insufficient system storage", "no space", "disk"]) || has(enhanced, &["4.3.1"])
    {
        return "the server's disk is full: look at its queue and at queue_minfree";
    }
    if has(
        &text,
        &["blocked using", "blacklist", "block list", "dnsbl", "rbl"],
    ) {
        return LISTED;
    }
    // Where only those may send who have logged in, all others are refused in these words.
    let is_bare = has(&text, &["access denied"]) || enhanced == "5.7.1" || code == 554;
    if standing == Standing::LoggedOut
        && is_bare
        && reply.is_permanent()
        && !has(
            &text,
            &["sender address rejected", "unknown", "not found", "no such"],
        )
    {
        return denied(standing);
    }
    if has(&text, &["client host rejected"]) {
        return LISTED;
    }
    match (phase, code) {
        (Phase::Rcpt, 450 | 451) => {
            "greylisted, or a look-up failed for now: try again in some minutes; if it stays the server's log says why"
        }
        (_, 400..=499) => "the server puts it off: its log says what it waits for",
        (Phase::Rcpt, _)
            if has(&text, &["unknown", "no such", "does not exist"]) || enhanced == "5.1.1" =>
        {
            "the recipient is not there: mend --rcpt, or make the mailbox or alias"
        }
        (Phase::Rcpt, _) => {
            "the server does not take mail for it: its log says which restriction refused"
        }
        (Phase::Mail, _) => {
            "the server does not take this sender: use one of its domains, or look at smtpd_sender_restrictions"
        }
        _ => "the server's log says why it refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        text.parse().unwrap()
    }

    #[test]
    fn refusals_are_told_apart_by_what_to_do() {
        for (phase, line, says) in [
            (
                Phase::Rcpt,
                "504 5.5.2 <abc>: Helo command rejected: need fully-qualified hostname",
                "--helo",
            ),
            (
                Phase::Rcpt,
                "550 5.7.1 <abc>: Helo command rejected: Host not found",
                "--helo",
            ),
            (
                Phase::Mail,
                "530 5.7.0 Must issue a STARTTLS command first",
                "--tls starttls",
            ),
            (Phase::Mail, "530 5.7.0 Authentication required", "--user"),
            (
                Phase::Mail,
                "552 5.3.4 Message size exceeds fixed limit",
                "message_size_limit",
            ),
            (
                Phase::Mail,
                "553 5.7.1 <a@b>: Sender address rejected: not owned by user",
                "sender",
            ),
            (
                Phase::Mail,
                "451 4.3.0 Temporary lookup failure",
                "puts it off",
            ),
            (
                Phase::Rcpt,
                "554 5.7.1 <a@b>: Relay access denied",
                "mynetworks",
            ),
            (
                Phase::Rcpt,
                "454 4.7.1 <a@b>: Relay access denied",
                "mynetworks",
            ),
            (
                Phase::Rcpt,
                "450 4.2.0 <a@b>: Recipient address rejected: Greylisted",
                "greylisted",
            ),
            (
                Phase::Rcpt,
                "450 4.1.2 <a@b>: Recipient address rejected: Domain not found",
                "look-up failed",
            ),
            (Phase::Rcpt, "452 4.3.1 Insufficient system storage", "disk"),
            (
                Phase::Rcpt,
                "550 5.1.1 <a@b>: User unknown in virtual mailbox table",
                "not there",
            ),
            (
                Phase::Rcpt,
                "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.example",
                "list",
            ),
            (Phase::Rcpt, "550 5.7.1 no", "restriction"),
        ] {
            let told = hint(phase, &reply(line), Standing::Anybody);
            assert!(told.contains(says), "{line}: {told}");
        }
    }

    #[test]
    fn who_could_log_in_is_told_so_and_who_has_is_not() {
        use Standing as S;
        let (login, denied) = (
            "--user",
            "554 5.7.1 <a@b>: Recipient address rejected: Access denied",
        );
        for (line, standing, says) in [
            (denied, S::LoggedOut, login),
            (denied, S::Anybody, "restriction"),
            (denied, S::LoggedIn, "restriction"),
            (
                "554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied",
                S::LoggedOut,
                login,
            ),
            (
                "554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied",
                S::LoggedIn,
                "list",
            ),
            ("554 5.7.1 <a@b>: Relay access denied", S::LoggedOut, login),
            (
                "554 5.7.1 <a@b>: Relay access denied",
                S::LoggedIn,
                "permit_sasl_authenticated",
            ),
            ("454 4.7.1 <a@b>: Relay access denied", S::LoggedOut, login),
            (
                "553 5.7.1 <a@b>: Sender address rejected: not logged in",
                S::LoggedOut,
                login,
            ),
            ("550 5.1.1 <a@b>: User unknown", S::LoggedOut, "not there"),
            (
                "554 5.7.1 Client host [192.0.2.1] blocked using zen.example",
                S::LoggedOut,
                "list",
            ),
            (
                "504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname",
                S::LoggedOut,
                "--helo",
            ),
            ("450 4.2.0 <a@b>: Greylisted", S::LoggedOut, "greylisted"),
        ] {
            let told = hint(Phase::Rcpt, &reply(line), standing);
            assert!(told.contains(says), "{line}, {standing:?}: {told}");
        }
    }

    #[test]
    fn an_address_in_a_refusal_is_no_reason() {
        for (line, says) in [
            (
                "554 5.7.1 <marble-disk@helo.example>: Recipient address rejected: Access denied",
                "restriction",
            ),
            (
                "504 5.5.2 <root>: Recipient address rejected: need fully-qualified address",
                "whole addresses",
            ),
            ("552 5.2.2 <a@b>: mailbox full", "make room"),
            ("552 5.3.4 too large", "message_size_limit"),
            ("571 5.7.1 <a@b> blocked using a list", "list"),
        ] {
            let reply = reply(line);
            assert!(!is_about_helo(&reply), "{line}");
            let told = hint(Phase::Rcpt, &reply, Standing::Anybody);
            assert!(told.contains(says), "{line}: {told}");
        }
        assert_eq!(words(&reply("550 <a@b>: no <c")), ": no c");
    }
}
