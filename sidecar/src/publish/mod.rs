//! Publishes the sidecar's metrics to `CloudWatch`, for those who have no Prometheus.
//!
//! Off unless configured, and never in the way: samples are taken by a task of their own, which holds the
//! valves' lock only to copy numbers, and sent by another one through a bounded queue. What does not fit into
//! it, or is refused, is dropped and counted.

mod cloudwatch;
mod datum;
mod sample;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

pub use cloudwatch::CloudWatch;
pub(crate) use datum::Datum;

use crate::divert::BoxFuture;
use crate::serve::App;
use datum::pack;
use sample::Sampler;

/// So many requests may wait to be sent; at the usual interval that is a quarter of an hour of one valve.
const QUEUE: usize = 16;

/// Somewhere that metrics go.
pub trait Sink: Send + Sync + 'static {
    /// Sends one request's metrics.
    fn put(&self, request: Request) -> BoxFuture<'_, Result<(), String>>;
}

/// Metrics that fit into one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request(pub(crate) Vec<Datum>);

/// Where metrics go, and how often.
#[derive(Clone)]
pub struct Publishing {
    /// Where to.
    pub sink: Arc<dyn Sink>,
    /// How often.
    pub interval: Duration,
    /// The dimension of the cloud lane's own metrics.
    pub function: String,
}

/// What became of what was to be published.
#[derive(Debug, Clone, Default)]
pub(crate) struct Published {
    sent: Counter,
    dropped: Family<Why, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    why: &'static str,
}

impl Published {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("publish");
        registry.register(
            "metrics",
            "Metrics that CloudWatch has taken",
            self.sent.clone(),
        );
        registry.register(
            "dropped_metrics",
            "Metrics that it never got",
            self.dropped.clone(),
        );
    }

    fn dropped(&self, why: &'static str, metrics: usize) {
        self.dropped
            .get_or_create(&Why { why })
            .inc_by(metrics as u64);
    }
}

/// Samples and sends until `stop` is ready; then samples and sends once more.
pub(crate) async fn publish(app: Arc<App>, publishing: Publishing, stop: impl Future<Output = ()>) {
    let (queue, waiting) = mpsc::channel(QUEUE);
    let send = send(Arc::clone(&publishing.sink), waiting, app.published.clone());
    let sample = async {
        let mut sampler = Sampler::default();
        let mut ticks = tokio::time::interval(publishing.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        tokio::pin!(stop);
        let mut last = false;
        while !last {
            last = tokio::select! {
                _ = ticks.tick() => false,
                () = &mut stop => true,
            };
            let time_ms = app.when().wall_ms;
            let data = sampler.sample(&app.valves, &app.divert, &publishing.function, time_ms);
            for request in pack(data) {
                let metrics = request.len();
                if queue.try_send(Request(request)).is_err() {
                    app.published.dropped("queue_full", metrics);
                }
            }
        }
        // Ends the sender, once it has sent what waits.
        drop(queue);
    };
    tokio::join!(sample, send);
}

async fn send(sink: Arc<dyn Sink>, mut waiting: mpsc::Receiver<Request>, published: Published) {
    let mut failing = false;
    while let Some(request) = waiting.recv().await {
        let metrics = request.0.len();
        match sink.put(request).await {
            Ok(()) => {
                published.sent.inc_by(metrics as u64);
                if failing {
                    tracing::info!("metrics are published again");
                }
                failing = false;
            }
            Err(why) => {
                published.dropped("refused", metrics);
                if !failing {
                    tracing::warn!("metrics cannot be published and are dropped: {why}");
                }
                failing = true;
            }
        }
    }
}
