//! The environment as the credential chain sees it.

use std::{fmt, sync::Arc};

type Look = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Where AWS's variables are looked up. A library does not read the process's
/// environment by itself: the program hands it in. Unset, it is empty.
///
/// `Debug` shows no values.
///
/// ```
/// use uploader_s3::Environment;
/// let env = Environment::new(|name| (name == "AWS_REGION").then(|| "eu-west-1".to_owned()));
/// # let _ = env;
/// ```
#[derive(Clone)]
pub struct Environment(Arc<Look>);

impl Environment {
    /// An environment that is asked by name.
    pub fn new(look: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }

    /// A variable's value, `None` if unset or empty.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|v| !v.is_empty())
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self::new(|_| None)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}
