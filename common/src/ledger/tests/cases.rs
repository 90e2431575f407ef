//! Single cases of what is held, charged and owed.

use super::*;

#[test]
fn a_budget_is_charged_in_the_window_in_which_a_job_completes() {
    let mut account = Account::new("t".parse().unwrap());
    allocate(&mut account, Credits(100), CAUSE).unwrap();
    account.budget_day.limit = Some(Credits(2));
    let mut jobs = [(); 3].map(|()| new_job(&account.team_id, terms(BudgetMode::JobBased), None));
    open_job(&mut account, &mut jobs[0], NOW).unwrap();
    open_job(&mut account, &mut jobs[1], NOW).unwrap();
    let refusal = open_job(&mut account, &mut jobs[2], NOW).unwrap_err();
    assert!(
        matches!(refusal, Refusal::BudgetExceeded { .. }),
        "{refusal}"
    );

    let tomorrow = Timestamp::from_micros(NOW.as_micros() + 24 * 60 * MICROS_PER_MINUTE);
    complete_job(&mut account, &mut jobs[0], 0, NOW).unwrap();
    complete_job(&mut account, &mut jobs[1], 0, tomorrow).unwrap();
    assert_eq!(account.charged_in(Window::Day, tomorrow), Credits(1));
    assert_eq!(account.charged_in(Window::Month, tomorrow), Credits(2));

    open_job(&mut account, &mut jobs[2], tomorrow).unwrap();
    account.budget_day.limit = Some(Credits(0));
    complete_job(&mut account, &mut jobs[2], 0, tomorrow).unwrap();
    assert_eq!(
        account.charged_in(Window::Day, tomorrow),
        Credits(2),
        "what was held is charged, whatever the budget has become"
    );
}

fn used_tokens(tokens: i64) -> Spend {
    Spend {
        tokens,
        ..Spend::default()
    }
}

fn call_end(reserved: Spend, used: Spend) -> CallEnd {
    CallEnd {
        id: CallId::new(NOW, &SystemRandom),
        reserved,
        used,
        others_in_flight: 0,
    }
}

#[test]
fn an_overrun_is_charged_whatever_the_budget_leaves() {
    let mut account = Account::new("t".parse().unwrap());
    allocate(&mut account, Credits(100), CAUSE).unwrap();
    account.budget_month.limit = Some(Credits(4));
    let mut job = new_job(&account.team_id, terms(BudgetMode::ConsumptionTokens), None);
    open_job(&mut account, &mut job, NOW).unwrap();
    let admission = begin_call(&mut account, &mut job, &estimate(10, 10_000), NOW).unwrap();
    assert_eq!(
        admission.output_tokens_max,
        Some(489),
        "4 credits are 499 tokens, rounded down"
    );
    assert_eq!(admission.limited_by, Some(LimitedBy::Budget));
    let end = call_end(admission.reserved, used_tokens(700));
    settle_call(&mut account, &mut job, &end, NOW);
    let entries = complete_job(&mut account, &mut job, 0, NOW).unwrap();
    assert_eq!(job.charged, Some(Credits(7)));
    assert_eq!(entries.last().unwrap().shortfall, Credits::ZERO);
    assert_eq!(account.available(), Credits(93));
    assert_eq!(account.charged_in(Window::Month, NOW), Credits(7));
}

