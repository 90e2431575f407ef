//! What has to hold after a history.

use std::collections::HashMap;

use tollgate_common::db::call::CallRow;
use tollgate_common::job::{CallState, ChargeFailed, Job, JobState};
use tollgate_tests::World;

use super::acts::{Leaves, Script};
use super::driver::Made;
use super::teams::{HostileTeam, MARKUP_PERCENT, TEAMS};

/// All calls by the acts that made them, in the order in which they began.
async fn calls_by_tag(world: &World) -> HashMap<String, Vec<CallRow>> {
    let mut calls: HashMap<String, Vec<CallRow>> = HashMap::new();
    for job in world.jobs().await {
        for call in world.calls(&job.id.to_string()).await {
            let tag = call.purpose.clone();
            let tag = tag.unwrap_or_else(|| job.job_type.clone());
            calls.entry(tag).or_default().push(call);
        }
    }
    calls
}

/// Each call is charged what its caller was shown at least, and what the model has thought.
pub(super) async fn of_calls(world: &World, made: &[Made], seed: u64) {
    let calls = calls_by_tag(world).await;
    for made in made {
        let tag = made.act.tag();
        let case = format!("seed {seed}: {:?}", made.act);
        let own = calls.get(&tag).map_or(&[][..], Vec::as_slice);
        assert!(
            !made.was_asked || !own.is_empty(),
            "{case}: asked without a record"
        );
        for call in own {
            assert_ne!(call.state, CallState::InFlight, "{case}");
            if call.state != CallState::Succeeded {
                assert_eq!(call.client_cost.0, 0, "{case}: failures are free");
            }
        }
        if let Some(first) = own.first() {
            let limit = limit_sent(world, &tag);
            if made.was_asked && made.act.is_the_callers_own() {
                of_call(made, first, limit, &case);
            }
        }
        of_repetition(world, made, own, &case);
    }
}

/// The longest answer that the provider was asked for.
fn limit_sent(world: &World, tag: &str) -> i64 {
    let tag = format!(" {tag}");
    let requests = world.upstream.requests();
    let sent = requests
        .iter()
        .find(|request| request.prompt().ends_with(&tag));
    let Some(sent) = sent.map(tollgate_tests::upstream::Recorded::json) else {
        return i64::MAX;
    };
    let places = [
        "/max_tokens",
        "/max_completion_tokens",
        "/generationConfig/maxOutputTokens",
    ];
    let limit = places
        .iter()
        .find_map(|place| sent.pointer(place)?.as_i64());
    limit.unwrap_or(i64::MAX)
}

fn of_call(made: &Made, call: &CallRow, limit: i64, case: &str) {
    let act = &made.act;
    let case = format!("{case}: {call:?}");
    assert_eq!(call.state, CallState::Succeeded, "{case}");
    assert!(call.input_tokens > 0, "{case}: the prompt is free");
    let all = act.words + act.hidden;
    let is_counted = !call.usage_estimated && call.usage_note.is_none();
    if is_counted && all <= limit {
        assert_eq!(call.input_tokens, act.input, "{case}");
        assert_eq!(call.output_tokens, all, "{case}");
    } else {
        assert_ne!(
            act.leaves,
            Leaves::Never,
            "{case}: complete answers are counted"
        );
    }
    let shown = made.words_shown() + act.hidden;
    assert!(
        call.output_tokens >= shown.min(limit),
        "{case}: {shown} tokens shown or thought"
    );
    if act.script == Script::LateUsage && all <= limit {
        assert!(call.output_tokens >= all, "{case}: all was said");
    }
    let least =
        i128::from(shown.min(limit)) * act.model.output_price * (100 + MARKUP_PERCENT) / 100;
    assert!(i128::from(call.client_cost.0) >= least, "{case}: {least}");
}

/// A call that was sent again is bought once, if its answer is known.
fn of_repetition(world: &World, made: &Made, own: &[CallRow], case: &str) {
    let Some(repeated) = &made.repeated else {
        assert!(own.len() <= 1, "{case}: {} calls", own.len());
        return;
    };
    if made.act.leaves != Leaves::Never || !made.was_asked {
        return;
    }
    let tag = format!(" {}", made.act.tag());
    let requests = world.upstream.requests();
    let asked = requests
        .iter()
        .filter(|request| request.prompt().ends_with(&tag));
    assert_eq!(asked.count(), 1, "{case}: it was bought twice");
    assert_eq!(own.len(), 1, "{case}");
    let status = |seen: &str| seen.lines().next().unwrap_or_default().to_owned();
    // It may have come while the first was still in flight.
    if !status(repeated).contains(" 409 ") {
        assert_eq!(status(repeated), status(&made.seen), "{case}");
    }
}

/// Each job is charged what its calls come to under its terms, in full.
pub(super) async fn of_jobs(world: &World, seed: u64) {
    let mut entered: HashMap<String, (i128, i128)> = HashMap::new();
    for hostile in &TEAMS {
        for entry in world.entries(hostile.team.id).await {
            if let Some(job) = entry.job_id {
                let (taken, missing) = entered.entry(job).or_default();
                *taken -= i128::from(entry.amount.0);
                *missing += i128::from(entry.shortfall.0);
            }
        }
    }
    for job in world.jobs().await {
        let id = job.id.to_string();
        let calls = world.calls(&id).await;
        let case = format!("seed {seed}: {job:?}\n{calls:#?}");
        assert!(!job.state.is_open(), "{case}");
        assert_eq!(job.hold.0, 0, "{case}: a hold is left");
        let (taken, missing) = entered.get(&id).copied().unwrap_or_default();
        assert_eq!(
            i128::from(job.charged.unwrap_or_default().0),
            taken,
            "{case}"
        );
        assert_eq!(taken + missing, price_of(&job, &calls), "{case}");
    }
}

/// What a job costs by its calls.
fn price_of(job: &Job, calls: &[CallRow]) -> i128 {
    let hostile = HostileTeam::of(job.team_id.as_str());
    let answered = || {
        calls
            .iter()
            .filter(|call| call.state == CallState::Succeeded)
    };
    let cost: i128 = answered().map(|call| i128::from(call.client_cost.0)).sum();
    let tokens = answered().map(|call| call.input_tokens + call.output_tokens);
    let tokens = i128::from(tokens.sum::<i64>());
    let price = hostile.credits_for(cost, tokens);
    // A job of one call fails only with its provider.
    if job.state == JobState::Completed {
        return price;
    }
    if job.single_call {
        return 0;
    }
    match job.terms.charge_failed {
        ChargeFailed::Never => 0,
        ChargeFailed::Used if tokens == 0 => 0,
        ChargeFailed::Used | ChargeFailed::Always => price,
    }
}

/// Nothing is held, nobody has more or less than the entries say.
pub(super) async fn of_accounts(world: &World, seed: u64) {
    for hostile in &TEAMS {
        let id = hostile.team.id;
        let account = world.account(id).await;
        let case = format!("seed {seed}: {account:?}");
        assert_eq!(account.held.0, 0, "{case}");
        assert!(account.balance.0 >= -hostile.overdraft, "{case}");
        let entries = world.entries(id).await;
        let sum: i64 = entries.iter().map(|entry| entry.amount.0).sum();
        assert_eq!(account.balance.0, sum, "{case}");
        let owed: i64 = entries.iter().map(|entry| entry.debt.0).sum();
        assert_eq!(account.owed.0, owed, "{case}");
    }
    world.verify().await;
    let verified = world.admin(&["credits", "verify"]).await;
    assert_eq!(verified.code, Some(0), "seed {seed}: {}", verified.stderr);
}
