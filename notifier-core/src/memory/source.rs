use std::sync::Arc;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use crate::{Batch, FailureRecord, Result, Source};

/// A source that hands over what it is given.
#[derive(Debug)]
pub struct MemorySource {
    name: String,
    receiver: mpsc::UnboundedReceiver<Result<Batch>>,
}

/// Gives a [`MemorySource`] its failures.
#[derive(Clone, Debug)]
pub struct MemorySender(Arc<mpsc::UnboundedSender<Result<Batch>>>);

impl MemorySource {
    /// A source, and what fills it. It ends when the last sender is dropped.
    pub fn new(name: impl Into<String>) -> (MemorySender, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (
            MemorySender(Arc::new(sender)),
            Self {
                name: name.into(),
                receiver,
            },
        )
    }
}

impl MemorySender {
    /// Hands over one failure.
    pub fn send(&self, failure: FailureRecord) {
        self.send_batch(Ok(Batch::new(vec![failure])));
    }

    /// Hands over a batch, or an error.
    pub fn send_batch(&self, batch: Result<Batch>) {
        // Nobody reads it any more: then nobody misses it.
        let _ = self.0.send(batch);
    }
}

impl Source for MemorySource {
    fn name(&self) -> &str {
        &self.name
    }

    fn events(
        self: Box<Self>,
        _cursor: Option<serde_json::Value>,
    ) -> BoxStream<'static, Result<Batch>> {
        stream::unfold(self.receiver, |mut r| async {
            r.recv().await.map(|b| (b, r))
        })
        .boxed()
    }
}
