//! From settings to an outbox.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use notifiers::{DEFAULT_NAME, Error, ErrorKind, Outbox, Result, memory::MemoryOutbox};

/// What the value of `-outbox` begins with for a file.
const SQLITE: &str = "sqlite:";

/// Where messages wait until they are delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// In the process's memory.
    Memory,
    /// In this SQLite file.
    Sqlite(PathBuf),
}

impl Place {
    /// Reads a value of `-outbox`: `memory` or `sqlite:PATH`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if it is neither.
    pub fn parse(text: &str) -> Result<Self> {
        match (text, text.strip_prefix(SQLITE)) {
            ("memory", _) => Ok(Self::Memory),
            (_, Some(path)) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path))),
            ("sqlite" | "sqlite:", _) => Err(Error::config(
                "outbox: sqlite needs a file: sqlite:PATH, or leave -outbox out and set -state-dir",
            )),
            _ => Err(Error::config(format!(
                "outbox: {text:?} is neither memory nor sqlite:PATH"
            ))),
        }
    }

    /// The file of a watcher in its state folder: `outbox.sqlite` for the name
    /// `default`, else `outbox-NAME.sqlite`.
    ///
    /// ```
    /// use std::path::Path;
    /// use notifier_runtime::outbox::Place;
    /// let file = |name| Place::in_folder(Path::new("/state"), name).to_string();
    /// assert_eq!(file("default"), "sqlite:/state/outbox.sqlite");
    /// assert_eq!(file("dog/2"), "sqlite:/state/outbox-dog_2.sqlite");
    /// ```
    pub fn in_folder(folder: &Path, watcher: &str) -> Self {
        let file = if watcher == DEFAULT_NAME {
            "outbox.sqlite".to_owned()
        } else {
            let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            let name: String = watcher
                .chars()
                .map(|c| if fit(c) { c } else { '_' })
                .collect();
            format!("outbox-{name}.sqlite")
        };
        Self::Sqlite(folder.join(file))
    }
}

/// As `-outbox` takes it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Sqlite(path) => write!(f, "{SQLITE}{}", path.display()),
        }
    }
}

/// Which outbox a watcher uses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxSettings {
    /// Where it is.
    pub place: Place,
    /// How many messages may wait, at least 1.
    pub capacity: usize,
    /// Nothing was set: it is in memory for want of a folder.
    pub unset: bool,
    /// The state folder that it is in, which is made if it is missing.
    folder: Option<PathBuf>,
}

impl OutboxSettings {
    /// The outbox at one place.
    pub fn new(place: Place, capacity: usize) -> Self {
        Self {
            place,
            capacity: capacity.max(1),
            unset: false,
            folder: None,
        }
    }

    /// The outbox of these values of `-outbox` and `-state-dir`, for a watcher of this name.
    /// Without either it is in memory.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if `outbox` is neither `memory` nor `sqlite:PATH`.
    pub fn choose(
        outbox: Option<&str>,
        state_dir: Option<&Path>,
        watcher: &str,
        capacity: usize,
    ) -> Result<Self> {
        Ok(match (outbox, state_dir) {
            (Some(text), _) => Self::new(Place::parse(text)?, capacity),
            (None, Some(folder)) => Self {
                folder: Some(folder.to_owned()),
                ..Self::new(Place::in_folder(folder, watcher), capacity)
            },
            (None, None) => Self {
                unset: true,
                ..Self::new(Place::Memory, capacity)
            },
        })
    }

    /// Opens it for a watcher. A file is created where there is none, and so is the state
    /// folder; what is lost for want of one is told in the log.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file is no outbox or is damaged, or if this build has
    /// no outboxes in files; [`ErrorKind::Io`] if the folder or the file cannot be used.
    pub fn open(&self) -> Result<Arc<dyn Outbox>> {
        match &self.place {
            Place::Memory => {
                if self.unset {
                    tracing::warn!(
                        "messages wait in memory: what is not delivered when the process ends is lost, \
                         and so is what was told already; set -state-dir=DIR or -outbox=sqlite:PATH to keep it, \
                         or -outbox=memory if that is meant"
                    );
                }
                Ok(Arc::new(MemoryOutbox::with_capacity(self.capacity)))
            }
            Place::Sqlite(path) => {
                if let Some(folder) = &self.folder {
                    make_folder(folder)?;
                }
                open_file(path, self.capacity)
            }
        }
    }
}

