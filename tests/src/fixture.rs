//! What every world holds: two organizations, three teams with a key each, a provider of each kind,
//! their models.

use tollgate_common::clock::{Clock as _, SystemClock, SystemRandom};
use tollgate_common::command::TeamSettings;
use tollgate_common::command::{Command, ModelSettings, NewCredential, NewKey, ProviderRef};
use tollgate_common::id::{CredentialId, KeyId, ModelAlias};
use tollgate_common::job::BudgetMode;
use tollgate_common::key::{KeyHash, PlainKey};
use tollgate_common::limit::Limits;
use tollgate_common::money::Credits;
use tollgate_common::provider::ProviderKind;
use tollgate_common::secret::{SealedAt, SealingKey};

use crate::upstream::Upstream;

/// A team and the key that its application shows.
#[derive(Debug, Clone, Copy)]
pub struct Team {
    /// Its id.
    pub id: &'static str,
    /// Its organization.
    pub org: &'static str,
    /// A live key.
    pub key: &'static str,
    /// What it is given at first.
    pub credits: i64,
}

/// Charged one credit a job; 10 credits.
pub const ALPHA: Team = Team {
    id: "team-alpha",
    org: "o1",
    key: "sk-alpha-virtual-key-7f3a",
    credits: 10,
};

/// Charged one credit for 1,000 tokens; 100 credits.
pub const TOK: Team = Team {
    id: "team-tok",
    org: "o1",
    key: "sk-tok-virtual-key-91be",
    credits: 100,
};

/// Of another organization, charged 1,000 credits a dollar; 5 credits.
pub const TEAM_B: Team = Team {
    id: "team-b",
    org: "o2",
    key: "sk-b-virtual-key-c04d",
    credits: 5,
};

/// The default model of all teams: `gpt-4o`, $2.50 and $10 per million tokens.
pub const FAST: &str = "chat-fast";
/// The second model that all teams are granted: `gpt-4o-mini`.
pub const MINI: &str = "chat-mini";
/// A granted model that nobody knows the price of.
pub const UNPRICED: &str = "chat-unpriced";
/// A model that no team is granted.
pub const UNGRANTED: &str = "chat-ungranted";
/// A granted model of an account that speaks Anthropic's dialect: `claude-sonnet-4-5`.
pub const CLAUDE: &str = "claude";
/// A granted model of an account that speaks Gemini's dialect: `gemini-2.5-flash`.
pub const GEM: &str = "gem";
/// A granted model that gives vectors: `text-embedding-3-small`.
pub const EMBED: &str = "embed";
/// The group of the granted models.
pub const GROUP: &str = "gpt-models";
/// The name of the provider account.
pub const PROVIDER: &str = "openai";
/// The secret that opens the provider.
pub const PROVIDER_KEY: &str = "sk-provider-secret-5d21e8";
/// The secret that opens the provider account that speaks Anthropic's dialect.
pub const ANTHROPIC_KEY: &str = "sk-ant-provider-secret-a77c02";
/// The secret that opens the provider account that speaks Gemini's dialect.
pub const GEMINI_KEY: &str = "AIza-provider-secret-2be913";

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("the fixture's names are valid")
}

/// All that makes the fixture, in an order in which it can be carried out.
pub fn commands(base_url: &str, sealing_key: &SealingKey) -> Vec<Command> {
    let mut commands = vec![create_org("o1"), create_org("o2")];
    commands.push(add_provider(PROVIDER, base_url, PROVIDER_KEY, sealing_key));
    let models = [
        (FAST, "gpt-4o"),
        (MINI, "gpt-4o-mini"),
        (UNPRICED, "house-model"),
        (UNGRANTED, "gpt-4.1"),
    ];
    commands.extend(models.map(|(alias, upstream)| add_model(alias, PROVIDER, upstream)));
    commands.push(Command::CreateGroup {
        name: parsed(GROUP),
        models: [FAST, MINI, UNPRICED].map(parsed).to_vec(),
    });
    commands.extend([
        create_team(ALPHA, TeamSettings::default()),
        create_team(
            TOK,
            TeamSettings {
                budget_mode: Some(BudgetMode::ConsumptionTokens),
                tokens_per_credit: Some(1_000),
                ..TeamSettings::default()
            },
        ),
        create_team(
            TEAM_B,
            TeamSettings {
                budget_mode: Some(BudgetMode::ConsumptionUsd),
                credits_per_dollar: Some(parsed("1000")),
                ..TeamSettings::default()
            },
        ),
    ]);
    commands.extend([ALPHA, TOK, TEAM_B].map(|team| import_key(team.id, team.key)));
    commands
}

