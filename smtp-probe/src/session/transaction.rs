//! Senders, recipients, and a message if one may be sent.

use std::time::Duration;

use notifier_core::Clock;
use serde_json::json;
use smtp_wire::Reply;
use tokio::time::Instant;

use super::{
    advice,
    record::Record,
    refusal::{self, Standing},
    sending::data_end,
};
use crate::{
    connection::{Connection, Stop},
    report::{Check, Class, Phase, State},
    target::Target,
};

/// What a command came to.
pub(crate) struct Asked {
    /// The command, without its line end.
    pub(crate) sent: String,
    pub(crate) reply: Reply,
    pub(crate) took: Duration,
    pub(crate) standing: Standing,
}

impl Asked {
    /// The check that it decides: 2yz is well, 4yz a warning, all else is critical.
    pub(crate) fn check(&self, id: &'static str, phase: Phase) -> Check {
        let text = format!("{} {}", self.reply.codes(), self.reply.text());
        let check = match self.reply.is_done() {
            true => Check::ok(id, phase, text).reply(&self.reply),
            false => {
                let stop = Stop::refused(phase, self.reply.clone());
                let state = match stop.class {
                    Class::Reply4 if !stop.is_rate_limit() => State::Warn,
                    _ => stop.state,
                };
                let hint = refusal::hint(phase, &self.reply, self.standing);
                stop.with_state(state).with_hint(hint).check(id)
            }
        };
        check.sent(&self.sent).took(self.took)
    }
}

/// Asks; a reply that closes the connection is an error too.
pub(crate) async fn ask(
    connection: &mut Connection,
    phase: Phase,
    command: String,
    record: &mut Record,
) -> Result<Asked, (Stop, Duration)> {
    let begun = Instant::now();
    let asked = connection.ask(phase, &format!("{command}\r\n")).await;
    let took = begun.elapsed();
    record.spent(phase, took);
    match asked {
        Ok(reply) if reply.is_closing() => Err((Stop::refused(phase, reply), took)),
        Ok(reply) => Ok(Asked {
            sent: command,
            reply,
            took,
            standing: connection.standing(),
        }),
        Err(stop) => Err((advice::silent(stop), took)),
    }
}

/// `%u` becomes a word that was not used before: servers keep what they looked up.
pub(crate) fn unique(address: &str) -> String {
    if !address.contains("%u") {
        return address.to_owned();
    }
    address.replace("%u", &random_word())
}

pub(crate) fn random_word() -> String {
    std::iter::repeat_with(|| fastrand::char('a'..='z'))
        .take(12)
        .collect()
}

/// Whether it can stand between angle brackets.
pub(super) fn is_address(text: &str) -> bool {
    advice::is_word(text) && !text.contains(['<', '>'])
}

/// MAIL FROM with the parameters that it and these recipients need.
pub(crate) fn mail<'a>(
    connection: &Connection,
    from: &str,
    to: impl IntoIterator<Item = &'a String>,
    size: u64,
) -> String {
    let mut command = format!("MAIL FROM:<{from}>");
    if size > 0 && connection.offers.size.is_some() {
        command = format!("{command} SIZE={size}");
    }
    let is_plain = from.is_ascii() && to.into_iter().all(|t| t.is_ascii());
    if !is_plain && connection.offers.utf8 {
        command.push_str(" SMTPUTF8");
    }
    command
}

/// Asks for all senders and recipients that the target names, and sends nothing unless it may.
pub(crate) async fn run(
    connection: &mut Connection,
    target: &Target,
    clock: &dyn Clock,
    record: &mut Record,
) -> Result<(), Stop> {
    let wants_recipients = !target.rcpt.is_empty();
    let mut taken = None;
    for from in &target.from {
        let is_taken = sender(connection, target, from, record).await?;
        if is_taken && taken.is_none() {
            taken = Some(from.as_str());
            if wants_recipients {
                recipients(connection, target, record).await?;
            }
        }
        if is_taken {
            reset(connection, "mail_from", record).await?;
        }
    }
    if !wants_recipients {
        return Ok(());
    }
    if target.from.is_empty() {
        // Nobody asked for this sender: it is told only where it stands in the way.
        let asked = null_sender(connection, target, record).await?;
        if asked.reply.is_done() {
            taken = Some("");
            recipients(connection, target, record).await?;
            reset(connection, "rcpt_own", record).await?;
        } else {
            let mut check = asked.check("rcpt_own", Phase::Mail);
            check.text = format!("the null sender is refused: {}", check.text);
            record.push(check.subject(&target.rcpt[0]));
            record.end(&Stop::refused(Phase::Mail, asked.reply));
        }
    }
    match taken {
        Some(from) if sends(target) => data_end(connection, target, from, clock, record).await,
        _ => Ok(()),
    }
}

