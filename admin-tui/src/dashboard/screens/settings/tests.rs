use ratatui::layout::Size;
use tollgate_common::clock::SystemRandom;
use tollgate_common::config::Config;
use tollgate_common::db::Engine;
use tollgate_common::db::about::{About, Table};
use tollgate_common::db::live::Told;
use tollgate_common::id::NodeId;
use tollgate_common::live::NodeFigures;
use tollgate_common::role::Role;

use super::*;
use crate::dashboard::store::settings::Node;
use crate::dashboard::testing::{NOW, context, dump};
use crate::dashboard::theme::Theme;

fn node(number: u8, revision: i64, silence: u64) -> Node {
    let id = format!("node_0000000000007000800000000000{number:04}").parse::<NodeId>();
    let id = id.unwrap_or_else(|_| NodeId::new(NOW, &SystemRandom));
    let at = NOW.minus(std::time::Duration::from_secs(silence));
    let figures = NodeFigures {
        version: "0.1.0".to_owned(),
        started_at: NOW.minus(std::time::Duration::from_hours(3)).as_micros(),
        policy_revision: revision,
        listen: "127.0.0.1:8080".to_owned(),
        ..NodeFigures::default()
    };
    Node {
        id,
        seen_at: at,
        told: Some(Told {
            node_id: id,
            at,
            figures,
        }),
    }
}

fn installation() -> Installation {
    let table = |name: &str, rows, bytes| Table {
        name: name.to_owned(),
        rows,
        bytes: Some(bytes),
    };
    let dumb = Node {
        told: None,
        ..node(4, 0, 70)
    };
    Installation {
        engine: Engine::Postgres,
        about: About {
            version: "15.18".to_owned(),
            bytes: 1_234_567_890,
            schema: 20_260_101_000_007,
            now: Some(NOW.plus(std::time::Duration::from_secs(5))),
            tables: vec![
                table("calls", Some(1_204_112), 812_000_000),
                table("jobs", Some(1_000_000), 222_000_000),
                table("traffic", None, 8_192),
            ],
        },
        asked_at: NOW,
        revision: 41,
        nodes: vec![node(1, 41, 1), node(2, 39, 2), node(3, 41, 95), dumb],
        config: Config::default(),
        role: Role::Owner,
        settings_file: "/home/alice/.config/tollgate-admin/config.toml".into(),
        has_settings_file: false,
        files: "/home/alice/.local/state/tollgate-admin".into(),
    }
}

fn screen() -> Settings {
    let mut screen = Settings::default();
    let answer = Answer::Settings(Read::All(Box::new(installation())));
    let _ = screen.receive(ALL, answer, &context());
    screen
}

fn sized(width: u16, height: u16) -> Context {
    Context {
        size: Size::new(width, height),
        ..context()
    }
}

fn frame(screen: &Settings, context: &Context) -> String {
    let area = Rect::new(0, 0, context.size.width, context.size.height);
    let mut buffer = Buffer::empty(area);
    screen.draw(area, &mut buffer, context);
    dump(&buffer)
}

#[test]
fn settings_look_like_this() {
    let screen = screen();
    insta::assert_snapshot!("settings_80x24", frame(&screen, &sized(80, 24)));
    insta::assert_snapshot!("settings_120x40", frame(&screen, &sized(120, 40)));
    insta::assert_snapshot!("settings_200x60", frame(&screen, &sized(200, 60)));
    let mono = Context {
        theme: Theme::of(ThemeName::Mono),
        ..sized(120, 40)
    };
    insta::assert_snapshot!("settings_mono", frame(&screen, &mono));
}

#[test]
fn no_size_is_too_small() {
    let screen = screen();
    for (width, height) in [(1, 1), (3, 2), (59, 14), (61, 16), (101, 31), (300, 100)] {
        let _ = frame(&screen, &sized(width, height));
    }
}

#[test]
fn colours_go_round_and_the_file_that_keeps_them_is_named() {
    let mut screen = screen();
    let steps = screen.act(Action::Theme, &context());
    let [Step::Theme(ThemeName::Dark), Step::Say(Tone::Good, said)] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    assert!(said.contains("theme = \"dark\""), "{said}");
    assert_eq!(next_theme(ThemeName::Mono), ThemeName::Ansi);
}

#[test]
fn a_pane_scrolls_no_further_than_its_last_line() {
    let mut screen = screen();
    let roomy = sized(120, 40);
    for _ in 0..100 {
        let _ = screen.act(Action::Down, &roomy);
    }
    assert_eq!(screen.skips[0], screen.length(&roomy) - 1);
    let _ = screen.act(Action::NextPane, &roomy);
    let _ = screen.act(Action::Bottom, &roomy);
    assert_eq!(screen.skips[1], screen.length(&roomy) - 1);
    let _ = screen.act(Action::Top, &roomy);
    assert_eq!(screen.skips[1], 0);
    let _ = screen.act(Action::PreviousPane, &roomy);
    assert_eq!(screen.focus, 0);
}
