//! The window that shows a virtual key, once. It closes only when its reader has typed that the key
//! is kept somewhere.

use crossterm::event::KeyCode;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use tollgate_common::id::TeamId;
use tollgate_common::key::PlainKey;
use tollgate_common::secret::Secret;

use super::field::Field;
use super::{Window, framed};
use crate::dashboard::change::{Change, Operation, Outcome};
use crate::dashboard::context::Context;
use crate::dashboard::keys::Key;
use crate::dashboard::problem::Problem;
use crate::dashboard::step::Step;
use crate::dashboard::widgets::facts::fact;
use crate::dashboard::widgets::{facts, pane::line};

/// The word that closes the window.
const KEPT: &str = "saved";

/// Shows a key once.
pub(crate) struct KeyWindow {
    team_id: TeamId,
    plain: PlainKey,
    typed: Field,
    hidden: bool,
    copied: bool,
    saved: Option<String>,
}

impl std::fmt::Debug for KeyWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyWindow")
            .field("team_id", &self.team_id)
            .finish_non_exhaustive()
    }
}

impl KeyWindow {
    /// Shows this key of this team.
    pub(crate) fn new(team_id: TeamId, plain: PlainKey) -> Self {
        Self {
            team_id,
            plain,
            typed: Field::default(),
            hidden: false,
            copied: false,
            saved: None,
        }
    }

    fn secret(&self) -> Secret {
        Secret::new(self.plain.reveal())
    }

    fn save(&self) -> Step {
        let name = format!("{}-{}.key", self.team_id, self.plain.id());
        let operation = Operation::Save {
            secret: self.secret(),
            name,
        };
        Step::Change(Box::new(Change::new(operation, String::new())))
    }
}

impl Window for KeyWindow {
    fn key(&mut self, key: Key, _context: &Context) -> Vec<Step> {
        match key {
            _ if key == Key::control('s') => return vec![self.save()],
            _ if key == Key::control('y') => {
                self.copied = true;
                return vec![Step::CopySecret(self.secret())];
            }
            _ if key == Key::control('r') => self.hidden = !self.hidden,
            _ if key.code == KeyCode::Enter && self.typed.text().trim() == KEPT => {
                return vec![Step::Close];
            }
            _ => {
                self.typed.key(key);
            }
        }
        Vec::new()
    }

    fn done(
        &mut self,
        _change: Box<Change>,
        result: &Result<Outcome, Problem>,
        _context: &Context,
    ) -> Vec<Step> {
        self.saved = Some(match result {
            Ok(outcome) => outcome.sentence.clone(),
            Err(problem) => format!("not saved: {}", problem.sentence),
        });
        Vec::new()
    }

    fn is_stubborn(&self) -> bool {
        true
    }

    fn hints(&self, _context: &Context) -> Vec<(String, &'static str)> {
        vec![
            ("ctrl-y".to_owned(), "copy"),
            ("ctrl-s".to_owned(), "save to a file"),
            ("ctrl-r".to_owned(), "hide, show"),
            ("saved enter".to_owned(), "close"),
        ]
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) -> Option<Position> {
        let title = format!("Key of team {} (shown ONCE)", self.team_id);
        let inside = framed(area, buffer, context, (&title, ""), (74, 14));
        let theme = &context.theme;
        let shown = if self.hidden {
            "*".repeat(self.plain.reveal().chars().count())
        } else {
            self.plain.reveal().to_owned()
        };
        line(
            inside.x + 1,
            inside.y + 1,
            inside.right(),
            buffer,
            &shown,
            theme.title,
        );
        let copied = if self.copied {
            "sent to the terminal, which does not say whether it took it"
        } else {
            "ctrl-y; in tmux this needs set-clipboard on"
        };
        let saved = self
            .saved
            .as_deref()
            .unwrap_or("ctrl-s writes a file for your eyes only");
        let lines = [
            fact("Stored", "only a hash; a lost key can only be rotated"),
            fact("Copy", copied),
            fact("File", saved),
            fact(
                "Mouse",
                "or select the line above; clicks are the terminal's here",
            ),
        ];
        let room = Rect {
            y: inside.y + 3,
            height: inside.height.saturating_sub(3).min(4),
            ..inside
        };
        facts::draw(room, buffer, context, &lines, 0);
        let y = inside.y + 8;
        let text = "Type saved and Enter to close: ";
        let x = line(inside.x, y, inside.right(), buffer, text, theme.text);
        let field = Rect {
            x,
            y: y.min(inside.bottom().saturating_sub(1)),
            width: inside.right().saturating_sub(x).min(20),
            height: 1,
        };
        let cursor = self.typed.draw(field, buffer, context);
        let note = "Esc, q and ctrl-c do not close this window before that.";
        line(inside.x, y + 2, inside.right(), buffer, note, theme.dim);
        Some(cursor)
    }
}
