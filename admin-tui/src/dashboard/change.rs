//! Changes that the dashboard asks for, and what comes of them.

use tollgate_common::clock::Timestamp;
use tollgate_common::command::Command;
use tollgate_common::id::{CredentialId, KeyId, TeamId};
use tollgate_common::key::PlainKey;
use tollgate_common::limit::Limits;
use tollgate_common::secret::Secret;

use super::export::Export;
use super::memory::SavedFilter;

/// Something to be done outside the screen, and what to say when it is.
#[derive(Debug)]
pub(crate) struct Change {
    /// What.
    pub(crate) operation: Operation,
    /// Why, for the audit log.
    pub(crate) reason: Option<String>,
    /// When the administrator's picture of the target was last changed: if the target has moved
    /// since, nothing is done.
    pub(crate) expected: Option<Timestamp>,
    /// What to say when it is done.
    pub(crate) sentence: String,
    /// What takes it back, if it can be taken back.
    pub(crate) undo: Option<Box<Self>>,
}

impl Change {
    /// A change by a command.
    pub(crate) fn command(command: Command, sentence: impl Into<String>) -> Self {
        Self::new(Operation::Command(Box::new(command)), sentence)
    }

    /// Something to be done.
    pub(crate) fn new(operation: Operation, sentence: impl Into<String>) -> Self {
        Self {
            operation,
            reason: None,
            expected: None,
            sentence: sentence.into(),
            undo: None,
        }
    }

    /// The same with a reason.
    pub(crate) fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into()).filter(|reason: &String| !reason.trim().is_empty());
        if let (Some(why), Operation::Command(command)) = (&self.reason, &mut self.operation) {
            explain(command, why);
        }
        self
    }

    /// The same, unless the target has changed since.
    pub(crate) fn unless_changed_since(mut self, seen: Timestamp) -> Self {
        self.expected = Some(seen);
        self
    }

    /// The same, with what takes it back.
    pub(crate) fn undone_by(mut self, inverse: Self) -> Self {
        self.undo = Some(Box::new(inverse));
        self
    }
}

/// Commands that store a reason of their own get the one that was given.
fn explain(command: &mut Command, why: &str) {
    if let Command::ChangeBalance { reason, .. }
    | Command::CancelJob { reason, .. }
    | Command::FailJob { reason, .. } = command
    {
        why.clone_into(reason);
    }
}

impl Operation {
    /// What it is called if it writes a file into the state folder.
    pub(crate) const fn writes_file(&self) -> Option<&'static str> {
        match self {
            Self::Export(_) => Some("dashboard export"),
            Self::Save { .. } => Some("dashboard save key"),
            Self::SaveFilter(_) | Self::ForgetFilter(_) => Some("dashboard save filter"),
            Self::Command(_)
            | Self::Commands(_)
            | Self::StopTeams { .. }
            | Self::CreateKey { .. }
            | Self::RotateKey { .. }
            | Self::WithSecret { .. }
            | Self::TestProvider { .. }
            | Self::Verify => None,
        }
    }
}

/// What is done outside the screen.
#[derive(Debug)]
pub(crate) enum Operation {
    /// A command as it is.
    Command(Box<Command>),
    /// Several commands, one after the other; the first failure ends them.
    Commands(Vec<Command>),
    /// Suspends teams, one after the other.
    StopTeams {
        /// Which.
        ids: Vec<TeamId>,
        /// Whether their open jobs are cancelled too.
        cancel_jobs: bool,
    },
    /// A new key, made on the way so that no message holds it.
    CreateKey {
        /// Whose.
        team_id: TeamId,
        /// What it is called.
        label: Option<String>,
        /// How much it may ask for.
        limits: Limits,
        /// When it ends.
        expires_at: Option<Timestamp>,
    },
    /// A successor of a key.
    RotateKey {
        /// Which.
        id: KeyId,
        /// Until when the old one still works.
        ends_at: Timestamp,
    },
    /// A command that stores a provider's secret, which is sealed on the way.
    WithSecret {
        /// The provider's secret.
        secret: Secret,
        /// Makes the command of the sealed secret.
        command: SealedCommand,
    },
    /// Asks a provider whether it takes one of its keys, or all.
    TestProvider {
        /// The provider.
        provider: tollgate_common::command::ProviderRef,
        /// The key; all if there is none.
        credential: Option<CredentialId>,
    },
    /// Writes rows into a file.
    Export(Box<Export>),
    /// Writes a secret into a file that only its owner can read; the file's name is a proposal.
    Save {
        /// What.
        secret: Secret,
        /// The name of the file without its folder.
        name: String,
    },
    /// The check of the whole ledger.
    Verify,
    /// Keeps a filter for the next time.
    SaveFilter(SavedFilter),
    /// Forgets the saved filter of this name.
    ForgetFilter(String),
}

/// Commands that store a provider's secret.
#[derive(Debug, Clone)]
pub(crate) enum SealedCommand {
    /// A new provider.
    AddProvider {
        /// Its name and whose it is.
        provider: tollgate_common::command::ProviderRef,
        /// How it is spoken to.
        kind: tollgate_common::provider::ProviderKind,
        /// Where it is.
        base_url: tollgate_common::provider::BaseUrl,
        /// What callers wrote for it that it is sent as it is.
        pass_fields: tollgate_common::provider::PassFields,
    },
    /// One more key of a provider.
    AddCredential {
        /// Which.
        provider: tollgate_common::command::ProviderRef,
    },
    /// A key in the place of all others.
    Rotate {
        /// Which.
        provider: tollgate_common::command::ProviderRef,
    },
}

/// What came of a change.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What to say.
    pub(crate) sentence: String,
    /// A virtual key, at the one moment at which it can be shown.
    pub(crate) key: Option<NewKey>,
    /// Further lines for a window: findings of a check, answers of a provider.
    pub(crate) lines: Vec<String>,
    /// Whether the sentence tells of something wrong.
    pub(crate) is_bad: bool,
}

impl Outcome {
    /// It went well.
    pub(crate) fn good(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            key: None,
            lines: Vec::new(),
            is_bad: false,
        }
    }
}

/// A virtual key that was made just now.
#[derive(Debug)]
pub(crate) struct NewKey {
    /// Whose.
    pub(crate) team_id: TeamId,
    /// The key itself.
    pub(crate) plain: PlainKey,
}
