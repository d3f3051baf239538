//! A status in its JSON: in both forms of it the same.

use serde::Deserialize;

use super::{
    Seconds, Status,
    lenient::{self, Flag, List, Number, Object, Text},
};
use crate::exit;

/// A list of statuses, and the container ids of the newest one that tells them: one made by a
/// master does not. Nothing if they cannot be read.
pub(super) fn read(list: &[u8]) -> Option<(Vec<Status>, Vec<String>)> {
    let read = lenient::read(list, |text| {
        let list = serde_json::from_str::<List<StatusJson<'_>>>(text)?.0;
        let mut newest_first = list.iter().rev().map(StatusJson::containers);
        let containers = newest_first.find(|c| !c.is_empty());
        let statuses = list.into_iter().map(Status::from).collect();
        Ok((statuses, containers.unwrap_or_default()))
    });
    read.ok()
}

/// A status by itself; nothing if it cannot be read.
pub(super) fn read_one(status: &[u8]) -> Option<(Status, Vec<String>)> {
    let read = lenient::read(status, |text| {
        let status = lenient::object::<StatusJson<'_>>(text)?;
        Ok(status.map(|status| {
            let containers = status.containers();
            (Status::from(status), containers)
        }))
    });
    read.ok()?
}

/// What is left out is not kept for a moment: of the `data` of an event that is required, for
/// it may hold the secrets of a task.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct StatusJson<'a> {
    #[serde(borrow)]
    state: Text<'a>,
    pub(super) timestamp: Number,
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    source: Text<'a>,
    healthy: Flag,
    #[serde(borrow)]
    container_status: Object<ContainerStatusJson<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerStatusJson<'a> {
    #[serde(borrow)]
    container_id: Object<ContainerIdJson<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerIdJson<'a> {
    #[serde(borrow)]
    value: Text<'a>,
    #[serde(borrow)]
    parent: Object<Box<Self>>,
}

impl StatusJson<'_> {
    /// The container ids from the executor's down to the task's own; none if they are not
    /// told.
    fn containers(&self) -> Vec<String> {
        let mut chain = Vec::new();
        let mut next = self
            .container_status
            .0
            .as_ref()
            .and_then(|c| c.container_id.0.as_ref());
        while let Some(id) = next {
            if id.value.is_empty() {
                return Vec::new();
            }
            chain.push(id.value.0.as_ref().to_owned());
            next = id.parent.0.as_deref();
        }
        chain.reverse();
        chain
    }
}

impl From<StatusJson<'_>> for Status {
    fn from(status: StatusJson<'_>) -> Self {
        Self {
            state: status.state.into(),
            time: status.timestamp.0.and_then(Seconds::new),
            message: status.message.told().as_deref().map(exit::message),
            reason: status.reason.told(),
            healthy: status.healthy.0,
            source: status.source.told(),
        }
    }
}
