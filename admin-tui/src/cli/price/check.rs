//! `tollgate-admin price check`.

use std::collections::HashMap;

use serde::Serialize;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::price::{import, list as versions};
use tollgate_common::db::{model, provider};
use tollgate_common::id::ModelAlias;
use tollgate_common::model::{Model, ProviderAt};
use tollgate_common::price::import::{MemberMove, differences};
use tollgate_common::price::{CATALOG, ListedPrice, PriceSource, day_of, day_text};

use super::list::source_word;
use super::{condition, distance, factor, factor_cell, figure};
use crate::cli::error::Failure;
use crate::cli::output::{Column, Output, Row, words};
use crate::session::Session;

/// How many imports are told of.
const IMPORTS_SHOWN: i64 = 5;

/// Something about a price that somebody should look at.
#[derive(Debug, Serialize)]
struct Finding {
    /// `no_price`, `stale` or `differs`.
    kind: &'static str,
    model: String,
    /// The factor of the figure that differs most, if both are more than nothing.
    factor: Option<f64>,
    detail: String,
}

impl Row for Finding {
    const COLUMNS: &'static [Column] = &[words("FOUND"), words("MODEL"), words("DETAIL")];

    fn cells(&self) -> Vec<String> {
        vec![
            self.kind.replace('_', " "),
            self.model.clone(),
            self.detail.clone(),
        ]
    }
}

#[derive(Debug, Serialize)]
struct ImportView {
    number: i64,
    format: String,
    file: String,
    imported_at: Timestamp,
    actor: String,
    age_days: i64,
}

#[derive(Debug, Serialize)]
struct CheckView {
    /// After how many days a price is old.
    days: i64,
    catalogue_version: &'static str,
    catalogue_age_days: Option<i64>,
    /// The latest imports, the last one first.
    imports: Vec<ImportView>,
    findings: Vec<Finding>,
}

impl CheckView {
    fn sentences(&self) -> Vec<String> {
        let age = self.catalogue_age_days;
        let age = age.map_or_else(String::new, |age| format!(", {age} day(s) old"));
        let mut lines = vec![format!(
            "Shipped catalogue: {}{age}.",
            self.catalogue_version
        )];
        if self.imports.is_empty() {
            lines.push("Imports: none.".to_owned());
        }
        lines.extend(self.imports.iter().map(|import| {
            format!(
                "Import {}: {} from {}, {} day(s) old, by {}.",
                import.number, import.format, import.file, import.age_days, import.actor
            )
        }));
        lines
    }
}

/// What is known when prices are checked.
struct Check {
    today: i64,
    days: i64,
    set_at: HashMap<ModelAlias, Timestamp>,
}

/// Looks for what somebody should look at.
pub(super) async fn run(session: &Session, output: Output, days: i64) -> Result<(), Failure> {
    let pool = session.database.pool();
    let today = session.now().day();
    let providers = provider::list(pool).await?;
    let models = model::list(pool, &providers).await?;
    let wanted = models.iter().map(|model| {
        let at: ProviderAt = model.provider_at.clone();
        (at, model.upstream_model.clone())
    });
    let wanted: Vec<(ProviderAt, String)> = wanted.collect();
    let listed = versions::in_force(pool, &wanted).await?;
    let check = Check {
        today,
        days,
        set_at: model::own_prices_set(pool).await?,
    };
    let mut findings = Vec::new();
    for (model, listed) in models.iter().zip(listed) {
        let confirmed = match &listed {
            Some(listed) => confirmed_on(session, listed).await?,
            None => None,
        };
        findings.extend(check.findings(model, listed.as_ref(), confirmed));
    }
    let imports = import::latest(pool, IMPORTS_SHOWN).await?;
    let catalogue_day = day_of(CATALOG.version());
    let view = CheckView {
        days,
        catalogue_version: CATALOG.version(),
        catalogue_age_days: catalogue_day.map(|day| today.saturating_sub(day).max(0)),
        imports: imports
            .into_iter()
            .map(|import| ImportView {
                age_days: today.saturating_sub(import.imported_at.day()),
                number: import.number,
                format: import.format,
                file: import.file_name,
                imported_at: import.imported_at,
                actor: import.actor,
            })
            .collect(),
        findings,
    };
    output.table_and_lines(&view.findings, &view.sentences())?;
    output.document_only(&view)?;
    match view.findings.len() {
        0 => Ok(()),
        count => Err(Failure::PriceFindings(count)),
    }
}

