//! The database: one portable set of SQL for SQLite and PostgreSQL, over sqlx's `Any` driver.
//!
//! Reading goes through a pool. Writing goes through one connection at a time per process: the
//! group-commit writer of a proxy (`writer`), or a short transaction of the administration.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, ConnectOptions as _, Connection as _};

use crate::config::Config;

pub mod about;
pub mod admin;
pub mod audit;
pub mod batch;
pub mod call;
pub mod demo;
pub mod file;
pub mod idempotency;
pub mod job;
pub mod key;
pub mod known;
pub mod lease;
pub mod ledger;
mod limit;
pub mod live;
pub mod migrate;
pub mod model;
pub mod node;
pub mod org;
pub mod overview;
pub mod page;
pub mod policy;
pub mod price;
pub mod provider;
pub mod retention;
mod rows;
pub mod seal;
pub mod search;
pub mod team;
pub mod usage;
pub mod verify;
pub mod work;
pub mod writer;

/// Which database engine serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file beside the proxy.
    Sqlite,
    /// A server that many nodes share.
    Postgres,
}

/// When SQLite waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// At checkpoints: survives a crash of the process.
    Normal,
    /// At each commit: survives a loss of power too.
    Full,
}

impl FromStr for Synchronous {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "normal" => Ok(Self::Normal),
            "full" => Ok(Self::Full),
            _ => Err("must be normal or full".to_owned()),
        }
    }
}

/// Where the data is. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    text: String,
    engine: Engine,
}

impl DatabaseUrl {
    /// A SQLite file.
    pub fn sqlite(path: &str) -> Self {
        Self {
            text: format!("sqlite:{path}"),
            engine: Engine::Sqlite,
        }
    }

