//! The HTTP server: batches and reports in, receipts and directives out, and a window to look in.

mod batches;
mod body;
mod connection;
mod events;
mod health;
mod host;
mod metrics;
mod patience;
pub(crate) mod policy;
mod problem;
mod reports;
mod spend;
mod status;
mod summary;
mod token;
mod trace;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware;
use axum::routing::{get, post, put};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

pub use health::Readiness;

use crate::clock::Clock;
use crate::config::{Config, Lambda, Secret};
use crate::decide::{Moment, Policy};
use crate::divert::{Divert, LaneCollector};
use crate::events::Hub;
use crate::publish::Published;
use crate::sense::{JobSeen, Sighting};
use crate::trace::record::{Recording, Recordings, Refused};
use crate::valves::{Valves, When};
pub(crate) use connection::serve;
use problem::Problem;
use spend::Spend;
use summary::Tick;

/// What the handlers share.
pub(crate) struct App {
    pub(crate) valves: Arc<Valves>,
    pub(crate) divert: Arc<Divert>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) job: Arc<Mutex<JobSeen>>,
    clock: Arc<dyn Clock>,
    token: Option<Secret>,
    max_batch_bytes: usize,
    default_deadline: Duration,
    body_timeout: Duration,
    prices: Lambda,
    /// The policy that the sidecar was started with.
    configured: Policy,
    /// When it was started, so that versions of different runs are told apart.
    started_ms: i64,
    pub(crate) events: Arc<Hub>,
    pub(crate) recordings: Recordings,
    heartbeat: Duration,
    spend: Mutex<Spend>,
    pub(crate) published: Published,
    counters: metrics::Counters,
    registry: Registry,
}

impl App {
    pub(crate) fn new(config: &Config, divert: Arc<Divert>, clock: Arc<dyn Clock>) -> Self {
        let valves = Arc::new(Valves::new(config.policy.clone()));
        let started_ms = clock.wall_ms();
        let counters = metrics::Counters::default();
        let mut registry = Registry::with_prefix("spillway");
        counters.register(&mut registry);
        let published = Published::default();
        if config.publish.cloudwatch {
            published.register(&mut registry);
        }
        divert.tally.register(&mut registry);
        registry.register_collector(Box::new(LaneCollector(Arc::downgrade(&divert))));
        metrics::register_build(&mut registry);
        let events = Arc::new(Hub::new(config.events.clone(), started_ms));
        events.register(&mut registry);
        let when = When {
            now: clock.now(),
            wall_ms: started_ms,
        };
        valves.observe(&events, when);
        registry.register_collector(Box::new(metrics::ValveCollector(Arc::downgrade(&valves))));
        Self {
            valves,
            divert,
            readiness: Arc::default(),
            job: Arc::default(),
            clock,
            token: config.token.clone(),
            max_batch_bytes: config.divert.max_batch_bytes,
            default_deadline: config.divert.deadline,
            body_timeout: config.http.body_timeout,
            prices: config.lambda.clone(),
            configured: config.policy.clone(),
            started_ms,
            events,
            recordings: Recordings::default(),
            heartbeat: config.events.heartbeat,
            spend: Mutex::default(),
            published,
            counters,
            registry,
        }
    }

    /// What the cloud lane has cost so far, by the function's own timing and list prices.
    pub(crate) fn spent_usd(&self) -> f64 {
        self.divert.spent_usd()
    }

    /// What it costs an hour, at the pace of the last minute. `None` in the first seconds.
    pub(crate) fn usd_per_hour(&self, now: Moment) -> Option<f64> {
        self.spend().per_hour(self.spent_usd(), now)
    }

    /// Takes stock, and tells how things stand to those who listen.
    pub(crate) fn tick(&self) {
        let when = self.when();
        self.spend().note(self.spent_usd(), when.now);
        self.events.lane(&self.divert.lane(), when);
        if self.events.heard() {
            self.events.tick(&Tick::of(self));
        }
    }

    /// Begins to record all that the valves do, for a client.
    pub(crate) fn record(&self) -> Result<Recording, Refused> {
        self.recordings.begin(&self.valves, self.when())
    }

    /// The same for the file that is always kept.
    pub(crate) fn record_to_file(&self) -> Option<Recording> {
        self.recordings.begin_kept(&self.valves, self.when())
    }

    fn spend(&self) -> MutexGuard<'_, Spend> {
        self.spend.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a look at the job.
    pub(crate) fn looked(&self, sighting: &Sighting) {
        self.counters.looks.inc();
        self.counters.look_requests.inc_by(sighting.requests);
        if sighting.blind.is_some() {
            self.counters.blind_looks.inc();
        }
    }

    /// Counts connections that were ended because their client did not read.
    pub(crate) fn stuck_connections(&self) -> Counter {
        self.counters.stuck_connections.clone()
    }

    /// Now, on both clocks.
    pub(crate) fn when(&self) -> When {
        When {
            now: self.clock.now(),
            wall_ms: self.clock.wall_ms(),
        }
    }
}

/// All routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    let guarded = Router::new()
        .route("/v1/jobs/{job}/batches/{batch}", put(batches::put))
        .route(
            "/v1/jobs/{job}/valves/{valve}/{subtask}",
            post(reports::post),
        )
        .route("/v1/status", get(status::get))
        .route("/v1/policy", get(policy::get).patch(policy::patch))
        .route("/v1/events", get(events::get))
        .route("/v1/trace", get(trace::get))
        .route("/metrics", get(metrics::get))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            token::demand,
        ));
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .method_not_allowed_fallback(wrong_method)
        .merge(guarded)
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            host::check,
        ))
        .with_state(app)
}

async fn unknown(uri: Uri) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        format!("there is nothing at {}", uri.path()),
    )
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{method} is not for {}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}
