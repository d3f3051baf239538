//! A whole mail, ready for the wire before any connection is made.

mod body;
mod draft;
mod extra;
mod headers;
mod logs;
mod notices;
mod owners;
mod recipients;
mod texts;
mod thread;
mod wire;
mod words;

use notifier_core::{
    BackendSettings, Error, Origin, Report, ReportOptions, Result, Settings, Subject,
    jiff::Timestamp,
};

use crate::address::Address;

pub use self::texts::{CHRONOS_FORMAT, CHRONOS_SUBJECT, DEFAULT_FORMAT, DEFAULT_SUBJECT};

use self::{
    draft::Draft, headers::Headers, logs::Logs, recipients::Recipients, texts::Texts, thread::Ids,
};

/// The most octets of a log that may be attached.
const LARGEST_LOG: u64 = 25 * 1024 * 1024;

/// A mail and whom it goes to.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    /// Who gets refusals: the address alone counts.
    pub(crate) sender: Address,
    /// Everybody who is to get it, each once, in order.
    pub(crate) recipients: Vec<Address>,
    /// Who gets it if all recipients are refused for good; none of them is among those.
    pub(crate) fallback: Vec<Address>,
    /// The message with headers: lines end in CRLF, none is longer than 998 octets, no bare CR
    /// or LF, dots not doubled yet. ASCII alone unless `needs_utf8`.
    pub(crate) data: Vec<u8>,
    /// Some header holds UTF-8 as it is, because an address does (RFC 6532).
    pub(crate) needs_utf8: bool,
    /// `<…@…>`, the same on every attempt.
    pub(crate) message_id: String,
    /// What went less than well: a broken template, a log that cannot be read, an owner without an address.
    pub(crate) warnings: Vec<String>,
}

/// Makes mails out of reports.
#[derive(Debug)]
pub(crate) struct Composer {
    texts: Texts,
    /// For what a task's label says wrongly.
    settings: BackendSettings,
}

impl Composer {
    /// Compiles all templates and reads all addresses.
    ///
    /// # Errors
    /// Template or Config, with the option's name.
    pub(crate) fn new(settings: &BackendSettings) -> Result<Self> {
        let texts = Texts::compile(settings)?;
        for key in ["from", "reply_to"] {
            for text in settings.all_values(key) {
                address(key, &text)?;
            }
        }
        for list in settings.all_values("attach") {
            for name in list.split(',').map(str::trim).filter(|n| !n.is_empty()) {
                logs::check(name)?;
            }
        }
        Recipients::check(settings)?;
        extra::check(settings)?;
        Ok(Self {
            texts,
            settings: settings.clone(),
        })
    }

