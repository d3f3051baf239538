//! What is asked once and kept for a while.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use notifier_core::{Clock, Result, jiff::Timestamp};

/// How long an answer is kept.
pub(crate) const LIFE: Duration = Duration::from_secs(600);

/// How many answers are kept.
const MOST: usize = 256;

/// Locks, also after a panic elsewhere: the data behind our locks is whole between statements.
pub(crate) fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

type Slot<V> = Arc<tokio::sync::Mutex<Option<(Timestamp, V)>>>;

/// Answers by what was asked. Who asks for the same at the same time waits for one answer.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    slots: Mutex<HashMap<K, Slot<V>>>,
    clock: Arc<dyn Clock>,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            slots: Mutex::default(),
            clock,
        }
    }

    /// The answer that is kept, or a new one. An error is not kept.
    pub(crate) async fn get(&self, key: K, ask: impl Future<Output = Result<V>>) -> Result<V> {
        let slot = self.slot(key);
        let mut slot = slot.lock().await;
        let now = self.clock.now();
        if let Some(value) = young(&slot, now) {
            return Ok(value);
        }
        let value = ask.await?;
        *slot = Some((now, value.clone()));
        Ok(value)
    }

    fn slot(&self, key: K) -> Slot<V> {
        let mut slots = lock(&self.slots);
        if slots.len() >= MOST && !slots.contains_key(&key) {
            slots.clear();
        }
        Arc::clone(slots.entry(key).or_default())
    }

    /// The answer that is kept.
    pub(crate) async fn kept(&self, key: &K) -> Option<V> {
        let slot = lock(&self.slots).get(key).map(Arc::clone)?;
        let slot = slot.lock().await;
        young(&slot, self.clock.now())
    }

    /// Keeps an answer that came in another way.
    pub(crate) async fn set(&self, key: K, value: V) {
        let slot = self.slot(key);
        *slot.lock().await = Some((self.clock.now(), value));
    }

    /// Asks anew the next time.
    pub(crate) fn forget(&self, key: &K) {
        lock(&self.slots).remove(key);
    }
}

/// What a slot has, if it is not too old.
fn young<V: Clone>(slot: &Option<(Timestamp, V)>, now: Timestamp) -> Option<V> {
    let (at, value) = slot.as_ref()?;
    let age = Duration::try_from(now.duration_since(*at)).ok()?;
    (age < LIFE).then(|| value.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use notifier_core::{Error, ManualClock};

    use super::*;

    #[tokio::test]
    async fn asks_once_until_it_is_old() {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let cache: Cache<u8, usize> = Cache::new(Arc::<ManualClock>::clone(&clock));
        let asked = AtomicUsize::new(0);
        let ask = || async {
            tokio::task::yield_now().await;
            Ok(asked.fetch_add(1, Ordering::Relaxed))
        };
        let both = tokio::join!(cache.get(1, ask()), cache.get(1, ask()));
        assert_eq!((both.0.unwrap(), both.1.unwrap()), (0, 0));
        clock.advance(LIFE);
        assert_eq!(cache.get(1, ask()).await.unwrap(), 1);
        cache.forget(&1);
        assert_eq!(cache.get(1, ask()).await.unwrap(), 2);
        assert_eq!(cache.kept(&1).await, Some(2));
        cache.set(7, 5).await;
        assert_eq!(cache.kept(&7).await, Some(5));
        clock.advance(LIFE);
        assert_eq!(cache.kept(&7).await, None);
        let failed = cache.get(2, async { Err(Error::config("x")) }).await;
        assert!(failed.is_err());
        assert_eq!(cache.get(2, ask()).await.unwrap(), 3);
    }
}
