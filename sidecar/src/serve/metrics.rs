//! `GET /metrics`, in the `OpenMetrics` text format.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};
use spillway_core::ids::{JobName, ValveName};

use super::App;
use super::problem::Problem;
use crate::config;
use crate::decide::Budget;
use crate::observe::PolicyInForce;
use crate::valves::{Latest, Valve, Valves};

/// Counters of the server itself.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) reports: Counter,
    pub(crate) malformed_reports: Counter,
    pub(crate) malformed_batches: Counter,
    pub(crate) unauthorized: Counter,
    pub(crate) misdirected: Counter,
    pub(crate) stuck_connections: Counter,
    pub(crate) looks: Counter,
    pub(crate) look_requests: Counter,
    pub(crate) blind_looks: Counter,
}

impl Counters {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("reports", "Reports taken in", self.reports.clone());
        registry.register(
            "malformed_reports",
            "Reports answered 422",
            self.malformed_reports.clone(),
        );
        registry.register(
            "malformed_batches",
            "Batches answered 422",
            self.malformed_batches.clone(),
        );
        registry.register(
            "unauthorized_requests",
            "Requests answered 401",
            self.unauthorized.clone(),
        );
        registry.register(
            "misdirected_requests",
            "Requests answered 421",
            self.misdirected.clone(),
        );
        registry.register(
            "stuck_connections",
            "Connections ended because their client did not read",
            self.stuck_connections.clone(),
        );
        registry.register(
            "sensor_looks",
            "Looks at the watched job",
            self.looks.clone(),
        );
        registry.register(
            "sensor_requests",
            "Requests to Flink's REST interface that these looks took",
            self.look_requests.clone(),
        );
        registry.register(
            "sensor_blind_looks",
            "Looks that could not see the job, because what is looked through did not answer",
            self.blind_looks.clone(),
        );
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OneSubtask {
    job: String,
    valve: String,
    subtask: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WholeValve {
    job: String,
    valve: String,
}

/// Reads the valves' state when it is asked for, so that nothing has to be kept up to date.
#[derive(Debug)]
pub(crate) struct ValveCollector(pub(crate) Weak<Valves>);

impl std::fmt::Debug for Valves {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Valves").finish_non_exhaustive()
    }
}

type Whole = fn(&Latest) -> u64;

impl Collector for ValveCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(valves) = self.0.upgrade() else {
            return Ok(());
        };
        let counters: [(&str, &str, Whole); 7] = [
            (
                "received_records",
                "Records that the source handed over",
                |latest| latest.report.received,
            ),
            ("kept_records", "Records kept in the local lane", |latest| {
                latest.report.kept
            }),
            (
                "diverted_records",
                "Records settled with a receipt",
                |latest| latest.report.diverted,
            ),
            (
                "bounced_records",
                "Records that came back from the cloud lane",
                |latest| latest.report.bounced,
            ),
            (
                "late_records",
                "Records whose window was closed",
                |latest| latest.report.late,
            ),
            (
                "settled_batches",
                "Batches settled with a receipt",
                |latest| latest.report.settled_batches,
            ),
            ("bounced_batches", "Batches that came back", |latest| {
                latest.report.bounced_batches
            }),
        ];
        let policy = valves.policy();
        valves.inspect(|valves, _| {
            for (name, help, read) in counters {
                let family = Family::<OneSubtask, Counter>::default();
                for ((job, valve), known) in valves {
                    for (subtask, latest) in &known.subtasks {
                        let labels = OneSubtask {
                            job: job.to_string(),
                            valve: valve.to_string(),
                            subtask: *subtask,
                        };
                        family.get_or_create(&labels).inc_by(read(latest));
                    }
                }
                let name = format!("valve_{name}");
                family.encode(encoder.encode_descriptor(
                    &name,
                    help,
                    None,
                    family_type(&family),
                )?)?;
            }
            encode_whole(&mut encoder, valves)?;
            encode_policy(&mut encoder, &policy)
        })
    }
}

