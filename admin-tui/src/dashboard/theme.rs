//! Colours. The default uses the terminal's own sixteen on its own background; `mono` sets none at
//! all, because a terminal that is told to ignore colours would lose bold and reverse with them.

use std::str::FromStr;

use ratatui::style::{Color, Modifier, Style};

/// A set of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ThemeName {
    /// The terminal's own sixteen colours.
    Ansi,
    /// For dark backgrounds with many colours.
    Dark,
    /// For light backgrounds with many colours.
    Light,
    /// No colour at all.
    Mono,
}

impl ThemeName {
    /// All.
    pub(crate) const ALL: [Self; 4] = [Self::Ansi, Self::Dark, Self::Light, Self::Mono];

    /// Its name.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Ansi => "ansi",
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Mono => "mono",
        }
    }
}

impl FromStr for ThemeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|theme| theme.word() == text)
            .ok_or_else(|| "must be ansi, dark, light or mono".to_owned())
    }
}

/// How each kind of thing looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    /// Its name.
    pub(crate) name: ThemeName,
    /// Ordinary text.
    pub(crate) text: Style,
    /// What matters less.
    pub(crate) dim: Style,
    /// Titles and headings.
    pub(crate) title: Style,
    /// Frames around panes.
    pub(crate) border: Style,
    /// The frame of the pane that has the keys.
    pub(crate) focus: Style,
    /// The row under the cursor.
    pub(crate) selected: Style,
    /// What is well.
    pub(crate) good: Style,
    /// What needs a look.
    pub(crate) warn: Style,
    /// What is wrong.
    pub(crate) bad: Style,
    /// What stands out without being good or bad.
    pub(crate) accent: Style,
    /// Names of keys.
    pub(crate) key: Style,
    /// Where text is typed.
    pub(crate) input: Style,
}

impl Theme {
    /// The theme of this name.
    pub(crate) const fn of(name: ThemeName) -> Self {
        let colours = match name {
            ThemeName::Ansi => [
                Color::DarkGray,
                Color::Green,
                Color::Yellow,
                Color::Red,
                Color::Cyan,
            ],
            ThemeName::Dark => [
                Color::Rgb(0x8a, 0x93, 0xa2),
                Color::Rgb(0x7f, 0xd1, 0x8c),
                Color::Rgb(0xf0, 0xc6, 0x74),
                Color::Rgb(0xff, 0x7b, 0x72),
                Color::Rgb(0x79, 0xc0, 0xff),
            ],
            ThemeName::Light => [
                Color::Rgb(0x6a, 0x73, 0x7d),
                Color::Rgb(0x1a, 0x7f, 0x37),
                Color::Rgb(0x8a, 0x5a, 0x00),
                Color::Rgb(0xb3, 0x1d, 0x28),
                Color::Rgb(0x05, 0x50, 0xae),
            ],
            ThemeName::Mono => return Self::mono(),
        };
        Self::coloured(name, colours)
    }

    const fn coloured(name: ThemeName, colours: [Color; 5]) -> Self {
        let [quiet, good, warn, bad, accent] = colours;
        let plain = Style::new();
        Self {
            name,
            text: plain,
            dim: plain.fg(quiet),
            title: plain.add_modifier(Modifier::BOLD),
            border: plain.fg(quiet),
            focus: plain.fg(accent),
            selected: plain.add_modifier(Modifier::REVERSED),
            good: plain.fg(good),
            warn: plain.fg(warn),
            bad: plain.fg(bad).add_modifier(Modifier::BOLD),
            accent: plain.fg(accent),
            key: plain.fg(accent).add_modifier(Modifier::BOLD),
            input: plain.add_modifier(Modifier::UNDERLINED),
        }
    }

    const fn mono() -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        Self {
            name: ThemeName::Mono,
            text: plain,
            dim: plain,
            title: bold,
            border: plain,
            focus: bold,
            selected: plain.add_modifier(Modifier::REVERSED),
            good: plain,
            warn: bold,
            bad: bold,
            accent: bold,
            key: bold,
            input: plain.add_modifier(Modifier::UNDERLINED),
        }
    }
}
