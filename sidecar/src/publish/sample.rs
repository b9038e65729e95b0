//! What is published: counters as what they grew by since the sample before, gauges as they are.

use std::collections::BTreeMap;

use spillway_core::ids::{AttemptId, JobName, ValveName};

use super::datum::{Datum, MAX_VALUES, Unit};
use crate::decide::RecordsPerSecond;
use crate::divert::{Divert, Position};
use crate::latency::{BINS, Coarse};
use crate::valves::{Latest, Valves};

/// A dimension that metrics of a valve have.
const JOB: &str = "job";
/// The other one.
const VALVE: &str = "valve";
/// The only dimension of the cloud lane's own metrics: all valves share it.
const FUNCTION: &str = "function";

/// Each step of a latency is a value of its metric.
const _: () = assert!(BINS <= MAX_VALUES);

type Key = (JobName, ValveName, u32);

/// What was seen at the last sample.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    subtasks: BTreeMap<Key, Seen>,
    lane: Option<Lane>,
    /// Whether there was a sample before: what is new then has begun since.
    begun: bool,
}

/// A subtask's counters.
#[derive(Debug, Clone, Default)]
struct Seen {
    attempt: Option<AttemptId>,
    counters: [u64; COUNTERS.len()],
    local: Coarse,
    cloud: Coarse,
}

