//! Works off what waits at the source.

use std::collections::VecDeque;
use std::time::Duration;

use super::moment::Moment;
use super::policy::Policy;
use super::units::RecordsPerSecond;

/// The arrival at the source is told from how the backlog grew or shrank over this time: a Kafka source
/// refreshes its `pendingRecords` with every fetch, several times a second.
const TREND: Duration = Duration::from_secs(2);
/// What is older says nothing about now.
const STALE: Duration = Duration::from_secs(2);
/// The backlog is to be gone this share of the time early, so that an estimate slightly off still
/// makes it in time.
const MARGIN: f64 = 0.2;
/// When time has run out, what is left is to be gone within this share of the drain time.
const LAST_SHARE: f64 = 0.1;

/// What has been seen of the backlog.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Drain {
    /// Oldest first.
    seen: VecDeque<(Moment, f64)>,
    /// Since when it is being worked off.
    since: Option<Moment>,
}

impl Drain {
    /// The source tells that so many records wait.
    pub(crate) fn see(&mut self, pending: Option<u64>, now: Moment) {
        let Some(pending) = pending else { return };
        while self.seen.len() > 1 && now.since(self.seen[1].0) >= TREND {
            self.seen.pop_front();
        }
        self.seen.push_back((now, pending as f64));
    }

    /// The backlog, if it is known.
    pub(crate) fn pending(&self, now: Moment) -> Option<f64> {
        let (at, pending) = self.seen.back()?;
        (now.since(*at) <= STALE).then_some(*pending)
    }

    /// What arrives at the source, when the valve receives `received`: what it hands over, and what the
    /// backlog grows by.
    fn arrival(&self, received: RecordsPerSecond) -> RecordsPerSecond {
        let (Some((from, before)), Some((to, after))) = (self.seen.front(), self.seen.back())
        else {
            return received;
        };
        let span = to.since(*from);
        if span < TREND / 2 {
            return received;
        }
        RecordsPerSecond::new(received.get() + (after - before) / span.as_secs_f64())
    }

    /// How long the lane would take for the backlog beside what arrives; `None` if it never would, or if
    /// the backlog is not known.
    pub(crate) fn alone(
        &self,
        capacity: RecordsPerSecond,
        received: RecordsPerSecond,
        now: Moment,
    ) -> Option<Duration> {
        let spare = capacity.minus(self.arrival(received)).get();
        let seconds = self.pending(now)? / spare;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// The backlog is to be worked off from now on; no news if it is already.
    pub(crate) fn begin(&mut self, now: Moment) {
        self.since.get_or_insert(now);
    }

    /// The backlog is gone, or nothing is to be diverted for it.
    pub(crate) fn end(&mut self) {
        self.since = None;
    }

    /// How much must be diverted so that the backlog is gone in time, the lane taking `kept`; `None` if
    /// nothing is being drained.
    pub(crate) fn need(
        &self,
        policy: &Policy,
        received: RecordsPerSecond,
        kept: RecordsPerSecond,
        now: Moment,
    ) -> Option<RecordsPerSecond> {
        let elapsed = now.since(self.since?);
        let pending = self.pending(now)?;
        let left = policy
            .drain_time
            .mul_f64(1.0 - MARGIN)
            .saturating_sub(elapsed)
            .max(policy.drain_time.mul_f64(LAST_SHARE));
        let pace = pending / left.as_secs_f64();
        Some(
            self.arrival(received)
                .plus(RecordsPerSecond::new(pace))
                .minus(kept),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Moment {
        Moment::at(Duration::from_secs(s))
    }

    fn rate(value: f64) -> RecordsPerSecond {
        RecordsPerSecond::new(value)
    }

    /// A backlog that grows by 10 k/s and is 1 M now, at 100 s.
    fn growing() -> Drain {
        let mut drain = Drain::default();
        for second in 90..=100 {
            drain.see(Some(1_000_000 - (100 - second) * 10_000), at(second));
        }
        drain
    }

    #[test]
    fn what_arrives_is_what_is_handed_over_and_what_the_backlog_grows_by() {
        assert_eq!(growing().arrival(rate(50_000.0)), rate(60_000.0));
        assert_eq!(Drain::default().arrival(rate(50_000.0)), rate(50_000.0));
    }

    #[test]
    fn the_lane_alone_has_what_the_arrival_leaves_of_it() {
        let drain = growing();
        let alone = drain.alone(rate(80_000.0), rate(50_000.0), at(100));
        assert_eq!(alone, Some(Duration::from_secs(50)));
        assert_eq!(drain.alone(rate(60_000.0), rate(50_000.0), at(100)), None);
    }

    #[test]
    fn what_must_be_diverted_rises_as_time_runs_out() {
        let policy = Policy::default();
        let mut drain = growing();
        let need = |drain: &Drain| drain.need(&policy, rate(50_000.0), rate(40_000.0), at(100));
        assert_eq!(need(&drain), None);
        drain.begin(at(100));
        // 60 k/s arrive, 1 M in 48 s is 20.8 k/s, and 40 k/s are kept.
        let early = need(&drain).unwrap().get();
        assert!((early - 40_833.0).abs() < 1.0, "{early}");
        let mut late = growing();
        late.begin(at(70));
        assert!(need(&late).unwrap().get() > 1.5 * early);
    }

    #[test]
    fn an_old_backlog_is_not_known() {
        assert_eq!(growing().pending(at(103)), None);
    }
}
