//! Storage: S3 or a directory, behind the four operations that reconciling needs.

mod directory;
mod s3;
mod s3_error;

use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;

pub use directory::DirectoryStore;
pub use s3::S3Store;

use crate::error::Error;
use crate::location::Location;

/// One stored object, as a listing gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key, relative to the store's folder, parts split by `/`.
    pub key: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last modified, by the storage's clock.
    pub modified: SystemTime,
}

impl Object {
    /// Whether it holds committed data: Flink and Hadoop mark work in progress and bookkeeping by
    /// a name that starts with `.` or `_`. A name that is empty is S3's way to show a folder.
    pub fn is_committed(&self) -> bool {
        let name = self.key.rsplit('/').next().unwrap_or_default();
        !(name.is_empty() || name.starts_with(['.', '_']))
    }
}

/// What to put.
#[derive(Debug, Clone)]
pub enum Body<'a> {
    /// These bytes.
    Bytes(Bytes),
    /// The content of this file, at most 5 GB (S3's limit for one PUT).
    File(&'a Path),
}

/// A folder of objects. All keys are relative to it.
///
/// The operations block; several threads use one store at once to have several requests under way.
pub trait Store: Send + Sync {
    /// Calls `visit` for every object whose key starts with `prefix` (a folder: ends with `/`),
    /// committed or not, in the order of their keys. A folder that does not exist is empty.
    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Object) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// The bytes of an object from `offset` on, at most `max` of them, fewer only at its end.
    /// `None` if there is no such object.
    fn read(&self, key: &str, offset: u64, max: usize) -> Result<Option<Bytes>, Error>;

    /// Makes or replaces an object. Readers see the old or the new content, never a part.
    fn put(&self, key: &str, body: Body<'_>) -> Result<(), Error>;

    /// Removes an object. One that is already gone is no error.
    fn delete(&self, key: &str) -> Result<(), Error>;

    /// How to name an object in messages, and `""` for the folder itself.
    fn uri(&self, key: &str) -> String;
}

/// All committed objects under `prefix`.
pub fn list_committed(store: &dyn Store, prefix: &str) -> Result<Vec<Object>, Error> {
    let mut objects = Vec::new();
    store.list(prefix, &mut |object| {
        if object.is_committed() {
            objects.push(object);
        }
        Ok(())
    })?;
    Ok(objects)
}

/// Opens the store at `location`. `endpoint_url` replaces AWS's own S3 and means path style.
pub fn open(location: &Location, endpoint_url: Option<&str>) -> Result<Box<dyn Store>, Error> {
    Ok(match location {
        Location::S3 { bucket, prefix } => {
            Box::new(S3Store::connect(bucket, prefix, endpoint_url)?)
        }
        Location::Directory(path) => Box::new(DirectoryStore::new(path.clone())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_start_with_a_dot_or_an_underscore_are_not_committed() {
        for (key, committed) in [
            ("ledger/part-0", true),
            ("ledger/2026-01-01--00/part-0", true),
            ("ledger/_2026/part-0", true),
            ("ledger/.part-0.inprogress", false),
            ("ledger/a/_SUCCESS", false),
            ("ledger/", false),
        ] {
            let object = Object {
                key: key.into(),
                bytes: 1,
                modified: SystemTime::UNIX_EPOCH,
            };
            assert_eq!(object.is_committed(), committed, "{key}");
        }
    }
}
