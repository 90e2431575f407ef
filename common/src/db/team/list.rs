//! Lists of teams with their accounts: narrowed by a filter, in several orders, part by part; and
//! what one team comes to at this moment.

use std::collections::HashMap;
use std::str::FromStr;

use sqlx::{AnyConnection, AnyPool};

use super::read_team;
use crate::clock::Timestamp;
use crate::db::StoreError;
use crate::db::ledger::read_account;
use crate::db::org::read_standing;
use crate::db::page::{self, Listing, Order, Part, Place, Request};
use crate::db::rows::{Columns, select_in};
use crate::filter::{Bind, Choice, Kind, Vocabulary, Word};
use crate::id::{GroupName, JobId, TeamId};
use crate::ledger::{Account, Window};
use crate::money::Credits;
use crate::standing::Standing;
use crate::team::Team;

/// A team as lists show it.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedTeam {
    /// The team.
    pub team: Team,
    /// Its credits.
    pub account: Account,
    /// Whether its organization may work.
    pub org_standing: Standing,
    /// How many of its keys admit anyone.
    pub live_keys: i64,
}

impl ListedTeam {
    /// Whether it may work: by itself or by its organization, whichever is stricter.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let own = self.team.standing.at(now);
        own.stricter(self.org_standing.at(now))
    }

    /// What it was charged since midnight in UTC.
    pub fn charged_today(&self, now: Timestamp) -> Credits {
        self.account.charged_in(Window::Day, now)
    }
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

const MODE: &[Choice] = &[
    Choice {
        word: "job_based",
        sql: "budget_mode = 'job_based'",
    },
    Choice {
        word: "consumption_usd",
        sql: "budget_mode = 'consumption_usd'",
    },
    Choice {
        word: "consumption_tokens",
        sql: "budget_mode = 'consumption_tokens'",
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

const IN_GROUP: &str =
    "EXISTS (SELECT 1 FROM team_groups AS g WHERE g.team_id = id AND {g.group_name})";

const MAY_USE: &str = "EXISTS (SELECT 1 FROM team_groups AS g
     JOIN model_group_members AS m ON m.group_name = g.group_name
     WHERE g.team_id = id AND {m.alias})";

/// What teams can be filtered by.
pub const TEAMS: Vocabulary = Vocabulary {
    noun: "teams",
    words: &[
        word("team", Kind::Name, "id", true),
        word("org", Kind::Name, "org_id", true),
        word("status", Kind::Choice(STATUS), "", false),
        word("mode", Kind::Choice(MODE), "", false),
        word("group", Kind::Name, IN_GROUP, false),
        word("model", Kind::Name, MAY_USE, false),
        word("balance", Kind::Count, "balance", false),
        word("available", Kind::Count, "available", false),
        word("held", Kind::Count, "held", false),
        word("used", Kind::Count, "used", false),
        word("since", Kind::Since, "created_at", false),
    ],
    text: &["id", "name"],
};

/// What teams can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TeamOrder {
    /// By id.
    #[default]
    Id,
    /// By balance, the least first.
    Balance,
    /// By what may still be spent, the least first.
    Available,
    /// By all that was ever spent, the most first.
    Used,
}

impl FromStr for TeamOrder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let orders = [
            ("id", Self::Id),
            ("balance", Self::Balance),
            ("available", Self::Available),
            ("used", Self::Used),
        ];
        let found = orders.into_iter().find(|(word, _)| *word == text);
        found
            .map(|(_, order)| order)
            .ok_or_else(|| "must be id, balance, available or used".to_owned())
    }
}

impl TeamOrder {
    /// The order as it is meant, or turned around.
    const fn order(self, reversed: bool) -> Order {
        let columns: &[&str] = match self {
            Self::Id => &["id"],
            Self::Balance => &["balance", "id"],
            Self::Available => &["available", "id"],
            Self::Used => &["used", "id"],
        };
        Order {
            columns,
            descending: matches!(self, Self::Used) != reversed,
        }
    }

    /// Where a team stands in the order.
    pub fn place(self, listed: &ListedTeam) -> Place {
        let id = Bind::Text(listed.team.id.to_string());
        let account = &listed.account;
        match self {
            Self::Id => vec![id],
            Self::Balance => vec![Bind::Number(account.balance.0), id],
            Self::Available => vec![Bind::Number(uncut(account)), id],
            Self::Used => vec![Bind::Number(account.used.0), id],
        }
    }
}

/// What may still be spent, as the column has it.
const fn uncut(account: &Account) -> i64 {
    account
        .balance
        .minus(account.held)
        .plus(account.overdraft)
        .0
}

/// The outer SELECT gives sums the names by which filters and orders know them.
const LISTING: Listing = Listing {
    rows: "SELECT * FROM (
             SELECT t.id, t.org_id, t.name, t.status, t.paused_until, t.budget_mode, t.created_at
                  , a.balance, a.held, a.used, a.balance - a.held + a.overdraft AS available
             FROM teams AS t JOIN accounts AS a ON a.team_id = t.id
           ) AS both_of",
    condition: "TRUE",
    shown: "id, balance, available, used",
};

