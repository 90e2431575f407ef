//! Who takes part: organizations, teams, keys, providers and models, as the commands of the
//! administrators who made them, each at its moment.

use std::time::Duration;

use tollgate_common::clock::{Random, Timestamp};
use tollgate_common::command::{Command, NewKey, TeamSettings};
use tollgate_common::db::demo::Record;
use tollgate_common::id::{CredentialId, InvalidId, KeyId, ModelAlias, OrgId, TeamId};
use tollgate_common::job::{BudgetMode, ChargeFailed, Terms};
use tollgate_common::key::PlainKey;
use tollgate_common::limit::{LimitSettings, Limits};
use tollgate_common::money::{CreditRate, Credits, Markup, Rounding};
use tollgate_common::secret::SealingKey;
use tollgate_common::standing::Standing;

use super::Size;
use super::dice::Dice;

mod shelf;

pub(crate) use shelf::Offer;

/// Administrators who take turns.
pub(crate) const ACTORS: [&str; 3] = ["demo-alice", "demo-bob", "demo-carol"];

const ORGS: [&str; 16] = [
    "acme", "beta", "cobalt", "delta", "ember", "fjord", "garnet", "harbor", "indigo", "juniper",
    "kestrel", "lumen", "maple", "nimbus", "orchid", "pioneer",
];

const WORK: [&str; 12] = [
    "search", "voice", "support", "eval", "billing", "docs", "mobile", "research", "ops", "growth",
    "legal", "labs",
];

/// How many teams an organization has, as a rule.
const TEAMS_PER_ORG: usize = 5;

/// A team as its history needs it.
#[derive(Debug)]
pub(crate) struct Player {
    /// Its id.
    pub(crate) id: TeamId,
    /// Its organization.
    pub(crate) org_id: OrgId,
    /// How it is charged.
    pub(crate) terms: Terms,
    /// How busy it is beside others.
    pub(crate) weight: u64,
    /// When it is allowed to work no more.
    pub(crate) stops_at: Option<Timestamp>,
    /// Whether it is given credits when it has none left.
    pub(crate) is_funded: bool,
    /// Keys that its applications show, the busiest first.
    pub(crate) keys: Vec<KeyId>,
}

/// All who take part.
#[derive(Debug)]
pub(crate) struct Cast {
    /// What administrators did, in the order of time.
    pub(crate) records: Vec<Record>,
    /// The teams.
    pub(crate) players: Vec<Player>,
    /// The models.
    pub(crate) offers: Vec<Offer>,
    /// A key of a provider, which rests at present.
    pub(crate) resting: CredentialId,
    /// When keys that are used no more were last used.
    pub(crate) past_uses: Vec<(KeyId, Timestamp)>,
}

/// What casting needs.
struct Casting<'a> {
    size: Size,
    dice: &'a Dice,
    secrets: &'a dyn Random,
    records: Vec<Record>,
    past_uses: Vec<(KeyId, Timestamp)>,
}

const fn days(count: u64) -> Duration {
    Duration::from_hours(24 * count)
}

fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

impl Cast {
    /// Decides who takes part. `secrets` makes what nobody may guess; `sealing` seals the keys of
    /// providers, which open nothing.
    pub(crate) fn new(
        size: Size,
        dice: &Dice,
        secrets: &dyn Random,
        sealing: &SealingKey,
    ) -> Result<Self, InvalidId> {
        let mut casting = Casting {
            size,
            dice,
            secrets,
            records: Vec::new(),
            past_uses: Vec::new(),
        };
        let (offers, resting) = casting.stock_the_shelf(sealing)?;
        let orgs = casting.orgs()?;
        let mut players = Vec::with_capacity(size.teams);
        for index in 0..size.teams {
            players.push(casting.team(index, &orgs)?);
        }
        let mut records = casting.records;
        records.sort_by_key(|record| record.at);
        Ok(Self {
            records,
            players,
            offers,
            resting,
            past_uses: casting.past_uses,
        })
    }
}

