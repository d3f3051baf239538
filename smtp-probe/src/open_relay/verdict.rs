//! What became of each form.

use serde_json::{Value, json};
use smtp_wire::Reply;

use crate::report::Phase;

use super::form::{Form, Greeting};

/// The most characters of a reply in a report.
const LONGEST: usize = 200;

/// What a server made of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Verdict {
    /// 5yz at MAIL or RCPT.
    Refused,
    /// It closed the connection.
    HungUp,
    /// 4yz: it asks to come again.
    Deferred,
    /// 530: not without TLS or a login.
    AuthRequired,
    /// The recipient was taken, the message was not: DATA was refused, or its end.
    RefusedData,
    /// The recipient was taken. No message was sent.
    AcceptedRcpt,
    /// A message was taken.
    AcceptedData,
}

impl Verdict {
    /// The word for it: `accepted-rcpt`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::HungUp => "hung-up",
            Self::Deferred => "deferred",
            Self::AuthRequired => "auth-required",
            Self::RefusedData => "refused-data",
            Self::AcceptedRcpt => "accepted-rcpt",
            Self::AcceptedData => "accepted-data",
        }
    }

    /// Of a reply to MAIL that is no yes, or of any to RCPT.
    pub(super) fn of(reply: &Reply) -> Self {
        match reply.code() {
            200..=299 => Self::AcceptedRcpt,
            400..=499 => Self::Deferred,
            530 => Self::AuthRequired,
            _ => Self::Refused,
        }
    }

    /// Whether the server would take it on.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::AcceptedRcpt | Self::AcceptedData)
    }
}

/// A form and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Tried {
    pub(super) form: Form,
    /// The name that was greeted with.
    pub(super) helo: String,
    pub(super) tls: bool,
    /// The address that the server was told that we have (XCLIENT).
    pub(super) pretended: Option<&'static str>,
    pub(super) verdict: Verdict,
    /// The command that it decided on: MAIL or RCPT.
    pub(super) at: Phase,
    /// The reply that decided it.
    pub(super) reply: Option<Reply>,
}

impl Tried {
    pub(super) fn data(&self) -> Value {
        let mut value = json!({
            "form": self.form.number,
            "family": self.form.family.word(),
            "helo": self.helo,
            "from": format!("<{}>", self.form.from),
            "to": self.form.to,
            "tls": self.tls,
            "verdict": self.verdict.word(),
            "code": self.reply.as_ref().map(Reply::code),
            "enhanced": self.reply.as_ref().and_then(Reply::enhanced),
            "text": self.reply.as_ref().map(|r| shortened(&r.text())),
        });
        if let Some(address) = self.pretended {
            value["as"] = json!(address);
        }
        value
    }

    /// The command that was answered.
    pub(super) fn command(&self) -> String {
        match self.at {
            Phase::Mail => format!("MAIL FROM:<{}>", self.form.from),
            _ => format!("RCPT TO:{}", self.form.to),
        }
    }

    /// Whether it may be another answer in some minutes (RFC 6647): 450 and 451, where 454 is a
    /// server's way to refuse relaying.
    pub(super) fn is_for_now(&self) -> bool {
        let code = self.reply.as_ref().map(Reply::code);
        matches!(code, Some(450 | 451))
    }

    /// What was asked, for people: `<victim@example.net> from <a@example.org>`.
    pub(super) fn asked(&self) -> String {
        let mut text = format!("{} from <{}>", self.form.to, self.form.from);
        if let Greeting::As(name) = &self.form.greeting {
            text.push_str(&format!(" greeted as {name}"));
        }
        if let Some(address) = self.pretended {
            text.push_str(&format!(" as {address}"));
        }
        text
    }
}

/// The head of a text.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_have_their_verdicts() {
        for (reply, verdict, is_open) in [
            ("250 2.1.5 Ok", "accepted-rcpt", true),
            ("251 will forward", "accepted-rcpt", true),
            ("454 4.7.1 Relay access denied", "deferred", false),
            (
                "530 5.7.0 Must issue a STARTTLS command first",
                "auth-required",
                false,
            ),
            ("554 5.7.1 Relay access denied", "refused", false),
            ("550 5.1.1 unknown", "refused", false),
            ("354 what", "refused", false),
        ] {
            let verdict_of = Verdict::of(&reply.parse().unwrap());
            assert_eq!(
                (verdict_of.word(), verdict_of.is_open()),
                (verdict, is_open)
            );
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shortened("ä"), "ä");
        let short = shortened(&"ä".repeat(1000));
        assert_eq!(short.chars().count(), LONGEST + 1);
    }
}
