//! systemd on the D-Bus.
//!
//! Two connections: one on which signals come, and one for questions. So questions are answered while signals
//! wait, and signals that come faster than they are taken wait at the other side.

mod address;
mod signal;

use std::{collections::HashMap, time::Duration};

use notifier_core::Result;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;
use zbus::{
    Connection, Message,
    zvariant::{DynamicType, OwnedObjectPath, OwnedValue, Type, Value},
};

pub(crate) use self::{
    address::Address,
    signal::{Event, Job},
};
use crate::{
    error,
    unit::{self, Observation, Properties},
};

const NAME: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const PEER: &str = "org.freedesktop.DBus.Peer";

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(25);
/// Events that wait to be taken.
const EVENTS: usize = 1024;

/// A link to systemd.
#[derive(Debug)]
pub(crate) struct Bus {
    questions: Connection,
}

/// What of a unit does not change from run to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) description: String,
    /// The unit's file.
    pub(crate) fragment: Option<String>,
    pub(crate) drop_ins: Vec<String>,
    /// `Environment=`, each `NAME=value`.
    pub(crate) environment: Vec<String>,
    /// `EnvironmentFiles=`, paths.
    pub(crate) environment_files: Vec<String>,
    /// The unit is loaded, and not only asked for.
    pub(crate) is_loaded: bool,
    /// The values of the properties that were asked for besides, as `systemctl show` prints them.
    pub(crate) properties: HashMap<String, String>,
}

impl Bus {
    /// Connects, and asks systemd for its signals.
    ///
    /// The receiver ends when the bus is gone.
    pub(crate) async fn connect(address: &Address) -> Result<(Self, mpsc::Receiver<Event>)> {
        let signals = connection(address).await?;
        let questions = connection(address).await?;
        let (send, events) = mpsc::channel(EVENTS);
        signal::listen(&signals, send).await?;
        let bus = Self { questions };
        in_time(
            "subscribe to systemd's signals",
            signals.call_method(Some(NAME), MANAGER_PATH, Some(MANAGER), "Subscribe", &()),
        )
        .await?;
        Ok((bus, events))
    }

    async fn ask<B>(&self, path: &str, interface: &str, method: &str, body: &B) -> Result<Message>
    where
        B: Serialize + DynamicType + Sync,
    {
        let doing = format!("ask systemd ({method})");
        let call = self
            .questions
            .call_method(Some(NAME), path, Some(interface), method, body);
        in_time(&doing, call).await
    }

    /// The names of the units that are loaded, and are in one of these states.
    pub(crate) async fn units(&self, states: &[&str]) -> Result<Vec<String>> {
        type Row = (
            String,
            String,
            String,
            String,
            String,
            String,
            OwnedObjectPath,
            u32,
            String,
            OwnedObjectPath,
        );
        let patterns: &[&str] = &[];
        let answer = self
            .ask(
                MANAGER_PATH,
                MANAGER,
                "ListUnitsByPatterns",
                &(states, patterns),
            )
            .await?;
        let rows: Vec<Row> = read(&answer, "the list of units")?;
        Ok(rows.into_iter().map(|row| row.0).collect())
    }

    /// A unit as it is now. It must be loaded, else systemd loads it for this.
    pub(crate) async fn look(&self, unit: &str) -> Result<Observation> {
        let path = unit::path_of(unit);
        let of_unit = self.properties(&path, UNIT).await?;
        let of_type = match unit::interface_of(unit) {
            Some(interface) => Some(self.properties(&path, interface).await?),
            None => None,
        };
        let of_unit = borrowed(&of_unit);
        let of_type = of_type.as_ref().map(borrowed);
        Ok(Observation::new(&of_unit, of_type.as_ref()))
    }

    /// What of a unit stays the same, and these properties of it. It must be loaded, else systemd loads it for this.
    pub(crate) async fn describe(&self, unit: &str, also: &[String]) -> Result<Description> {
        let path = unit::path_of(unit);
        let of_unit = self.properties(&path, UNIT).await?;
        let of_type = match unit::interface_of(unit) {
            Some(interface) => self.properties(&path, interface).await?,
            None => HashMap::new(),
        };
        let shown = |name: &String| {
            let value = of_unit.get(name).or_else(|| of_type.get(name))?;
            Some((name.clone(), unit::shown(value)?))
        };
        let properties = also.iter().filter_map(shown).collect();
        let (of_unit, of_type) = (borrowed(&of_unit), borrowed(&of_type));
        Ok(Description {
            description: unit::text(&of_unit, "Description"),
            fragment: Some(unit::text(&of_unit, "FragmentPath")).filter(|p| !p.is_empty()),
            drop_ins: unit::list(&of_unit, "DropInPaths"),
            environment: unit::list(&of_type, "Environment"),
            environment_files: environment_files(&of_type),
            is_loaded: unit::text(&of_unit, "LoadState") == "loaded",
            properties,
        })
    }

    async fn properties(&self, path: &str, interface: &str) -> Result<HashMap<String, OwnedValue>> {
        let answer = self.ask(path, PROPERTIES, "GetAll", &(interface)).await?;
        read(&answer, "a unit's properties")
    }

    /// The machine's id: 32 hexadecimal digits.
    pub(crate) async fn machine_id(&self) -> Result<String> {
        let answer = self.ask(MANAGER_PATH, PEER, "GetMachineId", &()).await?;
        read(&answer, "the machine's id")
    }

    /// Whether systemd answers.
    pub(crate) async fn ping(&self) -> Result<()> {
        self.ask(MANAGER_PATH, PEER, "Ping", &()).await.map(drop)
    }
}

/// Paths of `a(sb)`.
fn environment_files(of: &Properties<'_>) -> Vec<String> {
    let Some(Value::Array(all)) = of.get("EnvironmentFiles") else {
        return Vec::new();
    };
    all.iter()
        .filter_map(|file| match file {
            Value::Structure(s) => match s.fields().first() {
                Some(Value::Str(path)) => Some(path.to_string()),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

fn borrowed(of: &HashMap<String, OwnedValue>) -> Properties<'_> {
    of.iter()
        .filter_map(|(name, value)| Some((name.as_str().into(), value.try_clone().ok()?.into())))
        .collect()
}

async fn connection(address: &Address) -> Result<Connection> {
    let doing = format!("connect to {address}");
    let build = async { address.builder()?.method_timeout(TIMEOUT).build().await };
    in_time(&doing, build).await
}

async fn in_time<T>(doing: &str, work: impl Future<Output = zbus::Result<T>>) -> Result<T> {
    match tokio::time::timeout(TIMEOUT, work).await {
        Ok(done) => done.map_err(|e| error::of_bus(doing, e)),
        Err(_) => Err(error::too_long(doing)),
    }
}

fn read<T: DeserializeOwned + Type>(answer: &Message, what: &str) -> Result<T> {
    let body = answer.body();
    body.deserialize()
        .map_err(|e| error::of_bus(&format!("read {what}"), e))
}
