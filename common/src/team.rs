//! Teams: what authenticates, is charged, and is granted models.

use std::str::FromStr;

use crate::clock::Timestamp;
use crate::id::{GroupName, ModelAlias, OrgId, TeamId};
use crate::job::{ChargeFailed, Terms};
use crate::limit::Limits;
use crate::standing::Standing;

/// What becomes of a call whose caller leaves before its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DisconnectPolicy {
    /// It is carried to its end and charged as usual.
    #[default]
    Drain,
    /// It is cut off at the provider, and what was produced until then is charged.
    Cancel,
}

impl DisconnectPolicy {
    /// The stored and shown word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Cancel => "cancel",
        }
    }
}

impl FromStr for DisconnectPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Drain, Self::Cancel]
            .into_iter()
            .find(|policy| policy.word() == text)
            .ok_or_else(|| format!("'{text}' is no way to end a call: use drain or cancel"))
    }
}

/// A team.
#[derive(Debug, Clone, PartialEq)]
pub struct Team {
    /// Its id, chosen by an administrator.
    pub id: TeamId,
    /// Whom it belongs to.
    pub org_id: OrgId,
    /// Its name for people.
    pub name: String,
    /// Whether it may work.
    pub standing: Standing,
    /// How its jobs are charged from now on.
    pub terms: Terms,
    /// What its jobs are charged that do not complete, if it was set; the terms have what holds.
    pub charge_failed: Option<ChargeFailed>,
    /// The model of calls that name none.
    pub default_model: Option<ModelAlias>,
    /// The groups whose models it may use.
    pub groups: Vec<GroupName>,
    /// How much all its keys together may ask for.
    pub limits: Limits,
    /// What becomes of calls whose caller leaves.
    pub disconnect: DisconnectPolicy,
    /// For how many seconds an answer may be given again to the same question; `None` if never.
    pub cache_ttl_seconds: Option<i64>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}
