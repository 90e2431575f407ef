//! Reads what the screen of providers shows, seals providers' keys and asks providers about them.

use std::collections::BTreeMap;
use std::time::Duration;

use tollgate_common::clock::Timestamp;
use tollgate_common::command::{Command, ProviderRef};
use tollgate_common::db::live::{self, Told};
use tollgate_common::db::page::{Listed, Place};
use tollgate_common::db::provider::list::{self, ListedProvider, PROVIDERS, ProviderOrder};
use tollgate_common::id::CredentialId;
use tollgate_common::live::{ProviderTraffic, RestingKey, Traffic, minute_of};
use tollgate_common::secret::Secret;

use super::Source;
use super::part::{self, Ask};
use crate::cli::provider::{credential, key};
use crate::dashboard::change::{Outcome, SealedCommand};
use crate::dashboard::problem::Problem;
use crate::dashboard::widgets::list::Page;

mod test;
#[cfg(test)]
mod tests;

/// Over how many minutes tries, errors and times are told, the present one among them.
pub(crate) const MINUTES: i64 = 15;

/// A node that has told nothing for so long is not counted among those that know.
const SILENT: Duration = Duration::from_secs(15);

/// How many models that use a provider are named.
const NAMED_MAX: u8 = 8;

/// What can be asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Query {
    /// A part of the list, in this order or in its reverse.
    Page(Ask, ProviderOrder, bool),
    /// One provider.
    One(ProviderRef),
    /// What removing a provider would touch.
    Impact(ProviderRef),
}

/// What is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A part of the list.
    Page(Page<ProviderRow>),
    /// The provider, if it is there.
    One(Option<Box<ProviderRow>>),
}

/// A key that rests on a node, as the node has told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rest {
    /// The node, by the end of its id.
    pub(crate) node: String,
    /// How the key rests.
    pub(crate) key: RestingKey,
    /// When the node has told.
    pub(crate) at: Timestamp,
}

/// A provider with its place in the list and what nodes have told of it.
#[derive(Debug, Clone)]
pub(crate) struct ProviderRow {
    /// Its place.
    pub(crate) place: Place,
    /// The provider.
    pub(crate) listed: ListedProvider,
    /// What it did in the last minutes, by all nodes. Figures are told by name: providers of the
    /// same name share them.
    pub(crate) traffic: ProviderTraffic,
    /// Its keys that rest, by node.
    pub(crate) rests: Vec<Rest>,
    /// How many nodes have told of themselves just now.
    pub(crate) nodes: usize,
    /// How many nodes have told of themselves at all.
    pub(crate) nodes_known: usize,
    /// When this was read.
    pub(crate) read_at: Timestamp,
}

/// What nodes have told.
#[derive(Debug)]
struct Present {
    told: Vec<Told>,
    providers: BTreeMap<String, ProviderTraffic>,
    now: Timestamp,
}

/// What passed in the last minutes, of all nodes together.
pub(super) async fn recent(source: &Source) -> Result<Traffic, Problem> {
    let from = minute_of(source.now()) - (MINUTES - 1);
    let mut sum = Traffic::default();
    for (_, traffic) in live::traffic(source.pool(), from).await? {
        sum.add(&traffic);
    }
    Ok(sum)
}

impl Present {
    async fn read(source: &Source) -> Result<Self, Problem> {
        Ok(Self {
            told: live::list(source.pool()).await?,
            providers: recent(source).await?.providers,
            now: source.now(),
        })
    }

    fn row(&self, place: Place, listed: ListedProvider) -> ProviderRow {
        let fresh = |told: &&Told| self.now.since(told.at) < SILENT;
        let is_own = |id: &str| listed.keys.iter().any(|key| key.id.to_string() == id);
        let mut rests = Vec::new();
        for told in self.told.iter().filter(fresh) {
            let own = told.figures.resting.iter();
            let own = own.filter(|rest| is_own(&rest.credential_id));
            rests.extend(own.map(|key| Rest {
                node: crate::dashboard::format::short_id(&told.node_id.to_string()),
                key: key.clone(),
                at: told.at,
            }));
        }
        let name = listed.provider.name.to_string();
        ProviderRow {
            place,
            traffic: self.providers.get(&name).cloned().unwrap_or_default(),
            rests,
            nodes: self.told.iter().filter(fresh).count(),
            nodes_known: self.told.len(),
            read_at: self.now,
            listed,
        }
    }
}

