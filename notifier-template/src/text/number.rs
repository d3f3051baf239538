//! Numbers as Go's source text writes them.

/// A numeric constant: everything it may be taken for, since Go decides by the place
/// where it is used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Number {
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    pub(crate) complex: Option<(f64, f64)>,
    /// Whether the text looks like a floating-point number.
    pub(crate) floating: bool,
}

impl Number {
    pub(crate) fn from_char(code: u32) -> Self {
        Self {
            int: Some(i64::from(code)),
            uint: Some(u64::from(code)),
            float: Some(f64::from(code)),
            ..Self::default()
        }
    }

    fn from_complex(re: f64, im: f64) -> Self {
        let mut number = Self {
            complex: Some((re, im)),
            ..Self::default()
        };
        if im == 0.0 {
            number.float = Some(re);
            number.int = whole_int(re);
            number.uint = whole_uint(re);
        }
        number
    }

    /// Reads what the lexer took for a number.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(head) = text.strip_suffix('i') {
            if let Some(split) = head
                .rfind(['+', '-'])
                .filter(|&at| at > 0 && !is_exponent_sign(head, at))
            {
                let (re, im) = head.split_at(split);
                return match (parse_float(re), parse_float(im)) {
                    (Some(re), Some(im)) => Ok(Self::from_complex(re, im)),
                    _ => Err(illegal(text)),
                };
            }
            if let Some(im) = parse_float(head) {
                return Ok(Self::from_complex(0.0, im));
            }
        }
        let magnitude = parse_magnitude(text.strip_prefix(['+', '-']).unwrap_or(text));
        let mut number = Self {
            floating: looks_floating(text),
            ..Self::default()
        };
        if let Some(magnitude) = magnitude {
            if !text.starts_with(['+', '-']) {
                number.uint = Some(magnitude);
            }
            number.int = if text.starts_with('-') {
                0i64.checked_sub_unsigned(magnitude)
            } else {
                i64::try_from(magnitude).ok()
            };
            if number.int == Some(0) {
                number.uint = Some(0);
            }
        }
        if let Some(int) = number.int {
            number.float = Some(int as f64);
        } else if let Some(uint) = number.uint {
            number.float = Some(uint as f64);
        } else if let Some(float) = parse_float(text) {
            if !text.contains(['.', 'e', 'E', 'p', 'P']) {
                return Err(format!(
                    "integer overflow: {:?}",
                    crate::error::excerpt(text)
                ));
            }
            number.float = Some(float);
            number.int = whole_int(float);
            number.uint = whole_uint(float);
        } else {
            return Err(illegal(text));
        }
        Ok(number)
    }
}

fn illegal(text: &str) -> String {
    format!("illegal number syntax: {:?}", crate::error::excerpt(text))
}

fn is_exponent_sign(text: &str, at: usize) -> bool {
    let hex = text.contains(['x', 'X']);
    text[..at].ends_with(if hex { ['p', 'P'] } else { ['e', 'E'] })
}

/// A hexadecimal integer has an `e` without being floating.
fn looks_floating(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hex_int = bytes.len() > 2
        && bytes[0] == b'0'
        && matches!(bytes[1], b'x' | b'X')
        && !text.contains(['p', 'P']);
    !hex_int && text.contains(['.', 'e', 'E', 'p', 'P'])
}

fn whole_int(value: f64) -> Option<i64> {
    const EDGE: f64 = 9_223_372_036_854_775_808.0;
    (value.trunc() == value && (-EDGE..EDGE).contains(&value)).then_some(value as i64)
}

fn whole_uint(value: f64) -> Option<u64> {
    const EDGE: f64 = 18_446_744_073_709_551_616.0;
    (value.trunc() == value && (0.0..EDGE).contains(&value)).then_some(value as u64)
}

