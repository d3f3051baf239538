use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::envelope::{self, Envelope, SentryAttachment};
use super::event::faults;
use super::reply::{Refusal, SentryReply};
use crate::http::{Action, Reply, Request, ScriptedServer, Service, until};

/// An envelope that was sent to a project.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SentryAttempt {
    /// The name of the project, as given to [`FakeSentry::dsn`].
    pub project: String,
    /// The envelope's header; null if it could not be read.
    pub header: Value,
    /// The event; null if it could not be read.
    pub event: Value,
    /// The files that came with it, without those that a limit kept out.
    pub attachments: Vec<SentryAttachment>,
    /// Bytes of the body, unpacked.
    pub size: usize,
    /// When it arrived.
    pub arrived: Instant,
    /// Whether the event is in the project because of this envelope. False for a repeat.
    pub stored: bool,
    /// The status the envelope was answered with when it was judged, `None` when the
    /// script decided.
    pub judged: Option<u16>,
    /// Why it was refused when it was judged, one line each.
    pub faults: Vec<String>,
    /// The tag of the answer that the script had for it.
    pub tag: Option<&'static str>,
    /// The request.
    pub request: Request,
}

impl SentryAttempt {
    /// The event's id; empty if there is none.
    #[must_use]
    pub fn event_id(&self) -> &str {
        self.event
            .get("event_id")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The event's message; empty if there is none.
    #[must_use]
    pub fn message(&self) -> &str {
        self.event
            .pointer("/logentry/formatted")
            .or_else(|| self.event.get("message"))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct Project {
    id: String,
    key: String,
    script: VecDeque<SentryReply>,
    /// The ids of the events in it.
    events: HashSet<String>,
    /// Until when each category is limited.
    limits: BTreeMap<String, Instant>,
}

#[derive(Debug, Default)]
struct State {
    projects: BTreeMap<String, Project>,
    made: usize,
    max_body: Option<usize>,
    attempts: Vec<SentryAttempt>,
    /// Replies that wait for the body of their request, by its serial.
    waiting: HashMap<u64, SentryReply>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A Sentry that is not one: projects on a loopback port, judged by the documented limits
/// and by scripts.
///
/// [`server`](Self::server) is the server beneath. It stops when dropped.
pub struct FakeSentry {
    server: ScriptedServer,
    shared: Arc<Shared>,
}

impl FakeSentry {
    /// Starts it, without projects.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let server = ScriptedServer::with_service(Arc::clone(&shared)).await?;
        Ok(Self { server, shared })
    }

    /// The DSN of the project of this name, made when it is first asked for.
    #[must_use]
    pub fn dsn(&self, project: &str) -> String {
        let mut state = lock(&self.shared.state);
        let p = state.project(project);
        format!("http://{}@{}/{}", p.key, self.server.addr(), p.id)
    }

    /// The public key in the DSN of a project.
    #[must_use]
    pub fn key(&self, project: &str) -> String {
        lock(&self.shared.state).project(project).key.clone()
    }

    /// The address of Sentry itself, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url("")
    }

    /// Puts an answer at the end of the script of a project. When the script is over, the
    /// project judges envelopes again.
    pub fn script(&self, project: &str, reply: SentryReply) {
        self.script_all(project, [reply]);
    }

    /// Puts answers at the end of the script of a project.
    pub fn script_all(&self, project: &str, replies: impl IntoIterator<Item = SentryReply>) {
        lock(&self.shared.state)
            .project(project)
            .script
            .extend(replies);
    }

    /// Empties the script of a project.
    pub fn clear_script(&self, project: &str) {
        lock(&self.shared.state).project(project).script.clear();
    }

    /// How many answers of the script of a project are left.
    #[must_use]
    pub fn script_left(&self, project: &str) -> usize {
        lock(&self.shared.state).project(project).script.len()
    }

    /// Removes a project: it answers 404.
    pub fn remove_project(&self, name: &str) {
        lock(&self.shared.state).projects.remove(name);
    }

    /// Limits a category of a project from now on: `error` is answered 429, `attachment` are
    /// left out of what is received.
    pub fn limit(&self, project: &str, category: &str, for_how_long: Duration) {
        lock(&self.shared.state)
            .project(project)
            .limits
            .insert(category.to_owned(), Instant::now() + for_how_long);
    }

    /// Answers 413 to larger requests, packed as they are. Default: only the documented limits.
    pub fn max_body(&self, bytes: Option<usize>) {
        lock(&self.shared.state).max_body = bytes;
    }

    /// The events that are in the projects, each once, in order of arrival.
    #[must_use]
    pub fn received(&self) -> Vec<SentryAttempt> {
        let mut attempts = self.attempts();
        attempts.retain(|a| a.stored);
        attempts
    }

    /// All envelopes sent to projects, also refused ones, in order of arrival. Those whose body
    /// was not read are only among the [requests](ScriptedServer::requests).
    #[must_use]
    pub fn attempts(&self) -> Vec<SentryAttempt> {
        lock(&self.shared.state).attempts.clone()
    }

    /// Forgets the envelopes so far, but not which events the projects have.
    pub fn clear(&self) {
        lock(&self.shared.state).attempts.clear();
    }

    /// Waits until at least `n` events are in the projects and returns all there are, also
    /// when the time is over before that.
    pub async fn wait_for(&self, n: usize, timeout: Duration) -> Vec<SentryAttempt> {
        until(&self.shared.changed, timeout, || self.received().len() >= n).await;
        self.received()
    }

    /// The server beneath: its requests, the port, and faults for all projects.
    #[must_use]
    pub fn server(&self) -> &ScriptedServer {
        &self.server
    }
}

/// Keys are not shown.
impl fmt::Debug for FakeSentry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.shared.state);
        f.debug_struct("FakeSentry")
            .field("addr", &self.server.addr())
            .field("projects", &state.projects.keys())
            .field("attempts", &state.attempts.len())
            .finish_non_exhaustive()
    }
}

