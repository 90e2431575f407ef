//! The subcommands: one noun a file, each verb a change or a view of the database.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tollgate_common::role::Role;

use crate::dashboard::Looks;
use crate::rights::Rights;
use crate::session::Session;
use error::Failure;
use output::Output;

mod audit;
mod call;
mod charge;
mod credits;
mod dev;
pub(crate) mod error;
mod every;
mod export;
pub(crate) mod forced;
mod group;
mod job;
mod key;
pub(crate) mod limit;
mod local;
pub(crate) mod model;
mod org;
mod output;
mod price;
pub(crate) mod provider;
pub(crate) mod team;
pub(crate) mod value;

/// Above the options that every subcommand takes.
const EVERYWHERE: &str = "Global options";

/// Options that every subcommand takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    #[arg(
        long,
        global = true, help_heading = EVERYWHERE,
        value_name = "URL",
        help = "sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE; wins over DATABASE_URL and \
                the configuration file, where a password belongs: other users of the machine can \
                see command lines"
    )]
    pub(crate) database_url: Option<String>,
    /// Configuration file [default: tollgate.toml if it is there]
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON document instead of text
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) json: bool,
    /// Print stored texts as they are, with what could steer a terminal
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) raw: bool,
    /// Whom the audit log and the ledger name [default: $USER, else admin]
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "NAME", value_parser = value::text)]
    pub(crate) actor: Option<String>,
    /// Why something is changed, for the audit log
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "TEXT", value_parser = value::text)]
    pub(crate) reason: Option<String>,
    #[arg(
        long,
        global = true, help_heading = EVERYWHERE,
        value_name = "ROLE",
        help = "What may be done: viewer (nothing is changed), operator (no money, prices, secrets \
                or removal) or owner; only lowers what TOLLGATE_ADMIN_ROLE or the settings file \
                allow [default: owner]"
    )]
    pub(crate) role: Option<Role>,
    /// Change nothing: the database itself refuses it
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) read_only: bool,
}

/// Administers a Tollgate installation; without a subcommand, in a dashboard.
#[derive(Debug, Parser)]
#[command(name = "tollgate-admin", version)]
#[command(after_help = "Exit codes: 0 done, 2 usage, 3 not found, 4 conflict, \
                        5 refused by a rule, 1 anything else.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(flatten)]
    pub(crate) looks: Looks,
    #[command(subcommand)]
    pub(crate) noun: Option<Noun>,
}

/// What a subcommand is about.
#[derive(Debug, Subcommand)]
pub(crate) enum Noun {
    /// Organizations: customers, the owners of teams
    #[command(subcommand)]
    Org(org::Verb),
    /// Teams: what authenticates, is charged and is granted models
    #[command(subcommand)]
    Team(team::Verb),
    /// Virtual keys: what a team's application shows at the door
    #[command(subcommand)]
    Key(key::Verb),
    /// Balances and the ledger
    #[command(subcommand)]
    Credits(credits::Verb),
    /// Providers: the accounts under which models are bought
    #[command(subcommand)]
    Provider(provider::Verb),
    /// Models as teams know them
    #[command(subcommand)]
    Model(model::Verb),
    /// Prices: what models cost, and lists that are imported
    #[command(subcommand)]
    Price(price::Verb),
    /// Groups of models that teams are granted
    #[command(subcommand)]
    Group(group::Verb),
    /// Jobs and their calls
    #[command(subcommand)]
    Job(job::Verb),
    /// Calls of models, across all jobs
    #[command(subcommand)]
    Call(call::Verb),
    /// The record of administrative changes
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Trying Tollgate out: a made-up business
    #[command(subcommand)]
    Dev(dev::Verb),
    /// Write rows as comma-separated values
    Export(export::Export),
    #[command(flatten)]
    Local(local::Local),
}

/// Does what a subcommand says that needs no database; gives others back.
pub(crate) fn run_local(options: &Options, noun: Noun) -> Result<Option<Noun>, Failure> {
    match noun {
        Noun::Local(local) => {
            local::run(Output::new(options.json, options.raw), local).map(|()| None)
        }
        other => Ok(Some(other)),
    }
}

/// Does what one subcommand says.
pub(crate) async fn run(options: &Options, rights: Rights, noun: Noun) -> Result<(), Failure> {
    let session = Session::open(options, rights).await?;
    let output = Output::new(options.json, options.raw);
    match noun {
        Noun::Org(verb) => org::run(&session, output, verb).await,
        Noun::Team(verb) => team::run(&session, output, verb).await,
        Noun::Key(verb) => key::run(&session, output, verb).await,
        Noun::Credits(verb) => credits::run(&session, output, verb).await,
        Noun::Provider(verb) => provider::run(&session, output, verb).await,
        Noun::Model(verb) => model::run(&session, output, verb).await,
        Noun::Price(verb) => price::run(&session, output, verb).await,
        Noun::Group(verb) => group::run(&session, output, verb).await,
        Noun::Job(verb) => job::run(&session, output, verb).await,
        Noun::Call(verb) => call::run(&session, output, verb).await,
        Noun::Audit(verb) => audit::run(&session, output, verb).await,
        Noun::Dev(verb) => dev::run(&session, output, verb).await,
        Noun::Export(asked) => export::run(&session, asked, options.raw).await,
        Noun::Local(local) => local::run(output, local),
    }
}

#[cfg(test)]
mod tests;
