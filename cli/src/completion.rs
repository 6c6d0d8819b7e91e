//! `tenantra completion`: a script that completes subcommands and options.

use clap::Args;
use clap_complete::Shell;

use crate::outcome::{Error, Outcome};
use crate::{command, output};

/// `tenantra completion bash|zsh|fish`.
#[derive(Debug, Args)]
#[command(after_help = "\
For this session:  source <(tenantra completion bash)
For good:          tenantra completion bash > /etc/bash_completion.d/tenantra")]
pub struct Completion {
    /// The shell
    #[arg(value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

/// Prints the script.
pub fn run(arguments: &Completion) -> Result<Outcome, Error> {
    let shell = match arguments.shell.as_str() {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command::definition(), "tenantra", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Done)
}
