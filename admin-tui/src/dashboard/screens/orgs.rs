//! The screen of organizations: their list with what their teams come to, and beside it everything
//! about one.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::db::org::list::{ListedOrg, ORGS, OrgOrder};
use tollgate_common::filter::{self, Filter};
use tollgate_common::id::OrgId;

use super::Screen;
use super::sections::draw_stacked;
use super::teams::split;
use crate::dashboard::context::{Class, Context};
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::step::{Slot, Step};
use crate::dashboard::store::orgs::{Answer as Found, Detail, OrgRow, Query as Asked};
use crate::dashboard::store::part::Ask;
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::list::{List, Row as _};
use crate::dashboard::widgets::pane::pane;
use crate::dashboard::windows::menu::Menu;
use page::OrgPage;

mod acts;
mod detail;
mod page;
mod row;
#[cfg(test)]
mod tests;

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(Action::Open, &["enter"], "open"),
    bind(Action::ShowTeams, &["T"], "its teams"),
    bind(Action::Filter, &["/"], "filter"),
    bind(Action::Sort, &["s"], "sort"),
    bind(Action::New, &["n"], "new"),
    bind(Action::Edit, &["e"], "rename"),
    bind(Action::Standing, &["p"], "suspend, resume"),
    bind(Action::Pause, &["P"], "pause"),
    bind(Action::ShowJobs, &["J"], "its jobs"),
    bind(Action::ShowAudit, &["A"], "its changes"),
    bind(Action::ReverseSort, &["S"], "turn order"),
];

/// What organizations can be sorted by, in the words of the menu.
const ORDERS: [(OrgOrder, &str); 4] = [
    (OrgOrder::Id, "id"),
    (OrgOrder::Teams, "teams, the most first"),
    (OrgOrder::Balance, "balance, the least first"),
    (OrgOrder::Used, "used, the most first"),
];

/// The slots of what is read.
const LIST: Slot = 0;
const DETAIL: Slot = 1;

/// The screen of organizations.
#[derive(Debug)]
pub(crate) struct Orgs {
    list: List<OrgRow>,
    filter: String,
    order: (OrgOrder, bool),
    detail: Option<Box<Detail>>,
    /// Whose detail was asked for last.
    asked: Option<OrgId>,
}

impl Default for Orgs {
    fn default() -> Self {
        Self {
            list: List::default(),
            filter: String::new(),
            order: (OrgOrder::Id, false),
            detail: None,
            asked: None,
        }
    }
}

fn load(slot: Slot, asked: Asked) -> Step {
    Step::Load(slot, Query::Orgs(asked))
}

impl Orgs {
    fn ask_list(&self) -> Step {
        let ask = Ask::new(self.filter.clone(), self.list.start());
        load(LIST, Asked::List(ask, self.order))
    }

    /// Asks for what stands beside the list, unless it is there or under way.
    fn ask_detail(&mut self, context: &Context) -> Option<Step> {
        let id = self.list.current()?.listed.org.id.clone();
        if context.class() < Class::Normal || self.asked.as_ref() == Some(&id) {
            return None;
        }
        self.asked = Some(id.clone());
        Some(load(DETAIL, Asked::Detail(id)))
    }

    fn sort_by(&mut self, order: (OrgOrder, bool)) -> Vec<Step> {
        self.order = order;
        self.list.restart();
        vec![self.ask_list()]
    }

    fn order_place(&self) -> usize {
        let orders = ORDERS.iter();
        let mut orders = orders.map(|(order, _)| *order);
        orders.position(|order| order == self.order.0).unwrap_or(0)
    }

    fn current(&self) -> Option<(&ListedOrg, Option<&Detail>)> {
        let listed = &self.list.current()?.listed;
        let detail = self.detail.as_deref();
        let own = detail.filter(|detail| detail.listed.org.id == listed.org.id);
        Some((listed, own))
    }
}

impl Screen for Orgs {
    fn tab(&self) -> Tab {
        Tab::Orgs
    }

    fn filter(&self) -> Option<&str> {
        Some(&self.filter)
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refusal(&self, action: Action, _context: &Context) -> Option<String> {
        if self.list.marked() > 1 && acts::is_about_one(action) {
            let marked = self.list.marked();
            return Some(format!("one organization at a time: {marked} are marked"));
        }
        acts::refusal(action, self.list.current().is_some())
    }

    fn refresh(&mut self, context: &Context) -> Vec<Step> {
        let mut steps = vec![self.ask_list()];
        self.asked = None;
        steps.extend(self.ask_detail(context));
        steps
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, context: &Context) -> Vec<Step> {
        let Answer::Orgs(found) = answer else {
            return Vec::new();
        };
        match found {
            Found::List(page) => self.list.receive(page),
            Found::Detail(detail) => self.detail = detail,
        }
        self.ask_detail(context).into_iter().collect()
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        if let Some(more) = self.list.act(action) {
            let mut steps: Vec<Step> = more.then(|| self.ask_list()).into_iter().collect();
            steps.extend(self.ask_detail(context));
            return steps;
        }
        let rows = self.list.current().into_iter();
        match action {
            Action::Sort => {
                let words = ORDERS.map(|(_, word)| word);
                let menu = Menu::of_orders(&words, self.order_place());
                vec![Step::Open(Box::new(menu))]
            }
            Action::ReverseSort => self.sort_by((self.order.0, !self.order.1)),
            Action::CopyId => rows.map(|row| Step::Copy(row.id())).collect(),
            Action::CopyRow => rows.map(|row| Step::Copy(row.json().to_string())).collect(),
            Action::Open => match self.current() {
                Some((listed, detail)) => {
                    vec![Step::Push(Box::new(OrgPage::new(listed, detail)))]
                }
                None => Vec::new(),
            },
            _ => acts::act(action, self.list.current().map(|row| &row.listed), context),
        }
    }

    fn set_filter(&mut self, text: &str, context: &Context) -> Result<Vec<Step>, String> {
        Filter::parse(&ORGS, text, context.now).map_err(|why| why.to_string())?;
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
            "org" => self.list.rows().iter().map(OrgRow::id).collect(),
            _ => Vec::new(),
        };
        filter::complete(&ORGS, text, &names)
    }

    fn status(&self, context: &Context) -> String {
        let (_, word) = ORDERS[self.order_place()];
        let word = word.split(',').next().unwrap_or(word);
        let is_falling = matches!(self.order.0, OrgOrder::Used | OrgOrder::Teams);
        let sign = context.charset.order(is_falling == self.order.1);
        format!("{}   by {word} {sign}", self.list.status())
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let side = match context.class() {
            Class::Tiny | Class::Compact => 0,
            Class::Normal => 46,
            Class::Wide => 64,
        };
        let [left, right] = split(area, side);
        let title = ("Organizations", &*self.list.position());
        let inside = pane(left, buffer, context, title, true);
        let empty = if self.filter.is_empty() {
            "no organizations yet: n makes one"
        } else {
            "no organization fits this filter: esc takes it away"
        };
        self.list.draw(inside, buffer, context, empty);
        if let Some((listed, detail)) = self.current() {
            let sections = detail::sections(listed, detail, context);
            let title = (listed.org.id.as_str(), listed.org.name.as_str());
            let inside = pane(right, buffer, context, title, false);
            draw_stacked(inside, buffer, context, &sections, 0);
        } else if side > 0 {
            pane(right, buffer, context, ("Detail", ""), false);
        }
    }
}
