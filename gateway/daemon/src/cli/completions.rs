//! `cordon completions`.

use super::Cli;
use super::failure::Failure;
use super::output::Output;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// Print completions for a shell.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cordon completions bash > /etc/bash_completion.d/cordon
  cordon completions zsh > ~/.zfunc/_cordon
  cordon completions fish > ~/.config/fish/completions/cordon.fish")]
pub(crate) struct CompletionsArgs {
    /// Which shell.
    shell: Shell,
}

pub(crate) fn run(args: CompletionsArgs, out: &mut Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cordon", &mut script);
    out.line(String::from_utf8_lossy(&script).trim_end())
}
