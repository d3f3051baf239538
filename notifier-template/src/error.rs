//! The error of both stages.

use std::fmt;

/// Where a template failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The text is not a template: see [`Engine::parse`](crate::Engine::parse).
    Parse,
    /// The template and its data do not fit: see [`Template::render`](crate::Template::render).
    Execute,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parse => "parse",
            Self::Execute => "execute",
        })
    }
}

/// Why a template could not be parsed or rendered, and where.
///
/// Prints as one line, for example `parse error at 1:3: unexpected "}" in operand`.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} error at {}:{}: {}", .0.stage, .0.line, .0.column, .0.message)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    stage: Stage,
    line: usize,
    column: usize,
    template: String,
    message: String,
    limit: bool,
}

impl Error {
    pub(crate) fn new(stage: Stage, template: &str, source: &str, fault: Fault) -> Self {
        let before = &source.as_bytes()[..fault.at.min(source.len())];
        let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
        let column = before.iter().rev().take_while(|&&b| b != b'\n').count();
        Self(Box::new(Inner {
            stage,
            line,
            column,
            template: template.to_owned(),
            message: fault.message,
            limit: fault.limit,
        }))
    }

    /// The stage that failed.
    pub fn stage(&self) -> Stage {
        self.0.stage
    }

    /// The line of the template's source, from 1.
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// The byte within the line, from 0, as Go counts it.
    pub fn column(&self) -> usize {
        self.0.column
    }

    /// The name given to [`Engine::parse`](crate::Engine::parse).
    pub fn template_name(&self) -> &str {
        &self.0.template
    }

    /// The reason alone, without stage and place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether one of the [`Limits`](crate::Limits) was reached: the template may be
    /// fine, but it asks for more than it is given.
    pub fn is_limit(&self) -> bool {
        self.0.limit
    }
}

/// An error on its way up, before the source's name and lines are known.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The byte offset in the source.
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) limit: bool,
}

/// What can go wrong where no position is known: a function's complaint, or a limit.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) message: String,
    pub(crate) limit: bool,
}

impl Trouble {
    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            limit: true,
        }
    }

    pub(crate) fn at(self, at: usize) -> Box<Fault> {
        Box::new(Fault {
            at,
            message: self.message,
            limit: self.limit,
        })
    }

    pub(crate) fn calling(mut self, name: &str) -> Self {
        self.message = format!("error calling {name}: {}", self.message);
        self
    }
}

impl<T: Into<String>> From<T> for Trouble {
    fn from(message: T) -> Self {
        Self {
            message: message.into(),
            limit: false,
        }
    }
}

/// Cuts an excerpt of somebody's text so that an error stays one short line.
pub(crate) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out: String = text.chars().take(LONGEST).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_as_go_does() {
        let fault = |at| Fault {
            at,
            message: "m".to_owned(),
            limit: false,
        };
        let source = "ab\ncdé\nf";
        for (at, line, column) in [(0, 1, 0), (2, 1, 2), (3, 2, 0), (8, 3, 0), (99, 3, 1)] {
            let error = Error::new(Stage::Execute, "t", source, fault(at));
            assert_eq!((error.line(), error.column()), (line, column), "at {at}");
        }
    }

    #[test]
    fn prints_one_line() {
        let fault = Fault {
            at: 3,
            message: "unexpected \"}\" in operand".to_owned(),
            limit: false,
        };
        let error = Error::new(Stage::Parse, "t", "{{ }", fault);
        assert_eq!(
            error.to_string(),
            "parse error at 1:3: unexpected \"}\" in operand"
        );
    }
}
