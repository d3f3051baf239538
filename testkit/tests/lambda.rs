//! The fake runtime API of Lambda, asked as a runtime does.
#![cfg(feature = "lambda")]

use std::{sync::Arc, time::Duration};

use notifier_core::{Clock as _, SystemClock};
use notifier_testkit::lambda::{FakeLambda, Outcome};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const TIME: Duration = Duration::from_secs(30);
/// Long enough for a busy machine.
const WAIT: Duration = Duration::from_secs(60);

/// A runtime.
struct Runtime {
    lambda: Arc<FakeLambda>,
    client: Client,
}

impl Runtime {
    async fn start() -> Self {
        // One process, many tests: who comes second finds it set.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            lambda: Arc::new(FakeLambda::start().await.unwrap()),
            client: Client::builder().no_proxy().build().unwrap(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/2018-06-01/runtime/{path}", self.lambda.api())
    }

    async fn next(&self) -> Response {
        let asked = self.client.get(self.url("invocation/next")).send();
        tokio::time::timeout(WAIT, asked).await.unwrap().unwrap()
    }

    async fn post(&self, path: &str, body: String) -> Response {
        self.client
            .post(self.url(path))
            .body(body)
            .send()
            .await
            .unwrap()
    }

    fn invoke(&self, event: &'static str, time: Duration) -> JoinHandle<Outcome> {
        let lambda = Arc::clone(&self.lambda);
        tokio::spawn(async move { lambda.invoke(event, time).await.outcome })
    }
}

fn header(response: &Response, name: &str) -> String {
    response.headers()[name].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_event_is_handed_over_and_answered_once() {
    let r = Runtime::start().await;
    let before = SystemClock.now().as_millisecond();
    let invoked = r.invoke(r#"{"a": 1}"#, TIME);
    let event = r.next().await;
    let after = SystemClock.now().as_millisecond();
    let id = header(&event, "lambda-runtime-aws-request-id");
    let deadline: i64 = header(&event, "lambda-runtime-deadline-ms")
        .parse()
        .unwrap();
    let time = i64::try_from(TIME.as_millis()).unwrap();
    assert!((before + time..=after + time).contains(&deadline));
    assert!(header(&event, "lambda-runtime-trace-id").starts_with("Root=1-"));
    assert!(header(&event, "lambda-runtime-invoked-function-arn").starts_with("arn:aws:lambda:"));
    assert_eq!(event.text().await.unwrap(), r#"{"a": 1}"#);

    let path = format!("invocation/{id}/response");
    let other = r.post("invocation/0-0/response", "{}".to_owned()).await;
    assert_eq!(other.status(), 400);
    let huge = r.post(&path, "x".repeat(6 * 1024 * 1024 + 1)).await;
    assert_eq!(huge.status(), 413);
    let answered = r.post(&path, json!({"done": true}).to_string()).await;
    assert_eq!(answered.status(), 202);
    assert_eq!(
        invoked.await.unwrap(),
        Outcome::Response(json!({"done": true}))
    );
    assert_eq!(r.post(&path, "{}".to_owned()).await.status(), 400);
}

#[tokio::test]
async fn a_failure_has_type_and_message() {
    let r = Runtime::start().await;
    let invoked = r.invoke("{}", TIME);
    let id = header(&r.next().await, "lambda-runtime-aws-request-id");
    let why = json!({"errorType": "Undelivered", "errorMessage": "404"}).to_string();
    r.post(&format!("invocation/{id}/error"), why).await;
    let failed = Outcome::Error {
        kind: "Undelivered".to_owned(),
        message: "404".to_owned(),
    };
    assert_eq!(invoked.await.unwrap(), failed);
}

#[tokio::test]
async fn events_wait_their_turn() {
    let r = Runtime::start().await;
    let first = r.invoke("1", TIME);
    let event = r.next().await;
    let id = header(&event, "lambda-runtime-aws-request-id");
    assert_eq!(event.text().await.unwrap(), "1");
    let second = r.invoke("2", TIME);
    r.post(&format!("invocation/{id}/response"), "null".to_owned())
        .await;
    assert_eq!(first.await.unwrap(), Outcome::Response(Value::Null));
    let event = r.next().await;
    assert_eq!(event.text().await.unwrap(), "2");
    // To ask for the next one without an answer is no answer.
    let third = r.invoke("3", TIME);
    assert_eq!(r.next().await.text().await.unwrap(), "3");
    assert_eq!(second.await.unwrap(), Outcome::Exited);
    third.abort();
}

#[tokio::test]
async fn who_is_killed_takes_no_event_along() {
    let r = Runtime::start().await;
    let instance = r.lambda.launch("true", &[]);
    // The connection is ours, and so is there still when the instance is not.
    let (url, client) = (r.url("invocation/next"), Client::builder().no_proxy());
    let client = client.build().unwrap();
    let waiting = tokio::spawn(async move { client.get(url).send().await.is_ok() });
    assert!(r.lambda.wait_until_asked(WAIT).await);
    instance.kill();
    assert!(!r.lambda.wait_until_asked(Duration::ZERO).await);
    let invoked = r.invoke("1", TIME);
    assert_eq!(r.next().await.text().await.unwrap(), "1");
    assert!(!waiting.await.unwrap());
    invoked.abort();
}

#[tokio::test]
async fn who_leaves_while_it_waits_takes_no_event_along() {
    let r = Runtime::start().await;
    // Another client, so that its connection goes with it.
    let other = Runtime {
        lambda: Arc::clone(&r.lambda),
        client: Client::builder().no_proxy().build().unwrap(),
    };
    let waiting = tokio::spawn(async move { other.next().await.status() });
    assert!(r.lambda.wait_until_asked(WAIT).await);
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    let noticed = async {
        while r.lambda.wait_until_asked(Duration::ZERO).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT, noticed).await.unwrap();
    let invoked = r.invoke("1", TIME);
    let event = r.next().await;
    let id = header(&event, "lambda-runtime-aws-request-id");
    r.post(&format!("invocation/{id}/response"), "7".to_owned())
        .await;
    assert_eq!(invoked.await.unwrap(), Outcome::Response(json!(7)));
}

#[tokio::test]
async fn why_a_function_does_not_start_is_kept() {
    let r = Runtime::start().await;
    assert!(r.lambda.init_errors().is_empty());
    let said = r
        .post("init/error", json!({"errorType": "x"}).to_string())
        .await;
    assert_eq!(said.status(), 202);
    assert_eq!(r.lambda.init_errors(), [json!({"errorType": "x"})]);
    assert_eq!(r.post("elsewhere", String::new()).await.status(), 404);
}
