//! Plans of the hot queries: each finds its rows by an index on both engines.

use sqlx::{AnyConnection, AssertSqlSafe, Row as _};
use tollgate_common::clock::Timestamp;
use tollgate_common::db::audit::Place;
use tollgate_common::db::call::list as calls;
use tollgate_common::db::job::list as jobs;
use tollgate_common::db::key::KeyOrder;
use tollgate_common::db::ledger::accounts::{self, ACCOUNTS as ACCOUNT_WORDS, AccountOrder};
use tollgate_common::db::ledger::entries::{self, ENTRIES as ENTRY_WORDS, EntryOrder};
use tollgate_common::db::ledger::holds::{self, HOLDS};
use tollgate_common::db::org::list as orgs;
use tollgate_common::db::page::{Request, Start};
use tollgate_common::db::team::list as teams;
use tollgate_common::db::{
    audit, call, idempotency, job, key, ledger, live, overview, retention, search, usage,
};
use tollgate_common::filter::{Bind, Filter};
use tollgate_common::job::JobState;
use tollgate_tests::{Store, World};

/// Tables that grow with use; nothing hot may read one of them from end to end.
const GROWING: [&str; 8] = [
    "accounts",
    "audit_log",
    "calls",
    "idempotency",
    "jobs",
    "ledger_entries",
    "usage_daily",
    "virtual_keys",
];

// What SQLite calls the indexes of primary keys.
const JOBS: &str = "sqlite_autoindex_jobs_1";
const CALLS: &str = "sqlite_autoindex_calls_1";
const ATTEMPTS: &str = "sqlite_autoindex_call_attempts_1";
const ACCOUNTS: &str = "sqlite_autoindex_accounts_1";
const ENTRIES: &str = "sqlite_autoindex_ledger_entries_1";
const CLAIMS: &str = "sqlite_autoindex_idempotency_1";
const RECORDS: &str = "sqlite_autoindex_audit_log_1";
const TEAMS: &str = "sqlite_autoindex_teams_1";
const DAYS: &str = "sqlite_autoindex_usage_daily_1";
const TRAFFIC: &str = "sqlite_autoindex_traffic_1";

/// Indexes of the few rows that are at work: reading one of them whole is cheap.
const PARTIAL: [&str; 3] = ["accounts_owing", "calls_in_flight", "jobs_open"];

/// The lists of a team's jobs, with the index that serves each.
const TEAM_LISTS: [(Option<JobState>, &str); 6] = [
    (None, "jobs_by_team"),
    (Some(JobState::Pending), "jobs_open_by_team"),
    (Some(JobState::InProgress), "jobs_open_by_team"),
    (Some(JobState::Completed), "jobs_by_team"),
    (Some(JobState::Failed), "jobs_failed_by_team"),
    (Some(JobState::Cancelled), "jobs_cancelled_by_team"),
];

/// A statement with literals in place of its placeholders, and the index that should serve it.
struct Hot {
    sql: String,
    index: &'static str,
    /// Whether it may sort what it has added up, which is short.
    may_sort: bool,
}

impl Hot {
    const fn new(sql: String, index: &'static str) -> Self {
        Self {
            sql,
            index,
            may_sort: false,
        }
    }
}

/// A statement with numbered placeholders.
fn single(sql: &str, literals: &[&str], index: &'static str) -> Hot {
    let mut sql = sql.to_owned();
    for (number, literal) in literals.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}", number + 1), literal);
    }
    Hot::new(sql, index)
}

/// A statement around a list of keys.
fn list((before, after): (&str, &str), index: &'static str) -> Hot {
    let sql = format!("{before}('a', 'b'){after}");
    Hot::new(sql, index)
}

/// A statement around rows: so many texts, then so many numbers, in the order given.
fn rows((before, after): (&str, &str), columns: &str, index: &'static str) -> Hot {
    let literals: Vec<&str> = columns
        .chars()
        .map(|kind| if kind == 't' { "'a'" } else { "1" })
        .collect();
    let row = literals.join(", ");
    let sql = format!("{before}({row}), ({row}){after}");
    Hot::new(sql, index)
}