    /// The engine that serves this URL.
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// The SQLite file, if it is one.
    pub fn sqlite_file(&self) -> Option<&str> {
        let rest = self.text.strip_prefix("sqlite:")?;
        Some(rest.strip_prefix("//").unwrap_or(rest))
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let engine = if text.starts_with("sqlite:") {
            Engine::Sqlite
        } else if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            Engine::Postgres
        } else {
            return Err("must begin with sqlite: or postgres://".to_owned());
        };
        let url = Self {
            text: text.to_owned(),
            engine,
        };
        if url
            .sqlite_file()
            .is_some_and(|file| file.is_empty() || file.contains(['?', ':']))
        {
            return Err("must name a file, as sqlite:tollgate.db".to_owned());
        }
        if engine == Engine::Postgres && url::Url::parse(text).is_err() {
            return Err("is not a URL: write postgres://USER:PASSWORD@HOST/DATABASE".to_owned());
        }
        Ok(url)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.engine, url::Url::parse(&self.text)) {
            (Engine::Sqlite, _) => f.write_str(&self.text),
            (Engine::Postgres, Ok(mut url)) => {
                // Only URLs without a host refuse a password, and those have none.
                let _ = url.set_password(None);
                url.set_query(None);
                write!(f, "{url}")
            }
            (Engine::Postgres, Err(_)) => f.write_str("postgres://…"),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine or the way to it failed.
    #[error("database: {0}")]
    Driver(#[from] sqlx::Error),
    /// Something stored contradicts the rules.
    #[error("inconsistent data: {0}")]
    Inconsistent(String),
    /// The schema is not the one that this binary knows.
    #[error("{0}")]
    Schema(String),
    /// The way to the engine broke while it committed: nobody knows whether it has.
    #[error("the database did not say whether it was done: {0}")]
    Unanswered(sqlx::Error),
    /// The database cannot be reached, or the writer has stopped.
    #[error("the database is not available: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// The engine's own code of the error, if it comes from the engine.
    fn code(&self) -> Option<Cow<'_, str>> {
        let Self::Driver(sqlx::Error::Database(error)) = self else {
            return None;
        };
        error.code()
    }

    /// SQLite's primary result code; extended ones carry it in their lowest byte.
    fn sqlite_code(&self) -> Option<u32> {
        self.code()
            .filter(|code| code.len() < 5)?
            .parse::<u32>()
            .ok()
            .map(|code| code & 0xff)
    }

    /// Whether the same transaction may succeed if it is tried again: the engine was busy or could
    /// not serialize it.
    pub fn is_transient(&self) -> bool {
        // SQLite: busy, locked. PostgreSQL: serialization failure, deadlock, lock timeout.
        matches!(self.sqlite_code(), Some(5 | 6))
            || matches!(self.code().as_deref(), Some("40001" | "40P01" | "55P03"))
    }

    /// Whether a lock on some rows was waited for too long; others may be free.
    pub fn is_lock_timeout(&self) -> bool {
        self.code().as_deref() == Some("55P03")
    }

    /// Whether the engine is well but refuses what it was given: trying the same again is no use.
    pub fn is_about_data(&self) -> bool {
        // SQLite: too big, constraint, mismatch, range. PostgreSQL: data exception, constraint.
        matches!(self, Self::Inconsistent(_))
            || matches!(self.sqlite_code(), Some(18 | 19 | 20 | 25))
            || self
                .code()
                .is_some_and(|c| c.len() == 5 && (c.starts_with("22") || c.starts_with("23")))
    }

    /// Whether the engine itself reports an error that is not about its own state or the way to
    /// it: something in a transaction is at fault, and the rest of it can be done.
    pub fn is_about_piece(&self) -> bool {
        if self.is_about_data() {
            return true;
        }
        match self {
            // A stored value is not of its column's type.
            Self::Driver(
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::Encode(_),
            ) => true,
            Self::Driver(sqlx::Error::Database(_)) => match self.sqlite_code() {
                // Permission, busy, locked, no memory, read-only, interrupted, I/O, corrupt, full,
                // cannot open, lock protocol, authorization, no database.
                Some(code) => !matches!(code, 3 | 5..=11 | 13..=15 | 23 | 26),
                None => self.code().is_none_or(|code| !is_about_engine(&code)),
            },
            _ => false,
        }
    }

    /// Why the database cannot be written, in words that tell nothing of it to strangers.
    pub fn reason(&self) -> &'static str {
        match (self.sqlite_code(), self.code().as_deref()) {
            (Some(5 | 6), _) | (_, Some("55P03")) => "the database is locked by somebody else",
            (Some(13), _) | (_, Some("53100")) => "the disk of the database is full",
            (Some(8), _) | (_, Some("25006")) => "the database is read-only",
            (Some(10), _) => "the disk of the database fails",
            (_, Some("53300")) => "the database takes no more connections",
            _ if self.is_unreachable() => "the database cannot be reached",
            _ => "the database cannot be written",
        }
    }

    /// Whether the transaction may have been committed all the same: the way to the engine broke,
    /// and it did not say.
    pub fn leaves_outcome_unknown(&self) -> bool {
        match self {
            Self::Unanswered(_) => true,
            Self::Driver(error) => !matches!(error, sqlx::Error::Database(_)),
            Self::Inconsistent(_) | Self::Schema(_) | Self::Unavailable(_) => false,
        }
    }

    /// Why a commit failed.
    pub fn of_commit(error: sqlx::Error) -> Self {
        match error {
            error @ sqlx::Error::Database(_) => Self::Driver(error),
            error => Self::Unanswered(error),
        }
    }

    /// Whether the engine cannot be reached at all, so that any other statement would fail too.
    pub fn is_unreachable(&self) -> bool {
        // SQLite: the file cannot be opened.
        if self.sqlite_code() == Some(14) {
            return true;
        }
        matches!(
            self,
            Self::Unavailable(_)
                | Self::Unanswered(_)
                | Self::Driver(
                    sqlx::Error::Io(_)
                        | sqlx::Error::Tls(_)
                        | sqlx::Error::PoolTimedOut
                        | sqlx::Error::PoolClosed
                        | sqlx::Error::WorkerCrashed
                )
        )
    }

    /// Whether the error is one of a unique constraint.
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Driver(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}

/// Classes of `PostgreSQL`'s codes that are about the server, the session or the transaction:
/// connection, transaction state, authorization, rollback, resources, limits, prerequisites,
/// intervention, system, configuration, internal.
fn is_about_engine(code: &str) -> bool {
    const CLASSES: [&str; 11] = [
        "08", "25", "28", "40", "53", "54", "55", "57", "58", "F0", "XX",
    ];
    CLASSES.iter().any(|class| code.starts_with(class))
}

