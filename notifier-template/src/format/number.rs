//! Numbers, and strings in hexadecimal.

use super::Printer;
use crate::text::float::format_float;
use crate::text::is_print;
use crate::text::quote::quote_char;

impl Printer<'_> {
    /// The sign that stands before a number that is not negative.
    fn positive_sign(&self) -> &'static str {
        if self.flags.plus {
            "+"
        } else if self.flags.space {
            " "
        } else {
            ""
        }
    }

    pub(super) fn integer_in_base(&mut self, size: u64, negative: bool, base: u32, verb: char) {
        let mut digits = match base {
            2 => format!("{size:b}"),
            8 => format!("{size:o}"),
            16 if verb == 'X' => format!("{size:X}"),
            16 => format!("{size:x}"),
            _ => size.to_string(),
        };
        let sign = if negative { "-" } else { self.positive_sign() };
        let least = match (self.flags.precision, self.flags.width) {
            (Some(0), width) if size == 0 => {
                let zero = std::mem::take(&mut self.flags.zero);
                self.put_padding(width.unwrap_or(0));
                self.flags.zero = zero;
                return;
            }
            (Some(precision), _) => precision,
            (None, Some(width)) if self.flags.zero => width.saturating_sub(sign.len()),
            _ => 0,
        };
        if !self.room(least) {
            return;
        }
        if least > digits.len() {
            digits.insert_str(0, &"0".repeat(least - digits.len()));
        }
        let prefix = match base {
            2 if self.flags.sharp => "0b",
            8 if self.flags.sharp && !digits.starts_with('0') => "0",
            16 if self.flags.sharp && verb == 'X' => "0X",
            16 if self.flags.sharp => "0x",
            _ => "",
        };
        let octal = if verb == 'O' { "0o" } else { "" };
        self.pad_without_zeros(format!("{sign}{octal}{prefix}{digits}").as_bytes());
    }

    /// A pointer or a length in hexadecimal, with or without `0x`.
    pub(super) fn hexadecimal(&mut self, number: u64, prefixed: bool) {
        let sharp = std::mem::replace(&mut self.flags.sharp, prefixed);
        self.integer_in_base(number, false, 16, 'v');
        self.flags.sharp = sharp;
    }

    pub(super) fn character(&mut self, code: u64) {
        let c = to_char(code);
        self.pad(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    pub(super) fn quoted_character(&mut self, code: u64) {
        let mut text = Vec::new();
        quote_char(to_char(code), self.flags.plus, &mut text);
        self.pad(&text);
    }

    /// `U+0078`, or with `#` also the character.
    pub(super) fn code_point(&mut self, code: u64) {
        let precision = self.flags.precision.unwrap_or(0).max(4);
        if !self.room(precision) {
            return;
        }
        let mut text = format!("U+{code:0precision$X}");
        let c = u32::try_from(code).ok().and_then(char::from_u32);
        if let Some(c) = c.filter(|&c| self.flags.sharp && is_print(c)) {
            text.push_str(&format!(" '{c}'"));
        }
        self.pad_without_zeros(text.as_bytes());
    }

    pub(super) fn float_as(&mut self, value: f64, verb: char, default_precision: Option<usize>) {
        let precision = self.flags.precision.or(default_precision);
        if !self.room(precision.unwrap_or(0)) {
            return;
        }
        let text = format_float(value, verb as u8, precision);
        let negative = text.starts_with('-');
        let mut body = text.trim_start_matches(['+', '-']).to_owned();
        let sign = if negative { "-" } else { self.positive_sign() };
        if !value.is_finite() {
            // Infinity always shows its sign.
            let sign = if value == f64::INFINITY && sign.is_empty() {
                "+"
            } else {
                sign
            };
            self.pad_without_zeros(format!("{sign}{body}").as_bytes());
            return;
        }
        if self.flags.sharp && verb != 'b' {
            body = with_point(&body, verb, precision);
        }
        let length = sign.len() + body.len();
        match self.flags.width {
            Some(width) if !sign.is_empty() && self.flags.zero && width > length => {
                self.put(sign.as_bytes());
                self.put_padding(width - length);
                self.put(body.as_bytes());
            }
            _ => self.pad(format!("{sign}{body}").as_bytes()),
        }
    }

    /// The bytes of a string in hexadecimal.
    pub(super) fn hexadecimal_bytes(&mut self, bytes: &[u8], upper: bool) {
        let bytes = match self.flags.precision {
            Some(precision) if precision < bytes.len() => &bytes[..precision],
            _ => bytes,
        };
        let prefix = match (self.flags.sharp, upper) {
            (false, _) => "",
            (true, false) => "0x",
            (true, true) => "0X",
        };
        if bytes.is_empty() {
            self.put_padding(self.flags.width.unwrap_or(0));
            return;
        }
        let separated = self.flags.space;
        let each = if separated { prefix.len() } else { 0 };
        let length = 2 * bytes.len()
            + if separated {
                each * bytes.len() + bytes.len() - 1
            } else {
                prefix.len()
            };
        let fill = self
            .flags
            .width
            .map_or(0, |width| width.saturating_sub(length));
        if !self.room(length + fill) {
            return;
        }
        if !self.flags.minus {
            self.put_padding(fill);
        }
        for (index, byte) in bytes.iter().enumerate() {
            if index > 0 && separated {
                self.put(b" ");
            }
            if index == 0 || separated {
                self.put(prefix.as_bytes());
            }
            let table = if upper {
                b"0123456789ABCDEF"
            } else {
                b"0123456789abcdef"
            };
            self.put(&[table[usize::from(byte >> 4)], table[usize::from(byte & 15)]]);
        }
        if self.flags.minus {
            self.put_padding(fill);
        }
    }
}

fn to_char(code: u64) -> char {
    u32::try_from(code)
        .ok()
        .and_then(char::from_u32)
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The `#` flag: a decimal point always, and for `%g` the zeros at the end.
fn with_point(body: &str, verb: char, precision: Option<usize>) -> String {
    let hex = matches!(verb, 'x' | 'X');
    let split = body
        .find(if hex { ['p', 'P'] } else { ['e', 'E'] })
        .unwrap_or(body.len());
    let (mantissa, tail) = body.split_at(split);
    let mut out = mantissa.to_owned();
    let mut missing = match verb {
        'g' | 'G' | 'x' => precision.unwrap_or(6),
        _ => 0,
    };
    let mut significant = false;
    for digit in mantissa.chars().filter(|&c| c != '.') {
        significant |= digit != '0';
        if significant {
            missing = missing.saturating_sub(1);
        }
    }
    if !mantissa.contains('.') {
        if mantissa == "0" {
            missing = missing.saturating_sub(1);
        }
        out.push('.');
    }
    out.extend(std::iter::repeat_n('0', missing));
    out + tail
}
