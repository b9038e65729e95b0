//! S3: the protocol by `s3s`.

mod fault;

use std::path::Path;
use std::sync::{Arc, Mutex};

use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::StartError;
use crate::faults::Faults;
use crate::server;

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
        let unusable = |source| StartError::Root {
            path: root.to_owned(),
            source,
        };
        for bucket in buckets {
            if !s3s::path::check_bucket_name(bucket) {
                return Err(StartError::BucketName(bucket.clone()));
            }
            std::fs::create_dir_all(root.join(bucket)).map_err(unusable)?;
        }
        std::fs::create_dir_all(root).map_err(unusable)?;
        let store = s3s_fs::FileSystem::new(root)
            .map_err(|_| unusable(std::io::ErrorKind::Other.into()))?;
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
