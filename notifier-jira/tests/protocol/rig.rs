//! What several tests need.

use std::{sync::Arc, time::Duration};

use notifier_core::{
    BackendSettings, DeliveryId, FailureRecord, Links, Origin, Receipt, Report, ReportOptions,
    Reporter, Result, Settings, jiff::Timestamp,
};
use notifier_http::HttpClient;
use notifier_jira::{JiraReporter, OPTIONS};
use notifier_testkit::jira::FakeJira;

pub(crate) const FIELDS: &str = "Project:OPS;Issue Type:Bug;Summary:Task {{ .failure.Name }} died with status {{ .failure.State }};Description:[stdout|{{ .stdoutURL }}], [stderr|{{ .stderrURL }}], ID={{ .failure.ID }}";

pub(crate) fn http() -> HttpClient {
    HttpClient::builder()
        .timeout(Some(Duration::from_secs(2)))
        .connect_timeout(Duration::from_secs(1))
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
