//! A surface that counts how often it is drawn on, and a store that never answers.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use ratatui::backend::{Backend, ClearType, TestBackend, WindowSize};
use ratatui::buffer::Cell as Drawn;
use ratatui::layout::{Position, Size};
use tokio::sync::mpsc;
use tollgate_common::secret::Secret;

use crate::dashboard::change::{Change, Outcome};
use crate::dashboard::message::Message;
use crate::dashboard::problem::Problem;
use crate::dashboard::store::{Answer, Query, Store};
use crate::dashboard::surface::Surface;

/// A surface that counts how often it is drawn on.
pub(super) struct Counting {
    backend: TestBackend,
    drawn: Rc<Cell<u32>>,
}

impl Counting {
    pub(super) fn new(width: u16, height: u16) -> Self {
        Self {
            backend: TestBackend::new(width, height),
            drawn: Rc::default(),
        }
    }

    pub(super) fn drawn(&self) -> Rc<Cell<u32>> {
        self.drawn.clone()
    }
}

/// What cannot fail.
#[expect(
    clippy::unnecessary_wraps,
    reason = "a surface may fail, though this one does not"
)]
fn sure<T>(result: Result<T, std::convert::Infallible>) -> io::Result<T> {
    let Ok(value) = result;
    Ok(value)
}

impl Backend for Counting {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Drawn)>,
    {
        self.drawn.set(self.drawn.get() + 1);
        sure(self.backend.draw(content))
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        sure(self.backend.hide_cursor())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        sure(self.backend.show_cursor())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        sure(self.backend.get_cursor_position())
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        sure(self.backend.set_cursor_position(position))
    }

    fn clear(&mut self) -> io::Result<()> {
        sure(self.backend.clear())
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        sure(self.backend.clear_region(region))
    }

    fn size(&self) -> io::Result<Size> {
        sure(self.backend.size())
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        sure(self.backend.window_size())
    }

    fn flush(&mut self) -> io::Result<()> {
        sure(self.backend.flush())
    }
}

impl Surface for Counting {
    fn copy(&mut self, _text: &Secret) -> io::Result<()> {
        Ok(())
    }

    fn take_mouse(&mut self, _on: bool) -> io::Result<()> {
        Ok(())
    }

    fn suspend(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A store that never answers.
pub(super) struct Silent;

impl Store for Silent {
    async fn load(&self, _query: Query) -> Result<Answer, Problem> {
        std::future::pending().await
    }

    async fn change(&self, _change: &Change) -> Result<Outcome, Problem> {
        std::future::pending().await
    }

    async fn watch(&self, _listener: mpsc::Sender<Message>) {}
}
