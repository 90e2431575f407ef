//! Budgets: how many credits a team may be charged in a calendar day and month in UTC.
//!
//! A window is computed from the moment of a charge; nothing has to be reset when it ends. What is
//! charged in a window and all that is held now must stay within the limit whenever something is
//! held or charged. A hold always counts in the present window: a job that was opened before
//! midnight and completes after it is charged in the new window. What was held is always
//! chargeable, even beyond a limit that was set or lowered meanwhile, and so is what work has used
//! beyond its hold.

use std::time::Duration;

use super::{Account, Credits, Refusal};
use crate::clock::Timestamp;

/// By how much the clocks of nodes may differ. A window that begins later than that was made by a
/// clock that was wrong, and is not believed.
pub const SKEW_MAX: Duration = Duration::from_mins(5);

/// A calendar window in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the first of the next.
    Month,
}

impl Window {
    /// What budgets of this length are called at the beginning of a sentence.
    pub const fn adjective(self) -> &'static str {
        match self {
            Self::Day => "Daily",
            Self::Month => "Monthly",
        }
    }

    /// The first moment of the window that `at` is in.
    fn start(self, at: Timestamp) -> Timestamp {
        match self {
            Self::Day => Timestamp::of_day(at.day()),
            Self::Month => at.month_start(),
        }
    }

    /// The first moment after the window that `at` is in.
    fn end(self, at: Timestamp) -> Timestamp {
        match self {
            Self::Day => Timestamp::of_day(at.day().saturating_add(1)),
            Self::Month => at.next_month_start(),
        }
    }
}

/// What may be charged in each window of one length, and what was charged in the latest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// How much; `None` if the balance is the only limit.
    pub limit: Option<Credits>,
    /// When the window of the latest charge began.
    pub began_at: Timestamp,
    /// What was charged in it. Refunds are not taken off.
    pub charged: Credits,
}

impl Budget {
    /// Whether the stored window began by a clock that was far ahead of this one.
    fn is_of_the_future(&self, now: Timestamp) -> bool {
        self.began_at > now.plus(SKEW_MAX)
    }

    /// What was charged in the window of `now`. A clock that lags a little behind an earlier charge
    /// is still in that charge's window.
    fn charged_at(&self, window: Window, now: Timestamp) -> Credits {
        if window.start(now) > self.began_at || self.is_of_the_future(now) {
            Credits::ZERO
        } else {
            self.charged
        }
    }

    /// What the limit leaves beside what is charged and held.
    fn room(&self, window: Window, held: Credits, now: Timestamp) -> Credits {
        let Some(limit) = self.limit else {
            return Credits(i64::MAX);
        };
        let taken = self.charged_at(window, now).plus(held);
        limit.minus(taken).max(Credits::ZERO)
    }

    fn charge(&mut self, window: Window, credits: Credits, at: Timestamp) {
        self.charged = self.charged_at(window, at).plus(credits);
        self.began_at = if self.is_of_the_future(at) {
            window.start(at)
        } else {
            self.began_at.max(window.start(at))
        };
    }
}

impl Account {
    const fn budget(&self, window: Window) -> &Budget {
        match window {
            Window::Day => &self.budget_day,
            Window::Month => &self.budget_month,
        }
    }

    /// What was charged in the present window.
    pub fn charged_in(&self, window: Window, now: Timestamp) -> Credits {
        self.budget(window).charged_at(window, now)
    }

    fn room_in(&self, window: Window, now: Timestamp) -> Credits {
        self.budget(window).room(window, self.held, now)
    }

    /// What may be held or charged in addition at this moment, by the balance and by the budgets.
    pub fn spendable(&self, now: Timestamp) -> Credits {
        self.available()
            .min(self.room_in(Window::Day, now))
            .min(self.room_in(Window::Month, now))
    }

    /// Refuses new work while something is owed for earlier work.
    pub fn require_no_debt(&self) -> Result<(), Refusal> {
        if self.owed.is_positive() {
            return Err(Refusal::Owing {
                owed: self.owed,
                remaining: self.balance.minus(self.held),
            });
        }
        Ok(())
    }

    /// The windows of which the stored one began by a clock that was far ahead, with the beginnings
    /// of the present ones.
    pub fn windows_of_the_future(&self, now: Timestamp) -> Vec<(Window, Timestamp)> {
        [Window::Day, Window::Month]
            .into_iter()
            .filter(|window| self.budget(*window).is_of_the_future(now))
            .map(|window| (window, window.start(now)))
            .collect()
    }

    /// Replaces what is stored of a window by what its entries add up to.
    pub fn restore_window(&mut self, window: Window, began_at: Timestamp, charged: Credits) {
        let budget = match window {
            Window::Day => &mut self.budget_day,
            Window::Month => &mut self.budget_month,
        };
        budget.began_at = began_at;
        budget.charged = charged;
    }

    /// Refuses what could not be held or charged in addition at this moment.
    pub fn require(&self, credits: Credits, now: Timestamp) -> Result<(), Refusal> {
        if credits > self.available() {
            return Err(self.insufficient(credits));
        }
        // The month first: whoever has reached both budgets waits for its end.
        for window in [Window::Month, Window::Day] {
            if credits > self.room_in(window, now) {
                return Err(self.exceeded(window, credits, now));
            }
        }
        Ok(())
    }

