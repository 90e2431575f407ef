use std::time::Duration;

use ratatui::layout::Size;
use tollgate_common::command::Command;
use tollgate_common::db::ledger::EntryRow;
use tollgate_common::db::ledger::accounts::ListedAccount;
use tollgate_common::db::ledger::entries::ListedEntry;
use tollgate_common::db::ledger::holds::{Hold, HoldSums};
use tollgate_common::db::verify::Progress;
use tollgate_common::db::work::BalanceChange;
use tollgate_common::filter::Bind;
use tollgate_common::id::JobId;
use tollgate_common::job::JobState;
use tollgate_common::ledger::Account;
use tollgate_common::money::Credits as Amount;

use super::*;
use crate::dashboard::store::credits::{AccountFacts, ChargedJob, HoldRow, LedgerRow};
use crate::dashboard::testing::{self, NOW};
use crate::dashboard::theme::{Theme, ThemeName};
use crate::dashboard::widgets::list::Page;
use crate::dashboard::windows::Window;

fn listed(team: &str, allocated: i64, used: i64, held: i64) -> ListedAccount {
    let mut account = Account::new(team.parse().unwrap());
    account.allocated = Amount(allocated);
    account.used = Amount(used);
    account.balance = Amount(allocated - used);
    account.held = Amount(held);
    account.entry_count = 42;
    ListedAccount {
        account,
        org_id: "acme".parse().unwrap(),
        name: format!("Team {team}"),
        status: "active".to_owned(),
        spent: Amount(used / 10),
        created_at: NOW.minus(Duration::from_hours(24 * 90)),
    }
}

fn rows() -> Vec<AccountRow> {
    let mut search = listed("acme-search", 20_000, 18_795, 36);
    search.account.budget_day.limit = Some(Amount(500));
    let mut empty = listed("zeta", 100, 98, 2);
    empty.account.overdraft = Amount(0);
    let all = [
        search,
        listed("beta-voice", 1_000, 10, 0),
        empty,
        listed("new", 0, 0, 0),
    ];
    all.into_iter()
        .map(|listed| AccountRow {
            place: vec![Bind::Text(listed.account.team_id.to_string())],
            listed,
        })
        .collect()
}

fn job(number: u32) -> JobId {
    format!("01977777-0000-7000-8000-0000{number:08}")
        .parse()
        .unwrap()
}

fn hold(number: u32, idle: Duration, in_flight: i64) -> HoldRow {
    let active_at = NOW.minus(idle);
    HoldRow {
        place: vec![
            Bind::Number(i64::from(number)),
            Bind::Text(job(number).to_string()),
        ],
        hold: Hold {
            job_id: job(number),
            team_id: "acme-search".parse().unwrap(),
            state: JobState::InProgress,
            job_type: "summarise".to_owned(),
            user_id: Some("u-7".to_owned()),
            credits: Amount(12),
            created_at: active_at.minus(Duration::from_mins(3)),
            active_at,
            in_flight,
        },
    }
}

fn entry(number: i64, kind: &str, amount: i64, after: i64) -> LedgerRow {
    let is_job = kind == "deduction";
    LedgerRow {
        place: vec![Bind::Text("acme-search".to_owned()), Bind::Number(number)],
        listed: ListedEntry {
            team_id: "acme-search".parse().unwrap(),
            entry: EntryRow {
                number,
                kind: kind.to_owned(),
                amount: Amount(amount),
                before: Amount(after - amount),
                after: Amount(after),
                shortfall: Amount(0),
                debt: Amount(0),
                job_id: is_job.then(|| job(9).to_string()),
                reason: if is_job {
                    "Job summarise completed"
                } else {
                    "July top-up"
                }
                .to_owned(),
                actor: if is_job { "proxy" } else { "alice" }.to_owned(),
                at: NOW.minus(Duration::from_mins(60 - number.unsigned_abs())),
            },
        },
    }
}

