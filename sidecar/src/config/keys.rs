//! Every key of the configuration, with its environment variable and flag.
//!
//! `flink.rest_url` is `SPILLWAY_FLINK_REST_URL` in the environment and `--flink-rest-url` on the command
//! line.

/// What a key's value is written as in TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string; durations too.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Section and name, `flink.rest_url`; top-level keys have no dot.
    pub path: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// The flag, without the dashes.
    pub flag: &'static str,
    /// For `--help`.
    pub help: &'static str,
}

impl Key {
    /// The environment variable.
    pub fn variable(&self) -> String {
        format!("SPILLWAY_{}", self.path.to_uppercase().replace('.', "_"))
    }
}

const fn text(path: &'static str, flag: &'static str, help: &'static str) -> Key {
    Key {
        path,
        kind: Kind::Text,
        flag,
        help,
    }
}

const fn integer(path: &'static str, flag: &'static str, help: &'static str) -> Key {
    Key {
        path,
        kind: Kind::Integer,
        flag,
        help,
    }
}

const fn number(path: &'static str, flag: &'static str, help: &'static str) -> Key {
    Key {
        path,
        kind: Kind::Number,
        flag,
        help,
    }
}

const fn boolean(path: &'static str, flag: &'static str, help: &'static str) -> Key {
    Key {
        path,
        kind: Kind::Boolean,
        flag,
        help,
    }
}

