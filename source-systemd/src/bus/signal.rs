//! Signals of systemd, as events.

use std::{borrow::Cow, collections::HashMap};

use futures_util::StreamExt as _;
use notifier_core::Result;
use tokio::sync::mpsc;
use zbus::{
    Connection, MatchRule, Message, MessageStream,
    message::Type,
    zvariant::{OwnedObjectPath, Value},
};

use super::{MANAGER, MANAGER_PATH, NAME, PROPERTIES, UNIT, in_time};
use crate::unit::{self, Observation, Properties};

/// The bus itself.
const DAEMON: &str = "org.freedesktop.DBus";
const DAEMON_PATH: &str = "/org/freedesktop/DBus";

/// Signals that wait inside the connection.
const QUEUE: usize = 256;
/// Units of which one signal of a pair came and the other one is awaited: they come one after the other.
const HALVES: usize = 64;

/// What systemd tells.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// A unit changed, and was like this.
    Changed(String, Box<Observation>),
    /// A unit is loaded.
    New(String),
    /// A unit is loaded no more; while systemd reads its units again, each one is for a moment.
    Removed(String),
    /// systemd begins to read its units again, or is done with it.
    Reloading(bool),
    /// A job is over.
    Job(Job),
    /// systemd itself was started again.
    Restarted,
}

/// A job that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) id: u32,
    pub(crate) unit: String,
    /// `done`, `failed`, `dependency`, …
    pub(crate) result: String,
}

