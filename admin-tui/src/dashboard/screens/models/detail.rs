//! One model: beside the list, and as a screen of its own with what hangs on it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::db::model::list::Ties;
use tollgate_common::money::PicoUsd;

use super::row::{Origin, joined, per_million, percent, table_age};
use super::{acts, fallbacks};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::screens::Screen;
use crate::dashboard::step::{Slot, Step};
use crate::dashboard::store::models::{Answer as Read, ModelRow, Query as Ask};
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::facts::{self, Fact, fact, styled};
use crate::dashboard::widgets::list::Row as _;
use crate::dashboard::widgets::pane::{line, pane};

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(Action::Price, &["$"], "price"),
    bind(Action::Fallbacks, &["b"], "fallbacks"),
    bind(Action::Edit, &["e"], "edit"),
    bind(Action::Remove, &["D"], "remove"),
    bind(Action::ShowProvider, &["o"], "provider"),
    bind(Action::CopyId, &["y"], "copy alias"),
    bind(Action::CopyRow, &["Y"], "copy as JSON"),
];

const SLOT: Slot = 0;

/// One model as a screen.
#[derive(Debug)]
pub(super) struct ModelDetail {
    row: ModelRow,
    ties: Option<Ties>,
    skip: usize,
    is_gone: bool,
}

impl ModelDetail {
    pub(super) const fn new(row: ModelRow) -> Self {
        Self {
            row,
            ties: None,
            skip: 0,
            is_gone: false,
        }
    }
}

impl Screen for ModelDetail {
    fn tab(&self) -> Tab {
        Tab::Models
    }

