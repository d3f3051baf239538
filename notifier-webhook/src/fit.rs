//! Bodies within a bound.

use notifier_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde_json::Value;

/// The largest body, in bytes. What is larger is cut: the longest texts in it first, and what a unit wrote to its
/// journal at the beginning, since the end tells more.
pub const MAX_BODY: usize = 1024 * 1024;

/// No text is cut below this many bytes: entries of large maps and lists go before.
const SHORT: usize = 512;

/// A name that is longer goes, with what it names, where something must.
const LONG_NAME: usize = 1024;

/// Of a map or list with more entries than this, some may go.
const FEW: usize = 64;

/// The detail whose end is kept.
const JOURNAL: &str = "journal";

/// A value as JSON of at most `max` bytes, and by about how many bytes it was cut.
///
/// What is far too large is not looked at as a whole: a message is made between others.
///
/// # Errors
/// If it is no JSON, which no value of ours is.
pub(crate) fn json(value: &impl Serialize, max: usize) -> Result<(Vec<u8>, usize)> {
    let fault = |e| Error::internal("the body cannot be written as JSON").with_source(e);
    let mut short = serde_json::to_value(value).map_err(fault)?;
    let mut sizes = Sizes::of(&short, max);
    let whole = sizes.least();
    if sizes.level(max) == usize::MAX {
        return Ok((serde_json::to_vec(value).map_err(fault)?, 0));
    }
    if drop_long_names(&mut short) {
        sizes = Sizes::of(&short, max);
    }
    shorten(&mut short, sizes.level(max), false);
    let mut bytes = serde_json::to_vec(&short).map_err(fault)?;
    while bytes.len() > max {
        let mut most = 0;
        count(&short, &mut most);
        if most <= FEW || !halve_first(&mut short, most) {
            break;
        }
        bytes = serde_json::to_vec(&short).map_err(fault)?;
    }
    let missing = whole.saturating_sub(bytes.len()).max(1);
    Ok((bytes, missing))
}

/// A text of at most `max` bytes, and by how many bytes it was cut.
pub(crate) fn text(text: &str, max: usize) -> (String, usize) {
    if text.len() <= max {
        return (text.to_owned(), 0);
    }
    let short = cut(text, max.saturating_sub(MARK), char::len_utf8, false);
    let missing = text.len().saturating_sub(short.len());
    (short, missing)
}

/// What is told of a cut.
pub(crate) fn warning(missing: usize) -> Option<Error> {
    (missing > 0).then(|| {
        Error::new(
            ErrorKind::TooLarge,
            format!("the body was cut by {missing} bytes to {MAX_BODY}"),
        )
    })
}

/// Room for what says how much is missing.
const MARK: usize = 48;

/// What a character takes in a string of JSON, as serde_json writes it.
fn cost(c: char) -> usize {
    match c {
        '"' | '\\' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 2,
        c if c < ' ' => 6,
        c => c.len_utf8(),
    }
}

