//! The command line.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Parser, Subcommand};
use tollgate_common::config::Config;
use tollgate_common::db::{Access, Database, migrate};
use tracing_subscriber::EnvFilter;

use crate::{demo_upstream, quickstart, server};

/// The gateway between applications and LLM providers: keys, jobs, credits, metering.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Arguments {
    /// Configuration file; ./tollgate.toml is read if it is there.
    #[arg(long, global = true, env = "TOLLGATE_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves (the default).
    Serve,
    /// Makes what is missing for a first call in this folder, then serves.
    Quickstart(quickstart::Options),
    /// Brings the database's schema up to date.
    Migrate {
        /// Only compares; exits with 5 if something is missing.
        #[arg(long)]
        check: bool,
    },
    /// Looks at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Serves a small OpenAI-compatible provider without a model.
    DemoUpstream(DemoUpstream),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Reports everything that is wrong with it.
    Check,
    /// Prints the commented default.
    Default,
    /// Prints what is in force, without secrets.
    Show,
}

#[derive(Debug, Args)]
struct DemoUpstream {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:8004")]
    listen: SocketAddr,
    #[command(flatten)]
    behaviour: demo_upstream::Behaviour,
}

/// `migrate --check` found something to do.
const EXIT_REFUSED: u8 = 5;

/// Runs the command and turns its end into an exit code.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    match dispatch(arguments) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let load = || Config::load(arguments.config.as_deref(), |name| std::env::var(name).ok());
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => {
            let config = load()?;
            start_logging(&config)?;
            server::serve(config)?;
        }
        Command::Quickstart(options) => {
            let config = load()?;
            start_logging(&config)?;
            quickstart::run(config, options)?;
        }
        Command::Migrate { check } => return migrate_command(&load()?, check),
        Command::Config(ConfigCommand::Check) => {
            load()?;
            print("the configuration is valid\n")?;
        }
        Command::Config(ConfigCommand::Default) => print(&Config::default_file())?,
        Command::Config(ConfigCommand::Show) => print(&format!("{:#?}\n", load()?))?,
        Command::DemoUpstream(demo) => {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(async {
                let listener = demo_upstream::bind(demo.listen, false).await?;
                print(&format!(
                    "demo upstream on http://{}/v1\n",
                    listener.local_addr()?
                ))?;
                demo_upstream::serve(listener, demo.behaviour).await?;
                anyhow::Ok(())
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn migrate_command(config: &Config, check: bool) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let access = if check { Access::Write } else { Access::Create };
        let database = Database::connect(config, access).await?;
        if !check {
            migrate::migrate(&database).await?;
            print(&format!("{} is up to date\n", config.database))?;
            return Ok(ExitCode::SUCCESS);
        }
        match migrate::schema_state(&database).await? {
            migrate::SchemaState::Current => {
                print(&format!("{} is up to date\n", config.database))?;
                Ok(ExitCode::SUCCESS)
            }
            migrate::SchemaState::Behind(count) => {
                print(&format!("{} lacks {count} migration(s): run tollgate migrate\n", config.database))?;
                Ok(ExitCode::from(EXIT_REFUSED))
            }
            migrate::SchemaState::Newer(version) => {
                bail!("{} has migration {version}, which this version does not know: use a newer version", config.database)
            }
        }
    })
}

/// Standard output is for what was asked for; the log goes to standard error.
pub(crate) fn print(text: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

fn start_logging(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log_filter)
        .map_err(|error| anyhow::anyhow!("log.filter is not valid: {error}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        // An error of the log would be reported on the same stream, which panics if it is closed.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    if config.log_json {
        builder.json().init();
    } else {
        builder.with_target(false).init();
    }
    Ok(())
}
