use std::time::Duration;

/// Where in the dialogue a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// The connection: its answer is the banner.
    Connect,
    /// EHLO.
    Ehlo,
    /// HELO.
    Helo,
    /// STARTTLS.
    StartTls,
    /// The command AUTH.
    Auth,
    /// A line that answers a challenge of AUTH.
    AuthAnswer,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA: its answer lets the message come.
    Data,
    /// The dot after the message.
    Body,
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
    /// Any other command.
    Other,
}

/// What the server does in place of its usual answer.
///
/// Texts of replies are sent as they are, code included, their lines ended by CRLF, where a line
/// feed divides them. The code decides how the server goes on: after `250` to MAIL there is a
/// sender, after `354` to DATA the message is read, after `220` to STARTTLS comes the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Answers this text, malformed or not.
    Reply(String),
    /// Writes these bytes with nothing added.
    Bytes(Vec<u8>),
    /// Never answers; the connection stays until the client leaves.
    Stall,
    /// Never answers and reads nothing more, so that the client cannot write for ever; the
    /// connection stays until the server ends.
    Freeze,
    /// Closes the connection (FIN).
    Cut,
    /// Resets the connection (RST).
    Reset,
    /// Closes the server's direction only, and reads until the client leaves.
    HalfClose,
    /// Answers this text and closes.
    ReplyThenCut(String),
    /// Waits, then answers this text, or as usual if it is empty.
    Delay(Duration, String),
    /// Answers this text, or as usual if it is empty, each byte in a packet of its own.
    Split(String),
    /// At DATA: answers as usual, and carries out this action when so many octets of the message
    /// are there (and the dot is not read yet).
    InBody(usize, Box<Self>),
    /// At the dot: keeps the mail, and closes without an answer.
    TakeThenCut,
    /// At the dot: keeps the mail, and never answers.
    TakeThenStall,
    /// At STARTTLS: answers it together with a `250 injected` in plain text, then the handshake.
    InjectBeforeTls,
    /// At STARTTLS, or on a connection with implicit TLS: bytes that are no TLS.
    GarbageTls,
    /// As [`GarbageTls`](Self::GarbageTls), with the fatal alert `handshake_failure`.
    TlsAlert,
    /// As [`TlsAlert`](Self::TlsAlert), with `protocol_version`: a server that has nothing newer than TLS 1.1.
    OldTls,
    /// As [`GarbageTls`](Self::GarbageTls), with the end of the connection.
    CutTls,
    /// As [`GarbageTls`](Self::GarbageTls), with silence.
    StallTls,
}

impl Action {
    /// Answers this text.
    #[must_use]
    pub fn reply(text: impl Into<String>) -> Self {
        Self::Reply(text.into())
    }

    /// Answers this text and closes.
    #[must_use]
    pub fn reply_then_cut(text: impl Into<String>) -> Self {
        Self::ReplyThenCut(text.into())
    }

    /// Answers as usual, so much later.
    #[must_use]
    pub fn delay(by: Duration) -> Self {
        Self::Delay(by, String::new())
    }

    /// Carries out `action` when so many octets of the message are there.
    #[must_use]
    pub fn in_body(octets: usize, action: Self) -> Self {
        Self::InBody(octets, Box::new(action))
    }

    /// Whether it stands in the place of a TLS handshake.
    pub(crate) fn is_no_tls(&self) -> bool {
        matches!(
            self,
            Self::GarbageTls | Self::TlsAlert | Self::OldTls | Self::CutTls | Self::StallTls
        )
    }
}

impl From<&str> for Action {
    fn from(text: &str) -> Self {
        Self::Reply(text.to_owned())
    }
}
