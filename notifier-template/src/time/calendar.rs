//! The proleptic Gregorian calendar over all of `i64`.

use super::{Month, Weekday};

const DAY: i64 = 86_400;

/// A date and the seconds of its day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Civil {
    pub(super) year: i64,
    month: u8,
    pub(super) day: i64,
    /// From 1.
    pub(super) year_day: i64,
    days: i64,
    second_of_day: i64,
}

impl Civil {
    /// From seconds since 1970 in the zone's own time.
    pub(super) fn from_unix(seconds: i64) -> Self {
        let days = seconds.div_euclid(DAY);
        // Years that begin in March keep the leap day at the end; 400 of them are an era.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        let year_day = days - days_to(i128::from(year), 1) as i64 + 1;
        Self {
            year,
            month: month as u8,
            day,
            year_day,
            days,
            second_of_day: seconds.rem_euclid(DAY),
        }
    }

    pub(super) fn month(&self) -> Month {
        Month(self.month)
    }

    pub(super) fn weekday(&self) -> Weekday {
        // 1970 began on a Thursday.
        Weekday((self.days + 4).rem_euclid(7) as u8)
    }

    pub(super) fn clock(&self) -> (i64, i64, i64) {
        (
            self.second_of_day / 3_600,
            self.second_of_day / 60 % 60,
            self.second_of_day % 60,
        )
    }

    /// The seconds since 1970 of a date so far away, at the same time of day.
    pub(super) fn moved(&self, years: i64, months: i64, days: i64) -> i64 {
        let month = i128::from(self.month) - 1 + i128::from(months);
        let year = i128::from(self.year) + i128::from(years) + month.div_euclid(12);
        let first = days_to(year, month.rem_euclid(12) + 1);
        let days = first + i128::from(self.day) - 1 + i128::from(days);
        (days * i128::from(DAY) + i128::from(self.second_of_day)) as i64
    }
}

/// Days from 1970 to the first of a month.
fn days_to(year: i128, month: i128) -> i128 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}
