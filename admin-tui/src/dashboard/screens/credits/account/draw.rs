//! How an account looks.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{AccountScreen, Focus};
use crate::dashboard::context::{Class, Context};
use crate::dashboard::format;
use crate::dashboard::screens::credits::facts::{balance, checks};
use crate::dashboard::store::credits::AccountFacts;
use crate::dashboard::view::waiting_text;
use crate::dashboard::widgets::pane::{line, pane};
use crate::dashboard::widgets::{curve, facts};

impl AccountScreen {
    pub(super) fn draw_in(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        if context.class() <= Class::Compact {
            self.draw_compact(area, buffer, context);
        } else {
            self.draw_panes(area, buffer, context);
        }
    }

    /// The facts in two columns, and the list that has the keys.
    fn draw_compact(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let top = 7.min(area.height / 2);
        let above = Rect {
            height: top,
            ..area
        };
        self.draw_facts(above, buffer, context);
        let below = Rect {
            y: above.bottom(),
            height: area.height - top,
            ..area
        };
        match self.focus {
            Focus::Entries => self.draw_entries(below, buffer, context),
            Focus::Holds => self.draw_holds(below, buffer, context),
        }
    }

    /// Everything at once.
    fn draw_panes(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let top = 13.min(area.height / 2);
        let half = area.width / 2;
        let left = Rect {
            width: half,
            height: top,
            ..area
        };
        let inside = pane(
            left,
            buffer,
            context,
            ("Balance", self.team.as_str()),
            false,
        );
        self.draw_facts(padded(inside), buffer, context);
        let right = Rect {
            x: left.right(),
            width: area.width - half,
            ..left
        };
        self.draw_days(right, buffer, context);
        let rest = area.height - top;
        let holds = Rect {
            y: left.bottom(),
            height: (rest / 3).max(4).min(rest),
            ..area
        };
        self.draw_holds(holds, buffer, context);
        let entries = Rect {
            y: holds.bottom(),
            height: rest - holds.height,
            ..area
        };
        self.draw_entries(entries, buffer, context);
    }

    fn draw_facts(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let Some(account) = &self.facts else {
            let text = if self.is_gone {
                "there is no such account"
            } else {
                waiting_text(context)
            };
            line(
                area.x + 1,
                area.y,
                area.right(),
                buffer,
                text,
                context.theme.dim,
            );
            return;
        };
        let mut lines = balance(&account.listed, context);
        let check = checks(account, context);
        if usize::from(area.height) >= lines.len() + check.len() {
            lines.extend(check);
            facts::draw(area, buffer, context, &lines, 0);
            return;
        }
        // Two columns where there are few lines: amounts at the left, the rest at the right.
        let rest = lines.split_off(6.min(lines.len()));
        let left = Rect {
            x: area.x + 1.min(area.width),
            width: 30.min(area.width),
            ..area
        };
        facts::draw(left, buffer, context, &lines, 0);
        let right = Rect {
            x: left.right(),
            width: area.right().saturating_sub(left.right()),
            ..area
        };
        let rest: Vec<facts::Fact> = check.into_iter().chain(rest).collect();
        facts::draw(right, buffer, context, &rest, 0);
    }

    /// What was spent on each of the last days.
    fn draw_days(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let days = self.facts.as_deref().map(|facts| facts.days.as_slice());
        let days = days.unwrap_or_default();
        let remark = format!("{} days, credits", days.len());
        let inside = padded(pane(
            area,
            buffer,
            context,
            ("Spent per day", &remark),
            false,
        ));
        let Some(account) = &self.facts else {
            return;
        };
        let wide = stretched(account, usize::from(inside.width));
        let curve_area = Rect {
            height: inside.height.saturating_sub(2),
            ..inside
        };
        curve::draw(
            curve_area,
            buffer,
            context.charset,
            &wide,
            context.theme.accent,
        );
        let most = days.iter().copied().max().unwrap_or_default();
        let today = days.last().copied().unwrap_or_default();
        let text = format!(
            "today {}   most on a day {}   per day {}",
            format::credits(today),
            format::credits(most),
            format::credits(account.listed.burn(context.now)),
        );
        let y = inside.bottom().saturating_sub(1);
        line(
            inside.x,
            y,
            inside.right(),
            buffer,
            &text,
            context.theme.dim,
        );
    }

    fn draw_holds(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let focused = self.focus == Focus::Holds;
        let title = match (&self.facts, focused || context.class() > Class::Compact) {
            (Some(facts), true) => format!("Open holds: {} jobs", format::number(facts.sums.jobs)),
            _ => "Open holds".to_owned(),
        };
        let inside = pane(
            area,
            buffer,
            context,
            (&title, &self.holds.list.position()),
            focused,
        );
        let empty = if self.holds.filter.is_empty() {
            "nothing is held"
        } else {
            "no hold fits the filter: esc clears it"
        };
        self.holds.list.draw(inside, buffer, context, empty);
    }

    fn draw_entries(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let focused = self.focus == Focus::Entries;
        let position = self.entries.list.position();
        let inside = pane(
            area,
            buffer,
            context,
            ("Ledger, newest first", &position),
            focused,
        );
        let empty = if self.entries.filter.is_empty() {
            "no entries yet: c adds credits"
        } else {
            "no entry fits the filter: esc clears it"
        };
        self.entries.list.draw(inside, buffer, context, empty);
    }
}

fn padded(area: Rect) -> Rect {
    Rect {
        x: area.x + 1.min(area.width),
        width: area.width.saturating_sub(2),
        ..area
    }
}

/// Each day as wide as there is room for.
fn stretched(account: &AccountFacts, room: usize) -> Vec<u64> {
    let each = (room / account.days.len().max(1)).max(1);
    let days = account.days.iter();
    days.flat_map(|credits| std::iter::repeat_n(u64::try_from(credits.0).unwrap_or(0), each))
        .collect()
}
