//! `spillway-local-cloud`: Lambda and S3 on loopback, for development and tests only.

mod cli;

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use serde_json::json;
use spillway_local_cloud::{LocalCloud, StartError};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use cli::Cli;

/// Why it ends early: an exit code of sysexits and what to do about it.
struct Failure {
    code: u8,
    message: String,
}

const USAGE: u8 = 64;
const DATA: u8 = 65;
const NO_INPUT: u8 = 66;
const UNAVAILABLE: u8 = 69;
const OS_ERROR: u8 = 71;
const CANNOT_CREATE: u8 = 73;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    // `s3s` logs each request, its own errors included, at levels that would bury ours.
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,s3s=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(false)
        .init();

    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("spillway-local-cloud: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// Help goes to standard output in full; a mistake is one line.
fn usage(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // Nobody is left to tell if this fails.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let line: Vec<&str> = paragraph.lines().map(str::trim).collect();
    let line = line.join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    eprintln!("spillway-local-cloud: {line} (see --help)");
    ExitCode::from(USAGE)
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let config = cli.config().map_err(|message| Failure {
        code: NO_INPUT,
        message,
    })?;
    let os_error = |error: io::Error| Failure {
        code: OS_ERROR,
        message: format!("cannot start: {error}"),
    };
    // One thread, and it is the main one: function processes die with the thread that started them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(os_error)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(os_error)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(os_error)?;
        let cloud = LocalCloud::start(config)
            .await
            .map_err(|error| failure(&error))?;
        if let Some(file) = &cli.ready_file
            && let Err(error) = announce(file, &cloud)
        {
            cloud.stop().await;
            let message = format!("cannot write the ready file {}: {error}", file.display());
            return Err(Failure {
                code: CANNOT_CREATE,
                message,
            });
        }
        eprintln!(
            "spillway-local-cloud: Lambda at {}, S3 at {}",
            cloud.lambda_url(),
            cloud.s3_url()
        );
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cloud.stop().await;
        Ok(())
    })
}

fn failure(error: &StartError) -> Failure {
    let code = match error {
        StartError::Bind { .. } => UNAVAILABLE,
        StartError::Root { .. } => CANNOT_CREATE,
        StartError::BucketName(_) => DATA,
        StartError::Thread(_) => OS_ERROR,
    };
    Failure {
        code,
        message: error.to_string(),
    }
}

/// Writes the ready file so that a reader sees all of it or nothing.
fn announce(file: &Path, cloud: &LocalCloud) -> io::Result<()> {
    let ready = json!({"pid": std::process::id(), "lambda_url": cloud.lambda_url(), "s3_url": cloud.s3_url()});
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    fs::write(&temporary, format!("{ready}\n"))?;
    fs::rename(&temporary, file)
}
