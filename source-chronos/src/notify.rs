//! From which failure on a job's owners are told.

/// Which failed runs of a job are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notify {
    /// Each of them.
    Every,
    /// Those after which Chronos does not try again.
    #[default]
    Final,
    /// The N-th in a row since the last success, and those after it. Attempts count.
    After(u32),
}

impl Notify {
    /// `every`, `final`, or a number from 1 on.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "every" => Some(Self::Every),
            "final" => Some(Self::Final),
            number => match number.parse() {
                Ok(0) | Err(_) => None,
                Ok(n) => Some(Self::After(n)),
            },
        }
    }

    /// Whether a failed run is told: the `runs`-th in a row, final or not.
    pub(crate) fn tells(self, runs: u64, is_final: bool) -> bool {
        match self {
            Self::Every => true,
            Self::Final => is_final,
            Self::After(n) => runs >= u64::from(n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers() {
        assert_eq!(Notify::parse("every"), Some(Notify::Every));
        assert_eq!(Notify::parse(" final "), Some(Notify::Final));
        assert_eq!(Notify::parse("3"), Some(Notify::After(3)));
        for text in ["", "0", "-1", "Every", "never", "1.5"] {
            assert_eq!(Notify::parse(text), None, "{text}");
        }
    }

    #[test]
    fn thresholds() {
        assert!(Notify::Every.tells(1, false));
        assert!(!Notify::Final.tells(9, false) && Notify::Final.tells(1, true));
        assert!(!Notify::After(3).tells(2, true) && Notify::After(3).tells(3, false));
    }
}
