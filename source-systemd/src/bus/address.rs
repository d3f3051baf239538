//! Which bus.

use std::fmt;

use notifier_core::{Error, Result};
use zbus::connection::Builder;

/// A bus on which a systemd is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Address {
    /// The machine's.
    #[default]
    System,
    /// That of the user whom the program runs as.
    User,
    /// One at an address of its own (D-Bus Specification, "Server Addresses"): `unix:path=/run/…`.
    Other(String),
}

impl Address {
    /// `system`, `user`, or an address.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match text {
            "" | "system" => Ok(Self::System),
            "user" | "session" => Ok(Self::User),
            other => match zbus::Address::try_from(other) {
                Ok(_) => Ok(Self::Other(other.to_owned())),
                Err(e) => Err(Error::config(format!(
                    "{other:?} is neither system nor user nor an address such as unix:path=/run/dbus/system_bus_socket"
                ))
                .with_source(e)),
            },
        }
    }

    pub(crate) fn is_user(&self) -> bool {
        matches!(self, Self::User)
    }

    pub(crate) fn builder(&self) -> zbus::Result<Builder<'static>> {
        match self {
            Self::System => Builder::system(),
            Self::User => Builder::session(),
            Self::Other(address) => Builder::address(zbus::Address::try_from(address.as_str())?),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("the system's bus"),
            Self::User => f.write_str("the user's bus"),
            Self::Other(address) => write!(f, "the bus at {address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_addresses() {
        assert_eq!(Address::parse("system").unwrap(), Address::System);
        assert_eq!(Address::parse("").unwrap(), Address::System);
        assert!(Address::parse("user").unwrap().is_user());
        let other = Address::parse("unix:path=/run/x").unwrap();
        assert_eq!(other.to_string(), "the bus at unix:path=/run/x");
        for bad in ["sytem", "/run/dbus/system_bus_socket", "unix:"] {
            let e = Address::parse(bad).unwrap_err().to_string();
            assert!(e.contains("unix:path="), "{bad}: {e}");
        }
    }
}
