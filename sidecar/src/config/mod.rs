//! The configuration: a TOML file, environment variables over it, flags over those.
//!
//! Unknown keys are refused everywhere. Every key of the file has a twin `SPILLWAY_*` and a flag; see
//! [`keys`].

mod environment;
pub mod keys;
mod lines;
mod load;
mod patch;
mod secret;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

pub(crate) use lines::{fault_line, key_line, line_of};
pub(crate) use load::token_in;
pub use load::{Override, from_text, load, policy_in};
pub(crate) use patch::keys_of;
pub use patch::{changes, patched};
pub use secret::Secret;

use crate::decide::Policy;
use spillway_core::batch::MAX_BATCH_BYTES;

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address to listen on; port 0 takes a free one. Beyond loopback a token is needed.
    /// Default: 127.0.0.1:7077.
    pub listen: SocketAddr,
    /// Bearer token that every request except `/livez` and `/readyz` must carry. Default: none.
    pub token: Option<Secret>,
    /// File whose first line is the token. Default: none.
    pub token_file: Option<PathBuf>,
    /// After SIGTERM or SIGINT, how long batches in flight may take to settle. Default: 10s.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// Where to watch the job. Without it, decisions rest on the valve's reports alone.
    pub flink: Option<Flink>,
    /// The same for Amazon Managed Service for Apache Flink, which has no REST interface. Not both.
    pub cloudwatch: Option<CloudWatch>,
    /// Where batches are processed.
    pub lambda: Lambda,
    /// How batches get there.
    pub divert: Divert,
    /// When records are diverted.
    pub policy: Policy,
    /// Limits of the HTTP server.
    pub http: Http,
    /// The stream of events.
    pub events: Events,
    /// Where the sidecar's own metrics go, besides `/metrics`.
    pub publish: Publish,
    /// The trace that is always kept.
    pub trace: Trace,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7077)),
            token: None,
            token_file: None,
            grace: Duration::from_secs(10),
            flink: None,
            cloudwatch: None,
            lambda: Lambda::default(),
            divert: Divert::default(),
            policy: Policy::default(),
            http: Http::default(),
            events: Events::default(),
            publish: Publish::default(),
            trace: Trace::default(),
        }
    }
}

/// A Flink cluster's REST interface.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flink {
    /// Base URL; with several `JobManager`s all of theirs, separated by commas. Default:
    /// `http://127.0.0.1:8081`.
    #[serde(default = "Flink::default_rest_url")]
    pub rest_url: String,
    /// The job's name or id.
    pub job: String,
    /// Time between two looks at the job. The cluster's `metrics.fetcher.update-interval` should not be
    /// longer. Default: 200ms.
    #[serde(with = "humantime_serde", default = "Flink::default_poll_interval")]
    pub poll_interval: Duration,
}

impl Flink {
    fn default_rest_url() -> String {
        "http://127.0.0.1:8081".into()
    }

    fn default_poll_interval() -> Duration {
        Duration::from_millis(200)
    }
}

/// An application of Amazon Managed Service for Apache Flink, watched through `CloudWatch`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudWatch {
    /// The application's name.
    pub application: String,
    /// AWS region. Default: that of the AWS environment or profile.
    pub region: Option<String>,
    /// Another endpoint than AWS's own, for development. Default: none.
    pub endpoint_url: Option<String>,
    /// Time between two looks. Metrics come once a minute, and looks are paid for. Default: 1m, which is
    /// also the least.
    #[serde(
        with = "humantime_serde",
        default = "CloudWatch::default_poll_interval"
    )]
    pub poll_interval: Duration,
}

impl CloudWatch {
    fn default_poll_interval() -> Duration {
        Duration::from_mins(1)
    }
}

/// The burst function.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lambda {
    /// Name or ARN. Default: spillway-burst.
    pub function: String,
    /// AWS region. Default: that of the AWS environment or profile.
    pub region: Option<String>,
    /// Another endpoint than AWS's own, for development. Default: none.
    pub endpoint_url: Option<String>,
    /// The function's memory in MB, for the cost estimate only. Default: 1769, one full vCPU.
    pub memory_mb: u32,
    /// Price of one GB-second, for the cost estimate. Default: 0.0000166667 USD, x86 in us-east-1
    /// (aws.amazon.com/lambda/pricing, first tier).
    pub usd_per_gb_second: f64,
    /// Price of a million invocations. Default: 0.20 USD (the same list).
    pub usd_per_million_requests: f64,
    /// Price of a thousand PUTs. Default: 0.005 USD, S3 Standard in us-east-1 (aws.amazon.com/s3/pricing).
    pub usd_per_thousand_puts: f64,
}

impl Default for Lambda {
    fn default() -> Self {
        Self {
            function: "spillway-burst".into(),
            region: None,
            endpoint_url: None,
            memory_mb: 1769,
            usd_per_gb_second: 0.000_016_666_7,
            usd_per_million_requests: 0.20,
            usd_per_thousand_puts: 0.005,
        }
    }
}

