//! A running local cloud and the real clients for it.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use spillway_local_cloud::{ACCESS_KEY, Config, FunctionConfig, LocalCloud, REGION, SECRET_KEY};
use tempfile::TempDir;

/// The bucket that every test has.
pub(crate) const BUCKET: &str = "test-bucket";

/// A function that runs the test binary, with a time-out that no test reaches by accident.
pub(crate) fn function() -> FunctionConfig {
    FunctionConfig {
        name: "f".to_owned(),
        binary: PathBuf::from(env!("CARGO_BIN_EXE_spillway-test-function")),
        environment: Vec::new(),
        memory_mb: 1769,
        timeout: Duration::from_mins(1),
        concurrency: 4,
        cold_start: Duration::ZERO,
        idle_timeout: Duration::from_mins(1),
    }
}

/// A local cloud and its folder.
pub(crate) struct Cloud {
    pub(crate) running: LocalCloud,
    pub(crate) root: TempDir,
}

impl Cloud {
    pub(crate) async fn start(function: FunctionConfig) -> Self {
        let root = tempfile::tempdir().unwrap();
        let running = start_at(root.path(), vec![function]).await;
        Self { running, root }
    }

    pub(crate) async fn with_s3_only() -> Self {
        let root = tempfile::tempdir().unwrap();
        let running = start_at(root.path(), Vec::new()).await;
        Self { running, root }
    }

    /// Stops it and starts it again on the same folder.
    pub(crate) async fn restart(self) -> Self {
        self.running.stop().await;
        let running = start_at(self.root.path(), Vec::new()).await;
        Self {
            running,
            root: self.root,
        }
    }

    pub(crate) fn lambda(&self) -> aws_sdk_lambda::Client {
        lambda_client(&self.running.lambda_url())
    }

    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        s3_client(&self.running.s3_url(), SECRET_KEY)
    }

    pub(crate) async fn stats(&self) -> Value {
        self.admin("GET", "/_local/stats", "").await.1
    }

    pub(crate) async fn set_faults(&self, rules: &str) {
        let (status, answer) = self.admin("PUT", "/_local/faults", rules).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Status and JSON of an administrative request.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.running.lambda_url()))
            .body(Full::from(body.to_owned()))
            .unwrap();
        let answer = client.request(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

pub(crate) async fn start_at(root: &Path, functions: Vec<FunctionConfig>) -> LocalCloud {
    let config = Config {
        s3_root: root.to_owned(),
        buckets: vec![BUCKET.to_owned()],
        functions,
        lambda_port: 0,
        s3_port: 0,
    };
    LocalCloud::start(config).await.unwrap()
}

/// A client that never repeats a request: a test wants to see each answer.
pub(crate) fn lambda_client(url: &str) -> aws_sdk_lambda::Client {
    use aws_sdk_lambda::config::{
        BehaviorVersion, Config, Credentials, Region, retry::RetryConfig,
    };
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test"))
        .region(Region::new(REGION))
        .endpoint_url(url)
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    aws_sdk_lambda::Client::from_conf(config)
}

/// The same for S3.
pub(crate) fn s3_client(url: &str, secret_key: &str) -> aws_sdk_s3::Client {
    use aws_sdk_s3::config::{BehaviorVersion, Config, Credentials, Region, retry::RetryConfig};
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new(ACCESS_KEY, secret_key, None, None, "test"))
        .region(Region::new(REGION))
        .endpoint_url(url)
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    aws_sdk_s3::Client::from_conf(config)
}
