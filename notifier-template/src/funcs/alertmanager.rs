//! The functions that Alertmanager and Prometheus give to templates.

use super::{Answer, Builtin, Env, ONE, STRING, TWO_STRINGS, string, text};
use crate::error::Trouble;
use crate::format;
use crate::function::{Param, Signature};
use crate::text::float::format_float;
use crate::text::number::parse_float;
use crate::time::Zone;
use crate::value::{Integer, Value};

const STRING_AND_TIME: Signature = Signature::exactly(&[Param::String, Param::Time]);

pub(super) const TABLE: &[Builtin] = &[
    Builtin::new("toUpper", STRING, |env, arguments| {
        recase(env, arguments, |c| single(c.to_uppercase(), c))
    }),
    Builtin::new("toLower", STRING, |env, arguments| {
        recase(env, arguments, |c| single(c.to_lowercase(), c))
    }),
    Builtin::new("title", STRING, title),
    Builtin::new("trimSpace", STRING, |_, arguments| {
        Ok(Value::from(text(arguments, 0).trim()))
    }),
    Builtin::new(
        "join",
        Signature::exactly(&[Param::String, Param::Any]),
        join,
    ),
    Builtin::new("match", TWO_STRINGS, |env, arguments| {
        let (pattern, subject) = (text(arguments, 0), text(arguments, 1));
        Ok(Value::Bool(
            env.pattern(&pattern, subject.len())?.is_match(&subject),
        ))
    }),
    Builtin::new(
        "reReplaceAll",
        Signature::exactly(&[Param::String, Param::String, Param::String]),
        replace_all,
    ),
    Builtin::new(
        "stringSlice",
        Signature::then_any(&[], Param::String),
        |_, arguments| Ok(Value::List(arguments.into())),
    ),
    Builtin::new("date", STRING_AND_TIME, |_, arguments| {
        match &arguments[1] {
            Value::Time(time) => Ok(Value::from_bytes(time.format_bytes(string(arguments, 0)))),
            other => Err(format!("{} is no time", other.type_name()).into()),
        }
    }),
    Builtin::new("tz", STRING_AND_TIME, zoned),
    Builtin::new(
        "since",
        Signature::exactly(&[Param::Time]),
        |env, arguments| match (&env.context.now, &arguments[0]) {
            (Some(now), Value::Time(time)) => Ok(now.since(time).into()),
            _ => Err("no clock is given here".into()),
        },
    ),
    Builtin::new("humanize", ONE, |_, arguments| {
        Ok(humanize(number(&arguments[0])?).into())
    }),
    Builtin::new("humanize1024", ONE, |_, arguments| {
        Ok(humanize_1024(number(&arguments[0])?).into())
    }),
    Builtin::new("humanizeDuration", ONE, |_, arguments| {
        Ok(humanize_duration(number(&arguments[0])?).into())
    }),
    Builtin::new("humanizePercentage", ONE, |_, arguments| {
        Ok(format!("{}%", four_digits(number(&arguments[0])? * 100.0)).into())
    }),
    Builtin::new("toJson", ONE, |env, arguments| {
        let mut out = env.builder();
        json(&mut out, &arguments[0], env.budget.limits.depth)?;
        out.finish()
    }),
    Builtin::new("safeHtml", STRING, |_, arguments| Ok(arguments[0].clone())).raw(),
    Builtin::new("safeUrl", STRING, |_, arguments| Ok(arguments[0].clone())),
    Builtin::new("urlUnescape", STRING, |_, arguments| {
        url_unescape(string(arguments, 0))
    }),
];

/// Go changes a character only into one other.
fn single(mut changed: impl Iterator<Item = char>, before: char) -> char {
    match (changed.next(), changed.next()) {
        (Some(c), None) => c,
        _ => before,
    }
}

fn recase(env: &mut Env<'_, '_>, arguments: &[Value], change: fn(char) -> char) -> Answer {
    let mut out = env.builder();
    for c in text(arguments, 0).chars() {
        out.push(change(c).encode_utf8(&mut [0; 4]).as_bytes());
    }
    out.finish()
}

/// A capital for each word's first letter, small ones for the rest.
fn title(env: &mut Env<'_, '_>, arguments: &[Value]) -> Answer {
    let text = text(arguments, 0);
    let mut out = env.builder();
    let mut in_word = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let cased = c.is_uppercase() || c.is_lowercase();
        let changed = match (cased, in_word) {
            (true, true) => single(c.to_lowercase(), c),
            (true, false) => single(c.to_uppercase(), c),
            (false, _) => c,
        };
        out.push(changed.encode_utf8(&mut [0; 4]).as_bytes());
        // These join a word when letters are on both sides.
        let joins = matches!(c, '\'' | '’' | '.' | ':')
            && chars.peek().is_some_and(|next| next.is_alphabetic());
        in_word = cased || in_word && (c == '_' || c.is_alphanumeric() || joins);
    }
    out.finish()
}

