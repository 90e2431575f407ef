//! The screen of credits.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Screen;
use crate::dashboard::context::Context;
use crate::dashboard::keys::{Action, Binding};
use crate::dashboard::step::{Slot, Step};
use crate::dashboard::store::Answer;
use crate::dashboard::tab::Tab;
use crate::dashboard::view::draw_waiting;

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[];

/// The screen of credits.
#[derive(Debug, Default)]
pub(crate) struct Credits {}

impl Screen for Credits {
    fn tab(&self) -> Tab {
        Tab::Credits
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refresh(&mut self, _context: &Context) -> Vec<Step> {
        Vec::new()
    }

    fn receive(&mut self, _slot: Slot, _answer: Answer, _context: &Context) -> Vec<Step> {
        Vec::new()
    }

    fn act(&mut self, _action: Action, _context: &Context) -> Vec<Step> {
        Vec::new()
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        draw_waiting(area, buffer, context, "Credits");
    }
}
