//! Fault rules, end to end.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod common;

use std::time::{Duration, Instant};

use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::operation::invoke::{InvokeError, InvokeOutput};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::ThrottleReason;
use aws_sdk_s3::error::ProvideErrorMetadata;
use common::{BUCKET, Cloud, function};
use serde_json::{Value, json};
use spillway_local_cloud::FunctionConfig;

async fn invoke(cloud: &Cloud, event: &Value) -> Result<InvokeOutput, SdkError<InvokeError>> {
    cloud
        .lambda()
        .invoke()
        .function_name("f")
        .payload(Blob::new(event.to_string()))
        .send()
        .await
}

fn text(output: &InvokeOutput) -> String {
    String::from_utf8(output.payload().unwrap().as_ref().to_vec()).unwrap()
}

async fn cloud_with(rules: &str) -> Cloud {
    let cloud = Cloud::start(FunctionConfig {
        timeout: Duration::from_secs(2),
        concurrency: 1,
        ..function()
    })
    .await;
    cloud.set_faults(rules).await;
    cloud
}

/// After the rule has struck once, the next invocation works.
async fn recovered(cloud: &Cloud) {
    assert_eq!(
        text(&invoke(cloud, &json!("again")).await.unwrap()),
        "\"again\""
    );
}

#[tokio::test]
async fn throttle_names_the_accounts_limit() {
    let cloud = cloud_with(r#"{"lambda":[{"kind":"throttle","count":1}]}"#).await;
    let error = invoke(&cloud, &json!(1))
        .await
        .unwrap_err()
        .into_service_error();
    let InvokeError::TooManyRequestsException(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        error.reason(),
        Some(&ThrottleReason::ConcurrentInvocationLimitExceeded)
    );
    assert_eq!(cloud.stats().await["throttles"], 1);
    recovered(&cloud).await;
}

#[tokio::test]
async fn service_error_is_typed() {
    let cloud = cloud_with(r#"{"lambda":[{"kind":"service_error","count":1}]}"#).await;
    let error = invoke(&cloud, &json!(1))
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_service_exception(), "{error:?}");
    recovered(&cloud).await;
}

#[tokio::test]
async fn down_cuts_the_connection() {
    let cloud = cloud_with(r#"{"lambda":[{"kind":"down","count":1}]}"#).await;
    let error = invoke(&cloud, &json!(1)).await.unwrap_err();
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    recovered(&cloud).await;
}

#[tokio::test]
async fn crashes_before_the_answer_are_exit_errors() {
    for kind in ["crash_before_invoke", "crash_before_response"] {
        let cloud = cloud_with(&format!(r#"{{"lambda":[{{"kind":"{kind}","count":1}}]}}"#)).await;
        let output = invoke(&cloud, &json!(1)).await.unwrap();
        assert_eq!(output.function_error(), Some("Unhandled"));
        assert!(
            text(&output).contains("Runtime exited with error: signal: killed"),
            "{kind}"
        );
        assert_eq!(cloud.stats().await["crashes"], 1);
        recovered(&cloud).await;
    }
}

#[tokio::test]
async fn a_crash_after_the_answer_is_not_seen_by_any_caller() {
    let cloud = cloud_with(r#"{"lambda":[{"kind":"crash_after_response","every":2}]}"#).await;
    for number in 0..20 {
        let output = invoke(&cloud, &json!(number)).await.unwrap();
        assert_eq!(text(&output), number.to_string());
    }
    assert_eq!(cloud.stats().await["cold_starts"], 10);
}

#[tokio::test]
async fn a_time_out_comes_at_the_deadline() {
    let cloud = cloud_with(r#"{"lambda":[{"kind":"timeout","count":1}]}"#).await;
    let start = Instant::now();
    let output = invoke(&cloud, &json!(1)).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert!(text(&output).contains("Sandbox.Timedout"));
    recovered(&cloud).await;
}

#[tokio::test]
async fn slow_takes_its_delay_longer() {
    let cloud = cloud_with(r#"{"lambda":[{"kind":"slow","count":1,"delay_ms":150}]}"#).await;
    let start = Instant::now();
    assert_eq!(text(&invoke(&cloud, &json!(1)).await.unwrap()), "1");
    assert!(start.elapsed() >= Duration::from_millis(150));
    recovered(&cloud).await;
}

#[tokio::test]
async fn answers_can_be_errors_wrong_or_cut_short() {
    let rules = r#"{"lambda":[{"kind":"wrong_answer","every":2,"count":1},{"kind":"truncated_answer","every":2,"count":1},
                              {"kind":"error_unhandled","every":2,"count":1}]}"#;
    let cloud = cloud_with(rules).await;
    let mut answers = Vec::new();
    for event in ["first", "second", "third", "fourth"] {
        let output = invoke(&cloud, &json!(event)).await.unwrap();
        answers.push((text(&output), output.function_error().map(str::to_owned)));
    }
    assert_eq!(answers[0], ("\"first\"".to_owned(), None));
    assert_eq!(
        answers[1],
        ("\"first\"".to_owned(), None),
        "the answer to the invocation before"
    );
    assert_eq!(answers[2], ("\"th".to_owned(), None));
    assert_eq!(answers[3].1.as_deref(), Some("Unhandled"));
    recovered(&cloud).await;
}

#[tokio::test]
async fn rules_are_shown_replaced_refused_and_cleared() {
    let cloud = cloud_with(r#"{"lambda":[{"kind":"throttle","count":1}]}"#).await;
    let (status, answer) = cloud
        .admin("PUT", "/_local/faults", r#"{"lambda":[{"kind":"meteor"}]}"#)
        .await;
    assert_eq!(status, 400);
    assert!(
        answer["message"].as_str().unwrap().contains("meteor"),
        "{answer}"
    );
    assert!(
        invoke(&cloud, &json!(1)).await.is_err(),
        "the rules from before are still in force"
    );
    let (_, rules) = cloud.admin("GET", "/_local/faults", "").await;
    assert_eq!(
        (&rules["lambda"][0]["matched"], &rules["lambda"][0]["fired"]),
        (&json!(1), &json!(1))
    );
    let (_, rules) = cloud.admin("DELETE", "/_local/faults", "").await;
    assert_eq!(rules, json!({"lambda": [], "s3": []}));
}

#[tokio::test]
async fn s3_fails_as_the_rules_say() {
    let cloud = Cloud::with_s3_only().await;
    let s3 = cloud.s3();
    let put = |key: &str| {
        s3.put_object()
            .bucket(BUCKET)
            .key(key)
            .body(vec![7; 100_000].into())
            .send()
    };
    put("kept").await.unwrap();

    cloud.set_faults(r#"{"s3":[{"kind":"500","count":1,"key_contains":"/x"},{"kind":"503_slow_down","count":1,"key_contains":"/x"}]}"#).await;
    assert_eq!(
        put("x").await.unwrap_err().into_service_error().code(),
        Some("InternalError")
    );
    put("y").await.unwrap();
    assert_eq!(
        put("x").await.unwrap_err().into_service_error().code(),
        Some("SlowDown")
    );
    assert!(
        s3.head_object()
            .bucket(BUCKET)
            .key("x")
            .send()
            .await
            .unwrap_err()
            .into_service_error()
            .is_not_found()
    );

    cloud
        .set_faults(r#"{"s3":[{"kind":"put_succeeds_answers_500","count":1}]}"#)
        .await;
    assert_eq!(
        put("x").await.unwrap_err().into_service_error().code(),
        Some("InternalError")
    );
    s3.head_object()
        .bucket(BUCKET)
        .key("x")
        .send()
        .await
        .unwrap();

    cloud
        .set_faults(r#"{"s3":[{"kind":"reset_mid_body","count":1}]}"#)
        .await;
    let answer = s3
        .get_object()
        .bucket(BUCKET)
        .key("kept")
        .send()
        .await
        .unwrap();
    assert!(answer.body.collect().await.is_err());
    cloud
        .set_faults(r#"{"s3":[{"kind":"reset_mid_body","count":1}]}"#)
        .await;
    assert!(matches!(
        put("z").await.unwrap_err(),
        aws_sdk_s3::error::SdkError::DispatchFailure(_)
    ));
    put("z").await.unwrap();
}
