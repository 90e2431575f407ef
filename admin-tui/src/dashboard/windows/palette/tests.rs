use ratatui::layout::Size;

use super::*;
use crate::dashboard::keys::Action;
use crate::dashboard::memory::SavedFilter;
use crate::dashboard::store::Found;
use crate::dashboard::testing::{context, dump};
use crate::dashboard::theme::{Theme, ThemeName};

fn memory() -> Memory {
    let mut memory = Memory::default();
    memory.remember("jobs".to_owned());
    memory.remember("theme dark".to_owned());
    memory.keep(SavedFilter {
        name: "stuck jobs".to_owned(),
        screen: "jobs".to_owned(),
        text: "status:pending".to_owned(),
    });
    memory
}

fn palette() -> Palette {
    let screen = screens::root(Tab::Audit);
    Palette::new(&*screen, &context(), &memory())
}

fn typed(palette: &mut Palette, text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for character in text.chars() {
        steps = palette.key(Key::plain(KeyCode::Char(character)), &context());
    }
    steps
}

fn press(palette: &mut Palette, code: KeyCode) -> Vec<Step> {
    palette.key(Key::plain(code), &context())
}

#[test]
fn a_screen_is_a_word_away_and_takes_a_filter() {
    let mut palette = palette();
    typed(&mut palette, "jobs");
    let steps = press(&mut palette, KeyCode::Enter);
    assert!(
        matches!(&steps[..], [Step::Close, Step::Remember(text), Step::Go(Tab::Jobs)] if text == "jobs"),
        "{steps:?}"
    );
    typed(&mut palette, " team:acme");
    let steps = press(&mut palette, KeyCode::Enter);
    let [
        Step::Close,
        Step::Remember(line),
        Step::Go(Tab::Jobs),
        Step::Filter(filter, true),
    ] = &steps[..]
    else {
        panic!("{steps:?}");
    };
    assert_eq!(
        (line.as_str(), filter.as_str()),
        ("jobs team:acme", "team:acme")
    );
}

#[test]
fn tab_completes_screens_and_the_words_of_their_filters() {
    let mut palette = palette();
    typed(&mut palette, "audi");
    let _ = press(&mut palette, KeyCode::Tab);
    assert_eq!(palette.field.text(), "audit ");
    typed(&mut palette, "act");
    let _ = press(&mut palette, KeyCode::Tab);
    assert_eq!(palette.field.text(), "audit actor:");
}

#[test]
fn up_recalls_what_was_run_and_down_returns() {
    let mut palette = palette();
    typed(&mut palette, "x");
    for (code, text) in [
        (KeyCode::Up, "theme dark"),
        (KeyCode::Up, "jobs"),
        (KeyCode::Up, "jobs"),
        (KeyCode::Down, "theme dark"),
        (KeyCode::Down, "x"),
    ] {
        let _ = press(&mut palette, code);
        assert_eq!(palette.field.text(), text);
    }
}

#[test]
fn objects_are_searched_for_and_gone_to() {
    let mut palette = palette();
    let steps = typed(&mut palette, "acm");
    assert!(matches!(&steps[..], [Step::Load(0, Query::Search(text))] if text == "acm"));
    let found = Found {
        noun: "team",
        id: "acme".to_owned(),
        label: "Acme".to_owned(),
    };
    let _ = palette.receive(0, Answer::Found(vec![found]), &context());
    let steps = press(&mut palette, KeyCode::Enter);
    assert!(
        matches!(
            &steps[..],
            [
                Step::Close,
                Step::Remember(_),
                Step::Go(Tab::Teams),
                Step::Filter(_, true)
            ]
        ),
        "{steps:?}"
    );
}

#[test]
fn a_virtual_key_is_neither_looked_for_nor_remembered() {
    let mut palette = palette();
    assert!(typed(&mut palette, "sk-live-1234").is_empty());
    let steps = press(&mut palette, KeyCode::Enter);
    assert!(
        !steps.iter().any(|step| matches!(step, Step::Remember(_))),
        "{steps:?}"
    );
}

#[test]
fn saved_filters_are_gone_to_and_forgotten() {
    let mut palette = palette();
    typed(&mut palette, "stuck");
    let steps = press(&mut palette, KeyCode::Enter);
    assert!(
        matches!(&steps[2..], [Step::Go(Tab::Jobs), Step::Filter(text, true)] if text == "status:pending"),
        "{steps:?}"
    );
    let steps = press(&mut palette, KeyCode::Delete);
    assert!(matches!(&steps[..], [Step::ForgetFilter(name)] if name == "stuck jobs"));
    assert!(!palette.is_at_saved());
}

#[test]
fn what_cannot_be_done_says_why_and_stays_open() {
    let mut palette = palette();
    typed(&mut palette, "what was changed");
    let steps = press(&mut palette, KeyCode::Enter);
    assert!(
        matches!(&steps[..], [Step::Say(Tone::Warn, why)] if why.contains("nothing is selected")),
        "{steps:?}"
    );
    let disabled = |proposal: &&Proposal| proposal.choice == Choice::Act(Action::ShowObject);
    assert!(palette.shown.iter().any(|proposal| disabled(&proposal)));
}

#[test]
fn the_palette_looks_like_this() {
    for (name, width, height, theme) in [
        ("80x24", 80, 24, ThemeName::Ansi),
        ("120x40", 120, 40, ThemeName::Ansi),
        ("200x60", 200, 60, ThemeName::Ansi),
        ("mono", 80, 24, ThemeName::Mono),
    ] {
        let mut palette = palette();
        typed(&mut palette, "e");
        let context = Context {
            size: Size::new(width, height),
            theme: Theme::of(theme),
            ..context()
        };
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        let _ = palette.draw(area, &mut buffer, &context);
        insta::assert_snapshot!(format!("palette_{name}"), dump(&buffer));
    }
    for (width, height) in [(1, 1), (5, 3), (61, 16), (300, 100)] {
        let area = Rect::new(0, 0, width, height);
        let _ = palette().draw(area, &mut Buffer::empty(area), &context());
    }
}
