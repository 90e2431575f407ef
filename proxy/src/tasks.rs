//! What goes on beside requests: the policy's refresh, the node's heartbeat, calls of nodes that
//! are gone, jobs that nobody works on, and claims that have outlived their window.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, watch};
use tokio::time::MissedTickBehavior;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::work::IDEMPOTENCY_WINDOW;
use tollgate_common::db::{Engine, StoreError, idempotency, live, node, retention};
use tollgate_common::id::NodeId;

use crate::breaker::{BreakerView, Condition, Subject};
use crate::services::Services;
pub(crate) use pieces::{FailedPieces, close_orphaned_calls};
pub(crate) use supervise::Supervised;
use tell::Teller;

mod pieces;
mod supervise;
mod tell;

/// How often it is looked which circuits are open.
const KEYS_LOOK: Duration = Duration::from_secs(1);

/// In which condition each circuit was seen last, those that are closed left out.
type Conditions = HashMap<Subject, Condition>;

/// How often limits forget those who have been idle.
const LIMITS_SWEEP: Duration = Duration::from_mins(1);

/// How often each engine is asked for the policy's revision: a revoked key is refused within that
/// time and the time of one read. PostgreSQL is asked less, because every node asks it.
const REFRESH_SQLITE: Duration = Duration::from_millis(250);
const REFRESH_POSTGRES: Duration = Duration::from_millis(500);

/// How often a node says that it lives, and after how long a silence it counts as gone.
const HEARTBEAT: Duration = Duration::from_secs(3);
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How often stale jobs are looked for: a quarter of their time, within these bounds.
const EXPIRY_LOOK_MIN: Duration = Duration::from_millis(250);
const EXPIRY_LOOK_MAX: Duration = Duration::from_secs(30);

/// How often old idempotency claims are forgotten.
const CLEANING: Duration = Duration::from_mins(10);

/// How long one round of a task may take before it is given up.
const ROUND_TIME_MAX: Duration = Duration::from_mins(1);

/// How long a heartbeat may take: a database that does not take it takes no other work either.
const HEARTBEAT_MAX: Duration = Duration::from_secs(5);

/// How often ended jobs that are old enough are deleted, and the pause between two steps of that.
const RETENTION: Duration = Duration::from_mins(1);
const RETENTION_PAUSE: Duration = Duration::from_millis(20);

/// Calls `work` again and again until told to stop. Failures are logged; the next round tries
/// again.
async fn every<F, W>(
    name: &'static str,
    period: Duration,
    services: Arc<Services>,
    mut stop: watch::Receiver<bool>,
    work: F,
) where
    F: Fn(Arc<Services>) -> W,
    W: Future<Output = Result<(), StoreError>>,
{
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let round = tokio::time::timeout(ROUND_TIME_MAX, work(services.clone()));
                match round.await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(task = name, %error, "background task failed");
                    }
                    Err(_) => tracing::warn!(task = name, "background task took too long"),
                }
            }
            _ = stop.changed() => return,
        }
    }
}

/// Starts each task on its own, so that none keeps another from its work.
pub(crate) fn start(
    services: &Arc<Services>,
    started_at: Timestamp,
    stop: &watch::Receiver<bool>,
) -> Supervised {
    let refresh_period = match services.database.engine() {
        Engine::Sqlite => REFRESH_SQLITE,
        Engine::Postgres => REFRESH_POSTGRES,
    };
    let watch = Arc::new(Mutex::new(Watch::default()));
    let conditions = Arc::new(Mutex::new(Conditions::new()));
    let teller = Arc::new(Mutex::new(Teller::default()));
    let failed = Arc::new(FailedPieces::default());
    let expiry = (services.config.job_expiry / 4).clamp(EXPIRY_LOOK_MIN, EXPIRY_LOOK_MAX);
    let mut tasks = Supervised::default();
    macro_rules! spawn {
        ($name:literal, $period:expr, $work:expr) => {
            tasks.spawn(
                $name,
                every($name, $period, services.clone(), stop.clone(), $work),
            )
        };
    }
    spawn!("policy", refresh_period, refresh);
    spawn!("heartbeat", HEARTBEAT, move |services| {
        heartbeat(services, started_at)
    });
    let pieces = failed.clone();
    spawn!("reaper", HEARTBEAT, move |services| {
        reap(services, watch.clone(), pieces.clone())
    });
    spawn!("figures", tell::PERIOD, move |services| {
        tell::tell(services, teller.clone(), started_at)
    });
    spawn!("expiry", expiry, move |services| {
        pieces::expire_jobs(services, failed.clone())
    });
    spawn!("keys", KEYS_LOOK, move |services| {
        watch_circuits(services, conditions.clone())
    });
    spawn!("limits", LIMITS_SWEEP, sweep_limits);
    spawn!("cleaning", CLEANING, forget_claims);
    if !services.config.job_retention.is_zero() {
        spawn!("retention", RETENTION, delete_old_jobs);
    }
    tasks
}

/// Deletes ended jobs that are old enough, step by step.
async fn delete_old_jobs(services: Arc<Services>) -> Result<(), StoreError> {
    let cutoff = services.clock.now().minus(services.config.job_retention);
    while retention::delete_ended(&services.task_database, cutoff).await? {
        tokio::time::sleep(RETENTION_PAUSE).await;
    }
    Ok(())
}

async fn refresh(services: Arc<Services>) -> Result<(), StoreError> {
    services
        .policy
        .refresh(&services.task_database, services.clock.now())
        .await?;
    let snapshot = services.policy.current();
    services.breakers.retain(&snapshot.credentials());
    Ok(())
}

