//! The cloud lane against a function that does as it is told.

pub(crate) mod fake;

use std::time::Duration;

use bytes::Bytes;
use spillway_core::envelope::FunctionErrorType;

use super::*;
use crate::clock::SystemClock;
use fake::{FakeFunction, Reply, batch};

const ID: &str = "9f3a6c1e2b7d4f08-0-42";
const LONG: Duration = Duration::from_secs(30);

fn lane(function: &Arc<FakeFunction>, max_concurrency: u32, queue: u32) -> Arc<Divert> {
    let settings = Settings {
        max_concurrency,
        queue,
        ..Settings::default()
    };
    let invoker: Arc<dyn Invoker> = Arc::clone(function) as Arc<dyn Invoker>;
    Arc::new(Divert::new(
        invoker,
        Arc::new(SystemClock::start()),
        &settings,
    ))
}

async fn send(divert: &Arc<Divert>, id: &str, deadline: Duration) -> Result<String, Refusal> {
    let slot = divert.admit()?;
    let body = Bytes::from(batch(id));
    let view = BatchView::parse(&body).unwrap();
    slot.process(&view, &body, deadline).await
}

fn unreachable_cloud() -> Reply {
    Reply::Fail(InvokeError::Unreachable("reset".into()))
}

fn function_error(kind: Option<FunctionErrorType>, error_type: &str) -> Reply {
    let error_type = error_type.to_owned();
    Reply::Fail(InvokeError::Function {
        kind,
        error_type,
        message: "m".into(),
    })
}

#[tokio::test]
async fn a_batch_comes_back_as_its_receipt() {
    let function = FakeFunction::new([]);
    let divert = lane(&function, 1, 0);
    let receipt = send(&divert, ID, LONG).await.unwrap();
    assert!(
        receipt.contains(&format!("\"batch\":\"{ID}\"")) && !receipt.contains('\n'),
        "{receipt}"
    );
    let sent = Invocation::from_json(&function.payloads.lock().unwrap()[0]).unwrap();
    assert_eq!(sent.unpack().unwrap(), batch(ID));
    assert_eq!(divert.tally.records.get(), 3);
    // 9 ms of start, 4 ms of work.
    assert_eq!(divert.tally.billed_ms.get(), 13);
    assert_eq!(divert.tally.ns_per_record(), Some(1e6));
    assert_eq!(divert.in_flight(), 0);
}

#[tokio::test]
async fn what_may_fare_better_is_retried_with_the_same_bytes() {
    let function = FakeFunction::new([
        unreachable_cloud(),
        Reply::Fail(InvokeError::Throttled(
            "ConcurrentInvocationLimitExceeded".into(),
        )),
        function_error(
            Some(FunctionErrorType::StorageUnavailable),
            "StorageUnavailable",
        ),
        function_error(None, "Sandbox.Timedout"),
    ]);
    let divert = lane(&function, 1, 0);
    send(&divert, ID, LONG).await.unwrap();
    let payloads = function.payloads.lock().unwrap().clone();
    assert_eq!(payloads.len(), 5);
    assert!(payloads.iter().all(|payload| *payload == payloads[0]));
    assert_eq!(
        (divert.tally.all_retries(), divert.tally.throttled.get()),
        (4, 1)
    );
    assert_eq!(divert.tally.all_failed(), 0);
}

#[tokio::test]
async fn an_answer_that_is_not_this_batchs_receipt_is_an_unknown_outcome() {
    let function = FakeFunction::new([
        Reply::OtherBatch,
        Reply::Bytes(b"{\"receipt\": {"),
        Reply::Bytes(b"null"),
    ]);
    let divert = lane(&function, 1, 0);
    let receipt = send(&divert, ID, LONG).await.unwrap();
    assert!(receipt.contains(ID));
    assert_eq!(function.invocations(), 4);
}

#[tokio::test]
async fn what_cannot_fare_better_is_not_retried() {
    let cases = [
        (
            function_error(Some(FunctionErrorType::MalformedBatch), "MalformedBatch"),
            "malformed-batch",
        ),
        (
            function_error(
                Some(FunctionErrorType::StorageMisconfigured),
                "StorageMisconfigured",
            ),
            "cloud-lane-misconfigured",
        ),
        (
            Reply::Fail(InvokeError::TooLarge("413".into())),
            "batch-too-large",
        ),
        (
            Reply::Fail(InvokeError::FunctionMissing("404".into())),
            "cloud-lane-misconfigured",
        ),
    ];
    for (reply, slug) in cases {
        let function = FakeFunction::new([reply]);
        let divert = lane(&function, 1, 0);
        let refusal = send(&divert, ID, LONG).await.unwrap_err();
        assert_eq!(refusal.slug(), slug);
        assert_eq!(function.invocations(), 1);
        assert_eq!(divert.tally.all_failed(), 1);
    }
}

