//! What hostile callers do, drawn from a seed.

use fastrand::Rng;
use tollgate_common::team::DisconnectPolicy;
use tollgate_tests::fixture::{self, CLAUDE, FAST, GEM, PROVIDER};
use tollgate_tests::{Door, World};

use super::teams::{HostileTeam, TEAMS};

/// The longest answer that is asked for.
pub(super) const OUTPUT_TOKENS_MAX: i64 = 600;
/// The same with thoughts, which Anthropic's dialect counts in it.
const THOUGHTFUL_TOKENS_MAX: i64 = 2_000;
const THINKING_BUDGET: i64 = 1_024;

/// A model that thinks in silence.
const THINKER: &str = "thinker";

/// A model behind the scripted provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) alias: &'static str,
    /// Nano-dollars for a token of the answer.
    pub(super) output_price: i128,
    /// How many events of a stream come before its first word.
    before_words: usize,
    /// How many come between the last word and the usage.
    before_usage: usize,
    /// Whether thoughts are counted beside the answer and not in it.
    counts_thoughts_apart: bool,
}

const MODELS: [Model; 4] = [
    model(FAST, 10_000, 1, 1),
    model(THINKER, 10_000, 1, 1),
    model(CLAUDE, 15_000, 3, 1),
    Model {
        counts_thoughts_apart: true,
        ..model(GEM, 2_500, 0, 0)
    },
];

const fn model(
    alias: &'static str,
    output_price: i128,
    before_words: usize,
    before_usage: usize,
) -> Model {
    Model {
        alias,
        output_price,
        before_words,
        before_usage,
        counts_thoughts_apart: false,
    }
}

/// Adds the models that the fixture does not have.
pub(super) async fn add_models(world: &World) {
    let thinker = fixture::add_model(THINKER, PROVIDER, "gpt-5");
    world.execute(thinker).await;
    world.execute(fixture::grant(THINKER)).await;
}

/// What the provider does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    /// It answers, with pauses of so many milliseconds.
    Answer { gap: u64 },
    /// It says nothing more after so many words.
    Stall { words: usize },
    /// It never answers.
    Silent,
    /// It holds the usage back until the caller has left.
    LateUsage,
    /// It fails.
    Fault(&'static str),
}

/// When the caller leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaves {
    /// It reads everything.
    Never,
    /// Before anything has come.
    AtOnce,
    /// After so many words.
    After(usize),
    /// It does not read, and leaves at the end of the history.
    WithoutReading,
}

/// What the caller does with its job while the call is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meanwhile {
    Nothing,
    Fail,
    Complete,
    Cancel,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallAct {
    /// Its place in the history, by which it is found again.
    pub(super) number: usize,
    pub(super) team: &'static HostileTeam,
    pub(super) door: Door,
    pub(super) is_streamed: bool,
    pub(super) model: Model,
    pub(super) script: Script,
    pub(super) leaves: Leaves,
    pub(super) meanwhile: Meanwhile,
    /// Whether it is sent twice, with an idempotency key.
    pub(super) repeats: bool,
    /// What the provider counts of the prompt.
    pub(super) input: i64,
    /// How many words the provider says.
    pub(super) words: i64,
    /// How many tokens the model thinks in silence.
    pub(super) hidden: i64,
    /// Which of the team's open jobs it uses.
    pub(super) place: usize,
}

/// One act of a history.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Open(&'static HostileTeam),
    Call(CallAct),
    /// Ends one of the open jobs.
    End {
        place: usize,
        how: Meanwhile,
    },
    /// Cancels one of the open jobs without a charge.
    Release {
        place: usize,
    },
}

impl CallAct {
    /// By what its call is found again.
    pub(super) fn tag(&self) -> String {
        format!("act-{}", self.number)
    }

    pub(super) fn thinks_aloud(&self) -> bool {
        self.model.alias == CLAUDE && self.door == Door::Anthropic
    }

    /// The longest answer that the caller asks for.
    pub(super) fn output_max(&self) -> i64 {
        if self.thinks_aloud() {
            THOUGHTFUL_TOKENS_MAX
        } else {
            OUTPUT_TOKENS_MAX
        }
    }

    /// The budget of thoughts that the request names, if it names one.
    pub(super) fn thinking_budget(&self) -> Option<i64> {
        self.thinks_aloud().then_some(THINKING_BUDGET)
    }

    /// Whether only the caller can have ended the call before its end.
    pub(super) const fn is_the_callers_own(&self) -> bool {
        !matches!(self.script, Script::Fault(_))
    }

