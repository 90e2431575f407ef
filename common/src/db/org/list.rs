//! Lists of organizations with what their teams come to.

use std::str::FromStr;

use sqlx::AnyPool;

use super::read_standing;
use crate::clock::Timestamp;
use crate::db::StoreError;
use crate::db::page::{self, Listing, Order, Part, Place, Request, SEARCH, Start};
use crate::db::rows::Columns;
use crate::db::team::list::OPEN_JOBS_MAX;
use crate::filter::{Bind, Choice, Filter, Kind, Vocabulary, Word};
use crate::id::OrgId;
use crate::money::Credits;
use crate::org::Organization;

/// An organization as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedOrg {
    /// The organization.
    pub org: Organization,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// How many teams it has.
    pub teams: i64,
    /// How many of them are suspended or paused by themselves.
    pub stopped_teams: i64,
    /// What its teams have.
    pub balance: Credits,
    /// What of it is promised to open jobs.
    pub held: Credits,
    /// All that they ever spent.
    pub used: Credits,
    /// What they were charged since midnight in UTC.
    pub today: Credits,
    /// Keys of its teams that are not revoked.
    pub keys: i64,
}

/// A pause that has ended counts as active.
const STATUS: &[Choice] = &[
    Choice {
        word: "active",
        sql: "(status = 'active' OR (status = 'paused' AND paused_until <= {now}))",
    },
    Choice {
        word: "paused",
        sql: "(status = 'paused' AND (paused_until IS NULL OR paused_until > {now}))",
    },
    Choice {
        word: "suspended",
        sql: "status = 'suspended'",
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

/// What organizations can be filtered by.
pub const ORGS: Vocabulary = Vocabulary {
    noun: "organizations",
    words: &[
        word("org", Kind::Name, "id", true),
        word("status", Kind::Choice(STATUS), "", false),
        word("teams", Kind::Count, "teams", false),
        word("balance", Kind::Count, "balance", false),
        word("held", Kind::Count, "held", false),
        word("used", Kind::Count, "used", false),
        word("since", Kind::Since, "created_at", false),
    ],
    text: &["id", "name"],
};

/// What organizations can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrgOrder {
    /// By id.
    #[default]
    Id,
    /// By how many teams they have, the most first.
    Teams,
    /// By what their teams have, the least first.
    Balance,
    /// By all that their teams ever spent, the most first.
    Used,
}

impl FromStr for OrgOrder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let orders = [
            ("id", Self::Id),
            ("teams", Self::Teams),
            ("balance", Self::Balance),
            ("used", Self::Used),
        ];
        let found = orders.into_iter().find(|(word, _)| *word == text);
        found
            .map(|(_, order)| order)
            .ok_or_else(|| "must be id, teams, balance or used".to_owned())
    }
}

impl OrgOrder {
    const fn order(self, reversed: bool) -> Order {
        let columns: &[&str] = match self {
            Self::Id => &["id"],
            Self::Teams => &["teams", "id"],
            Self::Balance => &["balance", "id"],
            Self::Used => &["used", "id"],
        };
        Order {
            columns,
            descending: matches!(self, Self::Used | Self::Teams) != reversed,
        }
    }

    /// Where an organization stands in the order.
    pub fn place(self, listed: &ListedOrg) -> Place {
        let id = Bind::Text(listed.org.id.to_string());
        match self {
            Self::Id => vec![id],
            Self::Teams => vec![Bind::Number(listed.teams), id],
            Self::Balance => vec![Bind::Number(listed.balance.0), id],
            Self::Used => vec![Bind::Number(listed.used.0), id],
        }
    }
}

