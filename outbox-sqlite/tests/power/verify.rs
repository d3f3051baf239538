//! Starts an outbox on what a power cut left of it, and looks whether all is there that must be.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use notifier_core::{
    Attempt, DeliveryFilter, DeliveryId, DeliveryState, DeliveryView, EnqueueBatch, FailureKey,
    FailureRecord, Lease, LeaseRequest, Logs, NewDelivery, NewReport, Outbox as _, Outcome, Result,
    Settlement, Subject, Verdict,
};
use outbox_sqlite::SqliteOutbox;
use tokio::task::JoinSet;

use crate::{
    known::{Delivery, Final, Known},
    load::{KEEP_DONE, STORE, WATCHER, destination, destinations, options, progress, time},
    mark::How,
};

/// How many keys are looked at one by one in an image, and a tenth as many digests.
const SOME: usize = 50;
/// More than there is of anything.
const MANY: usize = 100_000;

/// What is wrong with the store in this folder; nothing if all is well.
///
/// `number` says which: each looks at some things that others do not.
pub(crate) async fn verify(folder: &Path, known: &Known, number: usize) -> Vec<String> {
    let mut found = Found {
        known,
        number,
        wrong: Vec::new(),
    };
    if let Err(e) = found.look(&folder.join(STORE)).await {
        found.wrong.push(format!("refused: {}", e.report()));
    }
    found.wrong
}

struct Found<'a> {
    known: &'a Known,
    number: usize,
    wrong: Vec<String>,
}

type Views = HashMap<String, DeliveryView>;

