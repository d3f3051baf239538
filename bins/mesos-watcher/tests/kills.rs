//! The built watcher is killed again and again while tasks fail and those who are to be
//! told misbehave in every way: everyone is told everything, and a second time only where
//! nobody could know that the first one had arrived.
//!
//! `NOTIFIER_KILLS=200` kills it 200 times, as `cargo xtask kills` does;
//! `NOTIFIER_KILLS_SEED` repeats a run, as far as processes can be.

mod durable;
mod support;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use durable::{Scene, assert_once, kill, stop};
use notifier_testkit::{
    http::{Action, Delivery, End, Reply, Request, ScriptedServer, Service},
    mesos::{Death, FakeCluster, TaskSpec},
    slack::SlackReply,
};
use notifiers::{DeliveryFilter, DeliveryState, Outbox, Outcome, Story};
use outbox_sqlite::SqliteOutbox;

/// How often it is killed unless `NOTIFIER_KILLS` says so.
const KILLS: u64 = 12;
/// Between two failures.
const PACE: Duration = Duration::from_millis(200);
/// Answers that are drawn in advance for each server.
const SCRIPT: usize = 20_000;
/// Many, so that no list of ended tasks overflows.
const FRAMEWORKS: usize = 5;

/// What a server does with a message. All but `Limited` and `ResetBefore` have read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Late,
    Limited,
    /// 500; whether it has the message all the same.
    Broken(bool),
    ResetBefore,
    ResetAfter,
    Cut,
    /// Silence; whether it has the message.
    Hang(bool),
}

impl Fault {
    /// The answers of a server that has good and bad times.
    fn script(rng: &mut fastrand::Rng) -> Vec<Self> {
        let mut script = Vec::with_capacity(SCRIPT);
        while script.len() < SCRIPT {
            let percent = [3, 25, 80][rng.usize(..3)];
            for _ in 0..rng.usize(4..20) {
                script.push(if rng.u32(..100) < percent {
                    Self::draw(rng)
                } else {
                    Self::None
                });
            }
        }
        script
    }

    fn draw(rng: &mut fastrand::Rng) -> Self {
        match rng.u32(..8) {
            0 => Self::Late,
            1 => Self::Limited,
            2 => Self::Broken(rng.bool()),
            3 => Self::ResetBefore,
            4 | 5 => Self::ResetAfter,
            6 => Self::Cut,
            _ => Self::Hang(rng.bool()),
        }
    }

    /// Whether a client that hears the answer knows that the message is there.
    fn is_certain(self) -> bool {
        matches!(self, Self::None | Self::Late)
    }

    /// Whether the message is there.
    fn takes(self) -> bool {
        match self {
            Self::None | Self::Late | Self::ResetAfter | Self::Cut => true,
            Self::Broken(taken) | Self::Hang(taken) => taken,
            Self::Limited | Self::ResetBefore => false,
        }
    }

    fn tag(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Late => "late",
            Self::Limited => "limited",
            Self::Broken(_) => "broken",
            Self::ResetBefore => "reset before",
            Self::ResetAfter => "reset after",
            Self::Cut => "cut",
            Self::Hang(_) => "hang",
        }
    }

    fn delivery(self) -> Delivery {
        match self {
            Self::Late => Delivery::new().delay(Duration::from_millis(300)),
            Self::Cut => Delivery::new().cut(1, End::Reset),
            _ => Delivery::new(),
        }
    }

    fn slack(self) -> SlackReply {
        let reply = match self {
            Self::None | Self::Late | Self::Cut => SlackReply::judged(self.delivery()),
            Self::Limited => SlackReply::rate_limited(Duration::from_secs(1)),
            Self::Broken(_) => SlackReply::html(500),
            Self::ResetBefore => SlackReply::reset_before_body(),
            Self::ResetAfter => SlackReply::reset_after_body(),
            Self::Hang(_) => SlackReply::hang(),
        };
        reply.posted(self.takes()).tag(self.tag())
    }

    fn action(self) -> Action {
        let ok = Reply::json(200, &serde_json::json!({ "ok": true }));
        match self {
            Self::None | Self::Late | Self::Cut => ok.delivery(self.delivery()).into(),
            Self::Limited => Reply::new(429).header("Retry-After", "1").into(),
            Self::Broken(_) => Action::html(500),
            Self::ResetBefore => Action::ResetBeforeBody,
            Self::ResetAfter => Action::ResetAfterBody,
            Self::Hang(_) => Action::Hang,
        }
    }
}