/// Reads a part of the list of teams as they are at `now`.
pub async fn page(
    pool: &AnyPool,
    (order, reversed): (TeamOrder, bool),
    request: &Request<'_>,
    now: Timestamp,
) -> Result<Part<ListedTeam>, StoreError> {
    let mut connection = pool.acquire().await?;
    let list = (&LISTING, order.order(reversed), 0);
    let part = page::read(
        &mut connection,
        list,
        request,
        (read_key, |key: &Key| key.place(order)),
    )
    .await?;
    let ids: Vec<&str> = part.rows.iter().map(|row| row.row.id.as_str()).collect();
    let mut found = find_all(&mut connection, &ids, now).await?;
    let rows = part.rows.into_iter().filter_map(|row| {
        Some(page::Listed {
            row: found.remove(row.row.id.as_str())?,
            place: row.place,
        })
    });
    Ok(Part {
        rows: rows.collect(),
        above: part.above,
        below: part.below,
        count: part.count,
        searched: part.searched,
    })
}

/// The statement of a part, for tests of its plan.
pub fn page_statement(
    (order, reversed): (TeamOrder, bool),
    request: &Request<'_>,
) -> (String, Vec<Bind>) {
    page::page_sql(&LISTING, order.order(reversed), request, 0)
}

/// What a row is found and sorted by.
struct Key {
    id: String,
    balance: i64,
    available: i64,
    used: i64,
}

impl Key {
    fn place(&self, order: TeamOrder) -> Place {
        let id = Bind::Text(self.id.clone());
        match order {
            TeamOrder::Id => vec![id],
            TeamOrder::Balance => vec![Bind::Number(self.balance), id],
            TeamOrder::Available => vec![Bind::Number(self.available), id],
            TeamOrder::Used => vec![Bind::Number(self.used), id],
        }
    }
}

fn read_key(columns: &mut Columns<'_>) -> Result<Key, StoreError> {
    Ok(Key {
        id: columns.take()?,
        balance: columns.take()?,
        available: columns.take()?,
        used: columns.take()?,
    })
}

/// Teams by id with their accounts and the standing of their organizations.
pub const SELECT_LISTED: &str = concat!(
    "SELECT ",
    super::team_columns!(),
    ", a.team_id, a.balance, a.held, a.allocated, a.used, a.overdraft, a.entry_count, a.version, \
       a.budget_day, a.day_began_at, a.day_charged, a.budget_month, a.month_began_at, \
       a.month_charged, a.owed, o.status, o.paused_until \
     FROM teams AS t \
     JOIN accounts AS a ON a.team_id = t.id \
     JOIN organizations AS o ON o.id = t.org_id \
     WHERE t.id IN "
);

/// The groups of teams, around the list of teams.
pub const SELECT_GRANTS: (&str, &str) = (
    "SELECT team_id, group_name FROM team_groups WHERE team_id IN ",
    " ORDER BY team_id, group_name",
);

/// The ends of keys that are not revoked, before the list of teams.
pub const SELECT_KEY_ENDS: &str =
    "SELECT team_id, expires_at FROM virtual_keys WHERE revoked_at IS NULL AND team_id IN ";

async fn find_all(
    connection: &mut AnyConnection,
    ids: &[&str],
    now: Timestamp,
) -> Result<HashMap<String, ListedTeam>, StoreError> {
    let teams = select_in(connection, (SELECT_LISTED, ""), ids, |columns| {
        Ok(ListedTeam {
            team: read_team(columns)?,
            account: read_account(columns)?,
            org_standing: read_standing(columns)?,
            live_keys: 0,
        })
    })
    .await?;
    let mut found: HashMap<String, ListedTeam> = teams
        .into_iter()
        .map(|listed| (listed.team.id.to_string(), listed))
        .collect();
    let grants = select_in(connection, SELECT_GRANTS, ids, |columns| {
        Ok((columns.take::<String>()?, columns.parse::<GroupName>()?))
    })
    .await?;
    for (id, group) in grants {
        if let Some(listed) = found.get_mut(&id) {
            listed.team.groups.push(group);
        }
    }
    let ends = select_in(connection, (SELECT_KEY_ENDS, ""), ids, |columns| {
        Ok((columns.take::<String>()?, columns.optional_time()?))
    })
    .await?;
    for (id, end) in ends {
        if let Some(listed) = found.get_mut(&id) {
            listed.live_keys += i64::from(end.is_none_or(|end| now < end));
        }
    }
    Ok(found)
}

/// One team as lists show it at `now`, if there is such a one.
pub async fn find(
    pool: &AnyPool,
    id: &TeamId,
    now: Timestamp,
) -> Result<Option<ListedTeam>, StoreError> {
    let mut connection = pool.acquire().await?;
    let mut found = find_all(&mut connection, &[id.as_str()], now).await?;
    Ok(found.remove(id.as_str()))
}

