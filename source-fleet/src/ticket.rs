//! What becomes of a batch that was handed over.

use std::sync::{Arc, Mutex, PoisonError};

type Ends = Mutex<Vec<(u64, bool)>>;

/// What became of batches, by number: true if it was stored.
#[derive(Debug, Default)]
pub(crate) struct Landed(Arc<Ends>);

/// Tells what becomes of a batch: stored, or let go.
pub(crate) struct Ticket {
    number: u64,
    is_stored: bool,
    landed: Arc<Ends>,
}

impl Landed {
    /// For the batch of this number.
    pub(crate) fn ticket(&self, number: u64) -> Ticket {
        Ticket {
            number,
            is_stored: false,
            landed: Arc::clone(&self.0),
        }
    }

    /// What became of batches since the last time.
    pub(crate) fn take(&self) -> Vec<(u64, bool)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Ticket {
    pub(crate) fn stored(mut self) {
        self.is_stored = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut landed = self.landed.lock().unwrap_or_else(PoisonError::into_inner);
        landed.push((self.number, self.is_stored));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_stored_or_let_go() {
        let landed = Landed::default();
        let (one, two) = (landed.ticket(1), landed.ticket(2));
        assert!(landed.take().is_empty());
        drop(two);
        one.stored();
        assert_eq!(landed.take(), [(2, false), (1, true)]);
        assert!(landed.take().is_empty());
    }
}
