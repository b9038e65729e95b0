//! Takes a batch to the burst function and brings back its receipt.
//!
//! Everything is bounded: so many batches are worked on, so many wait, and each has a deadline by which
//! its sender gets an answer. Nothing is kept about a batch once it is answered, so losing the sidecar
//! loses nothing.

mod breaker;
pub(crate) mod cost;
mod invoke;
mod lambda;
mod retry;
mod tally;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use spillway_core::batch::BatchView;
use spillway_core::envelope::{Answer, EnvelopeError, Invocation};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::Instant;

pub use invoke::{BoxFuture, InvokeError, Invoker};
pub use lambda::LambdaInvoker;

pub(crate) use tally::Tally;

use crate::clock::Clock;
use crate::config::Divert as Settings;
use crate::decide::CloudLane;
use breaker::{Breaker, Gate};
use retry::{Verdict, judge, pause};

/// A sender who is turned away because of a full queue does well to come back after this: about the time
/// of one invocation.
const QUEUE_RETRY: Duration = Duration::from_millis(100);

/// Why a batch was not settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The function cannot read it, and never will.
    #[error("{0}")]
    Malformed(String),
    /// It is too large even compressed.
    #[error("{0}")]
    TooLarge(String),
    /// Too many batches are under way.
    #[error("the queue is full")]
    QueueFull {
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
            Self::TooLarge(_) => "batch-too-large",
            Self::QueueFull { .. } => "queue-full",
            Self::Shut { .. } => "cloud-lane-shut",
            Self::Deadline(..) => "deadline-exceeded",
            Self::Misconfigured(_) => "cloud-lane-misconfigured",
        }
    }
}

/// What a batch waits for while it is being invoked.
const NO_ANSWER: &str = "no answer yet";

/// The cloud lane.
pub struct Divert {
    invoker: Arc<dyn Invoker>,
    clock: Arc<dyn Clock>,
    /// One permit for each batch that may be here at all.
    slots: Arc<Semaphore>,
    /// One permit for each invocation at once.
    running: Semaphore,
    breaker: Mutex<Breaker>,
    credits: u32,
    stopping: AtomicBool,
    pub(crate) tally: Tally,
}

/// The right to have one batch worked on; given back when dropped.
pub struct Slot {
    _permit: OwnedSemaphorePermit,
    divert: Arc<Divert>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.divert.tally.in_flight.dec();
    }
}

