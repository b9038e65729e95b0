//! A metric for `CloudWatch`, and how many of them fit into one request.

/// `PutMetricData` takes so many metrics in a request (`CloudWatch` service quotas).
pub(crate) const MAX_METRICS: usize = 1000;
/// So large may a request be: 1 MB (the same), less a tenth for what is around the metrics.
pub(crate) const MAX_BYTES: usize = 900 * 1000;
/// So many distinct values may a metric have (the same).
pub(crate) const MAX_VALUES: usize = 150;

/// What a value counts in, in `CloudWatch`'s words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Unit {
    Count,
    CountPerSecond,
    Milliseconds,
    Bytes,
    None,
}

/// One metric of one interval.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Datum {
    pub(crate) name: &'static str,
    pub(crate) dimensions: Vec<(&'static str, String)>,
    pub(crate) unit: Unit,
    /// Distinct values, and how often each occurred; at most [`MAX_VALUES`].
    pub(crate) values: Vec<(f64, f64)>,
    /// When the interval ended, milliseconds since the epoch.
    pub(crate) time_ms: i64,
}

impl Datum {
    /// An upper bound of what it takes of a request. In the query protocol, the most verbose of those that
    /// `CloudWatch` speaks, each value and count is a parameter of its own with a name of up to 45 bytes, and
    /// text is percent-encoded.
    fn bytes(&self) -> usize {
        const FIXED: usize = 400;
        const PARAMETER: usize = 45;
        const NUMBER: usize = 25;
        let dimensions: usize = self
            .dimensions
            .iter()
            .map(|(name, value)| 2 * PARAMETER + 3 * (name.len() + value.len()))
            .sum();
        FIXED + dimensions + self.values.len() * 2 * (PARAMETER + NUMBER)
    }
}

/// Splits metrics into requests within the limits, in order.
pub(crate) fn pack(data: Vec<Datum>) -> Vec<Vec<Datum>> {
    let mut requests = Vec::new();
    let (mut request, mut bytes) = (Vec::new(), 0);
    for datum in data {
        let more = datum.bytes();
        if request.len() == MAX_METRICS || (bytes + more > MAX_BYTES && !request.is_empty()) {
            requests.push(std::mem::take(&mut request));
            bytes = 0;
        }
        bytes += more;
        request.push(datum);
    }
    if !request.is_empty() {
        requests.push(request);
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datum(values: usize) -> Datum {
        Datum {
            name: "Latency",
            dimensions: vec![("job", "j".repeat(128)), ("valve", "v".repeat(128))],
            unit: Unit::Milliseconds,
            values: (0..values).map(|n| (n as f64, 1.0)).collect(),
            time_ms: 0,
        }
    }

    #[test]
    fn a_request_holds_a_thousand_metrics_and_no_more() {
        let sizes: Vec<_> = pack(vec![
            Datum {
                dimensions: Vec::new(),
                ..datum(1)
            };
            2_001
        ])
        .iter()
        .map(Vec::len)
        .collect();
        assert_eq!(sizes, [1000, 1000, 1]);
        assert!(pack(Vec::new()).is_empty());
    }

    #[test]
    fn a_request_is_no_larger_than_allowed_and_nothing_is_lost_or_reordered() {
        let data: Vec<_> = (0..500).map(|n| datum(n % (MAX_VALUES + 1))).collect();
        let requests = pack(data.clone());
        assert!(requests.len() > 1);
        for request in &requests {
            assert!(request.iter().map(Datum::bytes).sum::<usize>() <= MAX_BYTES);
        }
        assert_eq!(requests.concat(), data);
    }
}
