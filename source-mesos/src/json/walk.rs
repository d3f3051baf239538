//! The walk through a text.

use super::{Malformed, is_space, key_of, skip::Skipper, text::Text, word};

/// Decides what is looked at, and is given it.
pub(crate) trait Visit {
    /// Where something is in the text, as far as that matters.
    type Place: Copy;

    /// What to do with a value that begins: a member of an object that was entered, by its
    /// key, or an element of a list. The key of an element is empty.
    fn begin(&mut self, within: Self::Place, key: &[u8], kind: Kind) -> Choice<Self::Place>;

    /// All bytes of a value that was to be taken. Nobody looked into it: it is one value, but
    /// no more is sure.
    fn take(&mut self, place: Self::Place, raw: &[u8]);

    /// A value that was to be taken is too large for that.
    fn too_large(&mut self, place: Self::Place);

    /// The end of an object or a list that was entered.
    fn end(&mut self, place: Self::Place);
}

/// What kind of value begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    List,
    Text,
    /// A number, a truth value or null.
    Word,
}

/// What to do with a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Choice<P> {
    Skip,
    /// Look at what is in it. Other than an object or a list, it is skipped.
    Enter(P),
    Take(P),
    /// The text is not what it should be, for this reason.
    Refuse(&'static str),
}

/// Larger values are not taken.
const MAX_TAKEN: usize = 16 << 20;

/// Reads a text in whatever pieces it comes. What is entered must be right to the last
/// byte; of what is skipped or taken only the end is looked for.
#[derive(Debug)]
pub(crate) struct Walker<V: Visit> {
    visit: V,
    /// The place of the text as a whole.
    outside: V::Place,
    /// What was entered and has not ended.
    open: Vec<Open<V::Place>>,
    next: Next<V::Place>,
    /// The last key.
    key: Vec<u8>,
    /// The start of a value that is needed whole and came in pieces.
    pieces: Vec<u8>,
    max_taken: usize,
    /// Bytes of all pieces before.
    before: u64,
}

#[derive(Clone, Copy, Debug)]
struct Open<P> {
    place: P,
    is_object: bool,
}

/// What may come next.
#[derive(Clone, Copy, Debug)]
enum Next<P> {
    /// A byte order mark, of which so many bytes came, or the text.
    Mark(usize),
    Value,
    /// A value or the end of a list.
    FirstElement,
    Key,
    /// A key or the end of an object.
    FirstKey,
    Colon,
    /// A comma, or the end of what is open.
    Comma,
    /// More of a value.
    Rest(Value<P>),
    /// Nothing: the text has ended.
    End,
    /// Nothing: it is of no use.
    Lost(Malformed),
}

#[derive(Clone, Copy, Debug)]
struct Value<P> {
    form: Form,
    take: Option<P>,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Key(Text),
    Text(Text),
    Word,
    /// An object or a list, and what closes it.
    Nested(Skipper, u8),
}

