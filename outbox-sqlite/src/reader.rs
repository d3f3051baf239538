//! The thread that reads, and notices what other processes write.

use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use notifier_core::{Error, Result};
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    connection::connect,
    error::Fault,
    shared::{Shared, lock},
    work::guarded,
    writer::Message,
};

/// How often it is looked for what other processes did.
const TICK: Duration = Duration::from_secs(1);

/// A question, and who waits for its answer.
pub(crate) struct Question(Box<dyn FnOnce(&Reader) + Send>);

impl Question {
    pub(crate) fn new<T, F>(
        f: F,
        to: oneshot::Sender<Result<T>>,
        room: OwnedSemaphorePermit,
    ) -> Self
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        Self(Box::new(move |reader| {
            let _room = room;
            // Nobody waits for it any more: that changes nothing.
            let _ = to.send(reader.answer(f));
        }))
    }
}

pub(crate) struct Reader {
    shared: Arc<Shared>,
    inbox: Receiver<Question>,
    writer: Sender<Message>,
}

impl Reader {
    pub(crate) fn new(
        shared: Arc<Shared>,
        inbox: Receiver<Question>,
        writer: Sender<Message>,
    ) -> Self {
        Self {
            shared,
            inbox,
            writer,
        }
    }

    /// Works until nobody can ask for anything any more.
    pub(crate) fn run(self) {
        let mut looked = Instant::now();
        let mut version = None;
        loop {
            match self
                .inbox
                .recv_timeout(TICK.saturating_sub(looked.elapsed()))
            {
                Ok(question) => (question.0)(&self),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if looked.elapsed() >= TICK {
                looked = Instant::now();
                self.look(&mut version);
            }
        }
        *lock(&self.shared.reading) = None;
    }

    fn answer<T>(&self, f: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T> {
        self.shared.check()?;
        let done = self.with(|conn| {
            let tx = conn.unchecked_transaction()?;
            let out = guarded(|| f(conn))?;
            tx.commit()?;
            Ok(out)
        });
        done.map_err(|fault| match fault.judge(&self.shared.path) {
            Ok(trouble) => {
                if trouble.is_final {
                    self.shared.break_with(&trouble);
                }
                trouble.error()
            }
            Err(refusal) => refusal,
        })
    }

    fn with<T>(&self, f: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut reading = lock(&self.shared.reading);
        let conn = match reading.take() {
            Some(conn) => conn,
            None => connect(&self.shared.path, &self.shared.options)?,
        };
        f(reading.insert(conn))
    }

    /// Whether another process has written, and whether the files are still there.
    fn look(&self, version: &mut Option<i64>) {
        if self.shared.broken().is_some() {
            return;
        }
        // The writer ends after this thread.
        let _ = self.writer.send(Message::Look);
        if self.shared.claim.load(Ordering::Relaxed) == 0 {
            return;
        }
        let now = self.with(|conn| {
            Ok(conn.pragma_query_value(None, "data_version", |r| r.get::<_, i64>(0))?)
        });
        // What fails here fails the next question too.
        if let Ok(now) = now
            && version.replace(now).is_some_and(|before| before != now)
        {
            self.shared.changed();
        }
    }
}

/// What is said to those who ask when the threads are gone.
pub(crate) fn gone() -> Error {
    Error::internal("the outbox is closed")
}
