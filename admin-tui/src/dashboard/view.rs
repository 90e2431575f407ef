//! How the dashboard looks: header, tabs, the screen, the status line and the keys that work now.
//! Nothing is changed by being drawn.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use tollgate_common::role::Role;
use unicode_width::UnicodeWidthStr as _;

use super::context::{Class, Context, Link};
use super::format;
use super::keys::{Action, Binding, EVERYWHERE};
use super::model::Model;
use super::step::Tone;
use super::tab::Tab;
use super::widgets::pane::{line, pane, rows};

/// Screens that have at least so many lines show the tabs.
const TABS_FROM: u16 = 20;

/// Draws everything; says where the terminal's cursor belongs.
pub(crate) fn view(model: &Model, buffer: &mut Buffer) -> Option<Position> {
    let area = buffer.area;
    let context = &model.context;
    if Class::of(area.as_size()) == Class::Tiny {
        draw_tiny(area, buffer, context);
        return None;
    }
    let tabs_height = u16::from(area.height >= TABS_FROM);
    let header = Rect { height: 1, ..area };
    let body = Rect {
        y: 1 + tabs_height,
        height: area.height - 3 - tabs_height,
        ..area
    };
    draw_header(header, buffer, model);
    if tabs_height > 0 {
        draw_tabs(Rect { y: 1, ..header }, buffer, model);
    }
    if let Some(screen) = model.screen() {
        screen.draw(body, buffer, context);
    }
    let status = Rect {
        y: area.height - 2,
        ..header
    };
    draw_status(status, buffer, model);
    let hints = Rect {
        y: area.height - 1,
        ..header
    };
    draw_hints(hints, buffer, model);
    let mut cursor = None;
    for window in &model.windows {
        cursor = window.item.draw(body, buffer, context);
    }
    cursor
}

fn draw_tiny(area: Rect, buffer: &mut Buffer, context: &Context) {
    let size = format!("Terminal too small: {} x {}", area.width, area.height);
    let least = Class::LEAST;
    let texts = [
        size,
        format!("Needs at least {} x {}", least.width, least.height),
        "Resize, or q to quit.".to_owned(),
    ];
    for (row, text) in rows(area).zip(texts) {
        line(row.x, row.y, row.right(), buffer, &text, context.theme.text);
    }
}

fn draw_header(area: Rect, buffer: &mut Buffer, model: &Model) {
    let context = &model.context;
    let theme = &context.theme;
    let mut crumbs: Vec<String> = Vec::new();
    if let Some(first) = model.place.first() {
        crumbs.push(first.item.tab().title().to_owned());
    }
    crumbs.extend(model.place.iter().filter_map(|opened| opened.item.crumb()));
    let (freshness, needs_look) = context.freshness();
    let mode = match (context.read_only, context.role) {
        (Some(_), _) | (None, Role::Viewer) => "RO",
        (None, Role::Operator) => "RW operator",
        (None, Role::Owner) => "RW",
    };
    let rights = format!(
        "{}  {mode}  {}  {freshness} ",
        context.environment, context.actor
    );
    let rights = format::cut(&rights, usize::from(area.width) * 2 / 3, "");
    let start = area.right().saturating_sub(rights.width() as u16);
    let style = if needs_look { theme.warn } else { theme.dim };
    line(start, area.y, area.right(), buffer, &rights, style);
    let room = start.saturating_sub(2);
    let x = line(
        area.x + 1,
        area.y,
        room,
        buffer,
        &crumbs.join(" > "),
        theme.title,
    );
    if let Some(filter) = model.screen().and_then(|screen| screen.filter()) {
        let shown = format::cut(
            filter,
            usize::from(room.saturating_sub(x + 2)),
            context.charset.ellipsis(),
        );
        line(x + 2, area.y, room, buffer, &shown, theme.accent);
    }
}

fn draw_tabs(area: Rect, buffer: &mut Buffer, model: &Model) {
    let theme = &model.context.theme;
    let here = model.place.first().map(|opened| opened.item.tab());
    let full: usize = Tab::ALL.iter().map(|tab| tab.title().len() + 4).sum();
    let is_roomy = usize::from(area.width) > full;
    let mut x = area.x + 1;
    for tab in Tab::ALL {
        let name = if is_roomy { tab.title() } else { tab.short() };
        let style = if here == Some(tab) {
            theme.focus
        } else {
            theme.dim
        };
        let text = format!("{} {name}", tab.digit());
        x = line(x, area.y, area.right(), buffer, &text, style) + if is_roomy { 2 } else { 1 };
    }
}

fn draw_status(area: Rect, buffer: &mut Buffer, model: &Model) {
    let context = &model.context;
    let theme = &context.theme;
    let (text, style) = match (&model.toast, model.screen()) {
        (Some(toast), _) => {
            let style = match toast.tone {
                Tone::Good => theme.good,
                Tone::Warn => theme.warn,
                Tone::Bad => theme.bad,
            };
            (toast.text.clone(), style)
        }
        (None, Some(screen)) => (screen.status(context), theme.dim),
        (None, None) => (String::new(), theme.dim),
    };
    let room = usize::from(area.width.saturating_sub(2));
    let text = format::cut(&text, room, context.charset.ellipsis());
    line(area.x + 1, area.y, area.right(), buffer, &text, style);
}

fn draw_hints(area: Rect, buffer: &mut Buffer, model: &Model) {
    let context = &model.context;
    let theme = &context.theme;
    let window = model.windows.last();
    let hints: Vec<(String, &str, bool)> = match (window, model.screen()) {
        (Some(window), _) => {
            let hints = window.item.hints(context).into_iter();
            hints.map(|(key, label)| (key, label, true)).collect()
        }
        (None, Some(screen)) => screen_hints(model, screen.bindings()),
        (None, None) => Vec::new(),
    };
    let always = if window.is_some() { "" } else { "? help" };
    let end = area.right().saturating_sub(always.len() as u16 + 2);
    let mut x = area.x + 1;
    for (key, label, possible) in hints {
        let width = (key.width() + label.width() + 3) as u16;
        if x + width > end {
            break;
        }
        let (key_style, label_style) = if possible {
            (theme.key, theme.text)
        } else {
            (theme.dim, theme.dim)
        };
        x = line(x, area.y, end, buffer, &key, key_style) + 1;
        x = line(x, area.y, end, buffer, label, label_style) + 2;
    }
    line(end + 1, area.y, area.right(), buffer, always, theme.key);
}

fn screen_hints(model: &Model, own: &[Binding]) -> Vec<(String, &'static str, bool)> {
    let general = EVERYWHERE.iter().filter(|binding| {
        matches!(
            binding.action,
            Action::Palette | Action::Menu | Action::Leave
        )
    });
    own.iter()
        .chain(general)
        .map(|binding| {
            let key = model.context.keymap.shown(binding);
            (key, binding.label, model.refusal(binding.action).is_none())
        })
        .collect()
}

/// What stands in a pane whose data has not arrived, if there is something to say.
pub(crate) fn waiting_text(context: &Context) -> &'static str {
    match context.link {
        Link::Connecting => "connecting",
        Link::Live(_) => "loading",
        Link::Offline { .. } => "no data yet; the database cannot be reached",
    }
}

/// A pane that has nothing to show yet.
pub(crate) fn draw_waiting(area: Rect, buffer: &mut Buffer, context: &Context, title: &str) {
    let inside = pane(area, buffer, context, (title, ""), false);
    let text = waiting_text(context);
    line(
        inside.x + 1,
        inside.y,
        inside.right(),
        buffer,
        text,
        context.theme.dim,
    );
}
