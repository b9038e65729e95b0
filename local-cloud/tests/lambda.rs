//! Lambda as the real SDK sees it.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod common;

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::operation::invoke::{InvokeError, InvokeOutput};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{InvocationType, ThrottleReason};
use common::{Cloud, function};
use serde_json::{Value, json};
use spillway_local_cloud::FunctionConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LIMIT: usize = 6_291_556;

type Invoked = Result<InvokeOutput, SdkError<InvokeError>>;

async fn invoke(client: &aws_sdk_lambda::Client, event: &Value) -> Invoked {
    invoke_raw(client, event.to_string().into_bytes()).await
}

async fn invoke_raw(client: &aws_sdk_lambda::Client, payload: Vec<u8>) -> Invoked {
    client
        .invoke()
        .function_name("f")
        .payload(Blob::new(payload))
        .send()
        .await
}

fn payload(output: &InvokeOutput) -> Value {
    serde_json::from_slice(output.payload().unwrap().as_ref()).unwrap()
}

async fn pid(client: &aws_sdk_lambda::Client) -> u64 {
    payload(&invoke(client, &json!({"do": "describe"})).await.unwrap())["pid"]
        .as_u64()
        .unwrap()
}

fn error_type(output: &InvokeOutput) -> String {
    assert_eq!(output.function_error(), Some("Unhandled"));
    payload(output)["errorType"].as_str().unwrap().to_owned()
}

/// Where functions that were told to `meet` come to.
struct Meeting(TcpListener);

impl Meeting {
    async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn event(&self) -> Value {
        json!({"do": "meet", "at": self.0.local_addr().unwrap().to_string()})
    }

    /// The next function that comes, and its process id. It goes on when a byte is written.
    async fn next(&self) -> (TcpStream, u32) {
        let (mut stream, _) = self.0.accept().await.unwrap();
        let pid = stream.read_u32_le().await.unwrap();
        (stream, pid)
    }
}

/// Waits until the process at the other end is gone.
async fn gone(mut stream: TcpStream) {
    // The connection is reset or closed: either ends it.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn an_event_comes_back_as_the_answer() {
    let cloud = Cloud::start(function()).await;
    let output = invoke(&cloud.lambda(), &json!({"x": [1, "ü"]}))
        .await
        .unwrap();
    assert_eq!(payload(&output), json!({"x": [1, "ü"]}));
    assert_eq!(output.function_error(), None);
    assert_eq!(output.status_code(), 200);
    assert_eq!(output.executed_version(), Some("$LATEST"));
}

#[tokio::test]
async fn a_function_is_found_by_arn_and_qualifier() {
    let cloud = Cloud::start(function()).await;
    for name in ["f:live", "arn:aws:lambda:us-east-1:123456789012:function:f"] {
        let output = cloud
            .lambda()
            .invoke()
            .function_name(name)
            .qualifier("7")
            .send()
            .await
            .unwrap();
        assert_eq!(payload(&output), json!({}), "{name}");
    }
}

#[tokio::test]
async fn an_unknown_function_is_a_typed_error() {
    let cloud = Cloud::start(function()).await;
    let error = cloud
        .lambda()
        .invoke()
        .function_name("g")
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");
}

#[tokio::test]
async fn a_dry_run_does_not_call_the_function() {
    let cloud = Cloud::start(function()).await;
    let request = cloud
        .lambda()
        .invoke()
        .function_name("f")
        .invocation_type(InvocationType::DryRun);
    assert_eq!(request.send().await.unwrap().status_code(), 204);
    assert_eq!(cloud.stats().await["invocations"], 0);
}

#[tokio::test]
async fn an_event_invocation_is_accepted_and_run() {
    let cloud = Cloud::start(function()).await;
    let meeting = Meeting::new().await;
    let request = cloud
        .lambda()
        .invoke()
        .function_name("f")
        .invocation_type(InvocationType::Event);
    let output = request
        .payload(Blob::new(meeting.event().to_string()))
        .send()
        .await
        .unwrap();
    assert_eq!(output.status_code(), 202);
    meeting.next().await;
}

#[tokio::test]
async fn a_payload_that_is_not_json_is_a_typed_error() {
    let cloud = Cloud::start(function()).await;
    let error = invoke_raw(&cloud.lambda(), b"{".to_vec())
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_invalid_request_content_exception(), "{error:?}");
}

#[tokio::test]
async fn payloads_up_to_the_limit_pass_both_ways() {
    let cloud = Cloud::start(function()).await;
    let largest = format!("\"{}\"", "x".repeat(LIMIT - 2)).into_bytes();
    let output = invoke_raw(&cloud.lambda(), largest.clone()).await.unwrap();
    assert!(output.payload().unwrap().as_ref() == largest);
}