/// Accounts and models of the other kinds, granted to all teams.
pub fn other_kinds(upstream: &Upstream, sealing_key: &SealingKey) -> Vec<Command> {
    let anthropic = upstream.anthropic_base_url();
    let gemini = upstream.gemini_base_url();
    let account = |kind: ProviderKind, base_url: &str, secret| {
        add_provider_of(kind, kind.word(), base_url, secret, sealing_key)
    };
    let mut commands = vec![
        account(ProviderKind::Anthropic, &anthropic, ANTHROPIC_KEY),
        account(ProviderKind::Gemini, &gemini, GEMINI_KEY),
    ];
    for (alias, provider, upstream_model) in [
        (CLAUDE, "anthropic", "claude-sonnet-4-5"),
        (GEM, "gemini", "gemini-2.5-flash"),
        (EMBED, PROVIDER, "text-embedding-3-small"),
    ] {
        commands.push(add_model(alias, provider, upstream_model));
        commands.push(grant(alias));
    }
    commands
}

/// Adds a model to the group that all teams are granted.
pub fn grant(alias: &str) -> Command {
    Command::AddToGroup {
        name: parsed(GROUP),
        alias: parsed(alias),
    }
}

fn create_org(id: &str) -> Command {
    Command::CreateOrg {
        id: parsed(id),
        name: format!("Organization {id}"),
    }
}

/// A team with the fixture's models and these settings.
pub fn create_team(team: Team, settings: TeamSettings) -> Command {
    Command::CreateTeam {
        id: parsed(team.id),
        org_id: parsed(team.org),
        credits: Credits(team.credits),
        settings: TeamSettings {
            default_model: Some(Some(parsed(FAST))),
            groups: Some(vec![parsed(GROUP)]),
            ..settings
        },
    }
}

/// A key of a team, given in clear.
pub fn import_key(team: &str, key: &str) -> Command {
    Command::CreateKey {
        team_id: parsed(team),
        key: NewKey {
            id: key_id(key),
            hash: KeyHash::of(key),
        },
        label: Some("test".to_owned()),
        limits: Limits::default(),
        expires_at: None,
    }
}

/// The id of a key that [`import_key`] takes.
pub fn key_id(key: &str) -> KeyId {
    KeyId::new(&KeyHash::of(key).to_hex()[..8])
}

/// What is stored of a key.
pub fn new_key(key: &PlainKey) -> NewKey {
    NewKey {
        id: key.id().clone(),
        hash: key.hash(),
    }
}

/// A provider account that speaks OpenAI's dialect and that all organizations may use.
pub fn add_provider(name: &str, base_url: &str, secret: &str, sealing_key: &SealingKey) -> Command {
    add_provider_of(ProviderKind::OpenAi, name, base_url, secret, sealing_key)
}

/// A provider account that all organizations may use.
pub fn add_provider_of(
    kind: ProviderKind,
    name: &str,
    base_url: &str,
    secret: &str,
    sealing_key: &SealingKey,
) -> Command {
    Command::AddProvider {
        provider: ProviderRef {
            org_id: None,
            name: parsed(name),
        },
        kind,
        base_url: parsed(base_url),
        credential: credential(secret, sealing_key),
    }
}

/// A provider's key as it is stored.
pub fn credential(secret: &str, sealing_key: &SealingKey) -> NewCredential {
    let id = CredentialId::new(SystemClock.now(), &SystemRandom);
    NewCredential {
        id,
        sealed_key: sealing_key.seal(secret, SealedAt::ProviderKey(id), &SystemRandom),
        hint: "…".to_owned(),
    }
}

/// A model of a provider.
pub fn add_model(alias: &str, provider: &str, upstream_model: &str) -> Command {
    Command::AddModel {
        alias: parsed::<ModelAlias>(alias),
        settings: ModelSettings {
            provider: Some(parsed(provider)),
            upstream_model: Some(upstream_model.to_owned()),
            ..ModelSettings::default()
        },
    }
}
