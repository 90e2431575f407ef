//! The screen of credits: what every team has, holds and spends.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::ledger::accounts::{ACCOUNTS, AccountOrder};
use tollgate_common::db::page::SEARCH;
use tollgate_common::db::verify::LastCheck;
use tollgate_common::filter::{self, Filter};

use super::Screen;
use crate::dashboard::change::{Change, Operation};
use crate::dashboard::context::{Class, Context};
use crate::dashboard::export::Export;
use crate::dashboard::format;
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::step::{Slot, Step, Tone};
use crate::dashboard::store::credits::{AccountRow, Answer as Read, Query as Ask};
use crate::dashboard::store::part;
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::list::{List, Row as _};
use crate::dashboard::widgets::pane::pane;

mod account;
mod check;
mod facts;
pub(super) mod forms;
mod release;
mod row;
#[cfg(test)]
mod tests;

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(Action::Open, &["enter"], "account"),
    bind(Action::Filter, &["/"], "filter"),
    bind(Action::AddCredits, &["c"], "add"),
    bind(Action::Refund, &["u"], "refund"),
    bind(Action::Adjust, &["v"], "adjust"),
    bind(Action::Verify, &["V"], "verify"),
    bind(Action::Sort, &["s"], "sort"),
    bind(Action::ReverseSort, &["S"], "reverse"),
    bind(Action::SearchOn, &["."], "search on"),
    bind(Action::Export, &["E"], "export"),
];

const LIST: Slot = 0;

/// The orders, as `s` goes through them.
const ORDERS: [(AccountOrder, &str); 5] = [
    (AccountOrder::Team, "team"),
    (AccountOrder::Available, "available"),
    (AccountOrder::Balance, "balance"),
    (AccountOrder::Held, "held"),
    (AccountOrder::Used, "used"),
];

/// The screen of credits.
#[derive(Debug)]
pub(crate) struct Credits {
    list: List<AccountRow>,
    filter: String,
    /// The place in [`ORDERS`].
    order: usize,
    reversed: bool,
    search: i64,
    last_check: Option<LastCheck>,
}

impl Default for Credits {
    fn default() -> Self {
        Self {
            list: List::default(),
            filter: String::new(),
            order: 0,
            reversed: false,
            search: SEARCH,
            last_check: None,
        }
    }
}

impl Credits {
    fn read(&self) -> Step {
        let mut ask = part::Ask::new(self.filter.clone(), self.list.start());
        ask.search = self.search;
        let (order, _) = ORDERS[self.order];
        Step::Load(
            LIST,
            Query::Credits(Ask::Accounts(ask, order, self.reversed)),
        )
    }

    fn begin_anew(&mut self) -> Vec<Step> {
        self.list.restart();
        vec![self.read()]
    }

    fn last_check(&self, context: &Context) -> String {
        match &self.last_check {
            None => "ledger never verified (V)".to_owned(),
            Some(check) => {
                let age = format::age(check.at, context.now);
                match check.differences {
                    0 => format!("ledger balanced, {age} ago"),
                    count => format!("! {count} differences in the ledger, {age} ago"),
                }
            }
        }
    }

    fn export(&self) -> Step {
        let export = Export {
            noun: "accounts",
            filter: self.filter.clone(),
            file_name: "accounts.csv".to_owned(),
        };
        let operation = Operation::Export(Box::new(export));
        Step::Change(Box::new(Change::new(operation, "")))
    }
}

impl Screen for Credits {
    fn tab(&self) -> Tab {
        Tab::Credits
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
        forms::refusal(action, self.list.current().map(|row| &row.listed))
    }

    fn refresh(&mut self, _context: &Context) -> Vec<Step> {
        vec![self.read()]
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        if let Answer::Credits(Read::Accounts(page, check)) = answer {
            self.list.receive(page);
            self.last_check = check;
        }
        Vec::new()
    }

    fn act(&mut self, action: Action, _context: &Context) -> Vec<Step> {
        // Marks have no use here, and their key is another's.
        if let Some(needs_page) = self.list.act(action) {
            return needs_page.then(|| self.read()).into_iter().collect();
        }
        match action {
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
                return vec![
                    self.read(),
                    Step::Say(Tone::Good, "searching on".to_owned()),
                ];
            }
            Action::Verify => return vec![Step::Open(Box::new(check::Check::default()))],
            Action::Export => return vec![self.export()],
            _ => {}
        }
        let Some(row) = self.list.current() else {
            return Vec::new();
        };
        match action {
            Action::Open => vec![Step::Push(Box::new(account::AccountScreen::new(
                row.listed.account.team_id.clone(),
            )))],
            Action::CopyId => vec![Step::Copy(row.id())],
            Action::CopyRow => vec![Step::Copy(row.json().to_string())],
            _ => forms::act(action, &row.listed),
        }
    }

    fn set_filter(&mut self, text: &str, context: &Context) -> Result<Vec<Step>, String> {
        Filter::parse(&ACCOUNTS, text, context.now).map_err(|error| error.to_string())?;
        if text.trim() == self.filter {
            return Ok(Vec::new());
        }
        text.trim().clone_into(&mut self.filter);
        self.search = SEARCH;
        Ok(self.begin_anew())
    }

    fn complete_filter(&self, text: &str) -> Vec<String> {
        let names = |word: &str| {
            let rows = self.list.rows().iter().map(|row| &row.listed);
            let mut names: Vec<String> = match word {
                "team" => rows.map(|row| row.account.team_id.to_string()).collect(),
                "org" => rows.map(|row| row.org_id.to_string()).collect(),
                _ => Vec::new(),
            };
            names.sort_unstable();
            names.dedup();
            names
        };
        filter::complete(&ACCOUNTS, text, &names)
    }

    fn next_look(&self, context: &Context) -> Option<Timestamp> {
        Some(context.now.plus(row::LOOK))
    }

    fn status(&self, context: &Context) -> String {
        let status = self.list.status();
        format!("{status}   {}", self.last_check(context))
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let empty = if self.filter.is_empty() {
            "no accounts yet: a team has one as soon as it is made"
        } else {
            "no account fits the filter: esc clears it"
        };
        if context.class() <= Class::Compact {
            self.list.draw(area, buffer, context, empty);
            return;
        }
        let beside = if context.class() == Class::Wide {
            60
        } else {
            0
        };
        let left = Rect {
            width: area.width.saturating_sub(beside),
            ..area
        };
        let (_, word) = ORDERS[self.order];
        let title = format!(
            "Accounts by {word} {}",
            context.charset.order(self.order_is_up())
        );
        let position = self.list.position();
        let inside = pane(left, buffer, context, (&title, &position), true);
        self.list.draw(inside, buffer, context, empty);
        if beside > 0 {
            let right = Rect {
                x: left.right(),
                width: beside,
                ..area
            };
            let current = self.list.current().map(|row| &row.listed);
            facts::draw_listed(right, buffer, context, current);
        }
    }
}

impl Credits {
    /// Whether the shown order goes from small to large.
    const fn order_is_up(&self) -> bool {
        let (order, _) = ORDERS[self.order];
        matches!(order, AccountOrder::Held | AccountOrder::Used) == self.reversed
    }
}
