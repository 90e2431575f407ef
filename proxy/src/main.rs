//! `tollgate`: the gateway between applications and LLM providers.

mod api;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "credentials are not chosen yet")
)]
mod breaker;
#[cfg_attr(not(test), expect(dead_code, reason = "answers are not cached yet"))]
mod cache;
mod cli;
mod context;
mod demo_upstream;
mod envelope;
mod error;
mod fields;
mod gateway;
#[cfg_attr(not(test), expect(dead_code, reason = "calls are not limited yet"))]
mod limits;
mod policy_cache;
mod provider;
mod quickstart;
mod reply;
mod request;
mod resolve;
mod server;
mod services;
#[cfg_attr(not(test), expect(dead_code, reason = "streams are not forwarded yet"))]
mod sse;
mod steps;
mod tasks;

use std::process::ExitCode;

use clap::Parser as _;

/// Half a page of small allocations per request: mimalloc is faster and gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(cli::Arguments::parse())
}
