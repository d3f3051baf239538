use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Notify;

use super::reply::{RateBody, SlackReply, too_many, whole_seconds};
use super::verdict::{self, MAX_TEXT};
use crate::http::{Action, Reply, Request, ScriptedServer, Service, lock, until};

/// A message that was sent to a hook.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SlackMessage {
    /// The name of the hook, as given to [`FakeSlack::hook_url`].
    pub hook: String,
    /// The text as it would show: cut after 40,000 characters. Empty if there was none.
    pub text: String,
    /// Whether the text was cut.
    pub truncated: bool,
    /// The wanted channel.
    pub channel: Option<String>,
    /// The wanted name of the sender.
    pub username: Option<String>,
    /// The wanted icon, by name.
    pub icon_emoji: Option<String>,
    /// The wanted icon, by address.
    pub icon_url: Option<String>,
    /// The thread to answer in.
    pub thread_ts: Option<String>,
    /// The payload as it was sent; null if it could not be parsed.
    pub payload: Value,
    /// When it arrived.
    pub arrived: Instant,
    /// Whether Slack took it; everything a client sees aside, this message is in the
    /// channel.
    pub posted: bool,
    /// The status the message was answered with when it was judged, `None` when the
    /// script decided.
    pub judged: Option<u16>,
    /// The tag of the answer that the script had for it.
    pub tag: Option<&'static str>,
    /// The request.
    pub request: Request,
}

/// How fast a hook may be used: a bucket of `burst` messages filled at `per_second`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    per_second: f64,
    burst: f64,
    body: RateBody,
}

impl RateLimit {
    /// So many messages a second (at least one a day), one at a time. Slack's is about
    /// 1 with short bursts.
    #[must_use]
    pub fn per_second(rate: f64) -> Self {
        Self {
            per_second: rate.max(1.0 / 86_400.0),
            burst: 1.0,
            body: RateBody::default(),
        }
    }

    /// So many messages at once after a pause, at least 1. Default: 1.
    #[must_use]
    pub fn burst(mut self, messages: u32) -> Self {
        self.burst = f64::from(messages.max(1));
        self
    }

    /// The body of the refusals.
    #[must_use]
    pub fn body(mut self, body: RateBody) -> Self {
        self.body = body;
        self
    }
}

#[derive(Debug, Default)]
struct Hook {
    path: String,
    script: VecDeque<SlackReply>,
    bucket: Option<(f64, Instant)>,
}

#[derive(Debug, Default)]
struct State {
    hooks: BTreeMap<String, Hook>,
    rate: Option<RateLimit>,
    channels: Option<BTreeSet<String>>,
    attempts: Vec<SlackMessage>,
    /// Replies that wait for the body of their request, by its serial.
    waiting: HashMap<u64, SlackReply>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

/// A Slack that is not one: incoming webhooks on a loopback port, judged by the
/// documented limits and by scripts.
///
/// [`server`](Self::server) is the server beneath. It stops when dropped.
pub struct FakeSlack {
    server: ScriptedServer,
    shared: Arc<Shared>,
}

impl FakeSlack {
    /// Starts it, without hooks, without a rate limit and knowing every channel.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let server = ScriptedServer::with_service(Arc::clone(&shared)).await?;
        Ok(Self { server, shared })
    }

    /// The address of the hook of this name, made when it is first asked for. Names hold
    /// letters and digits (`T1`); others are left out of the address.
    #[must_use]
    pub fn hook_url(&self, name: &str) -> String {
        let mut state = lock(&self.shared.state);
        self.server.url(&state.hook(name).path)
    }