/// The day of the latest import that says what a price in force says; of the catalogue its own.
async fn confirmed_on(session: &Session, listed: &ListedPrice) -> Result<Option<i64>, Failure> {
    if listed.source != PriceSource::Imported {
        return Ok(day_of(CATALOG.version()));
    }
    let pool = session.database.pool();
    let all = versions::versions(pool, (&listed.seller, &listed.name)).await?;
    let current = all.into_iter().filter(|version| version.is_current);
    Ok(current.map(|version| version.confirmed_at.day()).max())
}

impl Check {
    fn findings(
        &self,
        model: &Model,
        listed: Option<&ListedPrice>,
        confirmed: Option<i64>,
    ) -> Vec<Finding> {
        let alias = model.alias.to_string();
        let found = |kind, factor, detail| Finding {
            kind,
            model: alias.clone(),
            factor,
            detail,
        };
        let mut findings = Vec::new();
        if model.price().is_none() {
            let detail = "teams charged by cost cannot call it: set one with model set, or import \
                          a list that has it";
            findings.push(found("no_price", None, detail.to_owned()));
        }
        let without = model
            .resolved_by_org
            .iter()
            .filter(|(_, of)| of.price.is_none());
        findings.extend(without.map(|(org, _)| {
            let detail = format!("nobody lists it at the provider that {org} has for itself");
            found("no_price", None, detail)
        }));
        if let Some(detail) = self.stale(model, listed, confirmed) {
            findings.push(found("stale", None, detail));
        }
        if let Some((steps, against)) = against_newest(model, listed, confirmed) {
            let most = steps
                .iter()
                .max_by(|a, b| distance(a).total_cmp(&distance(b)));
            if let Some(most) = most {
                let detail = differs(most, steps.len(), &against);
                findings.push(found("differs", factor(most), detail));
            }
        }
        findings
    }

    /// Says how old a price is, if it is old.
    fn stale(
        &self,
        model: &Model,
        listed: Option<&ListedPrice>,
        confirmed: Option<i64>,
    ) -> Option<String> {
        let age = |day: i64| {
            let age = self.today.saturating_sub(day);
            (age > self.days).then_some(age)
        };
        if model.own_price.is_some() {
            let day = self.set_at.get(&model.alias)?.day();
            let age = age(day)?;
            return Some(format!(
                "its own price was set {age} days ago, {}",
                day_text(day)
            ));
        }
        let (listed, day) = listed.zip(confirmed)?;
        let age = age(day)?;
        let source = source_word(listed.source);
        Some(format!(
            "its {source} price ({}) was last confirmed {age} days ago, {}",
            listed.version,
            day_text(day)
        ))
    }
}

/// How what calls are charged by differs from the newest list, and which list that is.
fn against_newest(
    model: &Model,
    listed: Option<&ListedPrice>,
    confirmed: Option<i64>,
) -> Option<(Vec<MemberMove>, ListedPrice)> {
    let listed = listed?;
    let newer = day_of(CATALOG.version()).filter(|day| {
        listed.source == PriceSource::Imported && confirmed.is_none_or(|on| on < *day)
    });
    let shipped = newer.and_then(|day| CATALOG.exact(&listed.seller, &listed.name, day));
    let newest = shipped.unwrap_or_else(|| listed.clone());
    let charged = model.own_price.as_ref().unwrap_or(&listed.card);
    let steps = differences(charged, &newest.card);
    (!steps.is_empty()).then_some((steps, newest))
}

/// The figure that differs most, in words.
fn differs(most: &MemberMove, count: usize, against: &ListedPrice) -> String {
    let amount = |amount: Option<i64>| {
        amount.map_or_else(
            || "nobody's".to_owned(),
            |amount| figure(most.kind, amount).to_string(),
        )
    };
    let others = match count {
        0 | 1 => String::new(),
        count => format!("; {} other figure(s) differ too", count - 1),
    };
    format!(
        "{} {} is {}, {} {} says {} ({}){others}",
        condition(most.service_tier, most.above_prompt_tokens),
        most.member,
        amount(most.before),
        source_word(against.source),
        against.version,
        amount(most.after),
        factor_cell(most),
    )
}
