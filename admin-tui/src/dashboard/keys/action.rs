//! Everything that a key, a menu or the palette can start.

use tollgate_common::role::Role;

use super::super::tab::Tab;

macro_rules! actions {
    ($($(#[doc = $doc:literal])* $name:ident = $word:literal,)*) => {
        /// Something that a key can start.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Action {
            $($(#[doc = $doc])* $name,)*
            /// Go to a screen.
            Go(Tab),
        }

        impl Action {
            /// Those that have names of their own.
            const NAMED: &'static [(&'static str, Self)] = &[$(($word, Self::$name),)*];

            /// Its name in the key file.
            pub(crate) fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                    Self::Go(tab) => tab.word(),
                }
            }
        }
    };
}

actions! {
    /// Open the palette.
    Palette = "palette",
    /// Open help.
    Help = "help",
    /// List what can be done here.
    Menu = "menu",
    /// One level back; at the root, quit.
    Leave = "leave",
    /// One level back; never quits.
    Back = "back",
    /// End the program.
    Quit = "quit",
    /// Read again at once.
    Refresh = "refresh",
    /// Hold the screen still, or let it go on.
    Freeze = "freeze",
    /// The place before this one.
    Previous = "previous",
    /// The place after this one.
    Next = "next",
    /// The screen before this one.
    Last = "last",
    /// Take the last reversible change back.
    Undo = "undo",
    /// Draw everything anew.
    Redraw = "redraw",
    /// Stop the program until the shell continues it.
    Suspend = "suspend",
    /// Take mouse clicks and the wheel, or leave them to the terminal.
    Mouse = "mouse",
    /// One row down.
    Down = "down",
    /// One row up.
    Up = "up",
    /// To the first row, and follow what is new.
    Top = "top",
    /// To the last row.
    Bottom = "bottom",
    /// Half a page down.
    HalfDown = "half_down",
    /// Half a page up.
    HalfUp = "half_up",
    /// A page down.
    PageDown = "page_down",
    /// A page up.
    PageUp = "page_up",
    /// Mark the row or take its mark away.
    Mark = "mark",
    /// Mark the rows between the last mark and this one.
    MarkRange = "mark_range",
    /// Take all marks away.
    ClearMarks = "clear_marks",
    /// Show all columns that fit, or the usual ones.
    Wide = "wide",
    /// Copy the row's id.
    CopyId = "copy_id",
    /// Copy the row as JSON.
    CopyRow = "copy_row",
    /// Write a filter.
    Filter = "filter",
    /// Search beyond where the filter has stopped.
    SearchOn = "search_on",
    /// Choose the order.
    Sort = "sort",
    /// Turn the order around.
    ReverseSort = "reverse_sort",
    /// Open what is selected.
    Open = "open",
    /// The next pane.
    NextPane = "next_pane",
    /// The pane before.
    PreviousPane = "previous_pane",
    /// Save the rows as CSV.
    Export = "export",
    /// Choose the time shown.
    Range = "range",
    /// Check the ledger.
    Verify = "verify",
    /// Make a new one.
    New = "new",
    /// Change settings.
    Edit = "edit",
    /// Suspend or resume.
    Standing = "standing",
    /// Pause for a while.
    Pause = "pause",
    /// Put credits in.
    AddCredits = "add_credits",
    /// Give spent credits back.
    Refund = "refund",
    /// Correct a balance.
    Adjust = "adjust",
    /// Change limits.
    Limits = "limits",
    /// Change which groups of models are granted.
    Groups = "groups",
    /// Make a key of a team.
    NewKey = "new_key",
    /// Put a new key in the place of one.
    Rotate = "rotate",
    /// End a key.
    Revoke = "revoke",
    /// Cancel a job.
    CancelJob = "cancel_job",
    /// End a job as failed, which releases its hold.
    FailJob = "fail_job",
    /// Ask a provider whether it takes the keys.
    Test = "test",
    /// Add a key of a provider.
    AddCredential = "add_credential",
    /// Remove a key of a provider.
    RemoveCredential = "remove_credential",
    /// Enable or disable.
    Enable = "enable",
    /// Change a price.
    Price = "price",
    /// Change fallbacks.
    Fallbacks = "fallbacks",
    /// Add a model to a group.
    AddMember = "add_member",
    /// Take a model out of a group.
    RemoveMember = "remove_member",
    /// Remove for good.
    Remove = "remove",
    /// Show the teams of this.
    ShowTeams = "show_teams",
    /// Show the team of this.
    ShowTeam = "show_team",
    /// Show the keys of this.
    ShowKeys = "show_keys",
    /// Show the jobs of this.
    ShowJobs = "show_jobs",
    /// Show the credits of this.
    ShowCredits = "show_credits",
    /// Show the models of this.
    ShowModels = "show_models",
    /// Show the provider of this.
    ShowProvider = "show_provider",
    /// Show what was done to this.
    ShowAudit = "show_audit",
    /// Show what this is about.
    ShowObject = "show_object",
    /// Take other colours.
    Theme = "theme",
}

impl Action {
    /// The action of this name.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        let named = Self::NAMED.iter().find(|(name, _)| *name == word);
        let tab = || Tab::ALL.into_iter().find(|tab| tab.word() == word);
        named
            .map(|(_, action)| *action)
            .or_else(|| tab().map(Action::Go))
    }

    /// The least role that may start it. Of changes that are for some by what they change, the
    /// lowest; the database's side has the last word.
    pub(crate) const fn needs(self) -> Role {
        match self {
            Self::AddCredits
            | Self::Refund
            | Self::Adjust
            | Self::Price
            | Self::AddCredential
            | Self::RemoveCredential
            | Self::Remove => Role::Owner,
            // Providers are sent their keys.
            Self::Test => Role::Operator,
            _ if self.is_change() => Role::Operator,
            _ => Role::Viewer,
        }
    }

    /// Whether it changes what is stored, so that it needs a connection that may write.
    pub(crate) const fn is_change(self) -> bool {
        matches!(
            self,
            Self::New
                | Self::Edit
                | Self::Standing
                | Self::Pause
                | Self::AddCredits
                | Self::Refund
                | Self::Adjust
                | Self::Limits
                | Self::Groups
                | Self::NewKey
                | Self::Rotate
                | Self::Revoke
                | Self::CancelJob
                | Self::FailJob
                | Self::AddCredential
                | Self::RemoveCredential
                | Self::Enable
                | Self::Price
                | Self::Fallbacks
                | Self::AddMember
                | Self::RemoveMember
                | Self::Remove
                | Self::Undo
        )
    }
}
