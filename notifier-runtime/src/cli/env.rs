use std::{collections::BTreeMap, ffi::OsString, fmt};

/// The environment as the command line sees it: the process's own, or one made up for a test.
///
/// `Debug` shows no values.
///
/// ```
/// use notifier_runtime::Env;
/// let env = Env::from_pairs([("PORT", "8080")]);
/// assert_eq!(env.get("PORT"), Some(Ok("8080")));
/// assert_eq!(env.get("HOME"), None);
/// ```
#[derive(Clone, Default)]
pub struct Env(BTreeMap<OsString, OsString>);

impl Env {
    /// The process's environment, as it is now.
    pub fn system() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// An environment of these variables only.
    pub fn from_pairs<I, K, V>(pairs: I) -> Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: Into<OsString>,
        V: Into<OsString>,
    {
        Self(
            pairs
                .into_iter()
                .map(|(k, v)| (k.into(), v.into()))
                .collect(),
        )
    }

    /// A variable's value. `None` if it is unset or empty, `Err` if it is not UTF-8.
    pub fn get(&self, name: &str) -> Option<Result<&str, NotUtf8>> {
        let value = self
            .0
            .get(std::ffi::OsStr::new(name))
            .filter(|v| !v.is_empty())?;
        Some(value.to_str().ok_or(NotUtf8))
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Env({} variables)", self.0.len())
    }
}

/// A value that is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotUtf8;

impl fmt::Display for NotUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value is not UTF-8")
    }
}

impl std::error::Error for NotUtf8 {}
