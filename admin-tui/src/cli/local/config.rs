//! `tollgate-admin config`: the dashboard's own settings file, not that of the proxy.

use clap::Subcommand;
use serde::Serialize;
use tollgate_common::role::Role;

use crate::cli::error::Failure;
use crate::cli::output::{self, Output, Show, or_dash};
use crate::dashboard::{Charset, SettingsFile, ThemeName, default_settings, settings_path};

/// What can be done with the settings file.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Say whether the file is valid, and if not, what is wrong in which line
    Check,
    /// Print a file with all defaults, each with what it means
    Default,
    /// Show what the file says
    Show,
}

#[derive(Debug, Serialize)]
struct SettingsView {
    file: String,
    exists: bool,
    theme: Option<&'static str>,
    charset: Option<&'static str>,
    environment: Option<String>,
    role: Option<&'static str>,
    mouse: Option<bool>,
    synchronized: Option<bool>,
    keys: Vec<String>,
}

impl SettingsView {
    fn new(file: &SettingsFile) -> Self {
        let path = settings_path();
        let keys = file.keymap.changed().into_iter();
        Self {
            exists: path.exists(),
            file: path.display().to_string(),
            theme: file.theme.map(ThemeName::word),
            charset: file.charset.map(Charset::word),
            environment: file.environment.clone(),
            role: file.role.map(Role::word),
            mouse: file.mouse,
            synchronized: file.synchronized,
            keys: keys
                .map(|(action, keys)| format!("{action}: {keys}"))
                .collect(),
        }
    }
}

impl Show for SettingsView {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let file = if self.exists {
            self.file.clone()
        } else {
            format!("{} (not there)", self.file)
        };
        let mut fields = vec![
            ("file", file),
            ("theme", or_dash(self.theme)),
            ("charset", or_dash(self.charset)),
            ("environment", or_dash(self.environment.as_ref())),
            ("role", or_dash(self.role)),
            ("mouse", or_dash(self.mouse)),
            ("synchronized", or_dash(self.synchronized)),
        ];
        fields.extend(self.keys.iter().map(|keys| ("keys", keys.clone())));
        fields
    }
}

/// Does what the verb says.
pub(super) fn run(output: Output, verb: &Verb) -> Result<(), Failure> {
    match verb {
        Verb::Default => output::print(&default_settings()),
        Verb::Show => output.one(&SettingsView::new(&SettingsFile::read()?)),
        Verb::Check => {
            let view = SettingsView::new(&SettingsFile::read()?);
            let sentence = if view.exists {
                format!("{} is valid.", view.file)
            } else {
                format!("There is no {}: the defaults hold.", view.file)
            };
            output.done(&view, &sentence)
        }
    }
}
