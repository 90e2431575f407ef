use std::collections::BTreeMap;

use ratatui::layout::Size;
use tollgate_common::db::live::Told;
use tollgate_common::db::overview::{
    DaySums, EndingKey, FailedJob, IdleHold, ImplausibleCall, LowBalance, OwingTeam, UNCHARGED_MAX,
    Uncharged,
};
use tollgate_common::db::verify::LastCheck;
use tollgate_common::id::{KeyId, NodeId};
use tollgate_common::live::{
    LiveCall, NodeFigures, ProviderTraffic, RestingKey, TeamTraffic, Traffic, minute_of,
};
use tollgate_common::money::{Credits, NanoUsd};

use super::lines::Look;
use super::*;
use crate::dashboard::store::overview::{Credential, Present};
use crate::dashboard::testing::{self, NOW};
use crate::dashboard::theme::{Theme, ThemeName};

fn node(number: u32) -> NodeId {
    format!("node_0197777700007000800000000000000{number}")
        .parse()
        .unwrap()
}

fn job(number: u32) -> String {
    format!("01977777-0000-7000-8000-0000{number:08}")
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn call(number: u32, team: &str, age: u64, tokens: i64) -> LiveCall {
    LiveCall {
        id: format!("call_{number}"),
        job_id: job(number),
        team_id: team.to_owned(),
        alias: "chat-smart".to_owned(),
        provider: Some("anthropic".to_owned()),
        began_at: NOW.minus(seconds(age)).as_micros(),
        streamed: tokens > 0,
        output_tokens: tokens,
    }
}

/// What a node has told so many seconds ago.
fn told(number: u32, ago: u64, calls: Vec<LiveCall>) -> Told {
    let figures = NodeFigures {
        version: "1.4.0".to_owned(),
        requests: calls.len() as u64 + 1,
        calls_in_flight: calls.len() as u64,
        streams: calls.iter().filter(|call| call.streamed).count() as u64,
        ended_per_second: (0..60).map(|second| second % 7).collect(),
        calls,
        ..NodeFigures::default()
    };
    Told {
        node_id: node(number),
        at: NOW.minus(seconds(ago)),
        figures,
    }
}

fn provider(tries: u64, failures: u64, milliseconds: u64) -> ProviderTraffic {
    let mut traffic = ProviderTraffic {
        tries,
        failures,
        ..ProviderTraffic::default()
    };
    (failures..tries).for_each(|_| traffic.total_ms.record(milliseconds));
    traffic
}

/// A minute of traffic in which gemini takes so long and fireworks fails so often.
fn minute(gemini_ms: u64, fireworks_failures: u64) -> Traffic {
    let team = |calls, client_cost| TeamTraffic {
        calls,
        tokens: calls * 100,
        client_cost,
    };
    let mut traffic = Traffic {
        requests: 200,
        calls: 100,
        streams: 40,
        input_tokens: 184_020,
        output_tokens: 29_110,
        retries: 3,
        errors: BTreeMap::from([
            ("rate_limited".to_owned(), 4),
            ("provider_timeout".to_owned(), 1),
            ("caller_gone".to_owned(), 2),
        ]),
        providers: BTreeMap::from([
            ("openai".to_owned(), provider(50, 0, 900)),
            ("gemini".to_owned(), provider(30, 1, gemini_ms)),
            ("fireworks".to_owned(), provider(8, fireworks_failures, 700)),
        ]),
        teams: BTreeMap::from([
            ("acme-search".to_owned(), team(60, 1_200_000_000)),
            ("beta-voice".to_owned(), team(30, 640_000_000)),
            ("zeta".to_owned(), team(10, 31_000_000)),
        ]),
        models: BTreeMap::from([("chat-fast".to_owned(), 70), ("chat-smart".to_owned(), 25)]),
        ..Traffic::default()
    };
    (1..=100).for_each(|step| {
        traffic.total_ms.record(step * 30);
        traffic.first_token_ms.record(step * 8);
        traffic.overhead_us.record(step * 15);
    });
    traffic
}

fn present() -> Present {
    let calls = vec![
        call(1, "acme-search", 42, 1_214),
        call(2, "beta-voice", 3, 0),
        call(3, "acme-search", 130, 5_020),
    ];
    let mut busy = told(1, 1, calls);
    busy.figures.resting = vec![RestingKey {
        credential_id: "cred_1".to_owned(),
        condition: "rate_limited".to_owned(),
        failures: 3,
        ..resting()
    }];
    let last = minute_of(NOW);
    let minutes = (last - 59..=last).map(|at| {
        let is_recent = at > last - 5;
        let (slow, fails) = if is_recent { (6_800, 8) } else { (900, 0) };
        (at, minute(slow, fails))
    });
    Present {
        at: NOW,
        nodes: vec![
            (node(1), NOW.minus(seconds(2))),
            (node(2), NOW.minus(seconds(1))),
            (node(3), NOW.minus(seconds(95))),
        ],
        told: vec![
            busy,
            told(2, 40, Vec::new()),
            told(3, 95, vec![call(9, "zeta", 99, 4)]),
        ],
        since: last - 59,
        minutes: minutes.collect(),
    }
}

fn resting() -> RestingKey {
    serde_json::from_value(serde_json::json!({
        "credential_id": "", "condition": "", "failures": 0, "pause_ms": 4_000, "rests_until": 0
    }))
    .unwrap()
}

fn sums(scale: i64) -> DaySums {
    DaySums {
        credits: Credits(18_204 * scale),
        provider_cost: NanoUsd(1_102_310_000_000 * scale),
        client_cost: NanoUsd(1_653_460_000_000 * scale),
    }
}

fn standing() -> Standing {
    let low = |team: &str, available| LowBalance {
        team_id: team.parse().unwrap(),
        available: Credits(available),
        allocated: Credits(1_000),
    };
    let credential = |id: &str, provider: &str| Credential {
        id: id.to_owned(),
        provider: provider.to_owned(),
        hint: "1a7d".to_owned(),
    };
    Standing {
        at: NOW.minus(seconds(4)),
        today: sums(1),
        yesterday: sums(2),
        low: (vec![low("zeta", 0), low("beta-voice", 40)], 25),
        owing: Vec::new(),
        implausible: Vec::new(),
        uncharged: None,
        failed: vec![FailedJob {
            id: job(88).parse().unwrap(),
            team_id: "acme-search".parse().unwrap(),
            at: NOW.minus(seconds(125)),
            error: Some("the provider asks to wait".to_owned()),
        }],
        idle: vec![IdleHold {
            job_id: job(7).parse().unwrap(),
            team_id: "zeta".parse().unwrap(),
            credits: Credits(12),
            active_at: NOW.minus(seconds(900)),
        }],
        ending: vec![EndingKey {
            id: KeyId::new("a1b2c3d4"),
            team_id: "acme-search".parse().unwrap(),
            expires_at: NOW.plus(seconds(7_300)),
        }],
        unpriced: vec!["house-model".parse().unwrap()],
        check: Some(LastCheck {
            at: NOW.minus(seconds(720)),
            actor: "alice".to_owned(),
            differences: 0,
        }),
        credentials: vec![
            credential("cred_1", "openai"),
            credential("cred_2", "openai"),
            credential("cred_3", "anthropic"),
        ],
    }
}

fn of(present: Present, standing: Standing) -> Overview {
    let mut screen = Overview::default();
    let context = testing::context();
    let present = Answer::Overview(Read::Present(Box::new(present)));
    let standing = Answer::Overview(Read::Standing(Box::new(standing)));
    screen.refresh(&context);
    screen.receive(PRESENT, present, &context);
    screen.receive(STANDING, standing, &context);
    screen
}

fn screen() -> Overview {
    of(present(), standing())
}

fn sized(width: u16, height: u16) -> Context {
    Context {
        size: Size::new(width, height),
        ..testing::context()
    }
}

fn drawn(screen: &Overview, context: &Context) -> String {
    let height = context.size.height.saturating_sub(4);
    let mut buffer = Buffer::empty(Rect::new(0, 0, context.size.width, height));
    screen.draw(buffer.area, &mut buffer, context);
    testing::dump(&buffer)
}

fn attention(screen: &Overview) -> Vec<Line> {
    screen.lines(Pane::Attention, &testing::context())
}

#[test]
fn it_looks_good_at_every_size() {
    let screen = screen();
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let name = format!("overview_{width}x{height}");
        insta::assert_snapshot!(name, drawn(&screen, &sized(width, height)));
    }
    let mut mono = sized(80, 24);
    mono.theme = Theme::of(ThemeName::Mono);
    insta::assert_snapshot!("overview_mono", drawn(&screen, &mono));
    insta::assert_snapshot!(
        "overview_loading",
        drawn(&Overview::default(), &sized(80, 24))
    );
}

