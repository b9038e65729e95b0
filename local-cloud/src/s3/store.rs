//! The buckets and their objects.
//!
//! What there is, is known in memory, sorted by key; the bytes are in files. One lock holds both
//! together: a file is moved to its place, or opened, while nobody else can, so that a reader gets
//! the bytes, `ETag` and attributes of one and the same PUT.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3s::{S3Error, S3ErrorCode, S3Result};

use super::condition::Conditions;
use super::disk::Disk;
use super::draft::Draft;
use super::journal::Journal;
use super::list::{Page, Query, list};
use super::object::{Attributes, Checksums, Object};
use super::upload::Upload;

/// A bucket's objects by key.
#[derive(Debug)]
struct Bucket {
    objects: BTreeMap<String, Arc<Object>>,
    journal: Journal,
}

#[derive(Debug, Default)]
struct State {
    buckets: BTreeMap<String, Bucket>,
    uploads: BTreeMap<String, Arc<Upload>>,
}

/// All buckets.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) disk: Disk,
    state: Mutex<State>,
}

/// What an object is to become.
#[derive(Debug)]
pub(crate) struct NewObject<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    pub(crate) e_tag: String,
    pub(crate) attributes: Attributes,
    pub(crate) checksums: Checksums,
}

impl Store {
    /// Opens `root` with all that is there, and makes the buckets that are missing.
    pub(crate) fn open(root: &Path, buckets: &[String]) -> io::Result<Self> {
        let disk = Disk::new(root)?;
        let mut state = State::default();
        for bucket in disk.buckets()?.iter().chain(buckets) {
            let (objects, journal) = disk.open_bucket(bucket)?;
            let objects = objects
                .into_iter()
                .map(|object| (object.key.clone(), Arc::new(object)))
                .collect();
            state
                .buckets
                .insert(bucket.clone(), Bucket { objects, journal });
        }
        for upload in Upload::load_all(&disk)? {
            state.uploads.insert(upload.id.clone(), Arc::new(upload));
        }
        Ok(Self {
            disk,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic under this lock would leave at worst an object that its file no longer fits.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn bucket_names(&self) -> Vec<String> {
        self.state().buckets.keys().cloned().collect()
    }

    /// # Errors
    /// `NoSuchBucket`.
    pub(crate) fn check_bucket(&self, bucket: &str) -> S3Result {
        self.state().bucket(bucket).map(|_| ())
    }

    /// # Errors
    /// `BucketAlreadyOwnedByYou`, or the file system's.
    pub(crate) fn create_bucket(&self, bucket: &str) -> S3Result {
        let mut state = self.state();
        if state.buckets.contains_key(bucket) {
            return Err(S3ErrorCode::BucketAlreadyOwnedByYou.into());
        }
        let (_, journal) = self
            .disk
            .open_bucket(bucket)
            .map_err(S3Error::internal_error)?;
        state.buckets.insert(
            bucket.to_owned(),
            Bucket {
                objects: BTreeMap::new(),
                journal,
            },
        );
        Ok(())
    }

    /// # Errors
    /// `NoSuchBucket`, `BucketNotEmpty`, or the file system's.
    pub(crate) fn delete_bucket(&self, bucket: &str) -> S3Result {
        let mut state = self.state();
        if !state.bucket(bucket)?.objects.is_empty() {
            return Err(S3ErrorCode::BucketNotEmpty.into());
        }
        self.disk
            .remove_bucket(bucket)
            .map_err(S3Error::internal_error)?;
        state.buckets.remove(bucket);
        Ok(())
    }

    /// An object without its bytes.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`.
    pub(crate) fn head(&self, bucket: &str, key: &str) -> S3Result<Arc<Object>> {
        self.state().object(bucket, key)
    }

    /// An object and its open file, which stays the same also when the object is replaced.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`, or the file system's.
    pub(crate) fn open_object(&self, bucket: &str, key: &str) -> S3Result<(Arc<Object>, File)> {
        let state = self.state();
        let object = state.object(bucket, key)?;
        let file = File::open(self.disk.path(bucket, &object)).map_err(S3Error::internal_error)?;
        Ok((object, file))
    }

    /// Makes `draft` the object: it is there at once and whole, or not at all.
    ///
    /// # Errors
    /// `NoSuchBucket`, those of the conditions, or the file system's.
    pub(crate) fn put(
        &self,
        new: NewObject<'_>,
        draft: Draft,
        conditions: &Conditions,
    ) -> S3Result<Arc<Object>> {
        let mut state = self.state();
        let bucket = state.bucket_mut(new.bucket)?;
        let old = bucket.objects.get(new.key).cloned();
        conditions.check_write(old.as_deref())?;
        let object = self
            .place(bucket, new, draft)
            .map_err(S3Error::internal_error)?;
        Ok(object)
    }

    fn place(
        &self,
        bucket: &mut Bucket,
        new: NewObject<'_>,
        draft: Draft,
    ) -> io::Result<Arc<Object>> {
        let stamp = draft.stamp()?;
        let aside = self.disk.make_room(new.bucket, new.key, stamp)?;
        let NewObject {
            bucket: name,
            key,
            e_tag,
            attributes,
            checksums,
        } = new;
        let object = Arc::new(Object {
            key: key.to_owned(),
            stamp,
            e_tag,
            aside,
            attributes,
            checksums,
        });
        bucket.journal.append(&object)?;
        let target = self.disk.path(name, &object);
        draft.place(&target)?;
        let old = bucket.objects.insert(key.to_owned(), Arc::clone(&object));
        // At the same path it has been replaced already.
        if let Some(old) = old.filter(|old| self.disk.path(name, old) != target)
            && let Err(error) = self.disk.remove(name, &old)
        {
            tracing::warn!(bucket = name, key, %error, "cannot remove the file of a replaced object");
        }
        Ok(object)
    }

    /// Deletes an object. That there is none is no error.
    ///
    /// # Errors
    /// `NoSuchBucket`, or the file system's.
    pub(crate) fn delete(&self, bucket: &str, key: &str) -> S3Result {
        let mut state = self.state();
        let objects = &mut state.bucket_mut(bucket)?.objects;
        if let Some(object) = objects.get(key) {
            self.disk
                .remove(bucket, object)
                .map_err(S3Error::internal_error)?;
            objects.remove(key);
        }
        Ok(())
    }

    /// Lists a bucket and hands the page to `show`.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    pub(crate) fn list<T>(
        &self,
        bucket: &str,
        query: &Query<'_>,
        show: impl FnOnce(Page<'_>) -> T,
    ) -> S3Result<T> {
        let state = self.state();
        let objects = &state.bucket(bucket)?.objects;
        let start = query.prefix.max(query.after).to_owned();
        let candidates = objects.range(start..).map(|(_, object)| object.as_ref());
        Ok(show(list(candidates, query)))
    }

    /// Remembers an upload that was begun.
    pub(crate) fn add_upload(&self, upload: Upload) {
        self.state()
            .uploads
            .insert(upload.id.clone(), Arc::new(upload));
    }

    /// The upload, if it is one of that key.
    ///
    /// # Errors
    /// `NoSuchUpload`.
    pub(crate) fn upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<Arc<Upload>> {
        let state = self.state();
        let upload = state
            .uploads
            .get(id)
            .filter(|upload| upload.bucket == bucket && upload.key == key);
        upload
            .cloned()
            .ok_or_else(|| S3ErrorCode::NoSuchUpload.into())
    }

    /// Forgets an upload.
    pub(crate) fn remove_upload(&self, id: &str) {
        self.state().uploads.remove(id);
    }

    /// The uploads of a bucket whose key starts with `prefix`, by key.
    pub(crate) fn uploads(&self, bucket: &str, prefix: &str) -> Vec<Arc<Upload>> {
        let state = self.state();
        let own = |upload: &&Arc<Upload>| upload.bucket == bucket && upload.key.starts_with(prefix);
        let mut uploads: Vec<_> = state.uploads.values().filter(own).cloned().collect();
        uploads.sort_by(|a, b| (&a.key, &a.id).cmp(&(&b.key, &b.id)));
        uploads
    }
}

impl State {
    fn bucket(&self, name: &str) -> S3Result<&Bucket> {
        self.buckets
            .get(name)
            .ok_or_else(|| S3ErrorCode::NoSuchBucket.into())
    }

    fn bucket_mut(&mut self, name: &str) -> S3Result<&mut Bucket> {
        self.buckets
            .get_mut(name)
            .ok_or_else(|| S3ErrorCode::NoSuchBucket.into())
    }

    fn object(&self, bucket: &str, key: &str) -> S3Result<Arc<Object>> {
        let object = self.bucket(bucket)?.objects.get(key);
        object.cloned().ok_or_else(|| S3ErrorCode::NoSuchKey.into())
    }
}