/// What teams ask about their usage and their jobs, and what ending a job adds to their days.
fn usage_statements() -> Vec<Hot> {
    let time = "1000000";
    let period = ["'a'", "1", "2", time, time, "10"];
    let mut statements = vec![list((usage::daily::SELECT_JOB_SUMS, ""), JOBS)];
    for index in [DAYS, "jobs_open_by_team"] {
        statements.push(Hot {
            may_sort: true,
            ..single(usage::SELECT_TEAM_USAGE, &period, index)
        });
        statements.push(single(usage::COUNT_TEAM_JOBS, &["'a'"], index));
    }
    statements.extend(TEAM_LISTS.map(|(state, index)| {
        let literals = ["'a'", time, "'b'", "10", "0"];
        single(job::list_team_jobs_sql(state), &literals, index)
    }));
    statements
}

/// Lists of teams, and what their pages and the questions before a suspension read. An order other
/// than that of ids sorts all teams, of which there are some thousands.
fn team_statements() -> Vec<Hot> {
    let filter = Filter::parse(&teams::TEAMS, "org:acme", Timestamp::default()).unwrap();
    let request = Request {
        filter: &filter,
        start: &Start::First,
        limit: 10,
        search: 10,
        counted: false,
    };
    let order = (teams::TeamOrder::Id, false);
    let (sql, _) = teams::page_statement(order, &request);
    let page = Hot {
        may_sort: true,
        ..single(&sql, &["'acme'", "11"], "teams_by_org")
    };
    vec![
        page,
        list((teams::SELECT_LISTED, ""), TEAMS),
        list(teams::SELECT_GRANTS, "sqlite_autoindex_team_groups_1"),
        list((teams::SELECT_KEY_ENDS, ""), "virtual_keys_by_team"),
        single(teams::SUM_OPEN_JOBS, &["'a'", "10"], "jobs_open_by_team"),
        single(teams::SELECT_OPEN_JOBS, &["'a'", "10"], "jobs_open_by_team"),
        single(orgs::SUM_OPEN_JOBS, &["'a'", "10"], "jobs_open"),
        single(teams::SUM_DAY, &["'a'", "1"], "usage_daily_by_day"),
        Hot {
            may_sort: true,
            ..single(teams::SELECT_KEYS, &["'a'", "10"], "virtual_keys_by_team")
        },
    ]
}

/// Filters of jobs, the literals of their values, and the index that serves each. What no index
/// serves is looked for among a bounded number of jobs, in the order of time.
const JOB_FILTERS: [(&str, &[&str], &str); 11] = [
    ("", &[], "jobs_by_time"),
    ("since:1h", &["1"], "jobs_by_time"),
    ("status:failed", &[], "jobs_failed"),
    ("status:cancelled until:1h", &["1"], "jobs_cancelled"),
    ("status:open", &[], "jobs_open"),
    ("team:a", &["'a'"], "jobs_by_team"),
    (
        "team:a since:1h until:5m",
        &["'a'", "1", "2"],
        "jobs_by_team",
    ),
    ("team:a status:running", &["'a'"], "jobs_open_by_team"),
    ("team:a status:failed", &["'a'"], "jobs_failed_by_team"),
    (
        "type:chat calls>3 \"some text\"",
        &["'a'", "3", "'%a%'"],
        "jobs_by_time",
    ),
    ("id:a", &["'a'"], JOBS),
];

/// What administrators ask about jobs and calls.
fn job_list_statements() -> Vec<Hot> {
    let time = "1000000";
    let filter = |words, text| Filter::parse(words, text, Timestamp::from_micros(0)).unwrap();
    let mut statements = Vec::new();
    for (text, values, index) in JOB_FILTERS {
        let literals: Vec<&str> = [time, "'b'", time, "10"]
            .into_iter()
            .chain(values.iter().copied())
            .collect();
        let filter = filter(&jobs::VOCABULARY, text);
        let mut asked = jobs::statements(&filter);
        asked.push(jobs::recent::statement(&filter));
        for sql in asked {
            statements.push(Hot {
                // Open jobs over all teams are few, and are read by another order.
                may_sort: text == "status:open",
                ..single(&sql, &literals, index)
            });
        }
    }
    for (text, index) in [("", CALLS), ("model:m", CALLS), ("job:j", "calls_by_job")] {
        for sql in calls::statements(&filter(&calls::VOCABULARY, text)) {
            statements.push(single(&sql, &["'b'", "'a'", "10", "'c'"], index));
        }
    }
    for sql in [
        calls::SELECT_FROM,
        calls::SELECT_BEFORE,
        calls::COUNT_BEFORE,
    ] {
        statements.push(single(sql, &["'a'", "'b'", "10"], "calls_by_job"));
    }
    statements.extend([
        list((jobs::SELECT_ENTRIES, ""), JOBS),
        list(jobs::ADD_UP_OPEN, "calls_by_job"),
        list((calls::SELECT_ENTRIES, ""), CALLS),
        list((calls::SELECT_ENDED, ""), CALLS),
        single(calls::SELECT_BEGUN, &["'a'", "10"], CALLS),
    ]);
    statements
}

