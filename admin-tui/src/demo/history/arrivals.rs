//! When jobs come: much by day, little by night and at weekends.

use tollgate_common::clock::Timestamp;

use super::super::Size;
use super::super::dice::Dice;

/// How busy each hour of a day is.
const HOURS: [u64; 24] = [
    3, 2, 2, 2, 2, 3, 6, 11, 18, 22, 24, 23, 18, 21, 24, 23, 21, 17, 12, 9, 8, 7, 5, 4,
];

/// How busy Monday to Sunday are, in tenths.
const WEEK: [u64; 7] = [10, 10, 11, 10, 9, 4, 3];

const HOUR_MICROS: i64 = 3_600_000_000;

/// The last jobs are there to be seen: so many begin in the last minute and are still open.
const LAST: u64 = 12;
const LAST_MICROS: u64 = 60_000_000;

/// Moments at which jobs are created, in their order.
#[derive(Debug)]
pub(super) struct Arrivals {
    now: Timestamp,
    count: u64,
    made: u64,
    begin: i64,
    /// Sums of what is due up to the end of each hour.
    sums: Vec<u64>,
    hour: usize,
}

impl Arrivals {
    pub(super) fn new(size: Size) -> Self {
        let hours = i64::from(size.days.max(1)) * 24;
        let end = size.now.as_micros();
        let begin = end - hours * HOUR_MICROS;
        let busy = (0..hours).map(|hour| {
            let at = Timestamp::from_micros(begin + hour * HOUR_MICROS);
            let of_day = at.as_micros().rem_euclid(24 * HOUR_MICROS) / HOUR_MICROS;
            // 1970-01-01 was a Thursday.
            HOURS[of_day as usize] * WEEK[(at.day() + 3).rem_euclid(7) as usize]
        });
        Self {
            now: size.now,
            count: size.jobs,
            made: 0,
            begin,
            sums: super::sums(busy),
            hour: 0,
        }
    }

    /// The next moment, and whether it is one of the last.
    pub(super) fn next(&mut self, dice: &Dice) -> Option<(Timestamp, bool)> {
        if self.made == self.count {
            return None;
        }
        let last = LAST.min(self.count / 4);
        let first_last = self.count - last;
        if self.made >= first_last {
            let place = self.made - first_last;
            self.made += 1;
            let ago = LAST_MICROS - LAST_MICROS * (place + 1) / (last + 1);
            let at = self.now.as_micros() - ago.cast_signed();
            return Some((Timestamp::from_micros(at), true));
        }
        let total = u128::from(self.sums.last().copied().unwrap_or(1));
        // Finer than the sums, so that jobs spread within an hour.
        let fine = (total << 20) * u128::from(self.made) / u128::from(first_last);
        let width = (total << 20) / u128::from(first_last);
        let target = fine + u128::from(dice.below(width as u64));
        self.made += 1;
        while u128::from(self.sums[self.hour]) << 20 <= target {
            self.hour += 1;
        }
        let before = self.hour.checked_sub(1).map_or(0, |hour| self.sums[hour]);
        let into = target - (u128::from(before) << 20);
        let whole = u128::from(self.sums[self.hour] - before) << 20;
        let micros = into * HOUR_MICROS as u128 / whole.max(1);
        let hours = self.hour.cast_signed() as i64 * HOUR_MICROS;
        let at = self.begin + hours + micros as i64;
        let latest = self.now.as_micros() - LAST_MICROS.cast_signed() - 1;
        Some((Timestamp::from_micros(at.min(latest)), false))
    }
}
