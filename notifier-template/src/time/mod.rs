//! Moments and lengths of time as Go's `time` package has them.

mod calendar;
mod duration;
mod layout;

use std::fmt;

use jiff::tz::TimeZone;

use calendar::Civil;
pub use duration::Duration;

/// Seconds from the start of the year 1, where Go's zero time is, to 1970.
const YEAR_ONE: i64 = 62_135_596_800;
const NANOS: i64 = 1_000_000_000;

/// In which zone a [`Time`] is shown.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Zone {
    /// UTC, which Go's `.UTC` leads to.
    Utc,
    /// The machine's own zone, which Go's `time.Unix` uses. It calls itself `Local`.
    Local(TimeZone),
    /// A zone with a name of its own.
    Named(TimeZone),
}

impl Zone {
    /// The seconds east of UTC and the zone's short name at the moment.
    ///
    /// Outside the years -9999 to 9999 the rules of the nearest year hold.
    fn offset(&self, unix: i64) -> (i64, String) {
        let zone = match self {
            Self::Utc => return (0, "UTC".to_owned()),
            Self::Local(zone) | Self::Named(zone) => zone,
        };
        if *zone == TimeZone::UTC {
            return (0, "UTC".to_owned());
        }
        let earliest = jiff::Timestamp::MIN.as_second() + 1;
        let latest = jiff::Timestamp::MAX.as_second() - 1;
        let Ok(moment) = jiff::Timestamp::from_second(unix.clamp(earliest, latest)) else {
            return (0, "UTC".to_owned());
        };
        let info = zone.to_offset_info(moment);
        let seconds = i64::from(info.offset().seconds());
        let name = info.abbreviation();
        // A fixed offset has no name in Go either; jiff writes the offset itself.
        let name = if name.starts_with(['+', '-']) && zone.iana_name().is_none() {
            ""
        } else {
            name
        };
        (seconds, name.to_owned())
    }

    fn is_summer_time(&self, unix: i64) -> bool {
        match self {
            Self::Utc => false,
            Self::Local(zone) | Self::Named(zone) => {
                let earliest = jiff::Timestamp::MIN.as_second() + 1;
                let latest = jiff::Timestamp::MAX.as_second() - 1;
                jiff::Timestamp::from_second(unix.clamp(earliest, latest))
                    .is_ok_and(|moment| zone.to_offset_info(moment).dst().is_dst())
            }
        }
    }

    /// The location's name in Go: `UTC`, `Local` (or `UTC` where the machine's zone is
    /// that), or `Europe/Paris`.
    pub fn name(&self) -> String {
        match self {
            Self::Utc => "UTC".to_owned(),
            Self::Local(zone) if *zone == TimeZone::UTC => "UTC".to_owned(),
            Self::Local(_) => "Local".to_owned(),
            Self::Named(zone) => zone.iana_name().unwrap_or_default().to_owned(),
        }
    }
}

/// A moment, to the nanosecond, and the zone it is shown in.
///
/// ```
/// use notifier_template::Time;
///
/// let time = Time::from_unix(1_466_138_479, 0);
/// assert_eq!(time.to_string(), "2016-06-17 04:41:19 +0000 UTC");
/// assert_eq!(time.format("Mon 3:04PM .000"), "Fri 4:41AM .000");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Time {
    unix: i64,
    nanos: u32,
    zone: Zone,
}

impl Time {
    /// Seconds since 1970, and nanoseconds after that second; from 1,000,000,000 on they
    /// count as further seconds. The zone is the local one of a machine in UTC; see
    /// [`in_zone`](Self::in_zone).
    pub fn from_unix(seconds: i64, nanoseconds: u32) -> Self {
        Self::at(
            seconds.saturating_add(i64::from(nanoseconds) / NANOS),
            nanoseconds % 1_000_000_000,
        )
    }

    fn at(unix: i64, nanos: u32) -> Self {
        Self {
            unix,
            nanos,
            zone: Zone::Local(TimeZone::UTC),
        }
    }

    /// The same moment, shown in another zone.
    #[must_use]
    pub fn in_zone(mut self, zone: Zone) -> Self {
        self.zone = zone;
        self
    }

    /// The zone it is shown in.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Whole seconds since 1970, rounded down.
    pub fn unix(&self) -> i64 {
        self.unix
    }

    /// Nanoseconds after the second, below 1,000,000,000.
    pub fn nanosecond(&self) -> u32 {
        self.nanos
    }

    /// Formats by a layout of Go's, such as `2006-01-02T15:04:05Z07:00`.
    pub fn format(&self, layout: &str) -> String {
        crate::text::to_text(self.format_bytes(layout.as_bytes()))
    }

    pub(crate) fn format_bytes(&self, layout: &[u8]) -> Vec<u8> {
        layout::format(self, layout)
    }

    fn civil(&self) -> Civil {
        Civil::from_unix(self.unix.saturating_add(self.zone.offset(self.unix).0))
    }

