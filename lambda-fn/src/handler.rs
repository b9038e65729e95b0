//! One invocation: decode, aggregate, encode, store, answer.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use spillway_core::aggregate::aggregate;
use spillway_core::batch::BatchView;
use spillway_core::envelope::{Answer, EnvelopeError, Timing};
use spillway_core::partial;
use spillway_core::receipt::Receipt;

use crate::destination::Destination;
use crate::error::FunctionError;
use crate::event::Event;
use crate::store::Store;

/// The burst function, but for its surroundings: where partials go, and what time it is.
#[derive(Debug)]
pub(crate) struct Handler<S, C> {
    destination: Destination,
    store: S,
    clock: C,
    init: Duration,
    answered: Cell<bool>,
}

impl<S: Store, C: Fn() -> Duration> Handler<S, C> {
    /// `clock` tells the time since the process started; whatever it tells now is how long it took
    /// to get ready.
    pub(crate) fn new(destination: Destination, store: S, clock: C) -> Self {
        let init = clock();
        Self {
            destination,
            store,
            clock,
            init,
            answered: Cell::new(false),
        }
    }

    /// Makes a partial of a batch and gives its receipt. The same event gives the same object.
    pub(crate) async fn handle(&self, event: Event) -> Result<Answer, FunctionError> {
        let start = (self.clock)();
        let invocation = event.invocation.map_err(EnvelopeError::from)?;
        let message = invocation.unpack()?;
        let batch = BatchView::parse(&message)?;
        let id = batch.id();
        let decoded = (self.clock)();

        let aggregate =
            aggregate(&batch).map_err(|source| FunctionError::Windows { batch: id, source })?;
        let aggregated = (self.clock)();

        let content = partial::write(&id, &aggregate).map_err(|error| FunctionError::Encode {
            batch: id,
            message: error.to_string(),
        })?;
        let rows = aggregate.rows().len() as u64;
        let receipt = Receipt::new(&batch, aggregate.windows().to_vec(), rows, &content);
        let encoded = (self.clock)();

        let key = self.destination.key(batch.job(), &receipt.object);
        let bucket = self.destination.bucket();
        self.store
            .put(bucket, &key, Bytes::from(content), &receipt.sha256)
            .await
            .map_err(|source| FunctionError::Store {
                batch: id,
                key,
                source,
            })?;
        let written = (self.clock)();

        let cold = !self.answered.replace(true);
        let timing = Timing {
            cold,
            init_us: micros(self.init),
            decode_us: micros(event.took + (decoded - start)),
            aggregate_us: micros(aggregated - decoded),
            encode_us: micros(encoded - aggregated),
            write_us: micros(written - encoded),
        };
        Ok(Answer { receipt, timing })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
