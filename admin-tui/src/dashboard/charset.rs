//! Which characters draw lines, bars and curves.

use std::str::FromStr;

use ratatui::symbols::border;

/// A set of characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charset {
    /// Seven bits: for terminals and fonts without more.
    Ascii,
    /// Lines and eighth blocks.
    Block,
    /// Lines, and curves of braille dots.
    Braille,
}

const ASCII_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

impl Charset {
    /// All.
    pub(crate) const ALL: [Self; 3] = [Self::Ascii, Self::Block, Self::Braille];

    /// Its name.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Ascii => "ascii",
            Self::Block => "block",
            Self::Braille => "braille",
        }
    }

    /// What frames are made of.
    pub(crate) const fn border(self) -> border::Set<'static> {
        match self {
            Self::Ascii => ASCII_BORDER,
            Self::Block | Self::Braille => border::PLAIN,
        }
    }

    /// Levels of a curve, lowest first.
    pub(crate) const fn levels(self) -> &'static [&'static str] {
        match self {
            Self::Ascii => &[" ", ".", ":", "|"],
            Self::Block => &[" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
            Self::Braille => &[" ", "⣀", "⣤", "⣶", "⣿"],
        }
    }

    /// What a bar is made of.
    pub(crate) const fn bar(self) -> &'static str {
        match self {
            Self::Ascii => "#",
            Self::Block | Self::Braille => "█",
        }
    }

    /// What stands for text that was cut off.
    pub(crate) const fn ellipsis(self) -> &'static str {
        match self {
            Self::Ascii => "~",
            Self::Block | Self::Braille => "…",
        }
    }

    /// What points from one thing to the next.
    pub(crate) const fn arrow(self) -> &'static str {
        match self {
            Self::Ascii => "->",
            Self::Block | Self::Braille => "→",
        }
    }

    /// What shows an order: up or down.
    pub(crate) const fn order(self, up: bool) -> &'static str {
        match (self, up) {
            (Self::Ascii, true) => "^",
            (Self::Ascii, false) => "v",
            (_, true) => "▲",
            (_, false) => "▼",
        }
    }
}

impl FromStr for Charset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|charset| charset.word() == text)
            .ok_or_else(|| "must be ascii, block or braille".to_owned())
    }
}
