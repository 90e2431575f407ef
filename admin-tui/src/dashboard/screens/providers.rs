//! The screen of providers: where models are bought, with which keys, and how that goes.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::page::SEARCH;
use tollgate_common::db::provider::list::{PROVIDERS, ProviderOrder};
use tollgate_common::filter::{self, Filter};

use super::Screen;
use crate::dashboard::context::{Class, Context};
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::step::{Slot, Step, Tone};
use crate::dashboard::store::part;
use crate::dashboard::store::providers::{Answer as Read, ProviderRow, Query as Ask};
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::list::{List, Row as _};
use crate::dashboard::widgets::pane::pane;

mod acts;
pub(super) mod detail;
mod forms;
mod row;
#[cfg(test)]
mod tests;

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(Action::Open, &["enter"], "keys"),
    bind(Action::Filter, &["/"], "filter"),
    bind(Action::Test, &["t"], "test"),
    bind(Action::New, &["n"], "new"),
    bind(Action::AddCredential, &["a"], "add key"),
    bind(Action::Rotate, &["R"], "rotate"),
    bind(Action::Enable, &["p"], "enable, disable"),
    bind(Action::Edit, &["e"], "settings"),
    bind(Action::Remove, &["D"], "remove"),
    bind(Action::ShowModels, &["o"], "models"),
    bind(Action::Sort, &["s"], "sort"),
    bind(Action::ReverseSort, &["S"], "reverse"),
    bind(Action::SearchOn, &["."], "search on"),
];

const LIST: Slot = 0;

/// How often pauses that grow shorter are drawn again.
const LOOK: Duration = Duration::from_secs(1);

/// The orders, as `s` goes through them.
const ORDERS: [(ProviderOrder, &str); 3] = [
    (ProviderOrder::Name, "name"),
    (ProviderOrder::Org, "organization"),
    (ProviderOrder::Changed, "last change"),
];

/// The screen of providers.
#[derive(Debug)]
pub(crate) struct Providers {
    list: List<ProviderRow>,
    filter: String,
    /// The place in [`ORDERS`].
    order: usize,
    reversed: bool,
    search: i64,
}

impl Default for Providers {
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

impl Providers {
    fn read(&self) -> Step {
        let mut ask = part::Ask::new(self.filter.clone(), self.list.start());
        ask.search = self.search;
        let (order, _) = ORDERS[self.order];
        Step::Load(LIST, Query::Providers(Ask::Page(ask, order, self.reversed)))
    }

    fn begin_anew(&mut self) -> Vec<Step> {
        self.list.restart();
        vec![self.read()]
    }

    fn title(&self, context: &Context) -> String {
        let (order, word) = ORDERS[self.order];
        let is_up = (order == ProviderOrder::Changed) == self.reversed;
        let sign = context.charset.order(is_up);
        format!("Providers by {word} {sign}")
    }
}

impl Screen for Providers {
    fn tab(&self) -> Tab {
        Tab::Providers
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

    fn receive(&mut self, _slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        if let Answer::Providers(Read::Page(page)) = answer {
            self.list.receive(page);
        }
        Vec::new()
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        if let Some(needs_page) = self.list.act(action) {
            return needs_page.then(|| self.read()).into_iter().collect();
        }
        match action {
            Action::New => return vec![Step::Open(Box::new(forms::new()))],
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
                let screen = detail::ProviderDetail::new(current.clone());
                vec![Step::Push(Box::new(screen))]
            }
            Action::CopyId => vec![Step::Copy(current.id())],
            Action::CopyRow => vec![Step::Copy(current.json().to_string())],
            _ => acts::act(action, current, context),
        }
    }

    fn set_filter(&mut self, text: &str, context: &Context) -> Result<Vec<Step>, String> {
        Filter::parse(&PROVIDERS, text, context.now).map_err(|error| error.to_string())?;
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
                "provider" => rows
                    .map(|row| row.listed.provider.name.to_string())
                    .collect(),
                "org" => rows
                    .filter_map(|row| row.listed.provider.org_id.as_ref())
                    .map(ToString::to_string)
                    .collect(),
                _ => Vec::new(),
            };
            names.sort_unstable();
            names.dedup();
            names
        };
        filter::complete(&PROVIDERS, text, &names)
    }

    fn next_look(&self, context: &Context) -> Option<Timestamp> {
        let rests = self.list.rows().iter().any(|row| !row.rests.is_empty());
        rests.then(|| context.now.plus(LOOK))
    }

    fn status(&self, _context: &Context) -> String {
        self.list.status()
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let empty = if self.filter.is_empty() {
            "no providers yet: n adds one"
        } else {
            "no provider fits the filter: esc clears it"
        };
        if context.class() <= Class::Compact {
            self.list.draw(area, buffer, context, empty);
            return;
        }
        let beside = (area.width * 2 / 5).clamp(44, 72);
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
