//! What becomes of failed runs and of jobs, and who is told.

use std::collections::{BTreeMap, HashMap};

use notifier_core::FailureRecord;
use tokio::time::Instant;

use crate::{
    Backlog, Notify,
    api::List,
    entry::{Entry, Run},
    job::{Job, NOTIFY},
    record::{self, News, iso},
    rule::{self, Verdict},
    watch::{Waiting, Watch},
};

/// A job counts as deleted when so many lists in a row lack it, and for an interval at least;
/// if they are empty, as a Chronos that has only begun to lead may say, so many.
const MISSING: u32 = 2;
const MISSING_FROM_NOTHING: u32 = 4;
/// How many jobs that no list has are remembered.
const UNLISTED: usize = 1000;

/// What a failed run came to.
enum Judgement {
    /// It is not known yet.
    Later(Waiting),
    /// The API has told of it.
    Told,
    Is(Waiting, Verdict),
}

impl Watch {
    /// Takes a list in.
    pub(crate) fn learn(&mut self, list: List) {
        let now = Instant::now();
        let is_first = self.listed.is_none();
        let since = self.listed.unwrap_or(i64::MAX);
        self.is_changed |= is_first;
        self.listed = Some(self.config.clock.now().as_millisecond());
        let is_empty = list.jobs.is_empty();
        if list.skipped == 0 {
            let needed = if is_empty {
                MISSING_FROM_NOTHING
            } else {
                MISSING
            };
            self.miss(|name| list.jobs.contains_key(name), needed, now);
        }
        let mut news = Vec::new();
        let mut unlisted = self.runs_of_unlisted(&list.jobs, now);
        for (name, job) in list.jobs {
            if let Some(entry) = self.jobs.get_mut(&name) {
                let runs = unlisted.remove(&name).unwrap_or_default();
                self.is_changed |= entry.renew(job, runs);
            } else {
                let failed = job.error_time();
                let is_untold = if is_first {
                    self.config.backlog == Backlog::Report
                        && (job.disabled || failed.is_some_and(|f| Some(f) > job.success_time()))
                } else {
                    failed.is_some_and(|f| f.as_millisecond() >= since)
                };
                let entry = if is_untold {
                    Entry::with_last_error_untold(job)
                } else {
                    Entry::new(job)
                };
                self.is_changed |= !is_first;
                self.jobs.insert(name.clone(), entry);
            }
            news.push(name);
        }
        self.judge_runs();
        for name in news {
            self.look_at(&name);
        }
    }

    /// The failed runs that wait of jobs of which this is the first list. Chronos, which could not
    /// be read perhaps, has `settle` from now on to count them.
    fn runs_of_unlisted(
        &mut self,
        listed: &HashMap<String, Job>,
        now: Instant,
    ) -> HashMap<String, Vec<Run>> {
        let mut all: HashMap<String, Vec<Run>> = HashMap::new();
        for w in &mut self.waiting {
            let is_known = self.jobs.get(&w.job).is_none_or(Entry::is_listed);
            if is_known || !listed.contains_key(&w.job) {
                continue;
            }
            w.deadline = w.deadline.max((now + self.config.settle).min(w.latest));
            if rule::counts(&w.failure.state) {
                all.entry(w.job.clone()).or_default().push(Run {
                    failed: w.failure.finished,
                    due: w.due,
                    attempt: w.attempt.unwrap_or(u32::MAX),
                });
            }
        }
        all
    }

    /// Notes which jobs are missing, and tells of those that were deleted.
    fn miss(&mut self, has: impl Fn(&str) -> bool, needed: u32, now: Instant) {
        let interval = self.config.interval;
        let mut deleted = Vec::new();
        for (name, entry) in self.jobs.iter_mut().filter(|(_, e)| e.is_listed()) {
            if has(name) {
                continue;
            }
            let (since, lists) = entry.missing.unwrap_or((now, 0));
            entry.missing = Some((since, lists + 1));
            if lists + 1 >= needed && now.duration_since(since) >= interval {
                deleted.push(name.clone());
            }
        }
        for name in deleted {
            if self.waiting.iter().any(|w| w.job == name) {
                continue;
            }
            let Some(entry) = self.jobs.remove(&name) else {
                continue;
            };
            self.owed.remove(&name);
            self.is_changed = true;
            self.tell_job(News::Deleted, &entry, entry.job.errors_in_a_row);
        }
        let unlisted = self.jobs.values().filter(|e| !e.is_listed()).count();
        if unlisted > UNLISTED {
            let busy = |name: &str| self.waiting.iter().any(|w| w.job == name);
            let idle: Vec<String> = self
                .jobs
                .iter()
                .filter(|(name, e)| !e.is_listed() && !busy(name))
                .map(|(name, _)| name.clone())
                .collect();
            for name in idle {
                self.jobs.remove(&name);
            }
        }
    }

