//! Go's own functions.

use super::{ANY_NUMBER, Answer, Builtin, Env, ONE, Run, SOME, TWO, compare, string};
use crate::error::Trouble;
use crate::format;
use crate::function::{Function, Param, Signature};
use crate::text::{Rune, first_rune, is_print};
use crate::value::{Integer, Value};

pub(super) const TABLE: &[Builtin] = &[
    Builtin::short_circuit("and", Run::And),
    Builtin::short_circuit("or", Run::Or),
    Builtin::new("not", ONE, |_, arguments| {
        Ok(Value::Bool(!arguments[0].is_true()))
    }),
    Builtin::new("call", SOME, |_, arguments| call(arguments)),
    Builtin::new("html", ANY_NUMBER, html).raw(),
    Builtin::new("js", ANY_NUMBER, js).raw(),
    Builtin::new("urlquery", ANY_NUMBER, urlquery).raw(),
    Builtin::new("index", SOME, |_, arguments| index(arguments)),
    Builtin::new("slice", SOME, |_, arguments| slice(arguments)),
    Builtin::new("len", ONE, |_, arguments| len(&arguments[0])),
    Builtin::new("print", ANY_NUMBER, |env, arguments| {
        Ok(Value::from_bytes(format::print(
            arguments,
            env.budget.limits,
        )?))
    }),
    Builtin::new("println", ANY_NUMBER, |env, arguments| {
        Ok(Value::from_bytes(format::println(
            arguments,
            env.budget.limits,
        )?))
    }),
    Builtin::new(
        "printf",
        Signature::then_any(&[Param::String], Param::Any),
        |env, arguments| {
            let formatted =
                format::printf(string(arguments, 0), &arguments[1..], env.budget.limits)?;
            Ok(Value::from_bytes(formatted))
        },
    ),
    Builtin::new("eq", SOME, |_, arguments| compare::eq(arguments)),
    Builtin::new("ne", TWO, |_, arguments| compare::ne(arguments)),
    Builtin::new("lt", TWO, |_, arguments| compare::lt(arguments)),
    Builtin::new("le", TWO, |_, arguments| compare::le(arguments)),
    Builtin::new("gt", TWO, |_, arguments| compare::gt(arguments)),
    Builtin::new("ge", TWO, |_, arguments| compare::ge(arguments)),
];

/// Calls a function value: its arguments must fit exactly.
fn call(arguments: &[Value]) -> Answer {
    let (function, arguments) = match arguments {
        [Value::Function(function), rest @ ..] => (function, rest),
        [Value::Nil, ..] | [] => return Err("call of nil".into()),
        [other, ..] => return Err(format!("non-function of type {}", other.type_name()).into()),
    };
    let signature = function.signature();
    let (got, want) = (arguments.len(), signature.fixed.len());
    if got < want || got > want && signature.rest.is_none() {
        return Err(format!("wrong number of args: got {got} want {want}").into());
    }
    for (at, argument) in arguments.iter().enumerate() {
        let param = signature.param(at);
        let fits = if matches!(argument, Value::Nil) {
            param.can_be_nil()
        } else {
            param.takes(argument)
        };
        if !fits {
            let (want, got) = (param.type_name(), argument.type_name());
            return Err(format!("arg {at}: value has type {got}; should be {want}").into());
        }
    }
    call_function(function, arguments)
}

pub(crate) fn call_function(function: &Function, arguments: &[Value]) -> Answer {
    Ok(function.call(arguments)?)
}

/// The arguments as one text, as if printed one after the other.
fn joined(env: &Env<'_, '_>, arguments: &[Value]) -> Result<Vec<u8>, Trouble> {
    if let [value] = arguments
        && let Some(bytes) = value.as_string_bytes()
    {
        return Ok(bytes.to_vec());
    }
    let shown: Vec<Value> = arguments
        .iter()
        .map(|value| {
            if matches!(value, Value::Nil) {
                Value::from("<no value>")
            } else {
                value.clone()
            }
        })
        .collect();
    format::print(&shown, env.budget.limits)
}

fn html(env: &mut Env<'_, '_>, arguments: &[Value]) -> Answer {
    let mut out = env.builder();
    for byte in joined(env, arguments)? {
        match byte {
            0 => out.push("\u{fffd}".as_bytes()),
            b'"' => out.push(b"&#34;"),
            b'\'' => out.push(b"&#39;"),
            b'&' => out.push(b"&amp;"),
            b'<' => out.push(b"&lt;"),
            b'>' => out.push(b"&gt;"),
            _ => out.push(&[byte]),
        }
    }
    out.finish()
}

