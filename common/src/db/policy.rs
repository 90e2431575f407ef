//! Reads the whole policy, and tells cheaply whether it has moved.

use std::sync::Arc;

use sqlx::Row as _;

use super::{Database, StoreError, key, model, org, provider, team};
use crate::policy::Policy;

const SELECT_REVISION: &str = "SELECT revision FROM policy_revision WHERE id = 1";

/// The revision of the policy; each administrative change moves it.
pub async fn revision(database: &Database) -> Result<i64, StoreError> {
    let row = sqlx::query(SELECT_REVISION)
        .fetch_one(database.pool())
        .await?;
    Ok(row.try_get(0)?)
}

/// Reads everything that a proxy needs to decide. The revision is read first: a change that comes
/// meanwhile has a later one, so that the next look finds it.
pub async fn load(database: &Database) -> Result<Policy, StoreError> {
    let revision = revision(database).await?;
    let pool = database.pool();
    let keys = key::list(pool).await?;
    let rotations = key::list_rotations(pool).await?;
    let teams = team::list(pool).await?;
    let orgs = org::list(pool).await?;
    let groups = model::list_groups(pool).await?;
    let providers = provider::list(pool).await?;
    let models = model::list(pool, &providers).await?;
    Ok(Policy {
        revision,
        keys: keys.into_iter().map(|key| (key.hash, key)).collect(),
        rotations,
        teams: teams
            .into_iter()
            .map(|team| (team.id.clone(), Arc::new(team)))
            .collect(),
        orgs: orgs.into_iter().map(|org| (org.id.clone(), org)).collect(),
        models: models
            .into_iter()
            .map(|model| (model.alias.clone(), model))
            .collect(),
        groups: groups.into_iter().collect(),
        providers: providers
            .into_iter()
            .map(|provider| ((provider.org_id.clone(), provider.name.clone()), provider))
            .collect(),
    })
}
