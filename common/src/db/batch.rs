//! One transaction over many pieces of work: lock and read what they touch, decide in order by the
//! pure rules, write it all with a few statements.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem::take;
use std::sync::Arc;

use sqlx::{AnyConnection, Connection as _};

use super::call::OpenCall;
use super::idempotency::StoredClaim;
use super::job::totals::{CallSums, TotalsChange};
use super::known::Known;
use super::usage::daily::{self, DayChanges};
use super::work::{
    BalanceChange, BeginCall, IdempotencyClaim, Outcome, SettleCall, Work, WorkError,
};
use super::{Database, Engine, StoreError};
use super::{call, idempotency, job, ledger, price};
use crate::id::{CallId, JobId, KeyId, TeamId};
use crate::job::{CallState, Job};
use crate::ledger::{Account, Admission, Entry};
use crate::money::Credits;
use crate::price::{AppliedPrice, PriceId};

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
    /// Jobs of calls to settle of which nothing else has to be known.
    known_open_jobs: BTreeSet<JobId>,
    /// What calls add to their jobs.
    totals: BTreeMap<JobId, TotalsChange>,
    ended_calls_of: BTreeSet<JobId>,
    /// Jobs that had ended before this batch, with their totals in the sums of their days.
    ended_before: BTreeSet<JobId>,
    calls: HashMap<CallId, OpenCall>,
    new_calls: Vec<(&'w BeginCall, Admission)>,
    settled_calls: Vec<&'w SettleCall>,
    in_flight: HashMap<JobId, i64>,
    /// What was given back of the jobs that are refunded.
    refunded: HashMap<JobId, Credits>,
    claims: HashMap<ClaimKey, StoredClaim>,
    changed_claims: BTreeSet<ClaimKey>,
    dropped_claims: Vec<CallId>,
    entries: Vec<Entry>,
    /// Prices of calls that may not be written yet.
    new_prices: BTreeMap<PriceId, Arc<AppliedPrice>>,
}

/// Does all of `works` in one transaction and commits it.
pub async fn commit(
    connection: &mut AnyConnection,
    database: &Database,
    works: &[&Work],
    known: &mut Known,
) -> Result<Outcomes, StoreError> {
    let mut transaction = connection.begin_with(database.begin_statement()).await?;
    let (outcomes, batch) = run(&mut transaction, database.engine(), works, known).await?;
    transaction.commit().await?;
    batch.teach(known);
    Ok(outcomes)
}

/// Does all of `works` inside the caller's transaction, which the caller commits.
pub async fn apply(
    connection: &mut AnyConnection,
    engine: Engine,
    works: &[&Work],
) -> Result<Outcomes, StoreError> {
    let (outcomes, _) = run(connection, engine, works, &mut Known::default()).await?;
    Ok(outcomes)
}

async fn run<'w>(
    connection: &mut AnyConnection,
    engine: Engine,
    works: &[&'w Work],
    known: &mut Known,
) -> Result<(Outcomes, Batch<'w>), StoreError> {
    let mut batch = Batch::load(connection, engine, works, known).await?;
    let outcomes = works.iter().map(|work| batch.decide(work)).collect();
    batch.collect_prices(known);
    batch.store(connection).await?;
    Ok((outcomes, batch))
}

