//! A message that says of itself what it is.

use notifier_core::jiff::{Timestamp, fmt::rfc2822, tz::TimeZone};
use smtp_wire::stuff;

/// What is sent to see whether messages are taken, its dots doubled and the last one added.
/// `None` if an address would break it.
pub(crate) fn probe(from: &str, to: &str, host: &str, at: Timestamp) -> Option<Vec<u8>> {
    let date = rfc2822::to_string(&at.to_zoned(TimeZone::UTC)).unwrap_or_default();
    let id = fastrand::u128(..);
    let sender = match from {
        "" => format!("postmaster@{host}"),
        from => from.to_owned(),
    };
    let text = format!(
        "Date: {date}\r\n\
         From: <{sender}>\r\n\
         To: <{to}>\r\n\
         Message-ID: <{id:032x}@{host}>\r\n\
         Subject: Test message of a relay check\r\n\
         Auto-Submitted: auto-generated\r\n\
         X-Auto-Response-Suppress: All\r\n\
         Precedence: bulk\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\
         \r\n\
         This message was sent to see whether the mail relay takes messages. It can be deleted.\r\n"
    );
    stuff(text.as_bytes())
}