/// Whether a message goes out: the battery and the canary send their own.
pub(crate) fn sends(target: &Target) -> bool {
    target.send && target.canary.is_none() && target.open_relay.is_none() && !target.rcpt.is_empty()
}

/// What goes wrong here is told of the first recipient.
async fn null_sender(
    connection: &mut Connection,
    target: &Target,
    record: &mut Record,
) -> Result<Asked, Stop> {
    let command = mail(connection, "", &target.rcpt, 0);
    let asked = ask(connection, Phase::Mail, command, record).await;
    asked.map_err(|(stop, took)| {
        let check = stop.clone().check("rcpt_own").took(took);
        record.push(check.sent("MAIL FROM:<>").subject(&target.rcpt[0]));
        record.end(&stop);
        stop
    })
}

async fn reset(
    connection: &mut Connection,
    id: &'static str,
    record: &mut Record,
) -> Result<(), Stop> {
    let asked = ask(connection, Phase::Mail, "RSET".to_owned(), record).await;
    match asked {
        Ok(asked) if asked.reply.is_done() => Ok(()),
        Ok(asked) => {
            let stop = Stop::refused(Phase::Mail, asked.reply)
                .with_hint("a server must take RSET: look at what stands between");
            let text = format!("RSET is answered {}", stop.text);
            Err(record.stop(id, Stop { text, ..stop }, asked.took))
        }
        Err((stop, took)) => Err(record.stop(id, stop, took)),
    }
}

fn shown(from: &str) -> &str {
    match from {
        "" => "<>",
        from => from,
    }
}

async fn sender(
    connection: &mut Connection,
    target: &Target,
    from: &str,
    record: &mut Record,
) -> Result<bool, Stop> {
    const ID: &str = "mail_from";
    if !from.is_empty() && !is_address(from) {
        record.push(no_address(ID, Phase::Mail, from));
        return Ok(false);
    }
    let command = mail(connection, from, &target.rcpt, target.min_size);
    match ask(connection, Phase::Mail, command, record).await {
        Ok(asked) => {
            record.push(asked.check(ID, Phase::Mail).subject(shown(from)));
            if !asked.reply.is_done() {
                record.end(&Stop::refused(Phase::Mail, asked.reply.clone()));
            }
            Ok(asked.reply.is_done())
        }
        Err((stop, took)) => {
            record.push(stop.clone().check(ID).subject(shown(from)).took(took));
            record.end(&stop);
            Err(stop)
        }
    }
}

pub(super) fn no_address(id: &'static str, phase: Phase, text: &str) -> Check {
    let what = format!("{} is no address", text.escape_debug());
    Check::unknown(id, phase, Class::Local, what)
        .subject(text)
        .hint("mend --from and --rcpt: an address has no blanks and no brackets")
}

/// Within a transaction: those that must be taken, then those that cannot be there.
async fn recipients(
    connection: &mut Connection,
    target: &Target,
    record: &mut Record,
) -> Result<(), Stop> {
    for to in &target.rcpt {
        let Some(asked) = recipient(connection, "rcpt_own", to, &unique(to), record).await? else {
            continue;
        };
        let mut check = asked.check("rcpt_own", Phase::Rcpt).subject(to);
        if asked.reply.is_done() && asked.sent != format!("RCPT TO:<{to}>") {
            check = check.data(json!({ "asked": asked.sent }));
        }
        if refusal::is_about_helo(&asked.reply) {
            blame_helo(record, &asked, &connection.helo);
        }
        record.push(check);
    }
    if !target.rcpt_unknown {
        return Ok(());
    }
    for domain in domains(&target.rcpt) {
        let nobody = format!("{}@{domain}", random_word());
        let asked = recipient(connection, "rcpt_unknown", &domain, &nobody, record).await?;
        if let Some(asked) = asked {
            record.push(unknown_check(&asked, &domain));
        }
    }
    Ok(())
}

/// Asks for one; `None` if it is no address.
async fn recipient(
    connection: &mut Connection,
    id: &'static str,
    subject: &str,
    address: &str,
    record: &mut Record,
) -> Result<Option<Asked>, Stop> {
    if !is_address(address) {
        record.push(no_address(id, Phase::Rcpt, subject));
        return Ok(None);
    }
    let command = format!("RCPT TO:<{address}>");
    match ask(connection, Phase::Rcpt, command, record).await {
        Ok(asked) => Ok(Some(asked)),
        Err((stop, took)) => {
            record.push(stop.clone().check(id).subject(subject).took(took));
            record.end(&stop);
            Err(stop)
        }
    }
}

