//! Storing partials in S3.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::ChecksumMode;
use aws_smithy_http_client::tls;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use spillway_core::digest::Digest;

/// What a batch's deadline of five seconds leaves room for: a few quick attempts.
const ATTEMPTS: u32 = 4;
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_millis(400);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// S3's status when `If-None-Match: *` does not hold.
const EXISTS: u16 = 412;
const TIMEOUT: Duration = Duration::from_secs(4);

/// Somewhere to put an object.
pub(crate) trait Store {
    /// Stores an object. Nothing that is there is ever replaced: a retry finds the same bytes and is
    /// content; whoever brings other bytes is told so.
    async fn put(
        &self,
        bucket: &str,
        key: &str,
        content: Bytes,
        sha256: &Digest,
    ) -> Result<(), StoreError>;
}

/// Why an object was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// It may work another time.
    #[error("S3 is not available: {0}")]
    Unavailable(String),
    /// Someone has to change something first.
    #[error("S3 refuses: {0} (check SPILLWAY_DESTINATION, AWS_REGION and the function's role)")]
    Misconfigured(String),
    /// The object is there already, with other bytes.
    #[error("it is there already, but with checksum {0}")]
    OtherBytes(String),
}

/// What the client has to know, from the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Settings {
    pub(crate) region: String,
    /// Set for everything that speaks S3 but is not AWS; addressed by path then.
    pub(crate) endpoint_url: Option<String>,
    /// Lambda always sets these. To look for them in all the places that the SDK knows would make the binary
    /// larger by a seventh.
    pub(crate) credentials: StaticCredentials,
}

/// Credentials that do not change during the life of an instance.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct StaticCredentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: Option<String>,
}

impl std::fmt::Debug for StaticCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the secret.
        f.write_str(&self.access_key_id)
    }
}

/// S3 itself.
#[derive(Debug, Clone)]
pub(crate) struct S3Store {
    client: Client,
}

impl S3Store {
    pub(crate) fn new(settings: S3Settings) -> Self {
        let plain = settings
            .endpoint_url
            .as_ref()
            .is_some_and(|url| url.starts_with("http://"));
        let http_client = http_client(plain);
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(TIMEOUT)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(FIRST_BACKOFF)
            .with_max_backoff(LONGEST_BACKOFF);
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(settings.region))
            .http_client(http_client)
            .credentials_provider(Credentials::new(
                settings.credentials.access_key_id,
                settings.credentials.secret_access_key,
                settings.credentials.session_token,
                None,
                "environment",
            ))
            .timeout_config(timeouts)
            .retry_config(retries);
        if let Some(endpoint_url) = settings.endpoint_url {
            config = config.endpoint_url(endpoint_url).force_path_style(true);
        }
        Self {
            client: Client::from_conf(config.build()),
        }
    }
}

/// TLS only where it is used: reading the system's certificates takes milliseconds.
fn http_client(plain: bool) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new();
    if plain {
        builder.build_http()
    } else {
        builder
            .tls_provider(tls::Provider::Rustls(
                tls::rustls_provider::CryptoMode::Ring,
            ))
            .build_https()
    }
}

impl Store for S3Store {
    async fn put(
        &self,
        bucket: &str,
        key: &str,
        content: Bytes,
        sha256: &Digest,
    ) -> Result<(), StoreError> {
        let checksum = STANDARD.encode(sha256.as_bytes());
        let stored = self
            .client
            .put_object()
            .bucket(bucket)
            .key(key)
            .content_type("application/vnd.apache.parquet")
            // Known already, so that S3 checks the very bytes that the receipt vouches for.
            .checksum_sha256(&checksum)
            // A receipt that was given vouches for what is there. Another version of this function may
            // make other bytes of the same batch; they must not take its place.
            .if_none_match("*")
            .body(content.into())
            .send()
            .await;
        match stored {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(answer)) if answer.raw().status().as_u16() == EXISTS => {
                self.compare(bucket, key, &checksum).await
            }
            Err(error) => Err(failure(&error)),
        }
    }
}

impl S3Store {
    /// Whether what is there has this checksum, as it has if an earlier attempt put it there.
    async fn compare(&self, bucket: &str, key: &str, checksum: &str) -> Result<(), StoreError> {
        let request = self.client.head_object().bucket(bucket).key(key);
        let there = request
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await
            .map_err(|error| failure(&error))?;
        match there.checksum_sha256() {
            Some(found) if found == checksum => Ok(()),
            found => Err(StoreError::OtherBytes(found.unwrap_or("none").to_owned())),
        }
    }
}

/// What an error of S3 means for the batch.
fn failure<E: ProvideErrorMetadata + std::error::Error + 'static>(
    error: &SdkError<E>,
) -> StoreError {
    let permanent = match error {
        SdkError::ConstructionFailure(_) => true,
        SdkError::ServiceError(answer) => {
            is_permanent(answer.raw().status().as_u16(), answer.err().code())
        }
        _ => false,
    };
    if permanent {
        StoreError::Misconfigured(reason(error))
    } else {
        StoreError::Unavailable(reason(error))
    }
}

/// What S3 said, or what kept it from saying anything, in one line.
fn reason<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &SdkError<E>) -> String {
    if let SdkError::ServiceError(answer) = error {
        let status = answer.raw().status().as_u16();
        let code = answer.err().code().unwrap_or("no code");
        let message = answer.err().message().unwrap_or("no message");
        return format!("{code}, {message} (HTTP {status})");
    }
    let mut line = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        line.push_str(": ");
        line.push_str(&inner.to_string());
        source = inner.source();
    }
    line
}

/// Whether an error answer of S3 means that the next attempt will fare no better.
fn is_permanent(status: u16, code: Option<&str>) -> bool {
    let passing = matches!(
        code.unwrap_or_default(),
        // Something happened to the bytes on the way.
        "BadDigest" | "IncompleteBody" | "XAmzContentSHA256Mismatch" | "RequestTimeout"
            // Another instance, or this one a little later, has other credentials or another time.
            | "ExpiredToken" | "RequestTimeTooSkewed" | "TokenRefreshRequired"
            | "SlowDown" | "Throttling" | "RequestLimitExceeded"
    );
    !passing && matches!(status, 301 | 307 | 400 | 401 | 403 | 404 | 405)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_someone_has_to_repair_is_permanent() {
        for (status, code) in [
            (404, "NoSuchBucket"),
            (403, "AccessDenied"),
            (403, "InvalidAccessKeyId"),
            (403, "SignatureDoesNotMatch"),
            (301, "PermanentRedirect"),
            (400, "AuthorizationHeaderMalformed"),
            (400, "InvalidBucketName"),
        ] {
            assert!(is_permanent(status, Some(code)), "{code}");
        }
        assert!(is_permanent(403, None));
    }

    #[test]
    fn what_passes_is_not() {
        for (status, code) in [
            (503, "SlowDown"),
            (500, "InternalError"),
            (400, "RequestTimeout"),
            (400, "ExpiredToken"),
            (403, "RequestTimeTooSkewed"),
            (400, "BadDigest"),
            (409, "OperationAborted"),
            (429, "TooManyRequests"),
        ] {
            assert!(!is_permanent(status, Some(code)), "{code}");
        }
        assert!(!is_permanent(502, None));
    }

    #[test]
    fn the_secret_is_never_shown() {
        let credentials = StaticCredentials {
            access_key_id: "id".into(),
            secret_access_key: "very secret".into(),
            session_token: Some("token".into()),
        };
        assert_eq!(format!("{credentials:?}"), "id");
    }
}
