//! The fake SNS that is published to: its limits, FIFO topics, scripts, and the places of keys.

use std::time::Duration;

use notifier_core::{
    Clock as _, SystemClock,
    jiff::{SignedDuration, Timestamp},
};
use notifier_testkit::{
    http::Action,
    sns::{FakePlaces, FakeSns, SnsReply, TemporaryKey},
};

/// The longest wait for anything; tests end sooner.
const LONG: Duration = Duration::from_secs(60);

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(LONG)
        .build()
        .unwrap()
}

/// A request with a signature of the right form, at this time.
async fn post_at(sns: &FakeSns, at: Timestamp, pairs: &[(&str, &str)]) -> (u16, String) {
    let date = at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let signature = format!(
        "AWS4-HMAC-SHA256 Credential=AKID/{}/us-east-1/sns/aws4_request, SignedHeaders=host;x-amz-date, Signature=00",
        &date[..8]
    );
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    let answer = client()
        .post(sns.url())
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-amz-date", date)
        .header("authorization", signature)
        .body(body)
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn post(sns: &FakeSns, pairs: &[(&str, &str)]) -> (u16, String) {
    post_at(sns, SystemClock.now(), pairs).await
}

/// Publishes; the status and the code, if there is one.
async fn publish(sns: &FakeSns, topic: &str, more: &[(&str, &str)]) -> (u16, String) {
    let base = [("Action", "Publish"), ("TopicArn", topic)];
    let (status, text) = post(sns, &[&base, more].concat()).await;
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| Some(rest.split_once("</Code>")?.0.to_owned()));
    (status, code.unwrap_or_default())
}

