//! `spillway validate`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::sidecar::{FUNCTION_CHECK, missing, sensor};
use super::{Subcommand, output, runtime, settings};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::divert::{InvokeError, Invoker as _, LambdaInvoker};
use crate::failure::{ExitCode, Failure};
use crate::trace::{Fault, Reader, TraceError, replay};

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
    let trace = Arg::new("trace")
        .long("trace")
        .value_name("FILE")
        .env("SPILLWAY_TRACE")
        .value_parser(value_parser!(PathBuf))
        .help(
            "Check this trace instead: that it is whole, and that it replays to the same decisions",
        );
    let about = "Check the configuration, or a trace, and say what is wrong with it";
    settings::add(Command::new("validate").about(about)).args([online, trace])
}

fn execute(matches: &ArgMatches) -> Result<(), Failure> {
    if let Some(path) = matches.get_one::<PathBuf>("trace") {
        return check_trace(path);
    }
    let config = settings::configuration(matches)?;
    if matches.get_flag("online") {
        runtime::block_on(check_online(config))?;
    }
    output::print("the configuration is valid\n").map(drop)
}

/// A trace is valid if every line is; decisions that this version takes otherwise are told, but no fault.
fn check_trace(path: &Path) -> Result<(), Failure> {
    let failed = |error: TraceError| {
        let code = match &error.fault {
            Fault::Io(cause) if cause.kind() == ErrorKind::PermissionDenied => ExitCode::Permission,
            Fault::Io(_) => ExitCode::NoInput,
            _ => ExitCode::Data,
        };
        Failure::new(code, error.to_string())
    };
    let replayed = Reader::open(path).and_then(replay).map_err(failed)?;
    let decisions = match &replayed.first {
        None => "replayed to the same decisions".to_owned(),
        Some(first) => format!(
            "{} of them are decided otherwise by this version, the first in line {}",
            replayed.differences, first.line
        ),
    };
    let text = format!(
        "the trace is valid: {} steps, {decisions}; {} lines are missing in its gaps\n",
        replayed.steps, replayed.missing
    );
    output::print(&text).map(drop)
}

async fn check_online(config: Config) -> Result<(), Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    if let Some(sensor) = sensor(&config, &clock).await? {
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
