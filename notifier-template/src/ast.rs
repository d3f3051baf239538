//! The parsed form. Its depth is bounded by the parser, so that walking and dropping it
//! cannot exhaust the stack; chains of `else if` are flat.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::funcs::Builtin;
use crate::text::number::Number;
use crate::value::Value;

/// All templates of one source: the main one, and what it defines.
pub(crate) type Trees = BTreeMap<String, Arc<[Node]>>;

#[derive(Debug)]
pub(crate) enum Node {
    Text(Arc<str>),
    Action(Action),
    If(If),
    Range(Branch),
    With(Branch),
    Template(Call),
    Break,
    Continue,
}

#[derive(Debug)]
pub(crate) struct Action {
    pub(crate) pipe: Pipe,
    /// Whether the result is written as it is, whatever the escaping.
    pub(crate) raw: bool,
}

/// Conditions in order, each with what it guards.
#[derive(Debug)]
pub(crate) struct If {
    pub(crate) branches: Vec<(Pipe, Vec<Node>)>,
    pub(crate) otherwise: Vec<Node>,
}

#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) at: usize,
    pub(crate) name: String,
    pub(crate) pipe: Option<Pipe>,
}

#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) at: usize,
    /// Names with their `$`.
    pub(crate) variables: Vec<Arc<str>>,
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

/// An operand and its arguments.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) at: usize,
    pub(crate) head: Operand,
    pub(crate) arguments: Vec<Operand>,
}

#[derive(Debug)]
pub(crate) struct Operand {
    pub(crate) at: usize,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Bool(bool),
    Dot,
    Nil,
    Number(Number),
    Text(Value),
    Function(Callee),
    Field(Vec<Arc<str>>),
    Variable(Arc<str>, Vec<Arc<str>>),
    /// Fields of a function's result or of parentheses.
    Chain(Box<Operand>, Vec<Arc<str>>),
    Pipe(Box<Pipe>),
}

#[derive(Debug, Clone)]
pub(crate) enum Callee {
    Builtin(&'static Builtin),
    /// Bound when the template is rendered.
    Bound(Arc<str>),
}

impl Callee {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Builtin(builtin) => builtin.name,
            Self::Bound(name) => name,
        }
    }
}