impl Casting<'_> {
    /// A moment before the history begins, so many minutes after all preparations began.
    fn early(&self, minute: u64) -> Timestamp {
        let begin = self.size.now.minus(days(u64::from(self.size.days) + 20));
        begin.plus(minutes(minute))
    }

    fn record(&mut self, at: Timestamp, command: Command) {
        let actor = ACTORS[self.dice.below(ACTORS.len() as u64) as usize];
        self.records.push(Record { at, actor, command });
    }

    /// Organizations, and when their teams stop working, if they do.
    fn orgs(&mut self) -> Result<Vec<(OrgId, Option<Timestamp>)>, InvalidId> {
        let count = self.size.teams.div_ceil(TEAMS_PER_ORG);
        let mut orgs = Vec::with_capacity(count);
        for index in 0..count {
            let word = ORGS[index % ORGS.len()];
            let id: OrgId = match index / ORGS.len() {
                0 => format!("demo-{word}").parse()?,
                round => format!("demo-{word}-{}", round + 1).parse()?,
            };
            let name = format!("Demo {}{}", word[..1].to_uppercase(), &word[1..]);
            let command = Command::CreateOrg {
                id: id.clone(),
                name,
            };
            self.record(self.early(1_440), command);
            let stop = self.size.now.minus(days(1));
            let stops_at = (index % 8 == 6).then_some(stop);
            if stops_at.is_some() {
                let standing = Standing::Suspended;
                let command = Command::SetOrgStanding {
                    id: id.clone(),
                    standing,
                };
                self.record(stop, command);
            }
            orgs.push((id, stops_at));
        }
        Ok(orgs)
    }

    fn team(
        &mut self,
        index: usize,
        orgs: &[(OrgId, Option<Timestamp>)],
    ) -> Result<Player, InvalidId> {
        let (org_id, org_stops_at) = orgs[index / TEAMS_PER_ORG % orgs.len()].clone();
        let work = WORK[(index * 7 + index / WORK.len()) % WORK.len()];
        let id: TeamId = match index % TEAMS_PER_ORG {
            0 => format!("{org_id}-{work}").parse()?,
            place => format!("{org_id}-{work}-{place}").parse()?,
        };
        let mode = [
            BudgetMode::JobBased,
            BudgetMode::ConsumptionUsd,
            BudgetMode::ConsumptionTokens,
        ][index % 3];
        let terms = Terms {
            mode,
            credits_per_dollar: CreditRate::from_micros(1_000_000_000),
            tokens_per_credit: 1_000,
            markup: Markup::from_basis_points([0, 1_500, 2_500, 4_000][index % 4]),
            charge_failed: ChargeFailed::default_of(mode),
            rounding: Rounding::Down,
            job_cost_max: None,
        };
        let is_funded = index % 8 != 6;
        let made_at = self.early(4_320 + self.dice.below(10_080));
        let command = Command::CreateTeam {
            id: id.clone(),
            org_id: org_id.clone(),
            credits: Credits(if is_funded { 5_000 } else { 400 }),
            settings: settings(index, work, &terms)?,
        };
        self.record(made_at, command);
        let stops_at = self.standing(index, &id);
        let keys = self.keys(index, &id, made_at.plus(minutes(5)));
        Ok(Player {
            id,
            org_id,
            terms,
            weight: 10_000 / (index as u64 + 3) + 5,
            stops_at: [stops_at, org_stops_at].into_iter().flatten().min(),
            is_funded,
            keys,
        })
    }

    /// Some teams may not work any more.
    fn standing(&mut self, index: usize, id: &TeamId) -> Option<Timestamp> {
        let now = self.size.now;
        let (standing, ago) = match index % 17 {
            5 => (Standing::Suspended, days(2)),
            9 => (
                Standing::Paused {
                    until: Some(now.plus(Duration::from_hours(6))),
                },
                Duration::from_hours(3),
            ),
            14 => (Standing::Paused { until: None }, Duration::from_hours(30)),
            _ => return None,
        };
        let at = now.minus(ago);
        let id = id.clone();
        self.record(at, Command::SetTeamStanding { id, standing });
        Some(at)
    }

    fn key(
        &mut self,
        team: &TeamId,
        label: &str,
        made_at: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> KeyId {
        let plain = PlainKey::generate(self.secrets);
        let id = plain.id().clone();
        let command = Command::CreateKey {
            team_id: team.clone(),
            key: NewKey {
                id: id.clone(),
                hash: plain.hash(),
            },
            label: Some(label.to_owned()),
            limits: Limits::default(),
            expires_at,
        };
        self.record(made_at, command);
        id
    }

    /// Keys in use, and some that are not: revoked, expired, about to, rotated, never used.
    fn keys(&mut self, index: usize, team: &TeamId, made_at: Timestamp) -> Vec<KeyId> {
        let now = self.size.now;
        let mut used = vec![self.key(team, "production", made_at, None)];
        if index.is_multiple_of(2) {
            used.push(self.key(team, "staging", made_at.plus(minutes(1)), None));
        }
        if index % 3 == 1 {
            let end = now.plus(days(self.dice.below(20) + 1));
            used.push(self.key(team, "contractor", made_at.plus(minutes(2)), Some(end)));
        }
        if index % 4 == 3 {
            let id = self.key(team, "leaked", made_at.plus(minutes(3)), None);
            let at = now.minus(days(3));
            self.past_uses.push((id.clone(), at.minus(minutes(11))));
            self.record(at, Command::RevokeKey { id });
        }
        if index % 5 == 2 {
            let end = now.minus(days(self.dice.below(9) + 1));
            let id = self.key(team, "trial", made_at.plus(minutes(4)), Some(end));
            self.past_uses.push((id, end.minus(minutes(90))));
        }
        if index % 6 == 4 {
            self.key(team, "spare", made_at.plus(minutes(5)), None);
        }
        if index % 7 == 1 {
            self.rotated(team, made_at.plus(minutes(6)));
        }
        used
    }

    /// A key that ends tomorrow, with its successor.
    fn rotated(&mut self, team: &TeamId, made_at: Timestamp) {
        let now = self.size.now;
        let id = self.key(team, "mobile-app", made_at, None);
        let successor = PlainKey::generate(self.secrets);
        let successor_id = successor.id().clone();
        self.past_uses.push((id.clone(), now.minus(minutes(4))));
        self.past_uses
            .push((successor_id.clone(), now.minus(minutes(2))));
        let command = Command::RotateKey {
            id,
            successor: NewKey {
                id: successor_id,
                hash: successor.hash(),
            },
            ends_at: now.plus(days(1)),
        };
        self.record(now.minus(Duration::from_hours(5)), command);
    }
}