#[test]
fn what_an_account_lacks_is_owed_and_paid_by_the_next_credits() {
    let mut account = Account::new("t".parse().unwrap());
    allocate(&mut account, Credits(1), CAUSE).unwrap();
    let mut job = new_job(&account.team_id, terms(BudgetMode::ConsumptionTokens), None);
    open_job(&mut account, &mut job, NOW).unwrap();
    let admission = begin_call(&mut account, &mut job, &estimate(10, 50), NOW).unwrap();
    let end = call_end(admission.reserved, used_tokens(37_500));
    settle_call(&mut account, &mut job, &end, NOW);
    let entries = complete_job(&mut account, &mut job, 0, NOW).unwrap();
    assert_eq!(entries.last().unwrap().debt, Credits(374));
    assert_eq!((account.balance, account.owed), (Credits(0), Credits(374)));

    allocate(&mut account, Credits(300), CAUSE).unwrap();
    let mut next = new_job(&account.team_id, terms(BudgetMode::JobBased), None);
    let refusal = open_job(&mut account, &mut next, NOW).unwrap_err();
    assert!(matches!(
        refusal,
        Refusal::Owing {
            owed: Credits(374),
            ..
        }
    ));
    let paid = pay_debt(&mut account, NOW).unwrap();
    assert_eq!((paid.amount, paid.debt), (Credits(-300), Credits(-300)));
    assert_eq!((account.balance, account.owed), (Credits(0), Credits(74)));
    assert!(
        pay_debt(&mut account, NOW).is_none(),
        "there is nothing left"
    );
    // Credits that are given back or put right pay as well.
    refund(&mut account, Credits(50), None, CAUSE).unwrap();
    assert_eq!(pay_debt(&mut account, NOW).unwrap().after, Credits(0));
    adjust(&mut account, Credits(25), CAUSE).unwrap();
    assert_eq!(pay_debt(&mut account, NOW).unwrap().after, Credits(1));
    assert_eq!(account.owed, Credits::ZERO);
    open_job(&mut account, &mut next, NOW).unwrap();
}

#[test]
fn a_failed_job_is_charged_for_the_call_that_was_in_flight() {
    let mut account = Account::new("t".parse().unwrap());
    allocate(&mut account, Credits(100), CAUSE).unwrap();
    let mut job = new_job(&account.team_id, terms(BudgetMode::ConsumptionTokens), None);
    open_job(&mut account, &mut job, NOW).unwrap();
    let first = begin_call(&mut account, &mut job, &estimate(100, 900), NOW).unwrap();
    let second = begin_call(&mut account, &mut job, &estimate(100, 900), NOW).unwrap();
    let end = call_end(first.reserved, used_tokens(250));
    settle_call(&mut account, &mut job, &end, NOW);
    let entries = fail_job(&mut account, &mut job, JobState::Failed, 1, NOW).unwrap();
    assert_eq!(entries[0].amount, Credits(-2));
    assert_eq!(account.held, Credits(10), "12 for both, 2 are charged");
    let late = call_end(second.reserved, used_tokens(760));
    let entries = settle_call(&mut account, &mut job, &late, NOW);
    assert_eq!(
        (entries[0].kind, entries[0].amount),
        (EntryKind::Deduction, Credits(-8))
    );
    assert_eq!(entries[0].call_id, Some(late.id));
    assert_eq!(
        (job.charged, account.held),
        (Some(Credits(10)), Credits::ZERO)
    );
}

#[test]
fn a_job_of_a_flat_price_costs_the_operator_no_more_than_its_bound() {
    let mut account = Account::new("t".parse().unwrap());
    allocate(&mut account, Credits(100), CAUSE).unwrap();
    let bounded = Terms {
        job_cost_max: Some(NanoUsd(10_000_000)),
        ..terms(BudgetMode::JobBased)
    };
    let mut job = new_job(&account.team_id, bounded, None);
    open_job(&mut account, &mut job, NOW).unwrap();
    // 1,000 tokens in cost 2,500,000 without the markup, which is the customer's; 750 out the rest.
    let admission = begin_call(&mut account, &mut job, &estimate(1_000, 5_000), NOW).unwrap();
    assert_eq!(admission.output_tokens_max, Some(750));
    assert_eq!(admission.limited_by, Some(LimitedBy::JobCost));
    let refusal = begin_call(&mut account, &mut job, &estimate(10, 1), NOW).unwrap_err();
    assert_eq!(refusal, Refusal::JobCost);
    let used = Spend {
        cost: NanoUsd(9_000_000),
        tokens: 900,
    };
    settle_call(
        &mut account,
        &mut job,
        &call_end(admission.reserved, used),
        NOW,
    );
    let rest = begin_call(&mut account, &mut job, &estimate(10, 5_000), NOW).unwrap();
    assert_eq!(rest.output_tokens_max, Some(97));
    assert_eq!(account.held, Credits(1), "the flat price");
}