/// Listens on a connection, until it or the receiver is gone.
pub(super) async fn listen(connection: &Connection, send: mpsc::Sender<Event>) -> Result<()> {
    let doing = "listen to systemd's signals";
    let rules = async {
        let all = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(NAME)?
            .path_namespace(MANAGER_PATH)?
            .build();
        let all = MessageStream::for_match_rule(all, connection, Some(QUEUE)).await?;
        let owner = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(DAEMON)?
            .interface(DAEMON)?
            .member("NameOwnerChanged")?
            .add_arg(NAME)?
            .build();
        let owner = MessageStream::for_match_rule(owner, connection, Some(QUEUE)).await?;
        Ok((all, owner))
    };
    let (all, owner) = in_time(doing, rules).await?;
    let mut messages = futures_util::stream::select(all, owner);
    // Anyone on the bus may send a signal to us alone.
    let mut pairs = Pairs {
        owner: in_time(doing, owner_of(connection)).await?,
        ..Pairs::default()
    };
    tokio::spawn(async move {
        loop {
            let message = tokio::select! {
                message = messages.next() => message,
                () = send.closed() => return,
            };
            let Some(Ok(message)) = message else {
                return;
            };
            let Some(event) = pairs.take(&message) else {
                continue;
            };
            if send.send(event).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// systemd's own name on the bus, such as `:1.0`.
async fn owner_of(connection: &Connection) -> zbus::Result<String> {
    let answer = connection
        .call_method(
            Some(DAEMON),
            DAEMON_PATH,
            Some(DAEMON),
            "GetNameOwner",
            &NAME,
        )
        .await?;
    answer.body().deserialize()
}

/// Puts the two signals of a change together: that of the unit's type comes first, then that of the unit.
#[derive(Debug, Default)]
struct Pairs {
    /// systemd's own name on the bus; others are not listened to. Empty: all are.
    owner: String,
    halves: HashMap<String, HashMap<String, Value<'static>>>,
}

impl Pairs {
    fn take(&mut self, message: &Message) -> Option<Event> {
        let header = message.header();
        let interface = header.interface()?.as_str();
        let member = header.member()?.as_str();
        let path = header.path()?.as_str();
        let body = message.body();
        let is_daemon = interface == DAEMON;
        if !is_daemon && !self.owner.is_empty() && header.sender()?.as_str() != self.owner {
            return None;
        }
        match (interface, member) {
            (PROPERTIES, "PropertiesChanged") => {
                let unit = unit::of_path(path)?;
                let (of, changed, _): (Cow<'_, str>, HashMap<&str, Value<'_>>, Vec<&str>) =
                    body.deserialize().ok()?;
                self.changed(unit, &of, changed)
            }
            (MANAGER, "UnitNew") => {
                let (unit, _): (String, OwnedObjectPath) = body.deserialize().ok()?;
                Some(Event::New(unit))
            }
            (MANAGER, "Reloading") => Some(Event::Reloading(body.deserialize().ok()?)),
            (MANAGER, "UnitRemoved") => {
                let (unit, _): (String, OwnedObjectPath) = body.deserialize().ok()?;
                self.halves.remove(&unit);
                Some(Event::Removed(unit))
            }
            (MANAGER, "JobRemoved") => {
                let (id, _, unit, result): (u32, OwnedObjectPath, String, String) =
                    body.deserialize().ok()?;
                Some(Event::Job(Job { id, unit, result }))
            }
            (DAEMON, "NameOwnerChanged") => {
                let (name, _, owner): (&str, &str, &str) = body.deserialize().ok()?;
                if name != NAME || owner.is_empty() || header.sender()?.as_str() != DAEMON {
                    return None;
                }
                owner.clone_into(&mut self.owner);
                Some(Event::Restarted)
            }
            _ => None,
        }
    }

    fn changed(
        &mut self,
        unit: String,
        interface: &str,
        changed: HashMap<&str, Value<'_>>,
    ) -> Option<Event> {
        if interface != UNIT {
            if Some(interface) == unit::interface_of(&unit) {
                if self.halves.len() >= HALVES {
                    self.halves.clear();
                }
                let owned = changed
                    .into_iter()
                    .filter_map(|(name, value)| {
                        Some((name.to_owned(), value.try_to_owned().ok()?.into()))
                    })
                    .collect();
                self.halves.insert(unit, owned);
            }
            return None;
        }
        if !changed.contains_key("ActiveState") {
            return None;
        }
        let of_unit: Properties<'_> = changed
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect();
        let half = self.halves.remove(&unit);
        let of_type: Option<Properties<'_>> = half.map(|half| {
            half.into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect()
        });
        let seen = Observation::new(&of_unit, of_type.as_ref());
        Some(Event::Changed(unit, Box::new(seen)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal<B: serde::Serialize + zbus::zvariant::DynamicType>(
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
    ) -> Message {
        Message::signal(path, interface, member)
            .unwrap()
            .build(body)
            .unwrap()
    }

    fn changed(path: &str, interface: &str, properties: &[(&str, Value<'_>)]) -> Message {
        let properties: HashMap<&str, &Value<'_>> =
            properties.iter().map(|(k, v)| (*k, v)).collect();
        let body = (interface, properties, Vec::<&str>::new());
        signal(path, PROPERTIES, "PropertiesChanged", &body)
    }

    const PATH: &str = "/org/freedesktop/systemd1/unit/a_2eservice";

    #[test]
    fn two_signals_are_one_event() {
        let mut pairs = Pairs::default();
        let service = changed(
            PATH,
            "org.freedesktop.systemd1.Service",
            &[("Result", "signal".into()), ("NRestarts", 3u32.into())],
        );
        assert_eq!(pairs.take(&service), None);
        let unit = changed(PATH, UNIT, &[("ActiveState", "failed".into())]);
        let Some(Event::Changed(name, seen)) = pairs.take(&unit) else {
            panic!("no event");
        };
        assert_eq!(name, "a.service");
        assert_eq!((seen.result.as_str(), seen.restarts), ("signal", 3));
        // The first half counts once.
        let Some(Event::Changed(_, seen)) = pairs.take(&unit) else {
            panic!("no event");
        };
        assert_eq!(seen.result, "");
        // One of another type is none of ours.
        let other = changed(PATH, "org.freedesktop.systemd1.Socket", &[]);
        assert_eq!(pairs.take(&other), None);
        assert!(pairs.halves.is_empty());
    }

    const REMOVED: &str = "UnitRemoved";

    #[test]
    fn nobody_speaks_for_systemd() {
        let mut pairs = Pairs {
            owner: ":1.0".to_owned(),
            ..Pairs::default()
        };
        let of = |sender: &'static str, interface: &'static str, member: &'static str| {
            let builder = Message::signal("/x", interface, member).unwrap();
            let builder = builder.sender(sender).unwrap();
            match member {
                REMOVED => {
                    let path = OwnedObjectPath::try_from("/x").unwrap();
                    builder.build(&("a.service", path)).unwrap()
                }
                _ => builder.build(&(NAME, "", ":1.9")).unwrap(),
            }
        };
        assert_eq!(pairs.take(&of(":1.7", MANAGER, REMOVED)), None);
        assert_eq!(pairs.take(&of(":1.7", DAEMON, "NameOwnerChanged")), None);
        assert!(pairs.take(&of(":1.0", MANAGER, REMOVED)).is_some());
        // It was started again, under another name.
        assert!(
            pairs
                .take(&of(DAEMON, DAEMON, "NameOwnerChanged"))
                .is_some()
        );
        assert_eq!(pairs.take(&of(":1.0", MANAGER, REMOVED)), None);
        assert!(pairs.take(&of(":1.9", MANAGER, REMOVED)).is_some());
    }

    #[test]
    fn halves_without_the_other_do_not_add_up() {
        let mut pairs = Pairs::default();
        for n in 0..10 * HALVES {
            let path = format!("/org/freedesktop/systemd1/unit/a{n}_2eservice");
            pairs.take(&changed(&path, "org.freedesktop.systemd1.Service", &[]));
            assert!(pairs.halves.len() <= HALVES);
        }
    }

    #[test]
    fn jobs_and_removals() {
        let mut pairs = Pairs::default();
        let path = OwnedObjectPath::try_from("/x").unwrap();
        let job = signal(
            MANAGER_PATH,
            MANAGER,
            "JobRemoved",
            &(7u32, path.clone(), "a.service", "dependency"),
        );
        let is = Job {
            id: 7,
            unit: "a.service".to_owned(),
            result: "dependency".to_owned(),
        };
        assert_eq!(pairs.take(&job), Some(Event::Job(is)));
        let removed = signal(MANAGER_PATH, MANAGER, "UnitRemoved", &("a.service", path));
        assert_eq!(
            pairs.take(&removed),
            Some(Event::Removed("a.service".into()))
        );
        let reloading = signal(MANAGER_PATH, MANAGER, "Reloading", &true);
        assert_eq!(pairs.take(&reloading), Some(Event::Reloading(true)));
        let odd = signal(MANAGER_PATH, MANAGER, "JobRemoved", &"odd");
        assert_eq!(pairs.take(&odd), None);
    }
}
