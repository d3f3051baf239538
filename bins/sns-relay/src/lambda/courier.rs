//! Tells what one invocation carries, as far as its time allows.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use notifier_runtime::{Context, Fatal, Masker, WatcherSettings, outbox::Place, registry, visible};
use notifiers::{
    Clock as _, DeliveryFilter, DeliveryState, DeliveryView, Destination, Engine, FailureKey,
    FoldRequest, Outbox, Result, SystemClock, Uploader,
    jiff::{Timestamp, tz::TimeZone},
    memory::MemoryOutbox,
    redact::Redactor,
};
use tokio::time::Instant;

use super::{
    event::Item,
    warm::{Learned, WarmOutbox},
};

/// How many messages are taken in at once: an outbox in memory remembers the last 1,000 deliveries.
const MOST_AT_ONCE: usize = 250;
/// How long to sleep without looking at the outbox.
const LONGEST_SLEEP: Duration = Duration::from_millis(200);
/// How many characters of a reason are told.
const LONGEST_WHY: usize = 300;

/// What came of one message: how many deliveries there are for it, all done; or why some are not.
pub(crate) type Fate = std::result::Result<usize, String>;

/// The reporters and the outbox of an instance.
pub(crate) struct Courier {
    settings: WatcherSettings,
    reporters: Vec<registry::Built>,
    uploader: Arc<dyn Uploader>,
    redactor: Redactor,
    masker: Masker,
    /// The outbox in a file; one in memory is made anew for each invocation.
    file: Option<Arc<dyn Outbox>>,
    learned: Learned,
}

