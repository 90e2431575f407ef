//! What teams used, and the periods that reports are about.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use jiff::civil::Date;

use crate::clock::day_number;
use crate::money::NanoUsd;

/// A calendar year, month or day in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    text: String,
    days: Range<i64>,
}

impl Period {
    /// Its days, counted from 1970-01-01 UTC.
    pub fn days(&self) -> Range<i64> {
        self.days.clone()
    }
}

/// A number of exactly so many digits.
fn digits<T: FromStr>(part: &str, count: usize) -> Option<T> {
    let is_number = part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    part.parse().ok().filter(|_| is_number)
}

/// The first and the last day of a period as it is written.
fn bounds(text: &str) -> Option<(Date, Date)> {
    let mut parts = text.splitn(3, '-');
    let year = digits(parts.next()?, 4)?;
    let Some(month) = parts.next() else {
        return Some((Date::new(year, 1, 1).ok()?, Date::new(year, 12, 31).ok()?));
    };
    let month = digits(month, 2)?;
    let Some(day) = parts.next() else {
        let first = Date::new(year, month, 1).ok()?;
        return Some((first, first.last_of_month()));
    };
    let date = Date::new(year, month, digits(day, 2)?).ok()?;
    Some((date, date))
}

/// Reads `2026`, `2026-11` or `2026-11-23`.
impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let days = bounds(text).and_then(|(first, last)| {
            let (first, last) = (day_number(first)?, day_number(last)?);
            Some(first..last.saturating_add(1))
        });
        match days {
            Some(days) => Ok(Self {
                text: text.to_owned(),
                days,
            }),
            None => {
                Err("must be a year, month or day in UTC: YYYY, YYYY-MM or YYYY-MM-DD".to_owned())
            }
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What some jobs come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobSums {
    /// Jobs that are still open.
    pub open: i64,
    /// Jobs that ended well.
    pub completed: i64,
    /// Jobs that ended badly or expired.
    pub failed: i64,
    /// Jobs that an administrator ended.
    pub cancelled: i64,
    /// Tokens of ended jobs.
    pub tokens: i64,
    /// What ended jobs cost the customer.
    pub cost: NanoUsd,
}

impl JobSums {
    /// Jobs of any state.
    pub const fn jobs(&self) -> i64 {
        self.open
            .saturating_add(self.completed)
            .saturating_add(self.failed)
            .saturating_add(self.cancelled)
    }

    /// The cost of a job on average; nothing if there are none.
    pub const fn average_cost(&self) -> NanoUsd {
        let jobs = self.jobs();
        NanoUsd(if jobs > 0 { self.cost.0 / jobs } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(text: &str) -> Range<i64> {
        text.parse::<Period>().unwrap().days()
    }

    #[test]
    fn periods_are_whole_years_months_and_days() {
        assert_eq!(days("1970-01-01"), 0..1);
        assert_eq!(days("1970"), 0..365);
        assert_eq!(days("2026-11-23"), 20_780..20_781);
        assert_eq!(days("2028-02").count(), 29);
        assert_eq!(days("2100").count(), 365);
        assert_eq!(days("9999-12").count(), 31);
    }

    #[test]
    fn what_is_no_period_is_refused() {
        let bad = [
            "",
            "%",
            "26",
            "20265",
            "2026-",
            "2026-1",
            "2026-13",
            "2026-00",
            "2026-02-29",
            "2026-11-23-01",
            "2026-11-23T00:00:00Z",
            "+026",
            "-2026",
            " 2026",
            "２０２６",
        ];
        for text in bad {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_average_of_no_jobs_is_nothing() {
        assert_eq!(JobSums::default().average_cost(), NanoUsd::ZERO);
        let sums = JobSums {
            open: 1,
            completed: 2,
            cost: NanoUsd(10),
            ..JobSums::default()
        };
        assert_eq!(sums.average_cost(), NanoUsd(3));
    }
}