type Counter = (&'static str, fn(&Latest) -> u64);

const COUNTERS: [Counter; 7] = [
    ("ReceivedRecords", |latest| latest.report.received),
    ("KeptRecords", |latest| latest.report.kept),
    ("DivertedRecords", |latest| latest.report.diverted),
    ("BouncedRecords", |latest| latest.report.bounced),
    ("LateRecords", |latest| latest.report.late),
    ("SettledBatches", |latest| latest.report.settled_batches),
    ("BouncedBatches", |latest| latest.report.bounced_batches),
];

/// The cloud lane's counters.
#[derive(Debug, Clone, Copy)]
struct Lane {
    counters: [u64; LANE_COUNTERS.len()],
    spent_usd: f64,
}

type LaneCounter = (&'static str, Unit, fn(&Divert) -> u64);

const LANE_COUNTERS: [LaneCounter; 9] = [
    ("Invocations", Unit::Count, |lane| {
        lane.tally.invocations.get()
    }),
    ("ColdStarts", Unit::Count, |lane| {
        lane.tally.cold_starts.get()
    }),
    ("Throttles", Unit::Count, |lane| lane.tally.throttled.get()),
    ("Retries", Unit::Count, |lane| lane.tally.all_retries()),
    ("UnansweredAttempts", Unit::Count, |lane| {
        lane.tally.unanswered.get()
    }),
    ("FailedBatches", Unit::Count, |lane| lane.tally.all_failed()),
    ("TurnedAwayBatches", Unit::Count, |lane| {
        lane.tally.turned_away.get()
    }),
    ("BreakerOpenings", Unit::Count, |lane| lane.tally.all_shut()),
    ("PayloadBytes", Unit::Bytes, |lane| {
        lane.tally.bytes_out.get()
    }),
];

impl Sampler {
    /// Everything there is to publish now.
    pub(crate) fn sample(
        &mut self,
        valves: &Valves,
        divert: &Divert,
        function: &str,
        time_ms: i64,
    ) -> Vec<Datum> {
        let mut data = Vec::new();
        self.valves(valves, time_ms, &mut data);
        self.lane(divert, function, time_ms, &mut data);
        self.begun = true;
        data
    }

    fn valves(&mut self, valves: &Valves, time_ms: i64, data: &mut Vec<Datum>) {
        let mut now = BTreeMap::new();
        valves.inspect(|valves, _| {
            for ((job, name), valve) in valves {
                let mut growth = [0_u64; COUNTERS.len()];
                let (mut local, mut cloud) = (Coarse::default(), Coarse::default());
                let mut unsettled = 0_u64;
                let mut in_flight = 0_u64;
                for (subtask, latest) in &valve.subtasks {
                    let key = (job.clone(), name.clone(), *subtask);
                    let seen = Seen {
                        attempt: Some(latest.report.attempt),
                        counters: COUNTERS.map(|(_, read)| read(latest)),
                        local: latest.latencies.local.coarse(),
                        cloud: latest.latencies.cloud.coarse(),
                    };
                    if let Some(before) = self.before(&key, &seen) {
                        for (sum, (now, before)) in growth
                            .iter_mut()
                            .zip(seen.counters.iter().zip(before.counters))
                        {
                            *sum = sum.saturating_add(now.saturating_sub(before));
                        }
                        local.add(&seen.local.since(&before.local));
                        cloud.add(&seen.cloud.since(&before.cloud));
                    }
                    unsettled = unsettled.saturating_add(latest.report.unsettled);
                    in_flight = in_flight.saturating_add(latest.report.in_flight_batches);
                    now.insert(key, seen);
                }
                let dimensions = vec![(JOB, job.to_string()), (VALVE, name.to_string())];
                let mut add = |name, unit, values: Vec<(f64, f64)>| {
                    if !values.is_empty() {
                        let dimensions = dimensions.clone();
                        data.push(Datum {
                            name,
                            dimensions,
                            unit,
                            values,
                            time_ms,
                        });
                    }
                };
                for ((name, _), grown) in COUNTERS.iter().zip(growth) {
                    add(name, Unit::Count, once(grown as f64));
                }
                add("UnsettledRecords", Unit::Count, once(unsettled as f64));
                add("InFlightBatches", Unit::Count, once(in_flight as f64));
                if let Some(capacity) = valve.state.capacity().map(RecordsPerSecond::get) {
                    add("LocalCapacity", Unit::CountPerSecond, once(capacity));
                }
                // As in `/metrics`: 0 local, 1 armed, 2 burst.
                let mode = f64::from(valve.state.mode() as u8);
                add("Mode", Unit::None, once(mode));
                add("LocalLatency", Unit::Milliseconds, local.milliseconds());
                add("CloudLatency", Unit::Milliseconds, cloud.milliseconds());
            }
        });
        self.subtasks = now;
    }

    /// What to count a subtask's growth from; `None` if nobody knows.
    fn before(&self, key: &Key, now: &Seen) -> Option<Seen> {
        match self.subtasks.get(key) {
            Some(before) if before.attempt == now.attempt => Some(before.clone()),
            // A new attempt counts from nothing, and so does a subtask that came up while we watched; its
            // latencies are added up over attempts.
            Some(before) => Some(Seen {
                counters: [0; COUNTERS.len()],
                ..before.clone()
            }),
            None => self.begun.then(Seen::default),
        }
    }

    fn lane(&mut self, divert: &Divert, function: &str, time_ms: i64, data: &mut Vec<Datum>) {
        let now = Lane {
            counters: LANE_COUNTERS.map(|(_, _, read)| read(divert)),
            spent_usd: divert.spent_usd(),
        };
        // The lane's counters began with this process, and so did we.
        let before = self.lane.replace(now).unwrap_or(Lane {
            counters: [0; LANE_COUNTERS.len()],
            spent_usd: 0.0,
        });
        let mut add = |name, unit, value: f64| {
            data.push(Datum {
                name,
                dimensions: vec![(FUNCTION, function.to_owned())],
                unit,
                values: once(value),
                time_ms,
            });
        };
        for ((name, unit, _), (now, before)) in LANE_COUNTERS
            .iter()
            .zip(now.counters.iter().zip(before.counters))
        {
            add(name, *unit, now.saturating_sub(before) as f64);
        }
        let spent = (now.spent_usd - before.spent_usd).max(0.0);
        add("SpentUSD", Unit::None, spent);
        let health = divert.health();
        let limit = f64::from(health.concurrency_limit);
        add("ConcurrencyLimit", Unit::Count, limit);
        let open = health
            .breakers
            .iter()
            .filter(|circuit| circuit.position != Position::Closed);
        add("OpenBreakers", Unit::Count, open.count() as f64);
    }
}

fn once(value: f64) -> Vec<(f64, f64)> {
    vec![(value, 1.0)]
}
