//! The source, ready to be watched.

use std::{fmt, path::PathBuf, sync::Arc};

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use notifier_core::{Batch, Clock, Result, Source};

use crate::{
    Backlog, SystemdBuilder,
    bus::Address,
    journal::Journal,
    watch::{Watch, choice::Choice},
};

/// The failures of systemd's units. See the [crate](crate)'s page.
pub struct SystemdSource {
    pub(crate) config: Config,
}

/// What a running source goes by.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) name: String,
    pub(crate) address: Address,
    pub(crate) choice: Choice,
    pub(crate) journal: Journal,
    /// How many lines of the journal a failure has.
    pub(crate) lines: usize,
    /// Environment files that hold for every unit.
    pub(crate) environment_files: Vec<PathBuf>,
    /// Unset: it is the variable `PLATFORM` of the environment files.
    pub(crate) platform: Option<String>,
    /// Unset: the machine's.
    pub(crate) host: Option<String>,
    /// What routing labels begin with.
    pub(crate) prefixes: Vec<String>,
    pub(crate) backlog: Backlog,
    pub(crate) clock: Arc<dyn Clock>,
}

impl SystemdSource {
    /// A source for this machine's systemd, on the system's bus.
    pub fn builder() -> SystemdBuilder {
        SystemdBuilder::default()
    }
}

impl fmt::Debug for SystemdSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemdSource")
            .field("config", &self.config)
            .finish()
    }
}

impl Source for SystemdSource {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn events(
        self: Box<Self>,
        cursor: Option<serde_json::Value>,
    ) -> BoxStream<'static, Result<Batch>> {
        stream::unfold(Watch::new(self.config, cursor), |mut watch| async move {
            let item = watch.next().await;
            Some((item, watch))
        })
        .boxed()
    }
}
