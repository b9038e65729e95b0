//! `CloudWatch` by its SDK.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    Dimension, DimensionFilter, Metric, MetricDataQuery, MetricDataResult, MetricStat,
    RecentlyActive, ScanBy, StatusCode,
};

use super::reading::METRICS;
use super::{Metrics, PERIOD, Point, Series};
use crate::aws;
use crate::causes;
use crate::config::CloudWatch;
use crate::divert::BoxFuture;

/// Where Amazon Managed Service for Apache Flink publishes.
const NAMESPACE: &str = "AWS/KinesisAnalytics";
/// A request, retries included, that has not been answered by then is given up until the next look.
const TIMEOUT: Duration = Duration::from_secs(20);
/// 500 series a page; a metric with more pages is published of each subtask, and the coarse ones suffice.
const MAX_PAGES: usize = 20;

/// Reads metrics with `ListMetrics` and `GetMetricData`.
pub(crate) struct AwsMetrics {
    client: Client,
}

impl AwsMetrics {
    /// A client with the credentials of the AWS environment.
    pub(crate) async fn new(settings: &CloudWatch) -> Self {
        let timeouts = TimeoutConfig::builder().operation_timeout(TIMEOUT).build();
        let (region, url) = (settings.region.as_deref(), settings.endpoint_url.as_deref());
        let config = aws::config(region, url, RetryConfig::standard(), timeouts).await;
        Self {
            client: Client::new(&config),
        }
    }

    /// Metric by metric: an application publishes hundreds of others, and in pages of all of them together what is
    /// looked for may come last.
    async fn list_all(&self, application: &str) -> Result<Vec<Series>, String> {
        let filter = DimensionFilter::builder()
            .name("Application")
            .value(application)
            .build();
        let mut all = Vec::new();
        for metric in METRICS {
            let mut pages = self
                .client
                .list_metrics()
                .namespace(NAMESPACE)
                .metric_name(metric)
                .dimensions(filter.clone())
                .recently_active(RecentlyActive::Pt3H)
                .into_paginator()
                .send();
            for _ in 0..MAX_PAGES {
                let Some(page) = pages.next().await else {
                    break;
                };
                let page = page.map_err(|error| explain(&error, "ListMetrics"))?;
                let metrics = page.metrics.unwrap_or_default();
                all.extend(metrics.into_iter().filter_map(series));
            }
        }
        Ok(all)
    }

    async fn get_all(
        &self,
        series: &[Series],
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<Point>, String> {
        let queries = series
            .iter()
            .enumerate()
            .map(|(n, series)| query(n, series));
        let mut pages = self
            .client
            .get_metric_data()
            .start_time(DateTime::from_millis(from_ms))
            .end_time(DateTime::from_millis(to_ms))
            .scan_by(ScanBy::TimestampDescending)
            .set_metric_data_queries(Some(queries.collect()))
            .into_paginator()
            .send();
        let mut read = Read::default();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| explain(&error, "GetMetricData"))?;
            for result in page.metric_data_results.unwrap_or_default() {
                read.take(result, series);
            }
        }
        read.finish()
    }
}

/// What the pages of an answer have told so far.
#[derive(Default)]
struct Read {
    points: Vec<Point>,
    /// Series that could not be read, and why, unless a later page can.
    unread: BTreeMap<usize, String>,
}

impl Read {
    fn take(&mut self, result: MetricDataResult, all: &[Series]) {
        let id = result.id.as_deref().and_then(|id| id.strip_prefix('m'));
        let Some(series) = id.and_then(|id| id.parse::<usize>().ok()) else {
            return;
        };
        let metric = all.get(series).map_or("a metric", |one| &*one.metric);
        match check(&result, metric) {
            Ok(()) => self.unread.remove(&series),
            Err(why) => self.unread.insert(series, why),
        };
        let times = result.timestamps.unwrap_or_default();
        let values = result.values.unwrap_or_default();
        let points = times.iter().zip(values).filter_map(|(time, maximum)| {
            Some(Point {
                series,
                start_ms: time.to_millis().ok()?,
                maximum,
            })
        });
        self.points.extend(points);
    }

    /// A series that is missing looks like one that is gone: nothing is told then.
    fn finish(self) -> Result<Vec<Point>, String> {
        let Self { points, unread } = self;
        unread.into_values().next().map_or(Ok(points), Err)
    }
}

impl Metrics for AwsMetrics {
    fn list<'a>(&'a self, application: &'a str) -> BoxFuture<'a, Result<Vec<Series>, String>> {
        Box::pin(self.list_all(application))
    }

    fn get<'a>(
        &'a self,
        series: &'a [Series],
        from_ms: i64,
        to_ms: i64,
    ) -> BoxFuture<'a, Result<Vec<Point>, String>> {
        Box::pin(self.get_all(series, from_ms, to_ms))
    }
}

fn series(metric: Metric) -> Option<Series> {
    let dimensions = metric.dimensions.unwrap_or_default();
    Some(Series {
        metric: metric.metric_name?,
        dimensions: dimensions
            .into_iter()
            .filter_map(|dimension| Some((dimension.name?, dimension.value?)))
            .collect(),
    })
}

