//! The handle: [`SqliteOutbox`].

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Sender, channel},
    },
    thread::JoinHandle,
};

use async_trait::async_trait;
use notifier_core::{
    DeliveryFilter, DeliveryId, DeliveryView, Destination, DestinationState, EnqueueBatch,
    Enqueued, Error, FoldRequest, Folded, Lease, LeaseRequest, LogLease, Logs, Outbox, OutboxStats,
    Result, Settlement, Silence, Story, jiff::Timestamp,
};
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::{
    SqliteOptions, claim,
    connection::{connect, locate},
    damage, enqueue,
    error::Fault,
    group, lease,
    lock::WatcherLock,
    reader::{Question, Reader, gone},
    replay, schema, settle,
    shared::{Shared, lock},
    view,
    work::{Asked, Kind, Work},
    writer::{Message, Writer},
};

/// The most calls that wait for a thread at a time; more wait before it.
const WAITING: usize = 1024;

/// A batch with more than this is large.
const SMALL: usize = 64;

/// An outbox in one SQLite file.
///
/// A call whose future is dropped happens wholly or not at all. See the
/// [crate](crate) for what is kept where.
pub struct SqliteOutbox {
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    writer: Option<(Sender<Message>, JoinHandle<()>)>,
    reader: Option<(Sender<Question>, JoinHandle<()>)>,
}

impl SqliteOutbox {
    /// Opens an outbox; makes it if there is none. Its folder must be there.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) if the file is no outbox, is of a newer version or is damaged, or if its key file holds no key;
    /// [`ErrorKind::Io`](notifier_core::ErrorKind::Io) if it cannot be used now.
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self> {
        Self::start(path.as_ref(), options, true)
    }

    /// Opens an outbox that is there, to look into it or to change a little beside a
    /// watcher. It is not checked for damage, but for its tables and for what is read; see [`check`](crate::check).
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`ErrorKind::Config`](notifier_core::ErrorKind::Config) if there is none.
    pub fn open_existing(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self> {
        Self::start(path.as_ref(), options, false)
    }

    fn start(path: &Path, options: SqliteOptions, create: bool) -> Result<Self> {
        Self::try_start(path, options, create).map_err(|fault| fault.error(path))
    }

    fn try_start(path: &Path, options: SqliteOptions, create: bool) -> Result<Self, Fault> {
        let path = locate(path, create)?;
        let conn = connect(&path, &options)?;
        let version = schema::version(&conn, &path)?;
        let shared = Arc::new(Shared::new(path, options));
        let is_whole = if create {
            damage::log(&conn, &shared.path)?;
            damage::length(&conn, &shared.path)?;
            shared.seals.load()?;
            conn.busy_timeout(shared.options.busy_timeout)?;
            damage::at_open(&conn, version, damage::AT_OPEN)?
        } else {
            // Who looks or mends a little does not make a watcher wait for all of it.
            damage::tables(&conn, version)?;
            true
        };
        if version < schema::newest() {
            schema::to_version(&conn, schema::newest())?;
        }
        let (to_writer, jobs) = channel();
        let (to_reader, questions) = channel();
        let writer = Writer::new(Arc::clone(&shared), jobs, conn)?;
        let reader = Reader::new(Arc::clone(&shared), questions, to_writer.clone());
        let writer = spawn("outbox-writer", move || writer.run())?;
        let reader = spawn("outbox-reader", move || reader.run())?;
        if !is_whole {
            damage::go_on(&shared)?;
        }
        Ok(Self {
            shared,
            room: Arc::new(Semaphore::new(WAITING)),
            writer: Some((to_writer, writer)),
            reader: Some((to_reader, reader)),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Has a job done in a commit.
    pub(crate) async fn write<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.ask(f, Kind::Promise).await
    }

    /// Has a job done whose answer is only of use while this process lives.
    async fn lend<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.ask(f, Kind::Loan).await
    }

    async fn ask<T, F>(&self, f: F, kind: Kind) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.shared.check()?;
        let room = self.enter().await?;
        let (to, answer) = oneshot::channel();
        self.send(Message::Job(Box::new(Asked::new(f, kind, to, room))))?;
        answer.await.unwrap_or_else(|_| Err(self.ended()))
    }

    /// Has a job done by the writer, outside of any commit.
    pub(crate) async fn alone<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.shared.check()?;
        let room = self.enter().await?;
        let (to, answer) = oneshot::channel();
        let path = self.shared.path.clone();
        self.send(Message::Alone(Box::new(move |conn| {
            let _room = room;
            let done = crate::work::guarded(|| f(conn)).map_err(|fault| fault.error(&path));
            // Nobody waits for it any more: that changes nothing.
            let _ = to.send(done);
        })))?;
        answer.await.unwrap_or_else(|_| Err(self.ended()))
    }

    async fn read<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.shared.check()?;
        let room = self.enter().await?;
        let (to, answer) = oneshot::channel();
        let question = Question::new(f, to, room);
        let (reader, _) = self.reader.as_ref().ok_or_else(gone)?;
        reader.send(question).map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(self.ended()))
    }

    async fn enter(&self) -> Result<tokio::sync::OwnedSemaphorePermit> {
        let room = Arc::clone(&self.room).acquire_owned();
        room.await.map_err(|_| gone())
    }

    fn send(&self, message: Message) -> Result<()> {
        let (writer, _) = self.writer.as_ref().ok_or_else(gone)?;
        writer.send(message).map_err(|_| gone())
    }

    fn ended(&self) -> Error {
        self.shared.check().err().unwrap_or_else(gone)
    }

    /// Makes sure that no other process leases.
    fn lock_for(&self, watcher: &str) -> Result<()> {
        let mut held = lock(&self.shared.lock);
        match held.as_mut() {
            Some(held) => {
                // Only for people to read.
                let _ = held.rename(watcher);
            }
            None => {
                let new = WatcherLock::take(&self.shared.path, watcher)
                    .map_err(|trouble| trouble.error())?;
                *held = Some(new);
            }
        }
        Ok(())
    }

    /// The number of the claim under which this handle leases.
    fn claim_number(&self) -> Result<i64> {
        if lock(&self.shared.lock).is_none() {
            self.lock_for("without a name")?;
        }
        Ok(self.shared.claim.load(Ordering::Relaxed))
    }
}

