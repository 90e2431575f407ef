//! The dashboard's whole state.

use std::collections::HashMap;

use tollgate_common::clock::Timestamp;

use super::change::Change;
use super::context::Context;
use super::memory::{Memory, SavedFilter};
use super::screens::{self, Screen};
use super::step::{Slot, Tone};
use super::tab::Tab;
use super::windows::Window;

/// How many places `[` goes back.
const HISTORY_MAX: usize = 20;

/// Something that asks and is answered: a screen or a window, by its number.
#[derive(Debug)]
pub(super) struct Opened<T: ?Sized> {
    pub(super) number: u64,
    /// The latest request of each slot, and when it was made.
    pub(super) requests: HashMap<Slot, u64>,
    /// The requests that have no answer yet.
    pub(super) waiting: HashMap<u64, Timestamp>,
    pub(super) item: Box<T>,
}

impl<T: ?Sized> Opened<T> {
    fn new(number: u64, item: Box<T>) -> Self {
        Self {
            number,
            requests: HashMap::new(),
            waiting: HashMap::new(),
            item,
        }
    }
}

/// Screens on top of each other; the last is shown.
pub(super) type Place = Vec<Opened<dyn Screen>>;

/// A sentence for a few seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Toast {
    pub(super) tone: Tone,
    pub(super) text: String,
    pub(super) until: Timestamp,
}

/// The dashboard's whole state.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own that may hold beside any other"
)]
#[derive(Debug)]
pub(crate) struct Model {
    /// What screens and windows may look at.
    pub(crate) context: Context,
    pub(super) place: Place,
    pub(super) before: Vec<Place>,
    pub(super) after: Vec<Place>,
    pub(super) windows: Vec<Opened<dyn Window>>,
    pub(super) toast: Option<Toast>,
    pub(super) undo: Option<(Box<Change>, Timestamp)>,
    pub(super) last_number: u64,
    /// Whether the database tells when it has changed, so that it need not be asked.
    pub(super) has_bell: bool,
    pub(super) changed: bool,
    pub(super) refreshed_at: Timestamp,
    pub(super) key_at: Timestamp,
    pub(super) has_focus: bool,
    pub(super) mouse: bool,
    pub(super) finished: bool,
    /// What is remembered of the user.
    pub(super) memory: Memory,
}

impl Model {
    /// A dashboard at its first screen. `has_bell`: whether the database tells when it has changed.
    pub(crate) fn new(context: Context, has_bell: bool) -> Self {
        let now = context.now;
        let mut model = Self {
            context,
            place: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            windows: Vec::new(),
            toast: None,
            undo: None,
            last_number: 0,
            has_bell,
            changed: true,
            refreshed_at: now,
            key_at: now,
            has_focus: true,
            mouse: false,
            finished: false,
            memory: Memory::default(),
        };
        model.push(screens::root(Tab::Overview));
        model
    }

    /// The same with what is remembered from before.
    pub(crate) fn with_filters(mut self, filters: Vec<SavedFilter>) -> Self {
        self.memory.filters = filters;
        self
    }

    /// Takes note that the surface has the mouse.
    pub(crate) const fn take_mouse(&mut self) {
        self.mouse = true;
    }

    /// Whether the program is to end.
    pub(crate) const fn is_finished(&self) -> bool {
        self.finished
    }

    /// The screen that is shown. There always is one.
    pub(crate) fn screen(&self) -> Option<&dyn Screen> {
        self.place.last().map(|opened| &*opened.item)
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn push(&mut self, screen: Box<dyn Screen>) {
        let number = self.next_number();
        self.place.push(Opened::new(number, screen));
        self.changed = true;
    }

    pub(super) fn raise(&mut self, window: Box<dyn Window>) -> u64 {
        let number = self.next_number();
        self.windows.push(Opened::new(number, window));
        number
    }

    /// Goes to the root of a tab; the place from before can be returned to.
    pub(super) fn go(&mut self, tab: Tab) {
        let left = std::mem::take(&mut self.place);
        self.remember(left);
        self.after.clear();
        self.push(screens::root(tab));
    }

    fn remember(&mut self, place: Place) {
        if place.is_empty() {
            return;
        }
        if self.before.len() == HISTORY_MAX {
            self.before.remove(0);
        }
        self.before.push(place);
    }

    /// Returns to the place before this one; says whether there was one.
    pub(super) fn go_back(&mut self) -> bool {
        let Some(place) = self.before.pop() else {
            return false;
        };
        self.after.push(std::mem::replace(&mut self.place, place));
        self.changed = true;
        true
    }

    /// Goes to the place from which `[` has returned; says whether there was one.
    pub(super) fn go_forward(&mut self) -> bool {
        let Some(place) = self.after.pop() else {
            return false;
        };
        let left = std::mem::replace(&mut self.place, place);
        self.remember(left);
        self.changed = true;
        true
    }

    /// Changes places with the one before.
    pub(super) fn go_last(&mut self) -> bool {
        let Some(place) = self.before.pop() else {
            return false;
        };
        let left = std::mem::replace(&mut self.place, place);
        self.remember(left);
        self.changed = true;
        true
    }
}
