//! For the crate's own benchmarks and fuzzers; no part of what the crate promises.

use serde_json::{Value, json};

use crate::{
    inventory::Inventory,
    recordio::{Decoder, Piece},
    state::{
        Seconds, Snapshot, Status, Task,
        agent::{AgentReader, AgentState},
        event::{Event, Update},
        is_final,
        v0::StateReader,
        v1::{Record, RecordReader},
    },
};

/// Reads a state in pieces of so many bytes, and counts its failed tasks.
pub fn state(body: &[u8], piece: usize) -> Option<usize> {
    let mut reader = StateReader::new(|state: &str| state == "TASK_FAILED");
    for bytes in body.chunks(piece) {
        reader.feed(bytes).ok()?;
    }
    Some(reader.finish().ok()?.tasks.len())
}

/// Reads a record in pieces of so many bytes, and counts its failed tasks and, if they are
/// wanted, those that are alive.
pub fn record(body: &[u8], piece: usize, live: bool) -> Option<(usize, usize)> {
    let mut reader = RecordReader::new(|state: &str| state == "TASK_FAILED").with_live(live);
    let mut alive = 0;
    for bytes in body.chunks(piece) {
        reader.feed(bytes, &mut |_| alive += 1).ok()?;
    }
    match reader.finish().ok()? {
        Record::Subscribed { snapshot, .. } | Record::State(snapshot) => {
            Some((snapshot.tasks.len(), alive))
        }
        _ => None,
    }
}

/// Whatever reads what masters and agents send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Of a master's `/state`.
    State,
    /// Of an agent's `/state`.
    Agent,
    /// Of a record of the operator API, with the tasks that are alive or without.
    Record {
        /// With them.
        live: bool,
    },
    /// Of a stream of events, as a subscription reads it.
    Stream {
        /// The limit of the snapshot.
        max: u64,
        /// The limit of the events after it.
        max_event: u64,
    },
}

/// Something that was read; the same for the same bytes, however they come.
#[derive(Debug)]
pub struct Found(What);

#[derive(Debug)]
enum What {
    Record {
        record: Record,
        live: Vec<Task>,
    },
    Agent(AgentState),
    /// A task in the light of the update before, and whether it was known.
    Updated(Task, bool),
    Unreadable,
    Failed(String),
}

fn may_want(state: &str) -> bool {
    state != "TASK_FINISHED"
}

/// Reads bytes that come in these pieces. All that is found is handed over; only a stream
/// has more than one thing to find.
pub fn read<'a>(
    reader: Reader,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    found: &mut dyn FnMut(Found),
) {
    let mut pieces = pieces.into_iter();
    let result = match reader {
        Reader::State => read_state(&mut pieces),
        Reader::Agent => read_agent(&mut pieces),
        Reader::Record { live } => read_record(&mut pieces, live),
        Reader::Stream { max, max_event } => {
            let e = follow(&mut pieces, max, max_event, &mut |what| found(Found(what)));
            e.map_or(Ok(What::Failed("the end".into())), Err)
        }
    };
    found(Found(result.unwrap_or_else(What::Failed)));
}

type Pieces<'p, 'a> = &'p mut dyn Iterator<Item = &'a [u8]>;

fn read_state(pieces: Pieces<'_, '_>) -> Result<What, String> {
    let mut reader = StateReader::new(may_want);
    for bytes in pieces {
        reader.feed(bytes).map_err(|e| e.to_string())?;
    }
    let snapshot = reader.finish().map_err(|e| e.to_string())?;
    Ok(What::Record {
        record: Record::State(snapshot),
        live: Vec::new(),
    })
}

fn read_agent(pieces: Pieces<'_, '_>) -> Result<What, String> {
    let mut reader = AgentReader::new();
    for bytes in pieces {
        reader.feed(bytes).map_err(|e| e.to_string())?;
    }
    reader.finish().map(What::Agent).map_err(|e| e.to_string())
}

fn read_record(pieces: Pieces<'_, '_>, live: bool) -> Result<What, String> {
    let mut reader = RecordReader::new(may_want).with_live(live);
    let mut alive = Vec::new();
    for bytes in pieces {
        let fed = reader.feed(bytes, &mut |task| alive.push(task));
        fed.map_err(|e| e.to_string())?;
    }
    let record = reader.finish().map_err(|e| e.to_string())?;
    Ok(What::Record {
        record,
        live: alive,
    })
}

