//! A tiny lane to drive the controller in tests: a source, a valve with a token bucket, a bounded buffer
//! and a worker that shares one processor with the diverting.

use std::time::Duration;

use spillway_core::directive::{Directive, Mode};

use super::super::*;

/// One step of the simulation.
const STEP_MS: u64 = 5;
/// Records that fit into the local lane's buffers.
const BUFFER: f64 = 6_000.0;
/// Share of its processor that the worker spends anyway.
const FIXED: f64 = 0.3;
/// Depth of the valve's token bucket, in seconds.
const DEPTH_S: f64 = 0.05;

/// What a run showed.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Mode changes: when (ms), to what, why.
    pub(super) modes: Vec<(u64, Mode, String)>,
    /// When the first record was diverted, and the last one.
    pub(super) first_diverted_ms: Option<u64>,
    pub(super) last_diverted_ms: Option<u64>,
    pub(super) received: f64,
    pub(super) kept: f64,
    pub(super) diverted: f64,
    /// The longest that a record waited at the source, in ms.
    pub(super) worst_wait_ms: f64,
}

/// A simulated job with one valve subtask.
pub(super) struct Lane {
    pub(super) policy: Policy,
    pub(super) state: State,
    /// Records per second that the lane takes when it has the processor to itself.
    pub(super) capacity: f64,
    /// Share of the processor that diverting one record costs, relative to processing it locally.
    pub(super) divert_cost: f64,
    /// Share of the processor that is taken by something else than records.
    pub(super) elsewhere: f64,
    /// Whether the engine's metrics can be read.
    pub(super) sensor: bool,
    /// Whether the source tells how many records are pending.
    pub(super) tells_pending: bool,
    /// The most that the source hands over, in records per second.
    pub(super) source_rate: f64,
    /// What diverting a record costs.
    pub(super) usd_per_record: f64,
    pub(super) report_ms: u64,
    pub(super) attempt: &'static str,
    pub(super) now_ms: u64,
    sequence: u64,
    directive: Option<Directive>,
    tokens: f64,
    backlog: f64,
    buffer: f64,
    received: f64,
    kept: f64,
    diverted: f64,
    unavailable_ms: u64,
    busy_ms: f64,
    sensed: (u64, f64),
    last: Option<Decision>,
}

impl Lane {
    pub(super) fn new(capacity: f64) -> Self {
        let policy = Policy::default();
        let state = State::default();
        let open = Observation::Cloud(CloudLane::Open { credits: 24 });
        let (state, _) = decide(&policy, state, &open, Moment::default());
        Self {
            policy,
            state,
            capacity,
            divert_cost: 0.0,
            elsewhere: 0.0,
            sensor: true,
            tells_pending: false,
            source_rate: f64::INFINITY,
            usd_per_record: 0.0,
            report_ms: 100,
            attempt: "00000000000000aa",
            now_ms: 0,
            sequence: 0,
            directive: None,
            tokens: 0.0,
            backlog: 0.0,
            buffer: 0.0,
            received: 0.0,
            kept: 0.0,
            diverted: 0.0,
            unavailable_ms: 0,
            busy_ms: 0.0,
            sensed: (0, 0.0),
            last: None,
        }
    }

    /// The local rate of the directive in force; 0 without one.
    pub(super) fn local_rate(&self) -> f64 {
        let directive = self.directive.as_ref();
        directive
            .and_then(|directive| directive.local_rate)
            .unwrap_or_default()
    }

    /// The last decision.
    pub(super) fn last(&self) -> &Decision {
        self.last.as_ref().unwrap()
    }

    /// What waits at the source, in records.
    pub(super) fn backlog(&self) -> f64 {
        self.backlog
    }

    /// So many records wait at the source all of a sudden.
    pub(super) fn fall_behind(&mut self, records: f64) {
        self.backlog += records;
    }

    /// Restarts the job: another attempt, counters from zero.
    pub(super) fn restart(&mut self, attempt: &'static str) {
        self.attempt = attempt;
        self.sequence = 0;
        self.directive = None;
        (self.received, self.kept, self.diverted) = (0.0, 0.0, 0.0);
        self.unavailable_ms = 0;
        self.buffer = 0.0;
    }