impl Lambda {
    /// What is wrong with these values; see [`Config::problems`].
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(url) = &self.endpoint_url {
            check_url(&mut problems, "lambda.endpoint_url", url);
        }
        if self.function.is_empty() {
            problems.push("lambda.function is empty: give the function's name or ARN".into());
        }
        if !(128..=10_240).contains(&self.memory_mb) {
            problems.push(format!(
                "lambda.memory_mb is {}: Lambda has 128 to 10240",
                self.memory_mb
            ));
        }
        for (name, price) in [
            ("usd_per_gb_second", self.usd_per_gb_second),
            ("usd_per_million_requests", self.usd_per_million_requests),
            ("usd_per_thousand_puts", self.usd_per_thousand_puts),
        ] {
            if !(price >= 0.0 && price.is_finite()) {
                problems.push(format!(
                    "lambda.{name} is {price}: give a price of at least 0"
                ));
            }
        }
        problems
    }
}

/// How batches are sent on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Divert {
    /// Invocations at once. Default: 8.
    pub max_concurrency: u32,
    /// Batches that may wait for an invocation; further ones get 429. Default: 16.
    pub queue: u32,
    /// Size of the largest batch, at most 16777216. Default: 8388608.
    pub max_batch_bytes: usize,
    /// Time for a batch whose sender states none, at most 60s. Default: 5s.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
}

impl Default for Divert {
    fn default() -> Self {
        Self {
            max_concurrency: 8,
            queue: 16,
            max_batch_bytes: 8 * 1024 * 1024,
            deadline: Duration::from_secs(5),
        }
    }
}

impl Divert {
    /// What is wrong with these values; see [`Config::problems`].
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(1..=1000).contains(&self.max_concurrency) {
            problems.push(format!(
                "divert.max_concurrency is {}: give 1 to 1000",
                self.max_concurrency
            ));
        }
        if self.queue > 10_000 {
            problems.push(format!(
                "divert.queue is {}: give at most 10000",
                self.queue
            ));
        }
        if !(1..=MAX_BATCH_BYTES).contains(&self.max_batch_bytes) {
            problems.push(format!(
                "divert.max_batch_bytes is {}: give 1 to {MAX_BATCH_BYTES}",
                self.max_batch_bytes
            ));
        }
        within(&mut problems, "divert.deadline", self.deadline, 10, 60_000);
        problems
    }
}

/// Metrics to `CloudWatch`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Publish {
    /// Whether to. Default: false.
    pub cloudwatch: bool,
    /// AWS region. Default: that of the AWS environment or profile.
    pub region: Option<String>,
    /// Another endpoint than AWS's own, for development. Default: none.
    pub endpoint_url: Option<String>,
    /// Time between two samples. Below a minute they are stored at a resolution of a second. Default: 1m.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
}

impl Default for Publish {
    fn default() -> Self {
        Self {
            cloudwatch: false,
            region: None,
            endpoint_url: None,
            interval: Duration::from_mins(1),
        }
    }
}

/// Limits that keep slow or greedy clients from holding the server up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Connections at once; further ones wait to be accepted. Default: 256.
    pub max_connections: u32,
    /// Time for a request's header to arrive, and how long a connection may idle. Default: 60s.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// Time for a request's body to arrive. Default: 5s.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// How long a client may take nothing of what it is sent. Default: 10s.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            max_connections: 256,
            idle_timeout: Duration::from_mins(1),
            body_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
        }
    }
}

/// A trace of all that is seen and decided, kept in files of bounded size. See `docs/trace.md`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trace {
    /// The file; older ones have `.1`, `.2` … behind their names. Default: none, nothing is kept.
    pub path: Option<PathBuf>,
    /// Size from which the next file is begun. Default: 67108864.
    pub max_file_bytes: u64,
    /// Files that are kept, the one that is written included. Default: 4.
    pub keep_files: u32,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            path: None,
            max_file_bytes: 64 * 1024 * 1024,
            keep_files: 4,
        }
    }
}

/// `GET /v1/events`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Events {
    /// Clients that may listen at once; 0 turns events off. Default: 16.
    pub max_clients: u32,
    /// Events that may wait for a client; one that lets more pile up is let go. Default: 64.
    pub queue: u32,
    /// Time between two ticks, which tell how things stand. Default: 1s.
    #[serde(with = "humantime_serde")]
    pub tick: Duration,
    /// When nothing else was sent for so long, a comment is, so that both sides know of each other.
    /// Default: 15s.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            max_clients: 16,
            queue: 64,
            tick: Duration::from_secs(1),
            heartbeat: Duration::from_secs(15),
        }
    }
}

