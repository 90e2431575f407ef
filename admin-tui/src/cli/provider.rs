//! `tollgate-admin provider`. Provider keys go in sealed and never come out here.

use clap::Subcommand;
use serde::Serialize;
use tollgate_common::command::{Command, ProviderRef};
use tollgate_common::db::page;
use tollgate_common::db::provider::list::{self, ListedProvider, PROVIDERS, ProviderOrder};
use tollgate_common::id::{OrgId, ProviderName};
use tollgate_common::provider::{BaseUrl, PassFields, Provider, ProviderKind};

use super::error::Failure;
use super::output::{Column, Output, Row, joined, or_dash, words};
use super::value;
use crate::session::Session;
use credential::credential_id;
use key::KeySource;

pub(crate) mod credential;
pub(crate) mod key;
mod probe;

/// What can be done with providers.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Add a provider account with its key
    Add {
        #[command(flatten)]
        name: Name,
        /// Its dialect: anthropic, gemini, or openai for every OpenAI-compatible base URL
        #[arg(long)]
        kind: ProviderKind,
        /// Where it is, if not where its kind usually is
        #[arg(long, value_name = "URL")]
        base_url: Option<String>,
        /// Fields of requests that it is sent although Tollgate does not know them, as a,b
        #[arg(long, value_name = "NAMES")]
        pass_fields: Option<PassFields>,
        #[command(flatten)]
        key: KeySource,
    },
    /// List all providers
    List {
        #[arg(
            long,
            value_name = "TEXT",
            help = "Only those that fit, in the words of the dashboard: 'kind:openai keys>1'"
        )]
        filter: Option<String>,
    },
    /// Change where a provider is, or what it is sent
    #[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
    Set {
        #[command(flatten)]
        name: Name,
        /// Where it is from now on
        #[arg(long, value_name = "URL", group = "change")]
        base_url: Option<String>,
        /// Fields of requests that it is sent although Tollgate does not know them, as a,b; or none
        #[arg(long, value_name = "NAMES", group = "change")]
        pass_fields: Option<PassFields>,
    },
    /// Replace all keys of a provider by a new one
    Rotate {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        key: KeySource,
    },
    /// Add a key beside those that a provider has
    AddKey {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        key: KeySource,
    },
    /// List the keys of a provider by their ids and last characters
    Keys {
        #[command(flatten)]
        name: Name,
    },
    /// Let a key be used again
    EnableKey {
        /// Which, by its id
        id: String,
    },
    /// Keep a key, but do not use it
    DisableKey {
        /// Which, by its id
        id: String,
    },
    /// Remove a key
    RemoveKey {
        /// Which, by its id
        id: String,
    },
    /// Ask a provider for its models with each enabled key; exits 5 if it refuses one
    Test {
        #[command(flatten)]
        name: Name,
    },
    /// Let a provider be used again
    Enable {
        #[command(flatten)]
        name: Name,
    },
    /// Keep a provider and its key, but do not use it
    Disable {
        #[command(flatten)]
        name: Name,
    },
    /// Remove a provider and its keys, unless models use it
    Remove {
        #[command(flatten)]
        name: Name,
    },
}

/// A provider by its name and whose it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Name {
    /// Its name
    name: ProviderName,
    /// The one organization that may use it; without this it is the one for all
    #[arg(long)]
    org: Option<OrgId>,
}

impl From<Name> for ProviderRef {
    fn from(name: Name) -> Self {
        Self {
            org_id: name.org,
            name: name.name,
        }
    }
}

#[derive(Debug, Serialize)]
struct ProviderView {
    name: ProviderName,
    org: Option<OrgId>,
    kind: &'static str,
    base_url: String,
    pass_fields: PassFields,
    enabled: bool,
    keys: Vec<String>,
}

impl ProviderView {
    fn new(listed: ListedProvider) -> Self {
        let keys = listed.keys.into_iter().filter(|key| key.enabled);
        Self {
            keys: keys.map(|key| key.hint).collect(),
            name: listed.provider.name,
            org: listed.provider.org_id,
            kind: listed.kind.word(),
            base_url: listed.base_url.to_string(),
            pass_fields: listed.pass_fields,
            enabled: listed.enabled,
        }
    }
}

impl Row for ProviderView {
    const COLUMNS: &'static [Column] = &[
        words("NAME"),
        words("ORG"),
        words("KIND"),
        words("BASE URL"),
        words("STATUS"),
        words("KEY"),
        words("PASS FIELDS"),
    ];

    fn cells(&self) -> Vec<String> {
        let status = if self.enabled { "enabled" } else { "disabled" };
        vec![
            self.name.to_string(),
            or_dash(self.org.as_ref()),
            self.kind.to_owned(),
            self.base_url.clone(),
            status.to_owned(),
            joined(&self.keys),
            joined(self.pass_fields.names()),
        ]
    }
}

#[derive(Debug, Serialize)]
struct RemovedView<'a> {
    name: &'a ProviderName,
    org: Option<&'a OrgId>,
    removed: bool,
}

fn is(provider: &Provider, reference: &ProviderRef) -> bool {
    provider.name == reference.name && provider.org_id == reference.org_id
}

