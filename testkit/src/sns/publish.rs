//! Takes what is published, and holds it to the documented limits.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notifier_core::{
    Clock as _, SystemClock,
    jiff::{SignedDuration, Timestamp},
};
use tokio::sync::Notify;

use super::rules;
use super::sign::{self, Key};
use crate::http::{Action, Reply, Request, ScriptedServer, Service, lock, until};

/// How long a FIFO topic remembers an id.
const WINDOW: SignedDuration = SignedDuration::from_secs(5 * 60);

/// A message that was published, or tried to be.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Published {
    /// The topic's ARN.
    pub topic: String,
    /// The message.
    pub message: String,
    /// The subject, if there was one.
    pub subject: Option<String>,
    /// Whether the message is an object with a member for each protocol.
    pub is_structured: bool,
    /// The attributes by name: type and value.
    pub attributes: BTreeMap<String, (String, String)>,
    /// The group, in a FIFO topic.
    pub group: Option<String>,
    /// The id by which a FIFO topic drops second messages.
    pub dedup: Option<String>,
    /// The id of the key it was signed with; empty if the signature was not looked at.
    pub key: String,
    /// The id that it was given, if it was taken.
    pub id: Option<String>,
    /// It was taken, and dropped as the second one of its id.
    pub is_second: bool,
    /// The code that it was refused with.
    pub refused: Option<&'static str>,
}

impl Published {
    fn of(form: &[(String, String)]) -> Self {
        let mut out = Self::default();
        let mut attributes: BTreeMap<String, [String; 3]> = BTreeMap::new();
        for (name, value) in form {
            let value = value.clone();
            match name.as_str() {
                "TopicArn" => out.topic = value,
                "Message" => out.message = value,
                "Subject" => out.subject = Some(value),
                "MessageStructure" => out.is_structured = value == "json",
                "MessageGroupId" => out.group = Some(value),
                "MessageDeduplicationId" => out.dedup = Some(value),
                name => {
                    let Some(rest) = name.strip_prefix("MessageAttributes.entry.") else {
                        continue;
                    };
                    let Some((number, part)) = rest.split_once('.') else {
                        continue;
                    };
                    let at = match part {
                        "Name" => 0,
                        "Value.DataType" => 1,
                        _ => 2,
                    };
                    attributes.entry(number.to_owned()).or_default()[at] = value;
                }
            }
        }
        let pairs = attributes.into_values();
        out.attributes = pairs
            .map(|[name, kind, value]| (name, (kind, value)))
            .collect();
        out
    }

    /// What a subscription of this protocol gets: `email`, `sms`, `https`, `lambda`, `sqs`.
    #[must_use]
    pub fn text_for(&self, protocol: &str) -> String {
        if !self.is_structured {
            return self.message.clone();
        }
        let each: BTreeMap<String, String> =
            serde_json::from_str(&self.message).unwrap_or_default();
        let own = each.get(protocol).or_else(|| each.get("default"));
        own.cloned().unwrap_or_default()
    }
}

/// A refusal: status, code and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, text: String) -> Self {
        Self { status, code, text }
    }
}

