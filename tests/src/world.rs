//! One test's world: a database of its own with the fixture in it, and a scripted provider.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tollgate_common::clock::{Clock as _, SystemClock, SystemRandom};
use tollgate_common::command::{Applied, Command, CommandError};
use tollgate_common::config::Config;
use tollgate_common::db::admin::{self, Actor};
use tollgate_common::db::call::{AttemptRow, CallRow};
use tollgate_common::db::job::JobFilter;
use tollgate_common::db::ledger::EntryRow;
use tollgate_common::db::work::BalanceChange;
use tollgate_common::db::{Access, Database, call, job, ledger, migrate, verify};
use tollgate_common::id::{CallId, JobId};
use tollgate_common::job::Job;
use tollgate_common::ledger::Account;
use tollgate_common::money::Credits;
use tollgate_common::provider::ProviderKind;
use tollgate_common::secret::SealingKey;

use crate::fixture;
use crate::postgres;
use crate::process::{self, Environment, Finished, Process};
use crate::proxy::Proxy;
use crate::pty::{self, Terminal};
use crate::upstream::Upstream;

/// Where a world keeps its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// A file in the world's folder.
    Sqlite,
    /// A database of its own on the server of `tests/run.sh`.
    Postgres,
}

/// More rows than any test makes.
const LISTED_MAX: i64 = 100_000;

/// A database, a provider, and settings for the proxies of one test.
#[derive(Debug)]
pub struct World {
    // Dropped in this order; the folder must outlive what has files in it.
    database: Database,
    /// The provider behind the fixture's models.
    pub upstream: Upstream,
    sealing_key: SealingKey,
    environment: Environment,
    folder: TempDir,
}

impl World {
    /// A world with the fixture, on SQLite.
    pub async fn sqlite() -> Self {
        Self::on(Store::Sqlite).await
    }

    /// A world with the fixture, on PostgreSQL.
    pub async fn postgres() -> Self {
        Self::on(Store::Postgres).await
    }

    /// A world with the fixture.
    pub async fn on(store: Store) -> Self {
        let world = Self::empty(store).await;
        migrate::migrate(&world.database).await.expect("migrations");
        for command in fixture::commands(&world.upstream.base_url(), &world.sealing_key) {
            world.execute(command).await;
        }
        for command in fixture::other_kinds(&world.upstream, &world.sealing_key) {
            world.execute(command).await;
        }
        world
    }

    /// Gives a team more credits.
    pub async fn allocate(&self, team: &str, credits: i64) {
        self.execute(Command::ChangeBalance {
            team_id: team.parse().expect("a team id"),
            change: BalanceChange::Allocate(Credits(credits)),
            reason: "a long test".to_owned(),
        })
        .await;
    }

    /// Adds a model that all teams may use, at a provider of its own.
    pub async fn add_model(&self, alias: &str, kind: ProviderKind, base_url: &str) {
        let upstream_model = match kind {
            ProviderKind::OpenAi => "gpt-4o",
            ProviderKind::Anthropic => "claude-sonnet-4-5",
            ProviderKind::Gemini => "gemini-2.5-flash",
        };
        let (provider, secret) = (format!("{alias}-provider"), "sk-of-its-own");
        let key = self.sealing_key();
        let added = fixture::add_provider_of(kind, &provider, base_url, secret, key);
        self.execute(added).await;
        let added = fixture::add_model(alias, &provider, upstream_model);
        self.execute(added).await;
        self.execute(fixture::grant(alias)).await;
    }

