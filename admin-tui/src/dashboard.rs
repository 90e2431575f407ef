//! The dashboard: the whole business in a terminal.
//!
//! One `Model`; `update` takes what has happened and returns what is to be done; `view` draws the
//! model; the `Runner` carries out effects and draws. Only `store` and `surface` touch the world.

mod change;
mod charset;
mod clipboard;
mod context;
mod crash;
pub(crate) mod export;
mod files;
mod format;
mod keys;
mod memory;
mod message;
mod model;
mod open;
mod problem;
mod runner;
mod screens;
mod settings_file;
mod step;
mod store;
mod surface;
mod tab;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod theme;
mod update;
mod view;
mod widgets;
mod windows;

pub(crate) use charset::Charset;
pub(crate) use keys::{KeyLine, key_table};
pub(crate) use open::{Looks, run};
pub(crate) use settings_file::{
    SettingsFile, default_text as default_settings, path as settings_path,
};
pub(crate) use theme::ThemeName;
