//! A model as a row, and how prices are written: dollars per million tokens.

use ratatui::style::Style;
use serde_json::json;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::page::Place;
use tollgate_common::model::{Fallback, Model};
use tollgate_common::money::{Markup, PicoUsd};
use tollgate_common::price::{CATALOG, PriceSource};

use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::store::models::ModelRow;
use crate::dashboard::widgets::columns::{Column, ONLY_WIDE, numbers, words};
use crate::dashboard::widgets::list::{Cell, Row, cell};

/// A price per token as dollars per million tokens.
pub(super) fn per_million(price: PicoUsd) -> String {
    let text = price.per_million();
    let (whole, rest) = text.split_once('.').unwrap_or((&text, "00"));
    let whole = whole.parse().unwrap_or_default();
    format!("${}.{rest}", format::number(whole))
}

/// A markup in percent.
pub(super) fn percent(markup: Markup) -> String {
    let points = markup.basis_points();
    if points % 100 == 0 {
        format!("{}%", format::number(points / 100))
    } else {
        format!("{}.{:02}%", format::number(points / 100), points % 100)
    }
}

/// Fallbacks as they are typed: `ALIAS:PRIORITY:WEIGHT`.
pub(super) fn written(fallback: &Fallback) -> String {
    let (alias, priority, weight) = (&fallback.alias, fallback.priority, fallback.weight);
    format!("{alias}:{priority}:{weight}")
}

/// How old the shipped table is, if the clock of this machine is not behind it.
pub(super) fn table_age(now: Timestamp) -> Option<String> {
    let day = format!("{}T00:00:00Z", CATALOG.version());
    let day = Timestamp::parse_rfc3339(&day).filter(|day| *day <= now)?;
    Some(format::age(day, now))
}

/// Where a price comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Own,
    Imported,
    Shipped,
    Nobody,
}

impl Origin {
    pub(super) fn of(model: &Model) -> Self {
        match model.price().map(|price| price.source()) {
            Some(PriceSource::Alias) => Self::Own,
            Some(PriceSource::Imported) => Self::Imported,
            Some(PriceSource::Catalogue) => Self::Shipped,
            None => Self::Nobody,
        }
    }

    /// In a word or two.
    pub(super) fn short(self, now: Timestamp) -> String {
        match self {
            Self::Own => "own".to_owned(),
            Self::Imported => "imported".to_owned(),
            Self::Shipped => match table_age(now) {
                Some(age) => format!("shipped {age}"),
                None => "shipped".to_owned(),
            },
            Self::Nobody => "NO PRICE".to_owned(),
        }
    }

    pub(super) const fn style(self, context: &Context) -> Style {
        match self {
            Self::Own => context.theme.accent,
            Self::Shipped | Self::Imported => context.theme.text,
            Self::Nobody => context.theme.bad,
        }
    }
}

impl ModelRow {
    pub(super) const fn model(&self) -> &Model {
        &self.listed.model
    }
}

impl Row for ModelRow {
    type Cursor = Place;

    const COLUMNS: &'static [Column] = &[
        words("ALIAS", 14, 26, 0),
        words("PROVIDER", 9, 14, 1),
        words("UPSTREAM", 12, 26, 5),
        numbers("IN $/M", 7, 1),
        numbers("OUT $/M", 8, 1),
        words("PRICE", 10, 12, 2),
        numbers("15 MIN", 6, 3),
        words("FALLBACKS", 9, 24, 4),
        words("GROUPS", 8, 20, 6),
        numbers("OUTPUT", 7, 7),
        numbers("WEIGHT", 6, 8),
        numbers("READ $/M", 8, ONLY_WIDE),
        numbers("WRITE $/M", 9, ONLY_WIDE),
        words("CHANGED", 10, 19, ONLY_WIDE),
    ];

    fn cursor(&self) -> Place {
        self.place.clone()
    }

    fn id(&self) -> String {
        self.model().alias.to_string()
    }

    fn cells(&self, context: &Context) -> Vec<Cell> {
        let (model, theme) = (self.model(), &context.theme);
        let unit = model.price().map(|price| price.base().unit);
        let price = |of: fn(&tollgate_common::price::UnitPrices) -> PicoUsd| {
            let shown = unit.as_ref().map(|unit| per_million(of(unit)));
            Cell::from(shown.unwrap_or_else(|| "-".to_owned()))
        };
        let origin = Origin::of(model);
        let provider = if self.has_provider {
            cell(model.provider.to_string(), theme.text)
        } else {
            cell(format!("! {}", model.provider), theme.bad)
        };
        let output = model.output_tokens_max();
        vec![
            self.id().into(),
            provider,
            model.upstream_model.clone().into(),
            price(|unit| unit.input),
            price(|unit| unit.output),
            cell(origin.short(context.now), origin.style(context)),
            format::count(self.calls).into(),
            joined(model.fallbacks.iter().map(|fallback| &fallback.alias)).into(),
            joined(self.listed.groups.iter()).into(),
            output.map_or_else(|| "-".into(), |tokens| format::number(tokens).into()),
            model.weight.to_string().into(),
            price(|unit| unit.cache_read),
            price(|unit| unit.cache_write),
            format::moment(self.listed.updated_at).into(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        let model = self.model();
        let price = model.price();
        let unit = price.map(|price| price.base().unit);
        let dollars = |picos: PicoUsd| picos.0 as f64 / 1_000_000.0;
        json!({
            "alias": model.alias,
            "provider": model.provider,
            "upstream_model": model.upstream_model,
            "input_price": unit.map(|unit| dollars(unit.input)),
            "output_price": unit.map(|unit| dollars(unit.output)),
            "cache_read_price": unit.map(|unit| dollars(unit.cache_read)),
            "cache_write_price": unit.map(|unit| dollars(unit.cache_write)),
            "price_version": price.map(|price| price.version()),
            "max_output_tokens": model.output_tokens_max(),
            "weight": model.weight,
            "timeout_ms": model.timeout.map(|timeout| timeout.as_millis() as u64),
            "fallbacks": model.fallbacks,
            "groups": self.listed.groups,
            "calls_15m": self.calls,
        })
    }
}

/// Names with commas between them; a dash for none.
pub(super) fn joined<T: ToString>(names: impl Iterator<Item = T>) -> String {
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    if names.is_empty() {
        "-".to_owned()
    } else {
        names.join(", ")
    }
}