/// Makes a folder that only its owner can look into. One that is there is left as it is.
fn make_folder(folder: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|e| {
        Error::new(
            ErrorKind::Io,
            format!(
                "cannot make the state folder {}: set -state-dir to one that can be made",
                folder.display()
            ),
        )
        .with_source(e)
    })
}

#[cfg(feature = "sqlite")]
fn open_file(path: &Path, capacity: usize) -> Result<Arc<dyn Outbox>> {
    use notifiers::sqlite::{SqliteOptions, SqliteOutbox};

    let capacity = u64::try_from(capacity).unwrap_or(u64::MAX);
    let options = SqliteOptions::default().with_capacity(capacity);
    Ok(Arc::new(SqliteOutbox::open(path, options)?))
}

#[cfg(not(feature = "sqlite"))]
fn open_file(path: &Path, _: usize) -> Result<Arc<dyn Outbox>> {
    Err(Error::config(format!(
        "outbox: this build keeps no outbox in files, such as {}; there is memory",
        path.display()
    )))
}

/// Opens the outbox of a watcher for a look and for administration, while the watcher
/// runs or not. Nothing is created, and nothing is leased.
///
/// # Errors
/// [`ErrorKind::Config`] if there is no such file or it is no outbox, [`ErrorKind::Io`] if
/// it cannot be used.
#[cfg(feature = "sqlite")]
pub fn open_existing(path: &Path, capacity: usize) -> Result<notifiers::sqlite::SqliteOutbox> {
    use notifiers::sqlite::{SqliteOptions, SqliteOutbox};

    let capacity = u64::try_from(capacity).unwrap_or(u64::MAX);
    SqliteOutbox::open_existing(path, SqliteOptions::default().with_capacity(capacity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(outbox: Option<&str>, folder: Option<&str>, name: &str) -> OutboxSettings {
        OutboxSettings::choose(outbox, folder.map(Path::new), name, 7).unwrap()
    }

    #[test]
    fn what_is_said_beats_the_folder_and_the_folder_beats_memory() {
        let s = chosen(Some("sqlite:/a b/c:d"), Some("/state"), "default");
        assert_eq!(s.place, Place::Sqlite("/a b/c:d".into()));
        assert_eq!((s.capacity, s.unset), (7, false));
        let s = chosen(None, Some("/state"), "default");
        assert_eq!(s.place.to_string(), "sqlite:/state/outbox.sqlite");
        let s = chosen(None, Some("/state"), "tea mü.x-1");
        assert_eq!(
            s.place.to_string(),
            "sqlite:/state/outbox-tea_m_.x-1.sqlite"
        );
        let s = chosen(Some("memory"), Some("/state"), "default");
        assert_eq!((s.place, s.unset), (Place::Memory, false));
        let s = chosen(None, None, "default");
        assert_eq!((s.place, s.unset), (Place::Memory, true));
    }

    #[test]
    fn other_places_are_refused() {
        for (wrong, why) in [
            ("sqlite", "needs a file"),
            ("sqlite:", "needs a file"),
            ("nats:x", "neither memory nor sqlite:PATH"),
            ("/var/lib/x.sqlite", "neither memory nor sqlite:PATH"),
            ("Memory", "neither memory nor sqlite:PATH"),
        ] {
            let e = Place::parse(wrong).unwrap_err().to_string();
            assert!(e.starts_with("outbox: ") && e.contains(why), "{e}");
        }
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        for name in ["../../etc/x", "..", "/etc/x", ""] {
            let Place::Sqlite(path) = Place::in_folder(Path::new("/state"), name) else {
                panic!("{name}");
            };
            assert_eq!(path.parent(), Some(Path::new("/state")), "{name}");
        }
    }
}
