//! Applies fault rules around the S3 service.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use s3s::service::S3Service;
use s3s::{Body, HttpResponse, StdError};

use crate::faults::{Access, Faults, S3Fault};
use crate::lambda::percent_decode;
use crate::server::Cut;

/// Serves one request, or has it fail as the rules want.
pub(crate) async fn handle(
    service: &S3Service,
    faults: &Mutex<Faults>,
    request: Request<Incoming>,
) -> Result<HttpResponse, StdError> {
    let method = request.method().clone();
    let fault = {
        let path = percent_decode(request.uri().path()).unwrap_or_default();
        faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .for_s3(&path, access(&request))
    };
    let serve =
        |request: Request<Incoming>| async { Ok(service.call(request.map(Body::from)).await?) };
    let Some(fault) = fault else {
        return serve(request).await;
    };
    match fault.kind {
        S3Fault::InternalError => {
            drain(request).await;
            Ok(error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"))
        }
        S3Fault::SlowDown => {
            drain(request).await;
            Ok(error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"))
        }
        S3Fault::Conflict => {
            drain(request).await;
            Ok(error(StatusCode::CONFLICT, "ConditionalRequestConflict"))
        }
        S3Fault::PreconditionFailed => {
            drain(request).await;
            Ok(error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed"))
        }
        S3Fault::Slow => {
            tokio::time::sleep(fault.delay).await;
            serve(request).await
        }
        S3Fault::ResetMidBody if method == Method::GET => {
            Ok(serve(request).await?.map(cut_in_half))
        }
        S3Fault::ResetMidBody => Err(Cut.into()),
        S3Fault::PutSucceedsAnswers500 => {
            let answer: HttpResponse = serve(request).await?;
            // A request that was refused anyway keeps its answer.
            let succeeded = answer.status().is_success();
            Ok(if succeeded {
                error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
            } else {
                answer
            })
        }
    }
}

fn access<B>(request: &Request<B>) -> Access {
    let headers = request.headers();
    let conditional =
        headers.contains_key(header::IF_MATCH) || headers.contains_key(header::IF_NONE_MATCH);
    match *request.method() {
        Method::PUT | Method::POST if conditional => Access::ConditionalWrite,
        Method::PUT | Method::POST => Access::Write,
        _ => Access::Read,
    }
}

/// Reads the body to its end: a client that is still sending does not see an answer.
async fn drain(request: Request<Incoming>) {
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
}

fn error(status: StatusCode, code: &str) -> HttpResponse {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>A fault rule of local-cloud</Message></Error>"
    );
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/xml"),
    );
    answer
}

/// The body up to its half, then an error, which cuts the connection.
fn cut_in_half(body: Body) -> Body {
    let remaining = body.size_hint().exact().unwrap_or(0) / 2;
    Body::http_body_unsync(Half {
        body,
        remaining,
        paused: false,
    })
}

struct Half {
    body: Body,
    remaining: u64,
    /// Whether the server has had a moment to send what it has before the error.
    paused: bool,
}

impl HttpBody for Half {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        if self.remaining == 0 && !self.paused {
            self.paused = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.remaining == 0 {
            return Poll::Ready(Some(Err(Cut.into())));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let Some(Ok(Ok(mut data))) = frame.map(|frame| frame.map(Frame::into_data)) else {
            return Poll::Ready(Some(Err(Cut.into())));
        };
        data.truncate(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        self.remaining -= data.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> SizeHint {
        // What was promised: the client has to notice that half is missing.
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_with_if_match_or_if_none_match_is_conditional() {
        let of = |method: Method, name: &'static str| {
            access(
                &Request::builder()
                    .method(method)
                    .header(name, "*")
                    .body(())
                    .unwrap(),
            )
        };
        assert_eq!(of(Method::PUT, "if-none-match"), Access::ConditionalWrite);
        assert_eq!(of(Method::POST, "if-match"), Access::ConditionalWrite);
        assert_eq!(of(Method::PUT, "content-type"), Access::Write);
        assert_eq!(of(Method::GET, "if-none-match"), Access::Read);
    }
}
