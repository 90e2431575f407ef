//! One key: beside the list, or as a screen of its own.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::clock::Timestamp;

use super::{acts, row};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::screens::Screen;
use crate::dashboard::step::{Slot, Step};
use crate::dashboard::store::keys::{Answer as Read, KeyRow, Query as Ask};
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::facts::{self, Fact, fact, styled};
use crate::dashboard::widgets::list::Row as _;
use crate::dashboard::widgets::pane::{line, pane};

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(Action::Rotate, &["R"], "rotate"),
    bind(Action::Revoke, &["D"], "revoke"),
    bind(Action::Edit, &["e"], "edit"),
    bind(Action::Limits, &["l"], "limits"),
    bind(Action::ShowCredits, &["$"], "credits of the team"),
    bind(Action::CopyId, &["y"], "copy id"),
    bind(Action::CopyRow, &["Y"], "copy as JSON"),
];

/// One key as a screen.
#[derive(Debug)]
pub(super) struct KeyDetail {
    key: KeyRow,
    is_gone: bool,
}

impl KeyDetail {
    pub(super) const fn new(key: KeyRow) -> Self {
        Self {
            key,
            is_gone: false,
        }
    }
}

impl Screen for KeyDetail {
    fn tab(&self) -> Tab {
        Tab::Keys
    }

    fn crumb(&self) -> Option<String> {
        Some(self.key.id())
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refusal(&self, action: Action, context: &Context) -> Option<String> {
        if self.is_gone && action.is_change() {
            return Some("the key is gone".to_owned());
        }
        acts::refusal(action, &[&self.key], context)
    }

    fn refresh(&mut self, _context: &Context) -> Vec<Step> {
        let ask = Ask::One(self.key.listed.key.id.clone());
        vec![Step::Load(0, Query::Keys(ask))]
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        if let Answer::Keys(Read::One(found)) = answer {
            self.is_gone = found.is_none();
            if let Some(key) = found {
                self.key = *key;
            }
        }
        Vec::new()
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        match action {
            Action::CopyId => vec![Step::Copy(self.key.id())],
            Action::CopyRow => vec![Step::Copy(self.key.json().to_string())],
            _ => acts::act(action, &[&self.key], context),
        }
    }

    fn next_look(&self, context: &Context) -> Option<Timestamp> {
        Some(row::next_look(context))
    }

    fn status(&self, _context: &Context) -> String {
        if self.is_gone {
            "this key is gone".to_owned()
        } else {
            String::new()
        }
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        draw(area, buffer, context, Some(&self.key));
    }
}

/// Draws a key in a pane.
pub(super) fn draw(area: Rect, buffer: &mut Buffer, context: &Context, key: Option<&KeyRow>) {
    let status = key.map(|key| key.status(context.now)).unwrap_or_default();
    let inside = pane(area, buffer, context, ("Key", status), false);
    let Some(key) = key else {
        let text = "nothing is selected";
        line(
            inside.x + 1,
            inside.y,
            inside.right(),
            buffer,
            text,
            context.theme.dim,
        );
        return;
    };
    let room = Rect {
        x: inside.x + 1.min(inside.width),
        width: inside.width.saturating_sub(2),
        ..inside
    };
    facts::draw(room, buffer, context, &lines(key, context), 0);
}

/// What there is to know of a key.
pub(super) fn lines(row: &KeyRow, context: &Context) -> Vec<Fact> {
    let (key, now, theme) = (&row.listed.key, context.now, &context.theme);
    let limit = |limit: Option<i64>| limit.map_or_else(|| "none".to_owned(), format::number);
    let use_style = if row.is_in_use(now) {
        theme.good
    } else {
        theme.text
    };
    let mut facts = vec![
        fact("key", format!("sk-{}...", key.id)),
        fact("team", key.team_id.to_string()),
        fact("label", key.label.clone().unwrap_or_else(|| "-".to_owned())),
        fact("status", row.status(now)),
        styled("last used", row.last_use(now), use_style),
    ];
    if let Some(at) = row.listed.used_at {
        facts.push(fact("", format::moment(at)));
    }
    facts.push(fact("made", format::moment(key.created_at)));
    facts.push(fact("ends", row.end(now)));
    if let Some(at) = key.expires_at {
        facts.push(fact("", format::moment(at)));
    }
    if let Some(at) = key.revoked_at {
        facts.push(styled("revoked", format::moment(at), theme.warn));
    }
    if let Some(successor) = &row.listed.successor {
        facts.push(fact("successor", successor.to_string()));
    }
    facts.extend([
        fact("calls/min", limit(key.limits.requests_per_minute)),
        fact("tokens/min", limit(key.limits.tokens_per_minute)),
        fact("parallel", limit(key.limits.parallel_calls)),
        fact("", "within those of the team"),
        fact("secret", "stored as a hash only"),
    ]);
    facts
}
