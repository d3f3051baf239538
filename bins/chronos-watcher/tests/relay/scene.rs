//! A Chronos, its cluster, the relay, and a watcher between them.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use notifier_testkit::{
    chronos::{FakeChronos, JobSpec},
    mesos::{Death, FakeCluster},
    postfix::{Postfix, Rig},
    program::Program,
    smtp::Certificates,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::mail::Mail;

/// How long whatever has to happen may take.
pub(crate) const WAIT: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(50);

pub(crate) struct Scene {
    pub(crate) cluster: FakeCluster,
    pub(crate) chronos: FakeChronos,
    folder: TempDir,
    port: u16,
    user: &'static str,
    /// How many jobs got a name of their own.
    jobs: AtomicUsize,
}

impl Scene {
    pub(crate) async fn new(rig: &Rig) -> Self {
        Self::at(&rig.relay, &rig.certificates, rig.login()).await
    }

    /// With a relay that wants this login.
    pub(crate) async fn at(
        relay: &Postfix,
        certificates: &Certificates,
        login: (&'static str, &'static str),
    ) -> Self {
        let scene = Self {
            cluster: FakeCluster::builder().agents(2).start().await.unwrap(),
            chronos: FakeChronos::start().await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
            port: relay.port(),
            user: login.0,
            jobs: AtomicUsize::new(0),
        };
        std::fs::write(scene.path("ca.pem"), certificates.ca_pem()).unwrap();
        scene.set_password(login.1);
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn set_password(&self, password: &str) {
        std::fs::write(self.path("password"), password).unwrap();
    }

    /// Starts a watcher by Chronos' own flags where it has them. The last one counts of those that are there twice.
    pub(crate) fn start(&self, more: &[&str]) -> Program {
        let mut flags = vec![
            format!("-chronos.urls={}", self.chronos.url()),
            format!("-masters={}", self.cluster.masters_flag()),
            format!("-state-dir={}", self.path("state").display()),
            format!("--mail_server=127.0.0.1:{}", self.port),
            format!("--mail_user={}", self.user),
            format!("--mail_password=file:{}", self.path("password").display()),
            format!("-smtp.ca={}", self.path("ca.pem").display()),
        ];
        let fixed = [
            "--mail_from=chronos@node.example",
            "--cluster_name=prod",
            "-uploader=noop",
            "-chronos.interval=200ms",
            "-chronos.settle=60s",
            "-mesos.interval=200ms",
            "-mesos.sweep=2s",
            "-retry.max-interval=1s",
        ];
        flags.extend(fixed.iter().chain(more).map(|flag| (*flag).to_owned()));
        Program::start(env!("CARGO_BIN_EXE_chronos-watcher"), &flags, &[])
    }

    /// A job that fails for good at each run, and is told of each time.
    pub(crate) fn job(&self, name: &str, owner: &str) {
        let job = JobSpec::new(name).owner(owner).retries(0);
        self.chronos.job(job.env("CHRONOS_NOTIFY", "every"));
    }

    /// Lets a job fail once; returns the id of the run.
    pub(crate) fn fail(&self, job: &str) -> String {
        let run = self.chronos.run(&self.cluster, job);
        run.fail(
            Death::failed()
                .exit(1)
                .message("Container exited with status 1"),
        );
        run.id().to_owned()
    }

    /// Lets a job fail that nobody heard of before, whose owner has this mailbox; returns the id of the run.
    pub(crate) fn fail_new(&self, mailbox: &str) -> String {
        let job = format!("{mailbox}-{}", self.jobs.fetch_add(1, Relaxed));
        self.job(&job, &address(mailbox));
        self.fail(&job)
    }

    /// Lets a job fail until its owner has a mail: a watcher that was started for the first time then knows
    /// what was there before it, so that what fails from now on is told.
    pub(crate) async fn has_begun(&self, inbox: &Postfix, watcher: &mut Program, mailbox: &str) {
        self.job(mailbox, &address(mailbox));
        until(watcher, "telling of a failure", async |_| {
            self.fail(mailbox);
            !inbox.wait_for(mailbox, 1, LOOK * 6).await.is_empty()
        })
        .await;
    }

    /// Lets a job fail, and waits until its owner is told, and nothing is left on the way:
    /// what failed before it is told then, too.
    pub(crate) async fn mark(&self, rig: &Rig, watcher: &mut Program, job: &str) {
        self.job(job, &address(job));
        let run = self.fail(job);
        until(
            watcher,
            "telling of the last failure",
            async |w: &Program| {
                has_noted(w, &run)
                    && !rig.upstream.mailbox(job).is_empty()
                    && rig.relay.queue().await.unwrap().is_empty()
                    && rig.upstream.queue().await.unwrap().is_empty()
            },
        )
        .await;
    }
}

/// The address of a mailbox behind the relay.
pub(crate) fn address(mailbox: &str) -> String {
    format!("{mailbox}@mail.example")
}

/// The mails of a mailbox, each of which is there once.
pub(crate) fn mails(inbox: &Postfix, mailbox: &str) -> Vec<Mail> {
    let mails: Vec<Mail> = inbox
        .mailbox(mailbox)
        .iter()
        .map(|m| Mail::parse(m))
        .collect();
    let ids: BTreeSet<String> = mails.iter().map(Mail::id).collect();
    assert_eq!(
        ids.len(),
        mails.len(),
        "a mail is twice in {mailbox}: {ids:?}"
    );
    mails
}

/// The runs that the mails of a mailbox tell of, in order of their ids.
pub(crate) fn runs(inbox: &Postfix, mailbox: &str) -> Vec<String> {
    let mut runs: Vec<String> = mails(inbox, mailbox)
        .iter()
        .map(|m| {
            let text = m.text();
            let id = text.lines().find_map(|line| line.strip_prefix("Task id: "));
            id.unwrap_or_else(|| panic!("no run in {text}")).to_owned()
        })
        .collect();
    runs.sort();
    runs
}

/// Whether the watcher has noted that the mail about a run is delivered.
pub(crate) fn has_noted(watcher: &Program, run: &str) -> bool {
    let log = watcher.stderr();
    log.lines()
        .any(|l| l.contains(" delivered ") && l.contains(run))
}

/// Waits for something, as long as the watcher runs.
pub(crate) async fn until(
    watcher: &mut Program,
    what: &str,
    mut is_so: impl AsyncFnMut(&Program) -> bool,
) {
    let end = Instant::now() + WAIT;
    while !is_so(watcher).await {
        let ended = watcher.child.try_wait().unwrap();
        assert!(
            ended.is_none() && Instant::now() < end,
            "it is not {what}; ended: {ended:?}\n{}",
            watcher.stderr()
        );
        sleep(LOOK).await;
    }
}

/// Tells a watcher to stop, and looks whether it does so in order; returns its log.
pub(crate) async fn stop(watcher: Program) -> String {
    let ended = watcher.stop().await;
    assert!(ended.status.success(), "{}\n{}", ended.status, ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    ended.stderr
}
