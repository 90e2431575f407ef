use ratatui::layout::Rect;

use super::*;
use crate::dashboard::testing;
use crate::dashboard::theme::{Theme, ThemeName};

const KEY: &str = "sk-AAAAAAAABBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";

/// Makes the same id every time.
#[derive(Debug)]
struct Constant;

impl tollgate_common::clock::Random for Constant {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

fn window() -> KeyWindow {
    KeyWindow::new(
        "acme-search".parse().unwrap(),
        PlainKey::import(KEY, &Constant).unwrap(),
    )
}

fn press(window: &mut KeyWindow, keys: &str) -> Vec<Step> {
    let context = testing::context();
    let keys = keys.split(' ');
    keys.flat_map(|key| window.key(key.parse().unwrap(), &context))
        .collect()
}

fn drawn(window: &KeyWindow, context: &Context, (width, height): (u16, u16)) -> String {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    window.draw(area, &mut buffer, context);
    testing::dump(&buffer)
}

#[test]
fn only_the_typed_word_closes_it() {
    let mut window = window();
    assert!(window.is_stubborn());
    assert!(press(&mut window, "esc q ctrl-c enter").is_empty());
    assert!(window.mistyped);
    assert!(window.paste("saved", &testing::context()).is_empty());
    assert!(
        press(&mut window, "enter").is_empty(),
        "a paste is not typed"
    );
    let steps = press(&mut window, "backspace s a v e d enter");
    assert!(matches!(steps.as_slice(), [Step::Close]), "{steps:?}");
}

#[test]
fn the_key_is_saved_once_and_never_told() {
    let mut window = window();
    let steps = press(&mut window, "ctrl-s ctrl-s");
    let [Step::Change(change)] = steps.as_slice() else {
        panic!("one change: {steps:?}");
    };
    assert!(!format!("{window:?}{change:?}").contains("BBBB"));
    let context = testing::context();
    let failed = Err(Problem::new("state: others may look into this folder"));
    let change = Box::new(Change::new(Operation::Verify, ""));
    window.done(change, &failed, &context);
    assert!(drawn(&window, &context, (80, 20)).contains("NOT saved"));
    assert_eq!(
        press(&mut window, "ctrl-s").len(),
        1,
        "it can be tried again"
    );
}

#[test]
fn it_looks_the_same_wherever_it_is_opened() {
    let mut context = testing::context();
    let mut window = window();
    insta::assert_snapshot!("key_fresh", drawn(&window, &context, (80, 20)));
    context.clipboard = Clipboard::Tmux {
        set_clipboard: "external".to_owned(),
        allow_passthrough: "off".to_owned(),
    };
    press(&mut window, "ctrl-y");
    let saved = Ok(Outcome::good(
        "/home/alice/state/acme-search-AAAAAAAA.key (0600)",
    ));
    window.done(
        Box::new(Change::new(Operation::Verify, "")),
        &saved,
        &context,
    );
    insta::assert_snapshot!("key_in_tmux", drawn(&window, &context, (80, 20)));
    context.theme = Theme::of(ThemeName::Mono);
    press(&mut window, "ctrl-r x enter");
    insta::assert_snapshot!("key_hidden_mono", drawn(&window, &context, (120, 36)));
    insta::assert_snapshot!("key_small", drawn(&window, &context, (60, 12)));
}

#[test]
fn it_is_drawn_at_any_size() {
    let (window, context) = (window(), testing::context());
    for width in 1..90 {
        for height in 1..24 {
            drawn(&window, &context, (width, height));
        }
    }
}
