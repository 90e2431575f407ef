//! What each thing that happens does to the dashboard. Nothing here reads or writes anything
//! outside of it: what is to be read or written is returned as effects.

use std::time::Duration;

use crossterm::event::MouseEventKind;
use tollgate_common::clock::Timestamp;
use tollgate_common::secret::Secret;

use super::change::{Change, Outcome};
use super::context::Link;
use super::keys::{Action, Key};
use super::message::Message;
use super::model::{Model, Toast};
use super::problem::Problem;
use super::step::{Effect, Slot, Step, Ticket, Tone, earlier};
use super::store::{Answer, Query};
use super::theme::Theme;
use super::windows::key::KeyWindow;
use super::windows::text::Text;

mod act;
mod pace;

/// How long a sentence stays, and one that offers to undo.
const TOAST: Duration = Duration::from_secs(6);
const UNDO: Duration = Duration::from_secs(10);

/// Who asked: the screen or a window, by its number.
type Owner = u64;

impl Model {
    /// Takes what has happened, at `now`, and says what is to be done.
    pub(crate) fn update(&mut self, now: Timestamp, message: Message) -> Vec<Effect> {
        self.context.now = now;
        let mut effects = Vec::new();
        match message {
            Message::Key(key) => self.key(key, &mut effects),
            Message::Paste(text) => self.paste(&text, &mut effects),
            Message::Mouse(event) => self.mouse(event.kind, &mut effects),
            Message::Resize(size) => self.context.size = size,
            Message::Focus(has_focus) => self.has_focus = has_focus,
            Message::Changed => self.changed = true,
            Message::Answer(ticket, result) => self.answer(ticket, *result, &mut effects),
            Message::Done(ticket, change, result) => {
                self.done(ticket, change, result, &mut effects);
            }
            Message::Quit => {
                self.finished = true;
                effects.push(Effect::Quit);
            }
            Message::Tick => {}
        }
        self.expire(&mut effects);
        self.refresh_if_due(&mut effects);
        effects
    }

    fn key(&mut self, key: Key, effects: &mut Vec<Effect>) {
        self.key_at = self.context.now;
        let stubborn = self
            .windows
            .last()
            .is_some_and(|top| top.item.is_stubborn());
        if key == Key::control('c') && !stubborn {
            self.finished = true;
            effects.push(Effect::Quit);
            return;
        }
        if key == Key::control('l') {
            effects.push(Effect::Redraw);
            return;
        }
        if let Some(top) = self.windows.last_mut() {
            let owner = top.number;
            let steps = top.item.key(key, &self.context);
            self.follow(owner, steps, effects);
            self.complete_filter(key, effects);
            return;
        }
        let Some(top) = self.place.last() else {
            return;
        };
        if let Some(action) = self.context.keymap.action(top.item.bindings(), key) {
            self.perform(action, effects);
        }
    }

    fn paste(&mut self, text: &str, effects: &mut Vec<Effect>) {
        if let Some(top) = self.windows.last_mut() {
            let owner = top.number;
            let steps = top.item.paste(text, &self.context);
            self.follow(owner, steps, effects);
        }
    }

    fn mouse(&mut self, kind: MouseEventKind, effects: &mut Vec<Effect>) {
        let action = match kind {
            MouseEventKind::ScrollDown => Action::Down,
            MouseEventKind::ScrollUp => Action::Up,
            _ => return,
        };
        if self.windows.is_empty() {
            self.perform(action, effects);
        }
    }

    /// Does what screens and windows ask for, in their order.
    fn follow(&mut self, owner: Owner, steps: Vec<Step>, effects: &mut Vec<Effect>) {
        for step in steps {
            match step {
                Step::Load(slot, query) => self.load(owner, slot, query, effects),
                Step::Push(screen) => {
                    self.push(screen);
                    self.refresh(effects);
                }
                Step::Pop => self.pop(effects),
                Step::Go(tab) => {
                    self.go(tab);
                    self.refresh(effects);
                }
                Step::Open(window) => self.open(window, effects),
                Step::Close => self.windows.retain(|window| window.number != owner),
                Step::Filter(text, stays) => self.filter(owner, &text, stays, effects),
                Step::Sort(order) => self.sort(order, effects),
                Step::Perform(action) => self.perform(action, effects),
                Step::Change(change) => self.change(owner, change, effects),
                Step::Say(tone, text) => self.say(tone, text),
                Step::Copy(text) => {
                    let what = text.chars().take(40).collect::<String>();
                    self.say(
                        Tone::Good,
                        format!("sent to the terminal's clipboard: {what}"),
                    );
                    effects.push(Effect::Copy(Secret::new(text)));
                }
                Step::CopySecret(secret) => effects.push(Effect::Copy(secret)),
                Step::Theme(theme) => self.context.theme = Theme::of(theme),
                Step::Remember(text) => self.memory.remember(text),
                Step::SaveFilter(name, text) => self.save_filter(owner, name, text, effects),
                Step::ForgetFilter(name) => self.forget_filter(name, effects),
                Step::Quit => {
                    self.finished = true;
                    effects.push(Effect::Quit);
                }
            }
        }
    }

    fn load(&mut self, owner: Owner, slot: Slot, query: Query, effects: &mut Vec<Effect>) {
        let request = self.next_number();
        let now = self.context.now;
        let window = self.windows.iter_mut().find(|w| w.number == owner);
        let known = match window {
            Some(window) => Some((&mut window.requests, &mut window.waiting)),
            None => {
                let screen = self.place.iter_mut().find(|screen| screen.number == owner);
                screen.map(|screen| (&mut screen.requests, &mut screen.waiting))
            }
        };
        let Some((requests, waiting)) = known else {
            return;
        };
        if let Some(replaced) = requests.insert(slot, request) {
            waiting.remove(&replaced);
        }
        waiting.insert(request, now);
        let ticket = Ticket {
            owner,
            slot,
            request,
        };
        effects.push(Effect::Load(ticket, query));
    }

