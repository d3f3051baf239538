//! Random calls, compared with a plain model after each.

use std::time::Duration;

use notifier_core::{
    DeliveryFilter, DeliveryState, DestinationState, ErrorKind, FoldRequest, Lease, LeaseRequest,
    LogLease, NewReport, Outcome, Verdict as Ending, jiff::Timestamp, policy::Rate,
};

use super::{
    ROOMY, Suite,
    admin::recount,
    logs::found,
    model::{Model, in_order},
    rig::{
        Rig, SOURCE, Verdict, WATCHER, after, at, batch, ensure, failure, grouped, notice, ok,
        refused, report, same, settled, to,
    },
};

/// Where things are sent.
const NAMES: [&str; 3] = ["a", "b", "c"];
/// How many calls.
const STEPS: usize = 2_000;
/// As many deliveries as are surely remembered when they are finished.
const MOST: usize = 900;
/// The room of an outbox that is sometimes full.
const NARROW: usize = 60;

pub(super) async fn cases(s: &mut Suite<'_>) {
    for (name, seed, capacity) in [
        ("2,000 random calls do what a plain model says", 1, ROOMY),
        (
            "2,000 random calls at the limit do what a plain model says",
            2,
            NARROW,
        ),
    ] {
        s.case_of(name, capacity, async |rig| {
            Walk::new(rig, seed, capacity, false).run(STEPS).await
        })
        .await;
    }
    s.durable_case(
        "600 random calls with crashes in between do what a plain model says",
        async |rig| Walk::new(rig, 3, ROOMY, true).run(600).await,
    )
    .await;
    s.durable_case(
        "80 random calls with a crash behind each do what a plain model says",
        async |rig| {
            let mut walk = Walk::new(rig, 4, ROOMY, true);
            for _ in 0..80 {
                walk.step().await?;
                walk.crash().await?;
                walk.compare().await?;
            }
            Ok(())
        },
    )
    .await;
}

struct Walk<'a, 'b> {
    rig: &'a mut Rig<'b>,
    model: Model,
    rng: fastrand::Rng,
    now: Timestamp,
    crashes: bool,
    failures: u64,
    leases: Vec<(Lease, usize)>,
    logs: Vec<(LogLease, usize)>,
    lost: Vec<Lease>,
}

fn rate(name: &str) -> Option<Rate> {
    match name {
        "a" => Some(Rate::new(2, Duration::from_secs(1)).with_burst(5)),
        "c" => Some(Rate::new(5, Duration::from_secs(1)).with_burst(3)),
        _ => None,
    }
}

impl<'a, 'b> Walk<'a, 'b> {
    fn new(rig: &'a mut Rig<'b>, seed: u64, capacity: usize, crashes: bool) -> Self {
        Self {
            rig,
            model: Model::new(capacity),
            rng: fastrand::Rng::with_seed(seed),
            now: at(10_000),
            crashes,
            failures: 0,
            leases: Vec::new(),
            logs: Vec::new(),
            lost: Vec::new(),
        }
    }

    async fn run(&mut self, steps: usize) -> Verdict {
        for n in 0..steps {
            let seed = self.rng.get_seed();
            self.step()
                .await
                .map_err(|e| format!("call {n}, with the seed {seed}: {e}"))?;
            if n % 20 == 0 {
                self.compare()
                    .await
                    .map_err(|e| format!("after call {n}: {e}"))?;
            }
        }
        self.compare().await?;
        self.drain().await
    }

