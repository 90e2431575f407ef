//! Keys and what they do: one table for handling, hints and help, so that none of them can lie.

use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

mod action;
mod keymap;
mod table;

pub(crate) use action::Action;
pub(crate) use keymap::Keymap;
pub(crate) use table::{KeyLine, key_table};

/// One key with what is held down with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Which key.
    pub(crate) code: KeyCode,
    /// Control or Alt; Shift shows in the character itself.
    pub(crate) modifiers: KeyModifiers,
}

/// Keys that have names, as they are written and shown.
const NAMED: [(&str, KeyCode); 15] = [
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("shift-tab", KeyCode::BackTab),
    ("space", KeyCode::Char(' ')),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pgup", KeyCode::PageUp),
    ("pgdn", KeyCode::PageDown),
];

impl Key {
    /// A key by itself.
    pub(crate) const fn plain(code: KeyCode) -> Self {
        Self {
            code,
            modifiers: KeyModifiers::NONE,
        }
    }

    /// A key held down with Control.
    pub(crate) const fn control(character: char) -> Self {
        Self {
            code: KeyCode::Char(character),
            modifiers: KeyModifiers::CONTROL,
        }
    }
}

impl From<KeyEvent> for Key {
    fn from(event: KeyEvent) -> Self {
        let held = event.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT);
        match event.code {
            KeyCode::Tab if event.modifiers.contains(KeyModifiers::SHIFT) => {
                Self::plain(KeyCode::BackTab)
            }
            code => Self {
                code,
                modifiers: held,
            },
        }
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        loop {
            if let Some(after) = rest.strip_prefix("ctrl-") {
                modifiers |= KeyModifiers::CONTROL;
                rest = after;
            } else if let Some(after) = rest.strip_prefix("alt-") {
                modifiers |= KeyModifiers::ALT;
                rest = after;
            } else {
                break;
            }
        }
        let named = NAMED.iter().find(|(name, _)| *name == rest);
        let mut characters = rest.chars();
        let code = match (named, characters.next(), characters.next()) {
            (Some((_, code)), ..) => *code,
            (None, Some(character), None) => KeyCode::Char(character),
            _ => {
                return Err(format!(
                    "'{text}' is no key: write one character, or {}, with ctrl- or alt- before it",
                    NAMED.map(|(name, _)| name).join(", ")
                ));
            }
        };
        Ok(Self { code, modifiers })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.modifiers.contains(KeyModifiers::CONTROL) {
            f.write_str("ctrl-")?;
        }
        if self.modifiers.contains(KeyModifiers::ALT) {
            f.write_str("alt-")?;
        }
        if let Some((name, _)) = NAMED.iter().find(|(_, code)| *code == self.code) {
            return f.write_str(name);
        }
        match self.code {
            KeyCode::Char(character) => write!(f, "{character}"),
            other => write!(f, "{other}"),
        }
    }
}

/// What a key does somewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding {
    /// The action.
    pub(crate) action: Action,
    /// The keys that start it, unless the user's key file says otherwise.
    pub(crate) keys: &'static [&'static str],
    /// What it does, in a word or two: for the line of hints and for help.
    pub(crate) label: &'static str,
}

/// A binding as a table line.
pub(crate) const fn bind(
    action: Action,
    keys: &'static [&'static str],
    label: &'static str,
) -> Binding {
    Binding {
        action,
        keys,
        label,
    }
}

/// What keys do on every screen.
pub(crate) const EVERYWHERE: &[Binding] = &[
    bind(Action::Palette, &[":", "ctrl-p"], "go"),
    bind(Action::Help, &["?"], "help"),
    bind(Action::Menu, &["x"], "actions"),
    bind(Action::Leave, &["q"], "back, quit"),
    bind(Action::Back, &["esc"], "back"),
    bind(Action::Quit, &["ctrl-c"], "quit"),
    bind(Action::Refresh, &["ctrl-r"], "refresh"),
    bind(Action::Freeze, &["f"], "freeze"),
    bind(Action::Previous, &["["], "previous place"),
    bind(Action::Next, &["]"], "next place"),
    bind(Action::Last, &["-"], "last screen"),
    bind(Action::Undo, &["z"], "undo"),
    bind(Action::Redraw, &["ctrl-l"], "redraw"),
    bind(Action::Suspend, &["ctrl-z"], "to the shell"),
    bind(Action::Mouse, &["m"], "mouse on, off"),
];

/// What keys do in lists.
pub(crate) const IN_LISTS: &[Binding] = &[
    bind(Action::Down, &["j", "down"], "down"),
    bind(Action::Up, &["k", "up"], "up"),
    bind(Action::Top, &["g", "home"], "top"),
    bind(Action::Bottom, &["G", "end"], "bottom"),
    bind(Action::HalfDown, &["ctrl-d"], "half a page down"),
    bind(Action::HalfUp, &["ctrl-u"], "half a page up"),
    bind(Action::PageDown, &["pgdn", "ctrl-f"], "page down"),
    bind(Action::PageUp, &["pgup", "ctrl-b"], "page up"),
    bind(Action::Mark, &["space"], "mark"),
    bind(Action::MarkRange, &["v"], "mark up to here"),
    bind(Action::ClearMarks, &["ctrl-\\"], "clear marks"),
    bind(Action::Wide, &["w"], "all columns"),
    bind(Action::CopyId, &["y"], "copy id"),
    bind(Action::CopyRow, &["Y"], "copy row"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_shown() {
        for text in [
            "a",
            "A",
            "?",
            "ctrl-d",
            "alt-x",
            "enter",
            "shift-tab",
            "pgdn",
            "space",
            "-",
        ] {
            let key: Key = text.parse().unwrap();
            assert_eq!(key.to_string(), text);
        }
        for text in ["", "ab", "ctrl-", "hyper-x"] {
            let why = text.parse::<Key>().unwrap_err();
            assert!(why.contains("ctrl-"), "{why}");
        }
    }

    #[test]
    fn shift_shows_in_the_character() {
        let event = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT);
        assert_eq!(Key::from(event), "G".parse().unwrap());
        let event = KeyEvent::new(KeyCode::Tab, KeyModifiers::SHIFT);
        assert_eq!(Key::from(event).to_string(), "shift-tab");
    }
}
