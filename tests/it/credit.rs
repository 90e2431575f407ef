//! Credits: what is shown, held, charged and refused.

use serde_json::{Value, json};
use tollgate_common::command::{Command, TeamSettings};
use tollgate_common::db::work::BalanceChange;
use tollgate_common::job::BudgetMode;
use tollgate_common::money::{Credits, PicoUsd};
use tollgate_common::price::RateCard;
use tollgate_tests::client::{heavy, job_id, prompt_body};
use tollgate_tests::fixture::{ALPHA, FAST, TEAM_B, TOK, Team, UNPRICED, create_team, import_key};
use tollgate_tests::{Door, Store, World};

use crate::contract::{check, get};

/// A team with one credit.
const POOR: Team = Team {
    id: "team-poor",
    org: "o1",
    key: "sk-poor-virtual-key-22aa",
    credits: 1,
};

/// A team that pays by cost and has plenty.
const RICH: Team = Team {
    id: "team-rich",
    org: "o2",
    key: "sk-rich-virtual-key-83cc",
    credits: 100_000,
};

async fn add_team(world: &World, team: Team, settings: TeamSettings) {
    world.execute(create_team(team, settings)).await;
    world.execute(import_key(team.id, team.key)).await;
}

fn usd(credits_per_dollar: &str) -> TeamSettings {
    TeamSettings {
        budget_mode: Some(BudgetMode::ConsumptionUsd),
        credits_per_dollar: Some(credits_per_dollar.parse().unwrap()),
        ..TeamSettings::default()
    }
}

/// How many tokens the provider was told an answer may have; 0 if it was not told.
fn output_cap(sent: &Value) -> i64 {
    let either = ["max_tokens", "max_completion_tokens"];
    either
        .iter()
        .find_map(|name| sent[name].as_i64())
        .unwrap_or(0)
}

#[tokio::test]
async fn a_balance_shows_all_that_a_team_may_know() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let balance = proxy.client(ALPHA).balance().await;
    let wanted = [
        "team_id",
        "organization_id",
        "credits_allocated",
        "credits_used",
        "credits_remaining",
        "credit_limit",
        "auto_refill",
        "refill_amount",
        "refill_period",
        "last_refill_at",
        "budget_mode",
        "credits_per_dollar",
        "tokens_per_credit",
        "cost_markup_percentage",
        "status",
        "created_at",
        "updated_at",
    ];
    for key in wanted {
        assert!(balance.get(key).is_some(), "{key} is missing in {balance}");
    }
    assert_eq!(balance["team_id"], ALPHA.id);
    assert_eq!(balance["organization_id"], "o1");
    assert_eq!(balance["credits_allocated"], 10);
    assert_eq!(balance["credits_used"], 0);
    assert_eq!(balance["credits_remaining"], 10);
    assert_eq!(balance["budget_mode"], "job_based");
    assert_eq!(balance["credits_per_dollar"], 10.0);
    assert_eq!(balance["tokens_per_credit"], 10_000);
    assert_eq!(balance["status"], "active");
    assert_eq!(
        balance["cost_markup_percentage"],
        Value::Null,
        "the margin is not the team's"
    );
    let tok = proxy.client(TOK).balance().await;
    assert_eq!(tok["tokens_per_credit"], 1_000);
    assert_eq!(tok["budget_mode"], "consumption_tokens");
}

#[tokio::test]
async fn each_deduction_is_in_the_ledger_newest_first() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let mut last_job = String::new();
    for _ in 0..3 {
        last_job = alpha.create_job().await;
        let _ = alpha.complete(&last_job).await.expect(200);
    }
    let path = "/api/credits/teams/team-alpha/transactions";
    let two = alpha.get(&format!("{path}?limit=2")).await.expect(200).json;
    assert_eq!(two["team_id"], ALPHA.id);
    assert_eq!(two["total"], 4, "all there are, not the page alone");
    let newest = &two["transactions"][0];
    assert_eq!(newest["transaction_type"], "deduction");
    assert_eq!(newest["credits_amount"], 1);
    assert_eq!(newest["credits_before"], 8);
    assert_eq!(newest["credits_after"], 7);
    assert_eq!(
        newest["reason"],
        "Job chat completed (job_based mode: 1 credits)"
    );
    assert_eq!(newest["job_id"], last_job.as_str());
    assert_eq!(newest["team_id"], ALPHA.id);
    assert_eq!(newest["organization_id"], "o1");
    assert!(newest["transaction_id"].is_string() && newest["created_at"].is_string());
    assert_eq!(two["transactions"][1]["credits_before"], 9);
    let all = alpha.get(path).await.expect(200).json;
    let transactions = all["transactions"].as_array().unwrap();
    assert_eq!(transactions.len(), 4);
    assert_eq!(transactions[3]["transaction_type"], "allocation");
    assert_eq!(transactions[3]["credits_amount"], 10);
    world.verify().await;
}

