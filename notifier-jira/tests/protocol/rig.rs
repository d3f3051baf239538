//! What several tests need.

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use notifier_core::{
    BackendSettings, DeliveryId, FailureRecord, Links, LogReader, LogTail, Origin, Receipt, Report,
    ReportOptions, Reporter, Result, Settings, jiff::Timestamp,
};
use notifier_http::HttpClient;
use notifier_jira::{JiraReporter, OPTIONS};
use notifier_testkit::jira::{Endpoint, FakeJira};

pub(crate) const FIELDS: &str = "Project:OPS;Issue Type:Bug;Summary:Task {{ .failure.Name }} died with status {{ .failure.State }};Description:[stdout|{{ .stdoutURL }}], [stderr|{{ .stderrURL }}], ID={{ .failure.ID }}";

pub(crate) fn http() -> HttpClient {
    HttpClient::builder()
        // No test waits for it.
        .timeout(Some(Duration::from_secs(60)))
        .connect_timeout(Duration::from_secs(60))
        .build()
        .unwrap()
}

/// Settings that lead to a fake, with others beside.
pub(crate) fn settings(jira: &FakeJira, others: &[(&str, &str)]) -> BackendSettings {
    let mut s = BackendSettings::new(OPTIONS);
    for (k, v) in [
        ("url", jira.url().as_str()),
        ("username", &jira.user()),
        ("password", &jira.token()),
        ("fields", FIELDS),
    ] {
        s.set(Origin::Flag, k, v).unwrap();
    }
    for (k, v) in others {
        s.set(Origin::Flag, k, v).unwrap();
    }
    s
}

/// A reporter with its settings, by the clock of a fake.
pub(crate) struct Rig {
    pub(crate) jira: FakeJira,
    pub(crate) reporter: JiraReporter,
    pub(crate) settings: Settings,
    base: BackendSettings,
}

impl Rig {
    pub(crate) fn new(jira: FakeJira, others: &[(&str, &str)]) -> Self {
        let base = settings(&jira, others);
        Self {
            reporter: reporter(&jira, &base),
            settings: base.instance("default"),
            base,
            jira,
        }
    }

    pub(crate) async fn cloud(others: &[(&str, &str)]) -> Self {
        Self::new(FakeJira::cloud().await.unwrap(), others)
    }

    pub(crate) async fn data_center(others: &[(&str, &str)]) -> Self {
        Self::new(FakeJira::data_center().await.unwrap(), others)
    }

    /// A new process: nothing is remembered.
    pub(crate) fn restart(&mut self) {
        self.reporter = reporter(&self.jira, &self.base);
    }

    pub(crate) async fn send(&self, report: &Report, id: &str) -> Result<Receipt> {
        let id = DeliveryId::new(id);
        self.reporter
            .report(report, &ReportOptions::new(&id, &self.settings))
            .await
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.jira.clock().advance(Duration::from_secs(seconds));
    }
}

pub(crate) fn reporter(jira: &FakeJira, settings: &BackendSettings) -> JiraReporter {
    let clock: Arc<dyn notifier_core::Clock> = jira.clock();
    JiraReporter::new(settings, http(), clock).unwrap()
}

pub(crate) fn failure(n: usize) -> FailureRecord {
    FailureRecord::new(
        format!("web.{n}"),
        "web",
        "TASK_FAILED",
        Timestamp::UNIX_EPOCH,
    )
    .with_default_key()
}

pub(crate) fn report(n: usize) -> Report {
    Report::failure(failure(n)).with_links(Links::new(
        "http://agent.example/stdout",
        "http://agent.example/stderr",
    ))
}

/// 32 digits, as ids of deliveries have, unlike at their beginnings.
pub(crate) fn id(n: usize) -> String {
    format!("{n:08x}{:024x}", 0)
}

/// Logs of these bytes.
#[derive(Debug)]
struct Logs(Vec<u8>);

#[async_trait]
impl LogReader for Logs {
    async fn tail(&self, name: &str, most: usize) -> Result<Option<LogTail>> {
        let from = self.0.len().saturating_sub(most);
        Ok((name == "stderr").then(|| LogTail::new(&self.0[from..], from > 0)))
    }
}

pub(crate) fn with_logs(n: usize) -> Report {
    report(n).with_logs(Arc::new(Logs(
        b"0123456789\r\n--notifier-0000000000000000".to_vec(),
    )))
}

/// Ends a work once an endpoint has had so many requests.
pub(crate) async fn kill_at(
    jira: &FakeJira,
    endpoint: Endpoint,
    count: usize,
    work: impl Future<Output: std::fmt::Debug>,
) {
    let asked = async {
        while jira.count(endpoint) < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        done = work => panic!("it came to its end: {done:?}"),
        () = asked => {}
    }
}