/// Open jobs of a team, and what they hold; no more than so many are looked at.
pub const SUM_OPEN_JOBS: &str = "
    SELECT COUNT(*), CAST(COALESCE(SUM(hold), 0) AS BIGINT)
    FROM (
        SELECT hold
        FROM jobs
        WHERE team_id = $1 AND state IN ('pending', 'in_progress')
        LIMIT $2
    ) AS open_jobs";

/// Open jobs beyond this number are not counted.
pub const OPEN_JOBS_MAX: i64 = 10_000;

/// How many open jobs a team has, up to [`OPEN_JOBS_MAX`], and what they hold.
pub async fn open_jobs(pool: &AnyPool, id: &TeamId) -> Result<(i64, Credits), StoreError> {
    let row = sqlx::query(SUM_OPEN_JOBS)
        .bind(id.to_string())
        .bind(OPEN_JOBS_MAX)
        .fetch_one(pool)
        .await?;
    let mut columns = Columns::of(&row);
    Ok((columns.take()?, Credits(columns.take()?)))
}

/// Open jobs of a team, the oldest first.
pub const SELECT_OPEN_JOBS: &str = "
    SELECT id
    FROM jobs
    WHERE team_id = $1 AND state IN ('pending', 'in_progress')
    ORDER BY created_at, id
    LIMIT $2";

/// The open jobs of a team, the oldest first, up to [`OPEN_JOBS_MAX`].
pub async fn open_job_ids(pool: &AnyPool, id: &TeamId) -> Result<Vec<JobId>, StoreError> {
    let rows = sqlx::query(SELECT_OPEN_JOBS)
        .bind(id.to_string())
        .bind(OPEN_JOBS_MAX)
        .fetch_all(pool)
        .await?;
    rows.iter().map(|row| Columns::of(row).parse()).collect()
}

/// What a team's jobs of one day have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Today {
    /// Jobs that ended well.
    pub completed: i64,
    /// Jobs that ended badly.
    pub failed: i64,
    /// Jobs that were cancelled.
    pub cancelled: i64,
    /// Calls of all of them.
    pub calls: i64,
    /// Calls that failed.
    pub failed_calls: i64,
    /// Tokens of prompts and answers.
    pub tokens: i64,
    /// What the customer is asked, in nano-dollars.
    pub client_cost: i64,
    /// What the providers ask, in nano-dollars.
    pub provider_cost: i64,
}

/// A team's sums of one day.
pub const SUM_DAY: &str = "
    SELECT CAST(COALESCE(SUM(completed), 0) AS BIGINT)
         , CAST(COALESCE(SUM(failed), 0) AS BIGINT)
         , CAST(COALESCE(SUM(cancelled), 0) AS BIGINT)
         , CAST(COALESCE(SUM(calls), 0) AS BIGINT)
         , CAST(COALESCE(SUM(failed_calls), 0) AS BIGINT)
         , CAST(COALESCE(SUM(input_tokens + output_tokens), 0) AS BIGINT)
         , CAST(COALESCE(SUM(client_cost), 0) AS BIGINT)
         , CAST(COALESCE(SUM(provider_cost), 0) AS BIGINT)
    FROM usage_daily
    WHERE team_id = $1 AND day = $2";

/// What a team's jobs that were created on the day of `now` have come to; open ones are not in it.
pub async fn today(pool: &AnyPool, id: &TeamId, now: Timestamp) -> Result<Today, StoreError> {
    let row = sqlx::query(SUM_DAY)
        .bind(id.to_string())
        .bind(now.day())
        .fetch_one(pool)
        .await?;
    let mut columns = Columns::of(&row);
    Ok(Today {
        completed: columns.take()?,
        failed: columns.take()?,
        cancelled: columns.take()?,
        calls: columns.take()?,
        failed_calls: columns.take()?,
        tokens: columns.take()?,
        client_cost: columns.take()?,
        provider_cost: columns.take()?,
    })
}

/// The keys of one team, those in use first.
pub const SELECT_KEYS: &str = "
    SELECT id, label, expires_at, revoked_at, used_at
    FROM virtual_keys
    WHERE team_id = $1
    ORDER BY CASE WHEN revoked_at IS NULL THEN 0 ELSE 1 END, id
    LIMIT $2";

/// A key of a team, as its page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamKey {
    /// Its public part.
    pub id: String,
    /// What it is called.
    pub label: Option<String>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last accepted, to about a minute.
    pub used_at: Option<Timestamp>,
}

impl TeamKey {
    /// `live`, `expired` or `revoked`.
    pub fn status(&self, now: Timestamp) -> &'static str {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => "revoked",
            (None, Some(end)) if end <= now => "expired",
            (None, _) => "live",
        }
    }
}

/// The first keys of a team, those in use first.
pub async fn keys(pool: &AnyPool, id: &TeamId, limit: i64) -> Result<Vec<TeamKey>, StoreError> {
    let rows = sqlx::query(SELECT_KEYS)
        .bind(id.to_string())
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            Ok(TeamKey {
                id: columns.take()?,
                label: columns.take()?,
                expires_at: columns.optional_time()?,
                revoked_at: columns.optional_time()?,
                used_at: columns.optional_time()?,
            })
        })
        .collect()
}
