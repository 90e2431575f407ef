use std::time::Duration;

use ratatui::layout::Size;
use tollgate_common::clock::Timestamp;
use tollgate_common::command::Command;
use tollgate_common::db::key::ListedKey;
use tollgate_common::filter::Bind;
use tollgate_common::id::KeyId;
use tollgate_common::key::{KeyHash, VirtualKey};
use tollgate_common::limit::Limits;

use super::*;
use crate::dashboard::testing::{self, NOW};
use crate::dashboard::theme::{Theme, ThemeName};
use crate::dashboard::widgets::list::Page;
use crate::dashboard::windows::Window;

fn key(id: &str, team: &str, label: Option<&str>, used: Option<Duration>) -> KeyRow {
    let created_at = NOW.minus(Duration::from_hours(24 * 40));
    let key = VirtualKey {
        id: KeyId::new(id),
        team_id: team.parse().unwrap(),
        label: label.map(str::to_owned),
        hash: KeyHash::of(id),
        limits: Limits::default(),
        expires_at: None,
        revoked_at: None,
        created_at,
    };
    KeyRow {
        place: vec![
            Bind::Number(created_at.as_micros()),
            Bind::Text(id.to_owned()),
        ],
        listed: ListedKey {
            key,
            used_at: used.map(|ago| NOW.minus(ago)),
            successor: None,
        },
    }
}

fn keys() -> Vec<KeyRow> {
    let minutes = |m| Some(Duration::from_mins(m));
    let mut rows = vec![
        key("aaaaaaaa", "acme-search", Some("ci-batch"), minutes(2)),
        key("bbbbbbbb", "acme-search", None, minutes(70)),
        key("cccccccc", "beta-voice", Some("mobile app"), None),
        key("dddddddd", "zeta", Some("old"), minutes(60 * 24 * 30)),
        key("eeeeeeee", "zeta", Some("web"), minutes(5_000)),
    ];
    rows[1].listed.key.limits.requests_per_minute = Some(1_200);
    rows[1].listed.key.expires_at = Some(NOW.plus(Duration::from_hours(24 * 3)));
    rows[1].listed.successor = Some(KeyId::new("ffffffff"));
    rows[3].listed.key.revoked_at = Some(NOW.minus(Duration::from_hours(50)));
    rows[4].listed.key.expires_at = Some(NOW.minus(Duration::from_hours(5)));
    rows
}

fn screen() -> Keys {
    let mut screen = Keys::default();
    let page = Page::whole(keys());
    screen.receive(LIST, Answer::Keys(Read::Page(page)), &testing::context());
    screen
}

fn sized(width: u16, height: u16) -> Context {
    Context {
        size: Size::new(width, height),
        ..testing::context()
    }
}

fn drawn(screen: &dyn Screen, context: &Context) -> String {
    let area = Rect::new(
        0,
        0,
        context.size.width,
        context.size.height.saturating_sub(4),
    );
    let mut buffer = Buffer::empty(area);
    screen.draw(area, &mut buffer, context);
    testing::dump(&buffer)
}

fn window_drawn(window: &dyn Window, context: &Context) -> String {
    let area = Rect::new(
        0,
        0,
        context.size.width,
        context.size.height.saturating_sub(4),
    );
    let mut buffer = Buffer::empty(area);
    window.draw(area, &mut buffer, context);
    testing::dump(&buffer)
}

/// The window that an action opens.
fn opened(screen: &mut Keys, action: Action) -> Box<dyn Window> {
    let steps = screen.act(action, &testing::context());
    match steps.into_iter().next() {
        Some(Step::Open(window)) => window,
        other => panic!("a window: {other:?}"),
    }
}

fn press(window: &mut dyn Window, keys: &str) -> Vec<Step> {
    let context = Context {
        now: NOW.plus(Duration::from_secs(5)),
        ..testing::context()
    };
    let keys = keys.split(' ');
    keys.flat_map(|key| window.key(key.parse().unwrap(), &context))
        .collect()
}

/// The change in a list of steps.
fn change(steps: Vec<Step>) -> Change {
    match steps.into_iter().next_back() {
        Some(Step::Change(change)) => *change,
        other => panic!("a change: {other:?}"),
    }
}

#[test]
fn it_looks_good_at_every_size() {
    let screen = screen();
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let name = format!("keys_{width}x{height}");
        insta::assert_snapshot!(name, drawn(&screen, &sized(width, height)));
    }
    let mut mono = sized(120, 40);
    mono.theme = Theme::of(ThemeName::Mono);
    insta::assert_snapshot!("keys_mono", drawn(&screen, &mono));
    insta::assert_snapshot!("keys_loading", drawn(&Keys::default(), &sized(80, 24)));
    let detail = detail::KeyDetail::new(keys().swap_remove(1));
    insta::assert_snapshot!("keys_detail", drawn(&detail, &sized(80, 24)));
}

#[test]
fn its_windows_say_what_will_happen() {
    let context = sized(80, 24);
    let mut screen = screen();
    let mut rotate = opened(&mut screen, Action::Rotate);
    insta::assert_snapshot!("rotate", window_drawn(&*rotate, &context));
    let steps = press(&mut *rotate, "left left left enter");
    let [Step::Close, Step::Open(confirm)] = steps.as_slice() else {
        panic!("the question follows: {steps:?}");
    };
    insta::assert_snapshot!("rotate_now", window_drawn(&**confirm, &context));
    let revoke = opened(&mut screen, Action::Revoke);
    insta::assert_snapshot!("revoke", window_drawn(&*revoke, &context));
    let new = opened(&mut screen, Action::New);
    insta::assert_snapshot!("new", window_drawn(&*new, &context));
}

