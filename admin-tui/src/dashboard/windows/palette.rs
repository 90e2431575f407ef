//! The palette: every place, every action of the screen, saved filters, and every object by the
//! beginning of its id. `jobs team:acme` goes to a screen with a filter.

use crossterm::event::KeyCode;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::field::Field;
use super::{Window, framed};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::keys::Key;
use crate::dashboard::memory::Memory;
use crate::dashboard::screens::{self, Screen};
use crate::dashboard::step::{Slot, Step, Tone};
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::pane::{line, rows};

mod proposal;
#[cfg(test)]
mod tests;

use proposal::{Choice, Proposal};

/// How many proposals are shown.
const SHOWN: u16 = 12;

/// From how many characters on objects are searched for.
const SEARCHED_FROM: usize = 2;

/// How virtual keys begin: none is remembered or looked for, whoever pastes one here.
const SECRET: &str = "sk-";

/// The palette.
#[derive(Debug)]
pub(crate) struct Palette {
    field: Field,
    all: Vec<Proposal>,
    found: Vec<Proposal>,
    shown: Vec<Proposal>,
    place: usize,
    history: Vec<String>,
    /// The place in the history that is shown, from its end, and what was typed before.
    recalled: Option<(usize, String)>,
}

impl Palette {
    /// Proposes what can be done on this screen.
    pub(crate) fn new(screen: &dyn Screen, context: &Context, memory: &Memory) -> Self {
        let mut palette = Self {
            field: Field::default(),
            all: proposal::all(screen, context, &memory.filters),
            found: Vec::new(),
            shown: Vec::new(),
            place: 0,
            history: memory.history.clone(),
            recalled: None,
        };
        palette.rank();
        palette
    }

    fn rank(&mut self) {
        let text = self.field.text();
        self.shown = proposal::ranked(&self.all, text);
        self.shown.extend(self.found.iter().cloned());
        if let Some((tab, filter)) = filtered(text) {
            let going = Proposal {
                text: format!("{} {filter}", tab.word()),
                remark: "with this filter".to_owned(),
                refusal: None,
                choice: Choice::Filtered(tab, filter),
            };
            self.shown.insert(0, going);
        }
        self.place = 0;
    }

    fn run(&self) -> Vec<Step> {
        let Some(proposal) = self.shown.get(self.place) else {
            return vec![Step::Say(Tone::Warn, "there is no such command".to_owned())];
        };
        if let Some(why) = &proposal.refusal {
            return vec![Step::Say(Tone::Warn, format!("{}: {why}", proposal.text))];
        }
        let mut steps = vec![Step::Close];
        if !self.field.text().starts_with(SECRET) {
            steps.push(Step::Remember(proposal.text.clone()));
        }
        match &proposal.choice {
            Choice::Go(tab) => steps.push(Step::Go(*tab)),
            Choice::Filtered(tab, text) | Choice::Saved(tab, text, _) => {
                steps.push(Step::Go(*tab));
                steps.push(Step::Filter(text.clone(), true));
            }
            Choice::Act(action) => steps.push(Step::Perform(*action)),
            Choice::Theme(theme) => steps.push(Step::Theme(*theme)),
            Choice::Quit => steps.push(Step::Quit),
            Choice::Open(found) => steps.extend(screens::place_of(found)),
        }
        steps
    }

    /// Ranks anew after another text and asks for objects that begin with it.
    fn search(&mut self) -> Vec<Step> {
        self.found.clear();
        self.rank();
        let text = self.field.text().trim();
        if text.chars().count() < SEARCHED_FROM || text.starts_with(SECRET) {
            return Vec::new();
        }
        vec![Step::Load(0, Query::Search(text.to_owned()))]
    }

    fn complete(&mut self) -> Vec<Step> {
        // The words of a filter are those of the screen that it is for.
        let text = self.field.text();
        let completed = filtered(text).and_then(|(tab, filter)| {
            let proposals = screens::root(tab).complete_filter(&filter);
            let first = proposals.into_iter().find(|proposal| *proposal != filter);
            first.map(|first| format!("{} {first}", tab.word()))
        });
        let chosen = || self.shown.get(self.place).map(|chosen| chosen.text.clone());
        let Some(text) = completed.or_else(chosen) else {
            return Vec::new();
        };
        // A screen may be followed by a filter.
        let is_tab = Tab::ALL.iter().any(|tab| tab.word() == text);
        self.field = Field::with(if is_tab { text + " " } else { text });
        self.search()
    }

    /// One command back in the history; what was typed can be returned to.
    fn recall(&mut self, back: bool) -> Vec<Step> {
        let typed = self.field.text().to_owned();
        let (place, typed) = match (self.recalled.take(), back) {
            (None, false) => return Vec::new(),
            (None, true) => (1, typed),
            (Some((place, typed)), true) => (place + 1, typed),
            (Some((place, typed)), false) => (place - 1, typed),
        };
        let place = place.min(self.history.len());
        if place == 0 {
            self.field = Field::with(typed);
            return self.search();
        }
        self.field = Field::with(self.history[self.history.len() - place].clone());
        self.recalled = Some((place, typed));
        self.search()
    }

