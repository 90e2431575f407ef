//! Made-up businesses: their books balance like real ones.

use tollgate_common::db::{live, migrate};
use tollgate_tests::{Store, World};

async fn balances(store: Store) {
    let world = World::empty(store).await;
    migrate::migrate(world.database()).await.unwrap();
    let size = ["dev", "seed", "--jobs", "2000", "--teams", "20"];
    let seeded = world.admin(&size).await;
    assert_eq!(seeded.code, Some(0), "{}", seeded.stderr);
    let report = world.verify().await;
    assert_eq!((report.accounts, report.jobs), (20, 2_000));
    assert!(report.calls > 2_000 && report.entries > 1_500);
    let told = live::list(world.database().pool()).await.unwrap();
    assert_eq!(told.len(), 1);
    assert!(told[0].figures.calls_in_flight > 0);

    let again = world.admin(&size).await;
    assert_eq!(again.code, Some(5), "{}", again.stderr);
    assert!(again.stderr.contains("has 20 team(s)"), "{}", again.stderr);

    // A proxy serves what was made up.
    let _proxy = world.start().await;
    world.verify().await;
}

#[tokio::test]
async fn a_made_up_business_balances_on_sqlite() {
    balances(Store::Sqlite).await;
}

#[tokio::test]
async fn a_made_up_business_balances_on_postgres() {
    balances(Store::Postgres).await;
}
