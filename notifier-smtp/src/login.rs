//! Who we are to a relay: AUTH (RFC 4954).

use std::{
    fmt,
    fs::File,
    hash::{Hash, Hasher},
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use notifier_core::{Error, ErrorKind, Result, Secret, Settings};

use crate::{
    error::{Failure, Step, Who},
    link::Link,
    offers::Offers,
    reply::Reply,
};

/// The longest password in a file.
const LONGEST_PASSWORD: u64 = 64 * 1024;
/// The longest command, its line end included (RFC 5321 §4.5.3.1.4).
const LONGEST_COMMAND: usize = 512;

/// A name and where its password is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    user: String,
    password: Password,
}

#[derive(Clone, PartialEq, Eq)]
enum Password {
    Value(Secret),
    /// Read anew for each connection, since it may change.
    File(PathBuf),
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
        match &self.password {
            Password::Value(secret) => Ok(secret.clone()),
            Password::File(path) => from_file(path),
        }
    }

    /// As [`password`](Self::password), without holding up the thread.
    pub(crate) async fn fetch(&self) -> Result<Secret, Failure> {
        let read = match &self.password {
            Password::Value(secret) => return Ok(secret.clone()),
            Password::File(path) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || from_file(&path)).await
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

fn from_file(path: &Path) -> Result<Secret> {
    let wrong = |what: &str| {
        Error::new(
            ErrorKind::Io,
            format!("smtp.password: {what} {}", path.display()),
        )
    };
    let bytes = bounded(path, LONGEST_PASSWORD).map_err(|e| wrong("cannot read").with_source(e))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("there is no text in"))?;
    // Editors end a file with a line break that is no part of the value.
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    match text.is_empty() {
        true => Err(wrong("there is nothing in")),
        false => Ok(Secret::from(text)),
    }
}

/// A file's content, if it is no larger.
pub(crate) fn bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let n = File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    match u64::try_from(n) {
        Ok(n) if n <= most => Ok(bytes),
        _ => Err(io::Error::other("it is too large")),
    }
}

/// Tokens of OAuth 2 as Google and Microsoft give them: they are good for XOAUTH2 alone.
fn is_token(password: &str) -> bool {
    let is_jwt = || {
        let parts: Vec<&str> = password.split('.').collect();
        password.starts_with("eyJ") && parts.len() >= 3
    };
    password.starts_with("ya29.") || is_jwt()
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
    let all = match is_token(password.expose()) {
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
    let credentials = Credentials::new(login.user().to_owned(), password.expose().to_owned());
    let mut refused = None;
    for mechanism in common {
        let reply = by(link, mechanism, &credentials, login, password, within)
            .await
            .map_err(|fault| who.broken(&Step::Auth, &fault))?;
        match reply.code() {
            235 => return Ok(()),
            // It does not take this mechanism after all.
            504 => refused = Some(reply),
            _ if reply.is_done() || reply.code() < 400 => {
                let what = format!("{} where 235 was due", reply.code());
                return Err(who.broken(&Step::Auth, &crate::error::Fault::Malformed(what)));
            }
            _ => return Err(who.refused(&Step::Auth, &reply)),
        }
    }
    Err(match refused {
        Some(reply) => who.refused(&Step::Auth, &reply),
        None => who.misconfigured("offers no login that we know"),
    })
}

async fn by(
    link: &mut Link,
    mechanism: Mechanism,
    credentials: &Credentials,
    login: &Login,
    password: &Secret,
    within: Duration,
) -> Result<Reply, crate::error::Fault> {
    let shown = format!("AUTH {mechanism} ***");
    let encode = |text: &str| BASE64_STANDARD.encode(text);
    if mechanism == Mechanism::Login {
        let mut reply = link.ask("AUTH LOGIN\r\n", within).await?;
        // Challenges differ in their words and may be empty: the name comes first.
        for text in [login.user(), password.expose()] {
            if reply.code() != 334 {
                return Ok(reply);
            }
            let line = format!("{}\r\n", encode(text));
            reply = link.ask_secret(&line, "***", within).await?;
        }
        return Ok(reply);
    }
    let Ok(text) = mechanism.response(credentials, None) else {
        return Err(crate::error::Fault::Malformed(format!(
            "a challenge for {mechanism}"
        )));
    };
    let payload = encode(&text);
    let whole = format!("AUTH {mechanism} {payload}\r\n");
    let mut reply = if whole.len() <= LONGEST_COMMAND {
        link.ask_secret(&whole, &shown, within).await?
    } else {
        let asked = link.ask(&format!("AUTH {mechanism}\r\n"), within).await?;
        if asked.code() != 334 {
            return Ok(asked);
        }
        link.ask_secret(&format!("{payload}\r\n"), "***", within)
            .await?
    };
    if reply.code() == 334 {
        reply = match mechanism {
            // A relay that did not take the initial response, and asks again.
            Mechanism::Plain => {
                link.ask_secret(&format!("{payload}\r\n"), "***", within)
                    .await?
            }
            // What is wrong, in JSON: an empty line lets it end in a refusal.
            _ => link.ask("\r\n", within).await?,
        };
    }
    Ok(reply)
}
