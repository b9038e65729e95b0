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
            decode_us: micros(event.took + decoded.saturating_sub(start)),
            aggregate_us: micros(aggregated.saturating_sub(decoded)),
            encode_us: micros(encoded.saturating_sub(aggregated)),
            write_us: micros(written.saturating_sub(encoded)),
        };
        Ok(Answer { receipt, timing })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use spillway_core::batch::BatchBuilder;
    use spillway_core::digest::Digest;
    use spillway_core::envelope::{FunctionErrorType, Invocation};
    use spillway_core::partial::PartialReader;

    use super::*;
    use crate::store::StoreError;

    const ID: &str = "9f3a6c1e2b7d4f08-0-42";
    const OBJECT: &str = "partials/9f3a6c1e2b7d4f08/9f3a6c1e2b7d4f08-0-42.parquet";

    /// Keeps what it is given: bucket, key, content, checksum.
    #[derive(Default)]
    struct Recording(RefCell<Vec<(String, String, Bytes, Digest)>>);

    impl Store for &Recording {
        async fn put(
            &self,
            bucket: &str,
            key: &str,
            content: Bytes,
            sha256: &Digest,
        ) -> Result<(), StoreError> {
            let object = (bucket.to_owned(), key.to_owned(), content, *sha256);
            self.0.borrow_mut().push(object);
            Ok(())
        }
    }

    /// Fails with what the function makes.
    struct Failing(fn(String) -> StoreError);

    impl Store for Failing {
        async fn put(&self, _: &str, _: &str, _: Bytes, _: &Digest) -> Result<(), StoreError> {
            Err(self.0("the store says no".into()))
        }
    }

    /// A clock that goes one millisecond further each time it is looked at.
    fn ticking() -> impl Fn() -> Duration {
        let ticks = Cell::new(0);
        move || {
            ticks.set(ticks.get() + 1);
            Duration::from_millis(ticks.get())
        }
    }

    fn handler<S: Store>(store: S) -> Handler<S, impl Fn() -> Duration> {
        Handler::new("s3://data/spillway".parse().unwrap(), store, ticking())
    }

    fn message() -> Vec<u8> {
        let mut batch = BatchBuilder::new(ID, "job", "wordcount", 1000);
        batch.push(5, b"To be, or").push(1005, b"not to be");
        batch.encode()
    }

    fn event(message: &[u8]) -> Event {
        Event {
            invocation: Ok(Invocation::pack(message).unwrap()),
            took: Duration::from_micros(7),
        }
    }

    async fn error_of(store: impl Store, event: Event) -> FunctionError {
        handler(store).handle(event).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_batch_becomes_one_partial_where_its_receipt_says() {
        let store = Recording::default();
        let answer = handler(&store).handle(event(&message())).await.unwrap();

        let objects = store.0.take();
        let [(bucket, key, content, sha256)] = &objects[..] else {
            panic!("{} objects", objects.len());
        };
        assert_eq!(bucket, "data");
        assert_eq!(*key, format!("spillway/job/{OBJECT}"));
        assert_eq!(*sha256, Digest::of(content));
        assert_eq!(answer.receipt.sha256, *sha256);
        assert_eq!(answer.receipt.object, OBJECT);
        assert_eq!(answer.receipt.bytes, content.len() as u64);
        assert_eq!((answer.receipt.records, answer.receipt.rows), (2, 6));
        answer.receipt.check().unwrap();
        let message = message();
        let batch = BatchView::parse(&message).unwrap();
        answer.receipt.fits(&batch).unwrap();

        let mut partial = PartialReader::open(content.clone()).unwrap();
        assert_eq!(partial.batch(), batch.id());
        let first = partial.next_row().unwrap().unwrap();
        assert_eq!((first.window_start_ms, first.key), (0, &b"be"[..]));
    }

    #[tokio::test]
    async fn a_retry_stores_the_same_bytes_under_the_same_key_and_gets_the_same_receipt() {
        let store = Recording::default();
        let handler = handler(&store);
        let first = handler.handle(event(&message())).await.unwrap();
        let second = handler.handle(event(&message())).await.unwrap();
        assert_eq!(first.receipt, second.receipt);
        let objects = store.0.take();
        assert_eq!(objects[0], objects[1]);
    }

    #[tokio::test]
    async fn each_step_is_timed_and_only_the_first_answer_is_cold() {
        let store = Recording::default();
        let handler = handler(&store);
        let first = handler.handle(event(&message())).await.unwrap();
        let expected = Timing {
            cold: true,
            init_us: 1000,
            decode_us: 1007,
            aggregate_us: 1000,
            encode_us: 1000,
            write_us: 1000,
        };
        assert_eq!(first.timing, expected);
        let second = handler.handle(event(&message())).await.unwrap();
        let warm = Timing {
            cold: false,
            ..expected
        };
        assert_eq!(second.timing, warm);
    }

    #[tokio::test]
    async fn an_instance_is_cold_until_it_has_answered() {
        let store = Recording::default();
        let handler = handler(&store);
        assert!(handler.handle(event(b"not a batch")).await.is_err());
        assert!(handler.handle(event(&message())).await.unwrap().timing.cold);
    }

    #[tokio::test]
    async fn what_is_no_batch_is_malformed_and_stores_nothing() {
        let store = Recording::default();
        let no_json = Event {
            invocation: Err(serde::de::Error::custom("no JSON")),
            took: Duration::ZERO,
        };
        let mut many_windows = BatchBuilder::new(ID, "job", "wordcount", 1);
        for t in 0..100_000 {
            many_windows.push(t, b"");
        }
        for event in [
            no_json,
            event(b"not a batch"),
            event(&many_windows.encode()),
        ] {
            let error = error_of(&store, event).await;
            assert_eq!(
                error.kind(),
                Some(FunctionErrorType::MalformedBatch),
                "{error}"
            );
        }
        assert!(store.0.take().is_empty());
    }

    #[tokio::test]
    async fn a_store_that_fails_is_told_by_what_to_do_about_it_and_with_the_batch() {
        for (store, kind) in [
            (
                Failing(StoreError::Unavailable),
                FunctionErrorType::StorageUnavailable,
            ),
            (
                Failing(StoreError::Misconfigured),
                FunctionErrorType::StorageMisconfigured,
            ),
            (
                Failing(StoreError::OtherBytes),
                FunctionErrorType::PartialConflict,
            ),
        ] {
            let error = error_of(store, event(&message())).await;
            assert_eq!(error.kind(), Some(kind));
            let diagnostic = lambda_runtime::Diagnostic::from(error);
            assert_eq!(diagnostic.error_type, kind.name());
            assert!(diagnostic.error_message.contains(ID));
            assert!(diagnostic.error_message.contains("the store says no"));
        }
    }
}
