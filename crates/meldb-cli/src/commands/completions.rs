//! `meldb completions`: what a shell needs to complete the command line.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{failure::Result, output::Output};

/// The arguments of `meldb completions`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  meldb completions bash > ~/.local/share/bash-completion/completions/meldb
  meldb completions zsh > ~/.zfunc/_meldb            with fpath+=~/.zfunc before compinit
  meldb completions fish > ~/.config/fish/completions/meldb.fish
  meldb completions powershell >> $PROFILE")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the completions of the command line `command`.
pub(crate) fn run(args: &CompletionsArgs, mut command: Command, output: Output) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "meldb", &mut text);
    while text.last() == Some(&b'\n') {
        text.pop();
    }
    output.line(text)
}
