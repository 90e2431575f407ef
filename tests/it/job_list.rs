//! The administrators' lists of jobs and calls: filters, pages in both directions, and searches
//! that no index serves, on both engines.

use sqlx::AssertSqlSafe;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::call::list as calls;
use tollgate_common::db::job::list::{self as jobs, Found, Place, Start};
use tollgate_common::filter::Filter;
use tollgate_common::id::CallId;
use tollgate_tests::{Store, World};

/// More than one step of a search looks at.
const JOBS: usize = 25_000;

/// Jobs 1 to [`JOBS`], two at each second; the newest have the highest numbers. Each tenth has
/// failed, the one after it was cancelled; of the last fifty, those with 2 and 3 at their end are
/// open. One of the oldest is of a type of its own.
const INSERT_JOBS: &str = "
    INSERT INTO jobs
        (id, team_id, org_id, state, job_type, user_id, metadata, error_message, budget_mode,
         credits_per_dollar, tokens_per_credit, markup, credits_max, hold, spent_cost,
         spent_tokens, reserved_cost, reserved_tokens, charged, credits_remaining, total_calls,
         total_cost, created_at, started_at, completed_at, active_at, updated_at)
    WITH RECURSIVE numbers (n) AS (
        SELECT CAST(1 AS BIGINT)
        UNION ALL
        SELECT n + 1 FROM numbers WHERE n < 25000
    ), states AS (
        SELECT n, CASE WHEN n > 24950 AND n % 10 = 2 THEN 'pending'
                       WHEN n > 24950 AND n % 10 = 3 THEN 'in_progress'
                       WHEN n % 10 = 0 THEN 'failed'
                       WHEN n % 10 = 1 THEN 'cancelled'
                       ELSE 'completed' END AS state
        FROM numbers
    )
    SELECT '00000000-0000-7000-8000-' || SUBSTR(CAST(1000000000000 + n AS TEXT), 2)
         , CASE WHEN n % 4 = 0 THEN 'zeta' ELSE 'alpha' END
         , 'o1'
         , state
         , CASE WHEN n = 77 THEN 'rare' ELSE 'chat' END
         , CASE WHEN n % 3 = 0 THEN NULL ELSE 'user-' || CAST(n % 5 AS TEXT) END
         , '{\"task\": \"T-' || CAST(n AS TEXT) || '\"}'
         , CASE WHEN state = 'failed' THEN 'No provider answered' END
         , 'job_based', 1, 1, 0, NULL
         , CASE WHEN state IN ('pending', 'in_progress') THEN 1 ELSE 0 END
         , 0, 0, 0, 0
         , CASE WHEN state = 'completed' THEN 1 END
         , NULL
         , n % 7
         , n * 1000000
         , (n / 2) * 1000000
         , NULL
         , CASE WHEN state IN ('pending', 'in_progress') THEN NULL ELSE (n / 2) * 1000000 + 5 END
         , (n / 2) * 1000000
         , (n / 2) * 1000000
    FROM states";

/// Three calls of the newest job in progress: one answered, one failed, one in flight.
const INSERT_CALLS: &str = "
    INSERT INTO calls
        (id, job_id, team_id, key_id, node_id, alias, requested_model, provider_name,
         upstream_model, state, reserved_cost, reserved_tokens, input_uncached, output_text,
         client_cost, error_kind, started_at, ended_at, latency_ms)
    WITH RECURSIVE numbers (n) AS (
        SELECT CAST(1 AS BIGINT)
        UNION ALL
        SELECT n + 1 FROM numbers WHERE n < 3
    )
    SELECT 'call_0000000000007000800000000000000' || CAST(n AS TEXT)
         , '00000000-0000-7000-8000-000000024993', 'alpha', 'abcdefgh'
         , 'node_00000000000070008000000000000001', 'm', 'm', 'p', 'u'
         , CASE n WHEN 1 THEN 'succeeded' WHEN 2 THEN 'failed' ELSE 'in_flight' END
         , 7, 9
         , CASE n WHEN 1 THEN 100 ELSE 0 END
         , CASE n WHEN 1 THEN 11 ELSE 0 END
         , CASE n WHEN 1 THEN 500 ELSE 0 END
         , CASE n WHEN 2 THEN 'provider_timeout' END
         , n * 1000
         , CASE n WHEN 3 THEN NULL ELSE n * 1000 + 5 END
         , CASE n WHEN 3 THEN NULL ELSE 5 END
    FROM numbers";

