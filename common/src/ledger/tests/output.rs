//! What providers are sent never costs more than what was held for it.

use super::*;
use crate::price::{FeePrices, Usage};

/// The completion tokens of a request at one model.
fn any_shares() -> impl Strategy<Value = OutputShares> {
    let beside = prop_oneof![2 => Just(0_i64), 3 => 0_i64..50_000];
    (1_i64..20_000, 1_i64..20_000, beside, 1_i64..5).prop_map(
        |(limit, limit_min, beside, choices)| OutputShares {
            limit,
            limit_min: limit_min.min(limit),
            beside,
            choices,
        },
    )
}

/// A call of a request that any of some models may serve.
fn estimate_of(models: &[OutputShares], input_tokens: i64, fees_max: FeeCounts) -> CallEstimate {
    let unit = UnitPrices {
        fees: FeePrices {
            web_search: Some(NanoUsd(10_000_000)),
            request: Some(NanoUsd(5_000_000)),
            ..FeePrices::default()
        },
        ..UnitPrices::flat(PicoUsd(2_500_000), PicoUsd(10_000_000))
    };
    let of_all = |tokens: fn(OutputShares) -> i64| models.iter().copied().map(tokens).max();
    CallEstimate {
        output_tokens_min: of_all(OutputShares::least).unwrap(),
        fees_max,
        unit: Some(unit),
        ..estimate(input_tokens, of_all(OutputShares::most).unwrap())
    }
}

/// The most that a provider can bill for what it is sent.
fn bill(shares: OutputShares, limit: i64, estimate: &CallEstimate, terms: &Terms) -> Spend {
    let usage = Usage {
        input_uncached: estimate.prompt.total(),
        output_text: limit * shares.choices,
        output_reasoning: shares.beside * shares.choices,
        fees: estimate.fees_max,
        ..Usage::default()
    };
    Spend {
        cost: terms.cost_of(estimate.unit.unwrap().cost(&usage)),
        tokens: usage.total(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 2_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_sent_never_costs_more_than_what_is_held(
        models in proptest::collection::vec(any_shares(), 1..4),
        choices in 1_i64..5,
        (terms, credits_max) in (any_terms(), proptest::option::of(1_i64..400)),
        balance in prop_oneof![1_i64..100, 1_i64..2_000],
        (day, month) in (proptest::option::of(1_i64..300), proptest::option::of(1_i64..300)),
        (input, searches, requests) in (0_i64..3_000, 0_i64..2, 0_i64..2),
    ) {
        let models: Vec<_> = models
            .into_iter()
            .map(|shares| OutputShares { choices, ..shares })
            .collect();
        let fees = FeeCounts { web_searches: searches, requests, ..FeeCounts::NONE };
        let estimate = estimate_of(&models, input, fees);
        let mut account = Account::new("t".parse().unwrap());
        allocate(&mut account, Credits(balance), CAUSE).unwrap();
        account.budget_day.limit = day.map(Credits);
        account.budget_month.limit = month.map(Credits);
        let mut job = new_job(&account.team_id, terms, credits_max);
        if open_job(&mut account, &mut job, NOW).is_err() {
            return Ok(());
        }
        let Ok(admission) = begin_call(&mut account, &mut job, &estimate, NOW) else {
            return Ok(());
        };
        let Some(tokens) = admission.output_tokens_max else {
            return Ok(());
        };
        for shares in models {
            let limit = shares.limit_within(tokens);
            prop_assert!((shares.limit_min..=shares.limit).contains(&limit));
            let spend = bill(shares, limit, &estimate, &terms);
            prop_assert!(spend.cost <= admission.reserved.cost);
            prop_assert!(spend.tokens <= admission.reserved.tokens);
            prop_assert!(terms.credits_for(spend) <= job.hold);
            prop_assert!(terms.cost_bound().is_none_or(|bound| spend.cost <= bound));
        }
        prop_assert!(job.hold <= account.balance);
        for limit in [credits_max, day, month].into_iter().flatten() {
            prop_assert!(job.hold <= Credits(limit));
        }
    }
}
