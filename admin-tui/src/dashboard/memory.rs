//! What the dashboard remembers of its user: what was typed into the palette, and saved filters,
//! which outlast the program in a file of the state folder.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files;
use super::tab::Tab;

/// How many commands are remembered.
const HISTORY_MAX: usize = 50;

/// How many filters may be saved.
const FILTERS_MAX: usize = 200;

/// The file of saved filters.
const FILE: &str = "filters.json";

/// A filter with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedFilter {
    /// Its name.
    pub(crate) name: String,
    /// The word of the screen that it is for.
    pub(crate) screen: String,
    /// The filter.
    pub(crate) text: String,
}

impl SavedFilter {
    /// The screen that it is for, if there still is such a screen.
    pub(crate) fn tab(&self) -> Option<Tab> {
        Tab::ALL.into_iter().find(|tab| tab.word() == self.screen)
    }
}

/// What is remembered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    /// What was typed into the palette, the latest last.
    pub(crate) history: Vec<String>,
    /// Saved filters.
    pub(crate) filters: Vec<SavedFilter>,
}

impl Memory {
    /// Remembers a command.
    pub(crate) fn remember(&mut self, text: String) {
        self.history.retain(|known| *known != text);
        if self.history.len() == HISTORY_MAX {
            self.history.remove(0);
        }
        self.history.push(text);
    }

    /// Keeps a filter in the place of any other of its name.
    pub(crate) fn keep(&mut self, filter: SavedFilter) {
        put(&mut self.filters, filter);
    }

    /// Forgets a saved filter.
    pub(crate) fn forget(&mut self, name: &str) {
        self.filters.retain(|known| known.name != name);
    }
}

fn put(filters: &mut Vec<SavedFilter>, filter: SavedFilter) {
    filters.retain(|known| known.name != filter.name);
    filters.push(filter);
    filters.sort_by(|one, other| one.name.cmp(&other.name));
}

/// Reads the saved filters.
pub(crate) fn read(folder: &Path) -> io::Result<Vec<SavedFilter>> {
    match std::fs::read_to_string(folder.join(FILE)) {
        Ok(text) => serde_json::from_str(&text).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Saves a filter beside those that are in the file, which another dashboard may have changed.
pub(crate) fn save(folder: &Path, filter: &SavedFilter) -> io::Result<()> {
    let mut filters = read(folder)?;
    put(&mut filters, filter.clone());
    if filters.len() > FILTERS_MAX {
        let why = format!("there are {FILTERS_MAX} saved filters already: forget one first");
        return Err(io::Error::other(why));
    }
    write(folder, &filters)
}

/// Takes a saved filter out of the file.
pub(crate) fn forget(folder: &Path, name: &str) -> io::Result<()> {
    let mut filters = read(folder)?;
    filters.retain(|known| known.name != name);
    write(folder, &filters)
}

fn write(folder: &Path, filters: &[SavedFilter]) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(filters)?;
    text.push('\n');
    files::replace(folder, FILE, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(name: &str, text: &str) -> SavedFilter {
        SavedFilter {
            name: name.to_owned(),
            screen: "jobs".to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn filters_outlast_the_program() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("state");
        assert_eq!(read(&folder).unwrap(), []);
        save(&folder, &filter("stuck", "status:pending since:1d")).unwrap();
        save(&folder, &filter("bad", "status:failed")).unwrap();
        save(&folder, &filter("stuck", "status:pending")).unwrap();
        let both = [
            filter("bad", "status:failed"),
            filter("stuck", "status:pending"),
        ];
        assert_eq!(read(&folder).unwrap(), both);
        forget(&folder, "bad").unwrap();
        assert_eq!(read(&folder).unwrap(), both[1..]);
        std::fs::write(folder.join(FILE), "[{}]").unwrap();
        assert!(
            save(&folder, &both[0]).is_err(),
            "what is not understood stays"
        );
    }

    #[test]
    fn commands_are_remembered_once_and_not_for_ever() {
        let mut memory = Memory::default();
        for number in 0..HISTORY_MAX + 5 {
            memory.remember(number.to_string());
        }
        memory.remember("10".to_owned());
        assert_eq!(memory.history.len(), HISTORY_MAX);
        assert_eq!(memory.history.last().unwrap(), "10");
        assert_eq!(memory.history[0], "5");
    }
}
