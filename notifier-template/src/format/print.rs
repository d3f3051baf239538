//! Values under verbs.

use super::Printer;
use crate::error::Trouble;
use crate::text::quote::{can_backquote, quote};
use crate::text::runes;
use crate::time::{Time, Zone};
use crate::value::{Integer, Object, Value};

/// What Go would print for a pointer: any address is as good as another of its size.
fn address(value: &Value) -> u64 {
    match value {
        Value::Function(_) => 0x51_2a60,
        Value::Location(_) => 0x64_7800,
        _ => 0xc0_0001_40a0,
    }
}

/// A field of a struct that is printed without its methods.
enum Raw {
    Value(Value),
    /// A `*time.Location` that is set.
    Location(Value),
    /// A nil pointer of this type.
    Nil(&'static str),
    /// A nil slice of this type.
    Slice(&'static str),
}

impl Printer<'_> {
    /// An operand of a verb.
    pub(super) fn argument(&mut self, value: &Value, verb: char) {
        match (value, verb) {
            (Value::Nil, 'T' | 'v') => self.pad(b"<nil>"),
            (Value::Nil, _) => self.bad_nil(verb),
            (_, 'T') => self.string(value.type_name().as_bytes()),
            (_, 'p') => self.pointer_or_bad(value, verb),
            (Value::Bytes(bytes), _) => self.bytes(bytes, verb, "[]byte"),
            _ => {
                if is_basic(value) || !self.by_method(value, verb) {
                    self.value(value, verb, 0);
                }
            }
        }
    }

    fn bad_nil(&mut self, verb: char) {
        self.put(b"%!");
        self.put_char(verb);
        self.put(b"(<nil>)");
    }

    fn bad_verb(&mut self, value: &Value, verb: char) {
        self.put(b"%!");
        self.put_char(verb);
        self.put(b"(");
        self.put(value.type_name().as_bytes());
        self.put(b"=");
        let before = std::mem::replace(&mut self.erroring, true);
        self.argument(value, 'v');
        self.erroring = before;
        self.put(b")");
    }

    /// Lets the value print itself, if it can and the verb allows.
    fn by_method(&mut self, value: &Value, verb: char) -> bool {
        if self.erroring {
            return false;
        }
        if verb == 'w' {
            self.bad_verb(value, verb);
            return true;
        }
        if self.flags.sharp_v {
            if let Value::Time(time) = value {
                self.string(time.go_string().as_bytes());
                return true;
            }
            return false;
        }
        if !matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') {
            return false;
        }
        let text = match value {
            Value::Time(time) => time.to_string(),
            Value::Duration(duration) => duration.to_string(),
            Value::Month(month) => month.to_string(),
            Value::Weekday(day) => day.to_string(),
            Value::Location(zone) => zone.name(),
            Value::Object(object) => object.to_text(),
            _ => return false,
        };
        self.text(text.as_bytes(), verb);
        true
    }

    fn value(&mut self, value: &Value, verb: char, depth: usize) {
        if self.trouble.is_some() {
            return;
        }
        if depth > self.limits.depth {
            self.trouble = Some(Trouble::limit(format!(
                "data nested deeper than {}",
                self.limits.depth
            )));
            return;
        }
        if depth > 0 && !matches!(value, Value::Nil) && self.by_method(value, verb) {
            return;
        }
        match value {
            Value::Nil if self.flags.sharp_v => self.put(b"interface {}(nil)"),
            Value::Nil => self.put(b"<nil>"),
            Value::Bool(flag) => match verb {
                't' | 'v' => self.pad(if *flag { b"true" } else { b"false" }),
                _ => self.bad_verb(value, verb),
            },
            Value::Float(number) => self.float(value, *number, verb),
            Value::Complex(re, im) => self.complex(value, *re, *im, verb),
            Value::String(_) | Value::RawString(_) => {
                let bytes = value.as_string_bytes().unwrap_or_default();
                match verb {
                    'v' | 's' | 'x' | 'X' | 'q' => self.text(bytes, verb),
                    _ => self.bad_verb(value, verb),
                }
            }
            Value::Bytes(bytes) => self.bytes(bytes, verb, "[]uint8"),
            Value::List(list) => {
                self.open(value, "[");
                for (index, item) in list.iter().enumerate() {
                    self.separate(index);
                    self.value(item, verb, depth + 1);
                }
                self.close("]");
            }
            Value::Map(map) => {
                self.open(value, "map[");
                for (index, (key, item)) in map.iter().enumerate() {
                    self.entry(index, key, verb);
                    self.value(item, verb, depth + 1);
                }
                self.close("]");
            }
            Value::Labels(map) => {
                self.open(value, "map[");
                for (index, (key, item)) in map.iter().enumerate() {
                    self.entry(index, key, verb);
                    self.value(&Value::from(item), verb, depth + 1);
                }
                self.close("]");
            }
            Value::Time(time) => self.structure("time.Time", raw_time(time), verb, depth),
            Value::Location(zone) => self.location(value, zone, verb, depth),
            Value::Object(object) => self.object(&**object, verb, depth),
            Value::Function(_) => self.pointer_or_bad(value, verb),
            Value::Int(_)
            | Value::Int64(_)
            | Value::Uint(_)
            | Value::Byte(_)
            | Value::Duration(_)
            | Value::Month(_)
            | Value::Weekday(_) => {
                if let Some(integer) = value.as_integer() {
                    self.integer(value, integer, verb);
                }
            }
        }
    }

