//! Lambda and S3 on loopback, for development and tests only: no authentication of Lambda's callers,
//! no durability beyond the file system's cache.
//!
//! [`LocalCloud::start`] binds both ports and serves them: Lambda on the calling thread's runtime,
//! S3 on a thread of its own, because S3 reads and writes files without detours and must not hold up
//! invocations while it does.

pub mod faults;
mod lambda;
mod s3;
mod server;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use lambda::{FunctionConfig, Snapshot};
pub use s3::{ACCESS_KEY, REGION, SECRET_KEY};

use faults::Faults;
use lambda::Lambda;

/// What to serve.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where objects are kept; made if it is not there.
    pub s3_root: PathBuf,
    /// Buckets to make if they are not there.
    pub buckets: Vec<String>,
    /// The functions.
    pub functions: Vec<FunctionConfig>,
    /// Lambda's port on 127.0.0.1; 0: any free one.
    pub lambda_port: u16,
    /// S3's port on 127.0.0.1; 0: any free one.
    pub s3_port: u16,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port is taken.
    #[error(
        "cannot listen on 127.0.0.1:{port} for {service}: {source}; stop what uses it or choose another port"
    )]
    Bind {
        /// Lambda or S3.
        service: &'static str,
        /// The port that was asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The folder for objects cannot be used.
    #[error("cannot use {} for S3 objects: {source}; give --s3-root a folder that can be written", path.display())]
    Root {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A bucket's name is not one.
    #[error("{0:?} is no bucket name: 3 to 63 of a-z, 0-9, '.', '-'")]
    BucketName(String),
    /// No thread for S3.
    #[error("cannot start the thread for S3: {0}")]
    Thread(io::Error),
}

/// A running local cloud.
#[derive(Debug)]
pub struct LocalCloud {
    /// Where Lambda listens.
    pub lambda: SocketAddr,
    /// Where S3 listens.
    pub s3: SocketAddr,
    stop: CancellationToken,
    lambda_task: JoinHandle<()>,
    s3_done: oneshot::Receiver<()>,
}

impl LocalCloud {
    /// Binds both ports and starts serving. Functions are told this S3's address and key.
    ///
    /// # Errors
    /// A port is taken, or the folder for objects cannot be used. Nothing is left running then.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let faults = Arc::new(Mutex::new(Faults::default()));
        let stop = CancellationToken::new();
        let service = s3::Service::new(&config.s3_root, &config.buckets, Arc::clone(&faults))?;
        let (lambda_listener, lambda) = bind("Lambda", config.lambda_port).await?;
        let (s3_listener, s3) = bind("S3", config.s3_port).await?;
        let s3_done = serve_s3(service, s3_listener, stop.clone()).map_err(StartError::Thread)?;

        let functions = config
            .functions
            .into_iter()
            .map(|function| with_s3(function, s3))
            .collect();
        let server = Lambda::new(functions, faults, &stop);
        let lambda_task = tokio::spawn(server.serve(lambda_listener, stop.clone()));
        Ok(Self {
            lambda,
            s3,
            stop,
            lambda_task,
            s3_done,
        })
    }

    /// Where Lambda is, as a client's endpoint URL.
    pub fn lambda_url(&self) -> String {
        format!("http://{}", self.lambda)
    }

    /// Where S3 is, as a client's endpoint URL.
    pub fn s3_url(&self) -> String {
        format!("http://{}", self.s3)
    }

    /// Stops serving, kills every function process and waits until all is gone.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.lambda_task.await {
            tracing::error!(%error, "Lambda did not stop in order");
        }
        // An error means that the thread is gone already, which is what we wait for.
        let _ = self.s3_done.await;
    }
}

async fn bind(service: &'static str, port: u16) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Bind {
        service,
        port,
        source,
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Serves S3 on a thread of its own; the receiver hears when it has ended.
fn serve_s3(
    service: s3::Service,
    listener: TcpListener,
    stop: CancellationToken,
) -> io::Result<oneshot::Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // A socket belongs to the runtime that it was made in.
    let listener = listener.into_std()?;
    let (done, ended) = oneshot::channel();
    thread::Builder::new()
        .name("s3".to_owned())
        .spawn(move || {
            runtime.block_on(async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => service.serve(listener, stop).await,
                    Err(error) => tracing::error!(%error, "S3 cannot listen"),
                }
            });
            // With the last requests go the objects' files, the folder's lock among them.
            drop(runtime);
            // Nobody may be waiting.
            let _ = done.send(());
        })?;
    Ok(ended)
}

/// Tells a function where S3 is, unless its own environment says otherwise.
fn with_s3(mut function: FunctionConfig, s3: SocketAddr) -> FunctionConfig {
    let own = std::mem::take(&mut function.environment);
    function.environment = [
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ("AWS_ENDPOINT_URL_S3", format!("http://{s3}")),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .chain(own)
    .collect();
    function
}
