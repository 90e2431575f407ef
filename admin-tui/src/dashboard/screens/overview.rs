//! The overview: what goes on now, what it costs, and what asks for attention.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::clock::Timestamp;

use super::Screen;
use crate::dashboard::context::Context;
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::step::{Slot, Step};
use crate::dashboard::store::overview::{Answer as Read, Books, Past, Present, Query as Ask};
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::tab::Tab;

mod attention;
mod draw;
mod health;
#[cfg(test)]
mod tests;

use attention::Line;

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(Action::NextPane, &["tab"], "pane"),
    bind(Action::PreviousPane, &["shift-tab"], "pane before"),
    bind(Action::Open, &["enter"], "open"),
    bind(Action::Range, &["t"], "range"),
    bind(Action::Verify, &["V"], "verify"),
];

const PRESENT: Slot = 0;
const PAST: Slot = 1;
const BOOKS: Slot = 2;

/// The ranges that `t` goes through: minutes, their name, and how often they are read again. A
/// longer range takes longer to add up and changes less by a minute more.
const RANGES: [(i64, &str, Duration); 3] = [
    (15, "15m", Duration::from_secs(1)),
    (60, "1h", Duration::from_secs(3)),
    (24 * 60, "24h", Duration::from_secs(30)),
];

/// How often money and attention are read again.
const BOOKS_PERIOD: Duration = Duration::from_secs(3);

/// How long a node may be silent before its figures are doubted; it says that it lives every 3 s.
const SILENT_AFTER: Duration = Duration::from_secs(10);

/// A part of the screen that has a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Pane {
    #[default]
    Attention,
    Providers,
    Teams,
}

impl Pane {
    const ALL: [Self; 3] = [Self::Attention, Self::Providers, Self::Teams];

    fn step(self, forward: bool) -> Self {
        let place = Self::ALL.iter().position(|pane| *pane == self).unwrap_or(0);
        let count = Self::ALL.len();
        Self::ALL[(place + if forward { 1 } else { count - 1 }) % count]
    }
}

/// The overview.
#[derive(Debug, Default)]
pub(crate) struct Overview {
    present: Option<Box<Present>>,
    past: Option<Box<Past>>,
    books: Option<Box<Books>>,
    range: usize,
    past_asked_at: Option<Timestamp>,
    books_asked_at: Option<Timestamp>,
    pane: Pane,
    /// The cursor of the pane that has the keys.
    place: usize,
}

impl Overview {
    const fn range(&self) -> (i64, &'static str, Duration) {
        RANGES[self.range]
    }

    /// What asks for attention, the most urgent first.
    fn lines(&self, now: Timestamp) -> Vec<Line> {
        attention::lines(self.present.as_deref(), self.books.as_deref(), now)
    }

    /// The busiest teams of the last minutes, by their calls.
    fn busiest(&self) -> Vec<(&str, tollgate_common::live::TeamTraffic)> {
        let Some(past) = &self.past else {
            return Vec::new();
        };
        let teams = past.recent.teams.iter();
        let mut teams: Vec<_> = teams.map(|(id, team)| (id.as_str(), *team)).collect();
        teams.sort_by_key(|(_, team)| std::cmp::Reverse(team.calls));
        teams
    }

    /// How many rows the pane with the keys has.
    fn count(&self, now: Timestamp) -> usize {
        match self.pane {
            Pane::Attention => self.lines(now).len(),
            Pane::Providers => self.present.as_ref().map_or(0, |p| p.providers.len()),
            Pane::Teams => self.busiest().len(),
        }
    }

    /// Where Enter leads.
    fn target(&self, now: Timestamp) -> Option<(Tab, String)> {
        match self.pane {
            Pane::Attention => self.lines(now).get(self.place)?.target.clone(),
            Pane::Providers => {
                let present = self.present.as_ref()?;
                let (name, _) = present.providers.get(self.place)?;
                Some((Tab::Providers, name.clone()))
            }
            Pane::Teams => {
                let teams = self.busiest();
                let (id, _) = teams.get(self.place)?;
                Some((Tab::Teams, (*id).to_owned()))
            }
        }
    }

    fn move_to(&mut self, place: usize, context: &Context) -> Vec<Step> {
        let last = self.count(context.now).saturating_sub(1);
        self.place = place.min(last);
        Vec::new()
    }

    /// Asks again for what has grown old enough.
    fn due(asked_at: &mut Option<Timestamp>, period: Duration, now: Timestamp) -> bool {
        let is_due = asked_at.is_none_or(|at| now.since(at) >= period);
        if is_due {
            *asked_at = Some(now);
        }
        is_due
    }
}

impl Screen for Overview {
    fn tab(&self) -> Tab {
        Tab::Overview
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refusal(&self, action: Action, context: &Context) -> Option<String> {
        let leads = self.target(context.now).is_some();
        (action == Action::Open && !leads).then(|| "there is nothing to open here".to_owned())
    }

    fn refresh(&mut self, context: &Context) -> Vec<Step> {
        let (minutes, _, period) = self.range();
        let mut steps = vec![Step::Load(PRESENT, Query::Overview(Ask::Present))];
        if Self::due(&mut self.past_asked_at, period, context.now) {
            steps.push(Step::Load(PAST, Query::Overview(Ask::Past(minutes))));
        }
        if Self::due(&mut self.books_asked_at, BOOKS_PERIOD, context.now) {
            steps.push(Step::Load(BOOKS, Query::Overview(Ask::Books)));
        }
        steps
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, context: &Context) -> Vec<Step> {
        if let Answer::Overview(answer) = answer {
            match answer {
                Read::Present(present) => self.present = Some(present),
                Read::Past(past) => self.past = Some(past),
                Read::Books(books) => self.books = Some(books),
            }
        }
        self.move_to(self.place, context)
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        match action {
            Action::NextPane | Action::PreviousPane => {
                self.pane = self.pane.step(action == Action::NextPane);
                self.place = 0;
                Vec::new()
            }
            Action::Down => self.move_to(self.place + 1, context),
            Action::Up => self.move_to(self.place.saturating_sub(1), context),
            Action::Top => self.move_to(0, context),
            Action::Bottom => self.move_to(usize::MAX, context),
            Action::Range => {
                self.range = (self.range + 1) % RANGES.len();
                self.past_asked_at = Some(context.now);
                let (minutes, ..) = self.range();
                vec![Step::Load(PAST, Query::Overview(Ask::Past(minutes)))]
            }
            Action::Verify => vec![Step::Go(Tab::Credits), Step::Perform(Action::Verify)],
            Action::Open => match self.target(context.now) {
                Some((tab, filter)) if filter.is_empty() => vec![Step::Go(tab)],
                Some((tab, filter)) => vec![Step::Go(tab), Step::Filter(filter, true)],
                None => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn status(&self, context: &Context) -> String {
        let Some(present) = &self.present else {
            return String::new();
        };
        let read = |at: Option<Timestamp>| {
            at.map_or_else(String::new, |at| {
                format!(
                    "   money read {} ago",
                    crate::dashboard::format::age(at, context.now)
                )
            })
        };
        let books = read(self.books.as_ref().map(|books| books.at));
        format!("{}{books}", health::nodes(&present.nodes, context.now))
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        draw::draw(self, area, buffer, context);
    }
}
