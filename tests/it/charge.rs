//! What a caller is charged for ends that it brings about, and what its team's terms say of them.

use serde_json::{Value, json};
use tollgate_common::command::{Command, TeamSettings};
use tollgate_common::db::call::CallRow;
use tollgate_common::job::{CallState, ChargeFailed, JobState};
use tollgate_common::money::{NanoUsd, Rounding};
use tollgate_common::team::DisconnectPolicy;
use tollgate_tests::fixture::{self, ALPHA, CLAUDE, FAST, PROVIDER, TOK, UNPRICED};
use tollgate_tests::raw::{self, Caller};
use tollgate_tests::{Client, Door, Proxy, World, wait};

async fn set(world: &World, team: &str, settings: TeamSettings) {
    let id = team.parse().unwrap();
    world.execute(Command::SetTeam { id, settings }).await;
}

/// Asks for a stream with a connection that can be left unread or dropped.
async fn ask(proxy: &Proxy, job: &str, model: &str, prompt: &str) -> Caller {
    let body = Door::Job.body(&proxy.client(TOK), model, prompt);
    let request = raw::post_json(&Door::Job.path(job), TOK.key, &body);
    Caller::send(proxy.port(), &request).await
}

/// The only call of a job, once it has ended.
async fn ended_call(world: &World, job: &str) -> CallRow {
    wait::until("the call has ended", async || {
        let call = world.calls(job).await.into_iter().next()?;
        (call.state != CallState::InFlight).then_some(call)
    })
    .await
}

async fn charged(world: &World, job: &str) -> i64 {
    world.job(job).await.charged.unwrap_or_default().0
}

#[tokio::test]
async fn a_job_that_does_not_complete_costs_what_its_terms_say() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    for (rule, used, unused) in [
        (ChargeFailed::Never, 0, 0),
        (ChargeFailed::Used, 3, 0),
        (ChargeFailed::Always, 3, 1),
    ] {
        let settings = TeamSettings {
            charge_failed: Some(Some(rule)),
            ..TeamSettings::default()
        };
        set(&world, TOK.id, settings).await;
        wait::until("the proxy knows the rule", async || {
            let job = tok.create_job().await;
            let known = world.job(&job).await.terms.charge_failed == rule;
            let _ = tok.complete(&job).await.expect(200);
            known.then_some(())
        })
        .await;
        for call in [true, false] {
            for end in ["failed", "cancel", "cancel --release"] {
                let job = tok.create_job().await;
                if call {
                    let _ = tok.call(&job, "do:tok=3000").await.expect(200);
                }
                if end == "failed" {
                    let _ = tok.end(&job, "failed").await.expect(200);
                } else {
                    let line = format!("job {end} {job}");
                    let words: Vec<&str> = line.split(' ').collect();
                    assert_eq!(world.admin(&words).await.code, Some(0));
                }
                let wanted = match (end, call) {
                    ("cancel --release", _) => 0,
                    (_, true) => used,
                    (_, false) => unused,
                };
                assert_eq!(charged(&world, &job).await, wanted, "{rule:?} {end} {call}");
                assert_eq!(world.account(TOK.id).await.held.0, 0);
            }
        }
        world.verify().await;
    }
}

#[tokio::test]
async fn calls_that_succeeded_are_paid_whatever_their_owner_says_of_the_job() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    // 17,000 tokens each, at 1,000 a credit.
    for _ in 0..3 {
        let job = tok.create_job().await;
        let _ = tok.call(&job, "do:usage=9000:8000").await.expect(200);
        let _ = tok.end(&job, "failed").await.expect(200);
        assert_eq!(tok.job(&job).await["credits_charged"], 17);
    }
    assert_eq!(tok.credits_remaining().await, 100 - 3 * 17);
    world.verify().await;
}