#[tokio::test]
async fn a_request_over_the_limit_is_a_typed_error() {
    let cloud = Cloud::start(function()).await;
    let too_large = format!("\"{}\"", "x".repeat(LIMIT - 1)).into_bytes();
    let error = invoke_raw(&cloud.lambda(), too_large)
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_request_too_large_exception(), "{error:?}");
}

#[tokio::test]
async fn a_response_over_the_limit_is_a_function_error_and_the_instance_lives() {
    let cloud = Cloud::start(function()).await;
    let client = cloud.lambda();
    let before = pid(&client).await;
    let output = invoke(&client, &json!({"do": "size", "bytes": LIMIT + 1}))
        .await
        .unwrap();
    assert_eq!(error_type(&output), "Function.ResponseSizeTooLarge");
    assert_eq!(pid(&client).await, before);
}

#[tokio::test]
async fn a_functions_own_error_keeps_its_type() {
    let cloud = Cloud::start(function()).await;
    let output = invoke(&cloud.lambda(), &json!({"do": "fail"}))
        .await
        .unwrap();
    assert_eq!(output.status_code(), 200);
    assert_eq!(error_type(&output), "MalformedBatch");
}

#[tokio::test]
async fn a_crash_is_an_error_of_that_invocation_only() {
    let cloud = Cloud::start(FunctionConfig {
        concurrency: 1,
        ..function()
    })
    .await;
    let client = cloud.lambda();
    let first = pid(&client).await;
    for (event, message) in [("exit", "exit status 3"), ("abort", "signal: aborted")] {
        let output = invoke(&client, &json!({"do": event})).await.unwrap();
        assert_eq!(error_type(&output), "Runtime.ExitError");
        assert!(
            payload(&output)["errorMessage"]
                .as_str()
                .unwrap()
                .ends_with(message),
            "{output:?}"
        );
    }
    assert_ne!(pid(&client).await, first);
    let stats = cloud.stats().await;
    assert_eq!(
        (&stats["crashes"], &stats["function_errors"]),
        (&json!(2), &json!(2))
    );
}

#[tokio::test]
async fn a_function_that_hangs_is_killed_at_its_deadline() {
    let cloud = Cloud::start(FunctionConfig {
        timeout: Duration::from_millis(200),
        ..function()
    })
    .await;
    let output = invoke(&cloud.lambda(), &json!({"do": "hang"}))
        .await
        .unwrap();
    assert_eq!(error_type(&output), "Sandbox.Timedout");
    assert!(
        payload(&output)["errorMessage"]
            .as_str()
            .unwrap()
            .ends_with("Task timed out after 0.20 seconds")
    );
    assert_eq!(
        payload(&invoke(&cloud.lambda(), &json!(1)).await.unwrap()),
        json!(1)
    );
    let stats = cloud.stats().await;
    assert_eq!(
        (&stats["timeouts"], &stats["crashes"]),
        (&json!(1), &json!(0))
    );
    assert!(stats["billed_ms"].as_u64().unwrap() >= 200, "{stats}");
}

#[tokio::test]
async fn a_failing_start_is_an_error_of_the_invocation_that_caused_it() {
    for (how, expected) in [("exit", "Runtime.ExitError"), ("error", "NoConfig")] {
        let environment = vec![("INIT".to_owned(), how.to_owned())];
        let cloud = Cloud::start(FunctionConfig {
            environment,
            ..function()
        })
        .await;
        let output = invoke(&cloud.lambda(), &json!({})).await.unwrap();
        assert_eq!(error_type(&output), expected);
    }
}

#[tokio::test]
async fn a_binary_that_is_gone_is_a_function_error() {
    let cloud = Cloud::start(FunctionConfig {
        binary: "/no/such/binary".into(),
        ..function()
    })
    .await;
    let output = invoke(&cloud.lambda(), &json!({})).await.unwrap();
    assert_eq!(error_type(&output), "Runtime.InvalidEntrypoint");
}

#[tokio::test]
async fn beyond_the_cap_an_invocation_is_throttled_with_its_reason() {
    let cloud = Cloud::start(FunctionConfig {
        concurrency: 2,
        ..function()
    })
    .await;
    let (client, meeting) = (cloud.lambda(), Meeting::new().await);
    let running: Vec<_> = (0..2)
        .map(|_| {
            let (client, event) = (client.clone(), meeting.event());
            tokio::spawn(async move { invoke(&client, &event).await })
        })
        .collect();
    let (mut first, mut second) = (meeting.next().await, meeting.next().await);
    assert_ne!(first.1, second.1, "each runs in a process of its own");

    let error = invoke(&client, &json!({}))
        .await
        .unwrap_err()
        .into_service_error();
    let InvokeError::TooManyRequestsException(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        error.reason(),
        Some(&ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded)
    );

    first.0.write_u8(1).await.unwrap();
    second.0.write_u8(1).await.unwrap();
    for invocation in running {
        assert_eq!(payload(&invocation.await.unwrap().unwrap()), json!("met"));
    }
    let stats = cloud.stats().await;
    assert_eq!(
        (
            &stats["throttles"],
            &stats["concurrent_max"],
            &stats["concurrent"]
        ),
        (&json!(1), &json!(2), &json!(0))
    );
}