/// A message as a server has it.
#[derive(Clone, Debug)]
struct Heard {
    task: String,
    /// Which watcher sent it.
    run: String,
    /// What was done with it.
    tag: &'static str,
    /// A client that heard the answer knows that it is there.
    is_certain: bool,
}

/// Takes any JSON with a text, and is no Slack.
#[derive(Clone, Debug, Default)]
struct Hook(Arc<Mutex<HookState>>);

#[derive(Debug, Default)]
struct HookState {
    script: VecDeque<Fault>,
    /// By the serial of their request.
    waiting: HashMap<u64, Fault>,
    heard: Vec<Heard>,
}

impl Service for Hook {
    fn intercept(&self, head: &Request) -> Option<Action> {
        let mut state = self.0.lock().unwrap();
        let fault = state.script.pop_front()?;
        if fault == Fault::ResetBefore {
            return Some(fault.action());
        }
        state.waiting.insert(head.serial, fault);
        None
    }

    fn respond(&self, request: &Request) -> Action {
        let mut state = self.0.lock().unwrap();
        let fault = state.waiting.remove(&request.serial).unwrap_or(Fault::None);
        let body = request.json().unwrap_or_default();
        let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        if fault.takes() {
            state.heard.push(Heard {
                task: field("text"),
                run: field("username"),
                tag: fault.tag(),
                is_certain: fault.is_certain(),
            });
        }
        fault.action()
    }
}

impl Hook {
    async fn start(script: Vec<Fault>) -> io::Result<(Self, ScriptedServer)> {
        let hook = Self::default();
        hook.0.lock().unwrap().script = script.into();
        let server = ScriptedServer::with_service(hook.clone()).await?;
        Ok((hook, server))
    }

    fn heard(&self) -> Vec<Heard> {
        self.0.lock().unwrap().heard.clone()
    }
}

/// What Slack was told.
fn heard(scene: &Scene) -> Vec<Heard> {
    let messages = scene.slack.received().into_iter();
    messages
        .map(|message| {
            let tag = message.tag.unwrap_or("none");
            Heard {
                task: message.text,
                run: message.username.unwrap_or_default(),
                tag,
                is_certain: matches!(tag, "none" | "late"),
            }
        })
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "how the test run says how long it may take"
)]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

#[expect(clippy::print_stdout, reason = "what came of it is not seen otherwise")]
fn say(text: &str) {
    println!("{text}");
}

