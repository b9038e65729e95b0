//! Keeps a trace in files, of bounded size.

use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::fs::{self, File};
use tokio::io::{AsyncWriteExt as _, BufWriter};

use super::record::Recording;
use crate::config::Trace;

/// When a file cannot be written, it is tried again after this.
pub(crate) const RETRY: Duration = Duration::from_mins(1);

/// Writes what `begin` records to `settings.path`, and begins a new file when one is full; after `retry` if
/// one cannot be written. Returns when `begin` gives no more, since recordings are closed.
pub(crate) async fn keep(settings: &Trace, retry: Duration, begin: impl Fn() -> Option<Recording>) {
    let Some(path) = &settings.path else {
        return;
    };
    let mut next = begin();
    while let Some(recording) = next {
        next = match write(path, settings, recording, &begin).await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(
                    path = %path.display(),
                    "cannot write the trace: {error}; trying again in {retry:?}"
                );
                tokio::time::sleep(retry).await;
                begin()
            }
        };
    }
}

/// Writes one file; gives what goes into the next one, if it was full.
async fn write(
    path: &Path,
    settings: &Trace,
    mut recording: Recording,
    begin: &impl Fn() -> Option<Recording>,
) -> io::Result<Option<Recording>> {
    rotate(path, settings.keep_files).await?;
    let mut file = BufWriter::new(File::create_new(path).await?);
    let (mut bytes, mut next) = (0, None);
    while let Some(lines) = poll_fn(|context| recording.poll_lines(context)).await {
        file.write_all(&lines).await?;
        file.flush().await?;
        bytes += lines.len() as u64;
        if bytes >= settings.max_file_bytes && next.is_none() {
            // The new one begins before the old one ends, with nothing between them.
            next = begin();
            if next.is_some() {
                recording.close();
            }
        }
    }
    file.get_ref().sync_all().await?;
    Ok(next)
}

/// Makes `path` free: moves it to `path.1`, `path.1` to `path.2` and so on; of old ones at most `keep` less
/// one stay.
async fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    let nth = |n: u32| match n {
        0 => path.to_owned(),
        n => PathBuf::from(format!("{}.{n}", path.display())),
    };
    let last = keep.max(1) - 1;
    if last == 0 {
        return absent_is_fine(fs::remove_file(path).await);
    }
    for n in (0..last).rev() {
        absent_is_fine(fs::rename(nth(n), nth(n + 1)).await)?;
    }
    Ok(())
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
#[path = "tests/files.rs"]
mod tests;
