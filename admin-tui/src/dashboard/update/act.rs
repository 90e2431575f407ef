//! What actions do that are the same on every screen, and how others reach the screen.

use super::Owner;
use crate::dashboard::change::{Change, Operation};
use crate::dashboard::keys::{Action, Binding, Key};
use crate::dashboard::memory::SavedFilter;
use crate::dashboard::model::Model;
use crate::dashboard::step::{Effect, Tone};
use crate::dashboard::windows::filter::FilterLine;
use crate::dashboard::windows::help::help;
use crate::dashboard::windows::menu::{Choice, Entry, Menu};
use crate::dashboard::windows::palette::Palette;

impl Model {
    pub(super) fn perform(&mut self, action: Action, effects: &mut Vec<Effect>) {
        match action {
            Action::Quit => self.quit(effects),
            Action::Leave => self.leave(effects),
            Action::Back => self.pop(effects),
            Action::Go(tab) => {
                self.go(tab);
                self.refresh(effects);
            }
            Action::Previous | Action::Next | Action::Last => self.travel(action, effects),
            Action::Refresh => self.refresh(effects),
            Action::Freeze => self.freeze(effects),
            Action::Redraw => effects.push(Effect::Redraw),
            Action::Suspend => effects.push(Effect::Suspend),
            Action::Mouse => self.toggle_mouse(effects),
            Action::Undo => self.undo(effects),
            Action::Palette | Action::Help | Action::Menu | Action::Filter => {
                self.open_own(action, effects);
            }
            _ => self.perform_on_screen(action, effects),
        }
    }

    fn quit(&mut self, effects: &mut Vec<Effect>) {
        self.finished = true;
        effects.push(Effect::Quit);
    }

    fn leave(&mut self, effects: &mut Vec<Effect>) {
        if self.place.len() > 1 {
            self.pop(effects);
        } else {
            self.quit(effects);
        }
    }

    pub(super) fn pop(&mut self, effects: &mut Vec<Effect>) {
        if self.place.len() > 1 {
            self.place.pop();
            self.refresh(effects);
            return;
        }
        let filtered = self.screen().and_then(|screen| screen.filter());
        if filtered.is_some_and(|text| !text.is_empty())
            && let Some(owner) = self.place.last().map(|top| top.number)
        {
            self.filter(owner, "", true, effects);
        }
    }

    fn travel(&mut self, action: Action, effects: &mut Vec<Effect>) {
        let moved = match action {
            Action::Previous => self.go_back(),
            Action::Next => self.go_forward(),
            _ => self.go_last(),
        };
        if moved {
            self.refresh(effects);
        } else {
            self.say(Tone::Warn, "there is no such place yet");
        }
    }

    fn freeze(&mut self, effects: &mut Vec<Effect>) {
        self.context.frozen = !self.context.frozen;
        if !self.context.frozen {
            self.refresh(effects);
        }
    }

    fn toggle_mouse(&mut self, effects: &mut Vec<Effect>) {
        self.mouse = !self.mouse;
        let text = if self.mouse {
            "the wheel scrolls here; hold shift to select text"
        } else {
            "the mouse is the terminal's again"
        };
        self.say(Tone::Good, text);
        effects.push(Effect::Mouse(self.mouse));
    }

    fn undo(&mut self, effects: &mut Vec<Effect>) {
        if let Some(why) = self.context.refusal(Action::Undo) {
            self.say(Tone::Warn, why);
            return;
        }
        match self.undo.take() {
            Some((inverse, _)) => self.change(0, inverse, effects),
            None => self.say(Tone::Warn, "there is nothing to undo"),
        }
    }

