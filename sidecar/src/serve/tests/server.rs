//! A running sidecar, and a client for it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::http::{Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::divert::tests::fake::FakeFunction;
use crate::run::{Parts, run};
use crate::sense::Sensor;

/// A sidecar on a free port of loopback.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    task: JoinHandle<()>,
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: axum::http::HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The slug of the problem that this has to be.
    pub(super) fn slug(&self) -> String {
        assert_eq!(
            self.headers["content-type"], "application/problem+json",
            "{}",
            self.text
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        let urn = problem["type"].as_str().unwrap();
        urn.strip_prefix("urn:spillway:problem:")
            .unwrap()
            .to_owned()
    }
}

impl Server {
    pub(super) async fn start(config: Config, function: &Arc<FakeFunction>) -> Self {
        Self::start_with(config, function, None).await
    }

    pub(super) async fn start_with(
        config: Config,
        function: &Arc<FakeFunction>,
        sensor: Option<Box<dyn Sensor>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let parts = Parts {
            config,
            listener,
            invoker: Arc::clone(function) as _,
            sensor,
            publishing: None,
            clock: Arc::new(SystemClock::start()),
        };
        let task = tokio::spawn(run(parts, async {
            stopped.await.ok();
        }));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            address,
            client,
            stop: Mutex::new(Some(stop)),
            task,
        }
    }

    /// Asks the sidecar to stop.
    pub(super) fn stop(&self) {
        let stop = self.stop.lock().unwrap().take();
        stop.unwrap().send(()).unwrap();
    }

    /// Ready when it has stopped.
    pub(super) async fn ended(self) {
        self.task.await.unwrap();
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let response: Response<_> = self.client.request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub(super) async fn put(&self, id: &str, body: impl Into<Bytes>) -> Answer {
        let path = format!("/v1/jobs/wordcount/batches/{id}");
        self.send(
            "PUT",
            &path,
            &[("content-type", "application/x-protobuf")],
            body,
        )
        .await
    }

    pub(super) async fn report(&self, report: &serde_json::Value) -> Answer {
        let path = "/v1/jobs/wordcount/valves/valve/0";
        self.send(
            "POST",
            path,
            &[("content-type", "application/json")],
            report.to_string(),
        )
        .await
    }
}
