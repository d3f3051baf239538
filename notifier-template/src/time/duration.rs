//! Lengths of time.

use std::fmt;

/// A length of time in nanoseconds, up to some 292 years either way.
///
/// Prints as Go prints it: `1h2m3.5s`, `150ms`, `0s`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub(crate) i64);

impl Duration {
    /// A duration of so many nanoseconds.
    pub fn from_nanos(nanoseconds: i64) -> Self {
        Self(nanoseconds)
    }

    /// The duration in nanoseconds.
    pub fn as_nanos(self) -> i64 {
        self.0
    }

    /// In a unit of so many nanoseconds; the whole and the rest are divided apart, which
    /// is how Go rounds.
    pub(crate) fn in_units_of(self, unit: i64) -> f64 {
        (self.0 / unit) as f64 + (self.0 % unit) as f64 / unit as f64
    }

    pub(crate) fn seconds(self) -> f64 {
        self.in_units_of(1_000_000_000)
    }

    pub(crate) fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    pub(crate) fn truncate(self, unit: Self) -> Self {
        if unit.0 <= 0 {
            self
        } else {
            Self(self.0 - self.0 % unit.0)
        }
    }

    pub(crate) fn round(self, unit: Self) -> Self {
        if unit.0 <= 0 {
            return self;
        }
        let rest = (self.0 % unit.0).unsigned_abs();
        let towards_zero = self.0 - self.0 % unit.0;
        if rest * 2 < unit.0.unsigned_abs() {
            Self(towards_zero)
        } else if self.0 < 0 {
            Self(towards_zero.saturating_sub(unit.0))
        } else {
            Self(towards_zero.saturating_add(unit.0))
        }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let fraction = |value: u64, unit: u64, digits: usize| -> String {
            let rest = format!("{:0digits$}", value % unit);
            let rest = rest.trim_end_matches('0');
            let point = if rest.is_empty() { "" } else { "." };
            format!("{}{point}{rest}", value / unit)
        };
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{sign}{nanos}ns"),
            1_000..1_000_000 => write!(f, "{sign}{}µs", fraction(nanos, 1_000, 3)),
            1_000_000..1_000_000_000 => write!(f, "{sign}{}ms", fraction(nanos, 1_000_000, 6)),
            _ => {
                let minutes = nanos / 60_000_000_000;
                f.write_str(sign)?;
                if minutes >= 60 {
                    write!(f, "{}h", minutes / 60)?;
                }
                if minutes > 0 {
                    write!(f, "{}m", minutes % 60)?;
                }
                write!(f, "{}s", fraction(nanos % 60_000_000_000, 1_000_000_000, 9))
            }
        }
    }
}

impl From<std::time::Duration> for Duration {
    /// More than some 292 years counts as that.
    fn from(duration: std::time::Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_rounds_like_go() {
        for (nanos, text) in [
            (0, "0s"),
            (-1, "-1ns"),
            (1_100, "1.1µs"),
            (2_000_000, "2ms"),
            (61_000_000_000, "1m1s"),
            (3_600_000_000_000, "1h0m0s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(Duration(nanos).to_string(), text);
        }
        assert_eq!(Duration(i64::MIN).round(Duration(3)).0, i64::MIN);
        assert_eq!(Duration(-150).round(Duration(100)).0, -200);
        assert_eq!(Duration(149).round(Duration(100)).0, 100);
        assert_eq!(Duration(i64::MAX).round(Duration(1 << 40)).0, i64::MAX);
    }
}
