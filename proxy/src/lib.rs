//! The gateway between applications and LLM providers, as a library: `tollgate` runs it, fuzzing
//! reaches its parsers.

mod alerts;
mod answer;
mod api;
mod breaker;
mod cache;
mod chat;
mod cli;
mod connections;
mod context;
mod conversation;
mod demo_upstream;
mod error;
mod fields;
mod figures;
pub mod fuzzing;
mod gateway;
mod limits;
mod lists;
mod operation;
mod policy_cache;
mod provider;
mod quickstart;
mod recording;
mod refusals;
mod reply;
mod request;
mod resolve;
mod server;
mod services;
mod sse;
mod steps;
mod tasks;

use std::process::ExitCode;

use clap::Parser as _;

/// Runs the command line of `tollgate` and returns its exit code.
pub fn run() -> ExitCode {
    cli::run(cli::Arguments::parse())
}
