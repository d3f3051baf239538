//! The standard output, in pieces.

use std::io::{self, Write};

use notifier_runtime::{Exit, Fatal, visible_json};
use serde_json::Value;

/// What is printed, as it comes.
#[derive(Debug)]
pub(crate) struct Out {
    /// Nobody reads any more.
    pub(crate) closed: bool,
}

impl Out {
    pub(crate) fn new() -> Self {
        Self { closed: false }
    }

    /// Prints a text as it is. A reader that went away is no error.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Fatal> {
        if self.closed {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(e) => Err(Fatal::new(
                Exit::Io,
                format!("cannot write to the standard output: {e}"),
            )),
        }
    }

    /// Prints one JSON object on a line.
    pub(crate) fn json(&mut self, value: &Value) -> Result<(), Fatal> {
        self.text(&visible_json(format!("{value}\n")))
    }
}

/// One JSON object whose last member is a list that is printed as it comes.
#[derive(Debug)]
pub(crate) struct List {
    any: bool,
}

impl List {
    pub(crate) fn open(out: &mut Out, name: &str) -> Result<Self, Fatal> {
        out.text(&format!("{{\"{name}\":["))?;
        Ok(Self { any: false })
    }

    pub(crate) fn push(&mut self, out: &mut Out, value: &Value) -> Result<(), Fatal> {
        let lead = if self.any { ",\n" } else { "\n" };
        self.any = true;
        out.text(&visible_json(format!("{lead}{value}")))
    }

    /// Ends the list and adds members.
    pub(crate) fn close(self, out: &mut Out, rest: &[(&str, Value)]) -> Result<(), Fatal> {
        let rest: String = rest.iter().map(|(k, v)| format!(",\"{k}\":{v}")).collect();
        let lead = if self.any { "\n" } else { "" };
        out.text(&visible_json(format!("{lead}]{rest}}}\n")))
    }
}