#[test]
fn no_size_breaks_it() {
    let screens = [screen(), Overview::default()];
    for (width, height) in [
        (1, 1),
        (2, 300),
        (300, 2),
        (60, 15),
        (99, 30),
        (161, 46),
        (300, 100),
    ] {
        let context = sized(width, height);
        for screen in &screens {
            let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
            screen.draw(buffer.area, &mut buffer, &context);
        }
    }
}

#[test]
fn figures_are_of_the_nodes_that_tell_and_say_so() {
    let screen = screen();
    assert_eq!(screen.figures.told(), (2, 3));
    // The silent node's call is not among them.
    assert_eq!((screen.figures.in_flight, screen.figures.streams), (3, 2));
    assert_eq!(screen.figures.calls[0].id, "call_3");
    assert_eq!(
        screen.status(&testing::context()),
        "! 2/3 proxies   range 15m"
    );
}

#[test]
fn when_no_proxy_tells_it_says_so_instead_of_figures() {
    let mut later = testing::context();
    later.now = NOW.plus(seconds(8));
    assert!(
        screen()
            .status(&later)
            .ends_with("no proxy has told for 9s")
    );
    assert!(drawn(&screen(), &later).contains("no proxy has told for 9s"));
    let mut mute = present();
    mute.told.clear();
    mute.nodes.pop();
    let screen = of(mute, standing());
    assert!(
        screen
            .status(&testing::context())
            .contains("no proxy tells, last sign 1s ago")
    );
    let mut gone = present();
    gone.nodes.clear();
    let screen = of(gone, standing());
    assert!(
        screen
            .status(&testing::context())
            .contains("no proxy is running")
    );
    assert_eq!(screen.figures.in_flight, 0);
}

