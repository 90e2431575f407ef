use ratatui::layout::Size;
use tollgate_common::clock::Timestamp;
use tollgate_common::command::Command;
use tollgate_common::money::Credits;
use tollgate_common::org::Organization;
use tollgate_common::standing::Standing;

use super::*;
use crate::dashboard::change::{Change, Operation};
use crate::dashboard::screens::teams::tests::listed as team;
use crate::dashboard::testing::{self, NOW, dump};
use crate::dashboard::theme::{Theme, ThemeName};
use crate::dashboard::widgets::list::Page;
use crate::dashboard::windows::Window;

fn listed(place: i64) -> ListedOrg {
    let standing = match place % 4 {
        2 => Standing::Suspended,
        3 => Standing::Paused { until: None },
        _ => Standing::Active,
    };
    let at = Timestamp::from_micros(NOW.as_micros() - 86_400_000_000);
    ListedOrg {
        org: Organization {
            id: format!("org-{place:02}").parse().unwrap(),
            name: format!("Customer {place}"),
            standing,
            created_at: at,
        },
        updated_at: at,
        teams: 12 * place,
        stopped_teams: place,
        balance: Credits(1_000_000 * place),
        held: Credits(81),
        used: Credits(40_000),
        today: Credits(912),
        keys: 30,
    }
}

fn context(width: u16, height: u16) -> Context {
    Context {
        size: Size::new(width, height),
        ..testing::context()
    }
}

fn screen(count: i64, context: &Context) -> Orgs {
    let mut screen = Orgs::default();
    let _ = screen.refresh(context);
    let rows = (0..count).map(|place| {
        let listed = listed(place);
        let place = OrgOrder::Id.place(&listed);
        OrgRow { listed, place }
    });
    let page = Found::List(Page::whole(rows.collect()));
    let _ = screen.receive(LIST, Answer::Orgs(page), context);
    let found = Found::Detail(Some(Box::new(detail())));
    let _ = screen.receive(DETAIL, Answer::Orgs(found), context);
    screen
}

fn detail() -> Detail {
    Detail {
        listed: listed(0),
        teams: vec![team(4), team(3)],
        records: Vec::new(),
    }
}

fn look(context: &Context, draw: impl FnOnce(Rect, &mut Buffer)) -> String {
    let area = Rect::new(0, 0, context.size.width, context.size.height);
    let mut buffer = Buffer::empty(area);
    draw(area, &mut buffer);
    dump(&buffer)
}

fn window_of(mut steps: Vec<Step>, context: &Context) -> Box<dyn Window> {
    match (steps.pop(), steps.as_slice()) {
        (Some(Step::Open(mut window)), []) => {
            let _ = window.open(context);
            window
        }
        other => panic!("a window: {other:?}"),
    }
}

fn press(window: &mut dyn Window, keys: &str, context: &Context) -> Vec<Step> {
    let keys = keys.split(' ').map(|key| key.parse().unwrap());
    keys.flat_map(|key| window.key(key, context)).collect()
}

fn command_of(steps: &[Step]) -> (&Command, &Change) {
    let [Step::Change(change)] = steps else {
        panic!("a change: {steps:?}");
    };
    match &change.operation {
        Operation::Command(command) => (command, change),
        other => panic!("a command: {other:?}"),
    }
}

#[test]
fn the_list_and_the_page_look_right_at_every_size() {
    let plain = [(60, 15), (80, 24), (120, 40), (200, 60)].map(|(w, h)| context(w, h));
    let mono = Context {
        theme: Theme::of(ThemeName::Mono),
        ..context(80, 24)
    };
    for context in plain.iter().chain([&mono]) {
        let Size { width, height } = context.size;
        let is_mono = context.theme.good == Theme::of(ThemeName::Mono).good;
        let name = if is_mono {
            "mono".to_owned()
        } else {
            format!("{width}x{height}")
        };
        let list = look(context, |area, buffer| {
            screen(8, context).draw(area, buffer, context);
        });
        insta::assert_snapshot!(format!("list_{name}"), list);
        let page = OrgPage::new(&listed(2), Some(&detail()));
        let page = look(context, |area, buffer| page.draw(area, buffer, context));
        insta::assert_snapshot!(format!("page_{name}"), page);
    }
}

#[test]
fn an_organization_is_suspended_only_by_its_name_and_resumed_at_once() {
    let context = context(80, 24);
    let mut screen = screen(4, &context);
    let mut window = window_of(screen.act(Action::Standing, &context), &context);
    let text = look(&context, |area, buffer| {
        window.draw(area, buffer, &context);
    });
    insta::assert_snapshot!("suspend", text);
    let later = Context {
        now: NOW.plus(std::time::Duration::from_secs(2)),
        ..context.clone()
    };
    let keys = "o r g - 0 0 tab tab y";
    assert!(
        press(&mut *window, keys, &later).is_empty(),
        "a reason is required"
    );
    let steps = press(&mut *window, "x tab y", &later);
    let (command, change) = command_of(&steps);
    assert_eq!(command.action(), "org.suspend");
    assert_eq!(change.reason.as_deref(), Some("x"));

    let _ = screen.act(Action::Down, &context);
    let _ = screen.act(Action::Down, &context);
    let steps = screen.act(Action::Standing, &context);
    let (command, change) = command_of(&steps);
    assert_eq!(command.action(), "org.resume");
    assert!(change.undo.is_some());
}

#[test]
fn a_new_name_is_reviewed_and_can_be_taken_back() {
    let context = context(80, 24);
    let mut screen = screen(1, &context);
    let mut window = window_of(screen.act(Action::Edit, &context), &context);
    assert!(press(&mut *window, "ctrl-s", &context).is_empty());
    let steps = press(&mut *window, "! ctrl-s y", &context);
    let (command, change) = command_of(&steps);
    let Command::RenameOrg { name, .. } = command else {
        panic!("{command:?}");
    };
    assert_eq!(name, "Customer 0!");
    assert!(change.undo.is_some() && change.expected.is_some());
}

#[test]
fn its_teams_are_one_key_away() {
    let context = context(80, 24);
    let mut screen = screen(1, &context);
    let steps = screen.act(Action::ShowTeams, &context);
    let [Step::Go(Tab::Teams), Step::Filter(text, true)] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    assert_eq!(text, "org:org-00");
}

#[test]
fn nothing_breaks_at_any_size() {
    for width in [1, 2, 5, 20, 60, 80, 120, 300] {
        for height in [1, 2, 3, 5, 9, 15, 24, 61, 100] {
            let context = context(width, height);
            let mut screen = screen(8, &context);
            let page = OrgPage::new(&listed(2), Some(&detail()));
            let window = window_of(screen.act(Action::Pause, &context), &context);
            look(&context, |area, buffer| {
                screen.draw(area, buffer, &context);
                page.draw(area, buffer, &context);
                window.draw(area, buffer, &context);
            });
        }
    }
}
