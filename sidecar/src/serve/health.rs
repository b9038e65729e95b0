//! `/livez` and `/readyz`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::App;

/// What keeps the sidecar from being ready, by part.
#[derive(Debug, Default)]
pub struct Readiness {
    problems: Mutex<BTreeMap<&'static str, String>>,
}

impl Readiness {
    /// `part` is as it should be (`None`) or is not, and why. True if this is news.
    pub fn set(&self, part: &'static str, problem: Option<String>) -> bool {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        match problem {
            Some(problem) if problems.get(part) == Some(&problem) => false,
            Some(problem) => {
                problems.insert(part, problem);
                true
            }
            None => problems.remove(part).is_some(),
        }
    }

    /// What is wrong, by part.
    pub fn problems(&self) -> BTreeMap<&'static str, String> {
        self.problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[derive(Serialize)]
pub(crate) struct Ready {
    ready: bool,
    problems: BTreeMap<&'static str, String>,
}

/// The process runs and answers.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// Everything that is needed is there; if not, what is missing.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Ready>) {
    let problems = app.readiness.problems();
    let ready = problems.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(Ready { ready, problems }))
}
