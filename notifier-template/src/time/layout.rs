//! Layouts: how a time looks, told by how a certain moment of 2006 would.

use super::Time;

/// A part of a layout that the time fills in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    LongMonth,
    ShortMonth,
    Month(usize),
    LongWeekday,
    ShortWeekday,
    Day(Pad),
    YearDay(Pad),
    Hour,
    Hour12(usize),
    Minute(usize),
    Second(usize),
    LongYear,
    ShortYear,
    Noon {
        upper: bool,
    },
    ZoneName,
    Offset {
        z_for_utc: bool,
        colon: bool,
        minutes: bool,
        seconds: bool,
    },
    Fraction {
        mark: u8,
        digits: usize,
        trim: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Pad {
    None,
    Space,
    Zero,
}

/// The part that the layout begins with, and its length.
fn part_at(layout: &[u8]) -> Option<(Part, usize)> {
    use Part::*;
    let has = |text: &str| layout.starts_with(text.as_bytes());
    // "Janet" is no month.
    let ends_word = |length: usize| !layout.get(length).is_some_and(u8::is_ascii_lowercase);
    let first = |table: &[(&str, Part)]| {
        table
            .iter()
            .find(|(text, _)| has(text))
            .map(|&(text, part)| (part, text.len()))
    };
    match layout.first()? {
        b'J' if has("January") => Some((LongMonth, 7)),
        b'J' if has("Jan") && ends_word(3) => Some((ShortMonth, 3)),
        b'M' if has("Monday") => Some((LongWeekday, 6)),
        b'M' if has("Mon") && ends_word(3) => Some((ShortWeekday, 3)),
        b'M' if has("MST") => Some((ZoneName, 3)),
        b'0' => first(&[
            ("01", Month(2)),
            ("02", Day(Pad::Zero)),
            ("03", Hour12(2)),
            ("04", Minute(2)),
            ("05", Second(2)),
            ("06", ShortYear),
            ("002", YearDay(Pad::Zero)),
        ]),
        b'1' => first(&[("15", Hour), ("1", Month(0))]),
        b'2' => first(&[("2006", LongYear), ("2", Day(Pad::None))]),
        // Before "_2006" the underscore is itself, and the year follows.
        b'_' if has("_2006") => None,
        b'_' => first(&[("_2", Day(Pad::Space)), ("__2", YearDay(Pad::Space))]),
        b'3' => Some((Hour12(0), 1)),
        b'4' => Some((Minute(0), 1)),
        b'5' => Some((Second(0), 1)),
        b'P' if has("PM") => Some((Noon { upper: true }, 2)),
        b'p' if has("pm") => Some((Noon { upper: false }, 2)),
        mark @ (b'-' | b'Z') => offset_at(&layout[1..], *mark == b'Z'),
        mark @ (b'.' | b',') => fraction_at(&layout[1..], *mark),
        _ => None,
    }
}

fn offset_at(rest: &[u8], z_for_utc: bool) -> Option<(Part, usize)> {
    const FORMS: [(&str, bool, bool, bool); 5] = [
        ("070000", false, true, true),
        ("07:00:00", true, true, true),
        ("0700", false, true, false),
        ("07:00", true, true, false),
        ("07", false, false, false),
    ];
    let &(text, colon, minutes, seconds) = FORMS
        .iter()
        .find(|form| rest.starts_with(form.0.as_bytes()))?;
    Some((
        Part::Offset {
            z_for_utc,
            colon,
            minutes,
            seconds,
        },
        text.len() + 1,
    ))
}

fn fraction_at(rest: &[u8], mark: u8) -> Option<(Part, usize)> {
    let &digit = rest.first().filter(|digit| matches!(digit, b'0' | b'9'))?;
    let digits = rest.iter().take_while(|&&b| b == digit).count();
    if rest.get(digits).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    // Go keeps the count in twelve bits.
    Some((
        Part::Fraction {
            mark,
            digits: digits & 0xfff,
            trim: digit == b'9',
        },
        digits + 1,
    ))
}

pub(super) fn format(time: &Time, layout: &[u8]) -> Vec<u8> {
    let (offset, zone) = time.zone.offset(time.unix);
    let civil = time.civil();
    let (hour, minute, second) = civil.clock();
    let hour12 = if hour % 12 == 0 { 12 } else { hour % 12 };
    let mut out = Vec::with_capacity(layout.len() + 10);
    let mut at = 0;
    while at < layout.len() {
        let Some((part, length)) = part_at(&layout[at..]) else {
            out.push(layout[at]);
            at += 1;
            continue;
        };
        at += length;
        match part {
            Part::LongMonth => out.extend_from_slice(civil.month().name().as_bytes()),
            Part::ShortMonth => out.extend_from_slice(&civil.month().name().as_bytes()[..3]),
            Part::Month(width) => number(&mut out, i64::from(civil.month().number()), width),
            Part::LongWeekday => out.extend_from_slice(civil.weekday().name().as_bytes()),
            Part::ShortWeekday => out.extend_from_slice(&civil.weekday().name().as_bytes()[..3]),
            Part::Day(pad) => padded(&mut out, civil.day, 2, pad),
            Part::YearDay(pad) => padded(&mut out, civil.year_day, 3, pad),
            Part::Hour => number(&mut out, hour, 2),
            Part::Hour12(width) => number(&mut out, hour12, width),
            Part::Minute(width) => number(&mut out, minute, width),
            Part::Second(width) => number(&mut out, second, width),
            Part::LongYear => number(&mut out, civil.year, 4),
            Part::ShortYear => number(&mut out, (civil.year % 100).abs(), 2),
            Part::Noon { upper } => out.extend_from_slice(match (hour >= 12, upper) {
                (true, true) => b"PM",
                (true, false) => b"pm",
                (false, true) => b"AM",
                (false, false) => b"am",
            }),
            Part::ZoneName if !zone.is_empty() => out.extend_from_slice(zone.as_bytes()),
            Part::ZoneName => shift(&mut out, offset, false, true, false),
            Part::Offset {
                z_for_utc: true, ..
            } if offset == 0 => out.push(b'Z'),
            Part::Offset {
                colon,
                minutes,
                seconds,
                ..
            } => shift(&mut out, offset, colon, minutes, seconds),
            Part::Fraction { mark, digits, trim } => {
                fraction(&mut out, time.nanos, mark, digits.min(9), trim)
            }
        }
    }
    out
}

/// The number with at least so many digits; a sign comes before the zeros.
fn number(out: &mut Vec<u8>, value: i64, width: usize) {
    let sign = if value < 0 { "-" } else { "" };
    out.extend_from_slice(format!("{sign}{:0width$}", value.unsigned_abs()).as_bytes());
}

fn padded(out: &mut Vec<u8>, value: i64, width: usize, pad: Pad) {
    let text = match pad {
        Pad::None => value.to_string(),
        Pad::Space => format!("{value:width$}"),
        Pad::Zero => format!("{value:0width$}"),
    };
    out.extend_from_slice(text.as_bytes());
}

fn shift(out: &mut Vec<u8>, offset: i64, colon: bool, minutes: bool, seconds: bool) {
    // The sign is that of the whole minutes.
    let east = offset / 60 >= 0;
    let size = if east { offset } else { -offset };
    out.push(if east { b'+' } else { b'-' });
    number(out, size / 3_600, 2);
    for (shown, value) in [(minutes, size / 60 % 60), (seconds, size % 60)] {
        if shown {
            if colon {
                out.push(b':');
            }
            number(out, value, 2);
        }
    }
}

fn fraction(out: &mut Vec<u8>, nanos: u32, mark: u8, digits: usize, trim: bool) {
    let text = format!("{nanos:09}");
    let mut shown = &text[..digits];
    if trim {
        shown = shown.trim_end_matches('0');
        if shown.is_empty() {
            return;
        }
    }
    out.push(mark);
    out.extend_from_slice(shown.as_bytes());
}
