//! Outages, storms, dead destinations and silences, with paused time and no sockets.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use notifier_core::{
    engine::{EngineBuilder, GroupBy},
    memory::MemoryOutbox,
    policy::Rate,
    *,
};
use support::{clock, failure, start, t0};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// How long a sink may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a sink does with a message, given the time since its start and the message.
type Behaviour = Box<dyn Fn(Duration, &Subject) -> Answer + Send + Sync>;

enum Answer {
    Takes,
    /// An answer for each of several targets.
    Each(Receipt),
    TakesAfter(Duration),
    Hangs,
    Fails(Error),
}

fn down() -> Answer {
    Answer::Fails(Error::new(ErrorKind::Unavailable, "connection refused"))
}

/// A destination that notes every message that arrives, and every attempt.
struct Sink {
    group: OptionGroup,
    behaviour: Behaviour,
    start: Instant,
    arrived: Mutex<Vec<(Subject, Duration)>>,
    attempts: Mutex<Vec<Duration>>,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.group.name)
    }
}

const CHANNEL: OptionSpec = OptionSpec::new("channel", "where").default("c").label();
const SLOW: OptionGroup = OptionGroup::new("slow", &[CHANNEL, Rate::option("1/s")]);
const FAST: OptionGroup = OptionGroup::new("fast", &[CHANNEL, Rate::option("unlimited")]);
const FAST_TOO: OptionGroup = OptionGroup::new("other", &[CHANNEL, Rate::option("unlimited")]);

impl Sink {
    fn new(
        group: OptionGroup,
        behaviour: impl Fn(Duration, &Subject) -> Answer + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            group,
            behaviour: Box::new(behaviour),
            start: Instant::now(),
            arrived: Mutex::default(),
            attempts: Mutex::default(),
        })
    }

    fn ids(&self) -> Vec<String> {
        let arrived = self.arrived.lock().unwrap();
        arrived
            .iter()
            .filter_map(|(s, _)| match s {
                Subject::Failure(f) => Some(f.id.clone()),
                _ => None,
            })
            .collect()
    }

    fn digests(&self) -> Vec<Arc<Digest>> {
        let arrived = self.arrived.lock().unwrap();
        arrived
            .iter()
            .filter_map(|(s, _)| match s {
                Subject::Digest(d) => Some(Arc::clone(d)),
                _ => None,
            })
            .collect()
    }

    fn kinds(&self) -> Vec<&'static str> {
        let arrived = self.arrived.lock().unwrap();
        arrived.iter().map(|(s, _)| s.kind()).collect()
    }

    /// No span of time had more attempts than a burst of 20 and one a second.
    fn assert_rate(&self) {
        let attempts = self.attempts.lock().unwrap();
        for (i, to) in attempts.iter().enumerate().skip(20) {
            let from = attempts[i - 20];
            assert!(
                *to - from >= SECOND - Duration::from_millis(5),
                "21 messages within {:?}",
                *to - from
            );
        }
        for from in (0..attempts.len()).step_by(7) {
            for to in (from..attempts.len()).step_by(11) {
                let most = 21.0 + (attempts[to] - attempts[from]).as_secs_f64() + 0.01;
                assert!((to - from + 1) as f64 <= most);
            }
        }
    }
}

#[async_trait]
impl Reporter for Sink {
    fn scheme(&self) -> &'static str {
        self.group.name
    }
    fn capability(&self) -> Capability {
        Capability::default().with_patience(PATIENCE)
    }
    fn destination(&self, s: &Settings) -> Result<Option<Destination>> {
        let channel = s.text("channel");
        Ok(Some(Destination::new(self.scheme(), [channel], channel)))
    }
    async fn report(&self, report: &Report, _: &ReportOptions<'_>) -> Result<Receipt> {
        let elapsed = self.start.elapsed();
        self.attempts.lock().unwrap().push(elapsed);
        match (self.behaviour)(elapsed, report.subject()) {
            Answer::Takes => {
                let told = (report.subject().clone(), elapsed);
                self.arrived.lock().unwrap().push(told);
                Ok(Receipt::delivered("c"))
            }
            Answer::Each(receipt) => {
                if receipt.targets.iter().any(|t| t.verdict.is_ok()) {
                    let told = (report.subject().clone(), elapsed);
                    self.arrived.lock().unwrap().push(told);
                }
                Ok(receipt)
            }
            Answer::TakesAfter(time) => {
                sleep(time).await;
                let told = (report.subject().clone(), elapsed);
                self.arrived.lock().unwrap().push(told);
                Ok(Receipt::delivered("c"))
            }
            Answer::Hangs => std::future::pending().await,
            Answer::Fails(e) => Err(e),
        }
    }
    async fn reconcile(&self, _: &Report, _: &ReportOptions<'_>) -> Result<Reconciled> {
        Ok(Reconciled::CannotTell)
    }
    async fn check(&self, _: &Settings) -> Result<()> {
        Ok(())
    }
}