    fn crumb(&self) -> Option<String> {
        Some(self.row.id())
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refusal(&self, action: Action, _context: &Context) -> Option<String> {
        if self.is_gone && action.is_change() {
            return Some("the model is gone".to_owned());
        }
        acts::refusal(action, Some(&self.row))
    }

    fn refresh(&mut self, _context: &Context) -> Vec<Step> {
        let ask = Ask::One(self.row.listed.model.alias.clone());
        vec![Step::Load(SLOT, Query::Models(ask))]
    }

    fn receive(&mut self, slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        match answer {
            Answer::Models(Read::One(found)) => {
                self.is_gone = found.is_none();
                if let Some(found) = found {
                    let (row, ties) = *found;
                    self.row = row;
                    self.ties = Some(ties);
                }
                Vec::new()
            }
            Answer::Models(Read::Desk(desk)) => acts::open(slot, &desk),
            _ => Vec::new(),
        }
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        match action {
            Action::Down => self.skip = self.skip.saturating_add(1).min(30),
            Action::Up => self.skip = self.skip.saturating_sub(1),
            Action::Top => self.skip = 0,
            Action::CopyId => return vec![Step::Copy(self.row.id())],
            Action::CopyRow => return vec![Step::Copy(self.row.json().to_string())],
            _ => return acts::act(action, &self.row, context),
        }
        Vec::new()
    }

    fn status(&self, _context: &Context) -> String {
        if self.is_gone {
            "this model is gone".to_owned()
        } else {
            String::new()
        }
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let mut facts = lines(&self.row, context);
        facts.push(fact("", ""));
        match &self.ties {
            Some(ties) => facts.extend(tied(ties)),
            None => facts.push(styled("teams", "loading", context.theme.dim)),
        }
        let inside = pane(area, buffer, context, ("Model", &self.row.id()), false);
        let last = facts.len().saturating_sub(inside.height.into());
        let room = padded(inside);
        facts::draw(room, buffer, context, &facts, self.skip.min(last));
    }
}

/// The room inside a pane with a column free on each side.
pub(super) fn padded(inside: Rect) -> Rect {
    Rect {
        x: inside.x + 1.min(inside.width),
        width: inside.width.saturating_sub(2),
        ..inside
    }
}

/// Draws a model in a pane beside the list.
pub(super) fn draw(area: Rect, buffer: &mut Buffer, context: &Context, row: Option<&ModelRow>) {
    let alias = row.map(ModelRow::id).unwrap_or_default();
    let inside = pane(area, buffer, context, ("Model", &alias), false);
    let room = padded(inside);
    match row {
        Some(row) => facts::draw(room, buffer, context, &lines(row, context), 0),
        None => {
            let text = "nothing is selected";
            line(
                room.x,
                room.y,
                room.right(),
                buffer,
                text,
                context.theme.dim,
            );
        }
    }
}

/// What there is to know of a model itself.
fn lines(row: &ModelRow, context: &Context) -> Vec<Fact> {
    let (model, theme) = (&row.listed.model, &context.theme);
    let provider = if row.has_provider {
        fact("provider", model.provider.to_string())
    } else {
        let text = format!("{}: there is none of this name", model.provider);
        styled("provider", text, theme.bad)
    };
    let mut facts = vec![
        fact("alias", row.id()),
        provider,
        fact("upstream", model.upstream_model.clone()),
    ];
    facts.extend(priced(row, context));
    let output = match (model.own_output_tokens_max, model.output_tokens_max()) {
        (Some(tokens), _) => format!("{} tokens, its own limit", format::number(tokens)),
        (None, Some(tokens)) => format!("{} tokens, shipped table", format::number(tokens)),
        (None, None) => "nobody knows: the request must say".to_owned(),
    };
    let timeout = match model.timeout {
        Some(timeout) => format!("{}, its own", format::span(timeout)),
        None => "the proxy's setting".to_owned(),
    };
    let calls = format::count(row.calls);
    facts.extend([
        fact("longest answer", output),
        fact("time-out", timeout),
        fact("15 minutes", format!("{calls} answered calls")),
        fact("changed", format::moment(row.listed.updated_at)),
        fact("", ""),
    ]);
    if model.fallbacks.is_empty() {
        facts.push(fact("fallbacks", "none: b sets some"));
    } else {
        facts.extend(fallbacks::order_of(
            &model.alias,
            model.weight,
            &model.fallbacks,
        ));
    }
    let groups = if row.listed.groups.is_empty() {
        styled("groups", "none: no team may call it by name", theme.warn)
    } else {
        fact("groups", joined(row.listed.groups.iter()))
    };
    facts.push(groups);
    facts
}

fn priced(row: &ModelRow, context: &Context) -> Vec<Fact> {
    let model = &row.listed.model;
    let origin = Origin::of(model);
    let source = match origin {
        Origin::Own => "its own: $ returns to the shipped table".to_owned(),
        Origin::Imported => {
            let version = model.price().map(|price| price.version().to_owned());
            format!("imported: {}", version.unwrap_or_default())
        }
        Origin::Shipped => {
            let version = tollgate_common::price::CATALOG.version();
            let age = table_age(context.now);
            let age = age.map_or_else(String::new, |age| format!(", {age} old"));
            format!("shipped table of {version}{age}")
        }
        Origin::Nobody => "NO PRICE: teams charged by cost cannot call it".to_owned(),
    };
    let mut facts = vec![styled("price from", source, origin.style(context))];
    if let Some(price) = model.price() {
        let unit = price.base().unit;
        facts.push(fact("in / out", both(unit.input, unit.output)));
        let caches = both(unit.cache_read, unit.cache_write);
        facts.push(fact("cache r / w", caches));
        facts.extend(price.conditions().skip(1).map(|condition| {
            let unit = condition.unit;
            fact(condition.label(), both(unit.input, unit.output))
        }));
    }
    facts
}

fn both(one: PicoUsd, other: PicoUsd) -> String {
    format!("{} / {} per million", per_million(one), per_million(other))
}

/// What hangs on a model.
fn tied(ties: &Ties) -> Vec<Fact> {
    let count = |teams: i64| match teams {
        1 => "1 team".to_owned(),
        teams => format!("{} teams", format::number(teams)),
    };
    let mut facts = vec![
        fact("teams", format!("{} may call it", count(ties.teams()))),
        fact("default of", count(ties.default_of)),
        fact("stands in for", joined(ties.stands_in_for.iter())),
    ];
    facts.extend(
        ties.markups
            .iter()
            .map(|(markup, teams)| fact(format!("markup {}", percent(*markup)), count(*teams))),
    );
    facts
}
