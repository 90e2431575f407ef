use ratatui::layout::Size;
use tollgate_common::command::Command;
use tollgate_common::db::ledger::accounts::ListedAccount;
use tollgate_common::db::ledger::holds::HoldSums;
use tollgate_common::db::team::list::{TeamKey, Today};
use tollgate_common::job::{BudgetMode, ChargeFailed, Terms};
use tollgate_common::ledger::Account as Credited;
use tollgate_common::limit::Limits;
use tollgate_common::live::LiveCall;
use tollgate_common::money::{CreditRate, Credits, Markup, Rounding};
use tollgate_common::standing::Standing;
use tollgate_common::team::{DisconnectPolicy, Team};

use super::*;
use crate::dashboard::change::{Change, Operation, Outcome};
use crate::dashboard::problem::Problem;
use crate::dashboard::store::credits::{AccountFacts, Answer as Account};
use crate::dashboard::testing::{self, NOW, dump};
use crate::dashboard::theme::{Theme, ThemeName};
use crate::dashboard::widgets::list::Page;
use crate::dashboard::windows::Window;

/// A team of the sample: its place decides what it is like.
pub(in crate::dashboard::screens) fn listed(place: i64) -> ListedTeam {
    let id: TeamId = format!("acme-team-{place:02}").parse().unwrap();
    let standing = match place % 7 {
        3 => Standing::Suspended,
        5 => Standing::Paused {
            until: Some(Timestamp::from_micros(NOW.as_micros() + 3_900_000_000)),
        },
        _ => Standing::Active,
    };
    let mut account = Credited::new(id.clone());
    account.allocated = Credits(10_000 * (place + 1));
    account.used = Credits(1_204 * place);
    account.balance = account.allocated.minus(account.used);
    account.held = Credits(36);
    account.budget_day.limit = (place % 2 == 0).then_some(Credits(5_000));
    account.budget_day.began_at = Timestamp::of_day(NOW.day());
    account.budget_day.charged = Credits(812);
    ListedTeam {
        team: Team {
            id,
            org_id: "acme".parse().unwrap(),
            name: format!("Acme team {place}"),
            standing,
            terms: Terms {
                mode: BudgetMode::ConsumptionUsd,
                credits_per_dollar: CreditRate::DEFAULT,
                tokens_per_credit: 1_000,
                markup: Markup::from_basis_points(5_000),
                charge_failed: ChargeFailed::Used,
                rounding: Rounding::Down,
                job_cost_max: None,
            },
            charge_failed: None,
            default_model: Some("chat-fast".parse().unwrap()),
            groups: vec!["basic".parse().unwrap()],
            limits: Limits {
                requests_per_minute: Some(600),
                ..Limits::default()
            },
            disconnect: DisconnectPolicy::Drain,
            cache_ttl_seconds: None,
            created_at: Timestamp::from_micros(NOW.as_micros() - 86_400_000_000 * 40),
            updated_at: Timestamp::from_micros(NOW.as_micros() - 86_400_000_000),
        },
        account,
        org_standing: if place == 9 {
            Standing::Suspended
        } else {
            Standing::Active
        },
        live_keys: 2,
    }
}

fn detail(place: i64) -> Box<Detail> {
    let at = |seconds: i64| Timestamp::from_micros(NOW.as_micros() - seconds * 1_000_000);
    let key = |id: &str, label: &str, revoked_at| TeamKey {
        id: id.to_owned(),
        label: Some(label.to_owned()),
        expires_at: None,
        revoked_at,
        used_at: Some(at(240)),
    };
    Box::new(Detail {
        listed: listed(place),
        keys: vec![
            key("Xy12abCD", "backend", None),
            key("old00key", "before July", Some(at(9_000))),
        ],
        today: Today {
            completed: 412,
            failed: 7,
            cancelled: 1,
            calls: 1_300,
            failed_calls: 9,
            tokens: 912_402,
            client_cost: 61_800_000,
            provider_cost: 41_200_000,
        },
        open_jobs: (9, Credits(36)),
        records: Vec::new(),
        calls: vec![LiveCall {
            id: "call_000000001a2b3c4d".to_owned(),
            job_id: "job_1".to_owned(),
            team_id: format!("acme-team-{place:02}"),
            alias: "chat-fast".to_owned(),
            provider: Some("openai".to_owned()),
            began_at: at(4).as_micros(),
            streamed: true,
            output_tokens: 210,
        }],
    })
}