fn account_screen() -> account::AccountScreen {
    let mut screen = account::AccountScreen::new("acme-search".parse().unwrap());
    let facts = AccountFacts {
        listed: rows().swap_remove(0).listed,
        sums: HoldSums {
            jobs: 3,
            holds: Amount(36),
            held: Amount(36),
        },
        days: (0..30).map(|day| Amount(day * day)).collect(),
    };
    let holds = vec![
        hold(1, Duration::from_hours(5), 0),
        hold(2, Duration::from_secs(4), 2),
        hold(3, Duration::from_secs(70), 0),
    ];
    let entries = vec![
        entry(42, "deduction", -3, 1_205),
        entry(41, "refund", 8, 1_208),
        entry(40, "allocation", 1_000, 1_200),
    ];
    let answers = [
        Read::Account(Some(Box::new(facts))),
        Read::Holds(Page::whole(holds)),
        Read::Entries(Page::whole(entries)),
    ];
    for answer in answers {
        screen.receive(0, Answer::Credits(answer), &testing::context());
    }
    screen
}

fn screen() -> Credits {
    let mut screen = Credits::default();
    let check = LastCheck {
        at: NOW.minus(Duration::from_mins(12)),
        actor: "bob".to_owned(),
        differences: 0,
    };
    let answer = Read::Accounts(Page::whole(rows()), Some(check));
    screen.receive(LIST, Answer::Credits(answer), &testing::context());
    screen
}

fn sized(width: u16, height: u16) -> Context {
    Context {
        size: Size::new(width, height),
        ..testing::context()
    }
}

fn dumped(context: &Context, draw: impl FnOnce(Rect, &mut Buffer)) -> String {
    let area = Rect::new(
        0,
        0,
        context.size.width,
        context.size.height.saturating_sub(4),
    );
    let mut buffer = Buffer::empty(area);
    draw(area, &mut buffer);
    testing::dump(&buffer)
}

fn drawn(screen: &dyn Screen, context: &Context) -> String {
    dumped(context, |area, buffer| screen.draw(area, buffer, context))
}

fn window_drawn(window: &dyn Window, context: &Context) -> String {
    dumped(context, |area, buffer| {
        window.draw(area, buffer, context);
    })
}

/// The window that an action opens.
fn opened(screen: &mut dyn Screen, action: Action) -> Box<dyn Window> {
    let steps = screen.act(action, &testing::context());
    match steps.into_iter().next() {
        Some(Step::Open(window)) => window,
        other => panic!("a window: {other:?}"),
    }
}

/// Presses keys a while after the window was opened.
fn press(window: &mut dyn Window, keys: &str) -> Vec<Step> {
    let context = Context {
        now: NOW.plus(Duration::from_secs(5)),
        ..testing::context()
    };
    let keys = keys.split(' ');
    keys.flat_map(|key| window.key(key.parse().unwrap(), &context))
        .collect()
}

/// The command of the change in a list of steps.
fn command(steps: Vec<Step>) -> Command {
    let change = match steps.into_iter().next_back() {
        Some(Step::Change(change)) => *change,
        other => panic!("a change: {other:?}"),
    };
    match change.operation {
        Operation::Command(command) => *command,
        other => panic!("a command: {other:?}"),
    }
}

#[test]
fn the_list_looks_good_at_every_size() {
    let screen = screen();
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let name = format!("accounts_{width}x{height}");
        insta::assert_snapshot!(name, drawn(&screen, &sized(width, height)));
    }
    let mut mono = sized(80, 24);
    mono.theme = Theme::of(ThemeName::Mono);
    insta::assert_snapshot!("accounts_mono", drawn(&screen, &mono));
    assert!(
        screen
            .status(&testing::context())
            .ends_with("ledger balanced, 12m00 ago")
    );
}

#[test]
fn an_account_looks_good_at_every_size() {
    let mut screen = account_screen();
    for (width, height) in [(80, 24), (100, 30), (120, 40), (200, 60)] {
        let name = format!("account_{width}x{height}");
        insta::assert_snapshot!(name, drawn(&screen, &sized(width, height)));
    }
    screen.act(Action::NextPane, &testing::context());
    insta::assert_snapshot!("account_holds_80x24", drawn(&screen, &sized(80, 24)));
    let waiting = account::AccountScreen::new("acme-search".parse().unwrap());
    insta::assert_snapshot!("account_loading", drawn(&waiting, &sized(80, 24)));
}

