use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde_json::Value;

use super::spec::JobSpec;
use crate::{http::wall_clock, mesos::TaskState};

/// What Chronos makes of the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is tried again; nothing is counted.
    Retried,
    /// It failed for good.
    Failed,
    /// It failed for good, and the job is disabled for that.
    Disabled,
    /// It succeeded.
    Succeeded,
    /// It succeeded, and since its schedule has run out the job is disabled.
    Exhausted,
    /// Chronos does not care: the run was killed, or the job is gone.
    Ignored,
    /// Not known yet: see [`FakeChronos::hold_counting`](super::FakeChronos::hold_counting).
    Held,
}

/// What Chronos has counted of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// `successCount`.
    pub successes: u64,
    /// `errorCount`.
    pub errors: u64,
    /// `errorsSinceLastSuccess`.
    pub errors_since_success: u64,
    /// `lastSuccess`.
    pub last_success: Option<Timestamp>,
    /// `lastError`.
    pub last_error: Option<Timestamp>,
    /// `disabled`.
    pub disabled: bool,
    /// `schedule`, empty for a job with parents.
    pub schedule: String,
    /// How many of its runs go on.
    pub running: u32,
}

/// A run that ended, for `job/stat`.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) task: String,
    pub(crate) begun: Timestamp,
    pub(crate) ended: Timestamp,
    pub(crate) state: TaskState,
}

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) spec: JobSpec,
    pub(crate) counters: Counters,
    pub(crate) past: VecDeque<Past>,
}

/// The end of a run.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) job: String,
    pub(crate) task: String,
    pub(crate) attempt: u32,
    pub(crate) begun: Timestamp,
    pub(crate) state: TaskState,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) jobs: BTreeMap<String, Job>,
    pub(crate) is_new_api: bool,
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) is_proxy_broken: bool,
    pub(crate) leader: Option<String>,
    pub(crate) framework: String,
    pub(crate) disable_after: u64,
    pub(crate) now: Option<Timestamp>,
    pub(crate) holds: bool,
    pub(crate) held: Vec<Ended>,
    pub(crate) last_id: i64,
    /// The list of jobs as it was served last, until something changes.
    pub(crate) list: Option<String>,
    /// Put in front of the list of jobs as they are.
    pub(crate) odd: Vec<Value>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            jobs: BTreeMap::new(),
            is_new_api: true,
            credentials: None,
            is_proxy_broken: false,
            leader: None,
            framework: "chronos".to_owned(),
            disable_after: 0,
            now: None,
            holds: false,
            held: Vec::new(),
            last_id: 0,
            list: None,
            odd: Vec::new(),
        }
    }
}

/// How many ended runs of a job are kept.
const PAST: usize = 100;

impl Model {
    pub(crate) fn now(&self) -> Timestamp {
        self.now
            .unwrap_or_else(|| Timestamp::try_from(wall_clock()).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    pub(crate) fn add(&mut self, spec: JobSpec) {
        let counters = Counters {
            disabled: spec.disabled,
            schedule: if spec.parents.is_empty() {
                spec.schedule.clone()
            } else {
                String::new()
            },
            ..Counters::default()
        };
        let job = Job {
            counters,
            past: VecDeque::new(),
            spec,
        };
        self.jobs.insert(job.spec.name.clone(), job);
    }

    /// The id of a new run, which no other has.
    pub(crate) fn task_id(&mut self, name: &str, attempt: u32) -> String {
        let ms = self.now().as_millisecond().max(self.last_id + 1);
        self.last_id = ms;
        let arguments = self.jobs.get(name).map_or_else(String::new, |job| {
            job.spec.arguments.join(" ").replace(';', "")
        });
        format!("ct:{ms}:{attempt}:{name}:{arguments}")
    }

    /// A run begins.
    pub(crate) fn begin(&mut self, name: &str, attempt: u32) {
        let Some(job) = self.jobs.get_mut(name) else {
            return;
        };
        job.counters.running += 1;
        if attempt == 0 {
            job.counters.schedule = one_less(&job.counters.schedule);
        }
    }

    pub(crate) fn end(&mut self, ended: Ended) -> Verdict {
        if self.holds {
            self.held.push(ended);
            return Verdict::Held;
        }
        self.count(&ended)
    }

    /// Counts what was held.
    pub(crate) fn count_held(&mut self) -> Vec<Verdict> {
        self.holds = false;
        let held = std::mem::take(&mut self.held);
        held.iter().map(|ended| self.count(ended)).collect()
    }

    fn count(&mut self, ended: &Ended) -> Verdict {
        let now = self.now();
        let disable_after = self.disable_after;
        let Some(job) = self.jobs.get_mut(&ended.job) else {
            return Verdict::Ignored;
        };
        job.counters.running = job.counters.running.saturating_sub(1);
        job.past.push_back(Past {
            task: ended.task.clone(),
            begun: ended.begun,
            ended: now,
            state: ended.state,
        });
        if job.past.len() > PAST {
            job.past.pop_front();
        }
        let c = &mut job.counters;
        match ended.state {
            TaskState::Finished => {
                c.successes += 1;
                c.errors_since_success = 0;
                c.last_success = Some(now);
                if c.schedule.starts_with("R0/") && !c.disabled {
                    c.disabled = true;
                    return Verdict::Exhausted;
                }
                Verdict::Succeeded
            }
            TaskState::Failed | TaskState::Lost => {
                let has_recovered = match (c.last_success, c.last_error) {
                    (_, None) => true,
                    (None, Some(_)) => false,
                    (Some(success), Some(error)) => success >= error,
                };
                if ended.attempt < job.spec.retries && has_recovered {
                    return Verdict::Retried;
                }
                c.errors += 1;
                c.errors_since_success += 1;
                c.last_error = Some(now);
                if disable_after > 0 && c.errors_since_success >= disable_after {
                    c.disabled = true;
                    return Verdict::Disabled;
                }
                Verdict::Failed
            }
            _ => Verdict::Ignored,
        }
    }
}

/// `R4/…` of `R5/…`; others stay as they are.
fn one_less(schedule: &str) -> String {
    let parts = schedule
        .strip_prefix('R')
        .and_then(|rest| rest.split_once('/'));
    match parts.and_then(|(n, rest)| Some((n.parse::<u64>().ok()?, rest))) {
        Some((n, rest)) => format!("R{}/{rest}", n.saturating_sub(1)),
        None => schedule.to_owned(),
    }
}
