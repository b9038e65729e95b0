//! What S3's errors mean to the user.

use std::error::Error as StdError;
use std::fmt::Debug;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_types::byte_stream::error::Error as BodyError;

use crate::error::{Error, ErrorKind};

/// Turns a failed request into the line that the user reads: `doing` what, to which `uri`.
pub(super) fn explain<E>(doing: &str, uri: &str, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Debug + 'static,
{
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let code = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
        .unwrap_or_default();
    let (kind, advice) = match (code, status) {
        ("NoSuchBucket", _) => (
            ErrorKind::NoInput,
            "there is no such bucket: check --location",
        ),
        (
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
            _,
        )
        | (_, Some(301 | 307)) => (
            ErrorKind::Config,
            "the bucket is in another region: set AWS_REGION to its own",
        ),
        (_, Some(401 | 403)) => (
            ErrorKind::Permission,
            "access denied: check the credentials and what they may do",
        ),
        (_, Some(404)) => (ErrorKind::NoInput, "it does not exist"),
        (_, Some(429 | 500..)) => (
            ErrorKind::Unavailable,
            "the storage does not answer as it should: try again",
        ),
        (_, Some(_)) => (ErrorKind::Io, "the storage refused the request"),
        (_, None) if chain(error).contains("redentials") => (
            ErrorKind::Permission,
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        ),
        (_, None) => (
            ErrorKind::Unavailable,
            "the storage cannot be reached: check --endpoint-url and the network",
        ),
    };
    Error::new(
        kind,
        format_args!("{doing} {uri}: {advice} ({})", chain(error)),
    )
}

/// Turns an answer that broke off into the line that the user reads.
pub(super) fn explain_body(uri: &str, error: &BodyError) -> Error {
    let message = format!(
        "cannot read {uri}: the answer broke off: try again ({})",
        chain(error)
    );
    Error::new(ErrorKind::Unavailable, message)
}

/// Whether a read began at or beyond the object's end.
pub(super) fn is_invalid_range<E>(error: &SdkError<E, HttpResponse>) -> bool {
    error
        .raw_response()
        .is_some_and(|response| response.status().as_u16() == 416)
}

/// The error and its causes, outermost first. SDK errors hide what happened in their causes.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
