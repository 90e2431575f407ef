//! What the dashboard's tests share: a context at a fixed moment, a store that answers from a
//! table, and buffers as text with their styles.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Size;
use ratatui::style::Style;
use tollgate_common::clock::Timestamp;
use tollgate_common::config::Config;
use tollgate_common::db::{Access, Database, migrate};
use tollgate_common::role::Role;

use super::charset::Charset;
use super::clipboard::Clipboard;
use super::context::{Context, Link};
use super::keys::Keymap;
use super::store::Source;
use super::theme::{Theme, ThemeName};
use crate::cli::Options;
use crate::rights::Rights;
use crate::session::Session;

pub(crate) mod installation;
pub(crate) mod stand;

/// 2026-07-01T12:41:11Z: the moment of all tests.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_782_909_671_000_000);

/// A connected administrator who may do everything, at 80x24.
pub(crate) fn context() -> Context {
    Context {
        now: NOW,
        size: Size::new(80, 24),
        theme: Theme::of(ThemeName::Ansi),
        charset: Charset::Ascii,
        keymap: Arc::new(Keymap::default()),
        environment: "prod".to_owned(),
        database: "sqlite:tollgate.db".to_owned(),
        actor: "alice".to_owned(),
        role: Role::Owner,
        read_only: None,
        link: Link::Live(NOW),
        frozen: false,
        clipboard: Clipboard::Terminal,
    }
}

/// A buffer as text: its lines, and below them each run of cells that has a style.
pub(crate) fn dump(buffer: &Buffer) -> String {
    let mut text = String::new();
    let mut runs = Vec::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        let mut line = String::new();
        let mut run: Option<(u16, Style)> = None;
        for x in buffer.area.left()..buffer.area.right() {
            let cell = &buffer[(x, y)];
            line.push_str(cell.symbol());
            let style = cell.style();
            if run.is_none_or(|(_, before)| before != style) {
                runs.extend(run.map(|(start, before)| described(y, start, x, before)));
                run = Some((x, style));
            }
        }
        runs.extend(run.map(|(start, style)| described(y, start, buffer.area.right(), style)));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let plain = described(0, 0, 0, Buffer::empty(buffer.area)[(0, 0)].style());
    let plain = plain.split_once(' ').map(|(_, style)| style.to_owned());
    runs.retain(|run| run.split_once(' ').map(|(_, style)| style.to_owned()) != plain);
    text + &runs.join("\n") + "\n"
}

fn described(y: u16, start: u16, end: u16, style: Style) -> String {
    let colour = |colour: Option<ratatui::style::Color>| {
        colour.map_or_else(|| "-".to_owned(), |colour| colour.to_string())
    };
    let (fg, bg) = (colour(style.fg), colour(style.bg));
    format!("{y}:{start}-{end} {fg} {bg} {:?}", style.add_modifier)
}

/// An empty database with the present schema in a folder, as the dashboard opens it.
pub(crate) async fn source(folder: &Path) -> Source {
    let url = format!("sqlite:{}", folder.join("test.db").display());
    let config = Config {
        database: url.parse().unwrap(),
        ..Config::default()
    };
    let database = Database::connect(&config, Access::Create).await.unwrap();
    migrate::migrate(&database).await.unwrap();
    let options = Options {
        database_url: Some(url),
        actor: Some("alice".to_owned()),
        ..Options::default()
    };
    let rights = Rights::new(&options, None, None, false).unwrap();
    Source {
        session: Session::open(&options, rights).await.unwrap(),
        files: folder.join("state"),
        check: Cell::new(None),
        is_checked: Cell::new(true),
    }
}