    fn open(&mut self, window: Box<dyn super::windows::Window>, effects: &mut Vec<Effect>) {
        let number = self.raise(window);
        if let Some(top) = self.windows.last_mut() {
            let steps = top.item.open(&self.context);
            self.follow(number, steps, effects);
        }
    }

    pub(super) fn change(&mut self, owner: Owner, change: Box<Change>, effects: &mut Vec<Effect>) {
        let request = self.next_number();
        let ticket = Ticket {
            owner,
            slot: Slot::MAX,
            request,
        };
        effects.push(Effect::Change(ticket, change));
    }

    pub(super) fn say(&mut self, tone: Tone, text: impl Into<String>) {
        self.say_for(tone, text, TOAST);
    }

    fn say_for(&mut self, tone: Tone, text: impl Into<String>, time: Duration) {
        self.toast = Some(Toast {
            tone,
            text: text.into(),
            until: self.context.now.plus(time),
        });
    }

    fn answer(
        &mut self,
        ticket: Ticket,
        result: Result<Answer, Problem>,
        effects: &mut Vec<Effect>,
    ) {
        match &result {
            Ok(_) => self.context.link = Link::Live(self.context.now),
            Err(problem) if problem.is_offline => self.lose_link(),
            Err(_) => {}
        }
        let window = self.windows.iter_mut().find(|w| w.number == ticket.owner);
        if let Some(window) = window {
            window.waiting.remove(&ticket.request);
            if window.requests.get(&ticket.slot) != Some(&ticket.request) {
                return;
            }
            match result {
                Ok(answer) => {
                    let steps = window.item.receive(ticket.slot, answer, &self.context);
                    self.follow(ticket.owner, steps, effects);
                }
                Err(problem) if problem.is_offline => {}
                Err(problem) => self.say(Tone::Bad, problem.sentence),
            }
            return;
        }
        let screen = self.place.iter_mut().find(|s| s.number == ticket.owner);
        let Some(screen) = screen else {
            return;
        };
        screen.waiting.remove(&ticket.request);
        if screen.requests.get(&ticket.slot) != Some(&ticket.request) {
            return;
        }
        match result {
            Ok(answer) => {
                let steps = screen.item.receive(ticket.slot, answer, &self.context);
                self.follow(ticket.owner, steps, effects);
            }
            Err(problem) => {
                screen.item.fail(ticket.slot, &problem);
                if !problem.is_offline {
                    self.say(Tone::Bad, problem.sentence);
                }
            }
        }
    }

    fn done(
        &mut self,
        ticket: Ticket,
        mut change: Box<Change>,
        result: Result<Outcome, Problem>,
        effects: &mut Vec<Effect>,
    ) {
        self.changed = true;
        let inverse = change.undo.take();
        let window = self.windows.iter_mut().find(|w| w.number == ticket.owner);
        if let Some(window) = window {
            let steps = window.item.done(change, &result, &self.context);
            self.follow(ticket.owner, steps, effects);
        }
        match result {
            Ok(outcome) => self.succeed(outcome, inverse, effects),
            Err(problem) => {
                if problem.is_offline {
                    self.lose_link();
                }
                self.say(Tone::Bad, problem.sentence);
            }
        }
        self.refresh(effects);
    }

    fn succeed(
        &mut self,
        outcome: Outcome,
        inverse: Option<Box<Change>>,
        effects: &mut Vec<Effect>,
    ) {
        let tone = if outcome.is_bad {
            Tone::Bad
        } else {
            Tone::Good
        };
        match inverse {
            Some(inverse) => {
                self.say_for(tone, format!("{}   z undo", outcome.sentence), UNDO);
                self.undo = Some((inverse, self.context.now.plus(UNDO)));
            }
            None if !outcome.sentence.is_empty() => self.say(tone, outcome.sentence.clone()),
            None => {}
        }
        if let Some(key) = outcome.key {
            // What is shown once must be selectable with the mouse.
            if std::mem::take(&mut self.mouse) {
                effects.push(Effect::Mouse(false));
            }
            self.open(Box::new(KeyWindow::new(key.team_id, key.plain)), effects);
        }
        if !outcome.lines.is_empty() {
            let text = Text::new(outcome.sentence, outcome.lines);
            self.open(Box::new(text), effects);
        }
    }

    /// What has become due: windows, sentences, offers to undo.
    fn expire(&mut self, effects: &mut Vec<Effect>) {
        let now = self.context.now;
        self.toast.take_if(|toast| toast.until <= now);
        self.undo.take_if(|(_, until)| *until <= now);
        if let Some(top) = self.windows.last_mut() {
            let owner = top.number;
            let steps = top.item.tick(&self.context);
            self.follow(owner, steps, effects);
        }
    }

    /// When the dashboard wants to be told the time, if ever.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        let toast = self.toast.as_ref().map(|toast| toast.until);
        let window = self.windows.last().and_then(|top| top.item.wake_at());
        let look = self
            .screen()
            .and_then(|screen| screen.next_look(&self.context));
        let refresh = self.refresh_at();
        [toast, window, look, refresh]
            .into_iter()
            .fold(None, earlier)
    }
}
