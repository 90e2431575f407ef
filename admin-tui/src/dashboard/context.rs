//! What every screen and window may look at: the time, the size, the looks, the connection and the
//! administrator's rights.

use std::sync::Arc;
use std::time::Duration;

use ratatui::layout::Size;
use tollgate_common::clock::Timestamp;
use tollgate_common::role::Role;

use super::charset::Charset;
use super::clipboard::Clipboard;
use super::keys::{Action, Keymap};
use super::theme::Theme;

/// How far away the data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// Nothing has arrived yet.
    Connecting,
    /// The last answer came then.
    Live(Timestamp),
    /// The database cannot be reached since then; the next try is at the second time.
    Offline {
        /// When the last answer came or was first missed.
        since: Timestamp,
        /// When it is tried again.
        retry_at: Timestamp,
        /// How many tries have failed.
        tries: u32,
    },
}

/// How old the last answer may be before the screen says so.
const STALE_AFTER: Duration = Duration::from_secs(10);

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Too little for anything.
    Tiny,
    /// One pane at a time.
    Compact,
    /// A list and its detail.
    Normal,
    /// A wall of panes.
    Wide,
}

impl Class {
    /// The least width and height that a screen can be drawn in.
    pub(crate) const LEAST: Size = Size::new(60, 15);

    /// The class of a size.
    pub(crate) const fn of(size: Size) -> Self {
        if size.width < Self::LEAST.width || size.height < Self::LEAST.height {
            Self::Tiny
        } else if size.width < 100 || size.height < 30 {
            Self::Compact
        } else if size.width < 160 || size.height < 45 {
            Self::Normal
        } else {
            Self::Wide
        }
    }
}

/// What every screen and window may look at.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The present moment.
    pub(crate) now: Timestamp,
    /// The terminal's size.
    pub(crate) size: Size,
    /// Colours.
    pub(crate) theme: Theme,
    /// Characters.
    pub(crate) charset: Charset,
    /// Keys.
    pub(crate) keymap: Arc<Keymap>,
    /// What the connection leads to, for the header: the environment's name or the engine.
    pub(crate) environment: String,
    /// The database without its password.
    pub(crate) database: String,
    /// Whom the audit log will name.
    pub(crate) actor: String,
    /// What the administrator may do.
    pub(crate) role: Role,
    /// Why nothing may be changed, if so.
    pub(crate) read_only: Option<&'static str>,
    /// How far away the data is.
    pub(crate) link: Link,
    /// Whether the screen is held still.
    pub(crate) frozen: bool,
    /// What stands between a copied text and the terminal's clipboard.
    pub(crate) clipboard: Clipboard,
}

impl Context {
    /// How much room there is.
    pub(crate) const fn class(&self) -> Class {
        Class::of(self.size)
    }

    /// Why an action is not possible anywhere now, if so.
    pub(crate) fn refusal(&self, action: Action) -> Option<String> {
        if let Some(why) = self.read_only.filter(|_| action.is_change()) {
            return Some(why.to_owned());
        }
        if action.needs() > self.role {
            return Some(format!("takes the role {}", action.needs()));
        }
        if !action.is_change() {
            return None;
        }
        match self.link {
            Link::Live(_) => None,
            Link::Connecting => Some("not connected yet".to_owned()),
            Link::Offline { .. } => Some("the database cannot be reached".to_owned()),
        }
    }

    /// How fresh the data is, for the header, and whether that needs a look.
    pub(crate) fn freshness(&self) -> (String, bool) {
        match self.link {
            Link::Connecting => ("connecting".to_owned(), false),
            Link::Offline { retry_at, .. } => {
                let wait = retry_at.since(self.now).as_secs();
                (format!("OFFLINE retry {wait}s"), true)
            }
            Link::Live(_) if self.frozen => ("PAUSED".to_owned(), true),
            Link::Live(at) if self.now.since(at) > STALE_AFTER => {
                (format!("STALE {}", super::format::age(at, self.now)), true)
            }
            Link::Live(_) => ("live".to_owned(), false),
        }
    }
}
