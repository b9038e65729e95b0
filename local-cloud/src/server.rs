//! The accept loop that every listener here shares.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The body of every answer that is made here rather than by `s3s`.
pub(crate) type Reply = Response<Full<Bytes>>;

/// hyper doubles its read buffer up to this size. Invocations are megabytes, so larger buffers than
/// its default of 400 kB mean fewer system calls and fewer pieces to put together.
const READ_BUFFER_BYTES: usize = 1 << 20;

/// A client that has not sent its request's head by then is given up.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait when the process is out of file descriptors, the usual reason for `accept` to fail.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A handler returns this to have its connection cut without an answer.
#[derive(Debug)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was cut on purpose")
    }
}

impl Error for Cut {}

/// Serves HTTP/1.1 on `listener` until `stop` is cancelled, then cuts what is still open.
/// Whatever a client does costs at most its own connection.
pub(crate) async fn serve<H, F, B, E>(listener: TcpListener, stop: CancellationToken, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<B>, E>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    let mut http = http1::Builder::new();
    http.max_buf_size(READ_BUFFER_BYTES)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Without it, small answers wait for the peer's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let connection = http.serve_connection(TokioIo::new(stream), service_fn(handler.clone()));
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                served = connection => if let Err(error) = served {
                    tracing::debug!(%error, "a connection ended early");
                },
            }
        });
    }
}
