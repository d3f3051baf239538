//! Who leads, as ZooKeeper tells it from change to change.

use std::{convert::Infallible, panic::AssertUnwindSafe, pin::pin, time::Duration};

use futures_util::FutureExt as _;
use notifier_core::{Error, ErrorKind, Result, Retry};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use url::Url;
use zookeeper_client::{Client, Error as ZkError, EventType, OneshotWatcher};

use super::{Ensemble, registration::Registration};

/// What is asked of the servers; they may settle on another one. Within it the client
/// connects again by itself, which must not take longer than [`LONGEST_WAIT`] at a time.
const SESSION: Duration = Duration::from_secs(6);
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// The children are listed after this time even if no change was told: a watch that got
/// lost would be noticed by nothing else.
const RELIST: Duration = Duration::from_secs(60);
/// The most masters that are read. Real clusters have up to seven.
const MOST: usize = 32;

/// What is known of the masters.
#[derive(Debug, Default)]
struct View {
    /// The leader's addresses first. These stay while ZooKeeper does not answer.
    masters: Vec<Url>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unasked,
    Silent,
    Refused,
    Answered,
}

/// Follows the masters from a task of its own, until it is dropped.
#[derive(Debug)]
pub(crate) struct Detector {
    ensemble: Ensemble,
    view: watch::Receiver<View>,
    leader: watch::Receiver<Option<Url>>,
    task: JoinHandle<()>,
}

impl Ensemble {
    /// Begins to follow the masters, which are asked by `scheme`. Within a Tokio runtime.
    pub(crate) fn detect(self, scheme: &'static str) -> Detector {
        let (view, view_rx) = watch::channel(View::default());
        let (leader, leader_rx) = watch::channel(None);
        let follower = Follower {
            ensemble: self.clone(),
            scheme,
            view,
            leader,
        };
        Detector {
            ensemble: self,
            view: view_rx,
            leader: leader_rx,
            task: tokio::spawn(follower.run()),
        }
    }
}

impl Detector {
    /// The masters, the leading one first, each by its name and then by its IP address.
    ///
    /// # Errors
    /// None is known; the text says why.
    pub(crate) fn masters(&self) -> Result<Vec<Url>> {
        let view = self.view.borrow();
        if !view.masters.is_empty() {
            return Ok(view.masters.clone());
        }
        let servers = self.ensemble.servers();
        let (kind, text) = match view.state {
            State::Unasked | State::Silent => (
                ErrorKind::Unavailable,
                format!("ZooKeeper at {servers} does not answer"),
            ),
            State::Refused => (
                ErrorKind::PermissionDenied,
                format!(
                    "ZooKeeper at {servers} does not let {} be read: the user or password of the zk:// address is missing or wrong",
                    self.ensemble.path()
                ),
            ),
            State::Answered => (
                ErrorKind::Unavailable,
                format!("no master is registered at {}", self.ensemble),
            ),
        };
        Err(Error::new(kind, text).with_retry(Retry::Later { after: None }))
    }

    /// The masters once there are any, or what is known after this time.
    ///
    /// # Errors
    /// As [`masters`](Self::masters).
    pub(crate) async fn wait_for_first(&self, limit: Duration) -> Result<Vec<Url>> {
        let mut view = self.view.clone();
        // Its end and that of the task are seen in what is known.
        let _ = timeout(limit, view.wait_for(|v| !v.masters.is_empty())).await;
        self.masters()
    }

    /// Changes whenever another master leads, or none. ZooKeeper's silence is no change.
    pub(crate) fn changed(&self) -> watch::Receiver<Option<Url>> {
        self.leader.clone()
    }
}

impl Drop for Detector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Follower {
    ensemble: Ensemble,
    scheme: &'static str,
    view: watch::Sender<View>,
    leader: watch::Sender<Option<Url>>,
}