#[test]
fn its_windows_say_what_will_happen() {
    let (context, mut screen) = (sized(80, 24), screen());
    let mut add = opened(&mut screen, Action::AddCredits);
    insta::assert_snapshot!("add_empty", window_drawn(&*add, &context));
    press(&mut *add, "5 , 0 0 0 tab I N V tab t o p");
    insta::assert_snapshot!("add_filled", window_drawn(&*add, &context));
    press(&mut *add, "ctrl-s");
    insta::assert_snapshot!("add_review", window_drawn(&*add, &context));
    let mut account = account_screen();
    account.act(Action::NextPane, &context);
    let stuck = opened(&mut account, Action::FailJob);
    insta::assert_snapshot!("release_stuck", window_drawn(&*stuck, &context));
    account.act(Action::Down, &context);
    let at_work = opened(&mut account, Action::FailJob);
    insta::assert_snapshot!("release_at_work", window_drawn(&*at_work, &context));
    let mut check = check::Check::default();
    check.open(&context);
    let progress = Progress {
        number: 7,
        count: 16,
        rule: "the balance is the sum of the entries",
    };
    check.receive(0, Answer::Credits(Read::Progress(Some(progress))), &context);
    insta::assert_snapshot!("check", window_drawn(&check, &context));
}

#[test]
fn credits_are_added_once_with_their_reference() {
    let mut form = opened(&mut screen(), Action::AddCredits);
    let steps = press(
        &mut *form,
        "+ 5 , 0 0 0 tab I N V tab t o p ctrl-s enter y y",
    );
    assert_eq!(steps.len(), 1);
    let Command::ChangeBalance {
        team_id,
        change,
        reason,
    } = command(steps)
    else {
        panic!("a change of the balance");
    };
    assert_eq!(team_id.as_str(), "acme-search");
    assert_eq!(change, BalanceChange::Allocate(Amount(5_000)));
    assert_eq!(reason, "top (INV)");
}

#[test]
fn what_breaks_a_rule_is_refused_in_the_form() {
    let (context, mut screen) = (testing::context(), screen());
    let mut refund = opened(&mut screen, Action::Refund);
    assert!(press(&mut *refund, "2 0 0 0 0 tab tab x ctrl-s").is_empty());
    let shown = window_drawn(&*refund, &sized(120, 40));
    assert!(shown.contains("only 18,795 were spent"), "{shown}");
    let mut adjust = opened(&mut screen, Action::Adjust);
    assert!(press(&mut *adjust, "- 2 0 0 0 tab tab x ctrl-s").is_empty());
    let shown = window_drawn(&*adjust, &sized(120, 40));
    assert!(shown.contains("only 1,169 are"), "{shown}");
    let end = screen.act(Action::Bottom, &context);
    assert!(end.is_empty());
    let why = screen.refusal(Action::Refund, &context);
    assert_eq!(why.as_deref(), Some("nothing was spent yet"));
}

#[test]
fn a_refund_shows_what_its_job_was_charged_and_has_got_back() {
    let mut form = opened(&mut screen(), Action::Refund);
    assert!(press(&mut *form, "2 tab").is_empty(), "no job is named yet");
    let steps = form.paste(&job(9).to_string(), &testing::context());
    let [Step::Load(slot, Query::Credits(Ask::JobCharge(asked)))] = steps.as_slice() else {
        panic!("the job is looked up: {steps:?}");
    };
    assert_eq!(*asked, job(9));
    let charged = |state, refunded| ChargedJob {
        team_id: "acme-search".parse().unwrap(),
        state,
        charged: Amount(12),
        refunded: Amount(refunded),
    };
    let other = ChargedJob {
        team_id: "zeta".parse().unwrap(),
        ..charged(JobState::Completed, 0)
    };
    for (found, said) in [
        (
            Some(charged(JobState::Completed, 3)),
            "charged 12, refunded 3: 9 left",
        ),
        (Some(charged(JobState::Failed, 12)), "refunded 12: 0 left"),
        (Some(charged(JobState::Pending, 0)), "has not ended"),
        (Some(other), "belongs to team zeta"),
        (None, "there is no job with this id"),
    ] {
        let answer = Answer::Credits(Read::JobCharge(found));
        form.receive(*slot, answer, &testing::context());
        let shown = window_drawn(&*form, &sized(120, 40));
        assert!(shown.contains(said), "{said}: {shown}");
    }
    assert!(press(&mut *form, "tab x ctrl-s").is_empty());
    let review = window_drawn(&*form, &sized(120, 40));
    assert!(review.contains("there is no job with this id"), "{review}");
    // Another text names no job, and the answer about the last one is forgotten.
    press(&mut *form, "esc");
    press(&mut *form, "shift-tab backspace");
    let shown = window_drawn(&*form, &sized(120, 40));
    assert!(!shown.contains("there is no job"), "{shown}");
}

