use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tokio::sync::Notify;

use super::reply::{HipchatReply, error, limit_headers, unix_seconds};
use super::verdict;
use crate::http::{Action, Reply, Request, ScriptedServer, Service, lock, until};

/// A message that was sent to a room.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HipchatMessage {
    /// The room, as given to [`FakeHipchat::room`].
    pub room: String,
    /// The text. Empty if there was none.
    pub message: String,
    /// `html` unless it says otherwise.
    pub message_format: String,
    /// `yellow` unless it says otherwise.
    pub color: String,
    /// The wanted name beside the token's own.
    pub from: Option<String>,
    /// The body as it was sent; null if it is no JSON.
    pub payload: Value,
    /// When it arrived.
    pub arrived: Instant,
    /// Whether HipChat took it; everything a client sees aside, this message is in the room.
    pub posted: bool,
    /// The status the message was answered with when it was judged, `None` when the script
    /// decided.
    pub judged: Option<u16>,
    /// The tag of the answer that the script had for it.
    pub tag: Option<&'static str>,
    /// The request.
    pub request: Request,
}

/// How many messages a room, and a token, takes in a window of time. As documented unless
/// set: 30 a minute for each room, 500 in 5 minutes for each token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    room: (u32, Duration),
    token: (u32, Duration),
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            room: (30, Duration::from_secs(60)),
            token: (500, Duration::from_secs(300)),
        }
    }
}

impl RateLimit {
    /// Sets the limit of each room.
    #[must_use]
    pub fn room(mut self, messages: u32, per: Duration) -> Self {
        self.room = (messages, per);
        self
    }

    /// Sets the limit of each token.
    #[must_use]
    pub fn token(mut self, messages: u32, per: Duration) -> Self {
        self.token = (messages, per);
        self
    }
}

/// What was taken in the window that is open.
#[derive(Debug, Default, Clone, Copy)]
struct Window {
    taken: u32,
    end: Option<SystemTime>,
}

impl Window {
    /// Takes a message that came `now`, if one is left; how many are left then, and the end.
    fn take(&mut self, (limit, per): (u32, Duration), now: SystemTime) -> (bool, u32, u64) {
        let end = match self.end {
            Some(end) if end > now => end,
            _ => {
                self.taken = 0;
                *self.end.insert(now + per)
            }
        };
        let ok = self.taken < limit;
        self.taken += u32::from(ok);
        (ok, limit - self.taken, unix_seconds(end))
    }
}

#[derive(Debug, Default)]
struct Room {
    token: String,
    script: VecDeque<HipchatReply>,
    window: Window,
}

#[derive(Debug, Default)]
struct State {
    rooms: BTreeMap<String, Room>,
    /// Tokens of users, who may write to every room.
    users: Vec<String>,
    tokens: HashMap<String, Window>,
    rate: Option<RateLimit>,
    attempts: Vec<HipchatMessage>,
    /// Replies that wait for the body of their request, by its serial.
    waiting: HashMap<u64, HipchatReply>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

/// A HipChat that is not one: room notifications on a loopback port, judged by the
/// documented limits and by scripts.
///
/// [`server`](Self::server) is the server beneath. It stops when dropped.
pub struct FakeHipchat {
    server: ScriptedServer,
    shared: Arc<Shared>,
}

impl FakeHipchat {
    /// Starts it, without rooms and without a rate limit.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let server = ScriptedServer::with_service(Arc::clone(&shared)).await?;
        Ok(Self { server, shared })
    }

    /// The address of the API, `http://127.0.0.1:PORT/v2/`.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.server.url("/v2/")
    }

    /// The token of the room of this name or number, which is made when it is first asked
    /// for.
    #[must_use]
    pub fn room(&self, name: &str) -> String {
        lock(&self.shared.state).room(name).token.clone()
    }

    /// A new token of a user, for every room.
    #[must_use]
    pub fn user(&self) -> String {
        let token = token();
        lock(&self.shared.state).users.push(token.clone());
        token
    }

    /// Removes a room: it answers 404, and its token 401.
    pub fn remove_room(&self, name: &str) {
        lock(&self.shared.state).rooms.remove(name);
    }

    /// Puts an answer at the end of the script of a room. When the script is over, the room
    /// judges messages again.
    pub fn script(&self, room: &str, reply: HipchatReply) {
        self.script_all(room, [reply]);
    }

    /// Puts answers at the end of the script of a room.
    pub fn script_all(&self, room: &str, replies: impl IntoIterator<Item = HipchatReply>) {
        lock(&self.shared.state).room(room).script.extend(replies);
    }

    /// How many answers of the script of a room are left.
    #[must_use]
    pub fn script_left(&self, room: &str) -> usize {
        lock(&self.shared.state).room(room).script.len()
    }

    /// Limits the rate of every room and token, or stops doing so. Default: no limit.
    pub fn rate_limit(&self, limit: Option<RateLimit>) {
        lock(&self.shared.state).rate = limit;
    }

    /// The messages that HipChat took, in order of arrival.
    #[must_use]
    pub fn received(&self) -> Vec<HipchatMessage> {
        let attempts = self.attempts();
        attempts.into_iter().filter(|m| m.posted).collect()
    }

    /// All messages sent to rooms, also refused ones, in order of arrival. Those whose body
    /// was not read are only among the [requests](ScriptedServer::requests).
    #[must_use]
    pub fn attempts(&self) -> Vec<HipchatMessage> {
        lock(&self.shared.state).attempts.clone()
    }

    /// Forgets the messages so far.
    pub fn clear(&self) {
        lock(&self.shared.state).attempts.clear();
    }

    /// Waits until HipChat took at least `n` messages and returns all it took, also when the
    /// time is over before that.
    pub async fn wait_for(&self, n: usize, timeout: Duration) -> Vec<HipchatMessage> {
        until(&self.shared.changed, timeout, || self.received().len() >= n).await;
        self.received()
    }

    /// The server beneath: its requests, the port, and faults for all rooms.
    #[must_use]
    pub fn server(&self) -> &ScriptedServer {
        &self.server
    }
}