impl Follower {
    /// One session after the other.
    async fn run(self) {
        let mut wait = FIRST_WAIT;
        loop {
            let began = Instant::now();
            // A panic of the client library must not be the end of it.
            match AssertUnwindSafe(self.session()).catch_unwind().await {
                Ok(Ok(never)) => match never {},
                Ok(Err(e)) => self.failed(&e),
                Err(_) => self.failed(&ZkError::ClientClosed),
            }
            if began.elapsed() > LONGEST_WAIT {
                wait = FIRST_WAIT;
            }
            sleep(jittered(wait)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Ends with the session, or the first answer that is not as it should be.
    async fn session(&self) -> Result<Infallible, ZkError> {
        let mut connector = Client::connector()
            .with_session_timeout(SESSION)
            .with_fail_eagerly();
        if let Some(login) = self.ensemble.login() {
            connector = connector.with_auth("digest", login.expose().as_bytes());
        }
        let client = connector.connect(self.ensemble.servers()).await?;
        loop {
            let (children, watcher) = self.list_and_watch(&client).await?;
            self.read(&client, &children).await?;
            let mut changed = pin!(watcher.changed());
            let event = loop {
                match timeout(RELIST, changed.as_mut()).await {
                    Ok(event) => break event,
                    Err(_) => {
                        let children = self.list(&client).await?;
                        self.read(&client, &children).await?;
                    }
                }
            };
            if event.event_type == EventType::Session {
                return Err(ZkError::SessionExpired);
            }
        }
    }

    /// A path that is not there yet has no children; its creation is a change.
    async fn list_and_watch(
        &self,
        client: &Client,
    ) -> Result<(Vec<String>, OneshotWatcher), ZkError> {
        let path = self.ensemble.path();
        match client.list_and_watch_children(path).await {
            Err(ZkError::NoNode) => {}
            listed => return listed,
        }
        match client.check_and_watch_stat(path).await? {
            (None, watcher) => Ok((Vec::new(), watcher)),
            // It came in between.
            (Some(_), _) => client.list_and_watch_children(path).await,
        }
    }

    async fn list(&self, client: &Client) -> Result<Vec<String>, ZkError> {
        match client.list_children(self.ensemble.path()).await {
            Err(ZkError::NoNode) => Ok(Vec::new()),
            listed => listed,
        }
    }

    async fn read(&self, client: &Client, children: &[String]) -> Result<(), ZkError> {
        let mut registered: Vec<Registration<'_>> = children
            .iter()
            .filter_map(|name| Registration::of(name))
            .collect();
        registered.sort();
        let mut masters: Vec<Url> = Vec::new();
        for registration in registered.into_iter().take(MOST) {
            let path = format!("{}/{}", self.ensemble.path(), registration.name);
            let data = match client.get_data(&path).await {
                Ok((data, _)) => data,
                // Gone since it was listed, which is told as a change.
                Err(ZkError::NoNode) => continue,
                Err(e) => return Err(e),
            };
            let addresses = registration.addresses(&data, self.scheme);
            if addresses.is_empty() {
                tracing::warn!(zookeeper = %self.ensemble, registration = registration.name, "a master is registered in a form that cannot be read");
            }
            for url in addresses {
                if !masters.contains(&url) {
                    masters.push(url);
                }
            }
        }
        self.answered(masters);
        Ok(())
    }

    fn answered(&self, masters: Vec<Url>) {
        let leader = masters.first().cloned();
        self.view.send_modify(|view| {
            view.masters = masters;
            view.state = State::Answered;
        });
        self.leader.send_if_modified(|last| {
            if *last == leader {
                return false;
            }
            match &leader {
                Some(url) => {
                    tracing::info!(zookeeper = %self.ensemble, master = %url, "the leading master");
                }
                None => tracing::warn!(zookeeper = %self.ensemble, "no master is registered"),
            }
            *last = leader;
            true
        });
    }

    fn failed(&self, e: &ZkError) {
        let state = match e {
            ZkError::NoAuth | ZkError::AuthFailed => State::Refused,
            _ => State::Silent,
        };
        self.view.send_if_modified(|view| {
            if view.state == state {
                return false;
            }
            tracing::warn!(zookeeper = %self.ensemble, error = %e, "ZooKeeper cannot be read; the masters known last are kept");
            view.state = state;
            true
        });
    }
}

/// Between half of it and all, so that watchers do not come back all at once.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_jittered_and_bounded() {
        for wait in [FIRST_WAIT, LONGEST_WAIT] {
            for _ in 0..100 {
                let jittered = jittered(wait);
                assert!(jittered >= wait / 2 && jittered <= wait);
            }
        }
    }
}
