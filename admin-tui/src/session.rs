//! What every administrative act needs: the configuration, the open database, who acts and when.

use tollgate_common::clock::{Clock as _, SystemClock, SystemRandom, Timestamp};
use tollgate_common::command::{Applied, Command, CommandError};
use tollgate_common::config::Config;
use tollgate_common::db::admin::{self, Actor};
use tollgate_common::db::team::list;
use tollgate_common::db::{Database, migrate};
use tollgate_common::id::TeamId;
use tollgate_common::secret::SealingKey;

use crate::cli::Options;
use crate::cli::error::Failure;

/// Whom the audit log names if neither an option nor the system says who acts.
const DEFAULT_ACTOR: &str = "admin";

/// The variable that holds the sealing key itself instead of a file.
const SECRET_KEY_VARIABLE: &str = "TOLLGATE_SECRET_KEY";

/// An open installation.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its database, at the schema that this binary knows.
    pub(crate) database: Database,
    config: Config,
    actor: String,
    clock: SystemClock,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn load_config(options: &Options) -> Result<Config, Failure> {
    let Some(url) = &options.database_url else {
        return Ok(Config::load(options.config.as_deref(), variable)?);
    };
    let overridden = |name: &str| matches!(name, "DATABASE_URL" | "TOLLGATE_DATABASE_URL");
    let environment = |name: &str| variable(name).filter(|_| !overridden(name));
    let mut config = Config::load(options.config.as_deref(), environment)?;
    config.database = url
        .parse()
        .map_err(|why| Failure::Usage(format!("--database-url {why}")))?;
    Ok(config)
}

impl Session {
    /// Opens the installation that the options, the environment or the configuration file name.
    pub(crate) async fn open(options: &Options) -> Result<Self, Failure> {
        let config = load_config(options)?;
        let database = Database::connect(&config, false).await?;
        migrate::require_current(&database).await?;
        let actor = options
            .actor
            .clone()
            .or_else(|| variable("USER"))
            .unwrap_or_else(|| DEFAULT_ACTOR.to_owned());
        Ok(Self {
            database,
            config,
            actor,
            clock: SystemClock,
        })
    }

    /// Whom the audit log and the ledger name.
    pub(crate) fn actor(&self) -> &str {
        &self.actor
    }

    /// Where the database is, without its password.
    pub(crate) fn database_url(&self) -> String {
        self.config.database.to_string()
    }

    /// Why nothing may be changed, if so.
    pub(crate) const fn read_only(&self) -> Option<&'static str> {
        None
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Makes one change in the name of whoever acts.
    pub(crate) async fn execute(&self, command: &Command) -> Result<Applied, Failure> {
        let actor = Actor {
            name: &self.actor,
            now: self.now(),
            random: &SystemRandom,
        };
        Ok(admin::execute(&self.database, actor, command).await?)
    }

    /// Cancels the open jobs of a team, each by a command of its own, and says how many. Jobs that
    /// have ended meanwhile are left alone.
    pub(crate) async fn cancel_open_jobs(
        &self,
        team: &TeamId,
        why: &str,
    ) -> Result<usize, Failure> {
        let jobs = list::open_job_ids(self.database.pool(), team).await?;
        let mut cancelled = 0;
        for id in jobs {
            let reason = why.to_owned();
            match self.execute(&Command::CancelJob { id, reason }).await {
                Ok(_) => cancelled += 1,
                Err(Failure::Command(CommandError::Refused(_) | CommandError::NotFound { .. })) => {
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(cancelled)
    }

    /// The installation's key for what must rest encrypted.
    pub(crate) fn sealing_key(&self) -> Result<SealingKey, Failure> {
        if let Some(text) = variable(SECRET_KEY_VARIABLE) {
            return Ok(SealingKey::parse(&text, SECRET_KEY_VARIABLE)?);
        }
        let file = &self.config.secret_key_file;
        if !file.exists() {
            return Err(Failure::NoSealingKey(file.display().to_string()));
        }
        Ok(SealingKey::read(file)?)
    }
}
