use super::*;
use crate::clock::{SystemRandom, Timestamp};
use crate::command::{KeySettings, NewCredential, NewKey, PriceImport, ProviderRef};
use crate::db::work::BalanceChange;
use crate::id::{CredentialId, JobId, KeyId};
use crate::job::BudgetMode;
use crate::key::PlainKey;
use crate::limit::{LimitSettings, Limits};
use crate::money::{Credits, Markup, Rounding};
use crate::price::import;
use crate::provider::ProviderKind;
use crate::standing::Standing;

fn provider() -> ProviderRef {
    ProviderRef {
        org_id: None,
        name: "p".parse().unwrap(),
    }
}

fn credential() -> NewCredential {
    NewCredential {
        id: credential_id(),
        sealed_key: "sealed".to_owned(),
        hint: "…1111".to_owned(),
    }
}

fn credential_id() -> CredentialId {
    CredentialId::new(Timestamp::default(), &SystemRandom)
}

fn key() -> NewKey {
    let plain = PlainKey::generate(&SystemRandom);
    NewKey {
        id: plain.id().clone(),
        hash: plain.hash(),
    }
}

fn set_team(change: impl FnOnce(&mut TeamSettings)) -> Command {
    let mut settings = TeamSettings::default();
    change(&mut settings);
    Command::SetTeam {
        id: "t".parse().unwrap(),
        settings,
    }
}

fn set_model(change: impl FnOnce(&mut ModelSettings)) -> Command {
    let mut settings = ModelSettings::default();
    change(&mut settings);
    Command::SetModel {
        alias: "m".parse().unwrap(),
        settings,
    }
}

/// What an operator may do.
fn of_operators() -> Vec<Command> {
    let limits = LimitSettings {
        parallel_calls: Some(Some(1)),
        ..LimitSettings::default()
    };
    let mut commands = about_standing_and_keys();
    commands.extend(about_service());
    commands.extend([
        set_team(|team| team.name = Some("T".to_owned())),
        set_team(|team| team.limits = limits),
        set_team(|team| team.groups = Some(Vec::new())),
        set_model(|model| model.weight = Some(5)),
        set_model(|model| model.fallbacks = Some(Vec::new())),
    ]);
    commands
}

fn about_standing_and_keys() -> Vec<Command> {
    vec![
        Command::RenameOrg {
            id: "o".parse().unwrap(),
            name: "O".to_owned(),
        },
        Command::SetOrgStanding {
            id: "o".parse().unwrap(),
            standing: Standing::Suspended,
        },
        Command::SetTeamStanding {
            id: "t".parse().unwrap(),
            standing: Standing::Active,
        },
        Command::CreateKey {
            team_id: "t".parse().unwrap(),
            key: key(),
            label: None,
            limits: Limits::default(),
            expires_at: None,
        },
        Command::SetKey {
            id: KeyId::new("k"),
            settings: KeySettings::default(),
        },
        Command::RotateKey {
            id: KeyId::new("k"),
            successor: key(),
            ends_at: Timestamp::default(),
        },
        Command::RevokeKey {
            id: KeyId::new("k"),
        },
    ]
}

fn about_service() -> Vec<Command> {
    let job = JobId::new(Timestamp::default(), &SystemRandom);
    vec![
        Command::EnableProvider {
            provider: provider(),
            enabled: false,
        },
        Command::EnableCredential {
            id: credential_id(),
            enabled: true,
        },
        Command::CreateGroup {
            name: "g".parse().unwrap(),
            models: Vec::new(),
        },
        Command::AddToGroup {
            name: "g".parse().unwrap(),
            alias: "m".parse().unwrap(),
        },
        Command::RemoveFromGroup {
            name: "g".parse().unwrap(),
            alias: "m".parse().unwrap(),
        },
        Command::CancelJob {
            id: job,
            reason: String::new(),
            release: false,
        },
        Command::FailJob {
            id: job,
            reason: String::new(),
            release: false,
        },
    ]
}

/// What only an owner may do.
fn of_owners() -> Vec<Command> {
    let mut commands = changes_of_owners();
    commands.push(import_prices());
    commands
}

