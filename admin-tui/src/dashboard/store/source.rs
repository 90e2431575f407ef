//! The real store: the database that the proxies use.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::AnyPool;
use tokio::sync::mpsc;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::verify::Progress;
use tollgate_common::db::{Engine, search};

use super::Found;
use crate::dashboard::message::Message;
use crate::dashboard::problem::Problem;
use crate::session::Session;

/// How often SQLite is asked whether anything has changed, which costs it microseconds.
const LOOK: Duration = Duration::from_millis(250);

/// The database that the proxies use, and where files may be written.
#[derive(Debug)]
pub(crate) struct Source {
    /// The open installation.
    pub(crate) session: Session,
    /// The folder for keys and exports.
    pub(crate) files: PathBuf,
    /// Whether the database was found to have the right schema.
    pub(crate) is_checked: Cell<bool>,
    /// How far the check of the ledger has come, while there is one.
    pub(crate) check: Cell<Option<Progress>>,
}

impl Source {
    /// Connections for reading.
    pub(crate) const fn pool(&self) -> &AnyPool {
        self.session.database.pool()
    }

    /// Makes sure, the first time that something is asked, that the schema is the one that this
    /// binary knows.
    pub(super) async fn require_current(&self) -> Result<(), Problem> {
        if !self.is_checked.get() {
            self.session.require_current().await?;
            self.is_checked.set(true);
        }
        Ok(())
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Timestamp {
        self.session.now()
    }

    /// Whether the engine can tell that something has changed.
    pub(crate) fn has_bell(&self) -> bool {
        self.session.database.engine() == Engine::Sqlite
    }
}

const DATA_VERSION: &str = "PRAGMA data_version";

/// Asks SQLite again and again whether another connection has changed something.
pub(super) async fn watch(source: &Source, listener: mpsc::Sender<Message>) {
    if !source.has_bell() {
        return;
    }
    let mut known: Option<i64> = None;
    let mut connection = None;
    while !listener.is_closed() {
        tokio::time::sleep(LOOK).await;
        if connection.is_none() {
            connection = source.session.database.dedicated_connection().await.ok();
        }
        let Some(open) = connection.as_mut() else {
            continue;
        };
        match sqlx::query_scalar::<_, i64>(DATA_VERSION)
            .fetch_one(open)
            .await
        {
            Ok(version) if known.replace(version) != Some(version) => {
                // A full queue has enough to tell already.
                let _ = listener.try_send(Message::Changed);
            }
            Ok(_) => {}
            Err(_) => connection = None,
        }
    }
}

/// Objects whose ids begin with a text: `acme`, or `team acme` for those of one noun.
pub(super) async fn search(source: &Source, text: &str) -> Result<Vec<Found>, Problem> {
    let (noun, text) = match text.split_once(' ') {
        Some((noun, rest)) if search::NOUNS.contains(&noun) => (Some(noun), rest.trim()),
        _ => (None, text),
    };
    let found = search::search(&source.session.database, noun, text).await?;
    let found = found.into_iter().map(|found| Found {
        noun: found.noun,
        id: found.id,
        label: found.remark,
    });
    Ok(found.collect())
}
