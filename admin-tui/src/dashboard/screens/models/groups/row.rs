//! A group of models as a row.

use serde_json::json;
use tollgate_common::db::page::Place;

use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::screens::models::row::joined;
use crate::dashboard::store::models::GroupRow;
use crate::dashboard::widgets::columns::{Column, ONLY_WIDE, numbers, words};
use crate::dashboard::widgets::list::{Cell, Row, cell};

impl Row for GroupRow {
    type Cursor = Place;

    const COLUMNS: &'static [Column] = &[
        words("GROUP", 12, 20, 0),
        numbers("TEAMS", 7, 1),
        numbers("15 MIN", 7, 2),
        words("MODELS IN ORDER", 20, 60, 0),
        words("MADE", 10, 19, ONLY_WIDE),
    ];

    fn cursor(&self) -> Place {
        self.place.clone()
    }

    fn id(&self) -> String {
        self.listed.name.to_string()
    }

    fn cells(&self, context: &Context) -> Vec<Cell> {
        let group = &self.listed;
        let calls: u64 = self.calls.iter().sum();
        let models = if group.models.is_empty() {
            cell("none", context.theme.warn)
        } else {
            joined(group.models.iter()).into()
        };
        vec![
            self.id().into(),
            format::number(group.teams).into(),
            format::count(calls).into(),
            models,
            format::moment(group.created_at).into(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "name": self.listed.name,
            "models": self.listed.models,
            "teams": self.listed.teams,
            "created_at": self.listed.created_at,
        })
    }
}
