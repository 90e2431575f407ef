//! Tells administrators of this node's present: writes its figures, what passed in the current
//! minute, and which keys were used.
//!
//! A node that has nothing new to tell writes nothing. What cannot be written is told with the next
//! round; nothing waits for it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::StoreError;
use tollgate_common::db::live::{self, News};
use tollgate_common::id::KeyId;
use tollgate_common::live::{
    NodeFigures, RestingKey, SECONDS_TOLD, TeamTraffic, Traffic, minute_of,
};

use crate::breaker::{BreakerView, Subject};
use crate::figures::Taken;
use crate::services::Services;

/// How often it is looked whether there is something to tell.
pub(super) const PERIOD: Duration = Duration::from_secs(1);

/// How long minutes are kept: a week.
const MINUTES_KEPT: i64 = 7 * 24 * 60;

/// How many teams a minute tells of, the busiest.
const TEAMS_TOLD_MAX: usize = 50;

/// How many circuits that are not closed are told of.
const RESTING_TOLD_MAX: usize = 500;

/// What was told, and what is to be told.
#[derive(Debug, Default)]
pub(super) struct Teller {
    told: NodeFigures,
    minute: i64,
    traffic: Traffic,
    /// Whether the minute's traffic has grown since it was told.
    has_traffic: bool,
    ended_per_second: VecDeque<u64>,
    /// Keys whose use is to be told, with its minute.
    used_keys: HashMap<KeyId, i64>,
    /// The minutes that were told of keys, so that each is told once.
    told_keys: HashMap<KeyId, i64>,
    swept_minute: i64,
}

impl Teller {
    /// Takes what was counted, at `now`.
    fn note(&mut self, taken: Taken, now: Timestamp) {
        let minute = minute_of(now);
        if self.minute != minute {
            self.minute = minute;
            self.traffic = Traffic::default();
            self.has_traffic = false;
            self.told_keys.retain(|_, told| *told >= minute - 1);
        }
        if self.ended_per_second.len() == SECONDS_TOLD {
            self.ended_per_second.pop_front();
        }
        self.ended_per_second.push_back(taken.ended.calls);
        if taken.ended != Traffic::default() {
            self.traffic.add(&taken.ended);
            keep_busiest(&mut self.traffic);
            self.has_traffic = true;
        }
        for (key, minute) in taken.used_keys {
            if self.told_keys.get(&key) != Some(&minute) {
                self.used_keys.insert(key, minute);
            }
        }
    }

    fn figures(&self, services: &Services, started_at: Timestamp, now: Timestamp) -> NodeFigures {
        let in_flight = services.figures.in_flight();
        let is_quiet = self.ended_per_second.iter().all(|ended| *ended == 0);
        NodeFigures {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: started_at.as_micros(),
            policy_revision: services.policy.current().policy.revision,
            listen: services.config.listen.to_string(),
            requests: services.drain.in_flight() as u64,
            calls_in_flight: in_flight.count,
            streams: in_flight.streams,
            calls: in_flight.calls,
            ended_per_second: if is_quiet {
                Vec::new()
            } else {
                self.ended_per_second.iter().copied().collect()
            },
            resting: resting(services, now),
            alerts: services.alerts.current(Instant::now(), now),
        }
    }
}

/// Leaves the teams with the most calls.
fn keep_busiest(traffic: &mut Traffic) {
    if traffic.teams.len() <= TEAMS_TOLD_MAX {
        return;
    }
    let teams = std::mem::take(&mut traffic.teams);
    let mut teams: Vec<(String, TeamTraffic)> = teams.into_iter().collect();
    teams.sort_unstable_by_key(|(_, team)| std::cmp::Reverse(team.calls));
    teams.truncate(TEAMS_TOLD_MAX);
    traffic.teams = teams.into_iter().collect();
}

fn resting(services: &Services, now: Timestamp) -> Vec<RestingKey> {
    let views = services.breakers.states(Instant::now());
    let mut resting = Vec::new();
    for view in views {
        let key = resting_key(&view, now);
        match view.subject {
            Subject::Key(credential) | Subject::Model { credential, .. } => {
                resting.push(RestingKey {
                    credential_id: credential.to_string(),
                    ..key
                });
            }
            // Nothing goes there, with whichever key.
            Subject::Host { host, port } => {
                let snapshot = services.policy.current();
                let credentials = snapshot.credentials_at(&host, port);
                resting.extend(credentials.map(|credential| RestingKey {
                    credential_id: credential.to_string(),
                    is_unreachable: true,
                    ..key.clone()
                }));
            }
        }
    }
    resting.truncate(RESTING_TOLD_MAX);
    resting
}

/// What is told of a circuit, but for the key.
fn resting_key(view: &BreakerView, now: Timestamp) -> RestingKey {
    let (upstream_model, teams) = match &view.subject {
        Subject::Model {
            upstream_model,
            teams,
            ..
        } => (Some(upstream_model.clone()), *teams as u64),
        _ => (None, 0),
    };
    RestingKey {
        credential_id: String::new(),
        condition: view.condition.as_str().to_owned(),
        failures: view.failures,
        rests_until: now.plus(view.pause).as_seconds() * 1_000_000,
        upstream_model,
        teams,
        is_unreachable: false,
    }
}

/// Tells what is new.
pub(super) async fn tell(
    services: Arc<Services>,
    teller: Arc<Mutex<Teller>>,
    started_at: Timestamp,
) -> Result<(), StoreError> {
    let mut teller = teller.lock().await;
    let now = services.clock.now();
    teller.note(services.figures.take(), now);
    let figures = teller.figures(&services, started_at, now);
    let is_old = teller.swept_minute != teller.minute;
    let has_news = figures != teller.told || teller.has_traffic || !teller.used_keys.is_empty();
    if !has_news {
        return Ok(());
    }
    let used: Vec<(KeyId, i64)> = teller.used_keys.clone().into_iter().collect();
    let news = News {
        node_id: services.node_id,
        now,
        figures: (figures != teller.told).then_some(&figures),
        traffic: teller
            .has_traffic
            .then_some((teller.minute, &teller.traffic)),
        used_keys: &used,
        forget_before: is_old.then_some(teller.minute - MINUTES_KEPT),
    };
    live::tell(&services.database, &news).await?;
    teller.told = figures;
    teller.has_traffic = false;
    teller.swept_minute = teller.minute;
    teller.used_keys.clear();
    teller.told_keys.extend(used);
    Ok(())
}
