//! What all requests share, made before the first one comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tollgate_common::clock::{Clock, Random};
use tollgate_common::config::Config;
use tollgate_common::db::Database;
use tollgate_common::db::writer::LedgerWriter;
use tollgate_common::id::NodeId;

use crate::alerts::Alerts;
use crate::breaker::Breakers;
use crate::cache::ResponseCache;
use crate::figures::Figures;
use crate::limits::LimitStore;
use crate::lists::ListLimiter;
use crate::policy_cache::PolicyCache;
use crate::recording::RecordingMemory;
use crate::refusals::RefusalCounter;
use crate::steps::forward::Forwarder;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) node_id: NodeId,
    pub(crate) database: Database,
    /// The same database with connections for tasks alone.
    pub(crate) task_database: Database,
    pub(crate) policy: PolicyCache,
    pub(crate) writer: LedgerWriter,
    pub(crate) forwarder: Forwarder,
    pub(crate) breakers: Breakers,
    pub(crate) alerts: Alerts,
    pub(crate) limits: Box<dyn LimitStore>,
    pub(crate) cache: Box<dyn ResponseCache>,
    pub(crate) lists: ListLimiter,
    pub(crate) refusals: RefusalCounter,
    pub(crate) recording_memory: Arc<RecordingMemory>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) drain: Arc<Drain>,
}

/// Counts requests under way, so that a stopping proxy can wait for them.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    is_draining: AtomicBool,
    in_flight: AtomicUsize,
}

impl Drain {
    /// From now on, connections are closed after their answer and readiness is denied.
    pub(crate) fn begin(&self) {
        self.is_draining.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::SeqCst)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }
}

/// One request under way; dropping it ends it.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Drain>);

impl InFlight {
    pub(crate) fn begin(drain: &Arc<Drain>) -> Self {
        drain.in_flight.fetch_add(1, Ordering::SeqCst);
        Self(drain.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}
