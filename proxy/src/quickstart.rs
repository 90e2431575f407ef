//! From nothing to a first call: database, key file, an organization, a team with credits and a
//! key, and a model. Run again, it serves what is there and makes nothing twice.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use tollgate_common::clock::{Clock as _, SystemClock, SystemRandom};
use tollgate_common::command::{
    Command, ModelSettings, NewCredential, NewKey, ProviderRef, TeamSettings,
};
use tollgate_common::config::Config;
use tollgate_common::db::admin::{Actor, execute};
use tollgate_common::db::{Access, Database, migrate, policy, seal};
use tollgate_common::id::{CredentialId, GroupName, ModelAlias, OrgId, TeamId};
use tollgate_common::key::PlainKey;
use tollgate_common::limit::Limits;
use tollgate_common::money::Credits;
use tollgate_common::policy::Policy;
use tollgate_common::provider::{BaseUrl, ProviderKind};
use tollgate_common::secret::{SealedAt, SealingKey, Secret};

use crate::{cli, demo_upstream, server};

const ORG: &str = "demo";
const TEAM: &str = "acme-corp";
const GROUP: &str = "default";
const DEMO_PROVIDER: &str = "demo";
const CREDITS: Credits = Credits(1_000);

/// Whoever reads the ledger sees that no administrator did this by hand.
const ACTOR: &str = "quickstart";

/// What can be chosen.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// An OpenAI-compatible base URL to use, as `http://localhost:11434/v1`. Its key, if it needs
    /// one, is read from the variable `TOLLGATE_UPSTREAM_KEY`.
    #[arg(long)]
    upstream: Option<BaseUrl>,
    /// What that upstream calls the model.
    #[arg(long, requires = "upstream")]
    upstream_model: Option<String>,
    /// Where to listen, instead of 127.0.0.1:8003.
    #[arg(long)]
    listen: Option<SocketAddr>,
}

/// A provider found in the options or the environment.
struct Found {
    name: &'static str,
    kind: ProviderKind,
    base_url: BaseUrl,
    key: Secret,
    /// Public name and provider's name; the first of the first provider is the team's default.
    models: Vec<(&'static str, String)>,
}

/// A provider that is added if its key is in the environment.
struct Known {
    kind: ProviderKind,
    /// Where its key is looked for; the first that is set counts.
    variables: &'static [&'static str],
    /// Models by the names that their provider gives them, which are their aliases too.
    models: &'static [&'static str],
}

const KNOWN: [Known; 3] = [
    Known {
        kind: ProviderKind::OpenAi,
        variables: &["OPENAI_API_KEY"],
        models: &["gpt-4o-mini", "gpt-4o"],
    },
    Known {
        kind: ProviderKind::Anthropic,
        variables: &["ANTHROPIC_API_KEY"],
        models: &["claude-haiku-4-5", "claude-sonnet-4-5"],
    },
    Known {
        kind: ProviderKind::Gemini,
        variables: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        models: &["gemini-2.5-flash", "gemini-2.5-pro"],
    },
];

