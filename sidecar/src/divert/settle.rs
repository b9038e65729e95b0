//! One batch on its way: attempts until it has its receipt, cannot have one, or is out of time.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use spillway_core::batch::BatchView;
use spillway_core::envelope::{Answer, EnvelopeError, Invocation};
use tokio::time::Instant;

use super::limit::Outcome;
use super::retry::{Class, Verdict, judge, may_have_run, pause, trouble};
use super::{Divert, InvokeError, Refusal, Slot, Trouble};
use crate::decide::Moment;

/// A silence shorter than this says more about the batch's deadline than about the cloud.
const TELLING_SILENCE: Duration = Duration::from_secs(1);

/// What a batch is waiting for, or what its last attempt came to.
enum Last {
    Place,
    Answer { since: Moment },
    Failed(String),
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
        let divert = &self.divert;
        let tally = &divert.tally;
        tally.batches.inc();
        tally.bytes_in.inc_by(body.len() as u64);
        let started = Instant::now();
        let mut last = Last::Place;
        let settling = self.settle(batch, body, started + deadline, &mut last);
        let settled = tokio::time::timeout(deadline, settling).await;
        let result = settled.unwrap_or_else(|_| {
            let what = match last {
                Last::Place => "waiting for an invocation".to_owned(),
                Last::Failed(why) => why,
                Last::Answer { since } => {
                    let silence = divert.clock.now().since(since);
                    let what = format!("no answer in {} ms", silence.as_millis());
                    if silence >= TELLING_SILENCE {
                        divert.failed(Trouble::Timeout, &what, None);
                    }
                    what
                }
            };
            Err(Refusal::Deadline(deadline, what))
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
        end: Instant,
        last: &mut Last,
    ) -> Result<Answer, Refusal> {
        let divert = &*self.divert;
        let mut tries = 0;
        loop {
            let error = {
                // Left before the pause: whoever waits to try again keeps nobody from trying.
                let _place = divert.turnstile.enter().await;
                // The payload is made anew for each attempt, which is rare but the first, rather than
                // kept: a copy of every payload would cost each batch some megabytes.
                let payload = encode(body.clone()).await?;
                divert.tally.bytes_out.inc_by(payload.len() as u64);
                *last = Last::Answer {
                    since: divert.clock.now(),
                };
                let result = if tries == 0 {
                    attempt_twice(divert, batch, payload, body).await
                } else {
                    attempt(divert, batch, payload).await
                };
                match result {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                }
            };
            note(divert, &error);
            let why = error.to_string();
            let asked = asked(&error);
            let class = match judge(&error) {
                Verdict::Retry(class) => class,
                Verdict::GiveUp(refusal) => return Err(refusal),
            };
            *last = Last::Failed(why);
            tries += 1;
            let seed = batch.id().sequence() ^ (u64::from(batch.id().subtask()) << 40);
            let wait = pause(tries, seed).max(asked.unwrap_or_default());
            if class == Class::Throttled {
                divert.tally.throttled.inc();
                if asked.is_some() && Instant::now() + wait >= end {
                    // There will be no other attempt, and the sender can use the time.
                    return Err(Refusal::Throttled { retry_after: wait });
                }
            }
            divert.tally.retried(class);
            tracing::debug!(batch = %batch.id(), tries, class = class.name(), "retrying: {error}");
            tokio::time::sleep(wait).await;
        }
    }
}

/// The rest that an error asks for, if it does.
fn asked(error: &InvokeError) -> Option<Duration> {
    match error {
        InvokeError::Throttled { retry_after, .. } => *retry_after,
        _ => None,
    }
}

/// Tells the breaker of a failure.
fn note(divert: &Divert, error: &InvokeError) {
    if let Some(trouble) = trouble(error) {
        divert.failed(trouble, &error.to_string(), asked(error));
    }
}

/// Invokes, and once more if the answer is late and there is room; the first useful answer counts. The other
/// attempt is no longer waited for: should it still write its partial, that is the same one.
async fn attempt_twice(
    divert: &Divert,
    batch: &BatchView<'_>,
    payload: Vec<u8>,
    body: &Bytes,
) -> Result<Answer, InvokeError> {
    let patience = divert.patience(payload.len());
    let mut first = pin!(attempt(divert, batch, payload));
    let Some(patience) = patience else {
        return first.await;
    };
    tokio::select! {
        biased;
        result = &mut first => return result,
        () = tokio::time::sleep(patience) => {}
    }
    let Some(_place) = divert.spare_place() else {
        return first.await;
    };
    divert.tally.second_attempts.inc();
    tracing::debug!(batch = %batch.id(), "no answer in {patience:?}: a second attempt");
    let mut second = pin!(async {
        match encode(body.clone()).await {
            Ok(payload) => attempt(divert, batch, payload).await,
            // It could be encoded before.
            Err(refusal) => Err(InvokeError::Refused(refusal.to_string())),
        }
    });
    let (result, by_second) = tokio::select! {
        result = &mut first => (result, false),
        result = &mut second => (result, true),
    };
    let error = match result {
        Ok(answer) => {
            if by_second {
                divert.tally.second_attempts_useful.inc();
            }
            return Ok(answer);
        }
        Err(error) => error,
    };
    note(divert, &error);
    if by_second { first.await } else { second.await }
}

/// Invokes once. Whatever comes of it, also that nobody waits any more, is counted.
async fn attempt(
    divert: &Divert,
    batch: &BatchView<'_>,
    payload: Vec<u8>,
) -> Result<Answer, InvokeError> {
    let mut under_way = UnderWay::begin(divert, payload.len());
    let result = divert.invoker.invoke(payload).await.and_then(|bytes| {
        let bad = |error: String| InvokeError::BadAnswer(error);
        let answer = Answer::from_json(&bytes).map_err(|error| bad(error.to_string()))?;
        let fits = answer.receipt.fits(batch);
        fits.map_err(|error| bad(error.to_string()))?;
        Ok(answer)
    });
    under_way.came_to(&result);
    result
}

/// An attempt that has been sent. When it is dropped, the limiter and the tally hear what came of it.
struct UnderWay<'a> {
    divert: &'a Divert,
    begun: Moment,
    bytes: usize,
    outcome: Outcome,
    /// It may have run, and nobody will say for how long.
    unanswered: bool,
}

impl<'a> UnderWay<'a> {
    fn begin(divert: &'a Divert, bytes: usize) -> Self {
        Self {
            divert,
            begun: divert.began(),
            bytes,
            outcome: Outcome::Other,
            unanswered: true,
        }
    }

    fn came_to(&mut self, result: &Result<Answer, InvokeError>) {
        let time = self.divert.clock.now().since(self.begun);
        let took = Outcome::Took {
            time,
            bytes: self.bytes,
        };
        match result {
            Ok(answer) => {
                self.unanswered = false;
                self.divert.tally.answered(&answer.timing);
                self.divert.succeeded();
                if !answer.timing.cold {
                    self.divert.took(self.bytes, time);
                    self.outcome = took;
                }
            }
            Err(error) => {
                self.unanswered = may_have_run(error);
                self.outcome = match error {
                    InvokeError::Throttled {
                        at_once,
                        retry_after,
                        ..
                    } => Outcome::Throttled {
                        at_once: *at_once,
                        retry_after: *retry_after,
                    },
                    error if trouble(error) == Some(Trouble::Timeout) => took,
                    _ => Outcome::Other,
                };
            }
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let now = self.divert.ended(self.begun, self.outcome);
        if self.unanswered {
            self.divert.tally.unanswered(now.since(self.begun));
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
