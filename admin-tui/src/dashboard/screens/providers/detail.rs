//! One provider: beside the list, and as a screen of its own with its keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::clock::Timestamp;

use super::row::{KeyRow, hint, rest_words};
use super::{LOOK, acts};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::screens::Screen;
use crate::dashboard::step::{Slot, Step};
use crate::dashboard::store::providers::{Answer as Read, ProviderRow, Query as Ask};
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::facts::{self, Fact, fact, styled};
use crate::dashboard::widgets::list::{List, Page, Row as _};
use crate::dashboard::widgets::pane::{line, pane};

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(Action::AddCredential, &["a"], "add key"),
    bind(Action::Test, &["t"], "test key"),
    bind(Action::Enable, &["p"], "enable, disable key"),
    bind(Action::Rotate, &["R"], "rotate"),
    bind(Action::RemoveCredential, &["D"], "remove key"),
    bind(Action::Edit, &["e"], "settings"),
    bind(Action::ShowModels, &["o"], "models"),
];

/// One provider with its keys, as a screen.
#[derive(Debug)]
pub(super) struct ProviderDetail {
    provider: ProviderRow,
    keys: List<KeyRow>,
    is_gone: bool,
}

impl ProviderDetail {
    pub(super) fn new(provider: ProviderRow) -> Self {
        let mut keys = List::default();
        keys.receive(Page::whole(KeyRow::of(&provider)));
        Self {
            provider,
            keys,
            is_gone: false,
        }
    }
}

impl Screen for ProviderDetail {
    fn tab(&self) -> Tab {
        Tab::Providers
    }