fn spawn(name: &str, f: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(f)
        .map_err(|e| {
            Error::new(
                notifier_core::ErrorKind::Io,
                "cannot start a thread for the outbox",
            )
            .with_source(e)
        })
}

impl Drop for SqliteOutbox {
    /// Ends the threads after what they were asked for, and gives up the claim.
    fn drop(&mut self) {
        self.shared.checker.end();
        // The reader holds an end of the writer's channel.
        if let Some((inbox, thread)) = self.reader.take() {
            drop(inbox);
            let _ = thread.join();
        }
        if let Some((inbox, thread)) = self.writer.take() {
            drop(inbox);
            let _ = thread.join();
        }
        *lock(&self.shared.lock) = None;
    }
}

impl fmt::Debug for SqliteOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteOutbox")
            .field("path", &self.shared.path)
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Outbox for SqliteOutbox {
    async fn enqueue(&self, batch: EnqueueBatch) -> Result<Enqueued> {
        let kind = if batch.reports.len() + batch.seen.len() > SMALL {
            Kind::Large
        } else {
            Kind::Promise
        };
        self.ask(move |w| enqueue::enqueue(w, batch), kind).await
    }

    async fn cursor(&self, source: &str) -> Result<Option<serde_json::Value>> {
        let source = source.to_owned();
        self.read(move |c| view::cursor(c, &source)).await
    }

    async fn claim(&self, watcher: &str, now: Timestamp) -> Result<u64> {
        self.shared.check()?;
        self.lock_for(watcher)?;
        let claimed = self.write(move |w| claim::claim(w, now)).await?;
        self.shared.claim.store(claimed.number, Ordering::Relaxed);
        Ok(claimed.leases)
    }

    async fn lease_logs(&self, request: LeaseRequest) -> Result<Vec<LogLease>> {
        let claim = self.claim_number()?;
        self.lend(move |w| lease::lease_logs(w, request, claim))
            .await
    }

    async fn settle_logs(&self, lease: &LogLease, logs: Logs) -> Result<()> {
        let lease = lease.clone();
        self.lend(move |w| settle::settle_logs(w, &lease, &logs))
            .await
    }

    async fn lease(&self, destination: &Destination, request: LeaseRequest) -> Result<Vec<Lease>> {
        let claim = self.claim_number()?;
        let destination = destination.clone();
        self.lend(move |w| lease::lease(w, &destination, request, claim))
            .await
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<()> {
        let held = settle::Held::of(lease);
        self.lend(move |w| settle::settle(w, &held, settlement))
            .await
    }

    async fn save_progress(&self, lease: &Lease, progress: serde_json::Value) -> Result<()> {
        let held = settle::Held::of(lease);
        self.lend(move |w| settle::save_progress(w, &held, &progress))
            .await
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        let held = settle::Held::of(lease);
        self.lend(move |w| settle::release(w, &held)).await
    }

    async fn pending(&self) -> Result<Vec<(Destination, Timestamp)>> {
        self.read(view::pending).await
    }

    async fn destinations(&self) -> Result<Vec<(Destination, DestinationState)>> {
        self.read(view::destinations).await
    }

    async fn fold(&self, request: FoldRequest) -> Result<Folded> {
        self.write(move |w| group::fold(w, &request)).await
    }

    async fn inspect(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryView>> {
        let filter = filter.clone();
        self.read(move |c| view::inspect(c, &filter)).await
    }

    async fn story(&self, id: &DeliveryId) -> Result<Option<Story>> {
        let id = id.clone();
        let shared = Arc::clone(&self.shared);
        self.read(move |c| view::story(c, &shared.seals, &id)).await
    }

    async fn replay(&self, watcher: &str, id: &DeliveryId, now: Timestamp) -> Result<DeliveryId> {
        let (watcher, id) = (watcher.to_owned(), id.clone());
        self.write(move |w| replay::replay(w, &watcher, &id, now))
            .await
    }

    async fn discard(&self, id: &DeliveryId, now: Timestamp) -> Result<()> {
        let id = id.clone();
        self.write(move |w| replay::discard(w, &id, now)).await
    }

    async fn silences(&self) -> Result<Vec<Silence>> {
        self.read(view::silences).await
    }

    async fn put_silence(&self, silence: Silence) -> Result<()> {
        self.write(move |w| replay::put_silence(w, &silence)).await
    }

    async fn stats(&self) -> Result<OutboxStats> {
        let capacity = self.shared.options.capacity;
        self.read(move |c| view::stats(c, capacity)).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    fn is_durable(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use notifier_core::ErrorKind;

    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_takes_nothing_else_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let o = SqliteOutbox::open(dir.path().join("o.sqlite"), SqliteOptions::default()).unwrap();
        let insert = |w: &Work<'_>, key: &str| {
            w.conn
                .execute("INSERT INTO seen VALUES (?1, 's', 0)", [key])
                .map(|_| ())
                .map_err(Fault::from)
        };
        // All in one commit, since the writer waits for the first.
        let (first, bad, good, wrong) = tokio::join!(
            o.write(move |w| {
                std::thread::sleep(std::time::Duration::from_millis(50));
                insert(w, "a")
            }),
            o.write::<(), _>(move |w| {
                insert(w, "b")?;
                panic!("on purpose")
            }),
            o.write(move |w| insert(w, "c")),
            o.write(move |w| {
                insert(w, "d")?;
                insert(w, "c")
            }),
        );
        first.unwrap();
        good.unwrap();
        assert_eq!(bad.unwrap_err().kind(), ErrorKind::Internal);
        assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Internal);
        let panics = o.read::<(), _>(|_| panic!("on purpose")).await;
        assert_eq!(panics.unwrap_err().kind(), ErrorKind::Internal);
        assert_eq!(o.stats().await.unwrap().seen, 2);
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_happens_wholly_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("o.sqlite");
        let o = SqliteOutbox::open(&path, SqliteOptions::default()).unwrap();
        for n in 0..20 {
            let call = o.write(move |w| {
                for part in 0..3 {
                    let key = format!("{n} {part}");
                    w.conn
                        .execute("INSERT INTO seen VALUES (?1, 's', 0)", [key])?;
                }
                Ok(())
            });
            // It is asked for, and nobody waits.
            let _ = futures_util::FutureExt::now_or_never(call);
        }
        drop(o);
        let o = SqliteOutbox::open(&path, SqliteOptions::default()).unwrap();
        assert_eq!(o.stats().await.unwrap().seen % 3, 0);
        assert!(o.stats().await.unwrap().seen > 0);
    }
}