#[tokio::test]
async fn a_call_in_flight_keeps_its_hold_whoever_ends_its_job() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    for (number, end) in ["failed", "cancel"].into_iter().enumerate() {
        let job = tok.create_job().await;
        let mut caller = ask(&proxy, &job, FAST, "do:gated=3,usage=10:1990").await;
        caller.read_until("lo").await;
        let held = world.account(TOK.id).await.held.0;
        assert!(held > 2);
        if end == "failed" {
            let _ = tok.end(&job, "failed").await.expect(200);
        } else {
            assert_eq!(world.admin(&["job", "cancel", &job]).await.code, Some(0));
        }
        assert_eq!(world.account(TOK.id).await.held.0, held, "{end}");
        assert_eq!(charged(&world, &job).await, 0, "{end}");
        world.verify().await;
        world.upstream.release();
        caller.read_until("[DONE]").await;
        wait::until("the call is charged", async || {
            (world.account(TOK.id).await.held.0 == 0).then_some(())
        })
        .await;
        assert_eq!(charged(&world, &job).await, 2, "{end}: 2,000 tokens");
        let spent = 2 * (i64::try_from(number).unwrap() + 1);
        assert_eq!(tok.credits_remaining().await, 100 - spent);
        world.verify().await;
    }
}

/// A world whose team has its calls cut off when their callers leave, with a model that thinks in
/// silence.
async fn cancelling_world() -> World {
    let world = World::sqlite().await;
    world
        .execute(fixture::add_model("thinker", PROVIDER, "gpt-5"))
        .await;
    world.execute(fixture::grant("thinker")).await;
    let settings = TeamSettings {
        disconnect: Some(DisconnectPolicy::Cancel),
        ..TeamSettings::default()
    };
    set(&world, TOK.id, settings).await;
    world
}

/// The longest answer that the provider was asked for.
fn limit_sent(world: &World) -> i64 {
    let sent = world.upstream.last().json();
    let limit = sent["max_completion_tokens"].as_i64();
    limit.or_else(|| sent["max_tokens"].as_i64()).unwrap()
}

#[tokio::test]
async fn who_leaves_a_model_that_thinks_in_silence_pays_for_its_longest_answer() {
    let world = cancelling_world().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    for (prompt, seen) in [("do:stall=2", "Hel"), ("do:silent", "")] {
        let count = world.upstream.count();
        let job = tok.create_job().await;
        let mut caller = ask(&proxy, &job, "thinker", prompt).await;
        wait::until("the provider has the call", async || {
            (world.upstream.count() == count + 1).then_some(())
        })
        .await;
        caller.read_until(seen).await;
        let limit = limit_sent(&world);
        drop(caller);
        let call = ended_call(&world, &job).await;
        assert_eq!(call.error_kind.as_deref(), Some("caller_gone"));
        assert_eq!(call.output_tokens, limit, "{prompt}");
        let held = world.job(&job).await.hold;
        let _ = tok.end(&job, "failed").await.expect(200);
        assert_eq!(charged(&world, &job).await, held.0, "{prompt}");
        world.verify().await;
        world.allocate(TOK.id, held.0).await;
    }
}

#[tokio::test]
async fn usage_that_is_still_to_come_is_waited_for_without_the_caller() {
    let world = cancelling_world().await;
    let world = world.with("TOLLGATE_LOG_FILTER", "info,tollgate=debug");
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    for (left, model) in [FAST, "thinker"].into_iter().enumerate() {
        let job = tok.create_job().await;
        let mut caller = ask(&proxy, &job, model, "do:joined,gated=5,usage=10:1500").await;
        caller.read_until("!").await;
        drop(caller);
        wait::until("the proxy waits for the usage alone", async || {
            let waits = proxy.log().matches("waiting for the usage").count();
            (waits == left + 1).then_some(())
        })
        .await;
        world.upstream.release();
        let call = ended_call(&world, &job).await;
        assert_eq!(
            (call.input_tokens, call.output_tokens),
            (10, 1_500),
            "{model}"
        );
        assert!(!call.usage_estimated);
        assert_eq!(call.error_kind.as_deref(), Some("caller_gone"), "{model}");
        let _ = tok.end(&job, "failed").await.expect(200);
        assert_eq!(charged(&world, &job).await, 1);
    }
    world.verify().await;
}

