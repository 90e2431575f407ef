//! `tollgate-admin price`: what models cost, by whose list, and lists that are imported.

use std::path::PathBuf;

use clap::Subcommand;
use tollgate_common::price::ServiceTier;
use tollgate_common::price::import::{ListFormat, MemberMove, MoveKind};

use super::error::Failure;
use super::output::Output;
use super::value;
use crate::session::Session;

mod check;
mod list;
mod show;
mod sync;

/// The names of the formats, as the options take them.
const FORMATS: [&str; 4] = ["genai-prices", "models.dev", "litellm", "tollgate"];

/// After how many days a price counts as old.
const DAYS: i64 = 90;

/// What can be done with prices.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    #[command(
        about = "Import a price list from a file: shows what changes, then changes all of it",
        long_about = "Import a price list from a file: the JSON of genai-prices, models.dev or \
                      LiteLLM, or what price list --imported --json prints. Shows what changes, \
                      then changes all of it or, if something is not accepted, nothing. Prices \
                      that aliases have of their own stay."
    )]
    Sync(Sync),
    /// List what models cost, and by whose list
    List(List),
    /// Show all prices of a model, and those that it had
    Show {
        /// An alias, or a model of the lists as gpt-4o or openai/gpt-4o
        #[arg(value_parser = value::text)]
        model: String,
    },
    #[command(
        about = "Find aliases without a price, and prices that are old or differ from the lists",
        long_about = "Find aliases without a price, prices that are old, and prices that differ \
                      from the newest list. Exits 5 if it finds something."
    )]
    Check {
        /// After how many days a price is old
        #[arg(long, value_name = "N", default_value_t = DAYS, allow_negative_numbers = true,
              value_parser = clap::value_parser!(i64).range(1..=36_525))]
        days: i64,
    },
}

/// What is imported, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Sync {
    #[arg(
        help = "The file, of at most 32 MiB; - reads standard input, the only way under a forced \
                command of SSH"
    )]
    file: PathBuf,
    /// The list's format [default: what its content says]
    #[arg(long, value_name = "FORMAT", value_parser = FORMATS)]
    format: Option<String>,
    #[arg(
        long,
        value_name = "MODEL",
        value_parser = value::text,
        help = "A model, as gpt-4o or openai/gpt-4o, whose price may move by more than a factor of \
                2, up or down, or to or from nothing; repeat it for others. all accepts every one"
    )]
    accept: Vec<String>,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What is listed.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[arg(
        long,
        value_name = "TEXT",
        help = "Only those that fit: of aliases in the words of model list, as 'price:own'; of \
                lists 'seller:openai model:~mini', and of imported ones 'status:replaced' and \
                'format:litellm'"
    )]
    filter: Option<String>,
    /// The imported prices instead of those of the aliases
    #[arg(long)]
    imported: bool,
    /// The prices of the shipped catalogue instead
    #[arg(long, conflicts_with = "imported")]
    catalogue: bool,
}

/// Does what the verb says.
pub(super) async fn run(session: &Session, output: Output, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Sync(asked) => sync::run(session, output, asked).await,
        Verb::List(asked) => list::run(session, output, asked).await,
        Verb::Show { model } => show::run(session, output, &model).await,
        Verb::Check { days } => check::run(session, output, days).await,
    }
}

fn format_of(name: Option<&str>) -> Result<Option<ListFormat>, Failure> {
    let format = name.map(str::parse).transpose();
    format.map_err(|why| Failure::Usage(format!("--format: {why}")))
}

/// A condition in words: service tier and length of the prompt.
fn condition(tier: ServiceTier, above: i64) -> String {
    match above {
        0 => tier.to_string(),
        above if tier == ServiceTier::Standard => format!("above {above}"),
        above => format!("{tier} above {above}"),
    }
}

/// A figure as a number: dollars per million tokens, dollars per thousand billed calls, or tokens.
fn figure(kind: MoveKind, amount: i64) -> f64 {
    match kind {
        MoveKind::Price | MoveKind::Fee => amount as f64 / 1_000_000.0,
        MoveKind::Limit => amount as f64,
    }
}

/// The factor by which a figure moves, if both are more than nothing.
fn factor(step: &MemberMove) -> Option<f64> {
    let (before, after) = step.before.zip(step.after)?;
    let factor = after as f64 / before as f64;
    (before > 0 && after > 0).then(|| (factor * 1_000.0).round() / 1_000.0)
}

/// The factor as a cell.
fn factor_cell(step: &MemberMove) -> String {
    match (step.before, step.after) {
        (None, _) => "new".to_owned(),
        (_, None) => "gone".to_owned(),
        (Some(0), Some(_)) => "from 0".to_owned(),
        (Some(_), Some(0)) => "to 0".to_owned(),
        _ => factor(step).map_or_else(String::new, |factor| format!("x{factor}")),
    }
}

/// How far a figure moves, for whoever looks for the one that moves most.
fn distance(step: &MemberMove) -> f64 {
    match step.before.zip(step.after) {
        None => 0.0,
        Some((0, 0)) => 1.0,
        Some((0, _) | (_, 0)) => f64::INFINITY,
        Some(_) => {
            let factor = factor(step).unwrap_or(1.0);
            factor.max(factor.recip())
        }
    }
}
