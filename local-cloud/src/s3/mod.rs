//! S3: the protocol by `s3s`, the objects by a store of our own.
//!
//! `s3s-fs`, the store that comes with `s3s`, is for testing `s3s` itself. With Flink's S3 file system
//! and the AWS SDK it fell short (version 0.14.1): a HEAD of a key that is a folder on disk is a 500, not
//! a 404 (Hadoop asks that of every folder); `a` and `a/b` cannot both exist; keys beyond about 120
//! bytes are a 500; a body that fails its checksum replaces the object all the same; an object
//! completed from parts keeps the checksums of the object that it replaced, so that clients refuse
//! it; a reader can get one object's bytes with the other's `ETag`; listings have no `ETag`s, ignore
//! `encoding-type`, which Java's SDK decodes, and walk the whole bucket. Wrapping would have replaced every operation.

mod api;
mod buckets;
mod condition;
mod disk;
mod draft;
mod fault;
mod journal;
mod list;
mod multipart;
mod object;
mod objects;
mod reader;
mod store;
mod upload;

use std::path::Path;
use std::sync::{Arc, Mutex};

use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::StartError;
use crate::faults::Faults;
use crate::server;
use store::Store;

/// The access key of the only user.
pub const ACCESS_KEY: &str = "spillway";
/// Its secret key.
pub const SECRET_KEY: &str = "spillway-local";
/// The region that clients are told; any other is accepted too.
pub const REGION: &str = "us-east-1";

/// S3, ready to be served.
pub(crate) struct Service {
    s3: S3Service,
    faults: Arc<Mutex<Faults>>,
}

impl Service {
    pub(crate) fn new(
        root: &Path,
        buckets: &[String],
        faults: Arc<Mutex<Faults>>,
    ) -> Result<Self, StartError> {
        for bucket in buckets {
            if !s3s::path::check_bucket_name(bucket) {
                return Err(StartError::BucketName(bucket.clone()));
            }
        }
        let store = Store::open(root, buckets).map_err(|source| StartError::Root {
            path: root.to_owned(),
            source,
        })?;
        let mut builder = S3ServiceBuilder::new(store);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        Ok(Self {
            s3: builder.build(),
            faults,
        })
    }

    /// Serves until `stop` is cancelled.
    pub(crate) async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let service = Arc::new(self);
        server::serve(listener, stop, move |request| {
            let service = Arc::clone(&service);
            async move { fault::handle(&service.s3, &service.faults, request).await }
        })
        .await;
    }
}
