//! The stream of failures.

use std::{fmt, sync::Arc, time::Duration};

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use notifier_core::{Batch, Clock, Result, Settings, Source};

use crate::{
    Backlog, MesosBuilder, MesosLogLocator, ledger::Ledger, masters::Masters, options::Api,
    wanted::Wanted, watch::Watch,
};

/// The failures of a Mesos cluster, from the events of its leading master, or by polling its
/// state.
///
/// What is found comes in [`Batch`]es of at most 500 failures each: the events as they come,
/// and each look at the whole state as one batch or several. What cannot be read yields an
/// error; the source goes on by itself. See the [crate's documentation](crate).
pub struct MesosSource {
    pub(crate) name: String,
    pub(crate) api: Api,
    pub(crate) interval: Duration,
    pub(crate) sweep: Duration,
    pub(crate) backlog: Backlog,
    pub(crate) wanted: Arc<Wanted>,
    pub(crate) masters: Arc<Masters>,
    /// Asked for labels that masters have forgotten.
    pub(crate) locator: MesosLogLocator,
    /// The largest state that is read.
    pub(crate) max: usize,
    pub(crate) clock: Arc<dyn Clock>,
}

impl MesosSource {
    /// A source and its locator for a cluster with these masters: `http://host:port`,
    /// `https://user:secret@host/mesos`, or `host:port`; each entry may be a list.
    pub fn builder<I>(masters: I) -> MesosBuilder
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        MesosBuilder::new(masters)
    }

    /// The source and the locator that the options say.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) that names the option.
    pub fn from_settings<I>(
        masters: I,
        settings: &Settings,
        backlog: Backlog,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, MesosLogLocator)>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        MesosBuilder::from_settings(masters, settings, clock)?
            .backlog(backlog)
            .build()
    }
}

impl fmt::Debug for MesosSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MesosSource")
            .field("name", &self.name)
            .field("api", &self.api)
            .field("interval", &self.interval)
            .field("sweep", &self.sweep)
            .field("wanted", &self.wanted)
            .field("backlog", &self.backlog)
            .field("masters", &self.masters)
            .finish_non_exhaustive()
    }
}

impl Source for MesosSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn events(
        self: Box<Self>,
        cursor: Option<serde_json::Value>,
    ) -> BoxStream<'static, Result<Batch>> {
        let ledger = Ledger::new(&self.name, self.backlog, Arc::clone(&self.clock), cursor);
        let watch = Watch::new(*self, ledger);
        stream::unfold(watch, |mut watch| async move {
            let item = watch.next().await;
            Some((item, watch))
        })
        .boxed()
    }
}
