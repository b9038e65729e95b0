//! `spillway completions`.

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::{Subcommand, output};
use crate::failure::Failure;

pub(super) const SUBCOMMAND: Subcommand = Subcommand {
    command,
    run: execute,
};

fn command() -> Command {
    let shell = Arg::new("shell")
        .value_name("SHELL")
        .required(true)
        .value_parser(value_parser!(Shell))
        .help("The shell that completes");
    Command::new("completions")
        .about("Print a script that completes this command line in a shell")
        .after_help(
            "Examples:\n  \
             spillway completions bash > /etc/bash_completion.d/spillway\n  \
             spillway completions zsh > ~/.zfunc/_spillway\n  \
             spillway completions fish > ~/.config/fish/completions/spillway.fish",
        )
        .arg(shell)
}

fn execute(matches: &ArgMatches) -> Result<(), Failure> {
    let Some(shell) = matches.get_one::<Shell>("shell") else {
        return Ok(());
    };
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut super::command(), "spillway", &mut script);
    output::print(&String::from_utf8_lossy(&script)).map(drop)
}