/// The question that follows the choice of an overlap.
fn question(screen: &mut Keys, overlap: &str) -> Box<dyn Window> {
    let mut rotate = opened(screen, Action::Rotate);
    match press(&mut *rotate, &format!("{overlap} enter")).pop() {
        Some(Step::Open(window)) => window,
        other => panic!("a question: {other:?}"),
    }
}

#[test]
fn a_key_in_use_is_not_ended_at_once_without_typing_its_name() {
    let mut screen = screen();
    let mut confirm = question(&mut screen, "left left left");
    confirm.open(&testing::context());
    assert!(press(&mut *confirm, "tab tab y").is_empty());
    let steps = press(&mut *confirm, "a a a a a a a a tab w h y tab y");
    let Operation::RotateKey { id, ends_at } = change(steps).operation else {
        panic!("a rotation");
    };
    assert_eq!(
        (id.as_str(), ends_at),
        (
            "aaaaaaaa",
            testing::context().now.plus(Duration::from_secs(5))
        )
    );
}

#[test]
fn an_overlap_needs_no_name_and_never_outlives_the_key() {
    let mut screen = screen();
    let mut confirm = question(&mut screen, "right");
    confirm.open(&testing::context());
    let Operation::RotateKey { ends_at, .. } = change(press(&mut *confirm, "tab y")).operation
    else {
        panic!("a rotation");
    };
    let week = Duration::from_hours(24 * 7) + Duration::from_secs(5);
    assert_eq!(ends_at, NOW.plus(week));
}

#[test]
fn what_is_not_possible_says_why() {
    let mut screen = screen();
    let context = testing::context();
    let refusal = |screen: &Keys, action| screen.refusal(action, &context);
    assert_eq!(refusal(&screen, Action::Rotate), None);
    screen.act(Action::Down, &context);
    let why = refusal(&screen, Action::Rotate).unwrap();
    assert!(why.contains("ffffffff"), "{why}");
    screen.act(Action::Down, &context);
    screen.act(Action::Down, &context);
    for action in [Action::Rotate, Action::Edit, Action::Limits, Action::Revoke] {
        assert!(
            refusal(&screen, action).unwrap().contains("revoked"),
            "{action:?}"
        );
    }
    screen.act(Action::Down, &context);
    assert!(
        refusal(&screen, Action::Rotate)
            .unwrap()
            .contains("expired")
    );
    assert_eq!(refusal(&screen, Action::Revoke), None);
    assert!(Keys::default().refusal(Action::Revoke, &context).is_some());
}

#[test]
fn marked_keys_are_revoked_together_after_their_number_is_typed() {
    let mut screen = screen();
    let context = testing::context();
    screen.act(Action::Mark, &context);
    screen.act(Action::Mark, &context);
    let mut confirm = opened(&mut screen, Action::Revoke);
    confirm.open(&context);
    let change = change(press(&mut *confirm, "2 tab l e a k tab y"));
    assert_eq!(change.reason.as_deref(), Some("leak"));
    let Operation::Commands(commands) = change.operation else {
        panic!("two commands");
    };
    let ids: Vec<String> = commands.iter().map(Command::target).collect();
    assert_eq!(ids, ["key:aaaaaaaa", "key:bbbbbbbb"]);
}

#[test]
fn an_edit_changes_only_what_was_changed_and_can_be_undone() {
    let mut screen = screen();
    let mut form = opened(&mut screen, Action::Edit);
    assert!(
        press(&mut *form, "ctrl-s").is_empty(),
        "nothing has changed"
    );
    let change = change(press(&mut *form, "2 ctrl-s y"));
    let Operation::Command(command) = &change.operation else {
        panic!("a command");
    };
    let Command::SetKey { settings, .. } = &**command else {
        panic!("of the key");
    };
    assert_eq!(settings.label.as_deref(), Some("ci-batch2"));
    assert_eq!(settings.expires_at, None);
    let undo = change.undo.unwrap().operation;
    assert!(format!("{undo:?}").contains("\"ci-batch\""), "{undo:?}");
}

#[test]
fn a_filter_that_is_not_understood_is_refused_and_another_begins_at_the_top() {
    let mut screen = screen();
    let context = testing::context();
    let why = screen.set_filter("status:lost", &context).unwrap_err();
    assert!(why.contains("expiring"), "{why}");
    let steps = screen.set_filter("status:expiring", &context).unwrap();
    assert!(matches!(steps.as_slice(), [Step::Load(LIST, _)]));
    assert_eq!(screen.complete_filter("team:b"), ["team:beta-voice"]);
}

#[test]
fn nothing_breaks_at_any_size() {
    let screen = screen();
    for (width, height) in [(1, 5), (20, 8), (60, 15), (99, 29), (300, 100)] {
        drawn(&screen, &sized(width, height));
    }
    let moment: Timestamp = screen.next_look(&testing::context()).unwrap();
    assert!(moment > NOW);
}