    fn open(&mut self, value: &Value, plain: &str) {
        if self.flags.sharp_v {
            self.put(value.type_name().as_bytes());
            self.put(b"{");
        } else {
            self.put(plain.as_bytes());
        }
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.put(if self.flags.sharp_v { b", " } else { b" " });
        }
    }

    fn entry(&mut self, index: usize, key: &str, verb: char) {
        self.separate(index);
        self.value(&Value::from(key), verb, 1);
        self.put(b":");
    }

    fn close(&mut self, plain: &str) {
        self.put(if self.flags.sharp_v {
            b"}"
        } else {
            plain.as_bytes()
        });
    }

    fn object(&mut self, object: &dyn Object, verb: char, depth: usize) {
        let fields = object
            .fields()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Raw::Value(value)))
            .collect();
        self.structure(object.type_name(), fields, verb, depth);
    }

    fn structure(&mut self, name: &str, fields: Vec<(String, Raw)>, verb: char, depth: usize) {
        if self.flags.sharp_v {
            self.put(name.as_bytes());
        }
        self.put(b"{");
        for (index, (name, field)) in fields.iter().enumerate() {
            self.separate(index);
            if self.flags.sharp_v || self.flags.plus_v {
                self.put(name.as_bytes());
                self.put(b":");
            }
            match field {
                Raw::Slice(type_name) if self.flags.sharp_v => {
                    self.put(format!("{type_name}(nil)").as_bytes())
                }
                Raw::Slice(_) => self.put(b"[]"),
                Raw::Value(value) => self.value(value, verb, depth + 1),
                Raw::Location(value) => self.pointer_or_bad(value, verb),
                Raw::Nil(type_name) => {
                    if !self.pointer(type_name, None, verb) {
                        self.put(b"%!");
                        self.put_char(verb);
                        self.put(format!("({type_name}=").as_bytes());
                        self.pad(b"<nil>");
                        self.put(b")");
                    }
                }
            }
        }
        self.put(b"}");
    }

    fn location(&mut self, value: &Value, zone: &Zone, verb: char, depth: usize) {
        if depth > 0 {
            self.pointer_or_bad(value, verb);
            return;
        }
        let text = |text: &str| Raw::Value(Value::from(text));
        let fields = vec![
            ("name".to_owned(), text(&zone.name())),
            ("zone".to_owned(), Raw::Slice("[]time.zone")),
            ("tx".to_owned(), Raw::Slice("[]time.zoneTrans")),
            ("extend".to_owned(), text("")),
            ("cacheStart".to_owned(), Raw::Value(Value::Int64(0))),
            ("cacheEnd".to_owned(), Raw::Value(Value::Int64(0))),
            ("cacheZone".to_owned(), Raw::Nil("*time.zone")),
        ];
        self.put(b"&");
        self.structure("time.Location", fields, verb, depth + 1);
    }

    fn pointer_or_bad(&mut self, value: &Value, verb: char) {
        let points = matches!(
            value,
            Value::Bytes(_)
                | Value::List(_)
                | Value::Map(_)
                | Value::Labels(_)
                | Value::Function(_)
                | Value::Location(_)
        );
        if !points || !self.pointer(value.type_name(), Some(address(value)), verb) {
            self.bad_verb(value, verb);
        }
    }

    /// Prints an address; `false` if the verb prints none.
    fn pointer(&mut self, type_name: &str, address: Option<u64>, verb: char) -> bool {
        let number = address.unwrap_or(0);
        match verb {
            'v' if self.flags.sharp_v => {
                self.put(format!("({type_name})(").as_bytes());
                match address {
                    Some(address) => self.hexadecimal(address, true),
                    None => self.put(b"nil"),
                }
                self.put(b")");
            }
            'v' if address.is_none() => self.pad(b"<nil>"),
            'v' | 'p' => self.hexadecimal(number, !self.flags.sharp),
            'b' => self.integer_in_base(number, false, 2, verb),
            'o' => self.integer_in_base(number, false, 8, verb),
            'd' => self.integer_in_base(number, false, 10, verb),
            'x' | 'X' => self.integer_in_base(number, false, 16, verb),
            _ => return false,
        }
        true
    }

    fn integer(&mut self, value: &Value, integer: Integer, verb: char) {
        let (size, negative, bits) = match integer {
            Integer::Signed(number) => (number.unsigned_abs(), number < 0, number as u64),
            Integer::Unsigned(number) => (number, false, number),
        };
        match verb {
            'v' if self.flags.sharp_v && matches!(integer, Integer::Unsigned(_)) => {
                self.hexadecimal(size, true)
            }
            'v' | 'd' => self.integer_in_base(size, negative, 10, verb),
            'b' => self.integer_in_base(size, negative, 2, verb),
            'o' | 'O' => self.integer_in_base(size, negative, 8, verb),
            'x' | 'X' => self.integer_in_base(size, negative, 16, verb),
            'c' => self.character(bits),
            'q' => self.quoted_character(bits),
            'U' => self.code_point(bits),
            _ => self.bad_verb(value, verb),
        }
    }

    fn float(&mut self, value: &Value, number: f64, verb: char) {
        if is_float_verb(verb) {
            self.float_by(number, verb)
        } else {
            self.bad_verb(value, verb)
        }
    }

    fn float_by(&mut self, number: f64, verb: char) {
        match verb {
            'v' => self.float_as(number, 'g', None),
            'b' | 'g' | 'G' | 'x' | 'X' => self.float_as(number, verb, None),
            'F' => self.float_as(number, 'f', Some(6)),
            _ => self.float_as(number, verb, Some(6)),
        }
    }

    fn complex(&mut self, value: &Value, re: f64, im: f64, verb: char) {
        if !is_float_verb(verb) {
            self.bad_verb(value, verb);
            return;
        }
        self.put(b"(");
        self.float_by(re, verb);
        let plus = std::mem::replace(&mut self.flags.plus, true);
        self.float_by(im, verb);
        self.flags.plus = plus;
        self.put(b"i)");
    }

    /// The start of the text that the precision leaves.
    fn cut<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        match self.flags.precision {
            Some(precision) => match runes(text).nth(precision) {
                Some((at, _)) => &text[..at],
                None => text,
            },
            None => text,
        }
    }

    fn string(&mut self, text: &[u8]) {
        self.pad(self.cut(text));
    }

    fn text(&mut self, text: &[u8], verb: char) {
        match verb {
            'x' | 'X' => self.hexadecimal_bytes(text, verb == 'X'),
            'q' => self.quoted(text),
            'v' if self.flags.sharp_v => self.quoted(text),
            _ => self.string(text),
        }
    }

    fn quoted(&mut self, text: &[u8]) {
        let text = self.cut(text);
        if !self.room(text.len()) {
            return;
        }
        let mut out = Vec::with_capacity(text.len() + 2);
        if self.flags.sharp && can_backquote(text) {
            out.push(b'`');
            out.extend_from_slice(text);
            out.push(b'`');
        } else {
            quote(text, self.flags.plus, &mut out);
        }
        self.pad(&out);
    }

    fn bytes(&mut self, bytes: &[u8], verb: char, type_name: &str) {
        match verb {
            's' => self.string(bytes),
            'x' | 'X' => self.hexadecimal_bytes(bytes, verb == 'X'),
            'q' => self.quoted(bytes),
            _ => {
                let go_syntax = self.flags.sharp_v;
                if go_syntax {
                    self.put(type_name.as_bytes());
                }
                self.put(if go_syntax { b"{" } else { b"[" });
                for (index, &byte) in bytes.iter().enumerate() {
                    self.separate(index);
                    self.value(&Value::Byte(byte), verb, 1);
                }
                self.put(if go_syntax { b"}" } else { b"]" });
            }
        }
    }
}

/// Types that Go prints without asking for methods.
fn is_basic(value: &Value) -> bool {
    matches!(
        value,
        Value::Bool(_)
            | Value::Int(_)
            | Value::Int64(_)
            | Value::Uint(_)
            | Value::Byte(_)
            | Value::Float(_)
            | Value::Complex(..)
            | Value::String(_)
            | Value::RawString(_)
    )
}

fn is_float_verb(verb: char) -> bool {
    matches!(
        verb,
        'v' | 'b' | 'g' | 'G' | 'x' | 'X' | 'f' | 'F' | 'e' | 'E'
    )
}

fn raw_time(time: &Time) -> Vec<(String, Raw)> {
    let location = match time.zone() {
        Zone::Utc => Raw::Nil("*time.Location"),
        zone => Raw::Location(Value::Location(zone.clone())),
    };
    let seconds = Value::Int64(time.seconds_since_year_one());
    vec![
        (
            "wall".to_owned(),
            Raw::Value(Value::Uint(time.nanosecond().into())),
        ),
        ("ext".to_owned(), Raw::Value(seconds)),
        ("loc".to_owned(), location),
    ]
}
