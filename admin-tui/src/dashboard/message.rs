//! What happens to the dashboard.

use crossterm::event::MouseEvent;
use ratatui::layout::Size;

use super::change::{Change, Outcome};
use super::keys::Key;
use super::problem::Problem;
use super::step::Ticket;
use super::store::Answer;

/// Something that has happened.
#[derive(Debug)]
pub(crate) enum Message {
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// The mouse was used.
    Mouse(MouseEvent),
    /// The terminal has another size.
    Resize(Size),
    /// The terminal window has got or lost the keyboard.
    Focus(bool),
    /// Something was read.
    Answer(Ticket, Box<Result<Answer, Problem>>),
    /// Something was done, or not.
    Done(Ticket, Box<Change>, Result<Outcome, Problem>),
    /// Something in the database has changed.
    Changed,
    /// It is later now.
    Tick,
    /// The program is to end.
    Quit,
}