impl fmt::Debug for FakeHipchat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.shared.state);
        f.debug_struct("FakeHipchat")
            .field("addr", &self.server.addr())
            .field("rooms", &state.rooms.keys())
            .field("attempts", &state.attempts.len())
            .finish_non_exhaustive()
    }
}

fn token() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(40)
        .collect()
}

/// The room that a path leads to, by name.
fn room_of(path: &str) -> Option<String> {
    let name = path
        .strip_prefix("/v2/room/")?
        .strip_suffix("/notification")?;
    if name.is_empty() || name.contains('/') {
        return None;
    }
    // A plus stands for itself in a path.
    let form = format!("n={}", name.replace('+', "%2B"));
    url::form_urlencoded::parse(form.as_bytes())
        .next()
        .map(|(_, name)| name.into_owned())
}

impl State {
    fn room(&mut self, name: &str) -> &mut Room {
        self.rooms.entry(name.to_owned()).or_insert_with(|| Room {
            token: token(),
            ..Room::default()
        })
    }

    fn known(&self, path: &str) -> Option<String> {
        room_of(path).filter(|name| self.rooms.contains_key(name))
    }

    /// Judges a message as HipChat does.
    fn judge(&mut self, request: &Request, body: &Value) -> Reply {
        if request.method != "POST" {
            return error(405, "only POST");
        }
        let token = request
            .header("Authorization")
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default()
            .to_owned();
        let user = self.users.contains(&token);
        if !user && !self.rooms.values().any(|room| room.token == token) {
            return error(401, "Invalid OAuth session");
        }
        let Some(name) = self.known(request.path()) else {
            return error(404, "Room not found");
        };
        let rate = self.rate;
        let room = self.room(&name);
        if !user && room.token != token {
            return error(403, "This token is of another room");
        }
        let json = request
            .header("Content-Type")
            .is_some_and(|kind| kind.starts_with("application/json"));
        let verdict = match json {
            true => verdict::judge(body),
            false => Err("Content-Type must be application/json"),
        };
        let reply = match verdict {
            Ok(()) => Reply::new(204),
            Err(why) => error(400, why),
        };
        let Some(rate) = rate else {
            return reply;
        };
        let (ok, left, end) = room.window.take(rate.room, request.arrived_at);
        let window = self.tokens.entry(token).or_default();
        let (all_ok, all_left, all_end) = window.take(rate.token, request.arrived_at);
        let reply = match ok && all_ok {
            true => reply,
            false => error(429, "Rate limit exceeded"),
        };
        let reply = limit_headers(reply, "FloodControl", rate.room.0, left, end);
        limit_headers(reply, "Ratelimit", rate.token.0, all_left, all_end)
    }
}

impl Service for Arc<Shared> {
    fn intercept(&self, head: &Request) -> Option<Action> {
        let mut state = lock(&self.state);
        let name = state.known(head.path())?;
        let reply = state.room(&name).script.pop_front()?;
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
        let payload = request.json().unwrap_or_default();
        let tag = scripted.as_ref().and_then(|reply| reply.tag);
        let (action, posted, judged) = match scripted {
            Some(reply) if reply.judged.is_none() => {
                (reply.answer(request.arrived_at), reply.posted, None)
            }
            scripted => {
                let delivery = scripted.and_then(|reply| reply.judged).unwrap_or_default();
                let reply = state.judge(request, &payload);
                let status = reply.status_code();
                (reply.delivery(delivery).into(), status == 204, Some(status))
            }
        };
        let Some(room) = state.known(request.path()) else {
            return action;
        };
        let field = |name| payload.get(name).and_then(Value::as_str).map(str::to_owned);
        let message = HipchatMessage {
            room,
            message: field("message").unwrap_or_default(),
            message_format: field("message_format").unwrap_or_else(|| "html".to_owned()),
            color: field("color").unwrap_or_else(|| "yellow".to_owned()),
            from: field("from"),
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