/// Makes what is missing, prints how to go on, and serves.
pub(crate) fn run(mut config: Config, options: Options) -> anyhow::Result<()> {
    if let Some(listen) = options.listen {
        config.listen = listen;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("tollgate-demo")
        .enable_all()
        .build()?;
    let text = runtime.block_on(prepare(&config, &options, runtime.handle()))?;
    cli::print(&text)?;
    server::serve(config)
}

async fn prepare(
    config: &Config,
    options: &Options,
    runtime: &tokio::runtime::Handle,
) -> anyhow::Result<String> {
    let database = Database::connect(config, Access::Create).await?;
    migrate::migrate(&database).await?;
    let sealing_key = server::sealing_key(config, &database, &SystemRandom).await?;
    seal::bind_all(&database, &sealing_key, &SystemRandom).await?;
    let setup = Setup {
        database,
        sealing_key,
    };
    let policy = policy::load(&setup.database).await?;
    let is_new = !policy.teams.contains_key(TEAM);
    let key = if is_new {
        Some(setup.make_team().await?)
    } else {
        None
    };
    let found = found_providers(options)?;
    let uses_demo = policy
        .providers
        .values()
        .any(|p| p.name.as_str() == DEMO_PROVIDER);
    if uses_demo || (is_new && found.is_empty()) {
        let address = setup.start_demo(&policy, config, runtime).await?;
        setup.use_demo(&policy, address).await?;
    }
    for provider in &found {
        setup.add_provider(&policy, provider).await?;
    }
    let policy = policy::load(&setup.database).await?;
    Ok(instructions(config, &policy, key.as_ref()))
}

/// What the preparation works on.
struct Setup {
    database: Database,
    sealing_key: SealingKey,
}

impl Setup {
    async fn run(&self, command: Command) -> anyhow::Result<()> {
        let actor = Actor::new(ACTOR, SystemClock.now(), &SystemRandom);
        execute(&self.database, actor, &command).await?;
        Ok(())
    }

    async fn make_team(&self) -> anyhow::Result<PlainKey> {
        let (org_id, id): (OrgId, TeamId) = (ORG.parse()?, TEAM.parse()?);
        let group: GroupName = GROUP.parse()?;
        self.run(Command::CreateOrg {
            id: org_id.clone(),
            name: "Demo".to_owned(),
        })
        .await?;
        self.run(Command::CreateGroup {
            name: group.clone(),
            models: Vec::new(),
        })
        .await?;
        let settings = TeamSettings {
            name: Some("Acme Corporation".to_owned()),
            groups: Some(vec![group]),
            ..TeamSettings::default()
        };
        let credits = CREDITS;
        self.run(Command::CreateTeam {
            id: id.clone(),
            org_id,
            credits,
            settings,
        })
        .await?;
        let key = PlainKey::generate(&SystemRandom);
        let new_key = NewKey {
            id: key.id().clone(),
            hash: key.hash(),
        };
        let label = Some("quickstart".to_owned());
        self.run(Command::CreateKey {
            team_id: id,
            key: new_key,
            label,
            limits: Limits::default(),
            expires_at: None,
        })
        .await?;
        Ok(key)
    }

    /// Starts the demo upstream, on the port of the last run if it is free.
    async fn start_demo(
        &self,
        policy: &Policy,
        config: &Config,
        runtime: &tokio::runtime::Handle,
    ) -> anyhow::Result<SocketAddr> {
        let demo = policy
            .providers
            .values()
            .find(|p| p.name.as_str() == DEMO_PROVIDER);
        let beside = config.listen.port().checked_add(1).unwrap_or(0);
        let port = demo.map_or(beside, |provider| provider.base_url.port());
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listener = demo_upstream::bind(address, true)
            .await
            .context("the demo upstream cannot listen on 127.0.0.1")?;
        let address = listener.local_addr()?;
        runtime.spawn(demo_upstream::serve(
            listener,
            demo_upstream::Behaviour::default(),
        ));
        Ok(address)
    }

    async fn use_demo(&self, policy: &Policy, address: SocketAddr) -> anyhow::Result<()> {
        let base_url: BaseUrl = format!("http://{address}/v1")
            .parse()
            .map_err(anyhow::Error::msg)?;
        let demo = policy
            .providers
            .values()
            .find(|p| p.name.as_str() == DEMO_PROVIDER);
        if demo.is_some_and(|provider| provider.base_url == base_url) {
            return Ok(());
        }
        if demo.is_some() {
            let provider = provider_ref(DEMO_PROVIDER)?;
            return self.run(Command::SetProvider { provider, base_url }).await;
        }
        let found = Found {
            name: DEMO_PROVIDER,
            kind: ProviderKind::OpenAi,
            base_url,
            key: Secret::new("demo"),
            models: vec![("demo", demo_upstream::MODEL.to_owned())],
        };
        self.add_provider(policy, &found).await
    }

    /// Adds a provider and its models, unless it is there.
    async fn add_provider(&self, policy: &Policy, found: &Found) -> anyhow::Result<()> {
        let provider = provider_ref(found.name)?;
        if policy
            .providers
            .contains_key(&(None, provider.name.clone()))
        {
            return Ok(());
        }
        let now = SystemClock.now();
        let id = CredentialId::new(now, &SystemRandom);
        let (key, place) = (found.key.expose(), SealedAt::ProviderKey(id));
        let credential = NewCredential {
            id,
            sealed_key: self.sealing_key.seal(key, place, &SystemRandom),
            hint: "…".to_owned(),
        };
        self.run(Command::AddProvider {
            provider: provider.clone(),
            kind: found.kind,
            base_url: found.base_url.clone(),
            credential,
        })
        .await?;
        for (alias, upstream_model) in &found.models {
            let alias: ModelAlias = alias.parse()?;
            if policy.models.contains_key(&alias) {
                continue;
            }
            let settings = ModelSettings {
                provider: Some(provider.name.clone()),
                upstream_model: Some(upstream_model.clone()),
                ..ModelSettings::default()
            };
            self.run(Command::AddModel {
                alias: alias.clone(),
                settings,
            })
            .await?;
            self.run(Command::AddToGroup {
                name: GROUP.parse()?,
                alias: alias.clone(),
            })
            .await?;
            self.set_default_model(alias).await?;
        }
        Ok(())
    }

    /// The team's calls may leave the model out: they go to the first one that was added.
    async fn set_default_model(&self, alias: ModelAlias) -> anyhow::Result<()> {
        let id: TeamId = TEAM.parse()?;
        let policy = policy::load(&self.database).await?;
        if policy
            .teams
            .get(&id)
            .is_some_and(|team| team.default_model.is_some())
        {
            return Ok(());
        }
        let settings = TeamSettings {
            default_model: Some(Some(alias)),
            ..TeamSettings::default()
        };
        self.run(Command::SetTeam { id, settings }).await
    }
}

fn provider_ref(name: &str) -> anyhow::Result<ProviderRef> {
    Ok(ProviderRef {
        org_id: None,
        name: name.parse()?,
    })
}

fn variable(name: &str) -> Option<Secret> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    value.map(Secret::new)
}

