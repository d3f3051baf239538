//! A name and a password for HTTP's basic authentication.

use std::{fmt, path::PathBuf};

use notifier_core::{Error, Result, Secret};

use crate::Request;

/// `USER:PASSWORD`, or `file:PATH` of the file that holds it, which is read anew for each
/// request, so that it can be replaced.
///
/// ```
/// use notifier_http::BasicLogin;
/// assert!(BasicLogin::new("chronos.credentials", "ops:s3cret").check().is_ok());
///
/// let e = BasicLogin::new("chronos.credentials", "s3cret").check().unwrap_err();
/// assert_eq!(e.to_string(), "chronos.credentials: it is not USER:PASSWORD");
/// ```
#[derive(Clone)]
pub struct BasicLogin {
    option: &'static str,
    kept: Kept,
}

#[derive(Clone)]
enum Kept {
    Value(Secret),
    File(PathBuf),
}

impl BasicLogin {
    /// The value of an option, by whose name errors speak of it.
    pub fn new(option: &'static str, text: &str) -> Self {
        let kept = match text.strip_prefix("file:") {
            Some(path) => Kept::File(PathBuf::from(path)),
            None => Kept::Value(Secret::from(text)),
        };
        Self { option, kept }
    }

    fn read(&self) -> Result<(String, Secret)> {
        let option = self.option;
        let (text, place) = match &self.kept {
            Kept::Value(secret) => (secret.expose().to_owned(), "it".to_owned()),
            Kept::File(path) => {
                let shown = path.display().to_string();
                let text = std::fs::read_to_string(path).map_err(|e| {
                    Error::config(format!("{option}: {shown} cannot be read ({e})"))
                })?;
                (text, shown)
            }
        };
        let pair = text.trim_end_matches(['\r', '\n']).split_once(':');
        pair.filter(|(user, _)| !user.is_empty())
            .map(|(user, password)| (user.to_owned(), Secret::from(password)))
            .ok_or_else(|| Error::config(format!("{option}: {place} is not USER:PASSWORD")))
    }

    /// Whether it can be had.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) if the file cannot be read, or is no pair.
    pub fn check(&self) -> Result<()> {
        self.read().map(drop)
    }

    /// Adds it to a request.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn apply(&self, request: Request) -> Result<Request> {
        let (user, password) = self.read()?;
        Ok(request.basic(&user, &password))
    }
}

/// Neither name nor password is shown.
impl fmt::Debug for BasicLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BasicLogin").field(&self.option).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(text: &str) -> BasicLogin {
        BasicLogin::new("x.credentials", text)
    }

    #[test]
    fn pairs() {
        let (user, password) = login("ops:a:b").read().unwrap();
        assert_eq!((user.as_str(), password.expose()), ("ops", "a:b"));
        for wrong in ["s3cret-word", ":s3cret-word", ""] {
            let e = login(wrong).check().unwrap_err();
            let shown = format!("{e} {:?}", login(wrong));
            assert!(
                shown.starts_with("x.credentials: ") && shown.contains("USER:PASSWORD"),
                "{shown}"
            );
            assert!(!shown.contains("s3cret"), "{shown}");
        }
        let missing = login("file:/nowhere/at/all").check().unwrap_err();
        assert!(missing.to_string().contains("/nowhere/at/all"), "{missing}");
    }
}
