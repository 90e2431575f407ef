//! Administration of a Tollgate installation from the terminal.

use std::io::Write as _;
use std::process::ExitCode;

use cli::error::Failure;
use cli::forced::{self, Misused};
use dashboard::SettingsFile;
use rights::Rights;

mod cli;
mod dashboard;
mod demo;
mod rights;
mod session;

/// What a misused command line exits with.
const EXIT_USAGE: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let asked = session::variable(forced::VARIABLE);
    let done = match forced::arguments(std::env::args_os(), asked.as_deref()) {
        Ok(arguments) => Box::pin(run(arguments)).await,
        Err(Misused::Asked(failure)) => Err(failure),
        Err(Misused::Line(error)) => return show_usage(&error),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to tell if standard error is gone.
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run(arguments: cli::Arguments) -> Result<(), Failure> {
    let options = &arguments.options;
    let noun = match arguments.noun {
        Some(noun) => match cli::run_local(options, noun)? {
            Some(noun) => Some(noun),
            None => return Ok(()),
        },
        None => None,
    };
    let file = SettingsFile::read()?;
    let variable = session::variable(rights::ROLE_VARIABLE);
    let rights = Rights::new(options, variable.as_deref(), file.role)?;
    match noun {
        Some(noun) => cli::run(options, rights, noun).await,
        None => dashboard::run(options, rights, &arguments.looks, &file).await,
    }
}

fn show_usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::from(EXIT_USAGE)
    } else {
        ExitCode::SUCCESS
    }
}
