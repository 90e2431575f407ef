//! Whether an organization or a team may work: active, paused for a while, or suspended.

use crate::clock::Timestamp;

/// The standing of an organization or a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// May work.
    #[default]
    Active,
    /// May not work until the given moment, or until someone resumes it.
    Paused {
        /// When the pause ends by itself.
        until: Option<Timestamp>,
    },
    /// May not work until someone resumes it.
    Suspended,
}

impl Standing {
    /// Reads the stored form; `None` if the word is unknown.
    pub fn from_parts(word: &str, until: Option<Timestamp>) -> Option<Self> {
        match word {
            "active" => Some(Self::Active),
            "paused" => Some(Self::Paused { until }),
            "suspended" => Some(Self::Suspended),
            _ => None,
        }
    }

    /// The stored and shown word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused { .. } => "paused",
            Self::Suspended => "suspended",
        }
    }

    /// The end of a pause, if it has one.
    pub const fn paused_until(self) -> Option<Timestamp> {
        match self {
            Self::Paused { until } => until,
            Self::Active | Self::Suspended => None,
        }
    }

    /// The standing at `now`: a pause that has ended counts as active.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        match self {
            Self::Paused { until: Some(until) } if until <= now => Self::Active,
            other => other,
        }
    }

    /// The stricter of two standings, for a team in an organization.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Suspended, _) | (_, Self::Suspended) => Self::Suspended,
            (Self::Paused { until: a }, Self::Paused { until: b }) => Self::Paused {
                until: a.zip(b).map(|(a, b)| a.max(b)),
            },
            (paused @ Self::Paused { .. }, Self::Active)
            | (Self::Active, paused @ Self::Paused { .. }) => paused,
            (Self::Active, Self::Active) => Self::Active,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_by_itself_and_the_stricter_standing_wins() {
        let (early, late) = (Timestamp::from_micros(1), Timestamp::from_micros(2));
        let paused = Standing::Paused { until: Some(late) };
        assert_eq!(paused.at(early), paused);
        assert_eq!(paused.at(late), Standing::Active);
        assert_eq!(paused.stricter(Standing::Suspended), Standing::Suspended);
        assert_eq!(Standing::Active.stricter(paused), paused);
        let open_end = Standing::Paused { until: None };
        assert_eq!(paused.stricter(open_end), open_end);
    }
}
