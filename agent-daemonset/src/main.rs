//! `tenantra-agent`: see [`agent_daemonset::cli`].

use std::process::ExitCode;

/// Counted, so that a query ends before it takes more memory than it may.
#[global_allocator]
static MEMORY: tables::CountedMemory = tables::CountedMemory;

fn main() -> ExitCode {
    agent_daemonset::cli::main()
}
