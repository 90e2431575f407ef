//! The check of the whole ledger, while it goes on.

use std::time::Duration;

use crossterm::event::KeyCode;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use tollgate_common::clock::Timestamp;
use tollgate_common::db::verify::Progress;

use crate::dashboard::change::{Change, Operation, Outcome};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::keys::Key;
use crate::dashboard::problem::Problem;
use crate::dashboard::step::{Slot, Step};
use crate::dashboard::store::credits::{Answer as Read, Query as Ask};
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::widgets::pane::line;
use crate::dashboard::windows::{Window, framed};

/// How often it is asked how far the check has come.
const LOOK: Duration = Duration::from_millis(250);

/// Shows how far the check has come; its result opens when it is there.
#[derive(Debug, Default)]
pub(super) struct Check {
    began_at: Option<Timestamp>,
    progress: Option<Progress>,
    look_at: Option<Timestamp>,
    problem: Option<String>,
}

impl Window for Check {
    fn open(&mut self, context: &Context) -> Vec<Step> {
        self.began_at = Some(context.now);
        self.look_at = Some(context.now.plus(LOOK));
        let change = Change::new(Operation::Verify, "the ledger was checked");
        vec![Step::Change(Box::new(change))]
    }

    fn key(&mut self, key: Key, _context: &Context) -> Vec<Step> {
        match key.code {
            KeyCode::Esc => vec![Step::Close],
            _ => Vec::new(),
        }
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        if let Answer::Credits(Read::Progress(progress)) = answer {
            self.progress = progress;
        }
        Vec::new()
    }

    fn done(
        &mut self,
        _change: Box<Change>,
        result: &Result<Outcome, Problem>,
        _context: &Context,
    ) -> Vec<Step> {
        self.look_at = None;
        match result {
            Ok(_) => vec![Step::Close],
            Err(problem) => {
                self.problem = Some(problem.sentence.clone());
                Vec::new()
            }
        }
    }

    fn tick(&mut self, context: &Context) -> Vec<Step> {
        if self.look_at.is_some_and(|at| at <= context.now) {
            self.look_at = Some(context.now.plus(LOOK));
            return vec![Step::Load(0, Query::Credits(Ask::Progress))];
        }
        Vec::new()
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.look_at
    }

    fn hints(&self, _context: &Context) -> Vec<(String, &'static str)> {
        let label = if self.problem.is_some() {
            "close"
        } else {
            "hide; the check goes on"
        };
        vec![("esc".to_owned(), label)]
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) -> Option<Position> {
        let inside = framed(area, buffer, context, ("Verify the ledger", ""), (72, 8));
        let theme = &context.theme;
        let age = self.began_at.map(|at| format::age(at, context.now));
        let age = age.unwrap_or_default();
        let (first, second) = match (&self.problem, self.progress) {
            (Some(problem), _) => ("! the check broke off".to_owned(), problem.clone()),
            (None, None) => (format!("beginning, {age}"), String::new()),
            (None, Some(step)) => {
                let done = step.number.saturating_sub(1);
                let (full, count) = (context.charset.bar(), step.count);
                let bar = format!(
                    "{}{}",
                    full.repeat(done),
                    ".".repeat(count - done.min(count))
                );
                (
                    format!("[{bar}] {} of {count}, {age}", step.number),
                    step.rule.to_owned(),
                )
            }
        };
        let style = if self.problem.is_some() {
            theme.bad
        } else {
            theme.accent
        };
        let width = usize::from(inside.width);
        let ellipsis = context.charset.ellipsis();
        let texts = [
            (first, style),
            (second, theme.text),
            (String::new(), theme.text),
            (
                "Every balance, hold, entry and daily sum is computed anew, in one".to_owned(),
                theme.dim,
            ),
            (
                "snapshot. Proxies go on meanwhile; nothing is changed.".to_owned(),
                theme.dim,
            ),
        ];
        for (y, (text, style)) in (inside.y..inside.bottom()).zip(texts) {
            let text = format::cut(&text, width, ellipsis);
            line(inside.x, y, inside.right(), buffer, &text, style);
        }
        None
    }
}