/// A part of a list with literals in place of its values. What is read of it is put in order
/// again, which is short.
fn part((sql, binds): (String, Vec<Bind>), index: &'static str) -> Hot {
    let literals: Vec<String> = binds
        .iter()
        .map(|bind| match bind {
            Bind::Number(number) => number.to_string(),
            Bind::Text(text) => format!("'{text}'"),
        })
        .collect();
    let literals: Vec<&str> = literals.iter().map(String::as_str).collect();
    Hot {
        may_sort: true,
        ..single(&sql, &literals, index)
    }
}

/// The lists of keys, accounts, entries and holds, from some place on.
fn list_statements() -> Vec<Hot> {
    let number = || Bind::Number(1_000_000);
    let text = |text: &str| Bind::Text(text.to_owned());
    let at = Start::At;
    let mut statements = Vec::new();
    let mut add = |filter: &Filter, start: &Start, index, read: &dyn Fn(&Request<'_>) -> _| {
        let request = Request {
            filter,
            start,
            limit: 200,
            search: 20_000,
            counted: false,
        };
        statements.push(part(read(&request), index));
    };
    let keys = Filter::all(&key::KEYS);
    for (order, index) in [
        (KeyOrder::Created, "virtual_keys_by_time"),
        (KeyOrder::Used, "virtual_keys_by_use"),
        (KeyOrder::Expires, "virtual_keys_by_end"),
    ] {
        for reversed in [false, true] {
            let start = at(vec![number(), text("a")]);
            add(&keys, &start, index, &|request| {
                key::page_statement((order, reversed), request)
            });
        }
    }
    let start = at(vec![text("a"), text("b")]);
    add(&keys, &start, "virtual_keys_by_team", &|request| {
        key::page_statement((KeyOrder::Team, false), request)
    });
    add(
        &Filter::all(&ACCOUNT_WORDS),
        &at(vec![text("a")]),
        ACCOUNTS,
        &|request| accounts::page_statement((AccountOrder::Team, false), request),
    );
    let now = Timestamp::from_micros(0);
    let entries_of = Filter::parse(&ENTRY_WORDS, "team:a", now).unwrap();
    let start = at(vec![text("a"), Bind::Number(7)]);
    add(&entries_of, &start, ENTRIES, &|request| {
        entries::page_statement(EntryOrder::Newest, request)
    });
    add(&Filter::all(&ENTRY_WORDS), &start, ENTRIES, &|request| {
        entries::page_statement(EntryOrder::Account, request)
    });
    let holds_of = Filter::parse(&HOLDS, "team:a", now).unwrap();
    let start = at(vec![number(), text("b")]);
    add(
        &holds_of,
        &start,
        "jobs_open_by_team",
        &holds::page_statement,
    );
    statements.extend([
        single(holds::FIND_HOLD, &["'a'"], JOBS),
        single(holds::SUM_HOLDS, &["'a'"], "jobs_open_by_team"),
        single(entries::LAST_NUMBER, &["'a'"], ENTRIES),
        single(usage::SELECT_CREDITS_PER_DAY, &["'a'", "1"], DAYS),
    ]);
    statements
}

