//! `GET` and `PATCH /v1/policy`: the policy in force, and changes of it while the sidecar runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::problem::Problem;
use super::{App, body};
use crate::config;
use crate::decide::Policy;
use crate::observe::{KeyChange, PolicyInForce};
use crate::valves::Unchanged;

/// What a patch is, besides plain JSON.
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";
/// A policy has some 30 keys.
const MAX_BYTES: usize = 64 * 1024;

/// The answer to both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PolicyAnswer {
    /// Names the policy among all that this sidecar has had, before a restart too.
    pub(crate) version: String,
    /// When it was changed last; null if it is the one that the sidecar was started with.
    pub(crate) changed_ms: Option<i64>,
    /// The policy in force.
    pub(crate) policy: Policy,
    /// The one that the sidecar was started with, and that a restart goes back to.
    pub(crate) configured: Policy,
    /// What the patch has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) changed: Option<Vec<KeyChange>>,
}

pub(crate) async fn get(State(app): State<Arc<App>>) -> Response {
    answer(&app, app.valves.policy(), false)
}

pub(crate) async fn patch(State(app): State<Arc<App>>, request: Request) -> Response {
    match change(&app, request).await {
        Ok(policy) => answer(&app, policy, true),
        Err(problem) => problem.into_response(),
    }
}

async fn change(app: &App, request: Request) -> Result<PolicyInForce, Problem> {
    let (parts, content) = request.into_parts();
    let expected = expected(app, &parts.headers)?;
    body::check_type(&parts.headers, MERGE_PATCH).or_else(|problem| {
        body::check_type(&parts.headers, "application/json").map_err(|_| problem)
    })?;
    let length = body::check_length(&parts.headers, MAX_BYTES)?;
    let bytes = body::read(content, length, app.body_timeout).await?;
    let patch: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|error| {
        let detail = format!("not a JSON object: {error}");
        Problem::new(StatusCode::BAD_REQUEST, "malformed-patch", detail)
    })?;
    let change = |policy: &Policy| config::patched(policy, &patch);
    app.valves
        .change_policy(expected, change, app.when())
        .map_err(|unchanged| match unchanged {
            Unchanged::Stale { present } => stale(&present.name(app.started_ms)),
            Unchanged::Invalid(reasons) => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-policy",
                "the policy stays as it is",
            )
            .because(reasons),
        })
}

fn stale(version: &str) -> Problem {
    let detail = format!("the policy is version {version} by now: read it, and decide anew");
    Problem::new(StatusCode::PRECONDITION_FAILED, "policy-changed", detail)
}

/// The version that the sender wants to change; `None`: whichever it is. Without a word about it a change
/// is refused, because it might undo another operator's.
fn expected(app: &App, headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else {
        let detail = "an If-Match with the ETag of GET /v1/policy is needed, or `*` for whichever policy is in force";
        return Err(Problem::new(
            StatusCode::PRECONDITION_REQUIRED,
            "precondition-required",
            detail,
        ));
    };
    let text = value.to_str().unwrap_or_default();
    if text.trim() == "*" {
        return Ok(None);
    }
    let present = app.valves.policy();
    let name = present.name(app.started_ms);
    let tag = tag(&name);
    if text.split(',').any(|candidate| candidate.trim() == tag) {
        return Ok(Some(present.version));
    }
    Err(stale(&name))
}

fn tag(version: &str) -> String {
    format!("\"{version}\"")
}

fn answer(app: &App, now: PolicyInForce, patched: bool) -> Response {
    let version = now.name(app.started_ms);
    let etag = HeaderValue::from_str(&tag(&version));
    let body = PolicyAnswer {
        version,
        changed_ms: now.changed_ms,
        policy: now.policy,
        configured: app.configured.clone(),
        changed: patched.then_some(now.changes),
    };
    let mut response = Json(body).into_response();
    if let Ok(etag) = etag {
        response.headers_mut().insert(ETAG, etag);
    }
    response.headers_mut().insert(
        axum::http::header::HeaderName::from_static("accept-patch"),
        HeaderValue::from_static(MERGE_PATCH),
    );
    response
}
