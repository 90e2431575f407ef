//! The screen of teams: their list, and beside it or on a page of its own everything about one.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::team::list::{ListedTeam, TEAMS, TeamOrder};
use tollgate_common::filter::{self, Filter};
use tollgate_common::id::TeamId;

use super::Screen;
use super::sections::draw_stacked;
use crate::dashboard::change::{Change, Operation};
use crate::dashboard::context::{Class, Context};
use crate::dashboard::export::Export;
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::step::{Slot, Step};
use crate::dashboard::store::part::Ask;
use crate::dashboard::store::teams::{Answer as Found, Detail, Names, Query as Asked, TeamRow};
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::list::{List, Row as _};
use crate::dashboard::widgets::pane::pane;
use crate::dashboard::windows::menu::Menu;
use page::TeamPage;

mod acts;
mod detail;
pub(super) mod fields;
mod forms;
mod page;
mod row;
mod standing;
#[cfg(test)]
pub(super) mod tests;

pub(super) use row::{amount, standing_cell};

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(Action::Open, &["enter"], "open"),
    bind(Action::Filter, &["/"], "filter"),
    bind(Action::Sort, &["s"], "sort"),
    bind(Action::New, &["n"], "new"),
    bind(Action::Edit, &["e"], "edit"),
    bind(Action::Standing, &["p"], "suspend, resume"),
    bind(Action::AddCredits, &["c"], "add credits"),
    bind(Action::NewKey, &["N"], "new key"),
    bind(Action::Limits, &["l"], "limits"),
    bind(Action::Groups, &["a"], "groups"),
    bind(Action::Pause, &["P"], "pause"),
    bind(Action::ShowKeys, &["K"], "its keys"),
    bind(Action::ShowJobs, &["J"], "its jobs"),
    bind(Action::ShowCredits, &["C"], "its credits"),
    bind(Action::ShowAudit, &["A"], "its changes"),
    bind(Action::ReverseSort, &["S"], "turn order"),
    bind(Action::Export, &["E"], "export"),
];

/// What teams can be sorted by, in the words of the menu.
const ORDERS: [(TeamOrder, &str); 4] = [
    (TeamOrder::Id, "id"),
    (TeamOrder::Balance, "balance, the least first"),
    (TeamOrder::Available, "available, the least first"),
    (TeamOrder::Used, "used, the most first"),
];

/// The slots of what is read.
const LIST: Slot = 0;
const DETAIL: Slot = 1;
const NAMES: Slot = 2;

/// How old the names may be that forms and completions offer.
const NAMES_AGE: std::time::Duration = std::time::Duration::from_secs(30);

/// The screen of teams.
#[derive(Debug)]
pub(crate) struct Teams {
    list: List<TeamRow>,
    filter: String,
    order: (TeamOrder, bool),
    detail: Option<Box<Detail>>,
    /// Whose detail was asked for last.
    asked: Option<TeamId>,
    names: Names,
    names_at: Option<Timestamp>,
    has_names: bool,
    /// What was asked for before the names were there that its form needs.
    delayed: Option<Action>,
}

impl Default for Teams {
    fn default() -> Self {
        Self {
            list: List::default(),
            filter: String::new(),
            order: (TeamOrder::Id, false),
            detail: None,
            asked: None,
            names: Names::default(),
            names_at: None,
            has_names: false,
            delayed: None,
        }
    }
}

fn load(slot: Slot, asked: Asked) -> Step {
    Step::Load(slot, Query::Teams(asked))
}

impl Teams {
    fn ask_list(&self) -> Step {
        let ask = Ask::new(self.filter.clone(), self.list.start());
        load(LIST, Asked::List(ask, self.order))
    }

    /// Asks for what stands beside the list, unless it is there or under way.
    fn ask_detail(&mut self, context: &Context) -> Option<Step> {
        let id = self.list.current()?.listed.team.id.clone();
        if context.class() < Class::Normal || self.asked.as_ref() == Some(&id) {
            return None;
        }
        self.asked = Some(id.clone());
        Some(load(DETAIL, Asked::Detail(id)))
    }

    fn export(&self) -> Step {
        let export = Export {
            noun: "teams",
            filter: self.filter.clone(),
            file_name: "teams.csv".to_owned(),
        };
        let operation = Operation::Export(Box::new(export));
        Step::Change(Box::new(Change::new(operation, "")))
    }

    fn targets(&self) -> Vec<&ListedTeam> {
        let rows = self.list.targets().into_iter();
        rows.map(|row| &row.listed).collect()
    }

    fn sort_by(&mut self, order: (TeamOrder, bool)) -> Vec<Step> {
        self.order = order;
        self.list.restart();
        vec![self.ask_list()]
    }

    fn order_place(&self) -> usize {
        let orders = ORDERS.iter();
        let mut orders = orders.map(|(order, _)| *order);
        orders.position(|order| order == self.order.0).unwrap_or(0)
    }

    /// What is known of the team under the cursor: its row, and its detail if that has arrived.
    fn current(&self) -> Option<(&ListedTeam, Option<&Detail>)> {
        let listed = &self.list.current()?.listed;
        let detail = self.detail.as_deref();
        let own = detail.filter(|detail| detail.listed.team.id == listed.team.id);
        Some((listed, own))
    }
}

impl Screen for Teams {
    fn tab(&self) -> Tab {
        Tab::Teams
    }

