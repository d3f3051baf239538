//! Reading an answer that must keep coming.

use std::time::Duration;

use bytes::Bytes;
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

/// Why an answer was not taken in to its end.
#[derive(Debug)]
pub(crate) enum Stopped {
    Unread(Unread),
    /// What came is not what was asked for.
    Malformed(String),
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

    /// Hands on a stream piece by piece, to its end.
    pub(crate) async fn each(
        self,
        mut stream: ByteStream,
        mut take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), Stopped> {
        let mut progress = self.start();
        while let Some(piece) = progress.next(&mut stream).await.map_err(Stopped::Unread)? {
            take(&piece).map_err(Stopped::Malformed)?;
        }
        Ok(())
    }

    /// Begins to watch an answer.
    pub(crate) fn start(self) -> Progress {
        Progress {
            pace: self,
            since: Instant::now(),
            read: 0,
        }
    }
}

/// How much came of an answer in the window that runs.
#[derive(Debug)]
pub(crate) struct Progress {
    pace: Pace,
    since: Instant,
    read: usize,
}

impl Progress {
    /// The next piece of a stream that comes at this pace.
    pub(crate) async fn next(&mut self, stream: &mut ByteStream) -> Result<Option<Bytes>, Unread> {
        loop {
            let until = self
                .since
                .checked_add(self.pace.window)
                .ok_or(Unread::TooSlow)?;
            let came = timeout_at(until, stream.next()).await;
            if let Ok(Some(Ok(piece))) = &came {
                self.read += piece.len();
            }
            if Instant::now() >= until {
                if self.read < self.pace.bytes && !matches!(came, Ok(None)) {
                    return Err(Unread::TooSlow);
                }
                (self.since, self.read) = (Instant::now(), 0);
            }
            match came {
                Ok(Some(Ok(piece))) => return Ok(Some(piece)),
                Ok(Some(Err(e))) => return Err(Unread::Broken(e)),
                Ok(None) => return Ok(None),
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    impl Pace {
        /// The length of the whole of a stream.
        async fn read(self, stream: ByteStream) -> Result<usize, Stopped> {
            let mut length = 0;
            let take = |piece: &[u8]| {
                length += piece.len();
                Ok(())
            };
            self.each(stream, take).await.map(|()| length)
        }
    }

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
        let length = pace.read(drip(400, 1100, 1000)).await.unwrap();
        assert_eq!(length, 440_000);
        assert!(start.elapsed() > Duration::from_secs(300));
        // Small ones have the whole window.
        assert_eq!(pace.read(drip(29, 1, 1000)).await.unwrap(), 29);

        let start = Instant::now();
        let e = pace.read(drip(1_000_000, 1, 500)).await.unwrap_err();
        assert!(matches!(e, Stopped::Unread(Unread::TooSlow)));
        assert!(start.elapsed() < Duration::from_secs(31));
        // Fast at first.
        let first = drip(10, 1_000_000, 1).chain(drip(1000, 900, 1000)).boxed();
        assert!(matches!(
            pace.read(first).await,
            Err(Stopped::Unread(Unread::TooSlow))
        ));
    }
}
