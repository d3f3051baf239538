//! Reading an answer that must keep coming.

use std::time::Duration;

use futures_util::StreamExt as _;
use notifier_core::{ByteStream, Error};
use tokio::time::{Instant, timeout_at};

/// How much of an answer must come in how long: an idle time-out alone lets a peer that sends
/// a byte now and then hold us for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    window: Duration,
    bytes: usize,
}

/// Why an answer was not read to its end.
#[derive(Debug)]
pub(crate) enum Unread {
    TooSlow,
    Broken(Error),
}

impl Pace {
    /// A thousand bytes for each second, over three times the longest silence.
    pub(crate) fn of(timeout: Duration) -> Self {
        let window = timeout.saturating_mul(3);
        Self {
            window,
            bytes: usize::try_from(window.as_millis()).unwrap_or(usize::MAX),
        }
    }

    pub(crate) fn window(self) -> Duration {
        self.window
    }

    /// The whole of a stream.
    pub(crate) async fn read(self, mut stream: ByteStream) -> Result<Vec<u8>, Unread> {
        let mut body = Vec::new();
        loop {
            let before = body.len();
            let end = Instant::now()
                .checked_add(self.window)
                .ok_or(Unread::TooSlow)?;
            loop {
                match timeout_at(end, stream.next()).await {
                    Ok(Some(Ok(piece))) => body.extend_from_slice(&piece),
                    Ok(Some(Err(e))) => return Err(Unread::Broken(e)),
                    Ok(None) => return Ok(body),
                    Err(_) => break,
                }
                if Instant::now() >= end {
                    break;
                }
            }
            if body.len() - before < self.bytes {
                return Err(Unread::TooSlow);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    /// So many pieces of so many bytes, one in so many milliseconds.
    fn drip(pieces: usize, size: usize, every: u64) -> ByteStream {
        stream::iter(0..pieces)
            .then(move |_| async move {
                tokio::time::sleep(Duration::from_millis(every)).await;
                Ok(vec![b'x'; size].into())
            })
            .boxed()
    }

    #[tokio::test(start_paused = true)]
    async fn what_keeps_coming_is_read_and_what_drips_is_not() {
        let pace = Pace::of(Duration::from_secs(10));
        let start = Instant::now();
        // Far longer than the window in all.
        let body = pace.read(drip(400, 1100, 1000)).await.unwrap();
        assert_eq!(body.len(), 440_000);
        assert!(start.elapsed() > Duration::from_secs(300));
        // Small ones have the whole window.
        assert_eq!(pace.read(drip(29, 1, 1000)).await.unwrap().len(), 29);

        let start = Instant::now();
        let e = pace.read(drip(1_000_000, 1, 500)).await.unwrap_err();
        assert!(matches!(e, Unread::TooSlow));
        assert!(start.elapsed() < Duration::from_secs(31));
        // Fast at first.
        let first = drip(10, 1_000_000, 1).chain(drip(1000, 900, 1000)).boxed();
        assert!(matches!(pace.read(first).await, Err(Unread::TooSlow)));
    }
}