fn names() -> Names {
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    Names {
        orgs: words(&["acme", "beta"]),
        groups: words(&["basic", "pro"]),
        models: words(&["chat-fast", "chat-smart"]),
    }
}

fn context(width: u16, height: u16) -> Context {
    Context {
        size: Size::new(width, height),
        ..testing::context()
    }
}

/// A screen with so many teams, as the sample has them.
fn screen(count: i64, context: &Context) -> Teams {
    let mut screen = Teams::default();
    let _ = screen.refresh(context);
    let rows = (0..count).map(|place| {
        let listed = listed(place);
        let place = TeamOrder::Id.place(&listed);
        TeamRow { listed, place }
    });
    let page = Found::List(Page::whole(rows.collect()));
    let _ = screen.receive(LIST, Answer::Teams(page), context);
    let found = Answer::Teams(Found::Detail(Some(detail(0))));
    let _ = screen.receive(DETAIL, found, context);
    let _ = screen.receive(NAMES, Answer::Teams(Found::Names(names())), context);
    screen
}

fn drawn(context: &Context, draw: impl FnOnce(Rect, &mut Buffer)) -> String {
    let area = Rect::new(0, 0, context.size.width, context.size.height);
    let mut buffer = Buffer::empty(area);
    draw(area, &mut buffer);
    dump(&buffer)
}

fn look(screen: &dyn Screen, context: &Context) -> String {
    drawn(context, |area, buffer| screen.draw(area, buffer, context))
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

fn write(window: &mut dyn Window, text: &str, context: &Context) {
    let _ = window.paste(text, context);
}

fn change_of(mut steps: Vec<Step>) -> Box<Change> {
    match (steps.pop(), steps.as_slice()) {
        (Some(Step::Change(change)), []) => change,
        other => panic!("a change: {other:?}"),
    }
}

fn command_of(change: &Change) -> &Command {
    match &change.operation {
        Operation::Command(command) => command,
        other => panic!("a command: {other:?}"),
    }
}

#[test]
fn a_form_that_needs_names_opens_once_they_are_read() {
    let context = context(120, 40);
    let mut screen = Teams::default();
    let _ = screen.refresh(&context);
    for named in [false, true] {
        assert_eq!(screen.refusal(Action::New, &context), None);
        let steps = screen.act(Action::New, &context);
        assert_eq!(steps.len(), usize::from(named), "{steps:?}");
        let found = Answer::Teams(Found::Names(names()));
        let steps = screen.receive(NAMES, found, &context);
        let performed = |step: &Step| matches!(step, Step::Perform(Action::New));
        assert_eq!(steps.iter().any(performed), !named, "{steps:?}");
    }
    let found = Answer::Teams(Found::Names(Names::default()));
    let _ = screen.receive(NAMES, found, &context);
    let why = screen.refusal(Action::New, &context);
    assert!(why.is_some_and(|why| why.contains("make one first")));
}

#[test]
fn the_list_looks_right_at_every_size() {
    for (width, height) in [(60, 15), (80, 24), (120, 40), (200, 60)] {
        let context = context(width, height);
        let name = format!("list_{width}x{height}");
        insta::assert_snapshot!(name, look(&screen(12, &context), &context));
    }
    let mono = Context {
        theme: Theme::of(ThemeName::Mono),
        ..context(80, 24)
    };
    insta::assert_snapshot!("list_mono", look(&screen(12, &mono), &mono));
    insta::assert_snapshot!("list_empty", look(&screen(0, &mono), &mono));
}

#[test]
fn the_page_of_a_team_looks_right_at_every_size() {
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let context = context(width, height);
        let page = TeamPage::new(&listed(2), Some(&detail(2)), &names());
        insta::assert_snapshot!(format!("page_{width}x{height}"), look(&page, &context));
    }
}