/// What has to be read for some work.
#[derive(Debug, Default)]
struct Wanted {
    accounts: BTreeSet<TeamId>,
    jobs: BTreeMap<JobId, TeamId>,
    job_states: BTreeMap<JobId, TeamId>,
    calls: BTreeMap<CallId, TeamId>,
    in_flight: BTreeSet<JobId>,
    refunded: BTreeSet<JobId>,
    claims: BTreeSet<(String, String)>,
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
                if work.opens.is_none() {
                    self.jobs.insert(work.job_id, work.team_id.clone());
                }
                self.add_claim(work.claim.as_ref());
            }
            Work::SettleCall(work) => {
                self.accounts.insert(work.team_id.clone());
                self.calls.insert(work.id, work.team_id.clone());
                self.add_claim(work.claim.as_ref().map(|(claim, _)| claim));
                // Under unmetered terms a call does not change its job, as a rule.
                let changes_job = work.tracked || work.metadata.is_some() || work.single_call;
                let wanted = if changes_job {
                    &mut self.jobs
                } else {
                    &mut self.job_states
                };
                wanted.insert(work.job_id, work.team_id.clone());
            }
            Work::CompleteJob(work) => {
                self.accounts.insert(work.team_id.clone());
                self.jobs.insert(work.id, work.team_id.clone());
                self.in_flight.insert(work.id);
                self.add_claim(work.claim.as_ref());
            }
            Work::EndJob(work) => {
                self.accounts.insert(work.team_id.clone());
                self.jobs.insert(work.id, work.team_id.clone());
                self.in_flight.insert(work.id);
            }
            Work::PatchMetadata(work) => {
                self.accounts.insert(work.team_id.clone());
                self.jobs.insert(work.id, work.team_id.clone());
            }
            Work::ChangeBalance(work) => {
                self.accounts.insert(work.team_id.clone());
                if let BalanceChange::Refund(_, Some(id)) = work.change {
                    self.jobs.insert(id, work.team_id.clone());
                    self.refunded.insert(id);
                }
            }
        }
    }

    fn add_claim(&mut self, claim: Option<&IdempotencyClaim>) {
        let key =
            |claim: &IdempotencyClaim| (claim.idempotency_key.clone(), claim.key_id.to_string());
        self.claims.extend(claim.map(key));
    }
}

fn list<T>(set: BTreeSet<T>) -> Vec<T> {
    set.into_iter().collect()
}

