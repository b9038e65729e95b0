//! `POST /v1/jobs/{job}/valves/{valve}/{subtask}`: a report in, a directive out.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use spillway_core::directive::{Directive, Report};

use super::problem::Problem;
use super::{App, body};
use crate::decide::Usd;
use crate::valves::Reporter;

/// A report is a few hundred bytes, and two histograms.
const MAX_BYTES: usize = 1024 * 1024;
/// Flink's parallelism is at most 32 768.
const MAX_SUBTASK: u32 = 32_767;

pub(crate) async fn post(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    request: Request,
) -> Result<Json<Directive>, Problem> {
    let Path((job, valve, subtask)) = path?;
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "bad-id", detail);
    let from = Reporter {
        job: job.parse().map_err(|error| bad(format!("{error}")))?,
        valve: valve.parse().map_err(|error| bad(format!("{error}")))?,
        subtask: subtask
            .parse()
            .ok()
            .filter(|subtask| *subtask <= MAX_SUBTASK)
            .ok_or_else(|| bad(format!("subtask {subtask:?}: expected 0 to {MAX_SUBTASK}")))?,
    };
    let (parts, content) = request.into_parts();
    body::check_type(&parts.headers, "application/json")?;
    let length = body::check_length(&parts.headers, MAX_BYTES)?;
    let bytes = body::read(content, length, app.body_timeout).await?;
    let report = Report::from_json(&bytes).map_err(|error| {
        app.counters.malformed_reports.inc();
        let detail = format!("not a report: {error}");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed-report", detail)
    })?;
    app.counters.reports.inc();
    let (cloud, spent) = (app.divert.lane(), Usd::new(app.divert.spent_usd()));
    let directive = app.valves.report(&from, report, cloud, spent, app.when());
    directive.map(Json).ok_or_else(|| {
        let detail = "too many valves report to this sidecar";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-valves", detail)
    })
}
