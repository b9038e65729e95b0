//! Where things lie on disk, and how they are found again after a restart.
//!
//! ```text
//! ROOT/{bucket}/{key}               an object, so that a person can look at it with other tools
//! ROOT/.spillway/aside/{bucket}/    objects whose key cannot be a path, or whose path is taken:
//!                                   `a` and `a/b` are both keys, but not both paths
//! ROOT/.spillway/journal/{bucket}   a line of JSON for each object written: `ETag`, attributes
//! ROOT/.spillway/uploads/{id}/      parts of an unfinished multipart upload
//! ROOT/.spillway/drafts/            what is being written; emptied at the start
//! ROOT/.spillway/lock               locked by the process that serves the folder
//! ```
//!
//! An object's line is written before its file is moved to its place, and belongs to it only if size
//! and time fit. So whenever the process dies, a file has its own line or an older object is still
//! there with its older line. Nothing is flushed to the device: a kill is survived, a power cut may not be.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use s3s::crypto::{Checksum as _, Md5};

use super::draft::Draft;
use super::journal::{self, Journal};
use super::object::{Attributes, Checksums, Object, Stamp, hex};

/// The folder that is no bucket: a bucket's name never starts with a full stop.
const OWN: &str = ".spillway";

/// Longest name of a file or folder that Linux takes, in bytes.
const NAME_LIMIT: usize = 255;

/// The folders.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    /// Held as long as this lives: two processes on one folder would not know of each other's objects.
    _lock: File,
    /// Numbers drafts and files that lie aside.
    counter: AtomicU64,
}

