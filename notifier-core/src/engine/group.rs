use std::{fmt, time::Duration};

use crate::{FailureRecord, Grouping, Report, Result, message::ShortText, redact::Redactor};

/// The longest fingerprint, in characters.
const LONGEST: usize = 300;

/// Which failures are alike, and how long those that follow the first are held for a
/// digest: storm control.
///
/// ```
/// use std::time::Duration;
/// use notifier_core::engine::GroupBy;
/// let by = GroupBy::new(GroupBy::DEFAULT, Duration::from_secs(300))?;
/// assert!(GroupBy::new("{{ .failure.Name", Duration::from_secs(300)).is_err());
/// # let _ = by; Ok::<(), notifier_core::Error>(())
/// ```
pub struct GroupBy {
    template: ShortText,
    interval: Duration,
}

impl GroupBy {
    /// Failures of one framework with one name, state and reason are alike.
    pub const DEFAULT: &str =
        "{{.failure.Framework}} {{.failure.Name}} {{.failure.State}} {{.failure.Reason}}";

    /// Failures for which the template has the same text are alike.
    ///
    /// # Errors
    /// [`ErrorKind::Template`](crate::ErrorKind::Template) if it does not compile.
    pub fn new(template: &str, interval: Duration) -> Result<Self> {
        Ok(Self {
            template: ShortText::compile("group.by", template)?,
            interval,
        })
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// What a failure has in common with those like it. A template that fails counts it
    /// as like those of its name and state.
    pub(super) fn of(&self, failure: &FailureRecord, redactor: &Redactor) -> Grouping {
        let report = Report::failure(failure.clone()).with_redactor(redactor.clone());
        let text = self.template.render(&report, LONGEST).unwrap_or_else(|e| {
            tracing::warn!(task = %failure.id, error = %e.report(), "cannot tell what the failure is like");
            format!("{} {}", failure.name, failure.state)
        });
        Grouping::new(text, self.interval)
    }
}

impl fmt::Debug for GroupBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupBy")
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}