    fn open_own(&mut self, action: Action, effects: &mut Vec<Effect>) {
        let Some(top) = self.place.last() else {
            return;
        };
        let screen = &*top.item;
        match action {
            Action::Palette => {
                let palette = Palette::new(screen, &self.context, &self.memory);
                self.open(Box::new(palette), effects);
            }
            Action::Help => {
                let help = help(screen, &self.context);
                self.open(Box::new(help), effects);
            }
            Action::Filter => match screen.filter() {
                Some(text) => {
                    let line = FilterLine::new(text);
                    self.open(Box::new(line), effects);
                }
                None => self.say(Tone::Warn, "this screen has nothing to filter"),
            },
            _ => {
                let entries = screen.bindings().iter();
                let entries = entries.map(|binding| self.entry(binding)).collect();
                self.open(Box::new(Menu::new("Actions", entries)), effects);
            }
        }
    }

    fn entry(&self, binding: &Binding) -> Entry {
        Entry {
            key: self.context.keymap.shown(binding),
            label: binding.label.to_owned(),
            refusal: self.refusal(binding.action),
            choice: Choice::Action(binding.action),
        }
    }

    /// Why an action is not possible on this screen now, if so.
    pub(crate) fn refusal(&self, action: Action) -> Option<String> {
        let screen = self.screen();
        self.context
            .refusal(action)
            .or_else(|| screen.and_then(|screen| screen.refusal(action, &self.context)))
    }

    fn perform_on_screen(&mut self, action: Action, effects: &mut Vec<Effect>) {
        if let Some(why) = self.refusal(action) {
            self.say(Tone::Warn, why);
            return;
        }
        if let Some(top) = self.place.last_mut() {
            let owner = top.number;
            let steps = top.item.act(action, &self.context);
            self.follow(owner, steps, effects);
        }
    }

    /// Sorts the list of the screen.
    pub(super) fn sort(&mut self, order: usize, effects: &mut Vec<Effect>) {
        if let Some(top) = self.place.last_mut() {
            let owner = top.number;
            let steps = top.item.sort(order, &self.context);
            self.follow(owner, steps, effects);
        }
    }

    /// Gives the screen a filter text. The line in which it is typed closes if the text was
    /// understood and stays, and says what is wrong otherwise.
    pub(super) fn filter(
        &mut self,
        asked_by: Owner,
        text: &str,
        stays: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(top) = self.place.last_mut() else {
            return;
        };
        let owner = top.number;
        let result = top.item.set_filter(text, &self.context);
        match result {
            Ok(steps) => {
                if stays {
                    self.windows.retain(|window| window.number != asked_by);
                }
                self.follow(owner, steps, effects);
            }
            Err(why) => {
                let window = self.windows.iter_mut().find(|w| w.number == asked_by);
                match window {
                    Some(window) => window.item.refuse(why),
                    None => self.say(Tone::Bad, why),
                }
            }
        }
    }

    /// Gives the screen a filter and, if it was understood, keeps it under a name.
    pub(super) fn save_filter(
        &mut self,
        asked_by: Owner,
        name: String,
        text: String,
        effects: &mut Vec<Effect>,
    ) {
        self.filter(asked_by, &text, true, effects);
        let was_refused = self.windows.iter().any(|window| window.number == asked_by);
        let Some(screen) = self.screen().filter(|_| !was_refused) else {
            return;
        };
        let filter = SavedFilter {
            screen: screen.tab().word().to_owned(),
            name,
            text,
        };
        self.memory.keep(filter.clone());
        let said = format!("saved: the palette knows it as {}", filter.name);
        let change = Change::new(Operation::SaveFilter(filter), said);
        self.change(0, Box::new(change), effects);
    }

    pub(super) fn forget_filter(&mut self, name: String, effects: &mut Vec<Effect>) {
        self.memory.forget(&name);
        let said = format!("forgotten: {name}");
        let change = Change::new(Operation::ForgetFilter(name), said);
        self.change(0, Box::new(change), effects);
    }

    /// Tab in the filter line: the screen knows the words.
    pub(super) fn complete_filter(&mut self, key: Key, _effects: &mut Vec<Effect>) {
        if key.to_string() != "tab" {
            return;
        }
        let (Some(screen), Some(top)) = (self.place.last(), self.windows.last_mut()) else {
            return;
        };
        let Some(text) = top.item.completing(&self.context) else {
            return;
        };
        let proposals = screen.item.complete_filter(&text);
        top.item.propose(proposals);
    }
}
