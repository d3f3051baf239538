//! The options of the group `systemd`, and the builder that they set.

use std::{fmt, path::PathBuf, sync::Arc};

use notifier_core::{
    Backlog, Clock, DEFAULT_PREFIX, Error, OptionGroup, OptionKind, OptionSpec, Result, Settings,
    SystemClock,
};

use crate::{
    SystemdSource,
    bus::Address,
    journal::Journal,
    record::SYSTEMD,
    source::Config,
    watch::choice::{self, Choice, LabelFile},
};

/// The section's name.
pub const SCHEME: &str = SYSTEMD;

/// The longest file of labels that is read, in bytes.
const MOST_LABELS: u64 = 1 << 20;
/// The most lines of the journal.
const MOST_LINES: u64 = 1000;

/// The options.
pub const OPTIONS: OptionGroup = OptionGroup::new(
    SCHEME,
    &[
        OptionSpec::new(
            "units",
            "patterns of the units that are watched, separated by commas: *, ?, [a-z]",
        )
        .kind(OptionKind::List)
        .default("*.service"),
        OptionSpec::new("ignore", "patterns of units that are not watched all the same")
            .kind(OptionKind::List),
        OptionSpec::new(
            "property",
            "NAME=PATTERN, separated by commas: units whose properties, as systemctl show prints them, match all of these are watched, such as Slice=system.slice",
        )
        .kind(OptionKind::List),
        OptionSpec::new(
            "labels",
            "file with a line PATTERN = label=value … for each kind of unit: only units that one of them matches are watched, and get its labels",
        )
        .kind(OptionKind::Path),
        OptionSpec::new(
            "environment_file",
            "environment files, separated by commas, whose variables COMPLAINER_… and NOTIFIER_… are labels of every unit, and PLATFORM its platform",
        )
        .kind(OptionKind::List)
        .aliases(&["systemd.environment-file"]),
        OptionSpec::new(
            "bus",
            "where systemd is found: system, user, or an address such as unix:path=/run/dbus/system_bus_socket",
        )
        .default("system"),
        OptionSpec::new("journal_lines", "how many last lines of the journal a failure has")
            .kind(OptionKind::Integer)
            .default("20")
            .aliases(&["systemd.journal-lines"]),
        OptionSpec::new(
            "journal_directory",
            "folder of the journal, in place of the machine's own",
        )
        .kind(OptionKind::Path)
        .aliases(&["systemd.journal-directory"]),
        OptionSpec::new(
            "platform",
            "what messages call the platform; unset: the variable PLATFORM of the environment files",
        ),
        OptionSpec::new("host", "what messages call the host; unset: the machine's name"),
        OptionSpec::new("name", "what this systemd is called as a source").default(SYSTEMD),
    ],
);

/// Sets up a [`SystemdSource`].
///
/// ```
/// use source_systemd::SystemdSource;
///
/// let source = SystemdSource::builder()
///     .units(["web-*.service", "*.mount"])
///     .journal_lines(5)
///     .build()?;
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[must_use]
pub struct SystemdBuilder {
    name: String,
    bus: String,
    units: Vec<String>,
    ignore: Vec<String>,
    property: Vec<String>,
    labels: Option<PathBuf>,
    environment_files: Vec<PathBuf>,
    journal_lines: u64,
    journal_directory: Option<PathBuf>,
    platform: Option<String>,
    host: Option<String>,
    prefix: String,
    backlog: Backlog,
    clock: Arc<dyn Clock>,
}

