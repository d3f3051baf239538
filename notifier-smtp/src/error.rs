//! What an answer of the relay, or the lack of one, means: the table of verdicts.

use std::{fmt, time::Duration};

use notifier_core::{Delivery, Error, ErrorKind, Retry, Scope, redact::Redactor};

use smtp_wire::{Fault, Reply};

use crate::delay;

/// How long a relay that may have a mail is given to settle, before it is sent once more.
const SETTLE: Duration = Duration::from_secs(60);
/// The most characters of a relay's text in an error.
const LONGEST_TEXT: usize = 200;

/// Where in the dialogue we are (RFC 5321 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Banner,
    /// EHLO, or HELO where a relay knows nothing else.
    Ehlo,
    StartTls,
    Auth,
    /// With the sender.
    Mail(String),
    /// With the recipient.
    Rcpt(String),
    Data,
    /// The message itself.
    Body,
    Rset,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Banner => f.write_str("the connection"),
            Self::Ehlo => f.write_str("EHLO"),
            Self::StartTls => f.write_str("STARTTLS"),
            Self::Auth => f.write_str("AUTH"),
            Self::Mail(from) => write!(f, "MAIL FROM:<{from}>"),
            Self::Rcpt(to) => write!(f, "RCPT TO:<{to}>"),
            Self::Data => f.write_str("DATA"),
            Self::Body => f.write_str("the message"),
            Self::Rset => f.write_str("RSET"),
        }
    }
}

/// An [`Error`] that can be given to several recipients.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) text: String,
    pub(crate) code: Option<String>,
    pub(crate) retry: Retry,
    pub(crate) delivery: Delivery,
    pub(crate) scope: Scope,
    /// The cause, as text.
    pub(crate) cause: Option<String>,
}

impl Failure {
    /// Not delivered; to be tried again later.
    pub(crate) fn later(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            code: None,
            retry: Retry::Later { after: None },
            delivery: Delivery::NotDelivered,
            scope: Scope::Message,
            cause: None,
        }
    }

    /// Not delivered, and never will be.
    pub(crate) fn never(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self {
            retry: Retry::Never,
            ..Self::later(kind, text)
        }
    }

    pub(crate) fn at(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    pub(crate) fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.retry == Retry::Never
    }

    /// As it is after a second mail whose answer was lost: there is no third.
    pub(crate) fn given_up(mut self) -> Self {
        self.text
            .push_str("; it may have arrived twice already, and is not sent again");
        self.retry = Retry::Exhausted;
        self
    }

    /// The error.
    pub(crate) fn error(&self) -> Error {
        let e = Error::new(self.kind, self.text.clone())
            .with_retry(self.retry)
            .with_delivery(self.delivery)
            .with_scope(self.scope);
        let e = match &self.code {
            Some(code) => e.with_code(code.clone()),
            None => e,
        };
        match &self.cause {
            Some(cause) => e.with_source(cause.clone()),
            None => e,
        }
    }
}

/// Of whom errors speak, and what they must not say.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    /// `host:port`.
    shown: String,
    redactor: Redactor,
    /// Which attempt this is, from 1.
    attempt: u32,
}

impl Who {
    pub(crate) fn new(shown: impl Into<String>, redactor: Redactor) -> Self {
        Self {
            shown: shown.into(),
            redactor,
            attempt: 1,
        }
    }

    pub(crate) fn set_attempt(&mut self, attempt: u32) {
        self.attempt = attempt;
    }

    /// A text of the relay: one line, cut, controls made visible, secrets masked.
    pub(crate) fn tidy(&self, text: &str) -> String {
        let masked = self.redactor.redact(text);
        let mut out = String::new();
        for (n, c) in masked.chars().enumerate() {
            if n == LONGEST_TEXT {
                out.push('…');
                break;
            }
            match c {
                // Marks of direction and line ends beyond ASCII, too.
                c if c.is_control()
                    || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
                {
                    out.extend(c.escape_default());
                }
                c => out.push(c),
            }
        }
        out
    }

    /// The connection failed before the message can have been taken.
    pub(crate) fn broken(&self, step: &Step, fault: &Fault) -> Failure {
        let kind = match fault {
            Fault::Stalled(_) => ErrorKind::Timeout,
            Fault::Malformed(_) => ErrorKind::InvalidResponse,
            Fault::Closed | Fault::Broken(_) => ErrorKind::Unavailable,
        };
        let text = self.tidy(&fault.to_string());
        Failure::later(kind, format!("{} {text} at {step}", self.shown))
    }

    /// The connection failed after the last dot: the message may have been taken.
    pub(crate) fn lost(&self, fault: &Fault) -> Failure {
        let mut failure = self.broken(&Step::Body, fault);
        failure.text.push_str(", and may have taken it");
        failure.delivery = Delivery::Unknown;
        failure.retry = Retry::Later {
            after: Some(SETTLE),
        };
        failure
    }

    /// A relay that is not used since something is amiss before any mail.
    pub(crate) fn unfit(&self, text: &str) -> Failure {
        Failure::later(ErrorKind::Unavailable, format!("{} {text}", self.shown))
    }

