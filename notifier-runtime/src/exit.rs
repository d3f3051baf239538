//! Exit codes.

use std::{fmt, process::ExitCode};

use notifiers::{Chain, Error, ErrorKind};

/// How a program ends. The codes are those of `sysexits.h`.
///
/// | code | when |
/// |---|---|
/// | 0 | all is well; also after a signal, when everything under way was finished |
/// | 64 | the command line, the environment or the file is wrong: nothing was started |
/// | 65 | input is wrong: a failure's JSON, a template, a message that was refused |
/// | 69 | something is not there now: the other side, or an address in use; later it may work |
/// | 70 | a fault of the program itself |
/// | 74 | a local file or device failed |
/// | 130, 143 | a second SIGINT, or SIGTERM, did not wait for what was under way |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// A setting is missing or wrong.
    Usage = 64,
    /// Input is wrong.
    Data = 65,
    /// Something is not there now.
    Unavailable = 69,
    /// A fault of the program itself.
    Internal = 70,
    /// A local file or device failed.
    Io = 74,
}

/// The codes as shown in help.
pub(crate) const TABLE: &[(u8, &str)] = &[
    (
        0,
        "all is well; also after SIGTERM or SIGINT, when what was under way is finished",
    ),
    (64, "a setting is missing or wrong: nothing was started"),
    (65, "input is wrong, or a message was refused"),
    (
        69,
        "something is not there now, such as an address in use; later it may work",
    ),
    (70, "a fault of the program itself"),
    (74, "a local file or device failed"),
    (
        130,
        "a second SIGINT (143: SIGTERM) did not wait for what was under way",
    ),
];

impl Exit {
    /// The code.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The code for an error met while settings are made into a running program.
    pub fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Config | ErrorKind::Template => Self::Usage,
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::RateLimited => {
                Self::Unavailable
            }
            ErrorKind::Unauthenticated
            | ErrorKind::PermissionDenied
            | ErrorKind::Rejected
            | ErrorKind::TooLarge
            | ErrorKind::InvalidResponse => Self::Data,
            ErrorKind::Io => Self::Io,
            _ => Self::Internal,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(e: Exit) -> Self {
        Self::from(e.code())
    }
}

/// Why a program ends: a code, and lines for people.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fatal {
    /// The code to end with.
    pub exit: Exit,
    /// What to say, one or more lines, without secrets.
    pub message: String,
}

impl Fatal {
    /// A reason of one's own.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    /// Prints it on the standard error output, each line behind the program's name, and answers the code.
    pub fn report(&self, program: &str) -> ExitCode {
        crate::complain(program, &crate::Masker::default(), self).into()
    }

    /// Sets the code.
    #[must_use]
    pub fn with_exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fatal {}

/// The whole chain, once, with the code of [`Exit::of`].
impl From<Error> for Fatal {
    fn from(e: Error) -> Self {
        Self::new(Exit::of(&e), Chain::new(&e).to_string())
    }
}

impl From<crate::Problems> for Fatal {
    fn from(p: crate::Problems) -> Self {
        Self::new(Exit::Usage, p.to_string())
    }
}