/// What connections may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everything, with a new SQLite file if there is none.
    Create,
    /// Everything.
    Write,
    /// Nothing but read: the engine itself refuses any change.
    Read,
}

/// How often a transaction that the engine could not serialize is tried before it is an error.
const ATTEMPTS_MAX: u32 = 8;

/// How long a transaction is tried again and again while others hold locks.
const TRANSIENT_MAX: Duration = Duration::from_secs(5);

/// An open database.
#[derive(Debug, Clone)]
pub struct Database {
    engine: Engine,
    options: AnyConnectOptions,
    setup: &'static str,
    connect_timeout: Duration,
    pool: AnyPool,
    /// Where it is, without its password.
    place: String,
}

/// How long a transaction waits for locks of others is bounded, so that work behind them is refused
/// in time. A new file can be made smaller step by step, and its log does not stay at its peak.
const SETUP_SQLITE_NORMAL: &str = "
    PRAGMA busy_timeout = 1000;
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA synchronous = NORMAL;
    PRAGMA foreign_keys = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -16000";

const SETUP_SQLITE_FULL: &str = "
    PRAGMA busy_timeout = 1000;
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -16000";

const SETUP_SQLITE_READ: &str = "
    PRAGMA query_only = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -16000";

/// One short transaction.
const SETUP_SQLITE_APPEND: &str = "
    PRAGMA synchronous = NORMAL;
    PRAGMA foreign_keys = ON";

const SETUP_POSTGRES: &str = "
    SET client_min_messages = warning;
    SET lock_timeout = 1000";

const SETUP_POSTGRES_READ: &str = "
    SET client_min_messages = warning;
    SET default_transaction_read_only = on";

const fn setup(config: &Config, access: Access) -> &'static str {
    match (config.database.engine(), access, config.synchronous) {
        (Engine::Sqlite, Access::Read, _) => SETUP_SQLITE_READ,
        (Engine::Sqlite, _, Synchronous::Normal) => SETUP_SQLITE_NORMAL,
        (Engine::Sqlite, _, Synchronous::Full) => SETUP_SQLITE_FULL,
        (Engine::Postgres, Access::Read, _) => SETUP_POSTGRES_READ,
        (Engine::Postgres, ..) => SETUP_POSTGRES,
    }
}

impl Database {
    /// Opens the database.
    pub async fn connect(config: &Config, access: Access) -> Result<Self, StoreError> {
        let database = Self::connect_later(config, access)?;
        database.require_reachable().await?;
        Ok(database)
    }

    /// Fails, with the place of the database, unless it can be reached.
    pub async fn require_reachable(&self) -> Result<(), StoreError> {
        match self.pool.acquire().await {
            Ok(_) => Ok(()),
            Err(error) => Err(StoreError::Unavailable(format!("{}: {error}", self.place))),
        }
    }

    /// Prepares the way to the database, which is gone when something is first asked of it. Only a
    /// missing file is found out at once.
    pub fn connect_later(config: &Config, access: Access) -> Result<Self, StoreError> {
        match config.database.sqlite_file() {
            Some(path) if access == Access::Create => create_file(path)?,
            _ => require_file(config)?,
        }
        sqlx::any::install_default_drivers();
        let options = connect_options(config, access)?;
        let setup = setup(config, access);
        let pool = pool_options(setup, config.database_connections, config.connect_timeout)
            .connect_lazy_with(options.clone());
        Ok(Self {
            engine: config.database.engine(),
            options,
            setup,
            connect_timeout: config.connect_timeout,
            pool,
            place: config.database.to_string(),
        })
    }

    /// The engine that serves.
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// Connections for reading.
    pub const fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// A connection of its own, for a writer.
    pub async fn dedicated_connection(&self) -> Result<AnyConnection, StoreError> {
        self.connection_with(self.setup).await
    }

    async fn connection_with(&self, setup: &'static str) -> Result<AnyConnection, StoreError> {
        let mut connection = self.options.connect().await?;
        sqlx::raw_sql(setup).execute(&mut connection).await?;
        Ok(connection)
    }

