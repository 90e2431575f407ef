//! What holds of the dashboard as a whole, whatever is typed and whatever is answered.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::KeyCode;
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use tollgate_common::clock::{Clock, SystemRandom, Timestamp};
use tollgate_common::config::Config;
use tollgate_common::db::{Access, Database, admin, demo as table, ledger, migrate};
use tollgate_common::key::PlainKey;
use tollgate_common::secret::SealingKey;

use super::keys::{Action, Binding, EVERYWHERE, Key, bind};
use super::message::Message;
use super::model::Model;
use super::problem::Problem;
use super::runner::Runner;
use super::screens::{Screen, TABLES};
use super::step::{Effect, Slot, Step, Ticket};
use super::store::{Answer, Query, Source, Store as _};
use super::tab::Tab;
use super::testing::{NOW, context};
use super::view::view;
use super::windows::key::KeyWindow;
use crate::cli::Options;
use crate::demo::cast::Cast;
use crate::demo::dice::Dice;
use crate::demo::history::History;
use crate::rights::Rights;
use crate::session::Session;

mod surface;

use surface::Counting;

/// Something that happens to the dashboard.
#[derive(Debug, Clone)]
enum Happening {
    Key(Key),
    Paste(String),
    Resize(u16, u16),
    Later(u64),
    Focus(bool),
    Changed,
    /// What was asked for is answered.
    Answers,
    /// What was asked for cannot be had.
    Problems,
}

/// Every key that is bound somewhere, and those that windows take.
fn known_keys() -> Vec<Key> {
    let tables = TABLES.iter().map(|(_, table)| *table).chain([EVERYWHERE]);
    let texts = tables.flatten().flat_map(|binding| binding.keys);
    let mut keys: Vec<Key> = texts.filter_map(|text| text.parse::<Key>().ok()).collect();
    keys.extend(
        "enter esc tab space backspace up down left right home end y s a 1 z"
            .split(' ')
            .filter_map(|text| text.parse::<Key>().ok()),
    );
    keys
}

fn key() -> impl Strategy<Value = Key> {
    let typed = any::<char>().prop_map(|character| Key::plain(KeyCode::Char(character)));
    prop_oneof![8 => proptest::sample::select(known_keys()), 1 => typed]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        14 => key().prop_map(Happening::Key),
        1 => ".{0,12}".prop_map(Happening::Paste),
        2 => (1_u16..=300, 1_u16..=100).prop_map(|(w, h)| Happening::Resize(w, h)),
        2 => (1_u64..20_000).prop_map(Happening::Later),
        1 => any::<bool>().prop_map(Happening::Focus),
        1 => Just(Happening::Changed),
        5 => Just(Happening::Answers),
        1 => Just(Happening::Problems),
    ]
}

/// A dashboard over a small business that was made up.
struct Bench {
    runtime: tokio::runtime::Runtime,
    source: Source,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("t.db").display());
        let source = runtime.block_on(async {
            let config = Config {
                database: url.parse().unwrap(),
                ..Config::default()
            };
            let database = Database::connect(&config, Access::Create).await.unwrap();
            migrate::migrate(&database).await.unwrap();
            fill(&database, folder.path()).await;
            let options = Options {
                database_url: Some(url),
                ..Options::default()
            };
            let rights = Rights::new(&options, None, None, false).unwrap();
            let session = Session::open(&options, rights).await.unwrap();
            Source {
                session,
                files: folder.path().to_owned(),
                is_checked: Cell::new(true),
                check: Cell::new(None),
            }
        });
        Self {
            runtime,
            source,
            _folder: folder,
        }
    }

    fn answer(&self, query: Query) -> Result<Answer, Problem> {
        self.runtime.block_on(self.source.load(query))
    }
}

async fn fill(database: &Database, folder: &std::path::Path) {
    let size = crate::demo::Size {
        jobs: 300,
        teams: 12,
        days: 3,
        now: NOW,
    };
    let dice = Dice::new(5);
    let sealing = SealingKey::read_or_create(&folder.join("key"), &SystemRandom).unwrap();
    let cast = Cast::new(size, &dice, &SystemRandom, &sealing).unwrap();
    let changes = cast.records.iter().map(|record| {
        let actor = admin::Actor::new(record.actor, record.at, &dice);
        (actor, &record.command)
    });
    let changes: Vec<_> = changes.collect();
    admin::execute_all(database, &changes).await.unwrap();
    let stored = ledger::list_accounts(database.pool()).await.unwrap();
    let of = |id| stored.iter().find(|account| account.team_id == id).unwrap();
    let accounts = cast
        .players
        .iter()
        .map(|player| of(player.id.clone()).clone());
    let mut history = History::new(size, &dice, &cast, accounts.collect());
    while let Some(rows) = history.go_on() {
        table::append(database, &rows, &dice).await.unwrap();
    }
    let (rest, ending) = history.end_here();
    table::append(database, &rest, &dice).await.unwrap();
    table::finish(database, &ending, NOW).await.unwrap();
}

/// A model with what it still waits for.
struct Trial<'a> {
    bench: &'a Bench,
    model: Model,
    now: Timestamp,
    asked: Vec<(Ticket, Query)>,
}

impl<'a> Trial<'a> {
    fn new(bench: &'a Bench) -> Self {
        Self {
            bench,
            model: Model::new(context(), false),
            now: NOW,
            asked: Vec::new(),
        }
    }

