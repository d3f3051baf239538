use std::io::Write as _;

use super::super::content::byte_of;

/// JSON written front to back, as masters write that of the operator API.
#[derive(Debug, Default)]
pub(crate) struct Json {
    out: Vec<u8>,
    /// A slash is written as `\/`.
    slashes: bool,
}

impl Json {
    pub(crate) fn new(slashes: bool) -> Self {
        Self {
            out: Vec::new(),
            slashes,
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn comma(&mut self) {
        if !matches!(self.out.last(), None | Some(b'{' | b'[' | b':')) {
            self.out.push(b',');
        }
    }

    fn key(&mut self, name: &str) {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// A field that is an object.
    pub(crate) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.key(name);
        self.item(fill);
    }

    /// A field that is a list.
    pub(crate) fn list(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.key(name);
        self.out.push(b'[');
        fill(self);
        self.out.push(b']');
    }

    /// An object in a list, or the outermost one.
    pub(crate) fn item(&mut self, fill: impl FnOnce(&mut Self)) {
        self.comma();
        self.out.push(b'{');
        fill(self);
        self.out.push(b'}');
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.key(name);
        self.quoted(value);
    }

    /// `name: {"value": …}`, as ids are written.
    pub(crate) fn id(&mut self, name: &str, value: &str) {
        self.object(name, |json| json.text("value", value));
    }

    /// A name that needs no escapes.
    pub(crate) fn word(&mut self, name: &str, value: &str) {
        self.key(name);
        self.out.push(b'"');
        self.out.extend_from_slice(value.as_bytes());
        self.out.push(b'"');
    }

    pub(crate) fn flag(&mut self, name: &str, value: bool) {
        self.raw(name, if value { b"true" } else { b"false" });
    }

    pub(crate) fn whole(&mut self, name: &str, value: i64) {
        self.key(name);
        // Writing to memory does not fail.
        let _ = write!(self.out, "{value}");
    }

    pub(crate) fn number(&mut self, name: &str, value: f64) {
        self.key(name);
        let _ = write!(self.out, "{value:?}");
    }

    /// A time as `{"nanoseconds": …}`.
    pub(crate) fn time(&mut self, name: &str, seconds: f64) {
        self.object(name, |json| {
            json.whole("nanoseconds", (seconds * 1e9) as i64);
        });
    }

    /// A field whose value is JSON already.
    pub(crate) fn raw(&mut self, name: &str, value: &[u8]) {
        self.key(name);
        self.out.extend_from_slice(value);
    }

    /// Fields that are JSON already.
    pub(crate) fn fields(&mut self, value: &[u8]) {
        self.comma();
        self.out.extend_from_slice(value);
    }

    fn quoted(&mut self, value: &str) {
        self.out.push(b'"');
        // 0xef may begin a character that stands for a byte.
        let special = |byte: u8| matches!(byte, 0..=0x1f | b'"' | b'\\' | b'/' | 0x7f | 0xef);
        if value.bytes().any(special) {
            self.escaped(value);
        } else {
            self.out.extend_from_slice(value.as_bytes());
        }
        self.out.push(b'"');
    }

    fn escaped(&mut self, value: &str) {
        for char in value.chars() {
            match char {
                '"' => self.out.extend_from_slice(b"\\\""),
                '\\' => self.out.extend_from_slice(b"\\\\"),
                '/' if self.slashes => self.out.extend_from_slice(b"\\/"),
                '\n' => self.out.extend_from_slice(b"\\n"),
                '\r' => self.out.extend_from_slice(b"\\r"),
                '\t' => self.out.extend_from_slice(b"\\t"),
                '\0'..='\x1f' | '\x7f' => {
                    let _ = write!(self.out, "\\u{:04x}", u32::from(char));
                }
                _ => match byte_of(char) {
                    Some(byte) => self.out.push(byte),
                    None => {
                        let mut buffer = [0; 4];
                        let coded = char.encode_utf8(&mut buffer);
                        self.out.extend_from_slice(coded.as_bytes());
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Json;
    use crate::mesos::content::text_of;

    #[test]
    fn commas_and_escapes() {
        let mut json = Json::new(true);
        json.item(|json| {
            json.text("a", "x/\"\\\n\u{1}ü");
            json.id("b", &text_of(b"\xff"));
            json.list("c", |json| {
                json.item(|_| {});
                json.item(|json| json.flag("d", true));
            });
            json.number("e", 15.0);
            json.time("f", 1_500_000_000.5);
        });
        let expected: &[u8] =
            b"{\"a\":\"x\\/\\\"\\\\\\n\\u0001\xc3\xbc\",\"b\":{\"value\":\"\xff\"},\
            \"c\":[{},{\"d\":true}],\"e\":15.0,\"f\":{\"nanoseconds\":1500000000500000000}}";
        assert_eq!(
            String::from_utf8_lossy(&json.into_bytes()),
            String::from_utf8_lossy(expected)
        );
    }
}
