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
use crate::dashboard::clipboard::Clipboard;
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::keys::Key;
use crate::dashboard::problem::Problem;
use crate::dashboard::step::Step;
use crate::dashboard::widgets::pane::line;

#[cfg(test)]
mod tests;

/// The word that closes the window.
const KEPT: &str = "saved";

/// What has become of a way out of the window.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Nothing yet.
    Open,
    /// It is under way.
    Going,
    /// It was done, and this is known of it.
    Done(String),
    /// It did not work, for this reason.
    Failed(String),
}

/// Shows a key once.
pub(crate) struct KeyWindow {
    team_id: TeamId,
    plain: PlainKey,
    typed: Field,
    hidden: bool,
    copied: bool,
    saved: State,
    /// Whether something else than the word was entered.
    mistyped: bool,
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
            saved: State::Open,
            mistyped: false,
        }
    }

    fn secret(&self) -> Secret {
        Secret::new(self.plain.reveal())
    }

    fn save(&mut self) -> Vec<Step> {
        // A second file of the same key would help nobody.
        if matches!(self.saved, State::Going | State::Done(_)) {
            return Vec::new();
        }
        self.saved = State::Going;
        let name = format!("{}-{}.key", self.team_id, self.plain.id());
        let operation = Operation::Save {
            secret: self.secret(),
            name,
        };
        vec![Step::Change(Box::new(Change::new(
            operation,
            String::new(),
        )))]
    }

    fn close(&mut self) -> Vec<Step> {
        if self.typed.text().trim() == KEPT {
            return vec![Step::Close];
        }
        self.mistyped = true;
        Vec::new()
    }

    /// What is known of the copy: never that it arrived.
    fn copy_lines(&self, context: &Context) -> [String; 2] {
        let clipboard = &context.clipboard;
        let settings = clipboard.settings().unwrap_or_default();
        let passes = clipboard.passes();
        let first = match (self.copied, passes) {
            (false, _) => "[ ] copied   ctrl-y offers it to the terminal's clipboard (OSC 52)",
            (true, Some(false)) => "[!] NOT copied: it was sent (OSC 52), but tmux keeps it",
            (true, _) => "[?] copied   sent (OSC 52); no terminal confirms that it took it",
        };
        let second = match (clipboard, passes) {
            (Clipboard::Terminal, _) => "paste it somewhere to see whether it arrived".to_owned(),
            (_, Some(true)) => format!("tmux passes it on: {settings}"),
            (_, Some(false)) => format!("tmux keeps it: {settings}"),
            (_, None) => format!("tmux may keep it: {settings}"),
        };
        [first.to_owned(), format!("             {second}")]
    }

    fn saved_lines(&self) -> [String; 2] {
        let [first, second] = match &self.saved {
            State::Open => [
                "[ ] saved    ctrl-s writes a file that only you can read",
                "",
            ],
            State::Going => ["[ ] saved    writing", ""],
            State::Done(what) => ["[x] saved    in a file that only you can read", what],
            State::Failed(why) => ["[!] NOT saved", why],
        };
        [first.to_owned(), second.to_owned()]
    }

    /// The lines between the key and the field, the most needed first.
    fn lines(&self, context: &Context) -> Vec<(String, Tone)> {
        let [copied, note] = self.copy_lines(context);
        let [first, second] = self.saved_lines();
        let passes = context.clipboard.passes() == Some(true);
        let saved = match self.saved {
            State::Done(_) => Tone::Good,
            State::Failed(_) => Tone::Bad,
            State::Open | State::Going => Tone::Plain,
        };
        let select = "Or select the key with the mouse: clicks are the terminal's here.";
        let lines = vec![
            (first, saved),
            (second, saved),
            (copied, Tone::Plain),
            (note, if passes { Tone::Dim } else { Tone::Warn }),
            (select.to_owned(), Tone::Dim),
            (
                "Only a hash is stored. A lost key cannot be shown again, only rotated.".to_owned(),
                Tone::Dim,
            ),
        ];
        let spoken = lines.into_iter();
        spoken.filter(|(text, _)| !text.is_empty()).collect()
    }
}

/// How a line looks.
#[derive(Debug, Clone, Copy)]
enum Tone {
    Plain,
    Dim,
    Good,
    Warn,
    Bad,
}

impl Window for KeyWindow {
    fn key(&mut self, key: Key, _context: &Context) -> Vec<Step> {
        if key == Key::control('s') {
            return self.save();
        }
        if key == Key::control('y') {
            self.copied = true;
            return vec![Step::CopySecret(self.secret())];
        }
        if key == Key::control('r') {
            self.hidden = !self.hidden;
            return Vec::new();
        }
        if key.code == KeyCode::Enter {
            return self.close();
        }
        if self.typed.key(key) {
            self.mistyped = false;
        }
        Vec::new()
    }

    fn done(
        &mut self,
        _change: Box<Change>,
        result: &Result<Outcome, Problem>,
        _context: &Context,
    ) -> Vec<Step> {
        self.saved = match result {
            Ok(outcome) => State::Done(outcome.sentence.clone()),
            Err(problem) => State::Failed(problem.sentence.clone()),
        };
        Vec::new()
    }

    fn is_stubborn(&self) -> bool {
        true
    }

    fn hints(&self, _context: &Context) -> Vec<(String, &'static str)> {
        vec![
            ("ctrl-s".to_owned(), "save to a file"),
            ("ctrl-y".to_owned(), "copy"),
            ("ctrl-r".to_owned(), "hide, show"),
            ("saved enter".to_owned(), "close"),
        ]
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) -> Option<Position> {
        let title = format!("Key of team {}  (shown ONCE)", self.team_id);
        let inside = framed(area, buffer, context, (&title, ""), (78, 14));
        let (theme, end) = (&context.theme, inside.right());
        let shown = if self.hidden {
            "*".repeat(self.plain.reveal().chars().count())
        } else {
            self.plain.reveal().to_owned()
        };
        // The key comes first and the field last; what lies between gives way.
        let key_at = inside.y + u16::from(inside.height > 6);
        line(inside.x, key_at, end, buffer, &shown, theme.title);
        let last = inside.bottom().saturating_sub(1);
        let field_at = last.saturating_sub(1).max(inside.y);
        let first = key_at + 1 + u16::from(inside.height > 8);
        let width = usize::from(inside.width);
        for (y, (text, tone)) in (first..field_at).zip(self.lines(context)) {
            let style = match tone {
                Tone::Plain => theme.text,
                Tone::Dim => theme.dim,
                Tone::Good => theme.good,
                Tone::Warn => theme.warn,
                Tone::Bad => theme.bad,
            };
            let text = format::cut(&text, width, context.charset.ellipsis());
            line(inside.x, y, end, buffer, &text, style);
        }
        let prompt = "Type saved, then enter, to close: ";
        let x = line(inside.x, field_at, end, buffer, prompt, theme.text);
        let field = Rect {
            x,
            y: field_at,
            width: end.saturating_sub(x).min(20),
            height: 1,
        };
        let cursor = self.typed.draw(field, buffer, context);
        let (note, style) = if self.mistyped {
            (
                "! that is not the word: type saved when the key is kept",
                theme.bad,
            )
        } else {
            (
                "esc, q and ctrl-c do not close this window before that",
                theme.dim,
            )
        };
        line(inside.x, last, end, buffer, note, style);
        Some(cursor)
    }
}
