//! A directory of this machine as a store: for jobs that write files, and for tests.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{Body, Object, Store};
use crate::error::{Error, ErrorKind};

/// Objects are files below a directory; a key's parts are its path.
#[derive(Debug)]
pub struct DirectoryStore {
    root: PathBuf,
}

impl DirectoryStore {
    /// The store at `root`, which need not exist before the first [`put`](Store::put).
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    fn walk(
        folder: &Path,
        prefix: &str,
        visit: &mut dyn FnMut(Object) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let reading =
            |error: &io::Error| Error::io(format_args!("cannot list {}", folder.display()), error);
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(|error| reading(&error))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| reading(&error))?.file_name();
            let name = name.into_string().map_err(|name| {
                let path = folder.join(name);
                let message = format!("the name of {} is not UTF-8", path.display());
                Error::new(ErrorKind::Data, message)
            })?;
            names.push(name);
        }
        names.sort_unstable();
        for name in names {
            let path = folder.join(&name);
            // A running job renames its files while we look: what is gone now was not committed
            // under this name.
            let metadata = match fs::metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata.map_err(|error| reading(&error))?,
            };
            let key = format!("{prefix}{name}");
            if metadata.is_dir() {
                Self::walk(&path, &format!("{key}/"), visit)?;
            } else {
                let modified = metadata.modified().map_err(|error| reading(&error))?;
                visit(Object {
                    key,
                    bytes: metadata.len(),
                    modified,
                })?;
            }
        }
        Ok(())
    }
}

impl Store for DirectoryStore {
    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Object) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match fs::metadata(&self.root) {
            Ok(metadata) if metadata.is_dir() => Self::walk(&self.path(prefix), prefix, visit),
            Ok(_) => Err(Error::new(
                ErrorKind::NoInput,
                format_args!("{} is not a directory", self.root.display()),
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::new(
                ErrorKind::NoInput,
                format_args!(
                    "there is no directory {}: check --location",
                    self.root.display()
                ),
            )),
            Err(error) => Err(Error::io(
                format_args!("cannot look at {}", self.root.display()),
                &error,
            )),
        }
    }

    fn read(&self, key: &str, offset: u64, max: usize) -> Result<Option<Bytes>, Error> {
        let path = self.path(key);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|mut file| {
            file.seek(SeekFrom::Start(offset))?;
            let left = file.metadata()?.len().saturating_sub(offset);
            bytes.reserve_exact(usize::try_from(left).unwrap_or(max).min(max));
            file.take(max as u64).read_to_end(&mut bytes)
        });
        match read {
            Ok(_) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(
                format_args!("cannot read {}", path.display()),
                &error,
            )),
        }
    }

    fn put(&self, key: &str, body: Body<'_>) -> Result<(), Error> {
        let path = self.path(key);
        let folder = path.parent().unwrap_or(&self.root);
        let write = || {
            fs::create_dir_all(folder)?;
            let mut file = tempfile::Builder::new()
                .prefix(".put-")
                .tempfile_in(folder)?;
            match &body {
                Body::Bytes(bytes) => file.write_all(bytes)?,
                Body::File(from) => {
                    io::copy(&mut File::open(from)?, file.as_file_mut())?;
                }
            }
            // A marker that is put after this object must not survive a crash that it does not.
            file.as_file().sync_all()?;
            set_usual_permissions(file.as_file())?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|error: io::Error| {
            Error::create(format_args!("cannot write {}", path.display()), &error)
        })
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        let path = self.path(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(
                format_args!("cannot remove {}", path.display()),
                &error,
            )),
            _ => Ok(()),
        }
    }

    fn uri(&self, key: &str) -> String {
        self.path(key).display().to_string()
    }
}

/// Temporary files are the owner's only; results are for all to read.
#[cfg(unix)]
fn set_usual_permissions(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_usual_permissions(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(store: &DirectoryStore, prefix: &str) -> Vec<String> {
        let mut keys = Vec::new();
        store
            .list(prefix, &mut |object| {
                keys.push(object.key);
                Ok(())
            })
            .unwrap();
        keys
    }

    #[test]
    fn what_is_put_is_listed_read_in_parts_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(folder.path().into());
        store
            .put("a/b/one", Body::Bytes("0123456789".into()))
            .unwrap();
        store
            .put("a/two", Body::File(&folder.path().join("a/b/one")))
            .unwrap();
        assert_eq!(keys(&store, "a/"), ["a/b/one", "a/two"]);
        assert_eq!(store.read("a/two", 3, 4).unwrap().unwrap(), "3456");
        assert_eq!(store.read("a/two", 8, 100).unwrap().unwrap(), "89");
        assert_eq!(store.read("a/two", 10, 100).unwrap().unwrap(), "");
        store.delete("a/two").unwrap();
        store.delete("a/two").unwrap();
        assert_eq!(store.read("a/two", 0, 1).unwrap(), None);
        assert_eq!(keys(&store, "a/"), ["a/b/one"]);
    }

    #[test]
    fn a_folder_that_is_missing_is_empty_but_the_root_must_exist() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(folder.path().into());
        assert!(keys(&store, "ledger/").is_empty());
        let gone = DirectoryStore::new(folder.path().join("gone"));
        let error = gone.list("ledger/", &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoInput);
    }
}