    fn filter(&self) -> Option<&str> {
        Some(&self.filter)
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refusal(&self, action: Action, _context: &Context) -> Option<String> {
        let seen = self.targets().len();
        if seen < self.list.marked() && acts::is_about_teams(action) {
            return Some("some marked teams are out of sight: unmark with ctrl-\\".to_owned());
        }
        acts::refusal(action, seen, self.has_names.then_some(&self.names))
    }

    fn refresh(&mut self, context: &Context) -> Vec<Step> {
        let mut steps = vec![self.ask_list()];
        self.asked = None;
        steps.extend(self.ask_detail(context));
        let is_old = |at: Timestamp| context.now.since(at) > NAMES_AGE;
        if self.names_at.is_none_or(is_old) {
            self.names_at = Some(context.now);
            steps.push(load(NAMES, Asked::Names));
        }
        steps
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, context: &Context) -> Vec<Step> {
        let found = match answer {
            Answer::Teams(found) => found,
            Answer::Credits(found) => return acts::receive(found),
            _ => return Vec::new(),
        };
        match found {
            Found::List(page) => self.list.receive(page),
            Found::Detail(detail) => self.detail = detail,
            Found::Names(names) => {
                self.names = names;
                self.has_names = true;
            }
        }
        let delayed = self.delayed.take_if(|_| self.has_names);
        let delayed = delayed.map(Step::Perform);
        self.ask_detail(context)
            .into_iter()
            .chain(delayed)
            .collect()
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        self.delayed = (acts::needs_names(action) && !self.has_names).then_some(action);
        if self.delayed.is_some() {
            return Vec::new();
        }
        if let Some(more) = self.list.act(action) {
            let mut steps: Vec<Step> = more.then(|| self.ask_list()).into_iter().collect();
            steps.extend(self.ask_detail(context));
            return steps;
        }
        match action {
            Action::Sort => {
                let words = ORDERS.map(|(_, word)| word);
                let menu = Menu::of_orders(&words, self.order_place());
                vec![Step::Open(Box::new(menu))]
            }
            Action::ReverseSort => self.sort_by((self.order.0, !self.order.1)),
            Action::Export => vec![self.export()],
            Action::CopyId => {
                let rows = self.list.current().into_iter();
                rows.map(|row| Step::Copy(row.id())).collect()
            }
            Action::CopyRow => {
                let rows = self.list.current().into_iter();
                rows.map(|row| Step::Copy(row.json().to_string())).collect()
            }
            Action::Open => match self.current() {
                Some((listed, detail)) => {
                    let page = TeamPage::new(listed, detail, &self.names);
                    vec![Step::Push(Box::new(page))]
                }
                None => Vec::new(),
            },
            _ => acts::act(action, &self.targets(), &self.names, context),
        }
    }

    fn set_filter(&mut self, text: &str, context: &Context) -> Result<Vec<Step>, String> {
        Filter::parse(&TEAMS, text, context.now).map_err(|why| why.to_string())?;
        if text.trim() == self.filter {
            return Ok(Vec::new());
        }
        text.trim().clone_into(&mut self.filter);
        self.list.restart();
        Ok(vec![self.ask_list()])
    }

    fn sort(&mut self, order: usize, _context: &Context) -> Vec<Step> {
        match ORDERS.get(order) {
            Some((order, _)) => self.sort_by((*order, false)),
            None => Vec::new(),
        }
    }

    fn complete_filter(&self, text: &str) -> Vec<String> {
        let names = |word: &str| match word {
            "org" => self.names.orgs.clone(),
            "group" => self.names.groups.clone(),
            "model" => self.names.models.clone(),
            "team" => self.list.rows().iter().map(TeamRow::id).collect(),
            _ => Vec::new(),
        };
        filter::complete(&TEAMS, text, &names)
    }

    fn status(&self, context: &Context) -> String {
        let (_, word) = ORDERS[self.order_place()];
        let word = word.split(',').next().unwrap_or(word);
        let down = (self.order.0 == TeamOrder::Used) != self.order.1;
        let sign = context.charset.order(!down);
        format!("{}   by {word} {sign}", self.list.status())
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let side = match context.class() {
            Class::Tiny | Class::Compact => 0,
            Class::Normal => 46,
            Class::Wide => 64,
        };
        let [left, right] = split(area, side);
        let title = ("Teams", &*self.list.position());
        let inside = pane(left, buffer, context, title, true);
        let empty = if self.filter.is_empty() {
            "no teams yet: n makes one"
        } else {
            "no team fits this filter: esc takes it away"
        };
        self.list.draw(inside, buffer, context, empty);
        if let Some((listed, detail)) = self.current() {
            let sections = detail::sections(listed, detail, context);
            let title = (listed.team.id.as_str(), listed.team.name.as_str());
            let inside = pane(right, buffer, context, title, false);
            draw_stacked(inside, buffer, context, &sections, 0);
        } else if side > 0 {
            pane(right, buffer, context, ("Detail", ""), false);
        }
    }
}

/// The left part, and the right part of so many columns.
pub(super) fn split(area: Rect, side: u16) -> [Rect; 2] {
    let side = side.min(area.width);
    let left = Rect {
        width: area.width - side,
        ..area
    };
    let right = Rect {
        x: left.right(),
        width: side,
        ..area
    };
    [left, right]
}
