use std::fmt;

use notifiers::redact::Redactor;

/// Everything that is wrong with the settings, one line each.
///
/// All of it is collected before a program gives up, so that one start shows every
/// mistake. Lines name the flag, the environment variable, or the file with line
/// and column, and hold no secret.
///
/// ```
/// use notifier_runtime::Problems;
/// let mut problems = Problems::new();
/// problems.push("-default: \"x\" is neither true nor false");
/// problems.push("masters is missing: set -masters or COMPLAINER_MASTERS");
/// assert_eq!(problems.to_string().lines().count(), 2);
/// assert!(problems.into_result().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Problems {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one. Line breaks and other control characters in it are escaped, and the same line is kept once.
    pub fn push(&mut self, line: impl Into<String>) {
        let line: String = line
            .into()
            .chars()
            .flat_map(|c| {
                let escape = c.is_control();
                escape
                    .then(|| c.escape_default())
                    .into_iter()
                    .flatten()
                    .chain((!escape).then_some(c))
            })
            .collect();
        if !self.0.contains(&line) {
            self.0.push(line);
        }
    }

    /// Adds all of another list.
    pub fn extend(&mut self, other: Self) {
        for line in other.0 {
            self.push(line);
        }
    }

    /// The value, or `None` and the error with its causes added.
    pub fn take<T>(&mut self, result: notifiers::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(e) => {
                self.push(e.report().to_string());
                None
            }
        }
    }

    /// True if nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The lines.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The same with every known secret masked.
    #[must_use]
    pub fn masked(self, redactor: &Redactor) -> Self {
        Self(
            self.0
                .iter()
                .map(|l| redactor.redact(l).into_owned())
                .collect(),
        )
    }

    /// `Ok` if nothing is wrong.
    ///
    /// # Errors
    /// The list itself, if something is.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// One line each, without a line break at the end.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

impl From<notifiers::Error> for Problems {
    fn from(e: notifiers::Error) -> Self {
        let mut out = Self::new();
        out.push(e.report().to_string());
        out
    }
}