    fn forget(&mut self) -> Vec<Step> {
        let saved = self.shown.get(self.place).map(|proposal| &proposal.choice);
        let Some(Choice::Saved(_, _, name)) = saved else {
            return Vec::new();
        };
        let name = name.clone();
        self.all.retain(|proposal| !proposal.is_saved_as(&name));
        self.shown.retain(|proposal| !proposal.is_saved_as(&name));
        self.place = self.place.min(self.shown.len().saturating_sub(1));
        vec![Step::ForgetFilter(name)]
    }
}

/// A screen's word and the filter after it; `at 2h` goes to a time.
fn filtered(text: &str) -> Option<(Tab, String)> {
    let (word, filter) = text.trim_start().split_once(' ')?;
    let tab = Tab::ALL.into_iter().find(|tab| tab.word() == word)?;
    let filter = match filter.trim().strip_prefix("at ") {
        Some(time) => format!("at:{}", time.trim()),
        None => filter.trim().to_owned(),
    };
    (!filter.is_empty()).then_some((tab, filter))
}

impl Window for Palette {
    fn key(&mut self, key: Key, _context: &Context) -> Vec<Step> {
        let is_empty = self.field.text().is_empty();
        match key.code {
            KeyCode::Esc => return vec![Step::Close],
            KeyCode::Enter => return self.run(),
            KeyCode::Down if self.recalled.is_some() => return self.recall(false),
            KeyCode::Down => self.place = (self.place + 1).min(self.shown.len().saturating_sub(1)),
            KeyCode::Up if self.place > 0 && self.recalled.is_none() => self.place -= 1,
            KeyCode::Up => return self.recall(true),
            KeyCode::Tab => return self.complete(),
            KeyCode::Delete if self.is_at_saved() => return self.forget(),
            KeyCode::Backspace if is_empty => return vec![Step::Close],
            _ => {
                if self.field.key(key) {
                    self.recalled = None;
                    return self.search();
                }
            }
        }
        Vec::new()
    }

    fn paste(&mut self, text: &str, _context: &Context) -> Vec<Step> {
        self.field.paste(text);
        self.search()
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        if let Answer::Found(found) = answer {
            self.found = found.into_iter().map(Proposal::object).collect();
            let place = self.place;
            self.rank();
            self.place = place.min(self.shown.len().saturating_sub(1));
        }
        Vec::new()
    }

    fn hints(&self, _context: &Context) -> Vec<(String, &'static str)> {
        let mut hints = vec![
            ("enter".to_owned(), "run"),
            ("tab".to_owned(), "complete"),
            ("up".to_owned(), "history"),
            ("esc".to_owned(), "close"),
        ];
        if self.is_at_saved() {
            hints.insert(3, ("delete".to_owned(), "forget filter"));
        }
        hints
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) -> Option<Position> {
        let size = (72, SHOWN + 4);
        let inside = framed(area, buffer, context, (": command", ""), size);
        let key = context.theme.key;
        let x = line(inside.x, inside.y, inside.right(), buffer, "> ", key);
        let field = Rect {
            x,
            width: inside.right().saturating_sub(x),
            height: 1,
            ..inside
        };
        let cursor = self.field.draw(field, buffer, context);
        let list = Rect {
            y: inside.y + 2,
            height: inside.height.saturating_sub(2),
            ..inside
        };
        if self.shown.is_empty() {
            let text = "nothing is called like this";
            line(
                list.x,
                list.y,
                list.right(),
                buffer,
                text,
                context.theme.dim,
            );
        }
        let skip = (self.place + 1).saturating_sub(list.height.into());
        let shown = self.shown.iter().enumerate().skip(skip);
        for (row, (place, proposal)) in rows(list).zip(shown) {
            draw_proposal(row, buffer, context, proposal);
            if place == self.place {
                buffer.set_style(row.intersection(buffer.area), context.theme.selected);
            }
        }
        Some(cursor)
    }
}

impl Palette {
    fn is_at_saved(&self) -> bool {
        let current = self.shown.get(self.place);
        current.is_some_and(|proposal| matches!(proposal.choice, Choice::Saved(..)))
    }
}

fn draw_proposal(row: Rect, buffer: &mut Buffer, context: &Context, proposal: &Proposal) {
    let (theme, ellipsis) = (&context.theme, context.charset.ellipsis());
    let (style, right) = match &proposal.refusal {
        Some(why) => (theme.dim, format!("({why})")),
        None => (theme.text, proposal.remark.clone()),
    };
    let right = format::cut(&right, usize::from(row.width) / 2, ellipsis);
    let start = row.right().saturating_sub(right.chars().count() as u16);
    let room = usize::from(start.saturating_sub(row.x + 1));
    let text = format::cut(&proposal.text, room, ellipsis);
    line(row.x, row.y, row.right(), buffer, &text, style);
    line(start, row.y, row.right(), buffer, &right, theme.dim);
}
