//! Texts in the database that would steer a terminal, add lines, or run in a spreadsheet: whatever
//! prints them, prints them harmlessly.

use serde_json::json;
use sqlx::AnyConnection;
use sqlx::Row as _;
use tollgate_tests::fixture::{ALPHA, FAST, PROVIDER, TOK};
use tollgate_tests::process::Finished;
use tollgate_tests::{Client, World};

/// Columns that hold any text, in which a list or an export shows it.
const FREE: [(&str, &str); 23] = [
    ("organizations", "name"),
    ("teams", "name"),
    ("virtual_keys", "label"),
    ("models", "upstream_model"),
    ("provider_credentials", "hint"),
    ("jobs", "job_type"),
    ("jobs", "user_id"),
    ("jobs", "error_message"),
    ("calls", "requested_model"),
    ("calls", "upstream_model"),
    ("calls", "purpose"),
    ("calls", "finish_reason"),
    ("calls", "error_kind"),
    ("calls", "error"),
    ("ledger_entries", "reason"),
    ("ledger_entries", "actor"),
    ("audit_log", "actor"),
    ("audit_log", "action"),
    ("audit_log", "target"),
    ("audit_log", "reason"),
    ("audit_log", "origin"),
    ("jobs", "metadata"),
    ("audit_log", "detail"),
];

/// Columns of [`FREE`] that hold a JSON object.
const JSON: [&str; 2] = ["metadata", "detail"];

/// Tables of which something is printed, with what prints it.
const PRINTED: [(&str, &[&str]); 14] = [
    ("organizations", &["org list", "org show o1"]),
    ("teams", &["team list", "team show team-alpha"]),
    ("team_groups", &["team show team-alpha", "team list"]),
    ("virtual_keys", &["key list", "export keys"]),
    ("accounts", &["credits list", "export accounts"]),
    (
        "ledger_entries",
        &["credits ledger team-alpha", "export entries"],
    ),
    ("jobs", &["job list", "export jobs"]),
    ("calls", &["call tail", "call tail --json"]),
    ("providers", &["provider list", "provider list --json"]),
    (
        "provider_credentials",
        &["provider keys openai", "provider list"],
    ),
    ("models", &["model list", "model list --json"]),
    ("model_groups", &["group list", "group list --json"]),
    (
        "model_group_members",
        &["group list", "team show team-alpha"],
    ),
    ("audit_log", &["audit list", "export audit"]),
];

/// A text with everything that does harm.
fn hostile(label: &str) -> String {
    format!(
        "=cmd('{label}')\u{1b}[2J\u{1b}]0;t\u{7}\u{9b}31m\u{85}\u{7f}\u{8}\u{202e}\u{2066}\u{200b}\
         \nINJECTED\r=1+1\r\nINJECTED\t\u{2028}\u{e0041}{}",
        "x".repeat(5_000)
    )
}

/// Whether a character shows nothing and does something.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{e0000}'..='\u{e007f}' | '\u{feff}' | '\u{ad}')
}

#[track_caller]
fn expect_harmless(line: &str, finished: &Finished) {
    for (stream, text) in [("stdout", &finished.stdout), ("stderr", &finished.stderr)] {
        let text = text.replace("\r\n", "\n");
        let found = text.chars().find(|c| *c != '\n' && is_harmful(*c));
        assert_eq!(found, None, "{line}: {stream} has it raw");
        let is_injected = |line: &str| line.starts_with("INJECTED");
        assert!(
            !text.lines().any(is_injected),
            "{line}: {stream} has a line of the text"
        );
        if line.starts_with("export") {
            let fields = text.lines().flat_map(|line| line.split(','));
            for field in fields {
                let begins = field.trim_start_matches('"').chars().next();
                assert_ne!(begins, Some('='), "{line}: a formula: {field:.60}");
            }
        }
    }
}

async fn run(world: &World, line: &str) -> Finished {
    let words: Vec<&str> = line.split(' ').collect();
    let finished = world.admin(&words).await;
    expect_harmless(line, &finished);
    finished
}

/// Rows in all tables.
async fn lived_in(world: &World) -> String {
    let proxy = world.start().await;
    let alpha: Client = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let body = json!({
        "purpose": "a", "messages": [{ "role": "user", "content": "Hi" }]
    });
    let _ = alpha.call_with(&job, &body).await.expect(200);
    let _ = alpha.call(&job, "do:fail-first=1 again").await.expect(200);
    let _ = alpha.call(&job, "do:status=400").await.expect(400);
    let _ = alpha.complete(&job).await.expect(200);
    let failed = alpha.create_job().await;
    let _ = alpha.end(&failed, "failed").await.expect(200);
    let _ = proxy.client(TOK).create_job().await;
    job
}

