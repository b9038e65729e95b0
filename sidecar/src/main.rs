//! The `spillway` binary.

use std::io::IsTerminal as _;
use std::process::exit;

use tracing_subscriber::EnvFilter;

fn main() {
    let filter = EnvFilter::try_from_env("SPILLWAY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    if let Err(failure) = spillway::cli::main(std::env::args_os()) {
        if !failure.message.is_empty() {
            eprintln!("spillway: {failure}");
        }
        exit(failure.code as i32);
    }
}
