//! The screen of settings: what this is connected to, the nodes, and how the dashboard looks.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::clock::Timestamp;

use super::Screen;
use crate::dashboard::context::{Class, Context};
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::step::{Slot, Step, Tone};
use crate::dashboard::store::settings::{Answer as Read, Installation, Query as Ask};
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::tab::Tab;
use crate::dashboard::theme::ThemeName;
use crate::dashboard::view::draw_waiting;
use crate::dashboard::widgets::facts::{self, Fact, styled};
use crate::dashboard::widgets::pane::pane;

mod sections;
#[cfg(test)]
mod tests;

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(Action::NextPane, &["tab"], "next pane"),
    bind(Action::PreviousPane, &["shift-tab"], "pane before"),
    bind(Action::Theme, &["t"], "other colours"),
];

const ALL: Slot = 0;

/// How often ages of nodes are counted on, in seconds.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// The screen of settings.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    installation: Option<Box<Installation>>,
    focus: usize,
    /// How many lines each pane is scrolled by; the last is of all in one.
    skips: [usize; sections::COUNT + 1],
}

/// A part of the screen.
struct Section {
    title: &'static str,
    remark: String,
    facts: Vec<Fact>,
}

impl Settings {
    fn skip(&mut self, context: &Context) -> &mut usize {
        let place = if context.class() <= Class::Compact {
            sections::COUNT
        } else {
            self.focus
        };
        &mut self.skips[place.min(sections::COUNT)]
    }

    fn length(&self, context: &Context) -> usize {
        let Some(installation) = &self.installation else {
            return 0;
        };
        let sections = sections::of(installation, context);
        if context.class() <= Class::Compact {
            return joined(&sections, context).len();
        }
        sections.get(self.focus).map_or(0, |s| s.facts.len())
    }

    fn scroll(&mut self, action: Action, context: &Context) {
        let last = self.length(context).saturating_sub(1);
        let page = usize::from(context.size.height / 2);
        let skip = self.skip(context);
        *skip = match action {
            Action::Down => *skip + 1,
            Action::Up => skip.saturating_sub(1),
            Action::PageDown | Action::HalfDown => *skip + page,
            Action::PageUp | Action::HalfUp => skip.saturating_sub(page),
            Action::Bottom => last,
            _ => 0,
        }
        .min(last);
    }
}

/// All sections below each other.
fn joined(sections: &[Section], context: &Context) -> Vec<Fact> {
    let mut lines = Vec::new();
    for section in sections {
        if !lines.is_empty() {
            lines.push(styled("", "", context.theme.text));
        }
        let title = section.title.to_uppercase();
        lines.push(styled(title, section.remark.clone(), context.theme.title));
        lines.extend(section.facts.iter().cloned());
    }
    lines
}

fn next_theme(theme: ThemeName) -> ThemeName {
    let place = ThemeName::ALL.iter().position(|known| *known == theme);
    ThemeName::ALL[(place.unwrap_or(0) + 1) % ThemeName::ALL.len()]
}

impl Screen for Settings {
    fn tab(&self) -> Tab {
        Tab::Settings
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refusal(&self, action: Action, context: &Context) -> Option<String> {
        let is_pane = matches!(action, Action::NextPane | Action::PreviousPane);
        (is_pane && context.class() <= Class::Compact).then(|| "there is one pane".to_owned())
    }

    fn refresh(&mut self, _context: &Context) -> Vec<Step> {
        vec![Step::Load(ALL, Query::Settings(Ask::All))]
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        if let Answer::Settings(Read::All(installation)) = answer {
            self.installation = Some(installation);
        }
        Vec::new()
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        match action {
            Action::NextPane => self.focus = (self.focus + 1) % sections::COUNT,
            Action::PreviousPane => {
                self.focus = (self.focus + sections::COUNT - 1) % sections::COUNT;
            }
            Action::Theme => {
                let theme = next_theme(context.theme.name);
                let said = format!(
                    "colours: {}; theme = \"{}\" in the settings file keeps them",
                    theme.word(),
                    theme.word()
                );
                return vec![Step::Theme(theme), Step::Say(Tone::Good, said)];
            }
            Action::Down
            | Action::Up
            | Action::PageDown
            | Action::PageUp
            | Action::HalfDown
            | Action::HalfUp
            | Action::Top
            | Action::Bottom => self.scroll(action, context),
            Action::CopyId => return vec![Step::Copy(context.database.clone())],
            _ => {}
        }
        Vec::new()
    }

    fn next_look(&self, context: &Context) -> Option<Timestamp> {
        let has_nodes = self
            .installation
            .as_ref()
            .is_some_and(|i| !i.nodes.is_empty());
        has_nodes.then(|| context.now.plus(LOOK))
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let Some(installation) = &self.installation else {
            draw_waiting(area, buffer, context, "Settings");
            return;
        };
        let sections = sections::of(installation, context);
        if context.class() <= Class::Compact {
            let lines = joined(&sections, context);
            let inside = inset(pane(area, buffer, context, ("Settings", ""), true));
            facts::draw(inside, buffer, context, &lines, self.skips[sections::COUNT]);
            return;
        }
        let half = area.width / 2;
        let left = Rect {
            width: half,
            ..area
        };
        let right = Rect {
            x: area.x + half,
            width: area.width - half,
            ..area
        };
        let (first, second) = sections.split_at(sections::LEFT);
        self.draw_column(left, buffer, context, first, 0);
        self.draw_column(right, buffer, context, second, sections::LEFT);
    }
}

impl Settings {
    /// Draws panes below each other: each as high as it needs to be, the last takes the rest.
    fn draw_column(
        &self,
        area: Rect,
        buffer: &mut Buffer,
        context: &Context,
        sections: &[Section],
        first: usize,
    ) {
        let mut y = area.y;
        for (place, section) in sections.iter().enumerate() {
            let left = area.bottom().saturating_sub(y);
            let after = (sections.len() - place - 1) as u16;
            let wanted = section.facts.len() as u16 + 2;
            let height = if after == 0 {
                left
            } else {
                wanted.min(left.saturating_sub(after * 3))
            };
            let part = Rect { y, height, ..area };
            let number = first + place;
            let title = (section.title, section.remark.as_str());
            let inside = pane(part, buffer, context, title, self.focus == number);
            let skip = self.skips[number.min(sections::COUNT)];
            facts::draw(inset(inside), buffer, context, &section.facts, skip);
            y = y.saturating_add(height);
        }
    }
}

fn inset(area: Rect) -> Rect {
    Rect {
        x: area.x + 1.min(area.width),
        width: area.width.saturating_sub(2),
        ..area
    }
}
