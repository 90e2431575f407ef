//! The key table in effect: the defaults, changed by the user's key file.

use std::collections::HashMap;

use super::{Action, Binding, EVERYWHERE, IN_LISTS, Key};
use crate::dashboard::settings_file::near;
use crate::dashboard::tab::Tab;

/// Which keys start which action.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keymap {
    overrides: HashMap<Action, Vec<Key>>,
}

/// What is wrong in a key file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum KeymapError {
    /// There is no action of this name.
    #[error("keys: there is no action '{word}'; did you mean {near}?")]
    UnknownAction {
        /// The name.
        word: String,
        /// The names that are most like it.
        near: String,
    },
    /// A key is not written as keys are.
    #[error("keys.{action}: {why}")]
    Key {
        /// The action.
        action: String,
        /// What is wrong.
        why: String,
    },
    /// Two actions of one screen share a key.
    #[error("keys: '{key}' would start both {first} and {second}")]
    Clash {
        /// The key.
        key: String,
        /// One action.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
}

impl KeymapError {
    /// The actions that it is about, by their names.
    pub(crate) fn actions(&self) -> Vec<&str> {
        match self {
            Self::UnknownAction { word, .. } => vec![word],
            Self::Key { action, .. } => vec![action],
            Self::Clash { first, second, .. } => vec![first, second],
        }
    }
}

impl Keymap {
    /// Reads what the key file says; `screens` are the tables of all screens, in each of which no
    /// key may start two actions.
    pub(crate) fn new(
        entries: &[(String, Vec<String>)],
        screens: &[&'static [Binding]],
    ) -> Result<Self, KeymapError> {
        let mut overrides = HashMap::new();
        for (word, keys) in entries {
            let action = Action::of_word(word).ok_or_else(|| unknown(word, screens))?;
            let keys: Result<Vec<Key>, String> = keys.iter().map(|key| key.parse()).collect();
            let keys = keys.map_err(|why| KeymapError::Key {
                action: word.clone(),
                why,
            })?;
            overrides.insert(action, keys);
        }
        let keymap = Self { overrides };
        for screen in screens {
            keymap.check(screen)?;
        }
        Ok(keymap)
    }

    fn check(&self, screen: &'static [Binding]) -> Result<(), KeymapError> {
        let mut taken: HashMap<Key, Action> = HashMap::new();
        // A screen may take a key of lists for itself.
        let own: Vec<Key> = screen.iter().flat_map(|b| self.keys(b)).collect();
        let in_lists = IN_LISTS.iter().map(|binding| (binding, true));
        let others = screen.iter().chain(EVERYWHERE).map(|b| (b, false));
        for (binding, is_of_lists) in others.chain(in_lists) {
            for key in self.keys(binding) {
                if is_of_lists && own.contains(&key) {
                    continue;
                }
                match taken.insert(key, binding.action) {
                    Some(first) if first != binding.action => {
                        return Err(KeymapError::Clash {
                            key: key.to_string(),
                            first: first.word(),
                            second: binding.action.word(),
                        });
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// The keys of a binding.
    pub(crate) fn keys(&self, binding: &Binding) -> Vec<Key> {
        match self.overrides.get(&binding.action) {
            Some(keys) => keys.clone(),
            None => binding
                .keys
                .iter()
                .filter_map(|key| key.parse().ok())
                .collect(),
        }
    }

    /// The actions whose keys the key file changes, by name, and these keys.
    pub(crate) fn changed(&self) -> Vec<(&'static str, String)> {
        let shown = |keys: &Vec<Key>| {
            let keys: Vec<String> = keys.iter().map(Key::to_string).collect();
            if keys.is_empty() {
                "none".to_owned()
            } else {
                keys.join(" ")
            }
        };
        let changed = self.overrides.iter();
        let mut changed: Vec<_> = changed
            .map(|(action, keys)| (action.word(), shown(keys)))
            .collect();
        changed.sort_unstable();
        changed
    }

    /// How the first key of a binding is shown; empty if it has none.
    pub(crate) fn shown(&self, binding: &Binding) -> String {
        let keys = self.keys(binding);
        keys.first().map(Key::to_string).unwrap_or_default()
    }

    /// What a key starts on a screen with this table.
    pub(crate) fn action(&self, screen: &[Binding], key: Key) -> Option<Action> {
        let tables = screen.iter().chain(IN_LISTS).chain(EVERYWHERE);
        let bound = tables
            .into_iter()
            .find(|binding| self.keys(binding).contains(&key));
        bound
            .map(|binding| binding.action)
            .or_else(|| Tab::of_key(key).map(Action::Go))
    }
}

fn unknown(word: &str, screens: &[&'static [Binding]]) -> KeymapError {
    let tables = screens.iter().flat_map(|table| table.iter());
    let bindings = tables.chain(IN_LISTS).chain(EVERYWHERE);
    let words: Vec<&str> = bindings.map(|binding| binding.action.word()).collect();
    KeymapError::UnknownAction {
        word: word.to_owned(),
        near: near(word, &words).join(", "),
    }
}