    fn exceeded(&self, window: Window, required: Credits, now: Timestamp) -> Refusal {
        let budget = self.budget(window);
        let present = if budget.is_of_the_future(now) {
            now
        } else {
            now.max(budget.began_at)
        };
        let resets_at = window.end(present);
        Refusal::BudgetExceeded {
            window,
            limit: budget.limit.unwrap_or_default(),
            used: budget.charged_at(window, now),
            held: self.held,
            required,
            resets_at,
            resets_in: resets_at.since(now),
        }
    }

    /// Counts a charge in its windows and returns the moment that it is dated with: one whose clock
    /// lags behind the day of an earlier charge counts, and is dated, at that day's beginning.
    pub(super) fn charge(&mut self, credits: Credits, at: Timestamp) -> Timestamp {
        let at = if self.budget_day.is_of_the_future(at) {
            at
        } else {
            at.max(self.budget_day.began_at)
        };
        self.budget_day.charge(Window::Day, credits, at);
        self.budget_month.charge(Window::Month, credits, at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn windows_are_calendar_days_and_months() {
        let late = moment("2028-02-29T23:59:59.999999Z");
        assert_eq!(Window::Day.start(late), moment("2028-02-29T00:00:00Z"));
        assert_eq!(Window::Month.start(late), moment("2028-02-01T00:00:00Z"));
        for window in [Window::Day, Window::Month] {
            assert_eq!(window.end(late), moment("2028-03-01T00:00:00Z"));
            assert_eq!(window.start(window.end(late)), window.end(late));
        }
        let december = moment("2026-12-31T12:00:00Z");
        assert_eq!(Window::Month.end(december), moment("2027-01-01T00:00:00Z"));
    }

    fn account(day: Option<i64>, month: Option<i64>) -> Account {
        let mut account = Account::new("t".parse().unwrap());
        account.balance = Credits(100);
        account.budget_day.limit = day.map(Credits);
        account.budget_month.limit = month.map(Credits);
        account
    }

    #[test]
    fn a_refusal_says_when_the_window_ends() {
        let now = moment("2026-11-29T23:00:00Z");
        let mut account = account(Some(5), Some(8));
        account.charge(Credits(4), now);
        account.held = Credits(1);
        let refusal = account.require(Credits(1), now).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "Daily budget reached. Of 5 credits 4 are used, 1 held and 1 more required. \
             It resets at 2026-11-30T00:00:00.000000Z"
        );
        let tomorrow = moment("2026-11-30T00:00:00Z");
        assert_eq!(
            account.spendable(tomorrow),
            Credits(3),
            "8 - 4 - 1 of the month"
        );
        let refusal = account.require(Credits(4), tomorrow).unwrap_err();
        assert!(matches!(
            refusal,
            Refusal::BudgetExceeded { window: Window::Month, resets_in, .. }
                if resets_in == Duration::from_hours(24)
        ));
        let december = moment("2026-12-01T00:00:00Z");
        assert_eq!(account.spendable(december), Credits(4));
        assert_eq!(account.charged_in(Window::Month, december), Credits::ZERO);
    }

    #[test]
    fn a_window_of_a_clock_that_was_far_ahead_locks_nobody_out() {
        let now = moment("2026-11-30T12:00:00Z");
        let wrong = moment("2027-01-09T12:00:00Z");
        let mut account = account(Some(50), Some(100));
        account.charge(Credits(10), now);
        account.charge(Credits(50), wrong);
        assert_eq!(account.spendable(wrong), Credits::ZERO);
        assert_eq!(account.spendable(now), Credits(50), "the present day");
        let present = account.windows_of_the_future(now);
        assert_eq!(
            present,
            [
                (Window::Day, moment("2026-11-30T00:00:00Z")),
                (Window::Month, moment("2026-11-01T00:00:00Z"))
            ]
        );
        for (window, began_at) in present {
            account.restore_window(window, began_at, Credits(40));
        }
        let refusal = account.require(Credits(11), now).unwrap_err();
        assert!(matches!(
            refusal,
            Refusal::BudgetExceeded { resets_in, .. } if resets_in == Duration::from_hours(12)
        ));
        assert_eq!(account.charge(Credits(10), now), now);
        assert_eq!(account.charged_in(Window::Day, now), Credits(50));
        assert!(account.windows_of_the_future(now).is_empty());
    }

    #[test]
    fn a_clock_that_lags_stays_in_the_window_that_has_begun() {
        let (ahead, behind) = (
            moment("2026-12-01T00:00:00.1Z"),
            moment("2026-11-30T23:59:59.9Z"),
        );
        let mut account = account(Some(5), Some(5));
        account.charge(Credits(3), ahead);
        assert_eq!(account.spendable(behind), Credits(2));
        let dated = account.charge(Credits(2), behind);
        assert_eq!(dated, moment("2026-12-01T00:00:00Z"));
        assert_eq!(account.charged_in(Window::Month, ahead), Credits(5));
        assert_eq!(account.spendable(ahead), Credits::ZERO);
    }
}
