//! What commands that wait for something run on.

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{ExitCode, Failure};

/// One thread runs everything but the compressing of batches: the sidecar waits far more than it
/// computes, and often shares its processor with the function's client, S3 and the job itself.
pub(super) fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .map_err(|error| Failure::new(ExitCode::Io, format!("cannot start the runtime: {error}")))?
        .block_on(work)
}

/// Resolves at the first SIGTERM or SIGINT.
pub(super) fn shutdown() -> Result<impl Future<Output = ()>, Failure> {
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