#[test]
fn what_a_request_needs_at_least_is_lack_of_credits_if_it_cannot_be_paid() {
    let mut account = Account::new("t".parse().unwrap());
    allocate(&mut account, Credits(5), CAUSE).unwrap();
    let mut job = new_job(&account.team_id, terms(BudgetMode::ConsumptionTokens), None);
    open_job(&mut account, &mut job, NOW).unwrap();
    let thoughtful = CallEstimate {
        output_tokens_min: 8_001,
        ..estimate(100, 20_000)
    };
    let refusal = begin_call(&mut account, &mut job, &thoughtful, NOW).unwrap_err();
    let Refusal::InsufficientCredits { required, .. } = refusal else {
        panic!("{refusal}");
    };
    assert_eq!(required, Credits(80), "81 less the one that is held");
}

#[test]
fn a_call_is_cut_to_what_the_team_can_pay() {
    let mut account = Account::new("t".parse().unwrap());
    allocate(&mut account, Credits(5), CAUSE).unwrap();
    let mut job = new_job(&account.team_id, terms(BudgetMode::ConsumptionTokens), None);
    open_job(&mut account, &mut job, NOW).unwrap();
    let admission = begin_call(&mut account, &mut job, &estimate(100, 10_000), NOW).unwrap();
    assert_eq!(
        admission.output_tokens_max,
        Some(499),
        "5 credits are 599 tokens, rounded down"
    );
    assert_eq!(admission.limited_by, Some(LimitedBy::Credits));
    assert_eq!(account.available(), Credits::ZERO);
    let refusal = begin_call(&mut account, &mut job, &estimate(100, 10), NOW).unwrap_err();
    assert!(
        matches!(refusal, Refusal::InsufficientCredits { .. }),
        "{refusal}"
    );
}

#[test]
fn an_overrun_is_charged_as_far_as_the_account_goes_and_the_rest_is_owed() {
    let mut account = Account::new("t".parse().unwrap());
    allocate(&mut account, Credits(3), CAUSE).unwrap();
    let mut job = new_job(&account.team_id, terms(BudgetMode::ConsumptionTokens), None);
    open_job(&mut account, &mut job, NOW).unwrap();
    let admission = begin_call(&mut account, &mut job, &estimate(10, 50), NOW).unwrap();
    let end = call_end(admission.reserved, used_tokens(500));
    settle_call(&mut account, &mut job, &end, NOW);
    let entries = complete_job(&mut account, &mut job, 0, NOW).unwrap();
    assert_eq!(account.balance, Credits::ZERO);
    assert_eq!(entries.last().unwrap().shortfall, Credits(2));
    assert_eq!(account.owed, Credits(2));
    assert_eq!(job.charged, Some(Credits(3)));
}

#[test]
fn completing_twice_and_calling_after_the_end_are_refused() {
    let mut account = Account::new("t".parse().unwrap());
    allocate(&mut account, Credits(1), CAUSE).unwrap();
    let mut job = new_job(&account.team_id, terms(BudgetMode::JobBased), None);
    open_job(&mut account, &mut job, NOW).unwrap();
    let in_flight = complete_job(&mut account, &mut job, 1, NOW);
    assert_eq!(in_flight, Err(Refusal::CallsInFlight { count: 1 }));
    complete_job(&mut account, &mut job, 0, NOW).unwrap();
    let ended = Refusal::JobEnded {
        state: JobState::Completed,
    };
    assert_eq!(
        complete_job(&mut account, &mut job, 0, NOW),
        Err(ended.clone())
    );
    assert_eq!(
        begin_call(&mut account, &mut job, &estimate(1, 1), NOW),
        Err(ended)
    );
}
