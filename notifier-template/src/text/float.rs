//! Floating-point numbers as Go prints them.

/// No number of a float's digits beyond this many is anything but zero.
const EXACT_DIGITS: usize = 1100;

/// Digits without a point, and where the point stands.
struct Decimal {
    digits: Vec<u8>,
    point: i64,
}

/// Formats by one of `b e E f g G x X`; without a precision, with as few digits as
/// read back to the same number.
pub(crate) fn format_float(value: f64, verb: u8, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let size = value.abs();
    let body = match verb {
        b'b' => binary(size),
        b'x' | b'X' => hexadecimal(size, precision),
        b'e' | b'E' => match precision {
            Some(precision) => exponential(&fixed(size, precision), precision),
            None => {
                let decimal = shortest(size);
                let precision = decimal.digits.len().saturating_sub(1);
                exponential(&decimal, precision)
            }
        },
        b'f' => match precision {
            Some(precision) => {
                let exact = precision.min(EXACT_DIGITS);
                let mut text = format!("{size:.exact$}");
                text.extend(std::iter::repeat_n('0', precision - exact));
                text
            }
            None => {
                let decimal = shortest(size);
                let count = decimal.digits.len() as i64;
                positional(&decimal, (count - decimal.point).max(0) as usize)
            }
        },
        _ => general(size, precision),
    };
    if matches!(verb, b'E' | b'G' | b'X') {
        format!("{sign}{}", body.to_ascii_uppercase())
    } else {
        sign.to_owned() + &body
    }
}

fn general(size: f64, precision: Option<usize>) -> String {
    let decimal = match precision {
        Some(precision) => fixed(size, precision.max(1) - 1),
        None => shortest(size),
    };
    let count = decimal.digits.len() as i64;
    let precision = precision.map(|p| p.max(1) as i64);
    let threshold = match precision {
        None => SHORTEST_THRESHOLD,
        Some(p) if p > count && count >= decimal.point => count,
        Some(p) => p,
    };
    let exponent = decimal.point - 1;
    if exponent < -4 || exponent >= threshold {
        let digits = precision.unwrap_or(count).min(count);
        return exponential(&decimal, (digits - 1).max(0) as usize);
    }
    let digits = match precision {
        Some(p) if p <= decimal.point => p,
        _ => count,
    };
    positional(&decimal, (digits - decimal.point).max(0) as usize)
}

/// From which exponent on the shortest form has one.
const SHORTEST_THRESHOLD: i64 = 6;

/// The fewest digits that read back to the same number, and of those the nearest. Of two
/// that are equally near, Go takes the even one.
fn shortest(size: f64) -> Decimal {
    let text = format!("{size:e}");
    let decimal = digits_of(&text);
    let rounded = fixed(size, decimal.digits.len().saturating_sub(1));
    let same = decimal.point == rounded.point && decimal.digits.len() == rounded.digits.len();
    if same
        && rounded.digits != decimal.digits
        && exponential(&rounded, rounded.digits.len()).parse() == Ok(size)
    {
        return rounded;
    }
    decimal
}

/// One digit, and so many after it, without the zeros at the end.
fn fixed(size: f64, after: usize) -> Decimal {
    let exact = after.min(EXACT_DIGITS);
    digits_of(&format!("{size:.exact$e}"))
}

fn digits_of(text: &str) -> Decimal {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let mut digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    let point = if digits.is_empty() {
        0
    } else {
        exponent.parse::<i64>().unwrap_or(0) + 1
    };
    Decimal { digits, point }
}

fn exponential(decimal: &Decimal, precision: usize) -> String {
    let mut digits = decimal
        .digits
        .iter()
        .copied()
        .map(char::from)
        .chain(std::iter::repeat('0'));
    let mut out = String::with_capacity(precision + 8);
    out.extend(digits.next());
    if precision > 0 {
        out.push('.');
        out.extend(digits.take(precision));
    }
    let exponent = if decimal.digits.is_empty() {
        0
    } else {
        decimal.point - 1
    };
    out.push_str(&format!(
        "e{}{:02}",
        if exponent < 0 { '-' } else { '+' },
        exponent.unsigned_abs()
    ));
    out
}

fn positional(decimal: &Decimal, precision: usize) -> String {
    let digit = |at: i64| -> char {
        usize::try_from(at)
            .ok()
            .and_then(|at| decimal.digits.get(at))
            .map_or('0', |&d| char::from(d))
    };
    let mut out = String::new();
    if decimal.point > 0 {
        out.extend((0..decimal.point).map(digit));
    } else {
        out.push('0');
    }
    if precision > 0 {
        out.push('.');
        out.extend((0..precision as i64).map(|at| digit(decimal.point + at)));
    }
    out
}

/// The bits of the mantissa, and the power of two it is multiplied by.
fn parts(size: f64) -> (u64, i64) {
    let bits = size.to_bits();
    let mantissa = bits & ((1 << 52) - 1);
    match bits >> 52 {
        0 => (mantissa, -1074),
        exponent => (mantissa | 1 << 52, exponent as i64 - 1075),
    }
}

fn binary(size: f64) -> String {
    let (mantissa, exponent) = parts(size);
    format!("{mantissa}p{exponent:+}")
}

fn hexadecimal(size: f64, precision: Option<usize>) -> String {
    const ONE: u64 = 1 << 60;
    let (mut mantissa, exponent) = parts(size);
    let mut exponent = if mantissa == 0 { 0 } else { exponent + 52 };
    mantissa <<= 8;
    while mantissa != 0 && mantissa & ONE == 0 {
        mantissa <<= 1;
        exponent -= 1;
    }
    if let Some(precision) = precision.filter(|&p| p < 15) {
        let dropped = 60 - 4 * precision as u32;
        let (kept, rest) = (mantissa >> dropped, mantissa & ((1 << dropped) - 1));
        let half = 1u64 << (dropped - 1);
        let up = rest > half || rest == half && kept & 1 == 1;
        mantissa = (kept + u64::from(up)) << dropped;
        if mantissa & ONE << 1 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let fraction = format!("{:015x}", mantissa & (ONE - 1));
    let fraction = match precision {
        None => fraction.trim_end_matches('0').to_owned(),
        Some(precision) => fraction
            .chars()
            .chain(std::iter::repeat('0'))
            .take(precision)
            .collect(),
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!(
        "0x{}{point}{fraction}p{sign}{:02}",
        mantissa >> 60 & 1,
        exponent.abs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_even_digit() {
        assert_eq!(
            format_float(7_378_697_629_483_821.0 / 4.0, b'g', None),
            "1.8446744073709552e+15"
        );
        assert_eq!(format_float(0.5, b'f', Some(0)), "0");
        assert_eq!(format_float(2.5, b'f', Some(0)), "2");
        assert_eq!(format_float(5e-324, b'g', None), "5e-324");
    }

    #[test]
    fn each_verb_has_its_form() {
        for (verb, precision, want) in [
            (b'e', None, "1.5e+00"),
            (b'f', None, "1.5"),
            (b'g', Some(1), "2"),
            (b'b', None, "6755399441055744p-52"),
            (b'x', None, "0x1.8p+00"),
            (b'X', Some(0), "0X1P+01"),
            (b'E', Some(3), "1.500E+00"),
        ] {
            assert_eq!(
                format_float(1.5, verb, precision),
                want,
                "{}",
                char::from(verb)
            );
        }
        assert_eq!(format_float(0.0, b'g', None), "0");
        assert_eq!(format_float(f64::NEG_INFINITY, b'g', None), "-Inf");
    }
}
