//! Values read however they are written: what is of another type than expected counts as
//! absent, and one that is broken spoils no other.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;

use crate::json::pick;

/// Reads a value as text. Some writers let numbers that are none and bare control
/// characters through: a text that fails is repaired and read once more. So is one with a
/// number that is too large, which fails where no number is expected.
pub(super) fn read<T>(
    body: &[u8],
    parse: impl Fn(&str) -> Result<T, serde_json::Error>,
) -> Result<T, serde_json::Error> {
    let text = String::from_utf8_lossy(body);
    parse(&text).or_else(|e| match repaired(&text) {
        Some(repaired) => parse(&repaired),
        None => Err(e),
    })
}

/// What a text says, if it can be taken as it stands.
pub(super) fn plain(raw: &[u8]) -> Option<&str> {
    let inner = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let is_plain = inner.iter().all(|b| *b >= 0x20 && *b != b'\\');
    str::from_utf8(inner).ok().filter(|_| is_plain)
}

/// What a value says as text, if it can be read.
pub(super) fn string(raw: &[u8]) -> String {
    if let Some(plain) = plain(raw) {
        return plain.to_owned();
    }
    let read = read(raw, |t| {
        serde_json::from_str::<Text<'_>>(t).map(String::from)
    });
    read.unwrap_or_default()
}

/// What a value says as an id, if it can be read: text, or an object with the text as its
/// `value`.
pub(super) fn id(raw: &[u8]) -> String {
    if !raw.starts_with(b"{") {
        return string(raw);
    }
    match pick(raw, ["value"]) {
        Some([Some(value)]) => string(value),
        _ => String::new(),
    }
}

/// Labels, unless they cannot be read.
pub(super) fn labels(raw: &[u8]) -> Option<BTreeMap<String, String>> {
    let read = read(raw, |t| serde_json::from_str::<Labels>(t));
    read.ok().map(|labels| labels.0)
}

/// A value as a number.
pub(super) fn number(raw: &[u8]) -> Number {
    read(raw, |t| serde_json::from_str(t)).unwrap_or_default()
}

/// The text with `null` for `nan` and `inf` in all their spellings and for numbers that are too
/// large, and spaces for bare control characters within strings; `None` if there are none of
/// these. Nothing is added or closed: what was cut short stays so.
fn repaired(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    // Up to here the text is in `out`.
    let mut done = 0;
    let (mut in_string, mut at) = (false, 0);
    while at < bytes.len() {
        let byte = bytes[at];
        if in_string {
            match byte {
                b'\\' => at += 1,
                b'"' => in_string = false,
                0..0x20 => {
                    out.push_str(&text[done..at]);
                    out.push(' ');
                    done = at + 1;
                }
                _ => {}
            }
            at += 1;
            // An escaped control character is two mistakes: not repaired.
        } else if byte == b'"' {
            in_string = true;
            at += 1;
        } else if byte == b'-' || byte.is_ascii_alphanumeric() {
            let is_word = |b: &u8| matches!(b, b'-' | b'+' | b'.') || b.is_ascii_alphanumeric();
            let end = at + bytes[at..].iter().take_while(|b| is_word(b)).count();
            // These words, and numbers that are too large.
            let number = text[at..end].trim_start_matches('-').parse::<f64>();
            if number.is_ok_and(|n| !n.is_finite()) {
                out.push_str(&text[done..at]);
                out.push_str("null");
                done = end;
            }
            at = end;
        } else {
            at += 1;
        }
    }
    (done > 0).then(|| {
        out.push_str(&text[done..]);
        out
    })
}

/// Text. Numbers and truth values are taken as text, all else as the empty text.
#[derive(Default)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl Text<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Text<'_>> for String {
    fn from(text: Text<'_>) -> Self {
        text.0.into_owned()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        Ok(match raw.as_bytes().first() {
            Some(b'"') => Self(text(raw)),
            Some(b'-' | b'0'..=b'9') => Self(digits(raw)),
            Some(b't' | b'f') => Self(raw.into()),
            _ => Self::default(),
        })
    }
}

impl Text<'_> {
    /// What it says, unless that is nothing.
    pub(super) fn told(self) -> Option<String> {
        (!self.is_empty()).then(|| self.into())
    }
}

/// True or false, also as text.
#[derive(Default)]
pub(super) struct Flag(pub(super) Option<bool>);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Text::deserialize(deserializer)?.0.parse().ok()))
    }
}

/// What a string in quotes says. Half of a surrogate pair is replaced.
fn text(raw: &str) -> Cow<'_, str> {
    struct Lossy;
    impl Visitor<'_> for Lossy {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }
        fn visit_bytes<E>(self, v: &[u8]) -> Result<Self::Value, E> {
            Ok(String::from_utf8_lossy(v).into_owned())
        }
    }
    let inner = raw
        .strip_prefix('"')
        .and_then(|r| r.strip_suffix('"'))
        .unwrap_or_default();
    if !inner.contains('\\') {
        return inner.into();
    }
    let whole = serde_json::from_str::<String>(raw);
    whole
        .or_else(|_| serde_json::Deserializer::from_str(raw).deserialize_bytes(Lossy))
        .unwrap_or_default()
        .into()
}

