use tollgate_common::clock::{SystemRandom, Timestamp};
use tollgate_common::db::demo::{Ending, Rows};
use tollgate_common::job::{CallState, JobState};
use tollgate_common::ledger::Account;
use tollgate_common::money::Credits;
use tollgate_common::secret::SealingKey;

use super::Size;
use super::cast::Cast;
use super::dice::Dice;
use super::history::History;

fn lived_through(seed: u64) -> (Cast, Vec<Rows>, Ending) {
    let size = Size {
        jobs: 3_000,
        teams: 20,
        days: 10,
        now: Timestamp::parse_rfc3339("2026-07-01T12:41:11Z").unwrap(),
    };
    let dice = Dice::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let sealing = SealingKey::read_or_create(&file, &SystemRandom).unwrap();
    let cast = Cast::new(size, &dice, &SystemRandom, &sealing).unwrap();
    let accounts = cast.players.iter().map(|player| {
        let mut account = Account::new(player.id.clone());
        (account.balance, account.allocated) = (Credits(5_000), Credits(5_000));
        account
    });
    let mut history = History::new(size, &dice, &cast, accounts.collect());
    let mut chunks: Vec<Rows> = std::iter::from_fn(|| history.go_on()).collect();
    let (rest, ending) = history.end_here();
    chunks.push(rest);
    (cast, chunks, ending)
}

#[test]
fn the_same_seed_makes_the_same_history() {
    let told = |seed| {
        let (_, chunks, ending) = lived_through(seed);
        let jobs = chunks.iter().flat_map(|rows| &rows.jobs);
        let jobs: Vec<_> = jobs.map(|(job, totals)| (job.clone(), *totals)).collect();
        (jobs, ending.accounts)
    };
    assert_eq!(told(7), told(7));
    assert_ne!(told(7).1, told(8).1);
}

#[test]
fn a_history_has_jobs_of_all_states_and_exactly_so_many() {
    let (cast, chunks, ending) = lived_through(1);
    let jobs: Vec<_> = chunks.iter().flat_map(|rows| &rows.jobs).collect();
    assert_eq!(jobs.len(), 3_000);
    for state in [
        JobState::InProgress,
        JobState::Completed,
        JobState::Failed,
        JobState::Cancelled,
    ] {
        assert!(jobs.iter().any(|(job, _)| job.state == state), "{state}");
    }
    let calls: Vec<_> = chunks.iter().flat_map(|rows| &rows.calls).collect();
    assert!((3_300..4_200).contains(&calls.len()), "{}", calls.len());
    let flying = calls
        .iter()
        .filter(|call| call.state == CallState::InFlight);
    assert_eq!(flying.count(), ending.figures.calls.len());
    assert!(!ending.figures.calls.is_empty());
    assert!(ending.traffic.len() > 100, "{}", ending.traffic.len());
    assert!(
        ending
            .accounts
            .iter()
            .any(|account| account.held.is_positive())
    );
    assert_eq!(ending.accounts.len(), cast.players.len());
}

#[test]
fn suspended_teams_create_nothing_after_that() {
    let (cast, chunks, _) = lived_through(3);
    let stopped: Vec<_> = cast
        .players
        .iter()
        .filter(|p| p.stops_at.is_some())
        .collect();
    assert!(!stopped.is_empty());
    for (job, _) in chunks.iter().flat_map(|rows| &rows.jobs) {
        let team = stopped.iter().find(|team| team.id == job.team_id);
        assert!(team.is_none_or(|team| Some(job.created_at) < team.stops_at));
    }
}