/// Does what the verb says.
pub(super) async fn run(session: &Session, output: Output, verb: Verb) -> Result<(), Failure> {
    let (provider, command, done) = match verb {
        Verb::List { filter } => return list(session, output, filter.as_deref()).await,
        Verb::Remove { name } => return remove(session, output, name.into()).await,
        Verb::AddKey { name, key } => {
            return credential::add(session, output, name.into(), &key).await;
        }
        Verb::Keys { name } => return credential::list(session, output, &name.into()).await,
        Verb::Test { name } => return credential::test(session, output, &name.into()).await,
        Verb::EnableKey { id } => {
            return credential::enable(session, output, credential_id(&id)?, true).await;
        }
        Verb::DisableKey { id } => {
            return credential::enable(session, output, credential_id(&id)?, false).await;
        }
        Verb::RemoveKey { id } => {
            return credential::remove(session, output, credential_id(&id)?).await;
        }
        Verb::Set {
            name,
            base_url,
            pass_fields,
        } => {
            let provider = ProviderRef::from(name);
            let base_url = base_url.as_deref().map(read_base_url).transpose()?;
            return set(session, output, provider, base_url, pass_fields).await;
        }
        Verb::Add {
            name,
            kind,
            base_url,
            pass_fields,
            key,
        } => {
            let provider = ProviderRef::from(name);
            let base_url = base_url.unwrap_or_else(|| kind.default_base_url().to_owned());
            let command = Command::AddProvider {
                provider: provider.clone(),
                kind,
                base_url: read_base_url(&base_url)?,
                credential: key.read(session)?,
            };
            if let Some(fields) = pass_fields.filter(|fields| !fields.is_empty()) {
                require_openai(kind)?;
                session.execute(&command).await?;
                return set(session, output, provider, None, Some(fields)).await;
            }
            (provider, command, "added")
        }
        Verb::Rotate { name, key } => {
            let provider = ProviderRef::from(name);
            let command = Command::RotateProvider {
                provider: provider.clone(),
                credential: key.read(session)?,
            };
            (provider, command, "has a new key")
        }
        Verb::Enable { name } => enable(name.into(), true, "enabled"),
        Verb::Disable { name } => enable(name.into(), false, "disabled"),
    };
    session.execute(&command).await?;
    let view = find(session, &provider).await?;
    output.done(&view, &format!("Provider {} {done}.", provider.name))
}

/// The URL is read here and not with the other options, because their errors repeat the value, and
/// this one may hold a password.
fn read_base_url(text: &str) -> Result<BaseUrl, Failure> {
    text.parse()
        .map_err(|why: String| Failure::Usage(format!("--base-url: {why}")))
}

fn require_openai(kind: ProviderKind) -> Result<(), Failure> {
    if kind == ProviderKind::OpenAi {
        return Ok(());
    }
    let why = "--pass-fields: only providers of kind openai are sent fields as callers wrote them";
    Err(Failure::Usage(why.to_owned()))
}

/// Changes what is given of a provider's settings.
async fn set(
    session: &Session,
    output: Output,
    provider: ProviderRef,
    base_url: Option<BaseUrl>,
    pass_fields: Option<PassFields>,
) -> Result<(), Failure> {
    if let Some(pass_fields) = pass_fields {
        let provider = provider.clone();
        let command = Command::SetPassFields {
            provider,
            pass_fields,
        };
        session.execute(&command).await?;
    }
    if let Some(base_url) = base_url {
        let provider = provider.clone();
        let command = Command::SetProvider { provider, base_url };
        session.execute(&command).await?;
    }
    let view = find(session, &provider).await?;
    output.done(&view, &format!("Provider {} changed.", provider.name))
}

fn enable(
    provider: ProviderRef,
    enabled: bool,
    done: &'static str,
) -> (ProviderRef, Command, &'static str) {
    let command = Command::EnableProvider {
        provider: provider.clone(),
        enabled,
    };
    (provider, command, done)
}

async fn remove(session: &Session, output: Output, provider: ProviderRef) -> Result<(), Failure> {
    let command = Command::RemoveProvider {
        provider: provider.clone(),
    };
    session.execute(&command).await?;
    let view = RemovedView {
        name: &provider.name,
        org: provider.org_id.as_ref(),
        removed: true,
    };
    output.done(&view, &format!("Provider {} removed.", provider.name))
}

async fn list(session: &Session, output: Output, filter: Option<&str>) -> Result<(), Failure> {
    let filter = value::filter(&PROVIDERS, filter, session.now())?;
    let mut connection = session.database.dedicated_connection().await?;
    let order = (ProviderOrder::Org, false);
    let part = list::page(&mut connection, order, &page::everything(&filter)).await?;
    let rows = part.rows.into_iter();
    let views: Vec<ProviderView> = rows.map(|listed| ProviderView::new(listed.row)).collect();
    output.list(
        &views,
        if filter.is_all() {
            "No providers yet. Add one: tollgate-admin provider add <name> --kind openai --key-env OPENAI_API_KEY"
        } else {
            "No provider fits this filter."
        },
    )
}

async fn find(session: &Session, reference: &ProviderRef) -> Result<ProviderView, Failure> {
    let found = list::find(session.database.pool(), reference).await?;
    found
        .map(ProviderView::new)
        .ok_or_else(|| Failure::not_found("provider", &reference.name))
}
