//! The ten places of the dashboard.

use crossterm::event::{KeyCode, KeyModifiers};

use super::keys::Key;

/// A place of the dashboard, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Tab {
    /// What goes on now.
    Overview,
    /// Jobs and their calls.
    Jobs,
    /// Teams.
    Teams,
    /// Organizations.
    Orgs,
    /// Virtual keys.
    Keys,
    /// Balances, holds and the ledger.
    Credits,
    /// Models and groups.
    Models,
    /// Providers and their keys.
    Providers,
    /// What administrators did.
    Audit,
    /// What this is connected to, and how it looks.
    Settings,
}

impl Tab {
    /// All, in their order.
    pub(crate) const ALL: [Self; 10] = [
        Self::Overview,
        Self::Jobs,
        Self::Teams,
        Self::Orgs,
        Self::Keys,
        Self::Credits,
        Self::Models,
        Self::Providers,
        Self::Audit,
        Self::Settings,
    ];

    /// Its name in the palette and in files.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Jobs => "jobs",
            Self::Teams => "teams",
            Self::Orgs => "orgs",
            Self::Keys => "keys",
            Self::Credits => "credits",
            Self::Models => "models",
            Self::Providers => "providers",
            Self::Audit => "audit",
            Self::Settings => "settings",
        }
    }

    /// Its name as a title.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Jobs => "Jobs",
            Self::Teams => "Teams",
            Self::Orgs => "Orgs",
            Self::Keys => "Keys",
            Self::Credits => "Credits",
            Self::Models => "Models",
            Self::Providers => "Providers",
            Self::Audit => "Audit",
            Self::Settings => "Settings",
        }
    }

    /// Its name where there is little room.
    pub(crate) const fn short(self) -> &'static str {
        match self {
            Self::Overview => "Over",
            Self::Credits => "Cred",
            Self::Providers => "Prov",
            Self::Settings => "Set",
            other => other.title(),
        }
    }

    /// Its digit: 1 to 9, then 0.
    pub(crate) fn digit(self) -> char {
        let place = Self::ALL.iter().position(|tab| *tab == self).unwrap_or(0);
        char::from_digit((place as u32 + 1) % 10, 10).unwrap_or('1')
    }

    /// The place of a digit key.
    pub(crate) fn of_key(key: Key) -> Option<Self> {
        match (key.code, key.modifiers) {
            (KeyCode::Char(digit), KeyModifiers::NONE) => {
                Self::ALL.into_iter().find(|tab| tab.digit() == digit)
            }
            _ => None,
        }
    }
}
