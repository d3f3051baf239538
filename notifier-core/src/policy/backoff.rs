use std::time::Duration;

/// Exponential back-off with full jitter.
///
/// The n-th wait is drawn evenly from `base` to `base * 2^n`, at most `cap`. Waits
/// that the other side asked for go over it, with up to a tenth added so that many
/// do not come back at once.
///
/// ```
/// use std::time::Duration;
/// use notifier_core::policy::Backoff;
/// let b = Backoff::default();
/// let wait = b.wait(3, None, &mut fastrand::Rng::with_seed(1));
/// assert!(wait >= Duration::from_secs(1) && wait <= Duration::from_secs(8));
/// let told = b.wait(0, Some(Duration::from_secs(30)), &mut fastrand::Rng::with_seed(1));
/// assert!(told >= Duration::from_secs(30) && told <= Duration::from_secs(33));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The shortest wait. 1 s by default.
    pub base: Duration,
    /// The longest wait of our own. 5 min by default.
    pub cap: Duration,
    /// The longest wait that the other side may ask for. 1 h by default.
    pub ask_cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(300),
            ask_cap: Duration::from_secs(3600),
        }
    }
}

impl Backoff {
    /// From `base` to `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self {
            base,
            cap: cap.max(base),
            ..Self::default()
        }
    }

    /// The wait after `failures` earlier failures in a row, or what was `asked` for.
    pub fn wait(
        &self,
        failures: u32,
        asked: Option<Duration>,
        rng: &mut fastrand::Rng,
    ) -> Duration {
        if let Some(asked) = asked {
            let asked = asked.min(self.ask_cap);
            return asked + asked.mul_f64(rng.f64() / 10.0);
        }
        let top = self
            .base
            .saturating_mul(1u32.checked_shl(failures).unwrap_or(u32::MAX))
            .min(self.cap);
        self.base + top.saturating_sub(self.base).mul_f64(rng.f64())
    }
}
