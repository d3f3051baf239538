//! Which outbox is meant.

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command};
use notifier_runtime::{
    Env, Exit, Fatal,
    outbox::{OutboxSettings, Place, open_existing},
};
use notifiers::{DEFAULT_NAME, Error, ErrorKind, sqlite::SqliteOutbox};

use crate::cli::{given, text};

/// How many messages may wait unless the watcher says otherwise.
const CAPACITY: usize = 100_000;

/// Adds the options that name an outbox.
pub(crate) fn args(command: Command) -> Command {
    command
        .arg(
            text(
                "outbox",
                "sqlite:PATH",
                "the watcher's outbox; NOTIFIER_OUTBOX unless set",
            )
            .conflicts_with("state-dir"),
        )
        .arg(text(
            "state-dir",
            "DIR",
            "the watcher's state folder; NOTIFIER_STATE_DIR or STATE_DIRECTORY unless set",
        ))
        .arg(text(
            "name",
            "NAME",
            "the watcher's name; COMPLAINER_NAME unless set, else default",
        ))
}

/// An outbox that was named.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) path: PathBuf,
    /// The name of the watcher whose outbox it is.
    pub(crate) watcher: String,
    /// How many messages may wait.
    pub(crate) capacity: usize,
}

fn variable<'a>(env: &'a Env, name: &str) -> Result<Option<&'a str>, Fatal> {
    env.get(name)
        .transpose()
        .map_err(|e| Fatal::new(Exit::Usage, format!("{name}: {e}")))
}

impl Named {
    /// The outbox that flags name, else the environment.
    pub(crate) fn read(m: &ArgMatches, env: &Env) -> Result<Self, Fatal> {
        let watcher = match given(m, "name").filter(|n| !n.is_empty()) {
            Some(name) => name,
            None => variable(env, "COMPLAINER_NAME")?.unwrap_or(DEFAULT_NAME),
        };
        let (mut outbox, mut folder) = (given(m, "outbox"), given(m, "state-dir"));
        if outbox.is_none() && folder.is_none() {
            outbox = variable(env, "NOTIFIER_OUTBOX")?;
            folder = match variable(env, "NOTIFIER_STATE_DIR")? {
                Some(folder) => Some(folder),
                // systemd lists several.
                None => variable(env, "STATE_DIRECTORY")?.and_then(|f| f.split(':').next()),
            };
        }
        let capacity = match variable(env, "NOTIFIER_OUTBOX_SIZE")? {
            Some(n) => n.parse().map_err(|_| {
                Fatal::new(
                    Exit::Usage,
                    format!("NOTIFIER_OUTBOX_SIZE: {n:?} is not a whole number"),
                )
            })?,
            None => CAPACITY,
        };
        let settings = OutboxSettings::choose(outbox, folder.map(Path::new), watcher, capacity)?;
        Self::of(settings, watcher)
    }

    /// The outbox of a watcher's settings.
    pub(crate) fn of(settings: OutboxSettings, watcher: &str) -> Result<Self, Fatal> {
        match settings.place {
            Place::Sqlite(path) => Ok(Self {
                path,
                watcher: watcher.to_owned(),
                capacity: settings.capacity,
            }),
            _ if settings.unset => Err(Fatal::new(
                Exit::Usage,
                "which outbox? set --outbox sqlite:PATH or --state-dir DIR, or one of NOTIFIER_OUTBOX, NOTIFIER_STATE_DIR and STATE_DIRECTORY",
            )),
            _ => Err(Fatal::new(
                Exit::Usage,
                "an outbox in memory can be seen by its watcher alone: set --outbox sqlite:PATH or --state-dir DIR",
            )),
        }
    }

    /// Its file is there and can be read; it need not be an outbox.
    pub(crate) fn exists(&self) -> Result<(), Fatal> {
        there(&self.path)
    }

    /// Opens it beside the watcher, if that runs.
    pub(crate) fn open(&self) -> Result<SqliteOutbox, Fatal> {
        self.exists()?;
        open_existing(&self.path, self.capacity).map_err(unfit)
    }
}

/// A file is there.
pub(crate) fn there(path: &Path) -> Result<(), Fatal> {
    let why = match std::fs::metadata(path) {
        Ok(m) if m.is_dir() => "it is a folder".to_owned(),
        Ok(_) => return Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        Err(e) => e.to_string(),
    };
    Err(Fatal::new(
        Exit::Io,
        format!("cannot open the outbox {}: {why}", path.display()),
    ))
}

/// A file that cannot be used as an outbox is wrong input.
pub(crate) fn unfit(e: Error) -> Fatal {
    let data = matches!(e.kind(), ErrorKind::Config | ErrorKind::InvalidResponse);
    let fatal = Fatal::from(e);
    if data {
        fatal.with_exit(Exit::Data)
    } else {
        fatal
    }
}
