//! Runs job, valve, cloud and sensor through virtual time, a millisecond a step, steered by the controller
//! that steers real jobs.

use std::time::Duration;

use spillway_core::directive::Directive;

use super::cloud::{Cloud, Event};
use super::curve::Cursor;
use super::lane::{Lane, Now};
use super::model::Lane as LaneModel;
use super::noise::Noise;
use super::outcome::{ModeChange, Outcome};
use super::queue::{NOTHING, Queue};
use super::record::Recorder;
use super::setup::{Restart, Setup, shares};
use super::valve::{Batch, Valve, arrive};
use super::watch::{Counters, Watch};
use crate::decide::{Decision, Moment, Observation, Reading, RecordsPerSecond, State, Usd, decide};

/// From a report to its directive being in force: a request on one machine.
const CONTROL_MS: u64 = 2;
/// How long a run goes on after its load has ended, until everything is processed.
const DRAIN_MS: u64 = 300_000;

/// Runs a simulation to its end. The same setup always shows the same.
pub fn run(setup: &Setup<'_>) -> Outcome {
    let mut engine = Engine::new(setup);
    let end = setup.load.rate.duration_ms();
    while engine.now_ms < end {
        engine.tick();
    }
    while engine.now_ms < end + DRAIN_MS && !engine.is_empty() {
        engine.tick();
    }
    engine.finish()
}

struct Engine<'a> {
    setup: &'a Setup<'a>,
    lane_model: LaneModel,
    shares: Vec<f64>,
    valves: Vec<Valve>,
    lane: Lane,
    cloud: Cloud<'a>,
    watch: Watch,
    state: State,
    recorder: Recorder,
    noise: Noise,
    arrival_factor: f64,
    rate: Cursor<'a>,
    capacity_factor: Cursor<'a>,
    now_ms: u64,
    attempt: u64,
    sequence: Vec<u64>,
    /// Directives on their way: when they arrive, to whom.
    directives: Vec<(u64, usize, Directive)>,
    checkpoint_ms: u64,
    down_until_ms: u64,
    restarts: usize,
    decisions: u64,
}

impl<'a> Engine<'a> {
    fn new(setup: &'a Setup<'a>) -> Self {
        let lane_model = setup.model.lane.clone();
        let subtasks = lane_model.subtasks as usize;
        Self {
            shares: shares(&setup.load.shares, subtasks),
            valves: (0..subtasks).map(|_| Valve::default()).collect(),
            lane: Lane::new(&lane_model, subtasks, 0, setup.seed),
            cloud: Cloud::new(
                &setup.model.cloud,
                setup.divert,
                setup.prices,
                &setup.model.valve,
            ),
            watch: Watch::default(),
            state: State::default(),
            recorder: Recorder::new(setup),
            noise: Noise::new(setup.seed ^ 0x5eed),
            arrival_factor: 1.0,
            rate: setup.load.rate.cursor(),
            capacity_factor: setup.model.lane.capacity_factor.cursor(),
            now_ms: 0,
            attempt: 1,
            sequence: vec![0; subtasks],
            directives: Vec::new(),
            checkpoint_ms: 0,
            down_until_ms: 0,
            restarts: 0,
            decisions: 0,
            lane_model,
            setup,
        }
    }

    fn tick(&mut self) {
        let now = self.now_ms;
        if let Some(restart) = self.setup.restarts.get(self.restarts)
            && now >= restart.at_ms
        {
            self.restarts += 1;
            self.restart(restart);
        }
        self.arrive();
        if now >= self.down_until_ms {
            self.work();
        }
        let mut events = Vec::new();
        self.cloud.tick(now, &mut events);
        for event in events {
            self.answered(event);
        }
        if now >= self.down_until_ms {
            self.report();
        }
        self.sense();
        self.recorder
            .tick(now, &self.valves, &self.lane, self.cloud.spent_usd());
        self.now_ms += 1;
    }

    fn arrive(&mut self) {
        let now = self.now_ms;
        if now >= self.setup.load.rate.duration_ms() {
            return;
        }
        if self.setup.load.jitter > 0.0 && now.is_multiple_of(10) {
            let factor = 1.0 + self.setup.load.jitter * self.noise.bell();
            self.arrival_factor = factor.max(0.0);
        }
        let records = self.rate.at(now) / 1e3 * self.arrival_factor;
        self.recorder.due(now, records);
        for (valve, share) in self.valves.iter_mut().zip(&self.shares) {
            arrive(valve, now, records * share);
        }
    }

