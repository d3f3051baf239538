//! Finding logs on agents, and reading them.

mod agents;
mod read;
mod search;
mod slot;
mod trouble;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use notifier_core::{
    Error, ErrorKind, FailureRecord, LogLocator, LogPart, LogStream, OpenLog, Result,
};
use notifier_http::HttpClient;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

use self::{
    agents::Agents,
    search::{AGAIN, Search},
};
use crate::{
    body::Pace,
    credentials::Credentials,
    recall::Labels,
    sandbox::{self, Trace},
    state::agent::{AgentExecutor, AgentState},
};

/// The logs of a sandbox.
const FILES: [&str; 2] = ["stdout", "stderr"];

/// Finds the logs of a [`MesosSource`](crate::MesosSource)'s failures on the agents, and
/// reads them. A cheap handle.
///
/// One look-up serves all failures of an agent for 5 s. Once an agent's work directory is
/// known, the directory of a run is made of its ids and only looked at, 16 of one agent at a
/// time. An agent that does not answer is left alone for 30 s; at most 4 logs are read from
/// one agent at a time, and the states of at most 4 agents, of 128 MiB each. A look-up that
/// was started is brought to its end even if nobody waits for it any more.
#[derive(Clone)]
pub struct MesosLogLocator(Arc<Agents>);

/// What reads one log, in [`LogStream::fetch`].
#[derive(Serialize, Deserialize)]
struct Fetch {
    path: String,
}

impl MesosLogLocator {
    pub(crate) fn new(
        client: HttpClient,
        scheme: Option<String>,
        credentials: Option<Credentials>,
        max: usize,
        pace: Pace,
    ) -> Self {
        Self(Arc::new(Agents::new(
            client,
            scheme,
            credentials,
            max,
            pace,
        )))
    }
}

impl MesosLogLocator {
    /// The labels of a task's executor, which its agent knows for longer than the master.
    pub(crate) async fn labels(&self, trace: &Trace) -> Option<Labels> {
        trace.address()?;
        let slot = self.0.slot(trace);
        let asked = Instant::now();
        let known = self.0.look_up(&slot, trace, None).await.ok()?;
        let labels = |agent: &AgentState| {
            let is_it =
                |e: &&AgentExecutor| e.framework == trace.framework && e.id == trace.executor;
            let run = agent.executors.iter().rev().find(is_it);
            run.map(|run| run.labels.clone())
        };
        if let Some(labels) = labels(&known.agent) {
            return Some(labels);
        }
        if known.asked >= asked {
            return None;
        }
        // What was read before the question may not tell it yet.
        sleep_until(known.asked + AGAIN).await;
        let known = self.0.look_up(&slot, trace, Some(asked)).await.ok()?;
        labels(&known.agent)
    }
}

impl fmt::Debug for MesosLogLocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MesosLogLocator")
            .field("scheme", &self.0.scheme)
            .field("credentials", &self.0.credentials)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl LogLocator for MesosLogLocator {
    async fn locate(&self, failure: &FailureRecord) -> Result<Vec<LogStream>> {
        let trace = trace(failure)?;
        let Some(address) = trace.address() else {
            let text = if trace.agent.is_empty() {
                "the agent is not known".to_owned()
            } else {
                format!("the master does not know agent {}", trace.agent)
            };
            return Err(Error::new(ErrorKind::Rejected, text));
        };
        let slot = self.0.slot(&trace);
        let search = Search {
            start: Instant::now(),
            agents: &self.0,
            slot: &slot,
            failure,
            trace: &trace,
        };
        let directory = search.directory().await?;
        let scheme = self.0.scheme(&trace);
        Ok(FILES
            .iter()
            .map(|file| {
                let log = LogStream::new(*file, sandbox::link(scheme, &address, &directory, file));
                match serde_json::to_value(Fetch {
                    path: format!("{directory}/{file}"),
                }) {
                    Ok(fetch) => log.with_fetch(fetch),
                    Err(_) => log,
                }
            })
            .collect())
    }

    async fn open(
        &self,
        failure: &FailureRecord,
        log: &LogStream,
        part: LogPart,
    ) -> Result<OpenLog> {
        let trace = trace(failure)?;
        let fetch = log
            .fetch
            .clone()
            .and_then(|f| serde_json::from_value::<Fetch>(f).ok());
        let Some(Fetch { path }) = fetch else {
            return Err(Error::new(
                ErrorKind::Rejected,
                format!("{} has no note of its path", log.name),
            ));
        };
        read::open(&self.0, &trace, &log.name, &path, part).await
    }
}

fn trace(failure: &FailureRecord) -> Result<Trace> {
    let trace = failure
        .locator
        .clone()
        .and_then(|l| serde_json::from_value::<Trace>(l).ok());
    trace.ok_or_else(|| {
        Error::new(
            ErrorKind::Rejected,
            "the failure has no note of its sandbox",
        )
    })
}
