//! How many records wait at the sources, where a source says so: `pendingRecords` of Flink's connectors
//! (FLIP-33), such as Kafka's.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::client::{Rest, RestError};
use super::model::{Aggregate, Metric, Vertex};
use crate::decide::Moment;

/// The gauge, after the operator's name.
const GAUGE: &str = ".pendingRecords";
/// Time between two looks at one source's gauge: it follows the consumer's metrics, which are slower.
const PAUSE: Duration = Duration::from_millis(500);
/// Time until a source that has not shown the gauge is asked again which it has; each time twice as long,
/// up to [`ASK_AT_MOST`]. A source that has just started has none yet; others never will.
const ASK_AGAIN: Duration = Duration::from_secs(3);
const ASK_AT_MOST: Duration = Duration::from_mins(2);
/// A value counts for so long, or for as long as the sensor's gap if that is longer.
const HOLD: Duration = Duration::from_secs(5);
/// More gauges of one vertex than this do not fit into a request line.
const MAX_GAUGES: usize = 16;

/// What is known of the sources' backlogs.
#[derive(Debug)]
pub(crate) struct Lag {
    hold: Duration,
    sources: BTreeMap<String, Source>,
}

#[derive(Debug)]
struct Source {
    asked_at: Moment,
    /// When not to ask before.
    pause: Duration,
    /// What its gauges are called; empty: it has shown none.
    gauges: Vec<String>,
    pending: Option<(Moment, f64)>,
}

impl Lag {
    /// Nothing is known yet. `gap`: how far apart two looks may be.
    pub(crate) fn new(gap: Duration) -> Self {
        Self {
            hold: HOLD.max(gap),
            sources: BTreeMap::new(),
        }
    }

    /// Which source to ask about now, if any.
    pub(crate) fn due<'a>(&self, sources: &'a [Vertex], now: Moment) -> Option<&'a Vertex> {
        let waited = |vertex: &Vertex| {
            self.sources
                .get(&vertex.id)
                .map_or(Some(Duration::MAX), |source| {
                    let waited = now.since(source.asked_at);
                    (waited >= source.pause).then_some(waited)
                })
        };
        sources
            .iter()
            .filter_map(|vertex| Some((waited(vertex)?, vertex)))
            .max_by_key(|(waited, _)| *waited)
            .map(|(_, vertex)| vertex)
    }

    /// Asks about one source: one request.
    pub(crate) async fn ask(
        &mut self,
        rest: &Rest,
        job: &str,
        vertex: &Vertex,
        now: Moment,
    ) -> Result<(), RestError> {
        let source = self
            .sources
            .entry(vertex.id.clone())
            .or_insert_with(|| Source {
                asked_at: now,
                pause: ASK_AGAIN / 2,
                gauges: Vec::new(),
                pending: None,
            });
        source.asked_at = now;
        let path = format!("/jobs/{job}/vertices/{}/subtasks/metrics", vertex.id);
        if source.gauges.is_empty() {
            source.pause = (source.pause * 2).min(ASK_AT_MOST);
            let names: Vec<Metric> = rest.get(&path).await?;
            let gauges = names.into_iter().map(|metric| metric.id);
            source.gauges = gauges
                .filter(|id| id.ends_with(GAUGE))
                .take(MAX_GAUGES)
                .collect();
            if !source.gauges.is_empty() {
                source.pause = PAUSE;
            }
            return Ok(());
        }
        let names: Vec<String> = source.gauges.iter().map(|name| escape(name)).collect();
        let path = format!("{path}?get={}&agg=sum", names.join(","));
        let sums: Vec<Aggregate> = rest.get(&path).await?;
        let asked = sums
            .iter()
            .filter(|gauge| source.gauges.contains(&gauge.id));
        let known = asked.filter_map(|gauge| gauge.sum);
        // Without a single value it is not known, which is not the same as zero.
        source.pending = known
            .reduce(|all, pending| all + pending)
            .map(|pending| (now, pending));
        Ok(())
    }

    /// The records that wait at all sources together, as far as they say so.
    pub(crate) fn pending(&self, now: Moment) -> Option<u64> {
        let fresh = self.sources.values().filter_map(|source| {
            let (at, pending) = source.pending?;
            (now.since(at) <= self.hold).then_some(pending)
        });
        let all = fresh.reduce(|all, pending| all + pending)?;
        // Backlogs are far below 2^53, and never negative.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let all = all.max(0.0) as u64;
        Some(all)
    }
}

/// As a value in a query: operators' names have spaces and more, which Flink keeps.
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_query_is_escaped() {
        assert_eq!(
            escape("Source__a b.pendingRecords"),
            "Source__a%20b.pendingRecords"
        );
        assert_eq!(escape("ä,&"), "%C3%A4%2C%26");
    }

    #[test]
    fn the_source_that_waited_longest_is_next() {
        let at = |ms| Moment::at(Duration::from_millis(ms));
        let vertex = |id: &str| Vertex {
            id: id.into(),
            name: id.into(),
            parallelism: 1,
        };
        let sources = [vertex("a"), vertex("b"), vertex("c")];
        let mut lag = Lag::new(Duration::from_secs(5));
        let mut asked = |id: &str, ms, pause| {
            let source = Source {
                asked_at: at(ms),
                pause,
                gauges: vec![],
                pending: None,
            };
            lag.sources.insert(id.into(), source);
            lag.due(&sources, at(1_000)).map(|vertex| vertex.id.clone())
        };
        assert_eq!(asked("a", 100, PAUSE).as_deref(), Some("c"));
        assert_eq!(asked("c", 200, PAUSE).as_deref(), Some("b"));
        assert_eq!(asked("b", 0, ASK_AGAIN).as_deref(), Some("a"));
        assert_eq!(asked("a", 800, PAUSE).as_deref(), Some("c"));
        assert_eq!(asked("c", 800, PAUSE), None);
    }
}
