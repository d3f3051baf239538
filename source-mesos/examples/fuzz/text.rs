//! JSON written as somebody might write it: in any order, with any spaces and escapes.

use fastrand::Rng;

/// A value to be written.
#[derive(Clone, Debug)]
pub(crate) enum Json {
    /// As it stands.
    Raw(String),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Json {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn raw(text: impl ToString) -> Self {
        Self::Raw(text.to_string())
    }

    pub(crate) fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Object(members.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// Members in another order, and some that nobody asked for.
    pub(crate) fn stirred(mut self, rng: &mut Rng) -> Self {
        if let Self::Object(members) = &mut self {
            for i in 0..rng.usize(0..3) {
                members.push((format!("x{i}{}", word(rng)), anything(rng, 3)));
            }
            if rng.bool() {
                rng.shuffle(members);
            }
        }
        self
    }

    pub(crate) fn write(&self, rng: &mut Rng) -> Vec<u8> {
        let mut writer = Writer {
            spaces: if rng.u8(..3) == 0 { 3 } else { 0 },
            escapes: rng.u8(..3) == 0,
            out: String::new(),
            rng,
        };
        if writer.rng.u8(..20) == 0 {
            writer.out.push('\u{feff}');
        }
        writer.value(self);
        writer.space();
        writer.out.into_bytes()
    }
}

struct Writer<'r> {
    out: String,
    /// Up to so many between tokens.
    spaces: usize,
    /// Also what need not be escaped.
    escapes: bool,
    rng: &'r mut Rng,
}

impl Writer<'_> {
    fn space(&mut self) {
        for _ in 0..self.rng.usize(0..=self.spaces) {
            let space = self.rng.choice([' ', '\n', '\t', '\r']);
            self.out.extend(space);
        }
    }

    fn token(&mut self, token: char) {
        self.space();
        self.out.push(token);
        self.space();
    }

    fn value(&mut self, value: &Json) {
        self.space();
        match value {
            Json::Raw(raw) => self.out.push_str(raw),
            Json::Text(text) => self.text(text),
            Json::List(list) => {
                self.token('[');
                for (i, value) in list.iter().enumerate() {
                    if i > 0 {
                        self.token(',');
                    }
                    self.value(value);
                }
                self.token(']');
            }
            Json::Object(members) => {
                self.token('{');
                for (i, (key, value)) in members.iter().enumerate() {
                    if i > 0 {
                        self.token(',');
                    }
                    self.text(key);
                    self.token(':');
                    self.value(value);
                }
                self.token('}');
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '/' if self.rng.bool() => self.out.push_str("\\/"),
                '\0'..'\x20' => self.units(c),
                _ if self.escapes && self.rng.u8(..8) == 0 => self.units(c),
                _ => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    fn units(&mut self, c: char) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            self.out.push_str(&match self.rng.bool() {
                true => format!("\\u{unit:04x}"),
                false => format!("\\u{unit:04X}"),
            });
        }
    }
}

/// A short text without meaning.
pub(crate) fn word(rng: &mut Rng) -> String {
    (0..rng.usize(1..8)).map(|_| rng.lowercase()).collect()
}

/// Text full of what has a meaning elsewhere.
pub(crate) fn text(rng: &mut Rng) -> String {
    const PIECES: &[&str] = &[
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "/",
        "\n",
        "\t",
        "\u{1}",
        "é",
        "😀",
        "\u{10ffff}",
        "\u{feff}",
        "null",
        "nan",
        "-inf",
        " ",
        "\\u0041",
        "\"}]",
        "\u{7f}",
    ];
    let mut out = String::new();
    let pieces = match rng.u8(..100) {
        0 => rng.usize(20..100),
        1..50 => 0,
        _ => rng.usize(1..8),
    };
    for _ in 0..pieces {
        if rng.bool() {
            out.push_str(PIECES[rng.usize(..PIECES.len())]);
        } else {
            out.push_str(&word(rng));
        }
    }
    out
}

/// A number as JSON allows it, or as some writers do.
pub(crate) fn number(rng: &mut Rng) -> String {
    match rng.u8(..8) {
        0 => rng.i64(..).to_string(),
        1 => format!("{}e{}", rng.i32(..), rng.i16(..)),
        2 => format!("-0.{}E+{}", rng.u64(..), rng.u8(..)),
        3 => "9".repeat(rng.usize(1..80)),
        4 => rng
            .choice(["nan", "-nan", "inf", "-Infinity", "0", "-0"])
            .unwrap_or("0")
            .to_owned(),
        _ => (f64::from(rng.i32(-100_000..100_000)) / 8.0).to_string(),
    }
}

/// Any value, so deep at most.
pub(crate) fn anything(rng: &mut Rng, depth: usize) -> Json {
    let count = rng.usize(0..4);
    match rng.u8(..if depth == 0 { 5 } else { 8 }) {
        0 | 1 => Json::Text(text(rng)),
        2 => Json::Raw(number(rng)),
        3 => Json::raw(rng.bool()),
        4 => Json::raw("null"),
        5 | 6 => Json::Object(
            (0..count)
                .map(|_| (text(rng), anything(rng, depth - 1)))
                .collect(),
        ),
        _ => Json::List((0..count).map(|_| anything(rng, depth - 1)).collect()),
    }
}
