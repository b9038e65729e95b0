//! `GET /v1/status`: everything at a glance.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use spillway_core::directive::{Directive, Mode};
use spillway_core::ids::{AttemptId, JobName, ValveName};

use super::App;
use super::summary::{ValveSummary, summaries};
use crate::decide::{CloudLane, PolicyMode, RecordsPerSecond};
use crate::divert::{Health, cost};
use crate::latency::Summary;
use crate::sense::JobSeen;
use crate::valves::{Latest, ModeChange, Valve};

#[derive(Serialize)]
pub(crate) struct Status {
    version: &'static str,
    /// The sidecar's wall clock, for ages of what has a time.
    time_ms: i64,
    uptime_ms: u64,
    problems: BTreeMap<&'static str, String>,
    policy: PolicyStatus,
    mode: Mode,
    reason: String,
    job: JobSeen,
    capacity_per_s: Option<f64>,
    /// Whole valves.
    totals: Vec<ValveSummary>,
    /// Their subtasks.
    valves: Vec<SubtaskStatus>,
    cloud: CloudStatus,
    divert: DivertStatus,
    function: FunctionStatus,
    cost_usd: Cost,
    modes: VecDeque<ModeChange>,
}

/// The policy in force, in short; `GET /v1/policy` has all of it.
#[derive(Serialize)]
struct PolicyStatus {
    version: String,
    changed_ms: Option<i64>,
    mode: PolicyMode,
    max_usd_per_hour: Option<f64>,
}

/// Whether the cloud lane takes batches.
#[derive(Serialize)]
struct CloudStatus {
    open: bool,
    credits: u32,
    reason: Option<String>,
}

impl From<CloudLane> for CloudStatus {
    fn from(lane: CloudLane) -> Self {
        let (open, credits, reason) = match lane {
            CloudLane::Open { credits } => (true, credits, None),
            CloudLane::Closed { reason } => (false, 0, Some(reason)),
        };
        Self {
            open,
            credits,
            reason,
        }
    }
}

#[derive(Serialize)]
struct SubtaskStatus {
    job: JobName,
    valve: ValveName,
    subtask: u32,
    attempt: AttemptId,
    time_ms: i64,
    received: u64,
    kept: u64,
    diverted: u64,
    bounced: u64,
    late: u64,
    unsettled: u64,
    in_flight_batches: u64,
    local_unavailable_ms: u64,
    received_per_s: Option<f64>,
    kept_per_s: Option<f64>,
    diverted_per_s: Option<f64>,
    directive: Directive,
    first_diverted_ms: Option<i64>,
    last_diverted_ms: Option<i64>,
    latency_ms: LatencyMs,
}

#[derive(Serialize)]
struct LatencyMs {
    local: Summary,
    cloud: Summary,
    unreadable: u64,
}

#[derive(Serialize)]
struct DivertStatus {
    batches: u64,
    failed: u64,
    turned_away: u64,
    retries: u64,
    throttled: u64,
    in_flight: i64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    bytes_in: u64,
    bytes_out: u64,
    unanswered: u64,
    second_attempts: u64,
    useful_second_attempts: u64,
    shut: u64,
    #[serde(flatten)]
    health: Health,
}

#[derive(Serialize)]
struct FunctionStatus {
    invocations: u64,
    cold_starts: u64,
    init_ms: Option<f64>,
    ns_per_record: Option<f64>,
    billed_ms: u64,
    records: u64,
}

#[derive(Serialize)]
struct Cost {
    lambda: f64,
    s3_puts: f64,
    /// All of it, attempts without an answer included.
    total: f64,
    /// At the pace of the last minute; null in the first seconds.
    per_hour: Option<f64>,
}

pub(crate) async fn get(State(app): State<Arc<App>>) -> Json<Status> {
    Json(Status::of(&app))
}

