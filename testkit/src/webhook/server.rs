use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::Value;
use tokio::sync::Notify;

use super::reply::WebhookReply;
use super::signature::Check;
use crate::http::{Action, Reply, Request, ScriptedServer, Service, lock, until};

/// How far the time of a call may be from ours.
const TOLERANCE: Duration = Duration::from_secs(300);

/// One call of a hook.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WebhookCall {
    /// The hook, as given to [`FakeWebhook::url`].
    pub hook: String,
    /// Its `webhook-id`; empty without one.
    pub id: String,
    /// Its `webhook-timestamp`, in seconds since 1970.
    pub timestamp: Option<i64>,
    /// Its `Content-Type`; empty without one.
    pub content_type: String,
    /// The body as text; invalid UTF-8 is replaced.
    pub text: String,
    /// The body as JSON; null if it is none.
    pub json: Value,
    /// Whether it had an effect: it was taken, and was the first of its id to be.
    pub effect: bool,
    /// Whether it was taken though another one of its id had been.
    pub repeat: bool,
    /// The status it was answered with when it was judged, `None` when the script decided.
    pub judged: Option<u16>,
    /// When it arrived.
    pub arrived: Instant,
    /// The request.
    pub request: Request,
}

#[derive(Debug, Default)]
struct Hook {
    path: String,
    check: Option<Check>,
    script: VecDeque<WebhookReply>,
    taken: HashSet<String>,
}

#[derive(Debug, Default)]
struct State {
    hooks: BTreeMap<String, Hook>,
    calls: Vec<WebhookCall>,
    /// Replies that wait for the body of their request, by its serial.
    waiting: HashMap<u64, WebhookReply>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

/// Who takes webhooks, on a loopback port.
///
/// [`server`](Self::server) is the server beneath. It stops when dropped.
pub struct FakeWebhook {
    server: ScriptedServer,
    shared: Arc<Shared>,
}

impl FakeWebhook {
    /// Starts it, without hooks.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let server = ScriptedServer::with_service(Arc::clone(&shared)).await?;
        Ok(Self { server, shared })
    }

    /// The address of a hook, which is made when it is first asked for. The last part of it is not to be guessed.
    #[must_use]
    pub fn url(&self, hook: &str) -> String {
        let path = lock(&self.shared.state).hook(hook).path.clone();
        self.server.url(&path)
    }

    /// The path of a hook's address.
    #[must_use]
    pub fn path(&self, hook: &str) -> String {
        lock(&self.shared.state).hook(hook).path.clone()
    }

    /// From now on a hook asks for a signature as of Standard Webhooks, by one of these keys: `whsec_` and base64.
    pub fn require_signature<I>(&self, hook: &str, keys: I)
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let keys = keys.into_iter().map(Into::into).collect();
        lock(&self.shared.state).hook(hook).check = Some(Check::Standard(keys));
    }

    /// From now on a hook asks for a signature as Grafana's, in this header; with a header for the time, over both.
    pub fn require_grafana(
        &self,
        hook: &str,
        key: &str,
        header: &str,
        timestamp_header: Option<&str>,
    ) {
        lock(&self.shared.state).hook(hook).check = Some(Check::Grafana {
            key: key.to_owned(),
            header: header.to_owned(),
            timestamp_header: timestamp_header.map(str::to_owned),
        });
    }

    /// Puts an answer at the end of the script of a hook. When the script is over, the hook judges calls again.
    pub fn script(&self, hook: &str, reply: WebhookReply) {
        lock(&self.shared.state).hook(hook).script.push_back(reply);
    }

    /// The calls that had an effect, in order of arrival: one for each id.
    #[must_use]
    pub fn received(&self) -> Vec<WebhookCall> {
        self.attempts().into_iter().filter(|c| c.effect).collect()
    }

    /// All calls whose body was read, also refused ones, in order of arrival.
    #[must_use]
    pub fn attempts(&self) -> Vec<WebhookCall> {
        lock(&self.shared.state).calls.clone()
    }

    /// How many calls were taken whose id had been taken before.
    #[must_use]
    pub fn repeats(&self) -> usize {
        let state = lock(&self.shared.state);
        state.calls.iter().filter(|c| c.repeat).count()
    }

    /// Whether a call is signed as a hook asks for, whenever it was. True if it asks for nothing.
    #[must_use]
    pub fn is_signed(&self, hook: &str, call: &WebhookCall) -> bool {
        let mut state = lock(&self.shared.state);
        let check = state.hook(hook).check.as_ref();
        check.is_none_or(|check| check.passes(&call.request))
    }

    /// Waits until at least `n` calls had an effect and returns all that did, also when the time is over before that.
    pub async fn wait_for(&self, n: usize, timeout: Duration) -> Vec<WebhookCall> {
        until(&self.shared.changed, timeout, || self.received().len() >= n).await;
        self.received()
    }

    /// The server beneath: its requests, the port, and faults for all hooks.
    #[must_use]
    pub fn server(&self) -> &ScriptedServer {
        &self.server
    }
}