    fn work(&mut self) {
        let now = self.now_ms;
        let model = self.setup.model;
        let mut arrived = Vec::new();
        self.directives.retain(|(at, subtask, directive)| {
            let due = *at <= now;
            if due {
                arrived.push((*subtask, directive.clone()));
            }
            !due
        });
        for (subtask, directive) in arrived {
            self.valves[subtask].direct(directive, now);
        }
        for valve in &mut self.valves {
            valve.tick(self.lane_model.buffer_records);
        }
        if every(now, self.lane_model.window) {
            self.lane.fire(&self.lane_model);
        }
        let capacity = self.lane_model.capacity * self.capacity_factor.at(now).max(1e-3);
        let mut sealed: Vec<Batch> = Vec::new();
        let recorder = &mut self.recorder;
        let millisecond = Now {
            model: &self.lane_model,
            options: &model.valve,
            capacity,
            ms: now,
        };
        self.lane.tick(
            millisecond,
            &mut self.valves,
            &mut sealed,
            &mut |due_ms, records| recorder.local(due_ms, now, records),
        );
        for (subtask, valve) in self.valves.iter_mut().enumerate() {
            if let Some(content) = valve.linger(now, &model.valve) {
                sealed.push(Batch {
                    subtask,
                    content,
                    sealed_ms: now,
                });
            }
        }
        for batch in sealed {
            self.cloud.send(batch, now);
        }
        if every(now, self.lane_model.checkpoint) {
            self.checkpoint_ms = now;
            self.valves.iter_mut().for_each(Valve::checkpoint);
        }
    }

    fn answered(&mut self, event: Event) {
        match event {
            Event::Settled { subtask, content } => {
                for drop in content.iter() {
                    self.recorder.cloud(drop.due_ms, self.now_ms, drop.records);
                }
                self.valves[subtask].settled();
            }
            Event::Bounced {
                subtask,
                mut content,
            } => self.valves[subtask].bounced(&mut content),
        }
    }

    fn report(&mut self) {
        let now = self.now_ms;
        let interval = millis(self.setup.model.valve.report).max(1);
        let count = self.valves.len() as u64;
        for subtask in 0..self.valves.len() {
            // Subtasks do not report at the same moment.
            let offset = subtask as u64 * interval / count;
            if now % interval != offset {
                continue;
            }
            let reading = self.reading(subtask);
            self.sequence[subtask] += 1;
            self.tell(&Observation::Cloud(self.cloud.lane(now)));
            self.tell(&Observation::Spent {
                usd: Usd::new(self.cloud.spent_usd()),
            });
            let number = u32::try_from(subtask).unwrap_or(u32::MAX);
            let decision = self.tell(&Observation::Report {
                subtask: number,
                reading,
            });
            if let Some(directive) = decision.directive {
                self.directives.push((now + CONTROL_MS, subtask, directive));
            }
        }
    }

    fn reading(&self, subtask: usize) -> Reading {
        let valve = &self.valves[subtask];
        let counters = valve.counters;
        Reading {
            attempt: attempt(self.attempt),
            sequence: self.sequence[subtask],
            parallelism: self.lane_model.subtasks,
            time_ms: i64::try_from(self.now_ms).unwrap_or(i64::MAX),
            received: whole(counters.received),
            to_local: whole(counters.to_local),
            to_cloud: whole(counters.to_cloud),
            in_flight_batches: u64::from(valve.unsettled),
            unavailable_ms: whole(counters.unavailable_ms),
        }
    }

    fn sense(&mut self) {
        let now = self.now_ms;
        let sensor = &self.setup.model.sensor;
        if !every(now, sensor.poll) || now < self.down_until_ms {
            return;
        }
        let (used, busy_ms) = self.lane.used_ms();
        let blocked = self.valves.iter().map(|valve| valve.counters.blocked_ms);
        let counters = Counters {
            at_ms: now,
            blocked_ms: blocked.fold(0.0, f64::max),
            busy_ms,
            used_ms: used.map(|ms| ms / self.lane_model.cores).collect(),
        };
        if let Some(load) = self.watch.look(sensor, now, counters) {
            self.tell(&Observation::Lane(load));
        }
    }