/// Tells operators which circuits have opened, and which have closed.
async fn watch_circuits(
    services: Arc<Services>,
    known: Arc<Mutex<Conditions>>,
) -> Result<(), StoreError> {
    let mut known = known.lock().await;
    let views = services.breakers.states(Instant::now());
    for view in &views {
        if known.get(&view.subject) != Some(&view.condition) {
            log_circuit(view);
        }
    }
    let conditions: Conditions = views
        .into_iter()
        .map(|view| (view.subject, view.condition))
        .collect();
    for subject in known.keys().filter(|one| !conditions.contains_key(one)) {
        tracing::info!(?subject, "circuit closed");
    }
    *known = conditions;
    Ok(())
}

fn log_circuit(view: &BreakerView) {
    let (condition, failures) = (view.condition.as_str(), view.failures);
    let pause_ms = view.pause.as_millis();
    match (&view.subject, view.condition) {
        (subject, Condition::RateLimited) => {
            tracing::warn!(?subject, pause_ms, "a provider wants fewer requests");
        }
        (Subject::Host { host, port }, _) => {
            tracing::error!(
                host,
                port,
                condition,
                pause_ms,
                "circuit open: a provider's host cannot be reached"
            );
        }
        (Subject::Key(credential), _) => {
            tracing::error!(%credential, condition, pause_ms, "circuit open: a provider's key or account is refused");
        }
        (
            Subject::Model {
                credential,
                upstream_model,
                teams,
            },
            _,
        ) => {
            tracing::warn!(%credential, upstream_model, teams, condition, failures, pause_ms, "circuit open: a model keeps failing");
        }
    }
}

/// Lets limits and circuits forget those who have been idle.
async fn sweep_limits(services: Arc<Services>) -> Result<(), StoreError> {
    services.limits.sweep(services.clock.now());
    services.breakers.sweep(Instant::now());
    std::future::ready(Ok(())).await
}

async fn beat(services: Arc<Services>, started_at: Timestamp) -> Result<(), StoreError> {
    let mut connection = services.task_database.pool().acquire().await?;
    node::beat(
        &mut connection,
        services.node_id,
        started_at,
        services.clock.now(),
    )
    .await
}

/// Says that this node lives, and with that whether the database can be written.
async fn heartbeat(services: Arc<Services>, started_at: Timestamp) -> Result<(), StoreError> {
    let beaten = tokio::time::timeout(HEARTBEAT_MAX, beat(services.clone(), started_at));
    let beaten = beaten.await.unwrap_or_else(|_| {
        let problem = format!("no heartbeat within {HEARTBEAT_MAX:?}");
        Err(StoreError::Unavailable(problem))
    });
    match &beaten {
        Ok(()) => services.writer.health().note_success(),
        Err(error) => services.writer.health().note_failure(error),
    }
    beaten
}

/// Says that this node has begun. A SQLite file has one node at a time, which its lock ensures, so
/// all others are gone.
pub(crate) async fn enter(
    services: &Arc<Services>,
    started_at: Timestamp,
) -> Result<(), StoreError> {
    if services.database.engine() == Engine::Sqlite {
        let mut connection = services.task_database.pool().acquire().await?;
        node::forget_all(&mut connection).await?;
    }
    beat(services.clone(), started_at).await
}

/// Says that this node has ended.
pub(crate) async fn leave(services: &Services) -> Result<(), StoreError> {
    let mut connection = services.task_database.pool().acquire().await?;
    live::leave(&mut connection, services.node_id).await?;
    node::leave(&mut connection, services.node_id).await
}

/// What one node has seen of the others: what each last said, and since when it has not changed.
#[derive(Debug, Default)]
struct Watch(HashMap<NodeId, (Timestamp, Instant)>);

impl Watch {
    /// Takes nodes off the list that have said nothing new for too long. Only this node's own clock
    /// measures that, and only while the list could be read: neither a clock that is off nor an
    /// outage of the database makes a living node look gone.
    async fn look(&mut self, services: &Services) -> Result<(), StoreError> {
        let listed = node::list(services.task_database.pool()).await;
        let listed = listed.inspect_err(|_| self.0.clear())?;
        self.0
            .retain(|id, _| listed.iter().any(|(other, _)| other == id));
        for (id, seen_at) in listed.into_iter().filter(|(id, _)| *id != services.node_id) {
            let (known, since) = self
                .0
                .entry(id)
                .or_insert_with(|| (seen_at, Instant::now()));
            if *known != seen_at {
                (*known, *since) = (seen_at, Instant::now());
            } else if since.elapsed() >= SILENCE_MAX {
                tracing::warn!(node_id = %id, "a node is gone");
                let mut connection = services.task_database.pool().acquire().await?;
                node::forget(&mut connection, id, seen_at).await?;
            }
        }
        Ok(())
    }
}

/// Looks after the other nodes, and closes the calls of those that are gone.
async fn reap(
    services: Arc<Services>,
    watch: Arc<Mutex<Watch>>,
    failed: Arc<FailedPieces>,
) -> Result<(), StoreError> {
    watch.lock().await.look(&services).await?;
    close_orphaned_calls(services, failed).await
}

async fn forget_claims(services: Arc<Services>) -> Result<(), StoreError> {
    let mut connection = services.task_database.pool().acquire().await?;
    let cutoff = services.clock.now().minus(IDEMPOTENCY_WINDOW);
    idempotency::delete_old(&mut connection, cutoff).await?;
    Ok(())
}
