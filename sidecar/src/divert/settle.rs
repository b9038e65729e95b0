//! One batch on its way: attempts until it has its receipt, cannot have one, or is out of time.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use spillway_core::batch::BatchView;
use spillway_core::envelope::{Answer, EnvelopeError, Invocation};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::limit::Outcome;
use super::retry::{Class, Verdict, judge, may_have_run, pause, trouble};
use super::{Divert, InvokeError, Refusal, Slot, Trouble};
use crate::decide::Moment;

/// A silence shorter than this says more about the batch's deadline than about the cloud.
const TELLING_SILENCE: Duration = Duration::from_secs(1);
/// So long a trial's sender waits. Its watermark waits as well, and trials go on for as long as the cloud stands
/// still: what windows it holds open each time delays the local lane's results and slows it down. A cloud that is
/// back is no worse off for being slower than this: its late answer opens the lane all the same.
pub(crate) const TRIAL_PATIENCE: Duration = Duration::from_millis(250);

/// So many trials that went back to their valve may still wait for their answers: each has its batch in memory.
pub(super) const MAX_LATE_TRIALS: usize = 4;

/// What a batch is waiting for, or what its last attempt came to.
enum Last {
    Turn,
    Answer {
        since: Moment,
    },
    Failed(String),
    /// It is a trial, and has gone back to its valve.
    GivenBack,
}

impl Slot {
    /// Has a batch processed and gives back its receipt as one line of JSON. `body` are the bytes that
    /// `batch` was parsed from. Answers within `deadline`.
    ///
    /// If the lane is shut and this batch is its trial, its sender has an answer within [`TRIAL_PATIENCE`], so that it can
    /// use the batch otherwise. What becomes of the trial then still tells whether the cloud is back, however long its
    /// first start takes.
    pub async fn process(
        self,
        batch: &BatchView<'_>,
        body: &Bytes,
        deadline: Duration,
    ) -> Result<String, Refusal> {
        if self.trial {
            let (sender, answer) = oneshot::channel();
            tokio::spawn(self.try_out(body.clone(), deadline, sender));
            let broken_off = |_| Err(Refusal::Deadline(deadline, "it was broken off".into()));
            return answer.await.unwrap_or_else(broken_off);
        }
        let divert = &*self.divert;
        let (started, last) = divert.begin(body);
        let settling = divert.settle(batch, body, started + deadline, &last, false);
        let settled = timeout_at(started + deadline, settling).await;
        let result = settled.unwrap_or_else(|_| {
            let what = divert.overdue(&last, TELLING_SILENCE);
            Err(Refusal::Deadline(deadline, what))
        });
        divert.outcome(batch, started, result)
    }

    /// Like [`Self::process`], with its own copy of all that its sender may have dropped.
    async fn try_out(
        self,
        body: Bytes,
        deadline: Duration,
        sender: oneshot::Sender<Result<String, Refusal>>,
    ) {
        // It has been parsed before.
        let Ok(batch) = BatchView::parse(&body) else {
            return;
        };
        let divert = Arc::clone(&self.divert);
        let (started, last) = divert.begin(&body);
        let end = started + deadline;
        let patience = divert.trial_patience;
        let mut settling = pin!(divert.settle(&batch, &body, end, &last, true));
        let settled = timeout_at(end.min(started + patience), &mut settling).await;
        let given_back = settled.is_err();
        let result = settled.unwrap_or_else(|_| {
            let what = divert.overdue(&last, patience / 2);
            Err(Refusal::TrialUnsettled(patience.min(deadline), what))
        });
        let result = divert.outcome(&batch, started, result);
        if given_back {
            // What is under way may go on, nothing is begun any more.
            *locked(&last) = Last::GivenBack;
        }
        // It is no batch any more: nobody waits for it, a sidecar that stops neither.
        drop(self);
        sender.send(result).ok();
        // Its answer still counts for the breaker.
        if given_back
            && let Ok(_room) = divert.late_trials.try_acquire()
            && let Ok(Ok(_)) = timeout_at(end, settling).await
        {
            divert.tally.late_trials.inc();
            tracing::info!(batch = %batch.id(), job = %batch.job(), "a trial was settled late: its partial is an orphan");
        }
    }
}

impl Divert {
    fn begin(&self, body: &Bytes) -> (Instant, Mutex<Last>) {
        let tally = &self.tally;
        tally.batches.inc();
        tally.bytes_in.inc_by(body.len() as u64);
        (Instant::now(), Mutex::new(Last::Turn))
    }

