//! What a check found.

use std::{collections::BTreeMap, fmt, time::Duration};

use notifier_core::jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a check came out. The order is that of an overall verdict: the worst counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not run, and why is said. Counts for nothing.
    Skip,
    /// As it should be.
    Ok,
    /// Works, and something is to be seen to.
    Warn,
    /// It could not be found out.
    Unknown,
    /// Broken, or dangerous.
    Crit,
}

impl State {
    /// The word for it: `ok`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
            Self::Crit => "crit",
        }
    }

    /// The exit code of a monitoring plugin: 0 ok, 1 warning, 2 critical, 3 unknown.
    #[must_use]
    pub fn plugin_code(self) -> u8 {
        match self {
            Self::Skip | Self::Ok => 0,
            Self::Warn => 1,
            Self::Crit => 2,
            Self::Unknown => 3,
        }
    }

    /// The exit code of a probe of Kubernetes or Docker: 0 if mail can be taken, else 1.
    #[must_use]
    pub fn probe_code(self) -> u8 {
        u8::from(self > Self::Warn)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Where a check was when it was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Phase {
    /// Looking up the host.
    Resolve,
    /// The TCP connection.
    Connect,
    /// What the server says first.
    Banner,
    /// EHLO, or HELO.
    Ehlo,
    /// The command STARTTLS.
    Starttls,
    /// The handshake of TLS, and its certificate.
    Tls,
    /// EHLO within TLS.
    Ehlo2,
    /// The login.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// The command DATA.
    Data,
    /// The end of the message.
    Eod,
    /// QUIT.
    Quit,
    /// The way of a message after it was taken.
    Delivery,
    /// The queue.
    Queue,
    /// The DNS.
    Dns,
    /// The configuration.
    Lint,
}

impl Phase {
    /// The word for it: `ehlo2`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Banner => "banner",
            Self::Ehlo => "ehlo",
            Self::Starttls => "starttls",
            Self::Tls => "tls",
            Self::Ehlo2 => "ehlo2",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Eod => "eod",
            Self::Quit => "quit",
            Self::Delivery => "delivery",
            Self::Queue => "queue",
            Self::Dns => "dns",
            Self::Lint => "lint",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Class {
    /// The connection was refused or reset while it was made.
    Refused,
    /// Nothing came in time.
    Timeout,
    /// The other side closed the connection.
    Eof,
    /// What came does not follow the protocol.
    Proto,
    /// A transient refusal, 4yz.
    Reply4,
    /// A permanent refusal, 5yz.
    Reply5,
    /// TLS did not come about.
    Tls,
    /// A certificate is not to be trusted.
    Cert,
    /// The DNS does not answer, or answers wrongly.
    Dns,
    /// Our own fault: a setting, a file, a permission.
    Local,
}

impl Class {
    /// The word for it: `reply4`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Eof => "eof",
            Self::Proto => "proto",
            Self::Reply4 => "reply4",
            Self::Reply5 => "reply5",
            Self::Tls => "tls",
            Self::Cert => "cert",
            Self::Dns => "dns",
            Self::Local => "local",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A number that was measured, and from where on it is too much.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Measure {
    /// The number.
    pub value: f64,
    /// From here on it is a warning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn: Option<f64>,
    /// From here on it is critical.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crit: Option<f64>,
    /// `s`, `d` (days), `B`, `%`, or empty for a count.
    pub unit: &'static str,
    /// Whether less is worse, as with days that are left.
    #[serde(skip)]
    pub less_is_worse: bool,
}

impl Measure {
    /// A number without bounds.
    #[must_use]
    pub fn new(value: f64, unit: &'static str) -> Self {
        Self {
            value,
            warn: None,
            crit: None,
            unit,
            less_is_worse: false,
        }
    }

    /// A time in seconds, without bounds.
    #[must_use]
    pub fn seconds(time: Duration) -> Self {
        Self::new(time.as_secs_f64(), "s")
    }

    /// Too much from these bounds on.
    #[must_use]
    pub fn above(mut self, warn: f64, crit: f64) -> Self {
        (self.warn, self.crit, self.less_is_worse) = (Some(warn), Some(crit), false);
        self
    }

    /// Too little from these bounds on.
    #[must_use]
    pub fn below(mut self, warn: f64, crit: f64) -> Self {
        (self.warn, self.crit, self.less_is_worse) = (Some(warn), Some(crit), true);
        self
    }

    /// What the bounds make of it.
    #[must_use]
    pub fn state(&self) -> State {
        let is_over = |bound: Option<f64>| {
            bound.is_some_and(|b| match self.less_is_worse {
                true => self.value <= b,
                false => self.value >= b,
            })
        };
        if is_over(self.crit) {
            State::Crit
        } else if is_over(self.warn) {
            State::Warn
        } else {
            State::Ok
        }
    }
}

/// One check and what it found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// Which one: `cert_expiry`. The list is in the crate's docs.
    pub id: &'static str,
    /// How it came out.
    pub state: State,
    /// Where it was decided.
    pub phase: Phase,
    /// What kind of thing is wrong; nothing if all is well.
    pub class: Option<Class>,
    /// What it is about where an id has several: a recipient, a parameter, a zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What was sent, secrets masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<String>,
    /// The code of the reply that decided it.
    pub code: Option<u16>,
    /// The enhanced code of that reply (RFC 3463): `5.7.1`.
    pub enhanced: Option<String>,
    /// What was answered or found, for people. Never a secret.
    pub text: String,
    /// What was measured.
    #[serde(flatten)]
    pub measure: Option<Measure>,
    /// How long it took.
    pub elapsed_ms: f64,
    /// One sentence that says what to do; nothing if there is nothing to do.
    pub hint: Option<String>,
    /// More of it for programs; its form is each check's own and is in the crate's docs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

impl Check {
    fn new(id: &'static str, state: State, phase: Phase, text: impl Into<String>) -> Self {
        Self {
            id,
            state,
            phase,
            class: None,
            subject: None,
            sent: None,
            code: None,
            enhanced: None,
            text: text.into(),
            measure: None,
            elapsed_ms: 0.0,
            hint: None,
            data: None,
        }
    }

    /// One that came out well.
    #[must_use]
    pub fn ok(id: &'static str, phase: Phase, text: impl Into<String>) -> Self {
        Self::new(id, State::Ok, phase, text)
    }

    /// One that was not run, and why.
    #[must_use]
    pub fn skip(id: &'static str, phase: Phase, why: impl Into<String>) -> Self {
        Self::new(id, State::Skip, phase, why)
    }

    /// One with something to see to.
    #[must_use]
    pub fn warn(id: &'static str, phase: Phase, class: Class, text: impl Into<String>) -> Self {
        Self::new(id, State::Warn, phase, text).class(class)
    }

    /// One that came out badly.
    #[must_use]
    pub fn crit(id: &'static str, phase: Phase, class: Class, text: impl Into<String>) -> Self {
        Self::new(id, State::Crit, phase, text).class(class)
    }

    /// One that could not be decided.
    #[must_use]
    pub fn unknown(id: &'static str, phase: Phase, class: Class, text: impl Into<String>) -> Self {
        Self::new(id, State::Unknown, phase, text).class(class)
    }

    /// Says how it came out.
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    /// Says what kind of thing is wrong.
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.class = Some(class);
        self
    }

    /// Says what it is about.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Says what was sent. Nothing secret may be in it.
    #[must_use]
    pub fn sent(mut self, sent: impl Into<String>) -> Self {
        self.sent = Some(sent.into());
        self
    }

    /// Takes the codes of the reply that decided it.
    #[must_use]
    pub fn reply(mut self, reply: &smtp_wire::Reply) -> Self {
        self.code = Some(reply.code());
        self.enhanced = reply.enhanced().map(str::to_owned);
        self
    }

    /// Says what was measured; the state is left as it is.
    #[must_use]
    pub fn measure(mut self, measure: Measure) -> Self {
        self.measure = Some(measure);
        self
    }

    /// Says how long it took.
    #[must_use]
    pub fn took(mut self, time: Duration) -> Self {
        self.elapsed_ms = milliseconds(time);
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what programs may want to know.
    #[must_use]
    pub fn data(mut self, data: serde_json::Value) -> Self {
        self.data = Some(data);
        self
    }
}

/// To a thousandth, so that reports stay short.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// All that was found at one target.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The version of this form: 1.
    pub schema: u32,
    /// The target's name.
    pub target: String,
    /// When it began, in UTC.
    pub started: Timestamp,
    /// The worst state of all.
    pub overall: State,
    /// Each check, in the order of the dialogue.
    pub checks: Vec<Check>,
    /// How long each phase took, in milliseconds, and `total`.
    pub timings: BTreeMap<String, f64>,
}

impl Report {
    /// Puts a report together.
    #[must_use]
    pub fn new(target: impl Into<String>, started: Timestamp, checks: Vec<Check>) -> Self {
        let overall = checks.iter().map(|c| c.state).max().unwrap_or(State::Skip);
        Self {
            schema: 1,
            target: target.into(),
            started,
            overall: overall.max(State::Ok),
            checks,
            timings: BTreeMap::new(),
        }
    }

    /// The check that decides the overall state: the first of the worst.
    #[must_use]
    pub fn decisive(&self) -> Option<&Check> {
        self.checks.iter().find(|c| c.state == self.overall)
    }

    /// The first check of an id.
    #[must_use]
    pub fn check(&self, id: &str) -> Option<&Check> {
        self.checks.iter().find(|c| c.id == id)
    }
}
