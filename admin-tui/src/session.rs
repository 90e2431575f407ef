//! What every administrative act needs: the configuration, the open database, who acts and when.

use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_common::clock::{Clock as _, SystemClock, SystemRandom, Timestamp};
use tollgate_common::command::{Applied, Command, CommandError};
use tollgate_common::config::Config;
use tollgate_common::db::admin::{self, Actor};
use tollgate_common::db::audit::{self, Notice, NoticeKind, Recorded};
use tollgate_common::db::team::list;
use tollgate_common::db::{Access, Database, file, migrate};
use tollgate_common::id::TeamId;
use tollgate_common::role::Role;
use tollgate_common::secret::SealingKey;

use crate::cli::Options;
use crate::cli::error::Failure;
use crate::rights::Rights;
use crate::text::printable;

/// Whom the audit log names if neither an option nor the system says who acts.
const DEFAULT_ACTOR: &str = "admin";

/// The variable that holds the sealing key itself instead of a file.
const SECRET_KEY_VARIABLE: &str = "TOLLGATE_SECRET_KEY";

/// The longest origin that is recorded, in characters.
const ORIGIN_CHARACTERS_MAX: usize = 64;

/// How long somebody who looks on waits for a connection before the database counts as away.
const PATIENCE: Duration = Duration::from_secs(2);

/// An open installation.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its database, at the schema that this binary knows.
    pub(crate) database: Database,
    config: Config,
    actor: String,
    rights: Rights,
    /// What changes need; without it there is no way to make one.
    writer: Option<Writer>,
    reason: Option<String>,
    origin: Option<String>,
    clock: SystemClock,
}

/// The way to make changes, and what is checked of each.
#[derive(Debug)]
struct Writer {
    role: Role,
}

/// Why a change is made and what it rests on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Grounds<'a> {
    /// Why; in its absence, what the session was opened with.
    pub(crate) reason: Option<&'a str>,
    /// When the target, as it was shown, was last changed: if it was changed since, nothing is
    /// done.
    pub(crate) expected: Option<Timestamp>,
}

/// A variable of the environment that is not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
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

/// The address that whoever acts comes from, if it is over SSH.
fn origin(connection: Option<String>) -> Option<String> {
    let connection = connection?;
    let address: String = connection
        .split_whitespace()
        .next()?
        .chars()
        .filter(|c| !c.is_control())
        .take(ORIGIN_CHARACTERS_MAX)
        .collect();
    Some(address).filter(|address| !address.is_empty())
}

impl Session {
    /// Opens the installation that the options, the environment or the configuration file name,
    /// and makes sure that its schema is the current one.
    pub(crate) async fn open(options: &Options, rights: Rights) -> Result<Self, Failure> {
        let session = Self::new(options, rights, load_config(options)?)?;
        session.require_current().await?;
        Ok(session)
    }

    /// The same for somebody who looks on meanwhile: the way to the database is gone only when
    /// something is first asked of it, and what cannot be reached is told soon.
    pub(crate) fn open_later(options: &Options, rights: Rights) -> Result<Self, Failure> {
        let mut config = load_config(options)?;
        config.connect_timeout = config.connect_timeout.min(PATIENCE);
        Self::new(options, rights, config)
    }

    fn new(options: &Options, rights: Rights, config: Config) -> Result<Self, Failure> {
        let access = match rights.read_only {
            Some(_) => Access::Read,
            None => Access::Write,
        };
        let database = Database::connect_later(&config, access)?;
        if let Some(warning) = file::exposure_warning(&config) {
            // Nobody is left to tell if standard error is gone.
            let _ = writeln!(std::io::stderr(), "warning: {}", printable(&warning));
        }
        let actor = options.actor.clone().or_else(|| variable("USER"));
        let writer = rights
            .read_only
            .is_none()
            .then_some(Writer { role: rights.role });
        Ok(Self {
            database,
            config,
            actor: actor.unwrap_or_else(|| DEFAULT_ACTOR.to_owned()),
            rights,
            writer,
            reason: options.reason.clone(),
            origin: origin(variable("SSH_CONNECTION")),
            clock: SystemClock,
        })
    }

    /// Fails unless the database is there and has the schema that this binary knows.
    pub(crate) async fn require_current(&self) -> Result<(), Failure> {
        self.database.require_reachable().await?;
        Ok(migrate::require_current(&self.database).await?)
    }

    /// Whom the audit log and the ledger name.
    pub(crate) fn actor(&self) -> &str {
        &self.actor
    }

    /// Where the database is, without its password.
    pub(crate) fn database_url(&self) -> String {
        self.config.database.to_string()
    }

