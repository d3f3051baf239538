use std::fmt;

/// The version of Mesos a cluster plays. It decides paths, fields and the manners of
/// masters that do not lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MesosVersion {
    major: u16,
    minor: u16,
    patch: u16,
}

impl MesosVersion {
    /// Before redirects and the operator API; masters that do not lead serve a state of
    /// their own, empty one.
    pub const V0_28: Self = Self::new(0, 28, 3);
    /// With redirects, without `leader_info` and container ids.
    pub const V1_0: Self = Self::new(1, 0, 4);
    /// With `unreachable_tasks` and container ids, still with `.json` paths.
    pub const V1_4: Self = Self::new(1, 4, 3);
    /// The last one: agent ports in the state, no `.json` paths. The default.
    pub const V1_11: Self = Self::new(1, 11, 0);

    /// Any version.
    #[must_use]
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    fn at_least(self, major: u16, minor: u16) -> bool {
        (self.major, self.minor) >= (major, minor)
    }

    /// Masters that do not lead redirect to the leader (1.0).
    pub(crate) fn redirects(self) -> bool {
        self.at_least(1, 0)
    }

    /// Masters have the operator API (1.0).
    pub(crate) fn has_operator_api(self) -> bool {
        self.at_least(1, 0)
    }

    /// Updates in the stream carry the status, agents have events, executors a type
    /// (1.1).
    pub(crate) fn has_agent_events(self) -> bool {
        self.at_least(1, 1)
    }

    /// Frameworks have events (1.4).
    pub(crate) fn has_framework_events(self) -> bool {
        self.at_least(1, 4)
    }

    /// Streams have heartbeats (1.5).
    pub(crate) fn has_heartbeats(self) -> bool {
        self.at_least(1, 5)
    }

    /// JSON of the operator API writes a slash as `\/` (until 1.5).
    pub(crate) fn escapes_slashes(self) -> bool {
        !self.at_least(1, 6)
    }

    /// An update is sent when its status is new, not when the state of the task is
    /// (1.7).
    pub(crate) fn updates_by_status(self) -> bool {
        self.at_least(1, 7)
    }

    /// Frameworks that a new leader learns of from agents are announced (1.7.3, 1.8.2
    /// and 1.9).
    pub(crate) fn announces_recovered(self) -> bool {
        self.at_least(1, 9)
            || (self.major == 1 && self.minor == 8 && self.patch >= 2)
            || (self.major == 1 && self.minor == 7 && self.patch >= 3)
    }

    /// Answers of the operator API have their lists also when they are empty (1.10).
    pub(crate) fn writes_empty_lists(self) -> bool {
        self.at_least(1, 10)
    }

    /// The master's state has `leader_info` (1.1).
    pub(crate) fn has_leader_info(self) -> bool {
        self.at_least(1, 1)
    }

    /// Tasks of lost agents are listed as unreachable, and statuses carry container ids
    /// (1.2).
    pub(crate) fn has_unreachable(self) -> bool {
        self.at_least(1, 2)
    }

    /// Sandboxes have paths without the agent's work directory (1.5).
    pub(crate) fn has_virtual_paths(self) -> bool {
        self.at_least(1, 5)
    }

    /// The state tells the port of agents (1.8).
    pub(crate) fn has_agent_port(self) -> bool {
        self.at_least(1, 8)
    }

    /// Paths ending in `.json` are served (until 1.7).
    pub(crate) fn has_json_paths(self) -> bool {
        !self.at_least(1, 8)
    }

    /// `/state` is served beside `/state.json` (0.25).
    pub(crate) fn has_plain_paths(self) -> bool {
        self.at_least(0, 25)
    }
}

impl Default for MesosVersion {
    fn default() -> Self {
        Self::V1_11
    }
}

impl fmt::Display for MesosVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
