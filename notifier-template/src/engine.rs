//! The way in: engines parse, templates render.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::ast::Trees;
use crate::context::Context;
use crate::error::{Error, Stage};
use crate::escape::Escape;
use crate::exec;
use crate::limits::Limits;
use crate::parser;

/// The names a caller declares, each with whether its results are never escaped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(BTreeMap<String, bool>);

impl Names {
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn is_raw(&self, name: &str) -> bool {
        self.0.get(name).copied().unwrap_or(false)
    }
}

/// Parses templates: knows the functions' names and the limits. Cheap to clone.
///
/// ```
/// use notifier_template::{Context, Engine, Function, Value};
///
/// let engine = Engine::new().with_function("config");
/// let template = engine.parse("slack.format", r#"{{ .Name | toUpper }} {{ config "mentions" }}"#)?;
///
/// let mut context = Context::new(Value::from(serde_json::json!({"Name": "web"})));
/// context.bind("config", Function::new("config", |key: &str| format!("@{key}")));
/// assert_eq!(template.render(&context)?, "WEB @mentions");
/// # Ok::<(), notifier_template::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Engine(Arc<Setup>);

#[derive(Debug, Clone, Default)]
struct Setup {
    names: Names,
    limits: Limits,
}

impl Engine {
    /// An engine with Go's own functions and those that the crate adds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a function, to be bound by [`Context::bind`] before rendering. It hides a
    /// function of the crate's with the same name.
    ///
    /// Its results are escaped like any other value, except those of `config`, `raw`,
    /// `html`, `urlquery` and `js`. A name that is no identifier can never be called.
    #[must_use]
    pub fn with_function(self, name: impl Into<String>) -> Self {
        let name = name.into();
        let raw = matches!(name.as_str(), "config" | "raw" | "html" | "urlquery" | "js");
        self.declare(name, raw)
    }

    /// Declares a function as [`with_function`](Self::with_function) does, but its results
    /// are never escaped: what it returns is trusted text.
    #[must_use]
    pub fn with_raw_function(self, name: impl Into<String>) -> Self {
        self.declare(name.into(), true)
    }

    fn declare(mut self, name: String, raw: bool) -> Self {
        if crate::text::is_identifier(&name) {
            Arc::make_mut(&mut self.0).names.0.insert(name, raw);
        }
        self
    }

    /// Sets what templates parsed from here on may use up.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        Arc::make_mut(&mut self.0).limits = limits;
        self
    }

    /// Parses a template. The name appears in errors; a `define` of the same name fills
    /// an otherwise empty template, as in Go.
    ///
    /// # Errors
    ///
    /// An [`Error`] of [`Stage::Parse`] if Go would refuse the text (bad syntax, an
    /// undefined function or variable), or if it is longer or nests deeper than the
    /// limits allow.
    pub fn parse(&self, name: &str, source: &str) -> Result<Template, Error> {
        let trees = parser::parse(name, source, &self.0.names, &self.0.limits)
            .map_err(|fault| Error::new(Stage::Parse, name, source, *fault))?;
        Ok(Template(Arc::new(Parsed {
            name: name.to_owned(),
            source: source.to_owned(),
            trees,
            limits: self.0.limits.clone(),
        })))
    }
}

/// A parsed template. Cheap to clone, and may render in many threads at once.
#[derive(Clone)]
pub struct Template(Arc<Parsed>);

struct Parsed {
    name: String,
    source: String,
    trees: Trees,
    limits: Limits,
}

impl Template {
    /// The name it was parsed under.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The text it was parsed from.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Renders without escaping, as Go's `text/template` does.
    ///
    /// # Errors
    ///
    /// An [`Error`] of [`Stage::Execute`] if the data does not fit, if a function fails
    /// or is not bound, or if a limit is reached. What was rendered until then is lost.
    pub fn render(&self, context: &Context) -> Result<String, Error> {
        self.render_escaped(context, &Escape::plain())
    }

    /// Renders, and escapes the final value of each action; the template's own text stays
    /// as it is.
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render).
    pub fn render_escaped(&self, context: &Context, escape: &Escape) -> Result<String, Error> {
        let parsed = &*self.0;
        exec::render(&parsed.name, &parsed.trees, &parsed.limits, context, escape)
            .map_err(|fault| Error::new(Stage::Execute, &parsed.name, &parsed.source, *fault))
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("name", &self.0.name)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}
