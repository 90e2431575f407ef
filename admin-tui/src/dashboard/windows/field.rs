//! One line of text that is being typed.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler as _;
use unicode_width::UnicodeWidthStr as _;

use crate::dashboard::context::Context;
use crate::dashboard::keys::Key;
use crate::dashboard::widgets::pane::line;

/// The longest text that a line takes.
const CHARACTERS_MAX: usize = 2_000;

/// One line of text with a cursor.
#[derive(Clone, Default)]
pub(crate) struct Field {
    input: Input,
    is_secret: bool,
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Field").field(&self.shown()).finish()
    }
}

impl Field {
    /// A line that holds a text already.
    pub(crate) fn with(text: impl Into<String>) -> Self {
        Self {
            input: Input::new(text.into()),
            is_secret: false,
        }
    }

    /// An empty line whose text is never shown.
    pub(crate) fn secret() -> Self {
        Self {
            input: Input::default(),
            is_secret: true,
        }
    }

    /// What was typed.
    pub(crate) fn text(&self) -> &str {
        self.input.value()
    }

    /// What was typed before the cursor.
    pub(crate) fn before_cursor(&self) -> String {
        self.text().chars().take(self.input.cursor()).collect()
    }

    /// Takes a key; says whether the text has changed.
    pub(crate) fn key(&mut self, key: Key) -> bool {
        let typed = matches!(key.code, KeyCode::Char(_)) && key.modifiers == KeyModifiers::NONE;
        if typed && self.text().chars().count() >= CHARACTERS_MAX {
            return false;
        }
        let event = Event::Key(KeyEvent::new(key.code, key.modifiers));
        let change = self.input.handle_event(&event);
        change.is_some_and(|change| change.value)
    }

    /// Takes pasted text; line ends become spaces.
    pub(crate) fn paste(&mut self, text: &str) {
        let room = CHARACTERS_MAX.saturating_sub(self.text().chars().count());
        for character in text.trim_end_matches(['\r', '\n']).chars().take(room) {
            let character = if character.is_control() {
                ' '
            } else {
                character
            };
            self.input
                .handle(tui_input::InputRequest::InsertChar(character));
        }
    }

    fn shown(&self) -> String {
        if self.is_secret {
            "*".repeat(self.text().chars().count())
        } else {
            self.text().to_owned()
        }
    }

    /// Draws the end of the text that has the cursor; says where the cursor is.
    pub(crate) fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) -> Position {
        let shown = self.shown();
        let before: String = shown.chars().take(self.input.cursor()).collect();
        let room = usize::from(area.width.saturating_sub(1));
        let mut skipped = 0;
        let mut ahead = before.width();
        for character in before.chars() {
            if ahead <= room {
                break;
            }
            skipped += 1;
            ahead -= character.to_string().width();
        }
        let visible: String = shown.chars().skip(skipped).collect();
        let end = line(
            area.x,
            area.y,
            area.right(),
            buffer,
            &visible,
            context.theme.input,
        );
        let rest = " ".repeat(usize::from(area.right().saturating_sub(end)));
        line(
            end,
            area.y,
            area.right(),
            buffer,
            &rest,
            context.theme.input,
        );
        Position {
            x: area.x + ahead as u16,
            y: area.y,
        }
    }
}
