use std::sync::Arc;

use jiff::Timestamp;

use super::model::{Ended, Model, Verdict};
use super::server::Shared;
use crate::{
    http::lock,
    mesos::{Death, FakeCluster, TaskHandle, TaskSpec},
};

/// One run of a job. Cheap to clone; it goes on when dropped.
#[derive(Debug, Clone)]
pub struct Run {
    shared: Arc<Shared>,
    place: Option<(FakeCluster, TaskHandle)>,
    id: String,
    job: String,
    attempt: u32,
    begun: Timestamp,
}

impl Run {
    pub(crate) fn start(
        shared: &Arc<Shared>,
        cluster: Option<&FakeCluster>,
        job: &str,
        attempt: u32,
        spec: impl FnOnce(TaskSpec) -> TaskSpec,
    ) -> Self {
        let mut model = lock(&shared.model);
        model.list = None;
        let id = model.task_id(job, attempt);
        model.begin(job, attempt);
        let place =
            cluster.map(|cluster| (cluster.clone(), launch(&model, cluster, &id, job, spec)));
        Self {
            shared: Arc::clone(shared),
            place,
            id,
            job: job.to_owned(),
            attempt,
            begun: model.now(),
        }
    }

    /// The id of its task, `ct:MS:ATTEMPT:JOB:ARGUMENTS`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its job.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.job
    }

    /// Which attempt it is, from 0.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Its task, if a cluster runs it.
    #[must_use]
    pub fn task(&self) -> Option<&TaskHandle> {
        self.place.as_ref().map(|(_, task)| task)
    }

    /// It ends so: first the cluster tells it, then Chronos makes up its mind.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a death is made for one call"
    )]
    pub fn fail(&self, death: Death) -> Verdict {
        if let Some((cluster, task)) = &self.place {
            cluster.fail(task, death.clone());
        }
        self.end(&death)
    }

    /// As [`fail`](Self::fail), and Chronos has made up its mind before the cluster tells it.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a death is made for one call"
    )]
    pub fn fail_late(&self, death: Death) -> Verdict {
        let verdict = self.end(&death);
        if let Some((cluster, task)) = &self.place {
            cluster.fail(task, death.clone());
        }
        verdict
    }

    /// Chronos counts its end, of which the cluster tells nothing.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a death is made for one call"
    )]
    pub fn fail_unseen(&self, death: Death) -> Verdict {
        self.end(&death)
    }

    /// It succeeds.
    pub fn succeed(&self) -> Verdict {
        self.fail(Death::finished())
    }

    /// It is killed.
    pub fn kill(&self) -> Verdict {
        self.fail(Death::killed())
    }

    /// The next attempt, at the same place.
    #[must_use]
    pub fn retry(&self) -> Self {
        let cluster = self.place.as_ref().map(|(cluster, _)| cluster);
        Self::start(&self.shared, cluster, &self.job, self.attempt + 1, |spec| {
            spec
        })
    }

    fn end(&self, death: &Death) -> Verdict {
        let mut model = lock(&self.shared.model);
        model.list = None;
        model.end(Ended {
            job: self.job.clone(),
            task: self.id.clone(),
            attempt: self.attempt,
            begun: self.begun,
            state: death.state,
        })
    }
}

fn launch(
    model: &Model,
    cluster: &FakeCluster,
    id: &str,
    job: &str,
    spec: impl FnOnce(TaskSpec) -> TaskSpec,
) -> TaskHandle {
    let task = TaskSpec::new(id)
        .name(format!("ChronosTask:{job}"))
        .framework(model.framework.as_str());
    cluster.launch(spec(task))
}
