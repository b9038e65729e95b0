//! Files for the user: there whole or not at all.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use spillway_reconcile::error::Error;
use tempfile::NamedTempFile;

/// A file that appears under its name when it is finished.
#[derive(Debug)]
pub(crate) struct OutFile {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl OutFile {
    /// Begins a file. Fails at once if there can be none of this name.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o644));
        }
        let file = if path.is_dir() {
            Err(io::ErrorKind::IsADirectory.into())
        } else {
            builder.prefix(".spillway-").tempfile_in(folder)
        };
        let file = file.map_err(|error| cannot_write(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::with_capacity(1 << 16, file),
        })
    }

    /// Writes a value as JSON.
    pub(crate) fn write_json(&mut self, value: &impl Serialize) -> Result<(), Error> {
        let written = serde_json::to_writer_pretty(&mut self.file, value).map_err(io::Error::from);
        let written = written.and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|error| cannot_write(&self.path, &error))
    }

    /// Makes the file appear.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let Self { path, file } = self;
        let file = file
            .into_inner()
            .map_err(|error| cannot_write(&path, error.error()))?;
        file.persist(&path)
            .map_err(|error| cannot_write(&path, &error.error))?;
        Ok(())
    }
}

impl Write for OutFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::create(format_args!("cannot write {}", path.display()), error)
}
