//! The cloud lane's present state in `/metrics`: read when it is asked for, so that nothing has to be kept
//! up to date.

use std::sync::Weak;
use std::sync::atomic::AtomicU64;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};

use super::{Divert, Position};

/// Shows limit, breaker and spend.
#[derive(Debug)]
pub(crate) struct LaneCollector(pub(crate) Weak<Divert>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabel {
    class: &'static str,
}

impl std::fmt::Debug for Divert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Divert").finish_non_exhaustive()
    }
}

impl Collector for LaneCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(divert) = self.0.upgrade() else {
            return Ok(());
        };
        let health = divert.health();
        let mut show =
            |name: &str, help: &str, metric: &dyn Shown| metric.show(name, help, &mut encoder);
        let limit = ConstGauge::new(i64::from(health.concurrency_limit));
        show(
            "divert_concurrency_limit",
            "Invocations that may be under way at once",
            &limit,
        )?;
        let under_way = ConstGauge::new(i64::from(health.invocations_under_way));
        show(
            "divert_invocations_under_way",
            "Invocations that are under way",
            &under_way,
        )?;
        let breaker = Family::<ClassLabel, Gauge<f64, AtomicU64>>::default();
        for circuit in &health.breakers {
            let class = circuit.class;
            let value = match circuit.position {
                Position::Closed => 0.0,
                Position::HalfOpen => 1.0,
                Position::Open => 2.0,
            };
            breaker.get_or_create(&ClassLabel { class }).set(value);
        }
        show(
            "divert_breaker",
            "By class of trouble: 0 closed, 1 half-open, 2 open",
            &breaker,
        )?;
        let spent = ConstCounter::new(divert.spent_usd());
        show(
            "divert_spent_usd",
            "What the cloud lane has cost, estimated at the configured prices",
            &spent,
        )
    }
}

/// A metric whose type is told by itself.
trait Shown {
    fn show(
        &self,
        name: &str,
        help: &str,
        encoder: &mut DescriptorEncoder<'_>,
    ) -> Result<(), std::fmt::Error>;
}

impl<M: EncodeMetric> Shown for M {
    fn show(
        &self,
        name: &str,
        help: &str,
        encoder: &mut DescriptorEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        self.encode(encoder.encode_descriptor(name, help, None, self.metric_type())?)
    }
}