#[tokio::test]
async fn a_sender_has_its_answer_by_the_deadline_and_the_place_is_free_again() {
    let function = FakeFunction::new([Reply::Hold]);
    let divert = lane(&function, 1, 0);
    let refusal = send(&divert, ID, Duration::from_millis(30))
        .await
        .unwrap_err();
    assert_eq!(refusal.slug(), "deadline-exceeded");
    assert_eq!(divert.in_flight(), 0);
    assert!(send(&divert, ID, LONG).await.is_ok());
}

#[tokio::test]
async fn a_cloud_that_never_answers_is_shut() {
    let function = FakeFunction::new(std::iter::repeat_n(Reply::Hold, 5));
    let divert = lane(&function, 1, 0);
    for _ in 0..5 {
        let refusal = send(&divert, ID, Duration::from_millis(10)).await;
        assert_eq!(refusal.unwrap_err().slug(), "deadline-exceeded");
    }
    let refusal = send(&divert, ID, LONG).await.unwrap_err();
    assert_eq!(refusal.slug(), "cloud-lane-shut");
}

#[tokio::test]
async fn beyond_concurrency_and_queue_batches_are_turned_away_at_once() {
    let function = FakeFunction::new([Reply::Hold, Reply::Hold]);
    let divert = lane(&function, 1, 1);
    let waiting: Vec<_> = (0..2)
        .map(|sequence| {
            let divert = Arc::clone(&divert);
            tokio::spawn(async move {
                send(&divert, &format!("9f3a6c1e2b7d4f08-0-{sequence}"), LONG).await
            })
        })
        .collect();
    function.begun(1).await;
    assert_eq!(divert.in_flight(), 2);
    // One runs, one waits: a second invocation has not begun.
    assert_eq!(function.invocations(), 1);
    let refusal = send(&divert, ID, LONG).await.unwrap_err();
    assert_eq!(
        refusal,
        Refusal::QueueFull {
            retry_after: QUEUE_RETRY
        }
    );
    assert_eq!(divert.tally.turned_away.get(), 1);
    function.release(2);
    for task in waiting {
        task.await.unwrap().unwrap();
    }
    assert!(send(&divert, ID, LONG).await.is_ok());
}

#[tokio::test]
async fn a_cloud_that_is_down_shuts_the_lane_for_new_batches_and_for_the_controller() {
    let function = FakeFunction::new(std::iter::repeat_n(unreachable_cloud(), 5));
    let divert = lane(&function, 1, 3);
    assert_eq!(divert.lane(), CloudLane::Open { credits: 4 });
    let slot = divert.admit().unwrap();
    let body = Bytes::from(batch(ID));
    let view = BatchView::parse(&body).unwrap();
    let sending = slot.process(&view, &body, LONG);
    tokio::pin!(sending);
    // Drive it until the fifth failure.
    tokio::select! {
        _ = &mut sending => panic!("five failures came first"),
        () = function.begun(5) => {}
    }
    while divert.tally.shut.get() == 0 {
        tokio::select! {
            _ = &mut sending => panic!("the fifth failure came first"),
            () = tokio::task::yield_now() => {}
        }
    }
    assert!(matches!(divert.lane(), CloudLane::Closed { .. }));
    assert!(matches!(divert.admit(), Err(Refusal::Shut { .. })));
    // The batch under way finds the cloud back, and so do all others.
    sending.await.unwrap();
    assert_eq!(divert.lane(), CloudLane::Open { credits: 4 });
}

#[tokio::test]
async fn throttling_does_not_shut_the_lane() {
    let throttled = Reply::Fail(InvokeError::Throttled("rate".into()));
    let function = FakeFunction::new(std::iter::repeat_n(throttled, 6));
    let divert = lane(&function, 1, 0);
    send(&divert, ID, LONG).await.unwrap();
    assert_eq!(
        (divert.tally.shut.get(), divert.tally.throttled.get()),
        (0, 6)
    );
}

#[tokio::test]
async fn a_stopping_lane_tells_the_controller_but_still_settles_what_comes() {
    let divert = lane(&FakeFunction::new([]), 1, 0);
    divert.stop();
    assert!(matches!(divert.lane(), CloudLane::Closed { .. }));
    assert!(send(&divert, ID, LONG).await.is_ok());
}
