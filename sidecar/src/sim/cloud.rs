//! The cloud lane: what `divert` does with a batch, with the very breaker, limiter and pauses that it uses, and
//! a function that starts, works and fails as the model says.

use std::time::Duration;

use super::curve::Cursor;
use super::flight::{Failure, Flight, Stage};
use super::model::{Cloud as Model, Outage, Valve as ValveModel};
use super::queue::{Portion, Queue};
use super::valve::Batch;
use crate::config::{Divert, Lambda};
use crate::decide::{CloudLane, Moment};
use crate::divert::QUEUE_RETRY;
use crate::divert::breaker::{Breaker, Gate, Trouble};
use crate::divert::cost::{lambda_usd, puts_usd};
use crate::divert::limit::{Limiter, Outcome};
use crate::divert::retry::pause;
use crate::divert::settle::TRIAL_PATIENCE;

/// From the valve to the sidecar and back, on one machine.
const WIRE_MS: u64 = 1;

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Event {
    /// It has its receipt.
    Settled { subtask: usize, content: Queue },
    /// It goes back down the local lane.
    Bounced { subtask: usize, content: Queue },
}

/// What the cloud lane did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) batches: u64,
    pub(crate) settled: u64,
    /// Trials that were settled after they had gone back to their valve.
    pub(crate) late_trials: u64,
    pub(crate) bounced: u64,
    pub(crate) throttled: u64,
    pub(crate) retries: u64,
    pub(crate) cold_starts: u64,
    pub(crate) billed_ms: u64,
}

/// Batches under way, and the instances that work on them.
pub(crate) struct Cloud<'a> {
    model: &'a Model,
    settings: &'a Divert,
    prices: &'a Lambda,
    deadline_ms: u64,
    record_bytes: f64,
    breaker: Breaker,
    limiter: Limiter,
    /// The least that the limiter has allowed.
    pub(crate) lowest_limit: u32,
    flights: Vec<Flight>,
    /// Instances that the account allows at once.
    allowed: Cursor<'a>,
    /// Instances that are there.
    instances: u32,
    /// New instances that may be started by now.
    ramp: f64,
    sequence: u64,
    /// How many have waited for a turn.
    turns: u64,
    pub(crate) tally: Tally,
}

impl<'a> Cloud<'a> {
    /// A cloud lane for the batches of such a valve.
    pub(crate) fn new(
        model: &'a Model,
        settings: &'a Divert,
        prices: &'a Lambda,
        valve: &ValveModel,
    ) -> Self {
        Self {
            model,
            settings,
            prices,
            deadline_ms: millis(valve.deadline),
            record_bytes: valve.record_bytes,
            breaker: Breaker::default(),
            limiter: Limiter::new(settings.max_concurrency),
            lowest_limit: settings.max_concurrency,
            flights: Vec::new(),
            allowed: model.concurrency.cursor(),
            instances: model.warm,
            ramp: 0.0,
            sequence: 0,
            turns: 0,
            tally: Tally::default(),
        }
    }

    /// What the controller is told, as `Divert::lane` has it.
    pub(crate) fn lane(&self, now_ms: u64) -> CloudLane {
        match self.breaker.gate(at(now_ms)) {
            Gate::Open => CloudLane::Open {
                credits: self.limiter.credits(self.settings.queue),
            },
            Gate::Trial => CloudLane::Open { credits: 1 },
            Gate::Shut { why, .. } => CloudLane::Closed {
                reason: format!("the cloud lane is shut: {why}"),
            },
        }
    }

    /// All that it has cost so far, in USD.
    pub(crate) fn spent_usd(&self) -> f64 {
        let answered = self.tally.settled + self.tally.late_trials;
        lambda_usd(self.prices, self.tally.billed_ms, answered) + puts_usd(self.prices, answered)
    }

