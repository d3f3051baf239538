//! What a rendering is given.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::function::Function;
use crate::time::Time;
use crate::value::Value;

type ZoneLookup = Arc<dyn Fn(&str) -> Option<TimeZone> + Send + Sync>;

/// The data and everything else from outside that a template may see: bound functions,
/// the present moment, time zones. Nothing is read from the machine unless it is given here.
#[derive(Clone)]
pub struct Context {
    pub(crate) data: Value,
    pub(crate) functions: BTreeMap<String, Function>,
    pub(crate) now: Option<Time>,
    pub(crate) local: TimeZone,
    zones: Option<ZoneLookup>,
}

impl Context {
    /// A context with this data as the dot, no functions, no clock, and UTC as the local
    /// zone.
    pub fn new(data: Value) -> Self {
        Self {
            data,
            functions: BTreeMap::new(),
            now: None,
            local: TimeZone::UTC,
            zones: None,
        }
    }

    /// Binds a function that the engine declared, replacing any bound before.
    pub fn bind(&mut self, name: impl Into<String>, function: Function) -> &mut Self {
        self.functions.insert(name.into(), function);
        self
    }

    /// Sets the present moment, for `since`; without it `since` is an error.
    #[must_use]
    pub fn with_now(mut self, now: impl Into<Time>) -> Self {
        self.now = Some(now.into());
        self
    }

    /// Sets the zone that `.Local` and `tz "Local"` lead to.
    #[must_use]
    pub fn with_local_zone(mut self, zone: TimeZone) -> Self {
        self.local = zone;
        self
    }

    /// Sets how `tz` finds zones by name. Without it, only `UTC`, `Local` and the empty
    /// name are known.
    #[must_use]
    pub fn with_zones(
        mut self,
        lookup: impl Fn(&str) -> Option<TimeZone> + Send + Sync + 'static,
    ) -> Self {
        self.zones = Some(Arc::new(lookup));
        self
    }

    /// Lets `tz` find zones in the machine's time zone database, which reads files.
    #[must_use]
    pub fn with_system_zones(self) -> Self {
        self.with_zones(|name| TimeZone::get(name).ok())
    }

    pub(crate) fn zone(&self, name: &str) -> Option<TimeZone> {
        self.zones.as_ref().and_then(|lookup| lookup(name))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("data", &self.data)
            .field("functions", &self.functions.keys())
            .field("now", &self.now)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}