    /// Judges what can be judged now.
    pub(crate) fn judge(&mut self) {
        self.judge_runs();
        let names: Vec<String> = self.owed.iter().cloned().collect();
        for name in names {
            self.look_at(&name);
        }
    }

    fn judge_runs(&mut self) {
        let mut all: BTreeMap<String, Vec<Waiting>> = BTreeMap::new();
        for run in self.waiting.drain(..) {
            all.entry(run.job.clone()).or_default().push(run);
        }
        for (name, runs) in all {
            self.judge_runs_of(&name, runs);
        }
    }

    fn judge_runs_of(&mut self, name: &str, mut runs: Vec<Waiting>) {
        // Of those of one second, the one that was launched earlier.
        runs.sort_by_key(|w| (w.failure.finished, w.due));
        let mut entry = match (self.jobs.remove(name), runs.first()) {
            (Some(entry), _) => entry,
            (None, Some(first)) => Entry::unlisted(name, first.failure.finished),
            (None, None) => return,
        };
        let judgements = self.verdicts(&mut entry, runs);
        for judgement in judgements {
            match judgement {
                Judgement::Later(run) => self.waiting.push_back(run),
                Judgement::Told => self.is_changed = true,
                Judgement::Is(run, verdict) => {
                    self.is_changed = true;
                    if verdict == Verdict::Unknown && rule::counts(&run.failure.state) {
                        entry.expect_unlisted();
                    }
                    let runs = entry.count_runs(1, run.failure.finished);
                    let notify = self.notify(&entry, Some(&run.failure));
                    let is_told = notify.tells(runs, verdict.is_final());
                    tracing::debug!(
                        job = name, task = %run.failure.id, ?verdict, runs, ?notify, is_told,
                        "a run of a job failed"
                    );
                    if is_told {
                        self.outgoing.push(record::of_run(
                            run.failure,
                            &entry,
                            run.attempt,
                            &verdict,
                            runs,
                            &self.config,
                        ));
                    }
                }
            }
        }
        self.jobs.insert(name.to_owned(), entry);
        self.look_at(name);
    }

    /// The verdicts over failed runs of one job, in the order in which they failed.
    fn verdicts(&self, entry: &mut Entry, runs: Vec<Waiting>) -> Vec<Judgement> {
        let now = Instant::now();
        let growth = entry.growth();
        let mut last_error = entry.before().last_error;
        // Failures for good: those that Chronos has counted, and all.
        let (mut counted, mut finals) = (0, 0);
        let mut is_disabled = false;
        let mut out = Vec::with_capacity(runs.len());
        for run in runs {
            let failed = run.failure.finished;
            let is_due = now >= run.deadline;
            let is_fresh = self.is_fresh(&run);
            // What came before a failure that is counted is judged with it, by the same state.
            let is_ripe = is_due || is_fresh || growth > 0;
            let attempt = run.attempt.unwrap_or(u32::MAX);
            let retries = entry.job.retries;
            let verdict = if !entry.is_listed() {
                // A Chronos that has only begun to lead knows no jobs yet.
                let is_missing = is_fresh && (is_due || !self.is_list_empty);
                (is_missing || now >= run.latest).then_some(Verdict::Unknown)
            } else if !rule::counts(&run.failure.state) {
                Some(Verdict::Ignored)
            } else if entry.was_told_by_api(failed) && growth == 0 && attempt >= retries {
                out.push(Judgement::Told);
                continue;
            } else if entry.is_past(failed) {
                let verdict = if attempt < retries {
                    Verdict::Retried
                } else {
                    Verdict::Final {
                        failures: entry.job.errors_in_a_row.max(1),
                        at: None,
                        is_disabled: false,
                    }
                };
                is_ripe.then_some(verdict)
            } else if rule::is_retried(attempt, retries, &entry.success_at(failed), &last_error) {
                is_ripe.then_some(Verdict::Retried)
            } else if entry.was_told_by_api(failed) && growth == 0 {
                out.push(Judgement::Told);
                continue;
            } else {
                finals += 1;
                let is_counted = finals <= growth;
                let at = if finals == growth && !entry.job.last_error.is_empty() {
                    entry.job.last_error.clone()
                } else {
                    iso(failed)
                };
                last_error.clone_from(&at);
                if is_counted || is_due {
                    let failures = entry.failures(finals);
                    let is_last = finals >= growth;
                    let disables = self.is_disabled_for(entry, failures, is_counted && is_last);
                    is_disabled |= disables;
                    if is_counted {
                        counted += 1;
                    } else {
                        entry.expect(failed, disables);
                    }
                    Some(Verdict::Final {
                        failures,
                        at: is_counted.then_some(at),
                        is_disabled: disables,
                    })
                } else {
                    None
                }
            };
            out.push(match verdict {
                Some(verdict) => Judgement::Is(run, verdict),
                None => Judgement::Later(run),
            });
        }
        if counted > 0 {
            entry.told(counted, is_disabled);
        }
        out
    }