    /// Whether nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    /// What somebody waits for.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Portion> {
        let waited_for = self.flights.iter().filter(|flight| !flight.orphan);
        waited_for.flat_map(|flight| flight.batch.content.iter())
    }

    /// A batch was sealed.
    pub(crate) fn send(&mut self, batch: Batch, now_ms: u64) {
        self.tally.batches += 1;
        self.sequence += 1;
        let until_ms = now_ms + WIRE_MS;
        let flight = Flight::new(batch, self.sequence, self.record_bytes, until_ms);
        self.flights.push(flight);
    }

    /// The job died. What was sealed before `checkpoint_ms` is in its last checkpoint, and handed back.
    pub(crate) fn abandon(&mut self, checkpoint_ms: u64, mut restore: impl FnMut(usize, &Queue)) {
        for flight in &mut self.flights {
            if !flight.orphan && flight.batch.sealed_ms <= checkpoint_ms {
                restore(flight.batch.subtask, &flight.batch.content);
            }
            flight.orphan = true;
        }
    }

    /// A millisecond passes.
    pub(crate) fn tick(&mut self, now_ms: u64, events: &mut Vec<Event>) {
        // Truncating a count of instances is what a limit means.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let allowed = self.allowed.at(now_ms) as u32;
        self.instances = self.instances.min(allowed);
        // A burst of starts as large as a second's worth, as Lambda's token bucket has it.
        self.ramp = (self.ramp + self.model.ramp_per_s / 1e3).min(self.model.ramp_per_s.max(1.0));
        let out = self.model.outages.iter().any(|span| span.contains(now_ms));
        self.enter(now_ms, out, allowed);
        let speed = self.speed();
        let mut index = 0;
        while index < self.flights.len() {
            self.step(index, now_ms, speed, out, allowed);
            let flight = &self.flights[index];
            let settled = flight.is_settled();
            let over = now_ms >= flight.batch.sealed_ms + self.deadline_ms;
            let trial = flight.trial_since_ms.filter(|_| !flight.orphan);
            if !settled
                && !over
                && trial.is_some_and(|since| now_ms >= since + millis(TRIAL_PATIENCE))
            {
                self.give_back(index, now_ms, events);
                index += 1;
                continue;
            }
            if settled || over || flight.stage == Stage::GivenUp {
                let flight = self.flights.remove(index);
                self.finish(flight, settled, now_ms, events);
            } else {
                index += 1;
            }
        }
    }

    /// Places that are free go to those that wait, and so do turns to be compressed: first come, first served.
    fn enter(&mut self, now_ms: u64, out: bool, allowed: u32) {
        let held = self.flights.iter().filter(|flight| flight.holds_a_place());
        let free = (self.limiter.limit() as usize).saturating_sub(held.count());
        let queued = self.in_turn(|stage| match stage {
            Stage::Queued { turn } => Some(turn),
            _ => None,
        });
        for index in queued.into_iter().take(free) {
            self.flights[index].stage = self.invoke(now_ms, index, out, allowed);
        }
        let ahead = self.flights.iter().filter(|flight| flight.is_ahead());
        let free = (self.model.encoders as usize).saturating_sub(ahead.count());
        let waiting = self.in_turn(|stage| match stage {
            Stage::Waiting { turn } => Some(turn),
            _ => None,
        });
        for index in waiting.into_iter().take(free) {
            self.flights[index].stage = self.encode(index);
        }
    }

    /// Those that wait in a stage, the first of them first.
    fn in_turn(&self, turn: impl Fn(Stage) -> Option<u64>) -> Vec<usize> {
        let flights = self.flights.iter().enumerate();
        let mut waiting: Vec<(u64, usize)> = flights
            .filter_map(|(index, flight)| Some((turn(flight.stage)?, index)))
            .collect();
        waiting.sort_unstable();
        waiting.into_iter().map(|(_, index)| index).collect()
    }

    /// What each of those that compute gets of a processor.
    fn speed(&self) -> f64 {
        let computing = self.flights.iter().filter(|flight| flight.computes());
        let computing = computing.count() as f64;
        if self.model.shared_cores > 0.0 && computing > self.model.shared_cores {
            self.model.shared_cores / computing
        } else {
            1.0
        }
    }

    fn step(&mut self, index: usize, now_ms: u64, speed: f64, out: bool, allowed: u32) {
        let stage = match self.flights[index].stage {
            Stage::Sent { until_ms } if now_ms >= until_ms => self.admit(index, now_ms),
            Stage::Encoding { left_ms } if left_ms <= 0.0 => {
                if self.flights[index].trial_since_ms.is_some() {
                    self.invoke(now_ms, index, out, allowed)
                } else {
                    Stage::Queued { turn: self.turn() }
                }
            }
            Stage::Encoding { left_ms } => Stage::Encoding {
                left_ms: left_ms - speed,
            },
            Stage::Running {
                fixed_ms,
                left_ms,
                took_ms,
                cold,
            } => {
                let fixed = fixed_ms.clamp(0.0, 1.0);
                Stage::Running {
                    fixed_ms: fixed_ms - fixed,
                    left_ms: left_ms - (1.0 - fixed) * speed,
                    took_ms: took_ms + 1.0,
                    cold,
                }
            }
            Stage::Failing { until_ms, failure } if now_ms >= until_ms => {
                self.failed(index, now_ms, failure)
            }
            Stage::Pausing { until_ms } if now_ms >= until_ms => self.wait(index),
            stage => stage,
        };
        self.flights[index].stage = stage;
    }

    fn turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// A trial waits for nobody.
    fn wait(&mut self, index: usize) -> Stage {
        if self.flights[index].trial_since_ms.is_some() {
            self.encode(index)
        } else {
            Stage::Waiting { turn: self.turn() }
        }
    }

    fn admit(&mut self, index: usize, now_ms: u64) -> Stage {
        let here = self.flights.iter().filter(|flight| {
            !matches!(flight.stage, Stage::Sent { .. }) && !flight.is_given_back()
        });
        let slots = self.settings.max_concurrency as usize + self.settings.queue as usize;
        if here.count() >= slots {
            return self.again(index, now_ms, QUEUE_RETRY);
        }
        match self.breaker.admit(at(now_ms)) {
            Gate::Open => {}
            Gate::Trial => self.flights[index].trial_since_ms = Some(now_ms),
            Gate::Shut { rest, .. } => return self.again(index, now_ms, rest),
        }
        self.wait(index)
    }

    /// A trial's sender does not wait for its deadline; its answer still tells whether the cloud is back.
    fn give_back(&mut self, index: usize, now_ms: u64, events: &mut Vec<Event>) {
        let flight = &mut self.flights[index];
        flight.orphan = true;
        events.push(Event::Bounced {
            subtask: flight.batch.subtask,
            content: std::mem::take(&mut flight.batch.content),
        });
        self.tally.bounced += 1;
        match flight.stage {
            Stage::Silent | Stage::Running { .. } => self.silent(now_ms),
            Stage::Failing { .. } => {}
            // Nothing is begun for it any more.
            _ => flight.stage = Stage::GivenUp,
        }
    }

    /// A cloud that says nothing is as good as none.
    fn silent(&mut self, now_ms: u64) {
        self.breaker
            .failed(Trouble::Timeout, "no answer yet", None, at(now_ms));
    }

    /// The valve sends it again after `wait`, unless that is beyond its deadline.
    fn again(&mut self, index: usize, now_ms: u64, wait: Duration) -> Stage {
        let until_ms = now_ms + millis(wait) + 2 * WIRE_MS;
        if until_ms >= self.flights[index].batch.sealed_ms + self.deadline_ms {
            return Stage::GivenUp;
        }
        self.tally.retries += 1;
        Stage::Sent { until_ms }
    }

    fn encode(&self, index: usize) -> Stage {
        Stage::Encoding {
            left_ms: self.flights[index].records * self.model.sidecar_ns_per_record / 1e6,
        }
    }

    fn invoke(&mut self, now_ms: u64, index: usize, out: bool, allowed: u32) -> Stage {
        let until_ms = now_ms + millis(self.model.failure).max(1);
        let failing = |failure| Stage::Failing { until_ms, failure };
        self.limiter.began(at(now_ms));
        self.flights[index].begun = Some(at(now_ms));
        if out {
            return match self.model.outage {
                Outage::Refused => failing(Failure::Refused),
                Outage::Silent => Stage::Silent,
            };
        }
        let busy = self
            .flights
            .iter()
            .filter(|flight| matches!(flight.stage, Stage::Running { .. }));
        let busy = u32::try_from(busy.count()).unwrap_or(u32::MAX);
        let cold = busy >= self.instances;
        let at_once = busy >= allowed;
        if at_once || (cold && self.ramp < 1.0) {
            self.tally.throttled += 1;
            return failing(Failure::Throttled { at_once });
        }
        if cold {
            self.instances += 1;
            self.ramp -= 1.0;
            self.tally.cold_starts += 1;
        }
        let start = if cold {
            self.model.cold_start
        } else {
            Duration::ZERO
        };
        Stage::Running {
            fixed_ms: (self.model.invoke + start).as_secs_f64() * 1e3,
            left_ms: self.flights[index].records * self.model.function_ns_per_record / 1e6,
            took_ms: 0.0,
            cold,
        }
    }

    fn failed(&mut self, index: usize, now_ms: u64, failure: Failure) -> Stage {
        let (outcome, trouble, why) = match failure {
            Failure::Refused => (
                Outcome::Other,
                Trouble::Unreachable,
                "the cloud cannot be reached",
            ),
            Failure::Throttled { at_once } => (
                Outcome::Throttled {
                    at_once,
                    retry_after: None,
                },
                Trouble::Throttle,
                "no instance is left",
            ),
        };
        let begun = self.flights[index].begun.take();
        self.ended(begun, outcome, now_ms);
        self.breaker.failed(trouble, why, None, at(now_ms));
        self.tally.retries += 1;
        let flight = &mut self.flights[index];
        flight.failed += 1;
        if flight.is_given_back() {
            return Stage::GivenUp;
        }
        Stage::Pausing {
            until_ms: now_ms + millis(pause(flight.failed, flight.number)).max(1),
        }
    }

    /// The attempt that began at `begun`, if one was under way, is over.
    fn ended(&mut self, begun: Option<Moment>, outcome: Outcome, now_ms: u64) {
        let Some(begun) = begun else { return };
        self.limiter.ended(begun, outcome, at(now_ms));
        self.lowest_limit = self.lowest_limit.min(self.limiter.limit());
    }

    fn finish(&mut self, flight: Flight, settled: bool, now_ms: u64, events: &mut Vec<Event>) {
        let outcome = if settled {
            flight.answered(at(now_ms))
        } else {
            Outcome::Other
        };
        self.ended(flight.begun, outcome, now_ms);
        if settled {
            self.breaker.succeeded();
            if flight.is_given_back() {
                self.tally.late_trials += 1;
            } else {
                self.tally.settled += 1;
            }
            self.tally.billed_ms += self.billed_ms(&flight);
        } else {
            if flight.waits_for_an_answer() && !flight.is_given_back() {
                self.silent(now_ms);
            }
            self.tally.bounced += u64::from(!flight.orphan);
        }
        if flight.orphan {
            return;
        }
        let Batch {
            subtask, content, ..
        } = flight.batch;
        events.push(if settled {
            Event::Settled { subtask, content }
        } else {
            Event::Bounced { subtask, content }
        });
    }

    /// The function's own time, and its start if it was cold, in begun milliseconds.
    fn billed_ms(&self, flight: &Flight) -> u64 {
        let Stage::Running { took_ms, cold, .. } = flight.stage else {
            return 0;
        };
        let unbilled = self.model.invoke.saturating_sub(self.model.billed);
        let start = if cold {
            self.model.cold_start
        } else {
            Duration::ZERO
        };
        let outside = (unbilled + start).as_secs_f64() * 1e3;
        let billed = (took_ms - outside).max(1.0) + start.as_secs_f64() * 1e3;
        // At least 1, and no longer than the batch's deadline.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let billed = billed.ceil() as u64;
        billed
    }
}

fn at(ms: u64) -> Moment {
    Moment::at(Duration::from_millis(ms))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX / 2)
}
