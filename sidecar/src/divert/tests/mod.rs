//! The cloud lane against a function that does as it is told.

pub(crate) mod fake;

use std::time::Duration;

use bytes::Bytes;
use spillway_core::batch::{BatchBuilder, BatchView};
use spillway_core::envelope::{FunctionErrorType, Invocation};

use super::*;
use fake::{FakeFunction, Reply, StoppedClock, batch};

const ID: &str = "9f3a6c1e2b7d4f08-0-42";
const LONG: Duration = Duration::from_secs(30);

fn lane(function: &Arc<FakeFunction>, max_concurrency: u32, queue: u32) -> Arc<Divert> {
    timed_lane(function, max_concurrency, queue).0
}

/// A lane whose clock stands still until it is told to go.
fn timed_lane(
    function: &Arc<FakeFunction>,
    max_concurrency: u32,
    queue: u32,
) -> (Arc<Divert>, Arc<StoppedClock>) {
    let settings = Settings {
        max_concurrency,
        queue,
        ..Settings::default()
    };
    let invoker: Arc<dyn Invoker> = Arc::clone(function) as Arc<dyn Invoker>;
    let clock = Arc::new(StoppedClock::default());
    let divert = Divert::new(
        invoker,
        Arc::clone(&clock) as Arc<dyn Clock>,
        &settings,
        Prices::default(),
    );
    (Arc::new(divert), clock)
}