    /// Whether a job was disabled for a failure: the so-manieth in a row, and perhaps the last
    /// that Chronos counts.
    fn is_disabled_for(&self, entry: &Entry, failures: u64, is_last: bool) -> bool {
        let most = self.config.disable_after;
        if most > 0 && failures >= most {
            return true;
        }
        is_last && entry.is_newly_disabled() && !entry.job.has_run_out()
    }

    /// Tells what Chronos counts or did of a job, and nobody else tells.
    fn look_at(&mut self, name: &str) {
        // Once none of its runs waits it is looked at again.
        self.owed.remove(name);
        if self.waiting.iter().any(|w| w.job == name) {
            return;
        }
        let Some(mut entry) = self.jobs.remove(name) else {
            return;
        };
        if entry.is_listed() {
            self.look_at_entry(name, &mut entry);
        }
        self.jobs.insert(name.to_owned(), entry);
    }

    fn look_at_entry(&mut self, name: &str, entry: &mut Entry) {
        let now = Instant::now();
        entry.absorb();
        let growth = entry.growth();
        if growth > 0 {
            let since = *entry.owed_since.get_or_insert(now);
            if self.has_inner && now < since + self.config.settle {
                // The cluster may tell it, and more of it.
                self.owed.insert(name.to_owned());
                return;
            }
            self.is_changed = true;
            let failed = entry
                .job
                .error_time()
                .unwrap_or_else(|| self.config.clock.now());
            let failures = entry.failures(growth);
            let is_disabled = self.is_disabled_for(entry, failures, true) && entry.job.disabled;
            let news = if is_disabled {
                News::Disabled
            } else {
                News::Failed
            };
            let runs = entry.count_runs(growth, failed);
            let runs = if self.has_inner { runs } else { failures };
            if self.notify(entry, None).tells(runs, true) {
                self.tell_job(news, entry, failures);
            }
            entry.note_told_by_api(failed);
            entry.told(growth, is_disabled);
        }
        if entry.is_newly_disabled() {
            self.is_changed = true;
            let news = if entry.job.has_run_out() {
                News::Exhausted
            } else {
                News::Disabled
            };
            self.tell_job(news, entry, entry.job.errors_in_a_row);
            entry.told(0, true);
        }
        entry.settle();
    }

    fn tell_job(&mut self, news: News, entry: &Entry, failures: u64) {
        let seen = self.config.clock.now();
        let failure = record::of_job(news, entry, failures, seen, &self.config);
        tracing::debug!(job = entry.job.name, ?news, "Chronos tells of a job");
        self.outgoing.push(failure);
    }

    /// From which failure on a job is told.
    fn notify(&self, entry: &Entry, failure: Option<&FailureRecord>) -> Notify {
        let label = failure.and_then(|f| {
            let mut labels = f.labels.iter();
            labels.find(|(key, _)| key.eq_ignore_ascii_case(NOTIFY))
        });
        let Some(text) = entry.job.notify.as_ref().or(label.map(|(_, v)| v)) else {
            return self.config.notify;
        };
        Notify::parse(text).unwrap_or_else(|| {
            tracing::warn!(
                job = entry.job.name,
                value = text,
                "CHRONOS_NOTIFY is neither every nor final nor a number from 1 on; it counts as not set"
            );
            self.config.notify
        })
    }
}
