//! A burst function that does as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use spillway_core::batch::{BatchBuilder, BatchView};
use spillway_core::envelope::{Answer, Invocation, Timing};
use spillway_core::receipt::{Receipt, WindowCount};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::decide::Moment;
use crate::divert::{BoxFuture, InvokeError, Invoker};

/// A clock that goes when it is told to.
#[derive(Debug, Default)]
pub(crate) struct StoppedClock(Mutex<Duration>);

impl StoppedClock {
    pub(crate) fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Moment {
        Moment::at(*self.0.lock().unwrap())
    }

    fn wall_ms(&self) -> i64 {
        0
    }
}

/// What the function does with one invocation.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Its work, after a cold start.
    Receipt,
    /// Its work, by a warm instance.
    Warm,
    /// Fails.
    Fail(InvokeError),
    /// Answers for another batch.
    OtherBatch,
    /// Answers these bytes.
    Bytes(&'static [u8]),
    /// Does not answer until [`FakeFunction::release`].
    Hold,
}

/// Answers as scripted, then with receipts.
#[derive(Debug)]
pub(crate) struct FakeFunction {
    script: Mutex<VecDeque<Reply>>,
    /// Payloads, as they came.
    pub(crate) payloads: Mutex<Vec<Vec<u8>>>,
    pub(crate) check: Mutex<Result<(), InvokeError>>,
    held: Semaphore,
    /// Grows by one with each invocation that began.
    pub(crate) begun: Semaphore,
}

impl FakeFunction {
    pub(crate) fn new(script: impl IntoIterator<Item = Reply>) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(script.into_iter().collect()),
            payloads: Mutex::default(),
            check: Mutex::new(Ok(())),
            held: Semaphore::new(0),
            begun: Semaphore::new(0),
        })
    }

    pub(crate) fn release(&self, invocations: usize) {
        self.held.add_permits(invocations);
    }

    pub(crate) fn invocations(&self) -> usize {
        self.payloads.lock().unwrap().len()
    }

    /// Ready once `count` more invocations have begun.
    pub(crate) async fn begun(&self, count: u32) {
        self.begun.acquire_many(count).await.unwrap().forget();
    }
}

/// The encoded batch with this id: three records in two windows.
pub(crate) fn batch(id: &str) -> Vec<u8> {
    BatchBuilder::new(id, "wordcount", "wordcount", 1000)
        .push(10, b"to be or not to be")
        .push(20, b"that is the question")
        .push(1_010, b"whether tis nobler")
        .encode()
}

fn answer(message: &[u8], cold: bool) -> Vec<u8> {
    let batch = BatchView::parse(message).unwrap();
    let windows = batch
        .records_per_window()
        .into_iter()
        .map(|(start_ms, records)| WindowCount {
            start_ms,
            records,
            malformed: 0,
        })
        .collect();
    let receipt = Receipt::new(&batch, windows, 9, b"parquet");
    let timing = Timing {
        cold,
        init_us: 9_000,
        decode_us: 100,
        aggregate_us: 3_000,
        encode_us: 100,
        write_us: 800,
    };
    serde_json::to_vec(&Answer { receipt, timing }).unwrap()
}

impl Invoker for FakeFunction {
    fn invoke(&self, payload: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, InvokeError>> {
        Box::pin(async move {
            let message = Invocation::from_json(&payload).unwrap().unpack().unwrap();
            self.payloads.lock().unwrap().push(payload);
            self.begun.add_permits(1);
            let reply = self
                .script
                .lock()
                .unwrap()
                .pop_front()
                .unwrap_or(Reply::Receipt);
            match reply {
                Reply::Receipt => Ok(answer(&message, true)),
                Reply::Warm => Ok(answer(&message, false)),
                Reply::Fail(error) => Err(error),
                Reply::OtherBatch => Ok(answer(&batch("00000000000000ff-7-7"), true)),
                Reply::Bytes(bytes) => Ok(bytes.to_vec()),
                Reply::Hold => {
                    self.held.acquire().await.unwrap().forget();
                    Ok(answer(&message, true))
                }
            }
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<(), InvokeError>> {
        Box::pin(async move { self.check.lock().unwrap().clone() })
    }
}