async fn filled(store: Store) -> World {
    let world = World::on(store).await;
    let mut connection = world.database().dedicated_connection().await.unwrap();
    for sql in [INSERT_JOBS, INSERT_CALLS] {
        let insert = sqlx::raw_sql(AssertSqlSafe(sql));
        insert.execute(&mut connection).await.unwrap();
    }
    world
}

fn filter(text: &str) -> Filter {
    Filter::parse(&jobs::VOCABULARY, text, Timestamp::from_micros(0)).unwrap()
}

/// The numbers of the jobs that were found.
fn numbers(found: &Found) -> Vec<usize> {
    let ids = found.jobs.iter().map(|entry| entry.job.id.to_string());
    ids.map(|id| id[24..].parse().unwrap()).collect()
}

fn place(found: &Found, last: bool) -> Place {
    let entry = if last {
        found.jobs.last()
    } else {
        found.jobs.first()
    };
    entry.unwrap().place()
}

/// All that a filter finds, page by page and step by step.
async fn all(world: &World, text: &str, limit: i64) -> Vec<usize> {
    let pool = world.database().pool();
    let filter = filter(text);
    let mut start = Start::First;
    let mut found: Vec<usize> = Vec::new();
    loop {
        let page = jobs::page(pool, &filter, start, limit).await.unwrap();
        let known = found.len();
        let last = found.last().copied();
        found.extend(numbers(&page).into_iter().filter(|n| Some(*n) != last));
        start = match (page.more, page.reach) {
            (true, _) => Start::At(place(&page, true)),
            (false, Some(created_at)) => Start::At(Place {
                created_at,
                id: None,
            }),
            (false, None) => return found,
        };
        assert!(found.len() > known || page.reach.is_some(), "{text}");
    }
}

fn those(keep: impl Fn(usize) -> bool) -> Vec<usize> {
    (1..=JOBS).rev().filter(|n| keep(*n)).collect()
}

fn is_open(n: usize) -> bool {
    n > 24_950 && matches!(n % 10, 2 | 3)
}

async fn every_filter_finds_what_it_says(world: &World) {
    assert_eq!(all(world, "", 1_000).await, those(|_| true));
    let cases: [(&str, Vec<usize>); 16] = [
        ("status:failed", those(|n| n % 10 == 0)),
        ("status:cancelled team:zeta", Vec::new()),
        ("status:failed team:zeta", those(|n| n % 20 == 0)),
        ("status:open", those(is_open)),
        ("status:running", those(|n| is_open(n) && n % 10 == 3)),
        (
            "status:pending team:alpha",
            those(|n| is_open(n) && n % 10 == 2 && n % 4 != 0),
        ),
        ("!status:completed,failed,cancelled", those(is_open)),
        ("type:rare", vec![77]),
        ("!type:chat", vec![77]),
        ("user:user-4 status:failed", Vec::new()),
        ("!user:~user status:failed", those(|n| n % 30 == 0)),
        ("t-24999", vec![24_999]),
        (
            "\"no provider\" until:1970-01-01T00:01",
            those(|n| n % 10 == 0 && n < 120),
        ),
        (
            "calls>5 since:1970-01-01T03:28",
            those(|n| n % 7 == 6 && n >= 24_960 && !is_open(n)),
        ),
        ("id:00000000-0000-7000-8000-000000000123", vec![123]),
        ("cost>24.999", those(|n| n > 24_999)),
    ];
    for (text, expected) in cases {
        assert_eq!(all(world, text, 200).await, expected, "{text}");
    }
}

async fn pages_are_read_in_both_directions(world: &World) {
    let pool = world.database().pool();
    for text in ["", "team:zeta", "type:chat user:user-1"] {
        let filter = filter(text);
        let last = jobs::page(pool, &filter, Start::Last, 50).await.unwrap();
        assert_eq!(last.jobs.len(), 50, "{text}");
        let start = Start::Before(place(&last, false));
        let above = jobs::page(pool, &filter, start, 50).await.unwrap();
        let start = Start::At(place(&above, false));
        let down = jobs::page(pool, &filter, start, 100).await.unwrap();
        let mut both = numbers(&above);
        both.extend(numbers(&last));
        assert_eq!(numbers(&down), both, "{text}");
        assert!(!down.more && down.reach.is_none(), "{text}");
    }
}