impl Default for SystemdBuilder {
    fn default() -> Self {
        Self {
            name: SYSTEMD.to_owned(),
            bus: String::new(),
            units: vec!["*.service".to_owned()],
            ignore: Vec::new(),
            property: Vec::new(),
            labels: None,
            environment_files: Vec::new(),
            journal_lines: 20,
            journal_directory: None,
            platform: None,
            host: None,
            prefix: DEFAULT_PREFIX.to_owned(),
            backlog: Backlog::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl SystemdBuilder {
    /// A builder with the values of [`OPTIONS`]. What is wrong with them is told by [`build`](Self::build).
    pub fn from_settings(settings: &Settings, clock: Arc<dyn Clock>) -> Self {
        let owned = |key: &str| -> Vec<String> {
            settings.list(key).into_iter().map(str::to_owned).collect()
        };
        let mut b = Self::default().clock(clock);
        b.units = owned("units");
        b.ignore = owned("ignore");
        b.property = owned("property");
        b.labels = settings.get("labels").map(PathBuf::from);
        b.environment_files = owned("environment_file")
            .into_iter()
            .map(PathBuf::from)
            .collect();
        settings.text("bus").clone_into(&mut b.bus);
        if let Some(lines) = settings.integer("journal_lines") {
            b.journal_lines = lines;
        }
        b.journal_directory = settings.get("journal_directory").map(PathBuf::from);
        b.platform = settings.get("platform").map(str::to_owned);
        b.host = settings.get("host").map(str::to_owned);
        if let Some(name) = settings.get("name") {
            name.clone_into(&mut b.name);
        }
        b
    }

    /// The source's name. Default `systemd`. It is no part of a failure's identity.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Where systemd is found: `system` (the default), `user`, or an address such as `unix:path=/run/…`.
    pub fn bus(mut self, bus: impl Into<String>) -> Self {
        self.bus = bus.into();
        self
    }

    /// Patterns of the units that are watched. Default `*.service`.
    pub fn units<I: IntoIterator<Item: Into<String>>>(mut self, patterns: I) -> Self {
        self.units = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// Patterns of units that are not watched all the same. Default: none.
    pub fn ignore<I: IntoIterator<Item: Into<String>>>(mut self, patterns: I) -> Self {
        self.ignore = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// `NAME=PATTERN`: adds what a property of the units that are watched must be, as `systemctl show` prints it.
    pub fn property(mut self, property: impl Into<String>) -> Self {
        self.property.push(property.into());
        self
    }

    /// A file with a line `PATTERN = label=value …` for each kind of unit. Only units that one of them matches
    /// are watched, and get its labels. Default: none.
    pub fn labels(mut self, path: impl Into<PathBuf>) -> Self {
        self.labels = Some(path.into());
        self
    }

    /// Adds an environment file whose variables are labels of every unit.
    pub fn environment_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.environment_files.push(path.into());
        self
    }

    /// How many last lines of the journal a failure has: 0 to 1000. Default 20.
    pub fn journal_lines(mut self, lines: u64) -> Self {
        self.journal_lines = lines;
        self
    }

    /// The folder of the journal. Default: the machine's own.
    pub fn journal_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.journal_directory = Some(path.into());
        self
    }

    /// What messages call the platform. Default: the variable `PLATFORM` of the environment files.
    pub fn platform(mut self, platform: impl Into<String>) -> Self {
        self.platform = Some(platform.into());
        self
    }

    /// What messages call the host. Default: the machine's name.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// What routing labels begin with. Default `complainer`.
    pub fn label_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// What becomes of units that have failed before the very first start. Default [`Backlog::Skip`].
    pub fn backlog(mut self, backlog: Backlog) -> Self {
        self.backlog = backlog;
        self
    }

    /// The clock that says how far failures were seen. Default: the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The source. The file of labels is read here.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) that names all that is wrong.
    pub fn build(self) -> Result<SystemdSource> {
        let mut all = Vec::new();
        let address = take("bus", Address::parse(&self.bus), &mut all);
        if self.units.is_empty() {
            all.push(wrong("units", "set a pattern, such as *.service"));
        }
        let properties = self.property.iter().map(|p| choice::property(p));
        let properties: Vec<(String, String)> = properties
            .filter_map(|p| take("property", p, &mut all))
            .collect();
        let file = self
            .labels
            .as_deref()
            .and_then(|path| take("labels", label_file(path), &mut all));
        if self.name.trim().is_empty() {
            all.push(wrong("name", "a name is needed"));
        }
        if self.journal_lines > MOST_LINES {
            all.push(wrong("journal_lines", &format!("at most {MOST_LINES}")));
        }
        let address = match (address, all.is_empty()) {
            (Some(address), true) => address,
            _ => return Err(Error::config(all.join("; "))),
        };
        Ok(SystemdSource {
            config: Config {
                name: self.name,
                journal: Journal::new(self.journal_directory, address.is_user()),
                address,
                choice: Choice {
                    units: self.units,
                    ignore: self.ignore,
                    properties,
                    file,
                },
                lines: usize::try_from(self.journal_lines).unwrap_or(usize::MAX),
                environment_files: self.environment_files,
                platform: self.platform,
                host: self.host,
                prefixes: vec![self.prefix],
                backlog: self.backlog,
                clock: self.clock,
            },
        })
    }
}

fn label_file(path: &std::path::Path) -> Result<LabelFile> {
    use std::io::Read as _;

    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(MOST_LABELS + 1).read_to_string(&mut text));
    read.map_err(|e| Error::config(format!("cannot read {}: {e}", path.display())))?;
    if text.len() as u64 > MOST_LABELS {
        return Err(Error::config(format!(
            "{} is longer than 1 MiB",
            path.display()
        )));
    }
    LabelFile::parse(&text).map_err(|e| Error::config(format!("{}, {e}", path.display())))
}

/// The value, or what is wrong with it among the rest.
fn take<T>(option: &str, value: Result<T>, all: &mut Vec<String>) -> Option<T> {
    value
        .map_err(|e| all.push(wrong(option, &e.to_string())))
        .ok()
}

/// What is wrong with an option, by the name of its flag and its variable.
fn wrong(option: &str, what: &str) -> String {
    format!(
        "{SCHEME}.{option}: {what} (-{SCHEME}.{option} or {}_{})",
        SCHEME.to_uppercase(),
        option.to_uppercase()
    )
}

impl fmt::Debug for SystemdBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemdBuilder")
            .field("name", &self.name)
            .field("bus", &self.bus)
            .field("units", &self.units)
            .field("ignore", &self.ignore)
            .field("property", &self.property)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use notifier_core::{BackendSettings, Origin};

    use super::*;

    fn set(values: &[(&str, &str)]) -> Result<SystemdSource> {
        let mut settings = BackendSettings::new(OPTIONS);
        for (key, value) in values {
            settings.set(Origin::Flag, key, value).unwrap();
        }
        SystemdBuilder::from_settings(&settings.instance(""), Arc::new(SystemClock)).build()
    }

    #[test]
    fn defaults_are_those_of_the_builder() {
        let of_settings = format!("{:?}", set(&[]).unwrap());
        let of_builder = format!("{:?}", SystemdSource::builder().build().unwrap());
        assert_eq!(of_settings, of_builder);
    }

    #[test]
    fn every_option_counts() {
        let plain = format!("{:?}", set(&[]).unwrap());
        for (key, value) in [
            ("units", "a.service"),
            ("ignore", "b*"),
            ("property", "Slice=system.slice"),
            ("environment_file", "/etc/environment"),
            ("bus", "unix:path=/run/x"),
            ("journal_lines", "3"),
            ("journal_directory", "/j"),
            ("platform", "prod"),
            ("host", "h1"),
            ("name", "other"),
        ] {
            let source = format!("{:?}", set(&[(key, value)]).unwrap());
            assert_ne!(source, plain, "{key}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let e = set(&[
            ("bus", "sistem"),
            ("property", "Slice"),
            ("labels", "/nonexistent/labels"),
            ("journal_lines", "100000"),
        ])
        .unwrap_err()
        .to_string();
        for part in [
            "-systemd.bus or SYSTEMD_BUS",
            "-systemd.property",
            "/nonexistent/labels",
            "at most 1000",
        ] {
            assert!(e.contains(part), "{e}");
        }
        assert!(!e.contains('\n'));
        assert!(
            SystemdSource::builder()
                .units(Vec::<String>::new())
                .build()
                .is_err()
        );
    }
}