/// What meets the next request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SnsReply {
    /// An error of SNS: status and code.
    Error(u16, &'static str),
    /// The same, with the seconds of `Retry-After`.
    ErrorAfter(u16, &'static str, u64),
    /// The message is taken, and the answer is as the action says: late, cut short, none.
    Taken(Action),
    /// The message is not taken, and the answer is this: a page, garbage.
    Other(Action),
}

#[derive(Default)]
struct State {
    /// By ARN: whether it is a FIFO topic, and when an id was seen there, with its message's.
    topics: BTreeMap<String, Topic>,
    keys: BTreeMap<String, Key>,
    script: VecDeque<SnsReply>,
    attempts: Vec<Published>,
    asked: Vec<String>,
    ahead: SignedDuration,
    may_only_publish: bool,
    serial: u64,
}

#[derive(Default)]
struct Topic {
    seen: HashMap<String, (Timestamp, String)>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

/// An SNS that is not one, on a loopback port: it takes what is published to its topics and
/// delivers to nobody. It stops when dropped.
pub struct FakeSns {
    server: ScriptedServer,
    shared: Arc<Shared>,
}

impl FakeSns {
    /// Starts it, without topics, and with every key good.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let server = ScriptedServer::with_service(Arc::clone(&shared)).await?;
        Ok(Self { server, shared })
    }

    /// Its address, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url("")
    }

    /// Makes a topic in `us-east-1`, of the FIFO kind if its name ends in `.fifo`; its ARN.
    #[must_use]
    pub fn topic(&self, name: &str) -> String {
        self.topic_in("us-east-1", name)
    }

    /// Makes a topic in a region; its ARN.
    #[must_use]
    pub fn topic_in(&self, region: &str, name: &str) -> String {
        let arn = format!("arn:aws:sns:{region}:123456789012:{name}");
        self.state(|s| s.topics.entry(arn.clone()).or_default().seen.clear());
        arn
    }

    /// Knows a key. From the first one on, signatures are checked.
    pub fn key(&self, id: &str, secret: &str) {
        self.add_key(id, secret, None);
    }

    /// Knows a temporary key.
    pub fn temporary_key(&self, id: &str, secret: &str, token: &str) {
        self.add_key(id, secret, Some(token));
    }

    fn add_key(&self, id: &str, secret: &str, token: Option<&str>) {
        let key = Key {
            secret: secret.to_owned(),
            token: token.map(str::to_owned),
            is_expired: false,
        };
        self.state(|s| s.keys.insert(id.to_owned(), key));
    }

    /// Lets a key's time run out: `ExpiredToken` from now on.
    pub fn expire(&self, id: &str) {
        self.state(|s| {
            if let Some(key) = s.keys.get_mut(id) {
                key.is_expired = true;
            }
        });
    }

    /// Sets its clock so far ahead of the machine's, or behind.
    pub fn ahead(&self, by: SignedDuration) {
        self.state(|s| s.ahead = by);
    }

    /// Lets keys do nothing but publish.
    pub fn only_publish(&self) {
        self.state(|s| s.may_only_publish = true);
    }

    /// Puts an answer at the end of the script. When that is over, messages are judged.
    pub fn script(&self, reply: SnsReply) {
        self.state(|s| s.script.push_back(reply));
    }

    /// The messages that were taken, second ones left out, in order.
    #[must_use]
    pub fn received(&self) -> Vec<Published> {
        let mut all = self.attempts();
        all.retain(|m| m.id.is_some() && !m.is_second);
        all
    }

    /// All that was tried to be published, in order.
    #[must_use]
    pub fn attempts(&self) -> Vec<Published> {
        self.state(|s| s.attempts.clone())
    }

    /// The topics whose attributes were asked for.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.state(|s| s.asked.clone())
    }

    /// Waits until at least `n` messages were taken and returns all that were, also when the time is over before.
    pub async fn wait_for(&self, n: usize, timeout: Duration) -> Vec<Published> {
        until(&self.shared.changed, timeout, || self.received().len() >= n).await;
        self.received()
    }

    /// The server beneath: its requests, the port, and faults.
    #[must_use]
    pub fn server(&self) -> &ScriptedServer {
        &self.server
    }

    fn state<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut lock(&self.shared.state))
    }
}

impl fmt::Debug for FakeSns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeSns")
            .field("addr", &self.server.addr())
            .field("attempts", &self.attempts().len())
            .finish_non_exhaustive()
    }
}

impl State {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.ahead
    }

    /// Publishes a message; its id.
    fn publish(&mut self, request: &Request, m: &mut Published) -> Result<String, Refusal> {
        m.key = self.signed(request, &m.topic)?;
        let now = self.now();
        self.serial += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", self.serial);
        let Some(topic) = self.topics.get_mut(&m.topic) else {
            return Err(no_topic());
        };
        let is_fifo = m.topic.ends_with(".fifo");
        rules::judge(m, is_fifo)?;
        if let Some(dedup) = m.dedup.clone().filter(|_| is_fifo) {
            topic
                .seen
                .retain(|_, (at, _)| now.duration_since(*at) < WINDOW);
            if let Some((_, first)) = topic.seen.get(&dedup) {
                m.is_second = true;
                return Ok(first.clone());
            }
            topic.seen.insert(dedup, (now, id.clone()));
        }
        Ok(id)
    }

    fn signed(&self, request: &Request, arn: &str) -> Result<String, Refusal> {
        let region = arn.split(':').nth(3).filter(|r| !r.is_empty());
        sign::judge(request, &self.keys, region, self.now())
    }

    fn topic_attributes(&mut self, request: &Request, arn: &str) -> Result<(), Refusal> {
        self.asked.push(arn.to_owned());
        self.signed(request, arn)?;
        if self.may_only_publish {
            return Err(Refusal::new(
                403,
                "AuthorizationError",
                "User is not authorized to perform: SNS:GetTopicAttributes".to_owned(),
            ));
        }
        match self.topics.contains_key(arn) {
            true => Ok(()),
            false => Err(no_topic()),
        }
    }
}

