//! `spillway run`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command};
use tokio::net::TcpListener;

use super::sidecar::{FUNCTION_CHECK, missing, sensor};
use super::{Subcommand, runtime, settings};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::divert::{InvokeError, Invoker as _, LambdaInvoker};
use crate::failure::{ExitCode, Failure};
use crate::publish::{CloudWatch, Publishing};
use crate::run::{self, Parts};

pub(super) const SUBCOMMAND: Subcommand = Subcommand {
    command,
    run: execute,
};

fn command() -> Command {
    let ready_file = Arg::new("ready-file")
        .long("ready-file")
        .value_name("FILE")
        .env("SPILLWAY_READY_FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Write {\"pid\",\"url\"} here when requests are accepted");
    settings::add(Command::new("run").about("Run the sidecar until SIGTERM or SIGINT"))
        .arg(ready_file)
}

fn execute(matches: &ArgMatches) -> Result<(), Failure> {
    let config = settings::configuration(matches)?;
    let ready_file = matches.get_one::<PathBuf>("ready-file").cloned();
    runtime::block_on(start(config, ready_file))
}

async fn start(config: Config, ready_file: Option<PathBuf>) -> Result<(), Failure> {
    let listener = bind(&config).await?;
    let shutdown = runtime::shutdown()?;
    let invoker = LambdaInvoker::new(&config.lambda).await;
    if let Ok(Err(error @ InvokeError::FunctionMissing(_))) =
        tokio::time::timeout(FUNCTION_CHECK, invoker.check()).await
    {
        return Err(missing(&config, &error));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let sensor = sensor(&config, &clock).await?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::new(ExitCode::Io, format!("cannot tell the address: {error}")))?;
    let url = format!("http://{address}");
    if let Some(path) = &ready_file {
        write_ready_file(path, &url)?;
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "listening on {url}");
    let publishing = match &config.publish {
        publish if publish.cloudwatch => Some(Publishing {
            sink: Arc::new(CloudWatch::new(publish).await),
            interval: publish.interval,
            function: config.lambda.function.clone(),
        }),
        _ => None,
    };
    let parts = Parts {
        config,
        listener,
        invoker: Arc::new(invoker),
        sensor,
        publishing,
        clock,
    };
    run::run(parts, shutdown).await;
    Ok(())
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
