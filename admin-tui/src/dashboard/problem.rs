//! Why something could not be read or done, in words for the screen.

use tollgate_common::command::CommandError;
use tollgate_common::db::StoreError;

use crate::cli::error::Failure;

/// Why something could not be read or done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What to say.
    pub(crate) sentence: String,
    /// Whether the database cannot be reached, so that everything else would fail too.
    pub(crate) is_offline: bool,
    /// Whether the way to the database broke before it said whether the change was made.
    pub(crate) is_lost: bool,
}

impl Problem {
    /// A problem that leaves the connection as it is.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            is_offline: false,
            is_lost: false,
        }
    }

    /// The same, for the next of several changes of which so many were made.
    pub(crate) fn after(mut self, done: usize, of: usize) -> Self {
        if of > 1 {
            self.sentence = format!("{done} of {of} done; then: {}", self.sentence);
        }
        self
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let is_offline = error.is_unreachable();
        Self {
            is_lost: matches!(error, StoreError::Unanswered(_)),
            sentence: error.to_string(),
            is_offline,
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Store(error) => error.into(),
            other => Self::new(other.to_string()),
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Command(error) => error.into(),
            Failure::Store(error) => error.into(),
            other => Self::new(other.to_string()),
        }
    }
}
