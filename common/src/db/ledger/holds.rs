//! Open holds: the open jobs of a team with what each of them keeps from being spent.

use sqlx::{AnyConnection, AnyPool};

use crate::clock::Timestamp;
use crate::db::StoreError;
use crate::db::page::{self, Listing, Order, Part, Place, Request};
use crate::db::rows::Columns;
use crate::filter::{Bind, Choice, Kind, Vocabulary, Word};
use crate::id::{JobId, TeamId};
use crate::job::JobState;
use crate::money::Credits;

/// An open job with its hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The job.
    pub job_id: JobId,
    /// Whose.
    pub team_id: TeamId,
    /// `pending` or `in_progress`.
    pub state: JobState,
    /// The caller's word for what it is about.
    pub job_type: String,
    /// The caller's user.
    pub user_id: Option<String>,
    /// What it holds.
    pub credits: Credits,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last worked on.
    pub active_at: Timestamp,
    /// How many of its calls are in flight.
    pub in_flight: i64,
}

const STATES: &[Choice] = &[
    Choice {
        word: "pending",
        sql: "state = 'pending'",
    },
    Choice {
        word: "in_progress",
        sql: "state = 'in_progress'",
    },
];

const fn word(name: &'static str, kind: Kind, column: &'static str, is_indexed: bool) -> Word {
    Word {
        name,
        kind,
        column,
        is_indexed,
    }
}

/// What holds can be filtered by.
pub const HOLDS: Vocabulary = Vocabulary {
    noun: "holds",
    words: &[
        word("team", Kind::Name, "team_id", true),
        word("type", Kind::Name, "job_type", false),
        word("status", Kind::Choice(STATES), "", false),
        word("hold", Kind::Count, "hold", false),
        word("idle", Kind::Until, "active_at", false),
        word("job", Kind::Name, "id", false),
    ],
    text: &["id", "job_type", "user_id"],
};

/// The oldest first: what is stuck has been there longest.
const ORDER: Order = Order {
    columns: &["created_at", "id"],
    descending: false,
};

const LISTING: Listing = Listing {
    rows: "SELECT id, team_id, state, job_type, user_id, hold, created_at, active_at FROM jobs",
    condition: "state IN ('pending', 'in_progress')",
    shown: "id, team_id, state, job_type, user_id, hold, created_at, active_at,
            (SELECT COUNT(*) FROM calls AS c WHERE c.job_id = p.id AND c.state = 'in_flight')",
};

fn place(hold: &Hold) -> Place {
    vec![
        Bind::Number(hold.created_at.as_micros()),
        Bind::Text(hold.job_id.to_string()),
    ]
}

/// Reads a part of the list of holds.
pub async fn page(
    connection: &mut AnyConnection,
    request: &Request<'_>,
) -> Result<Part<Hold>, StoreError> {
    page::read(
        connection,
        (&LISTING, ORDER, 0),
        request,
        (read_hold, place),
    )
    .await
}

/// The statement of a part, for tests of its plan.
pub fn page_statement(request: &Request<'_>) -> (String, Vec<Bind>) {
    page::page_sql(&LISTING, ORDER, request, 0)
}

fn read_hold(columns: &mut Columns<'_>) -> Result<Hold, StoreError> {
    Ok(Hold {
        job_id: columns.parse()?,
        team_id: columns.parse()?,
        state: columns.parse()?,
        job_type: columns.take()?,
        user_id: columns.take()?,
        credits: Credits(columns.take()?),
        created_at: columns.time()?,
        active_at: columns.time()?,
        in_flight: columns.take()?,
    })
}

/// One hold by its job.
pub const FIND_HOLD: &str = "
    SELECT id, team_id, state, job_type, user_id, hold, created_at, active_at,
           (SELECT COUNT(*) FROM calls AS c WHERE c.job_id = p.id AND c.state = 'in_flight')
    FROM jobs AS p
    WHERE id = $1 AND state IN ('pending', 'in_progress')";

/// Reads the hold of a job, if the job is open.
pub async fn find(pool: &AnyPool, id: JobId) -> Result<Option<Hold>, StoreError> {
    let row = sqlx::query(FIND_HOLD)
        .bind(id.to_string())
        .fetch_optional(pool)
        .await?;
    row.map(|row| read_hold(&mut Columns::of(&row))).transpose()
}

/// What a team's jobs hold, beside what its account says of that at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HoldSums {
    /// How many jobs hold something: open ones, and ended ones with calls in flight.
    pub jobs: i64,
    /// What they hold together.
    pub holds: Credits,
    /// What the account says is held.
    pub held: Credits,
}

/// Jobs and the account in one statement, so that both are of one moment.
pub const SUM_HOLDS: &str = "
    SELECT COUNT(*)
         , CAST(COALESCE(SUM(hold), 0) AS BIGINT)
         , (SELECT held FROM accounts WHERE team_id = $1)
    FROM (
        SELECT hold
        FROM jobs
        WHERE team_id = $1 AND state IN ('pending', 'in_progress')
        UNION ALL
        SELECT hold
        FROM jobs
        WHERE team_id = $1 AND hold > 0 AND state IN ('completed', 'failed', 'cancelled')
    ) AS holding";

/// Counts a team's jobs that hold something and adds up what they hold.
pub async fn sum(pool: &AnyPool, team_id: &TeamId) -> Result<HoldSums, StoreError> {
    let row = sqlx::query(SUM_HOLDS)
        .bind(team_id.to_string())
        .fetch_one(pool)
        .await?;
    let mut columns = Columns::of(&row);
    Ok(HoldSums {
        jobs: columns.take()?,
        holds: Credits(columns.take()?),
        held: Credits(columns.take::<Option<i64>>()?.unwrap_or(0)),
    })
}