    /// The address of Slack itself, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url("")
    }

    /// Puts an answer at the end of the script of a hook. When the script is over, the
    /// hook judges messages again.
    pub fn script(&self, hook: &str, reply: SlackReply) {
        self.script_all(hook, [reply]);
    }

    /// Puts answers at the end of the script of a hook.
    pub fn script_all(&self, hook: &str, replies: impl IntoIterator<Item = SlackReply>) {
        lock(&self.shared.state).hook(hook).script.extend(replies);
    }

    /// Empties the script of a hook.
    pub fn clear_script(&self, hook: &str) {
        lock(&self.shared.state).hook(hook).script.clear();
    }

    /// How many answers of the script of a hook are left.
    #[must_use]
    pub fn script_left(&self, hook: &str) -> usize {
        lock(&self.shared.state).hook(hook).script.len()
    }

    /// Removes a hook: it answers 404 `no_service`, as one that was revoked.
    pub fn remove_hook(&self, name: &str) {
        lock(&self.shared.state).hooks.remove(name);
    }

    /// Limits the rate of every hook, or stops doing so. Default: no limit.
    pub fn rate_limit(&self, limit: Option<RateLimit>) {
        lock(&self.shared.state).rate = limit;
    }

    /// Knows only these channels and answers 404 `channel_not_found` to others. Default:
    /// all are known.
    pub fn only_channels<I>(&self, channels: I)
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        lock(&self.shared.state).channels = Some(channels.into_iter().map(Into::into).collect());
    }

    /// The messages that Slack took, in order of arrival.
    #[must_use]
    pub fn received(&self) -> Vec<SlackMessage> {
        lock(&self.shared.state)
            .attempts
            .iter()
            .filter(|message| message.posted)
            .cloned()
            .collect()
    }

    /// All messages sent to hooks, also refused ones, in order of arrival. Those whose body
    /// was not read are only among the [requests](ScriptedServer::requests).
    #[must_use]
    pub fn attempts(&self) -> Vec<SlackMessage> {
        lock(&self.shared.state).attempts.clone()
    }

    /// Forgets the messages so far.
    pub fn clear(&self) {
        lock(&self.shared.state).attempts.clear();
    }

    /// Waits until Slack took at least `n` messages and returns all it took, also when
    /// the time is over before that.
    pub async fn wait_for(&self, n: usize, timeout: Duration) -> Vec<SlackMessage> {
        self.wait(timeout, |state| {
            state
                .attempts
                .iter()
                .filter(|message| message.posted)
                .count()
                >= n
        })
        .await;
        self.received()
    }

    /// Waits until at least `n` messages were sent, refused ones included, and returns
    /// all, also when the time is over before that.
    pub async fn wait_for_attempts(&self, n: usize, timeout: Duration) -> Vec<SlackMessage> {
        self.wait(timeout, |state| state.attempts.len() >= n).await;
        self.attempts()
    }

    async fn wait(&self, timeout: Duration, enough: impl Fn(&State) -> bool) {
        until(&self.shared.changed, timeout, || {
            enough(&lock(&self.shared.state))
        })
        .await;
    }

    /// The server beneath: its requests, the port, and faults for all hooks.
    #[must_use]
    pub fn server(&self) -> &ScriptedServer {
        &self.server
    }
}

impl fmt::Debug for FakeSlack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.shared.state);
        f.debug_struct("FakeSlack")
            .field("addr", &self.server.addr())
            .field("hooks", &state.hooks.keys())
            .field("attempts", &state.attempts.len())
            .finish_non_exhaustive()
    }
}

impl State {
    fn hook(&mut self, name: &str) -> &mut Hook {
        let number = self.hooks.len();
        self.hooks.entry(name.to_owned()).or_insert_with(|| {
            let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
            let secret: String = std::iter::repeat_with(fastrand::alphanumeric)
                .take(24)
                .collect();
            Hook {
                path: format!("/services/{plain}/B{number:08}/{secret}"),
                ..Hook::default()
            }
        })
    }

    fn hook_of(&self, path: &str) -> Option<String> {
        self.hooks
            .iter()
            .find(|(_, hook)| hook.path == path)
            .map(|(name, _)| name.clone())
    }

    /// The refusal of a path that is no hook.
    fn unknown(&self, path: &str) -> Reply {
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        let ["services", _, _, _] = parts[..] else {
            return Reply::text(404, "no_service");
        };
        let family = |path: &str| path.rsplit_once('/').map(|(family, _)| family.to_owned());
        if self
            .hooks
            .values()
            .any(|hook| family(&hook.path) == family(path))
        {
            Reply::text(403, "invalid_token")
        } else {
            Reply::text(404, "no_service")
        }
    }

