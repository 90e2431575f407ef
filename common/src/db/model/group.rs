//! Lists of groups of models, and the teams that are granted one.

use std::collections::HashMap;

use sqlx::{AnyConnection, AnyPool};

use super::list::gathered;
use crate::clock::Timestamp;
use crate::db::StoreError;
use crate::db::page::{self, Listing, Order, Part, Place, Request};
use crate::db::rows::{Columns, select_in};
use crate::filter::{Bind, Kind, Vocabulary, Word};
use crate::id::{GroupName, ModelAlias, TeamId};

/// A group as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGroup {
    /// Its name.
    pub name: GroupName,
    /// Its models, in the order in which a call to the group tries them.
    pub models: Vec<ModelAlias>,
    /// How many teams are granted it.
    pub teams: i64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What groups can be filtered by.
pub const GROUPS: Vocabulary = Vocabulary {
    noun: "groups",
    words: &[
        Word {
            name: "group",
            kind: Kind::Name,
            column: "name",
            is_indexed: true,
        },
        Word {
            name: "model",
            kind: Kind::Name,
            column: "EXISTS (SELECT 1 FROM model_group_members AS m \
                     WHERE m.group_name = s.name AND {m.alias})",
            is_indexed: false,
        },
        Word {
            name: "team",
            kind: Kind::Name,
            column: "EXISTS (SELECT 1 FROM team_groups AS g \
                     WHERE g.group_name = s.name AND {g.team_id})",
            is_indexed: false,
        },
    ],
    text: &["name"],
};

const ORDER: &[&str] = &["name"];

const LISTING: Listing = Listing {
    rows: "SELECT name, created_at FROM model_groups",
    condition: "TRUE",
    shown: "name, created_at",
};

/// Reads a part of the list of groups, by name.
pub async fn page(
    connection: &mut AnyConnection,
    reversed: bool,
    request: &Request<'_>,
) -> Result<Part<ListedGroup>, StoreError> {
    let order = Order {
        columns: ORDER,
        descending: reversed,
    };
    let place = |group: &ListedGroup| -> Place { vec![Bind::Text(group.name.to_string())] };
    let list = (&LISTING, order, 0);
    let mut part = page::read(connection, list, request, (read_listed, place)).await?;
    let names: Vec<GroupName> = part.rows.iter().map(|row| row.row.name.clone()).collect();
    let read = |columns: &mut Columns<'_>| Ok((columns.parse()?, columns.parse()?));
    let members = select_in(connection, MEMBERS_OF, &names, read).await?;
    let mut members: HashMap<GroupName, Vec<ModelAlias>> = gathered(members);
    let read = |columns: &mut Columns<'_>| Ok((columns.parse()?, columns.take()?));
    let teams = select_in(connection, TEAMS_OF, &names, read).await?;
    let teams: HashMap<GroupName, i64> = teams.into_iter().collect();
    for listed in &mut part.rows {
        let group = &mut listed.row;
        group.models = members.remove(&group.name).unwrap_or_default();
        group.teams = teams.get(&group.name).copied().unwrap_or_default();
    }
    Ok(part)
}

fn read_listed(columns: &mut Columns<'_>) -> Result<ListedGroup, StoreError> {
    Ok(ListedGroup {
        name: columns.parse()?,
        models: Vec::new(),
        teams: 0,
        created_at: columns.time()?,
    })
}

const MEMBERS_OF: (&str, &str) = (
    "SELECT group_name, alias FROM model_group_members WHERE group_name IN ",
    " ORDER BY group_name, position",
);

const TEAMS_OF: (&str, &str) = (
    "SELECT group_name, COUNT(*) FROM team_groups WHERE group_name IN ",
    " GROUP BY group_name",
);

const LIST_GRANTED: &str =
    "SELECT team_id FROM team_groups WHERE group_name = $1 ORDER BY team_id LIMIT $2";

/// The first teams that are granted a group, by id.
pub async fn granted(
    pool: &AnyPool,
    name: &GroupName,
    limit: i64,
) -> Result<Vec<TeamId>, StoreError> {
    let rows = sqlx::query(LIST_GRANTED)
        .bind(name.to_string())
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter().map(|row| Columns::of(row).parse()).collect()
}
