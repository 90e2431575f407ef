//! `tollgate-admin key`. The only place that shows a virtual key, once, when it is made.

use std::io::{BufRead as _, Read as _};
use std::time::Duration;

use clap::{ArgGroup, Subcommand};
use serde::Serialize;
use tollgate_common::clock::{SystemRandom, Timestamp};
use tollgate_common::command::{Command, KeySettings, NewKey};
use tollgate_common::db::key::{self, KEYS, KeyOrder, ListedKey};
use tollgate_common::id::{KeyId, TeamId};
use tollgate_common::key::{PlainKey, STRONG_SECRET_LENGTH};
use tollgate_common::limit::Limits;
use tollgate_common::secret::Secret;

use super::error::Failure;
use super::every;
use super::limit::{self, LimitOptions};
use super::output::{Column, Output, Row, numbers, optional_time, or_dash, time, words};
use super::team;
use super::value::{self, Expiry, Moment};
use crate::session::Session;

/// What can be done with virtual keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a key of a team and show it once
    Create {
        /// Whose
        #[arg(long)]
        team: TeamId,
        /// What it is called
        #[arg(long, value_parser = value::text)]
        label: Option<String>,
        /// When it ends: a time as 2026-12-31T23:59:59Z or a span as 90d
        #[arg(long, value_name = "TIME")]
        expires: Option<Moment>,
        #[command(flatten)]
        limits: LimitOptions,
        #[command(flatten)]
        import: KeySource,
    },
    /// List keys; what is secret of them is not stored
    List {
        /// Only this team's
        #[arg(long)]
        team: Option<TeamId>,
        /// Only these, as "status:expiring unused:30d"
        #[arg(long, value_name = "FILTER", default_value = "")]
        filter: String,
    },
    /// Change a key that is not revoked
    #[command(group = ArgGroup::new("changes").required(true).multiple(true)
        .args(["label", "expires"]).args(limit::OPTIONS))]
    Set {
        /// Which, by its id
        id: String,
        /// What it is called
        #[arg(long, value_parser = value::text)]
        label: Option<String>,
        /// When it ends: a time as 2026-12-31T23:59:59Z, a span as 90d, or never
        #[arg(long, value_name = "TIME")]
        expires: Option<Expiry>,
        #[command(flatten)]
        limits: LimitOptions,
    },
    /// Make a successor with the same label, limits and expiry, and show it once
    Rotate {
        /// Which, by its id
        id: String,
        /// How long the old key still works
        #[arg(long, value_name = "SPAN", default_value = "0s", value_parser = value::span)]
        grace: Duration,
    },
    /// End a key at once
    Revoke {
        /// Which, by its id
        id: String,
    },
}

/// Where the text of a key comes from: one that callers use already, or a new one.
#[derive(Debug, clap::Args)]
pub(crate) struct KeySource {
    #[arg(
        long,
        value_name = "KEY",
        conflicts_with = "import_stdin",
        help = "Take a key that callers use already, instead of making one; other users of the \
                machine can see it in the list of processes, unlike with --import-stdin"
    )]
    import: Option<String>,
    /// The same, read from the first line of standard input
    #[arg(long)]
    import_stdin: bool,
    #[arg(
        long,
        help = "Take it even if it has fewer than 24 characters after sk-, or is published, so \
                that others may guess it and spend the team's credits"
    )]
    weak: bool,
}

/// The longest line that can hold a key.
const LINE_BYTES_MAX: u64 = 1_024;

impl KeySource {
    /// The key to be imported, if there is one.
    fn text(&self) -> Result<Option<(&'static str, Secret)>, Failure> {
        if let Some(text) = &self.import {
            return Ok(Some(("--import", Secret::new(text.clone()))));
        }
        if !self.import_stdin {
            return Ok(None);
        }
        let mut line = String::new();
        std::io::stdin()
            .lock()
            .take(LINE_BYTES_MAX)
            .read_line(&mut line)
            .map_err(Failure::Input)?;
        Ok(Some(("--import-stdin", Secret::new(line.trim()))))
    }

    /// The key to be imported, or a new one.
    fn key(&self) -> Result<PlainKey, Failure> {
        let Some((option, text)) = self.text()? else {
            if self.weak {
                let why = "--weak is for keys that are imported: add --import-stdin or --import";
                return Err(Failure::Usage(why.to_owned()));
            }
            return Ok(PlainKey::generate(&SystemRandom));
        };
        let key = PlainKey::import(text.expose(), &SystemRandom)
            .map_err(|why| Failure::Usage(format!("{option}: {why}")))?;
        if key.is_weak() && !self.weak {
            return Err(Failure::Usage(format!(
                "{option}: the key has fewer than {STRONG_SECRET_LENGTH} characters after sk-, so that others may guess it: let a key be made, or add --weak to take it all the same"
            )));
        }
        Ok(key)
    }
}

#[derive(Debug, Serialize)]
struct KeyView {
    id: KeyId,
    team: TeamId,
    label: Option<String>,
    status: &'static str,
    #[serde(flatten)]
    limits: Limits,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    created_at: Timestamp,
    used_at: Option<Timestamp>,
    successor: Option<KeyId>,
}

impl KeyView {
    fn new(listed: ListedKey, now: Timestamp) -> Self {
        let ListedKey {
            key,
            used_at,
            successor,
        } = listed;
        Self {
            used_at,
            successor,
            status: key.status(now),
            id: key.id,
            team: key.team_id,
            label: key.label,
            limits: key.limits,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            created_at: key.created_at,
        }
    }
}