impl State {
    fn project(&mut self, name: &str) -> &mut Project {
        if !self.projects.contains_key(name) {
            self.made += 1;
        }
        let id = self.made.to_string();
        self.projects
            .entry(name.to_owned())
            .or_insert_with(|| Project {
                id,
                key: format!("{:032x}", fastrand::u128(..)),
                ..Project::default()
            })
    }

    fn project_of(&self, path: &str) -> Option<String> {
        let id = path.strip_prefix("/api/")?.strip_suffix("/envelope/")?;
        let found = self.projects.iter().find(|(_, p)| p.id == id)?;
        Some(found.0.clone())
    }

    /// Whether this request may send to this project.
    fn admit(&self, name: &str, request: &Request) -> Result<(), Refusal> {
        if request.method != "POST" {
            return Err(Refusal::new(405, "method not allowed"));
        }
        if let Some(max) = self.max_body
            && request.body.len() > max
        {
            return Err(Refusal::too_large("the body is too large"));
        }
        let auth = request
            .header("X-Sentry-Auth")
            .and_then(|a| a.strip_prefix("Sentry "))
            .ok_or_else(|| Refusal::new(401, "missing authorization information"))?;
        let field = |name: &str| {
            auth.split(',')
                .filter_map(|pair| pair.trim().split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
        if field("sentry_version") != Some("7") {
            return Err(Refusal::bad("unsupported protocol version"));
        }
        if field("sentry_client").is_none_or(str::is_empty) {
            return Err(Refusal::bad("the client does not say its name"));
        }
        let key = self.projects.get(name).map(|p| p.key.as_str());
        if field("sentry_key").is_none() || field("sentry_key") != key {
            return Err(Refusal::new(403, "bad sentry DSN public key"));
        }
        let kind = request.header("Content-Type").unwrap_or_default();
        if !kind.starts_with("application/x-sentry-envelope") {
            return Err(Refusal::new(415, "not an envelope"));
        }
        Ok(())
    }

    /// Whether an event is not in its project yet; from now on it is.
    fn is_new(&mut self, name: &str, event: &Value) -> bool {
        let id = event.get("event_id").and_then(Value::as_str);
        id.is_some_and(|id| self.project(name).events.insert(id.to_owned()))
    }

    /// The limits that hold now, as their header, and whether this category is among them.
    fn limited(&mut self, name: &str, category: &str) -> (Option<String>, bool) {
        let now = Instant::now();
        let limits = &mut self.project(name).limits;
        limits.retain(|_, until| *until > now);
        let header: Vec<String> = limits
            .iter()
            .map(|(category, until)| {
                let left = until.saturating_duration_since(now).as_secs() + 1;
                format!("{left}:{category}:key:quota_exceeded")
            })
            .collect();
        let header = (!header.is_empty()).then(|| header.join(", "));
        (header, limits.contains_key(category))
    }

    /// Judges an envelope.
    fn judge(&mut self, name: &str, attempt: &mut SentryAttempt, read: Option<Refusal>) -> Reply {
        let verdict = self
            .admit(name, &attempt.request)
            .and_then(|()| read.map_or(Ok(()), Err))
            .and_then(|()| match faults(&attempt.event) {
                faults if faults.is_empty() => Ok(()),
                faults => Err(Refusal::bad("invalid event data").causes(faults)),
            });
        if let Err(refusal) = verdict {
            attempt.faults.push(refusal.detail.clone());
            attempt.faults.extend(refusal.causes.iter().cloned());
            return refusal.reply();
        }
        let (header, events) = self.limited(name, "error");
        let (_, attachments) = self.limited(name, "attachment");
        let reply = if events {
            Reply::json(429, &json!({ "detail": "rate limited" }))
        } else {
            if attachments {
                attempt.attachments.clear();
            }
            attempt.stored = self.is_new(name, &attempt.event);
            Reply::json(200, &json!({ "id": attempt.event_id() }))
        };
        match header {
            Some(header) => reply.header("X-Sentry-Rate-Limits", header),
            None => reply,
        }
    }
}

impl Service for Arc<Shared> {
    fn intercept(&self, head: &Request) -> Option<Action> {
        let mut state = lock(&self.state);
        let name = state.project_of(head.path())?;
        let reply = state.project(&name).script.pop_front()?;
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
        let Some(project) = state.project_of(request.path()) else {
            return Refusal::new(404, "no such project").reply().into();
        };
        let body = envelope::unpack(request);
        let size = body.as_ref().map_or(0, Vec::len);
        let (envelope, refusal) = match body.and_then(|body| envelope::read(&body)) {
            Ok(envelope) => (envelope, None),
            Err(refusal) => (Envelope::default(), Some(refusal)),
        };
        let mut attempt = SentryAttempt {
            project: project.clone(),
            header: envelope.header,
            event: envelope.event,
            attachments: envelope.attachments,
            size,
            arrived: request.arrived,
            stored: false,
            judged: None,
            faults: Vec::new(),
            tag: scripted.as_ref().and_then(|reply| reply.tag),
            request: request.clone(),
        };
        let action = match scripted {
            Some(SentryReply {
                action,
                stored,
                judged: None,
                ..
            }) => {
                attempt.stored = stored && state.is_new(&project, &attempt.event);
                action
            }
            scripted => {
                let delivery = scripted.and_then(|reply| reply.judged).unwrap_or_default();
                let reply = state.judge(&project, &mut attempt, refusal);
                attempt.judged = Some(reply.status_code());
                reply.delivery(delivery).into()
            }
        };
        state.attempts.push(attempt);
        drop(state);
        self.changed.notify_waiters();
        action
    }
}
