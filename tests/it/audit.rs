//! Who may change what, and what the audit log keeps of it, on both engines.

use serde_json::{Value, json};
use tollgate_common::clock::{Clock as _, SystemClock, SystemRandom, Timestamp};
use tollgate_common::command::{Applied, Command, CommandError, TeamSettings};
use tollgate_common::config::Config;
use tollgate_common::db::admin::{self, Actor};
use tollgate_common::db::audit::{self, AuditPage, AuditRecord, Place, VOCABULARY};
use tollgate_common::db::search;
use tollgate_common::db::{Access, Database, about, team};
use tollgate_common::filter::Filter;
use tollgate_common::role::Role;
use tollgate_common::standing::Standing;
use tollgate_tests::fixture::ALPHA;
use tollgate_tests::{Store, World};

use crate::admin_cli::{admin_line, refused};

fn bob(now: Timestamp) -> Actor<'static> {
    Actor {
        reason: Some("asked by mail"),
        origin: Some("203.0.113.9"),
        ..Actor::new("bob", now, &SystemRandom)
    }
}

async fn give(world: &World, actor: Actor<'_>, command: &Command) -> Result<Applied, CommandError> {
    admin::execute(world.database(), actor, command).await
}

async fn page(world: &World, filter: &str, place: Place, limit: usize) -> AuditPage {
    let filter = Filter::parse(&VOCABULARY, filter, SystemClock.now()).unwrap();
    let pool = world.database().pool();
    audit::page(pool, &filter, place, limit).await.unwrap()
}

fn set_team(settings: TeamSettings) -> Command {
    Command::SetTeam {
        id: ALPHA.id.parse().unwrap(),
        settings,
    }
}

fn parsed(text: Option<&String>) -> Value {
    text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
}

async fn newest(world: &World) -> AuditRecord {
    let page = page(world, "", Place::Newest, 1).await;
    page.records.into_iter().next().unwrap()
}

async fn the_log_says_why_from_where_and_what_was_there_before(store: Store) {
    let world = World::on(store).await;
    let settings = TeamSettings {
        name: Some("Other".to_owned()),
        cache_ttl_seconds: Some(Some(60)),
        ..TeamSettings::default()
    };
    give(&world, bob(SystemClock.now()), &set_team(settings))
        .await
        .unwrap();
    let record = newest(&world).await;
    assert_eq!(record.actor, "bob");
    assert_eq!(record.reason.as_deref(), Some("asked by mail"));
    assert_eq!(record.origin.as_deref(), Some("203.0.113.9"));
    let before = parsed(record.before.as_ref());
    assert_eq!(before["cache_ttl_seconds"], "none");
    assert!(
        before["name"].is_string() && before.get("markup").is_none(),
        "{before}"
    );

    let id = ALPHA.id.parse().unwrap();
    let standing = Standing::Suspended;
    let suspend = Command::SetTeamStanding { id, standing };
    give(
        &world,
        Actor::new("eve", SystemClock.now(), &SystemRandom),
        &suspend,
    )
    .await
    .unwrap();
    let record = newest(&world).await;
    let expected = json!({ "status": "active", "until": null });
    assert_eq!(parsed(record.before.as_ref()), expected);
    assert_eq!(record.reason, None);
}

async fn a_role_and_a_faster_administrator_stand_in_the_way(store: Store) {
    let world = World::on(store).await;
    let teams = team::list(world.database().pool()).await.unwrap();
    let seen = teams
        .iter()
        .find(|team| team.id.as_str() == ALPHA.id)
        .unwrap()
        .updated_at;
    let now = SystemClock.now();
    let rename = |name: &str| {
        set_team(TeamSettings {
            name: Some(name.to_owned()),
            ..TeamSettings::default()
        })
    };
    let viewer = Actor {
        role: Role::Viewer,
        ..bob(now)
    };
    let why = give(&world, viewer, &rename("A")).await.unwrap_err();
    assert!(
        why.to_string().contains("viewer may not change anything"),
        "{why}"
    );
    let expecting = Actor {
        expected: Some(seen),
        ..bob(now)
    };
    give(&world, expecting, &rename("A")).await.unwrap();
    let late = Actor {
        name: "carol",
        now: now.plus(std::time::Duration::from_secs(12)),
        ..expecting
    };
    let why = give(&world, late, &rename("B")).await.unwrap_err();
    assert!(matches!(why, CommandError::Conflict(_)), "{why:?}");
    assert!(
        why.to_string().contains("was changed by bob 12 s ago"),
        "{why}"
    );
    assert_eq!(newest(&world).await.actor, "bob", "nothing was changed");
}

