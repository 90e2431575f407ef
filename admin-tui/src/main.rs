//! Administration of a Tollgate installation from the terminal.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

mod cli;
mod dashboard;
mod session;

/// What a misused command line exits with.
const EXIT_USAGE: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return show_usage(&error),
    };
    let done = match arguments.noun {
        Some(noun) => Box::pin(cli::run(&arguments.options, noun)).await,
        None => Box::pin(dashboard::run(&arguments.options, &arguments.looks)).await,
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

fn show_usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::from(EXIT_USAGE)
    } else {
        ExitCode::SUCCESS
    }
}
