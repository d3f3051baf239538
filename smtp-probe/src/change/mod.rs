//! When a change of a target's state is worth telling.

use std::{fmt, time::Duration};

use notifier_core::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::report::State;

#[cfg(test)]
mod tests;

/// How a target stands, the better first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// All is well.
    Ok,
    /// It works and something is to be seen to, or it could not be found out.
    Degraded,
    /// Broken, or dangerous.
    Down,
}

impl Standing {
    /// The word for it: `degraded`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl From<State> for Standing {
    fn from(state: State) -> Self {
        match state {
            State::Skip | State::Ok => Self::Ok,
            State::Warn | State::Unknown => Self::Degraded,
            State::Crit => Self::Down,
        }
    }
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum News {
    /// It is broken.
    Down,
    /// It works, not quite well.
    Degraded,
    /// All is well again.
    Recovered,
    /// It changes so often that nothing more is told until it keeps still.
    Flapping,
}

impl News {
    /// The word for it: `RECOVERED`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Down => "DOWN",
            Self::Degraded => "DEGRADED",
            Self::Recovered => "RECOVERED",
            Self::Flapping => "FLAPPING",
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl From<Standing> for News {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Ok => Self::Recovered,
            Standing::Degraded => Self::Degraded,
            Standing::Down => Self::Down,
        }
    }
}

/// A change that is worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// What to tell.
    pub news: News,
    /// How it stood before, if that is known.
    pub from: Option<Standing>,
    /// How it stands.
    pub to: Standing,
    /// How long it had stood as before.
    pub lasted: Duration,
    /// How often it changed within the window, this time included.
    pub changes: usize,
}

/// From when on a target flaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damping {
    /// So many changes within `window`: 3. At least 2.
    pub changes: usize,
    /// 10 minutes. After as long without a change it no longer flaps.
    pub window: Duration,
}

impl Default for Damping {
    fn default() -> Self {
        Self {
            changes: 3,
            window: Duration::from_secs(600),
        }
    }
}

/// How one target has stood so far. Kept as JSON, it goes on after a restart as if there had been
/// none.
///
/// ```
/// use notifier_core::jiff::Timestamp;
/// use smtp_probe::change::{Course, Damping, News, Standing};
///
/// let mut course = Course::default();
/// let mut see = |standing, second| {
///     let at = Timestamp::from_second(second).unwrap();
///     course.observe(standing, at, Damping::default()).map(|c| c.news)
/// };
/// assert_eq!(see(Standing::Ok, 0), None);
/// assert_eq!(see(Standing::Down, 60), Some(News::Down));
/// assert_eq!(see(Standing::Down, 120), None);
/// assert_eq!(see(Standing::Ok, 180), Some(News::Recovered));
/// assert_eq!(see(Standing::Down, 240), Some(News::Flapping));
/// assert_eq!(see(Standing::Ok, 300), None);
/// assert_eq!(see(Standing::Ok, 900), Some(News::Recovered));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Course {
    /// How it stands, and since when.
    standing: Option<(Standing, Timestamp)>,
    /// When it changed within the window, the oldest first; never more than count.
    changes: Vec<Timestamp>,
    /// Whether it was told that it flaps.
    flapping: bool,
}

impl Course {
    /// How it stands, as far as it is known.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        self.standing.map(|(standing, _)| standing)
    }

    /// Whether it flaps.
    #[must_use]
    pub fn is_flapping(&self) -> bool {
        self.flapping
    }

    /// Takes in how it stood at a time, and says what is worth telling of it.
    ///
    /// The first bad state is told at once, and so is each change, until there are
    /// [`Damping::changes`] of them within [`Damping::window`]: then it is told that the target flaps,
    /// and nothing more until it has stood still for as long; then how it stands. That a target is
    /// well is no news when nothing else was seen before.
    pub fn observe(
        &mut self,
        standing: Standing,
        at: Timestamp,
        damping: Damping,
    ) -> Option<Change> {
        let before = self.standing;
        // A clock that is set back makes no time that lasted less than nothing.
        let at = before.map_or(at, |(_, since)| at.max(since));
        let since = |t: Timestamp| Duration::try_from(at.duration_since(t)).unwrap_or_default();
        let lasted = before.map_or(Duration::ZERO, |(_, t)| since(t));
        self.changes.retain(|t| since(*t) < damping.window);
        let from = before.map(|(standing, _)| standing);
        if from == Some(standing) {
            if !self.flapping || lasted < damping.window {
                return None;
            }
            self.flapping = false;
            self.changes.clear();
            return Some(Change {
                news: standing.into(),
                from,
                to: standing,
                lasted,
                changes: 0,
            });
        }
        self.standing = Some((standing, at));
        if from.is_none() && standing == Standing::Ok {
            return None;
        }
        let most = damping.changes.max(2);
        self.changes.push(at);
        let changes = self.changes.len();
        if changes > most {
            self.changes.remove(0);
        }
        if self.flapping {
            return None;
        }
        let news = match changes >= most {
            true => News::Flapping,
            false => standing.into(),
        };
        self.flapping = news == News::Flapping;
        Some(Change {
            news,
            from,
            to: standing,
            lasted,
            changes,
        })
    }
}
