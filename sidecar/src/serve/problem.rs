//! RFC 9457 problem details: how every error is answered.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::divert::Refusal;

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    slug: &'static str,
    detail: String,
    retry_after: Option<Duration>,
    reasons: Vec<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    /// Everything that is wrong, where that can be several things.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    reasons: &'a [String],
}

impl Problem {
    pub(crate) fn new(status: StatusCode, slug: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            slug,
            detail: detail.into(),
            retry_after: None,
            reasons: Vec::new(),
        }
    }

    /// All that is wrong, one sentence each; `detail` has them too.
    #[must_use]
    pub(crate) fn because(mut self, reasons: Vec<String>) -> Self {
        self.detail = format!("{}: {}", self.detail, reasons.join("; "));
        self.reasons = reasons;
        self
    }

    /// The sender may try again after `wait`.
    #[must_use]
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Malformed(_) | Refusal::Conflict(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::QueueFull { .. } | Refusal::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Shut { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::TrialUnsettled(..) => StatusCode::FAILED_DEPENDENCY,
            Refusal::Deadline(..) => StatusCode::GATEWAY_TIMEOUT,
            Refusal::Misconfigured(_) => StatusCode::BAD_GATEWAY,
        };
        let problem = Self::new(status, refusal.slug(), refusal.to_string());
        match refusal {
            Refusal::QueueFull { retry_after }
            | Refusal::Throttled { retry_after }
            | Refusal::Shut { retry_after, .. } => problem.retry_after(retry_after),
            _ => problem,
        }
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-id", rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: format!("urn:spillway:problem:{}", self.slug),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            reasons: &self.reasons,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after
            && let Ok(value) = HeaderValue::from_str(&format!("{:.3}", wait.as_secs_f64()))
        {
            headers.insert(RETRY_AFTER, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the valve does with a batch depends on the status alone, see `proto/README.md`.
    #[test]
    fn each_refusal_has_the_status_that_the_valve_knows() {
        let wait = Duration::from_secs(1);
        let why = String::new;
        let refusals = [
            (Refusal::Malformed(why()), 422),
            (Refusal::Conflict(why()), 422),
            (Refusal::TooLarge(why()), 413),
            (Refusal::QueueFull { retry_after: wait }, 429),
            (Refusal::Throttled { retry_after: wait }, 429),
            (
                Refusal::Shut {
                    retry_after: wait,
                    why: why(),
                },
                503,
            ),
            (Refusal::TrialUnsettled(wait, why()), 424),
            (Refusal::Deadline(wait, why()), 504),
            (Refusal::Misconfigured(why()), 502),
        ];
        for (refusal, status) in refusals {
            let what = refusal.slug();
            assert_eq!(Problem::from(refusal).status.as_u16(), status, "{what}");
        }
    }
}
