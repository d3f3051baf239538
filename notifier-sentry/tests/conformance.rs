//! The suite of `notifier-testkit`, against its fake Sentry.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::time::Duration;

use async_trait::async_trait;
use notifier_core::{BackendSettings, Origin, Reporter};
use notifier_http::HttpClient;
use notifier_sentry::{OPTIONS, SentryReporter};
use notifier_testkit::{
    conformance::{Harness, Row, RowVerdict as V, Scenario, Setup, suite},
    sentry::{FakeSentry, SentryReply as R},
};

struct Sentry {
    reporter: Arc<SentryReporter>,
    fake: Arc<FakeSentry>,
    projects: AtomicUsize,
}

impl Sentry {
    async fn new() -> Self {
        let http = HttpClient::builder()
            .timeout(Some(Duration::from_secs(2)))
            .connect_timeout(Duration::from_secs(1))
            .build()
            .unwrap();
        let settings = BackendSettings::new(OPTIONS);
        Self {
            reporter: Arc::new(SentryReporter::new(&settings, http).unwrap()),
            fake: Arc::new(FakeSentry::start().await.unwrap()),
            projects: AtomicUsize::new(0),
        }
    }
}

const KEY: &str = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The table of verdicts: an answer and what it means.
fn table() -> Vec<(&'static str, R, V)> {
    let retry = |n| V::Retry {
        after: Some(seconds(n)),
    };
    let later = V::Retry { after: None };
    let limited = "11:error:key:quota_exceeded, 4::organization";
    vec![
        ("200", R::ok(), V::Delivered),
        (
            "200 with a limit",
            R::ok_with_limits("60:error:key"),
            V::Delivered,
        ),
        ("202", R::status(202).stored(true), V::Delivered),
        ("200 with a page", R::html(200), V::Ambiguous),
        (
            "429 with Retry-After",
            R::rate_limited(seconds(9)),
            retry(9),
        ),
        ("429 with limits", R::limits(limited), retry(11)),
        (
            "429 with limits of other kinds",
            R::limits("700:transaction"),
            retry(60),
        ),
        ("429 with neither", R::status(429), retry(60)),
        ("408", R::status(408), later),
        ("425", R::status(425), later),
        ("500", R::status(500), V::Ambiguous),
        ("502", R::html(502), V::Ambiguous),
        ("503", R::status(503), later),
        ("504", R::html(504), V::Ambiguous),
        (
            "a reset after the request",
            R::reset_after_body(),
            V::Ambiguous,
        ),
        (
            "a reset within the request",
            R::reset_before_body(),
            V::Ambiguous,
        ),
        ("no answer", R::hang(), V::Ambiguous),
        ("413", R::status(413), V::Shrink),
        (
            "400 about size",
            R::detail(
                400,
                "event submission rejected",
                &["envelope exceeded size limits"],
            ),
            V::Shrink,
        ),
        ("400", R::detail(400, "bad data", &["no event"]), V::Dead),
        ("401", R::status(401), V::DeadDestination),
        (
            "403 with X-Sentry-Error",
            R::sentry_error(403, "bad sentry DSN public key"),
            V::DeadDestination,
        ),
        (
            "403 with causes",
            R::detail(403, "event submission rejected", &["disabled project"]),
            V::DeadDestination,
        ),
        (
            "403 by a filter",
            R::sentry_error(403, "Event dropped due to filter: localhost"),
            V::Dead,
        ),
        (
            "403 for a repeat",
            R::sentry_error(403, "An event with the same ID already exists.").stored(true),
            V::Delivered,
        ),
        ("404", R::status(404), V::DeadDestination),
        ("405", R::status(405), V::DeadDestination),
        ("410", R::status(410), V::DeadDestination),
        ("415", R::status(415), V::Dead),
        ("422", R::status(422), V::Dead),
        ("501", R::status(501), V::Dead),
        (
            "a redirect",
            R::redirect(307, "https://b.example/"),
            V::DeadDestination,
        ),
    ]
}

#[async_trait]
impl Harness for Sentry {
    fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::<SentryReporter>::clone(&self.reporter)
    }

    async fn prepare(&self, scenario: Scenario) -> Option<Setup> {
        let n = self.projects.fetch_add(1, Ordering::Relaxed);
        let project = format!("p{n}");
        let mut dsn = self.fake.dsn(&project);
        match scenario {
            Scenario::Deliver => {}
            Scenario::RateLimited { after: Some(d) } => {
                self.fake.script(&project, R::rate_limited(d));
            }
            Scenario::RateLimited { after: None } => self.fake.script(&project, R::status(429)),
            Scenario::Unavailable => self.fake.script(&project, R::status(503)),
            Scenario::Refuse => self.fake.script(&project, R::status(400)),
            Scenario::RefuseDestination => {
                dsn = dsn.replace(&self.fake.key(&project), KEY);
            }
            Scenario::CutAfterBody => self.fake.script(&project, R::reset_after_body()),
            Scenario::Hang => self.fake.script(&project, R::hang().stored(true)),
            Scenario::Row(n) => self.fake.script(&project, table().swap_remove(n).1),
            _ => return None,
        }
        let mut s = BackendSettings::new(OPTIONS);
        s.set(Origin::Flag, "dsn", &dsn).unwrap();
        let (fake, tried) = (Arc::clone(&self.fake), Arc::clone(&self.fake));
        let of = project.clone();
        let setup = Setup::new(s.instance("default")).with_received(move || {
            let received = fake.received().into_iter().filter(|a| a.project == of);
            received.map(|a| a.event.to_string()).collect()
        });
        // What is reset before its body counts too.
        let path = dsn.rsplit_once('/').unwrap().1.to_owned();
        let path = format!("/api/{path}/");
        Some(setup.with_attempts(move || {
            tried
                .server()
                .count_requests(|r| r.target.starts_with(&path))
        }))
    }

    fn rows(&self) -> Vec<Row> {
        table()
            .into_iter()
            .map(|(answer, _, verdict)| Row::new(answer, verdict))
            .collect()
    }

    fn secrets(&self) -> Vec<String> {
        vec![KEY.to_owned(), self.fake.key("p0")]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentry_conforms() {
    suite(&Sentry::new().await).await.assert_complete();
}
