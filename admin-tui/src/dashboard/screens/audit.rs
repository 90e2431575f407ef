//! The screen of the audit log: who changed what, when, why, from where, and from what to what.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::audit::{AuditRecord, VOCABULARY};
use tollgate_common::filter::{self, Filter};

use super::Screen;
use crate::dashboard::change::{Change, Operation};
use crate::dashboard::context::{Class, Context};
use crate::dashboard::export::Export;
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::step::{Slot, Step};
use crate::dashboard::store::audit::{Answer as Read, Query as Ask};
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::list::{List, Row as _};
use crate::dashboard::widgets::pane::pane;

mod detail;
mod diff;
mod row;
#[cfg(test)]
mod tests;

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(Action::Open, &["enter"], "open"),
    bind(Action::Filter, &["/"], "filter"),
    bind(Action::ShowObject, &["o"], "what was changed"),
    bind(Action::Export, &["E"], "export"),
];

const LIST: Slot = 0;

/// The screen of the audit log.
#[derive(Debug)]
pub(crate) struct Audit {
    list: List<AuditRecord>,
    text: String,
    /// Spans as `1h` are counted back from when the filter was typed.
    filter: Filter,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            list: List::default(),
            text: String::new(),
            filter: Filter::all(&VOCABULARY),
        }
    }
}

impl Audit {
    fn read(&self) -> Step {
        let query = Ask::Page(self.filter.clone(), self.list.start());
        Step::Load(LIST, Query::Audit(query))
    }

    fn export(&self) -> Step {
        let export = Export {
            noun: "audit",
            filter: self.text.clone(),
            file_name: "audit.csv".to_owned(),
        };
        let operation = Operation::Export(Box::new(export));
        Step::Change(Box::new(Change::new(operation, "")))
    }

    fn open(&self, context: &Context) -> Vec<Step> {
        let Some(record) = self.list.current() else {
            return Vec::new();
        };
        if context.class() > Class::Compact {
            return row::steps_to_object(record);
        }
        vec![Step::Push(Box::new(detail::Detail::new(record.clone())))]
    }
}

/// Why the object of a change cannot be shown, if so.
fn object_refusal(record: Option<&AuditRecord>) -> Option<String> {
    let Some(record) = record else {
        return Some("nothing is selected".to_owned());
    };
    if record.action.ends_with(".remove") {
        return Some("it was removed".to_owned());
    }
    row::object(record)
        .is_none()
        .then(|| "there is no place that shows it".to_owned())
}

impl Screen for Audit {
    fn tab(&self) -> Tab {
        Tab::Audit
    }

    fn filter(&self) -> Option<&str> {
        Some(&self.text)
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refusal(&self, action: Action, context: &Context) -> Option<String> {
        let record = self.list.current();
        match action {
            Action::Open if context.class() > Class::Compact => object_refusal(record),
            Action::Open if record.is_none() => Some("nothing is selected".to_owned()),
            Action::ShowObject => object_refusal(record),
            _ => None,
        }
    }

    fn refresh(&mut self, _context: &Context) -> Vec<Step> {
        vec![self.read()]
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        if let Answer::Audit(Read::Page(page)) = answer {
            self.list.receive(page);
        }
        Vec::new()
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        if let Some(needs_page) = self.list.act(action) {
            return needs_page.then(|| self.read()).into_iter().collect();
        }
        let record = self.list.current();
        match action {
            Action::Open => self.open(context),
            Action::ShowObject => record.map(row::steps_to_object).unwrap_or_default(),
            Action::Export => vec![self.export()],
            Action::CopyId => {
                let id = record.map(|record| Step::Copy(record.id.to_string()));
                id.into_iter().collect()
            }
            Action::CopyRow => {
                let json = record.map(|record| Step::Copy(record.json().to_string()));
                json.into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn set_filter(&mut self, text: &str, context: &Context) -> Result<Vec<Step>, String> {
        let filter = Filter::parse(&VOCABULARY, text, context.now);
        let filter = filter.map_err(|error| error.to_string())?;
        text.trim().clone_into(&mut self.text);
        if filter == self.filter {
            return Ok(Vec::new());
        }
        self.filter = filter;
        self.list.restart();
        Ok(vec![self.read()])
    }

    fn complete_filter(&self, text: &str) -> Vec<String> {
        let names = |word: &str| {
            let rows = self.list.rows().iter();
            let mut names: Vec<String> = match word {
                "actor" => rows.map(|record| record.actor.clone()).collect(),
                "action" => rows.map(|record| record.action.clone()).collect(),
                "target" => rows.map(|record| record.target.clone()).collect(),
                _ => Vec::new(),
            };
            names.sort_unstable();
            names.dedup();
            names
        };
        filter::complete(&VOCABULARY, text, &names)
    }

    fn next_look(&self, context: &Context) -> Option<Timestamp> {
        let shows_age = context.class() > Class::Compact;
        let at = self.list.current().filter(|_| shows_age)?.at;
        Some(detail::next_look(at, context.now))
    }

    fn status(&self, _context: &Context) -> String {
        self.list.status()
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let empty = if self.text.is_empty() {
            "nothing was changed yet"
        } else {
            "no change fits the filter: esc clears it"
        };
        if context.class() <= Class::Compact {
            self.list.draw(area, buffer, context, empty);
            return;
        }
        let beside = (area.width * 2 / 5).clamp(40, 72);
        let left = Rect {
            width: area.width.saturating_sub(beside),
            ..area
        };
        let right = Rect {
            x: left.right(),
            width: beside,
            ..area
        };
        let position = self.list.position();
        let inside = pane(left, buffer, context, ("Changes", &position), true);
        self.list.draw(inside, buffer, context, empty);
        detail::draw(right, buffer, context, self.list.current(), 0);
    }
}
