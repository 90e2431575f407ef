//! The key table as lines, for the subcommand that lists it.

use serde::Serialize;

use super::{Binding, EVERYWHERE, IN_LISTS, Key, Keymap};
use crate::dashboard::screens;
use crate::dashboard::tab::Tab;

/// What some keys do somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct KeyLine {
    /// Where: a screen, `Lists` or `Everywhere`.
    pub(crate) place: &'static str,
    /// The keys.
    pub(crate) keys: Vec<String>,
    /// The action's name in the settings file.
    pub(crate) action: &'static str,
    /// What it does.
    pub(crate) label: &'static str,
}

/// All keys, first those that work everywhere.
pub(crate) fn key_table(keymap: &Keymap) -> Vec<KeyLine> {
    let line = |place, binding: &Binding| KeyLine {
        place,
        keys: keymap.keys(binding).iter().map(Key::to_string).collect(),
        action: binding.action.word(),
        label: binding.label,
    };
    let general = [("Everywhere", EVERYWHERE), ("Lists", IN_LISTS)];
    let tabs = Tab::ALL.map(|tab| KeyLine {
        place: "Everywhere",
        keys: vec![tab.digit().to_string()],
        action: tab.word(),
        label: tab.title(),
    });
    let tables = general.iter().chain(screens::TABLES);
    let lines = tables.flat_map(|(place, table)| table.iter().map(|binding| line(*place, binding)));
    tabs.into_iter().chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_of_a_screen_has_a_line() {
        let lines = key_table(&Keymap::default());
        for (place, table) in screens::TABLES {
            for binding in *table {
                let found = lines
                    .iter()
                    .any(|line| line.place == *place && line.action == binding.action.word());
                assert!(found, "{place}: {}", binding.label);
            }
        }
        let help = lines.iter().find(|line| line.action == "help");
        assert_eq!(
            help.map(|line| line.keys.clone()),
            Some(vec!["?".to_owned()])
        );
    }
}
