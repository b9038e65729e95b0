//! The burst function on AWS Lambda.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_lambda::operation::invoke::{InvokeError as SdkInvokeError, InvokeOutput};
use aws_sdk_lambda::types::error::TooManyRequestsException;
use aws_sdk_lambda::types::{InvocationType, ThrottleReason};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::Blob;
use serde::Deserialize;
use spillway_core::envelope::FunctionErrorType;

use super::invoke::{BoxFuture, InvokeError, Invoker};
use crate::aws;
use crate::causes;
use crate::config::Lambda;

/// A connection that is not there by then will hardly be in time for a batch.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Invokes a function by `aws-sdk-lambda`.
#[derive(Debug, Clone)]
pub struct LambdaInvoker {
    client: Client,
    function: String,
}

impl LambdaInvoker {
    /// A client with the credentials of the AWS environment. The SDK's own retries are off: they know
    /// neither the batch's deadline nor what an error means for it.
    pub async fn new(settings: &Lambda) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .build();
        let (region, url) = (settings.region.as_deref(), settings.endpoint_url.as_deref());
        let config = aws::config(region, url, RetryConfig::disabled(), timeouts).await;
        Self {
            client: Client::new(&config),
            function: settings.function.clone(),
        }
    }
}

impl Invoker for LambdaInvoker {
    fn invoke(&self, payload: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, InvokeError>> {
        Box::pin(async move {
            let request = self
                .client
                .invoke()
                .function_name(&self.function)
                .payload(Blob::new(payload));
            let output = request.send().await.map_err(|error| classify(&error))?;
            answer(output)
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<(), InvokeError>> {
        Box::pin(async move {
            let request = self
                .client
                .invoke()
                .function_name(&self.function)
                .invocation_type(InvocationType::DryRun);
            request
                .send()
                .await
                .map(drop)
                .map_err(|error| classify(&error))
        })
    }
}

/// The function's own description of its failure.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionError {
    error_type: Option<String>,
    error_message: Option<String>,
}

fn answer(output: InvokeOutput) -> Result<Vec<u8>, InvokeError> {
    let payload = output.payload.map(Blob::into_inner).unwrap_or_default();
    let Some(handled) = output.function_error else {
        return Ok(payload);
    };
    let error = serde_json::from_slice(&payload).unwrap_or(FunctionError {
        error_type: None,
        error_message: None,
    });
    let error_type = error.error_type.unwrap_or(handled);
    Err(InvokeError::Function {
        kind: FunctionErrorType::from_name(&error_type),
        error_type,
        message: error.error_message.unwrap_or_else(|| "no message".into()),
    })
}

/// Sorts the SDK's errors by what they mean for a batch.
fn classify(error: &SdkError<SdkInvokeError, HttpResponse>) -> InvokeError {
    let SdkError::ServiceError(context) = error else {
        // Not built, not sent, or not answered: all of them end with "nobody can say whether it ran".
        return InvokeError::Unreachable(aws::failure(error));
    };
    let status = context.raw().status().as_u16();
    let service = context.err();
    let code = service.code().unwrap_or("no error code");
    let what = format!(
        "{code} ({status}): {}",
        causes::first_line(service.message().unwrap_or("no message"))
    );
    match (service, status) {
        (SdkInvokeError::TooManyRequestsException(throttled), _) => throttle(throttled, what),
        (_, 429) => InvokeError::Throttled {
            what,
            at_once: false,
            retry_after: None,
        },
        (SdkInvokeError::RequestTooLargeException(_), _) | (_, 413) => InvokeError::TooLarge(what),
        (SdkInvokeError::ResourceNotFoundException(_), _) | (_, 404) => {
            InvokeError::FunctionMissing(what)
        }
        (_, 401 | 403) => InvokeError::AccessDenied(what),
        // A function that is being created, updated or woken up (409), and every fault of the service's.
        (_, 409 | 500..) => InvokeError::Service(what),
        _ => InvokeError::Refused(what),
    }
}

/// A refusal for want of capacity, by its reason.
fn throttle(throttled: &TooManyRequestsException, what: String) -> InvokeError {
    let reason = throttled.reason();
    let at_once = matches!(
        reason,
        Some(
            ThrottleReason::ConcurrentInvocationLimitExceeded
                | ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded
                | ThrottleReason::ConcurrentSnapshotCreateLimitExceeded
        )
    );
    let what = match reason {
        Some(reason) => format!("{what}, {}", reason.as_str()),
        None => what,
    };
    InvokeError::Throttled {
        what,
        at_once,
        retry_after: throttled.retry_after_seconds().and_then(seconds),
    }
}

/// `Retry-After` in seconds. Its other form, a date, is of no use without the service's clock.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttle_tells_by_its_reason_what_there_was_too_much_of_and_how_long_to_wait() {
        let cases = [
            ("ReservedFunctionConcurrentInvocationLimitExceeded", true),
            ("ConcurrentInvocationLimitExceeded", true),
            ("FunctionInvocationRateLimitExceeded", false),
            ("CallerRateLimitExceeded", false),
            ("SomethingNew", false),
        ];
        for (reason, expected) in cases {
            let throttled = TooManyRequestsException::builder()
                .reason(reason.into())
                .retry_after_seconds("1.5")
                .build();
            assert_eq!(
                throttle(&throttled, "429".into()),
                InvokeError::Throttled {
                    what: format!("429, {reason}"),
                    at_once: expected,
                    retry_after: Some(Duration::from_millis(1_500)),
                }
            );
        }
    }

    #[test]
    fn a_retry_after_that_is_no_number_of_seconds_is_none() {
        for text in ["", "Fri, 31 Dec 1999 23:59:59 GMT", "-1", "NaN", "1e300"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    fn output(function_error: Option<&str>, payload: &str) -> InvokeOutput {
        InvokeOutput::builder()
            .status_code(200)
            .set_function_error(function_error.map(str::to_owned))
            .payload(Blob::new(payload))
            .build()
    }

    #[test]
    fn an_answer_without_error_is_passed_on_as_it_is() {
        assert_eq!(answer(output(None, "{\"a\":1}")), Ok(b"{\"a\":1}".to_vec()));
    }

    #[test]
    fn the_functions_own_error_is_named() {
        let payload = r#"{"errorType": "MalformedBatch", "errorMessage": "window"}"#;
        assert_eq!(
            answer(output(Some("Unhandled"), payload)),
            Err(InvokeError::Function {
                kind: Some(FunctionErrorType::MalformedBatch),
                error_type: "MalformedBatch".into(),
                message: "window".into(),
            })
        );
    }

    #[test]
    fn a_crash_without_a_description_is_an_error_of_no_known_kind() {
        let Err(InvokeError::Function {
            kind, error_type, ..
        }) = answer(output(Some("Unhandled"), "boom"))
        else {
            panic!("an error was expected")
        };
        assert_eq!((kind, error_type.as_str()), (None, "Unhandled"));
    }
}
