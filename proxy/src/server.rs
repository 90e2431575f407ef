//! Starts and stops the proxy.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch};
use pingora::services::listening::Service;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tollgate_common::clock::{Clock, Random, SystemClock, SystemRandom, Timestamp};
use tollgate_common::config::Config;
use tollgate_common::db::writer::{self, WriterTask};
use tollgate_common::db::{Access, Database, file, migrate, provider, seal};
use tollgate_common::id::NodeId;
use tollgate_common::secret::SealingKey;

use crate::alerts::Alerts;
use crate::breaker::{self, Breakers};
use crate::cache::memory::MemoryCache;
use crate::connections::{ConnectionApp, ConnectionLimits, Connections};
use crate::figures::Figures;
use crate::gateway::Gateway;
use crate::limits::memory::MemoryLimits;
use crate::lists::ListLimiter;
use crate::policy_cache::PolicyCache;
use crate::recording::RecordingMemory;
use crate::refusals::RefusalCounter;
use crate::services::{Drain, Services};
use crate::steps::forward::Forwarder;
use crate::tasks::{self, FailedPieces, Supervised};

/// How long a stopping proxy waits for the writer to finish its queue.
const WRITER_STOP_MAX: Duration = Duration::from_secs(10);

/// Connections to the database for background tasks: one for each that may be at work.
const TASK_CONNECTIONS: u32 = 6;

/// File descriptors if the system sets no limit.
const DESCRIPTORS_DEFAULT: u64 = 65_536;

/// The exit code of a process that could not go on.
const EXIT_BROKEN: i32 = 70;

/// A key that was refused rests so many times longer than one that merely failed.
const UNAUTHORIZED_PAUSE_FACTOR: u32 = 4;

/// How often a stopping proxy looks whether requests are still under way.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// What runs beside the listener, on a runtime of its own that outlives it.
struct Core {
    runtime: Runtime,
    services: Arc<Services>,
    /// Watches the tasks; gives the writer back once they have stopped.
    supervisor: JoinHandle<JoinHandle<()>>,
    stop_tasks: watch::Sender<bool>,
    /// Held as long as the process lives: a SQLite file has one proxy.
    _lock: Option<File>,
}

/// Serves until a signal asks to stop.
pub(crate) fn serve(config: Config) -> anyhow::Result<()> {
    let core = Core::start(config)?;
    let listen = core.services.config.listen;
    require_free(listen)?;
    let mut server = Server::new_with_opt_and_conf(None, server_conf(&core.services.config));
    server.bootstrap();
    let gateway = Gateway::new(core.services.clone());
    let app = ConnectionApp {
        proxy: Arc::new(http_proxy(&server.configuration, gateway)),
        connections: Connections::new(connection_limits(&core.services.config)),
        header_timeout: core.services.config.header_timeout,
        keepalive: core.services.config.keepalive,
    };
    let mut service = Service::new("tollgate".to_owned(), app);
    service.add_tcp(&listen.to_string());
    server.add_service(service);
    tracing::info!(
        "listening on http://{listen}, data in {}",
        core.services.config.database
    );
    let watch = DrainWatch {
        drain: core.services.drain.clone(),
        grace: core.services.config.shutdown_grace,
    };
    server.run(RunArgs {
        shutdown_signal: Box::new(watch),
    });
    core.stop();
    Ok(())
}

/// How many file descriptors the process may have once its soft limit is raised to the hard one.
fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    current.unwrap_or(DESCRIPTORS_DEFAULT)
}

/// A call needs a descriptor for its caller and one for its provider, so connections have half of
/// them unless the configuration says otherwise.
fn connection_limits(config: &Config) -> ConnectionLimits {
    let descriptors = usize::try_from(raise_descriptor_limit()).unwrap_or(usize::MAX);
    let connections_max = match config.connections_max {
        0 => descriptors / 2,
        number => number.min(descriptors),
    };
    let address_connections_max = match config.address_connections_max {
        0 => connections_max / 2,
        number => number,
    };
    ConnectionLimits {
        connections_max: connections_max.max(1),
        address_connections_max: address_connections_max.max(1),
        trusted: config.trusted_addresses.clone(),
    }
}

/// Pingora tries a taken port for half a minute and then panics; this says so at once.
fn require_free(listen: SocketAddr) -> anyhow::Result<()> {
    TcpListener::bind(listen).map(drop).with_context(|| {
        format!(
            "cannot listen on {listen}: choose another with TOLLGATE_SERVER_LISTEN or server.listen"
        )
    })
}

fn server_conf(config: &Config) -> ServerConf {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    ServerConf {
        threads: if config.threads == 0 {
            cores
        } else {
            config.threads
        },
        // The drain has waited already when these begin.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        upstream_keepalive_pool_size: config.upstream_keepalive_connections,
        ..ServerConf::default()
    }
}