    async fn step(&mut self) -> Verdict {
        self.now = after(self.now, self.rng.u64(0..3_000));
        match self.rng.u32(0..100) {
            0..15 => self.enqueue().await,
            15..17 => self.enqueue_notice().await,
            17..30 => self.lease_logs().await,
            30..43 => self.settle_logs().await,
            43..62 => self.lease().await,
            62..82 => self.settle().await,
            82..84 => self.save_progress().await,
            84..86 => self.release().await,
            86..88 => self.run_out().await,
            88..91 => self.fold().await,
            91..93 => self.replay().await,
            93..95 => self.discard().await,
            95..98 => self.late().await,
            98 if self.crashes => self.crash().await,
            98 if self.rng.u8(0..4) == 0 => self.claim().await,
            _ => Ok(()),
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    /// One of the destinations.
    fn name(&mut self) -> &'static str {
        NAMES[self.rng.usize(0..NAMES.len())]
    }

    fn one_of(&mut self, n: usize) -> Option<usize> {
        (n > 0).then(|| self.rng.usize(0..n))
    }

    fn report(&mut self) -> NewReport {
        let n = if self.chance(15) && self.failures > 0 {
            self.rng.u64(0..self.failures)
        } else {
            self.failures += 1;
            self.failures - 1
        };
        let names: Vec<&str> = NAMES.into_iter().filter(|_| self.chance(50)).collect();
        let report = match self.rng.u32(0..10) {
            0..3 => grouped(n, &names, "web", 1),
            3 => grouped(n, &names, "job", 2),
            _ => report(n, &names),
        };
        if self.chance(5) {
            report.with_silence("maintenance")
        } else {
            report
        }
    }

    async fn enqueue(&mut self) -> Verdict {
        if self.model.items.len() > MOST {
            return Ok(());
        }
        let many = self.rng.usize(1..5);
        let reports: Vec<NewReport> = (0..many).map(|_| self.report()).collect();
        let mut b = batch(self.now, reports);
        if self.chance(20) {
            self.failures += 1;
            b.seen = vec![failure(self.failures - 1).key];
        }
        if self.chance(50) {
            b.cursor = Some(serde_json::json!(self.rng.u32(..)));
        }
        let done = self.rig.outbox().enqueue(b.clone()).await;
        match self.model.enqueue(b) {
            Some(must) => same("what was counted", ok("enqueue", done)?, must),
            None => refused("a batch over the limit", ErrorKind::Full, done),
        }
    }

    async fn enqueue_notice(&mut self) -> Verdict {
        let name = self.name();
        let about = self.name();
        let since = at(self.rng.u64(0..20));
        let b = batch(self.now, [notice(about, since, name)]);
        let done = self.rig.enqueue(b.clone()).await?;
        let must = self.model.enqueue(b).unwrap_or_default();
        same("what was counted", done, must)
    }

    fn request(&mut self) -> LeaseRequest {
        let max = self.rng.usize(1..6);
        let until = after(self.now, 36_000_000);
        LeaseRequest::new(max, self.now, until)
    }

    async fn lease_logs(&mut self) -> Verdict {
        let request = self.request();
        let leases = ok("lease_logs", self.rig.outbox().lease_logs(request).await)?;
        let tales = self.model.lease_logs(request.max);
        same("how many are looked for", leases.len(), tales.len())?;
        for (lease, tale) in leases.into_iter().zip(tales) {
            let record = self.model.tales[tale].subject.failure();
            same("whose logs", Some(&*lease.record), record)?;
            self.logs.push((lease, tale));
        }
        Ok(())
    }

    async fn settle_logs(&mut self) -> Verdict {
        let Some(n) = self.one_of(self.logs.len()) else {
            return Ok(());
        };
        let (lease, tale) = self.logs.swap_remove(n);
        let logs = found(self.rng.u64(..));
        let settled = self.rig.outbox().settle_logs(&lease, logs.clone()).await;
        if !self
            .model
            .items
            .iter()
            .any(|i| i.tale == tale && !i.state.is_finished())
        {
            // Nobody needs them any more: either answer will do.
            if settled.is_err() {
                self.model.tales[tale].looking = false;
                return Ok(());
            }
        } else {
            ok("settle_logs", settled)?;
        }
        let tale = &mut self.model.tales[tale];
        (tale.looking, tale.logs) = (false, Some(logs));
        Ok(())
    }

    async fn lease(&mut self) -> Verdict {
        let name = self.name();
        let request = self.request();
        self.lease_by(name, request).await
    }

    async fn lease_by(&mut self, name: &str, request: LeaseRequest) -> Verdict {
        let request = request.with_rate(rate(name));
        let leases = ok("lease", self.rig.outbox().lease(&to(name), request).await)?;
        let must = self
            .model
            .lease(name, request.max, request.rate, request.now);
        let ids: Vec<_> = leases.iter().map(|l| &l.delivery.id).collect();
        let items = must.iter().map(|i| &self.model.items[*i].delivery.id);
        same("what is leased", ids, items.collect())?;
        for (lease, i) in leases.into_iter().zip(must) {
            let item = &self.model.items[i];
            let tale = &self.model.tales[item.tale];
            same(
                "what a lease says",
                (
                    lease.attempts,
                    lease.unknown,
                    &lease.progress,
                    lease.enqueued,
                ),
                (
                    item.attempts,
                    item.last == Some(Outcome::Unknown),
                    &item.progress,
                    item.enqueued,
                ),
            )?;
            same("the subject", &in_order(&lease.subject)?, &tale.subject)?;
            same("the logs", Some(&lease.logs), tale.logs.as_ref())?;
            self.leases.push((lease, i));
        }
        Ok(())
    }

    async fn settle(&mut self) -> Verdict {
        let Some(n) = self.one_of(self.leases.len()) else {
            return Ok(());
        };
        let (lease, i) = self.leases.swap_remove(n);
        let later = Ending::RetryAt(after(self.now, self.rng.u64(0..60_000)));
        let (ending, outcome) = match self.rng.u32(0..20) {
            0..12 => (Ending::Done, Outcome::Delivered),
            12..15 => (later, Outcome::Retry),
            15..17 => (later, Outcome::Unknown),
            17 => (Ending::Dead, Outcome::Unknown),
            _ => (Ending::Dead, Outcome::Dead),
        };
        let mut settlement = settled(ending, outcome, self.now);
        if self.chance(30) {
            settlement.progress = Some(serde_json::json!({ "at": self.rng.u32(..) }));
        }
        if self.chance(20) {
            let mut state = DestinationState::default();
            if self.chance(50) {
                state.not_before = Some(after(self.now, self.rng.u64(0..20_000)));
                state.strikes = self.rng.u32(1..9);
            }
            settlement.destination = Some(state);
        }
        if self.chance(5) {
            let (about, name) = (self.name(), self.name());
            let since = at(self.rng.u64(0..20));
            settlement.notices = vec![notice(about, since, name)];
        }
        self.rig.settle(&lease, settlement.clone()).await?;
        self.model.settle(i, settlement);
        self.lost.push(lease);
        Ok(())
    }

    async fn save_progress(&mut self) -> Verdict {
        let Some(n) = self.one_of(self.leases.len()) else {
            return Ok(());
        };
        let progress = serde_json::json!([self.rng.u32(..)]);
        let (lease, i) = &self.leases[n];
        self.rig.save_progress(lease, progress.clone()).await?;
        self.model.items[*i].progress = Some(progress);
        Ok(())
    }

    async fn release(&mut self) -> Verdict {
        let Some(n) = self.one_of(self.leases.len()) else {
            return Ok(());
        };
        let (lease, i) = self.leases.swap_remove(n);
        self.rig.release(&lease).await?;
        self.model.items[i].state = DeliveryState::Pending;
        self.lost.push(lease);
        Ok(())
    }

    /// Leases for a second, and two seconds later again.
    async fn run_out(&mut self) -> Verdict {
        let name = self.name();
        let held = self.leases.len();
        let mut request = self.request();
        request.until = after(self.now, 1_000);
        self.lease_by(name, request).await?;
        self.now = after(self.now, 2_000);
        for (lease, i) in self.leases.split_off(held) {
            self.model.lose(i);
            self.lost.push(lease);
        }
        let request = self.request();
        self.lease_by(name, request).await
    }

    async fn fold(&mut self) -> Verdict {
        let last = self.rig.all().await?.last().map(|v| v.sequence);
        let request = FoldRequest::new(WATCHER, self.now);
        let folded = ok("fold", self.rig.outbox().fold(request).await)?;
        let (mut must, next) = self.model.fold(self.now);
        let deliveries: usize = must.iter().map(|f| f.members.len()).sum();
        same(
            "what was folded",
            (folded.digests, folded.deliveries, folded.next),
            (must.len() as u64, deliveries as u64, next),
        )?;
        // In which order several are made at once is left to the outbox.
        let mut filter = DeliveryFilter::default();
        filter.after = last;
        for view in self.rig.inspect(&filter).await? {
            let found = must.iter().position(|f| f.delivery.id == view.delivery.id);
            let Some(found) = found else {
                return Err(format!("{view:?} was not to be made"));
            };
            let mut fold = must.swap_remove(found);
            fold.delivery.why.clone_from(&view.delivery.why);
            self.model.add_fold(fold, self.now);
        }
        ensure!(must.is_empty(), "{must:?} was not made");
        Ok(())
    }

    async fn replay(&mut self) -> Verdict {
        let Some(i) = self.one_of(self.model.items.len()) else {
            return Ok(());
        };
        let item = &self.model.items[i];
        let replay = self
            .rig
            .outbox()
            .replay(WATCHER, &item.delivery.id, self.now);
        let replay = replay.await;
        if item.state.is_finished() {
            let must = self.model.replay(i, self.now);
            same("the new id", ok("replay", replay)?, must)
        } else {
            refused(
                "a replay of what is not finished",
                ErrorKind::Rejected,
                replay,
            )
        }
    }

    async fn discard(&mut self) -> Verdict {
        let Some(i) = self.one_of(self.model.items.len()) else {
            return Ok(());
        };
        let item = &self.model.items[i];
        let state = item.state;
        let plain = match state {
            DeliveryState::Pending | DeliveryState::Held => true,
            DeliveryState::Dead => !self.model.is_digest(i) && item.digest.is_none(),
            DeliveryState::Leased | DeliveryState::Done => false,
            // What becomes of these is left to the outbox.
            _ => return Ok(()),
        };
        if state == DeliveryState::Dead && !plain {
            return Ok(());
        }
        let discard = self.rig.outbox().discard(&item.delivery.id, self.now).await;
        if plain {
            ok("discard", discard)?;
            self.model.finish(i, DeliveryState::Dropped, self.now);
            Ok(())
        } else {
            refused(
                &format!("dropping what is {state}"),
                ErrorKind::Rejected,
                discard,
            )
        }
    }

    /// An answer under a lease that ended before.
    async fn late(&mut self) -> Verdict {
        let Some(n) = self.one_of(self.lost.len()) else {
            return Ok(());
        };
        let lease = &self.lost[n];
        let late = match self.rng.u8(0..3) {
            0 => {
                let done = settled(Ending::Done, Outcome::Delivered, self.now);
                self.rig.outbox().settle(lease, done).await
            }
            1 => {
                let progress = serde_json::json!("late");
                self.rig.outbox().save_progress(lease, progress).await
            }
            _ => self.rig.outbox().release(lease).await,
        };
        refused("a late answer", ErrorKind::Rejected, late)
    }

    async fn claim(&mut self) -> Verdict {
        self.rig.claim(self.now).await?;
        self.forget_leases();
        Ok(())
    }

    async fn crash(&mut self) -> Verdict {
        self.rig.crash(self.now).await?;
        self.forget_leases();
        Ok(())
    }

    fn forget_leases(&mut self) {
        for (lease, i) in self.leases.drain(..) {
            self.model.lose(i);
            self.lost.push(lease);
        }
        for (_, tale) in self.logs.drain(..) {
            self.model.tales[tale].looking = false;
        }
    }

    /// That everything is as the model says.
    async fn compare(&mut self) -> Verdict {
        let views = self.rig.all().await?;
        same("how many there are", views.len(), self.model.items.len())?;
        for (view, item) in views.iter().zip(&self.model.items) {
            same("a delivery", &view.delivery.id, &item.delivery.id)?;
            let what = format!("the delivery {}", view.delivery.id);
            same(&what, view.state, item.state)?;
            same(
                &what,
                (
                    view.attempts,
                    view.unknown,
                    view.last.as_ref().map(|a| a.outcome),
                ),
                (item.attempts, item.unknown, item.last),
            )?;
            same(
                &what,
                (view.enqueued, view.finished, view.generation),
                (item.enqueued, item.finished, item.generation),
            )?;
            same(
                &what,
                (&view.progress, &view.digest),
                (&item.progress, &item.digest),
            )?;
            same(&what, &view.key, &self.model.tales[item.tale].subject.key())?;
            let destination = &item.delivery.destination;
            same(&what, &view.delivery.destination, destination)?;
            match item.due {
                Some(due) => same(&what, view.due, due)?,
                None => ensure!(view.due <= self.now, "{what} is due at {}", view.due),
            }
        }
        recount(self.rig).await?;
        let stats = self.rig.stats().await?;
        let m = &self.model;
        same(
            "the counts",
            (stats.unsettled, stats.unknown, stats.open(), stats.capacity),
            (m.unsettled(), m.unknown, m.open() as u64, m.capacity as u64),
        )?;
        same("the dead letters", stats.dead, m.count(DeliveryState::Dead))?;
        // An outbox may remember its own digests as seen.
        ensure!(
            stats.seen >= m.seen.len() as u64,
            "{} keys are remembered, and {} were seen",
            stats.seen,
            m.seen.len()
        );
        same(
            "the cursor",
            self.rig.cursor(SOURCE).await?,
            m.cursor.clone(),
        )?;
        let pending = self.rig.pending().await?.into_iter();
        let pending: Vec<_> = pending.map(|(d, at)| (d, at.max(self.now))).collect();
        let mut must: Vec<_> = NAMES
            .into_iter()
            .filter_map(|n| Some((to(n), m.pending(n, self.now)?)))
            .collect();
        must.sort();
        same("what is pending", pending, must)?;
        for name in NAMES {
            let must = m.places.get(name).map(|p| p.state).unwrap_or_default();
            let stands = super::settle::standing(self.rig, name).await?;
            same("how a destination stands", stands, must)?;
        }
        Ok(())
    }

    /// Sends all that is left.
    async fn drain(&mut self) -> Verdict {
        self.claim().await?;
        for _ in 0..500 {
            self.now = after(self.now, 10_000);
            self.fold().await?;
            self.lease_logs().await?;
            while !self.logs.is_empty() {
                self.settle_logs().await?;
            }
            for name in NAMES {
                let request = LeaseRequest::new(50, self.now, after(self.now, 60_000));
                self.lease_by(name, request).await?;
            }
            while let Some((lease, i)) = self.leases.pop() {
                let done = settled(Ending::Done, Outcome::Delivered, self.now);
                self.rig.settle(&lease, done.clone()).await?;
                self.model.settle(i, done);
            }
            if self.model.open() == 0 {
                self.compare().await?;
                return same("what is open", self.rig.stats().await?.open(), 0);
            }
        }
        Err(format!("{} are never sent", self.model.open()))
    }
}