impl fmt::Debug for FakeWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.shared.state);
        f.debug_struct("FakeWebhook")
            .field("addr", &self.server.addr())
            .field("hooks", &state.hooks.keys())
            .field("calls", &state.calls.len())
            .finish_non_exhaustive()
    }
}

impl State {
    fn hook(&mut self, name: &str) -> &mut Hook {
        self.hooks.entry(name.to_owned()).or_insert_with(|| {
            let secret: String = std::iter::repeat_with(fastrand::alphanumeric)
                .take(24)
                .collect();
            Hook {
                path: format!("/in/{secret}"),
                ..Hook::default()
            }
        })
    }

    fn name_of(&self, path: &str) -> Option<String> {
        self.hooks
            .iter()
            .find(|(_, hook)| hook.path == path)
            .map(|(name, _)| name.clone())
    }
}

/// Judges a call; the answer if it is refused.
fn judge(call: &Request, check: Option<&Check>) -> Result<(), (u16, &'static str)> {
    if !matches!(call.method.as_str(), "POST" | "PUT" | "PATCH") {
        return Err((405, "the method is none of POST, PUT, PATCH"));
    }
    let id = call.header("webhook-id").unwrap_or_default();
    if id.is_empty() {
        return Err((400, "there is no webhook-id"));
    }
    if call.header("idempotency-key").is_some_and(|key| key != id) {
        return Err((400, "Idempotency-Key is not webhook-id"));
    }
    let time: Option<u64> = call
        .header("webhook-timestamp")
        .and_then(|time| time.parse().ok());
    let Some(time) = time else {
        return Err((400, "webhook-timestamp is no number of seconds"));
    };
    let now = call.arrived_at.duration_since(UNIX_EPOCH);
    if now.unwrap_or_default().as_secs().abs_diff(time) > TOLERANCE.as_secs() {
        return Err((400, "webhook-timestamp is too far off"));
    }
    if check.is_some_and(|check| !check.passes(call)) {
        return Err((401, "the signature is missing or wrong"));
    }
    let kind = call.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.contains('/') {
        return Err((415, "there is no Content-Type"));
    }
    if (kind.ends_with("/json") || kind.ends_with("+json")) && call.json().is_none() {
        return Err((400, "the body is no JSON"));
    }
    Ok(())
}

impl Service for Arc<Shared> {
    fn intercept(&self, head: &Request) -> Option<Action> {
        let mut state = lock(&self.state);
        let name = state.name_of(head.path())?;
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
        let Some(name) = state.name_of(request.path()) else {
            return Reply::text(404, format!("no route for {}", request.target)).into();
        };
        let hook = state.hook(&name);
        let (action, taken, judged) = match scripted {
            Some(WebhookReply {
                action,
                taken,
                judged: None,
            }) => (action, taken, None),
            scripted => {
                let delivery = scripted.and_then(|reply| reply.judged).unwrap_or_default();
                let verdict = judge(request, hook.check.as_ref());
                let (status, why) = verdict.err().unwrap_or((200, ""));
                let reply = Reply::text(status, why).delivery(delivery);
                (reply.into(), status == 200, Some(status))
            }
        };
        let header = |name| request.header(name).unwrap_or_default().to_owned();
        let id = header("webhook-id");
        let effect = taken && hook.taken.insert(id.clone());
        let call = WebhookCall {
            hook: name,
            timestamp: header("webhook-timestamp").parse().ok(),
            content_type: header("content-type"),
            text: request.text(),
            json: request.json().unwrap_or_default(),
            effect,
            repeat: taken && !effect,
            judged,
            arrived: request.arrived,
            request: request.clone(),
            id,
        };
        state.calls.push(call);
        drop(state);
        self.changed.notify_waiters();
        action
    }
}