/// An unsigned integer in any of Go's bases.
fn parse_magnitude(text: &str) -> Option<u64> {
    if !underscores_fit(text) {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    let plain: String = digits.chars().filter(|&c| c != '_').collect();
    if plain.starts_with('+') {
        return None;
    }
    u64::from_str_radix(&plain, radix).ok()
}

/// Go lets an underscore stand between digits, or between a base prefix and a digit.
fn underscores_fit(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let bytes = text.as_bytes();
    let prefixed =
        bytes.len() >= 2 && bytes[0] == b'0' && matches!(bytes[1] | 0x20, b'b' | b'o' | b'x');
    let hex = prefixed && bytes[1] | 0x20 == b'x';
    let mut digit_before = prefixed;
    let mut underscore_before = false;
    for &byte in &bytes[if prefixed { 2 } else { 0 }..] {
        if byte.is_ascii_digit() || hex && byte.is_ascii_hexdigit() {
            (digit_before, underscore_before) = (true, false);
        } else if byte == b'_' {
            if !digit_before {
                return false;
            }
            (digit_before, underscore_before) = (false, true);
        } else {
            if underscore_before {
                return false;
            }
            digit_before = false;
        }
    }
    !underscore_before
}

/// A decimal or hexadecimal floating-point number; none if it is out of range.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    if !underscores_fit(text) {
        return None;
    }
    let plain: String = text.chars().filter(|&c| c != '_').collect();
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let value = if unsigned.len() > 1
        && unsigned.starts_with('0')
        && matches!(unsigned.as_bytes()[1], b'x' | b'X')
    {
        parse_hex_float(&unsigned[2..])?
    } else if unsigned
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
    {
        unsigned.parse::<f64>().ok().filter(|v| v.is_finite())?
    } else {
        return None;
    };
    Some(if plain.starts_with('-') {
        -value
    } else {
        value
    })
}

fn parse_hex_float(text: &str) -> Option<f64> {
    let (digits, exponent) = text.split_once(['p', 'P'])?;
    let exponent_digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if exponent_digits.is_empty() || !exponent_digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut scale: i64 = exponent_digits
        .parse::<i64>()
        .unwrap_or(i64::MAX)
        .min(1 << 40);
    if exponent.starts_with('-') {
        scale = -scale;
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (mut mantissa, mut sticky) = (0u64, false);
    for (digit, fractional) in whole
        .chars()
        .map(|c| (c, false))
        .chain(fraction.chars().map(|c| (c, true)))
    {
        let digit = u64::from(digit.to_digit(16)?);
        if mantissa >> 59 == 0 {
            mantissa = mantissa << 4 | digit;
            scale -= if fractional { 4 } else { 0 };
        } else {
            sticky |= digit != 0;
            scale += if fractional { 0 } else { 4 };
        }
    }
    if mantissa == 0 {
        return Some(0.0);
    }
    // The highest bit goes to bit 62; what falls off below the kept bits rounds to even.
    let shift = mantissa.leading_zeros() - 1;
    mantissa <<= shift;
    scale -= i64::from(shift);
    let exponent = scale + 62;
    if exponent > 1023 {
        return None;
    }
    let lost = if exponent < -1022 {
        (10 + (-1022 - exponent)).min(63)
    } else {
        10
    } as u32;
    let kept = mantissa >> lost;
    let rest = mantissa & ((1 << lost) - 1);
    let half = 1u64 << (lost - 1);
    let up = rest > half || rest == half && (sticky || kept & 1 == 1);
    let value = (kept + u64::from(up)) as f64 * two_to(scale + i64::from(lost));
    value.is_finite().then_some(value)
}

/// A power of two that may lie below the normal numbers.
fn two_to(exponent: i64) -> f64 {
    match exponent {
        -1022..=1023 => f64::from_bits(((exponent + 1023) as u64) << 52),
        -1074..=-1023 => f64::from_bits(1 << (exponent + 1074)),
        1024.. => f64::INFINITY,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_in_every_base() {
        for (text, want) in [
            ("42", 42),
            ("-7", -7),
            ("+7", 7),
            ("0x1F", 31),
            ("0b101", 5),
            ("0o17", 15),
            ("017", 15),
            ("1_000", 1000),
            ("0x_ff", 255),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(Number::parse(text).unwrap().int, Some(want), "{text}");
        }
        for text in [
            "1__0",
            "_1",
            "1_",
            "089",
            "0x",
            "18446744073709551616",
            "0b12",
            ".",
            "1e400",
        ] {
            assert!(Number::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn floats_and_hexadecimal_floats() {
        for (text, want) in [
            ("1.5", 1.5),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("0x1p-2", 0.25),
            ("0x1.8p1", 3.0),
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1p-1074", 5e-324),
            ("1_0.2_5", 10.25),
        ] {
            assert_eq!(Number::parse(text).unwrap().float, Some(want), "{text}");
        }
        assert!(Number::parse("0x1p1024").is_err() && Number::parse("0x1.5").is_err());
    }

    #[test]
    fn complex_numbers_keep_their_simpler_readings() {
        assert_eq!(Number::parse("1+2i").unwrap().complex, Some((1.0, 2.0)));
        assert_eq!(Number::parse("1e+2i").unwrap().complex, Some((0.0, 100.0)));
        assert_eq!(Number::parse("3+0i").unwrap().int, Some(3));
    }
}
