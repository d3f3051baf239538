#![doc = include_str!("../README.md")]

mod ast;
mod context;
mod engine;
mod error;
mod escape;
mod exec;
mod format;
mod funcs;
mod function;
mod lexer;
mod limits;
mod parser;
mod text;
mod time;
mod value;

pub use context::Context;
pub use engine::{Engine, Template};
pub use error::{Error, Stage};
pub use escape::Escape;
pub use function::Function;
pub use limits::Limits;
pub use time::{Duration, Month, Time, Weekday, Zone};
pub use value::{Object, Value};