impl Divert {
    /// A cloud lane that invokes with `invoker`.
    pub fn new(invoker: Arc<dyn Invoker>, clock: Arc<dyn Clock>, settings: &Settings) -> Self {
        let credits = settings.max_concurrency.saturating_add(settings.queue);
        Self {
            invoker,
            clock,
            slots: Arc::new(Semaphore::new(credits as usize)),
            running: Semaphore::new(settings.max_concurrency as usize),
            breaker: Mutex::default(),
            credits,
            stopping: AtomicBool::new(false),
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
        match self.breaker().gate(self.clock.now()) {
            Gate::Open => CloudLane::Open {
                credits: self.credits,
            },
            Gate::Trial => CloudLane::Open { credits: 1 },
            Gate::Shut { why, .. } => CloudLane::Closed {
                reason: format!("the cloud lane is shut: {why}"),
            },
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
        if let Gate::Shut { rest, why } = self.breaker().gate(self.clock.now()) {
            self.tally.turned_away.inc();
            return Err(Refusal::Shut {
                retry_after: rest,
                why,
            });
        }
        match Arc::clone(&self.slots).try_acquire_owned() {
            Ok(permit) => {
                self.tally.in_flight.inc();
                Ok(Slot {
                    _permit: permit,
                    divert: Arc::clone(self),
                })
            }
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {
                self.tally.turned_away.inc();
                Err(Refusal::QueueFull {
                    retry_after: QUEUE_RETRY,
                })
            }
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Has a batch processed and gives back its receipt as one line of JSON. `body` are the bytes that
    /// `batch` was parsed from. Answers within `deadline`.
    pub async fn process(
        &self,
        batch: &BatchView<'_>,
        body: &Bytes,
        deadline: Duration,
    ) -> Result<String, Refusal> {
        let tally = &self.divert.tally;
        tally.batches.inc();
        tally.bytes_in.inc_by(body.len() as u64);
        let started = Instant::now();
        let mut last = String::from("waiting for an invocation");
        let settled = tokio::time::timeout(deadline, self.settle(batch, body, &mut last)).await;
        let result = settled.unwrap_or_else(|_| {
            if last == NO_ANSWER {
                // A cloud that says nothing is as good as none.
                self.note_failure(NO_ANSWER, false);
            }
            Err(Refusal::Deadline(deadline, last))
        });
        match result {
            Ok(answer) => {
                tally.settled(started.elapsed(), answer.receipt.records, &answer.timing);
                Ok(answer.receipt.to_line())
            }
            Err(refusal) => {
                tally.failed(refusal.slug());
                tracing::warn!(batch = %batch.id(), job = %batch.job(), "batch not settled: {refusal}");
                Err(refusal)
            }
        }
    }

    async fn settle(
        &self,
        batch: &BatchView<'_>,
        body: &Bytes,
        last: &mut String,
    ) -> Result<Answer, Refusal> {
        let divert = &self.divert;
        // The semaphore is never closed.
        let _running = divert.running.acquire().await;
        let mut attempt = 0;
        loop {
            // The payload is made anew for each attempt, which is rare but the first, rather than kept:
            // a copy of every payload would cost each batch some megabytes.
            let payload = encode(body.clone()).await?;
            divert.tally.bytes_out.inc_by(payload.len() as u64);
            NO_ANSWER.clone_into(last);
            let error = match self.attempt(batch, payload).await {
                Ok(answer) => {
                    divert.breaker().succeeded();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            *last = error.to_string();
            attempt += 1;
            let class = match judge(&error) {
                Verdict::Retry(class) => class,
                Verdict::GiveUp(refusal) => {
                    let lasting = matches!(refusal, Refusal::Misconfigured(_));
                    if lasting {
                        self.note_failure(last, true);
                    }
                    return Err(refusal);
                }
            };
            if class == retry::Class::Throttled {
                divert.tally.throttled.inc();
            } else {
                self.note_failure(last, false);
            }
            divert.tally.retried(class);
            tracing::debug!(batch = %batch.id(), attempt, class = class.name(), "retrying: {error}");
            let seed = batch.id().sequence() ^ (u64::from(batch.id().subtask()) << 40);
            tokio::time::sleep(pause(attempt, seed)).await;
        }
    }

    async fn attempt(
        &self,
        batch: &BatchView<'_>,
        payload: Vec<u8>,
    ) -> Result<Answer, InvokeError> {
        let bytes = self.divert.invoker.invoke(payload).await?;
        let answer =
            Answer::from_json(&bytes).map_err(|error| InvokeError::BadAnswer(error.to_string()))?;
        self.divert.tally.answered(&answer.timing);
        answer
            .receipt
            .fits(batch)
            .map_err(|error| InvokeError::BadAnswer(error.to_string()))?;
        Ok(answer)
    }

    fn note_failure(&self, why: &str, lasting: bool) {
        let shut = self
            .divert
            .breaker()
            .failed(why, lasting, self.divert.clock.now());
        if shut {
            self.divert.tally.shut.inc();
            tracing::warn!("cloud lane shut: {why}");
        }
    }
}

/// Compresses and encodes a batch on a thread of its own: some milliseconds of pure computing that must
/// not hold up reports, which decide how quickly a spike is answered.
async fn encode(body: Bytes) -> Result<Vec<u8>, Refusal> {
    let encoded = tokio::task::spawn_blocking(move || Invocation::pack(&body)?.to_json()).await;
    match encoded {
        Ok(Ok(payload)) => Ok(payload),
        Ok(Err(error @ (EnvelopeError::BatchTooLarge(_) | EnvelopeError::PayloadTooLarge(_)))) => {
            Err(Refusal::TooLarge(error.to_string()))
        }
        Ok(Err(error)) => Err(Refusal::Malformed(error.to_string())),
        Err(error) => Err(Refusal::Misconfigured(format!(
            "the encoder failed: {error}"
        ))),
    }
}