#[test]
fn taking_credits_needs_the_name_of_the_team() {
    let mut form = opened(&mut screen(), Action::Adjust);
    let mut steps = press(&mut *form, "- 5 tab tab o o p s ctrl-s y");
    let (Some(Step::Open(mut confirm)), Some(Step::Close)) = (steps.pop(), steps.pop()) else {
        panic!("a question follows");
    };
    confirm.open(&testing::context());
    assert!(press(&mut *confirm, "tab y").is_empty());
    let keys = "a c m e - s e a r c h tab y";
    let Command::ChangeBalance { change, reason, .. } = command(press(&mut *confirm, keys)) else {
        panic!("a change of the balance");
    };
    assert_eq!(
        (change, reason.as_str()),
        (BalanceChange::Adjust(Amount(-5)), "oops")
    );
    let mut up = opened(&mut screen(), Action::Adjust);
    let steps = press(&mut *up, "5 tab tab o o p s ctrl-s y");
    assert!(matches!(steps.as_slice(), [Step::Change(_)]), "{steps:?}");
}

#[test]
fn a_stuck_hold_is_released_with_a_reason_and_one_at_work_only_by_its_name() {
    let context = testing::context();
    let mut screen = account_screen();
    assert!(
        screen
            .refusal(Action::FailJob, &context)
            .unwrap()
            .contains("tab")
    );
    screen.act(Action::NextPane, &context);
    assert_eq!(screen.refusal(Action::FailJob, &context), None);
    let mut stuck = opened(&mut screen, Action::FailJob);
    stuck.open(&context);
    let Command::FailJob {
        id,
        reason,
        release: true,
    } = command(press(&mut *stuck, "g o n e tab y"))
    else {
        panic!("a job fails");
    };
    assert_eq!((id, reason.as_str()), (job(1), "gone"));
    screen.act(Action::Down, &context);
    let mut at_work = opened(&mut screen, Action::FailJob);
    at_work.open(&context);
    assert!(press(&mut *at_work, "tab tab y").is_empty());
    let keys = "0 0 0 0 0 0 0 2 tab n o w tab y";
    assert!(matches!(
        command(press(&mut *at_work, keys)),
        Command::FailJob { .. }
    ));
}

#[test]
fn the_check_tells_how_far_it_is_and_can_be_hidden() {
    let mut context = testing::context();
    let mut check = check::Check::default();
    let steps = check.open(&context);
    assert!(matches!(steps.as_slice(), [Step::Change(_)]));
    assert!(check.tick(&context).is_empty());
    context.now = check.wake_at().unwrap();
    let steps = check.tick(&context);
    assert_eq!(steps.len(), 1);
    assert!(matches!(
        steps[0],
        Step::Load(0, Query::Credits(Ask::Progress))
    ));
    assert!(matches!(press(&mut check, "esc").as_slice(), [Step::Close]));
}

#[test]
fn each_list_of_an_account_has_its_own_filter() {
    let context = testing::context();
    let mut screen = account_screen();
    assert!(screen.set_filter("idle:1h", &context).is_err());
    assert_eq!(screen.set_filter("kind:refund", &context).unwrap().len(), 1);
    screen.act(Action::NextPane, &context);
    assert_eq!(screen.filter(), Some(""));
    assert_eq!(screen.set_filter("idle:1h", &context).unwrap().len(), 1);
    screen.act(Action::NextPane, &context);
    assert_eq!(screen.filter(), Some("kind:refund"));
}

#[test]
fn nothing_breaks_at_any_size() {
    let (list, account) = (screen(), account_screen());
    for (width, height) in [
        (1, 5),
        (20, 8),
        (60, 15),
        (99, 29),
        (100, 30),
        (160, 45),
        (300, 100),
    ] {
        drawn(&list, &sized(width, height));
        drawn(&account, &sized(width, height));
    }
}