#[tokio::test]
async fn a_limit_of_transactions_must_be_sensible() {
    check(vec![
        get("one", "/api/credits/teams/team-alpha/transactions?limit=1").gives(200, ""),
        get("none", "/api/credits/teams/team-alpha/transactions?limit=0").gives(400, "limit"),
        get(
            "less",
            "/api/credits/teams/team-alpha/transactions?limit=-1",
        )
        .gives(400, "limit"),
        get("word", "/api/credits/teams/team-alpha/transactions?limit=x").gives(400, "limit"),
    ])
    .await;
}

#[tokio::test]
async fn a_held_credit_cannot_be_spent_twice_but_comes_back() {
    let world = World::sqlite().await;
    add_team(&world, POOR, TeamSettings::default()).await;
    let proxy = world.start().await;
    let poor = proxy.client(POOR);
    let job = poor.create_job().await;
    let refusal = "Insufficient credits. Team has 0 credits remaining, but 1 required.";
    poor.create().await.expect_error(403, refusal);
    let _ = poor.end(&job, "failed").await.expect(200);
    let job = poor.create_job().await;
    let _ = poor.complete(&job).await.expect(200);
    poor.create().await.expect_error(403, refusal);
    assert_eq!(poor.credits_remaining().await, 0);

    let add = Command::ChangeBalance {
        team_id: POOR.id.parse().unwrap(),
        change: BalanceChange::Allocate(Credits(1)),
        reason: "Manual credit allocation".to_owned(),
    };
    world.execute(add).await;
    let _ = poor.create().await.expect(200);
    world.verify().await;
}

#[tokio::test]
async fn tokens_become_credits_rounded_down_but_at_least_one() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    for (prompts, credits) in [
        (&["do:tok=2500"][..], 2),
        (&["do:tok=999", "do:tok=6", "do:tok=1999"], 3),
        (&["Hi"], 1),
        (&[], 1),
    ] {
        let before = tok.credits_remaining().await;
        let job = tok.create_job().await;
        for prompt in prompts {
            let _ = tok.call(&job, prompt).await.expect(200);
        }
        let done = tok.complete(&job).await.expect(200).json;
        let left = done["costs"]["credits_remaining"].as_i64().unwrap();
        assert_eq!(before - left, credits, "{prompts:?}");
        assert_eq!(world.account(TOK.id).await.held.0, 0);
    }
    world.verify().await;
}

/// $2.50 per million prompt tokens: tokens, credits per dollar, credits.
const COSTS: [(i64, &str, i64); 5] = [
    (60_800, "10", 1),   // $0.152
    (600_000, "10", 15), // $1.50
    (20_000, "10", 1),   // $0.05
    (1_000_000, "1000", 2_500),
    (10, "1000", 1),
];

#[tokio::test]
async fn dollars_become_credits_rounded_down_but_at_least_one() {
    let world = World::sqlite().await;
    add_team(&world, RICH, usd("10")).await;
    for (tokens, rate, credits) in COSTS {
        let id = RICH.id.parse().unwrap();
        let settings = usd(rate);
        world.execute(Command::SetTeam { id, settings }).await;
        let proxy = world.start().await;
        let rich = proxy.client(RICH);
        let before = rich.credits_remaining().await;
        let job = rich.create_job().await;
        let _ = rich
            .call(
                &job,
                &heavy(
                    &format!("do:tok={tokens}"),
                    usize::try_from(tokens).unwrap(),
                ),
            )
            .await
            .expect(200);
        let done = rich.complete(&job).await.expect(200).json;
        let left = done["costs"]["credits_remaining"].as_i64().unwrap();
        assert_eq!(before - left, credits, "{tokens} tokens at {rate} a dollar");
    }
    assert_eq!(world.account(RICH.id).await.held.0, 0);
    world.verify().await;
}

