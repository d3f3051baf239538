//! A long JSON array, one entry after the other.

/// The longest entry that is read. Longer ones are passed over.
const LONGEST: usize = 1024 * 1024;

/// The answer is no JSON array.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    /// Before an entry, or the end of the array.
    Between,
    /// In a number or a word.
    Word,
    /// In an object, an array or a text.
    Nested,
    End,
}

/// Takes an array apart as it comes, so that no more than one entry is held.
#[derive(Debug)]
pub(crate) struct Entries {
    at: At,
    depth: usize,
    in_text: bool,
    escaped: bool,
    entry: Vec<u8>,
    is_too_long: bool,
    /// Entries that were too long.
    pub(crate) skipped: usize,
}

impl Entries {
    pub(crate) fn new() -> Self {
        Self {
            at: At::Start,
            depth: 0,
            in_text: false,
            escaped: false,
            entry: Vec::new(),
            is_too_long: false,
            skipped: 0,
        }
    }

    /// Takes the next bytes in; `each` gets every entry that is whole.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), Malformed> {
        for &b in bytes {
            match self.at {
                At::Start => match b {
                    b'[' => self.at = At::Between,
                    _ if is_space(b) => {}
                    _ => return Err(Malformed),
                },
                At::Between => match b {
                    b']' => self.at = At::End,
                    b',' => {}
                    _ if is_space(b) => {}
                    b'}' | b':' => return Err(Malformed),
                    b'{' | b'[' | b'"' => {
                        self.at = At::Nested;
                        self.nested(b, &mut each);
                    }
                    _ => {
                        self.at = At::Word;
                        self.keep(b);
                    }
                },
                At::Word => match b {
                    b',' | b']' => {
                        self.whole(&mut each);
                        self.at = if b == b']' { At::End } else { At::Between };
                    }
                    _ if is_space(b) => self.whole(&mut each),
                    _ => self.keep(b),
                },
                At::Nested => self.nested(b, &mut each),
                At::End if is_space(b) => {}
                At::End => return Err(Malformed),
            }
        }
        Ok(())
    }

    fn nested(&mut self, b: u8, each: &mut impl FnMut(&[u8])) {
        self.keep(b);
        if self.in_text {
            match b {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_text = false,
                _ => {}
            }
        } else {
            match b {
                b'"' => self.in_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        if self.depth == 0 && !self.in_text {
            self.whole(each);
        }
    }

    fn keep(&mut self, b: u8) {
        if self.entry.len() < LONGEST {
            self.entry.push(b);
        } else {
            self.is_too_long = true;
        }
    }

    fn whole(&mut self, each: &mut impl FnMut(&[u8])) {
        if std::mem::take(&mut self.is_too_long) {
            self.skipped += 1;
        } else {
            each(&self.entry);
        }
        self.entry.clear();
        self.at = At::Between;
    }

    /// The answer is over.
    pub(crate) fn finish(&self) -> Result<(), Malformed> {
        if self.at == At::End {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn split(text: &[u8], pieces: usize) -> Result<Vec<String>, Malformed> {
        let mut entries = Entries::new();
        let mut out = Vec::new();
        for piece in text.chunks(pieces) {
            entries.push(piece, |e| out.push(String::from_utf8_lossy(e).into_owned()))?;
        }
        entries.finish()?;
        Ok(out)
    }

    #[test]
    fn entries_come_one_by_one() {
        let text = br#" [ {"a":"]}\"[","b":[{}]} ,7, "x,y" ,[1,[2]],null ] "#;
        for pieces in [1, 2, 3, 100] {
            assert_eq!(
                split(text, pieces).unwrap(),
                [
                    r#"{"a":"]}\"[","b":[{}]}"#,
                    "7",
                    r#""x,y""#,
                    "[1,[2]]",
                    "null"
                ]
            );
        }
        assert_eq!(split(b"[]", 1).unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_no_array_or_not_whole() {
        for text in [
            "",
            "{}",
            "<html>",
            "[",
            "[{}",
            r#"[{"a":"]}]"#,
            "[]x",
            "[}]",
            "null",
        ] {
            assert_eq!(split(text.as_bytes(), 3), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn an_entry_that_is_too_long_costs_only_itself() {
        let long = "x".repeat(LONGEST + 1);
        let text = format!(r#"[{{"a":1}},{{"a":"{long}"}},{{"a":2}}]"#);
        let mut entries = Entries::new();
        let mut seen = 0;
        entries.push(text.as_bytes(), |_| seen += 1).unwrap();
        assert_eq!((seen, entries.skipped, entries.finish()), (2, 1, Ok(())));
        assert!(entries.entry.capacity() <= 2 * LONGEST);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            "[\\[\\]{}\",:\\\\ ]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"\\\\]{0,4}", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_array_comes_apart(
            all in prop::collection::vec(value(), 0..6),
            pieces in 1usize..40,
            is_pretty: bool,
        ) {
            let text = if is_pretty {
                serde_json::to_string_pretty(&json!(all)).unwrap()
            } else {
                json!(all).to_string()
            };
            let parts = split(text.as_bytes(), pieces).unwrap();
            let back: Vec<Value> = parts.iter().map(|p| serde_json::from_str(p).unwrap()).collect();
            prop_assert_eq!(back, all);
        }

        #[test]
        fn any_bytes_are_read_without_fault(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = split(&bytes, 7);
        }
    }
}
