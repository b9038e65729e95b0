//! The `spillway` binary.

use std::io::IsTerminal as _;
use std::process::exit;

use spillway::failure::complain;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

fn main() {
    let filter = EnvFilter::try_from_env("SPILLWAY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // At its most verbose the AWS SDK writes down whole answers. When a signature does not match, they have the
    // session token in them.
    let discreet = filter_fn(|metadata| {
        *metadata.level() <= LevelFilter::DEBUG || !metadata.target().starts_with("aws_")
    });
    tracing_subscriber::registry()
        .with(filter)
        .with(discreet)
        .with(lines)
        .init();
    if let Err(failure) = spillway::cli::main(std::env::args_os()) {
        if !failure.message.is_empty() {
            complain(&format!("spillway: {failure}\n"));
        }
        exit(failure.code as i32);
    }
}
