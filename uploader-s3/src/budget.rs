//! What uploads may take of memory together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
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
/// A log is opened before it waits here: an agent that is slow to begin holds no place. How
/// many are open is for the caller to bound; nothing is read of them yet.
///
/// An upload never waits for small room while it holds large room, and gives large room
/// back after each part: none waits for ever, and they take turns. Large buffers are made
/// once and kept: what an allocator makes of large blocks that come and go may be twice
/// their size.
#[derive(Debug)]
pub(crate) struct Budget {
    active: Arc<Semaphore>,
    large: Arc<Semaphore>,
    kept: Arc<Mutex<Vec<BytesMut>>>,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            active: Arc::new(Semaphore::new(ACTIVE)),
            large: Arc::new(Semaphore::new(LARGE)),
            kept: Arc::default(),
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
    pub(crate) async fn large(&self, bytes: u64) -> Result<Room> {
        let units = u32::try_from(bytes.min(MAX_PART).div_ceil(MIB)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.large)
            .acquire_many_owned(units)
            .await
            .map_err(|_| Error::internal("the uploader was closed"))?;
        let size = units as usize * MIB as usize;
        let mut kept = lock(&self.kept);
        // A larger one would take more than its permit says.
        let fitting = kept.iter().position(|b| b.capacity() == size);
        let buffer = match fitting {
            Some(at) => kept.swap_remove(at),
            None => {
                // Those of another size must not stay beside it.
                kept.clear();
                BytesMut::with_capacity(size)
            }
        };
        Ok(Room {
            buffer,
            kept: Arc::clone(&self.kept),
            _permit: permit,
        })
    }
}

/// Large room, until it is given back or dropped.
#[derive(Debug)]
pub(crate) struct Room {
    buffer: BytesMut,
    kept: Arc<Mutex<Vec<BytesMut>>>,
    _permit: OwnedSemaphorePermit,
}

impl Room {
    /// Its buffer, once.
    pub(crate) fn buffer(&mut self) -> BytesMut {
        std::mem::take(&mut self.buffer)
    }

    /// Gives it back with its buffer, unless another still reads that.
    pub(crate) fn give_back(self, bytes: Bytes) {
        if let Ok(mut buffer) = bytes.try_into_mut() {
            buffer.clear();
            lock(&self.kept).push(buffer);
        }
    }
}

/// Locks, also after a panic elsewhere: a list of buffers is never half changed.
fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[tokio::test]
    async fn buffers_are_used_again() {
        let budget = Budget::new();
        let mut room = budget.large(MIN_PART).await.unwrap();
        let mut buffer = room.buffer();
        buffer.extend_from_slice(b"abc");
        let first = buffer.as_ptr();
        let bytes = buffer.freeze();
        let other = bytes.clone();
        drop(other);
        room.give_back(bytes);
        let buffer = budget.large(MIN_PART).await.unwrap().buffer();
        assert!(buffer.is_empty() && buffer.capacity() >= 5 * MIB as usize);
        assert_eq!(buffer.as_ptr(), first);
        // A larger one is not kept, nor given for less than it takes.
        let room = budget.large(MIN_PART + 1).await.unwrap();
        assert_eq!(budget.large.available_permits(), LARGE - 6);
        assert!(lock(&budget.kept).is_empty());
        drop(room);
        let mut room = budget.large(MAX_PART).await.unwrap();
        let bytes = room.buffer().freeze();
        room.give_back(bytes);
        let mut room = budget.large(MIN_PART).await.unwrap();
        assert_eq!(room.buffer().capacity(), 5 * MIB as usize);
        assert!(lock(&budget.kept).is_empty());
        drop(room);
        // One that is still read is not.
        let mut room = budget.large(MIN_PART).await.unwrap();
        let bytes = room.buffer().freeze();
        let _reader = bytes.clone();
        room.give_back(bytes);
        assert!(lock(&budget.kept).is_empty());
    }
}