    fn send(&mut self, message: Message) -> Vec<Effect> {
        let effects = self.model.update(self.now, message);
        let mut others = Vec::new();
        for effect in effects {
            match effect {
                Effect::Load(ticket, query) => self.asked.push((ticket, query)),
                other => others.push(other),
            }
        }
        others
    }

    fn answer_all(&mut self, well: bool) {
        for (ticket, query) in std::mem::take(&mut self.asked) {
            let result = if well {
                self.bench.answer(query)
            } else {
                Err(Problem {
                    sentence: "the database cannot be reached".to_owned(),
                    is_offline: true,
                    is_lost: false,
                })
            };
            self.send(Message::Answer(ticket, Box::new(result)));
        }
    }

    /// Lets something happen; the effects that are no readings.
    fn happen(&mut self, happening: &Happening) -> Vec<Effect> {
        match happening {
            Happening::Key(key) => self.send(Message::Key(*key)),
            Happening::Paste(text) => self.send(Message::Paste(text.clone())),
            Happening::Resize(w, h) => self.send(Message::Resize(Size::new(*w, *h))),
            Happening::Later(millis) => {
                self.now = self.now.plus(Duration::from_millis(*millis));
                self.send(Message::Tick)
            }
            Happening::Focus(on) => self.send(Message::Focus(*on)),
            Happening::Changed => self.send(Message::Changed),
            Happening::Answers | Happening::Problems => {
                self.answer_all(matches!(happening, Happening::Answers));
                Vec::new()
            }
        }
    }

    fn drawn(&self) -> Buffer {
        let size = self.model.context.size;
        let mut buffer = Buffer::empty(Rect::new(0, 0, size.width, size.height));
        view(&self.model, &mut buffer);
        buffer
    }
}

thread_local! {
    static BENCH: Rc<Bench> = Rc::new(Bench::new());
}

fn bench() -> Rc<Bench> {
    BENCH.with(Rc::clone)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn whatever_happens_it_stands(happenings in proptest::collection::vec(happening(), 1..70)) {
        let bench = bench();
        let mut trial = Trial::new(&bench);
        for happening in &happenings {
            let was_finished = trial.model.is_finished();
            let effects = trial.happen(happening);
            let changes = effects.iter().any(|effect| matches!(effect, Effect::Change(..)));
            if let Happening::Key(key) = happening {
                prop_assert!(!(changes && key.code == KeyCode::Enter), "Enter changes something");
                let ends = trial.model.is_finished() && !was_finished;
                prop_assert!(!(ends && key.code == KeyCode::Esc), "Escape ends it");
            } else {
                prop_assert!(!changes, "{happening:?} changes something");
            }
            let drawn = trial.drawn();
            prop_assert_eq!(&drawn, &trial.drawn(), "drawing has changed something");
        }
    }

    #[test]
    fn a_window_takes_all_keys(keys in proptest::collection::vec(key(), 1..40)) {
        let mut model = Model::new(context(), true);
        model.place.clear();
        model.push(Box::new(Probe::default()));
        let key_shown = PlainKey::generate(&SystemRandom);
        let window = KeyWindow::new("t".parse().unwrap(), key_shown);
        model.raise(Box::new(window));
        for key in keys {
            let effects = model.update(NOW, Message::Key(key));
            if model.windows.is_empty() {
                break;
            }
            prop_assert!(!model.is_finished());
            let quits = effects.iter().any(|effect| matches!(effect, Effect::Quit));
            prop_assert!(!quits);
            let probe = format!("{:?}", model.place.last().unwrap().item);
            prop_assert_eq!(probe, "Probe { acts: 0 }");
        }
    }
}

/// A screen that counts what reaches it.
#[derive(Debug, Default)]
struct Probe {
    acts: u32,
}

const PROBE: &[Binding] = &[
    bind(Action::Open, &["enter"], "open"),
    bind(Action::New, &["n"], "new"),
    bind(Action::Edit, &["e"], "edit"),
];

impl Screen for Probe {
    fn tab(&self) -> Tab {
        Tab::Teams
    }

    fn bindings(&self) -> &'static [Binding] {
        PROBE
    }

    fn refresh(&mut self, _context: &super::context::Context) -> Vec<Step> {
        Vec::new()
    }

    fn receive(&mut self, _: Slot, _: Answer, _: &super::context::Context) -> Vec<Step> {
        Vec::new()
    }

    fn act(&mut self, _: Action, _: &super::context::Context) -> Vec<Step> {
        self.acts += 1;
        Vec::new()
    }

    fn draw(&self, _: Rect, _: &mut Buffer, _: &super::context::Context) {}
}

/// A clock that stands.
#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        NOW
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_model_that_does_not_change_is_drawn_once() {
    let mut model = Model::new(context(), true);
    model.place.clear();
    model.push(Box::new(Probe::default()));
    let surface = Counting::new(80, 24);
    let drawn = surface.drawn();
    let gap = Duration::ZERO;
    let mut runner = Runner::new(surface, model, surface::Silent, Arc::new(Standing), gap).unwrap();
    let sender = runner.sender();
    let nothing = futures_util::stream::pending();
    let poke = async move {
        for _ in 0..30 {
            sender.send(Message::Focus(true)).await.unwrap();
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
        sender.send(Message::Quit).await.unwrap();
    };
    let (result, ()) = tokio::join!(runner.run(nothing), poke);
    result.unwrap();
    assert_eq!(drawn.get(), 1);
}
