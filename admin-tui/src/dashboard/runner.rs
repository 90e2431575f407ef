//! The loop: takes what happens, lets the model decide, carries out what it asks for, and draws
//! when something visible has changed.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crossterm::event::{Event, KeyEventKind};
use futures_util::{Stream, StreamExt as _};
use ratatui::Terminal;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect, Size};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::Instant;
use tollgate_common::clock::Clock;

use super::keys::Key;
use super::message::Message;
use super::model::Model;
use super::step::Effect;
use super::store::Store;
use super::surface::Surface;
use super::view::view;

/// How many messages may wait; answers wait for room.
const QUEUE: usize = 256;

/// How many events are taken before a frame is drawn.
const EVENTS_MAX: usize = 64;

/// The longest sleep when nothing is due.
const SLEEP_MAX: Duration = Duration::from_mins(1);

/// The next event if it has come already. It is asked for with the loop's own waker: a stream of
/// events wakes whoever asked it first while it has nothing, and nobody else.
async fn waiting<E>(events: &mut E) -> Option<io::Result<Event>>
where
    E: Stream<Item = io::Result<Event>> + Unpin,
{
    poll_fn(|context| match events.poll_next_unpin(context) {
        Poll::Ready(event) => Poll::Ready(event),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// The dashboard at work.
pub(crate) struct Runner<B: Surface, S: Store> {
    terminal: Terminal<B>,
    model: Model,
    store: Rc<S>,
    clock: Arc<dyn Clock>,
    sender: mpsc::Sender<Message>,
    inbox: mpsc::Receiver<Message>,
    /// What was drawn last.
    shown: Option<(Buffer, Option<Position>)>,
    dirty: bool,
    drawn_at: Option<Instant>,
    /// The least time between two frames.
    frame_gap: Duration,
}

impl<B: Surface, S: Store> Runner<B, S> {
    /// A dashboard on a surface, over a store.
    pub(crate) fn new(
        surface: B,
        model: Model,
        store: S,
        clock: Arc<dyn Clock>,
        frame_gap: Duration,
    ) -> io::Result<Self> {
        let (sender, inbox) = mpsc::channel(QUEUE);
        Ok(Self {
            terminal: Terminal::new(surface)?,
            model,
            store: Rc::new(store),
            clock,
            sender,
            inbox,
            shown: None,
            dirty: true,
            drawn_at: None,
            frame_gap,
        })
    }

    /// Sends messages to the dashboard from outside, as signals do.
    pub(crate) fn sender(&self) -> mpsc::Sender<Message> {
        self.sender.clone()
    }

    /// Runs until the model is finished or the events end.
    pub(crate) async fn run<E>(&mut self, events: E) -> io::Result<()>
    where
        E: Stream<Item = io::Result<Event>> + Unpin,
    {
        // Everything runs on the thread that draws: what is read comes in small pages.
        LocalSet::new().run_until(self.work(events)).await
    }

    async fn work<E>(&mut self, mut events: E) -> io::Result<()>
    where
        E: Stream<Item = io::Result<Event>> + Unpin,
    {
        let (store, sender) = (self.store.clone(), self.sender.clone());
        let watch = spawn_local(async move { store.watch(sender).await });
        let size = self.terminal.size()?;
        self.take(Message::Resize(size))?;
        while !self.model.is_finished() {
            self.draw_if_due()?;
            let wake = self.wake();
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Some(event) => self.take_events(event?, &mut events).await?,
                    None => break,
                },
                Some(message) = self.inbox.recv() => self.take(message)?,
                () = tokio::time::sleep_until(wake) => self.take(Message::Tick)?,
            }
            while let Ok(message) = self.inbox.try_recv() {
                self.take(message)?;
            }
        }
        watch.abort();
        Ok(())
    }

    /// Takes an event and those that have come with it, so that they share a frame.
    async fn take_events<E>(&mut self, first: Event, events: &mut E) -> io::Result<()>
    where
        E: Stream<Item = io::Result<Event>> + Unpin,
    {
        self.take_event(first)?;
        for _ in 1..EVENTS_MAX {
            match waiting(events).await {
                Some(event) => self.take_event(event?)?,
                None => break,
            }
        }
        Ok(())
    }

    fn take_event(&mut self, event: Event) -> io::Result<()> {
        let message = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => Message::Key(Key::from(key)),
            Event::Key(_) => return Ok(()),
            Event::Paste(text) => Message::Paste(text),
            Event::Mouse(mouse) => Message::Mouse(mouse),
            Event::Resize(width, height) => Message::Resize(Size::new(width, height)),
            Event::FocusGained => Message::Focus(true),
            Event::FocusLost => Message::Focus(false),
        };
        self.take(message)
    }

    fn take(&mut self, message: Message) -> io::Result<()> {
        let effects = self.model.update(self.clock.now(), message);
        self.dirty = true;
        for effect in effects {
            self.carry_out(effect)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> io::Result<()> {
        let (store, sender) = (self.store.clone(), self.sender.clone());
        match effect {
            Effect::Load(ticket, query) => {
                spawn_local(async move {
                    let result = Box::new(store.load(query).await);
                    // Nobody listens any more if the program ends.
                    let _ = sender.send(Message::Answer(ticket, result)).await;
                });
            }
            Effect::Change(ticket, change) => {
                spawn_local(async move {
                    let result = store.change(&change).await;
                    let _ = sender.send(Message::Done(ticket, change, result)).await;
                });
            }
            Effect::Copy(text) => self.terminal.backend_mut().copy(&text)?,
            Effect::Mouse(on) => self.terminal.backend_mut().take_mouse(on)?,
            Effect::Redraw => self.forget_frame()?,
            Effect::Suspend => {
                self.terminal.backend_mut().suspend()?;
                self.forget_frame()?;
            }
            Effect::Quit => {}
        }
        Ok(())
    }

    fn forget_frame(&mut self) -> io::Result<()> {
        self.shown = None;
        self.dirty = true;
        self.terminal.clear()
    }

    /// When to go on though nothing happens: for a frame that is held back, or as the model asks.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        if self.dirty {
            return self.drawn_at.map_or(now, |at| at + self.frame_gap);
        }
        let wait = self.model.wake_at().map(|at| at.since(self.clock.now()));
        now + wait.unwrap_or(SLEEP_MAX).min(SLEEP_MAX)
    }

    fn draw_if_due(&mut self) -> io::Result<()> {
        let held_back = self
            .drawn_at
            .is_some_and(|at| at.elapsed() < self.frame_gap);
        if !self.dirty || held_back {
            return Ok(());
        }
        self.dirty = false;
        let size = self.terminal.size()?;
        let mut buffer = Buffer::empty(Rect::from((Position::ORIGIN, size)));
        let cursor = view(&self.model, &mut buffer);
        let frame = (buffer, cursor);
        // A frame like the last one writes nothing: an unchanged screen costs no bytes.
        if self.shown.as_ref() == Some(&frame) {
            return Ok(());
        }
        self.drawn_at = Some(Instant::now());
        self.terminal.draw(|target| {
            let area = target.area().intersection(frame.0.area);
            let target_buffer = target.buffer_mut();
            for position in area.positions() {
                target_buffer[position] = frame.0[position].clone();
            }
            if let Some(cursor) = frame.1 {
                target.set_cursor_position(cursor);
            }
        })?;
        self.shown = Some(frame);
        Ok(())
    }
}
