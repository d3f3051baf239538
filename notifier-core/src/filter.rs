//! Which frameworks' failures are reported at all.

use regex::Regex;

use crate::{Error, Result};

/// Allows and denies failures by the name of their framework.
///
/// Deny is looked at first. A name that no deny expression matches passes if an
/// allow expression matches it, or if there are none. Expressions are searched
/// for anywhere in the name unless anchored, and are case-sensitive.
///
/// ```
/// use notifier_core::FrameworkFilter;
/// let f = FrameworkFilter::new(["^marathon", "spark"], ["-dev$"])?;
/// assert!(f.allows("marathon"));
/// assert!(f.allows("my-spark"));
/// assert!(!f.allows("marathon-dev"));
/// assert!(!f.allows("chronos"));
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FrameworkFilter {
    allow: Vec<Regex>,
    deny: Vec<Regex>,
}

impl FrameworkFilter {
    /// A filter of these expressions.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for an expression that does not compile.
    pub fn new<A, D>(allow: A, deny: D) -> Result<Self>
    where
        A: IntoIterator,
        A::Item: AsRef<str>,
        D: IntoIterator,
        D::Item: AsRef<str>,
    {
        Ok(Self {
            allow: compile(allow)?,
            deny: compile(deny)?,
        })
    }

    /// Whether failures of this framework are reported.
    pub fn allows(&self, framework: &str) -> bool {
        if self.deny.iter().any(|r| r.is_match(framework)) {
            return false;
        }
        self.allow.is_empty() || self.allow.iter().any(|r| r.is_match(framework))
    }
}

fn compile<I>(list: I) -> Result<Vec<Regex>>
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    list.into_iter().map(|r| expression(r.as_ref())).collect()
}

/// Compiles one expression, with a size limit.
pub(crate) fn expression(text: &str) -> Result<Regex> {
    regex::RegexBuilder::new(text)
        .size_limit(1 << 20)
        .build()
        .map_err(|e| {
            let why = match e {
                regex::Error::Syntax(s) => s
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned(),
                regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                _ => "it is not valid".to_owned(),
            };
            Error::config(format!("cannot use the regular expression {text:?}: {why}"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_listed_means_all() {
        assert!(FrameworkFilter::default().allows(""));
        assert!(FrameworkFilter::default().allows("x"));
    }

    #[test]
    fn deny_comes_first() {
        let f = FrameworkFilter::new(["a"], ["a"]).unwrap();
        assert!(!f.allows("a"));
    }

    #[test]
    fn a_bad_expression_is_named() {
        let e = FrameworkFilter::new(["("], Vec::<&str>::new()).unwrap_err();
        assert_eq!(
            e.to_string(),
            "cannot use the regular expression \"(\": unclosed group"
        );
    }
}
