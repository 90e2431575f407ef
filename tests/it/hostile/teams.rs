//! Teams under all terms of charges.

use tollgate_common::command::TeamSettings;
use tollgate_common::job::{BudgetMode, ChargeFailed};
use tollgate_common::money::{Credits, Rounding};
use tollgate_common::team::DisconnectPolicy;
use tollgate_tests::World;
use tollgate_tests::fixture::{Team, create_team, import_key};

use super::acts::OUTPUT_TOKENS_MAX;

/// Credits per dollar of teams that are charged by cost: a token of an answer is about a credit.
pub(super) const CREDITS_PER_DOLLAR: i128 = 100_000;
/// Tokens per credit of teams that are charged by tokens.
pub(super) const TOKENS_PER_CREDIT: i128 = 7;
/// The markup of all teams, in per cent.
pub(super) const MARKUP_PERCENT: i128 = 20;

/// A team and its terms.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostileTeam {
    pub(super) team: Team,
    pub(super) mode: BudgetMode,
    pub(super) charge_failed: ChargeFailed,
    pub(super) rounding: Rounding,
    pub(super) disconnect: DisconnectPolicy,
    pub(super) overdraft: i64,
}

const PLENTY: i64 = 5_000_000;
/// Enough for a few calls of the longest answer.
const LITTLE: i64 = 6 * OUTPUT_TOKENS_MAX;

const fn team(
    (id, key): (&'static str, &'static str),
    mode: BudgetMode,
    charge_failed: ChargeFailed,
    rounding: Rounding,
    disconnect: DisconnectPolicy,
) -> HostileTeam {
    HostileTeam {
        team: Team {
            id,
            org: "o1",
            key,
            credits: PLENTY,
        },
        mode,
        charge_failed,
        rounding,
        disconnect,
        overdraft: 0,
    }
}

const fn poor(team: HostileTeam, overdraft: i64) -> HostileTeam {
    HostileTeam {
        team: Team {
            credits: LITTLE,
            ..team.team
        },
        overdraft,
        ..team
    }
}

/// All of them.
pub(super) const TEAMS: [HostileTeam; 10] = {
    use BudgetMode::{ConsumptionTokens, ConsumptionUsd, JobBased};
    use ChargeFailed::{Always, Never, Used};
    use DisconnectPolicy::{Cancel, Drain};
    use Rounding::{Down, Up};
    [
        team(
            ("h-tok-used", "sk-h0-virtual-key-a0c1"),
            ConsumptionTokens,
            Used,
            Up,
            Cancel,
        ),
        team(
            ("h-tok-never", "sk-h1-virtual-key-a1c2"),
            ConsumptionTokens,
            Never,
            Down,
            Drain,
        ),
        team(
            ("h-tok-always", "sk-h2-virtual-key-a2c3"),
            ConsumptionTokens,
            Always,
            Down,
            Cancel,
        ),
        team(
            ("h-usd-used", "sk-h3-virtual-key-a3c4"),
            ConsumptionUsd,
            Used,
            Down,
            Cancel,
        ),
        team(
            ("h-usd-never", "sk-h4-virtual-key-a4c5"),
            ConsumptionUsd,
            Never,
            Up,
            Drain,
        ),
        team(
            ("h-usd-always", "sk-h5-virtual-key-a5c6"),
            ConsumptionUsd,
            Always,
            Up,
            Cancel,
        ),
        team(
            ("h-job-never", "sk-h6-virtual-key-a6c7"),
            JobBased,
            Never,
            Down,
            Cancel,
        ),
        team(
            ("h-job-used", "sk-h7-virtual-key-a7c8"),
            JobBased,
            Used,
            Down,
            Cancel,
        ),
        poor(
            team(
                ("h-poor-tok", "sk-h8-virtual-key-a8c9"),
                ConsumptionTokens,
                Used,
                Up,
                Cancel,
            ),
            50,
        ),
        poor(
            team(
                ("h-poor-usd", "sk-h9-virtual-key-a9d0"),
                ConsumptionUsd,
                Used,
                Down,
                Drain,
            ),
            0,
        ),
    ]
};

impl HostileTeam {
    /// Adds it with its key.
    pub(super) async fn create(&self, world: &World) {
        let settings = TeamSettings {
            budget_mode: Some(self.mode),
            credits_per_dollar: Some(CREDITS_PER_DOLLAR.to_string().parse().unwrap()),
            tokens_per_credit: Some(i64::try_from(TOKENS_PER_CREDIT).unwrap()),
            markup: Some(MARKUP_PERCENT.to_string().parse().unwrap()),
            charge_failed: Some(Some(self.charge_failed)),
            rounding: Some(self.rounding),
            disconnect: Some(self.disconnect),
            overdraft: Some(Credits(self.overdraft)),
            ..TeamSettings::default()
        };
        world.execute(create_team(self.team, settings)).await;
        world.execute(import_key(self.team.id, self.team.key)).await;
    }

    /// The team of this id.
    pub(super) fn of(id: &str) -> &'static Self {
        let found = TEAMS.iter().find(|hostile| hostile.team.id == id);
        found.unwrap_or_else(|| panic!("{id} is not one of the teams"))
    }

    /// What this usage comes to in credits, a job's minimum included.
    pub(super) fn credits_for(&self, cost: i128, tokens: i128) -> i128 {
        let (dividend, divisor) = match self.mode {
            BudgetMode::JobBased => return 1,
            BudgetMode::ConsumptionUsd => (cost * CREDITS_PER_DOLLAR, 1_000_000_000),
            BudgetMode::ConsumptionTokens => (tokens, TOKENS_PER_CREDIT),
        };
        let rounded = match self.rounding {
            Rounding::Down => dividend / divisor,
            Rounding::Up => (dividend + divisor - 1) / divisor,
        };
        rounded.max(1)
    }
}
