//! What a suite found.

use std::fmt;

/// What became of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The promise is kept.
    Passed,
    /// It is not, and how.
    Failed(String),
    /// It could not be tried, and why.
    Skipped(String),
    /// The implementation says that it does not promise this.
    NotPromised,
}

/// One promise, and whether it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Case {
    /// The promise, in words.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// All cases of a suite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "call `assert` or `assert_complete`"]
pub struct Results(Vec<Case>);

impl Results {
    pub(crate) fn add(&mut self, name: impl Into<String>, outcome: Outcome) {
        self.0.push(Case {
            name: name.into(),
            outcome,
        });
    }

    /// Adds a case that fails with a text.
    pub(crate) fn judge(&mut self, name: impl Into<String>, result: Result<(), String>) {
        self.add(
            name,
            result.map_or_else(Outcome::Failed, |()| Outcome::Passed),
        );
    }

    /// All cases, in order.
    pub fn cases(&self) -> &[Case] {
        &self.0
    }

    /// True if no case failed.
    pub fn is_ok(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The cases that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Case> {
        self.0
            .iter()
            .filter(|c| matches!(c.outcome, Outcome::Failed(_)))
    }

    /// The names of cases that could not be tried.
    pub fn skipped(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(|c| matches!(c.outcome, Outcome::Skipped(_)))
            .map(|c| c.name.as_str())
    }

    /// Panics with a list if a case failed or could not be tried: for a harness that can
    /// make every [`Scenario`](super::Scenario) and knows what arrived.
    ///
    /// # Panics
    /// If a case failed or was skipped.
    #[track_caller]
    pub fn assert_complete(&self) {
        self.assert();
        let skipped = self.skipped().count();
        assert!(
            skipped == 0,
            "{skipped} of {} cases were skipped\n{self}",
            self.0.len()
        );
    }

    /// Panics with a list if a case failed. Cases that could not be tried are not looked
    /// at; see [`assert_complete`](Self::assert_complete) and [`skipped`](Self::skipped).
    ///
    /// # Panics
    /// If a case failed.
    #[track_caller]
    pub fn assert(&self) {
        let failed = self.failures().count();
        assert!(
            failed == 0,
            "{failed} of {} cases failed\n{self}",
            self.0.len()
        );
    }
}

/// One line per case.
impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in &self.0 {
            match &c.outcome {
                Outcome::Passed => writeln!(f, "pass  {}", c.name)?,
                Outcome::Failed(why) => writeln!(f, "FAIL  {}: {why}", c.name)?,
                Outcome::Skipped(why) => writeln!(f, "skip  {}: {why}", c.name)?,
                Outcome::NotPromised => writeln!(f, "n/a   {}: not promised", c.name)?,
            }
        }
        Ok(())
    }
}
