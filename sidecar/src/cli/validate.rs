//! `spillway validate`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::sidecar::{FUNCTION_CHECK, missing, sensor};
use super::simulate::{scenario, scenario_files};
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

/// The environment twins of what is checked instead of the configuration.
const TRACE: &str = "SPILLWAY_TRACE";
const SCENARIO: &str = "SPILLWAY_VALIDATE_SCENARIO";

fn command() -> Command {
    let online = Arg::new("online")
        .long("online")
        .env("SPILLWAY_ONLINE")
        .action(ArgAction::SetTrue)
        .help("Also ask Flink and the function whether they are there");
    let trace = Arg::new("trace")
        .long("trace")
        .value_name("FILE")
        .env(TRACE)
        .value_parser(value_parser!(PathBuf))
        .help(
            "Check this trace instead: that it is whole; and tell how many of its decisions this version would take otherwise, which is no error",
        );
    let scenario = Arg::new("scenario")
        .long("scenario")
        .value_name("FILE")
        .env(SCENARIO)
        .value_parser(value_parser!(PathBuf))
        .num_args(1..)
        .help("Check these scenarios instead, as `simulate` would read them; in the environment separated by commas");
    let about = "Check the configuration, a trace or scenarios, and say what is wrong";
    settings::add(Command::new("validate").about(about)).args([online, trace, scenario])
}

/// What is checked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Configuration,
    Trace,
    Scenario,
}

fn execute(matches: &ArgMatches) -> Result<(), Failure> {
    match subject(matches)? {
        Subject::Trace => matches
            .get_many::<PathBuf>("trace")
            .unwrap_or_default()
            .try_for_each(|path| check_trace(path)),
        Subject::Scenario => check_scenarios(&scenario_files(matches, SCENARIO)?),
        Subject::Configuration => check_configuration(matches),
    }
}

/// What the command line is about and, if that does not say, the environment. Fails if there are two
/// things, of which one would go unchecked.
fn subject(matches: &ArgMatches) -> Result<Subject, Failure> {
    let both = |one: &str, other: &str| {
        let message = format!("{one} and {other} are checked one at a time: give only one of them");
        Err(Failure::new(ExitCode::Usage, message))
    };
    let own = [
        ("trace", "trace", Subject::Trace),
        ("scenario", "scenario", Subject::Scenario),
        ("config", "config", Subject::Configuration),
        ("online", "online", Subject::Configuration),
    ];
    let keys = settings::flags().map(|key| (key.path, key.flag, Subject::Configuration));
    let typed: Vec<_> = own
        .into_iter()
        .chain(keys)
        .filter(|(id, ..)| matches.value_source(id) == Some(ValueSource::CommandLine))
        .collect();
    if let Some((_, flag, subject)) = typed.first() {
        return match typed.iter().find(|(.., other)| other != subject) {
            Some((_, other, _)) => both(&format!("--{flag}"), &format!("--{other}")),
            None => Ok(*subject),
        };
    }
    match (
        matches.contains_id("trace"),
        matches.contains_id("scenario"),
    ) {
        (true, true) => both(TRACE, SCENARIO),
        (true, false) => Ok(Subject::Trace),
        (false, true) => Ok(Subject::Scenario),
        (false, false) => Ok(Subject::Configuration),
    }
}

fn check_scenarios(paths: &[PathBuf]) -> Result<(), Failure> {
    for path in paths {
        scenario(path)?;
    }
    let text = match paths.len() {
        1 => "the scenario is valid\n".to_owned(),
        count => format!("all {count} scenarios are valid\n"),
    };
    output::print(&text).map(drop)
}

fn check_configuration(matches: &ArgMatches) -> Result<(), Failure> {
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