/// A number as text: an integer as it is written, however large.
fn digits(raw: &str) -> Cow<'_, str> {
    match raw.parse::<f64>() {
        Ok(n) if raw.contains(['.', 'e', 'E']) && n.is_finite() => n.to_string().into(),
        _ => raw.into(),
    }
}

/// A number, also one written as text.
#[derive(Clone, Copy, Default)]
pub(super) struct Number(pub(super) Option<f64>);

impl Number {
    pub(super) fn port(self) -> Option<u16> {
        let n = self.0?;
        (n.fract() == 0.0 && (1.0..=65535.0).contains(&n)).then_some(n as u16)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let parsed = match raw.as_bytes().first() {
            Some(b'"') => text(raw).trim().parse().ok(),
            Some(b'-' | b'0'..=b'9') => raw.parse().ok(),
            _ => None,
        };
        Ok(Self(parsed.filter(|n: &f64| n.is_finite())))
    }
}

fn drain_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn drain_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// The visits at which a visitor of objects or lists finds something else.
macro_rules! nothing {
    ($($visit:ident($t:ty)),*) => {
        $(fn $visit<E>(self, _: $t) -> Result<Self::Value, E> { Ok(Self::Value::default()) })*
        fn visit_unit<E>(self) -> Result<Self::Value, E> { Ok(Self::Value::default()) }
    };
}

/// An object, or nothing.
pub(super) struct Object<T>(pub(super) Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            nothing!(
                visit_bool(bool),
                visit_i64(i64),
                visit_u64(u64),
                visit_f64(f64),
                visit_str(&str)
            );
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                drain_seq(seq)?;
                Ok(Object(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|t| Object(Some(t)))
            }
        }
        deserializer.deserialize_any(V(PhantomData))
    }
}

/// Of a list at least so many elements are kept.
const KEPT: usize = 64;

/// A list of objects, or nothing. Elements that are no objects are left out, and so are some
/// between the first one and the last ones if there are far more than anybody asks for: many
/// small ones take a hundred times the memory of their text.
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut list = Vec::new();
        elements(deserializer, |Object(element): Object<T>| {
            list.extend(element);
            if list.len() == 2 * KEPT {
                list.drain(1..=KEPT);
            }
        })?;
        Ok(Self(list))
    }
}

/// Hands on the elements of a list; none if it is something else.
fn elements<'de, D, T, F>(deserializer: D, take: F) -> Result<(), D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
    F: FnMut(T),
{
    struct V<T, F>(F, PhantomData<T>);
    impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for V<T, F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }
        nothing!(
            visit_bool(bool),
            visit_i64(i64),
            visit_u64(u64),
            visit_f64(f64),
            visit_str(&str)
        );
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
            while let Some(element) = seq.next_element()? {
                (self.0)(element);
            }
            Ok(())
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
            drain_map(map)
        }
    }
    deserializer.deserialize_any(V(take, PhantomData))
}

/// A list of objects, or nothing, of which each is read by itself: one that is broken spoils
/// no other.
pub(super) struct Each<T>(pub(super) Vec<T>);

impl<T> Default for Each<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Each<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut each = Vec::new();
        elements(deserializer, |raw: &'de RawValue| {
            each.extend(object(raw.get()).ok().flatten());
        })?;
        Ok(Self(each))
    }
}

/// What a text is, if it is an object.
pub(super) fn object<'a, T: Deserialize<'a>>(
    text: &'a str,
) -> Result<Option<T>, serde_json::Error> {
    serde_json::from_str::<Object<T>>(text).map(|object| object.0)
}

/// Labels: a list of `{key, value}`, of which the last with the same key holds. Some
/// answers have the list below another `labels`.
#[derive(Default)]
pub(super) struct Labels(pub(super) BTreeMap<String, String>);

#[derive(Default, Deserialize)]
#[serde(default)]
struct LabelJson<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    value: Text<'a>,
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Labels;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }
            nothing!(
                visit_bool(bool),
                visit_i64(i64),
                visit_u64(u64),
                visit_f64(f64),
                visit_str(&str)
            );
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut labels = BTreeMap::new();
                while let Some(Object(label)) = seq.next_element::<Object<LabelJson<'de>>>()? {
                    if let Some(label) = label.filter(|l| !l.key.is_empty()) {
                        labels.insert(label.key.into(), label.value.into());
                    }
                }
                Ok(Labels(labels))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut labels = BTreeMap::new();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    if key == "labels" {
                        labels.extend(map.next_value::<Labels>()?.0);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Labels(labels))
            }
        }
        deserializer.deserialize_any(V)
    }
}