    /// Takes a message from the bucket of a hook, or tells the seconds to wait.
    fn admit(&mut self, name: &str, now: Instant) -> Option<Reply> {
        let rate = self.rate?;
        let hook = self.hook(name);
        let (tokens, since) = hook.bucket.unwrap_or((rate.burst, now));
        let filled = now.saturating_duration_since(since).as_secs_f64() * rate.per_second;
        let tokens = (tokens + filled).min(rate.burst);
        let enough = tokens >= 1.0;
        hook.bucket = Some((if enough { tokens - 1.0 } else { tokens }, now));
        if enough {
            return None;
        }
        let wait =
            Duration::try_from_secs_f64((1.0 - tokens) / rate.per_second).unwrap_or(Duration::MAX);
        Some(too_many(whole_seconds(wait).max(1), rate.body))
    }

    /// Judges a message as Slack does.
    fn judge(
        &mut self,
        hook: &str,
        request: &Request,
        payload: &Result<Value, verdict::Refusal>,
    ) -> Reply {
        if let Some(limited) = self.admit(hook, request.arrived) {
            return limited;
        }
        let verdict = payload
            .as_ref()
            .map_err(|refusal| *refusal)
            .and_then(|payload| {
                verdict::judge(payload)?;
                let channel = payload
                    .get("channel")
                    .and_then(Value::as_str)
                    .filter(|name| !name.is_empty());
                match (&self.channels, channel) {
                    (Some(known), Some(name)) if !known.contains(name) => {
                        Err((404, "channel_not_found"))
                    }
                    _ => Ok(()),
                }
            });
        match verdict {
            Ok(()) => Reply::text(200, "ok"),
            Err((status, word)) => Reply::text(status, word),
        }
    }
}

impl Service for Arc<Shared> {
    fn intercept(&self, head: &Request) -> Option<Action> {
        let mut state = lock(&self.state);
        let name = state.hook_of(head.path())?;
        let reply = state.hook(&name).script.pop_front()?;
        let action = reply.action.clone();
        if matches!(action, Action::ResetBeforeBody | Action::CloseBeforeBody) {
            return Some(action);
        }
        state.waiting.insert(head.serial, reply);
        None
    }

    fn respond(&self, request: &Request) -> Action {
        let mut state = lock(&self.state);
        let scripted = state.waiting.remove(&request.serial);
        let Some(hook) = state.hook_of(request.path()) else {
            return state.unknown(request.path()).into();
        };
        let payload = verdict::payload(request);
        let tag = scripted.as_ref().and_then(|reply| reply.tag);
        let (action, posted, judged) = match scripted {
            Some(SlackReply {
                action,
                posted,
                judged: None,
                ..
            }) => (action, posted, None),
            scripted => {
                let delivery = scripted.and_then(|reply| reply.judged).unwrap_or_default();
                let reply = state.judge(&hook, request, &payload);
                let status = reply.status_code();
                (reply.delivery(delivery).into(), status == 200, Some(status))
            }
        };
        let payload = payload.unwrap_or_default();
        let field = |name| payload.get(name).and_then(Value::as_str).map(str::to_owned);
        let whole = field("text").unwrap_or_default();
        let truncated = verdict::count(&whole) > MAX_TEXT;
        let text = if truncated {
            whole.chars().take(MAX_TEXT).collect()
        } else {
            whole
        };
        let message = SlackMessage {
            hook,
            text,
            truncated,
            channel: field("channel"),
            username: field("username"),
            icon_emoji: field("icon_emoji"),
            icon_url: field("icon_url"),
            thread_ts: field("thread_ts"),
            arrived: request.arrived,
            posted,
            judged,
            tag,
            request: request.clone(),
            payload,
        };
        state.attempts.push(message);
        drop(state);
        self.changed.notify_waiters();
        action
    }
}