    /// A world whose database has no tables yet.
    pub async fn empty(store: Store) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let url = match store {
            Store::Sqlite => format!("sqlite:{}", folder.path().join("test.db").display()),
            Store::Postgres => postgres::create_database().await,
        };
        let config = Config {
            database: url.parse().expect("a database URL"),
            ..Config::default()
        };
        let database = Database::connect(&config, Access::Create)
            .await
            .expect("a database");
        let key_file = folder.path().join("test.key");
        let sealing_key =
            SealingKey::read_or_create(&key_file, &SystemRandom).expect("a sealing key");
        let environment = [
            ("TOLLGATE_DATABASE_URL", url.as_str()),
            ("TOLLGATE_SECRETS_KEY_FILE", &key_file.display().to_string()),
            ("TOLLGATE_LOG_FILTER", "info"),
            // A machine with too much to do is no fault of the ledger.
            ("TOLLGATE_DATABASE_WAIT_TIMEOUT_MS", "60000"),
            ("RUST_BACKTRACE", "1"),
        ];
        Self {
            database,
            upstream: Upstream::start().await,
            sealing_key,
            environment: environment
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            folder,
        }
    }

    /// Gives the proxies started from now on a setting, as `TOLLGATE_JOBS_EXPIRY_SECONDS`.
    #[must_use]
    pub fn with(mut self, variable: &str, value: &str) -> Self {
        self.environment
            .push((variable.to_owned(), value.to_owned()));
        self
    }

    /// Starts a proxy and waits until it serves.
    pub async fn start(&self) -> Proxy {
        Proxy::start(self.folder(), &self.environment).await
    }

    /// Starts a proxy that is not expected to get as far as serving.
    pub fn spawn(&self, arguments: &[&str]) -> Process {
        let log = self.folder().join("spawned.log");
        Process::spawn("tollgate", arguments, self.folder(), &self.environment, log)
    }

    /// Runs `tollgate-admin` on this world's database.
    pub async fn admin(&self, arguments: &[&str]) -> Finished {
        process::run(
            "tollgate-admin",
            arguments,
            self.folder(),
            &self.environment,
        )
        .await
    }

    /// Opens `tollgate-admin` on this world's database in a terminal.
    pub fn terminal(&self, arguments: &[&str], size: pty::Size) -> Terminal {
        let environment = &self.environment;
        Terminal::start(
            "tollgate-admin",
            arguments,
            self.folder(),
            environment,
            size,
        )
    }

    /// Runs `tollgate` to its end.
    pub async fn tollgate(&self, arguments: &[&str]) -> Finished {
        process::run("tollgate", arguments, self.folder(), &self.environment).await
    }

    /// Makes an administrative change.
    pub async fn execute(&self, command: Command) -> Applied {
        self.try_execute(command)
            .await
            .unwrap_or_else(|error| panic!("the command was refused: {error}"))
    }

    /// Tries an administrative change.
    pub async fn try_execute(&self, command: Command) -> Result<Applied, CommandError> {
        let actor = Actor::new("test", SystemClock.now(), &SystemRandom);
        admin::execute(&self.database, actor, &command).await
    }

    /// The folder of the database file, the key file and the logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file of a SQLite database.
    pub fn sqlite_file(&self) -> PathBuf {
        self.folder().join("test.db")
    }

    /// The database itself.
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// The URL of the database.
    pub fn database_url(&self) -> &str {
        &self.environment[0].1
    }

    /// The key that seals this installation's secrets.
    pub const fn sealing_key(&self) -> &SealingKey {
        &self.sealing_key
    }

    /// Fails if any balance or hold is not what entries, jobs and calls say.
    pub async fn verify(&self) -> verify::Report {
        let report = verify::verify(&self.database)
            .await
            .expect("the check runs");
        assert_eq!(report.differences, [], "the books do not balance");
        report
    }

    /// A team's credits.
    pub async fn account(&self, team: &str) -> Account {
        let team = team.parse().expect("a team id");
        ledger::find_account(self.database.pool(), &team)
            .await
            .expect("accounts can be read")
            .expect("the team has an account")
    }

    /// A team's ledger entries, the newest first.
    pub async fn entries(&self, team: &str) -> Vec<EntryRow> {
        let team = team.parse().expect("a team id");
        ledger::list_entries(self.database.pool(), &team, None, LISTED_MAX)
            .await
            .expect("entries can be read")
    }

    /// All jobs.
    pub async fn jobs(&self) -> Vec<Job> {
        job::list_jobs(self.database.pool(), &JobFilter::default(), LISTED_MAX)
            .await
            .expect("jobs can be read")
    }

    /// A job.
    pub async fn job(&self, id: &str) -> Job {
        job::find_job(self.database.pool(), job_id(id))
            .await
            .expect("jobs can be read")
            .expect("the job is there")
    }

    /// The calls of a job.
    pub async fn calls(&self, job: &str) -> Vec<CallRow> {
        call::list_calls(self.database.pool(), job_id(job))
            .await
            .expect("calls can be read")
    }

    /// The tries of a call that failed, in their order.
    pub async fn attempts(&self, call: CallId) -> Vec<AttemptRow> {
        call::list_attempts(self.database.pool(), call)
            .await
            .expect("tries can be read")
    }
}

fn job_id(text: &str) -> JobId {
    text.parse().expect("a job id")
}
