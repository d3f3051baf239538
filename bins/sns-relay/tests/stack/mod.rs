//! A real LocalStack with SNS, if it is installed.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use notifier_testkit::{
    peer,
    program::{Program, command},
};
use notifiers::http::HttpClient;
use tempfile::TempDir;

use crate::support::WAIT;

/// The variable that says where its Python is.
const VARIABLE: &str = "NOTIFIER_TEST_LOCALSTACK";

/// Ports to try, below those that the system hands out by itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A LocalStack of one's own, ended when dropped.
pub(crate) struct LocalStack {
    _program: Program,
    _folder: TempDir,
    http: HttpClient,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
}

impl LocalStack {
    /// `None`, said aloud, if it is not installed.
    pub(crate) async fn start(name: &str) -> Option<Self> {
        let bin = peer::path(name, VARIABLE)?;
        let http = HttpClient::builder()
            .timeout(Some(Duration::from_secs(20)))
            .build()
            .unwrap();
        let first = std::process::id() % u32::from(PORTS.end - PORTS.start);
        let first = u16::try_from(first).unwrap();
        let mut log = String::new();
        for step in 0..8 {
            let port = PORTS.start + (first + step * 997) % (PORTS.end - PORTS.start);
            if TcpListener::bind(("127.0.0.1", port)).is_err() {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let own = format!("127.0.0.1:{port}");
            let mut python = command(bin.join("python"));
            python
                .args(["-m", "localstack.runtime.main"])
                .env("GATEWAY_LISTEN", &own)
                .env("LOCALSTACK_HOST", &own)
                .env("SERVICES", "sns,sqs")
                .env("EAGER_SERVICE_LOADING", "1")
                .env("DISABLE_EVENTS", "1")
                .env("SKIP_SSL_CERT_DOWNLOAD", "1")
                .env("DNS_ADDRESS", "0")
                .env("OVERRIDE_IN_DOCKER", "0")
                .env("LOCALSTACK_VOLUME_DIR", folder.path())
                .env("FILESYSTEM_ROOT", folder.path())
                .env("HOME", folder.path())
                .env("TMPDIR", folder.path());
            let mut stack = Self {
                _program: Program::spawn(python),
                _folder: folder,
                http: http.clone(),
                url: format!("http://{own}"),
            };
            if stack.is_ready().await {
                return Some(stack);
            }
            log = stack._program.stderr();
        }
        panic!("LocalStack does not start:\n{log}");
    }

    /// Waits until it answers a request of SNS, or ends.
    async fn is_ready(&mut self) -> bool {
        let end = Instant::now() + 5 * WAIT;
        while self._program.child.try_wait().unwrap().is_none() {
            if self.ask(&[("Action", "ListTopics")]).await.is_ok() {
                return true;
            }
            assert!(
                Instant::now() < end,
                "LocalStack is not ready:\n{}",
                self._program.stderr()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }

    /// One request of SNS' query API; the answer's XML.
    async fn ask(&self, form: &[(&str, &str)]) -> Result<String, String> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("Version", "2010-03-31")
            .extend_pairs(form)
            .finish();
        let answer = self
            .http
            .post(&format!("{}/", self.url))
            // Only the service is read out of it.
            .header("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAX/20260101/us-east-1/sns/aws4_request, SignedHeaders=host, Signature=0")
            .body("application/x-www-form-urlencoded", body)
            .send()
            .await
            .and_then(notifiers::http::Answer::success);
        match answer {
            Ok(answer) => Ok(answer.text().into_owned()),
            Err(e) => Err(e.report().to_string()),
        }
    }

    /// The same, and it must go well.
    pub(crate) async fn expect(&self, form: &[(&str, &str)]) -> String {
        self.ask(form)
            .await
            .unwrap_or_else(|e| panic!("{form:?}: {e}"))
    }

    /// A new topic; its ARN.
    pub(crate) async fn topic(&self, name: &str) -> String {
        let answer = self
            .expect(&[("Action", "CreateTopic"), ("Name", name)])
            .await;
        element(&answer, "TopicArn")
    }

    /// Subscribes an HTTP endpoint; it is then sent a confirmation.
    pub(crate) async fn subscribe(&self, topic: &str, endpoint: &str) {
        self.expect(&[
            ("Action", "Subscribe"),
            ("TopicArn", topic),
            ("Protocol", "http"),
            ("Endpoint", endpoint),
        ])
        .await;
    }

    /// Waits until the subscription of an endpoint is confirmed.
    pub(crate) async fn subscribed(&self, topic: &str, endpoint: &str) {
        let all = self
            .expect(&[("Action", "ListSubscriptionsByTopic"), ("TopicArn", topic)])
            .await;
        let ours = all.split("<member>").find(|m| m.contains(endpoint));
        let arn = ours.map(|m| element(m, "SubscriptionArn"));
        let arn = arn.unwrap_or_else(|| panic!("not subscribed: {all}"));
        let end = Instant::now() + WAIT;
        loop {
            let told = self
                .expect(&[
                    ("Action", "GetSubscriptionAttributes"),
                    ("SubscriptionArn", &arn),
                ])
                .await;
            let pending = told
                .split_once("PendingConfirmation</key>")
                .map(|(_, rest)| rest);
            if pending.is_some_and(|rest| rest.trim_start().starts_with("<value>false")) {
                return;
            }
            assert!(Instant::now() < end, "not confirmed: {told}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Publishes; the message's id.
    pub(crate) async fn publish(&self, topic: &str, message: &str) -> String {
        let answer = self
            .expect(&[
                ("Action", "Publish"),
                ("TopicArn", topic),
                ("Message", message),
            ])
            .await;
        element(&answer, "MessageId")
    }
}

/// The text of an element of XML.
fn element(xml: &str, name: &str) -> String {
    let rest = xml.split_once(&format!("<{name}>")).map(|(_, r)| r);
    rest.and_then(|r| r.split_once('<'))
        .map_or_else(|| panic!("no {name}: {xml}"), |(text, _)| text.to_owned())
}