#[tokio::test]
async fn a_markup_is_in_the_charge_but_not_in_sight() {
    let world = World::sqlite().await;
    let settings = TeamSettings {
        markup: Some("50".parse().unwrap()),
        ..usd("10")
    };
    add_team(&world, RICH, settings).await;
    let proxy = world.start().await;
    let rich = proxy.client(RICH);
    let job = rich.create_job().await;
    let _ = rich
        .call(&job, &heavy("do:tok=400000", 400_000))
        .await
        .expect(200);
    let done = rich.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["total_cost_usd"], 1.5);
    assert_eq!(done["costs"]["credits_remaining"], RICH.credits - 15);
    let costs = rich
        .get(&format!("/api/jobs/{job}/costs"))
        .await
        .expect(200)
        .json;
    assert_eq!(costs["costs"]["breakdown"][0]["cost_usd"], 1.5);
    let call = &world.calls(&job).await[0];
    assert_eq!(
        (call.provider_cost.0, call.client_cost.0),
        (1_000_000_000, 1_500_000_000)
    );
    world.verify().await;
}

#[tokio::test]
async fn an_answer_is_cut_to_what_the_team_can_pay() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let b = proxy.client(TEAM_B);
    let job = b.create_job().await;
    let _ = b.call(&job, "Hi").await.expect(200);
    // Five credits at 1,000 a dollar are half a cent: at $10 a million, fewer than 600 tokens.
    let sent = world.upstream.last().json();
    let cap = output_cap(&sent);
    assert!((1..600).contains(&cap), "{sent}");
    let done = b.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["credits_remaining"], 4);
    world.verify().await;
}

#[tokio::test]
async fn a_call_that_cannot_be_paid_never_reaches_the_provider() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let b = proxy.client(TEAM_B);
    let job = b.create_job().await;
    // 50,000 characters of prompt cost more than half a cent by any estimate.
    let prompt = "many words ".repeat(5_000);
    let refused = b.call(&job, &prompt).await;
    refused.expect_error(403, "Insufficient credits");
    assert_eq!(world.upstream.count(), 0);
    let _ = b.call(&job, "Hi").await.expect(200);
    let _ = b.complete(&job).await.expect(200);
    world.verify().await;
}

#[tokio::test]
async fn what_no_hold_foresaw_is_an_overrun_and_never_below_zero() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let b = proxy.client(TEAM_B);
    let job = b.create_job().await;
    let _ = b.call(&job, "do:tok=9000").await.expect(200);
    let done = b.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["credits_remaining"], 0);
    let account = world.account(TEAM_B.id).await;
    assert_eq!((account.balance.0, account.held.0), (0, 0));
    let missing: i64 = world
        .entries(TEAM_B.id)
        .await
        .iter()
        .map(|e| e.shortfall.0)
        .sum();
    assert_eq!(missing, 22 - 5, "what could not be taken is on record");
    assert_eq!(account.owed.0, missing, "and owed");
    assert_eq!(b.balance().await["credits_owed"], missing);
    b.create().await.expect_error(403, "Team owes 17 credits");
    let body = Door::OpenAi.body(&b, FAST, "Hi");
    let refused = b.post("/v1/chat/completions", &body).await.expect(402);
    assert_eq!(refused.json["error"]["code"], "insufficient_credits");
    let check = "/api/credits/teams/team-b/check?credits_needed=1";
    let check = b.post(check, &json!({})).await.expect(200).json;
    assert_eq!(check["has_credits"], false);

    world.allocate(TEAM_B.id, 10).await;
    let account = world.account(TEAM_B.id).await;
    assert_eq!((account.balance.0, account.owed.0), (0, 7));
    let shown = world
        .admin(&["credits", "balance", TEAM_B.id, "--json"])
        .await;
    assert!(shown.stdout.contains("\"owed\": 7"), "{}", shown.stdout);
    world.allocate(TEAM_B.id, 100).await;
    assert_eq!(b.credits_remaining().await, 93);
    assert_eq!(world.account(TEAM_B.id).await.owed.0, 0);
    let _ = b.create().await.expect(200);
    world.verify().await;
}