fn throttled(retry_after: Option<Duration>) -> Reply {
    Reply::Fail(InvokeError::Throttled {
        what: "ConcurrentInvocationLimitExceeded".into(),
        at_once: true,
        retry_after,
    })
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
        throttled(None),
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
async fn a_cloud_that_is_silent_for_long_is_shut() {
    let function = FakeFunction::new(std::iter::repeat_n(Reply::Hold, 3));
    let (divert, clock) = timed_lane(&function, 1, 0);
    for _ in 0..3 {
        let silence = async {
            function.begun(1).await;
            clock.advance(Duration::from_secs(2));
        };
        let (refusal, ()) = tokio::join!(send(&divert, ID, Duration::from_millis(30)), silence);
        let refusal = refusal.unwrap_err();
        assert_eq!(refusal.slug(), "deadline-exceeded");
        assert!(refusal.to_string().contains("no answer in 2000 ms"));
    }
    let refusal = send(&divert, ID, LONG).await.unwrap_err();
    assert_eq!(refusal.slug(), "cloud-lane-shut");
    assert!(
        refusal
            .to_string()
            .contains("3 attempts without an answer in time in a row"),
        "{refusal}"
    );
}

/// Long enough for an attempt to begin on a machine that is busy, short enough to be waited for.
const SHORT: Duration = Duration::from_millis(150);

/// A lane which three silences have shut, and which gives its trials back after `patience`; its rest is over.
async fn silent_lane(
    then: Reply,
    patience: Duration,
) -> (Arc<Divert>, Arc<FakeFunction>, Arc<StoppedClock>) {
    let script = std::iter::repeat_n(Reply::Hold, 3).chain(std::iter::repeat_n(then, 8));
    let function = FakeFunction::new(script);
    let (divert, clock) = timed_lane(&function, 2, 0);
    let mut divert = Arc::into_inner(divert).unwrap();
    divert.trial_patience = patience;
    let divert = Arc::new(divert);
    for _ in 0..3 {
        let silence = async {
            function.begun(1).await;
            clock.advance(Duration::from_secs(2));
        };
        let (refusal, ()) = tokio::join!(send(&divert, ID, SHORT), silence);
        assert_eq!(refusal.unwrap_err().slug(), "deadline-exceeded");
    }
    assert!(matches!(divert.admit(), Err(Refusal::Shut { .. })));
    clock.advance(Duration::from_millis(500));
    (divert, function, clock)
}

/// How often in a row the lane has waited for an answer in vain, as its reason says.
fn silences(divert: &Arc<Divert>) -> String {
    let Err(Refusal::Shut { why, .. }) = divert.admit() else {
        panic!("the lane is open");
    };
    why.split(' ').next().unwrap().to_owned()
}

/// Ready once no trial is under way that was given back: each has the lane in its hands.
async fn trials_end(divert: &Arc<Divert>) {
    let ended = async {
        while Arc::strong_count(divert) > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, ended).await.unwrap();
}

#[tokio::test]
async fn a_silent_trial_goes_back_soon_and_its_late_answer_still_opens_the_lane() {
    let (divert, function, clock) = silent_lane(Reply::Hold, SHORT).await;
    let silence = async {
        function.begun(1).await;
        clock.advance(Duration::from_secs(1));
    };
    let (refusal, ()) = tokio::join!(send(&divert, ID, LONG), silence);
    assert_eq!(refusal.unwrap_err().slug(), "trial-unsettled");
    assert_eq!(silences(&divert), "4");
    // It rests anew, twice as long.
    clock.advance(Duration::from_millis(999));
    assert!(matches!(divert.admit(), Err(Refusal::Shut { .. })));
    // Nobody waits for it, so a sidecar that stops does not either.
    assert_eq!((divert.in_flight(), divert.tally.all_failed()), (0, 4));
    function.release(1);
    trials_end(&divert).await;
    assert_eq!(divert.lane(), CloudLane::Open { credits: 2 });
    // It is not a receipt that anyone has.
    assert_eq!(divert.tally.receipts.get(), 0);
    assert_eq!(divert.tally.late_trials.get(), 1);
}

#[tokio::test]
async fn a_trial_that_stays_silent_is_counted_once() {
    let (divert, function, clock) = silent_lane(Reply::Hold, SHORT).await;
    let silence = async {
        function.begun(1).await;
        clock.advance(Duration::from_secs(1));
    };
    let deadline = 3 * SHORT;
    let (refusal, ()) = tokio::join!(send(&divert, ID, deadline), silence);
    assert_eq!(refusal.unwrap_err().slug(), "trial-unsettled");
    // The rest is over, and another trial admitted, when the first one comes to its deadline.
    clock.advance(Duration::from_secs(2));
    drop(divert.admit().unwrap());
    trials_end(&divert).await;
    assert_eq!(silences(&divert), "4");
    assert_eq!(divert.tally.late_trials.get(), 0);
}

#[tokio::test]
async fn a_trial_that_hangs_keeps_no_other_from_trying() {
    let (divert, function, clock) = silent_lane(Reply::Hold, SHORT).await;
    // As many as may still be waited for, more than the two places that there are, and one more.
    for n in 0..=settle::MAX_LATE_TRIALS {
        let silence = async {
            function.begun(1).await;
            clock.advance(Duration::from_secs(2));
        };
        let (refusal, ()) = tokio::join!(send(&divert, ID, LONG), silence);
        assert_eq!(refusal.unwrap_err().slug(), "trial-unsettled", "{n}");
        clock.advance(Duration::from_secs(2));
    }
    assert_eq!(divert.in_flight(), 0);
    function.release(settle::MAX_LATE_TRIALS + 1);
    trials_end(&divert).await;
    assert_eq!(
        divert.tally.late_trials.get(),
        settle::MAX_LATE_TRIALS as u64
    );
}

#[tokio::test]
async fn nothing_is_begun_for_a_trial_that_has_gone_back() {
    let (divert, function, _) = silent_lane(unreachable_cloud(), SHORT).await;
    let refusal = send(&divert, ID, LONG).await.unwrap_err();
    assert_eq!(refusal.slug(), "trial-unsettled");
    let begun = function.invocations();
    trials_end(&divert).await;
    assert_eq!(function.invocations(), begun);
    assert_eq!(divert.tally.late_trials.get(), 0);
}

#[tokio::test]
async fn a_trial_that_is_answered_with_an_error_is_no_silence() {
    let (divert, _, _) = silent_lane(unreachable_cloud(), SHORT).await;
    let refusal = send(&divert, ID, LONG).await.unwrap_err();
    assert_eq!(refusal.slug(), "trial-unsettled");
    assert!(refusal.to_string().contains("reset"), "{refusal}");
    assert_eq!(silences(&divert), "3");
}

#[tokio::test]
async fn a_trial_that_is_settled_opens_the_lane() {
    let (divert, _, _) = silent_lane(Reply::Receipt, LONG).await;
    assert_eq!(divert.lane(), CloudLane::Open { credits: 1 });
    assert!(!divert.works(), "it is only tried out");
    let receipt = send(&divert, ID, LONG).await.unwrap();
    assert!(receipt.contains(ID), "{receipt}");
    assert_eq!(divert.lane(), CloudLane::Open { credits: 2 });
    assert!(divert.works());
}

#[tokio::test]
async fn short_deadlines_do_not_shut_a_cloud_that_had_no_time_to_answer() {
    let function = FakeFunction::new(std::iter::repeat_n(Reply::Hold, 10));
    let divert = lane(&function, 1, 0);
    for _ in 0..10 {
        let refusal = send(&divert, ID, Duration::from_millis(5)).await;
        assert_eq!(refusal.unwrap_err().slug(), "deadline-exceeded");
    }
    assert_eq!(divert.lane(), CloudLane::Open { credits: 1 });
}

#[tokio::test]
async fn a_batch_that_waits_for_an_invocation_is_encoded_meanwhile() {
    let function = FakeFunction::new([Reply::Hold]);
    let divert = lane(&function, 1, 1);
    let encoders = divert.encoders.available_permits();
    let first = tokio::spawn({
        let divert = Arc::clone(&divert);
        async move { send(&divert, ID, LONG).await }
    });
    function.begun(1).await;
    // It is too large to be sent. That comes out although the only invocation that is allowed is under way.
    // What does not compress is more than 6 MB as base64.
    let noise: Vec<u8> = (0..5_000_000)
        .scan(1_u64, |state, _| {
            *state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            Some(state.to_be_bytes()[0])
        })
        .collect();
    let large = BatchBuilder::new(ID, "wordcount", "wordcount", 1000)
        .push(10, &noise)
        .encode();
    let view = BatchView::parse(&large).unwrap();
    let slot = divert.admit().unwrap();
    let refused = slot.process(&view, &large.clone().into(), LONG).await;
    assert_eq!(refused.unwrap_err().slug(), "batch-too-large");
    assert_eq!(function.invocations(), 1);
    // One that waits with its payload until its deadline leaves its turn to another.
    let refused = send(&divert, ID, SHORT).await.unwrap_err();
    assert!(refused.to_string().contains("waiting for its turn"));
    assert_eq!(divert.encoders.available_permits(), encoders);
    function.release(1);
    first.await.unwrap().unwrap();
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
    while divert.tally.all_shut() == 0 {
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
async fn throttling_shuts_nothing_but_lowers_what_the_valves_may_send() {
    let function = FakeFunction::new(std::iter::repeat_n(throttled(None), 2));
    let divert = lane(&function, 8, 16);
    assert_eq!(divert.lane(), CloudLane::Open { credits: 24 });
    send(&divert, ID, LONG).await.unwrap();
    assert_eq!(
        (divert.tally.all_shut(), divert.tally.throttled.get()),
        (0, 2)
    );
    // One invocation was under way when it was refused: one is what there is, and two may wait.
    assert_eq!(divert.lane(), CloudLane::Open { credits: 3 });
    let health = divert.health();
    assert_eq!(health.concurrency_limit, 1);
    assert_eq!(health.limit_reason, "throttled with 1 invocations at once");
}

#[tokio::test]
async fn a_batch_that_would_have_to_wait_beyond_its_deadline_is_given_back_at_once() {
    let hour = Duration::from_hours(1);
    let function = FakeFunction::new([throttled(Some(hour))]);
    let divert = lane(&function, 1, 0);
    let refusal = send(&divert, ID, LONG).await.unwrap_err();
    assert_eq!(refusal, Refusal::Throttled { retry_after: hour });
    assert_eq!(divert.in_flight(), 0);
}

#[tokio::test]
async fn a_batch_waits_as_long_as_the_service_asks() {
    let asked = Duration::from_millis(120);
    let function = FakeFunction::new([throttled(Some(asked))]);
    let divert = lane(&function, 1, 0);
    let began = std::time::Instant::now();
    send(&divert, ID, LONG).await.unwrap();
    assert!(began.elapsed() >= asked);
}

#[tokio::test]
async fn a_cloud_that_throttles_everything_is_shut_and_tried_again_by_one_batch() {
    let function = FakeFunction::new(std::iter::repeat_n(
        throttled(Some(Duration::from_secs(7))),
        20,
    ));
    let (divert, clock) = timed_lane(&function, 4, 4);
    for _ in 0..20 {
        let refusal = send(&divert, ID, Duration::from_secs(5)).await;
        assert_eq!(refusal.unwrap_err().slug(), "throttled");
    }
    let Err(Refusal::Shut { retry_after, why }) = divert.admit().map(drop) else {
        panic!("it was to be shut")
    };
    assert_eq!(retry_after, Duration::from_secs(7));
    assert!(why.starts_with("20 attempts throttled in a row"), "{why}");
    clock.advance(Duration::from_secs(7));
    assert_eq!(divert.lane(), CloudLane::Open { credits: 1 });
    let trial = divert.admit().map(drop);
    assert!(trial.is_ok());
    assert!(matches!(divert.admit(), Err(Refusal::Shut { .. })));
    clock.advance(Duration::from_secs(1));
    send(&divert, ID, LONG).await.unwrap();
    assert!(matches!(divert.lane(), CloudLane::Open { credits } if credits > 1));
}

#[tokio::test]
async fn what_may_have_run_is_paid_for_and_what_was_refused_is_not() {
    let function = FakeFunction::new([
        throttled(None),
        Reply::Fail(InvokeError::Service("500".into())),
        Reply::Receipt,
    ]);
    let (divert, clock) = timed_lane(&function, 1, 0);
    send(&divert, ID, LONG).await.unwrap();
    let prices = Prices::default();
    let one = cost::total_usd(&prices, 13, 1);
    assert!((divert.spent_usd() - one).abs() < 1e-15);
    assert_eq!(divert.tally.unanswered.get(), 0);

    // An answer that never comes, waited for for three seconds.
    let function = FakeFunction::new([Reply::Hold]);
    let (silent, silent_clock) = timed_lane(&function, 1, 0);
    let silence = async {
        function.begun(1).await;
        silent_clock.advance(Duration::from_secs(3));
    };
    let (refused, ()) = tokio::join!(send(&silent, ID, Duration::from_millis(20)), silence);
    assert!(refused.is_err());
    let lost = cost::total_usd(&prices, 3_000, 1);
    assert!((silent.spent_usd() - lost).abs() < 1e-15);
    drop(clock);
}

/// A lane that has seen enough quick answers to know a late one.
async fn experienced_lane(
    then: impl IntoIterator<Item = Reply>,
    max_concurrency: u32,
) -> (Arc<Divert>, Arc<FakeFunction>) {
    let script = std::iter::repeat_n(Reply::Warm, 40).chain(then);
    let function = FakeFunction::new(script);
    let divert = lane(&function, max_concurrency, 0);
    for _ in 0..40 {
        send(&divert, ID, LONG).await.unwrap();
    }
    function.begun(40).await;
    (divert, function)
}

#[tokio::test]
async fn a_late_answer_is_overtaken_by_a_second_attempt_with_the_same_bytes() {
    let (divert, function) = experienced_lane([Reply::Hold, Reply::Warm], 2).await;
    send(&divert, ID, LONG).await.unwrap();
    let payloads = function.payloads.lock().unwrap().clone();
    assert_eq!(payloads.len(), 42);
    assert_eq!(payloads[40], payloads[41]);
    assert_eq!(divert.tally.second_attempts.get(), 1);
    assert_eq!(divert.tally.second_attempts_useful.get(), 1);
    // The first one may have run: it is paid for.
    assert_eq!(divert.tally.unanswered.get(), 1);
    assert_eq!(divert.health().invocations_under_way, 0);
}

#[tokio::test]
async fn if_the_second_attempt_fails_the_first_is_still_waited_for() {
    let (divert, function) = experienced_lane([Reply::Hold, unreachable_cloud()], 2).await;
    let release = async {
        function.begun(2).await;
        function.release(1);
    };
    let (receipt, ()) = tokio::join!(send(&divert, ID, LONG), release);
    assert!(receipt.unwrap().contains(ID));
    assert_eq!(divert.tally.second_attempts_useful.get(), 0);
}

#[tokio::test]
async fn without_a_spare_place_nothing_is_sent_twice() {
    let (divert, function) = experienced_lane([Reply::Hold], 1).await;
    let refusal = send(&divert, ID, Duration::from_millis(400)).await;
    assert_eq!(refusal.unwrap_err().slug(), "deadline-exceeded");
    assert_eq!(function.invocations(), 41);
}

#[tokio::test]
async fn a_stopping_lane_tells_the_controller_but_still_settles_what_comes() {
    let divert = lane(&FakeFunction::new([]), 1, 0);
    divert.stop();
    assert!(matches!(divert.lane(), CloudLane::Closed { .. }));
    assert!(send(&divert, ID, LONG).await.is_ok());
}
