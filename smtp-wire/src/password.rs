//! A password, or where it is.

use std::path::{Path, PathBuf};

use notifier_core::{Error, ErrorKind, Result, Secret};

use crate::bounded;

/// The longest password in a file.
const LONGEST: u64 = 64 * 1024;

/// A password, or the file that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// Itself.
    Value(Secret),
    /// Read anew for each connection, since it may change. A line break at its end is no part of it.
    File(PathBuf),
}

impl Password {
    /// The password as it is now. `option` is the one to name in an error.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if its file cannot be read, is empty, or larger than 64 KiB.
    pub fn read(&self, option: &str) -> Result<Secret> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::File(path) => from_file(option, path),
        }
    }
}

fn from_file(option: &str, path: &Path) -> Result<Secret> {
    let wrong = |what: &str| {
        Error::new(
            ErrorKind::Io,
            format!("{option}: {what} {}", path.display()),
        )
    };
    let bytes = bounded(path, LONGEST).map_err(|e| wrong("cannot read").with_source(e))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("there is no text in"))?;
    // Editors end a file with a line break that is no part of the value.
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    match text.is_empty() {
        true => Err(wrong("there is nothing in")),
        false => Ok(Secret::from(text)),
    }
}
