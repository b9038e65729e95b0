//! A bucket's journal: a line of JSON for each object that was written.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::object::Object;

/// The journal of a bucket, open for appending.
#[derive(Debug)]
pub(crate) struct Journal(File);

impl Journal {
    /// Writes the journal anew, with these lines only, and opens it.
    pub(crate) fn rewrite(path: PathBuf, objects: &[Object]) -> io::Result<Self> {
        let fresh = path.with_extension("new");
        let mut writer = BufWriter::new(File::create(&fresh)?);
        for object in objects {
            writer.write_all(&line(object)?)?;
        }
        writer.into_inner()?;
        fs::rename(&fresh, &path)?;
        Ok(Self(File::options().append(true).open(path)?))
    }

    /// Adds a line, in one write.
    pub(crate) fn append(&mut self, object: &Object) -> io::Result<()> {
        self.0.write_all(&line(object)?)
    }
}

fn line(object: &Object) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(object)?;
    line.push(b'\n');
    Ok(line)
}

/// The lines of a journal, oldest first. One that cannot be read, such as a last one that was cut
/// off, is left out: its object gets its `ETag` anew.
pub(crate) fn read(path: &Path) -> io::Result<Vec<Object>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut objects = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        match serde_json::from_slice(&line?) {
            Ok(object) => objects.push(object),
            Err(error) => {
                tracing::warn!(journal = %path.display(), %error, "a line cannot be read");
            }
        }
    }
    Ok(objects)
}
