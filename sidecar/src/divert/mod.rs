//! Takes a batch to the burst function and brings back its receipt.
//!
//! Everything is bounded: so many batches are worked on, so many wait, and each has a deadline by which
//! its sender gets an answer. Nothing is kept about a batch once it is answered, so losing the sidecar
//! loses nothing.

pub(crate) mod breaker;
pub(crate) mod cost;
mod hedge;
mod invoke;
mod lambda;
pub(crate) mod limit;
mod metrics;
pub(crate) mod retry;
pub(crate) mod settle;
mod tally;
mod turnstile;

#[cfg(test)]
pub(crate) mod tests;

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use invoke::{BoxFuture, InvokeError, Invoker};
pub use lambda::LambdaInvoker;

pub(crate) use breaker::{Position, Trouble};
pub(crate) use metrics::LaneCollector;
pub(crate) use tally::Tally;

use crate::clock::Clock;
use crate::config::{Divert as Settings, Lambda as Prices};
use crate::decide::{CloudLane, Moment};
use breaker::{Breaker, Gate};
use hedge::Patience;
use limit::{Limiter, Outcome};
use turnstile::{Place, Turnstile};

/// A sender who is turned away because of a full queue does well to come back after this: about the time
/// of one invocation.
pub(crate) const QUEUE_RETRY: Duration = Duration::from_millis(100);

/// Why a batch was not settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The function cannot read it, and never will.
    #[error("{0}")]
    Malformed(String),
    /// Its partial is there already, made otherwise by another version of the function.
    #[error("{0}")]
    Conflict(String),
    /// It is too large even compressed.
    #[error("{0}")]
    TooLarge(String),
    /// Too many batches are under way.
    #[error("the queue is full")]
    QueueFull {
        /// When it may be worth trying again.
        retry_after: Duration,
    },
    /// The cloud has no capacity left before the batch's deadline.
    #[error("the cloud is throttled, and asks to be left alone for {retry_after:?}")]
    Throttled {
        /// When it may be worth trying again.
        retry_after: Duration,
    },
    /// The cloud lane is shut.
    #[error("the cloud lane is shut: {why}")]
    Shut {
        /// When it will be tried again.
        retry_after: Duration,
        /// What happened.
        why: String,
    },
    /// It was the trial of a lane that is shut, and goes on without its sender.
    #[error("the cloud lane is shut, and its trial was not settled within {0:?}: {1}")]
    TrialUnsettled(Duration, String),
    /// The deadline passed; the outcome is unknown.
    #[error("no receipt within {0:?}; last: {1}")]
    Deadline(Duration, String),
    /// Something has to be set right by a person first.
    #[error("{0}")]
    Misconfigured(String),
}

impl Refusal {
    /// Its name in problem details and metrics.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed-batch",
            Self::Conflict(_) => "partial-conflict",
            Self::TooLarge(_) => "batch-too-large",
            Self::QueueFull { .. } => "queue-full",
            Self::Throttled { .. } => "throttled",
            Self::Shut { .. } => "cloud-lane-shut",
            Self::TrialUnsettled(..) => "trial-unsettled",
            Self::Deadline(..) => "deadline-exceeded",
            Self::Misconfigured(_) => "cloud-lane-misconfigured",
        }
    }
}

/// The cloud lane.
pub struct Divert {
    invoker: Arc<dyn Invoker>,
    clock: Arc<dyn Clock>,
    prices: Prices,
    /// One permit for each batch that may be here at all.
    slots: Arc<Semaphore>,
    /// One place for each invocation at once; as many as the limiter allows.
    turnstile: Turnstile,
    /// One permit for each batch that is being encoded or waits for a place with its payload: as many as there
    /// are processors.
    encoders: Arc<Semaphore>,
    /// One permit for each trial whose answer is awaited after it went back to its valve.
    late_trials: Semaphore,
    control: Mutex<Control>,
    queue: u32,
    stopping: AtomicBool,
    /// So long the sender of a trial waits.
    trial_patience: Duration,
    pub(crate) tally: Tally,
}

/// What decides whether and how much is sent.
struct Control {
    breaker: Breaker,
    limiter: Limiter,
    patience: Patience,
}

/// The cloud lane's own view of itself, for people.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct Health {
    /// How many invocations may be under way now.
    pub(crate) concurrency_limit: u32,
    /// Why that is below the maximum; empty if it is not.
    pub(crate) limit_reason: String,
    /// Invocations under way.
    pub(crate) invocations_under_way: u32,
    /// The breaker's circuits.
    pub(crate) breakers: Vec<CircuitHealth>,
}

/// One circuit of the breaker.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct CircuitHealth {
    pub(crate) class: &'static str,
    pub(crate) position: Position,
    pub(crate) reason: Option<String>,
}

/// The right to have one batch worked on; given back when dropped.
pub struct Slot {
    _permit: OwnedSemaphorePermit,
    divert: Arc<Divert>,
    /// Whether the lane is shut and this batch finds out if it has to be.
    trial: bool,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.divert.tally.in_flight.dec();
    }
}

