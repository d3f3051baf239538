//! What can be set: [`SqliteOptions`].

use std::time::Duration;

/// Limits of a [`SqliteOutbox`](crate::SqliteOutbox).
///
/// ```
/// use outbox_sqlite::SqliteOptions;
/// let options = SqliteOptions::default().with_capacity(1_000);
/// assert_eq!(options.capacity, 1_000);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// How many open deliveries there may be; 100,000 unless set.
    pub capacity: u64,
    /// How long finished deliveries are remembered, with their attempts; 7 days unless set.
    pub keep_done: Duration,
    /// How long dead letters are kept; 90 days unless set.
    pub keep_dead: Duration,
    /// How long a seen key is kept after its source last listed it; 24 h unless set.
    pub seen_for: Duration,
    /// How long to wait for another process that writes; 5 s unless set.
    pub busy_timeout: Duration,
    /// The most pages the file may have, for tests of a full disk.
    #[doc(hidden)]
    pub max_pages: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            capacity: 100_000,
            keep_done: DAY * 7,
            keep_dead: DAY * 90,
            seen_for: DAY,
            busy_timeout: Duration::from_secs(5),
            max_pages: None,
        }
    }
}

impl SqliteOptions {
    /// Sets how many open deliveries there may be.
    #[must_use]
    pub fn with_capacity(mut self, deliveries: u64) -> Self {
        self.capacity = deliveries;
        self
    }

    /// Sets how long finished deliveries are remembered.
    #[must_use]
    pub fn with_keep_done(mut self, time: Duration) -> Self {
        self.keep_done = time;
        self
    }

    /// Sets how long dead letters are kept.
    #[must_use]
    pub fn with_keep_dead(mut self, time: Duration) -> Self {
        self.keep_dead = time;
        self
    }

    /// Sets how long a seen key is kept after its source last listed it.
    #[must_use]
    pub fn with_seen_for(mut self, time: Duration) -> Self {
        self.seen_for = time;
        self
    }

    /// Sets how long to wait for another process that writes.
    #[must_use]
    pub fn with_busy_timeout(mut self, time: Duration) -> Self {
        self.busy_timeout = time;
        self
    }

    /// Sets the most pages that the file may have.
    #[doc(hidden)]
    #[must_use]
    pub fn with_max_pages(mut self, pages: u32) -> Self {
        self.max_pages = Some(pages);
        self
    }
}