fn found_providers(options: &Options) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    if let Some(base_url) = &options.upstream {
        let model = options
            .upstream_model
            .clone()
            .unwrap_or_else(|| "default".to_owned());
        found.push(Found {
            name: "upstream",
            kind: ProviderKind::OpenAi,
            base_url: base_url.clone(),
            key: variable("TOLLGATE_UPSTREAM_KEY").unwrap_or_else(|| Secret::new("none")),
            models: vec![("default", model)],
        });
    }
    for known in &KNOWN {
        let Some(key) = known.variables.iter().find_map(|name| variable(name)) else {
            continue;
        };
        let base_url = known.kind.default_base_url().parse();
        let models = known.models.iter().map(|name| (*name, (*name).to_owned()));
        found.push(Found {
            name: known.kind.word(),
            kind: known.kind,
            base_url: base_url.map_err(anyhow::Error::msg)?,
            key,
            models: models.collect(),
        });
    }
    Ok(found)
}

fn instructions(config: &Config, policy: &Policy, key: Option<&PlainKey>) -> String {
    let url = format!("http://{}/api", shown_address(config.listen));
    let model = policy
        .teams
        .get(TEAM)
        .and_then(|team| team.default_model.clone());
    let model = model.map_or_else(|| "none".to_owned(), |alias| alias.to_string());
    let file = config.database.sqlite_file().map_or_else(
        || config.database.to_string(),
        |file| Path::new(file).display().to_string(),
    );
    let Some(key) = key else {
        return format!(
            "Tollgate serves team {TEAM} at {url}, data in {file}, default model {model}.\n\
             Nothing was made anew. For a new key: tollgate-admin key create --team {TEAM}\n"
        );
    };
    let key = key.reveal();
    format!(
        r#"Tollgate serves at {url}
  data          {file}
  sealing key   {sealing}  (keep it: providers' keys cannot be read without it)
  team          {TEAM} with {CREDITS} credits
  default model {model}
  virtual key   {key}  (shown this once)

Open a job, call the model, complete the job:

  KEY={key}
  JOB=$(curl -s {url}/jobs/create -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \
    -d '{{"team_id": "{TEAM}", "job_type": "hello"}}' | sed 's/.*"job_id":"\([^"]*\)".*/\1/')
  curl -s {url}/jobs/$JOB/llm-call -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \
    -d '{{"messages": [{{"role": "user", "content": "Say hello"}}]}}'
  curl -s {url}/jobs/$JOB/complete -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \
    -d '{{"status": "completed"}}'

The same in Python:

  import requests
  api, auth = "{url}", {{"Authorization": "Bearer {key}"}}
  job = requests.post(f"{{api}}/jobs/create", headers=auth, json={{"team_id": "{TEAM}", "job_type": "hello"}}).json()["job_id"]
  print(requests.post(f"{{api}}/jobs/{{job}}/llm-call", headers=auth, json={{"messages": [{{"role": "user", "content": "Say hello"}}]}}).json()["response"]["content"])
  print(requests.post(f"{{api}}/jobs/{{job}}/complete", headers=auth, json={{"status": "completed"}}).json()["costs"])

In another terminal in this folder: tollgate-admin credits balance {TEAM}
"#,
        sealing = config.secret_key_file.display(),
    )
}

/// An address that a client on this machine can use.
fn shown_address(listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        format!("localhost:{}", listen.port())
    } else {
        listen.to_string()
    }
}
