//! Lists of teams and organizations for administrators, on both engines: filters, orders, parts in
//! both directions; and what a suspension that cancels jobs leaves.

use serde_json::Value;
use tollgate_common::clock::{Clock as _, SystemClock, Timestamp};
use tollgate_common::command::{Command, TeamSettings};
use tollgate_common::db::org::list as orgs;
use tollgate_common::db::page::{Part, Request, SEARCH, Start};
use tollgate_common::db::team::list::{self, ListedTeam, TEAMS, TeamOrder};
use tollgate_common::filter::Filter;
use tollgate_common::money::Credits;
use tollgate_common::standing::Standing;
use tollgate_tests::fixture::{ALPHA, GROUP};
use tollgate_tests::{Store, World};

use crate::admin_cli::{admin, admin_line, refused};

/// How many teams the list has.
const COUNT: i64 = 30;

/// How many rows a part of it has.
const LIMIT: i64 = 7;

/// A world with an organization of so many teams: credits repeat, so that ids decide among them.
async fn world(store: Store) -> World {
    let world = World::on(store).await;
    let (id, name) = ("many".parse().unwrap(), "Many teams".to_owned());
    let _ = world.execute(Command::CreateOrg { id, name }).await;
    for place in 0..COUNT {
        let groups = (place % 3 == 0).then(|| vec![GROUP.parse().unwrap()]);
        let create = Command::CreateTeam {
            id: format!("many-{place:02}").parse().unwrap(),
            org_id: "many".parse().unwrap(),
            credits: Credits(place % 5 * 100),
            settings: TeamSettings {
                overdraft: Some(Credits(place % 2)),
                groups,
                ..TeamSettings::default()
            },
        };
        let _ = world.execute(create).await;
    }
    let stop = |id: &str, standing| Command::SetTeamStanding {
        id: id.parse().unwrap(),
        standing,
    };
    let over = Standing::Paused {
        until: Some(Timestamp::from_micros(1)),
    };
    let open = Standing::Paused { until: None };
    for (id, standing) in [
        ("many-01", Standing::Suspended),
        ("many-02", over),
        ("many-03", open),
    ] {
        let _ = world.execute(stop(id, standing)).await;
    }
    world
}

async fn part(world: &World, order: (TeamOrder, bool), start: &Start) -> Part<ListedTeam> {
    let filter = Filter::parse(&TEAMS, "org:many", Timestamp::default()).unwrap();
    let request = Request {
        filter: &filter,
        start,
        limit: LIMIT,
        search: SEARCH,
        counted: true,
    };
    let now = SystemClock.now();
    let pool = world.database().pool();
    list::page(pool, order, &request, now).await.unwrap()
}

fn ids(part: &Part<ListedTeam>) -> Vec<String> {
    let rows = part.rows.iter();
    rows.map(|row| row.row.team.id.to_string()).collect()
}

/// All teams as they are found part by part, down from the top or up from the bottom.
async fn walked(world: &World, order: (TeamOrder, bool), up: bool) -> Vec<String> {
    let mut start = if up { Start::Last } else { Start::First };
    let mut found = Vec::new();
    loop {
        let part = part(world, order, &start).await;
        assert_eq!(part.count, COUNT);
        let mut here = ids(&part);
        let (Some(first), Some(last)) = (part.rows.first(), part.rows.last()) else {
            return found;
        };
        if up {
            start = Start::Before(first.place.clone());
            here.extend(found);
            found = here;
        } else {
            start = Start::After(last.place.clone());
            found.extend(here);
        }
    }
}

async fn every_order_can_be_walked_in_both_directions(store: Store) {
    let world = world(store).await;
    let place = |id: &String| id[5..].parse::<i64>().unwrap();
    for order in [
        TeamOrder::Id,
        TeamOrder::Balance,
        TeamOrder::Available,
        TeamOrder::Used,
    ] {
        let down = walked(&world, (order, false), false).await;
        assert_eq!(down.len() as i64, COUNT, "{order:?}");
        assert_eq!(
            walked(&world, (order, false), true).await,
            down,
            "{order:?}"
        );
        let mut turned = walked(&world, (order, true), false).await;
        turned.reverse();
        assert_eq!(turned, down, "{order:?}");
        let keys = down.iter().map(|id| match order {
            TeamOrder::Id => (0, place(id)),
            TeamOrder::Balance => (place(id) % 5 * 100, place(id)),
            TeamOrder::Available => (place(id) % 5 * 100 + place(id) % 2, place(id)),
            TeamOrder::Used => (0, -place(id)),
        });
        assert!(keys.is_sorted(), "{order:?}: {down:?}");
    }
}

