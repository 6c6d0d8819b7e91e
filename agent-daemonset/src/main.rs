//! `tenantra-agent`: see [`agent_daemonset::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    agent_daemonset::cli::main()
}
