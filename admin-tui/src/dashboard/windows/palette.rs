//! The palette: every place, every action of the screen, and every object by the beginning of its
//! name.

use crossterm::event::KeyCode;
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::field::Field;
use super::{Window, framed};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::keys::{Action, Key};
use crate::dashboard::screens::Screen;
use crate::dashboard::step::{Slot, Step, Tone};
use crate::dashboard::store::{Answer, Found, Query};
use crate::dashboard::tab::Tab;
use crate::dashboard::theme::ThemeName;
use crate::dashboard::widgets::pane::{line, rows};

/// How many proposals are shown.
const SHOWN: u16 = 10;

/// What the palette can do.
#[derive(Debug, Clone, PartialEq)]
enum Choice {
    Go(Tab),
    Act(Action),
    /// Goes to a place and filters it.
    Filter(Tab, String),
    Open(Found),
    Theme(ThemeName),
    Quit,
}

#[derive(Debug, Clone)]
struct Proposal {
    text: String,
    key: String,
    refusal: Option<String>,
    choice: Choice,
}

/// The palette.
#[derive(Debug)]
pub(crate) struct Palette {
    field: Field,
    all: Vec<Proposal>,
    found: Vec<Proposal>,
    shown: Vec<Proposal>,
    place: usize,
}

impl Palette {
    /// Proposes what can be done on this screen.
    pub(crate) fn new(screen: &dyn Screen, context: &Context) -> Self {
        let mut all: Vec<Proposal> = Tab::ALL
            .into_iter()
            .map(|tab| {
                proposal(
                    tab.word().to_owned(),
                    tab.digit().to_string(),
                    Choice::Go(tab),
                )
            })
            .collect();
        all.extend(screen.bindings().iter().map(|binding| {
            Proposal {
                text: binding.label.to_owned(),
                key: context.keymap.shown(binding),
                refusal: context
                    .refusal(binding.action)
                    .or_else(|| screen.refusal(binding.action, context)),
                choice: Choice::Act(binding.action),
            }
        }));
        all.extend(ThemeName::ALL.map(|theme| {
            let text = format!("theme {}", theme.word());
            proposal(text, String::new(), Choice::Theme(theme))
        }));
        all.push(proposal("quit".to_owned(), "q".to_owned(), Choice::Quit));
        let mut palette = Self {
            field: Field::default(),
            all,
            found: Vec::new(),
            shown: Vec::new(),
            place: 0,
        };
        palette.rank();
        palette
    }

    fn rank(&mut self) {
        let mut matcher = Matcher::new(Config::DEFAULT);
        let text = self.field.text();
        let pattern = Pattern::parse(text, CaseMatching::Ignore, Normalization::Smart);
        let mut ranked: Vec<(u32, Proposal)> = self
            .all
            .iter()
            .filter_map(|proposal| {
                let mut characters = Vec::new();
                let haystack = nucleo_matcher::Utf32Str::new(&proposal.text, &mut characters);
                let score = pattern.score(haystack, &mut matcher)?;
                Some((score, proposal.clone()))
            })
            .collect();
        ranked.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        self.shown = filtered_place(text).into_iter().collect();
        self.shown
            .extend(ranked.into_iter().map(|(_, proposal)| proposal));
        self.shown.extend(self.found.iter().cloned());
        self.place = 0;
    }

    fn run(&self) -> Vec<Step> {
        let Some(proposal) = self.shown.get(self.place) else {
            return Vec::new();
        };
        if let Some(why) = &proposal.refusal {
            return vec![Step::Say(Tone::Warn, format!("{}: {why}", proposal.text))];
        }
        let mut steps = vec![Step::Close];
        match &proposal.choice {
            Choice::Go(tab) => steps.push(Step::Go(*tab)),
            Choice::Act(action) => steps.push(Step::Perform(*action)),
            Choice::Filter(tab, text) => {
                steps.extend([Step::Go(*tab), Step::Filter(text.clone(), true)]);
            }
            Choice::Theme(theme) => steps.push(Step::Theme(*theme)),
            Choice::Quit => steps.push(Step::Quit),
            Choice::Open(found) => steps.extend(crate::dashboard::screens::place_of(found)),
        }
        steps
    }

    fn search(&mut self) -> Vec<Step> {
        self.found.clear();
        self.rank();
        let text = self.field.text().trim().to_owned();
        if text.chars().count() < 2 {
            return Vec::new();
        }
        vec![Step::Load(0, Query::Search(text))]
    }
}

/// A place with a filter after it, as `jobs status:failed`; a time is gone to with `jobs at 2h`.
fn filtered_place(text: &str) -> Option<Proposal> {
    let (word, filter) = text.trim().split_once(' ')?;
    let tab = Tab::ALL.into_iter().find(|tab| tab.word() == word)?;
    let filter = match filter.trim().strip_prefix("at ") {
        Some(time) => format!("at:{}", time.trim()),
        None => filter.trim().to_owned(),
    };
    Some(proposal(
        format!("{word} {filter}"),
        "go".to_owned(),
        Choice::Filter(tab, filter),
    ))
}

fn proposal(text: String, key: String, choice: Choice) -> Proposal {
    Proposal {
        text,
        key,
        refusal: None,
        choice,
    }
}

impl Window for Palette {
    fn key(&mut self, key: Key, _context: &Context) -> Vec<Step> {
        match key.code {
            KeyCode::Esc => return vec![Step::Close],
            KeyCode::Enter => return self.run(),
            KeyCode::Down => self.place = (self.place + 1).min(self.shown.len().saturating_sub(1)),
            KeyCode::Up => self.place = self.place.saturating_sub(1),
            KeyCode::Tab => {
                if let Some(proposal) = self.shown.get(self.place) {
                    self.field = Field::with(proposal.text.clone());
                    return self.search();
                }
            }
            _ => {
                if self.field.key(key) {
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
            self.found = found
                .into_iter()
                .map(|found| {
                    let text = format!("{} {}", found.noun, found.label);
                    proposal(text, String::new(), Choice::Open(found))
                })
                .collect();
            let place = self.place;
            self.rank();
            self.place = place.min(self.shown.len().saturating_sub(1));
        }
        Vec::new()
    }

    fn hints(&self, _context: &Context) -> Vec<(String, &'static str)> {
        vec![
            ("enter".to_owned(), "run"),
            ("tab".to_owned(), "complete"),
            ("up down".to_owned(), "choose"),
            ("esc".to_owned(), "close"),
        ]
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) -> Option<Position> {
        let inside = framed(area, buffer, context, (": command", ""), (66, SHOWN + 4));
        let x = line(
            inside.x,
            inside.y,
            inside.right(),
            buffer,
            "> ",
            context.theme.key,
        );
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
        let skip = (self.place + 1).saturating_sub(list.height.into());
        let shown = self.shown.iter().enumerate().skip(skip);
        for (row, (place, proposal)) in rows(list).zip(shown) {
            let style = match proposal.refusal {
                Some(_) => context.theme.dim,
                None => context.theme.text,
            };
            let right = proposal.refusal.as_deref().unwrap_or(&proposal.key);
            let right = format::cut(right, 30, context.charset.ellipsis());
            let start = row.right().saturating_sub(right.chars().count() as u16);
            let room = usize::from(start.saturating_sub(row.x + 1));
            let text = format::cut(&proposal.text, room, context.charset.ellipsis());
            line(row.x, row.y, row.right(), buffer, &text, style);
            line(start, row.y, row.right(), buffer, &right, context.theme.dim);
            if place == self.place {
                buffer.set_style(row, context.theme.selected);
            }
        }
        Some(cursor)
    }
}
