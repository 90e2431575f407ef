//! What is to be known about the tokens that a call was charged for.

use std::str::FromStr;

/// Why the stored usage of a call is not simply what its provider counted. Of several the gravest
/// is stored: they are ordered by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UsageNote {
    /// One count was missing or unusable, and estimated.
    PartlyEstimated,
    /// The provider counted nothing that could be used; all is estimated.
    Estimated,
    /// The provider's counts contradict each other or their total. The dearer reading was charged.
    TotalsDisagree,
    /// The answer was broken off; what had come by then is estimated.
    BrokenOff,
    /// The provider counted what the request makes impossible. The most that the request could use
    /// was charged instead.
    Implausible,
}

impl UsageNote {
    /// All notes, from the lightest to the gravest.
    pub const ALL: [Self; 5] = [
        Self::PartlyEstimated,
        Self::Estimated,
        Self::TotalsDisagree,
        Self::BrokenOff,
        Self::Implausible,
    ];

    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PartlyEstimated => "partly_estimated",
            Self::Estimated => "estimated",
            Self::TotalsDisagree => "totals_disagree",
            Self::BrokenOff => "broken_off",
            Self::Implausible => "implausible",
        }
    }

    /// The note in words, for operators.
    pub const fn description(self) -> &'static str {
        match self {
            Self::PartlyEstimated => "one count was missing and is estimated",
            Self::Estimated => "the provider counted nothing; estimated",
            Self::TotalsDisagree => {
                "the provider's counts contradict each other; the dearer reading is charged"
            }
            Self::BrokenOff => "the answer was broken off; estimated",
            Self::Implausible => {
                "the provider counted more than the request allows; the most it could use is charged"
            }
        }
    }
}

/// The word is no note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no note about usage")]
pub struct UnknownNote(String);

impl FromStr for UsageNote {
    type Err = UnknownNote;

    fn from_str(word: &str) -> Result<Self, UnknownNote> {
        Self::ALL
            .into_iter()
            .find(|note| note.as_str() == word)
            .ok_or_else(|| UnknownNote(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_words_are_read_back() {
        for note in UsageNote::ALL {
            assert_eq!(note.as_str().parse(), Ok(note));
        }
        assert!("".parse::<UsageNote>().is_err());
        assert!(UsageNote::Implausible > UsageNote::Estimated);
    }
}
