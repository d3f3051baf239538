//! Pipelines, commands, fields and calls.

use std::sync::Arc;

use super::methods::{self, Method};
use super::{Exec, Frame, Res, Val, is_true};
use crate::ast::{Callee, Command, Kind, Operand, Pipe};
use crate::error::{Trouble, excerpt};
use crate::funcs::{Answer, Env, Run, call_function};
use crate::function::{Param, Signature};
use crate::text::number::Number;
use crate::value::Value;

/// The arguments of a call as written, and what the pipeline adds as the last one.
struct Given<'t> {
    arguments: &'t [Operand],
    last: Option<Val>,
}

impl Given<'_> {
    const NONE: Self = Self {
        arguments: &[],
        last: None,
    };

    fn count(&self) -> usize {
        self.arguments.len() + usize::from(self.last.is_some())
    }
}

/// How many variables are looked through for the price of a step.
const VARIABLES_PER_STEP: usize = 16;

impl Exec<'_> {
    pub(super) fn pipeline(&mut self, frame: &mut Frame, dot: &Val, pipe: &Pipe) -> Res<Val> {
        self.at = pipe.at;
        let mut previous: Option<Val> = None;
        for command in &pipe.commands {
            self.step()?;
            let value = self.command(frame, dot, command, previous)?;
            // A nil that the data holds is nothing from here on.
            previous = Some(value.filter(|value| !matches!(value, Value::Nil)));
        }
        let value = previous.flatten();
        for name in &pipe.variables {
            if pipe.assigns {
                let Some(at) = frame.find(name) else {
                    return self.fail(format!("undefined variable: {}", excerpt(name)));
                };
                frame.variables[at].1 = value.clone();
            } else {
                frame.variables.push((Arc::clone(name), value.clone()));
            }
        }
        Ok(value)
    }

    fn command(
        &mut self,
        frame: &mut Frame,
        dot: &Val,
        command: &Command,
        last: Option<Val>,
    ) -> Res<Val> {
        let head = &command.head;
        self.at = head.at;
        let given = Given {
            arguments: &command.arguments,
            last,
        };
        match &head.kind {
            Kind::Field(path) => return self.fields(frame, dot, dot, head.at, path, given),
            Kind::Chain(start, path) => {
                let receiver = self.chain_start(frame, dot, start)?;
                self.at = head.at;
                return self.fields(frame, dot, &receiver, head.at, path, given);
            }
            Kind::Variable(name, path) if !path.is_empty() => {
                let receiver = self.variable(frame, name)?;
                return self.fields(frame, dot, &receiver, head.at, path, given);
            }
            Kind::Function(callee) => return self.function(frame, dot, callee, command.at, given),
            _ => {}
        }
        if given.count() > 0 {
            return self.fail("can't give argument to non-function");
        }
        match &head.kind {
            Kind::Pipe(pipe) => self.parenthesized(frame, dot, pipe),
            Kind::Nil => self.fail("nil is not a command"),
            _ => self.plain(frame, dot, head),
        }
    }

    /// The pipeline in parentheses, one level deeper.
    fn parenthesized(&mut self, frame: &mut Frame, dot: &Val, pipe: &Pipe) -> Res<Val> {
        self.enter()?;
        let value = self.pipeline(frame, dot, pipe)?;
        self.budget.leave();
        Ok(value)
    }

    /// An operand that stands for itself.
    fn plain(&mut self, frame: &Frame, dot: &Val, operand: &Operand) -> Res<Val> {
        match &operand.kind {
            Kind::Bool(flag) => Ok(Some(Value::Bool(*flag))),
            Kind::Dot => Ok(dot.clone()),
            Kind::Number(number) => self.number(number).map(Some),
            Kind::Text(text) => Ok(Some(text.clone())),
            Kind::Variable(name, _) => self.variable(frame, name),
            _ => Ok(None),
        }
    }

    /// A number where no type is asked for.
    fn number(&mut self, number: &Number) -> Res<Value> {
        match *number {
            Number {
                complex: Some((re, im)),
                ..
            } => Ok(Value::Complex(re, im)),
            Number {
                floating: true,
                float: Some(float),
                ..
            } => Ok(Value::Float(float)),
            Number { int: Some(int), .. } => Ok(Value::Int(int)),
            _ => self.fail("integer constant overflows int"),
        }
    }

    fn variable(&mut self, frame: &Frame, name: &str) -> Res<Val> {
        let found = frame.find(name);
        let searched = frame.variables.len() - found.unwrap_or(0);
        let paid = self.budget.step(searched / VARIABLES_PER_STEP);
        self.check(paid)?;
        match found {
            Some(at) => Ok(frame.variables[at].1.clone()),
            None => self.fail(format!("undefined variable: {}", excerpt(name))),
        }
    }

    fn chain_start(&mut self, frame: &mut Frame, dot: &Val, start: &Operand) -> Res<Val> {
        self.at = start.at;
        match &start.kind {
            Kind::Pipe(pipe) => self.parenthesized(frame, dot, pipe),
            Kind::Function(callee) => self.function(frame, dot, callee, start.at, Given::NONE),
            _ => self.plain(frame, dot, start),
        }
    }

    /// Field after field; the arguments belong to the last.
    fn fields(
        &mut self,
        frame: &mut Frame,
        dot: &Val,
        receiver: &Val,
        at: usize,
        path: &[Arc<str>],
        given: Given<'_>,
    ) -> Res<Val> {
        let Some((last, first)) = path.split_last() else {
            return Ok(receiver.clone());
        };
        let mut inner;
        let mut receiver = receiver;
        for name in first {
            self.at = at;
            self.step()?;
            inner = self.field(frame, dot, receiver, name, Given::NONE)?;
            receiver = &inner;
        }
        self.at = at;
        self.field(frame, dot, receiver, last, given)
    }

    fn field(
        &mut self,
        frame: &mut Frame,
        dot: &Val,
        receiver: &Val,
        name: &str,
        given: Given<'_>,
    ) -> Res<Val> {
        let Some(receiver) = receiver else {
            return Ok(None);
        };
        if let Some(method) = methods::find(receiver, name) {
            return self
                .method(frame, dot, receiver, name, method, given)
                .map(Some);
        }
        let found = match receiver {
            Value::Object(object) => return self.object_field(frame, dot, &**object, name, given),
            Value::Map(map) => map.get(name).cloned(),
            Value::Labels(map) => map.get(name).map(Value::from),
            Value::Nil => {
                return self.fail(format!(
                    "nil pointer evaluating interface {{}}.{}",
                    excerpt(name)
                ));
            }
            other => {
                let message = format!(
                    "can't evaluate field {} in type {}",
                    excerpt(name),
                    other.type_name()
                );
                return self.fail(message);
            }
        };
        if given.count() > 0 {
            return self.fail(format!(
                "{} is not a method but has arguments",
                excerpt(name)
            ));
        }
        Ok(found)
    }

    fn object_field(
        &mut self,
        frame: &mut Frame,
        dot: &Val,
        object: &dyn crate::value::Object,
        name: &str,
        given: Given<'_>,
    ) -> Res<Val> {
        let at = self.at;
        let arguments = self.arguments(frame, dot, ANY, &given)?;
        self.at = at;
        if let Some(answer) = object.method(name, &arguments) {
            return self.answer(name, answer.map_err(Trouble::from)).map(Some);
        }
        if name == "String" {
            self.check(
                Signature::exactly(&[])
                    .check(name, given.count())
                    .map_err(Trouble::from),
            )?;
            return self
                .answer(name, Ok(Value::from(object.to_text())))
                .map(Some);
        }
        match object.field(name) {
            Some(_) if given.count() > 0 => self.fail(format!(
                "{} has arguments but cannot be invoked as function",
                excerpt(name)
            )),
            Some(value) => Ok(Some(value)),
            None => self.fail(format!(
                "can't evaluate field {} in type {}",
                excerpt(name),
                object.type_name().rsplit('.').next().unwrap_or_default()
            )),
        }
    }

    fn method(
        &mut self,
        frame: &mut Frame,
        dot: &Val,
        receiver: &Value,
        name: &str,
        method: &Method,
        given: Given<'_>,
    ) -> Res<Value> {
        let at = self.at;
        let signature = Signature::exactly(method.params);
        self.check(signature.check(name, given.count()).map_err(Trouble::from))?;
        let Some(body) = method.body else {
            return self.fail(format!(
                "can't call method/function {name:?} with {} results",
                method.results
            ));
        };
        let arguments = self.arguments(frame, dot, signature, &given)?;
        self.at = at;
        let answer = body(receiver, &arguments, self.context).map_err(Trouble::from);
        self.answer(name, answer)
    }

    /// Pays for what a call made, and says whose error it was.
    fn answer(&mut self, name: &str, answer: Answer) -> Res<Value> {
        let value = self.check(answer.map_err(|trouble| trouble.calling(name)))?;
        let paid = self.budget.value(value.weight());
        self.check(paid)?;
        Ok(value)
    }

    fn function(
        &mut self,
        frame: &mut Frame,
        dot: &Val,
        callee: &Callee,
        command: usize,
        given: Given<'_>,
    ) -> Res<Val> {
        let name = callee.name();
        let builtin = match callee {
            Callee::Bound(_) => return self.bound(frame, dot, name, command, given),
            Callee::Builtin(builtin) => *builtin,
        };
        self.check(
            builtin
                .signature
                .check(name, given.count())
                .map_err(Trouble::from),
        )?;
        let body = match builtin.run {
            Run::And => return self.short_circuit(frame, dot, false, given),
            Run::Or => return self.short_circuit(frame, dot, true, given),
            Run::Call(body) => body,
        };
        let arguments = self.arguments(frame, dot, builtin.signature, &given)?;
        self.at = command;
        let answer = body(
            &mut Env {
                budget: &mut self.budget,
                context: self.context,
            },
            &arguments,
        );
        self.answer(name, answer).map(Some)
    }

    fn bound(
        &mut self,
        frame: &mut Frame,
        dot: &Val,
        name: &str,
        command: usize,
        given: Given<'_>,
    ) -> Res<Val> {
        let context = self.context;
        let Some(function) = context.functions.get(name) else {
            return self.fail(format!("function {:?} is not bound", excerpt(name)));
        };
        let signature = function.signature();
        self.check(signature.check(name, given.count()).map_err(Trouble::from))?;
        let arguments = self.arguments(frame, dot, signature, &given)?;
        self.at = command;
        let answer = call_function(function, &arguments);
        self.answer(name, answer).map(Some)
    }

    /// `and` and `or`: the first argument that decides, else the last.
    fn short_circuit(
        &mut self,
        frame: &mut Frame,
        dot: &Val,
        until: bool,
        given: Given<'_>,
    ) -> Res<Val> {
        let mut value = None;
        for operand in given.arguments {
            value = self.argument(frame, dot, Param::Any, operand)?;
            if is_true(&value) == until {
                return Ok(value);
            }
        }
        Ok(given.last.unwrap_or(value))
    }

    fn arguments(
        &mut self,
        frame: &mut Frame,
        dot: &Val,
        signature: Signature,
        given: &Given<'_>,
    ) -> Res<Vec<Value>> {
        let mut values = Vec::with_capacity(given.count());
        let mut weight = 0;
        for (index, operand) in given.arguments.iter().enumerate() {
            let value = self
                .argument(frame, dot, signature.param(index), operand)?
                .unwrap_or_default();
            weight += value.weight();
            values.push(value);
        }
        if let Some(last) = &given.last {
            let param = signature.param(values.len());
            let value = self.fit(last.clone(), param)?.unwrap_or_default();
            weight += value.weight();
            values.push(value);
        }
        let paid = self.budget.read(weight);
        self.check(paid)?;
        Ok(values)
    }

    fn argument(
        &mut self,
        frame: &mut Frame,
        dot: &Val,
        param: Param,
        operand: &Operand,
    ) -> Res<Val> {
        self.at = operand.at;
        self.step()?;
        let value = match &operand.kind {
            Kind::Dot => dot.clone(),
            Kind::Nil if param.can_be_nil() => return Ok(None),
            Kind::Nil => return self.fail(format!("cannot assign nil to {}", param.type_name())),
            Kind::Field(path) => self.fields(frame, dot, dot, operand.at, path, Given::NONE)?,
            Kind::Variable(name, path) => {
                let receiver = self.variable(frame, name)?;
                self.fields(frame, dot, &receiver, operand.at, path, Given::NONE)?
            }
            Kind::Chain(start, path) => {
                let receiver = self.chain_start(frame, dot, start)?;
                self.fields(frame, dot, &receiver, operand.at, path, Given::NONE)?
            }
            Kind::Pipe(pipe) => self.parenthesized(frame, dot, pipe)?,
            Kind::Function(callee) => self.function(frame, dot, callee, operand.at, Given::NONE)?,
            Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) => {
                return self.literal(param, operand).map(Some);
            }
        };
        self.fit(value, param)
    }

    /// A literal takes the type that the parameter has.
    fn literal(&mut self, param: Param, operand: &Operand) -> Res<Value> {
        match (param, &operand.kind) {
            (Param::Any, Kind::Bool(flag)) => Ok(Value::Bool(*flag)),
            (Param::Any, Kind::Number(number)) => self.number(number),
            (Param::Any | Param::String, Kind::Text(text)) => Ok(text.clone()),
            (Param::Int, Kind::Number(Number { int: Some(int), .. })) => Ok(Value::Int(*int)),
            (Param::Duration, Kind::Number(Number { int: Some(int), .. })) => {
                Ok(Value::Duration(crate::time::Duration::from_nanos(*int)))
            }
            _ => self.fail(format!(
                "expected {}; found another literal",
                param.type_name()
            )),
        }
    }

    /// Whether a parameter takes the value.
    fn fit(&mut self, value: Val, param: Param) -> Res<Val> {
        match value.filter(|value| !matches!(value, Value::Nil)) {
            None if param.can_be_nil() => Ok(None),
            None => self.fail(format!("invalid value; expected {}", param.type_name())),
            Some(value) if param.takes(&value) => Ok(Some(value)),
            Some(value) => {
                let (want, got) = (param.type_name(), value.type_name());
                self.fail(format!("wrong type for value; expected {want}; got {got}"))
            }
        }
    }
}

const ANY: Signature = Signature::then_any(&[], Param::Any);