#[test]
fn what_a_node_told_some_seconds_ago_lies_as_far_back() {
    let mut late = present();
    late.told = vec![told(1, 3, Vec::new())];
    let figures = of(late, standing()).figures;
    assert_eq!(figures.per_second[57..], [0, 0, 0]);
    assert_eq!(figures.per_second[56], 59 % 7);
    assert_eq!(figures.per_second.len(), 60);
}

#[test]
fn only_minutes_that_may_have_changed_are_read_again() {
    let mut screen = Overview::default();
    let context = testing::context();
    let last = minute_of(NOW);
    assert_eq!(screen.figures.since(Range::Quarter, NOW), last - 59);
    let answer = Answer::Overview(Read::Present(Box::new(present())));
    screen.receive(PRESENT, answer, &context);
    assert_eq!(screen.figures.since(Range::Quarter, NOW), last - 1);
    assert_eq!(screen.figures.since(Range::Hour, NOW), last - 1);
    assert_eq!(screen.figures.since(Range::Day, NOW), last - 24 * 60 + 1);
    assert_eq!(screen.figures.sum.calls, 15 * 100);
    screen.act(Action::Range, &context);
    assert_eq!(screen.figures.sum.calls, 60 * 100);
    // A minute that is told of again takes the place of what was known of it.
    let mut again = present();
    again.since = last;
    again.minutes = vec![(last, Traffic::default())];
    let answer = Answer::Overview(Read::Present(Box::new(again)));
    screen.receive(PRESENT, answer, &context);
    assert_eq!(screen.figures.sum.calls, 59 * 100);
}

