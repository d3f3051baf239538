//! Benches that are programs of their own: how much the command line asks for, and where
//! figures and words go.
//!
//! ```
//! use notifier_testkit::bench::Extent;
//!
//! // `cargo bench -- --quick`
//! let extent = Extent::of("mails", ["--bench", "--quick"]).unwrap();
//! assert_eq!(extent.pick(3000, 500, 20), 500);
//! // `cargo test` runs it, too, and looks at no figure.
//! assert_eq!(Extent::of("mails", [] as [&str; 0]), Some(Extent::Smoke));
//! assert_eq!(Extent::of("mails", ["another"]), None);
//! ```

use std::fmt;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extent {
    /// What published figures come from.
    Whole,
    /// The same in less time (`--quick`).
    Quick,
    /// As little as shows that it works: nothing that is measured counts.
    Smoke,
}

impl Extent {
    /// What this process' command line asks of the bench of this name; `None` if nothing is to be run.
    #[must_use]
    pub fn asked(name: &str) -> Option<Self> {
        Self::of(name, std::env::args().skip(1))
    }

    /// The same for these arguments.
    #[must_use]
    pub fn of(name: &str, args: impl IntoIterator<Item = impl Into<String>>) -> Option<Self> {
        let args: Vec<String> = args.into_iter().map(Into::into).collect();
        let has = |flag: &str| args.iter().any(|a| a == flag);
        let filters: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
        let fits = filters.is_empty() || filters.iter().any(|f| name.contains(f.as_str()));
        if has("--list") || !fits {
            None
        } else if has("--test") || !(has("--bench") || has("--quick")) {
            Some(Self::Smoke)
        } else if has("--quick") {
            Some(Self::Quick)
        } else {
            Some(Self::Whole)
        }
    }

    /// One of three values.
    #[must_use]
    pub fn pick<T>(self, whole: T, quick: T, smoke: T) -> T {
        match self {
            Self::Whole => whole,
            Self::Quick => quick,
            Self::Smoke => smoke,
        }
    }
}

/// Prints figures.
#[expect(clippy::print_stdout, reason = "the figures are what a bench is for")]
pub fn say(what: &dyn fmt::Display) {
    println!("{what}");
}

/// Says what is being done.
#[expect(clippy::print_stderr, reason = "beside the figures, not among them")]
pub fn tell(what: &str) {
    eprintln!("{what}");
}
