//! Why a subcommand did not do what was asked, and what it then exits with.

use tollgate_common::command::CommandError;
use tollgate_common::config::InvalidConfig;
use tollgate_common::db::StoreError;
use tollgate_common::price::import::ListError;
use tollgate_common::secret::SecretError;

use crate::text;

/// Why a subcommand did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line asks for something that does not make sense.
    #[error("{0}")]
    Usage(String),
    /// The change was not made.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The stored data breaks rules of the ledger.
    #[error("{0} difference(s) found")]
    Differences(usize),
    /// A provider does not take keys of its own.
    #[error("{0} key(s) refused by the provider")]
    KeysRefused(usize),
    /// A provider could not be asked, or had nothing to say about its keys.
    #[error("{0} key(s) could not be tested")]
    KeysUntested(usize),
    /// A test of a key broke off.
    #[error("the test of a key broke off")]
    Probe,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The sealing key could not be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// There is no sealing key.
    #[error(
        "there is no key file {0} to seal provider keys with: run this in the folder of the proxy's key file, name it in the configuration (secrets.key_file), or set TOLLGATE_SECRET_KEY to the proxy's key"
    )]
    NoSealingKey(String),
    /// Standard input could not be read.
    #[error("standard input: {0}")]
    Input(std::io::Error),
    /// Standard output could not be written.
    #[error("standard output: {0}")]
    Output(std::io::Error),
    /// A file could not be made or written.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// A file is not a price list.
    #[error("{0} {1}")]
    PriceList(String, ListError),
    /// A check of prices has found something.
    #[error("{0} price(s) to look at")]
    PriceFindings(usize),
    /// Rows could not be read.
    #[error("{0}")]
    Export(String),
    /// A view could not be written as JSON.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Failure {
    /// Something that is not there.
    pub(crate) fn not_found(noun: &'static str, id: impl ToString) -> Self {
        CommandError::not_found(noun, id).into()
    }

    /// A rule says no.
    pub(crate) fn refused(why: impl Into<String>) -> Self {
        CommandError::Refused(why.into()).into()
    }

    /// What is told of it: without what could steer a terminal, and in several lines only if it is
    /// about what was typed or configured.
    pub(crate) fn printable(&self) -> String {
        let told = self.to_string();
        match self {
            Self::Usage(_) | Self::Config(_) => text::printable_lines(&told),
            _ => text::printable(&told),
        }
    }

    /// What the process exits with.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Command(CommandError::NotFound { .. }) => 3,
            Self::Command(CommandError::Exists { .. } | CommandError::Conflict(_)) => 4,
            Self::Command(CommandError::Refused(_))
            | Self::Differences(_)
            | Self::PriceFindings(_)
            | Self::KeysRefused(_) => 5,
            Self::Command(CommandError::Store(_))
            | Self::KeysUntested(_)
            | Self::Probe
            | Self::Store(_)
            | Self::Config(_)
            | Self::Secret(_)
            | Self::NoSealingKey(_)
            | Self::Input(_)
            | Self::Output(_)
            | Self::File(..)
            | Self::PriceList(..)
            | Self::Export(_)
            | Self::Json(_) => 1,
        }
    }
}