    fn crumb(&self) -> Option<String> {
        Some(self.provider.name())
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refusal(&self, action: Action, _context: &Context) -> Option<String> {
        if self.is_gone && (action.is_change() || action == Action::Test) {
            return Some("the provider is gone".to_owned());
        }
        acts::key_refusal(action, self.keys.current())
    }

    fn refresh(&mut self, _context: &Context) -> Vec<Step> {
        let ask = Ask::One(self.provider.listed.provider.clone());
        vec![Step::Load(0, Query::Providers(ask))]
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        if let Answer::Providers(Read::One(found)) = answer {
            self.is_gone = found.is_none();
            if let Some(provider) = found {
                self.keys.receive(Page::whole(KeyRow::of(&provider)));
                self.provider = *provider;
            }
        }
        Vec::new()
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        if self.keys.act(action).is_some() {
            return Vec::new();
        }
        let (provider, key) = (&self.provider, self.keys.current());
        match (action, key) {
            (Action::Test, key) => acts::test(provider, key),
            (Action::Enable, Some(key)) => vec![acts::enable_key(provider, key, context)],
            (Action::RemoveCredential, Some(key)) => {
                let confirm = acts::remove_key(provider, key, context);
                vec![Step::Open(Box::new(confirm))]
            }
            (Action::CopyId, Some(key)) => vec![Step::Copy(key.id())],
            (Action::CopyRow, Some(key)) => vec![Step::Copy(key.json().to_string())],
            _ => acts::act(action, provider, context),
        }
    }

    fn next_look(&self, context: &Context) -> Option<Timestamp> {
        Some(context.now.plus(LOOK))
    }

    fn status(&self, _context: &Context) -> String {
        if self.is_gone {
            "this provider is gone".to_owned()
        } else {
            self.keys.status()
        }
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let lines = lines(&self.provider, context);
        let most = area.height.saturating_sub(5).min(lines.len() as u16 + 2);
        let top = Rect {
            height: most,
            ..area
        };
        let health = self.provider.health();
        let title = format!("Provider {}", self.provider.name());
        let inside = pane(top, buffer, context, (&title, health.word()), false);
        facts::draw(padded(inside), buffer, context, &lines, 0);
        let below = Rect {
            y: area.y + most,
            height: area.height - most,
            ..area
        };
        let position = self.keys.position();
        let inside = pane(below, buffer, context, ("Keys", &position), true);
        let empty = "no keys: a adds one";
        let rests = self.rests(context);
        let list_height = (self.keys.rows().len() as u16 + 1)
            .max(2)
            .min(inside.height);
        let room = Rect {
            height: list_height,
            ..inside
        };
        self.keys.draw(room, buffer, context, empty);
        let rest = Rect {
            y: inside.y.saturating_add(list_height + 1),
            height: inside.height.saturating_sub(list_height + 1),
            ..inside
        };
        facts::draw(padded(rest), buffer, context, &rests, 0);
    }
}

impl ProviderDetail {
    /// How the key under the cursor rests on each node.
    fn rests(&self, context: &Context) -> Vec<Fact> {
        let Some(key) = self.keys.current() else {
            return Vec::new();
        };
        let mut facts: Vec<Fact> = key
            .rests
            .iter()
            .map(|rest| {
                let label = format!("{} on node {}", hint(&key.key, context), rest.node);
                styled(label, rest_words(rest, context), context.theme.warn)
            })
            .collect();
        if !facts.is_empty() {
            let text = "a breaker is a node's own: it closes by itself once a call succeeds";
            facts.push(styled("", text, context.theme.dim));
        }
        facts
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

/// Draws a provider in a pane beside the list.
pub(super) fn draw(area: Rect, buffer: &mut Buffer, context: &Context, row: Option<&ProviderRow>) {
    let health = row.map(|row| row.health().word()).unwrap_or_default();
    let inside = pane(area, buffer, context, ("Provider", health), false);
    let room = padded(inside);
    let Some(row) = row else {
        let text = "nothing is selected";
        line(
            room.x,
            room.y,
            room.right(),
            buffer,
            text,
            context.theme.dim,
        );
        return;
    };
    let mut facts = lines(row, context);
    facts.push(fact("", ""));
    for key in KeyRow::of(row) {
        let label = hint(&key.key, context);
        let word = if key.key.enabled {
            "enabled"
        } else {
            "disabled"
        };
        let age = format::age(key.key.created_at, context.now);
        facts.push(fact(
            format!("key {label}"),
            format!("{word}, stored {age} ago"),
        ));
        facts.extend(key.rests.iter().map(|rest| {
            let text = format!("{}: {}", rest.node, rest_words(rest, context));
            styled("", text, context.theme.warn)
        }));
    }
    facts::draw(room, buffer, context, &facts, 0);
}

/// What there is to know of a provider beside its keys.
fn lines(row: &ProviderRow, context: &Context) -> Vec<Fact> {
    let (listed, theme) = (&row.listed, &context.theme);
    let health = row.health();
    let org = listed.provider.org_id.as_ref();
    let status = if listed.enabled {
        "enabled"
    } else {
        "disabled"
    };
    let nodes = match (row.nodes, row.nodes_known) {
        (_, 0) => "none has told anything yet".to_owned(),
        (fresh, known) => format!("{fresh} of {known} have told of it just now"),
    };
    let url_style = if listed.base_url.is_tls() {
        theme.text
    } else {
        theme.warn
    };
    let traffic = format!(
        "{} tries, {} failed ({}), p95 {}",
        format::count(row.traffic.tries),
        format::count(row.traffic.failures),
        row.error_share(),
        row.p95()
    );
    let mut facts = vec![styled("health", health.word(), health.style(theme))];
    if !health.meaning().is_empty() {
        facts.push(fact("", health.meaning()));
    }
    let passed = &listed.pass_fields;
    facts.extend([
        fact("kind", format!("{}, {status}", listed.kind.word())),
        styled("base URL", listed.base_url.to_string(), url_style),
        fact(
            "for",
            org.map_or_else(|| "all".to_owned(), ToString::to_string),
        ),
        fact(
            "models",
            format!("{} name it", format::number(listed.models)),
        ),
        fact("last 15 min", traffic),
        fact("", "of all providers of this name together"),
        fact("nodes", nodes),
        fact("changed", format::moment(listed.updated_at)),
    ]);
    if !passed.is_empty() {
        facts.push(styled("passes", passed.to_string(), theme.warn));
    }
    facts
}
