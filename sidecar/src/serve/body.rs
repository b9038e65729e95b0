//! Reads a request's body: bounded in size and in time, with one copy.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;

use super::problem::Problem;

/// A sender whose body did not come may try again after this.
const RETRY: Duration = Duration::from_millis(100);

/// Checks that the body is of the media type `expected`; parameters do not matter.
pub(crate) fn check_type(headers: &HeaderMap, expected: &str) -> Result<(), Problem> {
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let detail = format!("Content-Type is {given:?}, expected {expected}");
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        detail,
    ))
}

/// The body's length as the header has it, if it is at most `limit`.
pub(crate) fn check_length(headers: &HeaderMap, limit: usize) -> Result<usize, Problem> {
    let Some(length) = headers.get(CONTENT_LENGTH) else {
        if !headers.contains_key(TRANSFER_ENCODING) {
            // A request without either has no body (RFC 9112, section 6.3).
            return Ok(0);
        }
        let detail = "a Content-Length is needed; chunked bodies are not accepted";
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "length-required",
            detail,
        ));
    };
    match length
        .to_str()
        .ok()
        .and_then(|text| text.parse::<usize>().ok())
    {
        Some(length) if length <= limit => Ok(length),
        Some(length) => {
            let detail = format!("a body of {length} bytes; at most {limit} are accepted");
            Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                detail,
            ))
        }
        None => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "bad-length",
            "Content-Length is no number",
        )),
    }
}

/// Reads the body of `length` bytes into one buffer.
pub(crate) async fn read(
    mut body: Body,
    length: usize,
    timeout: Duration,
) -> Result<Bytes, Problem> {
    let collect = async {
        let mut all: Option<BytesMut> = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    "broken-body",
                    format!("the body broke off: {error}"),
                )
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            match &mut all {
                // What came in one piece is not copied at all.
                None if data.len() == length => return Ok(data),
                None => {
                    let mut buffer = BytesMut::with_capacity(length);
                    buffer.extend_from_slice(&data);
                    all = Some(buffer);
                }
                Some(buffer) => buffer.extend_from_slice(&data),
            }
        }
        Ok(all.unwrap_or_default().freeze())
    };
    if let Ok(result) = tokio::time::timeout(timeout, collect).await {
        return result;
    }
    // Not 408: the contract's word for "nothing is wrong with it, try again" is 503.
    let detail = format!("the body did not arrive within {timeout:?}");
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "body-timeout", detail);
    Err(problem.retry_after(RETRY))
}

/// Reads the body and forgets it, so that its sender gets to read the answer instead of a reset
/// connection. Gives up quietly.
pub(crate) async fn discard(mut body: Body, timeout: Duration) {
    let drain = async { while let Some(Ok(_)) = body.frame().await {} };
    drop(tokio::time::timeout(timeout, drain).await);
}
