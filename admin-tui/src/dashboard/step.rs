//! What screens and windows ask of the dashboard when something has happened to them, and what the
//! dashboard asks of the world.

use tollgate_common::clock::Timestamp;
use tollgate_common::secret::Secret;

use super::change::Change;
use super::keys::Action;
use super::screens::Screen;
use super::store::Query;
use super::tab::Tab;
use super::theme::ThemeName;
use super::windows::Window;

/// One of the things that a screen or window keeps loaded; a later answer replaces an earlier one.
pub(crate) type Slot = u8;

/// What a screen or window asks of the dashboard.
#[derive(Debug)]
pub(crate) enum Step {
    /// Read something; the answer comes to the slot of whoever asked.
    Load(Slot, Query),
    /// Open a screen on top of this one.
    Push(Box<dyn Screen>),
    /// Leave this screen.
    Pop,
    /// Go to a tab.
    Go(Tab),
    /// Open a window.
    Open(Box<dyn Window>),
    /// Close the window that asks.
    Close,
    /// Give the screen a filter text; `true` if it stays.
    Filter(String, bool),
    /// Sort the screen's list: by the order of this place in its menu.
    Sort(usize),
    /// Do what a key of the screen would.
    Perform(Action),
    /// Change something.
    Change(Box<Change>),
    /// Say something.
    Say(Tone, String),
    /// Copy a text that is no secret.
    Copy(String),
    /// Copy a secret: it goes to the terminal and nowhere else.
    CopySecret(Secret),
    /// Take other colours.
    Theme(ThemeName),
    /// Remember what was typed into the palette.
    Remember(String),
    /// Give the screen a filter that stays, and keep it under a name: the name, then the filter.
    SaveFilter(String, String),
    /// Forget the saved filter of this name.
    ForgetFilter(String),
    /// End the program.
    Quit,
}

/// How something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It went well.
    Good,
    /// It needs a look.
    Warn,
    /// It went wrong.
    Bad,
}

/// Whom an answer is for: a screen or window by its number, one of its slots, and which request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// The number of the screen or window.
    pub(crate) owner: u64,
    /// Its slot.
    pub(crate) slot: Slot,
    /// Which request: answers of earlier ones are dropped.
    pub(crate) request: u64,
}

/// What the dashboard asks of the world.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Read something.
    Load(Ticket, Query),
    /// Change something.
    Change(Ticket, Box<Change>),
    /// Put a text where the terminal's user can paste it.
    Copy(Secret),
    /// Take clicks and the wheel, or leave them to the terminal.
    Mouse(bool),
    /// Draw everything anew.
    Redraw,
    /// Stop until the shell continues the program.
    Suspend,
    /// End the program.
    Quit,
}

/// When the dashboard wants to be told the time.
pub(crate) fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, None) => one,
        (None, other) => other,
    }
}
