//! The source, ready to be watched.

use std::{sync::Arc, time::Duration};

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use notifier_core::{Batch, Clock, Result, Source};

use crate::{Backlog, FleetBuilder, api::Api, glob::Choice, watch::Watch};

/// The failures of fleet's units. See the [crate](crate)'s page.
#[derive(Debug)]
pub struct FleetSource {
    pub(crate) config: Config,
    pub(crate) api: Api,
}

/// What a running source goes by.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) name: String,
    pub(crate) choice: Choice,
    pub(crate) interval: Duration,
    pub(crate) settle: Duration,
    /// Units that no machine has are told.
    pub(crate) tells_lost: bool,
    pub(crate) backlog: Backlog,
    /// What routing labels begin with.
    pub(crate) prefix: String,
    pub(crate) clock: Arc<dyn Clock>,
}

impl FleetSource {
    /// A source for a fleet whose API is at these addresses: `http://host:port` or
    /// `unix:///var/run/fleet.sock`; each entry may be a list.
    pub fn builder<I>(endpoints: I) -> FleetBuilder
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        FleetBuilder::new(endpoints)
    }
}

impl Source for FleetSource {
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