impl Status {
    fn of(app: &App) -> Self {
        let when = app.when();
        let policy = app.valves.policy();
        let tally = &app.divert.tally;
        let (valves, modes, (mode, reason, capacity)) = app.valves.inspect(|valves, modes| {
            let subtasks = valves
                .iter()
                .flat_map(|((job, name), valve)| {
                    valve.subtasks.iter().map(move |(subtask, latest)| {
                        SubtaskStatus::of(job, name, *subtask, valve, latest)
                    })
                })
                .collect();
            (subtasks, modes.clone(), headline(valves.values()))
        });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            time_ms: when.wall_ms,
            uptime_ms: u64::try_from(when.now.elapsed().as_millis()).unwrap_or(u64::MAX),
            problems: app.readiness.problems(),
            policy: PolicyStatus {
                version: policy.name(app.started_ms),
                changed_ms: policy.changed_ms,
                mode: policy.policy.mode,
                max_usd_per_hour: policy.policy.max_usd_per_hour,
            },
            mode,
            reason,
            job: app
                .job
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .clone(),
            capacity_per_s: capacity,
            totals: summaries(app, when.now),
            valves,
            cloud: app.divert.lane().into(),
            divert: DivertStatus {
                batches: tally.batches.get(),
                failed: tally.all_failed(),
                turned_away: tally.turned_away.get(),
                retries: tally.all_retries(),
                throttled: tally.throttled.get(),
                in_flight: tally.in_flight.get(),
                p50_ms: tally.took_ms(0.5),
                p99_ms: tally.took_ms(0.99),
                bytes_in: tally.bytes_in.get(),
                bytes_out: tally.bytes_out.get(),
                unanswered: tally.unanswered.get(),
                second_attempts: tally.second_attempts.get(),
                useful_second_attempts: tally.second_attempts_useful.get(),
                shut: tally.all_shut(),
                health: app.divert.health(),
            },
            function: FunctionStatus {
                invocations: tally.invocations.get(),
                cold_starts: tally.cold_starts.get(),
                init_ms: tally.init_ms(),
                ns_per_record: tally.ns_per_record(),
                billed_ms: tally.billed_ms.get(),
                records: tally.records.get(),
            },
            cost_usd: Cost {
                lambda: cost::lambda_usd(
                    &app.prices,
                    tally.billed_ms.get(),
                    tally.invocations.get(),
                ),
                s3_puts: cost::puts_usd(&app.prices, tally.invocations.get()),
                total: app.spent_usd(),
                per_hour: app.usd_per_hour(when.now),
            },
            modes,
        }
    }
}

/// Mode, reason and capacity of the busiest valve: one that diverts, else one that could.
fn headline<'a>(valves: impl Iterator<Item = &'a Valve>) -> (Mode, String, Option<f64>) {
    let rank = |mode| match mode {
        Mode::Local => 0,
        Mode::Armed => 1,
        Mode::Burst => 2,
    };
    valves
        .max_by_key(|valve| rank(valve.state.mode()))
        .map_or_else(
            || (Mode::Local, "no valve has reported yet".into(), None),
            |valve| {
                let capacity = valve.state.capacity().map(RecordsPerSecond::get);
                (
                    valve.state.mode(),
                    valve.state.reason().to_owned(),
                    capacity,
                )
            },
        )
}

impl SubtaskStatus {
    fn of(job: &JobName, name: &ValveName, subtask: u32, valve: &Valve, latest: &Latest) -> Self {
        let report = &latest.report;
        let rates = valve.state.rates(subtask);
        Self {
            job: job.clone(),
            valve: name.clone(),
            subtask,
            attempt: report.attempt,
            time_ms: report.time_ms,
            received: report.received,
            kept: report.kept,
            diverted: report.diverted,
            bounced: report.bounced,
            late: report.late,
            unsettled: report.unsettled,
            in_flight_batches: report.in_flight_batches,
            local_unavailable_ms: report.local_unavailable_ms,
            received_per_s: rates.map(|(received, _, _)| received.get()),
            kept_per_s: rates.map(|(_, kept, _)| kept.get()),
            diverted_per_s: rates.map(|(_, _, diverted)| diverted.get()),
            directive: latest.directive.clone(),
            first_diverted_ms: report.first_diverted_ms,
            last_diverted_ms: report.last_diverted_ms,
            latency_ms: LatencyMs {
                local: latest.latencies.local.summary(),
                cloud: latest.latencies.cloud.summary(),
                unreadable: latest.latencies.unreadable,
            },
        }
    }
}
