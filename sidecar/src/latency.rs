//! The latencies that valves report, added up.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use spillway_core::directive::Latency;

use crate::decide::Moment;

/// The longest base64 text that is looked at: a histogram of three digits over an hour has 8 KB.
const MAX_TEXT: usize = 256 * 1024;
/// Latencies above an hour count as an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// Latencies of both lanes, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    pub(crate) local: Lane,
    pub(crate) cloud: Lane,
    /// Histograms that could not be read.
    pub(crate) unreadable: u64,
}

/// Latencies of one lane.
#[derive(Debug, Default)]
pub(crate) struct Lane(Option<Histogram<u64>>);

/// A lane's latencies in short, in ms.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) max: Option<f64>,
}

/// So many steps to an octave: a latency is known to within a tenth.
const STEPS: f64 = 4.0;
/// Up to an hour: log2(3.6e9 µs) × 4, rounded up.
pub(crate) const BINS: usize = 128;

/// A lane's latencies in a few steps, small enough to be kept and compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Coarse([u64; BINS]);

impl Default for Coarse {
    fn default() -> Self {
        Self([0; BINS])
    }
}

impl Coarse {
    fn record(&mut self, us: u64, count: u64) {
        // From 0 to 127 by the bounds of what is recorded.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let bin = ((us.max(1) as f64).log2() * STEPS) as usize;
        let bin = &mut self.0[bin.min(BINS - 1)];
        *bin = bin.saturating_add(count);
    }

    /// What has come since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut grown = self.clone();
        for (now, before) in grown.0.iter_mut().zip(&earlier.0) {
            *now = now.saturating_sub(*before);
        }
        grown
    }

    /// Adds others.
    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(&other.0) {
            *sum = sum.saturating_add(*more);
        }
    }

    /// Latencies in ms that occurred, the middle of their step, each with its count.
    pub(crate) fn milliseconds(&self) -> Vec<(f64, f64)> {
        let middle = |bin: usize| ((bin as f64 + 0.5) / STEPS).exp2() / 1e3;
        let bins = self.0.iter().enumerate();
        bins.filter(|(_, count)| **count > 0)
            .map(|(bin, count)| (middle(bin), *count as f64))
            .collect()
    }
}

impl Latencies {
    /// Adds a report's histograms. One that cannot be read is counted and left out: latencies are for
    /// people, and must not stand in the way of a decision.
    pub(crate) fn add(&mut self, latency: &Latency) {
        for (lane, text) in [
            (&mut self.local, &latency.local),
            (&mut self.cloud, &latency.cloud),
        ] {
            if let Some(text) = text
                && lane.add(text).is_none()
            {
                self.unreadable += 1;
            }
        }
    }
}

/// Latencies of the last seconds: of the present span and of the one before it.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    present: Latencies,
    before: Latencies,
    since: Moment,
}

/// So long a span.
const SPAN: Duration = Duration::from_secs(10);

impl Recent {
    /// Adds a report's histograms.
    pub(crate) fn add(&mut self, latency: &Latency, now: Moment) {
        let age = now.since(self.since);
        if age >= SPAN {
            let present = std::mem::take(&mut self.present);
            self.before = if age < 2 * SPAN {
                present
            } else {
                Latencies::default()
            };
            self.since = now;
        }
        self.present.add(latency);
    }

    /// Both lanes in short: local, cloud.
    pub(crate) fn summaries(&self, now: Moment) -> (Summary, Summary) {
        let age = now.since(self.since);
        let none = Latencies::default();
        let (before, present) = match age {
            _ if age >= 2 * SPAN => (&none, &none),
            _ if age >= SPAN => (&none, &self.present),
            _ => (&self.before, &self.present),
        };
        (
            before.local.with(&present.local),
            before.cloud.with(&present.cloud),
        )
    }
}

impl Lane {
    /// Both together, in short.
    fn with(&self, other: &Self) -> Summary {
        match (&self.0, &other.0) {
            (Some(one), Some(two)) => {
                let mut both = one.clone();
                match both.add(two) {
                    Ok(()) => Self(Some(both)).summary(),
                    // Never: they have the same bounds.
                    Err(_) => other.summary(),
                }
            }
            (Some(_), None) => self.summary(),
            (None, _) => other.summary(),
        }
    }

