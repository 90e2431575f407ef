//! `tollgate-admin dev`: for those who try Tollgate out or work on it.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use clap::Subcommand;
use serde::Serialize;
use serde_json::json;
use tollgate_common::clock::SystemRandom;
use tollgate_common::db::admin::{self, Actor};
use tollgate_common::db::audit::NoticeKind;
use tollgate_common::db::{demo as table, ledger};
use tollgate_common::id::InvalidId;
use tollgate_common::ledger::Account;
use tollgate_common::role::Role;
use tollgate_common::secret::SealingKey;

use super::error::Failure;
use super::output::{Output, Show};
use crate::demo::Size;
use crate::demo::cast::Cast;
use crate::demo::dice::Dice;
use crate::demo::history::History;
use crate::session::Session;

/// What can be done for a trial.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Fill an empty database with seed data: for demonstrations and tests
    Seed(Seed),
}

/// How large the business is.
#[derive(Debug, clap::Args)]
pub(crate) struct Seed {
    /// Jobs, with about 1.2 calls each
    #[arg(long, value_name = "N", default_value_t = 20_000,
          value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    jobs: u64,
    /// Teams; an organization has about five
    #[arg(long, value_name = "N", default_value_t = 40,
          value_parser = clap::value_parser!(u64).range(1..=100_000))]
    teams: u64,
    /// Days of history
    #[arg(long, value_name = "D", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=3_650))]
    days: u32,
    /// The same number makes the same business
    #[arg(long = "seed", value_name = "S", default_value_t = 1)]
    number: u64,
    /// Do it though the database has teams: they are not touched, but nothing tells the made-up
    /// figures from real ones afterwards but names that begin with demo
    #[arg(long)]
    beside_real_teams: bool,
}

#[derive(Debug, Serialize)]
struct SeedView {
    teams: usize,
    jobs: u64,
    calls: u64,
    entries: u64,
    seconds: u64,
}

impl Show for SeedView {
    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Teams", self.teams.to_string()),
            ("Jobs", self.jobs.to_string()),
            ("Calls", self.calls.to_string()),
            ("Ledger entries", self.entries.to_string()),
            ("Seconds", self.seconds.to_string()),
        ]
    }
}

/// Does what `verb` says.
pub(super) async fn run(session: &Session, output: Output, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Seed(seed) => run_seed(session, output, &seed).await,
    }
}

/// How many administrative commands share a transaction.
const COMMANDS_TOGETHER: usize = 500;

async fn run_seed(session: &Session, output: Output, seed: &Seed) -> Result<(), Failure> {
    require_owner(session).await?;
    let teams = table::count_teams(session.database.pool()).await?;
    if teams > 0 && !seed.beside_real_teams {
        return Err(Failure::refused(format!(
            "the database has {teams} team(s) already: made-up jobs belong in one of their own. \
             Make it with tollgate migrate, or say --beside-real-teams"
        )));
    }
    let detail = json!({
        "jobs": seed.jobs,
        "teams": seed.teams,
        "days": seed.days,
        "beside_real_teams": seed.beside_real_teams,
    });
    let target = "database".to_owned();
    session.record(NoticeKind::Seed, target, detail).await?;
    let begun = Instant::now();
    let size = Size {
        jobs: seed.jobs,
        teams: seed.teams as usize,
        days: seed.days,
        now: session.now(),
    };
    let mut progress = Progress::new(size.jobs);
    let dice = Dice::new(seed.number);
    let cast = enlist(session, size, &dice, &mut progress).await?;
    let accounts = accounts(session, &cast).await?;
    let mut history = History::new(size, &dice, &cast, accounts);
    let mut view = SeedView {
        teams: cast.players.len(),
        jobs: 0,
        calls: 0,
        entries: 0,
        seconds: 0,
    };
    let mut count = |rows: &table::Rows| {
        view.jobs += rows.jobs.len() as u64;
        view.calls += rows.calls.len() as u64;
        view.entries += rows.entries.len() as u64;
        view.jobs
    };
    while let Some(rows) = history.go_on() {
        table::append(&session.database, &rows, &dice).await?;
        progress.tell("jobs", count(&rows), size.jobs);
    }
    let (rest, ending) = history.end_here();
    table::append(&session.database, &rest, &dice).await?;
    count(&rest);
    table::finish(&session.database, &ending, size.now).await?;
    progress.end();
    view.seconds = begun.elapsed().as_secs();
    let sentence = format!("{} teams with {} jobs were made up.", view.teams, view.jobs);
    output.done(&view, &sentence)
}

