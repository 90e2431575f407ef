//! Lists of virtual keys: narrowed by a filter, in several orders, part by part.

use sqlx::AnyConnection;

use super::read_key;
use crate::clock::Timestamp;
use crate::db::StoreError;
use crate::db::page::{self, Listing, Order, Part, Place, Request};
use crate::db::rows::Columns;
use crate::filter::{Bind, Choice, Kind, Vocabulary, Word};
use crate::id::KeyId;
use crate::key::VirtualKey;

/// A key as lists show it.
#[derive(Debug, Clone)]
pub struct ListedKey {
    /// The key.
    pub key: VirtualKey,
    /// When it was last accepted, to about a minute; nothing if nobody ever used it.
    pub used_at: Option<Timestamp>,
    /// The key that was put in its place.
    pub successor: Option<KeyId>,
}

/// Keys that end within a week are expiring.
const STATUS: &[Choice] = &[
    Choice {
        word: "active",
        sql: "(revoked_at IS NULL AND (expires_at IS NULL OR expires_at > {now}))",
    },
    Choice {
        word: "expiring",
        sql: "(revoked_at IS NULL AND expires_at > {now} \
               AND expires_at <= {now} + 604800000000)",
    },
    Choice {
        word: "expired",
        sql: "(revoked_at IS NULL AND expires_at <= {now})",
    },
    Choice {
        word: "revoked",
        sql: "revoked_at IS NOT NULL",
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

/// What keys can be filtered by.
pub const KEYS: Vocabulary = Vocabulary {
    noun: "keys",
    words: &[
        word("team", Kind::Name, "team_id", true),
        word(
            "org",
            Kind::Name,
            "(SELECT org_id FROM teams WHERE teams.id = team_id)",
            false,
        ),
        word("status", Kind::Choice(STATUS), "", false),
        word("label", Kind::Name, "label", false),
        word("used", Kind::Since, "used_at", false),
        word("unused", Kind::Until, "COALESCE(used_at, 0)", false),
        word("since", Kind::Since, "created_at", true),
        word("until", Kind::Until, "created_at", true),
        word("rpm", Kind::Count, "requests_per_minute", false),
        word("tpm", Kind::Count, "tokens_per_minute", false),
        word("parallel", Kind::Count, "parallel_calls", false),
    ],
    text: &["id", "label", "successor"],
};

/// What keys can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrder {
    /// By when they were made, the newest first.
    Created,
    /// By team.
    Team,
    /// By their last use, the latest first.
    Used,
    /// By their end, the next first.
    Expires,
}

impl KeyOrder {
    /// The order as it is meant, or turned around.
    const fn order(self, reversed: bool) -> Order {
        let columns: &[&str] = match self {
            Self::Created => &["created_at", "id"],
            Self::Team => &["team_id", "id"],
            Self::Used => &["COALESCE(used_at, 0)", "id"],
            Self::Expires => &["COALESCE(expires_at, 9223372036854775807)", "id"],
        };
        let descending = matches!(self, Self::Created | Self::Used);
        Order {
            columns,
            descending: descending != reversed,
        }
    }

    fn place(self, key: &ListedKey) -> Place {
        let micros = |moment: Option<Timestamp>| moment.map(Timestamp::as_micros);
        let first = match self {
            Self::Created => Bind::Number(key.key.created_at.as_micros()),
            Self::Team => Bind::Text(key.key.team_id.to_string()),
            Self::Used => Bind::Number(micros(key.used_at).unwrap_or(0)),
            Self::Expires => Bind::Number(micros(key.key.expires_at).unwrap_or(i64::MAX)),
        };
        vec![first, Bind::Text(key.key.id.to_string())]
    }
}

const LISTING: Listing = Listing {
    rows: "SELECT id, team_id, label, hash, requests_per_minute, tokens_per_minute,
                  parallel_calls, expires_at, revoked_at, created_at, used_at, successor
           FROM virtual_keys",
    condition: "TRUE",
    shown: "id, team_id, label, hash, requests_per_minute, tokens_per_minute, parallel_calls,
            expires_at, revoked_at, created_at, used_at, successor",
};

/// Reads a part of the list of keys.
pub async fn page(
    connection: &mut AnyConnection,
    (order, reversed): (KeyOrder, bool),
    request: &Request<'_>,
) -> Result<Part<ListedKey>, StoreError> {
    let place = |key: &ListedKey| order.place(key);
    let list = (&LISTING, order.order(reversed), 0);
    page::read(connection, list, request, (read_listed, place)).await
}

/// The statement of a part, for tests of its plan.
pub fn page_statement(
    (order, reversed): (KeyOrder, bool),
    request: &Request<'_>,
) -> (String, Vec<Bind>) {
    page::page_sql(&LISTING, order.order(reversed), request, 0)
}

const FIND_KEY: &str = "
    SELECT id, team_id, label, hash, requests_per_minute, tokens_per_minute, parallel_calls,
           expires_at, revoked_at, created_at, used_at, successor
    FROM virtual_keys
    WHERE id = $1";

/// Reads one key, if there is such a one.
pub async fn find(pool: &sqlx::AnyPool, id: &KeyId) -> Result<Option<ListedKey>, StoreError> {
    let row = sqlx::query(FIND_KEY)
        .bind(id.to_string())
        .fetch_optional(pool)
        .await?;
    row.map(|row| read_listed(&mut Columns::of(&row)))
        .transpose()
}

fn read_listed(columns: &mut Columns<'_>) -> Result<ListedKey, StoreError> {
    Ok(ListedKey {
        key: read_key(columns)?,
        used_at: columns.optional_time()?,
        successor: columns.take::<Option<String>>()?.map(|id| KeyId::new(&id)),
    })
}
