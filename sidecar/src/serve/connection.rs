//! Accepts connections and serves each, within limits.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::config::Http;

/// A request's line and headers may take up so many bytes.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// A pause after an error of `accept` such as "too many open files", which does not go away at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// After the end answers that are being written get this long.
const LINGER: Duration = Duration::from_millis(500);

/// Serves until `stop` is ready; then writes the answers that are due, and ends.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Http,
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
                let serving =
                    connection(stream, router.clone(), limits.idle_timeout, closed.clone());
                connections.spawn(async move {
                    serving.await;
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
    idle_timeout: Duration,
    mut closed: watch::Receiver<bool>,
) {
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
        .header_read_timeout(idle_timeout)
        .max_header_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = closing(&mut closed) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("connection ended: {error}");
    }
}

/// Ready once the server is closing. (The guard that `wait_for` gives must not live across an await.)
async fn closing(closed: &mut watch::Receiver<bool>) {
    drop(closed.wait_for(|closed| *closed).await);
}
