//! What is done after each connecting: a look at all units, and what failed meanwhile.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use notifier_core::{Result, jiff::Timestamp};

use super::{Link, Watch, telling::Machine};
use crate::{
    bus::Bus,
    record::{self, START_LIMIT},
    unit::Observation,
};

/// How many units are looked at at a time.
const AT_ONCE: usize = 8;
/// Signals come not quite in the order of what they tell of: so much is read again.
const MARGIN: Duration = Duration::from_secs(5);
/// States of a unit whose last run has failed. The last is that of systemd 254 and newer.
const FAILED: [&str; 3] = ["failed", "auto-restart", "auto-restart-queued"];
const RUNNING: [&str; 4] = ["active", "reloading", "activating", "deactivating"];

impl Watch {
    /// Connects, and looks at all.
    pub(super) async fn start(&mut self) -> Result<()> {
        let (bus, events) = Bus::connect(&self.config.address).await?;
        let machine = Machine {
            id: bus.machine_id().await?,
            boot_id: line("/proc/sys/kernel/random/boot_id")
                .await
                .replace('-', ""),
            host: match &self.config.host {
                Some(host) => host.clone(),
                None => line("/proc/sys/kernel/hostname").await,
            },
        };
        self.machine = Arc::new(machine);
        let failed = self.look(&bus, &FAILED).await?;
        let running = self.look(&bus, &RUNNING).await?;
        // What is loaded no more.
        let is_there = |unit: &str| failed.iter().chain(&running).any(|(u, _)| u == unit);
        self.failed.retain(|unit, _| is_there(unit));
        self.described.retain(|unit, _| is_there(unit));
        self.gone.clear();
        self.is_reloading = false;
        self.link = Some(Link {
            bus: Arc::new(bus),
            events,
        });
        if self.is_first {
            self.begin(&failed);
        } else {
            self.resume();
        }
        for (unit, seen) in failed.into_iter().chain(running) {
            self.see(&unit, seen);
        }
        let mut keys = Vec::new();
        for (unit, (run, is_limit)) in &self.failed {
            keys.push(record::key(&self.machine.id, unit, run, ""));
            if *is_limit {
                keys.push(record::key(&self.machine.id, unit, run, START_LIMIT));
            }
        }
        self.listed = Some(keys);
        Ok(())
    }

    /// The very first look: what is failed counts as seen, unless it is to be told.
    fn begin(&mut self, failed: &[(String, Observation)]) {
        self.is_first = false;
        if self.tells_backlog() {
            return;
        }
        for (unit, seen) in failed.iter().filter(|(_, seen)| seen.is_failure()) {
            let run = super::judge::run_of(seen);
            let known = self.known.entry(unit.clone()).or_default();
            for (is_limit, last) in [(false, ""), (true, START_LIMIT)] {
                // A unit that waits for its restart may still be refused it.
                if is_limit && seen.is_waiting_for_restart() {
                    continue;
                }
                known.tell(&run, is_limit);
                let key = record::key(&self.machine.id, unit, &run, last);
                self.outgoing.skip([key]);
            }
        }
    }

    /// After a time in which nobody watched.
    fn resume(&mut self) {
        for (unit, run) in &self.cursor.failed {
            let known = self.known.entry(unit.clone()).or_default();
            let id = run.trim_end_matches('!');
            known.tell(id, false);
            if id.len() < run.len() {
                known.tell(id, true);
            }
        }
        let now = self.config.clock.now();
        let mut since = self.heard.unwrap_or(self.cursor.since).min(now);
        since = since.checked_sub(MARGIN).unwrap_or(Timestamp::MIN);
        self.gaps.add_all(since.max(self.cursor.first));
    }

    /// The units that are watched and in one of these states, as they are now.
    async fn look(&self, bus: &Bus, states: &[&str]) -> Result<Vec<(String, Observation)>> {
        let listed = bus.units(states).await?;
        let chosen = listed
            .into_iter()
            .filter(|unit| self.config.choice.takes(unit));
        let looks = stream::iter(chosen).map(|unit| async move {
            let seen = bus.look(&unit).await;
            (unit, seen)
        });
        let mut looks = std::pin::pin!(looks.buffer_unordered(AT_ONCE));
        let mut out = Vec::new();
        while let Some((unit, seen)) = looks.next().await {
            match seen {
                Ok(seen) => out.push((unit, seen)),
                // It may be gone.
                Err(e) => tracing::debug!(unit, "cannot be looked at: {}", e.report()),
            }
        }
        Ok(out)
    }
}

/// The first line of a small file; empty if it cannot be read.
async fn line(path: &str) -> String {
    let text = tokio::fs::read_to_string(path).await.unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}
