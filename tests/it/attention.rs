//! What administrators are shown first: money that nobody can explain.

use tollgate_common::clock::{Clock as _, SystemClock};
use tollgate_common::command::{Command, TeamSettings};
use tollgate_common::db::overview;
use tollgate_common::db::work::BalanceChange;
use tollgate_common::money::Credits;
use tollgate_tests::fixture::{FAST, TOK};
use tollgate_tests::{Door, Store, World};

async fn unclear_money_is_found(store: Store) {
    let world = World::on(store).await;
    let pool = world.database().pool();
    let began_at = SystemClock.now();
    assert_eq!(overview::uncharged(pool, began_at).await.unwrap(), None);
    let proxy = world.start().await;
    let tok = proxy.client(TOK);

    let broken = tok.create_job().await;
    let mut stream = Door::Job.ask(&tok, &broken, FAST, "do:cut=3").await;
    let _ = stream.collect().await;
    let _ = tok.complete(&broken).await.expect(200);
    let uncharged = overview::uncharged(pool, began_at).await.unwrap().unwrap();
    let call = &world.calls(&broken).await[0];
    assert!(call.provider_cost.0 > 0 && call.client_cost.0 == 0);
    assert_eq!(
        (uncharged.calls, uncharged.provider_cost),
        (1, call.provider_cost)
    );
    assert_eq!(uncharged.job_id.to_string(), broken);

    assert_eq!(
        overview::implausible_calls(pool, began_at, 10)
            .await
            .unwrap(),
        []
    );
    let absurd = tok.create_job().await;
    let _ = tok.call(&absurd, "do:usage=900000000:5").await.expect(200);
    let _ = tok.complete(&absurd).await.expect(200);
    let found = overview::implausible_calls(pool, began_at, 10)
        .await
        .unwrap();
    let call = &world.calls(&absurd).await[0];
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].id, found[0].client_cost),
        (call.id, call.client_cost)
    );
    assert_eq!(found[0].job_id.to_string(), absurd);

    let later = SystemClock.now().plus(std::time::Duration::from_secs(1));
    assert_eq!(overview::uncharged(pool, later).await.unwrap(), None);
    assert_eq!(
        overview::implausible_calls(pool, later, 10).await.unwrap(),
        []
    );
    world.verify().await;
}

#[tokio::test]
async fn money_that_nobody_can_explain_is_found_on_sqlite() {
    unclear_money_is_found(Store::Sqlite).await;
}

#[tokio::test]
async fn money_that_nobody_can_explain_is_found_on_postgres() {
    unclear_money_is_found(Store::Postgres).await;
}

/// What a provider counts beyond the hold is taken as far as there are credits, and owed beyond.
#[tokio::test]
async fn a_team_that_owes_is_found_until_it_has_paid() {
    let world = World::sqlite().await;
    let pool = world.database().pool();
    let settings = TeamSettings {
        tokens_per_credit: Some(10),
        ..TeamSettings::default()
    };
    let id = TOK.id.parse().unwrap();
    world.execute(Command::SetTeam { id, settings }).await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    assert_eq!(overview::owing_teams(pool, 10).await.unwrap(), []);
    let job = tok.create_job().await;
    let _ = tok.call(&job, "do:usage=5000:5").await.expect(200);
    let _ = tok.complete(&job).await.expect(200);
    let owing = overview::owing_teams(pool, 10).await.unwrap();
    assert_eq!(owing.len(), 1);
    assert_eq!(owing[0].team_id.as_str(), TOK.id);
    assert_eq!(owing[0].owed, Credits(500 - TOK.credits));
    world
        .execute(Command::ChangeBalance {
            team_id: TOK.id.parse().unwrap(),
            change: BalanceChange::Allocate(Credits(1_000)),
            reason: "paid".to_owned(),
        })
        .await;
    assert_eq!(overview::owing_teams(pool, 10).await.unwrap(), []);
    world.verify().await;
}
