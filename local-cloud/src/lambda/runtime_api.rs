//! The Runtime API, as one instance sees it. Each instance has a port of its own, which is how an
//! instance is told from another: the official clients know a host and a port, no path.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::{mpsc, oneshot};

use super::answer::PAYLOAD_LIMIT_BYTES;
use super::payload::{self, ReadError};
use crate::server::{Cut, Reply};

const PREFIX: &str = "/2018-06-01/runtime/";

/// An event for the function.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) id: String,
    pub(crate) trace: String,
    pub(crate) arn: String,
    /// When the invocation times out, milliseconds since the epoch.
    pub(crate) deadline_ms: u64,
    pub(crate) payload: Bytes,
}

/// What became of a call that the runtime made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ack {
    /// 202.
    Accepted,
    /// 413: the response is over the limit.
    TooLarge,
    /// 400: not the invocation that this instance has.
    InvalidRequestId,
    /// 403: not now.
    InvalidState,
}

/// A call of the runtime, for the instance to answer. If it drops the sender, the connection is cut.
#[derive(Debug)]
pub(crate) enum Call {
    /// Poll for work: answered when there is some, or with `Err(ack)`.
    Next(oneshot::Sender<Result<Delivery, Ack>>),
    /// The invocation's result; `None` if it is over the limit.
    Response {
        id: String,
        payload: Option<Bytes>,
        ack: oneshot::Sender<Ack>,
    },
    /// The invocation failed.
    Error {
        id: String,
        handled: bool,
        payload: Bytes,
        ack: oneshot::Sender<Ack>,
    },
    /// The runtime could not start.
    InitError {
        payload: Bytes,
        ack: oneshot::Sender<Ack>,
    },
}

/// Serves one request of the runtime.
pub(crate) async fn handle(
    calls: mpsc::Sender<Call>,
    request: Request<Incoming>,
) -> Result<Reply, Cut> {
    let (head, body) = request.into_parts();
    let Some(path) = head.uri.path().strip_prefix(PREFIX) else {
        return Ok(unknown());
    };
    let steps: Vec<&str> = path.split('/').collect();
    let (ack, acked) = oneshot::channel();
    let call = match (&head.method, steps.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => return next(calls).await,
        (&Method::POST, ["invocation", id, "response"]) => {
            let payload = match payload::read(body, PAYLOAD_LIMIT_BYTES).await {
                Ok(payload) => Some(payload),
                Err(ReadError::TooLarge) => None,
                Err(ReadError::Broken) => return Err(Cut),
            };
            Call::Response {
                id: (*id).to_owned(),
                payload,
                ack,
            }
        }
        (&Method::POST, ["invocation", id, "error"]) => {
            let payload = payload::read(body, PAYLOAD_LIMIT_BYTES)
                .await
                .map_err(|_| Cut)?;
            let kind = head.headers.get("lambda-runtime-function-error-type");
            let handled = kind.is_some_and(|kind| kind == "Handled");
            Call::Error {
                id: (*id).to_owned(),
                handled,
                payload,
                ack,
            }
        }
        (&Method::POST, ["init", "error"]) => {
            let payload = payload::read(body, PAYLOAD_LIMIT_BYTES)
                .await
                .map_err(|_| Cut)?;
            Call::InitError { payload, ack }
        }
        _ => return Ok(unknown()),
    };
    calls.send(call).await.map_err(|_| Cut)?;
    Ok(acknowledge(acked.await.map_err(|_| Cut)?))
}

async fn next(calls: mpsc::Sender<Call>) -> Result<Reply, Cut> {
    let (sender, delivery) = oneshot::channel();
    calls.send(Call::Next(sender)).await.map_err(|_| Cut)?;
    let delivery = match delivery.await.map_err(|_| Cut)? {
        Ok(delivery) => delivery,
        Err(ack) => return Ok(acknowledge(ack)),
    };
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .header("Lambda-Runtime-Aws-Request-Id", delivery.id)
        .header("Lambda-Runtime-Deadline-Ms", delivery.deadline_ms)
        .header("Lambda-Runtime-Invoked-Function-Arn", delivery.arn)
        .header("Lambda-Runtime-Trace-Id", delivery.trace)
        .body(Full::new(delivery.payload))
        .map_err(|_| Cut)
}

fn acknowledge(ack: Ack) -> Reply {
    let (status, body) = match ack {
        Ack::Accepted => (StatusCode::ACCEPTED, r#"{"status":"OK"}"#),
        Ack::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            r#"{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}"#,
        ),
        Ack::InvalidRequestId => (
            StatusCode::BAD_REQUEST,
            r#"{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}"#,
        ),
        Ack::InvalidState => (
            StatusCode::FORBIDDEN,
            r#"{"errorMessage":"State transition is not allowed","errorType":"InvalidStateTransition"}"#,
        ),
    };
    reply(status, body)
}

fn unknown() -> Reply {
    reply(
        StatusCode::NOT_FOUND,
        r#"{"errorMessage":"No such path","errorType":"NotFound"}"#,
    )
}

fn reply(status: StatusCode, body: &'static str) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *reply.status_mut() = status;
    reply.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    reply
}
