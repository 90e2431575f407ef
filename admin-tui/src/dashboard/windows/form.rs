//! A form: fields that are checked when they are left, a review of what will be written, and then
//! one change. Nothing is written before the review is confirmed.

use std::fmt;

use crossterm::event::KeyCode;

use super::Window;
use super::confirm::{Confirm, Gravity};
use super::field::Field;
use crate::dashboard::change::{Change, Outcome};
use crate::dashboard::context::Context;
use crate::dashboard::keys::Key;
use crate::dashboard::problem::Problem;
use crate::dashboard::step::{Slot, Step};
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::widgets::facts::Fact;

mod draw;
#[cfg(test)]
mod tests;

/// What a field takes.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// A line of text.
    Line(Field),
    /// One of several words.
    One {
        /// The words.
        options: Vec<String>,
        /// Which one.
        chosen: usize,
    },
    /// Any of several words.
    Many {
        /// The words and whether each is chosen.
        options: Vec<(String, bool)>,
        /// Where the cursor is.
        place: usize,
    },
}

/// Says what is wrong with a text.
pub(crate) type Check = fn(&str) -> Result<(), String>;

/// One field of a form.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its name, by which its value is asked for.
    pub(crate) label: &'static str,
    /// What it takes.
    pub(crate) input: Input,
    /// What stands beside it: a unit, whether it may be empty.
    pub(crate) hint: &'static str,
    check: Option<Check>,
    error: Option<String>,
}

impl Entry {
    const fn new(label: &'static str, input: Input, hint: &'static str) -> Self {
        Self {
            label,
            input,
            hint,
            check: None,
            error: None,
        }
    }

    /// A line of text that holds `text` already.
    pub(crate) fn line(label: &'static str, text: impl Into<String>, hint: &'static str) -> Self {
        Self::new(label, Input::Line(Field::with(text)), hint)
    }

    /// A line of text that is never shown.
    pub(crate) fn secret(label: &'static str, hint: &'static str) -> Self {
        Self::new(label, Input::Line(Field::secret()), hint)
    }

    /// One of several words.
    pub(crate) fn one(label: &'static str, options: &[&str], chosen: usize) -> Self {
        let options = options.iter().map(ToString::to_string).collect();
        Self::new(label, Input::One { options, chosen }, "")
    }

    /// Any of several words.
    pub(crate) fn many(label: &'static str, options: Vec<(String, bool)>) -> Self {
        Self::new(label, Input::Many { options, place: 0 }, "")
    }

    /// The same with words beside it.
    pub(crate) const fn hinted(mut self, hint: &'static str) -> Self {
        self.hint = hint;
        self
    }

    /// The same with a check of its text when it is left.
    pub(crate) fn checked(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    fn text(&self) -> String {
        match &self.input {
            Input::Line(field) => field.text().trim().to_owned(),
            Input::One { options, chosen } => options.get(*chosen).cloned().unwrap_or_default(),
            Input::Many { options, .. } => {
                let chosen = options.iter().filter(|(_, on)| *on);
                chosen
                    .map(|(word, _)| word.as_str())
                    .collect::<Vec<_>>()
                    .join(",")
            }
        }
    }

    fn check(&mut self) {
        let text = self.text();
        self.error = self.check.and_then(|check| check(&text).err());
    }
}

/// The values of a form's fields, by their labels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a>(&'a [Entry]);

impl Values<'_> {
    /// The text of a field without spaces around it; several words are joined by commas.
    pub(crate) fn text(&self, label: &str) -> String {
        let entry = self.0.iter().find(|entry| entry.label == label);
        entry.map(Entry::text).unwrap_or_default()
    }

    /// The text of a field, unless it is empty.
    pub(crate) fn filled(&self, label: &str) -> Option<String> {
        Some(self.text(label)).filter(|text| !text.is_empty())
    }

    /// The words that are chosen in a field of many.
    pub(crate) fn chosen(&self, label: &str) -> Vec<String> {
        let entry = self.0.iter().find(|entry| entry.label == label);
        match entry.map(|entry| &entry.input) {
            Some(Input::Many { options, .. }) => {
                let chosen = options.iter().filter(|(_, on)| *on);
                chosen.map(|(word, _)| word.clone()).collect()
            }
            _ => self.filled(label).into_iter().collect(),
        }
    }

