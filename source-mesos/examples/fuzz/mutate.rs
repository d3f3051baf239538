//! Texts made worse.

use fastrand::Rng;

use super::text;

const TOKENS: &[&str] = &[
    "\"",
    "\\",
    "\\\"",
    "\\\\",
    "\\u",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "null",
    "true",
    "nan",
    "-Infinity",
    "1e999",
    "-",
    "0",
    "{}",
    "[]",
    "\"\"",
    "\n",
    "\0",
    "\u{feff}",
    "\"type\":\"SUBSCRIBED\",",
    "\"type\":\"TASK_UPDATED\",",
    "\"subscribed\":{},",
    "\"get_state\":{},",
    "\"get_tasks\":{\"tasks\":[{}]},",
    "\"frameworks\":[],",
    "\"frameworks\":[{\"tasks\":[{}]}],",
    "\"completed_frameworks\":[{}],",
    "\"id\":\"x\",",
    "\"id\":{\"value\":\"x\"},",
    "\"state\":\"TASK_FAILED\",",
    "\"statuses\":[{}],",
    "\"labels\":[{}],",
    "\"container_id\":{\"parent\":{}},",
    "4294967296\n",
    "18446744073709551616\n",
    "0\n",
];

/// What is repeated until it is large.
const SMALL: &[&str] = &[
    "{},",
    "0,",
    "\"\",",
    "[],",
    "{\"id\":\"\\u0061\",\"state\":\"TASK_LOST\"},",
    "{\"task_id\":\"a\",\"state\":\"TASK_LOST\"},",
    "{\"id\":\"a\"},",
    "{\"state\":\"TASK_LOST\"},",
    "{\"key\":\"a\"},",
    "{\"executor_id\":\"a\"},",
    "{\"id\":\"a\",\"directory\":\"/\"},",
    "{\"agent_info\":{\"id\":\"a\"}},",
    "{\"executor_info\":{\"executor_id\":\"a\"}},",
    "\\n",
    " ",
    "x",
];

/// Larger texts are not made.
pub(crate) const MAX: usize = 6 << 20;

/// One change, with parts of another text.
pub(crate) fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    let (a, b) = (rng.usize(0..=bytes.len()), rng.usize(0..=bytes.len()));
    let (a, b) = (a.min(b), a.max(b));
    match rng.u8(..16) {
        0 | 1 if a < bytes.len() => bytes[a] = rng.u8(..),
        2 if a < bytes.len() => {
            bytes.remove(a);
        }
        3 => insert(bytes, a, &[rng.u8(..)]),
        4 => bytes.truncate(b),
        5 => {
            bytes.drain(a..b.min(a + 200));
        }
        6 => {
            let again = bytes[a..b.min(a + 2000)].repeat(rng.usize(1..20));
            insert(bytes, b, &again);
        }
        7 => {
            let at = rng.usize(0..=other.len());
            bytes.truncate(a);
            bytes.extend_from_slice(&other[at..]);
        }
        8 => {
            let at = rng.usize(0..=other.len());
            let part = &other[at..other.len().min(at + 300)];
            insert(bytes, a, part);
        }
        9 => at_a_border(rng, bytes),
        10 => deepen(rng, bytes, a),
        11 => {
            let long = match rng.u8(..3) {
                0 => text::word(rng).repeat(rng.usize(1..2000)),
                1 => "9".repeat(rng.usize(1..2000)),
                _ => "\\\\".repeat(rng.usize(1..200)),
            };
            insert(bytes, a, long.as_bytes());
        }
        12 => {
            let bad = [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f"];
            insert(bytes, a, bad[rng.usize(..bad.len())]);
        }
        13 => replace_value(rng, bytes, a),
        _ => insert(bytes, a, TOKENS[rng.usize(..TOKENS.len())].as_bytes()),
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    if bytes.len() + part.len() <= MAX {
        bytes.splice(at..at, part.iter().copied());
    }
}

/// Quotes and backslashes where a block of 16 or 64 bytes ends that began with a value.
fn at_a_border(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|i| matches!(bytes[*i], b'{' | b'[' | b'"'))
        .collect();
    let start = match starts.len() {
        0 => 0,
        n => starts[rng.usize(..n)] + 1,
    };
    let block = if rng.bool() { 64 } else { 16 };
    let at = start + block * rng.usize(1..4) - rng.usize(0..3);
    let mark: &[&[u8]] = &[
        b"\"", b"\\", b"\\\\", b"\\\\\\", b"\\\"", b"\"\"", b"]", b"}",
    ];
    insert(bytes, at.min(bytes.len()), mark[rng.usize(..mark.len())]);
}

fn deepen(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let (open, close) = match rng.u8(..4) {
        0 => ("[", "]"),
        1 => ("{\"a\":", "}"),
        2 => ("{\"parent\":", "}"),
        _ => ("{\"labels\":", "}"),
    };
    let depth = match rng.u8(..10) {
        0 => rng.usize(1..100_000),
        _ => rng.usize(1..300),
    };
    let mut deep = open.repeat(depth);
    if rng.bool() {
        deep.push_str("null");
        deep.push_str(&close.repeat(depth));
    }
    insert(bytes, at, deep.as_bytes());
}

/// Another value after a colon.
fn replace_value(rng: &mut Rng, bytes: &mut Vec<u8>, from: usize) {
    let Some(colon) = bytes[from..].iter().position(|b| *b == b':') else {
        return;
    };
    let start = from + colon + 1;
    let end = bytes[start..]
        .iter()
        .position(|b| matches!(b, b',' | b'}' | b']'))
        .map_or(bytes.len(), |n| start + n);
    let value = text::anything(rng, 4).write(rng);
    bytes.splice(start..end, value);
}

/// Something small within a list, most often one that is read, until it is large.
pub(crate) fn inflate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    const READ: [&[u8]; 6] = [
        b"statuses\"",
        b"labels\"",
        b"tasks\"",
        b"executors\"",
        b"frameworks\"",
        b"agents\"",
    ];
    let key = READ[rng.usize(..READ.len())];
    let is_read = |at: &usize| bytes[..*at].ends_with(key) || bytes[..*at - 1].ends_with(key);
    let lists: Vec<usize> = (0..bytes.len()).filter(|i| bytes[*i] == b'[').collect();
    let read: Vec<usize> = lists
        .iter()
        .copied()
        .filter(|i| *i > 0)
        .filter(is_read)
        .collect();
    let lists = if read.is_empty() || rng.u8(..4) == 0 {
        lists
    } else {
        read
    };
    let at = match lists.len() {
        0 => rng.usize(0..=bytes.len()),
        n => lists[rng.usize(..n)] + 1,
    };
    let small = SMALL[match rng.u8(..4) {
        0 => 0,
        _ => rng.usize(..SMALL.len()),
    }];
    let size = match rng.u8(..16) {
        0 => rng.usize(300_000..MAX - 1_000_000),
        _ => rng.usize(20_000..300_000),
    };
    let mut many = small.repeat(size / small.len());
    if small.ends_with(',') && bytes.get(at) == Some(&b']') {
        many.pop();
    }
    insert(bytes, at, many.as_bytes());
}
