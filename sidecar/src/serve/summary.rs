//! A whole valve in a few figures, for the status and for every tick of the events.

use serde::Serialize;
use spillway_core::directive::Mode;
use spillway_core::ids::{JobName, ValveName};

use super::App;
use crate::decide::{Budget, CapacityEstimate, Moment, RecordsPerSecond};
use crate::latency::Summary;
use crate::valves::Valve;

/// What all subtasks of a valve do together.
#[derive(Debug, Serialize)]
pub(crate) struct ValveSummary {
    job: JobName,
    valve: ValveName,
    /// How many subtasks have reported.
    subtasks: usize,
    mode: Mode,
    reason: String,
    /// What the local lane can take; null if that is not known.
    capacity: Option<CapacityEstimate>,
    /// Arrival over capacity.
    utilization: Option<f64>,
    /// How long the local lane alone would take for what waits at the source.
    lag_ms: Option<u64>,
    /// The budget that keeps it from diverting more.
    bound_by: Option<Budget>,
    /// What all subtasks together may keep; null: as much as they can.
    local_rate_per_s: Option<f64>,
    divert: bool,
    credits: u32,
    received_per_s: Option<f64>,
    kept_per_s: Option<f64>,
    diverted_per_s: Option<f64>,
    received: u64,
    kept: u64,
    diverted: u64,
    bounced: u64,
    late: u64,
    in_flight_batches: u64,
    /// Over the last 10 to 20 seconds.
    latency_ms: LanesMs,
}

#[derive(Debug, Serialize)]
struct LanesMs {
    local: Summary,
    cloud: Summary,
}

/// How things stand: an event `tick`.
#[derive(Debug, Serialize)]
pub(crate) struct Tick {
    time_ms: i64,
    ready: bool,
    policy_version: String,
    in_flight: i64,
    cost_usd: f64,
    usd_per_hour: Option<f64>,
    valves: Vec<ValveSummary>,
}

impl Tick {
    pub(crate) fn of(app: &App) -> Self {
        let when = app.when();
        Self {
            time_ms: when.wall_ms,
            ready: app.readiness.problems().is_empty(),
            policy_version: app.valves.policy().name(app.started_ms),
            in_flight: app.divert.in_flight(),
            cost_usd: app.spent_usd(),
            usd_per_hour: app.usd_per_hour(when.now),
            valves: summaries(app, when.now),
        }
    }
}

/// All valves.
pub(crate) fn summaries(app: &App, now: Moment) -> Vec<ValveSummary> {
    app.valves.inspect(|valves, _| {
        valves
            .iter()
            .map(|((job, name), valve)| ValveSummary::of(job, name, valve, now))
            .collect()
    })
}

impl ValveSummary {
    fn of(job: &JobName, name: &ValveName, valve: &Valve, now: Moment) -> Self {
        let state = &valve.state;
        let last = valve.last.as_ref();
        // Of those that have reported twice; unknown if none has.
        let rates = valve
            .subtasks
            .keys()
            .filter_map(|subtask| state.rates(*subtask))
            .reduce(|sum, one| (sum.0.plus(one.0), sum.1.plus(one.1), sum.2.plus(one.2)));
        let sum = |of: fn(&spillway_core::directive::Report) -> u64| {
            valve
                .subtasks
                .values()
                .map(|latest| of(&latest.report))
                .fold(0, u64::saturating_add)
        };
        let (local, cloud) = valve.recent.summaries(now);
        Self {
            job: job.clone(),
            valve: name.clone(),
            subtasks: valve.subtasks.len(),
            mode: state.mode(),
            reason: state.reason().to_owned(),
            capacity: state.capacity_estimate(now),
            utilization: state.utilization(),
            lag_ms: state
                .lag(now)
                .map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
            bound_by: last.and_then(|decision| decision.bound_by),
            local_rate_per_s: last
                .and_then(|decision| decision.local_rate)
                .map(RecordsPerSecond::get),
            divert: last.is_some_and(|decision| decision.divert),
            credits: last.map_or(0, |decision| decision.credits),
            received_per_s: rates.map(|rates| rates.0.get()),
            kept_per_s: rates.map(|rates| rates.1.get()),
            diverted_per_s: rates.map(|rates| rates.2.get()),
            received: sum(|report| report.received),
            kept: sum(|report| report.kept),
            diverted: sum(|report| report.diverted),
            bounced: sum(|report| report.bounced),
            late: sum(|report| report.late),
            in_flight_batches: sum(|report| report.in_flight_batches),
            latency_ms: LanesMs { local, cloud },
        }
    }
}
