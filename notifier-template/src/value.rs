//! What templates compute with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::function::Function;
use crate::time::{Duration, Month, Time, Weekday, Zone};

/// A value with a type of Go's; the type decides how it prints, compares and is passed on.
///
/// Cloning is cheap: what can be large is shared.
///
/// ```
/// use std::collections::BTreeMap;
/// use notifier_template::Value;
///
/// let map = BTreeMap::from([("name".to_owned(), Value::from("x")), ("tries".to_owned(), Value::from(3))]);
/// assert!(matches!(Value::from(map), Value::Map(_)));
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Value {
    /// Nothing: prints `<no value>`, or `<nil>` as an argument of `print`.
    #[default]
    Nil,
    /// Go's `bool`.
    Bool(bool),
    /// Go's `int`.
    Int(i64),
    /// Go's `int64`, which differs from `int` only in its name.
    Int64(i64),
    /// Go's `uint64`.
    Uint(u64),
    /// Go's `uint8`: what `index "text" 0` gives.
    Byte(u8),
    /// Go's `float64`.
    Float(f64),
    /// Go's `complex128`: real and imaginary part.
    Complex(f64, f64),
    /// Go's `string`.
    String(Arc<str>),
    /// A `string` that is no UTF-8, as `slice` can cut one. Where text is needed, each
    /// byte that fits nowhere becomes U+FFFD.
    RawString(Arc<[u8]>),
    /// Go's `[]byte`, which prints as numbers.
    Bytes(Arc<[u8]>),
    /// Go's `[]interface{}`.
    List(Arc<[Self]>),
    /// Go's `map[string]interface{}`.
    Map(Arc<BTreeMap<String, Self>>),
    /// Go's `map[string]string`: a missing key prints `<no value>` as a field, and is
    /// `""` to `index`.
    Labels(Arc<BTreeMap<String, String>>),
    /// Go's `time.Time`.
    Time(Time),
    /// Go's `time.Duration`.
    Duration(Duration),
    /// Go's `time.Month`.
    Month(Month),
    /// Go's `time.Weekday`.
    Weekday(Weekday),
    /// Go's `*time.Location`.
    Location(Zone),
    /// A function, for `call`.
    Function(Function),
    /// A struct of the caller's.
    Object(Arc<dyn Object>),
}

/// A struct that templates see: fields, methods, and a text of its own.
///
/// ```
/// use notifier_template::{Context, Engine, Object, Value};
///
/// #[derive(Debug)]
/// struct Host {
///     name: String,
/// }
///
/// impl Object for Host {
///     fn type_name(&self) -> &str {
///         "main.Host"
///     }
///     fn to_text(&self) -> String {
///         format!("host {}", self.name)
///     }
///     fn field(&self, name: &str) -> Option<Value> {
///         (name == "Name").then(|| Value::from(self.name.as_str()))
///     }
///     fn fields(&self) -> Vec<(&str, Value)> {
///         vec![("Name", Value::from(self.name.as_str()))]
///     }
/// }
///
/// let template = Engine::new().parse("t", "{{ . }}, {{ .Name }}")?;
/// let context = Context::new(Value::from_object(Host { name: "a".to_owned() }));
/// assert_eq!(template.render(&context)?, "host a, a");
/// # Ok::<(), notifier_template::Error>(())
/// ```
pub trait Object: fmt::Debug + Send + Sync {
    /// The type's name as `%T` and errors show it, for example `main.Failure`.
    fn type_name(&self) -> &str;

    /// What it prints as, which is also what its method `String` gives.
    fn to_text(&self) -> String;

    /// The field of this name, or `None` if there is none: an error in the template.
    fn field(&self, name: &str) -> Option<Value>;

    /// All fields in order, for `%#v` and for verbs that do not fit a text.
    fn fields(&self) -> Vec<(&str, Value)>;

    /// Calls a method. `None` if there is none of this name, which then may be a field.
    ///
    /// An error ends the rendering. `String` without arguments needs no answer here.
    fn method(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        let _ = (name, arguments);
        None
    }
}

impl Value {
    /// Wraps a struct.
    pub fn from_object(object: impl Object + 'static) -> Self {
        Self::Object(Arc::new(object))
    }

