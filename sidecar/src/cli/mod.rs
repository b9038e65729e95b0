//! The command line: one file for each subcommand, and the list of them.

mod chart;
mod found;
mod output;
mod remote;
mod runtime;
mod settings;
mod sidecar;
mod simulated;
mod toml_text;
mod traced;

mod completions;
mod policy;
mod record;
mod run;
mod simulate;
mod status;
mod tune;
mod validate;

#[cfg(test)]
mod tests;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command};

use crate::failure::{ExitCode, Failure, complain};

/// What `spillway NAME` is.
struct Subcommand {
    /// Its name, its arguments and its help.
    command: fn() -> Command,
    /// Does it.
    run: fn(&ArgMatches) -> Result<(), Failure>,
}

/// Every subcommand, in the order of the help.
const SUBCOMMANDS: &[Subcommand] = &[
    run::SUBCOMMAND,
    validate::SUBCOMMAND,
    status::SUBCOMMAND,
    policy::SUBCOMMAND,
    simulate::SUBCOMMAND,
    tune::SUBCOMMAND,
    record::SUBCOMMAND,
    completions::SUBCOMMAND,
];

/// What the exit codes mean, as in BSD's `sysexits.h`.
const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  the answer is no: differences were found (policy diff --exit-code), a scenario's range was missed
      (simulate), no policy will do (tune)
  64  the command line is wrong, an objective among it
  65  what was given is wrong: a policy that cannot be, a trace that was cut short, a CSV
  66  an input file is missing or cannot be read
  69  something that is needed is not there: the sidecar, Flink, the function
  73  a file cannot be created
  74  reading or writing failed
  75  not now: somebody else changed the policy meanwhile
  76  what answers is no sidecar, or one of another version
  77  a permission is missing, or the token is not the right one
  78  the configuration is wrong, or a scenario
Whatever goes wrong is said in one line on the standard error.

Every flag can be given in the environment as well; each command's --help names the variable. A token is
never a flag, which every user of the machine could read: put it into SPILLWAY_TOKEN or into a file.";

/// The whole command line.
pub fn command() -> Command {
    Command::new("spillway")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Cloud bursting for Apache Flink: the sidecar, and what steers it")
        .after_help(EXIT_CODES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(SUBCOMMANDS.iter().map(|subcommand| (subcommand.command)()))
}

/// Does what the command line says.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            complain(&error.render().to_string());
            return Err(Failure::silent(ExitCode::Usage));
        }
        Err(error) if error.use_stderr() => return Err(usage(&error)),
        Err(help) => {
            let text = help.render();
            let text = if output::colour() {
                text.ansi().to_string()
            } else {
                text.to_string()
            };
            return output::print(&text).map(drop);
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
    let what = ["\n\nUsage:", "\n\nFor more"]
        .iter()
        .fold(text.as_str(), |text, end| {
            text.split(end).next().unwrap_or(text)
        });
    let message = format!(
        "{}; see `spillway --help`",
        what.trim_start_matches("error: ")
    );
    Failure::new(ExitCode::Usage, message)
}
