//! What uploads may take of memory together.

use std::sync::Arc;

use notifier_core::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) const MIB: u64 = 1024 * 1024;

/// What every upload may hold from its start.
pub(crate) const SMALL: usize = 256 * 1024;

/// How many uploads run at once.
const ACTIVE: usize = 16;

/// What all larger buffers hold together, in MiB.
const LARGE: usize = 24;

/// Room for 28 MiB of buffers in all.
///
/// An upload never waits for small room while it holds large room, and gives large room
/// back after each part: none waits for ever, and they take turns.
#[derive(Debug)]
pub(crate) struct Budget {
    active: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            active: Arc::new(Semaphore::new(ACTIVE)),
            large: Arc::new(Semaphore::new(LARGE)),
        }
    }

    /// Waits until one more upload may run.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.active)
            .acquire_owned()
            .await
            .map_err(|_| Error::internal("the uploader was closed"))
    }

    /// Waits for room of so many bytes, at most [`MAX_PART`].
    pub(crate) async fn large(&self, bytes: u64) -> Result<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.min(MAX_PART).div_ceil(MIB)).unwrap_or(u32::MAX);
        Arc::clone(&self.large)
            .acquire_many_owned(units)
            .await
            .map_err(|_| Error::internal("the uploader was closed"))
    }
}

/// The smallest part, but for the last.
///
/// Source: AWS, "Amazon S3 multipart upload limits", read 2026-11-21.
pub(crate) const MIN_PART: u64 = 5 * MIB;

/// The largest part that is held here.
pub(crate) const MAX_PART: u64 = 20 * MIB;

/// The most parts of one object; same source.
pub(crate) const MAX_PARTS: u64 = 10_000;

/// The size of parts for an object of this size. They are equal: some stores ask for it.
pub(crate) fn part_size(object: u64) -> u64 {
    // Some room is left for a log that grows.
    object
        .div_ceil(MAX_PARTS * 9 / 10)
        .div_ceil(MIB)
        .saturating_mul(MIB)
        .clamp(MIN_PART, MAX_PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_suffice_for_the_largest_object() {
        assert_eq!(part_size(0), MIN_PART);
        assert_eq!(part_size(2048 * MIB), MIN_PART);
        assert_eq!(part_size(u64::MAX), MAX_PART);
        for size in [44_000, 45_000, 60_000, 100_000, 180_000] {
            let size = size * MIB;
            assert!(part_size(size) * MAX_PARTS >= size, "{size}");
        }
    }

    #[tokio::test]
    async fn large_room_is_bounded_and_comes_back() {
        let budget = Budget::new();
        let room = budget.large(u64::MAX).await.unwrap();
        assert_eq!(budget.large.available_permits(), 4);
        drop(room);
        assert_eq!(budget.large.available_permits(), LARGE);
    }
}
