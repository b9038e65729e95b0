//! Accepts connections and serves each, within limits.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::Future;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::counter::Counter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::patience::Patience;
use crate::config::Http;

/// A request's line and headers may take up so many bytes.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// A pause after an error of `accept` such as "too many open files", which does not go away at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// After the end answers that are being written get this long.
const LINGER: Duration = Duration::from_millis(500);

/// Serves until `stop` is ready; then writes the answers that are due, and ends. Connections whose client
/// does not read are ended and counted as `stuck`.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Http,
    stuck: Counter,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(limits.max_connections as usize));
    let (closing, closed) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accept = async {
            // The semaphore is never closed.
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let serving = connection(stream, router.clone(), limits.clone(), closed.clone());
                let stuck = stuck.clone();
                connections.spawn(async move {
                    if serving.await == End::Stuck {
                        stuck.inc();
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    closing.send_replace(true);
    let last_answers = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(LINGER, last_answers).await);
    connections.shutdown().await;
}

async fn connection(
    stream: TcpStream,
    router: Router,
    limits: Http,
    mut closed: watch::Receiver<bool>,
) -> End {
    // Directives are small and urgent: do not wait for more to send.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("cannot set TCP_NODELAY: {error}");
    }
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            Ok::<_, Infallible>(
                router
                    .oneshot(request.map(Body::new))
                    .await
                    .unwrap_or_else(|never| match never {}),
            )
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_timeout)
        .max_header_size(MAX_HEADER_BYTES)
        .serve_connection(
            TokioIo::new(Patience::new(stream, limits.write_timeout)),
            service,
        );
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = closing(&mut closed) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    let Err(error) = ended else {
        return End::Usual;
    };
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<std::io::Error>());
    if cause.is_some_and(|cause| cause.kind() == ErrorKind::TimedOut) {
        tracing::warn!("a connection is ended: its client reads nothing of what it is sent");
        return End::Stuck;
    }
    tracing::debug!("connection ended: {error}");
    End::Usual
}

/// How a connection ended.
#[derive(PartialEq, Eq)]
enum End {
    /// As connections end.
    Usual,
    /// Its client did not read.
    Stuck,
}

/// Ready once the server is closing. (The guard that `wait_for` gives must not live across an await.)
async fn closing(closed: &mut watch::Receiver<bool>) {
    drop(closed.wait_for(|closed| *closed).await);
}
