//! A small client for Flink's REST interface.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

use crate::causes;

/// A `JobManager` that is busy still answers within this; a look that takes longer is of no use.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The plan of a job with hundreds of vertices has some 100 KB.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// Why a request gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RestError {
    /// No connection, or no answer in time.
    #[error("Flink's REST interface at {url} is not reachable: {why}")]
    Unreachable { url: String, why: String },
    /// It does not know what was asked for.
    #[error("{path}: not found")]
    NotFound { path: String },
    /// It answered something else.
    #[error("{path}: {why}")]
    Odd { path: String, why: String },
}

/// Asks a `JobManager`, and if it is gone or not the leader, the next one from then on.
#[derive(Debug)]
pub(crate) struct Rest {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    /// Never empty.
    bases: Vec<String>,
    /// Which of them is asked.
    current: AtomicUsize,
    /// Requests made so far.
    requests: AtomicU64,
}

impl Rest {
    /// A client of the `JobManager`s at `urls`, separated by commas. Fails if the machine's root
    /// certificates cannot be read.
    pub(crate) fn new(urls: &str) -> std::io::Result<Self> {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        let https = HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new()).build(https);
        Ok(Self {
            client,
            bases: urls
                .split(',')
                .map(|url| url.trim().trim_end_matches('/').to_owned())
                .collect(),
            current: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
        })
    }

    /// How many requests it has made.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// GETs `path` and reads the JSON of the answer. If there is none, the next `JobManager` is asked next
    /// time, so that a look makes no more requests than it would anyway.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RestError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let current = self.current.load(Ordering::Relaxed);
        let answer = self
            .ask(&self.bases[current % self.bases.len()], path)
            .await;
        if let Err(RestError::Unreachable { .. }) = answer {
            self.current
                .store((current + 1) % self.bases.len(), Ordering::Relaxed);
        }
        answer
    }

    async fn ask<T: DeserializeOwned>(&self, base: &str, path: &str) -> Result<T, RestError> {
        let odd = |why: String| RestError::Odd {
            path: path.to_owned(),
            why,
        };
        let unreachable = |why: String| RestError::Unreachable {
            url: base.to_owned(),
            why,
        };
        let uri: http::Uri = format!("{base}{path}")
            .parse()
            .map_err(|error| odd(format!("not a URL: {error}")))?;
        let exchange = async {
            let response = self
                .client
                .get(uri)
                .await
                // The first cause says "connection refused" where the error itself says "connect".
                .map_err(|error| unreachable(causes::root(&error)))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER)
                .collect()
                .await
                .map_err(|error| unreachable(error.to_string()))?
                .to_bytes();
            if status == http::StatusCode::NOT_FOUND {
                return Err(RestError::NotFound {
                    path: path.to_owned(),
                });
            }
            if status == http::StatusCode::SERVICE_UNAVAILABLE {
                return Err(unreachable("it has no leader at the moment".into()));
            }
            if !status.is_success() {
                return Err(odd(format!("answered {status}")));
            }
            serde_json::from_slice(&body).map_err(|error| odd(format!("cannot be read: {error}")))
        };
        tokio::time::timeout(TIMEOUT, exchange)
            .await
            .unwrap_or_else(|_| Err(unreachable(format!("no answer within {TIMEOUT:?}"))))
    }
}
