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
}

impl Rights {
    /// What the options leave of what the environment and the settings file allow.
    pub(crate) fn new(
        options: &Options,
        variable: Option<&str>,
        file: Option<Role>,
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
        Ok(Self { role, read_only })
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
        Rights::new(&options, variable, file).ok()
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
        let looking = Rights::new(&options, None, None).unwrap();
        assert_eq!(looking.role, Role::Owner);
        assert!(looking.read_only.unwrap().contains("--read-only"));
        assert_eq!(rights(None, None, None).unwrap().read_only, None);
    }
}
