//! The search for the sandbox of one failure.

use std::{sync::Arc, time::Duration};

use notifier_core::{Error, ErrorKind, FailureRecord, Result};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    agents::{Agents, Sight},
    slot::{Known, Looked, Slot},
    trouble::Trouble,
};
use crate::sandbox::{self, Trace};

/// A sandbox that is not found is looked up again in a state newer than the question,
/// but not more often than this.
pub(super) const AGAIN: Duration = Duration::from_secs(1);
/// How long to wait for a state before doing without it.
const PATIENCE: Duration = Duration::from_secs(3);

/// One search.
pub(super) struct Search<'a> {
    pub(super) start: Instant,
    pub(super) agents: &'a Arc<Agents>,
    pub(super) slot: &'a Arc<Slot>,
    pub(super) failure: &'a FailureRecord,
    pub(super) trace: &'a Trace,
}

impl Search<'_> {
    /// The directory with the logs. An agent's list of executors is short, so that under
    /// load the run has often left it: its path is then made of what is known of it.
    pub(super) async fn directory(&self) -> Result<String> {
        if let Some(directory) = self.slot.known().and_then(|known| self.find(&known)) {
            return Ok(directory);
        }
        let places = self.derived();
        if places.is_empty() {
            return self.by_state().await;
        }
        match self.exact(&places).await? {
            Some(directory) => Ok(directory),
            None => self.not_there(&places).await,
        }
    }

    fn find(&self, known: &Known) -> Option<String> {
        sandbox::find(&known.agent, self.failure, self.trace)
    }

    /// Where the run is, if it and the agent's work directory are known.
    fn derived(&self) -> Vec<String> {
        match self.slot.root() {
            Some(root) => sandbox::derived(&root, &self.failure.id, self.trace),
            None => Vec::new(),
        }
    }

    /// Where the newest run of the executor is.
    fn latest(&self, root: Option<&str>) -> Vec<String> {
        // Of a task that never ran it is another one's.
        let ran = !matches!(self.failure.state.as_str(), "TASK_ERROR" | "TASK_DROPPED");
        if !ran && self.trace.containers.is_empty() {
            return Vec::new();
        }
        sandbox::latest(root, &self.failure.id, self.trace)
    }

    async fn look_up(&self) -> Looked {
        self.agents.look_up(self.slot, self.trace, None).await
    }

    /// The first place that is there. It is the right one, so that it is taken unseen from an
    /// agent that does not say: people may be let in, or the agent may be well again, by the
    /// time they look.
    async fn exact(&self, places: &[String]) -> Result<Option<String>> {
        for place in places {
            match self.browse(place).await {
                Sight::There | Sight::Closed => return Ok(Some(place.clone())),
                Sight::Absent => {}
                Sight::Unknown(trouble) if trouble.no_connection => {
                    return Err(trouble.error(Some(trouble.pause)));
                }
                Sight::Unknown(_) => return Ok(Some(place.clone())),
            }
        }
        Ok(None)
    }

    /// The first place that is there, of those that may be another run's.
    async fn guess(&self, places: &[String]) -> Result<Option<String>, Trouble> {
        for place in places {
            match self.browse(place).await {
                Sight::There | Sight::Closed => return Ok(Some(place.clone())),
                Sight::Absent => {}
                Sight::Unknown(trouble) => return Err(trouble),
            }
        }
        Ok(None)
    }

    async fn browse(&self, place: &str) -> Sight {
        self.agents.browse(self.slot, self.trace, place).await
    }

    /// Why the run is not where it should be, or where else it is: the agent may have
    /// moved to another work directory.
    async fn not_there(&self, places: &[String]) -> Result<String> {
        let Ok(Ok(known)) = timeout(PATIENCE, self.look_up()).await else {
            return Err(self.absent(None));
        };
        if let Some(directory) = self.find(&known) {
            let run = places.last().map_or("", String::as_str);
            if !directory.starts_with(run) {
                return Ok(directory);
            }
            let name = self.trace.agent_name();
            let text = format!("the sandbox was removed from agent {name} (garbage collected)");
            return Err(Error::new(ErrorKind::Rejected, text));
        }
        let moved = self.derived();
        if moved != places
            && let Some(directory) = self.exact(&moved).await?
        {
            return Ok(directory);
        }
        Err(self.absent(Some(&known)))
    }

    /// By the agent's state and, where that does not help, by paths that need none.
    async fn by_state(&self) -> Result<String> {
        let mut places = self.latest(None);
        let looked = if places.is_empty() {
            self.look_up().await
        } else {
            match timeout(PATIENCE, self.look_up()).await {
                Ok(looked) => looked,
                Err(_) => {
                    match self.guess(&places).await {
                        Ok(Some(directory)) => return Ok(directory),
                        Err(trouble) if trouble.whole => {
                            return Err(trouble.error(Some(trouble.pause)));
                        }
                        _ => places.clear(),
                    }
                    self.look_up().await
                }
            }
        };
        let mut known = match looked {
            Ok(known) => known,
            Err(trouble) if trouble.whole => return Err(trouble.error(Some(trouble.pause))),
            Err(trouble) => {
                return match self.guess(&places).await {
                    Ok(Some(directory)) => Ok(directory),
                    Err(other) if other.whole => Err(other.error(Some(other.pause))),
                    _ => Err(trouble.error(Some(trouble.pause))),
                };
            }
        };
        for last in [false, true] {
            if let Some(directory) = self.find(&known) {
                return Ok(directory);
            }
            if let Some(directory) = self.beyond(&known).await? {
                return Ok(directory);
            }
            if last || known.asked >= self.start {
                break;
            }
            sleep_until(known.asked + AGAIN).await;
            known = self
                .agents
                .look_up(self.slot, self.trace, Some(self.start))
                .await
                .map_err(|t| t.error(Some(t.pause)))?;
        }
        Err(self.gone(""))
    }

    /// A directory that the state does not tell.
    async fn beyond(&self, known: &Known) -> Result<Option<String>> {
        let derived = self.derived();
        if !derived.is_empty() {
            let found = self.exact(&derived).await?;
            return found.map(Some).ok_or_else(|| self.absent(Some(known)));
        }
        // Of a run that is not listed while others are, another one may be the newest.
        if sandbox::is_listed(&known.agent, &self.failure.id, self.trace) {
            return Ok(None);
        }
        let root = self.slot.root();
        let latest = self.latest(root.as_deref());
        let found = self
            .guess(&latest)
            .await
            .map_err(|t| t.error(Some(t.pause)))?;
        if found.is_none() && root.is_some() && !latest.is_empty() {
            return Err(self.absent(Some(known)));
        }
        Ok(found)
    }

    /// Of a state older than the question it is not known whether it still lists the run.
    fn absent(&self, known: Option<&Known>) -> Error {
        if known.is_some_and(|k| k.asked >= self.start) {
            self.gone(": its executor is not listed, and its directory is not there")
        } else {
            self.gone(": its directory is not there")
        }
    }

    fn gone(&self, how: &str) -> Error {
        let name = self.trace.agent_name();
        Error::new(
            ErrorKind::Rejected,
            format!("the sandbox is gone from agent {name}{how}"),
        )
    }
}
