//! Who we are to a relay: AUTH (RFC 4954).

use std::{
    fmt,
    hash::{Hash, Hasher},
    path::PathBuf,
    time::Duration,
};

use notifier_core::{Error, ErrorKind, Result, Secret, Settings};
use smtp_wire::{
    Fault, Link, Offers, Password,
    auth::{self, Mechanism},
};

use crate::error::{Failure, Step, Who};

/// A name and where its password is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    user: String,
    password: Password,
}

impl Login {
    /// The login that these settings name.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is a name without a password.
    pub(crate) fn read(settings: &Settings) -> Result<Option<Self>> {
        let Some(user) = settings.get("user") else {
            return match settings.get("password") {
                None => Ok(None),
                Some(_) => Err(Error::config(
                    "smtp.user: there is a password without a name; set -smtp.user, or leave -smtp.password out",
                )),
            };
        };
        if user.contains('\0') {
            return Err(Error::config("smtp.user: it has a NUL in it"));
        }
        let Some(password) = settings.secret("password") else {
            return Err(Error::config(
                "smtp.password: there is a name without a password; set -smtp.password, or leave -smtp.user out",
            ));
        };
        let password = match password.expose().strip_prefix("file:") {
            Some(path) => Password::File(PathBuf::from(path)),
            None => Password::Value(password),
        };
        Ok(Some(Self {
            user: user.to_owned(),
            password,
        }))
    }

    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// The password as it is now.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if its file cannot be read.
    pub(crate) fn password(&self) -> Result<Secret> {
        self.password.read("smtp.password")
    }

    /// As [`password`](Self::password), without holding up the thread.
    pub(crate) async fn fetch(&self) -> Result<Secret, Failure> {
        let read = match &self.password {
            Password::Value(secret) => return Ok(secret.clone()),
            Password::File(path) => {
                let file = Password::File(path.clone());
                tokio::task::spawn_blocking(move || file.read("smtp.password")).await
            }
        };
        match read {
            Ok(Ok(secret)) => Ok(secret),
            Ok(Err(e)) => {
                let failure = Failure::later(ErrorKind::Io, e.to_string());
                Err(match std::error::Error::source(&e) {
                    Some(cause) => failure.because(cause.to_string()),
                    None => failure,
                })
            }
            Err(_) => Err(Failure::later(
                ErrorKind::Io,
                "smtp.password: its file was not read",
            )),
        }
    }
}

impl Hash for Login {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.user.hash(state);
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Logs in by the first mechanism that both know and the relay does not turn down as such.
pub(crate) async fn log_in(
    link: &mut Link,
    offers: &Offers,
    login: &Login,
    password: &Secret,
    who: &Who,
    within: Duration,
) -> Result<(), Failure> {
    let all = match auth::is_token(password.expose()) {
        true => [Mechanism::Xoauth2, Mechanism::Plain, Mechanism::Login],
        false => [Mechanism::Plain, Mechanism::Login, Mechanism::Xoauth2],
    };
    let common = offers.common(&all);
    if common.is_empty() {
        let offered = match offers.mechanisms.is_empty() {
            true => "no login at all".to_owned(),
            false => who.tidy(&format!("only {}", offers.mechanisms.join(", "))),
        };
        return Err(who.misconfigured(&format!(
            "offers {offered}, and we know PLAIN, LOGIN and XOAUTH2; leave -smtp.user out, or ask who runs it"
        )));
    }
    let mut refused = None;
    for mechanism in common {
        let reply = auth::log_in(link, mechanism, login.user(), password, within)
            .await
            .map_err(|fault| who.broken(&Step::Auth, &fault))?;
        match reply.code() {
            235 => return Ok(()),
            // It does not take this mechanism after all.
            504 => refused = Some(reply),
            _ if reply.is_done() || reply.code() < 400 => {
                let what = format!("{} where 235 was due", reply.code());
                return Err(who.broken(&Step::Auth, &Fault::Malformed(what)));
            }
            _ => return Err(who.refused(&Step::Auth, &reply)),
        }
    }
    Err(match refused {
        Some(reply) => who.refused(&Step::Auth, &reply),
        None => who.misconfigured("offers no login that we know"),
    })
}