fn query(n: usize, series: &Series) -> MetricDataQuery {
    let dimensions = series
        .dimensions
        .iter()
        .map(|(name, value)| Dimension::builder().name(name).value(value).build());
    let metric = Metric::builder()
        .namespace(NAMESPACE)
        .metric_name(&series.metric)
        .set_dimensions(Some(dimensions.collect()));
    let stat = MetricStat::builder()
        .metric(metric.build())
        .period(i32::try_from(PERIOD.as_secs()).unwrap_or(60))
        .stat("Maximum");
    MetricDataQuery::builder()
        .id(format!("m{n}"))
        .metric_stat(stat.build())
        .return_data(true)
        .build()
}

/// Whether a series was read: a request may succeed and give nothing of some. `PartialData` is a page of more.
fn check(result: &MetricDataResult, metric: &str) -> Result<(), String> {
    let (code, advice) = match &result.status_code {
        None | Some(StatusCode::Complete | StatusCode::PartialData) => return Ok(()),
        Some(StatusCode::Forbidden) => (
            StatusCode::Forbidden.as_str(),
            "the credentials need cloudwatch:GetMetricData",
        ),
        Some(other) => (other.as_str(), "the next look tries again"),
    };
    let said = result.messages().iter().find_map(|message| message.value());
    let said = said.map_or(String::new(), |said| {
        format!(": {}", causes::first_line(said))
    });
    Err(format!(
        "CloudWatch GetMetricData failed: {code} for {metric}{said}; {advice}"
    ))
}

/// What is wrong and what to do about it.
fn explain<E, R>(error: &SdkError<E, R>, action: &str) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let what = match error {
        SdkError::ServiceError(context) => {
            let service = context.err();
            let code = service.code().unwrap_or("no error code");
            let message = causes::first_line(service.message().unwrap_or("no message"));
            format!("{code}: {message}")
        }
        _ => aws::failure(error),
    };
    let advice = match error.code() {
        Some("AccessDenied" | "AccessDeniedException") => {
            format!("the credentials need cloudwatch:{action}")
        }
        Some(
            "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "MissingAuthenticationToken"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException",
        ) => "check the AWS credentials".into(),
        // It is throttled, or broken, or does not understand.
        Some(_) => "the next look tries again".into(),
        None => "check the network, cloudwatch.region and the AWS credentials".into(),
    };
    format!("CloudWatch {action} failed: {what}; {advice}")
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudwatch::error::{ConnectorError, ErrorMetadata};
    use aws_sdk_cloudwatch::operation::list_metrics::ListMetricsError;
    use aws_sdk_cloudwatch::types::MessageData;

    use super::*;

    fn explained(error: &SdkError<ListMetricsError, ()>) -> String {
        explain(error, "ListMetrics")
    }

    fn refused(code: &str) -> String {
        let metadata = ErrorMetadata::builder().code(code).message("No.\nRequest:");
        let error = ListMetricsError::generic(metadata.build());
        explained(&SdkError::service_error(error, ()))
    }

    #[test]
    fn a_failure_says_in_one_line_what_is_wrong_and_what_to_do() {
        let io = ConnectorError::io("connection refused".into());
        assert_eq!(
            explained(&SdkError::dispatch_failure(io)),
            "CloudWatch ListMetrics failed: connection refused; check the network, cloudwatch.region and the AWS \
             credentials"
        );
        let other = ConnectorError::other("missing signing region".into(), None);
        assert!(
            explained(&SdkError::dispatch_failure(other)).contains("missing signing region; check")
        );
        for (code, advice) in [
            (
                "AccessDenied",
                "the credentials need cloudwatch:ListMetrics",
            ),
            ("InvalidClientTokenId", "check the AWS credentials"),
            ("ThrottlingException", "the next look tries again"),
        ] {
            let text = refused(code);
            assert!(
                text.starts_with(&format!("CloudWatch ListMetrics failed: {code}: No.; ")),
                "{text}"
            );
            assert!(text.ends_with(advice), "{text}");
        }
    }

    /// What an answer tells whose pages say this of the only series.
    fn told(pages: impl IntoIterator<Item = (StatusCode, f64)>) -> Result<Vec<f64>, String> {
        let series = [Series {
            metric: "busyTime".into(),
            dimensions: Vec::default(),
        }];
        let mut read = Read::default();
        for (code, value) in pages {
            let message = MessageData::builder().value("No.\nMore.").build();
            let result = MetricDataResult::builder()
                .id("m0")
                .status_code(code)
                .messages(message)
                .timestamps(DateTime::from_millis(60_000))
                .values(value);
            read.take(result.build(), &series);
        }
        let points = read.finish()?;
        Ok(points.iter().map(|point| point.maximum).collect())
    }

    #[test]
    fn a_series_that_was_not_read_is_no_series_that_is_gone() {
        let (complete, partial) = (StatusCode::Complete, StatusCode::PartialData);
        assert_eq!(told([(partial, 1.0), (complete, 2.0)]), Ok(vec![1.0, 2.0]));
        let (broken, forbidden) = (StatusCode::InternalError, StatusCode::Forbidden);
        assert_eq!(
            told([(forbidden, 0.0)]),
            Err(
                "CloudWatch GetMetricData failed: Forbidden for busyTime: No.; the credentials need \
                 cloudwatch:GetMetricData"
                    .into()
            )
        );
        for code in [broken.clone(), StatusCode::from("Other")] {
            let why = told([(code.clone(), 0.0)]).unwrap_err();
            assert!(why.contains(code.as_str()), "{why}");
            assert!(why.ends_with("the next look tries again"), "{why}");
        }
        // The next page has what one could not give.
        assert!(told([(broken, 0.0), (StatusCode::Complete, 2.0)]).is_ok());
    }
}
