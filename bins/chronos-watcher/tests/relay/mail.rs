//! A mail as its owner finds it.

use mail_parser::{HeaderValue, Message, MessageParser};

/// A message of a mailbox, parsed.
#[derive(Debug)]
pub(crate) struct Mail(Message<'static>);

impl Mail {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let message = MessageParser::default().parse(bytes);
        Self(message.expect("a mail").into_owned())
    }

    /// A header field as it stands there, unfolded; it has to be there once.
    pub(crate) fn field(&self, name: &str) -> String {
        let mut values = self
            .0
            .headers_raw()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let (_, value) = values
            .next()
            .unwrap_or_else(|| panic!("no {name} in {self:?}"));
        assert!(values.next().is_none(), "{name} twice in {self:?}");
        value
            .trim_end_matches(['\r', '\n'])
            .replace("\r\n", "")
            .replace('\n', "")
    }

    /// How often a field is there.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.0
            .headers_raw()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .count()
    }

    /// All fields of a name in one text.
    pub(crate) fn all(&self, name: &str) -> String {
        let fields = self
            .0
            .headers_raw()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name));
        fields.map(|(_, value)| value).collect()
    }

    pub(crate) fn subject(&self) -> &str {
        self.0.subject().unwrap_or_default()
    }

    /// The text with line feeds as line ends.
    pub(crate) fn text(&self) -> String {
        self.0
            .body_text(0)
            .unwrap_or_default()
            .replace("\r\n", "\n")
    }

    pub(crate) fn id(&self) -> String {
        self.0.message_id().expect("a mail has an id").to_owned()
    }

    /// The date as seconds, if it can be read.
    pub(crate) fn has_date(&self) -> bool {
        matches!(self.0.header("Date"), Some(HeaderValue::DateTime(d)) if d.is_valid())
    }
}
