//! Teams: what authenticates, is charged, and is granted models.

use crate::clock::Timestamp;
use crate::id::{GroupName, ModelAlias, OrgId, TeamId};
use crate::job::Terms;
use crate::standing::Standing;

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
    /// The model of calls that name none.
    pub default_model: Option<ModelAlias>,
    /// The groups whose models it may use.
    pub groups: Vec<GroupName>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}