/// A connection that may store anything.
async fn unchecked(world: &World) -> sqlx::pool::PoolConnection<sqlx::Any> {
    let mut connection = world.database().pool().acquire().await.unwrap();
    for pragma in ["foreign_keys = OFF", "ignore_check_constraints = ON"] {
        execute(&mut connection, &format!("PRAGMA {pragma}")).await;
    }
    connection
}

async fn execute(connection: &mut AnyConnection, sql: &str) {
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    sqlx::query(sql).execute(connection).await.unwrap();
}

#[tokio::test]
async fn no_list_and_no_export_passes_on_what_a_stored_text_does_to_a_terminal() {
    let world = World::sqlite().await;
    let job = lived_in(&world).await;
    let mut connection = unchecked(&world).await;
    for (table, column) in FREE {
        let mut text = hostile(&format!("{table}.{column}"));
        if JSON.contains(&column) {
            text = json!({ "note": text }).to_string();
        }
        let sql = sqlx::AssertSqlSafe(format!("UPDATE {table} SET {column} = $1"));
        let planted = sqlx::query(sql).bind(text).execute(&mut *connection).await;
        assert!(planted.unwrap().rows_affected() > 0, "{table}.{column}");
    }
    drop(connection);
    let show = format!("job show {job}");
    let team = format!("credits balance {}", ALPHA.id);
    let holds = format!("credits holds {}", TOK.id);
    let ledger = format!("credits ledger {}", ALPHA.id);
    let keys = format!("provider keys {PROVIDER}");
    let model = format!("model show {FAST}");
    let mut shown = String::new();
    for line in [
        "org list",
        "org show o1",
        "team list",
        "team show team-alpha",
        "key list",
        "credits list",
        &team,
        &ledger,
        &holds,
        "provider list",
        &keys,
        "model list",
        &model,
        "group list",
        "job list",
        &show,
        "call tail",
        "audit list",
    ] {
        for line in [line.to_owned(), format!("{line} --json")] {
            let finished = run(&world, &line).await;
            assert_eq!(finished.code, Some(0), "{line}: {}", finished.stderr);
            shown.push_str(&finished.stdout);
        }
    }
    // It finds that the sums of days do not fit to what was planted.
    let _ = run(&world, "credits verify").await;
    let _ = run(&world, "credits verify --json").await;
    for noun in ["jobs", "teams", "keys", "entries", "accounts", "audit"] {
        let line = format!("export {noun}");
        let finished = run(&world, &line).await;
        assert_eq!(finished.code, Some(0), "{line}: {}", finished.stderr);
        shown.push_str(&finished.stdout);
    }
    for (table, column) in FREE {
        let label = format!("'{table}.{column}'");
        assert!(shown.contains(&label), "{label} is shown nowhere");
    }
}

/// All columns of a table that hold text.
async fn texts_of(connection: &mut AnyConnection, table: &str) -> Vec<String> {
    let sql = format!("SELECT name FROM pragma_table_info('{table}') WHERE type = 'TEXT'");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql));
    let rows = rows.fetch_all(connection).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// What cannot be read is said in an error, which must not pass it on either.
#[tokio::test]
async fn no_error_about_a_stored_word_passes_on_what_it_does_to_a_terminal() {
    let world = World::sqlite().await;
    let _ = lived_in(&world).await;
    let mut connection = unchecked(&world).await;
    let mut errors = 0;
    for (table, lines) in PRINTED {
        for column in texts_of(&mut connection, table).await {
            if FREE.contains(&(table, &column)) {
                continue;
            }
            let first = format!("rowid = (SELECT MIN(rowid) FROM {table})");
            execute(&mut connection, "DROP TABLE IF EXISTS temp.kept").await;
            let keep = format!(
                "CREATE TEMP TABLE kept AS SELECT {column} AS v FROM {table} WHERE {first}"
            );
            execute(&mut connection, &keep).await;
            let plant = format!("UPDATE {table} SET {column} = $1 WHERE {first}");
            let planted = sqlx::query(sqlx::AssertSqlSafe(plant));
            let planted = planted.bind(hostile(&column)).execute(&mut *connection);
            assert_eq!(
                planted.await.unwrap().rows_affected(),
                1,
                "{table}.{column}"
            );
            for line in lines {
                let finished = run(&world, line).await;
                errors += usize::from(finished.code != Some(0));
            }
            let restore =
                format!("UPDATE {table} SET {column} = (SELECT v FROM kept) WHERE {first}");
            execute(&mut connection, &restore).await;
        }
    }
    assert!(errors > 10, "hardly anything was refused: {errors}");
}