/// What a subscription does with the bytes of a stream, without its network and its clock.
/// The reason why it would be closed before all of them are read.
fn follow(
    pieces: Pieces<'_, '_>,
    max: u64,
    max_event: u64,
    found: &mut dyn FnMut(What),
) -> Option<String> {
    let mut decoder = Decoder::new(max);
    let mut inventory = Inventory::new();
    inventory.begin();
    let (mut has_begun, mut is_broken) = (false, false);
    let mut reader = None;
    for piece in pieces {
        let mut rest = piece;
        loop {
            let mut has_ended = false;
            match decoder.decode(&mut rest) {
                Err(e) => return Some(e.to_string()),
                Ok(None) => break,
                Ok(Some(Piece::Start(0))) => {}
                Ok(Some(Piece::Start(_))) => {
                    reader = Some(RecordReader::new(may_want).with_live(!has_begun));
                }
                Ok(Some(Piece::Data(bytes))) => {
                    let mut live = |task: Task| inventory.add(&task, false);
                    if reader
                        .as_mut()
                        .is_some_and(|r| r.feed(bytes, &mut live).is_err())
                    {
                        reader = None;
                        is_broken = true;
                    }
                }
                Ok(Some(Piece::End)) => has_ended = true,
            }
            if is_broken && !has_begun {
                return Some("a snapshot that cannot be read".into());
            }
            if !has_ended {
                continue;
            }
            let record = match reader.take().map(RecordReader::finish) {
                Some(Err(_)) if !has_begun => return Some("a snapshot that is cut".into()),
                Some(Ok(record)) => record,
                None if !is_broken => continue,
                Some(Err(_)) | None => {
                    is_broken = false;
                    found(What::Unreadable);
                    continue;
                }
            };
            match &record {
                Record::Subscribed { .. } | Record::State(_) if has_begun => {
                    return Some("a second snapshot".into());
                }
                Record::Subscribed { .. } => {
                    inventory.end();
                    decoder.set_max(max_event);
                    has_begun = true;
                }
                Record::Event(Event::TaskAdded(task)) => {
                    inventory.add(task, is_final(&task.state));
                }
                Record::Event(Event::TaskUpdated(update)) => {
                    let status = update.status.as_ref();
                    let has_ended = status.is_some_and(|s| is_final(&s.state));
                    let (task, is_known) = inventory.update((**update).clone(), has_ended);
                    found(What::Updated(task, is_known));
                }
                _ => {}
            }
            found(What::Record {
                record,
                live: Vec::new(),
            });
        }
    }
    None
}

/// A part of what RecordIO holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A record of so many bytes begins.
    Start(u64),
    /// Some of them.
    Data(&'a [u8]),
    /// It is complete.
    End,
}

/// Takes RecordIO apart, up to an error.
pub fn frames<'a>(
    max: u64,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    found: &mut dyn FnMut(Frame<'_>),
) -> Option<String> {
    let mut decoder = Decoder::new(max);
    for mut rest in pieces {
        loop {
            match decoder.decode(&mut rest) {
                Err(e) => return Some(e.to_string()),
                Ok(None) => break,
                Ok(Some(Piece::Start(bytes))) => found(Frame::Start(bytes)),
                Ok(Some(Piece::Data(bytes))) => found(Frame::Data(bytes)),
                Ok(Some(Piece::End)) => found(Frame::End),
            }
        }
    }
    None
}

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (What::Record { record: a, live: x }, What::Record { record: b, live: y }) => {
                x == y && is_same_record(a, b)
            }
            (What::Agent(a), What::Agent(b)) => {
                (&a.id, &a.work_dir, &a.executors) == (&b.id, &b.work_dir, &b.executors)
            }
            (What::Updated(a, x), What::Updated(b, y)) => x == y && a == b,
            (What::Unreadable, What::Unreadable) => true,
            (What::Failed(a), What::Failed(b)) => a == b,
            _ => false,
        }
    }
}

fn is_same_record(a: &Record, b: &Record) -> bool {
    match (a, b) {
        (
            Record::Subscribed {
                snapshot: a,
                heartbeat: x,
            },
            Record::Subscribed {
                snapshot: b,
                heartbeat: y,
            },
        ) => x == y && is_same(a, b),
        (Record::State(a), Record::State(b)) => is_same(a, b),
        (Record::Event(a), Record::Event(b)) => a == b,
        (Record::Other(a), Record::Other(b)) => a == b,
        _ => false,
    }
}

fn is_same(a: &Snapshot, b: &Snapshot) -> bool {
    a.version == b.version
        && a.pid == b.pid
        && a.leader == b.leader
        && a.agents == b.agents
        && a.settling == b.settling
        && a.executors == b.executors
        && a.frameworks == b.frameworks
        && a.tasks == b.tasks
        && a.skipped == b.skipped
}