fn changes_of_owners() -> Vec<Command> {
    let base_url = || "https://example.org/v1".parse().unwrap();
    let alias = || "m".parse().unwrap();
    vec![
        Command::CreateOrg {
            id: "o".parse().unwrap(),
            name: "O".to_owned(),
        },
        Command::CreateTeam {
            id: "t".parse().unwrap(),
            org_id: "o".parse().unwrap(),
            credits: Credits::ZERO,
            settings: TeamSettings::default(),
        },
        Command::ChangeBalance {
            team_id: "t".parse().unwrap(),
            change: BalanceChange::Allocate(Credits(1)),
            reason: String::new(),
        },
        Command::AddModel {
            alias: alias(),
            settings: ModelSettings::default(),
        },
        Command::RemoveModel { alias: alias() },
        Command::AddProvider {
            provider: provider(),
            kind: ProviderKind::OpenAi,
            base_url: base_url(),
            credential: credential(),
        },
        Command::SetProvider {
            provider: provider(),
            base_url: base_url(),
        },
        Command::SetPassFields {
            provider: provider(),
            pass_fields: "x".parse().unwrap(),
        },
        Command::AddCredential {
            provider: provider(),
            credential: credential(),
        },
        Command::RotateProvider {
            provider: provider(),
            credential: credential(),
        },
        Command::RemoveCredential {
            id: credential_id(),
        },
        Command::RemoveProvider {
            provider: provider(),
        },
        set_team(|team| team.budget_mode = Some(BudgetMode::JobBased)),
        set_team(|team| team.markup = Some(Markup::from_basis_points(1))),
        set_team(|team| team.tokens_per_credit = Some(1)),
        set_team(|team| team.charge_failed = Some(None)),
        set_team(|team| team.rounding = Some(Rounding::Up)),
        set_team(|team| team.job_cost_max = Some(None)),
        set_team(|team| team.overdraft = Some(Credits(1))),
        set_team(|team| team.budget_day = Some(None)),
        set_team(|team| team.budget_month = Some(None)),
        set_team(|team| {
            team.name = Some("T".to_owned());
            team.markup = Some(Markup::from_basis_points(1));
        }),
        set_model(|model| model.price = Some(None)),
        set_model(|model| model.provider = Some("p".parse().unwrap())),
        set_model(|model| model.upstream_model = Some("x".to_owned())),
    ]
}

fn import_prices() -> Command {
    let list = r#"[{"seller": "openai", "model": "m", "prices":
        [{"service_tier": "standard", "input": 1, "output": 1}]}]"#;
    Command::ImportPrices {
        import: Box::new(PriceImport {
            list: import::read(list.as_bytes(), None, 0).unwrap(),
            file_name: "prices.json".to_owned(),
            file_sha256: import::sha256(list.as_bytes()),
            accepted: import::Acceptance::All,
            counts: import::ImportCounts::default(),
        }),
    }
}

#[test]
fn viewers_change_nothing_operators_no_money_and_owners_everything() {
    for command in of_operators() {
        let action = command.action();
        assert!(Role::Viewer.allows(&command).is_err(), "{action}");
        assert_eq!(Role::Operator.allows(&command), Ok(()), "{action}");
        assert_eq!(Role::Owner.allows(&command), Ok(()), "{action}");
    }
    for command in of_owners() {
        let action = command.action();
        assert!(Role::Viewer.allows(&command).is_err(), "{action}");
        assert!(Role::Operator.allows(&command).is_err(), "{action}");
        assert_eq!(Role::Owner.allows(&command), Ok(()), "{action}");
    }
}

#[test]
fn every_action_is_in_the_table() {
    let commands = of_operators().into_iter().chain(of_owners());
    let actions: std::collections::BTreeSet<&str> = commands.map(|c| c.action()).collect();
    // Suspending, pausing and resuming are one command, as enabling and disabling are; credits are
    // moved by one command too.
    let one_of = [
        "credits.adjust",
        "credits.refund",
        "org.pause",
        "org.resume",
        "provider.disable_key",
        "provider.enable",
        "team.pause",
        "team.suspend",
    ];
    let source = include_str!("../command/record.rs");
    let (_, after) = source.split_once("pub const fn action").unwrap();
    let (body, _) = after.split_once("/// Whom or what").unwrap();
    for word in body.split('"').skip(1).step_by(2) {
        let known = actions.contains(word) || one_of.contains(&word);
        assert!(known, "no role is tested for {word}");
    }
}

#[test]
fn a_refusal_names_the_role_the_act_and_who_may() {
    let command = set_model(|model| model.price = Some(None));
    let refusal = Role::Operator.allows(&command).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the role operator may not change prices: that takes the role owner"
    );
    let refusal = Role::Viewer.allows(&command).unwrap_err();
    assert!(refusal.to_string().contains("may not change anything"));
}

#[test]
fn roles_are_read_as_they_are_shown_and_ordered_by_what_they_may() {
    for role in Role::ALL {
        assert_eq!(role.to_string().parse(), Ok(role));
    }
    assert!("root".parse::<Role>().unwrap_err().contains("operator"));
    assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Owner);
}