impl Disk {
    /// Makes the folders; throws away what an earlier process had not finished.
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        let root = {
            fs::create_dir_all(root.join(OWN))?;
            root.canonicalize()?
        };
        let lock = File::create(root.join(OWN).join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another process serves it"),
            TryLockError::Error(error) => error,
        })?;
        let disk = Self {
            root,
            _lock: lock,
            counter: AtomicU64::new(0),
        };
        let drafts = disk.own("drafts");
        if drafts.exists() {
            fs::remove_dir_all(&drafts)?;
        }
        for folder in ["drafts", "aside", "journal", "uploads"] {
            fs::create_dir_all(disk.own(folder))?;
        }
        Ok(disk)
    }

    fn own(&self, folder: &str) -> PathBuf {
        self.root.join(OWN).join(folder)
    }

    /// A number that no other call of this process gets.
    pub(crate) fn number(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn bucket(&self, bucket: &str) -> PathBuf {
        self.root.join(bucket)
    }

    pub(crate) fn uploads(&self) -> PathBuf {
        self.own("uploads")
    }

    pub(crate) fn draft(&self) -> io::Result<Draft> {
        Draft::new(self.own("drafts").join(self.number().to_string()))
    }

    /// Where an object's bytes are.
    pub(crate) fn path(&self, bucket: &str, object: &Object) -> PathBuf {
        match &object.aside {
            None => self.bucket(bucket).join(&object.key),
            Some(name) => self.own("aside").join(bucket).join(name),
        }
    }

    /// Makes room for a new object; returns its name if it has to lie aside.
    pub(crate) fn make_room(
        &self,
        bucket: &str,
        key: &str,
        stamp: Stamp,
    ) -> io::Result<Option<String>> {
        if is_plain(key) {
            let target = self.bucket(bucket).join(key);
            let folder = target.parent().unwrap_or(&self.root);
            if fs::create_dir_all(folder).is_ok() && !target.is_dir() {
                return Ok(None);
            }
        }
        fs::create_dir_all(self.own("aside").join(bucket))?;
        Ok(Some(format!(
            "{:016x}-{}",
            stamp.modified_ns,
            self.number()
        )))
    }

    /// Removes an object's file and the folders that are empty without it.
    pub(crate) fn remove(&self, bucket: &str, object: &Object) -> io::Result<()> {
        let path = self.path(bucket, object);
        fs::remove_file(&path)?;
        if object.aside.is_none() {
            let bucket = self.bucket(bucket);
            let folders = path
                .ancestors()
                .skip(1)
                .take_while(|folder| *folder != bucket);
            // The first that is not empty ends it.
            for folder in folders {
                if fs::remove_dir(folder).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Removes an empty bucket.
    pub(crate) fn remove_bucket(&self, bucket: &str) -> io::Result<()> {
        for folder in [self.bucket(bucket), self.own("aside").join(bucket)] {
            if folder.exists() {
                fs::remove_dir_all(folder)?;
            }
        }
        fs::remove_file(self.own("journal").join(bucket))
    }

    /// The names of the folders in the root that can be buckets.
    pub(crate) fn buckets(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name().into_string().unwrap_or_default();
            if entry.file_type()?.is_dir() && s3s::path::check_bucket_name(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Makes a bucket if it is not there, and finds the objects in it. The journal is written anew
    /// without the lines of objects that are gone.
    pub(crate) fn open_bucket(&self, bucket: &str) -> io::Result<(Vec<Object>, Journal)> {
        fs::create_dir_all(self.bucket(bucket))?;
        let journal = self.own("journal").join(bucket);
        let mut objects: HashMap<String, Object> = HashMap::new();
        for object in journal::read(&journal)? {
            let found = fs::metadata(self.path(bucket, &object))
                .is_ok_and(|file| Stamp::of(&file) == object.stamp);
            if found {
                objects.insert(object.key.clone(), object);
            }
        }
        for (key, stamp) in files(&self.bucket(bucket))? {
            if !objects.contains_key(&key) {
                objects.insert(key.clone(), adopt(&self.bucket(bucket), key, stamp)?);
            }
        }
        let objects: Vec<Object> = objects.into_values().collect();
        let journal = Journal::rewrite(journal, &objects)?;
        self.sweep_aside(bucket, &objects)?;
        Ok((objects, journal))
    }

    /// Removes files aside that an object replaced, but was not yet there to be seen removed.
    fn sweep_aside(&self, bucket: &str, objects: &[Object]) -> io::Result<()> {
        let folder = self.own("aside").join(bucket);
        let kept: HashSet<&str> = objects
            .iter()
            .filter_map(|object| object.aside.as_deref())
            .collect();
        if folder.exists() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                if entry
                    .file_name()
                    .to_str()
                    .is_none_or(|name| !kept.contains(name))
                {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }
}

/// The files under `folder` as keys. Names that are not UTF-8 cannot be keys and are left alone.
fn files(folder: &Path) -> io::Result<Vec<(String, Stamp)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if let Some(key) = entry
                .path()
                .strip_prefix(folder)
                .ok()
                .and_then(Path::to_str)
            {
                found.push((key.to_owned(), Stamp::of(&entry.metadata()?)));
            }
        }
    }
    Ok(found)
}

/// An object for a file that was put there by hand.
fn adopt(folder: &Path, key: String, stamp: Stamp) -> io::Result<Object> {
    let mut md5 = Md5::new();
    let mut file = File::open(folder.join(&key))?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        md5.update(&buffer[..read]);
    }
    let e_tag = hex(&md5.finalize());
    Ok(Object {
        key,
        stamp,
        e_tag,
        aside: None,
        attributes: Attributes::default(),
        checksums: Checksums::default(),
    })
}

/// Whether a key is a path as it stands.
fn is_plain(key: &str) -> bool {
    let name = |name: &str| !matches!(name, "" | "." | "..") && name.len() <= NAME_LIMIT;
    !key.contains('\0') && key.split('/').all(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_no_paths_lie_aside() {
        for plain in ["a", "a/b", "x=1/.hidden", "a b/ü"] {
            assert!(is_plain(plain), "{plain}");
        }
        let long = "x".repeat(256);
        for odd in ["", "/a", "a/", "a//b", "../a", "a/./b", "a\0b", &long] {
            assert!(!is_plain(odd), "{odd}");
        }
    }

    #[test]
    fn a_folder_is_served_once_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let first = Disk::new(root.path()).unwrap();
        assert!(Disk::new(root.path()).is_err());
        drop(first);
        Disk::new(root.path()).unwrap();
    }

    #[test]
    fn a_file_put_there_by_hand_becomes_an_object() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("bucket/sub")).unwrap();
        fs::write(root.path().join("bucket/sub/file"), "hello").unwrap();
        let (objects, _) = Disk::new(root.path())
            .unwrap()
            .open_bucket("bucket")
            .unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].key, "sub/file");
        assert_eq!(objects[0].e_tag, "5d41402abc4b2a76b9719d911017c592");
    }
}
