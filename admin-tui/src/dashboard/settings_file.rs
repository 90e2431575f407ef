//! The dashboard's settings file: `$XDG_CONFIG_HOME/tollgate-admin/config.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use tollgate_common::role::Role;

use super::charset::Charset;
use super::keys::{Binding, Keymap};
use super::screens;
use super::theme::ThemeName;
use crate::cli::error::Failure;

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
    /// Whether frames are marked, so that the terminal shows each whole.
    pub(crate) synchronized: Option<bool>,
    /// Keys.
    pub(crate) keymap: Keymap,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    theme: Option<String>,
    charset: Option<String>,
    environment: Option<String>,
    role: Option<String>,
    synchronized: Option<bool>,
    keys: BTreeMap<String, OneOrMore>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// Where the file is looked for.
pub(crate) fn path() -> PathBuf {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let home = || PathBuf::from(variable("HOME").unwrap_or_else(|| ".".to_owned()));
    let base = variable("XDG_CONFIG_HOME").map(PathBuf::from);
    base.unwrap_or_else(|| home().join(".config"))
        .join("tollgate-admin/config.toml")
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
        Self::parse(&text).map_err(|why| Failure::Usage(format!("{}: {why}", path.display())))
    }

    /// Reads the text of a file; an error says where and what would do.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let written: Written = toml::from_str(text).map_err(|error| error.to_string())?;
        let named = |name: &str, why: String| format!("{name} {why}");
        let entries: Vec<(String, Vec<String>)> = written
            .keys
            .into_iter()
            .map(|(action, keys)| match keys {
                OneOrMore::One(key) => (action, vec![key]),
                OneOrMore::More(keys) => (action, keys),
            })
            .collect();
        let tables: Vec<&'static [Binding]> =
            screens::TABLES.iter().map(|(_, table)| *table).collect();
        let theme = written.theme.map(|word| word.parse()).transpose();
        let charset = written.charset.map(|word| word.parse()).transpose();
        let role = written.role.map(|word| word.parse()).transpose();
        Ok(Self {
            theme: theme.map_err(|why| named("theme", why))?,
            charset: charset.map_err(|why| named("charset", why))?,
            environment: written.environment,
            role: role.map_err(|why| named("role", why))?,
            synchronized: written.synchronized,
            keymap: Keymap::new(&entries, &tables).map_err(|error| error.to_string())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_keeps_the_defaults_and_the_default_keys_do_not_clash() {
        let file = SettingsFile::parse("").unwrap();
        assert_eq!(file.theme, None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let why = |text: &str| SettingsFile::parse(text).unwrap_err();
        assert!(why("theme = 'blue'").contains("must be ansi"));
        assert!(why("colour = 1").contains("colour"));
        assert!(why("[keys]\nrefesh = 'r'").contains("refresh"));
        assert!(why("[keys]\nrefresh = 'ctrl-'").contains("keys.refresh"));
        assert!(why("[keys]\nrefresh = '?'").contains("both"));
        let file =
            SettingsFile::parse("theme = 'mono'\n[keys]\nrefresh = ['r', 'ctrl-r']").unwrap();
        assert_eq!(file.theme, Some(ThemeName::Mono));
    }
}