/// What of a text takes `keep` at most, from its beginning or its end, and how much is missing.
fn cut(text: &str, keep: usize, cost: fn(char) -> usize, from_end: bool) -> String {
    let mut left = keep;
    let mut fits = |c: char| match left.checked_sub(cost(c)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    if from_end {
        let kept = text.chars().rev().take_while(|c| fits(*c));
        let at = text.len() - kept.map(char::len_utf8).sum::<usize>();
        format!("({at} more bytes) …{}", &text[at..])
    } else {
        let kept = text.chars().take_while(|c| fits(*c));
        let at = kept.map(char::len_utf8).sum();
        format!("{}… ({} more bytes)", &text[..at], text.len() - at)
    }
}

/// Takes out what has a name that is too long: half a name is another. Whether there was one.
fn drop_long_names(value: &mut Value) -> bool {
    match value {
        Value::Array(list) => list
            .iter_mut()
            .fold(false, |any, v| drop_long_names(v) | any),
        Value::Object(map) => {
            let before = map.len();
            map.retain(|name, _| name.len() <= LONG_NAME);
            let any = map.len() < before;
            map.values_mut()
                .fold(any, |any, v| drop_long_names(v) | any)
        }
        _ => false,
    }
}

/// What a value takes as JSON.
#[derive(Default)]
struct Sizes {
    /// All but what stands in texts.
    frame: usize,
    /// The bytes of each text.
    plain: Vec<usize>,
    /// What each text takes; of those that are too long anyway only that.
    escaped: Vec<usize>,
}

impl Sizes {
    fn of(value: &Value, max: usize) -> Self {
        let mut sizes = Self::default();
        let mut texts = Vec::new();
        sizes.add(value, &mut texts);
        sizes.plain = texts.iter().map(|text| text.len()).collect();
        let most = level(sizes.plain.clone(), max.saturating_sub(sizes.frame)).min(max);
        sizes.escaped = texts.iter().map(|text| size(text, most)).collect();
        sizes
    }

    fn add<'a>(&mut self, value: &'a Value, texts: &mut Vec<&'a str>) {
        self.frame += match value {
            Value::Null => 4,
            Value::Bool(yes) => 5 - usize::from(*yes),
            Value::Number(n) => n.to_string().len(),
            Value::String(text) => {
                texts.push(text);
                2
            }
            Value::Array(list) => {
                list.iter().for_each(|v| self.add(v, texts));
                2 + list.len().saturating_sub(1)
            }
            Value::Object(map) => {
                map.values().for_each(|v| self.add(v, texts));
                let names: usize = map.keys().map(|name| size(name, usize::MAX) + 3).sum();
                2 + names + map.len().saturating_sub(1)
            }
        };
    }

    /// No more than all takes.
    fn least(&self) -> usize {
        self.frame + self.plain.iter().sum::<usize>()
    }

    /// What the longest texts may take, that all have room.
    fn level(&self, max: usize) -> usize {
        match max.checked_sub(self.frame) {
            Some(room) => level(self.escaped.clone(), room),
            None => SHORT,
        }
    }
}

/// What a text takes; not counted much beyond `most`.
fn size(text: &str, most: usize) -> usize {
    let mut size = 0;
    for c in text.chars() {
        size += cost(c);
        if size > most {
            break;
        }
    }
    size
}

/// What the longest of these may take, that all have room.
fn level(mut texts: Vec<usize>, mut room: usize) -> usize {
    texts.sort_unstable();
    let mut others = texts.len();
    for text in texts {
        if text.saturating_mul(others) > room {
            return (room / others).max(SHORT);
        }
        room -= text;
        others -= 1;
    }
    usize::MAX
}

/// Cuts every text that takes more than `most`.
fn shorten(value: &mut Value, most: usize, from_end: bool) {
    match value {
        Value::String(text) if text.len() > most || size(text, most) > most => {
            *text = cut(text, most.saturating_sub(MARK), cost, from_end);
        }
        Value::Array(list) => list.iter_mut().for_each(|v| shorten(v, most, false)),
        Value::Object(map) => map
            .iter_mut()
            .for_each(|(name, v)| shorten(v, most, name == JOURNAL)),
        _ => {}
    }
}

/// The number of entries of the largest map or list.
fn count(value: &Value, most: &mut usize) {
    match value {
        Value::Array(list) => {
            *most = list.len().max(*most);
            list.iter().for_each(|v| count(v, most));
        }
        Value::Object(map) => {
            *most = map.len().max(*most);
            map.values().for_each(|v| count(v, most));
        }
        _ => {}
    }
}

