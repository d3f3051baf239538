//! The name and password for who stands before fleet's API.

use std::{fmt, path::PathBuf};

use notifier_core::{Error, Result, Secret};
use notifier_http::Request;

/// `USER:PASSWORD`, or the file that holds it, which is read anew for each request.
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
        let (text, place) = match self {
            Self::Value(secret) => (secret.expose().to_owned(), "it".to_owned()),
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|e| {
                    let path = path.display();
                    Error::config(format!("fleet.credentials: {path} cannot be read ({e})"))
                })?;
                (text, path.display().to_string())
            }
        };
        let pair = text.trim_end_matches(['\r', '\n']).split_once(':');
        pair.filter(|(user, _)| !user.is_empty())
            .map(|(user, password)| (user.to_owned(), Secret::from(password)))
            .ok_or_else(|| {
                Error::config(format!("fleet.credentials: {place} is not USER:PASSWORD"))
            })
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
        for wrong in ["s3cret-word", ":s3cret-word", ""] {
            let e = Credentials::new(wrong).check().unwrap_err();
            let shown = format!("{e} {:?}", Credentials::new(wrong));
            assert!(
                shown.contains("USER:PASSWORD") && !shown.contains("s3cret"),
                "{shown}"
            );
        }
        let missing = Credentials::new("file:/nowhere/at/all")
            .check()
            .unwrap_err();
        assert!(missing.to_string().contains("/nowhere/at/all"), "{missing}");
    }
}
