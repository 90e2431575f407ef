//! Where the dashboard reads and writes: queries and answers as data, so that a test can stand in
//! for the database.

use std::time::Duration;

use tokio::sync::mpsc;

use super::change::{Change, Outcome};
use super::message::Message;
use super::problem::Problem;

pub(crate) mod audit;
pub(crate) mod change;
pub(crate) mod credits;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod models;
pub(crate) mod orgs;
pub(crate) mod overview;
pub(crate) mod part;
pub(crate) mod providers;
pub(crate) mod settings;
mod source;
pub(crate) mod teams;

pub(crate) use source::Source;

/// How long a reading may take.
const READ_TIME: Duration = Duration::from_secs(10);

macro_rules! nouns {
    ($($(#[doc = $doc:literal])* $name:ident = $module:ident,)*) => {
        /// Something to be read.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) enum Query {
            /// Objects whose names begin with a text.
            Search(String),
            $($(#[doc = $doc])* $name($module::Query),)*
        }

        /// What was read.
        #[derive(Debug)]
        pub(crate) enum Answer {
            /// Objects that were searched for.
            Found(Vec<Found>),
            /// What a change would touch: lines for the question before it.
            Impact(Vec<(String, String)>),
            $($(#[doc = $doc])* $name($module::Answer),)*
        }

        async fn read(source: &Source, query: Query) -> Result<Answer, Problem> {
            match query {
                Query::Search(text) => source::search(source, &text).await.map(Answer::Found),
                $(Query::$name(query) => $module::load(source, query).await,)*
            }
        }
    };
}

nouns! {
    /// Figures of the overview.
    Overview = overview,
    /// Jobs and calls.
    Jobs = jobs,
    /// Teams.
    Teams = teams,
    /// Organizations.
    Orgs = orgs,
    /// Virtual keys.
    Keys = keys,
    /// Balances, holds, entries.
    Credits = credits,
    /// Models and groups.
    Models = models,
    /// Providers and their keys.
    Providers = providers,
    /// Records of the audit log.
    Audit = audit,
    /// Nodes and the database itself.
    Settings = settings,
}

/// An object that was searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// What it is: `team`, `org`, `key`, `job`, `model`, `provider`.
    pub(crate) noun: &'static str,
    /// Its id.
    pub(crate) id: String,
    /// What else tells it apart: a name, whose it is.
    pub(crate) label: String,
}

/// Where the dashboard reads and writes.
pub(crate) trait Store: 'static {
    /// Reads something.
    fn load(&self, query: Query) -> impl Future<Output = Result<Answer, Problem>>;

    /// Changes something.
    fn change(&self, change: &Change) -> impl Future<Output = Result<Outcome, Problem>>;

    /// Sends `Message::Changed` whenever something has changed, until nobody listens; returns at
    /// once if this store cannot tell.
    fn watch(&self, listener: mpsc::Sender<Message>) -> impl Future<Output = ()>;
}

impl Store for Source {
    async fn load(&self, query: Query) -> Result<Answer, Problem> {
        let reading = async {
            self.require_current().await?;
            read(self, query).await
        };
        match tokio::time::timeout(READ_TIME, Box::pin(reading)).await {
            Ok(result) => result,
            Err(_) => Err(Problem {
                sentence: format!(
                    "the database gave no answer within {} s",
                    READ_TIME.as_secs()
                ),
                is_offline: true,
                is_lost: false,
            }),
        }
    }

    async fn change(&self, change: &Change) -> Result<Outcome, Problem> {
        Box::pin(change::make(self, change)).await
    }

    async fn watch(&self, listener: mpsc::Sender<Message>) {
        source::watch(self, listener).await;
    }
}
