//! The name and password for Chronos' API.

use std::{fmt, path::PathBuf};

use notifier_core::{Error, Result, Secret};
use notifier_http::Request;

/// `USER:PASSWORD`, or the file that holds it, which is read anew for each request, so that
/// it can be replaced.
#[derive(Clone)]
pub(crate) enum Credentials {
    Value(Secret),
    File(PathBuf),
}

impl Credentials {
    pub(crate) fn new(text: &str) -> Self {
        match text.strip_prefix("file:") {
            Some(path) => Self::File(PathBuf::from(path)),
            None => Self::Value(Secret::from(text)),
        }
    }

    fn read(&self) -> Result<(String, Secret)> {
        let (pair, place) = match self {
            Self::Value(secret) => (secret.expose().to_owned(), "it".to_owned()),
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|e| {
                    Error::config(format!(
                        "chronos.credentials: {} cannot be read ({e})",
                        path.display()
                    ))
                })?;
                (text, path.display().to_string())
            }
        };
        match pair.trim_end_matches(['\r', '\n']).split_once(':') {
            Some((user, password)) if !user.is_empty() => {
                Ok((user.to_owned(), Secret::from(password)))
            }
            _ => Err(Error::config(format!(
                "chronos.credentials: {place} is not USER:PASSWORD"
            ))),
        }
    }

    /// Whether they can be had.
    pub(crate) fn check(&self) -> Result<()> {
        self.read().map(drop)
    }

    /// Adds them to a request.
    pub(crate) fn apply(&self, request: Request) -> Result<Request> {
        let (user, password) = self.read()?;
        Ok(request.basic(&user, &password))
    }
}

/// Neither name nor password is shown.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs() {
        let (user, password) = Credentials::new("ops:a:b").read().unwrap();
        assert_eq!((user.as_str(), password.expose()), ("ops", "a:b"));
        for wrong in ["ops", ":b", ""] {
            let e = Credentials::new(wrong).check().unwrap_err();
            assert!(e.to_string().contains("USER:PASSWORD"), "{e}");
        }
        let e = Credentials::new("s3cret-word").check().unwrap_err();
        assert!(!format!("{e} {:?}", Credentials::new("s3cret-word")).contains("s3cret"));
    }
}
