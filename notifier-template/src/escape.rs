//! Escaping for the place a text goes to.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::text::to_text;

type Custom = dyn Fn(&str) -> String + Send + Sync;

/// How the values in a template are made safe for where its text goes.
///
/// The final value of each action is escaped, unless the last function of its pipeline
/// is `config`, `raw`, `safeHtml`, `html`, `urlquery` or `js`, or was declared by
/// [`Engine::with_raw_function`](crate::Engine::with_raw_function). The template's own
/// text is never touched.
///
/// ```
/// use notifier_template::{Context, Engine, Escape, Value};
///
/// let template = Engine::new().parse("t", r#"<b title="{{ . }}">{{ . }}</b> {{ raw . }}"#)?;
/// let context = Context::new(Value::from(r#"a"<b"#));
/// assert_eq!(
///     template.render_escaped(&context, &Escape::html())?,
///     r#"<b title="a&#34;&lt;b">a"&lt;b</b> a"<b"#,
/// );
/// # Ok::<(), notifier_template::Error>(())
/// ```
#[derive(Clone)]
pub struct Escape(Mode);

#[derive(Clone)]
enum Mode {
    Plain,
    Slack,
    Html,
    Custom(Arc<Custom>),
}

impl Escape {
    /// No escaping.
    pub fn plain() -> Self {
        Self(Mode::Plain)
    }

    /// Slack's messages: `&`, `<` and `>`.
    pub fn slack() -> Self {
        Self(Mode::Slack)
    }

    /// HTML: `&`, `<` and `>` in text; quotes too inside a tag; and where an attribute's
    /// value has no quotes around it, also what could end it.
    ///
    /// Values inside `<script>` and `<style>` are not made safe: use `js` there, or leave
    /// them out.
    pub fn html() -> Self {
        Self(Mode::Html)
    }

    /// An escaping of one's own, which is given each value's text.
    ///
    /// ```
    /// use notifier_template::{Context, Engine, Escape, Value};
    ///
    /// let jira = Escape::custom(|value| value.replace('{', "\\{"));
    /// let template = Engine::new().parse("t", "{code}{{ . }}{code}")?;
    /// let context = Context::new(Value::from("{x"));
    /// assert_eq!(template.render_escaped(&context, &jira)?, "{code}\\{x{code}");
    /// # Ok::<(), notifier_template::Error>(())
    /// ```
    pub fn custom(escape: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Mode::Custom(Arc::new(escape)))
    }

    pub(crate) fn writer(&self) -> Writer<'_> {
        Writer {
            out: Vec::new(),
            mode: &self.0,
            place: Place::Text,
        }
    }
}

impl Default for Escape {
    fn default() -> Self {
        Self::plain()
    }
}

impl fmt::Debug for Escape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Mode::Plain => "Escape::plain",
            Mode::Slack => "Escape::slack",
            Mode::Html => "Escape::html",
            Mode::Custom(_) => "Escape::custom",
        })
    }
}

/// Where in a piece of HTML the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    /// Behind a `<`.
    Opened,
    /// In a tag, but in no value.
    Tag,
    /// Behind the `=` of an attribute.
    BeforeValue,
    Unquoted,
    Quoted(u8),
}

impl Place {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Text | Self::Opened, b'<') => Self::Opened,
            (Self::Opened, b'a'..=b'z' | b'A'..=b'Z' | b'/' | b'!' | b'?') => Self::Tag,
            (Self::Text | Self::Opened, _) => Self::Text,
            (Self::Quoted(quote), _) if byte == quote => Self::Tag,
            (Self::Quoted(_), _) => self,
            (_, b'>') => Self::Text,
            (Self::Tag, b'=') => Self::BeforeValue,
            (Self::Tag, _) => Self::Tag,
            (Self::BeforeValue, b'"' | b'\'') => Self::Quoted(byte),
            (Self::BeforeValue, _) if byte.is_ascii_whitespace() => Self::BeforeValue,
            (Self::BeforeValue, _) => Self::Unquoted,
            (Self::Unquoted, _) if byte.is_ascii_whitespace() => Self::Tag,
            (Self::Unquoted, _) => Self::Unquoted,
        }
    }

    fn must_escape(self, byte: u8) -> bool {
        match byte {
            b'&' | b'<' | b'>' => true,
            b'"' | b'\'' => !matches!(self, Self::Text | Self::Opened),
            b'=' | b'`' | b'/' => matches!(self, Self::Tag | Self::BeforeValue | Self::Unquoted),
            _ if byte.is_ascii_whitespace() => {
                matches!(self, Self::Tag | Self::BeforeValue | Self::Unquoted)
            }
            _ => false,
        }
    }
}

/// The output, which knows where it stands.
pub(crate) struct Writer<'a> {
    out: Vec<u8>,
    mode: &'a Mode,
    place: Place,
}

impl Writer<'_> {
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// Writes text that is what it should be.
    pub(crate) fn text(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        if let Mode::Html = self.mode {
            self.place = bytes
                .iter()
                .fold(self.place, |place, &byte| place.after(byte));
        }
    }

    /// Writes a value, escaped.
    pub(crate) fn value(&mut self, bytes: &[u8]) {
        match self.mode {
            Mode::Plain => self.out.extend_from_slice(bytes),
            Mode::Slack => {
                for &byte in bytes {
                    match byte {
                        b'&' | b'<' | b'>' => self.out.extend_from_slice(entity(byte).as_bytes()),
                        _ => self.out.push(byte),
                    }
                }
            }
            Mode::Html => {
                for &byte in bytes {
                    let escaped = self.place.must_escape(byte).then(|| entity(byte));
                    match escaped {
                        Some(entity) => self.text(entity.as_bytes()),
                        None => self.text(&[byte]),
                    }
                }
            }
            Mode::Custom(escape) => {
                let escaped = escape(&to_text(bytes.to_vec()));
                self.out.extend_from_slice(escaped.as_bytes());
            }
        }
    }

    pub(crate) fn finish(self) -> String {
        to_text(self.out)
    }
}

fn entity(byte: u8) -> Cow<'static, str> {
    match byte {
        b'&' => "&amp;".into(),
        b'<' => "&lt;".into(),
        b'>' => "&gt;".into(),
        _ => format!("&#{byte};").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(parts: &[(&str, &str)]) -> String {
        let escape = Escape::html();
        let mut writer = escape.writer();
        for (text, value) in parts {
            writer.text(text.as_bytes());
            writer.value(value.as_bytes());
        }
        writer.finish()
    }

    #[test]
    fn quotes_are_escaped_only_inside_tags() {
        assert_eq!(
            html(&[("a ", "\"'<&>"), ("<i x='", "\"'<"), ("'>", "'")]),
            "a \"'&lt;&amp;&gt;<i x='&#34;&#39;&lt;'>'"
        );
        assert_eq!(html(&[("1 < 2 ", "\"")]), "1 < 2 \"");
        assert_eq!(html(&[("<a title=it's>", "'")]), "<a title=it's>'");
    }

    #[test]
    fn a_value_cannot_leave_an_unquoted_attribute() {
        assert_eq!(
            html(&[("<a href=", "x onclick=y"), (" b=\"", "\" c")]),
            "<a href=x&#32;onclick&#61;y b=\"&#34; c"
        );
    }

    #[test]
    fn slack_has_three() {
        let escape = Escape::slack();
        let mut writer = escape.writer();
        writer.text(b"<!here> ");
        writer.value(b"<a & 'b'>");
        assert_eq!(writer.finish(), "<!here> &lt;a &amp; 'b'&gt;");
    }
}