    fn outcome(
        &self,
        batch: &BatchView<'_>,
        started: Instant,
        result: Result<Answer, Refusal>,
    ) -> Result<String, Refusal> {
        let tally = &self.tally;
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

    /// What a batch that is overdue was waiting for. Tells the breaker of a silence of at least `telling`.
    fn overdue(&self, last: &Mutex<Last>, telling: Duration) -> String {
        match &*locked(last) {
            Last::Turn | Last::GivenBack => "waiting for its turn to be invoked".to_owned(),
            Last::Failed(why) => why.clone(),
            Last::Answer { since } => {
                let silence = self.clock.now().since(*since);
                let what = format!("no answer in {} ms", silence.as_millis());
                if silence >= telling {
                    self.failed(Trouble::Timeout, &what, None);
                }
                what
            }
        }
    }

    /// Attempts until there is a receipt, or cannot be one. A trial waits for nobody: while a lane is shut, those before
    /// it may hang until their deadlines, and there is one a second at most.
    async fn settle(
        &self,
        batch: &BatchView<'_>,
        body: &Bytes,
        end: Instant,
        last: &Mutex<Last>,
        trial: bool,
    ) -> Result<Answer, Refusal> {
        let mut tries = 0;
        loop {
            let error = {
                // Made anew for each attempt, which is rare but the first, rather than kept: a copy of every
                // payload would cost each batch some megabytes. And made before there is a place for it: a
                // place is an invocation that the cloud allows, and is not to lie idle meanwhile.
                let (payload, _place) = if trial {
                    (encode(body.clone(), None).await?.0, None)
                } else {
                    // First come, first served, and no more payloads that wait for a place than processors.
                    let turn = Arc::clone(&self.encoders).acquire_owned().await.ok();
                    let (payload, _turn) = encode(body.clone(), turn).await?;
                    // Left before the pause: whoever waits to try again keeps nobody from trying.
                    (payload, Some(self.turnstile.enter().await))
                };
                let since = self.clock.now();
                if !goes_on(last, Last::Answer { since }) {
                    return Err(Refusal::TrialUnsettled(
                        Duration::ZERO,
                        "it was given back".into(),
                    ));
                }
                self.tally.bytes_out.inc_by(payload.len() as u64);
                let result = if tries == 0 {
                    attempt_twice(self, batch, payload, body).await
                } else {
                    attempt(self, batch, payload).await
                };
                match result {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                }
            };
            note(self, &error);
            let why = error.to_string();
            let asked = asked(&error);
            let class = match judge(&error) {
                Verdict::Retry(class) => class,
                Verdict::GiveUp(refusal) => return Err(refusal),
            };
            if !goes_on(last, Last::Failed(why.clone())) {
                return Err(Refusal::TrialUnsettled(Duration::ZERO, why));
            }
            tries += 1;
            let seed = batch.id().sequence() ^ (u64::from(batch.id().subtask()) << 40);
            let wait = pause(tries, seed).max(asked.unwrap_or_default());
            if class == Class::Throttled {
                self.tally.throttled.inc();
                if asked.is_some() && Instant::now() + wait >= end {
                    // There will be no other attempt, and the sender can use the time.
                    return Err(Refusal::Throttled { retry_after: wait });
                }
            }
            self.tally.retried(class);
            tracing::debug!(batch = %batch.id(), tries, class = class.name(), "retrying: {error}");
            tokio::time::sleep(wait).await;
        }
    }
}

/// Compresses and encodes a batch on a thread of its own: some milliseconds of pure computing that must
/// not hold up reports, which decide how quickly a spike is answered. `turn` is kept until it is done, also if
/// nobody waits for it any more.
async fn encode(
    body: Bytes,
    turn: Option<OwnedSemaphorePermit>,
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Refusal> {
    let encoding = spawn_blocking(move || {
        (
            Invocation::pack(&body).and_then(|made| made.to_json()),
            turn,
        )
    });
    match encoding.await {
        Ok((Ok(payload), turn)) => Ok((payload, turn)),
        Ok((
            Err(error @ (EnvelopeError::BatchTooLarge(_) | EnvelopeError::PayloadTooLarge(_))),
            _,
        )) => Err(Refusal::TooLarge(error.to_string())),
        Ok((Err(error), _)) => Err(Refusal::Malformed(error.to_string())),
        Err(error) => Err(Refusal::Misconfigured(format!(
            "the encoder failed: {error}"
        ))),
    }
}

/// Notes how it goes, unless it is a trial that has been given back: nothing is begun for it any more.
fn goes_on(last: &Mutex<Last>, now: Last) -> bool {
    let mut last = locked(last);
    let goes_on = !matches!(*last, Last::GivenBack);
    if goes_on {
        *last = now;
    }
    goes_on
}

fn locked(last: &Mutex<Last>) -> MutexGuard<'_, Last> {
    last.lock().unwrap_or_else(PoisonError::into_inner)
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
        match encode(body.clone(), None).await {
            Ok((payload, _)) => attempt(divert, batch, payload).await,
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