fn engine(sinks: &[&Arc<Sink>]) -> EngineBuilder {
    let mut builder = Engine::builder("default").clock(clock());
    for sink in sinks {
        builder = builder.reporter_with(BackendSettings::new(sink.group), Arc::clone(sink));
    }
    builder
}

fn numbered(n: usize) -> FailureRecord {
    failure(&format!("t{n:05}"))
}

fn in_order(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("t{n:05}")).collect()
}

/// All destinations are down for two hours; then all arrives, in order, within the rate.
async fn an_outage(of: fn() -> Answer, in_between: bool) {
    let up = minutes(120);
    let slow = Sink::new(SLOW, move |t, _| if t < up { of() } else { Answer::Takes });
    let fast = Sink::new(FAST, move |t, _| if t < up { of() } else { Answer::Takes });
    let engine = engine(&[&slow, &fast]).build().unwrap();
    let running = start(&engine);
    for n in 0..600 {
        engine.submit(&numbered(n)).await.unwrap();
        sleep(12 * SECOND).await;
    }
    assert!(slow.start.elapsed() >= up && slow.attempts.lock().unwrap().len() < 700);
    sleep(minutes(20)).await;
    for sink in [&slow, &fast] {
        let mut ids = sink.ids();
        if in_between {
            // One may have been under way when the destination came back, and not the first in line.
            let early = ids.remove(0);
            let at = ids.partition_point(|id| *id < early);
            ids.insert(at, early);
        }
        assert!(ids == in_order(600), "{:?} {}", sink, ids.len());
    }
    slow.assert_rate();
    let summary = running.stop().await;
    assert_eq!((summary.dead, summary.open), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn two_hours_without_any_destination_lose_nothing_and_keep_the_order() {
    an_outage(down, false).await;
}

#[tokio::test(start_paused = true)]
async fn two_hours_of_429_lose_nothing_and_keep_the_order() {
    an_outage(
        || Answer::Fails(Error::new(ErrorKind::RateLimited, "429").with_retry_after(30 * SECOND)),
        false,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn two_hours_of_hanging_lose_nothing_and_keep_the_order() {
    an_outage(|| Answer::Hangs, true).await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_never_taken_hold_up_no_other() {
    let sink = Sink::new(FAST, |_, s| match s.failure() {
        Some(f) if f.id.as_str() < "t00020" => down(),
        _ => Answer::Takes,
    });
    let engine = engine(&[&sink]).build().unwrap();
    let running = start(&engine);
    for n in 0..50 {
        engine.submit(&numbered(n)).await.unwrap();
    }
    sleep(minutes(180)).await;
    assert_eq!(sink.ids(), in_order(50)[20..]);
    running.task.abort();
}

/// A failure of a crash loop.
fn crash(n: usize, job: &str) -> FailureRecord {
    let finished = t0()
        .checked_add(Duration::from_millis(6 * n as u64))
        .unwrap();
    let mut f = FailureRecord::new(format!("{job}.{n}"), job, "TASK_FAILED", finished);
    f.framework = "marathon".to_owned();
    f.host = format!("agent-{}", n % 3);
    f
}

const STORM: usize = 10_000;

#[tokio::test(start_paused = true)]
async fn a_storm_is_told_in_digests_with_exact_counts() {
    let slow = Sink::new(SLOW, |_, _| Answer::Takes);
    let fast = Sink::new(FAST, |_, _| Answer::Takes);
    let group = GroupBy::new(GroupBy::DEFAULT, 20 * SECOND).unwrap();
    let engine = engine(&[&slow, &fast]).group(group).build().unwrap();
    let running = start(&engine);
    for n in 0..STORM {
        let job = if n % 4 == 0 { "batch" } else { "web" };
        engine.submit(&crash(n, job)).await.unwrap();
        sleep(Duration::from_millis(6)).await;
    }
    sleep(minutes(5)).await;
    for sink in [&slow, &fast] {
        assert_eq!(sink.ids(), ["batch.0", "web.1"], "one opening message each");
        let digests = sink.digests();
        assert!(
            digests.len() <= 10,
            "{} digests in five minutes",
            digests.len()
        );
        for (job, count) in [("batch", STORM / 4), ("web", STORM / 4 * 3)] {
            let of: Vec<_> = digests.iter().filter(|d| d.example.name == job).collect();
            let told: u64 = of.iter().map(|d| d.count).sum();
            assert_eq!(told as usize + 1, count, "{job}");
            for d in &of {
                let on_hosts: u64 = d.hosts.iter().map(|(_, n)| n).sum();
                assert_eq!((d.host_count, on_hosts), (3, d.count));
                assert!(d.first <= d.last && d.last == d.example.finished);
            }
            let ends: Vec<_> = of.iter().flat_map(|d| [d.first, d.last]).collect();
            assert!(ends.is_sorted(), "each begins where the last one ended");
        }
    }
    slow.assert_rate();
    let stats = engine.outbox().stats().await.unwrap();
    assert_eq!(stats.open(), 0);
    assert_eq!(engine.stats().held as usize, 2 * (STORM - 2));
    // After an interval without any the next one is told at once.
    engine.submit(&crash(STORM, "web")).await.unwrap();
    sleep(SECOND).await;
    assert_eq!(slow.ids().len(), 3);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_storm_without_storm_control_is_told_one_by_one_within_the_rate() {
    let slow = Sink::new(SLOW, |_, _| Answer::Takes);
    let fast = Sink::new(FAST, |_, _| Answer::Takes);
    let engine = engine(&[&slow, &fast]).build().unwrap();
    let running = start(&engine);
    for n in 0..STORM {
        engine.submit(&numbered(n)).await.unwrap();
        sleep(Duration::from_millis(6)).await;
    }
    sleep(SECOND).await;
    assert_eq!(fast.ids(), in_order(STORM));
    sleep(Duration::from_secs(STORM as u64)).await;
    assert_eq!(slow.ids(), in_order(STORM));
    slow.assert_rate();
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_told_before_an_outbox_in_memory_is_gone() {
    let sink = Sink::new(FAST, |_, _| Answer::Takes);
    let group = GroupBy::new(GroupBy::DEFAULT, minutes(60)).unwrap();
    let engine = engine(&[&sink]).group(group).build().unwrap();
    let running = start(&engine);
    for n in 0..5 {
        engine.submit(&crash(n, "web")).await.unwrap();
    }
    sleep(SECOND).await;
    let summary = running.stop().await;
    assert_eq!(sink.digests()[0].count, 4);
    assert_eq!(summary.open, 0);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_costs_three_messages_and_is_told_elsewhere_once() {
    let healed = minutes(600);
    let revoked = Sink::new(SLOW, move |t, _| {
        if t < healed {
            let e = Error::new(ErrorKind::Unauthenticated, "token_revoked");
            Answer::Fails(e.with_scope(Scope::Destination))
        } else {
            Answer::Takes
        }
    });
    let other = Sink::new(FAST, |_, _| Answer::Takes);
    let engine = engine(&[&revoked, &other]).build().unwrap();
    let running = start(&engine);
    for n in 0..100 {
        engine.submit(&numbered(n)).await.unwrap();
        sleep(minutes(1)).await;
    }
    let notices = |kind| other.kinds().iter().filter(|k| **k == kind).count();
    assert_eq!((notices("notice"), notices("recovery")), (1, 0));
    assert_eq!(engine.stats().dead, 3, "the rest waits");
    assert!(revoked.attempts.lock().unwrap().len() < 60);
    sleep(minutes(600)).await;
    assert_eq!(revoked.ids(), in_order(100)[3..]);
    assert_eq!((notices("notice"), notices("recovery")), (1, 1));
    running.stop().await;
}

fn of_one_target(kind: ErrorKind) -> Error {
    Error::new(kind, "the recipient").with_scope(Scope::Target)
}

#[tokio::test(start_paused = true)]
async fn refused_recipients_are_no_dead_destination() {
    let relay = Sink::new(FAST, |_, _| {
        let nobody = Err(of_one_target(ErrorKind::Rejected));
        Answer::Each(Receipt::default().and("nobody", nobody))
    });
    let other = Sink::new(FAST_TOO, |_, _| Answer::Takes);
    let engine = engine(&[&relay, &other]).build().unwrap();
    let running = start(&engine);
    for n in 0..10 {
        engine.submit(&numbered(n)).await.unwrap();
    }
    sleep(minutes(60)).await;
    assert_eq!(engine.stats().dead, 10);
    assert_eq!(relay.attempts.lock().unwrap().len(), 10, "each once");
    assert!(other.kinds().iter().all(|k| *k == "failure"), "no notice");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn recipients_that_are_put_off_hold_up_nobody_else() {
    let relay = Sink::new(FAST, |t, s| match s.failure() {
        Some(f) if f.id.as_str() < "t00010" && t < minutes(50) => {
            let later = of_one_target(ErrorKind::Unavailable).with_retry_after(minutes(2));
            // The odd ones have another recipient, who has it.
            let receipt = Receipt::default().and("greylisted", Err(later));
            match f.id.ends_with(['1', '3', '5', '7', '9']) {
                true => Answer::Each(receipt.and("other", Ok(Delivered::default()))),
                false => Answer::Each(receipt),
            }
        }
        _ => Answer::Takes,
    });
    let engine = engine(&[&relay]).build().unwrap();
    let running = start(&engine);
    for n in 0..30 {
        engine.submit(&numbered(n)).await.unwrap();
    }
    sleep(SECOND).await;
    let mut early = relay.ids();
    early.sort();
    let expected: Vec<String> = in_order(30)
        .into_iter()
        .enumerate()
        .filter_map(|(n, id)| (n >= 10 || n % 2 == 1).then_some(id))
        .collect();
    assert_eq!(early, expected);
    assert_eq!(relay.attempts.lock().unwrap().len(), 30, "no pause for any");
    sleep(minutes(60)).await;
    let summary = running.stop().await;
    assert_eq!((summary.dead, summary.open), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reporter_has_the_time_that_it_says_it_needs() {
    let almost = PATIENCE - SECOND;
    let slow = Sink::new(FAST, move |_, _| Answer::TakesAfter(almost));
    let engine = engine(&[&slow]).build().unwrap();
    let running = start(&engine);
    engine.submit(&numbered(0)).await.unwrap();
    sleep(PATIENCE).await;
    assert_eq!(slow.ids(), in_order(1));
    assert_eq!(slow.attempts.lock().unwrap().len(), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_dead_for_five_minutes_is_told_elsewhere_then() {
    let dead = Sink::new(SLOW, |_, _| down());
    let other = Sink::new(FAST, |_, _| Answer::Takes);
    let engine = engine(&[&dead, &other]).build().unwrap();
    let running = start(&engine);
    engine.submit(&numbered(0)).await.unwrap();
    sleep(minutes(5) - 2 * SECOND).await;
    assert_eq!(other.kinds(), ["failure"]);
    sleep(4 * SECOND).await;
    assert_eq!(other.kinds(), ["failure", "notice"]);
    sleep(minutes(600)).await;
    assert_eq!(other.kinds(), ["failure", "notice"], "once");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_notice_goes_to_one_that_is_well() {
    let dead = Sink::new(SLOW, |_, _| down());
    let also = Sink::new(FAST, |_, _| down());
    const THIRD: OptionGroup = OptionGroup::new("third", &[CHANNEL]);
    let well = Sink::new(THIRD, |_, _| Answer::Takes);
    let engine = engine(&[&dead, &also, &well]).build().unwrap();
    let running = start(&engine);
    engine.submit(&numbered(0)).await.unwrap();
    sleep(minutes(10)).await;
    assert_eq!(well.kinds(), ["failure", "notice", "notice"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rate_and_a_wait_outlive_the_engine() {
    let slow = Sink::new(SLOW, |t, _| {
        if t == Duration::ZERO {
            let e = Error::new(ErrorKind::RateLimited, "429").with_retry_after(60 * SECOND);
            Answer::Fails(e)
        } else {
            Answer::Takes
        }
    });
    let outbox: Arc<dyn Outbox> = Arc::new(MemoryOutbox::new());
    let clock = clock();
    let build = || {
        let built = Engine::builder("default")
            .clock(clock)
            .outbox(Arc::clone(&outbox));
        let built = built.reporter_with(BackendSettings::new(SLOW), Arc::clone(&slow));
        built.build().unwrap()
    };
    let first = build();
    for n in 0..60 {
        first.submit(&numbered(n)).await.unwrap();
    }
    first.run_until_idle().await.unwrap();
    // Another engine on the same outbox, as after a restart.
    let second = start(&build());
    sleep(50 * SECOND).await;
    assert_eq!(slow.attempts.lock().unwrap().len(), 1, "told to wait 60 s");
    sleep(minutes(3)).await;
    assert_eq!(slow.ids(), in_order(60));
    slow.assert_rate();
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_silenced_is_kept_and_not_told() {
    let sink = Sink::new(FAST, |_, _| Answer::Takes);
    let engine = engine(&[&sink]).build().unwrap();
    let running = start(&engine);
    let ends = t0().checked_add(minutes(10)).unwrap();
    let mut silence = Silence::new("s1", vec!["name=~^t0000".parse().unwrap()], t0(), ends);
    silence.note = "moving house".to_owned();
    engine.outbox().put_silence(silence).await.unwrap();
    for n in [1, 2, 11] {
        engine.submit(&numbered(n)).await.unwrap();
    }
    sleep(minutes(11)).await;
    assert_eq!(sink.ids(), ["t00011"]);
    let filter = DeliveryFilter::state(DeliveryState::Silenced);
    let kept = engine.outbox().inspect(&filter).await.unwrap();
    assert_eq!(kept.len(), 2);
    assert!(
        kept[0].delivery.why.contains("moving house"),
        "{:?}",
        kept[0]
    );
    // It has ended.
    engine.submit(&numbered(3)).await.unwrap();
    sleep(SECOND).await;
    assert_eq!(sink.ids(), ["t00011", "t00003"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outbox_that_fills_up_is_told_once_and_that_it_has_room_again() {
    let slow = Sink::new(SLOW, |_, _| Answer::Takes);
    let engine = engine(&[&slow])
        .outbox(MemoryOutbox::with_capacity(200))
        .build()
        .unwrap();
    let running = start(&engine);
    let mut taken = BTreeSet::new();
    for n in 0..400 {
        if engine.submit(&numbered(n)).await.is_ok() {
            taken.insert(n);
        }
        sleep(SECOND / 4).await;
    }
    assert!(taken.len() < 400);
    sleep(minutes(10)).await;
    assert_eq!(slow.ids().len(), taken.len());
    let mut count = BTreeMap::new();
    for kind in slow.kinds() {
        *count.entry(kind).or_insert(0) += 1;
    }
    assert_eq!((count["notice"], count["recovery"]), (1, 1));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_reporter_has_an_age_limit_of_its_own() {
    const SHORT: OptionGroup = OptionGroup::new("slow", &[CHANNEL, Rate::max_age_option()]);
    let dead = Sink::new(SHORT, |_, _| down());
    let mut settings = BackendSettings::new(SHORT);
    settings.set(Origin::Flag, "max_age", "90s").unwrap();
    let engine = Engine::builder("default").clock(clock());
    let engine = engine
        .reporter_with(settings, Arc::clone(&dead))
        .build()
        .unwrap();
    let running = start(&engine);
    engine.submit(&numbered(0)).await.unwrap();
    sleep(minutes(10)).await;
    assert_eq!(engine.stats().dead, 1);
    running.stop().await;
}