#[test]
fn providers_are_down_slow_resting_or_idle() {
    let screen = screen();
    let health = |name: &str| {
        let providers = screen.providers();
        let found = providers.iter().find(|provider| provider.name == name);
        found.unwrap().health.word()
    };
    assert_eq!(health("fireworks"), "DOWN");
    assert_eq!(health("gemini"), "SLOW");
    assert_eq!(health("openai"), "resting");
    assert_eq!(health("anthropic"), "idle");
    let mut one_key = standing();
    one_key.credentials.remove(1);
    let is_down = |screen: &Overview| {
        let lines = attention(screen);
        lines
            .iter()
            .any(|line| line.left.contains("openai is down"))
    };
    // The other node still asks with it.
    assert!(!is_down(&of(present(), one_key.clone())));
    let mut everywhere = present();
    everywhere.told[1].figures.resting = everywhere.told[0].figures.resting.clone();
    assert!(is_down(&of(everywhere, one_key)));
}

#[test]
fn callers_that_have_left_are_no_errors() {
    let sum = screen().figures.sum;
    assert_eq!(lines::errors(&sum), 15 * 5);
    let lines = lines::of_errors(&sum);
    assert_eq!(lines[0].id, "rate_limited");
    assert!(lines.iter().any(|line| line.id == "caller_gone"));
}

#[test]
fn each_line_that_needs_a_look_opens_its_object() {
    let screen = screen();
    let lines = attention(&screen);
    let target = |part: &str| {
        let found = lines.iter().find(|line| line.left.contains(part));
        found
            .unwrap_or_else(|| panic!("no line says {part}"))
            .target
            .clone()
    };
    assert_eq!(target("silent for 1m35").0, Tab::Settings);
    assert_eq!(
        target("fireworks is down"),
        (Tab::Providers, "fireworks".to_owned())
    );
    assert_eq!(target("..1a7d of provider openai").0, Tab::Providers);
    assert_eq!(
        target("zeta: no credits"),
        (Tab::Credits, "team:zeta".to_owned())
    );
    assert_eq!(
        target("beta-voice: 4.0%"),
        (Tab::Credits, "team:beta-voice".to_owned())
    );
    assert_eq!(target("23 more teams").0, Tab::Credits);
    assert_eq!(target("without a call"), (Tab::Jobs, job(7)));
    assert_eq!(target("failed: the provider"), (Tab::Jobs, job(88)));
    assert_eq!(
        target("expires in 2h01"),
        (Tab::Keys, "a1b2c3d4".to_owned())
    );
    assert_eq!(
        target("has no price"),
        (Tab::Models, "house-model".to_owned())
    );
    let steps = lines[0].open();
    assert!(matches!(steps[0], Step::Go(_)));
}

/// What is standing once money is unclear in every way.
fn unclear(calls: i64) -> Standing {
    Standing {
        owing: vec![OwingTeam {
            team_id: "zeta".parse().unwrap(),
            owed: Credits(1_204),
        }],
        implausible: vec![ImplausibleCall {
            id: "call_01977777000070008000000000000001".parse().unwrap(),
            job_id: job(41).parse().unwrap(),
            team_id: "beta-voice".parse().unwrap(),
            provider: "fireworks".parse().unwrap(),
            client_cost: NanoUsd(41_200_000),
            at: NOW.minus(seconds(7_200)),
        }],
        uncharged: Some(Uncharged {
            calls,
            provider_cost: NanoUsd(12_300_000_000),
            job_id: job(42).parse().unwrap(),
        }),
        ..standing()
    }
}