impl Courier {
    /// Builds the reporters and the uploader, and opens the outbox if it is in a file.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub(crate) fn new(context: &Context) -> std::result::Result<Self, Fatal> {
        let (parsed, settings) = (&context.parsed, &context.settings);
        Ok(Self {
            reporters: registry::build_all(parsed, settings)?,
            uploader: registry::uploader(parsed, settings)?,
            redactor: parsed.redactor(),
            masker: context.masker.clone(),
            file: match settings.outbox.place {
                Place::Memory => None,
                _ => Some(settings.outbox.open()?),
            },
            learned: Learned::default(),
            settings: settings.clone(),
        })
    }

    /// Tells all items within the time, and says of each what came of it, in their order.
    ///
    /// Within a group one is told after the other; after one that failed, no other of its group is begun.
    pub(crate) async fn deliver(&self, items: &[Item], time: Duration) -> Vec<Fate> {
        let end = Instant::now() + time;
        let mut fates: Vec<Option<Fate>> = vec![None; items.len()];
        for round in rounds(items) {
            let round: Vec<usize> = round
                .into_iter()
                .filter(|n| match stopped(items, &fates, *n) {
                    Some(why) => {
                        fates[*n] = Some(Err(why));
                        false
                    }
                    None => true,
                })
                .collect();
            let told = self.tell(items, &round, end).await;
            for (n, fate) in told {
                fates[n] = Some(fate);
            }
        }
        let no_fate = || Err("it was not begun".to_owned());
        fates
            .into_iter()
            .map(|f| f.unwrap_or_else(no_fate))
            .collect()
    }

    /// Tells some of the items.
    async fn tell(&self, items: &[Item], round: &[usize], end: Instant) -> Vec<(usize, Fate)> {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let why = || Err("no time was left to begin it".to_owned());
            return round.iter().map(|n| (*n, why())).collect();
        }
        let outbox = self.file.clone().unwrap_or_else(|| {
            Arc::new(MemoryOutbox::with_capacity(self.settings.outbox.capacity))
        });
        let outbox = Arc::new(WarmOutbox::new(outbox, self.learned.clone()));
        // What is under way when time is up has the last quarter of it to finish.
        let drain = self.settings.shutdown_timeout.min(left / 4);
        let engine = match self.engine(&outbox, drain) {
            Ok(engine) => engine,
            Err(e) => return all(round, &e.report().to_string()),
        };
        let mut fates = Vec::with_capacity(round.len());
        let mut taken = Vec::with_capacity(round.len());
        for n in round {
            let kept = match &items[*n].letter {
                Ok(record) => self
                    .take(&engine, &outbox, record)
                    .await
                    .map_err(|e| e.report().to_string()),
                Err(why) => Err(why.clone()),
            };
            match kept {
                Ok(key) => taken.push((*n, key)),
                Err(why) => fates.push((*n, Err(why))),
            }
        }
        let keys: HashSet<FailureKey> = taken.iter().map(|(_, key)| key.clone()).collect();
        let ran = engine
            .run(self.settled(&outbox, &keys, end - drain))
            .await
            .map_err(|e| e.report().to_string());
        outbox.close();
        for (n, key) in taken {
            let fate = match &ran {
                Ok(_) => self.fate(&outbox, &key).await,
                Err(why) => Err(why.clone()),
            };
            fates.push((n, fate));
        }
        fates
    }

    fn engine(&self, outbox: &Arc<WarmOutbox>, drain: Duration) -> Result<Engine> {
        let mut settings = self.settings.clone();
        settings.shutdown_timeout = drain;
        let learn = self.masker.clone();
        let mut engine = settings
            .engine()?
            .clock(SystemClock)
            .uploader(Arc::clone(&self.uploader))
            .outbox(Arc::clone(outbox))
            .redactor(self.redactor.clone())
            .on_secret_labels(move |secrets| learn.learn(secrets.iter().copied()))
            .zone(TimeZone::system());
        for (settings, reporter) in &self.reporters {
            engine = engine.reporter_with(settings.clone(), Arc::clone(reporter));
        }
        engine.build()
    }

    /// Takes a failure in. What an earlier invocation gave up is sent again.
    async fn take(
        &self,
        engine: &Engine,
        outbox: &WarmOutbox,
        record: &notifiers::FailureRecord,
    ) -> Result<FailureKey> {
        let taken = engine.submit(record).await?;
        if taken.repeated > 0 {
            for view in latest(outbox, &record.key).await? {
                if view.state == DeliveryState::Dead {
                    let (id, now) = (&view.delivery.id, SystemClock.now());
                    outbox.replay(&self.settings.name, id, now).await?;
                }
            }
        }
        Ok(record.key.clone())
    }

    /// Resolves when all of these are told, when what is left of them cannot be tried in time,
    /// or when the time is over.
    async fn settled(&self, outbox: &WarmOutbox, keys: &HashSet<FailureKey>, until: Instant) {
        let watch = async {
            let mut changes = outbox.changes();
            loop {
                changes.mark_unchanged();
                let mut sleep = LONGEST_SLEEP;
                match self.rest(outbox, keys).await {
                    Ok(Rest::Nothing) => return,
                    Ok(Rest::Later(wait)) if Instant::now() + wait >= until => return,
                    Ok(Rest::Later(wait)) => sleep = wait.max(Duration::from_millis(1)),
                    // Who cannot be asked is not done.
                    Ok(Rest::Now) | Err(_) => {}
                }
                let _ = tokio::time::timeout(sleep, changes.changed()).await;
            }
        };
        let _ = tokio::time::timeout_at(until, watch).await;
    }

    /// What is left to do for these.
    async fn rest(&self, outbox: &WarmOutbox, keys: &HashSet<FailureKey>) -> Result<Rest> {
        let now = SystemClock.now();
        // In this order: what is leased in between shows in the second look.
        let pending = outbox.pending().await?;
        let stats = outbox.stats().await?;
        if stats.unsettled + stats.leased > 0 || pending.iter().any(|(_, due)| *due <= now) {
            return Ok(Rest::Now);
        }
        let mut open = Vec::new();
        for state in [
            DeliveryState::Pending,
            DeliveryState::Held,
            DeliveryState::Folded,
        ] {
            let these = outbox.inspect(&DeliveryFilter::state(state)).await?;
            open.extend(these.into_iter().filter(|v| keys.contains(&v.key)));
        }
        if open.is_empty() {
            return Ok(Rest::Nothing);
        }
        if open.iter().any(|v| v.state == DeliveryState::Held) {
            // Nobody will be there when the group's time is over.
            let all = FoldRequest::new(self.settings.name.as_str(), Timestamp::MAX);
            if outbox.fold(all).await?.digests > 0 {
                return Ok(Rest::Now);
            }
        }
        let is_ours = |to: &Destination| open.iter().any(|v| v.delivery.destination == *to);
        let due = pending
            .iter()
            .filter(|(to, _)| is_ours(to))
            .map(|(_, due)| *due)
            .min();
        Ok(match due {
            Some(due) => {
                Rest::Later(Duration::try_from(due.duration_since(now)).unwrap_or_default())
            }
            None => Rest::Nothing,
        })
    }

    async fn fate(&self, outbox: &WarmOutbox, key: &FailureKey) -> Fate {
        let owed = outbox.owed(key);
        let views = match owed.is_empty() {
            true => Vec::new(),
            false => latest(outbox, key)
                .await
                .map_err(|e| e.report().to_string())?,
        };
        let mut whys = Vec::new();
        for d in &owed {
            let of = |v: &&DeliveryView| {
                v.delivery.reporter == d.reporter && v.delivery.instance == d.instance
            };
            let view = views.iter().find(of);
            match view.map(|v| v.state) {
                Some(DeliveryState::Done) => outbox.told(&d.id),
                Some(DeliveryState::Silenced | DeliveryState::Dropped) => {}
                _ => whys.push(format!("{} {}: {}", d.reporter, d.instance, why(view))),
            }
        }
        match whys.is_empty() {
            true => Ok(outbox.count(key)),
            false => Err(self.masker.mask(&whys.join("; ")).into_owned()),
        }
    }
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier")
            .field("reporters", &self.settings.reporters)
            .field("learned", &self.learned)
            .finish_non_exhaustive()
    }
}