/// Lets tasks fail until it is over; returns their ids.
async fn fail(cluster: FakeCluster, hook: String, is_over: Arc<AtomicBool>) -> Vec<String> {
    let begun = tokio::time::Instant::now();
    let mut ids = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let n = ids.len();
        let id = format!("t.{n}");
        let spec = TaskSpec::new(&id)
            .framework(format!("f{}", n % FRAMEWORKS))
            .label("complainer_slack_instances", "default,hook")
            .label("complainer_slack_instance_hook_hook_url", &hook)
            .label("complainer_file_instances", "default");
        cluster.launch_failed(spec, Death::failed());
        ids.push(id);
        tokio::time::sleep_until(begun + PACE * (n as u32 + 1)).await;
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_tells_everyone_everything() {
    let kills = number("NOTIFIER_KILLS").unwrap_or(KILLS);
    let seed = number("NOTIFIER_KILLS_SEED").unwrap_or_else(|| fastrand::u64(..));
    say(&format!(
        "NOTIFIER_KILLS={kills} NOTIFIER_KILLS_SEED={seed}"
    ));
    let mut rng = fastrand::Rng::with_seed(seed);

    let scene = Scene::new(FakeCluster::builder().agents(2)).await;
    let (hook, server) = Hook::start(Fault::script(&mut rng)).await.unwrap();
    let start = |run: u64| {
        let api = ["stream", "poll"][run as usize % 2];
        scene.start(&[
            &format!("-mesos.api={api}"),
            &format!("-slack.username=run {run}"),
            "-slack.channel=#a",
            "-label-urls.allow=127.0.0.0/8",
            "-request-timeout=1s",
            "-file.fsync=true",
        ])
    };
    let mut watcher = start(0);
    scene.has_begun(&mut watcher).await;
    let script = Fault::script(&mut rng).into_iter().map(Fault::slack);
    scene.slack.script_all("main", script);
    let is_over = Arc::new(AtomicBool::new(false));
    let failing = fail(
        scene.cluster.clone(),
        server.url("/hook"),
        Arc::clone(&is_over),
    );
    let failing = tokio::spawn(failing);

    let mut logs = Vec::new();
    for run in 1..=kills {
        // Some do not get beyond their start.
        let life = match rng.u32(..4) {
            0 => rng.u64(10..200),
            _ => rng.u64(50..1500),
        };
        tokio::time::sleep(Duration::from_millis(life)).await;
        logs.push(kill(watcher).await);
        if rng.bool() {
            tokio::time::sleep(Duration::from_millis(rng.u64(..2000))).await;
        }
        watcher = start(run);
    }
    is_over.store(true, Ordering::Relaxed);
    let tasks = failing.await.unwrap();
    scene.slack.clear_script("main");
    hook.0.lock().unwrap().script.clear();

    // From now on all is well.
    scene
        .until(&mut watcher, "told of all", async || {
            let has =
                |heard: &[Heard]| heard.iter().map(|h| &h.task).collect::<BTreeSet<_>>().len();
            scene.in_file().len() >= tasks.len()
                && has(&heard(&scene)) >= tasks.len()
                && has(&hook.heard()) >= tasks.len()
        })
        .await;
    scene.until_empty(&mut watcher).await;
    logs.push(stop(watcher).await);
    for log in &logs {
        assert!(!log.contains("panicked"), "{log}");
    }

    let stories = Stories::read(&scene.outbox()).await;
    assert_once(&scene.in_file(), &tasks, "file");
    let mut sums = Sums::default();
    for (instance, heard) in [("default", heard(&scene)), ("hook", hook.heard())] {
        for task in &tasks {
            stories.judge(task, instance, &heard, &mut sums, &logs);
        }
    }
    for task in &tasks {
        stories.of(task, "file", "default");
    }
    let stats = scene.outbox().stats().await.unwrap();
    assert_eq!(stats.dead + stats.open(), 0, "{stats:?}");
    assert!(stats.unknown >= sums.unknown, "{stats:?} {sums:?}");
    let taken_back = logs.iter().filter(|l| l.contains("took back")).count();
    say(&format!(
        "{kills} kills (after {taken_back} of them something was under way), {} failures, {} deliveries, \
         {} doubles: {:?}; {} attempts counted as unknown",
        tasks.len(),
        tasks.len() * 3,
        sums.doubles,
        sums.why,
        stats.unknown,
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_makes_its_outbox_it_starts_again() {
    let kills = number("NOTIFIER_KILLS").unwrap_or(KILLS) / 2;
    let scene = Scene::new(FakeCluster::builder()).await;
    for n in 0..kills {
        let log = scene.path(&format!("{n}.log"));
        let start = || {
            let state = scene.path(&format!("{n}.state"));
            scene.start(&[
                "-reporters=file",
                &format!("-state-dir={}", state.display()),
                &format!("-file.name={}", log.display()),
            ])
        };
        let watcher = start();
        tokio::time::sleep(Duration::from_millis(300 * n / kills)).await;
        kill(watcher).await;
        let mut watcher = start();
        scene
            .until(&mut watcher, "telling", async || {
                scene.fail("t.0");
                tokio::time::sleep(Duration::from_millis(50)).await;
                std::fs::metadata(&log).is_ok_and(|file| file.len() > 0)
            })
            .await;
        kill(watcher).await;
    }
}

/// What the outbox knows of each delivery: by task, reporter and instance.
struct Stories(HashMap<(String, String, String), Story>);

#[derive(Debug, Default)]
struct Sums {
    doubles: u64,
    /// Attempts to HTTP servers whose outcome is not known.
    unknown: u64,
    /// Doubles by what was done with the message before.
    why: BTreeMap<&'static str, u64>,
}

impl Stories {
    async fn read(outbox: &SqliteOutbox) -> Self {
        let mut stories = HashMap::new();
        for view in outbox.inspect(&DeliveryFilter::default()).await.unwrap() {
            let id = view.delivery.id;
            let story = outbox.story(&id).await.unwrap().unwrap();
            let Some(failure) = story.subject.failure() else {
                continue;
            };
            let at = (
                failure.id.clone(),
                view.delivery.reporter,
                view.delivery.instance,
            );
            let twice = stories.insert(at, story);
            assert!(twice.is_none(), "enqueued twice: {twice:?}");
        }
        Self(stories)
    }

    fn of(&self, task: &str, reporter: &str, instance: &str) -> &Story {
        let at = (task.to_owned(), reporter.to_owned(), instance.to_owned());
        let story = self
            .0
            .get(&at)
            .unwrap_or_else(|| panic!("not kept: {at:?}"));
        assert_eq!(story.view.state, DeliveryState::Done, "{story:#?}");
        story
    }

    /// Looks at what one server heard of one task.
    fn judge(&self, task: &str, instance: &str, heard: &[Heard], sums: &mut Sums, logs: &[String]) {
        let story = self.of(task, "slack", instance);
        let heard: Vec<_> = heard.iter().filter(|h| h.task == task).collect();
        let explain = || {
            let lines = logs.iter().enumerate().flat_map(|(run, log)| {
                let of_it = move |l: &&str| {
                    l.contains(&format!("about={task} ")) || l.contains("took back")
                };
                log.lines()
                    .filter(of_it)
                    .map(move |l| format!("{run}: {l}"))
            });
            let lines: Vec<_> = lines.collect();
            format!(
                "{instance} of {task}: {heard:#?}\n{story:#?}\n{}",
                lines.join("\n")
            )
        };
        assert!(!heard.is_empty(), "missing: {}", explain());
        let doubles = heard.len() as u64 - 1;
        let unknown = u64::from(story.view.unknown);
        assert!(
            unknown >= doubles,
            "a double that is not counted: {}",
            explain()
        );
        let noted = |wanted: Outcome| {
            let attempts = story.attempts.iter();
            attempts.filter(|a| a.outcome == wanted).count() as u64
        };
        assert_eq!(noted(Outcome::Unknown), unknown, "{}", explain());
        assert_eq!(noted(Outcome::Delivered), 1, "{}", explain());
        // Where the answer was good and the watcher lived on, it must have been too late for it.
        let mut late = story
            .attempts
            .iter()
            .filter(|a| a.code.as_deref() == Some("timeout"))
            .count();
        late = late.saturating_sub(heard.iter().filter(|h| h.tag == "hang").count());
        for (at, next) in heard.iter().zip(&heard[1..]) {
            let why = match at {
                _ if !at.is_certain => at.tag,
                _ if at.run != next.run => "killed",
                _ if late > 0 => {
                    late -= 1;
                    "too late"
                }
                _ => panic!("sent again though it was known to be there: {}", explain()),
            };
            *sums.why.entry(why).or_default() += 1;
        }
        sums.doubles += doubles;
        sums.unknown += unknown;
    }
}
