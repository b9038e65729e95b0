//! Latencies, in buckets of 2 %.
//!
//! Not an `HdrHistogram`: what is counted here are fractions of records.

/// Each bucket's bound is this much above the last one's.
const GROWTH: f64 = 1.02;
/// Everything up to this counts as one bucket, in ms: clocks of the real lanes have 1 ms.
const LEAST_MS: f64 = 0.5;

/// How many records took how long.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    buckets: Vec<f64>,
    count: f64,
    max_ms: f64,
}

impl Histogram {
    /// Counts `records` that took `ms`.
    pub fn record(&mut self, ms: f64, records: f64) {
        let index = bucket(ms);
        if index >= self.buckets.len() {
            self.buckets.resize(index + 1, 0.0);
        }
        self.buckets[index] += records;
        self.count += records;
        self.max_ms = self.max_ms.max(ms);
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        if other.buckets.len() > self.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0.0);
        }
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max_ms = self.max_ms.max(other.max_ms);
    }

    /// How many records.
    pub fn count(&self) -> f64 {
        self.count
    }

    /// The longest latency in ms; `None` if there is none.
    pub fn max_ms(&self) -> Option<f64> {
        (self.count > 0.0).then_some(self.max_ms)
    }

    /// The latency that a share `quantile` of the records did not exceed, in ms, up to 2 % too high;
    /// `None` if there is none.
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let wanted = self.count * quantile;
        let mut seen = 0.0;
        for (index, records) in self.buckets.iter().enumerate() {
            seen += records;
            // Sums of fractions are not exact.
            if *records > 0.0 && seen >= wanted * (1.0 - 1e-9) {
                return Some(upper_ms(index).min(self.max_ms));
            }
        }
        self.max_ms()
    }
}

fn bucket(ms: f64) -> usize {
    if ms <= LEAST_MS {
        return 0;
    }
    // The logarithm of a ratio above 1 is positive, and below 3000 for any latency in f64.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let index = (ms / LEAST_MS).log(GROWTH).ceil() as usize;
    index
}

fn upper_ms(index: usize) -> f64 {
    LEAST_MS * GROWTH.powf(index as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_within_a_bucket() {
        let mut histogram = Histogram::default();
        for ms in 1..=1000 {
            histogram.record(f64::from(ms), 0.5);
        }
        assert!((histogram.count() - 500.0).abs() < 1e-9);
        for (quantile, ms) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.quantile_ms(quantile).unwrap();
            assert!((ms..=ms * 1.02).contains(&found), "{quantile}: {found}");
        }
        assert_eq!(histogram.max_ms(), Some(1000.0));
    }

    #[test]
    fn nothing_has_no_quantile_and_sums_count_both() {
        let mut sum = Histogram::default();
        assert_eq!(sum.quantile_ms(0.99), None);
        assert_eq!(sum.max_ms(), None);
        let mut other = Histogram::default();
        other.record(70.0, 2.0);
        sum.record(0.0, 2.0);
        sum.add(&other);
        assert_eq!(sum.max_ms(), Some(70.0));
        assert!(sum.quantile_ms(0.5).unwrap() <= 0.5);
        assert_eq!(sum.quantile_ms(0.51), Some(70.0));
    }
}