impl Row for KeyView {
    const COLUMNS: &'static [Column] = &[
        words("ID"),
        words("TEAM"),
        words("LABEL"),
        words("STATUS"),
        numbers("RPM"),
        numbers("TPM"),
        numbers("PARALLEL"),
        words("EXPIRES"),
        words("REVOKED"),
        words("CREATED"),
        words("USED"),
        words("SUCCESSOR"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.team.to_string(),
            or_dash(self.label.as_ref()),
            self.status.to_owned(),
            or_dash(self.limits.requests_per_minute),
            or_dash(self.limits.tokens_per_minute),
            or_dash(self.limits.parallel_calls),
            optional_time(self.expires_at),
            optional_time(self.revoked_at),
            time(self.created_at),
            optional_time(self.used_at),
            or_dash(self.successor.as_ref()),
        ]
    }
}

/// A key at the one moment at which it can be shown.
#[derive(Serialize)]
struct NewKeyView<'a> {
    #[serde(flatten)]
    view: KeyView,
    key: &'a str,
}

/// Does what the verb says.
pub(super) async fn run(session: &Session, output: Output, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List { team, filter } => list(session, output, team.as_ref(), &filter).await,
        Verb::Revoke { id } => revoke(session, output, key_id(&id)?).await,
        Verb::Rotate { id, grace } => rotate(session, output, key_id(&id)?, grace).await,
        Verb::Set {
            id,
            label,
            expires,
            limits,
        } => {
            let expires_at = expires.map(|expiry| expiry.after(session.now(), "--expires"));
            let settings = KeySettings {
                label,
                limits: limits.settings(),
                expires_at: expires_at.transpose()?,
            };
            set(session, output, key_id(&id)?, settings).await
        }
        Verb::Create {
            team,
            label,
            expires,
            limits,
            import,
        } => {
            let expires_at = expires.map(|moment| moment.after(session.now(), "--expires"));
            let plain = import.key()?;
            let command = Command::CreateKey {
                team_id: team,
                key: stored(&plain),
                label,
                limits: limits.settings().of_new(),
                expires_at: expires_at.transpose()?,
            };
            session.execute(&command).await?;
            show_once(session, output, &plain, "").await
        }
    }
}

/// Reads a key's id. A whole key in its place is not repeated in the error.
fn key_id(text: &str) -> Result<KeyId, Failure> {
    if text.starts_with("sk-") {
        let message = "this is a key, not its id: use the id that tollgate-admin key list shows";
        return Err(Failure::Usage(message.to_owned()));
    }
    Ok(KeyId::new(text))
}

fn stored(plain: &PlainKey) -> NewKey {
    NewKey {
        id: plain.id().clone(),
        hash: plain.hash(),
    }
}

async fn set(
    session: &Session,
    output: Output,
    id: KeyId,
    settings: KeySettings,
) -> Result<(), Failure> {
    let command = Command::SetKey {
        id: id.clone(),
        settings,
    };
    session.execute(&command).await?;
    let view = find(session, &id).await?;
    output.done(&view, &format!("Key {id} of team {} changed.", view.team))
}

async fn rotate(
    session: &Session,
    output: Output,
    id: KeyId,
    grace: Duration,
) -> Result<(), Failure> {
    let plain = PlainKey::generate(&SystemRandom);
    let command = Command::RotateKey {
        id: id.clone(),
        successor: stored(&plain),
        ends_at: session.now().plus(grace),
    };
    session.execute(&command).await?;
    let old = find(session, &id).await?;
    let end = match old.expires_at {
        Some(end) if end > session.now() => format!("Key {id} works until {}.\n", time(end)),
        _ => format!("Key {id} has ended.\n"),
    };
    show_once(session, output, &plain, &end).await
}

async fn show_once(
    session: &Session,
    output: Output,
    plain: &PlainKey,
    preface: &str,
) -> Result<(), Failure> {
    let view = find(session, plain.id()).await?;
    let sentence = format!(
        "{preface}Key {} of team {}, shown only this once:\n\n  {}\n",
        view.id,
        view.team,
        plain.reveal()
    );
    let key = plain.reveal();
    output.done(&NewKeyView { view, key }, &sentence)
}

async fn revoke(session: &Session, output: Output, id: KeyId) -> Result<(), Failure> {
    let command = Command::RevokeKey { id: id.clone() };
    session.execute(&command).await?;
    let view = find(session, &id).await?;
    output.done(&view, &format!("Key {id} of team {} revoked.", view.team))
}

async fn list(
    session: &Session,
    output: Output,
    team: Option<&TeamId>,
    filter: &str,
) -> Result<(), Failure> {
    let mut text = filter.to_owned();
    if let Some(team) = team {
        team::account(session, team).await?;
        text = format!("team:{team} {text}");
    }
    let now = session.now();
    let filter = every::filter(&KEYS, &text, now)?;
    let mut connection = session.database.dedicated_connection().await?;
    let order = (KeyOrder::Team, false);
    let keys = every::row(&filter, async |request| {
        key::page(&mut connection, order, request).await
    });
    let keys = keys.await?.into_iter();
    let views: Vec<KeyView> = keys.map(|key| KeyView::new(key, now)).collect();
    let hint = if filter.is_all() {
        "No keys. Make one: tollgate-admin key create --team <team>"
    } else {
        "No such keys."
    };
    output.list(&views, hint)
}

async fn find(session: &Session, id: &KeyId) -> Result<KeyView, Failure> {
    let found = key::find(session.database.pool(), id).await?;
    found
        .map(|key| KeyView::new(key, session.now()))
        .ok_or_else(|| Failure::not_found("key", id))
}