#[test]
fn debts_and_costs_that_nobody_can_explain_need_a_look() {
    let screen = of(present(), unclear(3));
    let lines = attention(&screen);
    let find = |part: &str| {
        let found = lines.iter().find(|line| line.left.contains(part));
        found.unwrap_or_else(|| panic!("no line says {part}: {lines:#?}"))
    };
    let debt = find("team zeta owes 1,204 credits");
    assert_eq!(debt.look, Look::Bad);
    assert_eq!(debt.target, (Tab::Credits, "team:zeta".to_owned()));
    let counted = find("provider fireworks counted impossible usage");
    assert!(counted.left.contains("worst case of $0.0412 charged"));
    assert_eq!(counted.target, (Tab::Jobs, job(41)));
    let uncharged = find("$12.30 of provider cost in 24 h for 3 calls");
    assert_eq!(uncharged.target, (Tab::Jobs, job(42)));
    let many = attention(&of(present(), unclear(UNCHARGED_MAX)));
    let says = |part: &str| many.iter().any(|line| line.left.contains(part));
    assert!(says("for the newest 10,000 calls"));
}

#[test]
fn the_cursor_stays_on_its_line_when_others_come() {
    let mut screen = screen();
    let context = testing::context();
    let place = attention(&screen)
        .iter()
        .position(|line| line.id == "team zeta")
        .unwrap();
    (0..place).for_each(|_| {
        screen.act(Action::Down, &context);
    });
    let mut wrong = standing();
    wrong.check.as_mut().unwrap().differences = 2;
    let answer = Answer::Overview(Read::Standing(Box::new(wrong)));
    screen.receive(STANDING, answer, &context);
    let steps = screen.act(Action::Open, &context);
    let [Step::Go(Tab::Credits), Step::Filter(text, true)] = &steps[..] else {
        panic!("{steps:?}");
    };
    assert_eq!(text, "team:zeta");
}

#[test]
fn tab_goes_through_the_panes_that_are_shown() {
    let mut screen = screen();
    let context = testing::context();
    assert_eq!(screen.focus(&context), Pane::Attention);
    screen.act(Action::NextPane, &context);
    assert_eq!(screen.focus(&context), Pane::Traffic);
    screen.act(Action::PreviousPane, &context);
    screen.act(Action::PreviousPane, &context);
    assert_eq!(screen.focus(&context), Pane::Teams);
    let steps = screen.act(Action::Open, &context);
    let [Step::Go(Tab::Teams), Step::Filter(text, true)] = &steps[..] else {
        panic!("{steps:?}");
    };
    assert_eq!(text, "acme-search");
    // A pane that this size does not show has no keys.
    screen.chosen = Pane::Calls;
    assert_eq!(screen.focus(&context), Pane::Attention);
}

#[test]
fn what_changes_slowly_is_read_seldom() {
    let mut screen = Overview::default();
    let mut context = testing::context();
    assert_eq!(screen.refresh(&context).len(), 2);
    context.now = NOW.plus(seconds(9));
    assert_eq!(screen.refresh(&context).len(), 1);
    context.now = NOW.plus(seconds(10));
    assert_eq!(screen.refresh(&context).len(), 2);
    screen.fail(STANDING, &Problem::new("away"));
    assert_eq!(screen.refresh(&context).len(), 2);
}

#[test]
fn the_ledger_is_checked_from_here() {
    let steps = screen().act(Action::Verify, &testing::context());
    assert!(
        matches!(
            &steps[..],
            [Step::Go(Tab::Credits), Step::Perform(Action::Verify)]
        ),
        "{steps:?}"
    );
}
