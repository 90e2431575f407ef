use crossterm::event::KeyCode;
use ratatui::layout::Size;
use serde_json::json;
use tollgate_common::clock::SystemRandom;
use tollgate_common::id::AuditId;

use super::diff::{Difference, differences};
use super::*;
use crate::dashboard::keys::Key;
use crate::dashboard::testing::{NOW, context, dump};
use crate::dashboard::theme::{Theme, ThemeName};
use crate::dashboard::widgets::list::Page;

fn record(seconds: u64, action: &str, target: &str) -> AuditRecord {
    let at = NOW.minus(std::time::Duration::from_secs(seconds));
    AuditRecord {
        id: AuditId::new(at, &SystemRandom),
        at,
        actor: "alice".to_owned(),
        action: action.to_owned(),
        target: target.to_owned(),
        detail: "{}".to_owned(),
        reason: None,
        origin: None,
        before: None,
    }
}

fn records() -> Vec<AuditRecord> {
    let suspended = AuditRecord {
        detail: json!({ "status": "suspended", "until": null }).to_string(),
        before: Some(json!({ "status": "active", "until": null }).to_string()),
        reason: Some(
            "chargeback dispute #4411, see the mail of the bank of this morning".to_owned(),
        ),
        origin: Some("203.0.113.9".to_owned()),
        ..record(12, "team.suspend", "team:beta-voice")
    };
    let priced = AuditRecord {
        actor: "bob".to_owned(),
        detail: json!({
            "provider": null, "weight": 70, "price": { "input": 500, "output": 2_000 },
            "fallbacks": [{ "alias": "backup", "priority": 1, "weight": 1 }],
        })
        .to_string(),
        before: Some(
            json!({ "weight": 1, "price": { "input": 450, "output": 2_000 }, "fallbacks": [] })
                .to_string(),
        ),
        ..record(3_700, "model.set", "model:fast")
    };
    let removed = AuditRecord {
        before: Some(json!({ "base_url": "https://llm.example/v1" }).to_string()),
        ..record(90_000, "provider.remove", "provider:old")
    };
    vec![
        suspended,
        priced,
        record(5_000, "key.revoke", "key:Q7hP0c9s"),
        removed,
        record(40_000_000, "group.create", "group:standard"),
    ]
}

fn screen() -> Audit {
    let mut screen = Audit::default();
    let page = Page::whole(records());
    let answer = Answer::Audit(Read::Page(page));
    assert!(screen.receive(LIST, answer, &context()).is_empty());
    screen
}

fn frame(screen: &dyn Screen, context: &Context) -> String {
    let area = Rect::new(0, 0, context.size.width, context.size.height);
    let mut buffer = Buffer::empty(area);
    screen.draw(area, &mut buffer, context);
    dump(&buffer)
}

fn sized(width: u16, height: u16) -> Context {
    Context {
        size: Size::new(width, height),
        ..context()
    }
}

#[test]
fn changes_look_like_this() {
    let screen = screen();
    insta::assert_snapshot!("list_80x24", frame(&screen, &sized(80, 24)));
    insta::assert_snapshot!("list_120x40", frame(&screen, &sized(120, 40)));
    insta::assert_snapshot!("list_200x60", frame(&screen, &sized(200, 60)));
    let mono = Context {
        theme: Theme::of(ThemeName::Mono),
        ..sized(120, 40)
    };
    insta::assert_snapshot!("list_mono", frame(&screen, &mono));
    let detail = detail::Detail::new(records()[1].clone());
    insta::assert_snapshot!("detail_80x24", frame(&detail, &sized(80, 24)));
}

#[test]
fn no_size_is_too_small() {
    let screen = screen();
    for (width, height) in [
        (1, 1),
        (3, 2),
        (10, 3),
        (59, 14),
        (61, 16),
        (101, 31),
        (300, 100),
    ] {
        let _ = frame(&screen, &sized(width, height));
        let detail = detail::Detail::new(records()[0].clone());
        let _ = frame(&detail, &sized(width, height));
    }
}

#[test]
fn settings_are_shown_as_they_were_and_are() {
    let detail = json!({
        "name": null, "limits": { "parallel_calls": "none", "tokens_per_minute": null },
        "credits": 5_000, "reason": "x",
    });
    let before = json!({ "limits": { "parallel_calls": 20 } });
    let difference = |label: &str, before: Option<&str>, after: Option<&str>| Difference {
        label: label.to_owned(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
    };
    let expected = [
        difference("credits", None, Some("5,000")),
        difference("parallel calls", Some("20"), Some("none")),
    ];
    assert_eq!(differences(&detail, &before), expected);
}

#[test]
fn enter_opens_the_change_and_then_its_object() {
    let mut screen = screen();
    let opened = screen.act(Action::Open, &sized(80, 24));
    assert!(matches!(opened.as_slice(), [Step::Push(_)]), "{opened:?}");
    let opened = screen.act(Action::Open, &sized(120, 40));
    let [Step::Go(Tab::Teams), Step::Filter(text, true)] = opened.as_slice() else {
        panic!("{opened:?}");
    };
    assert!(text.contains("beta-voice"), "{text}");
    let action = context()
        .keymap
        .action(BINDINGS, Key::plain(KeyCode::Char('o')));
    assert_eq!(action, Some(Action::ShowObject));
    let _ = screen.act(Action::Bottom, &context());
    let refusal = screen.refusal(Action::ShowObject, &context());
    assert!(refusal.unwrap().contains("no place"));
    let _ = screen.act(Action::Up, &context());
    let refusal = screen.refusal(Action::ShowObject, &context());
    assert!(refusal.unwrap().contains("removed"));
}

#[test]
fn a_filter_is_asked_for_once_and_an_unknown_word_is_named() {
    let mut screen = screen();
    let asked = screen.set_filter("actor:bob since:1h", &context()).unwrap();
    assert!(matches!(
        asked.as_slice(),
        [Step::Load(LIST, Query::Audit(_))]
    ));
    assert!(
        screen
            .set_filter("actor:bob since:1h", &context())
            .unwrap()
            .is_empty()
    );
    let why = screen.set_filter("user:bob", &context()).unwrap_err();
    assert!(why.contains("actor, action, target, since, until"), "{why}");
    assert_eq!(
        screen.complete_filter("action:team"),
        ["action:team.suspend"]
    );
    assert_eq!(Screen::filter(&screen), Some("actor:bob since:1h"));
}

#[test]
fn the_log_is_saved_as_it_is_filtered() {
    let mut screen = screen();
    let _ = screen.set_filter("actor:bob", &context());
    let steps = screen.act(Action::Export, &context());
    let [Step::Change(change)] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    let Operation::Export(export) = &change.operation else {
        panic!("{change:?}");
    };
    assert_eq!(
        (export.noun, export.filter.as_str()),
        ("audit", "actor:bob")
    );
}