#[tokio::test]
async fn one_caller_after_another_shares_one_process_and_is_never_throttled() {
    let cloud = Cloud::start(FunctionConfig {
        concurrency: 1,
        ..function()
    })
    .await;
    let client = cloud.lambda();
    let mut pids = HashSet::new();
    for _ in 0..100 {
        pids.insert(pid(&client).await);
    }
    assert_eq!(pids.len(), 1);
    let stats = cloud.stats().await;
    assert_eq!(
        (&stats["cold_starts"], &stats["invocations"]),
        (&json!(1), &json!(100))
    );
    assert_eq!(stats["init_ms"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_invocation_goes_on_when_its_caller_is_gone() {
    let cloud = Cloud::start(FunctionConfig {
        concurrency: 1,
        ..function()
    })
    .await;
    let (client, meeting) = (cloud.lambda(), Meeting::new().await);
    let (caller, event) = (client.clone(), meeting.event());
    let caller = tokio::spawn(async move { invoke(&caller, &event).await });
    let (mut stream, _) = meeting.next().await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    let error = invoke(&client, &json!({}))
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_too_many_requests_exception(), "{error:?}");
    stream.write_u8(1).await.unwrap();
}

#[tokio::test]
async fn an_idle_instance_is_reaped() {
    let cloud = Cloud::start(FunctionConfig {
        idle_timeout: Duration::from_millis(1),
        ..function()
    })
    .await;
    let (client, meeting) = (cloud.lambda(), Meeting::new().await);
    let event = meeting.event();
    let invocation = tokio::spawn(async move { invoke(&client, &event).await });
    let (mut stream, pid) = meeting.next().await;
    stream.write_u8(1).await.unwrap();
    invocation.await.unwrap().unwrap();
    gone(stream).await;
    assert_eq!(cloud.stats().await["crashes"], 0);
    assert_ne!(self::pid(&cloud.lambda()).await, u64::from(pid));
}

#[tokio::test]
async fn the_function_gets_lambdas_environment_and_nothing_else() {
    let environment = vec![("OWN".to_owned(), "1".to_owned())];
    let cloud = Cloud::start(FunctionConfig {
        environment,
        ..function()
    })
    .await;
    let described = payload(
        &invoke(&cloud.lambda(), &json!({"do": "describe"}))
            .await
            .unwrap(),
    );
    let env = &described["env"];
    assert_eq!(env["AWS_LAMBDA_FUNCTION_NAME"], "f");
    assert_eq!(env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], "1769");
    assert_eq!(env["AWS_LAMBDA_FUNCTION_VERSION"], "$LATEST");
    assert_eq!(env["AWS_REGION"], "us-east-1");
    assert_eq!(env["AWS_ACCESS_KEY_ID"], "spillway");
    assert_eq!(env["AWS_ENDPOINT_URL_S3"], cloud.running.s3_url());
    assert_eq!(env["OWN"], "1");
    assert_eq!(env["CARGO_MANIFEST_DIR"], Value::Null);
}

#[tokio::test]
async fn stopping_kills_what_still_runs() {
    let cloud = Cloud::start(function()).await;
    let (client, meeting) = (cloud.lambda(), Meeting::new().await);
    let event = meeting.event();
    let invocation = tokio::spawn(async move { invoke(&client, &event).await });
    let (_stream, pid) = meeting.next().await;
    cloud.running.stop().await;
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(invocation.await.unwrap().is_err());
}

#[tokio::test]
async fn broken_requests_cost_only_their_own_connection() {
    let cloud = Cloud::start(function()).await;
    for port in [cloud.running.lambda, cloud.running.s3] {
        for request in [
            &b"\x00\xff\x16\x03\x01"[..],
            b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            b"POST /2015-03-31/functions/%ff/invocations HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            b"POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nContent-Length: 10\r\n\r\n{}",
            b"POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            let mut stream = TcpStream::connect(port).await.unwrap();
            stream.write_all(request).await.unwrap();
            stream.shutdown().await.unwrap();
            gone(stream).await;
        }
    }
    assert_eq!(
        payload(&invoke(&cloud.lambda(), &json!(1)).await.unwrap()),
        json!(1)
    );
    assert!(
        cloud
            .s3()
            .head_bucket()
            .bucket(common::BUCKET)
            .send()
            .await
            .is_ok()
    );
    assert_eq!(cloud.stats().await["invocations"], 1);
}
