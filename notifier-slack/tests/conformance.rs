//! The suite of `notifier-testkit`, against a Slack made of wiremock and raw sockets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use notifier_core::{BackendSettings, Origin, Reporter};
use notifier_http::HttpClient;
use notifier_slack::{OPTIONS, SlackReporter};
use notifier_testkit::conformance::{Harness, Scenario, Setup, suite};
use tokio::{io::AsyncReadExt, net::TcpListener};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::method};

const SECRET: &str = "s3cr3t-hook-path";

type Seen = Arc<Mutex<Vec<String>>>;

struct Slack {
    reporter: Arc<SlackReporter>,
    /// Kept so that servers live as long as the suite.
    servers: Mutex<Vec<MockServer>>,
}

impl Slack {
    fn new() -> Self {
        let http = HttpClient::builder()
            .timeout(Some(Duration::from_secs(2)))
            .connect_timeout(Duration::from_secs(1))
            .build()
            .unwrap();
        let settings = BackendSettings::new(OPTIONS);
        Self {
            reporter: Arc::new(SlackReporter::new(&settings, http).unwrap()),
            servers: Mutex::default(),
        }
    }
}

/// Answers, and keeps what it was asked.
struct Answer(ResponseTemplate, Seen);

impl Respond for Answer {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.1
            .lock()
            .unwrap()
            .push(String::from_utf8(request.body.clone()).unwrap());
        self.0.clone()
    }
}

/// `takes`: what is asked counts as a message, as it does not if the answer is no.
fn setup(base: &str, seen: Seen, takes: bool) -> Setup {
    let mut s = BackendSettings::new(OPTIONS);
    s.set(
        Origin::Flag,
        "hook_url",
        &format!("{base}/services/T0/B0/{SECRET}"),
    )
    .unwrap();
    s.set(Origin::Flag, "channel", "#ops").unwrap();
    let tried = Arc::clone(&seen);
    Setup::new(s.instance("default"))
        .with_received(move || {
            let messages = if takes {
                seen.lock().unwrap().clone()
            } else {
                Vec::new()
            };
            assert!(messages.iter().all(|m| !m.contains("\\u0000")));
            messages
        })
        .with_attempts(move || tried.lock().unwrap().len())
}

#[async_trait]
impl Harness for Slack {
    fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::<SlackReporter>::clone(&self.reporter)
    }

    async fn prepare(&self, scenario: Scenario) -> Option<Setup> {
        let seen = Seen::default();
        let answer = match scenario {
            Scenario::Deliver => ResponseTemplate::new(200).set_body_string("ok"),
            Scenario::RateLimited { after: None } => ResponseTemplate::new(429),
            Scenario::RateLimited { after: Some(d) } => {
                ResponseTemplate::new(429).insert_header("retry-after", d.as_secs().to_string())
            }
            Scenario::Unavailable => ResponseTemplate::new(503),
            Scenario::Refuse => ResponseTemplate::new(400).set_body_string("no_text"),
            Scenario::RefuseDestination => ResponseTemplate::new(404).set_body_string("no_service"),
            Scenario::Hang => ResponseTemplate::new(200).set_delay(Duration::from_secs(60)),
            Scenario::CutAfterBody => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let base = format!("http://{}", listener.local_addr().unwrap());
                let took = Arc::clone(&seen);
                tokio::spawn(async move {
                    while let Ok((mut s, _)) = listener.accept().await {
                        let mut b = vec![0; 65536];
                        let n = s.read(&mut b).await.unwrap_or(0);
                        let text = String::from_utf8_lossy(&b[..n]);
                        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
                        took.lock().unwrap().push(body.to_owned());
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                });
                return Some(setup(&base, seen, true));
            }
            _ => return None,
        };
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .respond_with(Answer(answer, Arc::clone(&seen)))
            .mount(&server)
            .await;
        let takes = matches!(scenario, Scenario::Deliver | Scenario::Hang);
        let setup = setup(&server.uri(), seen, takes);
        self.servers.lock().unwrap().push(server);
        Some(setup)
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_conforms() {
    suite(&Slack::new()).await.assert_complete();
}