/// Takes half of the entries from the first map or list of so many.
fn halve_first(value: &mut Value, entries: usize) -> bool {
    match value {
        Value::Array(list) if list.len() == entries => {
            list.truncate(entries / 2);
            true
        }
        Value::Array(list) => list.iter_mut().any(|v| halve_first(v, entries)),
        Value::Object(map) if map.len() == entries => {
            let gone: Vec<String> = map.keys().skip(entries / 2).cloned().collect();
            gone.iter().for_each(|key| {
                map.remove(key);
            });
            true
        }
        Value::Object(map) => map.values_mut().any(|v| halve_first(v, entries)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_fits_stays_as_it_is() {
        let value = json!({"b": "x", "a": [1, "é"]});
        let whole = serde_json::to_vec(&value).unwrap();
        assert_eq!(json(&value, whole.len()).unwrap(), (whole, 0));
    }

    #[test]
    fn the_longest_text_goes_first_and_of_a_journal_the_beginning() {
        let journal: String = (0..2_000).map(|n| format!("line {n}\n")).collect();
        let value = json!({
            "text": "t".repeat(2_000),
            "details": {"journal": journal, "unit": "web.service"},
        });
        let (bytes, missing) = json(&value, 8_000).unwrap();
        assert!(bytes.len() <= 8_000 && missing > 10_000, "{}", bytes.len());
        let short: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(short["text"], value["text"]);
        assert_eq!(short["details"]["unit"], "web.service");
        let journal = short["details"]["journal"].as_str().unwrap();
        assert!(journal.ends_with("line 1999\n"), "{journal}");
        assert!(
            journal.starts_with('(') && journal.contains(" more bytes) …"),
            "{journal}"
        );
    }

    #[test]
    fn many_small_entries_and_long_names_go_too() {
        let mut labels = serde_json::Map::new();
        for n in 0..10_000 {
            labels.insert(format!("label{n}"), json!("x".repeat(20)));
        }
        labels.insert("k".repeat(50_000), json!(1));
        let value = json!({"kind": "failure", "failure": {"labels": labels}});
        let (bytes, _) = json(&value, 20_000).unwrap();
        assert!(bytes.len() <= 20_000);
        let short: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(short["kind"], "failure");
        assert!(!short["failure"]["labels"].as_object().unwrap().is_empty());
    }

    /// Each pass over it takes a while: there are to be few.
    #[test]
    fn many_long_texts_are_cut_at_once() {
        struct Counted(std::cell::Cell<usize>, Value);
        impl Serialize for Counted {
            fn serialize<S: serde::Serializer>(
                &self,
                s: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                self.0.set(self.0.get() + 1);
                self.1.serialize(s)
            }
        }
        let texts: Vec<String> = (0..3_000).map(|n| format!("{n} ").repeat(400)).collect();
        let value = json!({"kind": "failure", "texts": texts, "last": "é\n\u{1}".repeat(90_000)});
        let counted = Counted(0.into(), value);
        let (bytes, _) = json(&counted, MAX_BODY).unwrap();
        assert!(
            bytes.len() <= MAX_BODY && bytes.len() > MAX_BODY / 2,
            "{}",
            bytes.len()
        );
        assert_eq!(counted.0.get(), 1);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let (short, missing) = text(&"é".repeat(500), 200);
        assert!(short.len() <= 200 && missing > 700, "{short}");
        assert!(
            short.ends_with(" more bytes)") && short.starts_with('é'),
            "{short}"
        );
        assert_eq!(text("abc", 3), ("abc".to_owned(), 0));
        let short = cut(&"\u{1}é".repeat(99), 30, cost, true);
        assert!(
            short.ends_with("…é\u{1}é\u{1}é\u{1}é") && short.len() < 60,
            "{short:?}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn sizes_are_what_serde_json_writes(
            texts in proptest::collection::btree_map(".{0,9}", "[\\x00-\\x7f\"\\\\é漢🦀]{0,60}", 0..9),
            list in proptest::collection::vec(any::<i64>(), 0..4),
        ) {
            let value = json!({"a": texts, "b": [list, true, false, null, {}, []], "c": 0.5});
            let whole = serde_json::to_vec(&value).unwrap().len();
            let sizes = Sizes::of(&value, usize::MAX);
            prop_assert_eq!(sizes.frame + sizes.escaped.iter().sum::<usize>(), whole);
            prop_assert_eq!(json(&value, whole).unwrap().1, 0);
            prop_assert!(sizes.level(whole - 1) < usize::MAX);
        }

        #[test]
        fn it_always_fits_and_stays_json(
            texts in proptest::collection::btree_map(".{0,20}", ".{0,3000}", 0..80),
            journal in "(.|\\n){0,9000}",
        ) {
            let value = json!({"kind": "failure", "details": texts, "more": {"journal": journal}});
            let (bytes, missing) = json(&value, 90_000).unwrap();
            prop_assert!(bytes.len() <= 90_000);
            let short: Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(&short["kind"], "failure");
            prop_assert_eq!(missing == 0, short == value);
        }
    }
}