impl<'w> Batch<'w> {
    /// Locks the accounts first: whoever holds an account's lock owns its jobs and calls. What is
    /// remembered under the account's version is not read again.
    async fn load(
        connection: &mut AnyConnection,
        engine: Engine,
        works: &[&'w Work],
        known: &mut Known,
    ) -> Result<Self, StoreError> {
        let mut wanted = Wanted::by(works);
        let mut batch = Self::default();
        let now = works
            .iter()
            .map(|work| work.now())
            .max()
            .unwrap_or_default();
        for mut account in
            ledger::lock_accounts(connection, engine, &list(take(&mut wanted.accounts))).await?
        {
            known.confirm(&account.team_id, account.version);
            ledger::restore_windows(connection, &mut account, now).await?;
            batch.accounts.insert(account.team_id.clone(), account);
        }
        let claims =
            idempotency::select_claims(connection, &list(take(&mut wanted.claims))).await?;
        let mut missing_jobs: BTreeSet<JobId> = claims.iter().map(|stored| stored.job_id).collect();
        batch.claims.extend(
            claims
                .into_iter()
                .map(|stored| (claim_key(&stored.claim), stored)),
        );
        missing_jobs = batch.recall_jobs(&wanted, known, missing_jobs);
        let jobs = job::select_jobs(connection, &list(missing_jobs)).await?;
        let ended = jobs.iter().filter(|job| !job.state.is_open());
        batch.ended_before.extend(ended.map(|job| job.id));
        batch.jobs.extend(jobs.into_iter().map(|job| (job.id, job)));
        let missing_calls = batch.recall_calls(&wanted, known);
        let calls = call::select_calls(connection, &missing_calls).await?;
        batch
            .calls
            .extend(calls.into_iter().map(|call| (call.id, call)));
        // The calls of a job that has ended still hold credits; the last of them gives them back.
        let held_after_end = |job: &&Job| !job.state.is_open() && job.hold.is_positive();
        let held_after_end = batch.jobs.values().filter(held_after_end);
        let mut counted = wanted.in_flight;
        counted.extend(held_after_end.map(|job| job.id));
        let in_flight = list(counted);
        batch
            .in_flight
            .extend(in_flight.iter().map(|job| (*job, 0)));
        let stored = job::totals::select_in_flight(connection, &in_flight).await?;
        batch.in_flight.extend(stored);
        let refunded = ledger::refunded(connection, &list(wanted.refunded)).await?;
        batch.refunded.extend(refunded);
        Ok(batch)
    }

    /// Takes the jobs that are remembered; returns those that must be read.
    fn recall_jobs(
        &mut self,
        wanted: &Wanted,
        known: &Known,
        mut missing: BTreeSet<JobId>,
    ) -> BTreeSet<JobId> {
        for (id, team_id) in &wanted.jobs {
            match known.job(team_id, *id) {
                Some(job) => drop(self.jobs.insert(*id, job.clone())),
                None => drop(missing.insert(*id)),
            }
        }
        for (id, team_id) in &wanted.job_states {
            let jobs = match known.job(team_id, *id) {
                Some(_) => &mut self.known_open_jobs,
                None => &mut missing,
            };
            jobs.insert(*id);
        }
        missing
    }

    /// Takes the calls that are remembered; returns those that must be read.
    fn recall_calls(&mut self, wanted: &Wanted, known: &Known) -> Vec<CallId> {
        let mut missing = Vec::new();
        for (id, team_id) in &wanted.calls {
            match known.call(team_id, *id) {
                Some(call) => drop(self.calls.insert(*id, *call)),
                None => missing.push(*id),
            }
        }
        missing
    }

    /// Notes the prices of calls that are not known to be written.
    fn collect_prices(&mut self, known: &Known) {
        let planned = self.new_calls.iter().map(|(call, _)| &call.price);
        let applied = self.settled_calls.iter().map(|call| &call.result.price);
        for price in planned.chain(applied).flatten() {
            if !known.has_price(price.id) {
                self.new_prices.insert(price.id, Arc::clone(price));
            }
        }
    }

    /// Writes what has changed. The version of each account that was touched moves.
    async fn store(&mut self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        let mut accounts = Vec::with_capacity(self.changed_accounts.len());
        for team_id in &self.changed_accounts {
            if let Some(account) = self.accounts.get_mut(team_id) {
                account.version += 1;
                accounts.push(account.clone());
            }
        }
        let of = |id: &JobId| self.jobs.get(id).cloned();
        let totals_of = |id: &JobId| self.totals.get(id).copied().unwrap_or_default();
        let with_totals = |id: &JobId| Some((of(id)?, totals_of(id)));
        let new_jobs: Vec<_> = self.new_jobs.iter().filter_map(with_totals).collect();
        let totals = self.totals.iter().map(|(id, change)| (*id, *change));
        let totals: Vec<(JobId, TotalsChange)> = totals
            .filter(|(id, _)| !self.new_jobs.contains(id))
            .collect();
        let changed = self
            .changed_jobs
            .iter()
            .filter(|id| !self.new_jobs.contains(id));
        let changed_jobs: Vec<Job> = changed.filter_map(of).collect();
        let ended_calls_of: Vec<JobId> = self.ended_calls_of.iter().copied().collect();
        let late_calls_of = self.ended_calls_of.intersection(&self.ended_before);
        let late_calls_of: Vec<JobId> = late_calls_of.copied().collect();
        let claims: Vec<StoredClaim> = self
            .changed_claims
            .iter()
            .filter_map(|key| self.claims.get(key).cloned())
            .collect();

        ledger::update_accounts(connection, &accounts).await?;
        ledger::insert_entries(connection, &self.entries).await?;
        // A call that ends after its job adds its difference: the old totals out, the new ones in.
        let mut days = DayChanges::default();
        days.subtract(daily::select_job_sums(connection, &late_calls_of).await?);
        job::insert_jobs(connection, &new_jobs).await?;
        job::update_jobs(connection, &changed_jobs).await?;
        price::insert(connection, &self.new_prices).await?;
        call::insert_calls(connection, &self.new_calls).await?;
        call::update_calls(connection, &self.settled_calls).await?;
        job::totals::add_to_totals(connection, &totals).await?;
        days.add(daily::select_job_sums(connection, &ended_calls_of).await?);
        daily::add_to_days(connection, days).await?;
        idempotency::upsert_claims(connection, &claims).await?;
        idempotency::delete_by_call(connection, &self.dropped_claims).await
    }

    /// Hands on what was read and written, now that it is committed.
    fn teach(self, known: &mut Known) {
        for account in self.accounts.values() {
            known.set_version(&account.team_id, account.version);
        }
        let locked = |job: &Job| self.accounts.contains_key(&job.team_id);
        self.jobs
            .into_values()
            .filter(locked)
            .for_each(|job| known.put_job(job));
        for (work, admission) in self.new_calls {
            let (state, reserved) = (CallState::InFlight, admission.reserved);
            known.put_call(
                &work.team_id,
                OpenCall {
                    id: work.id,
                    state,
                    reserved,
                    recorded: CallSums::default(),
                },
            );
        }
        for id in self.new_prices.into_keys() {
            known.put_price(id);
        }
        for work in self.settled_calls {
            known.drop_call(&work.team_id, work.id);
        }
        known.trim();
    }
}

fn claim_key(claim: &IdempotencyClaim) -> ClaimKey {
    (claim.idempotency_key.clone(), claim.key_id.clone())
}
