//! The screen of models: what teams call, who serves it at what price, and who stands in.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::db::model::list::{MODELS, ModelOrder};
use tollgate_common::db::page::SEARCH;
use tollgate_common::filter::{self, Filter};

use super::Screen;
use crate::dashboard::context::{Class, Context};
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::step::{Slot, Step, Tone};
use crate::dashboard::store::models::{Answer as Read, ModelRow, Query as Ask};
use crate::dashboard::store::part;
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::list::{List, Row as _};
use crate::dashboard::widgets::pane::pane;

mod acts;
pub(super) mod detail;
mod fallbacks;
mod forms;
pub(super) mod groups;
mod price;
mod row;
#[cfg(test)]
mod tests;

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(Action::Open, &["enter"], "details"),
    bind(Action::NextPane, &["tab"], "groups"),
    bind(Action::Filter, &["/"], "filter"),
    bind(Action::Price, &["$"], "price"),
    bind(Action::Fallbacks, &["b"], "fallbacks"),
    bind(Action::New, &["n"], "new"),
    bind(Action::Edit, &["e"], "edit"),
    bind(Action::Remove, &["D"], "remove"),
    bind(Action::ShowProvider, &["o"], "provider"),
    bind(Action::Sort, &["s"], "sort"),
    bind(Action::ReverseSort, &["S"], "reverse"),
    bind(Action::SearchOn, &["."], "search on"),
];

const LIST: Slot = 0;

/// The orders, as `s` goes through them.
const ORDERS: [(ModelOrder, &str); 3] = [
    (ModelOrder::Alias, "alias"),
    (ModelOrder::Provider, "provider"),
    (ModelOrder::Changed, "last change"),
];

/// The screen of models.
#[derive(Debug)]
pub(crate) struct Models {
    list: List<ModelRow>,
    filter: String,
    /// The place in [`ORDERS`].
    order: usize,
    reversed: bool,
    search: i64,
}

impl Default for Models {
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

impl Models {
    fn read(&self) -> Step {
        let mut ask = part::Ask::new(self.filter.clone(), self.list.start());
        ask.search = self.search;
        let (order, _) = ORDERS[self.order];
        Step::Load(LIST, Query::Models(Ask::Page(ask, order, self.reversed)))
    }

    fn begin_anew(&mut self) -> Vec<Step> {
        self.list.restart();
        vec![self.read()]
    }

    fn title(&self, context: &Context) -> String {
        let (order, word) = ORDERS[self.order];
        let is_up = (order == ModelOrder::Changed) == self.reversed;
        let sign = context.charset.order(is_up);
        format!("Models by {word} {sign}")
    }
}

impl Screen for Models {
    fn tab(&self) -> Tab {
        Tab::Models
    }

    fn filter(&self) -> Option<&str> {
        Some(&self.filter)
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refusal(&self, action: Action, _context: &Context) -> Option<String> {
        if action == Action::SearchOn && self.list.note().is_empty() {
            return Some("everything was searched".to_owned());
        }
        acts::refusal(action, self.list.current())
    }

    fn refresh(&mut self, _context: &Context) -> Vec<Step> {
        vec![self.read()]
    }

    fn receive(&mut self, slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        match answer {
            Answer::Models(Read::Page(page)) => self.list.receive(page),
            Answer::Models(Read::Desk(desk)) => return acts::open(slot, &desk),
            _ => {}
        }
        Vec::new()
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        if let Some(needs_page) = self.list.act(action) {
            return needs_page.then(|| self.read()).into_iter().collect();
        }
        match action {
            Action::New => return vec![acts::new()],
            Action::NextPane => return vec![Step::Push(Box::new(groups::Groups::default()))],
            Action::Sort => {
                self.order = (self.order + 1) % ORDERS.len();
                self.reversed = false;
                return self.begin_anew();
            }
            Action::ReverseSort => {
                self.reversed = !self.reversed;
                return self.begin_anew();
            }
            Action::SearchOn => {
                self.search = self.search.saturating_mul(4);
                let say = Step::Say(Tone::Good, "searching on".to_owned());
                return vec![self.read(), say];
            }
            _ => {}
        }
        let Some(current) = self.list.current() else {
            return Vec::new();
        };
        match action {
            Action::Open => {
                let screen = detail::ModelDetail::new(current.clone());
                vec![Step::Push(Box::new(screen))]
            }
            Action::CopyId => vec![Step::Copy(current.id())],
            Action::CopyRow => vec![Step::Copy(current.json().to_string())],
            _ => acts::act(action, current, context),
        }
    }

    fn set_filter(&mut self, text: &str, context: &Context) -> Result<Vec<Step>, String> {
        Filter::parse(&MODELS, text, context.now).map_err(|error| error.to_string())?;
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
                "model" | "fallback" => rows.map(ModelRow::id).collect(),
                "provider" => rows.map(|row| row.model().provider.to_string()).collect(),
                "upstream" => rows.map(|row| row.model().upstream_model.clone()).collect(),
                "group" => rows
                    .flat_map(|row| &row.listed.groups)
                    .map(ToString::to_string)
                    .collect(),
                _ => Vec::new(),
            };
            names.sort_unstable();
            names.dedup();
            names
        };
        filter::complete(&MODELS, text, &names)
    }

    fn status(&self, _context: &Context) -> String {
        self.list.status()
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let empty = if self.filter.is_empty() {
            "no models yet: n adds one"
        } else {
            "no model fits the filter: esc clears it"
        };
        if context.class() <= Class::Compact {
            self.list.draw(area, buffer, context, empty);
            return;
        }
        let beside = (area.width * 2 / 5).clamp(44, 68);
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