#[tokio::test]
async fn every_order_can_be_walked_on_sqlite() {
    every_order_can_be_walked_in_both_directions(Store::Sqlite).await;
}

#[tokio::test]
async fn every_order_can_be_walked_on_postgres() {
    every_order_can_be_walked_in_both_directions(Store::Postgres).await;
}

/// The ids of the teams that a filter lets through.
async fn filtered(world: &World, filter: &str) -> Vec<String> {
    let listed = admin(world, &["team", "list", "--filter", filter]).await;
    let id = |team: &Value| team["id"].as_str().unwrap().to_owned();
    listed.as_array().unwrap().iter().map(id).collect()
}

async fn filters_find_what_they_say(store: Store) {
    let world = world(store).await;
    let count = async |filter: &str| filtered(&world, filter).await.len();
    assert_eq!(filtered(&world, "status:suspended").await, ["many-01"]);
    assert_eq!(
        filtered(&world, "org:many status:paused").await,
        ["many-03"]
    );
    assert_eq!(count("org:many status:active").await, 28);
    assert_eq!(count("org:many !status:active").await, 2);
    let group = format!("group:{GROUP}");
    assert_eq!(count(&format!("org:many {group}")).await, 10);
    assert_eq!(count(&format!("org:many !{group}")).await, 20);
    assert_eq!(count("org:many model:chat-fast").await, 10);
    assert_eq!(count("org:many balance<100").await, 6);
    assert_eq!(count("org:many balance>=400 available>400").await, 3);
    assert_eq!(count("many-2").await, 10);
    assert_eq!(count("mode:consumption_tokens").await, 1);
    let why = refused(&world, &["team", "list", "--filter", "size:9"], 2).await;
    assert!(why.stderr.contains("balance"), "{}", why.stderr);

    let line = "team list --org many --sort balance --reverse";
    let first = &admin_line(&world, line).await[0];
    assert_eq!(first["id"], "many-29");

    let orgs = admin_line(&world, "org list --filter teams>9").await;
    assert_eq!((&orgs[0]["id"], &orgs[1]), (&"many".into(), &Value::Null));
    assert_eq!(
        (&orgs[0]["teams"], &orgs[0]["stopped_teams"]),
        (&30.into(), &3.into())
    );
    assert_eq!(orgs[0]["balance"], 6_000);
    let sorted = admin_line(&world, "org list --sort teams").await;
    assert_eq!(sorted[0]["id"], "many");
    let id = "many".parse().unwrap();
    let found = orgs::find(world.database().pool(), &id, SystemClock.now()).await;
    assert_eq!(found.unwrap().unwrap().balance, Credits(6_000));
}

#[tokio::test]
async fn filters_find_what_they_say_on_sqlite() {
    filters_find_what_they_say(Store::Sqlite).await;
}

#[tokio::test]
async fn filters_find_what_they_say_on_postgres() {
    filters_find_what_they_say(Store::Postgres).await;
}

#[tokio::test]
async fn a_suspension_can_cancel_open_jobs_and_release_their_holds() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let (kept, open) = (alpha.create_job().await, alpha.create_job().await);
    let _ = alpha.complete(&kept).await.expect(200);
    assert_eq!(world.account(ALPHA.id).await.held, Credits(1));
    let suspended = admin(&world, &["team", "suspend", ALPHA.id, "--cancel-jobs"]).await;
    assert_eq!(
        (&suspended["status"], &suspended["held"]),
        (&"suspended".into(), &0.into())
    );
    assert_eq!(world.job(&open).await.state.word(), "cancelled");
    assert_eq!(world.job(&kept).await.state.word(), "completed");
    world.verify().await;
}
