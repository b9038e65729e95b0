//! What an invocation can come to, and how Lambda words it.

use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

/// Lambda's limit for synchronous payloads, request and response, in bytes.
pub(crate) const PAYLOAD_LIMIT_BYTES: usize = 6_291_556;

/// The function was called: status 200, whatever came of it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// `X-Amz-Function-Error`; `None` for a success.
    pub(crate) error: Option<&'static str>,
    /// The function's payload, or the error's.
    pub(crate) payload: Bytes,
}

impl Answer {
    /// The function handed in a result.
    pub(crate) fn success(payload: Bytes) -> Self {
        Self {
            error: None,
            payload,
        }
    }

    /// The function handed in an error of its own.
    pub(crate) fn error(kind: &'static str, payload: Bytes) -> Self {
        Self {
            error: Some(kind),
            payload,
        }
    }

    /// Lambda itself speaks for a function that could not.
    fn unhandled(error_type: &str, message: &str) -> Self {
        let payload = json!({"errorType": error_type, "errorMessage": message}).to_string();
        Self::error("Unhandled", payload.into())
    }

    /// The process ended before it answered.
    pub(crate) fn exited(request_id: &str, status: ExitStatus) -> Self {
        let how = describe(status);
        let text = match how {
            Some(how) => format!("RequestId: {request_id} Error: Runtime exited with error: {how}"),
            None => {
                format!("RequestId: {request_id} Error: Runtime exited without providing a reason")
            }
        };
        Self::unhandled("Runtime.ExitError", &text)
    }

    /// The deadline passed.
    pub(crate) fn timed_out(request_id: &str, limit: Duration) -> Self {
        let seconds = limit.as_secs_f64();
        let text =
            format!("RequestId: {request_id} Error: Task timed out after {seconds:.2} seconds");
        Self::unhandled("Sandbox.Timedout", &text)
    }

    /// The process could not be started.
    pub(crate) fn no_entrypoint(request_id: &str, error: &std::io::Error) -> Self {
        let text =
            format!("RequestId: {request_id} Error: cannot start the function's binary: {error}");
        Self::unhandled("Runtime.InvalidEntrypoint", &text)
    }

    /// The result is over the limit.
    pub(crate) fn too_large() -> Self {
        let text = format!(
            "Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT_BYTES} bytes)."
        );
        Self::unhandled("Function.ResponseSizeTooLarge", &text)
    }

    /// A fault rule wants an error.
    pub(crate) fn by_fault(request_id: &str) -> Self {
        Self::unhandled(
            "Unhandled",
            &format!("RequestId: {request_id} Error: a fault rule of local-cloud"),
        )
    }
}

/// How Lambda words the end of a process; `None` for exit status 0.
fn describe(status: ExitStatus) -> Option<String> {
    use std::os::unix::process::ExitStatusExt;
    if let Some(signal) = status.signal() {
        let name = match signal {
            4 => "illegal instruction",
            6 => "aborted",
            7 => "bus error",
            9 => "killed",
            11 => "segmentation fault",
            15 => "terminated",
            other => return Some(format!("signal: signal {other}")),
        };
        return Some(format!("signal: {name}"));
    }
    match status.code() {
        Some(0) | None => None,
        Some(code) => Some(format!("exit status {code}")),
    }
}

/// Lambda refuses the call: the function was not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No function of that name (the name or ARN as the caller wrote it).
    NotFound(String),
    /// The function's own cap, as with reserved concurrency.
    FunctionBusy,
    /// The account's cap: only by a fault rule.
    AccountBusy,
    /// The request's payload is over the limit; its size if known.
    TooLarge,
    /// The payload is not JSON.
    NotJson,
    /// A header or parameter has no value that Lambda knows.
    InvalidParameter(String),
    /// No such operation.
    UnknownOperation,
    /// A fault rule wants Lambda to fail.
    Service,
}

impl Refusal {
    /// Status, exception name and body.
    pub(crate) fn parts(&self) -> (StatusCode, &'static str, Bytes) {
        let (status, exception, side, message) = match self {
            Self::NotFound(name) => (
                StatusCode::NOT_FOUND,
                "ResourceNotFoundException",
                "User",
                format!("Function not found: {name}"),
            ),
            Self::FunctionBusy | Self::AccountBusy => (
                StatusCode::TOO_MANY_REQUESTS,
                "TooManyRequestsException",
                "User",
                "Rate Exceeded.".to_owned(),
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestTooLargeException",
                "User",
                format!(
                    "Request must be smaller than {PAYLOAD_LIMIT_BYTES} bytes for the InvokeFunction operation"
                ),
            ),
            Self::NotJson => (
                StatusCode::BAD_REQUEST,
                "InvalidRequestContentException",
                "User",
                "Could not parse request body into json: the payload is not JSON".to_owned(),
            ),
            Self::InvalidParameter(what) => (
                StatusCode::BAD_REQUEST,
                "InvalidParameterValueException",
                "User",
                what.clone(),
            ),
            Self::UnknownOperation => (
                StatusCode::NOT_FOUND,
                "UnknownOperationException",
                "User",
                "local-cloud serves Invoke, /livez, /_local/stats and /_local/faults only"
                    .to_owned(),
            ),
            Self::Service => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "ServiceException",
                "Service",
                "A fault rule of local-cloud".to_owned(),
            ),
        };
        let mut body = Map::new();
        match self {
            Self::FunctionBusy => {
                body.insert(
                    "Reason".into(),
                    "ReservedFunctionConcurrentInvocationLimitExceeded".into(),
                );
            }
            Self::AccountBusy => {
                body.insert("Reason".into(), "ConcurrentInvocationLimitExceeded".into());
            }
            _ => {}
        }
        body.insert("Type".into(), side.into());
        body.insert("message".into(), message.into());
        (status, exception, Value::Object(body).to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn the_end_of_a_process_is_worded_as_lambda_does() {
        let killed = Answer::exited("id-1", ExitStatus::from_raw(9));
        assert_eq!(
            serde_json::from_slice::<Value>(&killed.payload).unwrap(),
            json!({"errorType": "Runtime.ExitError", "errorMessage": "RequestId: id-1 Error: Runtime exited with error: signal: killed"})
        );
        let failed = Answer::exited("id-1", ExitStatus::from_raw(3 << 8));
        assert!(
            String::from_utf8_lossy(&failed.payload)
                .contains("Runtime exited with error: exit status 3\"")
        );
    }

    #[test]
    fn a_time_out_names_the_limit() {
        let late = Answer::timed_out("id-1", Duration::from_secs(10));
        assert_eq!(
            serde_json::from_slice::<Value>(&late.payload).unwrap(),
            json!({"errorType": "Sandbox.Timedout", "errorMessage": "RequestId: id-1 Error: Task timed out after 10.00 seconds"})
        );
    }
}
