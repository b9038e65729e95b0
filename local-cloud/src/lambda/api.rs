//! The Invoke API: `POST /2015-03-31/functions/{name}/invocations`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;

use super::Lambda;
use super::admin;
use super::answer::{Answer, PAYLOAD_LIMIT_BYTES, Refusal};
use super::function::Function;
use super::name::{function_name, percent_decode};
use super::payload::{self, ReadError};
use crate::faults::LambdaFault;
use crate::server::{Cut, Reply};

const PREFIX: &str = "/2015-03-31/functions/";
const SUFFIX: &str = "/invocations";

/// `X-Amz-Invocation-Type`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InvocationType {
    RequestResponse,
    Event,
    DryRun,
}

/// Serves one request to Lambda's port.
pub(crate) async fn handle(lambda: Arc<Lambda>, request: Request<Incoming>) -> Result<Reply, Cut> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let target = path
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX));
    if let Some(target) = target.filter(|_| head.method == Method::POST) {
        let target = target.to_owned();
        return invoke(&lambda, &target, &head.headers, body).await;
    }
    match admin::handle(&lambda, &head.method, path, body).await? {
        Some(reply) => Ok(reply),
        None => Ok(refuse(&lambda.request_id(), &Refusal::UnknownOperation)),
    }
}

async fn invoke(
    lambda: &Lambda,
    target: &str,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Reply, Cut> {
    let id = lambda.request_id();
    // The body first, whatever is wrong: a client that is still sending does not read.
    let payload = match payload::read(body, PAYLOAD_LIMIT_BYTES).await {
        Ok(payload) => payload,
        Err(ReadError::TooLarge) => return Ok(refuse(&id, &Refusal::TooLarge)),
        Err(ReadError::Broken) => return Err(Cut),
    };
    let checked = check(lambda, target, headers, payload);
    let (function, kind, payload) = match checked {
        Ok(checked) => checked,
        Err(refusal) => return Ok(refuse(&id, &refusal)),
    };
    if kind == InvocationType::DryRun {
        return Ok(empty(&id, StatusCode::NO_CONTENT));
    }
    let fault = lambda.next_fault();
    match fault.map(|fault| fault.kind) {
        Some(LambdaFault::Throttle) => {
            lambda.stats.update(|s| s.throttles += 1);
            return Ok(refuse(&id, &Refusal::AccountBusy));
        }
        Some(LambdaFault::ServiceError) => return Ok(refuse(&id, &Refusal::Service)),
        Some(LambdaFault::Down) => return Err(Cut),
        _ => {}
    }
    let trace = trace_id(lambda, headers);
    let begun = Lambda::begin(&function, id.clone(), trace, payload, fault);
    match (begun, kind) {
        (Ok(_), InvocationType::Event) => Ok(empty(&id, StatusCode::ACCEPTED)),
        // The sender is dropped only when everything stops.
        (Ok(answer), _) => answered(&id, answer.await.map_err(|_| Cut)?),
        (Err(refusal), _) => Ok(refuse(&id, &refusal)),
    }
}

/// What Lambda checks before it looks for an instance.
fn check(
    lambda: &Lambda,
    target: &str,
    headers: &HeaderMap,
    payload: Bytes,
) -> Result<(Arc<Function>, InvocationType, Bytes), Refusal> {
    let target = percent_decode(target).unwrap_or_default();
    let function = function_name(&target).and_then(|name| lambda.functions.get(name));
    let function = function.ok_or_else(|| Refusal::NotFound(target.clone()))?;
    let kind = match headers
        .get("x-amz-invocation-type")
        .map(header::HeaderValue::as_bytes)
    {
        None | Some(b"RequestResponse") => InvocationType::RequestResponse,
        Some(b"Event") => InvocationType::Event,
        Some(b"DryRun") => InvocationType::DryRun,
        Some(_) => {
            let what = "X-Amz-Invocation-Type is one of RequestResponse, Event, DryRun";
            return Err(Refusal::InvalidParameter(what.to_owned()));
        }
    };
    if payload.is_empty() {
        return Ok((Arc::clone(function), kind, Bytes::from_static(b"{}")));
    }
    if !payload::is_json(&payload) {
        return Err(Refusal::NotJson);
    }
    Ok((Arc::clone(function), kind, payload))
}

fn trace_id(lambda: &Lambda, headers: &HeaderMap) -> String {
    let given = headers
        .get("x-amzn-trace-id")
        .and_then(|value| value.to_str().ok());
    given.map_or_else(
        || {
            let unique: String = lambda
                .request_id()
                .chars()
                .filter(char::is_ascii_hexdigit)
                .collect();
            format!("Root=1-{}-{};Sampled=0", &unique[..8], &unique[8..])
        },
        str::to_owned,
    )
}

fn answered(id: &str, answer: Answer) -> Result<Reply, Cut> {
    let mut reply = Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, "application/json")
        .header("X-Amzn-RequestId", id)
        .header("X-Amz-Executed-Version", "$LATEST");
    if let Some(error) = answer.error {
        reply = reply.header("X-Amz-Function-Error", error);
    }
    reply.body(Full::new(answer.payload)).map_err(|_| Cut)
}

fn empty(id: &str, status: StatusCode) -> Reply {
    reply(id, status, Bytes::new())
}

fn refuse(id: &str, refusal: &Refusal) -> Reply {
    let (status, exception, body) = refusal.parts();
    let mut reply = reply(id, status, body);
    reply.headers_mut().insert(
        "X-Amzn-ErrorType",
        header::HeaderValue::from_static(exception),
    );
    reply
}

fn reply(id: &str, status: StatusCode, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    // A request id is hexadecimal digits and hyphens.
    if let Ok(id) = header::HeaderValue::from_str(id) {
        headers.insert("X-Amzn-RequestId", id);
    }
    reply
}
