//! One transaction over many pieces of work: lock and read what they touch, decide in order by the
//! pure rules, write it all with a few statements.

use std::collections::{BTreeSet, HashMap};

use sqlx::{AnyConnection, Connection as _};

use super::call::OpenCall;
use super::idempotency::StoredClaim;
use super::work::{BeginCall, IdempotencyClaim, Outcome, SettleCall, Work, WorkError};
use super::{Database, Engine, StoreError};
use super::{call, idempotency, job, ledger};
use crate::clock::Timestamp;
use crate::id::{CallId, JobId, KeyId, TeamId};
use crate::job::Job;
use crate::ledger::{Account, Admission, Entry};

mod decide;

/// What came of each piece of work, in order.
pub type Outcomes = Vec<Result<Outcome, WorkError>>;

type ClaimKey = (String, KeyId);

/// All that the pieces of work of one transaction touch.
#[derive(Debug, Default)]
struct Batch<'w> {
    accounts: HashMap<TeamId, Account>,
    changed_accounts: BTreeSet<TeamId>,
    jobs: HashMap<JobId, Job>,
    new_jobs: Vec<JobId>,
    changed_jobs: BTreeSet<JobId>,
    ended_calls_of: BTreeSet<JobId>,
    calls: HashMap<CallId, OpenCall>,
    new_calls: Vec<(&'w BeginCall, Admission)>,
    settled_calls: Vec<&'w SettleCall>,
    in_flight: HashMap<JobId, i64>,
    latest_starts: HashMap<JobId, Timestamp>,
    claims: HashMap<ClaimKey, StoredClaim>,
    changed_claims: BTreeSet<ClaimKey>,
    dropped_claims: Vec<CallId>,
    entries: Vec<Entry>,
}

/// Does all of `works` in one transaction and commits it.
pub async fn commit(
    connection: &mut AnyConnection,
    database: &Database,
    works: &[&Work],
) -> Result<Outcomes, StoreError> {
    let mut transaction = connection.begin_with(database.begin_statement()).await?;
    let outcomes = apply(&mut transaction, database.engine(), works).await?;
    transaction.commit().await?;
    Ok(outcomes)
}

/// Does all of `works` inside the caller's transaction.
pub async fn apply(
    connection: &mut AnyConnection,
    engine: Engine,
    works: &[&Work],
) -> Result<Outcomes, StoreError> {
    let mut batch = Batch::load(connection, engine, works).await?;
    let outcomes = works.iter().map(|work| batch.decide(work)).collect();
    batch.store(connection).await?;
    Ok(outcomes)
}

/// What has to be read for some work.
#[derive(Debug, Default)]
struct Wanted {
    accounts: BTreeSet<TeamId>,
    jobs: BTreeSet<JobId>,
    calls: BTreeSet<CallId>,
    in_flight: BTreeSet<JobId>,
    latest_starts: BTreeSet<JobId>,
    claims: BTreeSet<String>,
}

impl Wanted {
    fn by(works: &[&Work]) -> Self {
        let mut wanted = Self::default();
        for work in works {
            wanted.add(work);
        }
        wanted
    }

    fn add(&mut self, work: &Work) {
        match work {
            Work::OpenJob(work) => {
                self.accounts.insert(work.team_id.clone());
                self.add_claim(work.claim.as_ref());
            }
            Work::BeginCall(work) => {
                self.accounts.insert(work.team_id.clone());
                self.jobs.insert(work.job_id);
                self.add_claim(work.claim.as_ref());
            }
            Work::SettleCall(work) => {
                self.calls.insert(work.id);
                self.add_claim(work.claim.as_ref().map(|(claim, _)| claim));
                // Under unmetered terms a call changes neither the account nor, as a rule, the job.
                if work.metered {
                    self.accounts.insert(work.team_id.clone());
                }
                if work.metered || work.metadata.is_some() {
                    self.accounts.insert(work.team_id.clone());
                    self.jobs.insert(work.job_id);
                }
            }
            Work::CompleteJob(work) => {
                self.accounts.insert(work.team_id.clone());
                self.jobs.insert(work.id);
                self.in_flight.insert(work.id);
                self.add_claim(work.claim.as_ref());
            }
            Work::EndJob(work) => {
                self.accounts.insert(work.team_id.clone());
                self.jobs.insert(work.id);
                self.in_flight.insert(work.id);
                if work.unless_active_since.is_some() {
                    self.latest_starts.insert(work.id);
                }
            }
            Work::PatchMetadata(work) => {
                self.accounts.insert(work.team_id.clone());
                self.jobs.insert(work.id);
            }
            Work::ChangeBalance(work) => {
                self.accounts.insert(work.team_id.clone());
            }
        }
    }

