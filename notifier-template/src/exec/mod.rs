//! Rendering: walks a tree and writes what it says.

mod eval;
mod methods;

use std::sync::{Arc, LazyLock};

use crate::ast::{Action, Branch, Call, If, Node, Trees};
use crate::context::Context;
use crate::error::{Fault, Trouble, excerpt};
use crate::escape::{Escape, Writer};
use crate::format;
use crate::limits::{Budget, Limits};
use crate::value::Value;

type Res<T> = Result<T, Box<Fault>>;

/// What an expression gives. `None` is Go's invalid value, which a missing key leaves
/// behind; `Some(Value::Nil)` is a nil that the data holds.
type Val = Option<Value>;

/// Whether a list was walked to its end.
#[derive(PartialEq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// Renders the tree of this name.
pub(crate) fn render(
    name: &str,
    trees: &Trees,
    limits: &Limits,
    context: &Context,
    escape: &Escape,
) -> Res<String> {
    let mut exec = Exec {
        trees,
        context,
        budget: Budget::new(limits),
        out: escape.writer(),
        at: 0,
    };
    let data = Some(context.data.clone());
    let mut frame = Frame::new(data.clone());
    if let Some(nodes) = trees.get(name) {
        exec.walk(&mut frame, &data, nodes)?;
    }
    Ok(exec.out.finish())
}

/// The variables of one template call, the latest last.
struct Frame {
    variables: Vec<(Arc<str>, Val)>,
}

impl Frame {
    fn new(dollar: Val) -> Self {
        static DOLLAR: LazyLock<Arc<str>> = LazyLock::new(|| "$".into());
        Self {
            variables: vec![(Arc::clone(&DOLLAR), dollar)],
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.variables
            .iter()
            .rposition(|(known, _)| &**known == name)
    }

    /// Sets the variable so far from the top, where `range` expects its own.
    fn set_from_top(&mut self, distance: usize, value: Val) -> Result<(), Trouble> {
        let at = self.variables.len().checked_sub(distance);
        match at.and_then(|at| self.variables.get_mut(at)) {
            Some((_, slot)) => {
                *slot = value;
                Ok(())
            }
            None => Err("range assigns to a variable that is not there".into()),
        }
    }
}

struct Exec<'a> {
    trees: &'a Trees,
    context: &'a Context,
    budget: Budget<'a>,
    out: Writer<'a>,
    /// Where in the source the present node is.
    at: usize,
}

