//! Further functions on text and values, named and ordered as sprig has them: what a
//! pipeline brings comes last.

use super::{
    ANY_NUMBER, Answer, Builtin, Env, ONE, STRING, TWO, TWO_STRINGS, integer, string, text,
};
use crate::format;
use crate::function::{Param, Signature};
use crate::text::quote::quote;
use crate::value::Value;

const COUNT_AND_STRING: Signature = Signature::exactly(&[Param::Any, Param::String]);

pub(super) const TABLE: &[Builtin] = &[
    Builtin::new("raw", ONE, |_, arguments| Ok(arguments[0].clone())).raw(),
    Builtin::new("default", TWO, |_, arguments| {
        Ok(if arguments[1].is_true() {
            &arguments[1]
        } else {
            &arguments[0]
        }
        .clone())
    }),
    Builtin::new("coalesce", ANY_NUMBER, |_, arguments| {
        Ok(arguments
            .iter()
            .find(|value| value.is_true())
            .cloned()
            .unwrap_or_default())
    }),
    Builtin::new(
        "ternary",
        Signature::exactly(&[Param::Any, Param::Any, Param::Any]),
        |_, arguments| {
            Ok(if arguments[2].is_true() {
                &arguments[0]
            } else {
                &arguments[1]
            }
            .clone())
        },
    ),
    Builtin::new("trim", STRING, |_, arguments| {
        Ok(Value::from(text(arguments, 0).trim()))
    }),
    Builtin::new("trunc", COUNT_AND_STRING, trunc),
    Builtin::new(
        "replace",
        Signature::exactly(&[Param::String, Param::String, Param::String]),
        replace,
    ),
    Builtin::new("contains", TWO_STRINGS, |_, arguments| {
        Ok(Value::Bool(
            text(arguments, 1).contains(&*text(arguments, 0)),
        ))
    }),
    Builtin::new("hasPrefix", TWO_STRINGS, |_, arguments| {
        Ok(Value::Bool(
            string(arguments, 1).starts_with(string(arguments, 0)),
        ))
    }),
    Builtin::new("hasSuffix", TWO_STRINGS, |_, arguments| {
        Ok(Value::Bool(
            string(arguments, 1).ends_with(string(arguments, 0)),
        ))
    }),
    Builtin::new("split", TWO_STRINGS, split),
    Builtin::new("indent", COUNT_AND_STRING, indent),
    Builtin::new("quote", ANY_NUMBER, quoted),
];

/// The first so many characters, or with a negative number the last.
fn trunc(_: &mut Env<'_, '_>, arguments: &[Value]) -> Answer {
    let text = text(arguments, 1);
    let count = integer(arguments, 0)?;
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let kept = if count >= 0 {
        text.char_indices()
            .nth(wanted)
            .map_or(&*text, |(at, _)| &text[..at])
    } else {
        text.char_indices()
            .rev()
            .nth(wanted - 1)
            .map_or(&*text, |(at, _)| &text[at..])
    };
    Ok(Value::from(kept))
}

fn replace(env: &mut Env<'_, '_>, arguments: &[Value]) -> Answer {
    let (old, new, subject) = (text(arguments, 0), string(arguments, 1), text(arguments, 2));
    let mut out = env.builder();
    let mut copied = 0;
    for (at, found) in subject.match_indices(&*old) {
        out.push(&subject.as_bytes()[copied..at]);
        out.push(new);
        copied = at + found.len();
        if out.exceeded {
            break;
        }
    }
    out.push(&subject.as_bytes()[copied..]);
    out.finish()
}

/// The parts between separators, as a list; an empty separator parts all characters.
fn split(env: &mut Env<'_, '_>, arguments: &[Value]) -> Answer {
    const PER_PART: usize = 64;
    let (separator, subject) = (text(arguments, 0), text(arguments, 1));
    let mut parts = Vec::new();
    let mut add = |part: &str| {
        env.budget.make(PER_PART + part.len())?;
        parts.push(Value::from(part));
        Ok::<(), crate::error::Trouble>(())
    };
    if separator.is_empty() {
        for c in subject.chars() {
            add(c.encode_utf8(&mut [0; 4]))?;
        }
    } else {
        for part in subject.split(&*separator) {
            add(part)?;
        }
    }
    Ok(Value::List(parts.into()))
}

fn indent(env: &mut Env<'_, '_>, arguments: &[Value]) -> Answer {
    let count = usize::try_from(integer(arguments, 0)?.max(0)).unwrap_or(usize::MAX);
    env.budget.fits(count)?;
    let space = " ".repeat(count);
    let mut out = env.builder();
    for (index, line) in string(arguments, 1)
        .split(|&byte| byte == b'\n')
        .enumerate()
    {
        if index > 0 {
            out.push(b"\n");
        }
        out.push(space.as_bytes());
        out.push(line);
        if out.exceeded {
            break;
        }
    }
    out.finish()
}

/// Each argument that is not nil in double quotes, with spaces between.
fn quoted(env: &mut Env<'_, '_>, arguments: &[Value]) -> Answer {
    let mut out = env.builder();
    for value in arguments
        .iter()
        .filter(|value| !matches!(value, Value::Nil))
    {
        if !out.out.is_empty() {
            out.push(b" ");
        }
        let mut literal = Vec::new();
        quote(
            &format::print(std::slice::from_ref(value), env.budget.limits)?,
            false,
            &mut literal,
        );
        out.push(&literal);
    }
    out.finish()
}