/// Teams are few enough to be added up at once: ten thousand take some milliseconds.
const LISTING: Listing = Listing {
    rows: "SELECT * FROM (
             SELECT o.id, o.name, o.status, o.paused_until, o.created_at, o.updated_at
                  , COALESCE(s.teams, 0) AS teams, COALESCE(s.stopped, 0) AS stopped
                  , COALESCE(s.balance, 0) AS balance, COALESCE(s.held, 0) AS held
                  , COALESCE(s.used, 0) AS used
             FROM organizations AS o
             LEFT JOIN (
               SELECT t.org_id, COUNT(*) AS teams
                    , CAST(SUM(CASE WHEN t.status = 'active' THEN 0 ELSE 1 END) AS BIGINT)
                          AS stopped
                    , CAST(SUM(a.balance) AS BIGINT) AS balance
                    , CAST(SUM(a.held) AS BIGINT) AS held
                    , CAST(SUM(a.used) AS BIGINT) AS used
               FROM teams AS t JOIN accounts AS a ON a.team_id = t.id
               GROUP BY t.org_id
             ) AS s ON s.org_id = o.id
           ) AS both_of",
    condition: "TRUE",
    shown: "id, name, status, paused_until, created_at, updated_at, teams, stopped, balance, held
          , used
          , (SELECT CAST(COALESCE(SUM(a.day_charged), 0) AS BIGINT)
             FROM teams AS t JOIN accounts AS a ON a.team_id = t.id
             WHERE t.org_id = p.id AND a.day_began_at >= {extra})
          , (SELECT COUNT(*)
             FROM teams AS t JOIN virtual_keys AS k ON k.team_id = t.id
             WHERE t.org_id = p.id AND k.revoked_at IS NULL)",
};

/// The statement of a part, for tests of its plan.
pub fn page_statement(
    (order, reversed): (OrgOrder, bool),
    request: &Request<'_>,
) -> (String, Vec<Bind>) {
    page::page_sql(&LISTING, order.order(reversed), request, 0)
}

/// Reads a part of the list of organizations as they are at `now`.
pub async fn page(
    pool: &AnyPool,
    (order, reversed): (OrgOrder, bool),
    request: &Request<'_>,
    now: Timestamp,
) -> Result<Part<ListedOrg>, StoreError> {
    let mut connection = pool.acquire().await?;
    let midnight = Timestamp::of_day(now.day()).as_micros();
    let list = (&LISTING, order.order(reversed), midnight);
    let place = |org: &ListedOrg| order.place(org);
    page::read(&mut connection, list, request, (read_listed, place)).await
}

/// One organization as lists show it at `now`, if there is such a one.
pub async fn find(
    pool: &AnyPool,
    id: &OrgId,
    now: Timestamp,
) -> Result<Option<ListedOrg>, StoreError> {
    let filter = Filter::only_word(&ORGS, "org", id.as_str());
    let request = Request {
        filter: &filter,
        start: &Start::First,
        limit: 1,
        search: SEARCH,
        counted: false,
    };
    let part = page(pool, (OrgOrder::Id, false), &request, now).await?;
    Ok(part.rows.into_iter().next().map(|listed| listed.row))
}

/// Open jobs of an organization, and what they hold; no more than so many are looked at. There are
/// few open jobs at any moment, and an index has only those.
pub const SUM_OPEN_JOBS: &str = "
    SELECT COUNT(*), CAST(COALESCE(SUM(hold), 0) AS BIGINT)
    FROM (
        SELECT hold
        FROM jobs
        WHERE org_id = $1 AND state IN ('pending', 'in_progress')
        LIMIT $2
    ) AS open_jobs";

/// How many open jobs an organization has, up to [`OPEN_JOBS_MAX`], and what they hold.
pub async fn open_jobs(pool: &AnyPool, id: &OrgId) -> Result<(i64, Credits), StoreError> {
    let row = sqlx::query(SUM_OPEN_JOBS)
        .bind(id.to_string())
        .bind(OPEN_JOBS_MAX)
        .fetch_one(pool)
        .await?;
    let mut columns = Columns::of(&row);
    Ok((columns.take()?, Credits(columns.take()?)))
}

fn read_listed(columns: &mut Columns<'_>) -> Result<ListedOrg, StoreError> {
    let id: OrgId = columns.parse()?;
    let name = columns.take()?;
    let standing = read_standing(columns)?;
    let created_at = columns.time()?;
    Ok(ListedOrg {
        org: Organization {
            id,
            name,
            standing,
            created_at,
        },
        updated_at: columns.time()?,
        teams: columns.take()?,
        stopped_teams: columns.take()?,
        balance: Credits(columns.take()?),
        held: Credits(columns.take()?),
        used: Credits(columns.take()?),
        today: Credits(columns.take()?),
        keys: columns.take()?,
    })
}
