//! `tollgate`: the gateway between applications and LLM providers.

use std::process::ExitCode;

/// Half a page of small allocations per request: mimalloc is faster and gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tollgate_proxy::run()
}