    fn add(&mut self, text: &str) -> Option<()> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let bytes = STANDARD.decode(text).ok()?;
        let added: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .ok()?;
        if self.0.is_none() {
            self.0 = Histogram::new_with_bounds(1, LONGEST_US, 3).ok();
        }
        let sum = self.0.as_mut()?;
        for step in added.iter_recorded() {
            let value = added.highest_equivalent(step.value_iterated_to());
            sum.saturating_record_n(
                value.clamp(1, LONGEST_US),
                step.count_since_last_iteration(),
            );
        }
        Some(())
    }

    /// The same in a few steps.
    pub(crate) fn coarse(&self) -> Coarse {
        let mut coarse = Coarse::default();
        if let Some(all) = &self.0 {
            for step in all.iter_recorded() {
                coarse.record(step.value_iterated_to(), step.count_since_last_iteration());
            }
        }
        coarse
    }

    pub(crate) fn summary(&self) -> Summary {
        let ms = |us: u64| us as f64 / 1e3;
        match &self.0 {
            Some(all) if !all.is_empty() => Summary {
                count: all.len(),
                p50: Some(ms(all.value_at_quantile(0.5))),
                p99: Some(ms(all.value_at_quantile(0.99))),
                max: Some(ms(all.max())),
            },
            _ => Summary {
                count: 0,
                p50: None,
                p99: None,
                max: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

    use super::*;

    fn text(values_us: impl IntoIterator<Item = u64>) -> String {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).unwrap();
        for value in values_us {
            histogram.record(value).unwrap();
        }
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&histogram, &mut bytes)
            .unwrap();
        STANDARD.encode(bytes)
    }

    #[test]
    fn histograms_of_several_reports_add_up() {
        let mut latencies = Latencies::default();
        for part in [1_000..1_050, 1_050..1_100] {
            latencies.add(&Latency {
                local: Some(text(part)),
                cloud: None,
            });
        }
        let local = latencies.local.summary();
        assert_eq!(local.count, 100);
        assert!((local.p50.unwrap() - 1.05).abs() < 0.01, "{local:?}");
        assert!((local.max.unwrap() - 1.1).abs() < 0.01, "{local:?}");
        assert_eq!(latencies.cloud.summary().count, 0);
    }

    #[test]
    fn recent_latencies_are_those_of_ten_to_twenty_seconds() {
        let at = |seconds| Moment::at(Duration::from_secs(seconds));
        let latency = |us| Latency {
            local: Some(text([us])),
            cloud: None,
        };
        let mut recent = Recent::default();
        let count = |recent: &Recent, second| recent.summaries(at(second)).0.count;
        recent.add(&latency(1_000), at(100));
        recent.add(&latency(2_000), at(109));
        assert_eq!(count(&recent, 109), 2);
        recent.add(&latency(3_000), at(110));
        assert_eq!(count(&recent, 119), 3);
        recent.add(&latency(4_000), at(120));
        assert_eq!(count(&recent, 120), 2);
        assert_eq!(count(&recent, 130), 1);
        assert_eq!(count(&recent, 140), 0);
        recent.add(&latency(5_000), at(150));
        assert_eq!(count(&recent, 150), 1);
        assert_eq!(recent.summaries(at(150)).1.count, 0);
    }

    #[test]
    fn in_steps_every_latency_is_there_to_within_a_tenth_and_differences_are_exact() {
        let mut latencies = Latencies::default();
        let mut add = |values: &[u64]| {
            latencies.add(&Latency {
                local: Some(text(values.iter().copied())),
                cloud: None,
            });
            latencies.local.coarse()
        };
        let before = add(&[1, 700, 5_000]);
        let after = add(&[5_000, 5_000, 59_000_000]);
        let grown = after.since(&before).milliseconds();
        let expected = [(5.0, 2.0), (59_000.0, 1.0)];
        assert_eq!(grown.len(), expected.len());
        for ((ms, count), (true_ms, true_count)) in grown.into_iter().zip(expected) {
            assert!((ms / true_ms - 1.0).abs() < 0.1, "{ms} for {true_ms}");
            assert!((count - true_count).abs() < f64::EPSILON);
        }
        let mut longest = Coarse::default();
        longest.record(u64::MAX, 1);
        assert_eq!(longest.milliseconds().len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_changes_nothing() {
        let mut latencies = Latencies::default();
        latencies.add(&Latency {
            local: Some(text([5_000])),
            cloud: None,
        });
        let before = latencies.local.summary();
        for broken in ["", "not base64!", "AAAA", &"A".repeat(MAX_TEXT + 4)] {
            latencies.add(&Latency {
                local: Some(broken.to_owned()),
                cloud: None,
            });
        }
        assert_eq!(latencies.unreadable, 4);
        assert_eq!(latencies.local.summary(), before);
    }
}