impl Found {
    /// Why nothing was found, or not more.
    pub fn failure(&self) -> Option<&str> {
        match &self.0 {
            What::Failed(why) => Some(why),
            _ => None,
        }
    }

    /// All of it as JSON, to be compared with what was meant; nothing of an update that was
    /// told before as an event.
    pub fn tell(&self) -> Option<Value> {
        Some(match &self.0 {
            What::Record { record, live } => match record {
                Record::Subscribed {
                    snapshot,
                    heartbeat,
                } => json!({"subscribed": tell(snapshot, live), "heartbeat": heartbeat}),
                Record::State(snapshot) => json!({"state": tell(snapshot, live)}),
                Record::Event(event) => tell_event(event),
                Record::Other(kind) => json!({"other": kind}),
            },
            What::Agent(agent) => tell_agent(agent),
            What::Updated(..) => return None,
            What::Unreadable => json!("unreadable"),
            What::Failed(why) => json!({"failed": why}),
        })
    }
}

fn tell(snapshot: &Snapshot, live: &[Task]) -> Value {
    let frameworks = snapshot.frameworks.iter();
    // They come in the order of the lists they are in, which may be any.
    let mut live: Vec<&Task> = live.iter().collect();
    live.sort_by(|a, b| a.id.cmp(&b.id));
    json!({
        "version": snapshot.version,
        "pid": snapshot.pid,
        "leader": snapshot.leader,
        "agents": snapshot.agents.iter().map(tell_agent_record).collect::<Vec<_>>(),
        "settling": snapshot.settling,
        "executors": snapshot.executors.iter().map(|e| json!({
            "framework": &*e.framework, "id": e.id, "agent": e.agent, "labels": e.labels,
            "runs_pods": e.runs_pods,
        })).collect::<Vec<_>>(),
        "frameworks": frameworks.map(|(id, name)| (id.to_string(), json!(&**name)))
            .collect::<serde_json::Map<_, _>>(),
        "tasks": snapshot.tasks.iter().map(tell_task).collect::<Vec<_>>(),
        "live": live.into_iter().map(tell_task).collect::<Vec<_>>(),
        "skipped": snapshot.skipped,
    })
}

fn tell_agent_record(agent: &crate::state::Agent) -> Value {
    json!({"id": agent.id, "hostname": agent.hostname, "pid": agent.pid, "port": agent.port})
}

fn tell_task(task: &Task) -> Value {
    json!({
        "framework": &*task.framework,
        "framework_name": &*task.framework_name,
        "id": task.id,
        "name": task.name,
        "agent": task.agent,
        "executor": task.executor,
        "state": task.state,
        "labels": task.labels,
        "image": task.image,
        "statuses": task.statuses.iter().map(tell_status).collect::<Vec<_>>(),
        "containers": task.containers,
    })
}

fn tell_status(status: &Status) -> Value {
    json!({
        "state": status.state,
        "time": status.time.map(Seconds::millis),
        "message": status.message,
        "reason": status.reason,
        "healthy": status.healthy,
        "source": status.source,
    })
}

fn tell_event(event: &Event) -> Value {
    match event {
        Event::Heartbeat => json!("heartbeat"),
        Event::TaskAdded(task) => json!({"added": tell_task(task)}),
        Event::TaskUpdated(update) => json!({"updated": tell_update(update)}),
        Event::AgentAdded(agent) => json!({"agent": tell_agent_record(agent)}),
        Event::AgentRemoved(id) => json!({"removed": id}),
        Event::FrameworkAdded { id, name } => json!({"framework added": [id, name]}),
        Event::FrameworkUpdated { id, name } => json!({"framework updated": [id, name]}),
        Event::FrameworkRemoved { id, name } => json!({"framework removed": [id, name]}),
        Event::Unknown => json!("unknown"),
    }
}

fn tell_update(update: &Update) -> Value {
    json!({
        "framework": update.framework,
        "task": update.task,
        "agent": update.agent,
        "executor": update.executor,
        "state": update.state,
        "status": update.status.as_ref().map(tell_status),
        "containers": update.containers,
    })
}

fn tell_agent(agent: &AgentState) -> Value {
    json!({
        "id": agent.id,
        "work_dir": agent.work_dir,
        "executors": agent.executors.iter().map(|e| json!({
            "framework": e.framework, "id": e.id, "container": e.container,
            "directory": e.directory, "runs_pods": e.runs_pods, "labels": e.labels,
            "tasks": e.tasks.iter().map(|t| json!({"id": t.id, "state": t.state, "time": t.time}))
                .collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    })
}
