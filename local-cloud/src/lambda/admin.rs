//! For tests and scripts, on Lambda's port: `/livez`, `/_local/stats`, `/_local/faults`.

use std::sync::PoisonError;

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::json;

use super::Lambda;
use super::payload::{self, ReadError};
use crate::faults::Faults;
use crate::server::{Cut, Reply};

/// Fault rules are a few lines.
const RULES_LIMIT_BYTES: usize = 1 << 20;

/// Serves one request, or says that it is none of these.
pub(crate) async fn handle(
    lambda: &Lambda,
    method: &Method,
    path: &str,
    body: Incoming,
) -> Result<Option<Reply>, Cut> {
    Ok(Some(match (method, path) {
        (&Method::GET, "/livez") => reply(StatusCode::OK, "text/plain", "ok\n".into()),
        (&Method::GET, "/_local/stats") => as_json(StatusCode::OK, &lambda.stats.snapshot()),
        (&Method::GET, "/_local/faults") => faults(lambda, None),
        (&Method::DELETE, "/_local/faults") => faults(lambda, Some(Faults::default())),
        (&Method::PUT, "/_local/faults") => {
            let rules = match payload::read(body, RULES_LIMIT_BYTES).await {
                Ok(rules) => rules,
                Err(ReadError::TooLarge) => return Ok(Some(bad_rules("more than 1 MiB"))),
                Err(ReadError::Broken) => return Err(Cut),
            };
            match serde_json::from_slice::<Faults>(&rules) {
                Err(error) => bad_rules(&error.to_string()),
                Ok(rules) => match rules.check() {
                    Err(what) => bad_rules(&what),
                    Ok(()) => faults(lambda, Some(rules)),
                },
            }
        }
        _ => return Ok(None),
    }))
}

/// The rules in force, after they were replaced if there are new ones.
fn faults(lambda: &Lambda, replacement: Option<Faults>) -> Reply {
    let mut rules = lambda.faults.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(replacement) = replacement {
        *rules = replacement;
    }
    as_json(StatusCode::OK, &*rules)
}

fn bad_rules(what: &str) -> Reply {
    as_json(
        StatusCode::BAD_REQUEST,
        &json!({"message": format!("these fault rules are not understood: {what}")}),
    )
}

fn as_json(status: StatusCode, value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => reply(status, "application/json", body.into()),
        Err(error) => reply(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain",
            error.to_string().into(),
        ),
    }
}

fn reply(status: StatusCode, kind: &'static str, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    reply
}
