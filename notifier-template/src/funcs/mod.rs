//! The functions that every template has.

mod alertmanager;
mod builtin;
mod compare;
mod pattern;
mod text;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::context::Context;
use crate::error::Trouble;
use crate::function::{Param, Signature};
use crate::limits::Budget;
use crate::value::Value;

pub(crate) use builtin::call_function;

/// What a function may use besides its arguments.
pub(crate) struct Env<'e, 'l> {
    pub(crate) budget: &'e mut Budget<'l>,
    pub(crate) context: &'e Context,
}

/// What a function gives, or why it cannot.
pub(crate) type Answer = Result<Value, Trouble>;

pub(crate) type Body = fn(&mut Env<'_, '_>, &[Value]) -> Answer;

/// How a function gets at its arguments.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// All of them, evaluated before.
    Call(Body),
    /// One after the other, until one is false.
    And,
    /// One after the other, until one is true.
    Or,
}

/// A function of Go's or of the crate's.
pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    pub(crate) signature: Signature,
    pub(crate) run: Run,
    /// Whether its result is never escaped.
    pub(crate) raw: bool,
}

impl std::fmt::Debug for Builtin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Builtin").field(&self.name).finish()
    }
}

impl Builtin {
    const fn new(name: &'static str, signature: Signature, body: Body) -> Self {
        Self {
            name,
            signature,
            run: Run::Call(body),
            raw: false,
        }
    }

    const fn raw(mut self) -> Self {
        self.raw = true;
        self
    }

    const fn short_circuit(name: &'static str, run: Run) -> Self {
        Self {
            name,
            signature: SOME,
            run,
            raw: false,
        }
    }
}

/// At least one argument of any type.
const SOME: Signature = Signature::then_any(&[Param::Any], Param::Any);
const ANY_NUMBER: Signature = Signature::then_any(&[], Param::Any);
const ONE: Signature = Signature::exactly(&[Param::Any]);
const TWO: Signature = Signature::exactly(&[Param::Any, Param::Any]);
const STRING: Signature = Signature::exactly(&[Param::String]);
const TWO_STRINGS: Signature = Signature::exactly(&[Param::String, Param::String]);

static FUNCTIONS: LazyLock<BTreeMap<&'static str, &'static Builtin>> = LazyLock::new(|| {
    let tables = [builtin::TABLE, alertmanager::TABLE, text::TABLE];
    tables
        .into_iter()
        .flatten()
        .map(|function| (function.name, function))
        .collect()
});

/// The function of this name.
pub(crate) fn find(name: &str) -> Option<&'static Builtin> {
    FUNCTIONS.get(name).copied()
}

/// Text that a function makes piece by piece, and that cannot outgrow the limit.
struct Builder {
    out: Vec<u8>,
    longest: usize,
    exceeded: bool,
}

impl Env<'_, '_> {
    fn builder(&self) -> Builder {
        Builder {
            out: Vec::new(),
            longest: self.budget.limits.value_bytes,
            exceeded: false,
        }
    }
}

impl Builder {
    fn push(&mut self, bytes: &[u8]) {
        if self.out.len() + bytes.len() > self.longest {
            self.exceeded = true;
        }
        if !self.exceeded {
            self.out.extend_from_slice(bytes);
        }
    }

    fn finish(self) -> Answer {
        if self.exceeded {
            return Err(Trouble::limit(format!(
                "a value of more than {} bytes",
                self.longest
            )));
        }
        Ok(Value::from_bytes(self.out))
    }
}

/// The bytes of an argument that the signature promises to be a string.
fn string(arguments: &[Value], at: usize) -> &[u8] {
    arguments
        .get(at)
        .and_then(Value::as_string_bytes)
        .unwrap_or_default()
}

/// The same as text.
fn text(arguments: &[Value], at: usize) -> std::borrow::Cow<'_, str> {
    match arguments.get(at) {
        Some(Value::String(text)) => text.as_ref().into(),
        Some(Value::RawString(bytes)) => crate::text::to_text(bytes.to_vec()).into(),
        _ => "".into(),
    }
}

/// An argument as an integer of whatever kind.
fn integer(arguments: &[Value], at: usize) -> Result<i64, Trouble> {
    use crate::value::Integer;
    let value = arguments.get(at).unwrap_or(&Value::Nil);
    match value.as_integer() {
        Some(Integer::Signed(number)) => Ok(number),
        Some(Integer::Unsigned(number)) => Ok(i64::try_from(number).unwrap_or(i64::MAX)),
        None => Err(format!("an integer is needed, not {}", value.type_name()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_taken_twice() {
        let count: usize = [builtin::TABLE, alertmanager::TABLE, text::TABLE]
            .iter()
            .map(|table| table.len())
            .sum();
        assert_eq!(FUNCTIONS.len(), count);
    }
}