fn no_topic() -> Refusal {
    Refusal::new(404, "NotFound", "Topic does not exist".to_owned())
}

impl Service for Arc<Shared> {
    fn respond(&self, request: &Request) -> Action {
        let form = request.form();
        let value = |name: &str| {
            let mut pairs = form.iter();
            pairs
                .find(|(n, _)| n == name)
                .map_or("", |(_, v)| v.as_str())
        };
        let mut state = lock(&self.state);
        let action = match value("Action") {
            "Publish" => state.answer_publish(request, Published::of(&form)),
            "GetTopicAttributes" => {
                let arn = value("TopicArn");
                let judged = state.topic_attributes(request, arn);
                let entry = format!(
                    "<Attributes><entry><key>TopicArn</key><value>{}</value></entry></Attributes>",
                    escape(arn)
                );
                state
                    .reply("GetTopicAttributes", judged.map(|()| entry))
                    .into()
            }
            _ => {
                let refusal = Refusal::new(400, "InvalidAction", "no such action".to_owned());
                state.reply("", Err(refusal)).into()
            }
        };
        drop(state);
        self.changed.notify_waiters();
        action
    }
}

impl State {
    fn answer_publish(&mut self, request: &Request, mut m: Published) -> Action {
        let scripted = self.script.pop_front();
        let (status, code, after) = match scripted {
            Some(SnsReply::Error(status, code)) => (status, code, None),
            Some(SnsReply::ErrorAfter(status, code, after)) => (status, code, Some(after)),
            Some(SnsReply::Other(action)) => {
                self.attempts.push(m);
                return action;
            }
            taken => {
                let judged = self.publish(request, &mut m);
                let is_taken = judged.is_ok();
                match &judged {
                    Ok(id) => m.id = Some(id.clone()),
                    Err(refusal) => m.refused = Some(refusal.code),
                }
                self.attempts.push(m);
                let reply = self.reply(
                    "Publish",
                    judged.map(|id| format!("<MessageId>{id}</MessageId>")),
                );
                return match taken {
                    Some(SnsReply::Taken(Action::Normal(way))) if is_taken => {
                        reply.delivery(way).into()
                    }
                    Some(SnsReply::Taken(action)) if is_taken => action,
                    _ => reply.into(),
                };
            }
        };
        m.refused = Some(code);
        self.attempts.push(m);
        let refusal = Refusal::new(status, code, "as the script says".to_owned());
        let reply = self.reply("Publish", Err(refusal));
        match after {
            Some(after) => reply.header("Retry-After", after.to_string()).into(),
            None => reply.into(),
        }
    }

    fn reply(&self, action: &str, judged: Result<String, Refusal>) -> Reply {
        const NAMES: &str = "xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"";
        let (status, body) = match judged {
            Ok(result) => (
                200,
                format!(
                    "<{action}Response {NAMES}><{action}Result>{result}</{action}Result><ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></{action}Response>"
                ),
            ),
            Err(r) => (
                r.status,
                format!(
                    "<ErrorResponse {NAMES}><Error><Type>{}</Type><Code>{}</Code><Message>{}</Message></Error><RequestId>r-1</RequestId></ErrorResponse>",
                    if r.status < 500 { "Sender" } else { "Receiver" },
                    r.code,
                    escape(&r.text)
                ),
            ),
        };
        Reply::new(status)
            .header("Content-Type", "text/xml")
            .header(
                "Date",
                self.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
            )
            .body(body)
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