/// It makes teams with credits and may make a key file, so it takes whoever may do everything,
/// with the machine's shell at hand.
async fn require_owner(session: &Session) -> Result<(), Failure> {
    let rights = session.rights();
    let why = if rights.is_forced {
        "seed data is not written under a forced command of SSH".to_owned()
    } else if let Some(why) = rights.read_only {
        why.to_owned()
    } else if rights.role < Role::Owner {
        format!(
            "the role {} may not make up a business: that takes the role owner",
            rights.role
        )
    } else {
        return Ok(());
    };
    Err(session
        .refuse("dev.seed", "database".to_owned(), &why)
        .await)
}

fn named_badly(error: InvalidId) -> Failure {
    Failure::Usage(error.to_string())
}

/// Lets the administrators of the demonstration do what they did.
async fn enlist(
    session: &Session,
    size: Size,
    dice: &Dice,
    progress: &mut Progress,
) -> Result<Cast, Failure> {
    let file = &session.config().secret_key_file;
    let sealing = match session.sealing_key() {
        // As the proxy does at its first start.
        Err(Failure::NoSealingKey(_)) => SealingKey::read_or_create(file, &SystemRandom)?,
        other => other?,
    };
    let cast = Cast::new(size, dice, &SystemRandom, &sealing).map_err(named_badly)?;
    let mut done = 0;
    for records in cast.records.chunks(COMMANDS_TOGETHER) {
        let changes: Vec<_> = records
            .iter()
            .map(|record| {
                let actor = Actor::new(record.actor, record.at, dice);
                (actor, &record.command)
            })
            .collect();
        admin::execute_all(&session.database, &changes).await?;
        done += records.len() as u64;
        progress.tell("changes", done, cast.records.len() as u64);
    }
    Ok(cast)
}

/// The accounts of all players, in their order.
async fn accounts(session: &Session, cast: &Cast) -> Result<Vec<Account>, Failure> {
    let stored = ledger::list_accounts(session.database.pool()).await?;
    let mut stored: std::collections::HashMap<_, _> = stored
        .into_iter()
        .map(|account| (account.team_id.clone(), account))
        .collect();
    let players = cast.players.iter();
    let found = players.map(|player| {
        let account = stored.remove(&player.id);
        account.ok_or_else(|| Failure::not_found("account", &player.id))
    });
    found.collect()
}

/// Tells on standard error how far it has come: on a terminal in one line, else now and then.
#[derive(Debug)]
struct Progress {
    told_at: Option<Instant>,
    on_terminal: bool,
    begun: Instant,
    is_long: bool,
}

/// Who watches a terminal wants to see it move; a log does not.
const PAUSE_ON_TERMINAL: Duration = Duration::from_millis(200);
const PAUSE_ELSEWHERE: Duration = Duration::from_secs(10);

impl Progress {
    fn new(jobs: u64) -> Self {
        Self {
            told_at: None,
            on_terminal: std::io::stderr().is_terminal(),
            begun: Instant::now(),
            is_long: jobs > 10_000,
        }
    }

    fn tell(&mut self, what: &str, done: u64, of: u64) {
        let pause = if self.on_terminal {
            PAUSE_ON_TERMINAL
        } else {
            PAUSE_ELSEWHERE
        };
        let since = self.told_at.unwrap_or(self.begun).elapsed();
        if !self.is_long || since < pause {
            return;
        }
        self.told_at = Some(Instant::now());
        let seconds = self.begun.elapsed().as_secs();
        let (start, end) = if self.on_terminal {
            ("\r", "")
        } else {
            ("", "\n")
        };
        // What cannot be told is no reason to stop.
        let _ = write!(
            std::io::stderr(),
            "{start}{done} of {of} {what} after {seconds} s   {end}"
        );
    }

    fn end(&self) {
        if self.on_terminal && self.told_at.is_some() {
            let _ = writeln!(std::io::stderr());
        }
    }
}
