//! A forced command of sshd, as `command="tollgate-admin --role operator"` in `authorized_keys`:
//! what somebody asks to run over SSH is a subcommand under the options of that line, which it can
//! narrow but not widen.

use std::ffi::OsStr;
use std::path::Path;

use clap::{CommandFactory as _, FromArgMatches as _};

use super::Arguments;
use super::error::Failure;

/// Where sshd puts what was asked to be run instead of the forced command.
pub(crate) const VARIABLE: &str = "SSH_ORIGINAL_COMMAND";

/// What this program is called.
const PROGRAM: &str = "tollgate-admin";

/// Why there are no arguments to go by.
#[derive(Debug)]
pub(crate) enum Misused {
    /// The command line is not understood, or asks for help.
    Line(Box<clap::Error>),
    /// What was asked over SSH goes beyond the options.
    Asked(Failure),
}

impl From<clap::Error> for Misused {
    fn from(error: clap::Error) -> Self {
        Self::Line(Box::new(error))
    }
}

fn parse(words: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Arguments, clap::Error> {
    let matches = Arguments::command().try_get_matches_from(words)?;
    Arguments::from_arg_matches(&matches)
}

/// The arguments to go by: those of the command line, and if it names no subcommand, those that
/// were asked for over SSH.
pub(crate) fn arguments(
    line: impl IntoIterator<Item = std::ffi::OsString>,
    asked: Option<&OsStr>,
) -> Result<Arguments, Misused> {
    let forced = parse(line)?;
    match asked {
        Some(asked) if asked.is_empty() => Ok(forced),
        Some(asked) if forced.noun.is_none() => match asked.to_str() {
            Some(asked) => under(forced, asked),
            None => Err(refusal("write it in UTF-8".to_owned())),
        },
        _ => Ok(forced),
    }
}

fn refusal(why: String) -> Misused {
    Misused::Asked(Failure::Usage(format!("{VARIABLE}: {why}")))
}

fn under(forced: Arguments, asked: &str) -> Result<Arguments, Misused> {
    let mut words = shell_words::split(asked).map_err(|error| refusal(error.to_string()))?;
    if words.first().is_some_and(|word| is_program(word)) {
        words.remove(0);
    }
    let words = std::iter::once(PROGRAM.to_owned()).chain(words);
    let mut asked = parse(words.map(Into::into))?;
    let (options, outer) = (&mut asked.options, forced.options);
    let fixed = [
        ("--database-url", options.database_url.is_some()),
        ("--config", options.config.is_some()),
        ("--actor", options.actor.is_some()),
    ];
    if let Some((option, _)) = fixed.iter().find(|(_, is_given)| *is_given) {
        return Err(refusal(format!("{option} cannot be chosen here")));
    }
    if let (Some(asked), Some(allowed)) = (options.role, outer.role)
        && asked > allowed
    {
        return Err(refusal(format!("--role {asked}: {allowed} at most")));
    }
    options.database_url = outer.database_url;
    options.config = outer.config;
    options.actor = outer.actor;
    options.role = options.role.or(outer.role);
    options.read_only |= outer.read_only;
    options.json |= outer.json;
    options.raw |= outer.raw;
    options.reason = options.reason.take().or(outer.reason);
    asked.looks = asked.looks.or(forced.looks);
    Ok(asked)
}

fn is_program(word: &str) -> bool {
    Path::new(word)
        .file_name()
        .is_some_and(|name| name == PROGRAM)
}

#[cfg(test)]
mod tests {
    use tollgate_common::role::Role;

    use super::*;
    use crate::cli::Noun;

    fn asked(line: &str, asked: Option<&str>) -> Result<Arguments, Misused> {
        let words = line.split_whitespace().map(Into::into);
        arguments(words, asked.map(OsStr::new))
    }

    fn said(line: &str, text: &str) -> String {
        match asked(line, Some(text)) {
            Err(Misused::Asked(failure)) => failure.to_string(),
            other => panic!("{text}: {other:?}"),
        }
    }

    const FORCED: &str = "tollgate-admin --role operator --actor carol --database-url sqlite:a.db";

    #[test]
    fn what_is_asked_over_ssh_runs_under_the_options_of_the_line() {
        let line =
            "job cancel 01890000-0000-7000-8000-000000000000 --reason 'it hangs; see \"#4\"'";
        let arguments = asked(FORCED, Some(line)).unwrap();
        assert!(matches!(arguments.noun, Some(Noun::Job(_))));
        let options = &arguments.options;
        assert_eq!(options.role, Some(Role::Operator));
        assert_eq!(options.actor.as_deref(), Some("carol"));
        assert_eq!(options.database_url.as_deref(), Some("sqlite:a.db"));
        assert_eq!(options.reason.as_deref(), Some("it hangs; see \"#4\""));
        let named = asked(FORCED, Some("/usr/bin/tollgate-admin org list --json")).unwrap();
        assert!(named.options.json && matches!(named.noun, Some(Noun::Org(_))));
        let lower = asked(FORCED, Some("--role viewer team list")).unwrap();
        assert_eq!(lower.options.role, Some(Role::Viewer));
        assert!(asked(FORCED, None).unwrap().noun.is_none());
        let own = asked("tollgate-admin org list", Some("job list")).unwrap();
        assert!(matches!(own.noun, Some(Noun::Org(_))));
    }

    #[test]
    fn what_is_asked_cannot_widen_the_options() {
        for (text, word) in [
            ("org list --actor mallory", "--actor"),
            ("--database-url sqlite:b.db org list", "--database-url"),
            ("org list --config x.toml", "--config"),
            ("org list --role owner", "operator at most"),
            ("org list 'open", "quote"),
        ] {
            let why = said(FORCED, text);
            assert!(why.contains(word), "{text}: {why}");
        }
        let line = asked(FORCED, Some("rm -rf /"));
        assert!(matches!(line, Err(Misused::Line(_))), "{line:?}");
    }
}