    fn add_claim(&mut self, claim: Option<&IdempotencyClaim>) {
        self.claims
            .extend(claim.map(|claim| claim.idempotency_key.clone()));
    }
}

fn list<T>(set: BTreeSet<T>) -> Vec<T> {
    set.into_iter().collect()
}

impl Batch<'_> {
    /// Locks the accounts first: whoever holds an account's lock owns its jobs and calls.
    async fn load(
        connection: &mut AnyConnection,
        engine: Engine,
        works: &[&Work],
    ) -> Result<Self, StoreError> {
        let mut wanted = Wanted::by(works);
        let mut batch = Self::default();
        let accounts = ledger::lock_accounts(connection, engine, &list(wanted.accounts)).await?;
        batch
            .accounts
            .extend(accounts.into_iter().map(|a| (a.team_id.clone(), a)));
        let claims = idempotency::select_claims(connection, &list(wanted.claims)).await?;
        for stored in claims {
            wanted.jobs.insert(stored.job_id);
            batch.claims.insert(claim_key(&stored.claim), stored);
        }
        let jobs = job::select_jobs(connection, &list(wanted.jobs)).await?;
        batch.jobs.extend(jobs.into_iter().map(|job| (job.id, job)));
        let calls = call::select_calls(connection, &list(wanted.calls)).await?;
        batch
            .calls
            .extend(calls.into_iter().map(|call| (call.id, call)));
        let in_flight = list(wanted.in_flight);
        batch
            .in_flight
            .extend(in_flight.iter().map(|job| (*job, 0)));
        batch
            .in_flight
            .extend(call::count_in_flight(connection, &in_flight).await?);
        let latest = call::latest_starts(connection, &list(wanted.latest_starts)).await?;
        batch.latest_starts.extend(latest);
        Ok(batch)
    }

    async fn store(self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        let of = |id: &JobId| self.jobs.get(id).cloned();
        let new_jobs: Vec<Job> = self.new_jobs.iter().filter_map(of).collect();
        let changed = self
            .changed_jobs
            .iter()
            .filter(|id| !self.new_jobs.contains(id));
        let changed_jobs: Vec<Job> = changed.filter_map(of).collect();
        let accounts: Vec<Account> = self
            .changed_accounts
            .iter()
            .filter_map(|id| self.accounts.get(id).cloned())
            .collect();
        let claims: Vec<StoredClaim> = self
            .changed_claims
            .iter()
            .filter_map(|key| self.claims.get(key).cloned())
            .collect();

        ledger::update_accounts(connection, &accounts).await?;
        ledger::insert_entries(connection, &self.entries).await?;
        job::insert_jobs(connection, &new_jobs).await?;
        job::update_jobs(connection, &changed_jobs).await?;
        call::insert_calls(connection, &self.new_calls).await?;
        call::update_calls(connection, &self.settled_calls).await?;
        job::update_totals(connection, &list(self.ended_calls_of)).await?;
        idempotency::upsert_claims(connection, &claims).await?;
        idempotency::delete_by_call(connection, &self.dropped_claims).await
    }
}

fn claim_key(claim: &IdempotencyClaim) -> ClaimKey {
    (claim.idempotency_key.clone(), claim.key_id.clone())
}
