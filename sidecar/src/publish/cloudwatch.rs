//! `CloudWatch` as the place where metrics go.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::error::ProvideErrorMetadata as _;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};

use super::datum::{Datum, Unit};
use super::{Request, Sink};
use crate::aws;
use crate::config::Publish;
use crate::divert::BoxFuture;

/// The namespace of everything that is published.
const NAMESPACE: &str = "Spillway";
/// A request that has not been answered by then is given up; the next sample is on its way.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Below this interval metrics are stored at a resolution of one second, else of one minute.
const STANDARD_RESOLUTION: Duration = Duration::from_mins(1);

/// Sends metrics by `PutMetricData`.
#[derive(Debug, Clone)]
pub struct CloudWatch {
    client: Client,
    resolution: i32,
}

impl CloudWatch {
    /// A client with the credentials of the AWS environment, which need `cloudwatch:PutMetricData`.
    pub async fn new(settings: &Publish) -> Self {
        let timeouts = TimeoutConfig::builder().operation_timeout(TIMEOUT).build();
        let (region, url) = (settings.region.as_deref(), settings.endpoint_url.as_deref());
        let config = aws::config(region, url, RetryConfig::standard(), timeouts).await;
        Self {
            client: Client::new(&config),
            resolution: if settings.interval < STANDARD_RESOLUTION {
                1
            } else {
                60
            },
        }
    }

    fn datum(&self, datum: Datum) -> MetricDatum {
        let unit = match datum.unit {
            Unit::Count => StandardUnit::Count,
            Unit::CountPerSecond => StandardUnit::CountSecond,
            Unit::Milliseconds => StandardUnit::Milliseconds,
            Unit::Bytes => StandardUnit::Bytes,
            Unit::None => StandardUnit::None,
        };
        let dimensions = datum
            .dimensions
            .into_iter()
            .map(|(name, value)| Dimension::builder().name(name).value(value).build())
            .collect();
        let (values, counts) = datum.values.into_iter().unzip();
        MetricDatum::builder()
            .metric_name(datum.name)
            .set_dimensions(Some(dimensions))
            .timestamp(DateTime::from_millis(datum.time_ms))
            .unit(unit)
            .set_values(Some(values))
            .set_counts(Some(counts))
            .storage_resolution(self.resolution)
            .build()
    }
}

impl Sink for CloudWatch {
    fn put(&self, request: Request) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let data = request.0.into_iter().map(|datum| self.datum(datum));
            let sent = self
                .client
                .put_metric_data()
                .namespace(NAMESPACE)
                .set_metric_data(Some(data.collect()))
                .send()
                .await;
            sent.map(drop).map_err(|error| {
                let advice = match error.code() {
                    Some("AccessDenied" | "AccessDeniedException") => {
                        "; the credentials need cloudwatch:PutMetricData"
                    }
                    _ => "",
                };
                format!("{}{advice}", aws::failure(&error))
            })
        })
    }
}
