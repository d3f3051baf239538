//! From the end of a task to the message in Slack, with events and with polling.

mod support;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use notifier_testkit::{
    mesos::{Death, FakeCluster, Stream, TaskSpec},
    slack::FakeSlack,
};
use support::{Extent, Result, Table, WAIT, Watcher, tell};

/// By this part of their range one pause differs from the next: however many there are,
/// they are spread evenly.
const GOLDEN: f64 = 0.618_033_988_749_895;

fn main() -> ExitCode {
    support::run("latency", measure)
}

async fn measure(extent: Extent) -> Result<Table> {
    let interval = Duration::from_millis(extent.pick(5000, 5000, 100));
    let stream = Trial {
        api: "stream",
        interval,
        samples: extent.pick(50, 20, 2),
        pauses: Duration::from_millis(extent.pick(500, 500, 20)),
    };
    let poll = Trial {
        api: "poll",
        interval,
        samples: extent.pick(20, 5, 2),
        pauses: interval,
    };
    let (stream, poll) = (stream.run().await?, poll.run().await?);

    let mut table = Table::new(
        support::heading("latency", extent),
        &[
            "from the end of a task to Slack",
            "stream",
            "poll every 5 s",
            "the original",
        ],
    );
    for (name, part, original) in [
        ("median", 0.5, "2.5 s"),
        ("9 of 10 within", 0.9, ""),
        ("worst", 1.0, "5 s"),
    ] {
        table.row([
            name.into(),
            shown(quantile(&stream, part)),
            shown(quantile(&poll, part)),
            original.into(),
        ]);
    }
    table.row([
        "failures, each told once".into(),
        stream.len().to_string(),
        poll.len().to_string(),
        String::new(),
    ]);
    table.note("Logs are looked up on the agents. Master, agents and Slack are on loopback.");
    Ok(table)
}

/// Failures one after another, and how they are heard of.
struct Trial {
    api: &'static str,
    /// From one look to the next while the state is polled.
    interval: Duration,
    samples: usize,
    /// The longest pause before a failure.
    pauses: Duration,
}

impl Trial {
    /// The times from each end to its message, the shortest first.
    async fn run(&self) -> Result<Vec<Duration>> {
        tell(&format!(
            "{} failures, -mesos.api={}",
            self.samples, self.api
        ));
        let cluster = FakeCluster::builder().agents(5).start().await?;
        let slack = FakeSlack::start().await?;
        let watcher = Watcher::start(&[
            "-reporters=slack".into(),
            "-uploader=noop".into(),
            format!("-masters={}", cluster.masters_flag()),
            format!("-mesos.api={}", self.api),
            format!("-mesos.interval={}ms", self.interval.as_millis()),
            format!("-slack.hook_url={}", slack.hook_url("main")),
            "-slack.channel=#bench".into(),
            "-slack.format={{ .failure.ID }} {{ .stderrURL }}".into(),
        ])?;
        self.warm_up(&cluster, &slack, &watcher).await?;

        let mut times = Vec::new();
        for i in 0..self.samples {
            let id = format!("web.{i}");
            let task = cluster.launch(TaskSpec::new(&id).label("team", "shop"));
            cluster.set_log(&task, Stream::Stderr, "out of cheese\n");
            #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
            let pause = self.pauses.mul_f64((i as f64 * GOLDEN).fract());
            // Not at once, so that the start is no part of the end.
            tokio::time::sleep(Duration::from_millis(20) + pause).await;

            slack.clear();
            cluster.fail(&task, Death::failed().exit(1));
            let failed = Instant::now();
            let Some(message) = slack.wait_for(1, WAIT).await.into_iter().next() else {
                return Err(watcher.error(format!("{id} is not told")));
            };
            if message.text.split(' ').next() != Some(&id) || !message.text.contains("/stderr") {
                return Err(watcher.error(format!("not of {id}: {}", message.text)));
            }
            times.push(message.arrived.saturating_duration_since(failed));
        }
        times.sort_unstable();
        Ok(times)
    }

    /// Lets tasks die until one is told of, and all that came after the first look are:
    /// what died before it is none of the watcher's business.
    async fn warm_up(
        &self,
        cluster: &FakeCluster,
        slack: &FakeSlack,
        watcher: &Watcher,
    ) -> Result<()> {
        let until = Instant::now() + WAIT;
        for i in 0.. {
            let task = cluster.launch(TaskSpec::new(format!("early.{i}")));
            cluster.fail(&task, Death::failed());
            let told = slack.wait_for(1, self.interval).await;
            if !told.is_empty() {
                break;
            }
            if Instant::now() > until {
                return Err(watcher.error("nothing is told"));
            }
        }
        tokio::time::sleep(self.interval.mul_f64(1.5)).await;
        Ok(())
    }
}

/// What this part of the sorted times is at most.
fn quantile(sorted: &[Duration], part: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a few dozen"
    )]
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    let at = rank.max(1).min(sorted.len()) - 1;
    sorted.get(at).copied().unwrap_or_default()
}

fn shown(time: Duration) -> String {
    if time < Duration::from_millis(100) {
        format!("{:.1} ms", time.as_secs_f64() * 1000.0)
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}
