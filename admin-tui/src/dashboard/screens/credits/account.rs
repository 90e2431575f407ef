//! One account: what it has, its open holds, its entries.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::ledger::entries::ENTRIES;
use tollgate_common::db::ledger::holds::HOLDS;
use tollgate_common::db::page::SEARCH;
use tollgate_common::filter::{self, Filter, Vocabulary};
use tollgate_common::id::TeamId;

use super::{check, forms, release, row};
use crate::dashboard::change::{Change, Operation};
use crate::dashboard::context::Context;
use crate::dashboard::export::Export;
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::screens::{Screen, place_of};
use crate::dashboard::step::{Slot, Step, Tone};
use crate::dashboard::store::credits::{
    AccountFacts, Answer as Read, HoldRow, LedgerRow, Query as Ask,
};
use crate::dashboard::store::part;
use crate::dashboard::store::{Answer, Found, Query};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::list::{List, Row};
use crate::dashboard::windows::text::Text;

mod draw;

/// What keys do here.
pub(super) const BINDINGS: &[Binding] = &[
    bind(Action::NextPane, &["tab"], "entries, holds"),
    bind(Action::Filter, &["/"], "filter"),
    bind(Action::AddCredits, &["c"], "add"),
    bind(Action::Refund, &["u"], "refund"),
    bind(Action::Adjust, &["v"], "adjust"),
    bind(Action::FailJob, &["F"], "release hold"),
    bind(Action::Open, &["enter"], "details"),
    bind(Action::ShowJobs, &["J"], "job"),
    bind(Action::Verify, &["V"], "verify"),
    bind(Action::Export, &["E"], "export"),
    bind(Action::SearchOn, &["."], "search on"),
    bind(Action::PreviousPane, &["shift-tab"], "pane before"),
];

const FACTS: Slot = 0;
const ENTRY_LIST: Slot = 1;
const HOLD_LIST: Slot = 2;

/// Which list has the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Focus {
    Entries,
    Holds,
}

/// A list with its filter.
#[derive(Debug)]
struct Narrowed<R: Row> {
    list: List<R>,
    filter: String,
    search: i64,
}

impl<R: Row> Default for Narrowed<R> {
    fn default() -> Self {
        Self {
            list: List::default(),
            filter: String::new(),
            search: SEARCH,
        }
    }
}

/// One account.
#[derive(Debug)]
pub(crate) struct AccountScreen {
    team: TeamId,
    facts: Option<Box<AccountFacts>>,
    is_gone: bool,
    entries: Narrowed<LedgerRow>,
    holds: Narrowed<HoldRow>,
    focus: Focus,
}

impl AccountScreen {
    /// The account of this team.
    pub(crate) fn new(team: TeamId) -> Self {
        Self {
            team,
            facts: None,
            is_gone: false,
            entries: Narrowed::default(),
            holds: Narrowed::default(),
            focus: Focus::Entries,
        }
    }

    fn ask<R: Row<Cursor = tollgate_common::db::page::Place>>(
        &self,
        narrowed: &Narrowed<R>,
    ) -> part::Ask {
        let filter = format!("team:{} {}", self.team, narrowed.filter);
        let mut ask = part::Ask::new(filter, narrowed.list.start());
        ask.search = narrowed.search;
        ask
    }

    fn read_entries(&self) -> Step {
        Step::Load(
            ENTRY_LIST,
            Query::Credits(Ask::Entries(self.ask(&self.entries))),
        )
    }

    fn read_holds(&self) -> Step {
        Step::Load(HOLD_LIST, Query::Credits(Ask::Holds(self.ask(&self.holds))))
    }

    fn read_focused(&self) -> Step {
        match self.focus {
            Focus::Entries => self.read_entries(),
            Focus::Holds => self.read_holds(),
        }
    }

    const fn vocabulary(&self) -> &'static Vocabulary {
        match self.focus {
            Focus::Entries => &ENTRIES,
            Focus::Holds => &HOLDS,
        }
    }

    /// The job under the cursor.
    fn job(&self) -> Option<String> {
        match self.focus {
            Focus::Entries => self.entries.list.current()?.listed.entry.job_id.clone(),
            Focus::Holds => self.holds.list.current().map(HoldRow::id),
        }
    }

    fn note(&self) -> &str {
        match self.focus {
            Focus::Entries => self.entries.list.note(),
            Focus::Holds => self.holds.list.note(),
        }
    }

    fn export(&self) -> Step {
        let export = Export {
            noun: "entries",
            filter: format!("team:{} {}", self.team, self.entries.filter),
            file_name: format!("entries-{}.csv", self.team),
        };
        let operation = Operation::Export(Box::new(export));
        Step::Change(Box::new(Change::new(operation, "")))
    }

    fn search_on(&mut self) -> Vec<Step> {
        match self.focus {
            Focus::Entries => self.entries.search = self.entries.search.saturating_mul(4),
            Focus::Holds => self.holds.search = self.holds.search.saturating_mul(4),
        }
        let say = Step::Say(Tone::Good, "searching on".to_owned());
        vec![self.read_focused(), say]
    }

    /// What is copied of the row under the cursor: its id, and all of it.
    fn copies(&self) -> Option<(String, String)> {
        match self.focus {
            Focus::Entries => {
                let row = self.entries.list.current()?;
                Some((row.id(), row.json().to_string()))
            }
            Focus::Holds => {
                let row = self.holds.list.current()?;
                Some((row.id(), row.json().to_string()))
            }
        }
    }

    /// All of the row under the cursor.
    fn details(&self) -> Option<Step> {
        let (id, json) = match self.focus {
            Focus::Entries => {
                let row = self.entries.list.current()?;
                (format!("Entry {}", row.id()), row.json())
            }
            Focus::Holds => {
                let row = self.holds.list.current()?;
                (format!("Hold of job {}", row.id()), row.json())
            }
        };
        let fields = json.as_object()?;
        let width = fields.keys().map(String::len).max().unwrap_or(0);
        let lines = fields.iter().map(|(name, value)| {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            format!("{name:width$}  {value}")
        });
        Some(Step::Open(Box::new(Text::new(id, lines.collect()))))
    }
}

