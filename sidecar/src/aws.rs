//! How every client of AWS is set up, and how it says what is wrong.

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::result::SdkError;

use crate::causes;

/// The credentials of the AWS environment, and its region and endpoints unless others are named.
pub(crate) async fn config(
    region: Option<&str>,
    endpoint_url: Option<&str>,
    retries: RetryConfig,
    timeouts: TimeoutConfig,
) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(retries)
        .timeout_config(timeouts);
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(url) = endpoint_url {
        loader = loader.endpoint_url(url);
    }
    loader.load().await
}

/// What is wrong with a request, in one line. Where nobody answered, what the HTTP client met says it all; that it was
/// "dispatch failure: io error" adds nothing. Other failures, such as that there are no credentials, need all their
/// words.
pub(crate) fn failure<E, R>(error: &SdkError<E, R>) -> String
where
    E: std::error::Error + 'static,
    R: std::fmt::Debug,
{
    match error {
        SdkError::DispatchFailure(failure) => failure
            .as_connector_error()
            .filter(|error| error.is_io())
            .map_or_else(|| causes::chain(error), |error| causes::root(error)),
        _ => causes::chain(error),
    }
}
