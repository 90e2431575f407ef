//! The screens: one noun a file, each with its state, its keys, what it does and how it looks.

use std::fmt;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::clock::Timestamp;

use super::context::Context;
use super::keys::{Action, Binding};
use super::problem::Problem;
use super::step::{Slot, Step};
use super::store::{Answer, Found};
use super::tab::Tab;

pub(crate) mod audit;
pub(crate) mod credits;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod models;
pub(crate) mod orgs;
pub(crate) mod overview;
pub(crate) mod providers;
mod sections;
pub(crate) mod settings;
pub(crate) mod teams;

/// A place that shows something and reacts to keys. Nothing here reads or writes anything outside:
/// what a screen wants is said in steps.
pub(crate) trait Screen: fmt::Debug + Send {
    /// The tab that it belongs to.
    fn tab(&self) -> Tab;

    /// What stands after the tab's title in the breadcrumb: `acme-search`.
    fn crumb(&self) -> Option<String> {
        None
    }

    /// The filter in effect, for the header.
    fn filter(&self) -> Option<&str> {
        None
    }

    /// What its keys do here.
    fn bindings(&self) -> &'static [Binding];

    /// Why an action is not possible now, if so.
    fn refusal(&self, _action: Action, _context: &Context) -> Option<String> {
        None
    }

    /// What to read: when it opens and whenever something may have changed.
    fn refresh(&mut self, context: &Context) -> Vec<Step>;

    /// Takes what was read for one of its slots.
    fn receive(&mut self, slot: Slot, answer: Answer, context: &Context) -> Vec<Step>;

    /// Takes note that something could not be read.
    fn fail(&mut self, _slot: Slot, _problem: &Problem) {}

    /// Does what one of its keys starts.
    fn act(&mut self, action: Action, context: &Context) -> Vec<Step>;

    /// Takes a filter text. An error is shown where it is typed.
    fn set_filter(&mut self, _text: &str, _context: &Context) -> Result<Vec<Step>, String> {
        Err("this screen has nothing to filter".to_owned())
    }

    /// Sorts its list by the order of this place in its menu of orders.
    fn sort(&mut self, _order: usize, _context: &Context) -> Vec<Step> {
        Vec::new()
    }

    /// What Tab would complete a filter to: the text before the cursor, changed.
    fn complete_filter(&self, _text: &str) -> Vec<String> {
        Vec::new()
    }

    /// When it wants to be drawn again though nothing happens, as for ages that grow.
    fn next_look(&self, _context: &Context) -> Option<Timestamp> {
        None
    }

    /// The status line: where the list is, what is marked.
    fn status(&self, _context: &Context) -> String {
        String::new()
    }

    /// Draws itself.
    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context);
}

/// The root screen of a tab.
pub(crate) fn root(tab: Tab) -> Box<dyn Screen> {
    match tab {
        Tab::Overview => Box::new(overview::Overview::default()),
        Tab::Jobs => Box::new(jobs::Jobs::default()),
        Tab::Teams => Box::new(teams::Teams::default()),
        Tab::Orgs => Box::new(orgs::Orgs::default()),
        Tab::Keys => Box::new(keys::Keys::default()),
        Tab::Credits => Box::new(credits::Credits::default()),
        Tab::Models => Box::new(models::Models::default()),
        Tab::Providers => Box::new(providers::Providers::default()),
        Tab::Audit => Box::new(audit::Audit::default()),
        Tab::Settings => Box::new(settings::Settings::default()),
    }
}

/// The key tables of all screens, for the check of a key file and for the manual.
pub(crate) const TABLES: &[(&str, &[Binding])] = &[
    ("Overview", overview::BINDINGS),
    ("Jobs", jobs::BINDINGS),
    ("Job", jobs::job::BINDINGS),
    ("Call", jobs::call::BINDINGS),
    ("Teams", teams::BINDINGS),
    ("Orgs", orgs::BINDINGS),
    ("Keys", keys::BINDINGS),
    ("Credits", credits::BINDINGS),
    ("Models", models::BINDINGS),
    ("Groups", models::groups::BINDINGS),
    ("Model", models::detail::BINDINGS),
    ("Providers", providers::BINDINGS),
    ("Provider", providers::detail::BINDINGS),
    ("Audit", audit::BINDINGS),
    ("Settings", settings::BINDINGS),
];

/// How to get to an object that was searched for.
pub(crate) fn place_of(found: &Found) -> Vec<Step> {
    let tab = match found.noun {
        "team" => Tab::Teams,
        "org" => Tab::Orgs,
        "key" => Tab::Keys,
        "model" => Tab::Models,
        "provider" => Tab::Providers,
        _ => Tab::Jobs,
    };
    // Free text would find others too whose names hold this one.
    let screen = root(tab);
    let exact = ["id:", &format!("{}:", found.noun)]
        .into_iter()
        .find(|word| {
            screen
                .complete_filter(word.trim_end_matches(':'))
                .iter()
                .any(|w| w == word)
        })
        .map(|word| format!("{word}{}", found.id));
    let text = exact.unwrap_or_else(|| found.id.clone());
    vec![Step::Go(tab), Step::Filter(text, true)]
}
