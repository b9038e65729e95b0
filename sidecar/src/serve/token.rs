//! Lets only those in who know the token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::App;
use super::problem::Problem;

/// Refuses a request without the right `Authorization: Bearer …`, if a token is set.
pub(crate) async fn demand(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(token) = &app.token else {
        return next.run(request).await;
    };
    let given = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| bearer(value.as_bytes()));
    match given {
        Some(given) if token.matches(given) => next.run(request).await,
        _ => {
            app.counters.unauthorized.inc();
            let detail = "a valid `Authorization: Bearer …` is needed";
            Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).into_response()
        }
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}
