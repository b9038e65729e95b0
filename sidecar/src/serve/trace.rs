//! `GET /v1/trace`: a recording, for as long as the client listens.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;

use super::App;
use super::problem::Problem;
use crate::trace::record::{Recording, Refused};

/// When all places are taken, one may be free after this.
const RETRY: Duration = Duration::from_secs(30);

pub(crate) async fn get(State(app): State<Arc<App>>) -> Response {
    match app.record() {
        Ok(recording) => {
            let headers = [
                (CONTENT_TYPE, "application/x-ndjson"),
                (CACHE_CONTROL, "no-store"),
            ];
            (headers, Body::new(Lines(recording))).into_response()
        }
        Err(Refused::Full) => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-recordings",
            "as many recordings as may are running already",
        )
        .retry_after(RETRY)
        .into_response(),
        Err(Refused::Closed) => {
            let detail = "the sidecar is stopping";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", detail).into_response()
        }
    }
}

struct Lines(Recording);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let lines = self.get_mut().0.poll_lines(context);
        lines.map(|lines| lines.map(|lines| Ok(Frame::data(lines))))
    }
}
