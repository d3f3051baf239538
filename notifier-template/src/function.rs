//! Functions that the caller lends to templates.

use std::fmt;
use std::sync::Arc;

use crate::value::Value;

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Param {
    Any,
    String,
    Int,
    Duration,
    Time,
    Location,
    Bytes,
}

impl Param {
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::String => "string",
            Self::Int => "int",
            Self::Duration => "time.Duration",
            Self::Time => "time.Time",
            Self::Location => "*time.Location",
            Self::Bytes => "[]uint8",
        }
    }

    pub(crate) fn can_be_nil(self) -> bool {
        matches!(self, Self::Any | Self::Location | Self::Bytes)
    }

    pub(crate) fn takes(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::String => matches!(value, Value::String(_) | Value::RawString(_)),
            Self::Int => matches!(value, Value::Int(_)),
            Self::Duration => matches!(value, Value::Duration(_)),
            Self::Time => matches!(value, Value::Time(_)),
            Self::Location => matches!(value, Value::Location(_)),
            Self::Bytes => matches!(value, Value::Bytes(_)),
        }
    }
}

/// How many arguments, of which types.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signature {
    pub(crate) fixed: &'static [Param],
    /// What any number of further arguments must be.
    pub(crate) rest: Option<Param>,
}

impl Signature {
    pub(crate) const fn exactly(fixed: &'static [Param]) -> Self {
        Self { fixed, rest: None }
    }

    pub(crate) const fn then_any(fixed: &'static [Param], rest: Param) -> Self {
        Self {
            fixed,
            rest: Some(rest),
        }
    }

    /// The type of the argument at a place.
    pub(crate) fn param(&self, at: usize) -> Param {
        self.fixed
            .get(at)
            .copied()
            .or(self.rest)
            .unwrap_or(Param::Any)
    }

    pub(crate) fn check(&self, name: &str, count: usize) -> Result<(), String> {
        let want = self.fixed.len();
        if self.rest.is_some() {
            if count < want {
                return Err(format!(
                    "wrong number of args for {name}: want at least {want} got {count}"
                ));
            }
        } else if count != want {
            return Err(format!(
                "wrong number of args for {name}: want {want} got {count}"
            ));
        }
        Ok(())
    }
}

type Body = dyn Fn(&[Value]) -> Result<Value, String> + Send + Sync;

/// A function of the caller's, for [`Context::bind`](crate::Context::bind) or as a
/// [`Value`] that the template's `call` invokes.
#[derive(Clone)]
pub struct Function {
    name: Arc<str>,
    type_name: &'static str,
    signature: Signature,
    body: Arc<Body>,
}

const ANY: [Param; 16] = [Param::Any; 16];

impl Function {
    /// A function from a string to whatever: Go's `func(string) string`, mostly.
    ///
    /// The engine sees to it that exactly one string arrives.
    ///
    /// ```
    /// use notifier_template::{Context, Engine, Function, Value};
    ///
    /// let engine = Engine::new().with_function("env");
    /// let mut context = Context::new(Value::Nil);
    /// context.bind("env", Function::new("env", |key: &str| format!("<{key}>")));
    /// assert_eq!(engine.parse("t", r#"{{ env "HOME" }}"#)?.render(&context)?, "<HOME>");
    /// # Ok::<(), notifier_template::Error>(())
    /// ```
    pub fn new<F, R>(name: &str, body: F) -> Self
    where
        F: Fn(&str) -> R + Send + Sync + 'static,
        R: Into<Value>,
    {
        let call = move |arguments: &[Value]| match arguments {
            [Value::String(text)] => Ok(body(text).into()),
            [Value::RawString(bytes)] => Ok(body(&crate::text::to_text(bytes.to_vec())).into()),
            _ => Err("one string is needed".to_owned()),
        };
        Self {
            name: name.into(),
            type_name: "func(string) string",
            signature: Signature::exactly(&[Param::String]),
            body: Arc::new(call),
        }
    }

    /// A function of so many arguments of any types, at most 16. Its error ends the
    /// rendering.
    pub fn from_fn<F>(name: &str, arity: usize, body: F) -> Self
    where
        F: Fn(&[Value]) -> Result<Value, String> + Send + Sync + 'static,
    {
        Self {
            name: name.into(),
            type_name: "func(...interface {}) (interface {}, error)",
            signature: Signature::exactly(ANY.get(..arity).unwrap_or(&ANY)),
            body: Arc::new(body),
        }
    }

    /// A function of at least so many arguments of any types; the least is at most 16.
    /// Its error ends the rendering.
    pub fn variadic<F>(name: &str, least: usize, body: F) -> Self
    where
        F: Fn(&[Value]) -> Result<Value, String> + Send + Sync + 'static,
    {
        Self {
            name: name.into(),
            type_name: "func(...interface {}) (interface {}, error)",
            signature: Signature::then_any(ANY.get(..least).unwrap_or(&ANY), Param::Any),
            body: Arc::new(body),
        }
    }

    /// The name it was given, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn type_name(&self) -> &str {
        self.type_name
    }

    pub(crate) fn signature(&self) -> Signature {
        self.signature
    }

    pub(crate) fn call(&self, arguments: &[Value]) -> Result<Value, String> {
        (self.body)(arguments)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Function").field(&self.name).finish()
    }
}
