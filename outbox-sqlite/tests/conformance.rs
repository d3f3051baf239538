//! The promises of an outbox, kept by the one in SQLite, crashes included.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use notifier_core::Outbox;
use notifier_testkit::conformance::{OutboxHarness, outbox};
use outbox_sqlite::{SqliteOptions, SqliteOutbox, check};
use tempfile::TempDir;

/// A folder for each outbox.
struct Files {
    folder: TempDir,
    options: SqliteOptions,
}

impl Files {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            options: SqliteOptions::default(),
        }
    }

    fn outbox(&self) -> Arc<dyn Outbox> {
        let path = self.folder.path().join("outbox.db");
        Arc::new(SqliteOutbox::open(path, self.options.clone()).unwrap())
    }
}

#[async_trait]
impl OutboxHarness for Files {
    async fn open(&mut self, capacity: usize) -> Arc<dyn Outbox> {
        self.folder = TempDir::new().unwrap();
        self.options = SqliteOptions::default().with_capacity(capacity as u64);
        self.outbox()
    }

    async fn crash(&mut self, outbox: Arc<dyn Outbox>) -> Option<Arc<dyn Outbox>> {
        assert_eq!(Arc::strong_count(&outbox), 1, "somebody has another handle");
        // Nothing is tidied up when a handle is dropped: what is left is what a crash leaves.
        drop(outbox);
        Some(self.outbox())
    }

    async fn beside(&mut self) -> Option<Arc<dyn Outbox>> {
        Some(self.outbox())
    }

    fn seen_for(&self) -> Duration {
        self.options.seen_for
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_every_promise() {
    let mut files = Files::new();
    outbox(&mut files).await.assert_complete();
    let checked = check(files.folder.path().join("outbox.db")).unwrap();
    assert_eq!(checked.problems, Vec::<String>::new());
}