#[tokio::test]
async fn a_job_can_be_given_a_limit_of_its_own() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let body = json!({ "team_id": TOK.id, "job_type": "chat", "max_credits": 2 });
    let job = job_id(&tok.post("/api/jobs/create", &body).await.expect(200));
    let _ = tok.call(&job, "Hi").await.expect(200);
    let sent = world.upstream.last().json();
    let cap = output_cap(&sent);
    assert!((1..3_000).contains(&cap), "{sent}");
    let prompt = "many words ".repeat(5_000);
    tok.call(&job, &prompt)
        .await
        .expect_error(403, "max_credits");
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_where_the_price_matters() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let mut body = prompt_body("Hi");
    body["model"] = UNPRICED.into();
    let b = proxy.client(TEAM_B);
    let job = b.create_job().await;
    let refused = b.call_with(&job, &body).await;
    assert!((400..500).contains(&refused.status), "{}", refused.status);
    assert!(refused.detail().contains(UNPRICED), "{}", refused.text());
    assert_eq!(world.upstream.count(), 0);

    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let _ = alpha.call_with(&job, &body).await.expect(200);
    let _ = alpha.complete(&job).await.expect(200);
    world.verify().await;
}

#[tokio::test]
async fn a_price_on_the_alias_beats_the_shipped_table() {
    let world = World::sqlite().await;
    let settings = tollgate_common::command::ModelSettings {
        price: Some(Some(RateCard::flat(
            PicoUsd(5_000_000),
            PicoUsd(15_000_000),
        ))),
        ..Default::default()
    };
    let alias = FAST.parse().unwrap();
    world.execute(Command::SetModel { alias, settings }).await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let _ = alpha.call(&job, "Hi").await.expect(200);
    let done = alpha.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["total_cost_usd"], 0.000_125);
}

#[tokio::test]
async fn a_refund_is_an_entry_of_its_own() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let _ = alpha.complete(&job).await.expect(200);
    let refund = |credits| Command::ChangeBalance {
        team_id: ALPHA.id.parse().unwrap(),
        change: BalanceChange::Refund(Credits(credits), None),
        reason: "not useful".to_owned(),
    };
    assert!(
        world.try_execute(refund(2)).await.is_err(),
        "more than was used"
    );
    world.execute(refund(1)).await;
    let path = "/api/credits/teams/team-alpha/transactions?limit=1";
    let newest = alpha.get(path).await.expect(200).json["transactions"][0].clone();
    assert_eq!(newest["transaction_type"], "refund");
    assert_eq!(newest["credits_after"], 10);
    assert_eq!(alpha.credits_remaining().await, 10);
    world.verify().await;
}

/// Administrators that refund one job at the same moment, beside a proxy that writes the same
/// account.
async fn parallel_refunds_give_back_no_more_than_was_charged(store: Store) {
    let world = World::on(store).await;
    let proxies = match store {
        Store::Sqlite => vec![world.start().await],
        Store::Postgres => vec![world.start().await, world.start().await],
    };
    for round in 0..3 {
        let tok = proxies[round % proxies.len()].client(TOK);
        let job = tok.create_job().await;
        let _ = tok.call(&job, "do:tok=3000").await.expect(200);
        let _ = tok.complete(&job).await.expect(200);
        let line = format!("credits refund {} 2 --job {job}", TOK.id);
        let words: Vec<&str> = line.split(' ').collect();
        let work = async {
            for proxy in &proxies {
                let other = proxy.client(TOK).create_job().await;
                let _ = proxy.client(TOK).complete(&other).await.expect(200);
            }
        };
        let refund = || world.admin(&words);
        let (a, b, c, ()) = tokio::join!(refund(), refund(), refund(), work);
        let mut codes = [a.code, b.code, c.code];
        codes.sort_unstable();
        assert_eq!(
            codes,
            [Some(0), Some(5), Some(5)],
            "{}{}{}",
            a.stderr,
            b.stderr,
            c.stderr
        );
        let entries = world.entries(TOK.id).await;
        let given_back = entries
            .iter()
            .filter(|entry| entry.kind == "refund" && entry.job_id.as_deref() == Some(&*job));
        let given_back: i64 = given_back.map(|entry| entry.amount.0).sum();
        assert_eq!(given_back, 2, "of 3 that were charged");
    }
    world.verify().await;
}

#[tokio::test]
async fn parallel_refunds_give_back_no_more_than_was_charged_on_sqlite() {
    parallel_refunds_give_back_no_more_than_was_charged(Store::Sqlite).await;
}

#[tokio::test]
async fn parallel_refunds_give_back_no_more_than_was_charged_on_postgres() {
    parallel_refunds_give_back_no_more_than_was_charged(Store::Postgres).await;
}