async fn the_log_is_read_from_both_ends_and_by_a_filter(store: Store) {
    let world = World::on(store).await;
    let whole = page(&world, "", Place::Newest, 1_000).await;
    let count = whole.records.len();
    assert_eq!(whole.count, Some(count));
    let ids: Vec<_> = whole.records.iter().map(|record| record.id).collect();
    let middle = page(&world, "", Place::From(ids[3]), 4).await;
    let found: Vec<_> = middle.records.iter().map(|record| record.id).collect();
    assert_eq!(
        (found.as_slice(), middle.above, middle.below),
        (&ids[3..7], 3, true)
    );
    let above = page(&world, "", Place::Above(ids[3]), 2).await;
    let found: Vec<_> = above.records.iter().map(|record| record.id).collect();
    assert_eq!(
        (found.as_slice(), above.above, above.below),
        (&ids[1..3], 1, true)
    );
    let last = page(&world, "", Place::Oldest, 2).await;
    assert_eq!(
        (last.records.len(), last.above, last.below),
        (2, count - 2, false)
    );

    let of_team = page(
        &world,
        &format!("target:team:{}", ALPHA.id),
        Place::Newest,
        100,
    )
    .await;
    assert!(!of_team.records.is_empty() && of_team.records.len() < count);
    let searched = page(
        &world,
        "action:~create actor:test !target:~key",
        Place::Newest,
        100,
    )
    .await;
    assert!(!searched.records.is_empty() && !searched.gave_up && searched.count.is_none());
    assert!(
        page(&world, "until:1h", Place::Newest, 10)
            .await
            .records
            .is_empty()
    );
    assert_eq!(
        page(&world, "since:1h", Place::Oldest, 1_000)
            .await
            .records
            .len(),
        count
    );
}

async fn what_only_reads_cannot_write(store: Store) {
    let world = World::on(store).await;
    let config = Config {
        database: world.database_url().parse().unwrap(),
        ..Config::default()
    };
    let database = Database::connect(&config, Access::Read).await.unwrap();
    let command = set_team(TeamSettings {
        name: Some("X".to_owned()),
        ..TeamSettings::default()
    });
    let refused = admin::execute(&database, bob(SystemClock.now()), &command).await;
    assert!(refused.is_err(), "the engine refuses it");
    assert_ne!(newest(&world).await.actor, "bob");
    let about = about::about(&database).await.unwrap();
    assert!(
        about.bytes > 0 && about.schema > 20_260_101_000_000,
        "{about:?}"
    );
    assert_eq!(about.tables.len(), 10);
    let prefix = &ALPHA.id[..3];
    let found = search::search(&database, Some("team"), prefix)
        .await
        .unwrap();
    assert!(found.iter().any(|found| found.id == ALPHA.id), "{found:?}");
    assert!(search::search(&database, None, "0").await.is_ok());
}

#[tokio::test]
async fn subcommands_take_a_reason_and_roles_are_enforced() {
    let world = World::sqlite().await;
    let line = format!("team suspend {} --reason dispute --actor dora", ALPHA.id);
    let _ = admin_line(&world, &line).await;
    let log = admin_line(&world, "audit list --filter actor:dora").await;
    assert_eq!(log[0]["reason"], "dispute");
    assert_eq!(log[0]["before"]["status"], "active");
    let id = ALPHA.id;
    let viewer = ["team", "resume", id, "--role", "viewer"];
    let said = refused(&world, &viewer, 5).await.stderr;
    assert!(said.contains("viewer may not change anything"), "{said}");
    let said = refused(&world, &["team", "resume", id, "--read-only"], 5)
        .await
        .stderr;
    assert!(said.contains("--read-only"), "{said}");
    let markup = ["team", "set", id, "--markup", "5", "--role", "operator"];
    let said = refused(&world, &markup, 5).await.stderr;
    assert!(said.contains("takes the role owner"), "{said}");
}

mod on_sqlite {
    use super::Store;

    #[tokio::test]
    async fn the_log_says_why_from_where_and_what_was_there_before() {
        super::the_log_says_why_from_where_and_what_was_there_before(Store::Sqlite).await;
    }

    #[tokio::test]
    async fn a_role_and_a_faster_administrator_stand_in_the_way() {
        super::a_role_and_a_faster_administrator_stand_in_the_way(Store::Sqlite).await;
    }

    #[tokio::test]
    async fn the_log_is_read_from_both_ends_and_by_a_filter() {
        super::the_log_is_read_from_both_ends_and_by_a_filter(Store::Sqlite).await;
    }

    #[tokio::test]
    async fn what_only_reads_cannot_write() {
        super::what_only_reads_cannot_write(Store::Sqlite).await;
    }
}

mod on_postgres {
    use super::Store;

    #[tokio::test]
    async fn the_log_says_why_from_where_and_what_was_there_before() {
        super::the_log_says_why_from_where_and_what_was_there_before(Store::Postgres).await;
    }

    #[tokio::test]
    async fn a_role_and_a_faster_administrator_stand_in_the_way() {
        super::a_role_and_a_faster_administrator_stand_in_the_way(Store::Postgres).await;
    }

    #[tokio::test]
    async fn the_log_is_read_from_both_ends_and_by_a_filter() {
        super::the_log_is_read_from_both_ends_and_by_a_filter(Store::Postgres).await;
    }

    #[tokio::test]
    async fn what_only_reads_cannot_write() {
        super::what_only_reads_cannot_write(Store::Postgres).await;
    }
}
