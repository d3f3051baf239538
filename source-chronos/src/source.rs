//! The source, ready to be watched.

use std::{fmt, sync::Arc, time::Duration};

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use notifier_core::{Batch, Clock, FailureRecord, Result, Source};

use crate::{Backlog, ChronosBuilder, Notify, api::Api, task_id::TaskId, watch::Watch};

/// The name of Chronos' framework unless it is set.
const FRAMEWORK: &str = "chronos";
/// What the names of its tasks begin with (`MesosTaskBuilder.scala`).
const TASK_NAME: &str = "ChronosTask:";

/// The failures of Chronos' jobs. See the [crate](crate)'s page.
pub struct ChronosSource {
    pub(crate) config: Config,
    pub(crate) api: Arc<Api>,
    pub(crate) inner: Option<Box<dyn Source>>,
}

/// What a running source goes by.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) name: String,
    /// The name of the cluster, or empty.
    pub(crate) cluster: String,
    pub(crate) notify: Notify,
    pub(crate) frameworks: Frameworks,
    pub(crate) disable_after: u64,
    pub(crate) interval: Duration,
    pub(crate) settle: Duration,
    pub(crate) backlog: Backlog,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Which tasks are Chronos'.
#[derive(Debug)]
pub(crate) struct Frameworks(Option<String>);

impl Frameworks {
    pub(crate) fn new(name: Option<String>) -> Self {
        Self(name)
    }

    /// The name that is set, or the usual one.
    pub(crate) fn name(&self) -> &str {
        self.0.as_deref().unwrap_or(FRAMEWORK)
    }

    fn is_ours(&self, framework: &str) -> bool {
        framework
            .strip_prefix(self.name())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// The job of a failed task, if it is a task of Chronos.
    pub(crate) fn job_of(&self, failure: &FailureRecord) -> Option<String> {
        let is_ours = self.is_ours(&failure.framework);
        if let Some(id) = TaskId::parse(&failure.id) {
            let counts = is_ours || self.0.is_none();
            return counts.then(|| id.job.to_owned());
        }
        let name = failure.name.strip_prefix(TASK_NAME)?;
        (is_ours && !name.is_empty()).then(|| name.to_owned())
    }
}

impl ChronosSource {
    /// A source for a Chronos with these addresses: `http://host:port`; each entry may be a list.
    pub fn builder<I>(urls: I) -> ChronosBuilder
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        ChronosBuilder::new(urls)
    }
}

impl fmt::Debug for ChronosSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChronosSource")
            .field("config", &self.config)
            .field("api", &self.api)
            .field("inner", &self.inner)
            .finish()
    }
}

impl Source for ChronosSource {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn events(
        self: Box<Self>,
        cursor: Option<serde_json::Value>,
    ) -> BoxStream<'static, Result<Batch>> {
        stream::unfold(Watch::new(*self, cursor), |mut watch| async move {
            let item = watch.next().await;
            Some((item, watch))
        })
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use notifier_core::jiff::Timestamp;

    use super::*;

    fn of(id: &str, name: &str, framework: &str) -> FailureRecord {
        let mut f = FailureRecord::new(id, name, "TASK_FAILED", Timestamp::UNIX_EPOCH);
        f.framework = framework.to_owned();
        f
    }

    #[test]
    fn whose_tasks_are_ours() {
        let any = Frameworks::new(None);
        let named = Frameworks::new(Some("chronos-dev".to_owned()));
        let a = Some("a".to_owned());
        let id = "ct:1:2:a:";
        assert_eq!(any.job_of(&of(id, "x", "anything")), a);
        assert_eq!(any.job_of(&of("x", "ChronosTask:a", "chronos-2.3.1")), a);
        assert_eq!(any.job_of(&of("x", "ChronosTask:a", "chronosaurus")), None);
        assert_eq!(any.job_of(&of("x", "ChronosTask:", "chronos")), None);
        assert_eq!(any.job_of(&of("web.1", "web", "marathon")), None);
        assert_eq!(named.job_of(&of(id, "x", "chronos")), None);
        assert_eq!(named.job_of(&of(id, "x", "chronos-dev")), a);
        assert_eq!(named.job_of(&of(id, "x", "chronos-dev-2.4")), a);
    }
}
