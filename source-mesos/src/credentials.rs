//! What a request shows of who we are.

use std::{fmt, path::PathBuf};

use notifier_core::{Error, Result, Secret, Settings};
use notifier_http::Request;

/// A secret, or the file that holds it, which is read anew for each request, so that it
/// can be replaced.
#[derive(Clone)]
pub(crate) enum Hidden {
    Value(Secret),
    File(&'static str, PathBuf),
}

impl Hidden {
    pub(crate) fn new(option: &'static str, value: &str) -> Self {
        match value.strip_prefix("file:") {
            Some(path) => Self::File(option, PathBuf::from(path)),
            None => Self::Value(Secret::from(value)),
        }
    }

    pub(crate) fn read(&self) -> Result<Secret> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::File(option, path) => {
                let bytes = read_file(option, path)?;
                let text = String::from_utf8(bytes).map_err(|_| {
                    Error::config(format!("{option}: {} is not text", path.display()))
                })?;
                let text = text.trim_end_matches(['\r', '\n']);
                if text.is_empty() {
                    return Err(Error::config(format!(
                        "{option}: {} is empty",
                        path.display()
                    )));
                }
                Ok(Secret::from(text))
            }
        }
    }
}

pub(crate) fn read_file(option: &str, path: &PathBuf) -> Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|e| Error::config(format!("{option}: {} cannot be read ({e})", path.display())))
}

/// What a request shows of who we are.
#[derive(Clone)]
pub(crate) enum Credentials {
    Basic { user: String, password: Hidden },
    Bearer(Hidden),
}

impl Credentials {
    /// Adds them to a request.
    pub(crate) fn apply(&self, request: Request) -> Result<Request> {
        Ok(match self {
            Self::Basic { user, password } => request.basic(user, &password.read()?),
            Self::Bearer(token) => request.bearer(&token.read()?),
        })
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Basic {
                password: hidden, ..
            }
            | Self::Bearer(hidden) => hidden.read().map(drop),
        }
    }
}

/// Neither name nor secret is shown.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic",
            Self::Bearer(_) => "Bearer",
        })
    }
}

/// The credentials that these options say.
pub(crate) fn credentials(
    settings: &Settings,
    user: &'static str,
    password: &'static str,
    token: &'static str,
) -> Result<Option<Credentials>> {
    let flag = |key: &str| format!("mesos.{key}");
    let option = |key: &'static str| match key {
        "password" => "mesos.password",
        "token" => "mesos.token",
        "agent-password" => "mesos.agent-password",
        _ => "mesos.agent-token",
    };
    match (
        settings.get(user),
        settings.get(password),
        settings.get(token),
    ) {
        (None, None, None) => Ok(None),
        (None, None, Some(t)) => Ok(Some(Credentials::Bearer(Hidden::new(option(token), t)))),
        (Some(u), Some(p), None) => Ok(Some(Credentials::Basic {
            user: u.to_owned(),
            password: Hidden::new(option(password), p),
        })),
        (Some(_), None, None) => Err(Error::config(format!(
            "{}: it needs {}",
            flag(user),
            flag(password)
        ))),
        (None, Some(_), None) => Err(Error::config(format!(
            "{}: it needs {}",
            flag(password),
            flag(user)
        ))),
        (_, _, Some(_)) => Err(Error::config(format!(
            "{}: it excludes {} and {}",
            flag(token),
            flag(user),
            flag(password)
        ))),
    }
}