fn js(env: &mut Env<'_, '_>, arguments: &[Value]) -> Answer {
    let bytes = joined(env, arguments)?;
    let mut out = env.builder();
    let mut at = 0;
    while let Some(rune) = first_rune(&bytes[at..]) {
        let piece = &bytes[at..at + rune.len()];
        at += rune.len();
        match rune {
            Rune::Char('\\') => out.push(b"\\\\"),
            Rune::Char('\'') => out.push(b"\\'"),
            Rune::Char('"') => out.push(b"\\\""),
            Rune::Char(c @ ('<' | '>' | '&' | '=' | '\0'..' ')) => {
                out.push(format!("\\u{:04X}", u32::from(c)).as_bytes())
            }
            Rune::Char(c) if c.is_ascii() || is_print(c) => out.push(piece),
            Rune::Char(c) => out.push(format!("\\u{:04X}", u32::from(c)).as_bytes()),
            // A broken byte counts as U+FFFD, which can be printed: the byte stays.
            Rune::Broken(_) => out.push(piece),
        }
    }
    out.finish()
}

fn urlquery(env: &mut Env<'_, '_>, arguments: &[Value]) -> Answer {
    let mut out = env.builder();
    for byte in joined(env, arguments)? {
        match byte {
            b' ' => out.push(b"+"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(&[byte])
            }
            _ => out.push(format!("%{byte:02X}").as_bytes()),
        }
    }
    out.finish()
}

fn len(value: &Value) -> Answer {
    let length = match value {
        Value::String(text) => text.len(),
        Value::RawString(bytes) | Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        Value::Labels(map) => map.len(),
        Value::Nil => return Err("len of nil".into()),
        other => return Err(format!("len of type {}", other.type_name()).into()),
    };
    Ok(Value::from(length))
}

/// An index of whatever integer type, at most the length.
fn position(index: &Value, length: usize) -> Result<usize, Trouble> {
    let found = match index.as_integer() {
        Some(Integer::Signed(number)) => usize::try_from(number).ok(),
        // Go looks at all 64 bits as signed.
        Some(Integer::Unsigned(number)) => usize::try_from(number).ok(),
        None if matches!(index, Value::Nil) => {
            return Err("cannot index slice/array with nil".into());
        }
        None => {
            return Err(format!("cannot index slice/array with type {}", index.type_name()).into());
        }
    };
    found
        .filter(|&at| at <= length)
        .ok_or_else(|| "index out of range".into())
}

fn index(arguments: &[Value]) -> Answer {
    let (item, indexes) = match arguments {
        [Value::Nil, ..] | [] => return Err("index of untyped nil".into()),
        [item, indexes @ ..] => (item, indexes),
    };
    let mut item = item.clone();
    for index in indexes {
        let byte_at = |bytes: &[u8]| -> Answer {
            let at = position(index, bytes.len())?;
            bytes
                .get(at)
                .map(|&byte| Value::Byte(byte))
                .ok_or_else(|| "index out of range".into())
        };
        item = match &item {
            Value::String(text) => byte_at(text.as_bytes())?,
            Value::RawString(bytes) | Value::Bytes(bytes) => byte_at(bytes)?,
            Value::List(list) => {
                let at = position(index, list.len())?;
                list.get(at).cloned().ok_or("index out of range")?
            }
            Value::Map(map) => map.get(&*key(index)?).cloned().unwrap_or_default(),
            Value::Labels(map) => Value::from(map.get(&*key(index)?).map_or("", String::as_str)),
            Value::Nil => return Err("index of nil pointer".into()),
            other => return Err(format!("can't index item of type {}", other.type_name()).into()),
        };
    }
    Ok(item)
}

fn key(index: &Value) -> Result<std::borrow::Cow<'_, str>, Trouble> {
    match index {
        Value::String(text) => Ok(text.as_ref().into()),
        Value::RawString(bytes) => Ok(crate::text::to_text(bytes.to_vec()).into()),
        Value::Nil => Err("value is nil; should be of type string".into()),
        other => Err(format!("value has type {}; should be string", other.type_name()).into()),
    }
}

fn slice(arguments: &[Value]) -> Answer {
    let (item, indexes) = match arguments {
        [Value::Nil, ..] | [] => return Err("slice of untyped nil".into()),
        [item, indexes @ ..] => (item, indexes),
    };
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()).into());
    }
    let length = match item {
        Value::String(_) | Value::RawString(_) if indexes.len() == 3 => {
            return Err("cannot 3-index slice a string".into());
        }
        Value::String(text) => text.len(),
        Value::RawString(bytes) | Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name()).into()),
    };
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = position(index, length)?;
    }
    let [from, to, end] = bounds;
    if from > to || to > end {
        return Err(format!("invalid slice index: {from} > {to}").into());
    }
    Ok(match item {
        Value::Bytes(bytes) => Value::Bytes(bytes[from..to].into()),
        Value::List(list) => Value::List(list[from..to].into()),
        _ => Value::from_bytes(&item.as_string_bytes().unwrap_or_default()[from..to]),
    })
}
