//! The configuration of the sidecar as arguments of a command: `--config FILE` and a flag for each key.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};

use crate::config::keys::{self, Key};
use crate::config::{Config, Override, load};
use crate::failure::Failure;

/// The keys that have a flag; its id is the key's path.
pub(super) fn flags() -> impl Iterator<Item = &'static Key> {
    keys::KEYS.iter().filter(|key| key.path != "token")
}

/// Adds the arguments to `command`.
pub(super) fn add(command: Command) -> Command {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .env("SPILLWAY_CONFIG")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Configuration file (TOML)");
    let keys = flags().map(|key| {
        Arg::new(key.path)
            .long(key.flag)
            .value_name("VALUE")
            .help(format!("{} (also {})", key.help, key.variable()))
            .help_heading("Configuration, over file and environment")
    });
    command.arg(file).args(keys)
}

/// The configuration that the arguments, the environment and the file make up.
pub(super) fn configuration(matches: &ArgMatches) -> Result<Config, Failure> {
    let flags = flags()
        .filter_map(|key| {
            let value = matches.get_one::<String>(key.path)?.clone();
            Some(Override {
                key,
                value,
                origin: format!("--{}", key.flag),
            })
        })
        .collect();
    let others = flags_of_all_commands();
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !others.contains(name));
    load(
        matches.get_one::<PathBuf>("config").map(PathBuf::as_path),
        environment,
        flags,
    )
}

/// The variables of all flags of all commands, those of the configuration's keys left out: they may be set
/// for one command where another one runs.
fn flags_of_all_commands() -> BTreeSet<String> {
    let mut variables = BTreeSet::new();
    let mut commands = vec![super::command()];
    while let Some(command) = commands.pop() {
        let twins = command.get_arguments().filter_map(Arg::get_env);
        variables.extend(twins.filter_map(|name| name.to_str().map(str::to_owned)));
        commands.extend(command.get_subcommands().cloned());
    }
    for key in keys::KEYS {
        variables.remove(&key.variable());
    }
    variables
}