    /// Runs `work` in one writing transaction, also if this database was opened for reading only.
    /// For the audit log alone: nothing else may be written for whoever may only read.
    pub(crate) async fn append<T>(
        &self,
        work: impl AsyncFn(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let setup = match self.engine {
            Engine::Sqlite => SETUP_SQLITE_APPEND,
            Engine::Postgres => SETUP_POSTGRES,
        };
        self.write_with(setup, work).await
    }

    /// The statement that begins a writing transaction: SQLite must take the lock at once, or two
    /// writers that read first would both fail.
    pub const fn begin_statement(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite => "BEGIN IMMEDIATE",
            Engine::Postgres => "BEGIN",
        }
    }

    /// Runs `work` in one transaction, again if the engine could not serialize it.
    pub async fn write<T, E: From<StoreError>>(
        &self,
        work: impl AsyncFn(&mut AnyConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.write_with(self.setup, work).await
    }

    async fn write_with<T, E: From<StoreError>>(
        &self,
        setup: &'static str,
        work: impl AsyncFn(&mut AnyConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let first_attempt_at = Instant::now();
        let mut attempt = 0;
        loop {
            attempt += 1;
            // A connection whose transaction has failed may still be inside it.
            let mut connection = self.connection_with(setup).await?;
            let committed = async {
                let begun = connection.begin_with(self.begin_statement()).await;
                let mut transaction = begun.map_err(|error| Err(StoreError::from(error)))?;
                let value = work(&mut transaction).await.map_err(Ok)?;
                let committed = transaction.commit().await;
                committed.map_err(|error| Err(StoreError::of_commit(error)))?;
                Ok(value)
            };
            match committed.await {
                Ok(value) => return Ok(value),
                Err(Err(error))
                    if error.is_transient()
                        && attempt < ATTEMPTS_MAX
                        && first_attempt_at.elapsed() < TRANSIENT_MAX => {}
                Err(Err(error)) => return Err(error.into()),
                Err(Ok(error)) => return Err(error),
            }
        }
    }

    /// The same database with a pool of its own, for tasks that must not wait behind customers.
    #[must_use]
    pub fn with_own_pool(&self, connections: u32) -> Self {
        let pool = pool_options(self.setup, connections, self.connect_timeout);
        Self {
            pool: pool.connect_lazy_with(self.options.clone()),
            ..self.clone()
        }
    }
}

fn pool_options(setup: &'static str, connections: u32, timeout: Duration) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(timeout)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                sqlx::raw_sql(setup).execute(connection).await?;
                Ok(())
            })
        })
}

/// Made before SQLite does, which would leave it to the umask who may read it.
fn create_file(path: &str) -> Result<(), StoreError> {
    let made = file::open_private(std::path::Path::new(path));
    made.map(drop)
        .map_err(|why| StoreError::Unavailable(format!("{path}: {why}")))
}

fn require_file(config: &Config) -> Result<(), StoreError> {
    match config.database.sqlite_file() {
        Some(file) if !std::path::Path::new(file).exists() => {
            Err(StoreError::Unavailable(format!(
                "there is no file {file}; run tollgate quickstart or tollgate migrate in its folder, or say where it is with --database-url"
            )))
        }
        _ => Ok(()),
    }
}

fn connect_options(config: &Config, access: Access) -> Result<AnyConnectOptions, StoreError> {
    let mode = match access {
        Access::Create => "rwc",
        // A file that is only read is opened like this too: readers of a log share memory.
        Access::Write | Access::Read => "rw",
    };
    let text = match config.database.sqlite_file() {
        Some(file) => format!(
            "sqlite://{}?mode={mode}",
            file.replace('%', "%25").replace('?', "%3F")
        ),
        None => {
            let separator = if config.database.text.contains('?') {
                '&'
            } else {
                '?'
            };
            format!(
                "{}{separator}options=-c%20statement_timeout%3D{}",
                config.database.text,
                config.statement_timeout.as_millis()
            )
        }
    };
    Ok(AnyConnectOptions::from_str(&text)?.disable_statement_logging())
}
