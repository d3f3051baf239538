//! What a failed statement means.

use std::path::Path;

use notifier_core::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// Why a job was not done.
#[derive(Debug)]
pub(crate) enum Fault {
    /// SQLite says so.
    Sql(rusqlite::Error),
    /// The caller asked for what cannot be: nothing is wrong with the store.
    Refused(Error),
    /// What is stored makes no sense.
    Damaged(String),
    /// A file or folder cannot be used.
    Files(Trouble),
}

impl From<rusqlite::Error> for Fault {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sql(e)
    }
}

impl From<rusqlite::types::FromSqlError> for Fault {
    fn from(e: rusqlite::types::FromSqlError) -> Self {
        Self::Damaged(e.to_string())
    }
}

impl From<Error> for Fault {
    fn from(e: Error) -> Self {
        Self::Refused(e)
    }
}

/// A refusal that does not depend on the state of the store's file.
pub(crate) fn rejected(message: impl Into<String>) -> Fault {
    Fault::Refused(Error::new(ErrorKind::Rejected, message))
}

/// Something is wrong with the store: told to everyone who waits for it.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    kind: ErrorKind,
    message: String,
    cause: Option<String>,
    /// Nothing more can be done with this file.
    pub(crate) is_final: bool,
}

impl Trouble {
    /// What may pass.
    pub(crate) fn passing(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Io,
            message: message.into(),
            cause: None,
            is_final: false,
        }
    }

    /// What stays until a person does something.
    pub(crate) fn lasting(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Config,
            message: message.into(),
            cause: None,
            is_final: true,
        }
    }

    fn internal(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Internal,
            message: message.into(),
            cause: None,
            is_final: false,
        }
    }

    pub(crate) fn damaged(path: &Path, what: impl AsRef<str>) -> Self {
        Self::lasting(format!(
            "the outbox {} is damaged ({}): run `notifierctl outbox repair` to save what can be read into a new file",
            path.display(),
            what.as_ref().replace('\n', " "),
        ))
    }

    pub(crate) fn because(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    pub(crate) fn error(&self) -> Error {
        let e = Error::new(self.kind, self.message.clone());
        match &self.cause {
            Some(cause) => e.with_source(cause.clone()),
            None => e,
        }
    }

    pub(crate) fn is_internal(&self) -> bool {
        self.kind == ErrorKind::Internal
    }
}

impl Fault {
    /// What to tell, or the refusal itself.
    pub(crate) fn judge(self, path: &Path) -> Result<Trouble, Error> {
        Ok(match self {
            Self::Refused(e) => return Err(e),
            Self::Damaged(what) => Trouble::damaged(path, what),
            Self::Files(trouble) => trouble,
            Self::Sql(e) => judge_sql(e, path),
        })
    }

    pub(crate) fn error(self, path: &Path) -> Error {
        self.judge(path).map_or_else(|e| e, |t| t.error())
    }

    /// What to tell; a refusal too, where nobody asked for anything that could be refused.
    pub(crate) fn trouble(self, path: &Path) -> Trouble {
        self.judge(path)
            .unwrap_or_else(|e| Trouble::passing(e.report().to_string()))
    }
}

fn judge_sql(e: rusqlite::Error, path: &Path) -> Trouble {
    let shown = path.display();
    if let rusqlite::Error::FromSqlConversionFailure(..)
    | rusqlite::Error::InvalidColumnType(..)
    | rusqlite::Error::IntegralValueOutOfRange(..)
    | rusqlite::Error::Utf8Error(..) = e
    {
        return Trouble::damaged(path, e.to_string());
    }
    match e.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Trouble::damaged(path, e.to_string())
        }
        Some(ErrorCode::DiskFull) => {
            Trouble::passing(format!("no space is left for the outbox {shown}: make some"))
                .because(e)
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            Trouble::passing(format!(
                "the outbox {shown} is locked by another process: end what holds it (sqlite3, a backup)"
            ))
            .because(e)
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            Trouble::passing(format!(
                "the outbox {shown} cannot be opened for writing: look at the permissions of the file and of its folder"
            ))
            .because(e)
        }
        Some(
            ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory | ErrorCode::OperationInterrupted,
        ) => Trouble::passing(format!(
            "the outbox {shown} cannot be read or written: look at the disk"
        ))
        .because(e),
        _ => Trouble::internal(format!("a statement of the outbox {shown} failed")).because(e),
    }
}

/// A file or folder that cannot be used.
pub(crate) fn files(path: &Path, what: &str, e: &std::io::Error) -> Trouble {
    use std::io::ErrorKind as K;
    let shown = path.display();
    match e.kind() {
        K::StorageFull | K::QuotaExceeded => Trouble::passing(format!(
            "no space is left for the outbox {shown}: make some"
        )),
        K::NotFound => Trouble::passing(format!(
            "cannot {what} {shown}: its folder does not exist, make it first"
        )),
        K::PermissionDenied | K::ReadOnlyFilesystem => Trouble::passing(format!(
            "cannot {what} {shown}: look at the permissions of the file and of its folder"
        )),
        _ => Trouble::passing(format!("cannot {what} {shown}")),
    }
    .because(e)
}