    /// Runs for `for_ms` with `rate(ms since the start of this run)` records per second arriving.
    pub(super) fn run(&mut self, for_ms: u64, rate: impl Fn(u64) -> f64) -> Seen {
        let mut seen = Seen::default();
        for step in 0..for_ms / STEP_MS {
            self.flow(rate(step * STEP_MS), &mut seen);
            self.now_ms += STEP_MS;
            if self.now_ms.is_multiple_of(self.report_ms) {
                self.report(&mut seen);
            }
            if self.sensor && self.now_ms.is_multiple_of(200) {
                self.sense(&mut seen);
            }
        }
        seen
    }

    fn flow(&mut self, rate: f64, seen: &mut Seen) {
        let span = STEP_MS as f64 / 1e3;
        let arriving = rate * span;
        seen.received += arriving;
        self.backlog += arriving;
        let (divert, local_rate) = match &self.directive {
            Some(directive) if directive.divert && directive.credits > 0 => {
                (true, directive.local_rate)
            }
            _ => (false, None),
        };
        let room = BUFFER - self.buffer;
        let offered = self.backlog.min(self.source_rate * span);
        let allowed = match local_rate {
            Some(rate) => {
                self.tokens = (self.tokens + rate * span).min((rate * DEPTH_S).max(rate * span));
                self.tokens
            }
            None => f64::INFINITY,
        };
        let keep = offered.min(room).min(allowed);
        if offered.min(allowed) > room {
            self.unavailable_ms += STEP_MS;
        }
        self.tokens = (self.tokens - keep).max(0.0);
        self.backlog -= keep;
        let over = if divert { offered - keep } else { 0.0 };
        self.backlog -= over;
        self.buffer += keep;
        // What diverting takes of the processor, the lane does not get; it is scheduled fairly, though.
        let divert_share = (over * self.divert_cost / (self.capacity * span)).min(0.6);
        let worked = self.buffer.min(self.capacity * span * (1.0 - divert_share));
        self.buffer -= worked;
        self.busy_ms += STEP_MS as f64 * (worked / (self.capacity * span) + divert_share);
        self.received += keep + over;
        self.kept += keep;
        seen.kept += keep;
        self.diverted += over;
        if over > 1.0 {
            seen.first_diverted_ms.get_or_insert(self.now_ms);
            seen.last_diverted_ms = Some(self.now_ms);
            seen.diverted += over;
        }
        let drain = self.capacity.max(1.0);
        seen.worst_wait_ms = seen
            .worst_wait_ms
            .max((self.backlog + self.buffer) / drain * 1e3);
    }

    fn report(&mut self, seen: &mut Seen) {
        let reading = Reading {
            attempt: self.attempt.parse().unwrap(),
            sequence: self.sequence,
            parallelism: 1,
            time_ms: i64::try_from(self.now_ms).unwrap(),
            received: whole(self.received),
            to_local: whole(self.kept),
            to_cloud: whole(self.diverted),
            in_flight_batches: 0,
            unavailable_ms: self.unavailable_ms,
        };
        self.sequence += 1;
        if self.usd_per_record > 0.0 {
            let usd = Usd::new(self.diverted * self.usd_per_record);
            self.tell(&Observation::Spent { usd }, seen);
        }
        let decision = self.tell(
            &Observation::Report {
                subtask: 0,
                reading,
            },
            seen,
        );
        self.directive = decision.directive;
    }

    fn sense(&mut self, seen: &mut Seen) {
        let (at, busy) = self.sensed;
        let span = (self.now_ms - at) as f64;
        self.sensed = (self.now_ms, self.busy_ms);
        let load = LaneLoad {
            worker_cpu: Some(Share::new(
                (FIXED + (1.0 - FIXED) * (self.busy_ms - busy) / span + self.elsewhere).min(1.0),
            )),
            window: Duration::from_millis(self.now_ms - at),
            worker_cpu_window: Duration::from_millis(self.now_ms - at),
            worker_cores: Some(1),
            pending_records: self.tells_pending.then(|| whole(self.backlog)),
            ..LaneLoad::default()
        };
        self.tell(&Observation::Lane(load.clone()), seen);
    }

    pub(super) fn tell(&mut self, observation: &Observation, seen: &mut Seen) -> Decision {
        let now = Moment::at(Duration::from_millis(self.now_ms));
        let (state, decision) = decide(&self.policy, self.state.clone(), observation, now);
        self.state = state;
        self.last = Some(decision.clone());
        if decision.mode_changed {
            seen.modes
                .push((self.now_ms, decision.mode, decision.reason.clone()));
        }
        decision
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(records: f64) -> u64 {
    records as u64
}