/// What is left to do.
enum Rest {
    /// All is done, or nothing will become of it.
    Nothing,
    /// Something is under way, or due.
    Now,
    /// The next thing is due after this.
    Later(Duration),
}

/// The newest deliveries of a failure, one for each reporter and instance.
async fn latest(outbox: &WarmOutbox, key: &FailureKey) -> Result<Vec<DeliveryView>> {
    let mut filter = DeliveryFilter::default();
    filter.key = Some(key.clone());
    let mut newest: HashMap<(String, String), DeliveryView> = HashMap::new();
    for view in outbox.inspect(&filter).await? {
        let of = (
            view.delivery.reporter.clone(),
            view.delivery.instance.clone(),
        );
        match newest.get(&of) {
            Some(other) if other.generation > view.generation => {}
            _ => {
                newest.insert(of, view);
            }
        }
    }
    Ok(newest.into_values().collect())
}

/// Why a delivery is not done, for people.
fn why(view: Option<&DeliveryView>) -> String {
    let Some(view) = view else {
        return "it is not known what became of it".to_owned();
    };
    match (&view.last, view.state) {
        (None, DeliveryState::Leased) => "no answer in time".to_owned(),
        (None, _) => "not tried in time".to_owned(),
        (Some(last), _) => {
            let detail = visible(&last.detail, LONGEST_WHY);
            format!("{detail} (attempt {})", view.attempts)
        }
    }
}

fn all(round: &[usize], why: &str) -> Vec<(usize, Fate)> {
    round.iter().map(|n| (*n, Err(why.to_owned()))).collect()
}

/// Which items are told together: of each group one after the other, those without a group at once.
fn rounds(items: &[Item]) -> Vec<Vec<usize>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    for (n, item) in items.iter().enumerate() {
        let mut place = 0;
        if let Some(group) = &item.group {
            let next = places.entry(group).or_default();
            place = *next;
            *next += 1;
        }
        if rounds.len() <= place {
            rounds.resize_with(place + 1, Vec::new);
        }
        rounds[place].push(n);
    }
    let cut = |round: Vec<usize>| -> Vec<Vec<usize>> {
        round.chunks(MOST_AT_ONCE).map(<[usize]>::to_vec).collect()
    };
    rounds.into_iter().flat_map(cut).collect()
}

/// Why an item is not begun: one before it in its group failed.
fn stopped(items: &[Item], fates: &[Option<Fate>], n: usize) -> Option<String> {
    let group = items[n].group.as_ref()?;
    let before = items[..n].iter().zip(fates);
    let failed = |(item, fate): &(&Item, &Option<Fate>)| {
        item.group.as_ref() == Some(group) && matches!(fate, Some(Err(_)))
    };
    let (first, _) = before.into_iter().find(failed)?;
    Some(format!("it comes after {} in its group", first.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(groups: &[Option<&str>]) -> Vec<Item> {
        let item = |(n, group): (usize, &Option<&str>)| Item {
            id: format!("m-{n}"),
            group: group.map(str::to_owned),
            letter: Err("x".to_owned()),
        };
        groups.iter().enumerate().map(item).collect()
    }

    #[test]
    fn a_group_is_told_one_after_the_other() {
        let items = items(&[Some("a"), None, Some("a"), Some("b"), None, Some("a")]);
        assert_eq!(rounds(&items), [vec![0, 1, 3, 4], vec![2], vec![5]]);
        assert!(rounds(&[]).is_empty());
    }

    #[test]
    fn many_are_told_in_parts() {
        let items = items(&vec![None; 600]);
        let sizes: Vec<usize> = rounds(&items).iter().map(Vec::len).collect();
        assert_eq!(sizes, [250, 250, 100]);
    }

    #[test]
    fn what_comes_after_a_failure_in_its_group_is_not_begun() {
        let items = items(&[Some("a"), Some("b"), Some("a"), None]);
        let mut fates = vec![Some(Err("x".to_owned())), Some(Ok(1)), None, None];
        let why = stopped(&items, &fates, 2).unwrap();
        assert!(why.contains("m-0"), "{why}");
        assert_eq!(stopped(&items, &fates, 3), None);
        fates[0] = Some(Ok(1));
        assert_eq!(stopped(&items, &fates, 2), None);
    }
}
