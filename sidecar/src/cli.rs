//! The command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::SystemClock;
use crate::config::{Config, Override, keys, load};
use crate::divert::{InvokeError, Invoker as _, LambdaInvoker};
use crate::failure::{ExitCode, Failure};
use crate::run::{self, Parts};
use crate::sense::Sensor;
use crate::sense::flink::FlinkSensor;

/// A cloud that has not said by then whether the function exists counts as unreachable for now.
const FUNCTION_CHECK: Duration = Duration::from_secs(3);

/// The whole command line.
pub fn command() -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .env("SPILLWAY_CONFIG")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Configuration file (TOML)");
    let keys = keys::KEYS
        .iter()
        .filter(|key| key.path != "token")
        .map(|key| {
            Arg::new(key.path)
                .long(key.flag)
                .value_name("VALUE")
                .help(format!("{} (also {})", key.help, key.variable()))
                .help_heading("Configuration, over file and environment")
        });
    let keys: Vec<Arg> = keys.collect();
    Command::new("spillway")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Cloud bursting for Apache Flink: the sidecar")
        .after_help("Exit codes: 0 done, 64 usage, 66 no input, 69 unavailable, 73 cannot create, 74 I/O, 77 permission, 78 configuration.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("run")
                .about("Run the sidecar until SIGTERM or SIGINT")
                .arg(config.clone())
                .arg(
                    Arg::new("ready-file")
                        .long("ready-file")
                        .value_name("FILE")
                        .env("SPILLWAY_READY_FILE")
                        .value_parser(clap::value_parser!(PathBuf))
                        .help("Write {\"pid\",\"url\"} here when requests are accepted"),
                )
                .args(keys.clone()),
        )
        .subcommand(
            Command::new("validate")
                .about("Check the configuration, and say what is wrong with it")
                .arg(config)
                .arg(
                    Arg::new("online")
                        .long("online")
                        .action(ArgAction::SetTrue)
                        .help("Also ask Flink and the function whether they are there"),
                )
                .args(keys),
        )
}

/// Does what the command line says.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => {
            let text = error.to_string();
            let line = text
                .lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            let message = format!("{line}; see `spillway --help`");
            return Err(Failure::new(ExitCode::Usage, message));
        }
        Err(help) => {
            return help
                .print()
                .map_err(|error| Failure::new(ExitCode::Io, error.to_string()));
        }
    };
    match matches.subcommand() {
        Some(("run", matches)) => {
            let config = configuration(matches)?;
            block_on(start(
                config,
                matches.get_one::<PathBuf>("ready-file").cloned(),
            ))
        }
        Some(("validate", matches)) => {
            let config = configuration(matches)?;
            if matches.get_flag("online") {
                block_on(check_online(config))?;
            }
            println!("the configuration is valid");
            Ok(())
        }
        _ => Err(Failure::new(
            ExitCode::Usage,
            "no such command; see `spillway --help`",
        )),
    }
}

fn configuration(matches: &ArgMatches) -> Result<Config, Failure> {
    let flags = keys::KEYS
        .iter()
        .filter(|key| key.path != "token")
        .filter_map(|key| {
            let value = matches.get_one::<String>(key.path)?.clone();
            Some(Override {
                key,
                value,
                origin: format!("--{}", key.flag),
            })
        })
        .collect();
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    load(
        matches.get_one::<PathBuf>("config").map(PathBuf::as_path),
        environment,
        flags,
    )
}

/// One thread runs everything but the compressing of batches: the sidecar waits far more than it
/// computes, and often shares its processor with the function's client, S3 and the job itself.
fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .map_err(|error| Failure::new(ExitCode::Io, format!("cannot start the runtime: {error}")))?
        .block_on(work)
}

async fn start(config: Config, ready_file: Option<PathBuf>) -> Result<(), Failure> {
    let listener = bind(&config).await?;
    let shutdown = shutdown()?;
    let invoker = LambdaInvoker::new(&config.lambda).await;
    if let Ok(Err(error @ InvokeError::FunctionMissing(_))) =
        tokio::time::timeout(FUNCTION_CHECK, invoker.check()).await
    {
        return Err(missing(&config, &error));
    }
    let sensor = sensor(&config)?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::new(ExitCode::Io, format!("cannot tell the address: {error}")))?;
    let url = format!("http://{address}");
    if let Some(path) = &ready_file {
        write_ready_file(path, &url)?;
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "listening on {url}");
    let parts = Parts {
        config,
        listener,
        invoker: Arc::new(invoker),
        sensor: sensor.map(|sensor| Box::new(sensor) as Box<dyn Sensor>),
        clock: Arc::new(SystemClock::start()),
    };
    run::run(parts, shutdown).await;
    Ok(())
}

fn missing(config: &Config, error: &InvokeError) -> Failure {
    let message = format!(
        "function {:?}: {}",
        config.lambda.function,
        run::explain(error)
    );
    Failure::new(ExitCode::Unavailable, message)
}

async fn bind(config: &Config) -> Result<TcpListener, Failure> {
    TcpListener::bind(config.listen).await.map_err(|error| {
        let (code, advice) = match error.kind() {
            std::io::ErrorKind::AddrInUse => (
                ExitCode::Unavailable,
                "another process has the port: stop it, or set listen to another one",
            ),
            std::io::ErrorKind::AddrNotAvailable => (
                ExitCode::Unavailable,
                "this machine has no such address: set listen to one it has",
            ),
            std::io::ErrorKind::PermissionDenied => {
                (ExitCode::Permission, "set listen to a port above 1023")
            }
            _ => (ExitCode::Io, "set listen to another address"),
        };
        Failure::new(
            code,
            format!("cannot listen on {}: {error}; {advice}", config.listen),
        )
    })
}

fn sensor(config: &Config) -> Result<Option<FlinkSensor>, Failure> {
    config
        .flink
        .as_ref()
        .map(|flink| {
            FlinkSensor::new(flink).map_err(|error| {
                let message = format!("cannot read the machine's root certificates: {error}");
                Failure::new(ExitCode::Unavailable, message)
            })
        })
        .transpose()
}

/// Resolves at the first SIGTERM or SIGINT.
fn shutdown() -> Result<impl Future<Output = ()>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(ExitCode::Io, format!("cannot handle signals: {error}"))
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Writes the file at once: whoever waits for it never sees half of it.
fn write_ready_file(path: &Path, url: &str) -> Result<(), Failure> {
    let content = serde_json::json!({"pid": std::process::id(), "url": url}).to_string();
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    std::fs::write(&temporary, content)
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(|error| {
            let message = format!("cannot write the ready file {}: {error}", path.display());
            Failure::new(ExitCode::CannotCreate, message)
        })
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
