//! S3 as a store.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use bytes::Bytes;
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

use super::s3_error::{explain, explain_body, is_invalid_range};
use super::{Body, Object, Store};
use crate::error::{Error, ErrorKind};

/// How often one request is tried. The first pause is short, because a local stand-in or a
/// transient 503 is back at once, then they double.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Without a byte for so long, a request is given up and tried again.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a GET gave nothing.
enum GetFailure {
    /// The request failed, and the SDK has already retried what is worth it.
    Refused(Error),
    /// The answer's body ended early.
    BrokenOff(Error),
}

/// A prefix in an S3 bucket.
///
/// The SDK is asynchronous, reconciling is not: one thread drives all connections, and the threads
/// that want something wait for it.
#[derive(Debug)]
pub struct S3Store {
    client: Client,
    bucket: String,
    /// Empty, or ends with `/`.
    prefix: String,
    io: IoThread,
}

impl S3Store {
    /// A client with region and credentials as the AWS SDKs look for them: environment first. No
    /// request is made yet.
    ///
    /// With an `endpoint_url`, here or in the environment, buckets are addressed by path, which
    /// every stand-in for S3 understands, and a region is not asked for.
    pub fn connect(bucket: &str, prefix: &str, endpoint_url: Option<&str>) -> Result<Self, Error> {
        let io = IoThread::start()?;
        let https = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let mut loader = aws_config::from_env()
            .http_client(https)
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(ATTEMPTS)
                    .with_initial_backoff(FIRST_PAUSE),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .read_timeout(READ_TIMEOUT)
                    .build(),
            );
        let in_environment = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|url| !url.is_empty()));
        let endpoint_url = endpoint_url.map(str::to_owned).or(in_environment);
        if let Some(url) = &endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let shared = io.wait(loader.load());
        let mut config = aws_sdk_s3::config::Builder::from(&shared);
        if endpoint_url.is_some() {
            config = config.force_path_style(true);
            if shared.region().is_none() {
                config = config.region(aws_sdk_s3::config::Region::new("us-east-1"));
            }
        } else if shared.region().is_none() {
            let message = format!("s3://{bucket}: no region is set: set AWS_REGION");
            return Err(Error::new(ErrorKind::Config, message));
        }
        let prefix = if prefix.is_empty() {
            String::new()
        } else {
            format!("{prefix}/")
        };
        Ok(Self {
            client: Client::from_conf(config.build()),
            bucket: bucket.to_owned(),
            prefix,
            io,
        })
    }

    fn full_key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// One GET; `None` if there is no such object.
    async fn get(&self, key: &str, range: &str) -> Result<Option<Bytes>, GetFailure> {
        let request = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(self.full_key(key));
        let answer = match request.range(range).send().await {
            Ok(answer) => answer,
            Err(SdkError::ServiceError(error))
                if matches!(error.err(), GetObjectError::NoSuchKey(_)) =>
            {
                return Ok(None);
            }
            // Nothing is left from there on.
            Err(error) if is_invalid_range(&error) => return Ok(Some(Bytes::new())),
            Err(error) => {
                return Err(GetFailure::Refused(explain(
                    "cannot read",
                    &self.uri(key),
                    &error,
                )));
            }
        };
        match answer.body.collect().await {
            Ok(body) => Ok(Some(body.into_bytes())),
            Err(error) => Err(GetFailure::BrokenOff(explain_body(&self.uri(key), &error))),
        }
    }
}

impl Store for S3Store {
    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Object) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(self.full_key(prefix))
            .into_paginator()
            .send();
        while let Some(page) = self.io.wait(pages.next()) {
            let page = page.map_err(|error| explain("cannot list", &self.uri(prefix), &error))?;
            for object in page.contents() {
                let Some(key) = object.key().and_then(|key| key.strip_prefix(&self.prefix)) else {
                    continue;
                };
                // Without a time an object is taken for new: then it is never collected as garbage.
                let modified = object
                    .last_modified()
                    .and_then(|time| (*time).try_into().ok());
                visit(Object {
                    key: key.to_owned(),
                    bytes: object.size().unwrap_or(0).try_into().unwrap_or(0),
                    modified: modified.unwrap_or_else(SystemTime::now),
                })?;
            }
        }
        Ok(())
    }

    fn read(&self, key: &str, offset: u64, max: usize) -> Result<Option<Bytes>, Error> {
        if max == 0 {
            return Ok(Some(Bytes::new()));
        }
        let range = format!("bytes={offset}-{}", offset.saturating_add(max as u64 - 1));
        self.io.wait(async {
            let mut attempt = 1;
            loop {
                match self.get(key, &range).await {
                    Ok(body) => return Ok(body),
                    Err(GetFailure::Refused(error)) => return Err(error),
                    // The SDK retries until the answer's head has come; the body is ours to retry.
                    Err(GetFailure::BrokenOff(error)) if attempt == ATTEMPTS => return Err(error),
                    Err(GetFailure::BrokenOff(_)) => {
                        tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(attempt)).await;
                    }
                }
                attempt += 1;
            }
        })
    }

    fn put(&self, key: &str, body: Body<'_>) -> Result<(), Error> {
        self.io.wait(async {
            let body = match body {
                Body::Bytes(bytes) => ByteStream::from(bytes),
                Body::File(path) => ByteStream::from_path(path).await.map_err(|error| {
                    let error = io::Error::other(error);
                    Error::io(format_args!("cannot read {}", path.display()), &error)
                })?,
            };
            let request = self
                .client
                .put_object()
                .bucket(&self.bucket)
                .key(self.full_key(key));
            let put = request.body(body).send().await;
            put.map_err(|error| explain("cannot write", &self.uri(key), &error))
                .map(drop)
        })
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        let request = self
            .client
            .delete_object()
            .bucket(&self.bucket)
            .key(self.full_key(key));
        let deleted = self.io.wait(request.send());
        deleted
            .map_err(|error| explain("cannot remove", &self.uri(key), &error))
            .map(drop)
    }

    fn uri(&self, key: &str) -> String {
        format!("s3://{}/{}", self.bucket, self.full_key(key))
    }
}

/// The thread that drives the asynchronous side.
#[derive(Debug)]
struct IoThread {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl IoThread {
    fn start() -> Result<Self, Error> {
        let failed = |error| Error::io("cannot start the I/O thread", &error);
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let drive = move || {
            // Ends when the sender is dropped; whether it had sent something does not matter.
            let _ = runtime.block_on(stopped);
        };
        let thread = thread::Builder::new()
            .name("s3".into())
            .spawn(drive)
            .map_err(failed)?;
        Ok(Self {
            handle,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    fn wait<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }
}

impl Drop for IoThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It only fails if it panicked, and then it said so.
            let _ = thread.join();
        }
    }
}
