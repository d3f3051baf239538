/// A unit as it was submitted to fleet.
#[derive(Debug, Clone)]
pub struct UnitSpec {
    pub(crate) name: String,
    pub(crate) options: Vec<(String, String, String)>,
    pub(crate) desired: String,
    pub(crate) machine: Option<String>,
    pub(crate) hash: String,
}

impl UnitSpec {
    /// A unit that is to be launched, on no machine yet, without options.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            hash: format!("hash-of-{name}"),
            name,
            options: Vec::new(),
            desired: "launched".to_owned(),
            machine: None,
        }
    }

    /// Adds a line of the unit's file.
    #[must_use]
    pub fn option(mut self, section: &str, name: &str, value: &str) -> Self {
        let line = (section.to_owned(), name.to_owned(), value.to_owned());
        self.options.push(line);
        self
    }

    /// Runs on every machine (`Global=true`), and is scheduled to none.
    #[must_use]
    pub fn global(self) -> Self {
        self.option("X-Fleet", "Global", "true")
    }

    /// `launched` (the default), `loaded` or `inactive`.
    #[must_use]
    pub fn desired(mut self, state: &str) -> Self {
        self.desired = state.to_owned();
        self
    }

    /// Where it is scheduled.
    #[must_use]
    pub fn on(mut self, machine: &str) -> Self {
        self.machine = Some(machine.to_owned());
        self
    }

    /// The hash of its file. Default: made of the name.
    #[must_use]
    pub fn hash(mut self, hash: &str) -> Self {
        self.hash = hash.to_owned();
        self
    }
}
