//! What commands print, and how.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

use clap::{Arg, ArgMatches, Command};

use crate::failure::{ExitCode, Failure};

/// For whom the output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A person.
    Text,
    /// A program.
    Json,
}

/// Adds `--output` to `command`.
pub(super) fn add(command: Command) -> Command {
    let output = Arg::new("output")
        .long("output")
        .short('o')
        .value_name("FORMAT")
        .env("SPILLWAY_OUTPUT")
        .value_parser(["text", "json"])
        .default_value("text")
        .help("What to print: text for people, json for programs");
    command.arg(output)
}

/// What `--output` says.
pub(super) fn format(matches: &ArgMatches) -> Format {
    match matches.get_one::<String>("output").map(String::as_str) {
        Some("json") => Format::Json,
        _ => Format::Text,
    }
}

/// Whether to colour: only a terminal, and only where the user has not said otherwise (no-color.org).
pub(super) fn colour() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && !set("NO_COLOR") && !dumb
}

/// Prints `text` at once. False if nobody reads any more, which is no error: `spillway status | head -1`.
pub(super) fn print(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(
            ExitCode::Io,
            format!("cannot write to the standard output: {error}"),
        )),
    }
}