/// The domains of these addresses, each once.
fn domains(addresses: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for address in addresses {
        if let Some((_, domain)) = address.rsplit_once('@')
            && !all.iter().any(|d| d.eq_ignore_ascii_case(domain))
        {
            all.push(domain.to_owned());
        }
    }
    all
}

/// A domain that takes everybody is no fault; it is good to know.
fn unknown_check(asked: &Asked, domain: &str) -> Check {
    let check = asked.check("rcpt_unknown", Phase::Rcpt);
    let said = check.text.clone();
    let mut check = check.state(State::Ok).subject(domain);
    check.class = None;
    check.hint = None;
    match asked.reply.code() {
        200..=299 => {
            check.text = format!("{domain} takes any name (catch-all): {said}");
            check.data(json!({ "catch_all": true }))
        }
        500..=599 => {
            check.text = format!("{domain} refuses names that are not there: {said}");
            check.data(json!({ "catch_all": false }))
        }
        _ => {
            check.text = format!("{domain} puts names off that are not there: {said}");
            check
        }
    }
}

/// The server took the greeting, and refuses the recipient for it.
fn blame_helo(record: &mut Record, asked: &Asked, helo: &str) {
    let text = format!(
        "{helo} is taken at EHLO and refused at RCPT: {} {}",
        asked.reply.codes(),
        asked.reply.text()
    );
    let is_first = |c: &&mut Check| c.id == "helo" && c.subject.is_none();
    if let Some(check) = record.checks_mut().iter_mut().find(is_first) {
        *check = Check::crit("helo", Phase::Rcpt, Class::Reply5, text)
            .reply(&asked.reply)
            .sent(format!("EHLO {helo}"))
            .took(asked.took)
            .hint("set --helo to a full name, and so in the applications: the server refuses bare ones (reject_non_fqdn_helo_hostname)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Asked {
        Asked {
            sent: "RCPT TO:<a@b>".to_owned(),
            reply: line.parse().unwrap(),
            took: Duration::ZERO,
            standing: Standing::Anybody,
        }
    }

    #[test]
    fn a_reply_is_judged_by_its_first_digit() {
        for (line, state, class) in [
            ("250 2.1.5 Ok", State::Ok, None),
            ("251 forwarded", State::Ok, None),
            ("450 4.2.0 Greylisted", State::Warn, Some(Class::Reply4)),
            ("451 4.3.0 later", State::Warn, Some(Class::Reply4)),
            ("421 4.7.0 too many", State::Unknown, Some(Class::Reply4)),
            ("550 5.1.1 nobody", State::Crit, Some(Class::Reply5)),
            ("354 go on", State::Crit, Some(Class::Proto)),
        ] {
            let check = asked(line).check("rcpt_own", Phase::Rcpt);
            assert_eq!((check.state, check.class), (state, class), "{line}");
            assert_eq!(check.hint.is_some(), state != State::Ok, "{line}");
        }
    }

    #[test]
    fn a_domain_that_takes_everybody_is_told_and_no_fault() {
        for (line, says) in [
            ("250 2.1.5 Ok", "catch-all"),
            ("550 5.1.1 nobody", "refuses"),
            ("450 4.1.1 later", "puts names off"),
        ] {
            let check = unknown_check(&asked(line), "b");
            assert_eq!((check.state, check.class), (State::Ok, None), "{line}");
            assert!(check.text.contains(says), "{}", check.text);
        }
    }

    #[test]
    fn each_time_another_word() {
        let of = |text: &str| unique(text);
        assert_eq!(of("a@b"), "a@b");
        let (one, other) = (of("x-%u@b"), of("x-%u@b"));
        assert_ne!(one, other);
        assert!(is_address(&one) && one.starts_with("x-") && one.ends_with("@b"));
        assert_eq!(one.len(), "x-@b".len() + 12);
    }

    #[test]
    fn an_address_ends_no_command() {
        for bad in ["", "a b@c", "a@b>\r\nDATA", "<a@b>", "a@b\n"] {
            assert!(!is_address(bad), "{bad:?}");
        }
        let names = ["a@B".to_owned(), "c@b".to_owned(), "d@e".to_owned()];
        assert_eq!(domains(&names), ["B", "e"]);
    }
}
