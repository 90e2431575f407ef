//! Administration of a Tollgate installation from the terminal.

use std::ffi::OsString;
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
mod text;

/// What a command line exits with that has done what it says.
const EXIT_DONE: u8 = 0;

/// What a misused command line exits with.
const EXIT_USAGE: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    ExitCode::from(program(std::env::args_os()).await)
}

/// Does what a command line says and returns what to exit with.
async fn program(line: impl IntoIterator<Item = OsString>) -> u8 {
    let asked = std::env::var_os(forced::VARIABLE);
    let is_forced = asked.is_some();
    let done = match forced::arguments(line, asked.as_deref()) {
        Ok(arguments) => Box::pin(run(arguments, is_forced)).await,
        Err(Misused::Asked(failure)) => Err(failure),
        Err(Misused::Line(error)) => return show_usage(&error),
    };
    match done {
        Ok(()) => EXIT_DONE,
        Err(failure) => {
            // Nobody is left to tell if standard error is gone.
            let _ = writeln!(std::io::stderr(), "error: {}", failure.printable());
            failure.exit_code()
        }
    }
}

async fn run(arguments: cli::Arguments, is_forced: bool) -> Result<(), Failure> {
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
    let rights = Rights::new(options, variable.as_deref(), file.role, is_forced)?;
    match noun {
        Some(noun) => cli::run(options, rights, noun).await,
        None => dashboard::run(options, rights, &arguments.looks, &file).await,
    }
}

fn show_usage(error: &clap::Error) -> u8 {
    let told = error.render().to_string();
    let shown = text::printable_lines(&told);
    if error.use_stderr() && shown != told {
        // It quotes an argument, which may hold anything.
        let _ = std::io::stderr().write_all(shown.as_bytes());
    } else {
        let _ = error.print();
    }
    if error.use_stderr() {
        EXIT_USAGE
    } else {
        EXIT_DONE
    }
}
