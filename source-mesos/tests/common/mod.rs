//! A watched fake cluster.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::BoxStream};
use notifier_core::{
    Batch, Error, FailureRecord, LogLocator as _, LogStream, Source as _, SystemClock,
};
use notifier_testkit::mesos::FakeCluster;
use source_mesos::{Backlog, MesosBuilder, MesosLogLocator, MesosSource};

pub(crate) const TICK: Duration = Duration::from_millis(20);

/// A source of a fake cluster that is polled by hand, more or less: each [`next`](Self::next) is a poll.
pub(crate) struct Watch {
    pub(crate) stream: BoxStream<'static, Result<Batch, Error>>,
    pub(crate) locator: MesosLogLocator,
    pub(crate) cursor: Option<serde_json::Value>,
}

pub(crate) fn builder(masters: &str) -> MesosBuilder {
    MesosSource::builder([masters])
        .interval(TICK)
        .timeout(Duration::from_secs(2))
        .backlog(Backlog::Report)
        .clock(Arc::new(SystemClock))
}

impl Watch {
    pub(crate) fn new(builder: MesosBuilder, cursor: Option<serde_json::Value>) -> Self {
        let (source, locator) = builder.build().unwrap();
        Self {
            stream: Box::new(source).events(cursor.clone()),
            locator,
            cursor,
        }
    }

    pub(crate) fn of(cluster: &FakeCluster) -> Self {
        Self::new(builder(&cluster.masters_flag()), None)
    }

    pub(crate) async fn item(&mut self) -> Result<Batch, Error> {
        tokio::time::timeout(Duration::from_secs(20), self.stream.next())
            .await
            .expect("no poll")
            .expect("the stream ended")
    }

    /// The next batch, not acknowledged.
    pub(crate) async fn batch(&mut self) -> Batch {
        self.item().await.unwrap()
    }

    /// The failures of the next poll, acknowledged.
    pub(crate) async fn next(&mut self) -> Vec<FailureRecord> {
        let batch = self.batch().await;
        if batch.cursor.is_some() {
            self.cursor = batch.cursor;
        }
        batch.ack.done();
        batch.failures
    }

    /// The only failure of the next poll.
    pub(crate) async fn one(&mut self) -> FailureRecord {
        let mut failures = self.next().await;
        assert_eq!(failures.len(), 1, "{failures:?}");
        failures.remove(0)
    }

    pub(crate) async fn logs(&self, failure: &FailureRecord) -> Vec<LogStream> {
        self.locator.locate(failure).await.unwrap()
    }

    pub(crate) async fn read(
        &self,
        failure: &FailureRecord,
        log: &LogStream,
    ) -> Result<Vec<u8>, Error> {
        let mut stream = self.locator.open(failure, log).await?;
        let mut out = Vec::new();
        while let Some(piece) = stream.next().await {
            out.extend_from_slice(&piece?);
        }
        Ok(out)
    }
}
