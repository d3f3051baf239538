/// A job to be known to Chronos. Default: 2 retries, no owner, a schedule that repeats for ever,
/// not disabled, no run so far.
#[derive(Debug, Clone)]
#[must_use]
pub struct JobSpec {
    pub(crate) name: String,
    pub(crate) command: String,
    pub(crate) owner: String,
    pub(crate) owner_name: String,
    pub(crate) retries: u32,
    pub(crate) schedule: String,
    pub(crate) parents: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) arguments: Vec<String>,
    pub(crate) disabled: bool,
    pub(crate) extra: Vec<(String, serde_json::Value)>,
}

impl JobSpec {
    /// A job of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            command: "exit 1".to_owned(),
            owner: String::new(),
            owner_name: String::new(),
            retries: 2,
            schedule: "R/2026-01-01T02:00:00.000Z/PT24H".to_owned(),
            parents: Vec::new(),
            environment: Vec::new(),
            arguments: Vec::new(),
            disabled: false,
            extra: Vec::new(),
        }
    }

    /// What it runs. Default: `exit 1`.
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.command = command.into();
        self
    }

    /// The owners as Chronos keeps them: addresses, separated by commas.
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = owner.into();
        self
    }

    /// The name of the owner.
    pub fn owner_name(mut self, name: impl Into<String>) -> Self {
        self.owner_name = name.into();
        self
    }

    /// How often a failed run is tried again.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// The schedule: `R/TIME/PERIOD` for ever, `R5/TIME/PERIOD` five times. Each launch of a
    /// run that is no retry takes one of them.
    pub fn schedule(mut self, schedule: impl Into<String>) -> Self {
        self.schedule = schedule.into();
        self
    }

    /// A job that this one waits for, in place of a schedule.
    pub fn parent(mut self, name: impl Into<String>) -> Self {
        self.parents.push(name.into());
        self
    }

    /// Adds a variable of the environment.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Adds an argument. They are part of the ids of its tasks.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Whether it is disabled.
    pub fn disabled(mut self, disabled: bool) -> Self {
        self.disabled = disabled;
        self
    }

    /// Sets a field of its JSON, over the one that Chronos would write; `null` leaves it out.
    /// For fields of other types than documented, and for unknown ones.
    pub fn field(mut self, name: impl Into<String>, value: serde_json::Value) -> Self {
        self.extra.push((name.into(), value));
        self
    }
}
