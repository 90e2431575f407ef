//! Lists are read part by part, on both engines.

use tollgate_common::clock::SystemRandom;
use tollgate_common::command::Command;
use tollgate_common::db::key::{self, KEYS, KeyOrder};
use tollgate_common::db::page::{Part, Request, Start};
use tollgate_common::filter::Filter;
use tollgate_common::key::PlainKey;
use tollgate_common::limit::Limits;
use tollgate_tests::fixture::{ALPHA, new_key};
use tollgate_tests::{Store, World};

const ORDERS: [KeyOrder; 4] = [
    KeyOrder::Created,
    KeyOrder::Team,
    KeyOrder::Used,
    KeyOrder::Expires,
];

/// A few keys more than there are in a part.
async fn keys(store: Store) -> World {
    let world = World::on(store).await;
    for _ in 0..17 {
        let create = Command::CreateKey {
            team_id: ALPHA.id.parse().unwrap(),
            key: new_key(&PlainKey::generate(&SystemRandom)),
            label: Some("many".to_owned()),
            limits: Limits::default(),
            expires_at: None,
        };
        world.execute(create).await;
    }
    world
}

async fn part(
    world: &World,
    filter: &Filter,
    order: (KeyOrder, bool),
    start: &Start,
) -> Part<key::ListedKey> {
    let request = Request {
        filter,
        start,
        limit: 5,
        search: 1_000,
        counted: true,
    };
    let mut connection = world.database().dedicated_connection().await.unwrap();
    key::page(&mut connection, order, &request).await.unwrap()
}

fn ids(part: &Part<key::ListedKey>) -> Vec<String> {
    let rows = part.rows.iter();
    rows.map(|listed| listed.row.key.id.to_string()).collect()
}

async fn every_order_can_be_walked_down_and_up(store: Store) {
    let world = keys(store).await;
    let now = tollgate_common::clock::Timestamp::from_micros(1);
    for text in ["", "label:many", "status:active,revoked \"many\""] {
        let filter = Filter::parse(&KEYS, text, now).unwrap();
        for order in ORDERS.map(|order| [(order, false), (order, true)]).concat() {
            let (down, total) = walk_down(&world, &filter, order).await;
            assert_eq!(down.len() as i64, total, "{text} {order:?}");
            let up = walk_up(&world, &filter, order).await;
            assert_eq!(down, up, "{text} {order:?}");
        }
    }
}

async fn walk_down(world: &World, filter: &Filter, order: (KeyOrder, bool)) -> (Vec<String>, i64) {
    let (mut found, mut start) = (Vec::new(), Start::First);
    loop {
        let part = part(world, filter, order, &start).await;
        assert_eq!(part.above, found.len() as i64, "{order:?}");
        found.extend(ids(&part));
        match part.rows.last() {
            Some(last) if part.below => start = Start::After(last.place.clone()),
            _ => return (found, part.count),
        }
    }
}

async fn walk_up(world: &World, filter: &Filter, order: (KeyOrder, bool)) -> Vec<String> {
    let mut found = Vec::new();
    let mut start = Start::Last;
    loop {
        let part = part(world, filter, order, &start).await;
        found.splice(0..0, ids(&part));
        match part.rows.first() {
            Some(first) if part.above > 0 => start = Start::Before(first.place.clone()),
            _ => return found,
        }
    }
}

#[tokio::test]
async fn every_order_can_be_walked_down_and_up_on_sqlite() {
    every_order_can_be_walked_down_and_up(Store::Sqlite).await;
}

#[tokio::test]
async fn every_order_can_be_walked_down_and_up_on_postgres() {
    every_order_can_be_walked_down_and_up(Store::Postgres).await;
}