async fn counts_are_capped_and_say_how_far_they_went(world: &World) {
    let pool = world.database().pool();
    let count = async |text: &str| jobs::count(pool, &filter(text)).await.unwrap();
    assert_eq!(count("").await, (10_001, None));
    assert_eq!(count("status:failed").await, (2_500, None));
    assert_eq!(count("status:open").await, (10, None));
    let (found, reach) = count("type:rare").await;
    assert_eq!(found, 0);
    assert_eq!(reach, Some(Timestamp::from_micros(2_500_000_000)));
    let newest = jobs::page(pool, &filter(""), Start::First, 13)
        .await
        .unwrap();
    let newer = jobs::count_newer(pool, &filter(""), place(&newest, true)).await;
    assert_eq!(newer.unwrap(), 12);
}

async fn open_jobs_have_the_totals_of_their_calls(world: &World) {
    let pool = world.database().pool();
    let running = filter("status:running");
    let found = jobs::page(pool, &running, Start::First, 1).await.unwrap();
    let entry = &found.jobs[0];
    let totals = entry.totals;
    assert_eq!((totals.calls, totals.succeeded, totals.failed), (3, 1, 1));
    assert_eq!(
        (totals.in_flight(), totals.tokens, totals.cost.0),
        (1, 111, 500)
    );
    let again = jobs::by_ids(pool, &[entry.job.id]).await.unwrap();
    assert_eq!(&again[0], entry);
    assert_eq!(all(world, "calls>=3 status:open", 50).await, [24_993]);
}

async fn the_last_hour_is_added_up_by_minutes(world: &World) {
    let pool = world.database().pool();
    // The newest job was created at 12,500 s; two jobs come in each second.
    let now = Timestamp::from_micros(12_501_000_000);
    let sums = async |text: &str| {
        jobs::recent::recent(pool, &filter(text), now)
            .await
            .unwrap()
    };
    let all = sums("").await;
    assert_eq!(all.created[1..59], [120; 58]);
    assert_eq!(all.states.iter().sum::<u64>(), 7_199);
    assert_eq!(all.took, Some(std::time::Duration::from_micros(5)));
    assert_eq!(all.failed[30], 12);
    assert!(!all.is_part);
    let rare = sums("user:user-1 status:open").await;
    assert_eq!((rare.states[0], rare.states[1]), (0, 0));
    assert_eq!(sums("status:open").await.states, [5, 5, 0, 0, 0]);
    assert_eq!(sums("team:zeta status:failed").await.states[3], 360);
}

async fn calls_are_listed(world: &World) {
    let pool = world.database().pool();
    let job = "00000000-0000-7000-8000-000000024993".parse().unwrap();
    let ids = |calls: &[calls::CallEntry]| -> Vec<CallId> {
        calls.iter().map(|entry| entry.call.id).collect()
    };
    let (first, more) = calls::of_job(pool, job, calls::Start::First, 2)
        .await
        .unwrap();
    assert!(more);
    let (last, more) = calls::of_job(pool, job, calls::Start::Last, 2)
        .await
        .unwrap();
    assert!(more);
    assert_eq!(ids(&first)[1], ids(&last)[0]);
    assert_eq!(first[0].reserved.tokens, 9);
    let words = |text| Filter::parse(&calls::VOCABULARY, text, Timestamp::from_micros(0)).unwrap();
    for (text, expected) in [
        ("", 3),
        ("status:failed error:~timeout", 1),
        ("tokens>110", 1),
    ] {
        let found = calls::newest(pool, &words(text), None, 10).await.unwrap();
        assert_eq!(found.calls.len(), expected, "{text}");
        assert!(found.reach.is_none());
    }
    let begun = calls::begun_since(pool, Timestamp::from_micros(0))
        .await
        .unwrap();
    let ended = calls::ended(pool, &begun).await.unwrap();
    assert_eq!((begun.len(), ended.len()), (3, 2));
    let failed = calls::by_ids_that(pool, &begun, &words("status:failed"))
        .await
        .unwrap();
    assert_eq!(ids(&failed), [begun[1]]);
}

async fn story(store: Store) {
    let world = filled(store).await;
    every_filter_finds_what_it_says(&world).await;
    pages_are_read_in_both_directions(&world).await;
    counts_are_capped_and_say_how_far_they_went(&world).await;
    open_jobs_have_the_totals_of_their_calls(&world).await;
    the_last_hour_is_added_up_by_minutes(&world).await;
    calls_are_listed(&world).await;
}

#[tokio::test]
async fn jobs_are_filtered_and_paged_on_sqlite() {
    story(Store::Sqlite).await;
}

#[tokio::test]
async fn jobs_are_filtered_and_paged_on_postgres() {
    story(Store::Postgres).await;
}
