//! What `run` and `validate` have in common: how the sidecar gets at Flink and at the function.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Config;
use crate::divert::InvokeError;
use crate::failure::{ExitCode, Failure};
use crate::run::explain;
use crate::sense::Sensor;
use crate::sense::cloudwatch::CloudWatchSensor;
use crate::sense::flink::FlinkSensor;

/// A cloud that has not said by then whether the function exists counts as unreachable for now.
pub(super) const FUNCTION_CHECK: Duration = Duration::from_secs(3);

/// The function cannot be used.
pub(super) fn missing(config: &Config, error: &InvokeError) -> Failure {
    let message = format!("function {:?}: {}", config.lambda.function, explain(error));
    Failure::new(ExitCode::Unavailable, message)
}

/// What watches the job, if the configuration names one.
pub(super) async fn sensor(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Box<dyn Sensor>>, Failure> {
    if let Some(flink) = &config.flink {
        let sensor = FlinkSensor::new(flink).map_err(|error| {
            let message = format!("cannot read the machine's root certificates: {error}");
            Failure::new(ExitCode::Unavailable, message)
        })?;
        return Ok(Some(Box::new(sensor)));
    }
    let Some(cloudwatch) = &config.cloudwatch else {
        return Ok(None);
    };
    let sensor = CloudWatchSensor::new(cloudwatch, Arc::clone(clock)).await;
    Ok(Some(Box::new(sensor)))
}