#[tokio::test]
async fn the_documented_limits_are_held() {
    let sns = FakeSns::start().await.unwrap();
    let topic = sns.topic("alerts");
    let most = "x".repeat(262_144);
    let name = ("MessageAttributes.entry.1.Name", "n");
    let kind = ("MessageAttributes.entry.1.Value.DataType", "String");
    let value = ("MessageAttributes.entry.1.Value.StringValue", "v");
    let json = ("MessageStructure", "json");
    let long = "s".repeat(101);
    let ok: &[&[(&str, &str)]] = &[
        &[("Message", &most)],
        &[("Message", &most[8..]), name, kind, value],
        &[("Message", "m"), ("Subject", &long[1..])],
        &[("Message", r#"{"default":"d","sms":"s"}"#), json],
        &[("Message", "m"), ("MessageGroupId", "g")],
    ];
    for (n, pairs) in ok.iter().enumerate() {
        assert_eq!(
            publish(&sns, &topic, pairs).await,
            (200, String::new()),
            "{n}"
        );
    }
    let text = format!(r#"{{"default":"d","sms":"{}"}}"#, "s".repeat(1601));
    let wrong: &[&[(&str, &str)]] = &[
        &[],
        &[("Message", &(most.clone() + "x"))],
        &[("Message", &most[7..]), name, kind, value],
        &[("Message", "a\0")],
        &[("Message", "m"), ("Subject", &long)],
        &[("Message", "m"), ("Subject", "")],
        &[("Message", "m"), ("Subject", " a")],
        &[("Message", "m"), ("Subject", "a\nb")],
        &[("Message", "m"), ("Subject", "ä")],
        &[("Message", "m"), json],
        &[("Message", r#"{"sms":"d"}"#), json],
        &[("Message", r#"{"default":1}"#), json],
        &[("Message", r#"{"default":""}"#), json],
        &[("Message", &text), json],
        &[("Message", "m"), (name.0, "AWS.n"), kind, value],
        &[("Message", "m"), (name.0, "a b"), kind, value],
        &[("Message", "m"), name, (kind.0, "Text"), value],
        &[("Message", "m"), ("MessageDeduplicationId", "d")],
    ];
    for (n, pairs) in wrong.iter().enumerate() {
        let refused = (400, "InvalidParameter".to_owned());
        assert_eq!(publish(&sns, &topic, pairs).await, refused, "{n}");
    }
    let empty = [("Message", "m"), name, kind, (value.0, "")];
    let refused = (400, "ParameterValueInvalid".to_owned());
    assert_eq!(publish(&sns, &topic, &empty).await, refused);
    let missing = topic.replace("alerts", "other");
    let answer = publish(&sns, &missing, &[("Message", "m")]).await;
    assert_eq!(answer, (404, "NotFound".to_owned()));
    assert_eq!(sns.received().len(), ok.len());
    assert_eq!(sns.attempts().len(), ok.len() + wrong.len() + 2);
    let two = &sns.received()[1];
    assert_eq!(two.attributes["n"], ("String".to_owned(), "v".to_owned()));
    let four = &sns.received()[3];
    assert_eq!(
        (four.text_for("sms"), four.text_for("sqs")),
        ("s".into(), "d".into())
    );
}

#[tokio::test]
async fn a_fifo_topic_wants_ids_and_forgets_them_after_five_minutes() {
    let sns = FakeSns::start().await.unwrap();
    let topic = sns.topic("alerts.fifo");
    let (message, group, id) = (
        ("Message", "m"),
        ("MessageGroupId", "g"),
        ("MessageDeduplicationId", "d"),
    );
    let refused = (400, "InvalidParameter".to_owned());
    for pairs in [
        &[message, id][..],
        &[message, group],
        &[message, group, (id.0, "a b")],
        &[message, group, (id.0, &"x".repeat(129))],
    ] {
        assert_eq!(publish(&sns, &topic, pairs).await, refused, "{pairs:?}");
    }
    let whole = [message, group, id];
    for (minutes, taken) in [(0, 1), (1, 1), (30, 2)] {
        // Its clock is set, and the request's time goes with it.
        let ahead = SignedDuration::from_mins(minutes);
        sns.ahead(ahead);
        let base = [("Action", "Publish"), ("TopicArn", topic.as_str())];
        let at = SystemClock.now() + ahead;
        let (status, text) = post_at(&sns, at, &[&base[..], &whole].concat()).await;
        assert_eq!(status, 200, "{text}");
        assert_eq!(sns.received().len(), taken, "{minutes}");
    }
    let seconds: Vec<bool> = sns.attempts().iter().map(|m| m.is_second).collect();
    assert_eq!(seconds[4..], [false, true, false]);
}

#[tokio::test]
async fn signatures_are_looked_at_once_a_key_is_known() {
    let sns = FakeSns::start().await.unwrap();
    let topic = sns.topic("alerts");
    let message = [("Message", "m")];
    assert_eq!(publish(&sns, &topic, &message).await.0, 200);
    // The region of the signature is not that of the topic.
    let far = sns.topic_in("eu-west-1", "alerts");
    let no = |code: &str| (403, code.to_owned());
    assert_eq!(
        publish(&sns, &far, &message).await,
        no("SignatureDoesNotMatch")
    );
    sns.ahead(SignedDuration::from_mins(10));
    assert_eq!(
        publish(&sns, &topic, &message).await,
        no("SignatureDoesNotMatch")
    );
    sns.ahead(SignedDuration::ZERO);
    sns.key("OTHER", "secret");
    assert_eq!(
        publish(&sns, &topic, &message).await,
        no("InvalidClientTokenId")
    );
    sns.key("AKID", "secret");
    assert_eq!(
        publish(&sns, &topic, &message).await,
        no("SignatureDoesNotMatch")
    );
    sns.temporary_key("AKID", "secret", "token");
    assert_eq!(
        publish(&sns, &topic, &message).await,
        no("InvalidClientTokenId")
    );
    let unsigned = client().post(sns.url()).body("Action=Publish").send().await;
    assert_eq!(unsigned.unwrap().status(), 403);
    assert_eq!(sns.received().len(), 1);
}

#[tokio::test]
async fn the_script_comes_first() {
    let sns = FakeSns::start().await.unwrap();
    let topic = sns.topic("alerts");
    sns.script(SnsReply::Error(400, "Throttled"));
    sns.script(SnsReply::Other(Action::html(502)));
    sns.script(SnsReply::Taken(Action::html(504)));
    let message = [("Message", "m")];
    let answers = [
        publish(&sns, &topic, &message).await,
        publish(&sns, &topic, &message).await,
        publish(&sns, &topic, &message).await,
        publish(&sns, &topic, &message).await,
    ];
    let text = String::new;
    assert_eq!(
        answers,
        [
            (400, "Throttled".to_owned()),
            (502, text()),
            (504, text()),
            (200, text())
        ]
    );
    assert_eq!(sns.wait_for(2, LONG).await.len(), 2);
    let pairs = [("Action", "GetTopicAttributes"), ("TopicArn", &topic)];
    assert_eq!(post(&sns, &pairs).await.0, 200);
    sns.only_publish();
    assert_eq!(post(&sns, &pairs).await.0, 403);
    assert_eq!(sns.asked().len(), 2);
    assert_eq!(post(&sns, &[("Action", "Subscribe")]).await.0, 400);
}

#[tokio::test]
async fn keys_are_given_out_as_each_place_does() {
    let key = TemporaryKey::new("ASIA", "secret", "token");
    let places = FakePlaces::start(key).await.unwrap();
    let client = client();
    let status = async |request: reqwest::RequestBuilder| {
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };

    let metadata = places.url("/latest/meta-data/iam/security-credentials/");
    assert_eq!(status(client.get(&metadata)).await.0, 401);
    let token = client.put(places.url("/latest/api/token"));
    assert_eq!(status(token.try_clone().unwrap()).await.0, 400);
    let ttl = "x-aws-ec2-metadata-token-ttl-seconds";
    let (_, token) = status(token.header(ttl, "60")).await;
    let with = |url: &str| client.get(url).header("x-aws-ec2-metadata-token", &token);
    assert_eq!(status(with(&metadata)).await, (200, "publisher".to_owned()));
    let (code, text) = status(with(&format!("{metadata}publisher"))).await;
    assert!(code == 200 && text.contains("\"ASIA\""), "{text}");

    let container = places.url("/container");
    assert_eq!(status(client.get(&container)).await.0, 200);
    places.authorization("word");
    assert_eq!(status(client.get(&container)).await.0, 403);
    let authorized = client.get(&container).header("authorization", "word");
    assert_eq!(status(authorized).await.0, 200);

    places.identity("me");
    let assume = |token: &str| {
        client
            .post(places.url("/"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!(
                "Action=AssumeRoleWithWebIdentity&WebIdentityToken={token}"
            ))
    };
    assert_eq!(status(assume("you")).await.0, 400);
    let (code, text) = status(assume("me")).await;
    assert!(
        code == 200 && text.contains("<SessionToken>token<"),
        "{text}"
    );
    assert_eq!(places.server().requests().len(), 10);
}
