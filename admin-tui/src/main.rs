//! Administration of a Tollgate installation from the terminal.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use cli::error::Failure;
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
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return show_usage(&error),
    };
    match Box::pin(run(arguments)).await {
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
    let file = SettingsFile::read()?;
    let variable = session::variable(rights::ROLE_VARIABLE);
    let rights = Rights::new(options, variable.as_deref(), file.role)?;
    match arguments.noun {
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
