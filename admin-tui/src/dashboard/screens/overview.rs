//! The screen of overview: what goes on, what it costs, and what may need a look.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::clock::Timestamp;

use self::draw::Pane;
use self::figures::{Figures, Range};
use self::lines::Line;
use super::Screen;
use crate::dashboard::context::Context;
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::problem::Problem;
use crate::dashboard::step::{Slot, Step, Tone};
use crate::dashboard::store::overview::{Answer as Read, Query as Ask, Standing};
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::tab::Tab;

mod attention;
mod draw;
mod facts;
mod figures;
mod lines;
#[cfg(test)]
mod tests;

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(Action::NextPane, &["tab"], "pane"),
    bind(Action::Open, &["enter"], "open"),
    bind(Action::Range, &["t"], "range"),
    bind(Action::Verify, &["V"], "verify"),
    bind(Action::PreviousPane, &["shift-tab"], "pane before"),
];

const PRESENT: Slot = 0;
const STANDING: Slot = 1;

/// How old sums and lists of what changes slowly may become.
const STANDING_FOR: Duration = Duration::from_secs(10);

/// How often ages are drawn anew.
const LOOK: Duration = Duration::from_secs(1);

/// The screen of overview.
#[derive(Debug)]
pub(crate) struct Overview {
    range: Range,
    figures: Figures,
    standing: Option<Box<Standing>>,
    standing_asked_at: Option<Timestamp>,
    chosen: Pane,
    /// The line under the cursor by its id, so that it stays when others come and go, and where it
    /// was.
    line: (Option<String>, usize),
}

impl Default for Overview {
    fn default() -> Self {
        Self {
            range: Range::default(),
            figures: Figures::default(),
            standing: None,
            standing_asked_at: None,
            chosen: Pane::Attention,
            line: (None, 0),
        }
    }
}

impl Overview {
    fn read_present(&self, context: &Context) -> Step {
        let since = self.figures.since(self.range, context.now);
        Step::Load(PRESENT, Query::Overview(Ask::Present(since)))
    }

    /// Whether everything has been read once.
    fn is_read(&self) -> bool {
        self.figures.at.is_some() && self.standing.is_some()
    }

    /// The pane that has the keys: one that is shown at this size.
    fn focus(&self, context: &Context) -> Pane {
        let mut shown = draw::panes(context.class());
        if shown.any(|pane| pane == self.chosen) {
            self.chosen
        } else {
            Pane::Attention
        }
    }

    fn lines(&self, pane: Pane, context: &Context) -> Vec<Line> {
        let figures = &self.figures;
        match pane {
            Pane::Traffic | Pane::Latency | Pane::Money => Vec::new(),
            Pane::Errors => lines::of_errors(&figures.sum),
            Pane::Teams => lines::of_teams(&figures.recent),
            Pane::Models => lines::of_models(&figures.sum),
            Pane::Nodes => lines::of_nodes(&figures.nodes, context.now),
            Pane::Calls => lines::of_calls(figures, context.now),
            Pane::Providers => lines::of_providers(&self.providers()),
            Pane::Attention => {
                let standing = self.standing.as_deref();
                attention::of(figures, &self.providers(), standing, context.now)
            }
        }
    }

    fn providers(&self) -> Vec<lines::Provider> {
        let standing = self.standing.as_ref();
        let keys = standing.map_or(&[][..], |standing| &standing.credentials);
        lines::providers(&self.figures, keys)
    }

    /// Where the cursor is among these lines.
    fn cursor(&self, lines: &[Line]) -> usize {
        let (id, place) = &self.line;
        let found = lines.iter().position(|line| Some(&line.id) == id.as_ref());
        found.unwrap_or_else(|| (*place).min(lines.len().saturating_sub(1)))
    }

    fn go_to(&mut self, place: usize, lines: &[Line]) {
        let place = place.min(lines.len().saturating_sub(1));
        self.line = (lines.get(place).map(|line| line.id.clone()), place);
    }

    fn change_pane(&mut self, forward: bool, context: &Context) {
        let shown: Vec<Pane> = draw::panes(context.class()).collect();
        let focus = self.focus(context);
        let at = shown.iter().position(|pane| *pane == focus).unwrap_or(0);
        let by = if forward { 1 } else { shown.len() - 1 };
        self.chosen = shown[(at + by) % shown.len()];
        self.line = (None, 0);
    }

    fn open(&self, context: &Context) -> Vec<Step> {
        let pane = self.focus(context);
        let lines = self.lines(pane, context);
        if let Some(line) = lines.get(self.cursor(&lines)) {
            return line.open();
        }
        match pane {
            Pane::Traffic => vec![
                Step::Go(Tab::Jobs),
                Step::Filter("status:open".to_owned(), true),
            ],
            Pane::Latency => vec![Step::Go(Tab::Jobs)],
            Pane::Money => vec![Step::Go(Tab::Credits)],
            _ => Vec::new(),
        }
    }
}

impl Screen for Overview {
    fn tab(&self) -> Tab {
        Tab::Overview
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refresh(&mut self, context: &Context) -> Vec<Step> {
        let mut steps = vec![self.read_present(context)];
        let is_due = |at: Timestamp| context.now.since(at) >= STANDING_FOR;
        if self.standing_asked_at.is_none_or(is_due) {
            self.standing_asked_at = Some(context.now);
            steps.push(Step::Load(STANDING, Query::Overview(Ask::Standing)));
        }
        steps
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, context: &Context) -> Vec<Step> {
        match answer {
            Answer::Overview(Read::Present(present)) => {
                self.figures.receive(*present, self.range);
            }
            Answer::Overview(Read::Standing(standing)) => {
                self.standing = Some(standing);
            }
            _ => {}
        }
        if self.line.0.is_none() {
            let lines = self.lines(self.focus(context), context);
            self.go_to(self.line.1, &lines);
        }
        Vec::new()
    }

    fn fail(&mut self, slot: Slot, _problem: &Problem) {
        if slot == STANDING {
            self.standing_asked_at = None;
        }
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        let lines = self.lines(self.focus(context), context);
        let at = self.cursor(&lines);
        match action {
            Action::NextPane | Action::PreviousPane => {
                self.change_pane(action == Action::NextPane, context);
            }
            Action::Down => self.go_to(at + 1, &lines),
            Action::Up => self.go_to(at.saturating_sub(1), &lines),
            Action::HalfDown | Action::PageDown => self.go_to(at + 5, &lines),
            Action::HalfUp | Action::PageUp => self.go_to(at.saturating_sub(5), &lines),
            Action::Top => self.go_to(0, &lines),
            Action::Bottom => self.go_to(lines.len(), &lines),
            Action::Open => return self.open(context),
            Action::Verify => return vec![Step::Go(Tab::Credits), Step::Perform(action)],
            Action::CopyId => {
                let line = lines.get(at).map(|line| line.target.1.clone());
                return line.map(Step::Copy).into_iter().collect();
            }
            Action::Range => {
                self.range = self.range.next();
                self.figures.widen(self.range);
                let said = format!("sums of the last {}", self.range.word());
                return vec![self.read_present(context), Step::Say(Tone::Good, said)];
            }
            _ => {}
        }
        Vec::new()
    }

    fn next_look(&self, context: &Context) -> Option<Timestamp> {
        Some(context.now.plus(LOOK))
    }

    fn status(&self, context: &Context) -> String {
        let told = facts::proxies(&self.figures);
        let why = facts::untold(&self.figures, context.now);
        match why {
            Some(why) => format!("{told}   {why}"),
            None => format!("{told}   range {}", self.range.word()),
        }
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        draw::draw(self, area, buffer, context);
    }
}