/// What each valve is about as a whole.
fn encode_whole(
    encoder: &mut DescriptorEncoder<'_>,
    valves: &BTreeMap<(JobName, ValveName), Valve>,
) -> Result<(), std::fmt::Error> {
    let (capacity, low, high) = (Rates::default(), Rates::default(), Rates::default());
    let (arrival, local_rate) = (Rates::default(), Rates::default());
    let mode = Family::<WholeValve, Gauge>::default();
    let credits = Family::<WholeValve, Gauge>::default();
    let bound = Family::<BudgetOf, Gauge>::default();
    for ((job, valve), known) in valves {
        let labels = WholeValve {
            job: job.to_string(),
            valve: valve.to_string(),
        };
        for (family, rate) in [
            (&arrival, Some(known.state.arrival())),
            (
                &local_rate,
                known.last.as_ref().and_then(|last| last.local_rate),
            ),
            (&capacity, known.state.capacity()),
            (&low, known.last_capacity().map(|capacity| capacity.low)),
            (&high, known.last_capacity().map(|capacity| capacity.high)),
        ] {
            if let Some(rate) = rate {
                family.get_or_create(&labels).set(rate.get());
            }
        }
        if let Some(last) = &known.last {
            credits.get_or_create(&labels).set(i64::from(last.credits));
            for (budget, name) in BUDGETS {
                let labels = BudgetOf {
                    job: job.to_string(),
                    valve: valve.to_string(),
                    budget: name,
                };
                let held = last.bound_by == Some(budget);
                bound.get_or_create(&labels).set(i64::from(held));
            }
        }
        mode.get_or_create(&labels).set(known.state.mode() as i64);
    }
    for (name, help, family) in [
        ("arrival", "What arrives at all subtasks", &arrival),
        (
            "local_rate",
            "What all subtasks may keep; absent: as much as they can",
            &local_rate,
        ),
        (
            "capacity",
            "Estimated capacity of the local lane",
            &capacity,
        ),
        (
            "capacity_low",
            "The capacity is hardly less than this",
            &low,
        ),
        (
            "capacity_high",
            "The capacity is hardly more than this",
            &high,
        ),
    ] {
        let name = format!("{name}_records_per_second");
        let descriptor = encoder.encode_descriptor(&name, help, None, family_type(family))?;
        family.encode(descriptor)?;
    }
    let help = "Batches that all subtasks may have in the cloud";
    credits.encode(encoder.encode_descriptor("credits", help, None, family_type(&credits))?)?;
    let help = "1 if this budget keeps the valve from diverting more";
    bound.encode(encoder.encode_descriptor(
        "budget_exhausted",
        help,
        None,
        family_type(&bound),
    )?)?;
    let help = "0 local, 1 armed, 2 burst";
    mode.encode(encoder.encode_descriptor("mode", help, None, family_type(&mode))?)
}

/// Records per second of each valve.
type Rates = Family<WholeValve, Gauge<f64, AtomicU64>>;

/// The budgets, by their label.
const BUDGETS: [(Budget, &str); 3] = [
    (Budget::Concurrency, "concurrency"),
    (Budget::Spend, "spend"),
    (Budget::Share, "share"),
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BudgetOf {
    job: String,
    valve: String,
    budget: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Threshold {
    key: String,
}

/// The policy's version, and those of its keys that are numbers.
fn encode_policy(
    encoder: &mut DescriptorEncoder<'_>,
    policy: &PolicyInForce,
) -> Result<(), std::fmt::Error> {
    let version = ConstGauge::new(i64::try_from(policy.version).unwrap_or(i64::MAX));
    let help = "How often the policy was changed since the start, plus 1";
    version.encode(encoder.encode_descriptor(
        "policy_version",
        help,
        None,
        version.metric_type(),
    )?)?;
    let keys = Family::<Threshold, Gauge<f64, AtomicU64>>::default();
    for (key, value) in config::keys_of(&policy.policy) {
        if let Some(value) = value.as_f64() {
            keys.get_or_create(&Threshold { key }).set(value);
        }
    }
    let help = "A number of the policy in force, by its key";
    keys.encode(encoder.encode_descriptor("policy", help, None, family_type(&keys))?)
}

fn family_type<M: prometheus_client::encoding::EncodeMetric>(
    metric: &M,
) -> prometheus_client::metrics::MetricType {
    metric.metric_type()
}

/// The process' own figures, as far as `/proc` has them.
pub(crate) fn register_build(registry: &mut Registry) {
    let build = Family::<BuildLabel, Gauge>::default();
    build
        .get_or_create(&BuildLabel {
            version: env!("CARGO_PKG_VERSION"),
        })
        .set(1);
    registry.register_with_unit(
        "build",
        "What is running",
        Unit::Other("info".into()),
        build,
    );
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabel {
    version: &'static str,
}

pub(crate) async fn get(State(app): State<Arc<App>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &app.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => {
            let detail = format!("the metrics cannot be written: {error}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "metrics", detail).into_response()
        }
    }
}
