use std::{fmt, str::FromStr, time::Duration};

use jiff::Timestamp;

use crate::{
    Error, OptionKind, OptionSpec, Result,
    clock::{add, until},
};

/// How fast a destination may be sent to: one message each `every`, and `burst` at once
/// after a rest.
///
/// As text: `1/s`, `90/m`, `100/h`, with a burst of its own behind a colon, `1/s:50`. The
/// burst is 20 unless said, or as many as the rate names if these are more.
///
/// Kept as one point in time (the generic cell rate algorithm): in any span of time `t`
/// no more than `burst + t / every` are let through, over restarts as well.
///
/// ```
/// use std::time::Duration;
/// use notifier_core::policy::Rate;
/// let rate: Rate = "90/m".parse()?;
/// assert_eq!((rate.burst(), rate.to_string().as_str()), (90, "90/m"));
/// assert_eq!("1/s".parse::<Rate>()?, Rate::new(1, Duration::from_secs(1)));
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    per: Duration,
    burst: u32,
}

/// The units of time of a rate.
const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];

/// The name of the option that a reporter declares its rate by.
pub(crate) const RATE: &str = "rate";
/// The name of the option that a reporter declares its age limit by.
pub(crate) const MAX_AGE: &str = "max_age";

impl Rate {
    /// The least burst unless one is set.
    pub const BURST: u32 = 20;

    /// `count` messages each `per`. Zeros count as the least there is.
    pub fn new(count: u32, per: Duration) -> Self {
        let count = count.max(1);
        Self {
            count,
            per: per.max(Duration::from_millis(1)),
            burst: count.max(Self::BURST),
        }
    }

    /// Sets how many may be sent at once after a rest, at least 1.
    #[must_use]
    pub fn with_burst(mut self, burst: u32) -> Self {
        self.burst = burst.max(1);
        self
    }

    /// How many may be sent at once after a rest.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// One message each.
    pub fn every(&self) -> Duration {
        (self.per / self.count).max(Duration::from_micros(1))
    }

    /// Reads an option's value; `unlimited` and an empty one are none.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is no rate.
    pub fn read(text: &str) -> Result<Option<Self>> {
        match text.trim() {
            "" | "unlimited" => Ok(None),
            text => text.parse().map(Some),
        }
    }

    /// How many of `wanted` may go now; moves `state`, the time at which the last one let
    /// through would have gone at an even pace.
    pub fn take(&self, state: &mut Option<Timestamp>, now: Timestamp, wanted: usize) -> usize {
        let every = self.every();
        let all = every.saturating_mul(self.burst);
        // One further ahead than there can be was made by a clock that was set since.
        let mut at = state.unwrap_or(now).clamp(now, add(now, all));
        if state.is_some_and(|stored| stored > at) {
            *state = Some(at);
        }
        let mut granted = 0;
        while granted < wanted && until(now, add(at, every)) <= all {
            at = add(at, every);
            granted += 1;
        }
        if granted > 0 {
            *state = Some(at);
        }
        granted
    }

    /// When the next one may go.
    pub fn next(&self, state: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let (every, all) = (self.every(), self.every().saturating_mul(self.burst));
        let at = state.unwrap_or(now).clamp(now, add(now, all));
        add(now, until(now, add(at, every)).saturating_sub(all))
    }

    /// The option that every reporter with a service behind it declares.
    pub const fn option(default: &'static str) -> OptionSpec {
        OptionSpec::new(
            RATE,
            "how fast one destination is sent to: 1/s, 90/m, 100/h, with a burst of its own 1/s:50, or unlimited; the burst is 20 unless said",
        )
        .kind(OptionKind::Rate)
        .default(default)
    }

    /// The option by which a reporter has an age limit of its own.
    pub const fn max_age_option() -> OptionSpec {
        OptionSpec::new(
            MAX_AGE,
            "after this, what does not arrive is given up; -retry.max-age unless set",
        )
        .kind(OptionKind::Duration)
    }
}

impl FromStr for Rate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::config(format!(
                "{text:?} is not a rate (such as 1/s, 90/m, 100/h, 1/s:50 or unlimited)"
            ))
        };
        let (rate, burst) = match text.split_once(':') {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text, None),
        };
        let (count, unit) = rate.split_once('/').ok_or_else(wrong)?;
        let count: u32 = count.trim().parse().map_err(|_| wrong())?;
        let seconds = UNITS
            .iter()
            .find(|(name, _)| *name == unit.trim())
            .ok_or_else(wrong)?
            .1;
        if count == 0 {
            return Err(wrong());
        }
        let rate = Self::new(count, Duration::from_secs(seconds));
        match burst.map(|b| b.trim().parse::<u32>()) {
            None => Ok(rate),
            Some(Ok(burst)) if burst > 0 => Ok(rate.with_burst(burst)),
            Some(_) => Err(wrong()),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.per.as_secs();
        match UNITS.iter().find(|(_, s)| *s == seconds) {
            Some((unit, _)) => write!(f, "{}/{unit}", self.count)?,
            None => write!(f, "{} in {:?}", self.count, self.per)?,
        }
        if self.burst != self.count.max(Self::BURST) {
            write!(f, ":{}", self.burst)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for wrong in [
            "1", "0/s", "-1/s", "1/y", "1/", "/s", "1/s:", "1/s:0", "1/s:x", "x/s",
        ] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
        assert_eq!(Rate::read("unlimited").unwrap(), None);
        let rate: Rate = " 2/s:3".parse().unwrap();
        assert_eq!((rate.to_string().as_str(), rate.burst()), ("2/s:3", 3));
    }

    #[test]
    fn a_burst_and_then_an_even_pace() {
        let rate: Rate = "1/s:3".parse().unwrap();
        let mut state = None;
        assert_eq!(rate.take(&mut state, at(0), 10), 3);
        assert_eq!(rate.take(&mut state, at(0), 10), 0);
        assert_eq!(rate.next(state, at(0)), at(1_000));
        assert_eq!(rate.take(&mut state, at(999), 10), 0);
        assert_eq!(rate.take(&mut state, at(1_000), 10), 1);
        assert_eq!(rate.take(&mut state, at(60_000), 10), 3);
    }

    #[test]
    fn no_span_of_time_has_more_than_the_rate() {
        let rate: Rate = "10/s:20".parse().unwrap();
        let mut rng = fastrand::Rng::with_seed(7);
        let (mut state, mut now, mut sent) = (None, 0, Vec::new());
        for _ in 0..2_000 {
            now += rng.i64(0..150);
            for _ in 0..rate.take(&mut state, at(now), rng.usize(0..5)) {
                sent.push(now);
            }
        }
        for (i, from) in sent.iter().enumerate() {
            for (n, to) in sent[i..].iter().enumerate() {
                let count = n as i64 + 1;
                assert!(count <= 20 + (to - from) / 100 + 1);
            }
        }
        assert!(sent.len() as i64 > now / 100 - 40);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_it() {
        let rate: Rate = "1/m".parse().unwrap();
        let mut state = None;
        assert_eq!(rate.take(&mut state, at(86_400_000), 100), 20);
        assert_eq!(rate.next(state, at(0)), at(60_000));
        assert_eq!(rate.take(&mut state, at(0), 5), 0);
        assert_eq!(rate.take(&mut state, at(60_000), 5), 1);
    }
}