/// What administrators see first.
fn overview_statements() -> Vec<Hot> {
    let time = "1000000";
    vec![
        single(overview::SUM_DAY, &["20000"], "usage_daily_by_day"),
        single(overview::LIST_FAILED, &[time, "10"], "jobs_failed"),
        single(overview::LIST_IDLE, &[time, "10"], "jobs_open"),
        single(
            overview::LIST_ENDING,
            &[time, time, "10"],
            "virtual_keys_by_end",
        ),
        single(overview::LIST_OWING, &["10"], "accounts_owing"),
        single(
            overview::LIST_IMPLAUSIBLE,
            &["'call_01'", "10"],
            "calls_implausible",
        ),
        single(
            overview::SUM_UNCHARGED,
            &["'call_01'", "10"],
            "calls_uncharged",
        ),
        single(live::LIST_TRAFFIC, &["1"], TRAFFIC),
    ]
}

fn hot_statements() -> Vec<Hot> {
    let time = "1000000";
    let mut statements = usage_statements();
    statements.extend(overview_statements());
    statements.extend(team_statements());
    statements.extend(job_list_statements());
    statements.extend(list_statements());
    statements.extend(vec![
        single(job::SELECT_JOB, &["'a'"], JOBS),
        single(
            job::SELECT_STALE,
            &[time, time, "0", "'a'", "10"],
            "jobs_open",
        ),
        single(retention::SELECT_ENDED, &[time, "10"], "jobs_ended"),
        single(
            retention::SELECT_FIRST_CALLS,
            &["'a'", "10"],
            "calls_by_job",
        ),
        single(job::LIST_JOBS, &["''", time, "'b'", "10"], "jobs_by_time"),
        list((job::SELECT_JOBS, ""), JOBS),
        rows(job::UPDATE_JOBS, "ttttnnnnnnnnnnnt", JOBS),
        rows(job::totals::ADD_TO_TOTALS, "tnnnnnnnnnn", JOBS),
        list((job::totals::SELECT_IN_FLIGHT, ""), JOBS),
        single(job::SELECT_TOTALS, &["'a'"], JOBS),
        single(
            call::SELECT_ORPHANED,
            &["''", "''", "10"],
            "calls_in_flight",
        ),
        single(call::SELECT_CALLS_OF_JOB, &["'a'", "10"], "calls_by_job"),
        list((call::SELECT_CALLS, ""), CALLS),
        rows(call::UPDATE_CALLS, "ttnnnnnnnntttnnn", CALLS),
        rows(call::UPDATE_USAGE_NOTES, "tt", CALLS),
        rows(call::UPDATE_SERVED_BY, "ttttnnnn", CALLS),
        single(call::SELECT_ATTEMPTS, &["'a'"], ATTEMPTS),
        list(call::MODELS_USED, "calls_by_job"),
        single(ledger::SELECT_ACCOUNT, &["'a'"], ACCOUNTS),
        list((ledger::SELECT_ACCOUNTS, ledger::LOCK_SQLITE), ACCOUNTS),
        rows(ledger::UPDATE_ACCOUNTS, "tnnnnnnnnnnnnnn", ACCOUNTS),
        single(ledger::SELECT_ENTRIES, &["'a'", time, "10"], ENTRIES),
        rows(idempotency::SELECT_CLAIMS, "tt", CLAIMS),
        list((idempotency::DELETE_BY_CALL, ""), "idempotency_by_call"),
        single(idempotency::DELETE_OLD, &[time], "idempotency_by_time"),
        single(search::FIND_JOBS, &["'a'", "'b'"], JOBS),
        single(audit::LAST_CHANGE, &["'a'"], "audit_log_by_target"),
        single(audit::ACTOR_AT, &["'a'", time], "audit_log_by_target"),
    ]);
    statements.extend(audit_statements());
    statements
}

/// Pages of the audit log: of all, of one target, and of what has to be looked for.
fn audit_statements() -> Vec<Hot> {
    let places = [Place::Newest, Place::Oldest];
    let filters = [
        ("", RECORDS),
        ("since:1h until:5m", RECORDS),
        ("target:team:t", "audit_log_by_target"),
        ("actor:a typo", RECORDS),
    ];
    let statement = |place, (filter, index): (&str, &'static str)| {
        let filter = Filter::parse(&audit::VOCABULARY, filter, Timestamp::default()).unwrap();
        let predicates = filter.predicates(5);
        let binds = predicates.binds.iter().map(|bind| match bind {
            Bind::Text(text) => format!("'{text}'"),
            Bind::Number(number) => number.to_string(),
        });
        let bounds = ["'a'", "'a'", "'b'", "10"].map(str::to_owned);
        let literals: Vec<String> = bounds.into_iter().chain(binds).collect();
        let literals: Vec<&str> = literals.iter().map(String::as_str).collect();
        Hot {
            may_sort: !predicates.rest.is_empty(),
            ..single(&audit::page_sql(place, &predicates), &literals, index)
        }
    };
    let all = places
        .into_iter()
        .flat_map(|place| filters.map(|filter| (place, filter)));
    all.map(|(place, filter)| statement(place, filter))
        .collect()
}