impl Screen for AccountScreen {
    fn tab(&self) -> Tab {
        Tab::Credits
    }

    fn crumb(&self) -> Option<String> {
        Some(self.team.to_string())
    }

    fn filter(&self) -> Option<&str> {
        Some(match self.focus {
            Focus::Entries => &self.entries.filter,
            Focus::Holds => &self.holds.filter,
        })
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refusal(&self, action: Action, _context: &Context) -> Option<String> {
        if self.is_gone && action.is_change() {
            return Some("the account is gone".to_owned());
        }
        match action {
            Action::FailJob if self.focus != Focus::Holds => {
                Some("tab to the holds and choose one".to_owned())
            }
            Action::FailJob if self.holds.list.current().is_none() => {
                Some("there is no open hold".to_owned())
            }
            Action::ShowJobs if self.job().is_none() => Some("no job belongs to this".to_owned()),
            Action::SearchOn if self.note().is_empty() => {
                Some("everything was searched".to_owned())
            }
            Action::AddCredits | Action::Refund | Action::Adjust => {
                forms::refusal(action, self.facts.as_ref().map(|facts| &facts.listed))
            }
            _ => None,
        }
    }

    fn refresh(&mut self, _context: &Context) -> Vec<Step> {
        let facts = Query::Credits(Ask::Account(self.team.clone()));
        vec![
            Step::Load(FACTS, facts),
            self.read_entries(),
            self.read_holds(),
        ]
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        match answer {
            Answer::Credits(Read::Account(facts)) => {
                self.is_gone = facts.is_none();
                self.facts = facts.or_else(|| self.facts.take());
            }
            Answer::Credits(Read::Entries(page)) => self.entries.list.receive(page),
            Answer::Credits(Read::Holds(page)) => self.holds.list.receive(page),
            _ => {}
        }
        Vec::new()
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        let moved = match self.focus {
            Focus::Entries => self.entries.list.act(action),
            Focus::Holds => self.holds.list.act(action),
        };
        if let Some(needs_page) = moved {
            return needs_page
                .then(|| self.read_focused())
                .into_iter()
                .collect();
        }
        match action {
            Action::NextPane | Action::PreviousPane => {
                self.focus = match self.focus {
                    Focus::Entries => Focus::Holds,
                    Focus::Holds => Focus::Entries,
                };
                Vec::new()
            }
            Action::FailJob => {
                let hold = self.holds.list.current();
                let question = hold.map(|hold| release::release(hold, context));
                let opened = question.map(|window| Step::Open(Box::new(window)));
                opened.into_iter().collect()
            }
            Action::ShowJobs => self.job().map_or_else(Vec::new, |id| {
                place_of(&Found {
                    noun: "job",
                    label: id.clone(),
                    id,
                })
            }),
            Action::Verify => vec![Step::Open(Box::new(check::Check::default()))],
            Action::Export => vec![self.export()],
            Action::SearchOn => self.search_on(),
            Action::Open => self.details().into_iter().collect(),
            Action::CopyId => self
                .copies()
                .map(|(id, _)| Step::Copy(id))
                .into_iter()
                .collect(),
            Action::CopyRow => self
                .copies()
                .map(|(_, row)| Step::Copy(row))
                .into_iter()
                .collect(),
            _ => match &self.facts {
                Some(facts) => forms::act(action, &facts.listed),
                None => Vec::new(),
            },
        }
    }

    fn set_filter(&mut self, text: &str, context: &Context) -> Result<Vec<Step>, String> {
        let vocabulary = self.vocabulary();
        Filter::parse(vocabulary, text, context.now).map_err(|error| error.to_string())?;
        let text = text.trim();
        if Some(text) == self.filter() {
            return Ok(Vec::new());
        }
        match self.focus {
            Focus::Entries => {
                text.clone_into(&mut self.entries.filter);
                self.entries.search = SEARCH;
                self.entries.list.restart();
            }
            Focus::Holds => {
                text.clone_into(&mut self.holds.filter);
                self.holds.search = SEARCH;
                self.holds.list.restart();
            }
        }
        Ok(vec![self.read_focused()])
    }

    fn complete_filter(&self, text: &str) -> Vec<String> {
        filter::complete(self.vocabulary(), text, &|_| Vec::new())
    }

    fn next_look(&self, context: &Context) -> Option<Timestamp> {
        Some(context.now.plus(row::LOOK))
    }

    fn status(&self, _context: &Context) -> String {
        if self.is_gone {
            return "this account is gone".to_owned();
        }
        match self.focus {
            Focus::Entries => self.entries.list.status(),
            Focus::Holds => self.holds.list.status(),
        }
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        self.draw_in(area, buffer, context);
    }
}
