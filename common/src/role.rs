//! What an administrator may do: roles, and which command needs which.

use std::fmt;
use std::str::FromStr;

use crate::command::{Command, ModelSettings, TeamSettings};

/// What somebody may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// May look at everything and change nothing.
    Viewer,
    /// Keeps the service going: jobs, keys, standing, limits, groups, which providers are asked.
    Operator,
    /// May do everything.
    Owner,
}

/// A command that a role may not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the role {role} may not {act}: that takes the role {needs}")]
pub struct NotAllowed {
    /// Whoever asked.
    pub role: Role,
    /// What was asked for.
    pub act: &'static str,
    /// The least role that may.
    pub needs: Role,
}

impl Role {
    /// All, from the one that may least.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Owner];

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }

    /// Whether it may give a command.
    pub fn allows(self, command: &Command) -> Result<(), NotAllowed> {
        let (needs, act) = needs(command);
        if self >= needs {
            return Ok(());
        }
        let act = match self {
            Self::Viewer => "change anything",
            Self::Operator | Self::Owner => act,
        };
        Err(NotAllowed {
            role: self,
            act,
            needs,
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.word() == text)
            .ok_or_else(|| "must be viewer, operator or owner".to_owned())
    }
}

/// The least role that may give a command, and what the command is called in a refusal.
const fn needs(command: &Command) -> (Role, &'static str) {
    match command {
        Command::RenameOrg { .. } => (Role::Operator, "rename organizations"),
        Command::SetOrgStanding { .. } | Command::SetTeamStanding { .. } => {
            (Role::Operator, "suspend, pause or resume")
        }
        Command::CreateKey { .. }
        | Command::SetKey { .. }
        | Command::RotateKey { .. }
        | Command::RevokeKey { .. } => (Role::Operator, "change virtual keys"),
        Command::EnableProvider { .. } | Command::EnableCredential { .. } => {
            (Role::Operator, "enable or disable providers")
        }
        Command::CreateGroup { .. }
        | Command::AddToGroup { .. }
        | Command::RemoveFromGroup { .. } => (Role::Operator, "change groups of models"),
        Command::CancelJob { .. } | Command::FailJob { .. } => (Role::Operator, "end jobs"),
        Command::SetTeam { settings, .. } => of_team(settings),
        Command::SetModel { settings, .. } => of_model(settings),
        Command::CreateOrg { .. } => (Role::Owner, "create organizations"),
        Command::CreateTeam { .. } => (Role::Owner, "create teams"),
        Command::ChangeBalance { .. } => (Role::Owner, "move credits"),
        Command::AddModel { .. } => (Role::Owner, "add models"),
        Command::AddProvider { .. } => (Role::Owner, "add providers"),
        // Whoever says where a provider is gets its secret.
        Command::SetProvider { .. } => (Role::Owner, "say where a provider is"),
        // What is passed unpriced is paid for by the owner.
        Command::SetPassFields { .. } => (Role::Owner, "say which fields a provider is sent"),
        Command::AddCredential { .. } | Command::RotateProvider { .. } => {
            (Role::Owner, "store secrets of providers")
        }
        Command::RemoveCredential { .. } => (Role::Owner, "remove secrets of providers"),
        Command::RemoveProvider { .. } => (Role::Owner, "remove providers"),
        Command::RemoveModel { .. } => (Role::Owner, "remove models"),
        Command::ImportPrices { .. } => (Role::Owner, "change prices"),
    }
}

/// What a team pays is for owners; how it is served is not.
const fn of_team(settings: &TeamSettings) -> (Role, &'static str) {
    // By its fields, so that a new one has to be thought about.
    let TeamSettings {
        name: _,
        budget_mode,
        credits_per_dollar,
        tokens_per_credit,
        markup,
        charge_failed,
        rounding,
        job_cost_max,
        default_model: _,
        groups: _,
        overdraft,
        limits: _,
        disconnect: _,
        cache_ttl_seconds: _,
        budget_day,
        budget_month,
    } = settings;
    let terms = budget_mode.is_some()
        || credits_per_dollar.is_some()
        || tokens_per_credit.is_some()
        || markup.is_some()
        || charge_failed.is_some()
        || rounding.is_some()
        || job_cost_max.is_some();
    if terms {
        (Role::Owner, "change what a team pays")
    } else if overdraft.is_some() || budget_day.is_some() || budget_month.is_some() {
        (Role::Owner, "change overdrafts or budgets")
    } else {
        (Role::Operator, "change teams")
    }
}

/// What a model costs, and what stands behind it, is for owners.
const fn of_model(settings: &ModelSettings) -> (Role, &'static str) {
    let ModelSettings {
        provider,
        upstream_model,
        price,
        output_tokens_max: _,
        weight: _,
        timeout: _,
        fallbacks: _,
    } = settings;
    if price.is_some() {
        (Role::Owner, "change prices")
    } else if provider.is_some() || upstream_model.is_some() {
        (Role::Owner, "change what stands behind a model")
    } else {
        (Role::Operator, "change models")
    }
}

#[cfg(test)]
mod tests;
