//! Lists of ledger entries: of one account with the newest first, or of all by account.

use sqlx::AnyConnection;

use super::{EntryRow, read_entry};
use crate::db::StoreError;
use crate::db::page::{self, Listing, Order, Part, Place, Request};
use crate::db::rows::Columns;
use crate::filter::{Bind, Choice, Kind, Vocabulary, Word};
use crate::id::TeamId;

/// An entry with its account.
#[derive(Debug, Clone)]
pub struct ListedEntry {
    /// Whose.
    pub team_id: TeamId,
    /// The entry.
    pub entry: EntryRow,
}

const KINDS: &[Choice] = &[
    Choice {
        word: "allocation",
        sql: "kind = 'allocation'",
    },
    Choice {
        word: "deduction",
        sql: "kind = 'deduction'",
    },
    Choice {
        word: "refund",
        sql: "kind = 'refund'",
    },
    Choice {
        word: "adjustment",
        sql: "kind = 'adjustment'",
    },
    Choice {
        word: "overrun",
        sql: "kind = 'overrun'",
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

/// What entries can be filtered by.
pub const ENTRIES: Vocabulary = Vocabulary {
    noun: "ledger entries",
    words: &[
        word("team", Kind::Name, "team_id", true),
        word("kind", Kind::Choice(KINDS), "", false),
        word("since", Kind::Since, "created_at", false),
        word("until", Kind::Until, "created_at", false),
        word("job", Kind::Name, "job_id", false),
        word("actor", Kind::Name, "actor", false),
        word("amount", Kind::Count, "amount", false),
        word("shortfall", Kind::Count, "shortfall", false),
        word("debt", Kind::Count, "debt", false),
    ],
    text: &["reason", "job_id", "actor"],
};

/// How entries are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryOrder {
    /// The newest first: of one account, which the filter names.
    Newest,
    /// By account, the oldest first.
    Account,
}

impl EntryOrder {
    const fn order(self) -> Order {
        match self {
            Self::Newest => Order {
                columns: &["team_id", "number"],
                descending: true,
            },
            Self::Account => Order {
                columns: &["team_id", "number"],
                descending: false,
            },
        }
    }
}

fn place(listed: &ListedEntry) -> Place {
    vec![
        Bind::Text(listed.team_id.to_string()),
        Bind::Number(listed.entry.number),
    ]
}

const LISTING: Listing = Listing {
    rows: "SELECT team_id, number, kind, amount, balance_before, balance_after, shortfall, debt,
                  job_id, reason, actor, created_at
           FROM ledger_entries",
    condition: "TRUE",
    shown: "team_id, number, kind, amount, balance_before, balance_after, shortfall, debt, job_id,
            reason, actor, created_at",
};

/// Reads a part of the list of entries.
pub async fn page(
    connection: &mut AnyConnection,
    order: EntryOrder,
    request: &Request<'_>,
) -> Result<Part<ListedEntry>, StoreError> {
    let list = (&LISTING, order.order(), 0);
    let whole = match (order, request.filter.only("team")) {
        (EntryOrder::Newest, Some(team)) if request.counted && request.filter.has_one_term() => {
            team
        }
        _ => return page::read(connection, list, request, (read_listed, place)).await,
    };
    // Entries are numbered without gaps: nothing has to be counted.
    let count = last_number(connection, whole).await?;
    let request = Request {
        counted: false,
        ..*request
    };
    let mut part = page::read(connection, list, &request, (read_listed, place)).await?;
    part.count = count;
    if let Some(first) = part.rows.first() {
        part.above = count.saturating_sub(first.row.entry.number).max(0);
    }
    Ok(part)
}

/// The number of an account's latest entry.
pub const LAST_NUMBER: &str = "SELECT MAX(number) FROM ledger_entries WHERE team_id = $1";

async fn last_number(connection: &mut AnyConnection, team: &str) -> Result<i64, StoreError> {
    let row = sqlx::query(LAST_NUMBER)
        .bind(team.to_owned())
        .fetch_one(connection)
        .await?;
    Ok(Columns::of(&row).take::<Option<i64>>()?.unwrap_or(0))
}

/// The statement of a part, for tests of its plan.
pub fn page_statement(order: EntryOrder, request: &Request<'_>) -> (String, Vec<Bind>) {
    page::page_sql(&LISTING, order.order(), request, 0)
}

fn read_listed(columns: &mut Columns<'_>) -> Result<ListedEntry, StoreError> {
    Ok(ListedEntry {
        team_id: columns.parse()?,
        entry: read_entry(columns)?,
    })
}