fn join(env: &mut Env<'_, '_>, arguments: &[Value]) -> Answer {
    let Value::List(list) = &arguments[1] else {
        return Err(format!("a list is needed, not {}", arguments[1].type_name()).into());
    };
    let mut out = env.builder();
    for (index, item) in list.iter().enumerate() {
        if out.exceeded {
            break;
        }
        if index > 0 {
            out.push(string(arguments, 0));
        }
        match item.as_string_bytes() {
            Some(bytes) => out.push(bytes),
            None => out.push(&format::print(
                std::slice::from_ref(item),
                env.budget.limits,
            )?),
        }
    }
    out.finish()
}

fn replace_all(env: &mut Env<'_, '_>, arguments: &[Value]) -> Answer {
    let (pattern, replacement, subject) =
        (text(arguments, 0), text(arguments, 1), text(arguments, 2));
    let regex = env.pattern(&pattern, subject.len())?;
    let mut out = env.builder();
    let mut copied = 0;
    for captures in regex.captures_iter(&subject) {
        let Some(whole) = captures.get(0) else {
            continue;
        };
        out.push(&subject.as_bytes()[copied..whole.start()]);
        copied = whole.end();
        // The template of the replacement grows with the groups it names.
        env.budget.step(1 + replacement.len() / 64)?;
        let mut expanded = String::new();
        captures.expand(&replacement, &mut expanded);
        out.push(expanded.as_bytes());
        if out.exceeded {
            break;
        }
    }
    out.push(&subject.as_bytes()[copied..]);
    out.finish()
}

fn zoned(env: &mut Env<'_, '_>, arguments: &[Value]) -> Answer {
    let Value::Time(time) = &arguments[1] else {
        return Err("a time is needed".into());
    };
    let name = text(arguments, 0);
    let zone = match &*name {
        "" | "UTC" => Zone::Utc,
        "Local" => Zone::Local(env.context.local.clone()),
        _ => match env.context.zone(&name) {
            Some(zone) => Zone::Named(zone),
            None => {
                return Err(format!("unknown time zone {:?}", crate::error::excerpt(&name)).into());
            }
        },
    };
    Ok(time.clone().in_zone(zone).into())
}

fn number(value: &Value) -> Result<f64, Trouble> {
    match value {
        Value::Float(number) => Ok(*number),
        Value::Duration(duration) => Ok(duration.seconds()),
        Value::String(text) => {
            parse_float(text).ok_or_else(|| "a number is needed, not this text".into())
        }
        other => match other.as_integer() {
            Some(Integer::Signed(number)) => Ok(number as f64),
            Some(Integer::Unsigned(number)) => Ok(number as f64),
            None => Err(format!("a number is needed, not {}", other.type_name()).into()),
        },
    }
}

fn four_digits(number: f64) -> String {
    format_float(number, b'g', Some(4))
}

fn humanize(mut number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return four_digits(number);
    }
    let mut prefix = "";
    if number.abs() >= 1.0 {
        for larger in ["k", "M", "G", "T", "P", "E", "Z", "Y"] {
            if number.abs() < 1000.0 {
                break;
            }
            prefix = larger;
            number /= 1000.0;
        }
    } else {
        (number, prefix) = enlarged(number);
    }
    format!("{}{prefix}", four_digits(number))
}

/// A number below one in the first smaller unit where it is above.
fn enlarged(mut number: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for smaller in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if number.abs() >= 1.0 {
            break;
        }
        prefix = smaller;
        number *= 1000.0;
    }
    (number, prefix)
}

fn humanize_1024(mut number: f64) -> String {
    if number.abs() <= 1.0 || !number.is_finite() {
        return four_digits(number);
    }
    let mut prefix = "";
    for larger in ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"] {
        if number.abs() < 1024.0 {
            break;
        }
        prefix = larger;
        number /= 1024.0;
    }
    format!("{}{prefix}", four_digits(number))
}

fn humanize_duration(number: f64) -> String {
    if !number.is_finite() {
        return four_digits(number);
    }
    if number == 0.0 {
        return "0s".to_owned();
    }
    if number.abs() < 1.0 {
        let (number, prefix) = enlarged(number);
        return format!("{}{prefix}s", four_digits(number));
    }
    let sign = if number < 0.0 { "-" } else { "" };
    let size = number.abs();
    let whole = size as i64;
    let (days, hours, minutes, seconds) = (
        whole / 86_400,
        whole / 3_600 % 24,
        whole / 60 % 60,
        whole % 60,
    );
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", four_digits(size))
    }
}