/// Fails with every statement that is not served as it should be.
fn all_right(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

async fn explain(
    connection: &mut AnyConnection,
    prefix: &str,
    sql: &str,
    column: usize,
) -> Vec<String> {
    let explain = AssertSqlSafe(format!("{prefix} {sql}"));
    let rows = sqlx::query(explain).fetch_all(connection).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.iter()
        .map(|row| row.get::<String, _>(column))
        .collect()
}

/// Why a plan of SQLite is not good enough.
fn fault_on_sqlite(hot: &Hot, plan: &[String]) -> Option<String> {
    let any = |text: &str| plan.iter().any(|step| step.contains(text));
    if !any(hot.index) {
        return Some(format!("{} is not used", hot.index));
    }
    // With or without an index, a scan reads all there is in it.
    let is_partial = |step: &String| PARTIAL.iter().any(|index| step.contains(index));
    let scans = |table: &&&str| {
        let scan = format!("SCAN {table}");
        let steps = plan.iter().filter(|step| step.starts_with(&scan));
        // What was read once already may be called like its table.
        let is_made = |step: &&String| {
            **step == format!("CO-ROUTINE {table}") || **step == format!("MATERIALIZE {table}")
        };
        let made = plan.iter().filter(is_made).count();
        steps.filter(|step| !is_partial(step)).count() > made
    };
    let scanned = GROWING.iter().find(scans);
    scanned
        .map(|table| format!("{table} is read from end to end"))
        .or_else(|| {
            (!hot.may_sort && any("TEMP B-TREE FOR ORDER BY"))
                .then(|| "it is sorted anew".to_owned())
        })
}

/// Why a plan of PostgreSQL is not good enough.
fn fault_on_postgres(plan: &str) -> Option<String> {
    let scans = |table: &&&str| plan.contains(&format!("Seq Scan on {table}"));
    let narrowed = plan.contains("Index Cond") || PARTIAL.iter().any(|index| plan.contains(index));
    let scanned = GROWING.iter().find(scans);
    scanned
        .map(|table| format!("{table} is read from end to end"))
        .or_else(|| (!narrowed).then(|| "no index narrows it".to_owned()))
}

#[tokio::test]
async fn hot_statements_use_their_index_on_sqlite() {
    let world = World::on(Store::Sqlite).await;
    let mut connection = world.database().dedicated_connection().await.unwrap();
    let mut wrong = Vec::new();
    for hot in hot_statements() {
        let plan = explain(&mut connection, "EXPLAIN QUERY PLAN", &hot.sql, 3).await;
        let fault = fault_on_sqlite(&hot, &plan);
        wrong.extend(fault.map(|fault| format!("{fault}: {}\n{}", hot.sql, plan.join("\n"))));
    }
    all_right(wrong);
}

#[tokio::test]
async fn hot_statements_use_an_index_on_postgres() {
    let world = World::on(Store::Postgres).await;
    let mut connection = world.database().dedicated_connection().await.unwrap();
    // The tables are empty, so that the planner would rather read them whole.
    let prefer_indexes = sqlx::raw_sql("SET enable_seqscan = off");
    prefer_indexes.execute(&mut connection).await.unwrap();
    let mut statements = hot_statements();
    let locked = (ledger::SELECT_ACCOUNTS, ledger::LOCK_POSTGRES);
    statements.push(list(locked, ""));
    let mut wrong = Vec::new();
    for hot in statements {
        let plan = explain(&mut connection, "EXPLAIN", &hot.sql, 0).await;
        let plan = plan.join("\n");
        let fault = fault_on_postgres(&plan);
        wrong.extend(fault.map(|fault| format!("{fault}: {}\n{plan}", hot.sql)));
    }
    all_right(wrong);
}