impl Divert {
    /// A cloud lane that invokes with `invoker`.
    pub fn new(
        invoker: Arc<dyn Invoker>,
        clock: Arc<dyn Clock>,
        settings: &Settings,
        prices: Prices,
    ) -> Self {
        let places = settings.max_concurrency.saturating_add(settings.queue);
        Self {
            invoker,
            clock,
            prices,
            slots: Arc::new(Semaphore::new(places as usize)),
            turnstile: Turnstile::new(settings.max_concurrency),
            encoders: Arc::new(Semaphore::new(
                available_parallelism().map_or(1, NonZero::get),
            )),
            late_trials: Semaphore::new(settle::MAX_LATE_TRIALS),
            control: Mutex::new(Control {
                breaker: Breaker::default(),
                limiter: Limiter::new(settings.max_concurrency),
                patience: Patience::default(),
            }),
            queue: settings.queue,
            stopping: AtomicBool::new(false),
            trial_patience: settle::TRIAL_PATIENCE,
            tally: Tally::new(),
        }
    }

    /// What the controller has to know about the cloud lane.
    pub fn lane(&self) -> CloudLane {
        if self.stopping.load(Ordering::Relaxed) {
            return CloudLane::Closed {
                reason: "the sidecar is stopping".into(),
            };
        }
        let control = self.control();
        match control.breaker.gate(self.clock.now()) {
            Gate::Open => CloudLane::Open {
                credits: control.limiter.credits(self.queue),
            },
            Gate::Trial => CloudLane::Open { credits: 1 },
            Gate::Shut { why, .. } => CloudLane::Closed {
                reason: format!("the cloud lane is shut: {why}"),
            },
        }
    }

    /// Whether batches are taken, more than one that tries out whether the cloud is back.
    pub fn works(&self) -> bool {
        let gate = self.control().breaker.gate(self.clock.now());
        gate == Gate::Open && !self.stopping.load(Ordering::Relaxed)
    }

    /// All that the cloud lane has cost since the sidecar started, in USD at the configured prices: an
    /// estimate from the function's own timing, not a bill. What was sent and never answered is counted for
    /// as long as it was waited for.
    pub fn spent_usd(&self) -> f64 {
        self.tally.spent_usd(&self.prices)
    }

    /// How it is, for people.
    pub(crate) fn health(&self) -> Health {
        let now = self.clock.now();
        let control = self.control();
        let circuit = |trouble: Trouble| {
            let (position, reason) = control.breaker.position(trouble, now);
            CircuitHealth {
                class: trouble.name(),
                position,
                reason: reason.map(str::to_owned),
            }
        };
        Health {
            concurrency_limit: control.limiter.limit(),
            limit_reason: control.limiter.reason().to_owned(),
            invocations_under_way: control.limiter.under_way(),
            breakers: Trouble::ALL.into_iter().map(circuit).collect(),
        }
    }

    /// From now on the valves are told to keep everything local. Batches that still come are processed.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Batches that are being worked on.
    pub fn in_flight(&self) -> i64 {
        self.tally.in_flight.get()
    }

    /// Looks whether the function can be invoked.
    pub async fn check(&self) -> Result<(), InvokeError> {
        self.invoker.check().await
    }

    /// Takes a place for a batch, before its body is read: memory is bounded by the places.
    pub fn admit(self: &Arc<Self>) -> Result<Slot, Refusal> {
        let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() else {
            self.tally.turned_away.inc();
            return Err(Refusal::QueueFull {
                retry_after: QUEUE_RETRY,
            });
        };
        // Last, so that a trial is not used up by a batch that has no place.
        let gate = self.control().breaker.admit(self.clock.now());
        let trial = gate == Gate::Trial;
        if let Gate::Shut { rest, why } = gate {
            self.tally.turned_away.inc();
            return Err(Refusal::Shut {
                retry_after: rest,
                why,
            });
        }
        self.tally.in_flight.inc();
        Ok(Slot {
            _permit: permit,
            divert: Arc::clone(self),
            trial,
        })
    }

    /// An attempt is about to be made.
    fn began(&self) -> Moment {
        let now = self.clock.now();
        let mut control = self.control();
        control.limiter.began(now);
        self.turnstile.resize(control.limiter.limit());
        now
    }

    /// The attempt that began at `begun` is over.
    fn ended(&self, begun: Moment, outcome: Outcome) -> Moment {
        let now = self.clock.now();
        let mut control = self.control();
        let before = control.limiter.limit();
        control.limiter.ended(begun, outcome, now);
        let limit = control.limiter.limit();
        self.turnstile.resize(limit);
        if limit < before {
            tracing::debug!(
                limit,
                "fewer invocations at once: {}",
                control.limiter.reason()
            );
        }
        now
    }

    /// How long to wait for the answer to a first attempt before a second one may help.
    fn patience(&self, bytes: usize) -> Option<Duration> {
        self.control().patience.begin(bytes)
    }

    /// A place for a second attempt beside the first, if the cloud is well and has one to spare that no batch is
    /// being encoded for.
    fn spare_place(&self) -> Option<Place<'_>> {
        if self.encoders.available_permits() == 0 {
            return None;
        }
        let place = self.turnstile.try_enter()?;
        let mut control = self.control();
        let well =
            control.breaker.gate(self.clock.now()) == Gate::Open && control.limiter.is_unbounded();
        (well && control.patience.spend()).then_some(place)
    }

    /// A warm instance answered a payload of this size.
    fn took(&self, bytes: usize, time: Duration) {
        self.control().patience.took(bytes, time);
    }

    fn succeeded(&self) {
        if self.control().breaker.succeeded() {
            tracing::info!("the cloud lane is open again: an attempt succeeded");
        }
    }

    fn failed(&self, trouble: Trouble, why: &str, asked: Option<Duration>) {
        let now = self.clock.now();
        let opened = self.control().breaker.failed(trouble, why, asked, now);
        if let Some(why) = opened {
            self.tally.shut(trouble);
            tracing::warn!(class = trouble.name(), "cloud lane shut: {why}");
        }
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
