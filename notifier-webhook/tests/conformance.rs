//! The suite of `notifier-testkit`, against its fake receiver, which asks for signatures.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use notifier_core::{BackendSettings, Origin, Reporter};
use notifier_http::HttpClient;
use notifier_testkit::{
    conformance::{Harness, Row, RowVerdict as V, Scenario, Setup, suite},
    webhook::{FakeWebhook, WebhookReply as R},
};
use notifier_webhook::{OPTIONS, WebhookReporter};
use tokio::net::TcpSocket;

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const TOKEN: &str = "s3cr3t-token";
const HEADER: &str = "s3cr3t-header";

struct Webhook {
    reporter: Arc<WebhookReporter>,
    fake: Arc<FakeWebhook>,
    hooks: AtomicUsize,
    /// Kept so that nobody listens there.
    ports: Mutex<Vec<TcpSocket>>,
}

impl Webhook {
    async fn new() -> Self {
        let http = HttpClient::builder()
            .timeout(Some(Duration::from_secs(5)))
            .connect_timeout(Duration::from_secs(4))
            .build()
            .unwrap();
        let settings = BackendSettings::new(OPTIONS);
        Self {
            reporter: Arc::new(WebhookReporter::new(&settings, http).unwrap()),
            fake: Arc::new(FakeWebhook::start().await.unwrap()),
            hooks: AtomicUsize::new(0),
            ports: Mutex::default(),
        }
    }
}

/// What a row's receiver does.
enum Does {
    Answer(R),
    /// It asks for another key than ours.
    OtherKey,
    /// Nobody listens.
    Nothing,
}

/// The table of verdicts: an answer and what it means.
fn table() -> Vec<(String, Does, V)> {
    let later = V::Retry { after: None };
    let after = |n| V::Retry {
        after: Some(Duration::from_secs(n)),
    };
    let wait = Duration::from_secs(9);
    let mut rows = vec![
        ("no connection".to_owned(), Does::Nothing, later),
        (
            "a wrong signature".to_owned(),
            Does::OtherKey,
            V::DeadDestination,
        ),
    ];
    let mut add =
        |name: &str, reply, verdict| rows.push((name.to_owned(), Does::Answer(reply), verdict));
    for status in [200, 201, 202, 203, 204, 206, 226] {
        add(&status.to_string(), R::status(status), V::Delivered);
    }
    add("200 with a page", R::html(200).taken(true), V::Delivered);
    for status in [408, 425, 429, 503] {
        add(&status.to_string(), R::status(status), later);
        add(
            &format!("{status} with Retry-After"),
            R::retry_after(status, wait),
            after(9),
        );
    }
    for status in [500, 502, 504, 507, 520, 522, 530] {
        add(&status.to_string(), R::html(status), V::Ambiguous);
    }
    add(
        "500 of one that has it",
        R::status(500).taken(true),
        V::Ambiguous,
    );
    add(
        "a reset after the request",
        R::reset_after_body(),
        V::Ambiguous,
    );
    add(
        "a reset within the request",
        R::reset_before_body(),
        V::Ambiguous,
    );
    add("no answer", R::hang(), V::Ambiguous);
    for status in [301, 302, 303, 307, 308] {
        let to = "http://127.0.0.1:1/";
        add(
            &status.to_string(),
            R::redirect(status, to),
            V::DeadDestination,
        );
    }
    for status in [304, 401, 403, 404, 405, 407, 410, 511] {
        add(
            &status.to_string(),
            R::text(status, "no"),
            V::DeadDestination,
        );
    }
    for status in [
        400, 402, 406, 409, 411, 413, 415, 422, 423, 431, 451, 501, 505, 508,
    ] {
        add(&status.to_string(), R::text(status, "no"), V::Dead);
    }
    rows
}

#[async_trait]
impl Harness for Webhook {
    fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::<WebhookReporter>::clone(&self.reporter)
    }

    async fn prepare(&self, scenario: Scenario) -> Option<Setup> {
        let n = self.hooks.fetch_add(1, Ordering::Relaxed);
        let hook = format!("h{n}");
        let does = match scenario {
            Scenario::Deliver => None,
            Scenario::RateLimited { after: Some(d) } => Some(Does::Answer(R::retry_after(429, d))),
            Scenario::RateLimited { after: None } => Some(Does::Answer(R::status(429))),
            Scenario::Unavailable => Some(Does::Answer(R::status(503))),
            Scenario::Refuse => Some(Does::Answer(R::status(400))),
            Scenario::RefuseDestination => Some(Does::Answer(R::status(410))),
            Scenario::CutAfterBody => Some(Does::Answer(R::reset_after_body())),
            Scenario::Hang => Some(Does::Answer(R::hang())),
            Scenario::Row(n) => Some(table().swap_remove(n).1),
            _ => return None,
        };
        let mut url = self.fake.url(&hook);
        let mut is_there = true;
        self.fake.require_signature(&hook, [KEY]);
        match does {
            None => {}
            Some(Does::Answer(reply)) => self.fake.script(&hook, reply),
            Some(Does::OtherKey) => self
                .fake
                .require_signature(&hook, ["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"]),
            Some(Does::Nothing) => {
                // Bound and not listening: nobody else gets the port.
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
                url = format!("http://{}/in/s3cr3t-path", socket.local_addr().unwrap());
                self.ports.lock().unwrap().push(socket);
                is_there = false;
            }
        }
        let mut s = BackendSettings::new(OPTIONS);
        for (key, value) in [
            ("url", url.as_str()),
            ("signing_key", KEY),
            ("token", TOKEN),
            ("headers", &format!("X-Key: {HEADER}")),
        ] {
            s.set(Origin::Flag, key, value).unwrap();
        }
        let setup = Setup::new(s.instance("default"));
        if !is_there {
            return Some(setup);
        }
        let (fake, tried) = (Arc::clone(&self.fake), Arc::clone(&self.fake));
        let path = self.fake.path(&hook);
        Some(
            setup
                .with_received(move || {
                    let received = fake.received().into_iter().filter(|c| c.hook == hook);
                    received.map(|c| c.text).collect()
                })
                // What is reset before its body counts too.
                .with_attempts(move || tried.server().count_requests(|r| r.target == path)),
        )
    }

    fn rows(&self) -> Vec<Row> {
        table()
            .into_iter()
            .map(|(answer, _, verdict)| Row::new(answer, verdict))
            .collect()
    }

    fn secrets(&self) -> Vec<String> {
        let secrets = [KEY, &KEY[6..], TOKEN, HEADER, "s3cr3t-path"];
        let paths = (0..self.hooks.load(Ordering::Relaxed).max(1))
            .map(|n| self.fake.path(&format!("h{n}"))[4..].to_owned());
        secrets
            .into_iter()
            .map(str::to_owned)
            .chain(paths)
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_conforms() {
    suite(&Webhook::new().await).await.assert_complete();
}