    /// The mail of a report; `largest` is the most octets that the relay takes, where it is known.
    ///
    /// # Errors
    /// Config, if nobody is to write or to be written to.
    pub(crate) async fn compose(
        &self,
        report: &Report,
        options: &ReportOptions<'_>,
        largest: Option<usize>,
    ) -> Result<Mail> {
        let settings = options.settings;
        let configured = self.settings.instance(settings.instance());
        let who = Recipients::of(report, settings, &configured)?;
        let mut warnings = who.warnings.clone();
        let from = from(settings, &configured, &mut warnings)?;
        let reply_to = reply_to(settings, &from, &mut warnings);

        // Only a failure is told by a template.
        let shown = matches!(report.subject(), Subject::Failure(_)) && Texts::show_log(settings);
        let logs = Logs::read(report, settings, shown).await;
        warnings.extend_from_slice(&logs.warnings);
        let report = report.clone().with_log_lines(&logs.lines);
        let said = self.texts.render(settings, &report);
        warnings.extend(said.warnings);

        let ids = Ids::of(report.subject(), options.id, &from.domain);
        let mut headers = Headers::default();
        headers.plain("Date", &date(report.now()));
        headers.addresses("From", [&from]);
        // An address in UTF-8 must not keep the mail from those whose relay takes none, the
        // fallback among them.
        let everybody = who.to.iter().chain(&who.cc);
        let mut all = everybody.clone().chain(&who.fallback);
        let has_ascii = all.any(|address| !address.needs_utf8());
        let is_shown = |address: &&Address| !(has_ascii && address.needs_utf8());
        if everybody.clone().any(|address| is_shown(&address)) {
            for (name, list) in [("To", &who.to), ("Cc", &who.cc)] {
                let left = headers.addresses(name, list.iter().filter(is_shown));
                if left > 0 {
                    warnings.push(format!(
                        "{left} addresses have no room in the header {name}; the mail goes to them, too"
                    ));
                }
            }
        } else {
            // A group of nobody (RFC 5322 §3.4): a mail without To is taken for spam by some.
            headers.plain("To", "undisclosed-recipients:;");
        }
        headers.addresses("Reply-To", &reply_to);
        headers.text("Subject", &said.subject);
        headers.plain("Message-ID", &ids.message);
        headers.plain("In-Reply-To", &ids.incident);
        headers.plain("References", &ids.incident);
        headers.plain("Auto-Submitted", "auto-generated");
        headers.plain("X-Auto-Response-Suppress", "All");
        extra::add(settings, &mut headers)?;
        headers.plain("MIME-Version", "1.0");

        let needs_utf8 = from.needs_utf8()
            || reply_to.as_ref().is_some_and(Address::needs_utf8)
            || everybody.clone().filter(is_shown).any(Address::needs_utf8);
        let mut draft = Draft {
            headers: headers.finish(),
            seed: ids.seed,
            text: said.text,
            html: said.html,
            files: logs.files,
            notes: logs.notes,
        };
        let data = draft.finish(largest, &mut warnings).into_bytes();
        if let Some(fault) = wire::fault(&data, needs_utf8) {
            return Err(Error::internal(format!("a mail was made wrongly: {fault}")));
        }
        Ok(Mail {
            recipients: everybody.cloned().collect(),
            sender: from,
            fallback: who.fallback,
            data,
            needs_utf8,
            message_id: ids.message,
            warnings,
        })
    }

    /// Checks the settings of an instance as far as that can be done without a failure.
    ///
    /// # Errors
    /// Config, with the option's name.
    pub(crate) fn check(&self, settings: &Settings) -> Result<()> {
        address("from", settings.require("from")?)?;
        if let Some(text) = settings.get("reply_to") {
            address("reply_to", text)?;
        }
        match settings.size("attach_size") {
            Some(octets) if octets > LARGEST_LOG => Err(Error::config(format!(
                "smtp.attach_size: {octets} octets are more than 25MiB, and few relays take as much"
            ))),
            _ => Ok(()),
        }
    }
}

/// Who writes. A label that is no address does not lose the mail.
fn from(settings: &Settings, configured: &Settings, warnings: &mut Vec<String>) -> Result<Address> {
    match address("from", settings.require("from")?) {
        Err(e) if settings.origin("from") == Some(Origin::Label) => {
            warnings.push(e.to_string());
            address("from", configured.require("from")?)
        }
        read => read,
    }
}

/// Where answers go. A label neither loses the mail nor asks more of the relay than the sender does.
fn reply_to(settings: &Settings, from: &Address, warnings: &mut Vec<String>) -> Option<Address> {
    let text = settings.get("reply_to")?;
    let is_label = settings.origin("reply_to") == Some(Origin::Label);
    let why = match address("reply_to", text) {
        Ok(read) if is_label && read.needs_utf8() && !from.needs_utf8() => {
            format!(
                "smtp.reply_to: a label cannot set {text:?}, for which the relay has to offer SMTPUTF8"
            )
        }
        Ok(read) => return Some(read),
        Err(e) => e.to_string(),
    };
    warnings.push(why);
    None
}

/// The address that an option holds.
fn address(key: &str, text: &str) -> Result<Address> {
    Address::read(text).map_err(|e| Error::config(format!("smtp.{key}: {e}")))
}

/// As RFC 5322 §3.3 writes it, in UTC.
fn date(at: Timestamp) -> String {
    // Years of four digits, which the grammar asks for.
    let at = at.max(Timestamp::UNIX_EPOCH);
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod parse;
#[cfg(test)]
mod python;
#[cfg(test)]
mod support;
