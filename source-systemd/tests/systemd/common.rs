//! A source against a real systemd.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use futures_util::StreamExt as _;
use notifier_core::{FailureKey, FailureRecord, Source};
use notifier_testkit::systemd::Systemd;
use source_systemd::{SystemdBuilder, SystemdSource};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep},
};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Numbers the units of [`Watcher::flush`].
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Says something, and goes on once the journal has it: what a process says right before its end may come there
/// without the id of its run, since nobody can be asked any more whose it is.
const SAY: &str = "#!/bin/sh\necho \"$*\"\n\
    until journalctl -q -o cat \"_SYSTEMD_INVOCATION_ID=$INVOCATION_ID\" | grep -qF \"$*\"; do sleep 0.05; done\n";

/// Puts the program `/opt/say` there.
pub(crate) fn put_say(systemd: &Systemd) {
    systemd.write("/opt/say", SAY.as_bytes(), 0o755).unwrap();
}

/// The source for a systemd, with the usual options.
pub(crate) fn source(systemd: &Systemd) -> SystemdBuilder {
    SystemdSource::builder()
        .bus(systemd.bus_address())
        .journal_directory(systemd.journal_directory())
        .host(systemd.host_name())
}

/// What a source has handed over; each batch counts as stored at once.
pub(crate) struct Watcher {
    batches: mpsc::UnboundedReceiver<FailureRecord>,
    cursor: watch::Receiver<Option<serde_json::Value>>,
    baseline: watch::Receiver<Vec<FailureKey>>,
    /// Batches and errors so far.
    pub(crate) items: watch::Receiver<(usize, usize)>,
    task: JoinHandle<()>,
    /// Failures that came, in their order. One that comes twice stands here twice.
    pub(crate) seen: Vec<FailureRecord>,
}

impl Watcher {
    /// Watches, and waits until the first batch was handed over.
    pub(crate) async fn start(builder: SystemdBuilder, cursor: Option<serde_json::Value>) -> Self {
        let source: Box<dyn Source> = Box::new(builder.build().unwrap());
        let mut stream = source.events(cursor.clone());
        let (send, batches) = mpsc::unbounded_channel();
        let (send_cursor, cursor) = watch::channel(cursor);
        let (send_baseline, baseline) = watch::channel(Vec::new());
        let (send_items, items) = watch::channel((0, 0));
        let task = tokio::spawn(async move {
            while let Some(item) = stream.next().await {
                let Ok(batch) = item else {
                    send_items.send_modify(|(_, errors)| *errors += 1);
                    continue;
                };
                for failure in batch.failures {
                    let _ = send.send(failure);
                }
                if let Some(cursor) = batch.cursor {
                    send_cursor.send_replace(Some(cursor));
                }
                send_baseline.send_modify(|all| all.extend(batch.baseline));
                batch.ack.done();
                send_items.send_modify(|(batches, _)| *batches += 1);
            }
        });
        let mut watcher = Self {
            batches,
            cursor,
            baseline,
            items,
            task,
            seen: Vec::new(),
        };
        watcher.wait_for_items(|(batches, _)| *batches > 0).await;
        watcher
    }

    pub(crate) async fn wait_for_items(&mut self, is_it: impl FnMut(&(usize, usize)) -> bool) {
        tokio::time::timeout(PATIENCE, self.items.wait_for(is_it))
            .await
            .expect("the source hands something over")
            .unwrap();
    }

    /// The next failure.
    pub(crate) async fn next(&mut self, systemd: &Systemd) -> FailureRecord {
        match tokio::time::timeout(PATIENCE, self.batches.recv()).await {
            Ok(Some(failure)) => {
                self.seen.push(failure.clone());
                failure
            }
            _ => panic!("no failure came; {}", systemd.log()),
        }
    }

    /// Waits until so many different ones were seen.
    pub(crate) async fn wait_for(&mut self, count: usize, systemd: &Systemd) {
        while self.by_key().len() < count {
            self.next(systemd).await;
        }
    }

    /// Starts a unit that fails, whose failure shows that all before it was handed over.
    pub(crate) async fn flush(&mut self, systemd: &Systemd) {
        // Without systemctl daemon-reload, which would change how systemd counts starts.
        let name = format!("flush-{}.service", COUNT.fetch_add(1, Ordering::Relaxed));
        let unit = format!("--unit={name}");
        let run = [
            "systemd-run",
            "--no-block",
            &unit,
            "/bin/sh",
            "-c",
            "exit 99",
        ];
        systemd.expect(&run).await.unwrap();
        while self.next(systemd).await.id != name {}
        self.seen.retain(|f| f.id != name);
    }

    /// The failures of a unit, without those that came again.
    pub(crate) fn of(&self, unit: &str) -> Vec<FailureRecord> {
        let mut keys = Vec::new();
        let mut out = Vec::new();
        for f in self.seen.iter().filter(|f| f.id == unit) {
            if !keys.contains(&f.key) {
                keys.push(f.key.clone());
                out.push(f.clone());
            }
        }
        out
    }

    /// How often each failure came, by key: as an outbox counts them.
    pub(crate) fn by_key(&self) -> BTreeMap<FailureKey, usize> {
        let mut keys = BTreeMap::new();
        for f in &self.seen {
            *keys.entry(f.key.clone()).or_default() += 1;
        }
        keys
    }

    pub(crate) fn baseline(&self) -> Vec<FailureKey> {
        self.baseline.borrow().clone()
    }

    /// Ends it at once, as when the program is killed; its last cursor.
    pub(crate) async fn kill(self) -> Option<serde_json::Value> {
        self.task.abort();
        let _ = self.task.await;
        self.cursor.borrow().clone()
    }
}

/// Waits until a property of a unit is one of these.
pub(crate) async fn wait_for(systemd: &Systemd, unit: &str, property: &str, values: &[&str]) {
    let until = Instant::now() + PATIENCE;
    loop {
        let is = systemd.property(unit, property).await.unwrap();
        if values.contains(&is.as_str()) {
            return;
        }
        assert!(
            Instant::now() < until,
            "{unit}: {property} is {is}\n{}",
            systemd.log()
        );
        sleep(Duration::from_millis(50)).await;
    }
}