impl Core {
    /// Opens and migrates the database, reads the policy, closes what a dead node left behind.
    fn start(config: Config) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tollgate-core")
            .enable_all()
            .build()
            .context("cannot start a runtime")?;
        let lock = lock_sqlite_file(&config)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let started_at = clock.now();
        let (services, writer_task) = runtime.block_on(open_services(config, clock, started_at))?;
        let writer = runtime.spawn(writer_task.run());
        runtime.block_on(async {
            tasks::enter(&services, started_at).await?;
            let failed = Arc::new(FailedPieces::default());
            tasks::close_orphaned_calls(services.clone(), failed).await
        })?;
        if services.policy.current().policy.teams.is_empty() {
            tracing::warn!(
                "there are no teams yet: run tollgate quickstart, or tollgate-admin org create and team create"
            );
        }
        let (stop_tasks, stop) = watch::channel(false);
        let supervised = {
            let _entered = runtime.enter();
            tasks::start(&services, started_at, &stop)
        };
        let supervisor = runtime.spawn(watch_or_exit(supervised, writer, stop));
        Ok(Self {
            runtime,
            services,
            supervisor,
            stop_tasks,
            _lock: lock,
        })
    }

    /// Lets the writer finish what is queued, then says goodbye.
    fn stop(self) {
        let Self {
            runtime,
            services,
            supervisor,
            stop_tasks,
            _lock,
        } = self;
        runtime.block_on(async {
            let _ = stop_tasks.send(true);
            let writer = supervisor.await;
            if let Err(error) = tasks::leave(&services).await {
                tracing::warn!(%error, "could not remove this node from the list of nodes");
            }
            drop(services);
            let Ok(writer) = writer else { return };
            if tokio::time::timeout(WRITER_STOP_MAX, writer).await.is_err() {
                tracing::error!(
                    "the ledger's queue could not be finished; the next start closes what is open"
                );
            }
        });
        tracing::info!("stopped");
    }
}

/// Watches the writer and the tasks, and ends the process if one of them has ended by itself: calls
/// that are on the way are closed by the next start.
async fn watch_or_exit(
    supervised: Supervised,
    writer: JoinHandle<()>,
    stop: watch::Receiver<bool>,
) -> JoinHandle<()> {
    match supervised.watch(writer, stop).await {
        Ok(writer) => writer,
        Err(reason) => {
            tracing::error!(%reason, "the process cannot go on and ends");
            std::process::exit(EXIT_BROKEN)
        }
    }
}

/// Opens and migrates the database, and makes what requests and tasks share.
async fn open_services(
    config: Config,
    clock: Arc<dyn Clock>,
    started_at: Timestamp,
) -> anyhow::Result<(Arc<Services>, WriterTask)> {
    let database = Database::connect(&config, Access::Create).await?;
    migrate::migrate(&database).await?;
    if let Some(warning) = file::exposure_warning(&config) {
        tracing::warn!("{warning}");
    }
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let sealing_key = sealing_key(&config, &database, &*random).await?;
    seal::bind_all(&database, &sealing_key, &*random).await?;
    let policy =
        PolicyCache::load(&database, sealing_key, config.policy_age_max, started_at).await?;
    let task_database = database.with_own_pool(TASK_CONNECTIONS);
    let (writer, writer_task) = writer::writer(database.clone(), config.database_wait);
    let services = Services {
        node_id: NodeId::new(started_at, &*random),
        policy,
        forwarder: Forwarder::new(&config, clock.clone()),
        breakers: Breakers::new(breaker::Settings {
            failures_max: config.breaker_failures,
            open_first: config.breaker_pause,
            unauthorized: config.breaker_pause * UNAUTHORIZED_PAUSE_FACTOR,
            ..breaker::Settings::default()
        }),
        alerts: Alerts::default(),
        limits: Box::new(MemoryLimits::default()),
        cache: Box::new(MemoryCache::new(config.cache_bytes_max, clock.clone())),
        lists: ListLimiter::new(config.team_lists_max),
        refusals: RefusalCounter::new(config.refused_jobs_max),
        recording_memory: RecordingMemory::new(config.recorded_bytes_max),
        figures: Arc::new(Figures::default()),
        drain: Arc::new(Drain::default()),
        config,
        clock,
        random,
        database,
        task_database,
        writer,
    };
    Ok((Arc::new(services), writer_task))
}

/// Takes the lock beside a SQLite file, so that no second proxy serves it.
fn lock_sqlite_file(config: &Config) -> anyhow::Result<Option<File>> {
    let Some(name) = config.database.sqlite_file() else {
        return Ok(None);
    };
    let path = PathBuf::from(format!("{name}.lock"));
    let lock = file::open_private(&path)
        .with_context(|| format!("cannot write beside the database: {}", path.display()))?;
    if lock.try_lock().is_err() {
        bail!("another proxy serves {name}: stop it first, or use PostgreSQL for several proxies");
    }
    Ok(Some(lock))
}

/// The key that seals providers' keys: from the environment, else from its file, which is made if
/// nothing has been sealed yet.
pub(crate) async fn sealing_key(
    config: &Config,
    database: &Database,
    random: &dyn Random,
) -> anyhow::Result<SealingKey> {
    let path = &config.secret_key_file;
    if let Ok(text) = std::env::var("TOLLGATE_SECRET_KEY") {
        return Ok(SealingKey::parse(&text, "TOLLGATE_SECRET_KEY")?);
    }
    let providers = provider::list(database.pool()).await?;
    let anything_sealed = providers
        .iter()
        .any(|provider| !provider.credentials.is_empty());
    if anything_sealed && !path.exists() {
        bail!(
            "providers' keys are sealed, but the key file {} is not there: restore it, or set TOLLGATE_SECRET_KEY",
            path.display()
        );
    }
    Ok(SealingKey::read_or_create(path, random)?)
}

/// Waits for a signal, then for the requests under way: Pingora itself would cut them off.
struct DrainWatch {
    drain: Arc<Drain>,
    grace: Duration,
}

#[async_trait]
impl ShutdownSignalWatch for DrainWatch {
    async fn recv(&self) -> ShutdownSignal {
        wait_for_signal().await;
        tracing::info!("stopping: waiting for requests under way");
        self.drain.begin();
        let began = Instant::now();
        while self.drain.in_flight() > 0 && began.elapsed() < self.grace {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
        ShutdownSignal::GracefulTerminate
    }
}

async fn wait_for_signal() {
    match (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ => {
            tracing::error!("signals cannot be received; stop the process with SIGKILL");
            std::future::pending::<()>().await;
        }
    }
}