#[test]
fn the_windows_look_right() {
    let narrow = context(60, 15);
    let wide = context(80, 24);
    let mut screen = screen(12, &wide);
    let actions = [
        (Action::New, "new"),
        (Action::Edit, "edit"),
        (Action::NewKey, "key"),
        (Action::Limits, "limits"),
        (Action::Groups, "groups"),
        (Action::Pause, "pause"),
        (Action::Standing, "suspend"),
    ];
    for (action, name) in actions {
        let window = window_of(screen.act(action, &wide), &wide);
        for (context, size) in [(&narrow, "60x15"), (&wide, "80x24")] {
            let text = drawn(context, |area, buffer| {
                window.draw(area, buffer, context);
            });
            insta::assert_snapshot!(format!("{name}_{size}"), text);
        }
    }
}

#[test]
fn nothing_breaks_at_any_size() {
    let sizes = [1, 2, 3, 5, 9, 15, 24, 61, 100];
    for width in [1, 2, 5, 20, 60, 80, 120, 300] {
        for height in sizes {
            let context = context(width, height);
            let mut screen = screen(12, &context);
            look(&screen, &context);
            let page = TeamPage::new(&listed(0), Some(&detail(0)), &names());
            look(&page, &context);
            for action in [Action::New, Action::Standing, Action::Limits] {
                let mut window = window_of(screen.act(action, &context), &context);
                press(&mut *window, "x tab ctrl-s pgdn", &context);
                drawn(&context, |area, buffer| {
                    window.draw(area, buffer, &context);
                });
            }
        }
    }
}

#[test]
fn a_team_at_work_is_suspended_with_a_question_and_one_at_rest_resumed_at_once() {
    let context = context(80, 24);
    let mut screen = screen(12, &context);
    let mut window = window_of(screen.act(Action::Standing, &context), &context);
    assert!(press(&mut *window, "y enter", &context).is_empty());
    let change = change_of(press(&mut *window, "y", &context));
    assert_eq!(
        change.reason.as_deref(),
        Some("y"),
        "the first y was the reason"
    );
    assert_eq!(change.expected, Some(listed(0).team.updated_at));
    let Operation::StopTeams { ids, cancel_jobs } = &change.operation else {
        panic!("{change:?}");
    };
    assert_eq!((ids.len(), *cancel_jobs), (1, false));

    for _ in 0..3 {
        let _ = screen.act(Action::Down, &context);
    }
    let resumed = change_of(screen.act(Action::Standing, &context));
    let undo = resumed.undo.as_deref().unwrap();
    let standing = |change: &Change| match command_of(change) {
        Command::SetTeamStanding { standing, .. } => *standing,
        other => panic!("{other:?}"),
    };
    assert_eq!(standing(&resumed), Standing::Active);
    assert_eq!(standing(undo), Standing::Suspended);
}

#[test]
fn the_box_cancels_open_jobs_too() {
    let context = context(80, 24);
    let mut screen = screen(1, &context);
    let mut window = window_of(screen.act(Action::Standing, &context), &context);
    let change = change_of(press(&mut *window, "shift-tab space tab tab y", &context));
    assert!(matches!(
        change.operation,
        Operation::StopTeams {
            cancel_jobs: true,
            ..
        }
    ));
}

