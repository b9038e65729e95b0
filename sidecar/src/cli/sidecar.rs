//! What `run` and `validate` have in common: how the sidecar gets at Flink and at the function.

use std::time::Duration;

use crate::config::Config;
use crate::divert::InvokeError;
use crate::failure::{ExitCode, Failure};
use crate::run::explain;
use crate::sense::flink::FlinkSensor;

/// A cloud that has not said by then whether the function exists counts as unreachable for now.
pub(super) const FUNCTION_CHECK: Duration = Duration::from_secs(3);

/// The function cannot be used.
pub(super) fn missing(config: &Config, error: &InvokeError) -> Failure {
    let message = format!("function {:?}: {}", config.lambda.function, explain(error));
    Failure::new(ExitCode::Unavailable, message)
}

/// What watches the job, if the configuration names one.
pub(super) fn sensor(config: &Config) -> Result<Option<FlinkSensor>, Failure> {
    config
        .flink
        .as_ref()
        .map(|flink| {
            FlinkSensor::new(flink).map_err(|error| {
                let message = format!("cannot read the machine's root certificates: {error}");
                Failure::new(ExitCode::Unavailable, message)
            })
        })
        .transpose()
}