    /// As [`unfit`](Self::unfit), where only a person can help.
    pub(crate) fn misconfigured(&self, text: &str) -> Failure {
        Failure::never(ErrorKind::Config, format!("{} {text}", self.shown)).at(Scope::Destination)
    }

    /// The verdict on a refusal.
    ///
    /// Codes as of RFC 5321 §4.2.3, RFC 4954 §6, RFC 7504; enhanced ones as of RFC 3463.
    pub(crate) fn refused(&self, step: &Step, reply: &Reply) -> Failure {
        let text = reply.text();
        let words = self.tidy(&text);
        let colon = if words.is_empty() { "" } else { ": " };
        let said = format!(
            "{} answered {} to {step}{colon}{words}",
            self.shown,
            reply.codes()
        );
        let mut failure = if reply.is_transient() {
            self.transient(step, reply, &text, said)
        } else {
            self.permanent(step, reply, &text, said)
        };
        failure.code = Some(reply.codes());
        failure
    }

    fn transient(&self, step: &Step, reply: &Reply, text: &str, said: String) -> Failure {
        let named = delay::named(text);
        let is_policy = reply.enhanced().is_some_and(|e| e.starts_with("4.7."))
            || text.to_ascii_lowercase().contains("greylist");
        // 454 4.7.0 to AUTH is a login that cannot be looked up now.
        let asks = named.is_some() || (is_policy && !matches!(step, Step::Auth | Step::StartTls));
        let kind = match asks {
            true => ErrorKind::RateLimited,
            false => ErrorKind::Unavailable,
        };
        let mut failure = Failure::later(kind, said);
        failure.retry = Retry::Later { after: named };
        if matches!(step, Step::Rcpt(_)) && !reply.is_closing() {
            failure.scope = Scope::Target;
            let after = named.unwrap_or_else(|| delay::usual(self.attempt));
            failure.retry = Retry::Later { after: Some(after) };
        }
        failure
    }

    fn permanent(&self, step: &Step, reply: &Reply, text: &str, said: String) -> Failure {
        let code = reply.code();
        let is_security = reply.enhanced().is_some_and(|e| e.starts_with("5.7."));
        let config = |hint: &str| {
            Failure::never(ErrorKind::Config, format!("{said} ({hint})")).at(Scope::Destination)
        };
        let words = text.to_ascii_lowercase();
        let about_helo = [
            "helo command",
            "ehlo command",
            "helo name",
            "helo/ehlo",
            "ehlo/helo",
        ]
        .iter()
        .any(|w| words.contains(w));
        match (step, code) {
            // It may take us another time: a relay that starts, or that is full of us.
            (Step::Banner, _) | (Step::Ehlo, 554) | (Step::StartTls | Step::Rset, _) => {
                Failure::later(ErrorKind::Unavailable, said)
            }
            (Step::Ehlo, _) => config("set -smtp.helo to a full host name"),
            (Step::Mail(_) | Step::Rcpt(_), 501 | 504 | 550 | 554) if about_helo => {
                config("set -smtp.helo to a full host name")
            }
            (_, 530) => config(
                "it wants a login or TLS: set -smtp.user and -smtp.password, or -smtp.tls=required",
            ),
            (_, 538) => config("it wants TLS: set -smtp.tls=required"),
            (_, 534) => config("it wants another kind of login, or a password made for programs"),
            (_, 535) | (Step::Auth, 550 | 554) => Failure::never(
                ErrorKind::Unauthenticated,
                format!("{said} (check -smtp.user and -smtp.password)"),
            )
            .at(Scope::Destination),
            (Step::Auth, _) if is_security => Failure::never(
                ErrorKind::Unauthenticated,
                format!("{said} (check -smtp.user and -smtp.password)"),
            )
            .at(Scope::Destination),
            (Step::Auth, _) => {
                config("it takes no such login; leave -smtp.user out, or ask who runs it")
            }
            // A full mailbox, or too many recipients: as 452.
            (Step::Rcpt(_), 552) if !is_too_large(step, reply) => {
                let mut failure = Failure::later(ErrorKind::Unavailable, said).at(Scope::Target);
                failure.retry = Retry::Later {
                    after: Some(delay::usual(self.attempt)),
                };
                failure
            }
            (Step::Rcpt(_), _) => {
                Failure::never(verdict(step, reply, is_security), said).at(Scope::Target)
            }
            _ => Failure::never(verdict(step, reply, is_security), said),
        }
    }
}

/// Whether the relay says that a message is too large (RFC 3463: 5.3.4, 5.2.3).
fn is_too_large(step: &Step, reply: &Reply) -> bool {
    match reply.enhanced() {
        Some("5.3.4" | "5.2.3") => true,
        Some(_) => false,
        None => reply.code() == 552 && !matches!(step, Step::Rcpt(_)),
    }
}

fn verdict(step: &Step, reply: &Reply, is_security: bool) -> ErrorKind {
    if is_too_large(step, reply) {
        ErrorKind::TooLarge
    } else if is_security {
        ErrorKind::PermissionDenied
    } else {
        ErrorKind::Rejected
    }
}

/// Whether a refusal is a fault of ours, in the form or the order of what we sent.
pub(crate) fn is_ours(reply: &Reply) -> bool {
    matches!(reply.code(), 500..=503 | 555)
}

#[cfg(test)]
mod tests;