/// What is wrong, and where in the present piece.
type Fault = (&'static str, usize);

const NO_VALUE: &str = "no value where one should be";
const CUT: &str = "the text is cut short";

impl<V: Visit> Walker<V> {
    /// A walker for a text at this place.
    pub(crate) fn new(visit: V, outside: V::Place) -> Self {
        Self {
            visit,
            outside,
            open: Vec::new(),
            next: Next::Mark(0),
            key: Vec::new(),
            pieces: Vec::new(),
            max_taken: MAX_TAKEN,
            before: 0,
        }
    }

    /// With another limit for what is taken.
    pub(crate) fn max_taken(mut self, bytes: usize) -> Self {
        self.max_taken = bytes;
        self
    }

    pub(crate) fn visit_mut(&mut self) -> &mut V {
        &mut self.visit
    }

    /// Reads on.
    ///
    /// # Errors
    ///
    /// The text is malformed, and what comes after is not looked at.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        if let Next::Lost(e) = self.next {
            return Err(e);
        }
        match self.walk(bytes) {
            Ok(()) => {
                self.before += bytes.len() as u64;
                Ok(())
            }
            Err((what, at)) => Err(self.lose(what, at)),
        }
    }

    /// To be called at the end of the text.
    ///
    /// # Errors
    ///
    /// The text is malformed, or ends too early.
    pub(crate) fn finish(mut self) -> Result<V, Malformed> {
        // Of all values only a word does not tell its end.
        if let Next::Rest(Value {
            form: Form::Word, ..
        }) = self.next
            && self.open.is_empty()
        {
            self.feed(b" ")?;
        }
        match self.next {
            Next::End => Ok(self.visit),
            Next::Lost(e) => Err(e),
            _ => Err(self.lose(CUT, 0)),
        }
    }

    fn lose(&mut self, what: &'static str, at: usize) -> Malformed {
        let e = Malformed::at(what, self.before + at as u64);
        self.next = Next::Lost(e);
        self.pieces = Vec::new();
        e
    }

    fn walk(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.next {
                Next::Rest(value) => {
                    at = self.read(bytes, 0, 0, value)?;
                    continue;
                }
                Next::Mark(seen) => {
                    const MARK: &[u8] = "\u{feff}".as_bytes();
                    if seen < MARK.len() && byte == MARK[seen] {
                        self.next = Next::Mark(seen + 1);
                        at += 1;
                    } else if seen == 0 || seen == MARK.len() {
                        self.next = Next::Value;
                    } else {
                        return Err((NO_VALUE, at));
                    }
                    continue;
                }
                _ if is_space(byte) => {}
                Next::FirstElement if byte == b']' => self.close(),
                Next::FirstKey if byte == b'}' => self.close(),
                Next::Value | Next::FirstElement => {
                    at = self.value(bytes, at)?;
                    continue;
                }
                Next::Key | Next::FirstKey if byte == b'"' => {
                    let key = Value {
                        form: Form::Key(Text::default()),
                        take: None,
                    };
                    at = self.read(bytes, at, at + 1, key)?;
                    continue;
                }
                Next::Key | Next::FirstKey => return Err(("no key where one should be", at)),
                Next::Colon if byte == b':' => self.next = Next::Value,
                Next::Colon => return Err(("no colon after a key", at)),
                Next::Comma => match (byte, self.open.last()) {
                    (
                        b',',
                        Some(Open {
                            is_object: true, ..
                        }),
                    ) => self.next = Next::Key,
                    (
                        b',',
                        Some(Open {
                            is_object: false, ..
                        }),
                    ) => self.next = Next::Value,
                    (
                        b'}',
                        Some(Open {
                            is_object: true, ..
                        }),
                    )
                    | (
                        b']',
                        Some(Open {
                            is_object: false, ..
                        }),
                    ) => self.close(),
                    _ => return Err(("neither a comma nor an end after a value", at)),
                },
                Next::End => return Err(("more text after its end", at)),
                Next::Lost(_) => return Ok(()),
            }
            at += 1;
        }
        Ok(())
    }

    /// A value that begins here; gives where it ends, at the latest at the end of the piece.
    fn value(&mut self, bytes: &[u8], at: usize) -> Result<usize, Fault> {
        let first = bytes[at];
        let kind = match first {
            b'{' => Kind::Object,
            b'[' => Kind::List,
            b'"' => Kind::Text,
            _ if word::is_part(first) => Kind::Word,
            _ => return Err((NO_VALUE, at)),
        };
        let choice = match self.open.last() {
            Some(Open {
                place,
                is_object: true,
            }) => self.visit.begin(*place, &self.key, kind),
            Some(Open { place, .. }) => self.visit.begin(*place, b"", kind),
            None => self.visit.begin(self.outside, b"", kind),
        };
        let take = match choice {
            Choice::Refuse(what) => return Err((what, at)),
            Choice::Enter(place) if matches!(kind, Kind::Object | Kind::List) => {
                let is_object = kind == Kind::Object;
                self.open.push(Open { place, is_object });
                self.next = if is_object {
                    Next::FirstKey
                } else {
                    Next::FirstElement
                };
                return Ok(at + 1);
            }
            Choice::Take(place) => Some(place),
            Choice::Skip | Choice::Enter(_) => None,
        };
        let (form, from) = match kind {
            Kind::Object => (Form::Nested(Skipper::new(), b'}'), at + 1),
            Kind::List => (Form::Nested(Skipper::new(), b']'), at + 1),
            Kind::Text => (Form::Text(Text::default()), at + 1),
            Kind::Word => (Form::Word, at),
        };
        self.read(bytes, at, from, Value { form, take })
    }

    /// Reads a value of which this piece has what comes after `start`, and of that all before
    /// `from` is known.
    fn read(
        &mut self,
        bytes: &[u8],
        start: usize,
        from: usize,
        mut value: Value<V::Place>,
    ) -> Result<usize, Fault> {
        let rest = &bytes[from..];
        let len = match &mut value.form {
            Form::Key(text) | Form::Text(text) => text
                .feed(rest)
                .map_err(|at| ("an escape that is none", from + at))?,
            Form::Word => rest.iter().position(|b| !word::is_part(*b)),
            Form::Nested(skipper, _) => skipper.feed(rest),
        };
        let is_needed = value.take.is_some() || matches!(value.form, Form::Key(_) | Form::Word);
        let end = len.map_or(bytes.len(), |len| from + len);
        let is_kept = is_needed && self.has_room(&mut value, end - start, end)?;
        if len.is_none() {
            if is_kept {
                self.pieces.extend_from_slice(&bytes[start..]);
            }
            self.next = Next::Rest(value);
            return Ok(end);
        }
        if let Form::Nested(_, close) = value.form
            && bytes[end - 1] != close
        {
            return Err(("brackets that do not match", end - 1));
        }
        self.next = if self.open.is_empty() {
            Next::End
        } else {
            Next::Comma
        };
        if !is_kept {
            return Ok(end);
        }
        let mut whole = &bytes[start..end];
        if !self.pieces.is_empty() {
            self.pieces.extend_from_slice(whole);
            whole = &self.pieces;
        }
        match value.form {
            Form::Key(_) => {
                self.key.clear();
                self.key.extend_from_slice(&key_of(whole));
                self.next = Next::Colon;
            }
            Form::Word if !word::is_word(whole) => return Err((NO_VALUE, end)),
            _ => {}
        }
        if let Some(place) = value.take {
            self.visit.take(place, whole);
        }
        self.pieces.clear();
        Ok(end)
    }

    /// Whether a value with so many more bytes can be kept; if not, it is skipped from here on.
    fn has_room(
        &mut self,
        value: &mut Value<V::Place>,
        more: usize,
        at: usize,
    ) -> Result<bool, Fault> {
        if self.pieces.len() + more <= self.max_taken {
            return Ok(true);
        }
        if matches!(value.form, Form::Key(_) | Form::Word) {
            return Err(("a key or a number without end", at));
        }
        self.pieces.clear();
        if let Some(place) = value.take.take() {
            self.visit.too_large(place);
        }
        Ok(false)
    }

    /// The end of what was entered last.
    fn close(&mut self) {
        if let Some(open) = self.open.pop() {
            self.visit.end(open.place);
        }
        self.next = if self.open.is_empty() {
            Next::End
        } else {
            Next::Comma
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;
    use serde_json::{Value as Json, json};

    use super::*;

    /// Enters all above a depth, takes what is there, and puts the text together again.
    #[derive(Debug, Default)]
    struct Rebuild {
        depth: usize,
        open: Vec<(String, Json)>,
        key: String,
        whole: Option<Json>,
        too_large: usize,
    }

    impl Rebuild {
        fn add(&mut self, key: String, value: Json) {
            match self.open.last_mut() {
                Some((_, Json::Object(members))) => {
                    members.insert(key, value);
                }
                Some((_, Json::Array(elements))) => elements.push(value),
                _ => self.whole = Some(value),
            }
        }
    }

    impl Visit for Rebuild {
        type Place = usize;

        fn begin(&mut self, within: usize, key: &[u8], kind: Kind) -> Choice<usize> {
            let key = String::from_utf8_lossy(key).into_owned();
            if within >= self.depth || matches!(kind, Kind::Text | Kind::Word) {
                self.key = key;
                return Choice::Take(within + 1);
            }
            let value = match kind {
                Kind::Object => json!({}),
                _ => json!([]),
            };
            self.open.push((key, value));
            Choice::Enter(within + 1)
        }

        fn take(&mut self, _: usize, raw: &[u8]) {
            let key = std::mem::take(&mut self.key);
            let value = serde_json::from_slice(raw).unwrap_or(json!("unreadable"));
            self.add(key, value);
        }

        fn too_large(&mut self, _: usize) {
            self.too_large += 1;
        }

        fn end(&mut self, place: usize) {
            assert_eq!(place, self.open.len());
            let (key, value) = self.open.pop().unwrap();
            self.add(key, value);
        }
    }

    fn walk<'a>(
        depth: usize,
        max: usize,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Rebuild, Malformed> {
        let visit = Rebuild {
            depth,
            ..Rebuild::default()
        };
        let mut walker = Walker::new(visit, 0).max_taken(max);
        for piece in pieces {
            walker.feed(piece)?;
        }
        walker.finish()
    }

    fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
        let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect()
    }

    /// Texts full of what has a meaning elsewhere.
    fn any_json() -> impl Strategy<Value = Json> {
        let text = r#"([{}\[\]:,"\\/ a-z\n]|é|😀){0,80}"#;
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            // Exact in binary.
            (-1_000_000..1_000_000).prop_map(|n| Json::from(f64::from(n) / 8.0)),
            text.prop_map(Json::from),
        ];
        leaf.prop_recursive(6, 60, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Json::from),
                prop::collection::vec((text, inner), 0..8)
                    .prop_map(|members| Json::Object(members.into_iter().collect())),
            ]
        })
    }

    fn any_cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
        prop::collection::vec(any::<prop::sample::Index>(), 0..12)
    }

    proptest! {
        #[test]
        fn every_text_is_read_in_any_pieces(
            json in any_json(), depth in 0..8usize, is_pretty: bool, cuts in any_cuts(),
        ) {
            let text = if is_pretty {
                serde_json::to_string_pretty(&json).unwrap()
            } else {
                json.to_string()
            };
            for text in [text.clone(), format!("\u{feff}{text}\r\n")] {
                let read = walk(depth, 1 << 20, pieces(text.as_bytes(), &cuts)).unwrap();
                prop_assert_eq!(read.whole.as_ref(), Some(&json));
            }
            // Nothing is complete before its end, but for numbers.
            if json.is_array() || json.is_object() || json.is_string() {
                for cut in cuts.iter().map(|c| c.index(text.trim_end().len())) {
                    prop_assert!(walk(depth, 1 << 20, [&text.as_bytes()[..cut]]).is_err());
                }
            }
        }

        #[test]
        fn what_is_entered_is_right_or_refused(
            json in any_json(), cuts in any_cuts(),
            edits in prop::collection::vec(
                (any::<prop::sample::Index>(), prop::sample::select(br#"{}[]",:\ 01tfnu.eE+-/"#.to_vec()), 0..3u8),
                1..4,
            ),
        ) {
            let mut text = json.to_string().into_bytes();
            for (at, byte, how) in edits {
                if text.is_empty() { break; }
                let at = at.index(text.len());
                match how {
                    0 => text[at] = byte,
                    1 => { text.remove(at); }
                    _ => text.insert(at, byte),
                }
            }
            // The bytes of a letter may have been torn apart.
            let text = String::from_utf8_lossy(&text).into_owned();
            let is_right = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            let whole = walk(usize::MAX, 1 << 20, [text.as_bytes()]);
            prop_assert_eq!(whole.is_ok(), is_right, "{}", text);
            let cut = walk(usize::MAX, 1 << 20, pieces(text.as_bytes(), &cuts));
            prop_assert_eq!(whole.map(|w| w.whole), cut.map(|w| w.whole));
            for depth in 0..3 {
                let whole = walk(depth, 1 << 20, [text.as_bytes()]);
                prop_assert!(whole.is_ok() || !is_right);
                let cut = walk(depth, 1 << 20, pieces(text.as_bytes(), &cuts));
                prop_assert_eq!(whole.map(|w| w.whole), cut.map(|w| w.whole));
            }
        }

        #[test]
        fn no_bytes_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200), depth in 0..4usize, cuts in any_cuts(),
        ) {
            let _ = walk(depth, 20, pieces(&bytes, &cuts));
        }
    }

    #[test]
    fn what_is_too_large_is_passed_over_however_it_comes() {
        let text = format!(r#"["{}",["{}"],[1],{{}}]"#, "x".repeat(9), "[".repeat(500));
        for size in 1..text.len() {
            let read = walk(1, 10, text.as_bytes().chunks(size)).unwrap();
            assert_eq!(read.whole, Some(json!([[1], {}])), "{size}");
            assert_eq!(read.too_large, 2, "{size}");
        }
        for endless in [format!("{{\"{}", "k".repeat(50)), "1".repeat(50)] {
            for size in [1, 7, 100] {
                let e = walk(1, 10, endless.as_bytes().chunks(size)).err();
                assert!(e.is_some(), "{endless}");
            }
        }
    }

    #[test]
    fn nothing_is_kept_of_what_is_skipped() {
        #[derive(Debug)]
        struct Nothing;
        impl Visit for Nothing {
            type Place = ();
            fn begin(&mut self, (): (), key: &[u8], _: Kind) -> Choice<()> {
                match key {
                    b"" => Choice::Enter(()),
                    _ => Choice::Skip,
                }
            }
            fn take(&mut self, (): (), _: &[u8]) {}
            fn too_large(&mut self, (): ()) {}
            fn end(&mut self, (): ()) {}
        }
        let mut walker = Walker::new(Nothing, ());
        walker.feed(br#"{"a":""#).unwrap();
        for _ in 0..1000 {
            walker.feed(&[b'['; 1000]).unwrap();
        }
        walker.feed(br#"","b":[{"#).unwrap();
        for _ in 0..1000 {
            walker.feed(&[b'['; 1000]).unwrap();
        }
        for _ in 0..1000 {
            walker.feed(&[b']'; 1000]).unwrap();
        }
        assert_eq!(walker.pieces.capacity(), 0);
        walker.feed(b"}]}").unwrap();
        walker.finish().unwrap();
    }

    #[test]
    fn an_error_tells_the_place_and_stays() {
        let mut walker = Walker::new(
            Rebuild {
                depth: 9,
                ..Rebuild::default()
            },
            0,
        );
        walker.feed(b"[1, ").unwrap();
        let e = walker.feed(b" ?]").unwrap_err();
        assert_eq!(e.to_string(), "no value where one should be at byte 5");
        assert_eq!(walker.feed(b"1]"), Err(e));
        assert_eq!(walker.finish().unwrap_err(), e);
    }
}
