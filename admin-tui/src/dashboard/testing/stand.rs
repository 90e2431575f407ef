//! A dashboard whose questions a function answers.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect, Size};

use super::{NOW, context, dump};
use crate::dashboard::change::Change;
use crate::dashboard::message::Message;
use crate::dashboard::model::Model;
use crate::dashboard::step::Effect;
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::theme::{Theme, ThemeName};
use crate::dashboard::view::view;

/// Answers what a test knows.
pub(crate) type Answers = fn(&Query) -> Option<Answer>;

/// A dashboard, what it has asked and what it has wanted to change.
pub(crate) struct Stand {
    pub(crate) model: Model,
    pub(crate) asked: Vec<Query>,
    pub(crate) changes: Vec<Change>,
    answers: Answers,
}

impl Stand {
    /// A dashboard of this size.
    pub(crate) fn new((width, height): (u16, u16), answers: Answers) -> Self {
        let mut looks = context();
        looks.size = Size::new(width, height);
        Self {
            model: Model::new(looks, true),
            asked: Vec::new(),
            changes: Vec::new(),
            answers,
        }
    }

    /// Takes all colours away.
    pub(crate) fn mono(mut self) -> Self {
        self.model.context.theme = Theme::of(ThemeName::Mono);
        self
    }

    /// Presses keys, with spaces between them.
    pub(crate) fn press(&mut self, keys: &str) {
        for key in keys.split(' ') {
            let message = Message::Key(key.parse().unwrap());
            let effects = self.model.update(NOW, message);
            self.settle(effects);
        }
    }

    /// Types a text.
    pub(crate) fn write(&mut self, text: &str) {
        for character in text.chars() {
            let key = if character == ' ' {
                "space".to_owned()
            } else {
                character.to_string()
            };
            self.press(&key);
        }
    }

    fn settle(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Load(ticket, query) => {
                    let answer = (self.answers)(&query);
                    self.asked.push(query);
                    if let Some(answer) = answer {
                        let message = Message::Answer(ticket, Box::new(Ok(answer)));
                        let effects = self.model.update(NOW, message);
                        self.settle(effects);
                    }
                }
                Effect::Change(_, change) => self.changes.push(*change),
                _ => {}
            }
        }
    }

    /// What is on the screen.
    pub(crate) fn look(&self) -> String {
        let area = Rect::from((Position::ORIGIN, self.model.context.size));
        let mut buffer = Buffer::empty(area);
        view(&self.model, &mut buffer);
        dump(&buffer)
    }
}