impl Config {
    /// The name of the job that is watched, and the time between two looks at it.
    pub fn watched(&self) -> Option<(&str, Duration)> {
        let flink = self.flink.as_ref();
        let cloudwatch = self.cloudwatch.as_ref();
        flink
            .map(|flink| (flink.job.as_str(), flink.poll_interval))
            .or_else(|| cloudwatch.map(|of| (of.application.as_str(), of.poll_interval)))
    }

    /// What is wrong with these values, one sentence each; empty if they can be used.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.policy.problems();
        if self.token.is_none() && !self.listen.ip().is_loopback() {
            problems.push(format!(
                "listen is {}, which is not loopback, but there is no token: set token_file, or listen on 127.0.0.1",
                self.listen
            ));
        }
        if self.token.as_ref().is_some_and(Secret::is_empty) {
            problems.push("the token is empty: give one, or leave the key out".into());
        }
        if let Some(flink) = &self.flink {
            for url in flink.rest_url.split(',') {
                check_url(&mut problems, "flink.rest_url", url.trim());
            }
            if flink.job.is_empty() {
                problems.push("flink.job is empty: give the job's name or id".into());
            }
            within(
                &mut problems,
                "flink.poll_interval",
                flink.poll_interval,
                20,
                60_000,
            );
        }
        self.cloudwatch_problems(&mut problems);
        problems.extend(self.lambda.problems());
        if let Some(url) = &self.publish.endpoint_url {
            check_url(&mut problems, "publish.endpoint_url", url);
        }
        within(
            &mut problems,
            "publish.interval",
            self.publish.interval,
            1_000,
            600_000,
        );
        problems.extend(self.divert.problems());
        within(&mut problems, "grace", self.grace, 0, 600_000);
        self.http_problems(&mut problems);
        problems
    }

    fn http_problems(&self, problems: &mut Vec<String>) {
        let (http, events) = (&self.http, &self.events);
        let spans = [
            ("http.idle_timeout", http.idle_timeout, 10, 3_600_000),
            ("http.body_timeout", http.body_timeout, 10, 600_000),
            ("http.write_timeout", http.write_timeout, 10, 600_000),
            ("events.tick", events.tick, 10, 600_000),
            ("events.heartbeat", events.heartbeat, 10, 600_000),
        ];
        for (name, value, low, high) in spans {
            within(problems, name, value, low, high);
        }
        if http.max_connections == 0 {
            problems.push("http.max_connections is 0: give at least 1".into());
        }
        if events.max_clients > 1000 {
            problems.push(format!(
                "events.max_clients is {}: give at most 1000",
                events.max_clients
            ));
        }
        if self.trace.max_file_bytes < 65_536 {
            problems.push(format!(
                "trace.max_file_bytes is {}: give at least 65536",
                self.trace.max_file_bytes
            ));
        }
        if !(1..=1000).contains(&self.trace.keep_files) {
            problems.push(format!(
                "trace.keep_files is {}: give 1 to 1000",
                self.trace.keep_files
            ));
        }
        if !(1..=10_000).contains(&events.queue) {
            problems.push(format!("events.queue is {}: give 1 to 10000", events.queue));
        }
    }

    fn cloudwatch_problems(&self, problems: &mut Vec<String>) {
        let Some(cloudwatch) = &self.cloudwatch else {
            return;
        };
        if self.flink.is_some() {
            problems.push(
                "both flink and cloudwatch are set: a job is watched through one of them".into(),
            );
        }
        if cloudwatch.application.is_empty() {
            problems.push("cloudwatch.application is empty: give the application's name".into());
        }
        if let Some(url) = &cloudwatch.endpoint_url {
            check_url(problems, "cloudwatch.endpoint_url", url);
        }
        within(
            problems,
            "cloudwatch.poll_interval",
            cloudwatch.poll_interval,
            60_000,
            3_600_000,
        );
    }
}

fn check_url(problems: &mut Vec<String>, name: &str, url: &str) {
    let known = |uri: &http::Uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
    };
    // Not repeated: it would be in every log that the URL is in.
    let authority = url.split("//").nth(1).unwrap_or(url).split('/').next();
    if authority.is_some_and(|authority| authority.contains('@')) {
        problems.push(format!(
            "{name} carries credentials (user:password@), which would end up in logs and are not used: leave them out"
        ));
    } else if !url.parse().is_ok_and(|uri| known(&uri)) {
        problems.push(format!(
            "{name} is {url:?}: give a URL such as http://127.0.0.1:8081"
        ));
    }
}

fn within(problems: &mut Vec<String>, name: &str, value: Duration, low_ms: u64, high_ms: u64) {
    let (low, high) = (
        Duration::from_millis(low_ms),
        Duration::from_millis(high_ms),
    );
    if value < low || value > high {
        problems.push(format!("{name} is {value:?}: give {low:?} to {high:?}"));
    }
}
