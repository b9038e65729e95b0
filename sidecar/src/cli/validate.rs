//! `spillway validate`.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::sidecar::{FUNCTION_CHECK, missing, sensor};
use super::{Subcommand, output, runtime, settings};
use crate::config::Config;
use crate::divert::{InvokeError, Invoker as _, LambdaInvoker};
use crate::failure::{ExitCode, Failure};

pub(super) const SUBCOMMAND: Subcommand = Subcommand {
    command,
    run: execute,
};

fn command() -> Command {
    let online = Arg::new("online")
        .long("online")
        .env("SPILLWAY_ONLINE")
        .action(ArgAction::SetTrue)
        .help("Also ask Flink and the function whether they are there");
    settings::add(
        Command::new("validate").about("Check the configuration, and say what is wrong with it"),
    )
    .arg(online)
}

fn execute(matches: &ArgMatches) -> Result<(), Failure> {
    let config = settings::configuration(matches)?;
    if matches.get_flag("online") {
        runtime::block_on(check_online(config))?;
    }
    output::print("the configuration is valid\n").map(drop)
}

async fn check_online(config: Config) -> Result<(), Failure> {
    if let Some(sensor) = sensor(&config)? {
        sensor
            .check()
            .await
            .map_err(|error| Failure::new(ExitCode::Unavailable, error))?;
    }
    let invoker = LambdaInvoker::new(&config.lambda).await;
    match tokio::time::timeout(FUNCTION_CHECK, invoker.check()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(missing(&config, &error)),
        Err(_) => Err(missing(
            &config,
            &InvokeError::Unreachable(format!("no answer within {FUNCTION_CHECK:?}")),
        )),
    }
}
