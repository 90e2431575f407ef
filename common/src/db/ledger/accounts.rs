//! Lists of accounts: what every team has, narrowed by a filter, in several orders, part by part.

use sqlx::AnyConnection;

use super::read_account;
use crate::clock::Timestamp;
use crate::db::StoreError;
use crate::db::page::{self, Listing, Order, Part, Place, Request};
use crate::db::rows::Columns;
use crate::filter::{Bind, Choice, Kind, Vocabulary, Word};
use crate::id::OrgId;
use crate::ledger::Account;
use crate::money::Credits;

/// Over how many days the burn of an account is measured.
pub const BURN_DAYS: i64 = 7;

/// An account as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAccount {
    /// The account.
    pub account: Account,
    /// The organization of its team.
    pub org_id: OrgId,
    /// The team's name for people.
    pub name: String,
    /// The team's standing: `active`, `paused` or `suspended`.
    pub status: String,
    /// What jobs of the last [`BURN_DAYS`] days, today among them, were charged.
    pub spent: Credits,
    /// When the team was made.
    pub created_at: Timestamp,
}

impl ListedAccount {
    /// What the team spends a day, by the last days; rounded up.
    pub fn burn(&self, now: Timestamp) -> Credits {
        let lived = now.day().saturating_sub(self.created_at.day());
        let days = lived.saturating_add(1).clamp(1, BURN_DAYS);
        Credits((self.spent.0.max(0).saturating_add(days - 1)) / days)
    }

    /// For how many days what is available lasts if the team goes on like this.
    pub fn days_left(&self, now: Timestamp) -> Option<i64> {
        let burn = self.burn(now);
        let available = self.account.available();
        burn.is_positive().then(|| available.0 / burn.0)
    }
}

const STATUS: &[Choice] = &[
    Choice {
        word: "active",
        sql: "status = 'active'",
    },
    Choice {
        word: "paused",
        sql: "status = 'paused'",
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

/// What accounts can be filtered by.
pub const ACCOUNTS: Vocabulary = Vocabulary {
    noun: "accounts",
    words: &[
        word("team", Kind::Name, "team_id", true),
        word("org", Kind::Name, "org_id", true),
        word("status", Kind::Choice(STATUS), "", false),
        word("balance", Kind::Count, "balance", false),
        word("held", Kind::Count, "held", false),
        word(
            "available",
            Kind::Count,
            "(balance - held + overdraft)",
            false,
        ),
        word("used", Kind::Count, "used", false),
        word("allocated", Kind::Count, "allocated", false),
        word("overdraft", Kind::Count, "overdraft", false),
        word("owed", Kind::Count, "owed", false),
    ],
    text: &["team_id", "name"],
};

/// What accounts can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountOrder {
    /// By team.
    Team,
    /// By what is left to spend, the least first.
    Available,
    /// By balance, the least first.
    Balance,
    /// By what is held, the most first.
    Held,
    /// By what was spent, the most first.
    Used,
}

impl AccountOrder {
    const fn order(self, reversed: bool) -> Order {
        let columns: &[&str] = match self {
            Self::Team => &["team_id"],
            Self::Available => &["(balance - held + overdraft)", "team_id"],
            Self::Balance => &["balance", "team_id"],
            Self::Held => &["held", "team_id"],
            Self::Used => &["used", "team_id"],
        };
        let descending = matches!(self, Self::Held | Self::Used);
        Order {
            columns,
            descending: descending != reversed,
        }
    }

    fn place(self, listed: &ListedAccount) -> Place {
        let account = &listed.account;
        let team = Bind::Text(account.team_id.to_string());
        let amount = match self {
            Self::Team => return vec![team],
            Self::Available => account.balance.minus(account.held).plus(account.overdraft),
            Self::Balance => account.balance,
            Self::Held => account.held,
            Self::Used => account.used,
        };
        vec![Bind::Number(amount.0), team]
    }
}

const LISTING: Listing = Listing {
    rows: "SELECT a.team_id AS team_id, a.balance AS balance, a.held AS held,
                  a.allocated AS allocated, a.used AS used, a.overdraft AS overdraft,
                  a.entry_count AS entry_count, a.version AS version,
                  a.budget_day AS budget_day, a.day_began_at AS day_began_at,
                  a.day_charged AS day_charged, a.budget_month AS budget_month,
                  a.month_began_at AS month_began_at, a.month_charged AS month_charged,
                  a.owed AS owed,
                  t.org_id AS org_id, t.name AS name, t.status AS status,
                  t.created_at AS created_at
           FROM accounts AS a JOIN teams AS t ON t.id = a.team_id",
    condition: "TRUE",
    shown: "team_id, balance, held, allocated, used, overdraft, entry_count, version,
            budget_day, day_began_at, day_charged, budget_month, month_began_at, month_charged,
            owed, org_id, name, status, created_at,
            (SELECT CAST(COALESCE(SUM(u.credits), 0) AS BIGINT)
             FROM usage_daily AS u
             WHERE u.team_id = p.team_id AND u.day >= {extra})",
};

/// Reads a part of the list of accounts.
pub async fn page(
    connection: &mut AnyConnection,
    (order, reversed): (AccountOrder, bool),
    request: &Request<'_>,
    now: Timestamp,
) -> Result<Part<ListedAccount>, StoreError> {
    let since = now.day().saturating_sub(BURN_DAYS - 1);
    let place = |account: &ListedAccount| order.place(account);
    let list = (&LISTING, order.order(reversed), since);
    page::read(connection, list, request, (read_listed, place)).await
}

/// The statement of a part, for tests of its plan.
pub fn page_statement(
    (order, reversed): (AccountOrder, bool),
    request: &Request<'_>,
) -> (String, Vec<Bind>) {
    page::page_sql(&LISTING, order.order(reversed), request, 0)
}

fn read_listed(columns: &mut Columns<'_>) -> Result<ListedAccount, StoreError> {
    Ok(ListedAccount {
        account: read_account(columns)?,
        org_id: columns.parse()?,
        name: columns.take()?,
        status: columns.take()?,
        created_at: columns.time()?,
        spent: Credits(columns.take()?),
    })
}