    /// The moment in nanoseconds since 1970.
    fn total(&self) -> i128 {
        i128::from(self.unix) * i128::from(NANOS) + i128::from(self.nanos)
    }

    fn with_total(&self, total: i128) -> Self {
        let unix = total.div_euclid(i128::from(NANOS));
        let unix = i64::try_from(unix).unwrap_or(if unix < 0 { i64::MIN } else { i64::MAX });
        Self {
            unix,
            nanos: total.rem_euclid(i128::from(NANOS)) as u32,
            zone: self.zone.clone(),
        }
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.unix == -YEAR_ONE && self.nanos == 0
    }

    pub(crate) fn is_same_moment(&self, other: &Self) -> bool {
        self.total() == other.total()
    }

    pub(crate) fn is_after(&self, other: &Self) -> bool {
        self.total() > other.total()
    }

    pub(crate) fn is_summer_time(&self) -> bool {
        self.zone.is_summer_time(self.unix)
    }

    pub(crate) fn add(&self, duration: Duration) -> Self {
        self.with_total(self.total() + i128::from(duration.0))
    }

    /// The time since another moment, at most what a duration holds.
    pub(crate) fn since(&self, other: &Self) -> Duration {
        let nanos = self.total() - other.total();
        Duration(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
    }

    /// The time's remainder by a multiple counted from the year 1.
    fn remainder(&self, unit: i64) -> i128 {
        (self.total() + i128::from(YEAR_ONE) * i128::from(NANOS)).rem_euclid(i128::from(unit))
    }

    pub(crate) fn truncate(&self, unit: Duration) -> Self {
        if unit.0 <= 0 {
            self.clone()
        } else {
            self.with_total(self.total() - self.remainder(unit.0))
        }
    }

    pub(crate) fn round(&self, unit: Duration) -> Self {
        if unit.0 <= 0 {
            return self.clone();
        }
        let rest = self.remainder(unit.0);
        let up = if rest * 2 < i128::from(unit.0) {
            0
        } else {
            i128::from(unit.0)
        };
        self.with_total(self.total() - rest + up)
    }

    /// Go's `AddDate`: the date moves, the clock stays, and what overflows carries over.
    pub(crate) fn add_date(&self, years: i64, months: i64, days: i64) -> Self {
        let civil = self.civil();
        let seconds = civil.moved(years, months, days);
        let guess = self.zone.offset(seconds).0;
        let offset = if guess == 0 {
            0
        } else {
            self.zone.offset(seconds.wrapping_sub(guess)).0
        };
        Self {
            unix: seconds.wrapping_sub(offset),
            nanos: self.nanos,
            zone: self.zone.clone(),
        }
    }

    pub(crate) fn year(&self) -> i64 {
        self.civil().year
    }

    pub(crate) fn month(&self) -> Month {
        self.civil().month()
    }

    pub(crate) fn day(&self) -> i64 {
        self.civil().day
    }

    pub(crate) fn weekday(&self) -> Weekday {
        self.civil().weekday()
    }

    pub(crate) fn year_day(&self) -> i64 {
        self.civil().year_day
    }

    /// Hour, minute and second.
    pub(crate) fn clock(&self) -> (i64, i64, i64) {
        self.civil().clock()
    }

    pub(crate) fn unix_milli(&self) -> i64 {
        self.unix
            .wrapping_mul(1_000)
            .wrapping_add(i64::from(self.nanos) / 1_000_000)
    }

    pub(crate) fn unix_micro(&self) -> i64 {
        self.unix
            .wrapping_mul(1_000_000)
            .wrapping_add(i64::from(self.nanos) / 1_000)
    }

    pub(crate) fn unix_nano(&self) -> i64 {
        self.unix
            .wrapping_mul(NANOS)
            .wrapping_add(i64::from(self.nanos))
    }

    /// The seconds that Go keeps inside, counted from the year 1.
    pub(crate) fn seconds_since_year_one(&self) -> i64 {
        self.unix.wrapping_add(YEAR_ONE)
    }

    pub(crate) fn go_string(&self) -> String {
        let civil = self.civil();
        let (hour, minute, second) = civil.clock();
        let zone = match &self.zone {
            Zone::Utc => "time.UTC".to_owned(),
            Zone::Local(_) => "time.Local".to_owned(),
            Zone::Named(_) => format!("time.Location({:?})", self.zone.name()),
        };
        let (year, month, day, nanos) = (civil.year, civil.month(), civil.day, self.nanos);
        format!(
            "time.Date({year}, time.{month}, {day}, {hour}, {minute}, {second}, {nanos}, {zone})"
        )
    }

    /// RFC 3339 with as many fractional digits as needed, for the years it is defined for.
    pub(crate) fn rfc3339(&self, method: &str) -> Result<Vec<u8>, String> {
        if !(0..=9999).contains(&self.year()) {
            return Err(format!("Time.{method}: year outside of range [0,9999]"));
        }
        Ok(self.format_bytes(b"2006-01-02T15:04:05.999999999Z07:00"))
    }

    /// Go's binary form.
    pub(crate) fn marshal_binary(&self) -> Result<Vec<u8>, String> {
        let offset = self.zone.offset(self.unix).0;
        let minutes = match self.zone {
            Zone::Utc => -1,
            _ if offset / 60 == -1 => {
                return Err("Time.MarshalBinary: unexpected zone offset".to_owned());
            }
            _ => (offset / 60) as i16,
        };
        let seconds = if self.zone == Zone::Utc {
            0
        } else {
            (offset % 60) as i8
        };
        let mut out = vec![if seconds == 0 { 1 } else { 2 }];
        out.extend_from_slice(&self.seconds_since_year_one().to_be_bytes());
        out.extend_from_slice(&self.nanos.to_be_bytes());
        out.extend_from_slice(&minutes.to_be_bytes());
        if seconds != 0 {
            out.extend_from_slice(&seconds.to_be_bytes());
        }
        Ok(out)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format("2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}

impl From<std::time::SystemTime> for Time {
    fn from(time: std::time::SystemTime) -> Self {
        let nanos = match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => i128::try_from(after.as_nanos()).unwrap_or(i128::MAX),
            Err(error) => -i128::try_from(error.duration().as_nanos()).unwrap_or(i128::MAX),
        };
        Self::from_unix(0, 0).with_total(nanos)
    }
}

impl From<jiff::Timestamp> for Time {
    fn from(time: jiff::Timestamp) -> Self {
        Self::from_unix(0, 0).with_total(time.as_nanosecond())
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// A month, which prints as its name and counts from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Month(u8);

impl Month {
    /// A month from 1, January, to 12; `None` for another number.
    pub fn new(number: u8) -> Option<Self> {
        (1..=12).contains(&number).then_some(Self(number))
    }

    /// 1 to 12.
    pub fn number(self) -> u8 {
        self.0
    }

    fn name(self) -> &'static str {
        MONTHS[usize::from(self.0) - 1]
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A day of the week, which prints as its name and counts from 0, Sunday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Weekday(u8);

impl Weekday {
    /// A day from 0, Sunday, to 6; `None` for another number.
    pub fn new(number: u8) -> Option<Self> {
        (number < 7).then_some(Self(number))
    }

    /// 0 to 6.
    pub fn number(self) -> u8 {
        self.0
    }

    fn name(self) -> &'static str {
        WEEKDAYS[usize::from(self.0)]
    }
}

impl fmt::Display for Weekday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_do_not_panic() {
        for unix in [i64::MIN, i64::MIN + 1, -YEAR_ONE, 0, i64::MAX - 1, i64::MAX] {
            let zones = [
                Zone::Utc,
                Zone::Named(TimeZone::fixed(jiff::tz::offset(-7))),
            ];
            for time in zones.map(|zone| Time::from_unix(unix, 999_999_999).in_zone(zone)) {
                assert!(!time.to_string().is_empty());
                for days in [i64::MIN, -1, 0, i64::MAX] {
                    assert!(!time.add_date(days, days, days).go_string().is_empty());
                }
                time.add(Duration(i64::MAX))
                    .round(Duration(7))
                    .truncate(Duration(i64::MAX));
                assert!(time.marshal_binary().is_ok());
            }
        }
    }

    #[test]
    fn dates_carry_over() {
        let time = Time::from_unix(1_456_704_000, 0);
        assert_eq!(time.format("2006-01-02"), "2016-02-29");
        assert_eq!(time.add_date(1, 0, 0).format("2006-01-02"), "2017-03-01");
        assert_eq!(time.add_date(0, -14, 3).format("2006-01-02"), "2015-01-01");
    }

    #[test]
    fn summer_time_is_kept_by_dates_and_crossed_by_durations() {
        let paris = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let time = Time::from_unix(1_466_138_472, 0).in_zone(Zone::Named(paris));
        assert_eq!(time.to_string(), "2016-06-17 06:41:12 +0200 CEST");
        assert_eq!(
            time.add_date(0, 6, 0).to_string(),
            "2016-12-17 06:41:12 +0100 CET"
        );
        let half_a_year = Duration::from_nanos(183 * 86_400 * 1_000_000_000);
        assert_eq!(
            time.add(half_a_year).to_string(),
            "2016-12-17 05:41:12 +0100 CET"
        );
        assert!(time.is_summer_time() && !time.add(half_a_year).is_summer_time());
        assert_eq!(
            time.add_date(1, -3, 9).format("2006-01-02 15:04 MST"),
            "2017-03-26 06:41 CEST"
        );
    }

    #[test]
    fn a_fixed_zone_shows_its_offset() {
        let time =
            Time::from_unix(0, 0).in_zone(Zone::Named(TimeZone::fixed(jiff::tz::offset(-7))));
        assert_eq!(time.to_string(), "1969-12-31 17:00:00 -0700 -0700");
        assert_eq!(time.format("Z07:00 Z0700 MST"), "-07:00 -0700 -0700");
    }
}