impl Exec<'_> {
    fn fail<T>(&self, message: impl Into<String>) -> Res<T> {
        Err(Trouble::from(message.into()).at(self.at))
    }

    fn check<T>(&self, result: Result<T, Trouble>) -> Res<T> {
        result.map_err(|trouble| trouble.at(self.at))
    }

    fn step(&mut self) -> Res<()> {
        self.budget.step(1).map_err(|trouble| trouble.at(self.at))
    }

    fn enter(&mut self) -> Res<()> {
        self.budget.enter().map_err(|trouble| trouble.at(self.at))
    }

    fn walk(&mut self, frame: &mut Frame, dot: &Val, nodes: &[Node]) -> Res<Flow> {
        for node in nodes {
            self.step()?;
            let flow = match node {
                Node::Text(text) => {
                    self.write_text(text)?;
                    Flow::Next
                }
                Node::Action(action) => self.action(frame, dot, action)?,
                Node::If(branches) => self.walk_if(frame, dot, branches)?,
                Node::With(branch) => self.walk_with(frame, dot, branch)?,
                Node::Range(branch) => self.walk_range(frame, dot, branch)?,
                Node::Template(call) => self.walk_template(frame, dot, call)?,
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn write_text(&mut self, text: &str) -> Res<()> {
        self.pay_for_output(text.len())?;
        self.out.text(text.as_bytes());
        self.check_output()
    }

    fn pay_for_output(&mut self, bytes: usize) -> Res<()> {
        let paid = self.budget.make(bytes);
        self.check(paid)
    }

    fn check_output(&self) -> Res<()> {
        let most = self.budget.limits.output_bytes;
        if self.out.len() > most {
            return Err(Trouble::limit(format!("more than {most} bytes of output")).at(self.at));
        }
        Ok(())
    }

    fn action(&mut self, frame: &mut Frame, dot: &Val, action: &Action) -> Res<Flow> {
        let value = self.pipeline(frame, dot, &action.pipe)?;
        if action.pipe.variables.is_empty() {
            self.at = action.pipe.at;
            self.print(value, action.raw)?;
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, value: Val, raw: bool) -> Res<()> {
        let printed;
        let bytes = match &value {
            None => "<no value>".as_bytes(),
            Some(Value::String(text)) => text.as_bytes(),
            Some(Value::Function(function)) => {
                let message = format!(
                    "can't print {} of type {}",
                    excerpt(function.name()),
                    function.type_name()
                );
                return self.fail(message);
            }
            Some(value) => {
                printed = self.check(format::print(
                    std::slice::from_ref(value),
                    self.budget.limits,
                ))?;
                &printed
            }
        };
        self.pay_for_output(bytes.len())?;
        if raw {
            self.out.text(bytes);
        } else {
            self.out.value(bytes);
        }
        self.check_output()
    }

    fn walk_if(&mut self, frame: &mut Frame, dot: &Val, branches: &If) -> Res<Flow> {
        self.enter()?;
        let mark = frame.variables.len();
        let mut chosen = &branches.otherwise;
        for (pipe, body) in &branches.branches {
            if is_true(&self.pipeline(frame, dot, pipe)?) {
                chosen = body;
                break;
            }
        }
        let flow = self.walk(frame, dot, chosen)?;
        frame.variables.truncate(mark);
        self.budget.leave();
        Ok(flow)
    }

    fn walk_with(&mut self, frame: &mut Frame, dot: &Val, branch: &Branch) -> Res<Flow> {
        self.enter()?;
        let mark = frame.variables.len();
        let value = self.pipeline(frame, dot, &branch.pipe)?;
        let flow = if is_true(&value) {
            self.walk(frame, &value, &branch.body)?
        } else {
            self.walk(frame, dot, &branch.otherwise)?
        };
        frame.variables.truncate(mark);
        self.budget.leave();
        Ok(flow)
    }

    fn walk_range(&mut self, frame: &mut Frame, dot: &Val, branch: &Branch) -> Res<Flow> {
        self.enter()?;
        let mark = frame.variables.len();
        let value = self.pipeline(frame, dot, &branch.pipe)?;
        let flow = self.iterate(frame, dot, branch, value)?;
        frame.variables.truncate(mark);
        self.budget.leave();
        Ok(flow)
    }

    fn iterate(&mut self, frame: &mut Frame, dot: &Val, branch: &Branch, value: Val) -> Res<Flow> {
        let mark = frame.variables.len();
        let mut round = |exec: &mut Self, index: Value, item: Value| -> Res<Flow> {
            exec.step()?;
            let item = Some(item);
            let declared = branch.pipe.variables.len();
            if declared > 0 {
                exec.check(frame.set_from_top(1, item.clone()))?;
            }
            if declared > 1 {
                exec.check(frame.set_from_top(2, Some(index)))?;
            }
            let flow = exec.walk(frame, &item, &branch.body)?;
            frame.variables.truncate(mark);
            Ok(flow)
        };
        let mut empty = true;
        let mut over = |flow: Flow| {
            empty = false;
            flow == Flow::Break
        };
        match &value {
            None | Some(Value::Nil) => {}
            Some(Value::List(list)) => {
                for (index, item) in list.iter().enumerate() {
                    if over(round(self, Value::from(index), item.clone())?) {
                        break;
                    }
                }
            }
            Some(Value::Bytes(bytes)) => {
                for (index, &byte) in bytes.iter().enumerate() {
                    if over(round(self, Value::from(index), Value::Byte(byte))?) {
                        break;
                    }
                }
            }
            Some(Value::Map(map)) => {
                for (key, item) in map.iter() {
                    if over(round(self, Value::from(key), item.clone())?) {
                        break;
                    }
                }
            }
            Some(Value::Labels(map)) => {
                for (key, item) in map.iter() {
                    if over(round(self, Value::from(key), Value::from(item))?) {
                        break;
                    }
                }
            }
            Some(other) => {
                self.at = branch.pipe.at;
                return self.fail(format!(
                    "range can't iterate over a value of type {}",
                    other.type_name()
                ));
            }
        }
        if empty {
            self.walk(frame, dot, &branch.otherwise)
        } else {
            Ok(Flow::Next)
        }
    }

    fn walk_template(&mut self, frame: &mut Frame, dot: &Val, call: &Call) -> Res<Flow> {
        self.at = call.at;
        let trees = self.trees;
        let Some(nodes) = trees.get(&call.name) else {
            return self.fail(format!("template {:?} not defined", excerpt(&call.name)));
        };
        self.enter()?;
        let value = match &call.pipe {
            Some(pipe) => self.pipeline(frame, dot, pipe)?,
            None => None,
        };
        let mut inner = Frame::new(value.clone());
        self.walk(&mut inner, &value, nodes)?;
        self.budget.leave();
        Ok(Flow::Next)
    }
}

fn is_true(value: &Val) -> bool {
    value.as_ref().is_some_and(Value::is_true)
}
