//! Organizations: customers, the owners of teams.

use crate::clock::Timestamp;
use crate::id::OrgId;
use crate::standing::Standing;

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its id, chosen by an administrator.
    pub id: OrgId,
    /// Its name for people.
    pub name: String,
    /// Whether its teams may work.
    pub standing: Standing,
    /// When it was created.
    pub created_at: Timestamp,
}