    /// A Go `string` of these bytes, which need not be UTF-8.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        match String::from_utf8(bytes.into()) {
            Ok(text) => Self::String(text.into()),
            Err(error) => Self::RawString(error.into_bytes().into()),
        }
    }

    /// The value's type in Go's words, as `%T` prints it.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Uint(_) => "uint64",
            Self::Byte(_) => "uint8",
            Self::Float(_) => "float64",
            Self::Complex(..) => "complex128",
            Self::String(_) | Self::RawString(_) => "string",
            Self::Bytes(_) => "[]uint8",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
            Self::Labels(_) => "map[string]string",
            Self::Time(_) => "time.Time",
            Self::Duration(_) => "time.Duration",
            Self::Month(_) => "time.Month",
            Self::Weekday(_) => "time.Weekday",
            Self::Location(_) => "*time.Location",
            Self::Function(function) => function.type_name(),
            Self::Object(object) => object.type_name(),
        }
    }

    /// Whether `if` takes the value for true: not zero, not empty, not nothing.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) | Self::Int64(value) => *value != 0,
            Self::Uint(value) => *value != 0,
            Self::Byte(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Complex(re, im) => *re != 0.0 || *im != 0.0,
            Self::String(text) => !text.is_empty(),
            Self::RawString(bytes) | Self::Bytes(bytes) => !bytes.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Labels(map) => !map.is_empty(),
            Self::Duration(value) => value.0 != 0,
            Self::Weekday(day) => day.number() != 0,
            Self::Month(_)
            | Self::Time(_)
            | Self::Location(_)
            | Self::Function(_)
            | Self::Object(_) => true,
        }
    }

    /// The bytes of a `string`; `None` for any other type.
    pub fn as_string_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::String(text) => Some(text.as_bytes()),
            Self::RawString(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// How many bytes a function has to read to read the value.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::String(text) => text.len(),
            Self::RawString(bytes) | Self::Bytes(bytes) => bytes.len(),
            Self::List(list) => list.len() * 8,
            _ => 0,
        }
    }

    /// The number inside integers of any kind.
    pub(crate) fn as_integer(&self) -> Option<Integer> {
        Some(match self {
            Self::Int(value) | Self::Int64(value) => Integer::Signed(*value),
            Self::Duration(value) => Integer::Signed(value.0),
            Self::Month(month) => Integer::Signed(i64::from(month.number())),
            Self::Weekday(day) => Integer::Signed(i64::from(day.number())),
            Self::Uint(value) => Integer::Unsigned(*value),
            Self::Byte(value) => Integer::Unsigned(u64::from(*value)),
            _ => return None,
        })
    }
}

/// An integer with the kind of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Integer {
    Signed(i64),
    Unsigned(u64),
}

impl From<()> for Value {
    fn from((): ()) -> Self {
        Self::Nil
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

macro_rules! from_integers {
    ($($type:ty => $variant:ident),*) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

from_integers!(i8 => Int, i16 => Int, i32 => Int, i64 => Int, u8 => Byte, u16 => Uint, u32 => Uint, u64 => Uint);

impl From<usize> for Value {
    /// As Go's `int`, which lengths are.
    fn from(value: usize) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Self::Float(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Self::String(text)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Value {
    fn from(list: Vec<T>) -> Self {
        list.into_iter().collect()
    }
}

impl<T: Into<Self>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nil, Into::into)
    }
}

impl From<BTreeMap<String, Self>> for Value {
    fn from(map: BTreeMap<String, Self>) -> Self {
        Self::Map(Arc::new(map))
    }
}

impl From<BTreeMap<String, String>> for Value {
    fn from(map: BTreeMap<String, String>) -> Self {
        Self::Labels(Arc::new(map))
    }
}

impl From<Time> for Value {
    fn from(time: Time) -> Self {
        Self::Time(time)
    }
}

impl From<Duration> for Value {
    fn from(duration: Duration) -> Self {
        Self::Duration(duration)
    }
}

impl From<Function> for Value {
    fn from(function: Function) -> Self {
        Self::Function(function)
    }
}

impl From<Arc<dyn Object>> for Value {
    fn from(object: Arc<dyn Object>) -> Self {
        Self::Object(object)
    }
}

impl From<serde_json::Value> for Value {
    /// As Go's `json.Unmarshal` into an `interface{}`, except that whole numbers stay whole.
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::Number(number) => {
                if let Some(value) = number.as_i64() {
                    Self::Int(value)
                } else if let Some(value) = number.as_u64() {
                    Self::Uint(value)
                } else {
                    Self::Float(number.as_f64().unwrap_or(f64::NAN))
                }
            }
            serde_json::Value::String(text) => Self::from(text),
            serde_json::Value::Array(list) => list.into_iter().collect(),
            serde_json::Value::Object(map) => Self::from(
                map.into_iter()
                    .map(|(key, value)| (key, value.into()))
                    .collect::<BTreeMap<_, Self>>(),
            ),
        }
    }
}
