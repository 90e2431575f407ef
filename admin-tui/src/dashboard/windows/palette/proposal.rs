//! What the palette proposes.

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use crate::dashboard::context::Context;
use crate::dashboard::keys::{Action, Binding, EVERYWHERE};
use crate::dashboard::memory::SavedFilter;
use crate::dashboard::screens::Screen;
use crate::dashboard::store::Found;
use crate::dashboard::tab::Tab;
use crate::dashboard::theme::ThemeName;

/// What the palette can do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Choice {
    /// Go to a screen.
    Go(Tab),
    /// Go to a screen with a filter.
    Filtered(Tab, String),
    /// The same with a saved filter of this name.
    Saved(Tab, String, String),
    /// Do what a key does.
    Act(Action),
    /// Go to an object.
    Open(Found),
    /// Take other colours.
    Theme(ThemeName),
    /// End the program.
    Quit,
}

/// One line.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    /// What is typed for it.
    pub(super) text: String,
    /// The key that does the same, or what it is.
    pub(super) remark: String,
    /// Why it cannot be done now.
    pub(super) refusal: Option<String>,
    /// What it does.
    pub(super) choice: Choice,
}

impl Proposal {
    fn new(text: impl Into<String>, remark: impl Into<String>, choice: Choice) -> Self {
        Self {
            text: text.into(),
            remark: remark.into(),
            refusal: None,
            choice,
        }
    }

    /// Whether it is the saved filter of this name.
    pub(super) fn is_saved_as(&self, name: &str) -> bool {
        matches!(&self.choice, Choice::Saved(_, _, known) if known == name)
    }

    /// An object that was found.
    pub(super) fn object(found: Found) -> Self {
        let text = format!("{} {}", found.noun, found.id);
        // Many are called what their id says.
        let remark = if found.label == found.id {
            String::new()
        } else {
            found.label.clone()
        };
        Self::new(text, remark, Choice::Open(found))
    }
}

/// Everything but objects, which are searched for.
pub(super) fn all(
    screen: &dyn Screen,
    context: &Context,
    filters: &[SavedFilter],
) -> Vec<Proposal> {
    let action = |binding: &Binding| Proposal {
        refusal: context
            .refusal(binding.action)
            .or_else(|| screen.refusal(binding.action, context)),
        ..Proposal::new(
            binding.label,
            context.keymap.shown(binding),
            Choice::Act(binding.action),
        )
    };
    let tabs = Tab::ALL.map(|tab| {
        let remark = format!("go to {}", tab.digit());
        Proposal::new(tab.word(), remark, Choice::Go(tab))
    });
    let saved = filters.iter().filter_map(|saved| {
        let (tab, text) = (saved.tab()?, saved.text.clone());
        let remark = format!("{} {text}", tab.word());
        let choice = Choice::Saved(tab, text, saved.name.clone());
        Some(Proposal::new(saved.name.clone(), remark, choice))
    });
    let themes = ThemeName::ALL.map(|theme| {
        let text = format!("theme {}", theme.word());
        Proposal::new(text, "colours", Choice::Theme(theme))
    });
    let is_useful = |binding: &&Binding| {
        !matches!(
            binding.action,
            Action::Palette | Action::Leave | Action::Back | Action::Quit
        )
    };
    let mut all: Vec<Proposal> = tabs.into_iter().collect();
    all.extend(screen.bindings().iter().map(action));
    all.extend(saved);
    all.extend(EVERYWHERE.iter().filter(is_useful).map(action));
    all.extend(themes);
    all.push(Proposal::new("quit", "q", Choice::Quit));
    all
}

/// Those that fit a text, the best first.
pub(super) fn ranked(all: &[Proposal], text: &str) -> Vec<Proposal> {
    let mut matcher = Matcher::new(Config::DEFAULT);
    let pattern = Pattern::parse(text, CaseMatching::Ignore, Normalization::Smart);
    let mut ranked: Vec<(u32, &Proposal)> = all
        .iter()
        .filter_map(|proposal| {
            let mut characters = Vec::new();
            let haystack = Utf32Str::new(&proposal.text, &mut characters);
            Some((pattern.score(haystack, &mut matcher)?, proposal))
        })
        .collect();
    ranked.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    ranked
        .into_iter()
        .map(|(_, proposal)| proposal.clone())
        .collect()
}