    /// The configuration in effect.
    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    /// What whoever acts may do.
    pub(crate) const fn rights(&self) -> Rights {
        self.rights
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Makes one change in the name of whoever acts.
    pub(crate) async fn execute(&self, command: &Command) -> Result<Applied, Failure> {
        self.execute_on(Grounds::default(), command).await
    }

    /// Makes one change for a reason of its own, or only if its target is still as it was.
    pub(crate) async fn execute_on(
        &self,
        grounds: Grounds<'_>,
        command: &Command,
    ) -> Result<Applied, Failure> {
        let Some(writer) = &self.writer else {
            let why = self.rights.read_only.unwrap_or("nothing can be changed");
            return Err(self.refuse(command.action(), command.target(), why).await);
        };
        if let Err(why) = writer.role.allows(command) {
            let why = why.to_string();
            return Err(self.refuse(command.action(), command.target(), &why).await);
        }
        let actor = Actor {
            reason: grounds.reason.or(self.reason.as_deref()),
            expected: grounds.expected,
            ..self.as_actor()
        };
        Ok(admin::execute(&self.database, actor, command).await?)
    }

    fn as_actor(&self) -> Actor<'_> {
        Actor {
            role: self.rights.role,
            reason: self.reason.as_deref(),
            origin: self.origin.as_deref(),
            ..Actor::new(&self.actor, self.now(), &SystemRandom)
        }
    }

    /// Records that something was refused for the role or the place that it was asked from, and
    /// gives the failure that says so.
    pub(crate) async fn refuse(&self, action: &str, target: String, why: &str) -> Failure {
        let detail = json!({ "action": action, "role": self.rights.role.word(), "why": why });
        let notice = Notice {
            kind: NoticeKind::Refused,
            target,
            detail,
        };
        // What is refused stays refused, whether or not the record can be made.
        match audit::append(&self.database, self.as_actor(), &notice).await {
            Ok(_) => Failure::refused(why),
            Err(error) => Failure::refused(format!("{why} (not recorded: {error})")),
        }
    }

    /// Records something that is done without a command. What cannot be recorded must not be done.
    pub(crate) async fn record(
        &self,
        kind: NoticeKind,
        target: String,
        detail: Value,
    ) -> Result<(), Failure> {
        let notice = Notice {
            kind,
            target,
            detail,
        };
        match audit::append(&self.database, self.as_actor(), &notice).await? {
            Recorded::Yes => Ok(()),
            Recorded::TooMany => Err(Failure::refused(format!(
                "too many within an hour for the audit log ({}): wait",
                kind.action()
            ))),
        }
    }

    /// Records an export before its first row is read.
    pub(crate) async fn record_export(
        &self,
        noun: &str,
        filter: &str,
        file: Option<&str>,
    ) -> Result<(), Failure> {
        let detail = json!({ "filter": filter, "file": file });
        let target = format!("export:{noun}");
        self.record(NoticeKind::Export, target, detail).await
    }

    /// Fails, and records it, if no file may be written.
    pub(crate) async fn require_files(&self, action: &str, target: String) -> Result<(), Failure> {
        match self.rights.no_files {
            Some(why) => Err(self.refuse(action, target, why).await),
            None => Ok(()),
        }
    }

    /// Cancels the open jobs of a team that is suspended, each by a command of its own, and says
    /// how many. Jobs that have ended meanwhile are left alone.
    pub(crate) async fn cancel_open_jobs(
        &self,
        team: &TeamId,
        why: Option<&str>,
    ) -> Result<usize, Failure> {
        let grounds = Grounds {
            reason: why,
            expected: None,
        };
        let jobs = list::open_job_ids(self.database.pool(), team).await?;
        let mut cancelled = 0;
        for id in jobs {
            let reason = why.unwrap_or("the team is suspended").to_owned();
            let command = Command::CancelJob {
                id,
                reason,
                release: false,
            };
            match self.execute_on(grounds, &command).await {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_that_only_reads_cannot_write_in_any_way() {
        let home = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", home.path().join("t.db").display());
        let config = Config {
            database: url.parse().unwrap(),
            ..Config::default()
        };
        let database = Database::connect(&config, Access::Create).await.unwrap();
        migrate::migrate(&database).await.unwrap();
        let command = Command::CreateOrg {
            id: "acme".parse().unwrap(),
            name: "Acme".to_owned(),
        };
        let options = Options {
            database_url: Some(url),
            role: Some(Role::Viewer),
            ..Options::default()
        };
        let rights = Rights::new(&options, None, None, false).unwrap();
        let session = Session::open(&options, rights).await.unwrap();
        let refused = session.execute(&command).await.unwrap_err().to_string();
        assert!(refused.contains("viewer"), "{refused}");
        let actor = Actor::new("mallory", session.now(), &SystemRandom);
        let beside = admin::execute(&session.database, actor, &command).await;
        let why = beside.unwrap_err().to_string();
        assert!(
            why.contains("readonly"),
            "the engine itself refuses it: {why}"
        );
        assert!(admin::execute(&database, actor, &command).await.is_ok());
    }

    #[test]
    fn the_origin_is_the_first_field_of_an_ssh_connection() {
        let of = |text: &str| origin(Some(text.to_owned()));
        let connection = "203.0.113.9 51234 10.0.0.1 22";
        assert_eq!(of(connection).as_deref(), Some("203.0.113.9"));
        assert_eq!(of("  "), None);
        assert_eq!(of("a\u{1b}[2J b").as_deref(), Some("a[2J"));
        assert_eq!(of(&"9".repeat(200)).map(|text| text.len()), Some(64));
        assert_eq!(origin(None), None);
    }
}
