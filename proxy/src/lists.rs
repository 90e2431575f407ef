//! How many lists of one team are read at once. Lists read thousands of rows; a team that asks for
//! many makes only itself wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tollgate_common::id::TeamId;

use crate::error::ApiError;

/// How many lists of a team may wait; further ones are refused.
const WAITING_MAX: usize = 32;

/// How long a list waits for the team's earlier ones.
const WAIT_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct TeamLists {
    semaphore: Arc<Semaphore>,
    /// Running and waiting ones.
    count: usize,
}

/// Lists that are being read, by team.
#[derive(Debug)]
pub(crate) struct ListLimiter {
    team_max: usize,
    teams: Mutex<HashMap<TeamId, TeamLists>>,
}

/// A place in a team's queue; dropping it leaves.
struct Place<'l> {
    limiter: &'l ListLimiter,
    team_id: TeamId,
}

/// The right to read a list.
pub(crate) struct ListPermit<'l> {
    _permit: OwnedSemaphorePermit,
    _place: Place<'l>,
}

impl ListLimiter {
    pub(crate) fn new(team_max: usize) -> Self {
        Self {
            team_max,
            teams: Mutex::default(),
        }
    }

    /// Waits until the team may read another list.
    pub(crate) async fn acquire(&self, team_id: &TeamId) -> Result<ListPermit<'_>, ApiError> {
        let (place, semaphore) = self.enter(team_id, WAITING_MAX)?;
        match tokio::time::timeout(WAIT_MAX, semaphore.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(ListPermit {
                _permit: permit,
                _place: place,
            }),
            _ => Err(ApiError::TooManyLists),
        }
    }

    /// Waits for as long as it takes: what was done before has to be answered.
    pub(crate) async fn acquire_always(
        &self,
        team_id: &TeamId,
    ) -> Result<ListPermit<'_>, ApiError> {
        let (place, semaphore) = self.enter(team_id, usize::MAX)?;
        match semaphore.acquire_owned().await {
            Ok(permit) => Ok(ListPermit {
                _permit: permit,
                _place: place,
            }),
            Err(_) => Err(ApiError::TooManyLists),
        }
    }

    fn enter(
        &self,
        team_id: &TeamId,
        waiting_max: usize,
    ) -> Result<(Place<'_>, Arc<Semaphore>), ApiError> {
        let mut teams = self.teams.lock().unwrap_or_else(PoisonError::into_inner);
        let lists = teams.entry(team_id.clone()).or_insert_with(|| TeamLists {
            semaphore: Arc::new(Semaphore::new(self.team_max)),
            count: 0,
        });
        if lists.count >= self.team_max.saturating_add(waiting_max) {
            return Err(ApiError::TooManyLists);
        }
        lists.count += 1;
        let place = Place {
            limiter: self,
            team_id: team_id.clone(),
        };
        Ok((place, lists.semaphore.clone()))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let teams = self.limiter.teams.lock();
        let mut teams = teams.unwrap_or_else(PoisonError::into_inner);
        if let Some(lists) = teams.get_mut(&self.team_id) {
            lists.count -= 1;
            if lists.count == 0 {
                teams.remove(&self.team_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_team_waits_for_itself_alone() {
        let limiter = ListLimiter::new(1);
        let (one, other): (TeamId, TeamId) = ("one".parse().unwrap(), "other".parse().unwrap());
        let held = limiter.acquire(&one).await.unwrap();
        drop(limiter.acquire(&other).await.unwrap());
        let places: Vec<_> = (0..WAITING_MAX)
            .map(|_| limiter.enter(&one, WAITING_MAX).unwrap())
            .collect();
        let refused = limiter.acquire(&one).await;
        assert!(matches!(refused, Err(ApiError::TooManyLists)));
        drop((held, places));
        drop(limiter.acquire(&one).await.unwrap());
        assert!(limiter.teams.lock().unwrap().is_empty());
    }
}