/// JSON as Go's `json.Marshal` writes it.
fn json(out: &mut super::Builder, value: &Value, depth: usize) -> Result<(), Trouble> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Trouble::limit("data nested too deep"));
    };
    if out.exceeded {
        return Ok(());
    }
    match value {
        Value::Nil => out.push(b"null"),
        Value::Bool(flag) => out.push(if *flag { b"true" } else { b"false" }),
        Value::Float(number) => out.push(json_float(*number)?.as_bytes()),
        Value::String(_) | Value::RawString(_) => json_text(out, value),
        Value::Bytes(bytes) => json_bytes(out, bytes),
        Value::List(list) => {
            out.push(b"[");
            for (index, item) in list.iter().enumerate() {
                out.push(if index > 0 { b"," } else { b"" });
                json(out, item, depth)?;
            }
            out.push(b"]");
        }
        Value::Map(map) => {
            let entries = map.iter().map(|(key, item)| (key.as_str(), item.clone()));
            json_object(out, entries, depth)?;
        }
        Value::Labels(map) => {
            let entries = map
                .iter()
                .map(|(key, item)| (key.as_str(), Value::from(item)));
            json_object(out, entries, depth)?;
        }
        Value::Object(object) => json_object(out, object.fields().into_iter(), depth)?,
        Value::Time(time) => {
            out.push(b"\"");
            out.push(&time.rfc3339("MarshalJSON")?);
            out.push(b"\"");
        }
        Value::Location(_) => out.push(b"{}"),
        Value::Function(_) | Value::Complex(..) => {
            return Err(format!("json: unsupported type: {}", value.type_name()).into());
        }
        other => match other.as_integer() {
            Some(Integer::Signed(number)) => out.push(number.to_string().as_bytes()),
            Some(Integer::Unsigned(number)) => out.push(number.to_string().as_bytes()),
            None => return Err(format!("json: unsupported type: {}", value.type_name()).into()),
        },
    }
    Ok(())
}

fn json_object<'v>(
    out: &mut super::Builder,
    entries: impl Iterator<Item = (&'v str, Value)>,
    depth: usize,
) -> Result<(), Trouble> {
    out.push(b"{");
    for (index, (key, item)) in entries.enumerate() {
        out.push(if index > 0 { b"," } else { b"" });
        json_text(out, &Value::from(key));
        out.push(b":");
        json(out, &item, depth)?;
    }
    out.push(b"}");
    Ok(())
}

fn json_text(out: &mut super::Builder, value: &Value) {
    let text = crate::text::to_text(value.as_string_bytes().unwrap_or_default().to_vec());
    out.push(b"\"");
    for c in text.chars() {
        match c {
            '"' => out.push(b"\\\""),
            '\\' => out.push(b"\\\\"),
            '\n' => out.push(b"\\n"),
            '\r' => out.push(b"\\r"),
            '\t' => out.push(b"\\t"),
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            _ => out.push(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b"\"");
}

/// Base64, as Go writes bytes.
fn json_bytes(out: &mut super::Builder, bytes: &[u8]) {
    const TABLE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.push(b"\"");
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0usize, |bits, &byte| bits << 8 | usize::from(byte));
        let mut group = [b'='; 4];
        for (at, slot) in group.iter_mut().enumerate().take(chunk.len() + 1) {
            *slot = TABLE[bits >> (18 - 6 * at) & 63];
        }
        out.push(&group);
    }
    out.push(b"\"");
}

fn json_float(number: f64) -> Result<String, Trouble> {
    if !number.is_finite() {
        return Err("json: unsupported value".into());
    }
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format_float(number, b'e', None);
        return Ok(text.replace("e-0", "e-"));
    }
    Ok(format_float(number, b'f', None))
}

fn url_unescape(bytes: &[u8]) -> Answer {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'+' => out.push(b' '),
            b'%' => {
                let hex = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
                let (Some(high), Some(low)) =
                    (tail.first().and_then(hex), tail.get(1).and_then(hex))
                else {
                    return Err("invalid URL escape".into());
                };
                out.push(high << 4 | low);
                rest = &tail[2..];
            }
            other => out.push(*other),
        }
    }
    Ok(Value::from_bytes(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_for_people() {
        for (seconds, want) in [
            (0.0, "0s"),
            (0.0123, "12.3ms"),
            (-0.5, "-500ms"),
            (42.5, "42.5s"),
            (899.99, "14m 59s"),
            (-3_600.0, "-1h 0m 0s"),
            (90_061.0, "1d 1h 1m 1s"),
        ] {
            assert_eq!(humanize_duration(seconds), want);
        }
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(humanize(1_234_567.0), "1.235M");
        assert_eq!(humanize(0.0012), "1.2m");
        assert_eq!(humanize_1024(1_048_576.0), "1Mi");
        assert_eq!(json_float(1e-7).ok().as_deref(), Some("1e-7"));
    }
}
