//! `eq` and its relatives.

use std::cmp::Ordering;

use super::Answer;
use crate::error::Trouble;
use crate::value::{Integer, Value};

const INCOMPATIBLE: &str = "incompatible types for comparison";
const INVALID: &str = "invalid type for comparison";

/// Values whose kind has an order or at least an equality of its own.
enum Basic<'v> {
    Bool(bool),
    Integer(Integer),
    Float(f64),
    Complex(f64, f64),
    String(&'v [u8]),
}

fn basic(value: &Value) -> Option<Basic<'_>> {
    Some(match value {
        Value::Bool(flag) => Basic::Bool(*flag),
        Value::Float(number) => Basic::Float(*number),
        Value::Complex(re, im) => Basic::Complex(*re, *im),
        Value::String(_) | Value::RawString(_) => Basic::String(value.as_string_bytes()?),
        _ => Basic::Integer(value.as_integer()?),
    })
}

fn order_integers(a: Integer, b: Integer) -> Ordering {
    let wide = |number| match number {
        Integer::Signed(number) => i128::from(number),
        Integer::Unsigned(number) => i128::from(number),
    };
    wide(a).cmp(&wide(b))
}

fn equal(a: &Value, b: &Value) -> Result<bool, Trouble> {
    match (basic(a), basic(b)) {
        (Some(a), Some(b)) => match (a, b) {
            (Basic::Bool(a), Basic::Bool(b)) => Ok(a == b),
            (Basic::Integer(a), Basic::Integer(b)) => Ok(order_integers(a, b).is_eq()),
            (Basic::Float(a), Basic::Float(b)) => Ok(a == b),
            (Basic::Complex(a, b), Basic::Complex(c, d)) => Ok(a == c && b == d),
            (Basic::String(a), Basic::String(b)) => Ok(a == b),
            _ => Err(INCOMPATIBLE.into()),
        },
        (None, None) => equal_compound(a, b),
        _ if matches!(a, Value::Nil) || matches!(b, Value::Nil) => Ok(false),
        _ => Err(INCOMPATIBLE.into()),
    }
}

/// Neither is of a basic kind.
fn equal_compound(a: &Value, b: &Value) -> Result<bool, Trouble> {
    let not_comparable = || Err(format!("non-comparable type {}", b.type_name()).into());
    match (a, b) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::Time(a), Value::Time(b)) => Ok(a == b),
        (Value::Location(a), Value::Location(b)) => Ok(a == b),
        // Both are structs to Go, of different types; the second decides.
        (Value::Object(_), Value::Time(_)) => Ok(false),
        _ => not_comparable(),
    }
}

pub(super) fn eq(arguments: &[Value]) -> Answer {
    let (first, others) = match arguments {
        [first, others @ ..] if !others.is_empty() => (first, others),
        _ => return Err("missing argument for comparison".into()),
    };
    for other in others {
        if equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

pub(super) fn ne(arguments: &[Value]) -> Answer {
    Ok(Value::Bool(!equal(&arguments[0], &arguments[1])?))
}

fn less(a: &Value, b: &Value) -> Result<bool, Trouble> {
    let (Some(a), Some(b)) = (basic(a), basic(b)) else {
        return Err(INVALID.into());
    };
    match (a, b) {
        (Basic::Integer(a), Basic::Integer(b)) => Ok(order_integers(a, b).is_lt()),
        (Basic::Float(a), Basic::Float(b)) => Ok(a < b),
        (Basic::String(a), Basic::String(b)) => Ok(a < b),
        (Basic::Bool(_), Basic::Bool(_)) | (Basic::Complex(..), Basic::Complex(..)) => {
            Err(INVALID.into())
        }
        _ => Err(INCOMPATIBLE.into()),
    }
}

fn less_or_equal(arguments: &[Value]) -> Result<bool, Trouble> {
    let (a, b) = (&arguments[0], &arguments[1]);
    Ok(less(a, b)? || equal(a, b)?)
}

pub(super) fn lt(arguments: &[Value]) -> Answer {
    Ok(Value::Bool(less(&arguments[0], &arguments[1])?))
}

pub(super) fn le(arguments: &[Value]) -> Answer {
    Ok(Value::Bool(less_or_equal(arguments)?))
}

pub(super) fn gt(arguments: &[Value]) -> Answer {
    Ok(Value::Bool(!less_or_equal(arguments)?))
}

pub(super) fn ge(arguments: &[Value]) -> Answer {
    Ok(Value::Bool(!less(&arguments[0], &arguments[1])?))
}
