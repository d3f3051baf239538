//! A function, and whom it tells.

use std::{fs, path::PathBuf, time::Duration};

use notifier_testkit::{
    http::Reply,
    lambda::{Answer, FakeLambda, Instance},
    slack::FakeSlack,
};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:fleet-alert";

/// The function's time: longer than anything takes on a busy machine.
pub(crate) const TIME: Duration = Duration::from_secs(600);
/// The function's time where it is to run out.
pub(crate) const SHORT: Duration = Duration::from_secs(3);

/// A Lambda, a Slack, and a folder.
pub(crate) struct Scene {
    pub(crate) lambda: FakeLambda,
    pub(crate) slack: FakeSlack,
    pub(crate) folder: TempDir,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self {
            lambda: FakeLambda::start().await.unwrap(),
            slack: FakeSlack::start().await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// An instance that tells Slack, with more variables.
    pub(crate) fn launch(&self, more: &[(&str, &str)]) -> Instance {
        let hook = self.slack.hook_url("main");
        let mut env = vec![
            ("COMPLAINER_REPORTERS", "slack"),
            ("SLACK_HOOK_URL", hook.as_str()),
            ("SLACK_RATE", "unlimited"),
        ];
        env.extend(more);
        self.lambda.launch(env!("CARGO_BIN_EXE_sns-relay"), &env)
    }

    /// An instance that tells Slack and a file.
    pub(crate) fn launch_both(&self, more: &[(&str, &str)]) -> Instance {
        let file = self.file();
        let mut env = vec![
            ("COMPLAINER_REPORTERS", "slack,file"),
            ("FILE_NAME", file.to_str().unwrap()),
        ];
        env.extend(more);
        self.launch(&env)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("told")
    }

    /// The lines of the file.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.file()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) async fn invoke(&self, event: &Value) -> Answer {
        self.invoke_for(event, TIME).await
    }

    pub(crate) async fn invoke_for(&self, event: &Value, time: Duration) -> Answer {
        self.lambda.invoke(event.to_string(), time).await
    }

    /// What Slack took.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.slack.received().into_iter().map(|m| m.text).collect()
    }

    /// Slack asks for an hour's time from now on, which is longer than a function has.
    pub(crate) fn slack_is_busy(&self) {
        let busy = Reply::text(429, "rate_limited").header("Retry-After", "3600");
        self.slack.server().always(busy);
    }

    /// Slack works again.
    pub(crate) fn slack_works(&self) {
        self.slack.server().clear();
    }
}

/// A message of SNS as its event has it.
/// (docs.aws.amazon.com/lambda/latest/dg/with-sns.html, read 2026-11)
pub(crate) fn sns(id: &str, message: &str) -> Value {
    json!({
        "SignatureVersion": "1",
        "Timestamp": "2026-01-09T11:00:00.000Z",
        "Signature": "tcc6faL2yUC6dgZdmrwh1Y4cGa/ebXEkAi6RibDsvpi+tE/1+82j",
        "SigningCertUrl": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-ac565b8b.pem",
        "MessageId": id,
        "Message": message,
        "MessageAttributes": {"env": {"Type": "String", "Value": "prod"}},
        "Type": "Notification",
        "UnsubscribeUrl": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
        "TopicArn": TOPIC,
        "Subject": null,
    })
}

/// An event of SNS.
pub(crate) fn event(message: &Value) -> Value {
    json!({"Records": [{
        "EventVersion": "1.0",
        "EventSubscriptionArn": format!("{TOPIC}:21be56ed-a058-49f5-8c98-aedd2564c486"),
        "EventSource": "aws:sns",
        "Sns": message,
    }]})
}

/// An event of SNS with a plain text.
pub(crate) fn text(id: &str, message: &str) -> Value {
    event(&sns(id, message))
}

/// A message of a queue.
/// (docs.aws.amazon.com/lambda/latest/dg/with-sqs.html, read 2026-11)
pub(crate) fn queued(id: &str, body: &str, group: Option<&str>) -> Value {
    let queue = match group {
        Some(_) => "arn:aws:sqs:eu-west-1:123456789012:alerts.fifo",
        None => "arn:aws:sqs:eu-west-1:123456789012:alerts",
    };
    let mut message = json!({
        "messageId": id,
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1767956400000",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1767956400001",
        },
        "messageAttributes": {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": queue,
        "awsRegion": "eu-west-1",
    });
    if let Some(group) = group {
        message["attributes"]["MessageGroupId"] = group.into();
        message["attributes"]["SequenceNumber"] = "18849496460467696128".into();
    }
    message
}

/// Sends a message of a queue to a channel of Slack.
pub(crate) fn to_channel(mut message: Value, channel: &str) -> Value {
    message["messageAttributes"]["complainer_slack_channel"] = json!({
        "stringValue": channel,
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "String",
    });
    message
}

/// An event of SQS.
pub(crate) fn batch(messages: impl IntoIterator<Item = Value>) -> Value {
    json!({"Records": messages.into_iter().collect::<Vec<_>>()})
}

/// The messages that failed, as SQS reads them.
pub(crate) fn failures(answer: &Answer) -> Vec<String> {
    let answer = answer.response();
    let all = answer["batchItemFailures"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    all.iter()
        .map(|f| f["itemIdentifier"].as_str().unwrap().to_owned())
        .collect()
}