/// Reads it.
pub(super) async fn load(source: &Source, query: Query) -> Result<super::Answer, Problem> {
    let answer = match query {
        Query::Page(ask, order, reversed) => {
            let present = Present::read(source).await?;
            let read = ask.read(&PROVIDERS, source.now())?;
            let request = ask.request(&read);
            let mut connection = source.pool().acquire().await?;
            let found = list::page(&mut connection, (order, reversed), &request).await?;
            let row = |listed: Listed<ListedProvider>| present.row(listed.place, listed.row);
            Answer::Page(part::page(found, row))
        }
        Query::One(provider) => {
            let present = Present::read(source).await?;
            let found = list::find(source.pool(), &provider).await?;
            Answer::One(found.map(|listed| Box::new(present.row(Place::new(), listed))))
        }
        Query::Impact(provider) => {
            return impact(source, &provider).await.map(super::Answer::Impact);
        }
    };
    Ok(super::Answer::Providers(answer))
}

async fn impact(source: &Source, provider: &ProviderRef) -> Result<Vec<(String, String)>, Problem> {
    let users = list::users(source.pool(), &provider.name, i64::from(NAMED_MAX) + 1).await?;
    if users.is_empty() {
        return Ok(vec![("Models".to_owned(), "none names it".to_owned())]);
    }
    let more = if users.len() > usize::from(NAMED_MAX) {
        ", ..."
    } else {
        ""
    };
    let named: Vec<String> = users
        .iter()
        .take(NAMED_MAX.into())
        .map(ToString::to_string)
        .collect();
    let mut lines = vec![("! Models".to_owned(), named.join(", ") + more)];
    lines.push(if provider.org_id.is_none() {
        let text = "it is refused as long as they name it";
        (String::new(), text.to_owned())
    } else {
        let text = "refused unless the provider of this name for all can serve them";
        (String::new(), text.to_owned())
    });
    Ok(lines)
}

/// The command that stores a provider's secret, with the secret sealed.
pub(super) fn sealed(
    source: &Source,
    secret: &Secret,
    command: &SealedCommand,
) -> Result<Command, Problem> {
    key::checked(secret.expose().trim()).map_err(Problem::new)?;
    let credential = key::sealed(&source.session, secret)?;
    Ok(match command.clone() {
        SealedCommand::AddProvider {
            provider,
            kind,
            base_url,
            pass_fields: _,
        } => Command::AddProvider {
            provider,
            kind,
            base_url,
            credential,
        },
        SealedCommand::AddCredential { provider } => Command::AddCredential {
            provider,
            credential,
        },
        SealedCommand::Rotate { provider } => Command::RotateProvider {
            provider,
            credential,
        },
    })
}

/// What is changed once the command is carried out, because the command itself has no room for it.
pub(super) fn followed_by(command: &SealedCommand) -> Option<Command> {
    let SealedCommand::AddProvider {
        provider,
        pass_fields,
        ..
    } = command
    else {
        return None;
    };
    (!pass_fields.is_empty()).then(|| Command::SetPassFields {
        provider: provider.clone(),
        pass_fields: pass_fields.clone(),
    })
}

/// Asks a provider whether it takes its keys.
pub(super) async fn test(
    source: &Source,
    provider: &ProviderRef,
    only: Option<CredentialId>,
) -> Result<Outcome, Problem> {
    let views = credential::ask(&source.session, provider, only).await?;
    let found = list::find(source.pool(), provider).await?;
    let keys = found.map(|listed| listed.keys).unwrap_or_default();
    let left_out = if only.is_some() {
        0
    } else {
        keys.iter().filter(|key| !key.enabled).count()
    };
    Ok(test::told(provider, &views, left_out))
}