impl Found<'_> {
    async fn look(&mut self, path: &Path) -> Result<()> {
        let store = Arc::new(SqliteOutbox::open(path, options())?);
        store.claim(WATCHER, time(self.known.now)).await?;

        let all = store.inspect(&DeliveryFilter::default()).await?;
        let views: Views = all
            .into_iter()
            .map(|v| (v.delivery.id.to_string(), v))
            .collect();
        self.deliveries(&views);
        self.digests(&views, &store).await?;
        self.batches(&views, &store).await?;
        self.silences(&store).await?;
        self.logs(&store).await?;
        self.leases(&views, &store).await?;
        self.repeated(&store).await?;
        drop(store);

        let checked = outbox_sqlite::check(path)?;
        self.wrong.extend(checked.problems);
        Ok(())
    }

    /// What was finished then may be forgotten now.
    fn is_old(&self, finished: i64) -> bool {
        let kept = i64::try_from(KEEP_DONE.as_millis()).expect("a short time");
        finished + kept <= self.known.now
    }

    fn deliveries(&mut self, views: &Views) {
        for (id, known) in &self.known.deliveries {
            // What a digest tells ends with it.
            let finished = match known.how {
                How::Grouped => Some(known.enqueued),
                _ => known.finished,
            };
            match views.get(id) {
                Some(view) => self.delivery(id, known, view),
                None if finished.is_some_and(|at| self.is_old(at)) => {}
                None => self.wrong.push(format!("{id} is lost: {known:?}")),
            }
        }
    }

    fn delivery(&mut self, id: &str, known: &Delivery, view: &DeliveryView) {
        // A digest that was put away may be forgotten before what it told.
        let is_told = view.digest.is_some()
            || known.how == How::Grouped
                && view.attempts == 0
                && view
                    .finished
                    .is_some_and(|at| self.is_old(at.as_millisecond()));
        let fits = match view.state {
            DeliveryState::Done | DeliveryState::Dead if is_told => known.state.is_none(),
            DeliveryState::Done => known.may_be(Final::Done),
            DeliveryState::Dead => known.may_be(Final::Dead),
            DeliveryState::Dropped => known.may_be(Final::Dropped),
            DeliveryState::Silenced => known.how == How::Silenced,
            DeliveryState::Pending => known.state.is_none() && known.how != How::Silenced,
            DeliveryState::Held | DeliveryState::Folded => {
                known.how == How::Grouped && known.state.is_none() && !known.leased
            }
            // All leases are taken back.
            _ => false,
        };
        let mut wrong = Vec::new();
        if !fits {
            wrong.push("its state");
        }
        let is_sure = known.maybe.is_none() && !known.answering;
        let taken = u32::from(known.leased && is_sure);
        if view.unknown < known.unknown + taken {
            wrong.push("how often its outcome was unknown");
        }
        if view.attempts < known.attempts + taken {
            wrong.push("how often it was tried");
        }
        if let Some(due) = known.due
            && is_sure
            && !known.leased
            && view.due != time(due)
        {
            wrong.push("when it is due");
        }
        let (kept, asked) = &known.progress;
        let is_asked = asked.iter().any(|v| view.progress == Some(progress(*v)));
        if view.progress != kept.map(progress) && !is_asked {
            wrong.push("its progress");
        }
        if !wrong.is_empty() {
            let wrong = wrong.join(", ");
            self.wrong.push(format!(
                "{id}: {wrong} cannot be: {view:?}, but it is known: {known:?}"
            ));
        }
    }

    /// What a digest tells is as the digest is.
    async fn digests(&mut self, views: &Views, store: &SqliteOutbox) -> Result<()> {
        let mut members: BTreeMap<&DeliveryId, Vec<&DeliveryView>> = BTreeMap::new();
        for view in views.values() {
            if let Some(digest) = &view.digest {
                members.entry(digest).or_default().push(view);
            } else if view.state == DeliveryState::Folded {
                self.wrong.push(format!("no digest tells {view:?}"));
            }
        }
        let mut stories = SOME / 10;
        for (id, members) in members {
            let digest = views.get(id.as_str());
            let expected = match digest.map(|d| d.state) {
                Some(DeliveryState::Done) => DeliveryState::Done,
                Some(DeliveryState::Dead | DeliveryState::Dropped) => DeliveryState::Dead,
                Some(_) => DeliveryState::Folded,
                // It is forgotten a moment before those.
                None => DeliveryState::Done,
            };
            if let Some(view) = members.iter().find(|v| v.state != expected) {
                self.wrong
                    .push(format!("{view:?} is not as its digest is: {digest:?}"));
            }
            if expected != DeliveryState::Folded || stories == 0 {
                continue;
            }
            stories -= 1;
            let told = match store.story(id).await? {
                Some(story) => match &story.subject {
                    Subject::Digest(d) => Some((d.count, story.folds)),
                    _ => None,
                },
                None => None,
            };
            let count = members.len() as u64;
            if told != Some((count, count)) {
                self.wrong
                    .push(format!("the digest {id} tells {told:?} of {count}"));
            }
        }
        Ok(())
    }

    /// Batches are there wholly or not at all, and cursors fit.
    async fn batches(&mut self, views: &Views, store: &SqliteOutbox) -> Result<()> {
        let mut cursors = HashMap::new();
        for (source, (kept, asked)) in &self.known.cursors {
            let cursor = store.cursor(source).await?.and_then(|c| c.as_u64());
            if cursor < *kept || cursor > Some(*asked) {
                self.wrong
                    .push(format!("{source}: {cursor:?}, but {kept:?} is known"));
            }
            cursors.insert(source, cursor);
        }
        for batch in self.known.batches.values() {
            if self.is_old(batch.now) {
                continue;
            }
            let ids = || batch.reports.iter().flat_map(|r| &r.ids);
            let there = ids().filter(|id| views.contains_key(*id)).count();
            let is_kept = cursors.get(&batch.source).copied().flatten() >= Some(batch.cursor);
            let expected = if is_kept { ids().count() } else { 0 };
            if there != expected {
                self.wrong.push(format!(
                    "{there} instead of {expected} are there of {batch:?}"
                ));
            }
        }
        Ok(())
    }

    async fn silences(&mut self, store: &SqliteOutbox) -> Result<()> {
        let silences = store.silences().await?;
        let kept: HashSet<&str> = silences.iter().map(|s| s.id.as_str()).collect();
        for id in &self.known.silences {
            if !kept.contains(id.as_str()) {
                self.wrong.push(format!("{id} is lost"));
            }
        }
        Ok(())
    }

    /// No log is looked for again. All are settled after this.
    async fn logs(&mut self, store: &Arc<SqliteOutbox>) -> Result<()> {
        let mut settled = JoinSet::new();
        for lease in store.lease_logs(self.request()).await? {
            // One in a group may be the example of a digest, which has logs of its own.
            let key = lease.record.key.as_str();
            if self.known.keys.get(key) == Some(&How::Plain) && self.known.logs.contains(key) {
                self.wrong
                    .push(format!("the logs of {key} are not settled"));
            }
            let store = Arc::clone(store);
            settled.spawn(async move { store.settle_logs(&lease, Logs::missing("none")).await });
        }
        settled.join_all().await.into_iter().collect()
    }

    /// After everything was due.
    fn request(&self) -> LeaseRequest {
        let now = self.known.now + 120_000;
        LeaseRequest::new(MANY, time(now), time(now + 60_000))
    }

    /// Everything that waits is sent, and nothing else.
    async fn leases(&mut self, views: &Views, store: &SqliteOutbox) -> Result<()> {
        let mut waits: HashSet<&str> = views
            .iter()
            .filter(|(_, v)| v.state == DeliveryState::Pending)
            .map(|(id, _)| id.as_str())
            .collect();
        let mut first = None;
        for destination in destinations() {
            for lease in store.lease(&destination, self.request()).await? {
                let id = lease.delivery.id.as_str();
                if !waits.remove(id) {
                    self.wrong
                        .push(format!("{id} is sent though it does not wait"));
                }
                self.lease(&lease);
                first.get_or_insert(lease);
            }
        }
        if !waits.is_empty() {
            self.wrong.push(format!("never sent: {waits:?}"));
        }
        if let Some(lease) = first {
            let done = Attempt::new(time(self.known.now), Outcome::Delivered);
            store
                .settle(&lease, Settlement::new(Verdict::Done, done))
                .await?;
            let story = store.story(&lease.delivery.id).await?;
            if story.map(|s| s.view.state) != Some(DeliveryState::Done) {
                self.wrong
                    .push(format!("{} cannot be finished", lease.delivery.id));
            }
        }
        Ok(())
    }

    fn lease(&mut self, lease: &Lease) {
        let id = lease.delivery.id.as_str();
        let Some(known) = self.known.deliveries.get(id) else {
            return;
        };
        if known.state.is_some() {
            self.wrong.push(format!("{id} is sent again: {known:?}"));
        }
        if known.leased && !known.answering && !lease.unknown {
            self.wrong.push(format!(
                "{id} may have arrived, and nobody says so: {known:?}"
            ));
        }
        let key = lease.subject.key();
        if known.key.as_ref().is_some_and(|k| k != key.as_str()) {
            self.wrong.push(format!("{id} is sent as {key}: {known:?}"));
        }
    }

    /// What was told once is not told again.
    async fn repeated(&mut self, store: &SqliteOutbox) -> Result<()> {
        let mut batch = EnqueueBatch::new("source-0", time(self.known.now));
        let step = self.known.keys.len() / SOME + 1;
        for key in self
            .known
            .keys
            .keys()
            .skip(self.number % step)
            .step_by(step)
        {
            let mut record =
                FailureRecord::new(key.as_str(), "task", "TASK_FAILED", time(self.known.now));
            record.key = FailureKey::new(key.as_str());
            let id = DeliveryId::new(format!("again-{key}"));
            let delivery = NewDelivery::new(id, "chat", "again", destination(0));
            batch
                .reports
                .push(NewReport::failure(record, vec![delivery]));
        }
        let enqueued = store.enqueue(batch).await?;
        if enqueued.new > 0 {
            self.wrong.push(format!("told again: {enqueued:?}"));
        }
        Ok(())
    }
}
