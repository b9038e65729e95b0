//! The command line: one file for each subcommand, and the list of them.

mod runtime;
mod settings;
mod sidecar;

mod run;
mod validate;

use std::ffi::OsString;

use clap::{ArgMatches, Command};

use crate::failure::{ExitCode, Failure};

/// What `spillway NAME` is.
struct Subcommand {
    /// Its name, its arguments and its help.
    command: fn() -> Command,
    /// Does it.
    run: fn(&ArgMatches) -> Result<(), Failure>,
}

/// Every subcommand, in the order of the help.
const SUBCOMMANDS: &[Subcommand] = &[run::SUBCOMMAND, validate::SUBCOMMAND];

/// The whole command line.
pub fn command() -> Command {
    Command::new("spillway")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Cloud bursting for Apache Flink: the sidecar")
        .after_help("Exit codes: 0 done, 64 usage, 66 no input, 69 unavailable, 73 cannot create, 74 I/O, 77 permission, 78 configuration.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(SUBCOMMANDS.iter().map(|subcommand| (subcommand.command)()))
}

/// Does what the command line says.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => return Err(usage(&error)),
        Err(help) => {
            return help
                .print()
                .map_err(|error| Failure::new(ExitCode::Io, error.to_string()));
        }
    };
    let chosen = matches.subcommand().and_then(|(name, matches)| {
        let subcommand = SUBCOMMANDS
            .iter()
            .find(|subcommand| (subcommand.command)().get_name() == name)?;
        Some((subcommand, matches))
    });
    match chosen {
        Some((subcommand, matches)) => (subcommand.run)(matches),
        None => Err(Failure::new(
            ExitCode::Usage,
            "no such command; see `spillway --help`",
        )),
    }
}

/// What is wrong with a command line, without the usage that follows it.
fn usage(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let what = text.split("\n\n").next().unwrap_or_default();
    let message = format!(
        "{}; see `spillway --help`",
        what.trim_start_matches("error: ")
    );
    Failure::new(ExitCode::Usage, message)
}