#[test]
fn several_teams_are_suspended_only_by_their_number_and_a_reason() {
    let context = context(80, 24);
    let mut screen = screen(3, &context);
    for _ in 0..3 {
        let _ = screen.act(Action::Mark, &context);
    }
    for action in [Action::Edit, Action::AddCredits, Action::ShowJobs] {
        let why = screen.refusal(action, &context).unwrap();
        assert!(why.contains("3 are marked"), "{why}");
    }
    let mut window = window_of(screen.act(Action::Standing, &context), &context);
    let early = press(&mut *window, "3 tab x tab y", &context);
    assert!(early.is_empty(), "the first second is for reading");
    let later = Context {
        now: NOW.plus(std::time::Duration::from_secs(2)),
        ..context
    };
    let change = change_of(press(&mut *window, "y", &later));
    let Operation::StopTeams { ids, .. } = &change.operation else {
        panic!("{change:?}");
    };
    assert_eq!(ids.len(), 3);
}

#[test]
fn a_new_team_is_one_change_and_then_a_key_is_offered() {
    let context = context(80, 24);
    let mut screen = screen(1, &context);
    let mut window = window_of(screen.act(Action::New, &context), &context);
    write(&mut *window, "acme search", &context);
    assert!(press(&mut *window, "ctrl-s y", &context).is_empty());
    press(&mut *window, "backspace backspace ctrl-u", &context);
    write(&mut *window, "acme-search", &context);
    press(&mut *window, "tab tab", &context);
    write(&mut *window, "5,000", &context);
    press(&mut *window, "tab tab right space ctrl-s", &context);
    let change = change_of(press(&mut *window, "y y", &context));
    let Command::CreateTeam {
        id,
        org_id,
        credits,
        settings,
    } = command_of(&change)
    else {
        panic!("{change:?}");
    };
    assert_eq!((id.as_str(), org_id.as_str()), ("acme-search", "acme"));
    assert_eq!(*credits, Credits(5_000));
    let groups: Vec<String> = settings
        .groups
        .iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    assert_eq!(groups, ["pro"]);
    let made = Ok(Outcome::good("made"));
    let steps = window.done(change, &made, &context);
    let [Step::Close, Step::Open(key)] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    let title = drawn(&context, |area, buffer| {
        key.draw(area, buffer, &context);
    });
    assert!(
        title.contains("New key") && title.contains("acme-search"),
        "{title}"
    );
}

#[test]
fn what_a_form_leaves_as_it_is_is_not_written_and_the_rest_can_be_undone() {
    let context = context(80, 24);
    let mut window = forms::edit(&listed(0), &names());
    assert!(press(&mut window, "ctrl-s", &context).is_empty());
    press(&mut window, "tab tab tab tab", &context);
    press(&mut window, "ctrl-u", &context);
    write(&mut window, "20", &context);
    press(&mut window, "tab tab tab tab ctrl-u", &context);
    write(&mut window, "chat-slow", &context);
    press(&mut window, "ctrl-s", &context);
    let text = drawn(&context, |area, buffer| {
        window.draw(area, buffer, &context);
    });
    assert!(text.contains("there is no model chat-slow"), "{text}");
    press(&mut window, "ctrl-u ctrl-s", &context);
    let change = change_of(press(&mut window, "y", &context));
    let settings = |change: &Change| match command_of(change) {
        Command::SetTeam { settings, .. } => settings.clone(),
        other => panic!("{other:?}"),
    };
    let (to, back) = (settings(&change), settings(change.undo.as_deref().unwrap()));
    assert_eq!(to.markup, Some(Markup::from_basis_points(2_000)));
    assert_eq!(to.default_model, Some(None));
    assert_eq!((to.name, to.overdraft), (None, None));
    assert_eq!(back.markup, Some(Markup::from_basis_points(5_000)));
    assert_eq!(back.default_model, Some(listed(0).team.default_model));
}