    fn tell(&mut self, observation: &Observation) -> Decision {
        let now = Moment::at(Duration::from_millis(self.now_ms));
        let state = std::mem::take(&mut self.state);
        let (state, decision) = decide(self.setup.policy, state, observation, now);
        self.state = state;
        self.decisions += 1;
        if decision.mode_changed {
            self.recorder.mode(ModeChange {
                offset_ms: self.now_ms,
                mode: decision.mode,
                reason: decision.reason.clone(),
            });
        }
        decision
    }

    fn restart(&mut self, restart: &Restart) {
        let mut lost: Vec<Queue> = self.valves.iter().map(|_| Queue::default()).collect();
        self.cloud.abandon(self.checkpoint_ms, |subtask, content| {
            content.iter().for_each(|drop| lost[subtask].push(*drop));
        });
        let mut again: Vec<Valve> = Vec::new();
        for (valve, mut lost) in self.valves.iter_mut().zip(lost) {
            let mut fresh = valve.restart();
            lost.pour(&mut fresh.backlog);
            fresh.backlog = lost;
            again.push(fresh);
        }
        self.lane_model.subtasks = restart.subtasks.unwrap_or(self.lane_model.subtasks);
        self.lane_model.workers = restart.workers.unwrap_or(self.lane_model.workers);
        self.lane_model.capacity = restart.capacity.unwrap_or(self.lane_model.capacity);
        let subtasks = self.lane_model.subtasks as usize;
        if subtasks != again.len() {
            let mut valves: Vec<Valve> = (0..subtasks).map(|_| Valve::default()).collect();
            for (index, valve) in again.iter_mut().enumerate() {
                valves[index % subtasks].backlog.pour(&mut valve.backlog);
            }
            again = valves;
            self.shares = shares(&self.setup.load.shares, subtasks);
        }
        self.valves = again;
        self.recorder.attempt();
        self.sequence = vec![0; subtasks];
        self.attempt += 1;
        self.directives.clear();
        self.watch = Watch::default();
        self.down_until_ms = self.now_ms + restart.down_ms;
        let seed = self.setup.seed ^ self.attempt;
        self.lane = Lane::new(&self.lane_model, subtasks, self.down_until_ms, seed);
    }

    fn is_empty(&self) -> bool {
        self.cloud.is_empty()
            && self.valves.iter().all(|valve| {
                valve.backlog.records() + valve.held() + valve.buffered
                    <= self.valves.len() as f64 * NOTHING
            })
    }

    fn finish(mut self) -> Outcome {
        // What is still waiting, wherever it is, has waited at least so long.
        let now = self.now_ms;
        for valve in &self.valves {
            for drop in valve.for_the_lane() {
                self.recorder.local(drop.due_ms, now, drop.records);
            }
            for drop in valve.for_the_cloud() {
                self.recorder.cloud(drop.due_ms, now, drop.records);
            }
        }
        for drop in self.lane.waiting() {
            self.recorder.local(drop.due_ms, now, drop.records);
        }
        for drop in self.cloud.waiting() {
            self.recorder.cloud(drop.due_ms, now, drop.records);
        }
        let mut outcome = self.recorder.finish(self.now_ms, self.cloud.spent_usd());
        outcome.capacity_per_s = self.state.capacity().map(RecordsPerSecond::get);
        outcome.throttled = self.cloud.tally.throttled;
        outcome.lowest_limit = self.cloud.lowest_limit;
        outcome.bounced_batches = self.cloud.tally.bounced;
        outcome.settled_batches = self.cloud.tally.settled;
        outcome.cold_starts = self.cloud.tally.cold_starts;
        outcome.simulated_ms = self.now_ms;
        outcome.decisions = self.decisions;
        outcome
    }
}

/// Whether something that happens this often happens now; not at the start.
fn every(now_ms: u64, interval: Duration) -> bool {
    let interval = millis(interval);
    interval > 0 && now_ms > 0 && now_ms.is_multiple_of(interval)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn attempt(number: u64) -> spillway_core::ids::AttemptId {
    // Sixteen hexadecimal digits are an attempt's id.
    #[expect(clippy::expect_used)]
    let id = format!("{number:016x}")
        .parse()
        .expect("sixteen hexadecimal digits");
    id
}

/// Whole records of a fluid.
fn whole(records: f64) -> u64 {
    // Counters are never negative, and far below 2^63.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = records as u64;
    whole
}