fn settings(index: usize, work: &str, terms: &Terms) -> Result<TeamSettings, InvalidId> {
    let model: ModelAlias = "demo/small".parse()?;
    let groups: &[&str] = if index % 3 == 2 {
        &["demo-standard"]
    } else {
        &["demo-standard", "demo-premium"]
    };
    let groups: Result<_, _> = groups.iter().map(|name| name.parse()).collect();
    let limited = index.is_multiple_of(4);
    Ok(TeamSettings {
        name: Some(format!("Demo {work} {}", index + 1)),
        budget_mode: Some(terms.mode),
        credits_per_dollar: Some(terms.credits_per_dollar),
        tokens_per_credit: Some(terms.tokens_per_credit),
        markup: Some(terms.markup),
        default_model: Some(Some(model)),
        groups: Some(groups?),
        overdraft: (index % 9 == 4).then_some(Credits(50)),
        limits: LimitSettings {
            requests_per_minute: limited.then_some(Some(600)),
            tokens_per_minute: limited.then_some(Some(2_000_000)),
            parallel_calls: limited.then_some(Some(40)),
        },
        cache_ttl_seconds: (index % 6 == 2).then_some(Some(3_600)),
        budget_day: (index % 5 == 1).then_some(Some(Credits(200_000))),
        budget_month: (index % 7 == 3).then_some(Some(Credits(4_000_000))),
        ..TeamSettings::default()
    })
}
