//! Recomputes every balance, hold and sum from what they are made of, and reports each difference.

use sqlx::{AnyConnection, AnyPool};

use super::rows::Columns;
use super::{Database, StoreError};
use crate::clock::Timestamp;

mod usage;

/// Whether a number differs from the sum of terms, without adding them up as 64-bit numbers: the
/// upper and the lower halves are added apart, so that no sum overflows.
macro_rules! differs_from_sum {
    ($stored:literal, $term:literal) => {
        concat!(
            "(CASE WHEN ABS(",
            $stored,
            " / 2147483648 - COALESCE(SUM(",
            $term,
            " / 2147483648), 0)) > 2147483648 THEN 1
              WHEN (",
            $stored,
            " / 2147483648 - COALESCE(SUM(",
            $term,
            " / 2147483648), 0)) * 2147483648 <> COALESCE(SUM(",
            $term,
            " % 2147483648), 0) - ",
            $stored,
            " % 2147483648 THEN 1 ELSE 0 END) = 1"
        )
    };
}

/// The sum of terms as it is shown; one beyond 2^62 is shown as that.
macro_rules! shown_sum {
    ($term:expr) => {
        concat!(
            "CAST(CASE WHEN COALESCE(SUM(",
            $term,
            " / 2147483648), 0) >= 2147483648
                       THEN 4611686018427387904
                       WHEN COALESCE(SUM(",
            $term,
            " / 2147483648), 0) <= -2147483648
                       THEN -4611686018427387904
                       ELSE COALESCE(SUM(",
            $term,
            " / 2147483648), 0) * 2147483648
                            + COALESCE(SUM(",
            $term,
            " % 2147483648), 0) END AS BIGINT)"
        )
    };
}
use shown_sum;

/// A rule that the stored data breaks.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Where: a team, job or call.
    pub place: String,
    /// Which rule.
    pub rule: &'static str,
    /// What is stored.
    pub stored: i64,
    /// What it should be.
    pub expected: i64,
}

/// Each check selects place, stored and expected value of every row that breaks its rule. All of
/// them run in one transaction, so that a proxy at work does not look like a difference.
const CHECKS: &[(&str, &str)] = &[
    (
        "the balance is the sum of the entries",
        concat!(
            "SELECT a.team_id, a.balance, ",
            shown_sum!("e.amount"),
            "
         FROM accounts AS a
         LEFT JOIN ledger_entries AS e ON e.team_id = a.team_id
         GROUP BY a.team_id, a.balance
         HAVING ",
            differs_from_sum!("a.balance", "e.amount")
        ),
    ),
    (
        "entries are numbered without gaps",
        "SELECT a.team_id, a.entry_count, CAST(COUNT(e.number) AS BIGINT)
         FROM accounts AS a
         LEFT JOIN ledger_entries AS e ON e.team_id = a.team_id
         GROUP BY a.team_id, a.entry_count
         HAVING a.entry_count <> COUNT(e.number)
             OR a.entry_count <> COALESCE(MAX(e.number), 0)",
    ),
    (
        "an entry begins where the last one ended",
        "SELECT e.team_id, e.balance_before, p.balance_after
         FROM ledger_entries AS e
         JOIN ledger_entries AS p ON p.team_id = e.team_id AND p.number = e.number - 1
         WHERE e.balance_before <> p.balance_after",
    ),
    (
        "what is held is the sum of the holds of jobs",
        concat!(
            "SELECT a.team_id, a.held, ",
            shown_sum!("j.hold"),
            "
         FROM accounts AS a
         LEFT JOIN jobs AS j ON j.team_id = a.team_id AND j.hold <> 0
         GROUP BY a.team_id, a.held
         HAVING ",
            differs_from_sum!("a.held", "j.hold")
        ),
    ),
    (
        "an ended job holds something only for calls in flight",
        "SELECT j.id, j.hold, CAST(0 AS BIGINT)
         FROM jobs AS j
         WHERE j.hold <> 0
           AND j.state NOT IN ('pending', 'in_progress')
           AND NOT EXISTS (
               SELECT 1 FROM calls AS c WHERE c.job_id = j.id AND c.state = 'in_flight'
           )",
    ),
    (
        "what is owed is what shortfalls and payments add up to",
        concat!(
            "SELECT a.team_id, a.owed, ",
            shown_sum!("e.debt"),
            "
         FROM accounts AS a
         LEFT JOIN ledger_entries AS e ON e.team_id = a.team_id AND e.debt <> 0
         GROUP BY a.team_id, a.owed
         HAVING ",
            differs_from_sum!("a.owed", "e.debt")
        ),
    ),
    (
        "a debt is part of a shortfall, or paid by its entry",
        "SELECT team_id, debt, shortfall
         FROM ledger_entries
         WHERE debt <> 0
           AND (kind <> 'overrun' OR debt > shortfall OR (debt < 0 AND debt <> amount))",
    ),
    (
        "balance - held >= -overdraft",
        "SELECT team_id, balance - held, -overdraft
         FROM accounts
         WHERE balance - held < -overdraft",
    ),
    (
        "used is what deductions, overruns and refunds add up to",
        concat!(
            "SELECT a.team_id, a.used, ",
            shown_sum!("-e.amount"),
            "
         FROM accounts AS a
         LEFT JOIN ledger_entries AS e
             ON e.team_id = a.team_id AND e.kind IN ('deduction', 'overrun', 'refund')
         GROUP BY a.team_id, a.used
         HAVING ",
            differs_from_sum!("a.used", "-e.amount")
        ),
    ),
    (
        "the day's charges are what the entries since its beginning add up to",
        // Entries before the last one of an earlier day were dated by a clock that was ahead.
        concat!(
            "SELECT a.team_id, a.day_charged, ",
            shown_sum!("-e.amount"),
            "
         FROM (
             SELECT a.team_id, a.day_charged, COALESCE(MAX(e.number), 0) AS number_before
             FROM accounts AS a
             LEFT JOIN ledger_entries AS e
                 ON e.team_id = a.team_id
                AND e.kind IN ('deduction', 'overrun')
                AND e.created_at < a.day_began_at
             GROUP BY a.team_id, a.day_charged
         ) AS a
         LEFT JOIN ledger_entries AS e
             ON e.team_id = a.team_id
            AND e.kind IN ('deduction', 'overrun')
            AND e.number > a.number_before
         GROUP BY a.team_id, a.day_charged
         HAVING ",
            differs_from_sum!("a.day_charged", "-e.amount")
        ),
    ),
    (
        "the month's charges are what the entries since its beginning add up to",
        // Entries before the last one of an earlier day were dated by a clock that was ahead.
        concat!(
            "SELECT a.team_id, a.month_charged, ",
            shown_sum!("-e.amount"),
            "
         FROM (
             SELECT a.team_id, a.month_charged, COALESCE(MAX(e.number), 0) AS number_before
             FROM accounts AS a
             LEFT JOIN ledger_entries AS e
                 ON e.team_id = a.team_id
                AND e.kind IN ('deduction', 'overrun')
                AND e.created_at < a.month_began_at
             GROUP BY a.team_id, a.month_charged
         ) AS a
         LEFT JOIN ledger_entries AS e
             ON e.team_id = a.team_id
            AND e.kind IN ('deduction', 'overrun')
            AND e.number > a.number_before
         GROUP BY a.team_id, a.month_charged
         HAVING ",
            differs_from_sum!("a.month_charged", "-e.amount")
        ),
    ),
    (
        "a job was charged what its entries say, a completed one at least once",
        // Sorted, not joined: a plan that looks for the entries of each job reads them all again
        // for each.
        concat!(
            "SELECT u.id, ",
            shown_sum!("u.charged"),
            ", CASE WHEN SUM(u.entries) = 0 THEN -1 ELSE ",
            shown_sum!("u.taken"),
            " END
         FROM (
             SELECT id, COALESCE(charged, 0) AS charged, 1 AS jobs
                  , CASE WHEN state = 'completed' THEN 1 ELSE 0 END AS completed
                  , 0 AS entries, 0 AS taken
             FROM jobs
             UNION ALL
             SELECT job_id, 0, 0, 0, 1, -amount
             FROM ledger_entries
             WHERE kind IN ('deduction', 'overrun') AND job_id IS NOT NULL
         ) AS u
         GROUP BY u.id
         HAVING SUM(u.jobs) = 1
            AND ((SUM(u.completed) = 1 AND SUM(u.entries) = 0) OR ",
            shown_sum!("u.charged"),
            " <> ",
            shown_sum!("u.taken"),
            ")"
        ),
    ),
    (
        "the refunds of a job are at most what it was charged",
        // By entries, because retention may have deleted the job.
        concat!(
            "SELECT u.job_id, ",
            shown_sum!("u.refunded"),
            ", ",
            shown_sum!("u.taken"),
            "
         FROM (
             SELECT job_id
                  , CASE WHEN kind = 'refund' THEN amount ELSE 0 END AS refunded
                  , CASE WHEN kind IN ('deduction', 'overrun') THEN -amount ELSE 0 END AS taken
             FROM ledger_entries
             WHERE job_id IS NOT NULL
         ) AS u
         GROUP BY u.job_id
         HAVING ",
            shown_sum!("u.refunded"),
            " > ",
            shown_sum!("u.taken")
        ),
    ),
    (
        "a job under terms that charge nothing unless it completes was not charged",
        "SELECT id, charged, CAST(0 AS BIGINT)
         FROM jobs
         WHERE state IN ('failed', 'cancelled')
           AND charge_failed = 'never'
           AND COALESCE(charged, 0) <> 0",
    ),
    (
        "an open metered job has spent what its calls cost",
        concat!(
            "SELECT j.id, j.spent_cost, ",
            shown_sum!("c.client_cost"),
            "
         FROM jobs AS j
         LEFT JOIN calls AS c ON c.job_id = j.id
         WHERE j.state IN ('pending', 'in_progress') AND j.budget_mode <> 'job_based'
         GROUP BY j.id, j.spent_cost
         HAVING ",
            differs_from_sum!("j.spent_cost", "c.client_cost")
        ),
    ),
    (
        "an open job whose cost is limited has spent what its calls cost the operator",
        concat!(
            "SELECT j.id, j.spent_cost, ",
            shown_sum!("c.provider_cost"),
            "
         FROM jobs AS j
         LEFT JOIN calls AS c ON c.job_id = j.id
         WHERE j.state IN ('pending', 'in_progress')
           AND j.budget_mode = 'job_based'
           AND j.job_cost_max IS NOT NULL
         GROUP BY j.id, j.spent_cost
         HAVING ",
            differs_from_sum!("j.spent_cost", "c.provider_cost")
        ),
    ),
    (
        "an open metered job has reserved the worst case of its calls in flight",
        concat!(
            "SELECT j.id, j.reserved_tokens, ",
            shown_sum!("c.reserved_tokens"),
            "
         FROM jobs AS j
         LEFT JOIN calls AS c ON c.job_id = j.id AND c.state = 'in_flight'
         WHERE j.state IN ('pending', 'in_progress') AND j.budget_mode <> 'job_based'
         GROUP BY j.id, j.reserved_tokens
         HAVING ",
            differs_from_sum!("j.reserved_tokens", "c.reserved_tokens")
        ),
    ),
    (
        "a job counts its calls",
        "SELECT j.id, j.total_calls, COUNT(c.id)
         FROM jobs AS j
         LEFT JOIN calls AS c ON c.job_id = j.id
         GROUP BY j.id, j.total_calls
         HAVING j.total_calls <> COUNT(c.id)",
    ),
    (
        "a job counts its calls in flight",
        "SELECT j.id, j.calls_in_flight, COUNT(c.id)
         FROM jobs AS j
         LEFT JOIN calls AS c ON c.job_id = j.id AND c.state = 'in_flight'
         GROUP BY j.id, j.calls_in_flight
         HAVING j.calls_in_flight <> COUNT(c.id)",
    ),
    (
        "a job's total cost is what its calls cost",
        concat!(
            "SELECT j.id, j.total_cost, ",
            shown_sum!("c.client_cost"),
            " FROM jobs AS j
              LEFT JOIN calls AS c ON c.job_id = j.id
              GROUP BY j.id, j.total_cost
              HAVING ",
            differs_from_sum!("j.total_cost", "c.client_cost")
        ),
    ),
    (
        "a call belongs to a job of its team",
        "SELECT c.id, CAST(0 AS BIGINT), CAST(1 AS BIGINT)
         FROM calls AS c
         LEFT JOIN jobs AS j ON j.id = c.job_id AND j.team_id = c.team_id
         WHERE j.id IS NULL",
    ),
];

/// A reading transaction sees one state throughout on both engines.
const ONE_SNAPSHOT_SQLITE: &str = "BEGIN DEFERRED";
/// Adding up a large ledger takes longer than any other statement may.
const ONE_SNAPSHOT_POSTGRES: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL statement_timeout = 0";

/// What the check has looked at and found.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// Accounts that were checked.
    pub accounts: i64,
    /// Entries that were added up.
    pub entries: i64,
    /// Jobs that were checked.
    pub jobs: i64,
    /// Calls that were checked.
    pub calls: i64,
    /// What is wrong; empty if nothing is.
    pub differences: Vec<Difference>,
}

/// How far a check has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The rule that is being checked, from 1 on.
    pub number: usize,
    /// How many rules there are.
    pub count: usize,
    /// The rule in words.
    pub rule: &'static str,
}

/// Checks everything.
pub async fn verify(database: &Database) -> Result<Report, StoreError> {
    verify_telling(database, |_| {}).await
}

/// Checks everything and tells of each rule before it is checked.
pub async fn verify_telling(
    database: &Database,
    tell: impl Fn(Progress),
) -> Result<Report, StoreError> {
    let mut connection = database.dedicated_connection().await?;
    let begin = match database.engine() {
        super::Engine::Sqlite => ONE_SNAPSHOT_SQLITE,
        super::Engine::Postgres => ONE_SNAPSHOT_POSTGRES,
    };
    sqlx::raw_sql(begin).execute(&mut connection).await?;
    let at = |index: usize, rule| Progress {
        number: index + 1,
        count: CHECKS.len() + 2,
        rule,
    };
    let mut differences = Vec::new();
    for (index, (rule, sql)) in CHECKS.iter().enumerate() {
        tell(at(index, rule));
        differences.extend(check(&mut connection, rule, sql).await?);
    }
    tell(at(
        CHECKS.len(),
        "the sums of each day are what its jobs add up to",
    ));
    differences.extend(usage::check(&mut connection).await?);
    tell(at(CHECKS.len() + 1, "counting what was checked"));
    let report = Report {
        accounts: count(&mut connection, "SELECT COUNT(*) FROM accounts").await?,
        entries: count(&mut connection, "SELECT COUNT(*) FROM ledger_entries").await?,
        jobs: count(&mut connection, "SELECT COUNT(*) FROM jobs").await?,
        calls: count(&mut connection, "SELECT COUNT(*) FROM calls").await?,
        differences,
    };
    sqlx::raw_sql("ROLLBACK").execute(&mut connection).await?;
    Ok(report)
}

/// The latest check of the whole ledger.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LastCheck {
    /// When.
    pub at: Timestamp,
    /// Who asked for it.
    pub actor: String,
    /// How many differences it found.
    pub differences: i64,
}

const REMEMBER: &str = "
    INSERT INTO ledger_checks (id, at, actor, differences)
    VALUES (1, $1, $2, $3)
    ON CONFLICT (id) DO UPDATE
    SET at = excluded.at, actor = excluded.actor, differences = excluded.differences";

/// Remembers what a check has found, in place of the one before.
pub async fn remember(database: &Database, check: &LastCheck) -> Result<(), StoreError> {
    database
        .write(async |connection| {
            sqlx::query(REMEMBER)
                .bind(check.at.as_micros())
                .bind(check.actor.clone())
                .bind(check.differences)
                .execute(connection)
                .await?;
            Ok(())
        })
        .await
}

const LAST_CHECK: &str = "SELECT at, actor, differences FROM ledger_checks WHERE id = 1";

/// The latest check, if there ever was one.
pub async fn last(pool: &AnyPool) -> Result<Option<LastCheck>, StoreError> {
    let row = sqlx::query(LAST_CHECK).fetch_optional(pool).await?;
    row.map(|row| {
        let mut columns = Columns::of(&row);
        Ok(LastCheck {
            at: columns.time()?,
            actor: columns.take()?,
            differences: columns.take()?,
        })
    })
    .transpose()
}

async fn check(
    connection: &mut AnyConnection,
    rule: &'static str,
    sql: &'static str,
) -> Result<Vec<Difference>, StoreError> {
    let rows = sqlx::query(sql).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            let place = columns.take()?;
            Ok(Difference {
                place,
                rule,
                stored: columns.take()?,
                expected: columns.take()?,
            })
        })
        .collect()
}

async fn count(connection: &mut AnyConnection, sql: &'static str) -> Result<i64, StoreError> {
    let row = sqlx::query(sql).fetch_one(connection).await?;
    Columns::of(&row).take()
}
