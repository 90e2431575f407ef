//! An organization as a line of the list.

use serde_json::json;
use tollgate_common::db::page::Place;

use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::screens::teams::{amount, standing_cell};
use crate::dashboard::store::orgs::OrgRow;
use crate::dashboard::widgets::columns::{Column, ONLY_WIDE, numbers, words};
use crate::dashboard::widgets::list::{Cell, Row};

impl Row for OrgRow {
    type Cursor = Place;

    const COLUMNS: &'static [Column] = &[
        words("ORG", 12, 20, 0),
        words("STATUS", 10, 10, 1),
        words("NAME", 10, 24, 5),
        numbers("TEAMS", 6, 2),
        numbers("STOPPED", 7, 6),
        numbers("BALANCE", 9, 3),
        numbers("HELD", 9, 7),
        numbers("TODAY", 9, 4),
        numbers("USED", 9, 8),
        numbers("KEYS", 6, ONLY_WIDE),
    ];

    fn cursor(&self) -> Place {
        self.place.clone()
    }

    fn id(&self) -> String {
        self.listed.org.id.to_string()
    }

    fn cells(&self, context: &Context) -> Vec<Cell> {
        let listed = &self.listed;
        vec![
            listed.org.id.as_str().into(),
            standing_cell(listed.org.standing.at(context.now), context),
            listed.org.name.as_str().into(),
            format::number(listed.teams).into(),
            format::number(listed.stopped_teams).into(),
            amount(listed.balance).into(),
            amount(listed.held).into(),
            amount(listed.today).into(),
            amount(listed.used).into(),
            format::number(listed.keys).into(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        let listed = &self.listed;
        json!({
            "id": listed.org.id,
            "name": listed.org.name,
            "status": listed.org.standing.word(),
            "paused_until": listed.org.standing.paused_until(),
            "teams": listed.teams,
            "stopped_teams": listed.stopped_teams,
            "balance": listed.balance,
            "held": listed.held,
            "used": listed.used,
            "used_today": listed.today,
            "keys": listed.keys,
            "created_at": listed.org.created_at,
            "updated_at": listed.updated_at,
        })
    }
}
