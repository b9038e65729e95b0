//! The burst function as the sidecar sees it.

use std::pin::Pin;
use std::time::Duration;

use spillway_core::envelope::FunctionErrorType;

/// A future that can be sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Invokes the burst function. One call is one attempt: retrying is [`super::Divert`]'s business, because
/// only it knows the batch's deadline.
pub trait Invoker: Send + Sync + 'static {
    /// Sends a payload and gives back the function's answer.
    fn invoke(&self, payload: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, InvokeError>>;

    /// Looks whether the function can be invoked, without invoking it.
    fn check(&self) -> BoxFuture<'_, Result<(), InvokeError>>;
}

/// What can go wrong with one attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// No concurrency or rate left: the function was not called.
    #[error("throttled: {what}")]
    Throttled {
        /// As the service words it.
        what: String,
        /// Whether it was too many invocations at once, and not too many in a second.
        at_once: bool,
        /// How long the service asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The answer did not come: refused, reset, timed out.
    #[error("the cloud cannot be reached: {0}")]
    Unreachable(String),
    /// The service had a fault of its own.
    #[error("the service failed: {0}")]
    Service(String),
    /// There is no such function.
    #[error("there is no such function: {0}")]
    FunctionMissing(String),
    /// The credentials may not invoke it.
    #[error("access denied: {0}")]
    AccessDenied(String),
    /// The payload is beyond what the service accepts.
    #[error("the payload is too large: {0}")]
    TooLarge(String),
    /// The service refuses the request for another reason.
    #[error("the service refused the request: {0}")]
    Refused(String),
    /// The function ran and failed.
    #[error("the function failed with {error_type}: {message}")]
    Function {
        /// Its own kinds of errors; `None` for all others.
        kind: Option<FunctionErrorType>,
        /// As the function or the platform names it.
        error_type: String,
        /// For people.
        message: String,
    },
    /// The function's answer cannot be read, or is for another batch.
    #[error("the function's answer is of no use: {0}")]
    BadAnswer(String),
}
