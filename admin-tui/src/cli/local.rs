//! Subcommands that need no database: what this program can tell of itself.

use clap::{CommandFactory as _, Subcommand, ValueEnum as _};
use clap_complete::Shell;
use serde::Serialize;

use super::Arguments;
use super::error::Failure;
use super::output::{self, Column, Output, Row, joined, words};
use crate::dashboard::{KeyLine, SettingsFile, key_table};

mod config;

/// What needs no database.
#[derive(Debug, Subcommand)]
pub(crate) enum Local {
    /// Print completions for a shell
    Completions {
        /// Which shell
        #[arg(value_parser = shell)]
        shell: Shell,
    },
    /// Print the manual page
    Man {
        /// That of one noun, as team
        noun: Option<String>,
    },
    /// List the dashboard's keys as they are set
    Keys,
    /// The dashboard's own settings file
    #[command(subcommand)]
    Config(config::Verb),
}

fn shell(text: &str) -> Result<Shell, String> {
    Shell::from_str(text, false).map_err(|_| {
        let names = Shell::value_variants().iter().map(ToString::to_string);
        format!("must be {}", names.collect::<Vec<_>>().join(", "))
    })
}

/// Does what is asked.
pub(crate) fn run(output: Output, local: Local) -> Result<(), Failure> {
    match local {
        Local::Completions { shell } => completions(shell),
        Local::Man { noun } => manual(noun.as_deref()),
        Local::Keys => keys(output),
        Local::Config(verb) => config::run(output, &verb),
    }
}

fn completions(shell: Shell) -> Result<(), Failure> {
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

fn manual(noun: Option<&str>) -> Result<(), Failure> {
    let mut command = Arguments::command();
    command.build();
    if let Some(noun) = noun {
        let found = command.find_subcommand(noun).cloned();
        command = found.ok_or_else(|| {
            Failure::Usage(format!(
                "there is no noun '{noun}': see tollgate-admin --help"
            ))
        })?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(Failure::Output)?;
    output::print(&String::from_utf8_lossy(&page))
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct KeyView(KeyLine);

impl Row for KeyView {
    const COLUMNS: &'static [Column] = &[
        words("WHERE"),
        words("KEYS"),
        words("ACTION"),
        words("WHAT IT DOES"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.0.place.to_owned(),
            joined(&self.0.keys),
            self.0.action.to_owned(),
            self.0.label.to_owned(),
        ]
    }
}

fn keys(output: Output) -> Result<(), Failure> {
    let file = SettingsFile::read()?;
    let lines = key_table(&file.keymap).into_iter().map(KeyView);
    output.list(&lines.collect::<Vec<_>>(), "No keys.")
}
