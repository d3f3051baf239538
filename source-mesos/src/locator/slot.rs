//! What is known of one agent.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

use super::trouble::Trouble;
use crate::{sandbox, state::agent::AgentState};

/// For how long one look-up serves.
pub(super) const FRESH: Duration = Duration::from_secs(5);
/// Connections that fail at once may come about a moment later: so many are tried, with
/// this pause between, before the agent counts as one that does not answer.
const STRIKES: u32 = 3;
const MOMENT: Duration = Duration::from_millis(400);
/// How many logs are read from one agent at a time.
const DOWNLOADS: usize = 4;
/// How many ends of logs are read from one agent at a time.
const PAGES: usize = 4;
/// How many directories one agent is asked for at a time.
const BROWSES: usize = 16;

/// What is known of one agent.
pub(super) struct Slot {
    state: Mutex<SlotState>,
    pub(super) downloads: Arc<Semaphore>,
    pub(super) pages: Arc<Semaphore>,
    pub(super) browses: Semaphore,
    /// Its host name does not lead there, its process address does.
    by_process: AtomicBool,
}

#[derive(Default)]
pub(super) struct SlotState {
    pub(super) used: Option<Instant>,
    pub(super) known: Option<Known>,
    /// The agent's work directory. Outlives the state it was learned from.
    root: Option<Arc<str>>,
    /// Why its state is not asked for, and until when.
    trouble: Option<(Instant, Trouble)>,
    /// Why nothing is asked of it, and until when.
    silence: Option<(Instant, Trouble)>,
    pub(super) flight: Option<watch::Receiver<Option<Looked>>>,
    /// Connections that failed at once, in a row.
    strikes: u32,
}

/// An agent's state and when it was asked for.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) asked: Instant,
    pub(super) agent: Arc<AgentState>,
}

pub(super) type Looked = Result<Known, Trouble>;

impl Slot {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            downloads: Arc::new(Semaphore::new(DOWNLOADS)),
            pages: Arc::new(Semaphore::new(PAGES)),
            browses: Semaphore::new(BROWSES),
            by_process: AtomicBool::new(false),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn by_process(&self) -> bool {
        self.by_process.load(Ordering::Relaxed)
    }

    pub(super) fn set_by_process(&self, yes: bool) {
        self.by_process.store(yes, Ordering::Relaxed);
    }

    /// Its state, if it was read a short time ago.
    pub(super) fn known(&self) -> Option<Known> {
        self.lock().fresh(Instant::now()).cloned()
    }

    /// Its work directory, if any state told it so far.
    pub(super) fn root(&self) -> Option<Arc<str>> {
        self.lock().root.clone()
    }

    /// Why nothing is to be asked of it.
    pub(super) fn silence(&self) -> Option<Trouble> {
        self.lock().silence(Instant::now())
    }
}

impl SlotState {
    pub(super) fn fresh(&self, now: Instant) -> Option<&Known> {
        self.known
            .as_ref()
            .filter(|k| now.duration_since(k.asked) < FRESH)
    }

    /// Why its state is not to be asked for.
    pub(super) fn trouble(&self, now: Instant) -> Option<Trouble> {
        self.silence(now).or_else(|| lasts(&self.trouble, now))
    }

    fn silence(&self, now: Instant) -> Option<Trouble> {
        lasts(&self.silence, now)
    }

    /// Notes how a look-up ended.
    pub(super) fn looked(&mut self, looked: &mut Looked, quick: bool) {
        match looked {
            Ok(known) => {
                if let Some(root) = sandbox::root(&known.agent)
                    && self.root.as_deref() != Some(&root)
                {
                    self.root = Some(root.into());
                }
                self.known = Some(known.clone());
                self.trouble = None;
                self.answered();
            }
            Err(trouble) => {
                self.known = None;
                if trouble.whole {
                    self.silent(trouble, quick);
                } else {
                    self.trouble = Some((Instant::now() + trouble.pause, trouble.clone()));
                }
            }
        }
    }

    /// Notes that it does not answer, and for how long it is left alone.
    pub(super) fn silent(&mut self, trouble: &mut Trouble, quick: bool) {
        let now = Instant::now();
        // Of requests that fail side by side only the first counts.
        if let Some(noted) = self.silence(now) {
            trouble.pause = noted.pause;
            return;
        }
        if trouble.no_connection && quick {
            self.strikes += 1;
            if self.strikes < STRIKES {
                trouble.pause = MOMENT;
            }
        }
        self.silence = Some((now + trouble.pause, trouble.clone()));
    }

    /// Notes that it answers.
    pub(super) fn answered(&mut self) {
        self.silence = None;
        self.strikes = 0;
    }
}

fn lasts(noted: &Option<(Instant, Trouble)>, now: Instant) -> Option<Trouble> {
    let (until, trouble) = noted.as_ref().filter(|(until, _)| now < *until)?;
    Some(Trouble {
        pause: *until - now,
        ..trouble.clone()
    })
}

#[cfg(test)]
mod tests {
    use notifier_core::ErrorKind;

    use super::*;
    use crate::state::agent::AgentExecutor;

    fn refused() -> Trouble {
        let mut trouble = Trouble::passing(
            ErrorKind::Unavailable,
            "refused".to_owned(),
            Duration::from_secs(30),
        );
        trouble.no_connection = true;
        trouble.whole = true;
        trouble
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_is_given_up_after_some_failures_in_a_row() {
        let slot = Slot::new();
        for pause in [MOMENT, MOMENT, Duration::from_secs(30)] {
            // Side by side they are one.
            for _ in 0..16 {
                slot.lock().silent(&mut refused(), true);
            }
            assert_eq!(slot.silence().unwrap().pause, pause);
            tokio::time::advance(pause).await;
            assert!(slot.silence().is_none());
        }
        slot.lock().answered();
        slot.lock().silent(&mut refused(), true);
        assert_eq!(slot.silence().unwrap().pause, MOMENT);
        slot.lock().answered();
        assert!(slot.silence().is_none());
        // One that takes long to fail is not tried so often.
        slot.lock().silent(&mut refused(), false);
        assert_eq!(slot.silence().unwrap().pause, Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn the_work_directory_outlives_the_state() {
        let look = |root: Option<&str>| {
            let mut agent = AgentState::default();
            agent.executors.extend(root.map(|root| AgentExecutor {
                framework: "F".into(),
                id: "E".into(),
                directory: format!("{root}/slaves/S/frameworks/F/executors/E/runs/R"),
                ..AgentExecutor::default()
            }));
            Ok(Known {
                asked: Instant::now(),
                agent: Arc::new(agent),
            })
        };
        let slot = Slot::new();
        slot.lock().looked(&mut look(None), true);
        assert_eq!(slot.root(), None);
        slot.lock().looked(&mut look(Some("/a")), true);
        assert!(slot.known().is_some());
        tokio::time::advance(FRESH).await;
        assert!(slot.known().is_none());
        assert_eq!(slot.root().as_deref(), Some("/a"));
        let state_only = Trouble::lasting(
            ErrorKind::PermissionDenied,
            "forbidden".to_owned(),
            Duration::from_secs(30),
        );
        slot.lock().looked(&mut Err(state_only), true);
        // Its state is not asked for, its directories are.
        assert!(slot.lock().trouble(Instant::now()).is_some());
        assert!(slot.silence().is_none());
        slot.lock().looked(&mut look(None), true);
        assert_eq!(slot.root().as_deref(), Some("/a"));
        slot.lock().looked(&mut look(Some("/b")), true);
        assert_eq!(slot.root().as_deref(), Some("/b"));
    }
}