#[tokio::test]
async fn a_caller_that_does_not_read_pays_for_the_answer() {
    let world = World::sqlite().await;
    let world = world.with("TOLLGATE_STREAMS_TOTAL_TIMEOUT_MS", "5000");
    world.allocate(TOK.id, 10_000).await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let job = tok.create_job().await;
    let mut caller = ask(&proxy, &job, FAST, "do:words=200000,usage=10:9000").await;
    caller.read_until("data: ").await;
    let call = ended_call(&world, &job).await;
    assert_eq!(call.state, CallState::Succeeded, "{:?}", call.error);
    // A slow machine may reach the end of its time before the caller's buffers are full.
    let kind = call.error_kind.as_deref();
    assert!(matches!(kind, Some("caller_gone" | "provider_timeout")));
    assert!(call.client_cost.0 > 0 && call.output_tokens >= 1_000);
    drop(caller);
    let _ = tok.end(&job, "failed").await.expect(200);
    assert!(charged(&world, &job).await >= 1);
    world.verify().await;
}

#[tokio::test]
async fn a_flat_price_can_be_bounded_by_what_a_job_costs_the_operator() {
    let world = World::sqlite().await;
    let settings = TeamSettings {
        job_cost_max: Some(Some(NanoUsd(10_000_000))),
        ..TeamSettings::default()
    };
    set(&world, ALPHA.id, settings).await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let answer = alpha.call(&job, "Hi").await.expect(200);
    assert_eq!(answer.header("x-tollgate-limited-by"), "job_cost");
    // One cent less the prompt, at $10 a million.
    assert!((900..1_000).contains(&limit_sent(&world)));
    let _ = alpha.call(&job, "do:usage=100:950").await.expect(200);
    let refused = alpha.call(&job, &"many words ".repeat(500)).await;
    refused.expect_error(403, "job_cost_max");
    let unpriced = json!({ "model": UNPRICED, "messages": [{ "role": "user", "content": "Hi" }] });
    let refused = alpha.call_with(&job, &unpriced).await;
    refused.expect_error(403, "has no price");
    assert_eq!(world.job(&job).await.hold.0, 1, "the price stays flat");
    world.verify().await;
    let _ = alpha.complete(&job).await.expect(200);
    assert_eq!(charged(&world, &job).await, 1);
    world.verify().await;
}

#[tokio::test]
async fn what_a_request_needs_and_credits_do_not_leave_is_lack_of_credits() {
    let world = World::sqlite().await;
    let settings = TeamSettings {
        tokens_per_credit: Some(50),
        ..TeamSettings::default()
    };
    set(&world, TOK.id, settings).await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let mut body = Door::Anthropic.body(&tok, CLAUDE, "Hi");
    body["stream"] = false.into();
    body["max_tokens"] = 20_000.into();
    body["thinking"] = json!({ "type": "enabled", "budget_tokens": 8_000 });
    let refused = tok.post("/v1/messages", &body).await.expect(402);
    assert!(
        refused.text().contains("Insufficient credits"),
        "{}",
        refused.text()
    );
    assert_eq!(world.upstream.count(), 0);
    // A shorter answer is paid for, and says why it is shorter.
    let job = tok.create_job().await;
    let answer = tok.call(&job, "do:length").await.expect(200);
    assert_eq!(answer.header("x-tollgate-limited-by"), "credits");
    assert_eq!(answer.json["choices"][0]["finish_reason"], "length");
    let short = json!({ "max_tokens": 10, "messages": [{ "role": "user", "content": "Hi" }] });
    let answer = tok.call_with(&job, &short).await.expect(200);
    assert_eq!(answer.header("x-tollgate-limited-by"), "");
    world.verify().await;
}

