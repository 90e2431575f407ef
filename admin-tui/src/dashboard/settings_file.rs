//! The dashboard's settings file: `$XDG_CONFIG_HOME/tollgate-admin/config.toml`. What it does not
//! know is an error that names the line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Deserialize;
use tollgate_common::role::Role;
use toml::Spanned;

use super::charset::Charset;
use super::keys::{Binding, EVERYWHERE, IN_LISTS, Keymap};
use super::screens;
use super::theme::ThemeName;
use crate::cli::error::Failure;
use crate::session::variable;

mod near;
#[cfg(test)]
mod tests;

pub(crate) use near::near;

/// What the file says.
#[derive(Debug, Clone, Default)]
pub(crate) struct SettingsFile {
    /// Colours.
    pub(crate) theme: Option<ThemeName>,
    /// Characters.
    pub(crate) charset: Option<Charset>,
    /// What the header calls the installation.
    pub(crate) environment: Option<String>,
    /// What may be done at most.
    pub(crate) role: Option<Role>,
    /// Whether the wheel scrolls from the start.
    pub(crate) mouse: Option<bool>,
    /// Whether frames are marked, so that the terminal shows each whole.
    pub(crate) synchronized: Option<bool>,
    /// Keys.
    pub(crate) keymap: Keymap,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    theme: Option<Spanned<String>>,
    charset: Option<Spanned<String>>,
    environment: Option<String>,
    role: Option<Spanned<String>>,
    mouse: Option<bool>,
    synchronized: Option<bool>,
    keys: BTreeMap<Spanned<String>, OneOrMore>,
}

/// The names at the top of the file.
const NAMES: [&str; 7] = [
    "theme",
    "charset",
    "environment",
    "role",
    "mouse",
    "synchronized",
    "keys",
];

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// What is wrong in a file, and in which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The line, from 1 on.
    pub(crate) line: usize,
    /// What is wrong, and what would do.
    pub(crate) message: String,
}

/// Where the file is looked for.
pub(crate) fn path() -> PathBuf {
    let home = || PathBuf::from(variable("HOME").unwrap_or_else(|| ".".to_owned()));
    let base = variable("XDG_CONFIG_HOME").map(PathBuf::from);
    base.unwrap_or_else(|| home().join(".config"))
        .join("tollgate-admin/config.toml")
}

/// The line of a place in a text, from 1 on.
fn line_of(text: &str, place: usize) -> usize {
    let before = text.get(..place).unwrap_or(text);
    before.matches('\n').count() + 1
}

/// A setting as the type that it stands for.
fn parsed<T: std::str::FromStr<Err = String>>(
    text: &str,
    name: &str,
    setting: Option<Spanned<String>>,
) -> Result<Option<T>, Mistake> {
    let Some(setting) = setting else {
        return Ok(None);
    };
    let value = setting.get_ref().parse::<T>();
    value.map(Some).map_err(|why| Mistake {
        line: line_of(text, setting.span().start),
        message: format!("{name} {why}"),
    })
}

impl SettingsFile {
    /// Reads the file; one that is not there says nothing.
    pub(crate) fn read() -> Result<Self, Failure> {
        let path = path();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Failure::Usage(format!("{}: {error}", path.display()))),
        };
        Self::parse(&text).map_err(|Mistake { line, message }| {
            Failure::Usage(format!("{}:{line}: {message}", path.display()))
        })
    }

    /// Reads the text of a file.
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let written: Written = toml::from_str(text).map_err(|error| unreadable(text, &error))?;
        Ok(Self {
            theme: parsed(text, "theme", written.theme)?,
            charset: parsed(text, "charset", written.charset)?,
            environment: written.environment,
            role: parsed(text, "role", written.role)?,
            mouse: written.mouse,
            synchronized: written.synchronized,
            keymap: keymap(text, written.keys)?,
        })
    }
}

fn unreadable(text: &str, error: &toml::de::Error) -> Mistake {
    let message = error.message();
    // The library names the unknown field between two backticks.
    let unknown = message.strip_prefix("unknown field `");
    let hint = unknown.and_then(|rest| {
        let (name, _) = rest.split_once('`')?;
        Some(format!("; did you mean {}?", near(name, &NAMES).first()?))
    });
    Mistake {
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        message: format!("{message}{}", hint.unwrap_or_default()),
    }
}

fn keymap(text: &str, written: BTreeMap<Spanned<String>, OneOrMore>) -> Result<Keymap, Mistake> {
    let mut lines: Vec<(String, usize)> = Vec::new();
    let mut entries: Vec<(String, Vec<String>)> = Vec::new();
    for (action, keys) in written {
        let line = line_of(text, action.span().start);
        let action = action.into_inner();
        lines.push((action.clone(), line));
        let keys = match keys {
            OneOrMore::One(key) => vec![key],
            OneOrMore::More(keys) => keys,
        };
        entries.push((action, keys));
    }
    let tables: Vec<&'static [Binding]> = screens::TABLES.iter().map(|(_, table)| *table).collect();
    Keymap::new(&entries, &tables).map_err(|error| {
        let named = error.actions();
        let line = lines
            .iter()
            .find(|(action, _)| named.contains(&action.as_str()));
        Mistake {
            line: line.map_or(1, |(_, line)| *line),
            message: error.to_string(),
        }
    })
}

const HEAD: &str = "\
# Settings of the dashboard. A line without '#' takes effect; an option of the command line wins.

# Colours: ansi (the terminal's own), dark, light or mono. NO_COLOR means mono.
# theme = \"ansi\"

# Characters: ascii, block or braille. Without it, the locale decides.
# charset = \"block\"

# What the header calls this installation.
# environment = \"production\"

# What may be done at most: viewer, operator or owner.
# role = \"owner\"

# Whether the wheel scrolls from the start; m switches it.
# mouse = false

# Whether frames are marked, so that the terminal shows each whole.
# synchronized = true

# Keys: an action, and one key or several. tollgate-admin keys lists all actions.
# [keys]
";

/// A file with all defaults as comments.
pub(crate) fn default_text() -> String {
    let mut text = HEAD.to_owned();
    let general = [("Everywhere", EVERYWHERE), ("Lists", IN_LISTS)];
    let mut known = Vec::new();
    for (place, table) in general.iter().chain(screens::TABLES) {
        let new: Vec<&Binding> = table
            .iter()
            .filter(|b| !known.contains(&b.action))
            .collect();
        if !new.is_empty() {
            let _ = writeln!(text, "# # {place}");
        }
        for binding in new {
            let action = binding.action.word();
            let mut same = screens::TABLES.iter().flat_map(|(_, table)| table.iter());
            // A line holds for all screens, which would take other screens' keys away.
            if same.any(|other| other.action == binding.action && other.keys != binding.keys) {
                let _ = writeln!(text, "# # {action} has a key of its own on some screens");
                known.push(binding.action);
                continue;
            }
            let keys: Vec<String> = binding.keys.iter().map(|key| format!("{key:?}")).collect();
            let _ = writeln!(
                text,
                "# {action} = [{}]  # {}",
                keys.join(", "),
                binding.label
            );
            known.push(binding.action);
        }
    }
    text
}