    /// What the provider is told.
    pub(super) fn prompt(&self) -> String {
        let counted = if self.model.counts_thoughts_apart {
            self.words
        } else {
            self.words + self.hidden
        };
        let usual = format!(
            "do:words={},usage={}:{counted},reasoned={}",
            self.words, self.input, self.hidden
        );
        let more = match self.script {
            Script::Answer { gap: 0 } => String::new(),
            Script::Answer { gap } if self.is_streamed => format!(",gap={gap}"),
            Script::Answer { gap } => format!(",slow={}", gap * 20),
            Script::Stall { words } => format!(",stall={}", self.model.before_words + words),
            Script::Silent => ",silent".to_owned(),
            Script::LateUsage => {
                let words = usize::try_from(self.words).unwrap_or_default();
                let at = self.model.before_words + words + self.model.before_usage;
                format!(
                    ",joined,gated={}",
                    at.saturating_sub(usize::from(self.is_last_word_late()))
                )
            }
            Script::Fault(fault) => format!(",{fault}"),
        };
        format!("{usual}{more} {}", self.tag())
    }

    /// Whether the usage comes with the last word.
    pub(super) const fn is_last_word_late(&self) -> bool {
        self.model.before_usage == 0
    }
}

/// The acts of a history.
pub(super) fn history(seed: u64, count: usize) -> Vec<Act> {
    let mut rng = Rng::with_seed(seed);
    (0..count).map(|number| act(&mut rng, number)).collect()
}

fn act(rng: &mut Rng, number: usize) -> Act {
    let place = rng.usize(..1_000);
    match rng.usize(..100) {
        0..18 => Act::Open(team(rng)),
        18..28 => {
            let how = [Meanwhile::Fail, Meanwhile::Complete, Meanwhile::Cancel];
            let how = how[rng.usize(..how.len())];
            Act::End { place, how }
        }
        28..30 => Act::Release { place },
        _ => Act::Call(call(rng, number, place)),
    }
}

fn team(rng: &mut Rng) -> &'static HostileTeam {
    &TEAMS[rng.usize(..TEAMS.len())]
}

fn call(rng: &mut Rng, number: usize, place: usize) -> CallAct {
    let team = team(rng);
    let door = Door::ALL[rng.usize(..Door::ALL.len())];
    let is_streamed = rng.usize(..4) > 0;
    let model = MODELS[rng.usize(..MODELS.len())];
    let words = rng.i64(2..40);
    let thinks = match model.alias {
        FAST => false,
        CLAUDE => door == Door::Anthropic,
        _ => true,
    };
    let hidden = rng.i64(0..400);
    let script = script(rng, (team.disconnect, is_streamed, model), words);
    let meanwhile = match rng.usize(..12) {
        0 => Meanwhile::Fail,
        1 => Meanwhile::Complete,
        2 => Meanwhile::Cancel,
        _ => Meanwhile::Nothing,
    };
    CallAct {
        number,
        team,
        door,
        is_streamed,
        model,
        script,
        leaves: leaves(rng, script, is_streamed, words),
        meanwhile,
        repeats: rng.usize(..6) == 0 && matches!(script, Script::Answer { .. }),
        input: rng.i64(20..120),
        words,
        hidden: if thinks { hidden } else { 0 },
        place,
    }
}

fn script(
    rng: &mut Rng,
    (disconnect, is_streamed, model): (DisconnectPolicy, bool, Model),
    words: i64,
) -> Script {
    const FAULTS: [&str; 5] = ["status=500", "status=400", "cut=3", "error=4", "garbage=3"];
    let most = usize::try_from(words).unwrap_or_default();
    // A whole answer that nobody waits for is read to its end, or to its provider's.
    let can_hang = is_streamed || disconnect == DisconnectPolicy::Cancel;
    match rng.usize(..10) {
        0..3 if can_hang && is_streamed => Script::Stall {
            words: rng.usize(1..=most.min(6)),
        },
        0 | 3 if can_hang => Script::Silent,
        4 | 5 if is_streamed && model.alias != CLAUDE => Script::LateUsage,
        6 => Script::Fault(FAULTS[rng.usize(..FAULTS.len())]),
        _ => Script::Answer {
            gap: rng.u64(0..12),
        },
    }
}

fn leaves(rng: &mut Rng, script: Script, is_streamed: bool, words: i64) -> Leaves {
    let words = usize::try_from(words).unwrap_or_default();
    match script {
        Script::Stall { words } => Leaves::After(rng.usize(0..=words)),
        Script::Silent => Leaves::AtOnce,
        Script::LateUsage => Leaves::After(words),
        Script::Fault(_) => Leaves::Never,
        Script::Answer { .. } => match rng.usize(..8) {
            0 => Leaves::AtOnce,
            1..5 if is_streamed => Leaves::After(rng.usize(..words)),
            5 => Leaves::WithoutReading,
            _ => Leaves::Never,
        },
    }
}
