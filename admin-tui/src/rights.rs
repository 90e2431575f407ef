//! What whoever sits here may do: the lowest of what the environment, the settings file and the
//! options say.

use tollgate_common::role::Role;

use crate::cli::Options;
use crate::cli::error::Failure;

/// The variable that says what may be done, as a forced command of sshd sets it.
pub(crate) const ROLE_VARIABLE: &str = "TOLLGATE_ADMIN_ROLE";

/// What may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights {
    /// The role.
    pub(crate) role: Role,
    /// Why nothing may be changed, if so.
    pub(crate) read_only: Option<&'static str>,
    /// Why no file may be written on this machine, if so.
    pub(crate) no_files: Option<&'static str>,
    /// Whether sshd has put this program in the place of what was asked for.
    pub(crate) is_forced: bool,
}

/// Why a forced command writes no file.
const FORCED_NO_FILES: &str = "under a forced command of SSH no file is written on this machine: \
    standard output is the way out, as in ssh HOST export jobs > jobs.csv";

/// Why those below owners write no file: whoever chooses files for the account that runs this
/// chooses what that account does.
const ROLE_NO_FILES: &str = "only the role owner writes files on this machine: take the rows from \
    standard output, as in tollgate-admin export jobs > jobs.csv";

impl Rights {
    /// What the options leave of what the environment and the settings file allow.
    pub(crate) fn new(
        options: &Options,
        variable: Option<&str>,
        file: Option<Role>,
        is_forced: bool,
    ) -> Result<Self, Failure> {
        let variable = variable.map(str::parse::<Role>).transpose();
        let variable = variable.map_err(|why| Failure::Usage(format!("{ROLE_VARIABLE} {why}")))?;
        let allowed = [variable, file].into_iter().flatten().min();
        let allowed = allowed.unwrap_or(Role::Owner);
        let role = options.role.unwrap_or(allowed);
        if role > allowed {
            return Err(Failure::Usage(format!(
                "--role {role}: only {allowed} and below are allowed here"
            )));
        }
        let read_only = if options.read_only {
            Some("opened with --read-only")
        } else if role == Role::Viewer {
            Some("the role viewer may not change anything")
        } else {
            None
        };
        let no_files = if is_forced {
            Some(FORCED_NO_FILES)
        } else if role < Role::Owner {
            Some(ROLE_NO_FILES)
        } else {
            None
        };
        Ok(Self {
            role,
            read_only,
            no_files,
            is_forced,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(role: Option<Role>, variable: Option<&str>, file: Option<Role>) -> Option<Rights> {
        let options = Options {
            role,
            ..Options::default()
        };
        Rights::new(&options, variable, file, false).ok()
    }

    #[test]
    fn an_option_can_only_lower_what_is_allowed() {
        let role = |rights: Option<Rights>| rights.map(|rights| rights.role);
        assert_eq!(role(rights(None, None, None)), Some(Role::Owner));
        assert_eq!(role(rights(None, Some("viewer"), None)), Some(Role::Viewer));
        let operator = Some(Role::Operator);
        assert_eq!(role(rights(None, Some("owner"), operator)), operator);
        assert_eq!(
            role(rights(Some(Role::Viewer), None, operator)),
            Some(Role::Viewer)
        );
        assert_eq!(rights(Some(Role::Owner), None, operator), None);
        assert_eq!(rights(Some(Role::Operator), Some("viewer"), None), None);
        assert_eq!(rights(None, Some("root"), None), None);
    }

    #[test]
    fn viewers_and_read_only_sessions_say_why_they_change_nothing() {
        let viewer = rights(Some(Role::Viewer), None, None).unwrap();
        assert!(viewer.read_only.unwrap().contains("viewer"));
        let options = Options {
            read_only: true,
            ..Options::default()
        };
        let looking = Rights::new(&options, None, None, false).unwrap();
        assert_eq!(looking.role, Role::Owner);
        assert!(looking.read_only.unwrap().contains("--read-only"));
        assert_eq!(rights(None, None, None).unwrap().read_only, None);
    }

    #[test]
    fn only_an_owner_outside_a_forced_command_writes_files() {
        for role in Role::ALL {
            for is_forced in [false, true] {
                let options = Options {
                    role: Some(role),
                    ..Options::default()
                };
                let rights = Rights::new(&options, None, None, is_forced).unwrap();
                let may = role == Role::Owner && !is_forced;
                assert_eq!(rights.no_files.is_none(), may, "{role} {is_forced}");
                let why = rights.no_files.unwrap_or("standard output");
                assert!(why.contains("standard output"), "{why}");
            }
        }
    }
}
