//! The members of an object that is at hand as a whole.

use super::{is_space, key_of, skip::Skipper, text::Text, word};

/// The values of these members, which come at most once each. Nothing if it is no object,
/// or a broken one, as far as one looks: within other values only for their ends.
pub(crate) fn pick<'a, const N: usize>(
    object: &'a [u8],
    keys: [&str; N],
) -> Option<[Option<&'a [u8]>; N]> {
    let mut found = [None; N];
    let mut members = Members::of(object)?;
    while let Some((key, value)) = members.next()? {
        if let Some(i) = key.among(&keys)
            && found[i].replace(value).is_some()
        {
            return None;
        }
    }
    Some(found)
}

/// The same for members all of which are needed: looks no further than to the last of
/// them.
pub(crate) fn glance<'a, const N: usize>(
    object: &'a [u8],
    keys: [&str; N],
) -> Option<[&'a [u8]; N]> {
    let mut found = [None; N];
    let mut members = Members::of(object)?;
    while found.contains(&None) {
        let (key, value) = members.next()??;
        if let Some(i) = key.among(&keys) {
            found[i] = Some(value);
        }
    }
    Some(found.map(Option::unwrap_or_default))
}

struct Key<'a> {
    quoted: &'a [u8],
    has_escapes: bool,
}

impl Key<'_> {
    /// Which one of these it is.
    #[inline]
    fn among(&self, keys: &[&str]) -> Option<usize> {
        if self.has_escapes {
            let key = key_of(self.quoted);
            return keys.iter().position(|k| k.as_bytes() == &*key);
        }
        let key = &self.quoted[1..self.quoted.len() - 1];
        keys.iter().position(|k| k.as_bytes() == key)
    }
}

struct Members<'a> {
    bytes: &'a [u8],
    at: usize,
    is_first: bool,
}

impl<'a> Members<'a> {
    fn of(object: &'a [u8]) -> Option<Self> {
        let mut members = Self {
            bytes: object,
            at: 0,
            is_first: true,
        };
        members.expect(b'{').then_some(members)
    }

    /// The next one, or its absence; nothing at all if there is something else.
    #[inline(always)]
    fn next(&mut self) -> Option<Option<(Key<'a>, &'a [u8])>> {
        let is_first = std::mem::take(&mut self.is_first);
        if self.expect(b'}') {
            return Some(None);
        }
        if !is_first && !self.expect(b',') {
            return None;
        }
        if self.peek()? != b'"' {
            return None;
        }
        let key = self.text()?;
        if !self.expect(b':') {
            return None;
        }
        Some(Some((key, self.value()?)))
    }

    #[inline(always)]
    fn text(&mut self) -> Option<Key<'a>> {
        let text = &self.bytes[self.at..];
        let mut reader = Text::default();
        let len = 1 + reader.feed(&text[1..]).ok()??;
        self.at += len;
        Some(Key {
            quoted: &text[..len],
            has_escapes: reader.has_escapes,
        })
    }

    #[inline]
    fn value(&mut self) -> Option<&'a [u8]> {
        let first = self.peek()?;
        let value = &self.bytes[self.at..];
        let len = match first {
            b'"' => return self.text().map(|text| text.quoted),
            b'{' | b'[' => 1 + Skipper::new().feed(&value[1..])?,
            _ => {
                let len = value.iter().take_while(|b| word::is_part(**b)).count();
                if !word::is_word(&value[..len]) {
                    return None;
                }
                len
            }
        };
        self.at += len;
        Some(&value[..len])
    }

    #[inline]
    fn peek(&mut self) -> Option<u8> {
        while is_space(*self.bytes.get(self.at)?) {
            self.at += 1;
        }
        Some(self.bytes[self.at])
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> bool {
        let is_here = self.peek() == Some(byte);
        self.at += usize::from(is_here);
        is_here
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(object: &str) -> Option<[Option<&str>; 2]> {
        let text = |v: &'static [u8]| std::str::from_utf8(v).unwrap();
        let object: &'static str = object.to_owned().leak();
        pick(object.as_bytes(), ["a", "b"]).map(|found| found.map(|v| v.map(text)))
    }

    #[test]
    fn members_are_found_in_any_order() {
        assert_eq!(
            picked(r#" { "b" : [1,{"a":2}] , "c":"}","a":"\"" } "#),
            Some([Some(r#""\"""#), Some(r#"[1,{"a":2}]"#)])
        );
        assert_eq!(
            picked(r#"{"\u0061":-1.5,"b":nan}"#),
            Some([Some("-1.5"), Some("nan")])
        );
        assert_eq!(picked("{}"), Some([None, None]));
        assert_eq!(picked(r#"{"x":null}"#), Some([None, None]));
    }

    #[test]
    fn what_is_broken_has_no_members() {
        for bad in [
            "",
            "[]",
            "null",
            "{",
            r#"{"a""#,
            r#"{"a":"#,
            r#"{"a":1"#,
            r#"{"a":1,}"#,
            r#"{,"a":1}"#,
            r#"{"a" 1}"#,
            r#"{"a":1 "b":2}"#,
            r#"{a:1}"#,
            r#"{"a":+1}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":[}"#,
            r#"{"a":1,"a":1}"#,
        ] {
            assert_eq!(picked(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_glance_ends_where_all_is_seen() {
        let seen = glance(br#"{"x":{},"b":1,"a":"t",,,"#, ["a", "b"]).unwrap();
        assert_eq!(seen, [&b"\"t\""[..], b"1"]);
        assert_eq!(glance(br#"{"a":1}"#, ["a", "b"]), None);
        // As it is with the first ones, so with those that follow.
        assert_eq!(
            glance(br#"{"a":1,"a":2,"b":3}"#, ["a", "b"]),
            Some([&b"2"[..], b"3"])
        );
    }
}
