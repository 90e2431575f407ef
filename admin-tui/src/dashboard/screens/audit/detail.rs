//! One change: beside the list, or as a screen of its own where there is no room for both.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::audit::AuditRecord;

use super::{diff, object_refusal, row};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::screens::Screen;
use crate::dashboard::step::{Slot, Step};
use crate::dashboard::store::Answer;
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::facts::{self, Fact, fact, styled};
use crate::dashboard::widgets::list::Row as _;
use crate::dashboard::widgets::pane::pane;

const BINDINGS: &[Binding] = &[bind(
    Action::ShowObject,
    &["enter", "o"],
    "what was changed",
)];

/// One change as a screen.
#[derive(Debug)]
pub(super) struct Detail {
    record: AuditRecord,
    skip: usize,
}

impl Detail {
    pub(super) const fn new(record: AuditRecord) -> Self {
        Self { record, skip: 0 }
    }
}

impl Screen for Detail {
    fn tab(&self) -> Tab {
        Tab::Audit
    }

    fn crumb(&self) -> Option<String> {
        Some(format!("{} {}", self.record.action, self.record.target))
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refusal(&self, action: Action, _context: &Context) -> Option<String> {
        match action {
            Action::ShowObject => object_refusal(Some(&self.record)),
            _ => None,
        }
    }

    fn refresh(&mut self, _context: &Context) -> Vec<Step> {
        // Records never change.
        Vec::new()
    }

    fn receive(&mut self, _slot: Slot, _answer: Answer, _context: &Context) -> Vec<Step> {
        Vec::new()
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        let last = lines(&self.record, context, usize::from(context.size.width)).len();
        match action {
            Action::ShowObject => return row::steps_to_object(&self.record),
            Action::CopyId => return vec![Step::Copy(self.record.id.to_string())],
            Action::CopyRow => return vec![Step::Copy(self.record.json().to_string())],
            Action::Down => self.skip = (self.skip + 1).min(last.saturating_sub(1)),
            Action::Up => self.skip = self.skip.saturating_sub(1),
            Action::Top => self.skip = 0,
            _ => {}
        }
        Vec::new()
    }

    fn next_look(&self, context: &Context) -> Option<Timestamp> {
        Some(next_look(self.record.at, context.now))
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        draw(area, buffer, context, Some(&self.record), self.skip);
    }
}

/// When the age of a change is another one.
pub(super) fn next_look(at: Timestamp, now: Timestamp) -> Timestamp {
    let wait = match now.since(at).as_secs() {
        0..3_600 => Duration::from_secs(1),
        _ => Duration::from_mins(1),
    };
    now.plus(wait)
}

/// Draws a change.
pub(super) fn draw(
    area: Rect,
    buffer: &mut Buffer,
    context: &Context,
    record: Option<&AuditRecord>,
    skip: usize,
) {
    let remark = record.map_or("", |record| record.action.as_str());
    let inside = pane(area, buffer, context, ("Change", remark), false);
    let inside = Rect {
        x: inside.x + 1.min(inside.width),
        width: inside.width.saturating_sub(2),
        ..inside
    };
    if let Some(record) = record {
        let lines = lines(record, context, inside.width.into());
        facts::draw(inside, buffer, context, &lines, skip);
    }
}

fn lines(record: &AuditRecord, context: &Context, width: usize) -> Vec<Fact> {
    let theme = &context.theme;
    let age = format::age(record.at, context.now);
    let when = format!("{} ({age} ago)", format::moment(record.at));
    let mut lines = vec![
        fact("when", when),
        fact("who", record.actor.clone()),
        fact(
            "from",
            record.origin.clone().unwrap_or_else(|| "-".to_owned()),
        ),
        styled(
            "what",
            record.action.clone(),
            row::action_style(&record.action, theme),
        ),
        fact("target", record.target.clone()),
    ];
    let detail = row::parsed(Some(&record.detail));
    let before = row::parsed(record.before.as_deref());
    let differences = diff::differences(&detail, &before);
    let labels = differences.iter().map(|d| d.label.chars().count());
    let room = width.saturating_sub(labels.max().unwrap_or(0).max(6).min(width / 2) + 2);
    let why = record.reason.clone().unwrap_or_else(|| "-".to_owned());
    lines.extend(wrapped("why", &why, room).map(|(label, text)| fact(label, text)));
    if !differences.is_empty() {
        lines.push(fact("", ""));
    }
    for difference in &differences {
        let is_new = difference.before.is_none();
        let text = sentence(difference, context);
        let style = match (&difference.before, &difference.after) {
            (Some(before), Some(after)) if before == after => theme.dim,
            (_, None) => theme.bad,
            _ if is_new => theme.text,
            _ => theme.accent,
        };
        let pieces = wrapped(&difference.label, &text, room);
        lines.extend(pieces.map(|(label, text)| styled(label, text, style)));
    }
    lines
}

fn sentence(difference: &diff::Difference, context: &Context) -> String {
    let arrow = context.charset.arrow();
    match (&difference.before, &difference.after) {
        (Some(before), Some(after)) if before == after => format!("{after} (as before)"),
        (Some(before), Some(after)) => format!("{before} {arrow} {after}"),
        (Some(before), None) => format!("{before} {arrow} gone"),
        (None, Some(after)) => after.clone(),
        (None, None) => String::new(),
    }
}

/// A text in pieces of a width, cut at spaces where there are some; the first has the label.
fn wrapped<'a>(
    label: &'a str,
    text: &str,
    width: usize,
) -> impl Iterator<Item = (&'a str, String)> {
    let width = width.max(8);
    let mut pieces: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let mut rest: String = word.to_owned();
        loop {
            let last = pieces.last_mut().map_or(0, |piece| piece.chars().count());
            let length = rest.chars().count();
            let gap = usize::from(last > 0);
            if last + gap + length <= width {
                if let Some(piece) = pieces.last_mut() {
                    if gap > 0 {
                        piece.push(' ');
                    }
                    piece.push_str(&rest);
                }
                break;
            }
            if length > width && last == 0 {
                let head: String = rest.chars().take(width).collect();
                rest = rest.chars().skip(width).collect();
                if let Some(piece) = pieces.last_mut() {
                    piece.push_str(&head);
                }
            }
            pieces.push(String::new());
        }
    }
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    labels.zip(pieces)
}
