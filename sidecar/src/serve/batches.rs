//! `PUT /v1/jobs/{job}/batches/{batch}`: a batch in, its receipt out.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use spillway_core::batch::BatchView;
use spillway_core::ids::{BatchId, JobName};

use super::problem::Problem;
use super::{App, body};

/// How many milliseconds the sender waits.
pub(crate) const DEADLINE_HEADER: &str = "spillway-deadline-ms";
/// No sender waits longer than this.
const LONGEST: Duration = Duration::from_mins(1);
/// The answer is on its way so long before the sender gives up.
const MARGIN: Duration = Duration::from_millis(20);

pub(crate) async fn put(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Response {
    let (job, id) = match path {
        Ok(Path(ids)) => ids,
        Err(rejection) => return Problem::from(rejection).into_response(),
    };
    let (parts, content) = request.into_parts();
    match settle(&app, &job, &id, &parts.headers, content).await {
        Ok(receipt) => ([(CONTENT_TYPE, "application/json")], receipt).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn settle(
    app: &Arc<App>,
    job: &str,
    id: &str,
    headers: &HeaderMap,
    content: Body,
) -> Result<String, Problem> {
    let job: JobName = job.parse().map_err(|error| bad_id(&error))?;
    let id: BatchId = id.parse().map_err(|error| bad_id(&error))?;
    let arrived = tokio::time::Instant::now();
    let deadline = deadline(headers, app.default_deadline)?;
    body::check_type(headers, "application/x-protobuf")?;
    let length = body::check_length(headers, app.max_batch_bytes)?;
    let timeout = app.body_timeout.min(deadline);
    let slot = match app.divert.admit() {
        Ok(slot) => slot,
        Err(refusal) => {
            body::discard(content, timeout).await;
            return Err(refusal.into());
        }
    };
    let bytes: Bytes = body::read(content, length, timeout).await?;
    let batch = BatchView::parse(&bytes).map_err(|error| {
        tracing::warn!(batch = %id, %job, "malformed batch: {error}");
        app.counters.malformed_batches.inc();
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            error.slug(),
            error.to_string(),
        )
    })?;
    if batch.id() != id || *batch.job() != job {
        app.counters.malformed_batches.inc();
        let detail = format!(
            "the body is batch {} of job {}, the path says {id} of {job}",
            batch.id(),
            batch.job()
        );
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "id-mismatch",
            detail,
        ));
    }
    let left = deadline
        .saturating_sub(arrived.elapsed())
        .saturating_sub(MARGIN);
    Ok(slot.process(&batch, &bytes, left).await?)
}

fn bad_id(error: &impl ToString) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad-id", error.to_string())
}

fn deadline(headers: &HeaderMap, default: Duration) -> Result<Duration, Problem> {
    let Some(value) = headers.get(DEADLINE_HEADER) else {
        return Ok(default);
    };
    match value
        .to_str()
        .ok()
        .and_then(|text| text.parse::<u64>().ok())
    {
        Some(ms) if ms > 0 => Ok(Duration::from_millis(ms).min(LONGEST)),
        _ => {
            let detail =
                format!("{DEADLINE_HEADER} is {value:?}, expected milliseconds, at least 1");
            Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "bad-deadline",
                detail,
            ))
        }
    }
}