/// All of them. `token` has no flag: other users of the machine could read it in the process list.
pub const KEYS: &[Key] = &[
    text(
        "listen",
        "listen",
        "Address to listen on; port 0 takes a free one [127.0.0.1:7077]",
    ),
    text(
        "token",
        "token",
        "Bearer token that requests must carry; needed beyond loopback",
    ),
    text(
        "token_file",
        "token-file",
        "File whose first line is the token",
    ),
    text(
        "grace",
        "grace",
        "How long batches in flight may take to settle when stopping [10s]",
    ),
    text(
        "flink.rest_url",
        "flink-rest-url",
        "Base URL of the JobManager, or of several, separated by commas [http://127.0.0.1:8081]",
    ),
    text("flink.job", "flink-job", "Name or id of the Flink job"),
    text(
        "flink.poll_interval",
        "flink-poll-interval",
        "Time between two looks at the job [200ms]",
    ),
    text(
        "cloudwatch.application",
        "cloudwatch-application",
        "Name of the application of Managed Service for Apache Flink",
    ),
    text(
        "cloudwatch.region",
        "cloudwatch-region",
        "AWS region of its metrics [that of the AWS environment]",
    ),
    text(
        "cloudwatch.endpoint_url",
        "cloudwatch-endpoint-url",
        "Another endpoint of CloudWatch than AWS's own",
    ),
    text(
        "cloudwatch.poll_interval",
        "cloudwatch-poll-interval",
        "Time between two looks at its metrics [1m]",
    ),
    text(
        "lambda.function",
        "lambda-function",
        "Name or ARN of the burst function [spillway-burst]",
    ),
    text(
        "lambda.region",
        "lambda-region",
        "AWS region [that of the AWS environment]",
    ),
    text(
        "lambda.endpoint_url",
        "lambda-endpoint-url",
        "Another endpoint than AWS's own",
    ),
    integer(
        "lambda.memory_mb",
        "lambda-memory-mb",
        "The function's memory, for the cost estimate [1769]",
    ),
    number(
        "lambda.usd_per_gb_second",
        "lambda-usd-per-gb-second",
        "Price of a GB-second [0.0000166667]",
    ),
    number(
        "lambda.usd_per_million_requests",
        "lambda-usd-per-million-requests",
        "Price of a million invocations [0.20]",
    ),
    number(
        "lambda.usd_per_thousand_puts",
        "lambda-usd-per-thousand-puts",
        "Price of a thousand S3 PUTs [0.005]",
    ),
    integer(
        "divert.max_concurrency",
        "divert-max-concurrency",
        "Invocations at once [8]",
    ),
    integer(
        "divert.queue",
        "divert-queue",
        "Batches that may wait for an invocation [16]",
    ),
    integer(
        "divert.max_batch_bytes",
        "divert-max-batch-bytes",
        "Size of the largest batch [8388608]",
    ),
    text(
        "divert.deadline",
        "divert-deadline",
        "Time for a batch whose sender states none [5s]",
    ),
    text(
        "policy.mode",
        "policy-mode",
        "auto, local (divert nothing) or burst (divert everything) [auto]",
    ),
    boolean(
        "policy.armed",
        "policy-armed",
        "Whether a known lane's excess is diverted before a spike is recognised [true]",
    ),
    number(
        "policy.target_utilization",
        "policy-target-utilization",
        "Share of the capacity kept local during a spike [0.75]",
    ),
    number(
        "policy.engage_utilization",
        "policy-engage-utilization",
        "Share of the capacity above which is diverted [0.9]",
    ),
    text(
        "policy.engage_hold",
        "policy-engage-hold",
        "How long arrival must be high to be taken for a spike [200ms]",
    ),
    number(
        "policy.engage_back_pressure",
        "policy-engage-back-pressure",
        "Congested share of time that means saturation [0.5]",
    ),
    text(
        "policy.engage_back_pressure_hold",
        "policy-engage-back-pressure-hold",
        "How long congestion must last to mean saturation [200ms]",
    ),
    text(
        "policy.engage_lag",
        "policy-engage-lag",
        "Backlog above which is diverted, as local processing time [5s]",
    ),
    text(
        "policy.engage_lag_hold",
        "policy-engage-lag-hold",
        "How long the backlog must be that long [3s]",
    ),
    number(
        "policy.release_utilization",
        "policy-release-utilization",
        "Share of the capacity below which a spike is over [0.6]",
    ),
    text(
        "policy.release_hold",
        "policy-release-hold",
        "How long arrival must be low to end a spike [1s]",
    ),
    number(
        "policy.release_back_pressure",
        "policy-release-back-pressure",
        "Congested share of time below which a spike can end [0.25]",
    ),
    text(
        "policy.release_back_pressure_hold",
        "policy-release-back-pressure-hold",
        "How long congestion must be that low [200ms]",
    ),
    text(
        "policy.release_lag",
        "policy-release-lag",
        "Backlog below which a spike can end, as local processing time [1s]",
    ),
    text(
        "policy.release_lag_hold",
        "policy-release-lag-hold",
        "How long the backlog must be that short [200ms]",
    ),
    text(
        "policy.drain_time",
        "policy-drain-time",
        "Time in which a backlog is to be worked off [1m]",
    ),
    integer(
        "policy.max_concurrency",
        "policy-max-concurrency",
        "Most batches in the cloud at once [none]",
    ),
    number(
        "policy.max_usd_per_hour",
        "policy-max-usd-per-hour",
        "Most that the cloud lane may cost in 60 minutes, in USD [none]",
    ),
    number(
        "policy.max_diverted_share",
        "policy-max-diverted-share",
        "Largest share of the records that may be diverted [1]",
    ),
    text(
        "policy.lease",
        "policy-lease",
        "How long a directive holds [2s]",
    ),
    number(
        "policy.min_rate",
        "policy-min-rate",
        "Records/s always kept local, and below which nothing is estimated [1000]",
    ),
    number(
        "policy.min_utilization",
        "policy-min-utilization",
        "Utilisation below which nothing is estimated [0.2]",
    ),
    text(
        "policy.smoothing",
        "policy-smoothing",
        "Time constant of the capacity estimate [3s]",
    ),
    number(
        "policy.probe_step",
        "policy-probe-step",
        "Step by which the local rate is raised in a spike [0.05]",
    ),
    text(
        "policy.probe_interval",
        "policy-probe-interval",
        "Time between two such steps [250ms]",
    ),
    integer(
        "http.max_connections",
        "http-max-connections",
        "Connections at once [256]",
    ),
    text(
        "http.idle_timeout",
        "http-idle-timeout",
        "Time for a header to arrive, and for a connection to idle [60s]",
    ),
    text(
        "http.body_timeout",
        "http-body-timeout",
        "Time for a body to arrive [5s]",
    ),
    text(
        "http.write_timeout",
        "http-write-timeout",
        "How long a client may take nothing of what it is sent [10s]",
    ),
    integer(
        "events.max_clients",
        "events-max-clients",
        "Clients of /v1/events at once; 0 turns it off [16]",
    ),
    integer(
        "events.queue",
        "events-queue",
        "Events that may wait for a client before it is let go [64]",
    ),
    text(
        "events.tick",
        "events-tick",
        "Time between two events that tell how things stand [1s]",
    ),
    text(
        "events.heartbeat",
        "events-heartbeat",
        "Silence after which clients are sent a comment [15s]",
    ),
    boolean(
        "publish.cloudwatch",
        "publish-cloudwatch",
        "Whether metrics go to CloudWatch [false]",
    ),
    text(
        "publish.region",
        "publish-region",
        "AWS region for them [that of the AWS environment]",
    ),
    text(
        "publish.endpoint_url",
        "publish-endpoint-url",
        "Another endpoint for them than AWS's own",
    ),
    text(
        "publish.interval",
        "publish-interval",
        "Time between two samples; below 1m they are stored by the second [1m]",
    ),
    text(
        "trace.path",
        "trace-path",
        "File to keep a trace of all decisions in [none]",
    ),
    integer(
        "trace.max_file_bytes",
        "trace-max-file-bytes",
        "Size from which the next file is begun [67108864]",
    ),
    integer(
        "trace.keep_files",
        "trace-keep-files",
        "Files of the trace that are kept [4]",
    ),
];

/// The key of this path.
pub fn by_path(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}