async fn admin(world: &World, line: &str) -> Value {
    let mut words: Vec<&str> = line.split(' ').collect();
    words.push("--json");
    let done = world.admin(&words).await;
    assert_eq!(done.code, Some(0), "{line}: {}", done.stderr);
    serde_json::from_str(&done.stdout).unwrap()
}

#[tokio::test]
async fn terms_of_charges_are_set_shown_and_taken_away() {
    let world = World::sqlite().await;
    let create = "team create flat --org o1 --charge-failed always --round up --job-cost-max 0.5";
    let created = admin(&world, create).await;
    assert_eq!(created["charge_failed"], "always");
    assert_eq!(created["round"], "up");
    assert_eq!(created["job_cost_max"], 0.5);
    let _ = admin(
        &world,
        "team set flat --charge-failed default --job-cost-max none",
    )
    .await;
    let shown = admin(&world, "team show flat").await;
    assert_eq!(shown["charge_failed"], "never", "the default of job_based");
    assert_eq!(shown["round"], "up");
    assert_eq!(shown["job_cost_max"], Value::Null);
    let set = "team set flat --budget-mode consumption_usd --round down";
    let shown = admin(&world, set).await;
    assert_eq!(
        (&shown["charge_failed"], &shown["round"]),
        (&json!("used"), &json!("down"))
    );
    let log = admin(&world, "audit list").await.to_string();
    for part in [
        "\"charge_failed\":\"always\"",
        "\"round\":\"up\"",
        "\"job_cost_max\":0.5",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    for (option, bad) in [
        ("--charge-failed", "sometimes"),
        ("--round", "half"),
        ("--job-cost-max", "0"),
        ("--job-cost-max", "-1"),
    ] {
        let line = ["team", "set", "flat", option, bad];
        assert_eq!(world.admin(&line).await.code, Some(2), "{option} {bad}");
    }
}

#[tokio::test]
async fn credits_are_rounded_as_the_terms_say() {
    let world = World::sqlite().await;
    let settings = TeamSettings {
        rounding: Some(Rounding::Up),
        ..TeamSettings::default()
    };
    set(&world, TOK.id, settings).await;
    let proxy = world.start().await;
    let tok: Client = proxy.client(TOK);
    let job = tok.create_job().await;
    let _ = tok.call(&job, "do:tok=1001").await.expect(200);
    let _ = tok.complete(&job).await.expect(200);
    assert_eq!(charged(&world, &job).await, 2);
    assert_eq!(world.job(&job).await.state, JobState::Completed);
    world.verify().await;
}

/// A clock that was wrong once must not keep a team from its budget for days.
#[tokio::test]
async fn a_budget_window_of_the_future_is_not_believed() {
    let world = World::sqlite().await;
    let settings = TeamSettings {
        budget_day: Some(Some(tollgate_common::money::Credits(2))),
        ..TeamSettings::default()
    };
    set(&world, ALPHA.id, settings).await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let _ = alpha.complete(&job).await.expect(200);
    // As if the clock had been 40 days ahead for this charge.
    for sql in [
        "UPDATE accounts SET day_began_at = day_began_at + 3456000000000
            , month_began_at = month_began_at + 3456000000000
            , version = version + 1
         WHERE team_id = 'team-alpha'",
        "UPDATE ledger_entries SET created_at = created_at + 3456000000000
         WHERE team_id = 'team-alpha' AND kind = 'deduction'",
    ] {
        sqlx::query(sql)
            .execute(world.database().pool())
            .await
            .unwrap();
    }
    let second = alpha.create_job().await;
    let _ = alpha.complete(&second).await.expect(200);
    let refused = alpha.create().await;
    refused.expect_error(429, "Daily budget reached. Of 2 credits 2 are used");
    assert!(refused.retry_after().unwrap() <= 86_400);
    assert_eq!(alpha.balance().await["used_today"], 2);
    assert!(proxy.log().contains("the clock was ahead"));
    world.verify().await;
}
