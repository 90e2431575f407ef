//! Service tiers: the same model, faster or slower, at another price.

use std::fmt;
use std::str::FromStr;

/// How a provider serves a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ServiceTier {
    /// As usual.
    #[default]
    Standard,
    /// Cheaper, with longer waits.
    Flex,
    /// Dearer, with shorter waits.
    Priority,
    /// Answered within a day.
    Batch,
    /// Dearer, with a faster model.
    Fast,
    /// Capacity that was bought beforehand.
    Scale,
}

impl ServiceTier {
    /// Every tier.
    pub const ALL: [Self; 6] = [
        Self::Standard,
        Self::Flex,
        Self::Priority,
        Self::Batch,
        Self::Fast,
        Self::Scale,
    ];

    /// The stored and shown name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Batch => "batch",
            Self::Fast => "fast",
            Self::Scale => "scale",
        }
    }
}

/// Reads a tier's name. `default` and `auto` are words of single providers: who parses their
/// answers says what they mean.
impl FromStr for ServiceTier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|tier| tier.as_str() == text);
        found.ok_or_else(|| {
            format!(
                "'{text}' is not a service tier: write standard, flex, priority, batch, fast \
                 or scale"
            )
        })
    }
}

impl fmt::Display for ServiceTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The tier that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestedTier {
    /// The usual one; also where the request says nothing.
    #[default]
    Standard,
    /// Whichever the provider chooses.
    Auto,
    /// This one. Providers may serve the call by the usual one instead.
    Named(ServiceTier),
}

impl RequestedTier {
    /// The tier by which a call counts whose answer does not tell its tier.
    pub const fn if_untold(self) -> ServiceTier {
        match self {
            Self::Standard | Self::Auto => ServiceTier::Standard,
            Self::Named(tier) => tier,
        }
    }
}
