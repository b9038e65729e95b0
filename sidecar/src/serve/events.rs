//! `GET /v1/events`: server-sent events.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio::time::{Duration, Interval, MissedTickBehavior};

use super::App;
use super::problem::Problem;
use super::summary::Tick;
use crate::events::{Listening, Refused, Seat};

/// When all places are taken, one may be free after this.
const RETRY: Duration = Duration::from_secs(5);

pub(crate) async fn get(State(app): State<Arc<App>>, request: Request) -> Response {
    let seen = request
        .headers()
        .get("last-event-id")
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    match app.events.listen(seen) {
        Ok(listening) => {
            let headers = [
                (CONTENT_TYPE, "text/event-stream"),
                (CACHE_CONTROL, "no-store"),
            ];
            let first = crate::events::tick(&Tick::of(&app));
            let stream = Stream::new(listening, first, app.heartbeat);
            (headers, Body::new(stream)).into_response()
        }
        Err(Refused::Full) => {
            let detail = "as many clients as may (events.max_clients) are listening already";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-clients", detail)
                .retry_after(RETRY)
                .into_response()
        }
        Err(Refused::Closed) => {
            let detail = "the sidecar is stopping";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", detail).into_response()
        }
    }
}

/// The body of the answer: first how things stand, then what was missed, then what happens.
struct Stream {
    due: VecDeque<Bytes>,
    coming: mpsc::Receiver<Bytes>,
    heartbeat: Interval,
    _seat: Seat,
}

impl Stream {
    fn new(listening: Listening, first: Option<Bytes>, heartbeat: Duration) -> Self {
        let Listening {
            missed,
            coming,
            seat,
        } = listening;
        let mut heartbeat =
            tokio::time::interval_at(tokio::time::Instant::now() + heartbeat, heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            due: first.into_iter().chain(missed).collect(),
            coming,
            heartbeat,
            _seat: seat,
        }
    }
}

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Some(text) = this.due.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(text))));
        }
        match this.coming.poll_recv(context) {
            Poll::Ready(Some(text)) => {
                this.heartbeat.reset();
                return Poll::Ready(Some(Ok(Frame::data(text))));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        // A comment, which shows both sides that the other is still there.
        this.heartbeat
            .poll_tick(context)
            .map(|_| Some(Ok(Frame::data(Bytes::from_static(b": heartbeat\n\n")))))
    }
}