    /// Parses the text of a field; an error belongs to the field.
    pub(crate) fn parse<T>(&self, label: &'static str) -> Result<T, Complaint>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        let parsed = self.text(label).parse();
        parsed.map_err(|why: T::Err| Complaint::about(label, why.to_string()))
    }

    /// Parses the text of a field unless it is empty.
    pub(crate) fn parse_filled<T>(&self, label: &'static str) -> Result<Option<T>, Complaint>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        match self.filled(label) {
            Some(_) => self.parse(label).map(Some),
            None => Ok(None),
        }
    }
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    label: &'static str,
    why: String,
}

impl Complaint {
    /// What is wrong with the field of this label.
    pub(crate) fn about(label: &'static str, why: impl Into<String>) -> Self {
        Self {
            label,
            why: why.into(),
        }
    }
}

/// What a filled form leads to: the rows that will be written, in words, and the change itself.
#[derive(Debug)]
pub(crate) struct Review {
    /// What will happen.
    pub(crate) facts: Vec<Fact>,
    /// The change.
    pub(crate) change: Change,
}

/// Makes the change of the values.
pub(crate) type Submit = Box<dyn Fn(Values<'_>, &Context) -> Result<Review, Complaint> + Send>;

/// Says what the values would lead to, while they are being typed.
pub(crate) type Preview = Box<dyn Fn(Values<'_>, &Context) -> Vec<Fact> + Send>;

/// What to do after the change was made.
pub(crate) type Then = Box<dyn Fn(Values<'_>, &Context) -> Vec<Step> + Send>;

/// What will be written, and how far that is.
struct Written {
    facts: Vec<Fact>,
    /// The first fact that is shown.
    skip: usize,
    /// The change; gone while it is under way.
    change: Option<Box<Change>>,
    /// Whether nobody knows what became of it.
    is_lost: bool,
}

/// Says what must be typed before the values are written, and the verb for it, if they are grave.
pub(crate) type Guard = Box<dyn Fn(Values<'_>) -> Option<(&'static str, String)> + Send>;

/// Says what to read for the values, if they name something.
pub(crate) type Named = Box<dyn Fn(Values<'_>) -> Option<Query> + Send>;

/// Says in words what was read.
pub(crate) type Describe = Box<dyn Fn(Answer, &Context) -> Vec<Fact> + Send>;

/// What a form reads while it is filled, because its values name something that it does not know.
pub(crate) struct Lookup {
    /// What to read for the values, if they name something.
    pub(crate) query: Named,
    /// What the answer says, in words.
    pub(crate) describe: Describe,
}

/// What a form has read.
struct LookedUp {
    lookup: Lookup,
    /// What was asked last.
    asked: Option<Query>,
    facts: Vec<Fact>,
}

/// A form.
pub(crate) struct Form {
    title: String,
    entries: Vec<Entry>,
    place: usize,
    submit: Submit,
    preview: Option<Preview>,
    then: Option<Then>,
    guard: Option<Guard>,
    looked_up: Option<LookedUp>,
    review: Option<Written>,
    error: Option<String>,
    /// The first line of fields that is shown; drawing moves it to where the cursor is.
    skip: std::cell::Cell<usize>,
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form")
            .field("title", &self.title)
            .field("entries", &self.entries)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Form {
    /// A form of these fields.
    pub(crate) fn new(title: impl Into<String>, entries: Vec<Entry>, submit: Submit) -> Self {
        Self {
            title: title.into(),
            entries,
            place: 0,
            submit,
            preview: None,
            then: None,
            guard: None,
            looked_up: None,
            review: None,
            error: None,
            skip: std::cell::Cell::new(0),
        }
    }

    /// The same with lines that say what the values would lead to.
    pub(crate) fn previewing(mut self, preview: Preview) -> Self {
        self.preview = Some(preview);
        self
    }

    /// The same with steps that follow once the change was made.
    pub(crate) fn then(mut self, then: Then) -> Self {
        self.then = Some(then);
        self
    }

    /// The same with a further question, in a window of its own, before grave values are written.
    pub(crate) fn guarded(mut self, guard: Guard) -> Self {
        self.guard = Some(guard);
        self
    }

    /// The same with lines about what the values name, which are read while it is filled.
    pub(crate) fn looking_up(mut self, lookup: Lookup) -> Self {
        self.looked_up = Some(LookedUp {
            lookup,
            asked: None,
            facts: Vec::new(),
        });
        self
    }

    /// Reads what the values name, once they name something else than before.
    fn look_up(&mut self) -> Vec<Step> {
        let Some(known) = &mut self.looked_up else {
            return Vec::new();
        };
        let query = (known.lookup.query)(Values(&self.entries));
        if query == known.asked {
            return Vec::new();
        }
        known.asked.clone_from(&query);
        known.facts.clear();
        let load = query.map(|query| Step::Load(LOOKED_UP, query));
        load.into_iter().collect()
    }

    /// What was read of what the values name.
    fn looked_up(&self) -> &[Fact] {
        self.looked_up.as_ref().map_or(&[], |known| &known.facts)
    }

    /// What the confirmed review leads to: the change, or the question before it.
    fn confirmed(&mut self) -> Vec<Step> {
        let review = self.review.as_mut();
        let Some((facts, change)) =
            review.and_then(|review| Some((review.facts.clone(), review.change.take()?)))
        else {
            return Vec::new();
        };
        let guard = self.guard.as_ref();
        match guard.and_then(|guard| guard(Values(&self.entries))) {
            Some((verb, word)) => {
                let title = self.title.clone();
                let gravity = Gravity::Final(word);
                let confirm = Confirm::new(title, verb, facts, gravity, *change);
                vec![Step::Close, Step::Open(Box::new(confirm.without_reason()))]
            }
            None => vec![Step::Change(change)],
        }
    }

    fn leave(&mut self, forward: bool) {
        if let Some(entry) = self.entries.get_mut(self.place) {
            entry.check();
        }
        let count = self.entries.len().max(1);
        let step = if forward { 1 } else { count - 1 };
        self.place = (self.place + step) % count;
    }

    fn submit(&mut self, context: &Context) {
        for entry in &mut self.entries {
            entry.check();
        }
        if let Some(place) = self.entries.iter().position(|entry| entry.error.is_some()) {
            self.place = place;
            return;
        }
        match (self.submit)(Values(&self.entries), context) {
            Ok(review) => {
                let mut facts = review.facts;
                facts.extend_from_slice(self.looked_up());
                self.review = Some(Written {
                    facts,
                    skip: 0,
                    change: Some(Box::new(review.change)),
                    is_lost: false,
                });
            }
            Err(complaint) => {
                let named = |entry: &Entry| entry.label == complaint.label;
                match self.entries.iter().position(named) {
                    Some(place) => {
                        self.place = place;
                        self.entries[place].error = Some(complaint.why);
                    }
                    None => self.error = Some(complaint.why),
                }
            }
        }
    }

    fn edit(&mut self, key: Key) {
        let Some(entry) = self.entries.get_mut(self.place) else {
            return;
        };
        match &mut entry.input {
            Input::Line(field) => {
                if field.key(key) {
                    entry.error = None;
                }
            }
            Input::One { options, chosen } => {
                let count = options.len().max(1);
                match key.code {
                    KeyCode::Right | KeyCode::Char(' ') => *chosen = (*chosen + 1) % count,
                    KeyCode::Left => *chosen = (*chosen + count - 1) % count,
                    _ => {}
                }
            }
            Input::Many { options, place } => edit_many(options, place, key),
        }
    }

    fn review_key(&mut self, key: Key) -> Vec<Step> {
        let Some(review) = &mut self.review else {
            return Vec::new();
        };
        let last = review.facts.len().saturating_sub(1);
        match key.code {
            KeyCode::Char('y') => return self.confirmed(),
            KeyCode::Down | KeyCode::PageDown => review.skip = (review.skip + 1).min(last),
            KeyCode::Up | KeyCode::PageUp => review.skip = review.skip.saturating_sub(1),
            // The same form again would do the same again.
            KeyCode::Esc if review.is_lost => return vec![Step::Close],
            // A change that is under way cannot be edited any more.
            KeyCode::Esc if review.change.is_some() => {
                self.review = None;
                self.error = None;
            }
            _ => {}
        }
        Vec::new()
    }
}

/// The slot of what the values name.
const LOOKED_UP: Slot = 0;

/// What a window says of a change whose answer was lost.
pub(crate) const LOST: &str =
    "The answer was lost: it may have been done or not. Look before you do it again.";

/// A letter goes to the next word that begins with it: there may be many words.
fn edit_many(options: &mut [(String, bool)], place: &mut usize, key: Key) {
    let count = options.len().max(1);
    match key.code {
        KeyCode::Right => *place = (*place + 1) % count,
        KeyCode::Left => *place = (*place + count - 1) % count,
        KeyCode::Char(' ') => {
            if let Some((_, on)) = options.get_mut(*place) {
                *on = !*on;
            }
        }
        KeyCode::Char(letter) => {
            let next = (1..=count).map(|step| (*place + step) % count);
            let fits = |at: &usize| options.get(*at).is_some_and(|(w, _)| w.starts_with(letter));
            if let Some(at) = next.into_iter().find(fits) {
                *place = at;
            }
        }
        _ => {}
    }
}

impl Window for Form {
    fn key(&mut self, key: Key, context: &Context) -> Vec<Step> {
        if self.review.is_some() {
            return self.review_key(key);
        }
        self.error = None;
        match key.code {
            KeyCode::Esc => return vec![Step::Close],
            KeyCode::Tab | KeyCode::Down => self.leave(true),
            KeyCode::BackTab | KeyCode::Up => self.leave(false),
            KeyCode::Enter if self.place + 1 < self.entries.len() => self.leave(true),
            KeyCode::Enter => self.submit(context),
            _ if key == Key::control('s') => self.submit(context),
            _ => self.edit(key),
        }
        self.look_up()
    }

    fn paste(&mut self, text: &str, _context: &Context) -> Vec<Step> {
        let entry = self.entries.get_mut(self.place);
        if let Some(Entry {
            input: Input::Line(field),
            error,
            ..
        }) = entry.filter(|_| self.review.is_none())
        {
            field.paste(text);
            *error = None;
        }
        self.look_up()
    }

    fn receive(&mut self, slot: Slot, answer: Answer, context: &Context) -> Vec<Step> {
        if let Some(known) = self.looked_up.as_mut().filter(|_| slot == LOOKED_UP) {
            known.facts = (known.lookup.describe)(answer, context);
        }
        Vec::new()
    }

    fn done(
        &mut self,
        change: Box<Change>,
        result: &Result<Outcome, Problem>,
        context: &Context,
    ) -> Vec<Step> {
        let Err(problem) = result else {
            let values = Values(&self.entries);
            let then = self.then.as_ref().map(|then| then(values, context));
            let mut steps = vec![Step::Close];
            steps.extend(then.unwrap_or_default());
            return steps;
        };
        if let Some(review) = &mut self.review {
            review.is_lost = problem.is_lost;
            if problem.is_lost {
                self.error = Some(LOST.to_owned());
            } else {
                self.error = Some(problem.sentence.clone());
                review.change = Some(change);
            }
        }
        Vec::new()
    }

    fn hints(&self, _context: &Context) -> Vec<(String, &'static str)> {
        if self.review.as_ref().is_some_and(|review| review.is_lost) {
            return vec![("esc".to_owned(), "close")];
        }
        if self.review.is_some() {
            return vec![
                ("y".to_owned(), "write it"),
                ("esc".to_owned(), "back to the form"),
            ];
        }
        vec![
            ("tab".to_owned(), "next field"),
            ("ctrl-s".to_owned(), "review"),
            ("esc".to_owned(), "cancel (nothing is written yet)"),
        ]
    }

    fn draw(
        &self,
        area: ratatui::layout::Rect,
        buffer: &mut ratatui::buffer::Buffer,
        context: &Context,
    ) -> Option<ratatui::layout::Position> {
        self.draw_in(area, buffer, context)
    }
}
