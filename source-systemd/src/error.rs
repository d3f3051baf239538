//! What can go wrong, as errors of the notifier.

use notifier_core::{Error, ErrorKind};

/// What went wrong on the bus while `doing` this.
pub(crate) fn of_bus(doing: &str, e: zbus::Error) -> Error {
    let kind = match &e {
        zbus::Error::MethodError(name, _, _) => match name.as_str() {
            "org.freedesktop.DBus.Error.AccessDenied"
            | "org.freedesktop.DBus.Error.AuthFailed"
            | "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired" => {
                ErrorKind::PermissionDenied
            }
            "org.freedesktop.DBus.Error.NoReply"
            | "org.freedesktop.DBus.Error.Timeout"
            | "org.freedesktop.DBus.Error.TimedOut" => ErrorKind::Timeout,
            _ => ErrorKind::Unavailable,
        },
        zbus::Error::InputOutput(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            ErrorKind::PermissionDenied
        }
        zbus::Error::InputOutput(e) if e.kind() == std::io::ErrorKind::TimedOut => {
            ErrorKind::Timeout
        }
        zbus::Error::Address(_) => ErrorKind::Config,
        zbus::Error::Variant(_) | zbus::Error::IncorrectEndian | zbus::Error::InvalidReply => {
            ErrorKind::InvalidResponse
        }
        _ => ErrorKind::Unavailable,
    };
    let hint = match kind {
        ErrorKind::PermissionDenied => ": this user may not use that bus (see dbus-daemon(1))",
        _ => "",
    };
    Error::new(kind, format!("cannot {doing}{hint}")).with_source(e)
}

/// The bus did not answer in time.
pub(crate) fn too_long(doing: &str) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!("cannot {doing}: no answer from systemd's bus in time"),
    )
}
