//! The screen of keys: whose they are, when they were last used, when they end.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::key::{KEYS, KeyOrder};
use tollgate_common::db::page::SEARCH;
use tollgate_common::filter::{self, Filter};

use super::Screen;
use crate::dashboard::change::{Change, Operation};
use crate::dashboard::context::{Class, Context};
use crate::dashboard::export::Export;
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::step::{Slot, Step, Tone};
use crate::dashboard::store::keys::{Answer as Read, KeyRow, Query as Ask};
use crate::dashboard::store::part;
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::list::{List, Row as _};
use crate::dashboard::widgets::pane::pane;

mod acts;
mod detail;
pub(super) mod forms;
mod rotate;
mod row;
#[cfg(test)]
mod tests;

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(Action::Open, &["enter"], "details"),
    bind(Action::Filter, &["/"], "filter"),
    bind(Action::New, &["n"], "new"),
    bind(Action::Rotate, &["R"], "rotate"),
    bind(Action::Revoke, &["D"], "revoke"),
    bind(Action::Edit, &["e"], "edit"),
    bind(Action::Limits, &["l"], "limits"),
    bind(Action::Sort, &["s"], "sort"),
    bind(Action::ReverseSort, &["S"], "reverse"),
    bind(Action::SearchOn, &["."], "search on"),
    bind(Action::ShowCredits, &["$"], "credits of the team"),
    bind(Action::Export, &["E"], "export"),
];

const LIST: Slot = 0;

/// The orders, as `s` goes through them.
const ORDERS: [(KeyOrder, &str); 4] = [
    (KeyOrder::Created, "newest"),
    (KeyOrder::Used, "last used"),
    (KeyOrder::Expires, "expiry"),
    (KeyOrder::Team, "team"),
];

/// The screen of keys.
#[derive(Debug)]
pub(crate) struct Keys {
    list: List<KeyRow>,
    filter: String,
    /// The place in [`ORDERS`].
    order: usize,
    reversed: bool,
    search: i64,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            list: List::default(),
            filter: String::new(),
            order: 0,
            reversed: false,
            search: SEARCH,
        }
    }
}

impl Keys {
    fn read(&self) -> Step {
        let mut ask = part::Ask::new(self.filter.clone(), self.list.start());
        ask.search = self.search;
        let (order, _) = ORDERS[self.order];
        Step::Load(LIST, Query::Keys(Ask::Page(ask, order, self.reversed)))
    }

    fn begin_anew(&mut self) -> Vec<Step> {
        self.list.restart();
        vec![self.read()]
    }

    fn title(&self, context: &Context) -> String {
        let (_, word) = ORDERS[self.order];
        let sign = context.charset.order(self.reversed);
        format!("Keys by {word} {sign}")
    }

    /// The team that the filter names, else that of the row under the cursor.
    fn team(&self, context: &Context) -> Option<String> {
        let filter = Filter::parse(&KEYS, &self.filter, context.now).ok();
        let named = filter.and_then(|filter| filter.only("team").map(str::to_owned));
        named.or_else(|| Some(self.list.current()?.listed.key.team_id.to_string()))
    }

    fn export(&self) -> Step {
        let export = Export {
            noun: "keys",
            filter: self.filter.clone(),
            file_name: "keys.csv".to_owned(),
        };
        let operation = Operation::Export(Box::new(export));
        Step::Change(Box::new(Change::new(operation, "")))
    }
}

impl Screen for Keys {
    fn tab(&self) -> Tab {
        Tab::Keys
    }

    fn filter(&self) -> Option<&str> {
        Some(&self.filter)
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refusal(&self, action: Action, context: &Context) -> Option<String> {
        if action == Action::SearchOn && self.list.note().is_empty() {
            return Some("everything was searched".to_owned());
        }
        acts::refusal(action, &self.list.targets(), context)
    }

    fn refresh(&mut self, _context: &Context) -> Vec<Step> {
        vec![self.read()]
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        if let Answer::Keys(Read::Page(page)) = answer {
            self.list.receive(page);
        }
        Vec::new()
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        if let Some(needs_page) = self.list.act(action) {
            return needs_page.then(|| self.read()).into_iter().collect();
        }
        match action {
            Action::Open => {
                let current = self.list.current();
                let opened = current.map(|row| detail::KeyDetail::new(row.clone()));
                let opened = opened.map(|screen| Step::Push(Box::new(screen)));
                opened.into_iter().collect()
            }
            Action::New => vec![Step::Open(Box::new(forms::new(self.team(context))))],
            Action::Sort => {
                self.order = (self.order + 1) % ORDERS.len();
                self.reversed = false;
                self.begin_anew()
            }
            Action::ReverseSort => {
                self.reversed = !self.reversed;
                self.begin_anew()
            }
            Action::SearchOn => {
                self.search = self.search.saturating_mul(4);
                vec![
                    self.read(),
                    Step::Say(Tone::Good, "searching on".to_owned()),
                ]
            }
            Action::Export => vec![self.export()],
            Action::CopyId => {
                let id = self.list.current().map(KeyRow::id);
                id.map(Step::Copy).into_iter().collect()
            }
            Action::CopyRow => {
                let json = self.list.current().map(|row| row.json().to_string());
                json.map(Step::Copy).into_iter().collect()
            }
            _ => acts::act(action, &self.list.targets(), context),
        }
    }

    fn set_filter(&mut self, text: &str, context: &Context) -> Result<Vec<Step>, String> {
        Filter::parse(&KEYS, text, context.now).map_err(|error| error.to_string())?;
        if text.trim() == self.filter {
            return Ok(Vec::new());
        }
        text.trim().clone_into(&mut self.filter);
        self.search = SEARCH;
        Ok(self.begin_anew())
    }

    fn complete_filter(&self, text: &str) -> Vec<String> {
        let names = |word: &str| {
            let rows = self.list.rows().iter();
            let mut names: Vec<String> = match word {
                "team" => rows.map(|row| row.listed.key.team_id.to_string()).collect(),
                "label" => rows
                    .filter_map(|row| row.listed.key.label.clone())
                    .collect(),
                _ => Vec::new(),
            };
            names.sort_unstable();
            names.dedup();
            names
        };
        filter::complete(&KEYS, text, &names)
    }

    fn next_look(&self, context: &Context) -> Option<Timestamp> {
        Some(row::next_look(context))
    }

    fn status(&self, _context: &Context) -> String {
        self.list.status()
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let empty = if self.filter.is_empty() {
            "no keys yet: n makes one"
        } else {
            "no key fits the filter: esc clears it"
        };
        if context.class() <= Class::Compact {
            self.list.draw(area, buffer, context, empty);
            return;
        }
        let beside = (area.width / 3).clamp(36, 56);
        let left = Rect {
            width: area.width.saturating_sub(beside),
            ..area
        };
        let right = Rect {
            x: left.right(),
            width: beside,
            ..area
        };
        let (title, position) = (self.title(context), self.list.position());
        let inside = pane(left, buffer, context, (&title, &position), true);
        self.list.draw(inside, buffer, context, empty);
        detail::draw(right, buffer, context, self.list.current());
    }
}