/// The form that adds credits, as it opens once the account has been read.
fn credits_form(screen: &mut dyn Screen, context: &Context) -> Box<dyn Window> {
    let steps = screen.act(Action::AddCredits, context);
    let [Step::Load(slot, Query::Credits(_))] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    let ListedTeam { team, account, .. } = listed(0);
    let facts = AccountFacts {
        listed: ListedAccount {
            account,
            org_id: team.org_id,
            name: team.name,
            status: "active".to_owned(),
            spent: Credits(700),
            created_at: team.created_at,
        },
        sums: HoldSums::default(),
        days: Vec::new(),
    };
    let answer = Answer::Credits(Account::Account(Some(Box::new(facts))));
    let mut window = window_of(screen.receive(*slot, answer, context), context);
    write(&mut *window, "1,000", context);
    press(&mut *window, "tab tab", context);
    write(&mut *window, "top-up", context);
    press(&mut *window, "ctrl-s", context);
    window
}

#[test]
fn credits_are_added_once_even_if_the_answer_is_lost() {
    let context = context(80, 24);
    let mut window = credits_form(&mut screen(1, &context), &context);
    let change = change_of(press(&mut *window, "y y y", &context));
    let lost = Err(Problem {
        is_lost: true,
        ..Problem::new("connection reset")
    });
    assert!(window.done(change, &lost, &context).is_empty());
    let text = drawn(&context, |area, buffer| {
        window.draw(area, buffer, &context);
    });
    assert!(text.contains("may have been done or not"), "{text}");
    let steps = press(&mut *window, "y esc", &context);
    assert!(matches!(steps.as_slice(), [Step::Close]), "{steps:?}");
}

#[test]
fn a_refused_change_can_be_sent_again() {
    let context = context(80, 24);
    let mut page = TeamPage::new(&listed(0), None, &names());
    let mut window = credits_form(&mut page, &context);
    let change = change_of(press(&mut *window, "y", &context));
    let refused = Err(Problem::new("team 'x' not found"));
    assert!(window.done(change, &refused, &context).is_empty());
    let _ = change_of(press(&mut *window, "y", &context));
}

#[test]
fn filters_are_read_again_and_errors_name_the_words() {
    let context = context(120, 40);
    let mut screen = screen(3, &context);
    let steps = screen
        .set_filter("org:acme status:paused", &context)
        .unwrap();
    assert!(matches!(steps.as_slice(), [Step::Load(LIST, _)]));
    assert!(
        screen
            .set_filter("org:acme status:paused ", &context)
            .unwrap()
            .is_empty()
    );
    let why = screen.set_filter("colour:red", &context).unwrap_err();
    assert!(why.contains("balance"), "{why}");
    assert_eq!(screen.complete_filter("!org:b"), ["!org:beta"]);
    assert_eq!(screen.complete_filter("group:p"), ["group:pro"]);
    let context = self::context(120, 40);
    assert_eq!(screen.filter(), Some("org:acme status:paused"));
    let steps = screen.sort(1, &context);
    assert!(matches!(steps.as_slice(), [Step::Load(LIST, _)]));
    assert!(screen.status(&context).ends_with("by balance ^"));
}

#[test]
fn links_lead_to_the_lists_of_the_team() {
    let context = context(80, 24);
    let mut screen = screen(1, &context);
    let steps = screen.act(Action::ShowKeys, &context);
    let [Step::Go(Tab::Keys), Step::Filter(text, true)] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    assert_eq!(text, "team:acme-team-00");
}

#[test]
fn amounts_are_never_cut_off() {
    let short = |credits| amount(Credits(credits));
    assert_eq!(short(9_999_999), "9,999,999");
    assert_eq!(short(12_345_678), "12.3M");
    assert_eq!(short(-12_345_678), "-12.3M");
    assert_eq!(short(1_234_567_890_123), "1,234.5G");
    for credits in [
        -999_999_999_999_999,
        -9_999_999,
        999_999_999_999,
        9_999_999_999_999_999,
    ] {
        assert!(short(credits).len() <= 9, "{}", short(credits));
    }
}
